//! What a simulated cluster cost and what it left unserved.

use crate::units::{Replicas, Time};
use serde::Serialize;
use std::time::Duration;

/// One step of one cluster, as it happened: enough to recompute every book from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Row {
    /// The step's beginning.
    pub at: Time,
    /// Offered load during the step, load units per second.
    pub load: f64,
    /// Load that the ready replicas could not take, load units per second.
    pub unserved: f64,
    /// Replicas asked for (`spec.replicas`).
    pub replicas: Replicas,
    /// Pods that exist, ready or starting.
    pub pods: Replicas,
    /// Pods that serve.
    pub ready: Replicas,
    /// `spec.minReplicas` of the HPA, 0 where there is no HPA.
    pub floor: Replicas,
    /// Nodes that are paid for, 0 where nodes are not simulated.
    pub nodes: u32,
    /// Slots held ready by placeholders.
    pub warm: Replicas,
}

/// Sums over the steps so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Books {
    /// Offered work: load x time, in load units x seconds.
    pub offered: f64,
    /// Work that met no capacity, same unit.
    pub unserved: f64,
    /// Hours of pods from creation to deletion: starting ones are paid for too.
    pub replica_hours: f64,
    /// Changes of `spec.replicas`.
    pub scaling_actions: u64,
    /// Minutes in which some work went unserved.
    pub late_minutes: u64,
    /// Hours of nodes from purchase to removal; 0 where nodes are not simulated.
    pub node_hours: f64,
    #[serde(skip)]
    last_replicas: Option<Replicas>,
    #[serde(skip)]
    last_late_minute: Option<i64>,
}

impl Books {
    /// Enters one step of length `step`.
    pub fn enter(&mut self, row: &Row, step: Duration) {
        let seconds = step.as_secs_f64();
        self.offered += row.load * seconds;
        self.unserved += row.unserved * seconds;
        self.replica_hours += f64::from(row.pods) * seconds / 3600.0;
        self.node_hours += f64::from(row.nodes) * seconds / 3600.0;
        if self.last_replicas.is_some_and(|last| last != row.replicas) {
            self.scaling_actions += 1;
        }
        self.last_replicas = Some(row.replicas);
        let minute = row.at.secs().div_euclid(60);
        if row.unserved > 0.0 && self.last_late_minute != Some(minute) {
            self.late_minutes += 1;
            self.last_late_minute = Some(minute);
        }
    }

    /// Unserved over offered work; 0 when nothing was offered.
    pub fn unserved_fraction(&self) -> f64 {
        if self.offered > 0.0 { self.unserved / self.offered } else { 0.0 }
    }
}
