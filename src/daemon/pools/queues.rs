//! The task that asks what arrived in the queues of gangs, and what their pods look like.

use super::super::polling::{Sources, last_step, settled, steps};
use crate::actuate::pool::PodShape;
use crate::clock::Clock;
use crate::config::{Config, QueueConfig};
use crate::error::shorten;
use crate::history::backfill::{Track, fill};
use crate::history::{HistorySource, Query};
use crate::series::Series;
use crate::units::Step;
use k8s_openapi::api::core::v1::PodTemplate;
use kube::api::Api;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Requests for one history at most; with more a pool is sized from what is there.
const ROUNDS: usize = 400;
/// An answer is waited for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is known of one queue.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// Gangs that arrived in each step, up to the newest whose count will not change any more. None: never known.
    pub arrivals: Option<Arc<Series>>,
    /// How late its source is.
    pub settling: Duration,
    /// What its pods look like. None: never known.
    pub shape: Option<PodShape>,
    /// What keeps it from being known now.
    pub problems: Vec<String>,
}

/// Queues by the names of their pools; one that has not been asked for yet is not in it.
pub(super) type SeenQueues = Arc<Mutex<BTreeMap<String, Seen>>>;

/// What the task is given.
pub(in crate::daemon) struct Ears {
    pub client: kube::Client,
    pub sources: Arc<Sources>,
    pub clock: Arc<dyn Clock>,
    pub config: Config,
    pub(super) seen: SeenQueues,
}

/// Listens until it is aborted; it writes nothing.
pub(in crate::daemon) async fn listen(ears: Ears) {
    let (step, span) = (ears.config.workloads.step, ears.config.workloads.history);
    let queues = ears.config.pools.iter().filter_map(|(name, pool)| Some((name, pool.queue.as_ref()?)));
    let mut queues: Vec<(&String, &QueueConfig, Track)> = queues
        .map(|(name, queue)| {
            (name, queue, Track::new(Query { id: name.clone(), text: queue.arrivals.clone() }, step, span))
        })
        .collect();
    while !queues.is_empty() {
        for (name, queue, track) in &mut queues {
            let before = ears.seen.lock().unwrap_or_else(PoisonError::into_inner).get(*name).cloned();
            let mut seen = Seen { problems: Vec::new(), ..before.unwrap_or_default() };
            if let Some(source) = ears.sources.get(&queue.source) {
                seen.settling = source.settling(&queue.arrivals);
                match ask(source.as_ref(), track, ears.clock.as_ref(), step).await {
                    Ok(arrivals) => seen.arrivals = Some(Arc::new(arrivals)),
                    Err(problem) => seen.problems.push(problem),
                }
            }
            match look(&ears.client, &queue.template).await {
                Ok(shape) => seen.shape = Some(shape),
                Err(problem) => seen.problems.push(problem),
            }
            ears.seen.lock().unwrap_or_else(PoisonError::into_inner).insert((*name).clone(), seen);
        }
        let now = ears.clock.now();
        // what arrived in a step is there a moment after it
        let next = last_step(now, step) + step.duration() + step.duration() / 20;
        tokio::time::sleep(next.since(now)).await;
    }
}

/// Brings a history up to date: one sample a step, as far as no more of it can come.
async fn ask(source: &dyn HistorySource, track: &mut Track, clock: &dyn Clock, step: Step) -> Result<Series, String> {
    let to = last_step(clock.now(), step);
    let told = &mut |_| {};
    let filled = tokio::time::timeout(PATIENCE, fill(source, std::slice::from_mut(track), to, ROUNDS, told));
    match filled.await {
        Err(_) => return Err(format!("source {}: no answer within {} s", source.name(), PATIENCE.as_secs())),
        Ok(filled) => {
            if let Some(error) = filled.into_iter().find_map(|f| f.error) {
                return Err(shorten(&error.to_string()));
            }
        }
    }
    let newest = track.points().last().map(|p| p.0);
    let first = track.points().first().map_or(to, |p| p.0);
    let until = settled(newest, to, step, source.settling(&track.query().text));
    Ok(Series::of(first, step, steps(track.points(), first, until, step)))
}

async fn look(client: &kube::Client, (namespace, name): &(String, String)) -> Result<PodShape, String> {
    let templates: Api<PodTemplate> = Api::namespaced(client.clone(), namespace);
    match templates.get_opt(name).await {
        Ok(Some(found)) => {
            let spec = found.template.and_then(|t| t.spec);
            let spec = spec.ok_or_else(|| format!("PodTemplate {namespace}/{name} has no template.spec"))?;
            Ok(PodShape::of(&serde_json::json!({ "spec": spec })))
        }
        Ok(None) => Err(format!("the PodTemplate {namespace}/{name} is not there")),
        Err(error) => Err(shorten(&format!("PodTemplate {namespace}/{name}: {error}"))),
    }
}
