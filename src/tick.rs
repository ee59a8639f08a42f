//! The only place where stages are chained: history → forecast → demand → plan.
//!
//! [`tick`] is total and deterministic: any input gives a [`Decision`], and the same inputs and memory give the
//! same bytes, live, in simulation, in backtest and in replay.

mod log;
mod memory;

pub use log::{Difference, Record, Replay, ReplayError};
use memory::SURGE_CAP;
pub use memory::{Memory, MetricMemory};

use crate::demand::Demand;
use crate::forecast::{Abstention, QuantileForecast};
use crate::plan::{Bounds, Evidence, Gain, Observation, Parts, Plan, Reason, SourceState, Standing, creation, decide};
use crate::policy::{Policy, schedule};
use crate::series::Sample;
use crate::units::{MAX_REPLICAS, Replicas, Time};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Load that one decision has to cover, from the instant its replicas are ready.
pub const COMMITMENT: Duration = Duration::from_secs(300);

/// The load of this very moment, read between the steps. It teaches nothing and lowers nothing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The load.
    pub load: f64,
    /// How much it has risen since the reading before that differs. Not negative.
    pub rise: f64,
}

impl Reading {
    /// The load of the next reading if it rises on, at most twice this one.
    fn next(&self) -> f64 {
        (self.load + self.rise).min(SURGE_CAP * self.load)
    }
}

/// What a tick is given for one metric of the policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricInputs {
    /// New samples since the last tick, one a step, oldest first, without holes (a hole is Missing).
    pub samples: Vec<Sample>,
    /// What the source said.
    pub source: SourceState,
    /// Load units one replica serves now.
    pub capacity_per_replica: f64,
    /// How late the source's samples are by its nature: so much older may the newest be.
    #[serde(default, with = "crate::units::duration", skip_serializing_if = "Duration::is_zero")]
    pub settling: Duration,
    /// What was read just now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<Reading>,
}

/// All that a tick is given besides policy and memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inputs {
    /// One entry per metric of the policy, in its order.
    pub metrics: Vec<MetricInputs>,
    /// The workload as it was seen.
    pub observation: Observation,
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
    /// What the plan was made from.
    pub evidence: Evidence,
    /// What to do.
    pub plan: Plan,
}

/// Decides. See the module's text. A metric of the policy without memory or inputs counts as stale; more inputs than
/// metrics are ignored.
pub fn tick(now: Time, policy: &Policy, inputs: &Inputs, memory: &mut Memory) -> Decision {
    for (metric, new) in memory.metrics.iter_mut().zip(&inputs.metrics) {
        metric.take(new, &inputs.observation);
    }
    let evidence = evidence(now, policy, inputs, memory);
    let ceiling = schedule::ceiling(&policy.schedules, now).unwrap_or(MAX_REPLICAS);
    let max = policy.max_replicas.min(ceiling).min(MAX_REPLICAS);
    let bounds = Bounds { min: policy.min_replicas.min(max), max };
    let plan = decide(now, bounds, &evidence, &inputs.observation, &mut memory.plan);
    Decision {
        at: now,
        inputs: digest(policy, inputs),
        forecasts: memory.metrics.iter().map(|m| m.forecast().cloned()).collect(),
        demands: memory.metrics.iter().map(|m| m.latest().and_then(|l| l.demand)).collect(),
        evidence,
        plan,
    }
}

/// Several metrics: the largest need wins, the worst standing counts.
fn evidence(now: Time, policy: &Policy, inputs: &Inputs, memory: &Memory) -> Evidence {
    let metrics: Vec<(&MetricMemory, Standing)> =
        memory.metrics.iter().zip(&inputs.metrics).map(|(m, new)| (m, m.standing(now, new))).collect();
    let absent = metrics.len() < policy.metrics.len();
    let worst = metrics.iter().map(|(_, s)| *s).max().unwrap_or(Standing::Fresh);
    let known = || metrics.iter().filter(|(_, s)| *s != Standing::Stale).map(|(m, _)| *m);
    let abstains = metrics.iter().filter_map(|(m, _)| m.forecast().and_then(|f| f.abstains)).next();
    let read = |of: fn(&Reading) -> f64| {
        let needs = metrics.iter().zip(&inputs.metrics).filter_map(|((m, _), new)| m.need(of(&new.reading?)));
        needs.max()
    };
    let sampled = known().filter_map(|m| m.latest().and_then(|l| l.proposal.reactive)).max();
    let reactive = sampled.max(read(|reading| reading.load));
    let running = inputs.observation.replicas.max(inputs.observation.floor.unwrap_or(0));
    let forecast = metrics.iter().filter_map(|(m, _)| m.ahead(running, policy.pods_per_second)).max();
    let asked = scheduled(now, policy, running);
    let relative = schedule::times(&policy.schedules, now, policy.lead_time.0)
        .zip(forecast.max(reactive))
        .map(|(times, replicas)| (f64::from(replicas) * times).ceil() as u32);
    // what outruns everything will have grown by the next reading, and replicas for it take a moment, too
    let outrun = reactive > sampled.max(forecast);
    Evidence {
        parts: Parts {
            reactive,
            forecast,
            schedule: asked.max(relative),
            hold: policy.hold.and_then(|hold| hold.at(now)),
        },
        asked,
        unlearned: absent,
        standing: if absent { Standing::Stale } else { worst },
        usual_high: match worst {
            Standing::Stale => metrics.iter().map(|(m, _)| m.usual_high(now)).max().flatten(),
            Standing::Fresh | Standing::Gap => None,
        },
        usual_low: metrics
            .iter()
            .map(|(m, _)| m.usual_low())
            .collect::<Option<Vec<_>>>()
            .and_then(|l| l.into_iter().max()),
        surge: known().filter_map(MetricMemory::surge).max().max(read(Reading::next).filter(|_| outrun)),
        outage: metrics.iter().any(|(m, _)| m.aftermath(now)),
        gain: gain(metrics.iter().map(|(m, _)| *m)),
        reacting: match abstains {
            None => Reason::Reactive,
            Some(Abstention::ColdStart) => Reason::ColdStart,
            Some(Abstention::LosesToSeasonalNaive | Abstention::LosesToReactive) => Reason::Abstains,
        },
    }
}

/// Replicas are questioned where the metric with the largest need is.
fn gain<'a>(metrics: impl Iterator<Item = &'a MetricMemory>) -> Gain {
    let need = |m: &&MetricMemory| m.latest().map(|l| l.proposal.reactive.max(Some(l.proposal.replicas)));
    metrics.max_by_key(need).map_or(Gain::Unquestioned, MetricMemory::gain)
}

/// The floor of the schedules, one lead early and as much earlier as creating the pods takes.
fn scheduled(now: Time, policy: &Policy, running: Replicas) -> Option<Replicas> {
    let lead = policy.lead_time.0;
    let floor = |early| schedule::floor(&policy.schedules, now, lead + early);
    let Some(rate) = policy.pods_per_second else { return floor(Duration::ZERO) };
    let largest = floor(creation(policy.max_replicas, rate)).unwrap_or(0);
    floor(creation(largest.saturating_sub(running), rate))
}

fn digest(policy: &Policy, inputs: &Inputs) -> String {
    use sha2::{Digest, Sha256};
    let bytes = serde_json::to_vec(&(policy, inputs)).unwrap_or_default();
    Sha256::digest(&bytes).iter().take(8).map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests;
