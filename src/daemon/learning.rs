//! Learning from history, off the tick: fetched in batches, newest first, fitted on as many threads as there are cores.

use super::archive::Archive;
use super::polling::{Sources, last_step, query, settled, steps};
use crate::clock::Clock;
use crate::history::backfill::{Track, fill};
use crate::history::{HistorySource, Query, SourceError};
use crate::policy::{Policy, Workload};
use crate::series::{Sample, Series};
use crate::tick::MetricMemory;
use crate::units::{Step, Time};
use futures::stream::{FuturesUnordered, StreamExt};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};

/// Workloads whose history is asked for together.
const BATCH: usize = 4;
/// Batches at the same time: while one is fetched, another is fitted. The history of so many times [`BATCH`] workloads is in memory.
const BATCHES_OF_A_LANE: usize = 2;
/// The same of all lanes together; one each there may be in any case, or a few lanes would hold up all others.
const BATCHES: usize = 6;
/// Tasks that wait for their batch at most; more wait where they come from.
const WAITING: usize = 4096;
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
    /// Why they are of less history than there may be. None: there is no more, or none that will be told.
    pub incomplete: Option<String>,
}

/// What learning takes.
pub struct School {
    /// Where history comes from.
    pub sources: Arc<Sources>,
    /// What is kept of it on disk. None: nothing.
    pub archive: Option<Arc<Archive>>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Spacing of samples.
    pub step: Step,
    /// How far back.
    pub span: Duration,
    /// Where what was learned goes.
    pub results: mpsc::Sender<Learned>,
}

/// Tasks that ask the same sources: one source that does not answer holds up no others.
type Lane = BTreeSet<String>;

/// Works through tasks until there can be no more.
pub async fn school(school: School, mut tasks: mpsc::Receiver<Task>) {
    let threads = Semaphore::new(std::thread::available_parallelism().map_or(1, NonZero::get));
    let (mut waiting, mut under_way) = (BTreeMap::<Lane, VecDeque<Task>>::new(), BTreeMap::<Lane, usize>::new());
    let (mut new, mut open, mut batches) = (Vec::new(), true, FuturesUnordered::new());
    while open || !batches.is_empty() {
        let room = WAITING.saturating_sub(waiting.values().map(VecDeque::len).sum());
        tokio::select! {
            count = tasks.recv_many(&mut new, room), if open && room > 0 => open = count > 0,
            Some((lane, wanted)) = batches.next() => {
                let wanted: bool = wanted;
                under_way.entry(lane).and_modify(|n: &mut usize| *n = n.saturating_sub(1));
                if !wanted {
                    return;
                }
            }
        }
        for task in new.drain(..) {
            let lane: Lane = task.policy.metrics.iter().map(|m| m.source.clone()).collect();
            waiting.entry(lane).or_default().push_back(task);
        }
        for (lane, tasks) in &mut waiting {
            let count = under_way.entry(lane.clone()).or_default();
            while *count < BATCHES_OF_A_LANE && (*count == 0 || batches.len() < BATCHES) && !tasks.is_empty() {
                *count += 1;
                let (lane, batch) = (lane.clone(), tasks.drain(..tasks.len().min(BATCH)).collect());
                let learned = school.learn(batch, &threads);
                batches.push(async move { (lane, learned.await) });
            }
        }
        waiting.retain(|_, tasks| !tasks.is_empty());
        under_way.retain(|_, count| *count > 0);
    }
}

/// A metric on its way: which task, which metric of it, what is known.
struct Pupil {
    task: usize,
    source: String,
    track: Track,
    error: Option<String>,
    /// It may be told later what keeps it from being told now.
    later: bool,
    /// The last instant whose sample will not come any more if it isn't there.
    until: Time,
}

