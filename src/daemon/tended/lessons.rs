//! When a workload learns from its history, and what of it.

use super::{AHEAD_STEPS, Learning, PAUSE_FIRST, Tended};
use crate::daemon::learning::Task;
use crate::plan::SourceState;
use crate::policy::Policy;
use crate::units::{Step, Time};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Pauses before the rest of a history that was not to be had is asked for again.
pub(super) const AGAIN: [Duration; 3] =
    [Duration::from_secs(600), Duration::from_secs(3600), Duration::from_secs(6 * 3600)];

impl Tended {
    /// What goes on deciding until the rest of its history has been learned from as well. None: there is no rest to wait for.
    pub(super) fn unfinished(&self) -> Option<Policy> {
        self.policy.clone().filter(|_| self.incomplete.is_some() && self.learning != Learning::Done)
    }

    /// What is to be learned now. None: nothing.
    pub fn lesson(&mut self, now: Time) -> Option<Task> {
        let policy = self.next.as_ref().or(self.policy.as_ref())?.clone();
        // what is learned again does not know that replicas are broken
        let broken = self.incomplete.is_some() && self.outlook.unhealthy;
        match self.learning {
            Learning::Due(at) if at <= now && !broken => {}
            Learning::Due(_) | Learning::UnderWay | Learning::Done => return None,
        }
        self.learning = Learning::UnderWay;
        let edition = self.edition.load(Ordering::SeqCst);
        self.taught = Some(policy.clone());
        Some(Task { workload: self.sight.workload().clone(), edition, policy })
    }

    /// Our clock was set back. Learning that was put off is due, and where samples are known of times still to come, none would be
    /// taken until then: it is learned from history again.
    pub fn set_back(&mut self, now: Time, step: Step) {
        let ahead = self.feeds.iter().any(|f| f.next > now + step.times(AHEAD_STEPS));
        if matches!(self.learning, Learning::Due(_)) || self.learning == Learning::Done && ahead {
            self.learning = Learning::Due(now);
        }
        if ahead {
            // until then the newest sample is of no known age
            self.feeds.iter_mut().for_each(|f| f.source = SourceState::Stale);
        }
    }

    /// The task could not be taken on: later.
    pub fn postpone(&mut self, now: Time) {
        self.learning = Learning::Due(now + PAUSE_FIRST);
    }

    /// History is being fetched or learned from.
    pub fn is_learning(&self) -> bool {
        self.learning != Learning::Done && self.incomplete.is_none()
    }
}
