//! Forescale's ends in a simulated cluster: what it sees of it, and its writes carried out. What lies between is
//! `tick` and `actuate::actions`, the same as live.

use super::cluster::Cluster;
use crate::actuate::{self, Outcome};
use crate::plan::pool::{Bounds, Member, PoolSizer, PoolTask, Sizing, expected};
use crate::plan::{Observation, SourceState};
use crate::policy::{LoadMetric, Mode, Policy};
use crate::series::{Sample, Series};
use crate::tick::{Decision, Inputs, Memory, MetricInputs, MetricMemory, tick};
use crate::units::{LeadTime, Step, Time, replicas_for};
use std::time::Duration;

/// Forescale in one cluster.
#[derive(Debug, Clone)]
pub struct Operator {
    policy: Policy,
    memory: Memory,
    step: Step,
    pool: Option<PoolSizer<()>>,
}

/// What one turn of the loop did.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// The decision.
    pub decision: Decision,
    /// What it amounted to in the cluster. None: the ledger could not be read, so nothing was touched.
    pub outcome: Option<Outcome>,
    /// The size of the warm pool. None: it has none.
    pub pool: Option<Sizing>,
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
            miss_cost: None,
            time_zone: opt_in.time_zone.clone(),
            schedules: Vec::new(),
            occasions: Vec::new(),
            hold: None,
            pods_per_second: None,
            slots: None,
        };
        let memory = Memory::new(vec![MetricMemory::learn(history, &policy, capacity)]);
        Operator { policy, memory, step: history.step(), pool: None }
    }

    /// From now on it keeps a warm pool of free slots, sized as live; `history` teaches how loads surprise.
    pub fn keep_warm(&mut self, task: PoolTask, history: &Series) {
        let mut pool = PoolSizer::new(task);
        let capacity = self.capacity_per_replica();
        for (at, sample) in history.iter() {
            if let Some(load) = sample.measured() {
                let need = replicas_for(load, capacity) as f32;
                pool.learn(at, &[((), Member { need, pods: need, expected: need })]);
            }
        }
        self.pool = Some(pool);
    }

    /// Slots that the warm pool is to hold now.
    pub fn slots(&self) -> u32 {
        self.pool.as_ref().map_or(0, PoolSizer::slots)
    }

    fn capacity_per_replica(&self) -> f64 {
        self.policy.metrics.first().map_or(0.0, |m| m.capacity_per_replica)
    }

    /// The slots to hold ready after `decision`.
    fn warm(&mut self, now: Time, decision: &Decision, load: Option<f64>) -> Option<Sizing> {
        let (step, pool) = (self.step, self.pool.as_mut()?);
        let known = decision.plan.parts.reactive.zip(load);
        let member = known.map(|(need, load)| {
            let forecast = decision.forecasts.first().and_then(Option::as_ref);
            let expected = expected(need, load, forecast, step, pool.task().lead);
            ((), Member { need: need as f32, pods: decision.plan.replicas as f32, expected })
        });
        Some(pool.advance(now, member.as_slice(), Bounds { quota: None, fresh: member.is_some() }))
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
        let capacity_per_replica = self.capacity_per_replica();
        let load = samples.last().and_then(|s| s.measured());
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
                unhealthy: false,
                room: None,
            },
        };
        let decision = tick(now, &self.policy, &inputs, &mut self.memory);
        let pool = self.warm(now, &decision, load);
        if let (Some(sizing), Some(nodes)) = (&pool, &mut cluster.nodes) {
            nodes.set_warm(sizing.slots);
        }
        let Ok(view) = cluster.hpa.view(&cluster.deployment) else { return Turn { decision, outcome: None, pool } };
        let actions = actuate::actions(now, &decision.plan, &view);
        for write in &actions.writes {
            cluster.hpa.apply(write, &mut cluster.deployment);
        }
        Turn { decision, outcome: Some(actions.outcome), pool }
    }
}
