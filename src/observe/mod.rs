//! Kube watches → plain values with ages.
//!
//! Objects are turned into views as they arrive and dropped: what is kept is a few hundred bytes for each workload
//! that carries an annotation of ours and for each autoscaler.

mod cluster;
pub mod karpenter;
mod metrics;
mod pods;
mod starts;
mod stop;
mod views;
mod watch;
mod watched;

pub use cluster::{Cluster, Sight};
pub use karpenter::{Capability, Karpenter, NodeKind, versions, watch_karpenter};
pub use pods::Pods;
pub use starts::{PodStart, starts};
pub use stop::Stop;
pub use views::{PREFIX, SlotView};
pub use watch::{watch, watch_pods, watch_stops};
pub use watched::{WatchFailure, WatchState, Watched};