impl School {
    /// False: nobody wants results any more.
    async fn learn(&self, tasks: Vec<Task>, threads: &Semaphore) -> bool {
        let step = self.step;
        let now = self.clock.now();
        let to = last_step(now, step);
        let mut pupils: Vec<Pupil> = Vec::new();
        for (task, t) in tasks.iter().enumerate() {
            for metric in &t.policy.metrics {
                let id = pupils.len().to_string();
                let (text, error) = match query(metric) {
                    Ok(text) => (text, None),
                    Err(problem) => (String::new(), Some(problem.to_string())),
                };
                let (track, source) = (Track::new(Query { id, text }, step, self.span), metric.source.clone());
                pupils.push(Pupil { task, source, track, error, later: false, until: to });
            }
        }
        let mut by_source: BTreeMap<String, Vec<&mut Pupil>> = BTreeMap::new();
        for pupil in pupils.iter_mut().filter(|p| p.error.is_none()) {
            by_source.entry(pupil.source.clone()).or_default().push(pupil);
        }
        let asked = by_source
            .into_iter()
            .filter_map(|(name, mine)| Some(fetch(self.sources.get(&name)?.as_ref(), mine, to, step)));
        futures::future::join_all(asked).await;
        if let Some(archive) = &self.archive {
            let archive = archive.clone();
            let recalled = tokio::task::spawn_blocking(move || {
                recall(&archive, &mut pupils, step, now);
                pupils
            });
            // nothing in it panics but what the store has caught
            pupils = recalled.await.unwrap_or_default();
        }
        let mut pupils = pupils.into_iter().peekable();
        let mut fitting = FuturesUnordered::new();
        for (number, task) in tasks.into_iter().enumerate() {
            let (mut tracks, mut incomplete) = (Vec::new(), None);
            while let Some(pupil) = pupils.next_if(|p| p.task == number) {
                incomplete = incomplete.or(pupil.error.clone().filter(|_| pupil.later));
                tracks.push((pupil.track, pupil.error, pupil.until));
            }
            fitting.push(async move {
                let failed = tracks.iter().find_map(|(t, e, _)| e.clone().filter(|_| t.points().is_empty()));
                let (workload, edition) = (task.workload.clone(), task.edition);
                let lessons = match failed {
                    Some(error) => Err(error),
                    None => {
                        // nobody closes it
                        let _thread = threads.acquire().await;
                        tokio::task::spawn_blocking(move || fit(&task.policy, tracks, step))
                            .await
                            .map_err(|e| format!("learning failed: {e}"))
                    }
                };
                Learned { workload, edition, lessons, incomplete }
            });
        }
        while let Some(learned) = fitting.next().await {
            if self.results.send(learned).await.is_err() {
                return false;
            }
        }
        true
    }
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
        pupil.later = matches!(filled.error, Some(SourceError::Unavailable(_)));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::config::Mode;
    use crate::history::{Answer, Request};
    use crate::policy::{LoadMetric, WorkloadKind};
    use crate::units::LeadTime;
    use futures::future::BoxFuture;

    /// Answers with a load of 7, or never.
    struct Fake(bool);

    impl HistorySource for Fake {
        fn name(&self) -> &str {
            "fake"
        }

        fn fetch<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Vec<Answer>> {
            if !self.0 {
                return Box::pin(std::future::pending());
            }
            let answer =
                |q: &Query| Answer { id: q.id.clone(), points: Ok(vec![(request.to, 7.0)]), warnings: Vec::new() };
            let answers = request.queries.iter().map(answer).collect();
            Box::pin(async move { answers })
        }
    }

    fn task(number: usize, source: &str) -> Task {
        let metric = LoadMetric {
            source: source.into(),
            query: "q".into(),
            capacity_per_replica: 2.0,
            tenant: None,
            learned: None,
        };
        let policy = Policy {
            mode: Mode::Act,
            metrics: vec![metric],
            min_replicas: 1,
            max_replicas: 9,
            lead_time: LeadTime(Duration::from_secs(180)),
            unserved_budget: 0.001,
            miss_cost: None,
            time_zone: "UTC".into(),
            schedules: Vec::new(),
            occasions: Vec::new(),
            hold: None,
            pods_per_second: None,
            slots: None,
        };
        let workload =
            Workload { namespace: source.into(), name: format!("w{number}"), kind: WorkloadKind::Deployment };
        Task { workload, edition: 1, policy }
    }

    #[tokio::test]
    async fn a_source_that_does_not_answer_holds_up_no_workload_of_another() {
        let sources: Sources = BTreeMap::from([
            ("hole-1".to_owned(), Arc::new(Fake(false)) as Arc<dyn HistorySource>),
            ("hole-2".to_owned(), Arc::new(Fake(false)) as Arc<dyn HistorySource>),
            ("hole-3".to_owned(), Arc::new(Fake(false)) as Arc<dyn HistorySource>),
            ("main".to_owned(), Arc::new(Fake(true)) as Arc<dyn HistorySource>),
        ]);
        let ((give, tasks), (results, mut learned)) = (mpsc::channel(64), mpsc::channel(64));
        let (clock, span) = (Arc::new(SystemClock), Duration::from_secs(3600));
        let all = School { sources: Arc::new(sources), archive: None, clock, step: Step::MINUTE, span, results };
        let school = tokio::spawn(school(all, tasks));
        // as many as take up all that there may be of them together
        for number in 0..60 {
            let hole = format!("hole-{}", 1 + number % 3);
            give.send(task(number, if number < 50 { &hole } else { "main" })).await.unwrap();
        }
        let mut names = BTreeSet::new();
        while names.len() < 10 {
            let learned = tokio::time::timeout(Duration::from_secs(60), learned.recv()).await.unwrap().unwrap();
            assert_eq!(learned.lessons.unwrap().first().unwrap().memory.newest().map(|n| n.1), Some(7.0));
            names.insert(learned.workload.to_string());
        }
        assert_eq!(names, (50..60).map(|n| format!("main/w{n}")).collect());
        school.abort();
    }
}
