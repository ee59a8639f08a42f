//! A plan → the writes that bring it about, and the way back.
//!
//! [`actions`] is pure and decides everything: live, in the demo and in simulation alike. Only the executor that
//! carries the writes out differs. The original of every value we change is kept in a [`Ledger`], an annotation on
//! the very object, so that any copy of the program, or a person, can put it back.

#[cfg(feature = "daemon")]
mod access;
#[cfg(feature = "daemon")]
mod executor;
#[cfg(feature = "daemon")]
mod failure;
#[cfg(feature = "daemon")]
mod guard;
mod ledger;
pub mod pool;
#[cfg(feature = "daemon")]
mod throttle;
mod warrant;

#[cfg(feature = "daemon")]
pub use access::{Access, CLUSTER_ACCESS, LEASE_ACCESS};
#[cfg(feature = "daemon")]
pub use executor::{
    Carried, Decide, Executor, FIELD_MANAGER, Fence, Site, hpa_resource, scaled_object_resource, workload_resource,
};
#[cfg(feature = "daemon")]
pub use failure::{Call, WriteError, chain};
#[cfg(feature = "daemon")]
pub use guard::{DecideGuard, node_pool_resource};
pub use ledger::{LEDGER, Ledger, LedgerError};
pub use warrant::{DECISION_AGE_MAX, warrant};

use crate::plan::{Plan, Reason};
use crate::units::{Replicas, Time};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Where the floor is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Target {
    /// `spec.minReplicas` of this HPA.
    Hpa {
        /// Its name.
        name: String,
    },
    /// `spec.minReplicaCount` of this ScaledObject.
    ScaledObject {
        /// Its name.
        name: String,
    },
    /// No autoscaler: `spec.replicas` of the workload is the whole decision.
    Scale,
}

/// The target as the API has it now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetView {
    /// Where the floor is written.
    pub target: Target,
    /// The floor field of the autoscaler as it stands; None where it is not set, and for [`Target::Scale`].
    pub floor: Option<Replicas>,
    /// The user's upper bound.
    pub max_replicas: Replicas,
    /// `spec.replicas` of the workload.
    pub replicas: Replicas,
    /// Our ledger on the target object, if there is one.
    pub ledger: Option<Ledger>,
}

/// One intended change, in the order of [`Actions::writes`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "write", rename_all = "kebab-case")]
pub enum Write {
    /// Set the field that we hold and the ledger, in one patch: the autoscaler's floor, or the replicas where there is no
    /// autoscaler. In two writes, whatever came between them would look like a third party's doing.
    Floor {
        /// The floor.
        replicas: Replicas,
        /// The ledger that goes with it.
        ledger: Ledger,
    },
    /// Set the ledger alone: a third party's change noted.
    Ledger {
        /// The ledger.
        ledger: Ledger,
    },
    /// Put the original value back (None: unset the field), remove the ledger, then give the ownership back.
    Restore {
        /// The user's value.
        original: Option<Replicas>,
    },
    /// Raise `spec.replicas` of an autoscaled workload through the scale subresource, at once.
    Scale {
        /// Replicas.
        replicas: Replicas,
    },
}

/// What to do now, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actions {
    /// In order. Empty: all is as it should be.
    pub writes: Vec<Write>,
    /// What this amounts to.
    pub outcome: Outcome,
}

/// What actions amount to; shown in events under this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The floor rises.
    Raised,
    /// The floor falls.
    Lowered,
    /// The floor stays; its expiry may be renewed.
    Kept,
    /// The user's own value holds; nothing of ours is there.
    Released,
    /// A third party changed the value: it stands, and is remembered.
    Yielded,
    /// A third party put the value back three times within an hour: we stopped.
    Contested,
}

/// What KEDA takes where a ScaledObject says no `maxReplicaCount`.
pub const KEDA_MAX_REPLICAS: Replicas = 100;
/// Third-party reversals within this time are counted: GitOps controllers look every few minutes.
pub const CONTEST_WINDOW: Duration = Duration::from_secs(3600);
/// A third party's value stands for so long.
pub const YIELD: Duration = Duration::from_secs(600);
/// So many reversals stop us.
pub const CONTEST_LIMIT: usize = 3;
/// A floor is renewed when less than this is left of it.
const RENEW_BEFORE: Duration = Duration::from_secs(10 * 60);

