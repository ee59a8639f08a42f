//! Metrics of what replicas do for a workload: what one serves, and whether more of them help.

use super::WorkloadGauges;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    namespace: String,
    name: String,
}

/// The metrics.
#[derive(Debug, Clone, Default)]
pub(super) struct ReplicaMetrics {
    capacity: Family<Of, Gauge<f64, AtomicU64>>,
    regressed: Family<Of, Gauge>,
    no_gain: Family<Of, Gauge>,
}

impl ReplicaMetrics {
    pub(super) fn register(&self, r: &mut Registry) {
        r.register(
            "demand_capacity_per_replica",
            "Load that one replica was learned to serve, at its lower bound; absent where it is given",
            self.capacity.clone(),
        );
        r.register(
            "demand_regressed",
            "1 where a replica of the new version serves 15 % less than one of the version before, or worse",
            self.regressed.clone(),
        );
        r.register(
            "plan_no_gain",
            "1 while nothing is raised because the load only follows the replicas",
            self.no_gain.clone(),
        );
    }

    pub(super) fn clear(&self) {
        self.capacity.clear();
        self.regressed.clear();
        self.no_gain.clear();
    }

    pub(super) fn set(&self, w: &WorkloadGauges) {
        let of = Of { namespace: w.namespace.clone(), name: w.name.clone() };
        if let Some(capacity) = w.capacity {
            self.capacity.get_or_create(&of).set(capacity);
            self.regressed.get_or_create(&of).set(i64::from(w.regressed));
        }
        self.no_gain.get_or_create(&of).set(i64::from(w.reason.as_deref() == Some("no-gain")));
    }
}
