//! Decisions of all workloads of a cluster, one after the other, within what they may move together.

use super::tended::Tended;
use crate::plan::Shares;
use crate::tick::Record;
use crate::units::{Replicas, Time};

/// Those whose decisions are written and those whose decisions are only told leave each other's shares alone.
#[derive(Debug, Default)]
pub(super) struct Together {
    acting: Shares,
    observing: Shares,
}

/// Pods of the workloads of either kind.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Crowd {
    acting: Replicas,
    observing: Replicas,
}

impl Crowd {
    /// Counts one in.
    pub(super) fn count(mut self, tended: &Tended, acts: bool) -> Crowd {
        let pods = if acts { &mut self.acting } else { &mut self.observing };
        *pods = pods.saturating_add(tended.sight.observation.replicas);
        self
    }
}

impl Together {
    /// Decides on one of them.
    pub(super) fn tick(&mut self, tended: &mut Tended, acts: bool, crowd: Crowd, now: Time) -> Option<Record> {
        let (shares, pods) =
            if acts { (&mut self.acting, crowd.acting) } else { (&mut self.observing, crowd.observing) };
        let before = tended.decision.as_ref().map(|d| d.plan.replicas);
        let record = tended.tick(now, shares.room(now, pods))?;
        // what does not move uses no share; what is about to be tried again may
        let tried = tended.write_error.is_none() || tended.may_write();
        let moves = !acts || tried && !tended.yields();
        if let Record::Tick { inputs, decision, .. } = &record
            && moves
        {
            shares.note(now, before, &inputs.observation, &decision.plan);
        }
        Some(record)
    }
}