/// Decides the writes for a plan. `plan.replicas` is already within the user's bounds and limited in rate.
///
/// A floor at or below the user's own value is a release. A foreign value that differs from the user's remembered
/// one is the user's new one and stands for [`YIELD`]; the remembered one coming back is a reversal, written again until
/// it has happened [`CONTEST_LIMIT`] times within [`CONTEST_WINDOW`]. Then it stands as long, and each further one too.
///
/// Without an autoscaler ([`Target::Scale`]) the plan is the whole decision, up and down, and the replica count takes
/// the floor's place in these rules. Zero replicas that we did not set is the user's way to switch off: it stays.
pub fn actions(now: Time, plan: &Plan, view: &TargetView) -> Actions {
    let standing = view.standing();
    let rests = view.ledger.as_ref().is_some_and(|l| l.floor == 0);
    if view.target == Target::Scale && view.replicas == 0 && !rests {
        return Actions { writes: Vec::new(), outcome: Outcome::Kept };
    }
    let mut ledger = match &view.ledger {
        Some(ledger) => ledger.clone(),
        None => Ledger::new(standing, plan.valid_until),
    };
    let ours = view.ledger.as_ref().map(|l| l.floor);
    if let Some(floor) = ours
        && standing.unwrap_or(0) != floor
    {
        let outcome = if standing == ledger.original {
            ledger.note_reversal(now);
            (ledger.reversals.len() >= CONTEST_LIMIT).then_some(Outcome::Contested)
        } else {
            ledger.original = standing;
            // they were of another value
            ledger.reversals.clear();
            Some(Outcome::Yielded)
        };
        if let Some(outcome) = outcome {
            ledger.floor = standing.unwrap_or(0);
            ledger.yielded_until = Some(now + YIELD);
            // reversals are remembered as long as we yield: nobody may sweep them away
            ledger.expires = plan.valid_until;
            return Actions { writes: vec![Write::Ledger { ledger }], outcome };
        }
    }
    if ledger.yielded_until.is_some_and(|until| now < until) {
        let outcome = if ledger.reversals.len() >= CONTEST_LIMIT { Outcome::Contested } else { Outcome::Yielded };
        return Actions { writes: Vec::new(), outcome };
    }
    ledger.forget_before(now);
    if view.target == Target::Scale {
        return scale_only(now, plan, view, ledger);
    }
    // what holds where nothing is set: KEDA rests at zero, an HPA at one
    let rests = if matches!(view.target, Target::ScaledObject { .. }) { 0 } else { 1 };
    let own = ledger.original.unwrap_or(0).max(rests);
    let floor = plan.replicas.min(view.max_replicas);
    if floor <= own {
        let writes = match &view.ledger {
            Some(_) => vec![Write::Restore { original: ledger.original }],
            None => Vec::new(),
        };
        let outcome = if writes.is_empty() { Outcome::Kept } else { Outcome::Released };
        return Actions { writes, outcome };
    }
    ledger.floor = floor;
    ledger.reason = plan.reason;
    let mut writes = Vec::new();
    let outcome = match view.floor.cmp(&Some(floor)) {
        std::cmp::Ordering::Less => Outcome::Raised,
        std::cmp::Ordering::Greater => Outcome::Lowered,
        std::cmp::Ordering::Equal => Outcome::Kept,
    };
    if outcome != Outcome::Kept || ledger.expires < now + RENEW_BEFORE {
        ledger.expires = plan.valid_until;
        writes.push(Write::Floor { replicas: floor, ledger });
    }
    if view.replicas < floor && view.replicas > 0 {
        writes.push(Write::Scale { replicas: floor });
    }
    Actions { writes, outcome }
}

fn scale_only(now: Time, plan: &Plan, view: &TargetView, mut ledger: Ledger) -> Actions {
    let wanted = plan.replicas.min(view.max_replicas);
    let outcome = match wanted.cmp(&view.replicas) {
        std::cmp::Ordering::Greater => Outcome::Raised,
        std::cmp::Ordering::Less => Outcome::Lowered,
        std::cmp::Ordering::Equal => Outcome::Kept,
    };
    let renew = view.ledger.is_some() && ledger.expires < now + RENEW_BEFORE;
    if outcome == Outcome::Kept && !renew {
        return Actions { writes: Vec::new(), outcome };
    }
    ledger.floor = wanted;
    ledger.reason = plan.reason;
    ledger.expires = plan.valid_until;
    Actions { writes: vec![Write::Floor { replicas: wanted, ledger }], outcome }
}

/// What puts everything back: opt-out, `release`, or a ledger whose time is over. Empty where nothing is ours.
/// Without an autoscaler nothing would react to the load afterwards, so replicas that run are never taken away: the
/// user's value returns only where it is the larger.
pub fn release(view: &TargetView) -> Vec<Write> {
    match &view.ledger {
        // a third party's value stands: only the ledger goes
        Some(ledger) if view.standing() != Some(ledger.floor) => vec![Write::Restore { original: view.standing() }],
        Some(ledger) if view.target == Target::Scale => {
            vec![Write::Restore { original: ledger.original.max(view.standing()) }]
        }
        Some(ledger) => vec![Write::Restore { original: ledger.original }],
        None => Vec::new(),
    }
}

/// The same, where it is for nothing but the floor's time being over: a floor that has been renewed meanwhile stays.
pub fn release_expired(now: Time, view: &TargetView) -> Vec<Write> {
    let expired = view.ledger.as_ref().is_some_and(|l| l.expires <= now);
    if expired { release(view) } else { Vec::new() }
}

impl TargetView {
    /// The value that stands where we write: the autoscaler's floor, or the replicas where there is none.
    pub fn standing(&self) -> Option<Replicas> {
        match self.target {
            Target::Scale => Some(self.replicas),
            Target::Hpa { .. } | Target::ScaledObject { .. } => self.floor,
        }
    }

    /// Our floor where it is in force: what someone else has written is theirs, even while our ledger remembers it.
    pub fn our_floor(&self) -> Option<Replicas> {
        let ledger = self.ledger.as_ref()?;
        let theirs = ledger.yielded_until.is_some() || self.standing() != Some(ledger.floor);
        (!theirs).then_some(ledger.floor)
    }
}

impl Ledger {
    fn new(original: Option<Replicas>, expires: Time) -> Ledger {
        Ledger {
            original,
            floor: original.unwrap_or(0),
            reason: Reason::Forecast,
            expires,
            reversals: Vec::new(),
            yielded_until: None,
        }
    }
}

#[cfg(test)]
mod tests;
