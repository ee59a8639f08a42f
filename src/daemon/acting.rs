//! Writes, one task each, so that an object that fails or waits never holds up another.

use super::lease::Right;
use crate::actuate::{
    Actions, Carried, Executor, Outcome, Site, TargetView, WriteError, actions, release, release_expired, warrant,
};
use crate::clock::{Clock, Deadline};
use crate::observe::Cluster;
use crate::plan::Plan;
use crate::units::Time;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};

/// Writes under way at the same time, of either urgency.
const PARALLEL: usize = 8;

/// What is to be brought about at a site.
#[derive(Debug, Clone)]
pub enum Intent {
    /// The plan.
    Plan(Plan),
    /// The user's own values.
    Release,
    /// The user's own values, if the floor's time is still over when it is looked at.
    Expire,
}

impl Intent {
    /// What to write on what is there now.
    fn decide(&self, now: Time, view: &TargetView) -> Actions {
        let writes = match self {
            Intent::Plan(plan) => return actions(now, plan, view),
            Intent::Release => release(view),
            Intent::Expire => release_expired(now, view),
        };
        let outcome = if writes.is_empty() { Outcome::Kept } else { Outcome::Released };
        Actions { writes, outcome }
    }
}

/// Raises wait behind each other only, not behind a thousand floors that are renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// More capacity.
    Raise,
    /// Everything else.
    Other,
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
    raises: Arc<Semaphore>,
    others: Arc<Semaphore>,
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
        let (raises, others) = (Arc::new(Semaphore::new(PARALLEL)), Arc::new(Semaphore::new(PARALLEL)));
        (Actor { executor, right, clock, cluster, raises, others, results }, received)
    }

    /// Starts one. At most one per site is under way: the caller waits for its result. `edition`: nothing is written
    /// once the counter has moved on. `delay` spreads the writes of one step.
    pub fn start(&self, site: Site, intent: Intent, urgency: Urgency, edition: (u64, Arc<AtomicU64>), delay: Duration) {
        let actor = self.clone();
        let decided = Deadline::now();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            let slots = match urgency {
                Urgency::Raise => &actor.raises,
                Urgency::Other => &actor.others,
            };
            let Ok(_slot) = slots.acquire().await else { return };
            let fence = || {
                actor.right.check()?;
                actor.cluster.may_write(&site.workload.namespace)?;
                warrant(decided.ago(), edition.0, edition.1.load(Ordering::SeqCst))
            };
            let decide = |view: &TargetView| intent.decide(actor.clock.now(), view);
            let result = actor.executor.carry_out(&site, &fence, &decide).await;
            // nobody listens any more: the program is ending
            let _ = actor.results.send(Acted { site, intent, result });
        });
    }

    /// Starts no further write, and waits for those under way, no longer than `limit`.
    pub async fn finish(&self, limit: Duration) {
        let all = [&self.raises, &self.others].map(|slots| slots.acquire_many(PARALLEL as u32));
        if tokio::time::timeout(limit, futures::future::join_all(all)).await.is_err() {
            tracing::warn!("a write was still under way and is dropped");
        }
        self.raises.close();
        self.others.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actuate::{Ledger, Target};

    #[test]
    fn a_floor_that_was_renewed_after_it_was_found_over_stays() {
        let text = r#"{"original":2,"floor":8,"reason":"forecast","expires":"2027-01-15T08:00:00Z"}"#;
        let ledger = Ledger::parse(text).unwrap();
        let over = ledger.expires;
        let mut view = TargetView {
            target: Target::Hpa { name: "web".into() },
            floor: Some(8),
            max_replicas: 20,
            replicas: 8,
            ledger: Some(ledger),
        };
        assert_eq!(Intent::Expire.decide(over, &view).outcome, Outcome::Released);
        if let Some(ledger) = &mut view.ledger {
            ledger.expires = over + Duration::from_secs(1);
        }
        assert_eq!(Intent::Expire.decide(over, &view), Actions { writes: Vec::new(), outcome: Outcome::Kept });
        assert_eq!(Intent::Release.decide(over, &view).outcome, Outcome::Released, "opted out");
    }
}
