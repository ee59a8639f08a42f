//! Who decides in a simulated life: the real tick, or the real last step under an adversary.

use super::adversary::Adversary;
use super::fleet::Forecaster;
use super::source::Told;
use crate::plan::{Bounds, Observation, Plan, PlanMemory, SourceState, decide};
use crate::policy::{LoadMetric, Mode, Policy};
use crate::rng::Rng;
use crate::series::{Sample, Series};
use crate::tick::{Inputs, Memory, MetricInputs, MetricMemory, tick};
use crate::units::{LeadTime, Replicas, Step, Time};
use std::time::Duration;

/// A load that rises beyond what was thought possible is extrapolated to this multiple at most.
const SURGE: Replicas = 2;
/// Where there is a second metric, it is this share of the first.
const SECOND: f64 = 0.5;

#[derive(Debug)]
pub(super) enum Mind {
    Real { policy: Box<Policy>, memory: Box<Memory> },
    Adversary { adversary: Box<Adversary>, memory: PlanMemory },
}

/// What a mind is born with.
pub(super) struct Facts {
    pub(super) capacity: f64,
    pub(super) users_min: Replicas,
    pub(super) max_replicas: Replicas,
    pub(super) lead: Duration,
    /// The load is measured by two metrics.
    pub(super) two_metrics: bool,
}

impl Mind {
    /// One whose first sample will be that of `first`.
    pub(super) fn new(forecaster: Forecaster, rng: Rng, first: Time, facts: &Facts) -> Mind {
        if forecaster == Forecaster::Adversary {
            let adversary = Box::new(Adversary::new(rng, first));
            return Mind::Adversary { adversary, memory: PlanMemory::default() };
        }
        let metric = || LoadMetric {
            source: "simulated".into(),
            query: "load".into(),
            tenant: None,
            learned: None,
            capacity_per_replica: facts.capacity,
        };
        let policy = Policy {
            mode: Mode::Act,
            metrics: (0..1 + usize::from(facts.two_metrics)).map(|_| metric()).collect(),
            min_replicas: facts.users_min,
            max_replicas: facts.max_replicas,
            lead_time: LeadTime(facts.lead),
            unserved_budget: 0.001,
            miss_cost: None,
            time_zone: "UTC".into(),
            schedules: Vec::new(),
            occasions: Vec::new(),
            hold: None,
            pods_per_second: None,
            slots: None,
        };
        let nothing = Series::new(first, Step::MINUTE, 1);
        let learned = policy.metrics.iter().map(|_| MetricMemory::learn(&nothing, &policy, facts.capacity));
        let memory = Memory::new(learned.collect());
        Mind::Real { policy: Box::new(policy), memory: Box::new(memory) }
    }

    /// What is remembered of plans.
    pub(super) fn plans(&self) -> &PlanMemory {
        match self {
            Mind::Real { memory, .. } => &memory.plan,
            Mind::Adversary { memory, .. } => memory,
        }
    }

    /// A new copy knows the load so far, from the source; of plans it knows only what stands in the cluster.
    pub(super) fn forget_plans(&mut self) {
        match self {
            Mind::Real { memory, .. } => memory.plan = PlanMemory::default(),
            Mind::Adversary { memory, .. } => *memory = PlanMemory::default(),
        }
    }

    /// To which multiple of the load of now a rise is extrapolated.
    pub(super) fn surges(&self) -> Replicas {
        match self {
            Mind::Real { .. } => SURGE,
            Mind::Adversary { .. } => 1,
        }
    }

    /// True for the real forecaster, which reads the time of an old sample and knows a yesterday.
    pub(super) fn is_real(&self) -> bool {
        matches!(self, Mind::Real { .. })
    }

    pub(super) fn decide(
        &mut self,
        minute: u64,
        now: Time,
        (min, max): (Replicas, Replicas),
        seen: Observation,
        told: &Told,
        capacity: f64,
    ) -> Plan {
        match self {
            Mind::Real { policy, memory } => {
                (policy.min_replicas, policy.max_replicas) = (min, max);
                let share = |i: usize| if i == 0 { 1.0 } else { SECOND };
                let metrics = (0..policy.metrics.len()).map(|i| MetricInputs {
                    samples: told.samples.iter().map(|s| scaled(*s, share(i))).collect(),
                    source: told.state.clone(),
                    capacity_per_replica: capacity,
                    settling: Duration::ZERO,
                    reading: None,
                });
                let inputs = Inputs { metrics: metrics.collect(), observation: seen };
                tick(now, policy, &inputs, memory).plan
            }
            Mind::Adversary { adversary, memory } => {
                let failing = told.state != SourceState::Fresh;
                let evidence = adversary.evidence(minute, &told.samples, failing, capacity);
                decide(now, Bounds { min: min.min(max), max }, &evidence, &seen, memory)
            }
        }
    }
}

fn scaled(sample: Sample, share: f64) -> Sample {
    match sample {
        Sample::Valid(v) => Sample::Valid(v * share),
        other => other,
    }
}
