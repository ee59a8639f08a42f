//! What `/statez` shows and `status` and `explain` read: memory and last decisions as plain values.

use crate::actuate::{Outcome, Target};
use crate::config::Mode;
use crate::demand::{Capacity, LeadLine, Regression};
use crate::forecast::Trust;
use crate::history::Spending;
use crate::plan::guard::{GuardOutcome, Span, Wave};
use crate::plan::pool::PoolReason;
use crate::plan::{Observation, SourceState};
use crate::policy::{Policy, Workload};
use crate::tick::Decision;
use crate::units::{Replicas, Step, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The whole program at one instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Statez {
    /// Version of the program.
    pub version: String,
    /// When this was put together.
    pub at: Time,
    /// The most any workload may do.
    pub mode: Mode,
    /// Spacing of samples.
    pub step: Step,
    /// Who writes.
    pub lease: LeaseState,
    /// Watches that fail, with the reason.
    pub watches: Vec<String>,
    /// Objects that could not be read, and what else is wrong outside of workloads.
    pub problems: Vec<String>,
    /// What sources that are paid for have been asked, by their names in the config.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub spending: BTreeMap<String, Spending>,
    /// Lead times of all workloads together, by path and phase.
    #[serde(default)]
    pub lead_times: Vec<LeadLine>,
    /// NodePools that are guarded, or would be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guards: Vec<GuardState>,
    /// Warm pools, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<PoolState>,
    /// Every workload that opted in, by namespace and name.
    pub workloads: Vec<WorkloadState>,
}

/// One NodePool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuardState {
    /// Its name.
    pub pool: String,
    /// Observe or act; the lower of `mode` and `guards.mode`.
    pub mode: Mode,
    /// When its nodes are wanted for ramps, soonest first.
    pub wanted: Vec<Span>,
    /// Whose ramps those are.
    pub workloads: Vec<String>,
    /// Guards that stand.
    pub standing: Vec<Span>,
    /// What the last look amounted to.
    pub outcome: GuardOutcome,
    /// Nodes that carry a mark of ours instead.
    pub marked_nodes: usize,
    /// Nodes that will expire within ramps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waves: Vec<Wave>,
    /// Why nothing can be written.
    pub problem: Option<String>,
}

/// One warm pool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PoolState {
    /// Its name in the config.
    pub name: String,
    /// capacity-buffer or placeholders. None: nothing is written so far, or ever (mode observe).
    pub backend: Option<String>,
    /// Slots that are wanted.
    pub slots: u32,
    /// Those of them that stand in for nodes that expire within a ramp.
    #[serde(default)]
    pub expiring: u32,
    /// From asking for a node to a pod that runs on it, as it is planned for.
    #[serde(with = "crate::units::duration", default)]
    pub lead: std::time::Duration,
    /// Slots that are there.
    pub ready: u32,
    /// What binds the size. None: no workload is in it.
    pub reason: Option<PoolReason>,
    /// Share of the last week in which it was enough. None: nothing was judged so far.
    pub hit_rate: Option<f64>,
    /// Scenarios behind the size.
    pub scenarios: usize,
    /// Slots that pods of now needed.
    pub shortfall: f32,
    /// Its workloads.
    pub members: Vec<String>,
    /// What is wrong, or not as one would expect.
    pub problems: Vec<String>,
    /// Stuck pods that were freed by deleting a placeholder, in all pools.
    pub nudges: u64,
}

/// Who writes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseState {
    /// This copy's name.
    pub identity: String,
    /// The holder as last seen. Empty: nobody.
    pub holder: String,
    /// This copy holds it.
    pub held: bool,
    /// What is wrong with it.
    pub error: Option<String>,
}

/// One workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkloadState {
    /// Which one.
    pub workload: Workload,
    /// Observe or act; the lower of config and annotation. None: its annotations are wrong.
    pub mode: Option<Mode>,
    /// What is wrong with its annotations or around it; then nothing of it is changed.
    pub problems: Vec<String>,
    /// What was skipped or limited.
    pub notes: Vec<String>,
    /// How it is to be scaled.
    pub policy: Option<Policy>,
    /// As it was seen last.
    pub observation: Observation,
    /// Where the floor is written.
    pub target: Option<Target>,
    /// Our floor that stands; in observe mode the one that would. None: none.
    pub floor: Option<Replicas>,
    /// The user's own lower bound.
    pub own_floor: Option<Replicas>,
    /// The kill switch that is on for it: nothing is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
    /// The lead time that is planned for, and what it rests on.
    #[serde(default)]
    pub lead: LeadState,
    /// What its replicas were seen to serve. None: that is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<CapacityState>,
    /// What the last decision amounted to.
    pub outcome: Option<Outcome>,
    /// Why the last write failed.
    pub write_error: Option<String>,
    /// One entry per metric of the policy, in its order.
    pub metrics: Vec<MetricState>,
    /// Replicas at the top of the day ahead, as it is forecast. None: no day is.
    #[serde(default)]
    pub peak_ahead: Option<Replicas>,
    /// History is being fetched or learned from.
    pub learning: bool,
    /// The last decision.
    pub decision: Option<Decision>,
}

/// The lead time of one workload.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LeadState {
    /// Who says what is planned for.
    pub from: LeadSource,
    /// What its starts took, by path and phase.
    pub lines: Vec<LeadLine>,
    /// Pods that the control plane creates in a second, as it is planned for. None: no limit.
    pub pods_per_second: Option<f64>,
}

/// What the replicas of one workload were seen to serve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CapacityState {
    /// Load that one replica is counted on for. None: too little evidence so far.
    pub in_force: Option<f64>,
    /// What is known of the version with the most pods.
    pub known: Option<Capacity>,
    /// A version that serves far less than the one before it.
    pub regression: Option<Regression>,
}

/// Who says what lead time is planned for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeadSource {
    /// The annotation `forescale.dev/lead-time`.
    Annotation,
    /// The config, as long as too few starts were seen.
    #[default]
    Config,
    /// The starts of its own pods.
    Learned,
}

/// One metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricState {
    /// What the source said last.
    pub source: SourceState,
    /// The newest sample: when and how much.
    pub newest: Option<(Time, f64)>,
    /// The newest value where it was measured but is not believed, such as a zero at the peak.
    pub doubted: Option<f64>,
    /// Steps that have taught it, those without a sample included.
    pub samples: usize,
    /// The candidates of the portfolio that decide now, with their weights, the heaviest first.
    #[serde(default)]
    pub candidates: Vec<(String, f32)>,
    /// The price of missing one budget: so many replicas per replica of load.
    #[serde(default)]
    pub price: Option<f32>,
    /// How far its forecast at the lead can be trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<Trust>,
}
