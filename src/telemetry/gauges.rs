//! What is known of workloads, for their gauges.

use crate::forecast::Trust;

/// What is known of one workload, for its gauges. Missing values are absent series, never 0.
#[derive(Debug, Clone, Default)]
pub struct WorkloadGauges {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Our floor that stands.
    pub floor: Option<u32>,
    /// The floor that observe mode would set.
    pub would_floor: Option<u32>,
    /// `spec.replicas`.
    pub replicas: u32,
    /// Ready replicas.
    pub ready: u32,
    /// Replicas the plan wants.
    pub planned: Option<u32>,
    /// Age of the last decision, seconds.
    pub decision_age: Option<f64>,
    /// What binds the plan.
    pub reason: Option<String>,
    /// 1 when annotations or objects around are wrong.
    pub invalid: bool,
    /// 1 while the kill switch is on for it.
    pub stopped: bool,
    /// The lead time that is planned for, seconds.
    pub lead: Option<f64>,
    /// Load that one replica was learned to serve.
    pub capacity: Option<f64>,
    /// A version serves far less than the one before it.
    pub regressed: bool,
    /// One per metric: newest load, age of its sample in seconds, whether its source is fresh, forecast by quantile.
    pub metrics: Vec<MetricGauges>,
}

/// One metric of a workload.
#[derive(Debug, Clone, Default)]
pub struct MetricGauges {
    /// Newest load.
    pub load: Option<f64>,
    /// Age of the newest sample, seconds.
    pub age: Option<f64>,
    /// The source answers with recent samples.
    pub fresh: bool,
    /// Quantile level and value of the forecast at the lead.
    pub forecast: Vec<(f64, f64)>,
    /// How far that forecast can be trusted.
    pub trust: Option<Trust>,
}

/// A warm pool, for its gauges.
#[derive(Debug, Clone, Default)]
pub struct PoolGauges {
    /// Its name.
    pub name: String,
    /// Slots that are wanted.
    pub slots: u32,
    /// Those of them that stand in for nodes that expire within a ramp.
    pub expiring: u32,
    /// Slots that are there.
    pub ready: u32,
    /// Share of the last week in which it was enough.
    pub hit_rate: Option<f64>,
    /// What it is made of.
    pub backend: Option<String>,
    /// Things that are wrong with it.
    pub problems: usize,
    /// Nudges since the start, of all pools.
    pub nudges: u64,
}
