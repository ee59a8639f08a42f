//! What was seen of a workload, as plain values.

use super::Room;
use crate::units::{Replicas, Time};
use serde::{Deserialize, Serialize};

/// One look at a workload. Bounds are the user's own, from the object or from our ledger if we changed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// When it was seen.
    pub at: Time,
    /// Replicas asked for now (`spec.replicas`).
    pub replicas: Replicas,
    /// Replicas that serve now.
    pub ready: Replicas,
    /// True when an HPA or ScaledObject stands above our floor.
    pub autoscaled: bool,
    /// Our floor that is in force now, from the ledger. None: nothing is ours. A first decision never goes below it.
    #[serde(default)]
    pub floor: Option<Replicas>,
    /// A rollout is under way.
    pub rollout: bool,
    /// Why pods cannot be created, in the API's words.
    pub blocked: Option<String>,
    /// The kill switch is on: whatever is decided is not written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// More than a fifth of its replicas restart, or have been Ready and are not any more: its load says little of what its
    /// users want.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unhealthy: bool,
    /// What the workloads of the cluster together leave it to move. None: it is alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<Room>,
}

impl Observation {
    /// What stands where our plans are written: our floor where an autoscaler stands above, else the replicas.
    pub fn standing(&self) -> Replicas {
        if self.autoscaled { self.floor.unwrap_or(0) } else { self.replicas }
    }
}

/// What a source of load said last. Missing, stale and zero are three values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum SourceState {
    /// It answers, and its newest sample is recent.
    Fresh,
    /// It answers, but its newest sample is old, or it has none.
    Stale,
    /// It fails; the words say how.
    Failing {
        /// The error, without credentials.
        error: String,
    },
}
