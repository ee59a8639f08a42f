//! What is watched in a cluster, and how each watch is doing.

use crate::policy::WorkloadKind;
use crate::units::Time;
use std::time::Duration;

/// What is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Watched {
    /// Deployments.
    Deployments,
    /// StatefulSets.
    StatefulSets,
    /// HPAs.
    Autoscalers,
    /// ScaledObjects.
    ScaledObjects,
    /// Namespaces, for the kill switch.
    Namespaces,
    /// The ConfigMap of the kill switch.
    StopMap,
    /// Pods, for lead times and capacities.
    Pods,
    /// Nodes, for lead times.
    Nodes,
    /// ResourceQuotas, for what will not fit.
    Quotas,
}

impl Watched {
    /// What floors are written on.
    pub const FLOORS: [Watched; 4] =
        [Watched::Deployments, Watched::StatefulSets, Watched::Autoscalers, Watched::ScaledObjects];

    /// Where kill switches are.
    pub const STOPS: [Watched; 2] = [Watched::StopMap, Watched::Namespaces];

    /// What has to be known before anything is written: where floors are, and the kill switches.
    pub const ALL: [Watched; 6] = [
        Watched::Deployments,
        Watched::StatefulSets,
        Watched::Autoscalers,
        Watched::ScaledObjects,
        Watched::Namespaces,
        Watched::StopMap,
    ];

    /// The resource's name, for metrics and messages.
    pub fn resource(self) -> &'static str {
        match self {
            Watched::Deployments => "deployments",
            Watched::StatefulSets => "statefulsets",
            Watched::Autoscalers => "horizontalpodautoscalers",
            Watched::ScaledObjects => "scaledobjects",
            Watched::Namespaces => "namespaces",
            Watched::StopMap => "configmaps",
            Watched::Pods => "pods",
            Watched::Nodes => "nodes",
            Watched::Quotas => "resourcequotas",
        }
    }
}

/// How a watch is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WatchState {
    /// It has listed everything once, or the cluster does not have the kind.
    pub synced: bool,
    /// How it fails. None: it is well.
    pub failing: Option<WatchFailure>,
}

/// A watch that fails. It tries again at least every half minute, so an old failure without a newer one is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchFailure {
    /// The first failure in a row.
    pub since: Time,
    /// The newest.
    pub newest: Time,
    /// The newest one's words.
    pub error: String,
}

/// A failure without a newer one within this time is over.
pub(super) const FAILURE_OVER: Duration = Duration::from_secs(90);

impl WatchState {
    /// Since when it fails, if it does.
    pub fn failing_since(&self, now: Time) -> Option<Time> {
        self.failing.as_ref().filter(|f| now.since(f.newest) < FAILURE_OVER).map(|f| f.since)
    }

    pub(super) fn fails(&mut self, now: Time, error: String) {
        let since = self.failing_since(now).unwrap_or(now);
        self.failing = Some(WatchFailure { since, newest: now, error });
    }
}

impl Watched {
    pub(super) fn workload_kind(self) -> Option<WorkloadKind> {
        match self {
            Watched::Deployments => Some(WorkloadKind::Deployment),
            Watched::StatefulSets => Some(WorkloadKind::StatefulSet),
            Watched::Autoscalers
            | Watched::ScaledObjects
            | Watched::Namespaces
            | Watched::StopMap
            | Watched::Pods
            | Watched::Nodes
            | Watched::Quotas => None,
        }
    }
}
