//! Writes, one task each, so that an object that fails or waits never holds up another.

use super::lease::Right;
use crate::actuate::{Actions, Carried, Executor, Outcome, Site, WriteError, actions, release, warrant};
use crate::clock::{Clock, Deadline};
use crate::observe::Cluster;
use crate::plan::Plan;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};

/// Writes under way at the same time.
const PARALLEL: usize = 8;

/// What is to be brought about at a site.
#[derive(Debug, Clone)]
pub enum Intent {
    /// The plan.
    Plan(Plan),
    /// The user's own values.
    Release,
}

/// What came of a write.
#[derive(Debug)]
pub struct Acted {
    /// Where.
    pub site: Site,
    /// What was to be done.
    pub intent: Intent,
    /// What was done.
    pub result: Result<Carried, WriteError>,
}

/// Starts writes.
#[derive(Clone)]
pub struct Actor {
    executor: Arc<Executor>,
    right: Right,
    clock: Arc<dyn Clock>,
    cluster: Arc<Cluster>,
    slots: Arc<Semaphore>,
    results: mpsc::UnboundedSender<Acted>,
}

impl Actor {
    /// An actor whose results come out of the receiver.
    pub fn new(
        executor: Arc<Executor>,
        right: Right,
        clock: Arc<dyn Clock>,
        cluster: Arc<Cluster>,
    ) -> (Actor, mpsc::UnboundedReceiver<Acted>) {
        let (results, received) = mpsc::unbounded_channel();
        let slots = Arc::new(Semaphore::new(PARALLEL));
        (Actor { executor, right, clock, cluster, slots, results }, received)
    }

    /// Starts one. At most one per site is under way: the caller waits for its result. `edition`: nothing is written
    /// once the counter has moved on. `delay` spreads the writes of one step.
    pub fn start(&self, site: Site, intent: Intent, edition: (u64, Arc<AtomicU64>), delay: Duration) {
        let actor = self.clone();
        let decided = Deadline::now();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            let Ok(_slot) = actor.slots.acquire().await else { return };
            let fence = || {
                actor.right.check()?;
                actor.cluster.may_write(&site.workload.namespace)?;
                warrant(decided.ago(), edition.0, edition.1.load(Ordering::SeqCst))
            };
            let decide = |view: &crate::actuate::TargetView| match &intent {
                Intent::Plan(plan) => actions(actor.clock.now(), plan, view),
                Intent::Release => {
                    let writes = release(view);
                    let outcome = if writes.is_empty() { Outcome::Kept } else { Outcome::Released };
                    Actions { writes, outcome }
                }
            };
            let result = actor.executor.carry_out(&site, &fence, &decide).await;
            // nobody listens any more: the program is ending
            let _ = actor.results.send(Acted { site, intent, result });
        });
    }

    /// Starts no further write, and waits for those under way, no longer than `limit`.
    pub async fn finish(&self, limit: Duration) {
        let all = tokio::time::timeout(limit, self.slots.acquire_many(PARALLEL as u32)).await;
        if all.is_err() {
            tracing::warn!("a write was still under way and is dropped");
        }
        self.slots.close();
    }
}
