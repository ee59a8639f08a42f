//! NodePools, NodeClaims, Nodes and CapacityBuffer's versions, as plain values with ages.
//!
//! A cluster without Karpenter, or without the CRD, lacks a capability; that is never an error. What is there is looked
//! up at the start and again every minute, so that Karpenter may come and go.

mod views;
mod watch;

pub use views::placement;
pub use watch::{versions, watch_karpenter};

use super::WatchState;
use crate::error::Problem;
use crate::plan::nodes::{NodeClaimView, NodePoolView, NodeView};
use crate::units::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::{Notify, watch as channel};

/// What is watched here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeKind {
    /// `karpenter.sh/v1` NodePools.
    NodePools,
    /// `karpenter.sh/v1` NodeClaims.
    NodeClaims,
    /// Nodes.
    Nodes,
}

impl NodeKind {
    /// All of them.
    pub const ALL: [NodeKind; 3] = [NodeKind::NodePools, NodeKind::NodeClaims, NodeKind::Nodes];

    /// The resource's name, for metrics and messages.
    pub fn resource(self) -> &'static str {
        match self {
            NodeKind::NodePools => "nodepools",
            NodeKind::NodeClaims => "nodeclaims",
            NodeKind::Nodes => "nodes",
        }
    }
}

/// Whether the cluster has an API.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Capability {
    /// The cluster has not been asked so far, or did not answer.
    #[default]
    Unknown,
    /// It has not.
    Absent,
    /// It has, in these versions, the API server's preferred one first.
    Served(Vec<String>),
}

impl Capability {
    /// True where it is served in this version.
    pub fn serves(&self, version: &str) -> bool {
        matches!(self, Capability::Served(versions) if versions.iter().any(|v| v == version))
    }
}

#[derive(Debug, Default)]
struct Seen {
    pools: BTreeMap<String, Result<Arc<NodePoolView>, Problem>>,
    claims: BTreeMap<String, Arc<NodeClaimView>>,
    nodes: BTreeMap<String, Arc<NodeView>>,
    karpenter: Capability,
    buffers: Capability,
    watches: BTreeMap<NodeKind, WatchState>,
    listing: BTreeMap<NodeKind, BTreeSet<String>>,
}

/// Nodes and what makes them, as seen last.
#[derive(Debug)]
pub struct Karpenter {
    seen: RwLock<Seen>,
    changed: Notify,
    /// NodePools and NodeClaims can be watched.
    served: channel::Sender<bool>,
}

impl Default for Karpenter {
    fn default() -> Self {
        Karpenter { seen: RwLock::default(), changed: Notify::new(), served: channel::Sender::new(false) }
    }
}

/// An object of a kind, or its absence.
enum Sight {
    Pool(Result<NodePoolView, Problem>),
    Claim(Option<NodeClaimView>),
    Node(NodeView),
    Gone,
}

impl Karpenter {
    /// NodePools that could be read, by name.
    pub fn pools(&self) -> Vec<Arc<NodePoolView>> {
        self.read().pools.values().filter_map(|p| p.as_ref().ok().cloned()).collect()
    }

    /// Whether there is a NodePool of this name, though it could not be read.
    pub fn has_pool(&self, name: &str) -> bool {
        self.read().pools.contains_key(name)
    }

    /// NodeClaims, by name.
    pub fn claims(&self) -> Vec<Arc<NodeClaimView>> {
        self.read().claims.values().cloned().collect()
    }

    /// Nodes, by name.
    pub fn nodes(&self) -> Vec<Arc<NodeView>> {
        self.read().nodes.values().cloned().collect()
    }

    /// Whether NodePools and NodeClaims of `karpenter.sh` are there, and in which versions.
    pub fn karpenter(&self) -> Capability {
        self.read().karpenter.clone()
    }

    /// Whether CapacityBuffers of `autoscaling.x-k8s.io` are there, and in which versions. That the CRD is there does
    /// not say that anything acts on it.
    pub fn buffers(&self) -> Capability {
        self.read().buffers.clone()
    }

    /// How the watches are doing.
    pub fn watches(&self) -> BTreeMap<NodeKind, WatchState> {
        self.read().watches.clone()
    }

    /// True once everything has been listed, or is known not to be there.
    pub fn synced(&self) -> bool {
        let seen = self.read();
        NodeKind::ALL.iter().all(|kind| seen.watches.get(kind).is_some_and(|s| s.synced))
    }

    /// Objects that could not be read.
    pub fn problems(&self) -> Vec<Problem> {
        self.read().pools.values().filter_map(|p| p.as_ref().err().cloned()).collect()
    }

    /// Waits until something has changed.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    fn keep(&self, kind: NodeKind, name: &str, sight: Sight) {
        let mut seen = self.write();
        if let Some(listing) = seen.listing.get_mut(&kind) {
            listing.insert(name.to_owned());
        }
        let name = name.to_owned();
        let changed = match (sight, kind) {
            (Sight::Pool(Ok(pool)), _) => match seen.pools.get(&name) {
                Some(Ok(known)) if **known == pool => false,
                _ => seen.pools.insert(name, Ok(Arc::new(pool))).is_none_or(|_| true),
            },
            (Sight::Pool(Err(problem)), _) => seen.pools.insert(name, Err(problem)).is_none_or(|_| true),
            (Sight::Claim(Some(claim)), _) if seen.claims.get(&name).is_some_and(|c| **c == claim) => false,
            (Sight::Claim(Some(claim)), _) => seen.claims.insert(name, Arc::new(claim)).is_none_or(|_| true),
            (Sight::Node(node), _) if seen.nodes.get(&name).is_some_and(|n| **n == node) => false,
            (Sight::Node(node), _) => seen.nodes.insert(name, Arc::new(node)).is_none_or(|_| true),
            (Sight::Claim(None) | Sight::Gone, kind) => seen.drop_one(kind, &name),
        };
        drop(seen);
        if changed {
            self.changed.notify_one();
        }
    }

    fn begin(&self, kind: NodeKind) {
        self.write().listing.insert(kind, BTreeSet::new());
    }

    /// The list is complete: what was not in it is gone.
    fn done(&self, kind: NodeKind) {
        let mut seen = self.write();
        let listed = seen.listing.remove(&kind).unwrap_or_default();
        match kind {
            NodeKind::NodePools => seen.pools.retain(|name, _| listed.contains(name)),
            NodeKind::NodeClaims => seen.claims.retain(|name, _| listed.contains(name)),
            NodeKind::Nodes => seen.nodes.retain(|name, _| listed.contains(name)),
        }
        seen.watches.insert(kind, WatchState { synced: true, failing: None });
        drop(seen);
        self.changed.notify_one();
    }

    fn healthy(&self, kind: NodeKind) {
        self.write().watches.entry(kind).or_default().failing = None;
    }

    fn failing(&self, kind: NodeKind, now: Time, error: String) {
        self.write().watches.entry(kind).or_default().fails(now, error);
    }

    fn found(&self, karpenter: Capability, buffers: Capability) {
        let mut seen = self.write();
        let news = seen.karpenter != karpenter || seen.buffers != buffers;
        (seen.karpenter, seen.buffers) = (karpenter, buffers);
        drop(seen);
        if news {
            self.changed.notify_one();
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Seen> {
        self.seen.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Seen> {
        self.seen.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// True when it was there.
    fn drop_one(&mut self, kind: NodeKind, name: &str) -> bool {
        match kind {
            NodeKind::NodePools => self.pools.remove(name).is_some(),
            NodeKind::NodeClaims => self.claims.remove(name).is_some(),
            NodeKind::Nodes => self.nodes.remove(name).is_some(),
        }
    }
}
