//! The only place where stages are chained: history → forecast → demand → plan.
//!
//! [`tick`] is total and deterministic: any input gives a [`Decision`], and the same inputs and memory give the
//! same bytes, live, in simulation, in backtest and in replay.

use crate::demand::{Demand, demand};
use crate::forecast::{Fitted, QuantileForecast, Task, fit};
use crate::plan::{Observation, Parts, Plan, PlanTask, Planner, Proposal, Reason, SourceState};
use crate::policy::Policy;
use crate::series::{Sample, Series};
use crate::units::{Replicas, Step, Time};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Load that one decision has to cover, from the instant its replicas are ready.
pub const COMMITMENT: Duration = Duration::from_secs(300);

/// What a tick is given for one metric of the policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricInputs {
    /// New samples since the last tick, one a step, oldest first, without holes (a hole is Missing).
    pub samples: Vec<Sample>,
    /// What the source said.
    pub source: SourceState,
    /// Load units one replica serves now.
    pub capacity_per_replica: f64,
}

/// All that a tick is given besides policy and memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inputs {
    /// One entry per metric of the policy, in its order.
    pub metrics: Vec<MetricInputs>,
    /// The workload as it was seen.
    pub observation: Observation,
}

/// What one metric has taught so far.
#[derive(Debug, Clone)]
pub struct MetricMemory {
    series: Series,
    forecaster: Fitted,
    planner: Planner,
    lead: usize,
    latest: Option<Step1>,
}

#[derive(Debug, Clone)]
struct Step1 {
    forecast: QuantileForecast,
    demand: Option<Demand>,
    proposal: Proposal,
}

impl MetricMemory {
    /// Learns from a history, off the tick: the very steps that live ticks would have taken.
    pub fn learn(history: &Series, policy: &Policy, capacity: f64) -> MetricMemory {
        let step = history.step();
        let lead = step.cover(policy.lead_time.0);
        let window = step.cover(COMMITMENT);
        let task = Task { step, horizons: horizons(step, lead), window, time_zone: policy.time_zone.clone() };
        let plan_task = PlanTask {
            step,
            lead,
            window,
            unserved_budget: policy.unserved_budget,
            min_replicas: policy.min_replicas,
            max_replicas: policy.max_replicas,
        };
        let mut memory = MetricMemory {
            series: Series::new(history.at(0), step, 14 * step.per_day()),
            forecaster: fit(&Series::new(history.at(0), step, 1), &task),
            planner: Planner::new(plan_task),
            lead,
            latest: None,
        };
        for (_, sample) in history.iter() {
            memory.advance(sample, capacity);
        }
        memory
    }

    /// One step: observe, predict, propose.
    fn advance(&mut self, sample: Sample, capacity: f64) {
        let at = self.series.next_at();
        self.series.push(sample);
        self.forecaster.observe(at, sample);
        let forecast = self.forecaster.predict();
        let demand = forecast.window(self.lead).filter(|_| forecast.abstains.is_none()).map(|w| demand(w, capacity));
        let proposal = self.planner.advance(at, sample, demand.as_ref(), capacity);
        self.latest = Some(Step1 { forecast, demand, proposal });
    }

    /// The samples so far.
    pub fn series(&self) -> &Series {
        &self.series
    }

    /// The newest forecast.
    pub fn forecast(&self) -> Option<&QuantileForecast> {
        self.latest.as_ref().map(|l| &l.forecast)
    }
}

/// The horizons that are forecast: the lead, and 3, 15 and 60 minutes for people and for scoring.
fn horizons(step: Step, lead: usize) -> Vec<usize> {
    let mut horizons: Vec<usize> = [180, 900, 3600].map(|s| step.cover(Duration::from_secs(s))).to_vec();
    horizons.push(lead);
    horizons.sort_unstable();
    horizons.dedup();
    horizons
}

/// All that is remembered of one workload from tick to tick.
#[derive(Debug, Clone)]
pub struct Memory {
    /// One per metric of the policy.
    pub metrics: Vec<MetricMemory>,
    last: Option<(Time, Replicas)>,
}

impl Memory {
    /// The memory of a workload whose metrics have learned.
    pub fn new(metrics: Vec<MetricMemory>) -> Memory {
        Memory { metrics, last: None }
    }
}

/// One decision with everything that led to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// When it was made.
    pub at: Time,
    /// SHA-256 of policy and inputs, in hex, the first 16 digits.
    pub inputs: String,
    /// The forecast of each metric. None: it has seen no sample.
    pub forecasts: Vec<Option<QuantileForecast>>,
    /// The demand of each metric at the lead. None: no forecast, or it abstains.
    pub demands: Vec<Option<Demand>>,
    /// What to do.
    pub plan: Plan,
}

/// How long a plan holds without being renewed.
const VALID: Duration = Duration::from_secs(15 * 60);

/// Decides. See the module's text.
pub fn tick(now: Time, policy: &Policy, inputs: &Inputs, memory: &mut Memory) -> Decision {
    for (metric, new) in memory.metrics.iter_mut().zip(&inputs.metrics) {
        for sample in &new.samples {
            metric.advance(*sample, new.capacity_per_replica);
        }
    }
    let latest = || memory.metrics.iter().filter_map(|m| m.latest.as_ref());
    let parts = Parts {
        reactive: latest().filter_map(|l| l.proposal.reactive).max(),
        forecast: latest().map(|l| l.proposal.replicas).max(),
        schedule: None,
        hold: None,
    };
    let wanted = parts.reactive.max(parts.forecast).unwrap_or(inputs.observation.replicas);
    let replicas = wanted.clamp(policy.min_replicas, policy.max_replicas);
    let reason = match () {
        () if replicas < wanted => Reason::MaxReplicas,
        () if replicas > wanted => Reason::MinReplicas,
        () if parts.forecast > parts.reactive => Reason::Forecast,
        () => Reason::Reactive,
    };
    memory.last = Some((now, replicas));
    Decision {
        at: now,
        inputs: digest(policy, inputs),
        forecasts: memory.metrics.iter().map(|m| m.forecast().cloned()).collect(),
        demands: memory.metrics.iter().map(|m| m.latest.as_ref().and_then(|l| l.demand)).collect(),
        plan: Plan { replicas, reason, parts, valid_until: now + VALID, wake: now + Duration::from_secs(60) },
    }
}

fn digest(policy: &Policy, inputs: &Inputs) -> String {
    use sha2::{Digest, Sha256};
    let bytes = serde_json::to_vec(&(policy, inputs)).unwrap_or_default();
    Sha256::digest(&bytes).iter().take(8).map(|b| format!("{b:02x}")).collect()
}
