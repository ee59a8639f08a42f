//! The decision layer: one proposal a step from the load so far and the forecast.

use crate::forecast::WindowForecast;
use crate::series::Sample;
use crate::units::{Replicas, Step, Time, replicas_for};
use serde::{Deserialize, Serialize};

/// What a planner plans for. Fixed for its life; a change makes a new planner, which learns from the history again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanTask {
    /// The grid.
    pub step: Step,
    /// Steps from a decision to a ready replica, at least 1.
    pub lead: usize,
    /// Steps that one decision has to cover, at least 1.
    pub window: usize,
    /// Share of the load that may go unserved.
    pub unserved_budget: f64,
    /// The user's lower bound.
    pub min_replicas: Replicas,
    /// The user's upper bound.
    pub max_replicas: Replicas,
}

/// What the decision layer wants, before bounds, holds and limits of the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// Replicas wanted in total, so that they are ready one lead time from now.
    pub replicas: Replicas,
    /// Replicas that the newest measured load needs. None before the first.
    pub reactive: Option<Replicas>,
}

/// The decision layer of one metric.
#[derive(Debug, Clone)]
pub struct Planner {
    task: PlanTask,
    last: Option<Replicas>,
    held: std::collections::VecDeque<Replicas>,
}

impl Planner {
    /// A planner that has seen nothing.
    pub fn new(task: PlanTask) -> Self {
        Planner { task, last: None, held: Default::default() }
    }

    /// One step: the sample of `at`, the load to come from one lead on (None: the forecast abstains), and the load one
    /// replica serves now.
    pub fn advance(&mut self, _at: Time, sample: Sample, ahead: Option<&WindowForecast>, capacity: f64) -> Proposal {
        if let Some(load) = sample.measured() {
            self.last = Some(replicas_for(load, capacity));
        }
        let ahead = ahead.map_or(0, |w| replicas_for(w.values[6], capacity));
        self.held.push_front(ahead.max(self.last.unwrap_or(0)));
        self.held.truncate(self.task.window);
        let replicas =
            self.held.iter().copied().max().unwrap_or(0).clamp(self.task.min_replicas, self.task.max_replicas);
        Proposal { replicas, reactive: self.last }
    }
}
