//! Forescale's ends in a simulated cluster: what it sees of it, and its writes carried out. What lies between is
//! `tick` and `actuate::actions`, the same as live.

use super::cluster::Cluster;
use crate::actuate::{self, Outcome};
use crate::plan::{Observation, SourceState};
use crate::policy::{LoadMetric, Mode, Policy};
use crate::series::{Sample, Series};
use crate::tick::{Decision, Inputs, Memory, MetricInputs, MetricMemory, tick};
use crate::units::{LeadTime, Time};
use std::time::Duration;

/// Forescale in one cluster.
#[derive(Debug, Clone)]
pub struct Operator {
    policy: Policy,
    memory: Memory,
}

/// What one turn of the loop did.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// The decision.
    pub decision: Decision,
    /// What it amounted to in the cluster. None: the ledger could not be read, so nothing was touched.
    pub outcome: Option<Outcome>,
}

/// What a user opts in with.
#[derive(Debug, Clone, PartialEq)]
pub struct OptIn {
    /// Load units that one replica is said to serve.
    pub capacity_per_replica: f64,
    /// Decision to serving.
    pub lead_time: Duration,
    /// Share of the load that may go unserved.
    pub unserved_budget: f64,
    /// IANA zone of the seasons.
    pub time_zone: String,
}

impl Operator {
    /// One that has learned from `history`, off the clock.
    pub fn learn(history: &Series, cluster: &Cluster, opt_in: &OptIn) -> Operator {
        let capacity = opt_in.capacity_per_replica;
        let policy = Policy {
            mode: Mode::Act,
            metrics: vec![LoadMetric {
                source: "embedded".into(),
                query: "load".into(),
                tenant: None,
                learned: None,
                capacity_per_replica: capacity,
            }],
            min_replicas: cluster.hpa.users_minimum(),
            max_replicas: cluster.hpa.max_replicas,
            lead_time: LeadTime(opt_in.lead_time),
            unserved_budget: opt_in.unserved_budget,
            time_zone: opt_in.time_zone.clone(),
            schedules: Vec::new(),
            occasions: Vec::new(),
            hold: None,
            pods_per_second: None,
            slots: None,
        };
        let memory = Memory::new(vec![MetricMemory::learn(history, &policy, capacity)]);
        Operator { policy, memory }
    }

    /// It starts again: what it knows of plans is gone, what the source knows is read again.
    pub fn restart(&mut self) {
        self.memory.plan = Default::default();
    }

    /// From now on a replica is counted on for so much load.
    pub fn count_on(&mut self, capacity: f64) {
        if let Some(metric) = self.policy.metrics.first_mut() {
            metric.capacity_per_replica = capacity;
        }
    }

    /// One turn: observe the cluster, decide, write.
    pub fn turn(&mut self, now: Time, samples: Vec<Sample>, source: SourceState, cluster: &mut Cluster) -> Turn {
        self.policy.min_replicas = cluster.hpa.users_minimum();
        self.policy.max_replicas = cluster.hpa.max_replicas;
        let capacity_per_replica = self.policy.metrics.first().map_or(0.0, |m| m.capacity_per_replica);
        let inputs = Inputs {
            metrics: vec![MetricInputs {
                samples,
                source,
                capacity_per_replica,
                settling: Duration::ZERO,
                reading: None,
            }],
            observation: Observation {
                at: now,
                replicas: cluster.deployment.replicas(),
                ready: cluster.deployment.ready(now),
                autoscaled: cluster.autoscaled(),
                floor: cluster.hpa.our_floor(&cluster.deployment),
                rollout: false,
                blocked: cluster.deployment.blocked(),
                stopped: false,
            },
        };
        let decision = tick(now, &self.policy, &inputs, &mut self.memory);
        let Ok(view) = cluster.hpa.view(&cluster.deployment) else { return Turn { decision, outcome: None } };
        let actions = actuate::actions(now, &decision.plan, &view);
        for write in &actions.writes {
            cluster.hpa.apply(write, &mut cluster.deployment);
        }
        Turn { decision, outcome: Some(actions.outcome) }
    }
}
