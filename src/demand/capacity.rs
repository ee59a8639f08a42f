//! Capacity per replica, learned.

use crate::units::Replicas;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the replicas of a workload used in one step, and how they were.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Cores that all used together, mean of the step.
    pub cores: f64,
    /// Ready replicas that have been ready for a while, by the hash of their pod template.
    pub settled: BTreeMap<String, Replicas>,
    /// Replicas that are not ready, not yet for long, or again after a crash.
    pub unsettled: Replicas,
}
