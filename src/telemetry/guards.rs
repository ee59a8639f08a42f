//! Metrics of disruption guards: `forescale_guard_…`.

use crate::plan::guard::GuardOutcome;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Pool {
    node_pool: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: String,
}

/// What is known of one NodePool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GuardGauges {
    /// Its name.
    pub pool: String,
    /// A guard is in force now.
    pub active: bool,
    /// Guards that stand, in force or to come.
    pub windows: usize,
    /// A third party takes them away, so they are not written.
    pub contested: bool,
    /// Nodes that carry a mark of ours.
    pub marked_nodes: usize,
    /// Nodes that will expire within a ramp.
    pub expiring_nodes: usize,
}

/// The metrics of guards.
#[derive(Debug, Clone, Default)]
pub struct GuardMetrics {
    writes: Family<Outcome, Counter>,
    active: Family<Pool, Gauge>,
    windows: Family<Pool, Gauge>,
    contested: Family<Pool, Gauge>,
    marked: Family<Pool, Gauge>,
    expiring: Family<Pool, Gauge>,
}

impl GuardMetrics {
    pub(super) fn register(&self, r: &mut Registry) {
        r.register("guard_writes", "Writes to budgets of NodePools by outcome", self.writes.clone());
        r.register("guard_active", "1 while a guard keeps the NodePool from consolidation", self.active.clone());
        r.register("guard_windows", "Guards that stand, in force or to come", self.windows.clone());
        r.register(
            "guard_contested",
            "1 where a third party took guards away so often that none is written",
            self.contested.clone(),
        );
        r.register("guard_marked_nodes", "Nodes kept by karpenter.sh/do-not-disrupt instead", self.marked.clone());
        r.register("guard_expiring_nodes", "Nodes that expireAfter ends within a forecast ramp", self.expiring.clone());
    }

    /// Counts a write that was made.
    pub fn wrote(&self, outcome: GuardOutcome) {
        let name = serde_json::to_value(outcome).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
        self.writes.get_or_create(&Outcome { outcome: name }).inc();
    }

    /// Replaces all gauges.
    pub fn set(&self, pools: &[GuardGauges]) {
        for family in [&self.active, &self.windows, &self.contested, &self.marked, &self.expiring] {
            family.clear();
        }
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        for pool in pools {
            let of = Pool { node_pool: pool.pool.clone() };
            self.active.get_or_create(&of).set(i64::from(pool.active));
            self.windows.get_or_create(&of).set(count(pool.windows));
            self.contested.get_or_create(&of).set(i64::from(pool.contested));
            self.marked.get_or_create(&of).set(count(pool.marked_nodes));
            self.expiring.get_or_create(&of).set(count(pool.expiring_nodes));
        }
    }
}
