//! Demand and observation → how many replicas, and why.
//!
//! A forecast only ever raises a floor. Scale-in is the reactive side's, on positive evidence.

mod aftermath;
mod decide;
pub mod feasibility;
mod gain;
pub mod guard;
pub mod nodes;
mod observation;
mod pace;
mod planner;
pub mod pool;
mod portfolio;
pub mod quota;
mod ramp;
mod share;
mod usual;

pub use aftermath::Aftermath;
pub use decide::{Bounds, Evidence, HOLD, PlanMemory, STABILIZATION, Standing, VALID, decide};
pub use gain::{Gain, GainCheck};
pub use observation::{Observation, SourceState};
pub use pace::Pace;
pub use planner::{PlanTask, Planner, Proposal};
pub use portfolio::{Candidate, Heard, Portfolio, candidates};
pub use ramp::{creation, ramp};
pub use share::{Room, Shares};
pub use usual::{COLLAPSE, believed, looked_at, usual_high, usual_low, usual_most};

use crate::units::{Replicas, Time};
use serde::{Deserialize, Serialize};

/// The number of replicas wanted, and what led to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Replicas wanted in total: the floor where an autoscaler stands above it, the whole decision where none does.
    pub replicas: Replicas,
    /// What binds it.
    pub reason: Reason,
    /// The parts the number was made of.
    pub parts: Parts,
    /// After this instant the plan is void and the user's own values hold.
    pub valid_until: Time,
    /// When to look again, new samples or not.
    pub wake: Time,
}

/// The candidates for the final number; the largest wins, then bounds, holds and limits apply.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// Replicas the load of now needs. None: not known now (which is not zero).
    pub reactive: Option<Replicas>,
    /// Replicas the decision layer wants ahead of the load; where the forecast abstains, the load of now with headroom.
    /// None: no load has been seen.
    pub forecast: Option<Replicas>,
    /// The floor of an active schedule. None: none is active.
    pub schedule: Option<Replicas>,
    /// The count that a hold keeps. None: nothing is held.
    pub hold: Option<Replicas>,
}

/// What binds a plan. Closed: every value appears in docs, events and metrics under this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The load of now needs this many.
    Reactive,
    /// The load to come needs this many.
    Forecast,
    /// A schedule asks for this many.
    Schedule,
    /// The user's lower bound.
    MinReplicas,
    /// The user's upper bound stopped it.
    MaxReplicas,
    /// Limited in how fast it may rise.
    RiseLimited,
    /// Limited in how fast it may fall.
    FallLimited,
    /// No fresh samples: what was there is kept.
    HoldStale,
    /// A rollout is under way: nothing is lowered.
    HoldRollout,
    /// After an outage, or a fall out of nowhere: nothing is lowered for an hour.
    HoldOutage,
    /// Too soon after a start: may only rise.
    HoldRestart,
    /// A miss: full velocity, no scale-in.
    Surge,
    /// Not enough history to look ahead; reacting only.
    ColdStart,
    /// The forecast abstains; reacting only.
    Abstains,
    /// Pods cannot be created (quota, limits, admission): no further raise.
    Blocked,
    /// An operator's `forescale hold`.
    HoldOperator,
    /// The load only follows the replicas, or it is being found out whether it does: no further raise.
    NoGain,
}
