//! What the user asked for, typed and validated: annotations, schedules, and the metric the workload already scales on.

pub mod annotations;
mod cloudwatch;
pub(crate) mod cron;
pub mod import;
mod load;
mod resolve;
pub mod schedule;
mod view;

pub use annotations::LEDGER;
pub use resolve::{Note, Resolved, resolve};
pub use schedule::Window;

pub use view::{
    AutoscalerView, ContainerView, HpaView, MetricSelector, MetricTarget, MetricView, PodView, ScaledObjectView,
    TriggerView, WorkloadView,
};

pub use crate::config::Mode;

use crate::occasion::Occasion;
use crate::units::{LeadTime, Replicas, Time};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The workload a policy is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Workload {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// What kind of object it is.
    pub kind: WorkloadKind,
}

/// Kinds that can opt in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WorkloadKind {
    /// apps/v1 Deployment.
    Deployment,
    /// apps/v1 StatefulSet.
    StatefulSet,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One metric that is a load, and how much of it one replica serves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadMetric {
    /// Name of the source in the config.
    pub source: String,
    /// The query, in the source's language.
    pub query: String,
    /// Load units one replica serves; positive and finite, or 0 where it is still to be learned.
    pub capacity_per_replica: f64,
    /// Some: the query is a tenant's and may see series of this namespace only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Some: what one replica serves is learned; `capacity_per_replica` holds until there is evidence, 0 where nothing
    /// else says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learned: Option<UsageQueries>,
}

/// Where the usage of a workload's pods is read, and how much of it is enough.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsageQueries {
    /// Name of the source in the config.
    pub source: String,
    /// Cores that pods use together; `{pods}` stands for the pattern of their names.
    pub cores: String,
    /// How many pods there are; `{pods}` as above.
    pub replicas: String,
    /// Cores of one replica at its capacity; positive.
    pub full: f64,
    /// Cores beyond which a replica is throttled. None: it has no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
}

/// How one workload is to be scaled. `metrics` empty means that no load is known: schedules only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Observe or act.
    pub mode: Mode,
    /// Several metrics: the largest need wins, as in HPA.
    pub metrics: Vec<LoadMetric>,
    /// The user's lower bound. The floor never goes below it.
    pub min_replicas: Replicas,
    /// The user's upper bound. `min_replicas <= max_replicas <= MAX_REPLICAS`.
    pub max_replicas: Replicas,
    /// Decision to serving.
    pub lead_time: LeadTime,
    /// Share of the load that may go unserved, in (0, 1).
    pub unserved_budget: f64,
    /// What a replica's load costs when it goes unserved, in what a replica costs for the same time; at least 1. None: the
    /// budget says how much may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub miss_cost: Option<f64>,
    /// IANA zone of the workload's seasons.
    pub time_zone: String,
    /// Windows with bounds of their own; see [`schedule::floor`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedules: Vec<Window>,
    /// Days and hours that are not like others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub occasions: Vec<Occasion>,
    /// What an operator holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// Pods that the control plane creates in a second. None: more than is ever asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods_per_second: Option<f64>,
    /// Work slots of one replica: capacities are those of a fully used one, and headroom follows square-root staffing.
    /// None: capacities contain the headroom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<f64>,
}

/// An operator's word for an emergency: at least so many replicas until an instant, whatever the load says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Replicas, at least 1.
    pub at_least: Replicas,
    /// After this instant it is void.
    pub until: Time,
}

impl Hold {
    /// The replicas held at an instant. None: it is over.
    pub fn at(self, now: Time) -> Option<Replicas> {
        (now < self.until).then_some(self.at_least)
    }
}
