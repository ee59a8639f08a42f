//! Learning from history, off the tick: fetched in batches, newest first, fitted on threads of its own.

use super::archive::Archive;
use super::polling::{Sources, last_step, query, settled, steps};
use crate::clock::Clock;
use crate::history::backfill::{Track, fill};
use crate::history::{HistorySource, Query};
use crate::policy::{Policy, Workload};
use crate::series::{Sample, Series};
use crate::tick::MetricMemory;
use crate::units::{Step, Time};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Workloads whose history is in memory at the same time.
const BATCH: usize = 8;
/// Requests for one history at most; with more it is learned from what is there.
const ROUNDS: usize = 400;

/// A source that failed is asked once more for so many steps; what is older stays missing.
const CATCH_UP_STEPS: usize = 240;

/// What is to be learned.
#[derive(Debug, Clone)]
pub struct Task {
    /// Whose.
    pub workload: Workload,
    /// Comes back with the result: a result of an older policy is not used.
    pub edition: u64,
    /// The policy.
    pub policy: Policy,
}

/// One metric that has learned.
#[derive(Debug)]
pub struct Lesson {
    /// What it knows now.
    pub memory: MetricMemory,
    /// What it learned from.
    pub history: Series,
    /// The first instant it has no sample for.
    pub next: Time,
}

/// What came of a [`Task`].
#[derive(Debug)]
pub struct Learned {
    /// Whose.
    pub workload: Workload,
    /// The edition of the task.
    pub edition: u64,
    /// One lesson per metric, or why there is none.
    pub lessons: Result<Vec<Lesson>, String>,
}

/// Works through tasks until there can be no more.
pub async fn school(
    sources: Arc<Sources>,
    archive: Option<Arc<Archive>>,
    clock: Arc<dyn Clock>,
    step: Step,
    span: Duration,
    mut tasks: mpsc::Receiver<Task>,
    results: mpsc::Sender<Learned>,
) {
    let mut batch = Vec::with_capacity(BATCH);
    while tasks.recv_many(&mut batch, BATCH).await > 0 {
        let batch = std::mem::take(&mut batch);
        if learn((&sources, archive.as_ref()), clock.as_ref(), step, span, batch, &results).await.is_err() {
            return;
        }
    }
}

/// A metric on its way: which task, which metric of it, what is known.
struct Pupil {
    task: usize,
    source: String,
    track: Track,
    error: Option<String>,
    /// The last instant whose sample will not come any more if it isn't there.
    until: Time,
}

/// Err: nobody wants results any more.
async fn learn(
    (sources, archive): (&Sources, Option<&Arc<Archive>>),
    clock: &dyn Clock,
    step: Step,
    span: Duration,
    tasks: Vec<Task>,
    results: &mpsc::Sender<Learned>,
) -> Result<(), mpsc::error::SendError<Learned>> {
    let now = clock.now();
    let to = last_step(now, step);
    let mut pupils: Vec<Pupil> = Vec::new();
    for (task, t) in tasks.iter().enumerate() {
        for metric in &t.policy.metrics {
            let id = pupils.len().to_string();
            let (text, error) = match query(metric) {
                Ok(text) => (text, None),
                Err(problem) => (String::new(), Some(problem.to_string())),
            };
            let (track, source) = (Track::new(Query { id, text }, step, span), metric.source.clone());
            pupils.push(Pupil { task, source, track, error, until: to });
        }
    }
    for (name, source) in sources {
        let mine: Vec<&mut Pupil> = pupils.iter_mut().filter(|p| p.source == *name && p.error.is_none()).collect();
        fetch(source.as_ref(), mine, to, step).await;
    }
    if let Some(archive) = archive {
        let archive = archive.clone();
        let recalled = tokio::task::spawn_blocking(move || {
            recall(&archive, &mut pupils, step, now);
            pupils
        });
        // nothing in it panics but what the store has caught
        pupils = recalled.await.unwrap_or_default();
    }
    let mut pupils = pupils.into_iter().peekable();
    for (number, task) in tasks.into_iter().enumerate() {
        let mut tracks = Vec::new();
        while let Some(pupil) = pupils.next_if(|p| p.task == number) {
            tracks.push((pupil.track, pupil.error, pupil.until));
        }
        let failed = tracks.iter().find_map(|(t, e, _)| e.clone().filter(|_| t.points().is_empty()));
        let (workload, edition) = (task.workload.clone(), task.edition);
        let lessons = match failed {
            Some(error) => Err(error),
            None => tokio::task::spawn_blocking(move || fit(&task.policy, tracks, step))
                .await
                .map_err(|e| format!("learning failed: {e}")),
        };
        results.send(Learned { workload, edition, lessons }).await?;
    }
    Ok(())
}

/// What the source does not know any more, and what it does, for the next time.
fn recall(archive: &Archive, pupils: &mut [Pupil], step: Step, now: Time) {
    for pupil in pupils.iter_mut().filter(|p| !p.track.query().text.is_empty()) {
        let query = pupil.track.query().text.clone();
        if let Some(first) = pupil.track.points().first().map(|p| last_step(p.0, step)) {
            let told = steps(pupil.track.points(), first, pupil.until, step);
            archive.keep(&pupil.source, &query, first, step, &told);
        }
        pupil.track.recall(archive.recall(&pupil.source, &query, step, now, pupil.track.points()));
        // a source that fails now may still tell of the time since then
        let newest = pupil.track.points().last().map(|p| p.0);
        if let Some(newest) = newest.filter(|at| pupil.error.is_some() && now.since(*at) <= step.times(CATCH_UP_STEPS))
        {
            pupil.until = last_step(newest, step);
        }
    }
}

async fn fetch(source: &dyn HistorySource, pupils: Vec<&mut Pupil>, to: Time, step: Step) {
    if pupils.is_empty() {
        return;
    }
    let mut tracks: Vec<Track> = pupils.iter().map(|p| p.track.clone()).collect();
    let filled = fill(source, &mut tracks, to, ROUNDS, &mut |_| {}).await;
    for ((pupil, track), filled) in pupils.into_iter().zip(tracks).zip(filled) {
        pupil.error = filled.error.map(|e| e.to_string());
        let newest = track.points().last().map(|p| p.0);
        pupil.until = settled(newest, to, step, source.settling(&track.query().text));
        pupil.track = track;
    }
}

fn fit(policy: &Policy, tracks: Vec<(Track, Option<String>, Time)>, step: Step) -> Vec<Lesson> {
    let lesson = |(metric, (track, _, to)): (&crate::policy::LoadMetric, (Track, Option<String>, Time))| {
        let next = to + step.duration();
        let history = match track.points().first() {
            Some((first, _)) => {
                let first = last_step(*first, step);
                let samples: Vec<Sample> = steps(track.points(), first, to, step);
                Series::of(first, step, samples)
            }
            None => Series::new(next, step, 1),
        };
        drop(track);
        let memory = MetricMemory::learn(&history, policy, metric.capacity_per_replica);
        Lesson { memory, history, next }
    };
    policy.metrics.iter().zip(tracks).map(lesson).collect()
}
