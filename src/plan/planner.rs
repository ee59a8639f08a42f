//! The decision layer: one proposal a step from the load so far and the forecast.

use super::{Heard, Portfolio};
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
    /// Instead: what a replica's load costs when it goes unserved, in what a replica costs for the same time.
    pub miss_cost: Option<f64>,
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
    last: Option<f64>,
    /// It was of an exceptional time.
    excepted: bool,
    portfolio: Portfolio,
}

impl Planner {
    /// A planner that has seen nothing.
    pub fn new(task: PlanTask) -> Self {
        Planner { last: None, excepted: false, portfolio: Portfolio::new(task) }
    }

    /// One step: the sample of `at`, the load to come from one lead on (None: the forecast abstains), and the load one
    /// replica serves now.
    pub fn advance(&mut self, at: Time, sample: Sample, ahead: Option<&WindowForecast>, capacity: f64) -> Proposal {
        self.last = sample.measured().or(self.last);
        let Some(load) = self.last else { return Proposal { replicas: 0, reactive: None } };
        let heard = match sample {
            Sample::Valid(_) => Heard::Lesson,
            Sample::Censored(_) | Sample::Event(_) => Heard::Exception,
            Sample::Missing | Sample::Suspect(_) if self.excepted => Heard::Exception,
            Sample::Missing | Sample::Suspect(_) => Heard::Nothing,
        };
        self.excepted = heard == Heard::Exception;
        let replicas = self.portfolio.advance(at, load, heard, ahead, capacity);
        Proposal { replicas, reactive: Some(replicas_for(load, capacity)) }
    }

    /// The candidates, their books and the price of a miss.
    pub fn portfolio(&self) -> &Portfolio {
        &self.portfolio
    }
}
