//! Metrics in the OpenMetrics text format: `forescale_<subsystem>_<noun>_<unit>`. Labels are namespaces and names of
//! workloads that opted in, names of sources in the config, and closed sets of words.

use super::gauges::{PoolGauges, WorkloadGauges};
use super::guards::GuardMetrics;
use super::replicas::ReplicaMetrics;
use crate::actuate::Write;
use crate::demand::{LeadLine, StartPath};
use crate::forecast::Trust;
use crate::history::Spending;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

type Value = Gauge<f64, AtomicU64>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    namespace: String,
    name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Quantile {
    namespace: String,
    name: String,
    metric: String,
    quantile: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MetricOf {
    namespace: String,
    name: String,
    metric: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ExpertOf {
    namespace: String,
    name: String,
    metric: String,
    expert: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonOf {
    namespace: String,
    name: String,
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseOf {
    path: String,
    phase: String,
    quantile: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PathOf {
    path: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceOf {
    source: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolOf {
    pool: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BackendOf {
    pool: String,
    backend: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Version {
    version: String,
}

/// All metrics of the program. Counters grow as it goes, gauges are set when somebody asks.
pub struct Metrics {
    registry: Mutex<Registry>,
    /// Decisions made.
    pub decisions: Counter,
    /// Disruption guards.
    pub guards: GuardMetrics,
    writes: Family<Outcome, Counter>,
    floor: Family<Of, Gauge>,
    would_floor: Family<Of, Gauge>,
    replicas: Family<Of, Gauge>,
    ready: Family<Of, Gauge>,
    planned: Family<Of, Gauge>,
    reason: Family<ReasonOf, Gauge>,
    invalid: Family<Of, Gauge>,
    stopped: Family<Of, Gauge>,
    decision_age: Family<Of, Value>,
    load: Family<MetricOf, Value>,
    sample_age: Family<MetricOf, Value>,
    fresh: Family<MetricOf, Gauge>,
    forecast: Family<Quantile, Value>,
    coverage: Family<Quantile, Value>,
    worst_day: Family<Quantile, Value>,
    relative: Family<MetricOf, Value>,
    weights: Family<ExpertOf, Value>,
    asked_last_hour: Family<SourceOf, Gauge>,
    asked_total: Family<SourceOf, Gauge>,
    dollars: Family<SourceOf, Value>,
    capped: Family<SourceOf, Gauge>,
    lead: Family<Of, Value>,
    of_replicas: ReplicaMetrics,
    lead_time: Family<PhaseOf, Value>,
    lead_starts: Family<PathOf, Gauge>,
    lead_objective: Family<PathOf, Value>,
    pool_slots: Family<PoolOf, Gauge>,
    pool_expiring: Family<PoolOf, Gauge>,
    pool_ready: Family<PoolOf, Gauge>,
    pool_hits: Family<PoolOf, Value>,
    pool_backend: Family<BackendOf, Gauge>,
    pool_problems: Family<PoolOf, Gauge>,
    pool_nudges: Gauge,
    lease: Gauge,
    workloads: Gauge,
    watches_failing: Gauge,
}

impl Metrics {
    /// All of them, registered.
    pub fn new() -> Metrics {
        let metrics = Metrics {
            registry: Mutex::new(Registry::with_prefix("forescale")),
            decisions: Counter::default(),
            guards: GuardMetrics::default(),
            writes: Family::default(),
            floor: Family::default(),
            would_floor: Family::default(),
            replicas: Family::default(),
            ready: Family::default(),
            planned: Family::default(),
            reason: Family::default(),
            invalid: Family::default(),
            stopped: Family::default(),
            decision_age: Family::default(),
            load: Family::default(),
            sample_age: Family::default(),
            fresh: Family::default(),
            forecast: Family::default(),
            coverage: Family::default(),
            worst_day: Family::default(),
            relative: Family::default(),
            weights: Family::default(),
            asked_last_hour: Family::default(),
            asked_total: Family::default(),
            dollars: Family::default(),
            capped: Family::default(),
            lead: Family::default(),
            of_replicas: ReplicaMetrics::default(),
            lead_time: Family::default(),
            lead_starts: Family::default(),
            lead_objective: Family::default(),
            pool_slots: Family::default(),
            pool_expiring: Family::default(),
            pool_ready: Family::default(),
            pool_hits: Family::default(),
            pool_backend: Family::default(),
            pool_problems: Family::default(),
            pool_nudges: Gauge::default(),
            lease: Gauge::default(),
            workloads: Gauge::default(),
            watches_failing: Gauge::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&self) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let r = &mut *registry;
        let build: Family<Version, Gauge> = Family::default();
        build.get_or_create(&Version { version: env!("CARGO_PKG_VERSION").into() }).set(1);
        r.register("build_info", "Version of the program", build);
        self.guards.register(r);
        self.of_replicas.register(r);
        r.register("tick_decisions", "Decisions made", self.decisions.clone());
        r.register(
            "actuate_writes",
            "Writes to the cluster by outcome: floor, ledger, scale, restore, or the kind of failure",
            self.writes.clone(),
        );
        r.register("floor_replicas", "Our floor that stands; absent where there is none", self.floor.clone());
        r.register(
            "observe_floor_replicas",
            "The floor that would stand if this workload were in mode act",
            self.would_floor.clone(),
        );
        r.register("workload_desired_replicas", "spec.replicas", self.replicas.clone());
        r.register("workload_ready_replicas", "Ready replicas", self.ready.clone());
        r.register("plan_replicas", "Replicas the last decision wants", self.planned.clone());
        r.register("plan_reason_info", "What binds the last decision", self.reason.clone());
        r.register(
            "workload_invalid",
            "1 where annotations or the objects around cannot be used",
            self.invalid.clone(),
        );
        r.register("stopped", "1 while the kill switch is on: nothing is written", self.stopped.clone());
        r.register("decision_age_seconds", "Age of the last decision", self.decision_age.clone());
        r.register("load", "Newest load, in the metric's own unit", self.load.clone());
        r.register("source_age_seconds", "Age of the newest sample", self.sample_age.clone());
        r.register(
            "source_fresh",
            "1 where the source answers with recent samples that are believed",
            self.fresh.clone(),
        );
        r.register(
            "forecast_load",
            "Forecast at the lead time by quantile, in the metric's own unit",
            self.forecast.clone(),
        );
        r.register(
            "forecast_coverage_ratio",
            "Share of the outcomes so far at or below the quantile of the forecast at the lead time",
            self.coverage.clone(),
        );
        r.register(
            "forecast_coverage_worst_day_ratio",
            "The lowest such share in any 24 hours so far",
            self.worst_day.clone(),
        );
        r.register(
            "forecast_loss_ratio",
            "Pinball loss of the last days over that of a seasonal naive forecast; below 1 is better",
            self.relative.clone(),
        );
        r.register(
            "forecast_weight_ratio",
            "Weight of the five heaviest experts at the 0.95 quantile",
            self.weights.clone(),
        );
        r.register(
            "source_metrics_asked_last_hour",
            "Metrics asked for in the last hour, of sources that are paid for",
            self.asked_last_hour.clone(),
        );
        r.register(
            "source_metrics_asked_since_start",
            "Metrics asked for since the start, of sources that are paid for",
            self.asked_total.clone(),
        );
        r.register(
            "source_cost_dollars_per_month",
            "Estimated US dollars a month at the pace of the last hour",
            self.dollars.clone(),
        );
        r.register(
            "source_capped",
            "1 while max_metrics_per_hour holds requests back, so that samples grow stale",
            self.capped.clone(),
        );
        r.register(
            "plan_lead_time_seconds",
            "The lead time that is planned for: given, or learned from the workload's own starts",
            self.lead.clone(),
        );
        r.register(
            "lead_time_seconds",
            "From our decision to Ready by path and phase (all: the whole of it), of all workloads that opted in",
            self.lead_time.clone(),
        );
        r.register("lead_time_starts", "Starts that a path's lead time rests on", self.lead_starts.clone());
        r.register(
            "lead_time_objective_seconds",
            "What the P95 of a path's lead time is to be at most",
            self.lead_objective.clone(),
        );
        r.register("pool_slots", "Slots that a warm pool is to hold", self.pool_slots.clone());
        r.register("pool_slots_expiring", "Those for nodes that expire within a ramp", self.pool_expiring.clone());
        r.register("pool_slots_ready", "Slots that are there", self.pool_ready.clone());
        r.register("pool_hit_ratio", "Share of the last week in which the pool was enough", self.pool_hits.clone());
        r.register("pool_backend_info", "What a warm pool is made of", self.pool_backend.clone());
        r.register("pool_problems", "Things that are wrong with a warm pool", self.pool_problems.clone());
        r.register(
            "pool_nudges_since_start",
            "Stuck pods that were freed by deleting a placeholder",
            self.pool_nudges.clone(),
        );
        r.register("lease_held", "1 where this copy holds the lease and writes", self.lease.clone());
        r.register("workloads", "Workloads that opted in", self.workloads.clone());
        r.register("observe_watches_failing", "Watches that fail", self.watches_failing.clone());
    }

    /// Takes over what a source that is paid for has been asked.
    pub fn spent(&self, source: &str, spending: &Spending) {
        let of = SourceOf { source: source.to_owned() };
        let whole = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.asked_last_hour.get_or_create(&of).set(whole(spending.metrics_last_hour));
        self.asked_total.get_or_create(&of).set(whole(spending.metrics_total));
        self.dollars.get_or_create(&of).set(spending.dollars_per_month);
        self.capped.get_or_create(&of).set(i64::from(spending.capped));
    }

    /// Takes over the lead times of all workloads together, and their objectives.
    pub fn starts(&self, lines: &[LeadLine], objective: impl Fn(StartPath) -> Duration) {
        self.lead_time.clear();
        for line in lines {
            let (path, phase) = (line.path.to_string(), line.phase.map_or("all".to_owned(), |p| p.to_string()));
            for (quantile, estimate) in [("0.5", line.p50), ("0.95", line.p95), ("0.99", line.p99)] {
                let of = PhaseOf { path: path.clone(), phase: phase.clone(), quantile: quantile.into() };
                self.lead_time.get_or_create(&of).set(estimate.value.as_secs_f64());
            }
            if line.phase.is_none() {
                let starts = i64::try_from(line.p95.ended).unwrap_or(i64::MAX);
                self.lead_starts.get_or_create(&PathOf { path }).set(starts);
            }
        }
        for path in StartPath::ALL {
            let of = PathOf { path: path.to_string() };
            self.lead_objective.get_or_create(&of).set(objective(path).as_secs_f64());
        }
    }

    /// Takes over the warm pools.
    pub fn pools(&self, pools: &[PoolGauges]) {
        self.pool_slots.clear();
        self.pool_expiring.clear();
        self.pool_ready.clear();
        self.pool_hits.clear();
        self.pool_backend.clear();
        self.pool_problems.clear();
        for pool in pools {
            let of = PoolOf { pool: pool.name.clone() };
            self.pool_slots.get_or_create(&of).set(i64::from(pool.slots));
            self.pool_expiring.get_or_create(&of).set(i64::from(pool.expiring));
            self.pool_ready.get_or_create(&of).set(i64::from(pool.ready));
            self.pool_problems.get_or_create(&of).set(i64::try_from(pool.problems).unwrap_or(i64::MAX));
            if let Some(hits) = pool.hit_rate {
                self.pool_hits.get_or_create(&of).set(hits);
            }
            if let Some(backend) = &pool.backend {
                let of = BackendOf { pool: pool.name.clone(), backend: backend.clone() };
                self.pool_backend.get_or_create(&of).set(1);
            }
            self.pool_nudges.set(i64::try_from(pool.nudges).unwrap_or(i64::MAX));
        }
    }

    /// Counts a write that was made.
    pub fn wrote(&self, write: &Write) {
        let outcome = match write {
            Write::Floor { .. } => "floor",
            Write::Ledger { .. } => "ledger",
            Write::Scale { .. } => "scale",
            Write::Restore { .. } => "restore",
        };
        self.count(outcome);
    }

    /// Counts a write that failed, by kind.
    pub fn write_failed(&self, kind: &str) {
        self.count(kind);
    }

    fn count(&self, outcome: &str) {
        self.writes.get_or_create(&Outcome { outcome: outcome.into() }).inc();
    }

    /// The text of all metrics with these gauges.
    pub fn render(&self, lease_held: bool, watches_failing: usize, workloads: &[WorkloadGauges]) -> String {
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        self.clear();
        self.lease.set(i64::from(lease_held));
        self.watches_failing.set(i64::try_from(watches_failing).unwrap_or(i64::MAX));
        self.workloads.set(i64::try_from(workloads.len()).unwrap_or(i64::MAX));
        for workload in workloads {
            self.set(workload);
        }
        let mut text = String::new();
        match encode(&mut text, &registry) {
            Ok(()) => text,
            Err(_) => String::new(),
        }
    }

    fn clear(&self) {
        for family in
            [&self.floor, &self.would_floor, &self.replicas, &self.ready, &self.planned, &self.invalid, &self.stopped]
        {
            family.clear();
        }
        self.decision_age.clear();
        self.lead.clear();
        self.of_replicas.clear();
        for family in [&self.load, &self.sample_age] {
            family.clear();
        }
        self.fresh.clear();
        self.forecast.clear();
        self.coverage.clear();
        self.worst_day.clear();
        self.relative.clear();
        self.weights.clear();
        self.reason.clear();
    }

    fn set(&self, w: &WorkloadGauges) {
        let of = Of { namespace: w.namespace.clone(), name: w.name.clone() };
        let set = |family: &Family<Of, Gauge>, value: Option<u32>| {
            if let Some(value) = value {
                family.get_or_create(&of).set(i64::from(value));
            }
        };
        set(&self.floor, w.floor);
        set(&self.would_floor, w.would_floor);
        set(&self.replicas, Some(w.replicas));
        set(&self.ready, Some(w.ready));
        set(&self.planned, w.planned);
        set(&self.invalid, Some(u32::from(w.invalid)));
        set(&self.stopped, Some(u32::from(w.stopped)));
        if let Some(age) = w.decision_age {
            self.decision_age.get_or_create(&of).set(age);
        }
        self.of_replicas.set(w);
        if let Some(lead) = w.lead {
            self.lead.get_or_create(&of).set(lead);
        }
        if let Some(reason) = &w.reason {
            let of = ReasonOf { namespace: w.namespace.clone(), name: w.name.clone(), reason: reason.clone() };
            self.reason.get_or_create(&of).set(1);
        }
        for (i, metric) in w.metrics.iter().enumerate() {
            let of = MetricOf { namespace: w.namespace.clone(), name: w.name.clone(), metric: i.to_string() };
            if let Some(load) = metric.load {
                self.load.get_or_create(&of).set(load);
            }
            if let Some(age) = metric.age {
                self.sample_age.get_or_create(&of).set(age);
            }
            self.fresh.get_or_create(&of).set(i64::from(metric.fresh));
            if let Some(trust) = &metric.trust {
                self.trusted(w, i, trust);
            }
            for (level, value) in &metric.forecast {
                let of = Quantile {
                    namespace: w.namespace.clone(),
                    name: w.name.clone(),
                    metric: i.to_string(),
                    quantile: level.to_string(),
                };
                self.forecast.get_or_create(&of).set(*value);
            }
        }
    }
}

impl Metrics {
    fn trusted(&self, w: &WorkloadGauges, metric: usize, trust: &Trust) {
        let (namespace, name, metric) = (w.namespace.clone(), w.name.clone(), metric.to_string());
        for c in &trust.coverage {
            let quantile = c.level.to_string();
            let of = Quantile { namespace: namespace.clone(), name: name.clone(), metric: metric.clone(), quantile };
            for (family, share) in [(&self.coverage, c.overall), (&self.worst_day, c.worst_day)] {
                if let Some(share) = share {
                    family.get_or_create(&of).set(share);
                }
            }
        }
        for (expert, weight) in &trust.experts {
            let expert = expert.name();
            let of = ExpertOf { namespace: namespace.clone(), name: name.clone(), metric: metric.clone(), expert };
            self.weights.get_or_create(&of).set(f64::from(*weight));
        }
        if let Some(ratio) = trust.versus_seasonal_naive {
            self.relative.get_or_create(&MetricOf { namespace, name, metric }).set(f64::from(ratio));
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics::new()
    }
}
