//! The warm pool: how many empty slots stand ready, so that a replica that rises finds its room at once.
//!
//! A new node takes a *node lead* (minutes); a free slot takes no time. What has to be covered is the shortfall: pods
//! needed beyond those that were wanted one node lead ago (for which nodes were bought in time), summed over the
//! workloads of the pool, because their surprises seldom come together. The size is the joint upper quantile of that sum over realised vectors of residuals,
//! always the same instant for all workloads, which keeps what is correlated correlated; a conformal tracker then moves
//! it so that the share of the time in which the pool was enough is the objective's.
//!
//! Everything is counted in slots; a slot is room for one pod. No I/O, no clock: live, simulation and backtest call
//! [`PoolSizer::advance`] alike.

mod growth;
mod queue;
mod resize;
mod scenarios;
mod sizer;
mod spread;
mod tracker;

pub use growth::{expected, expected_of_past};
pub use queue::queued;
pub use resize::{HYSTERESIS, RESIZE_EVERY};
pub use scenarios::STRIDE;
pub use sizer::PoolSizer;
pub use spread::{PerZone, gangs, per_zone};

use crate::policy::schedule::Window;
use crate::units::QuantileLevel;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Slots that a pool has at most, whatever is configured.
pub const SLOTS_MAX: u32 = 10_000;
/// Share of the time in which the pool is enough, where nothing else is asked for.
pub const OBJECTIVE: f64 = 0.99;

/// What a pool is sized for.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolTask {
    /// From asking for a node to a pod that runs on it.
    pub lead: Duration,
    /// Share of the time in which the pool is to be enough.
    pub objective: QuantileLevel,
    /// The cost cap: never more slots.
    pub max_slots: u32,
    /// Zone in which hours of the day repeat.
    pub time_zone: String,
    /// Stretches of time with bounds of their own: `min` and `max` are slots.
    pub windows: Vec<Window>,
}

/// One workload at one step, in slots.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Member {
    /// Pods that the load of now needs.
    pub need: f32,
    /// Pods that are wanted now, at least the need: nodes are bought for them, and where they rise they take slots.
    pub pods: f32,
    /// Pods that the load is expected to need one node lead from now; see [`expected`].
    pub expected: f32,
}

/// What bounds a pool from outside at this step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Slots that a quota, or the limits of a NodePool, still leave. None: none is known.
    pub quota: Option<u32>,
    /// False: some workload's need is not known now. The pool is held.
    pub fresh: bool,
}

/// The size of a pool and what led to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sizing {
    /// Slots to hold ready.
    pub slots: u32,
    /// What binds the number.
    pub reason: PoolReason,
    /// The joint quantile of summed shortfalls at the tracker's level, in slots. None: too few scenarios.
    pub quantile: Option<f32>,
    /// What the tracker adds to it, in slots.
    pub correction: f32,
    /// Scenarios that the quantile was taken from.
    pub scenarios: usize,
    /// Share of the steps of the last week in which the pool was enough. None: none was judged.
    pub hit_rate: Option<f64>,
    /// Slots that the pods of now needed.
    pub shortfall: f32,
}

/// What binds the size of a pool. Closed: every value appears in docs, events and metrics under this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PoolReason {
    /// The joint quantile of past shortfalls.
    Shortfall,
    /// Too few scenarios: a share of the pods.
    ColdStart,
    /// The lower bound of a window.
    WindowMin,
    /// The upper bound of a window.
    WindowMax,
    /// The cost cap.
    MaxSlots,
    /// Quota or limits leave no more.
    Quota,
    /// The difference is too small, or the last change too recent.
    Settled,
    /// No fresh data: what was there is kept.
    HoldStale,
}

#[cfg(test)]
mod tests;
