//! The nodes of a simulated cluster: room in slots, a provisioner that buys what is missing, and a warm pool of
//! placeholder pods that give way to real ones at once.
//!
//! A slot is room for one pod. Pods count as packed tightly: where fewer nodes are enough for long enough, the rest go.

use super::pods::StartDelay;
use crate::rng;
use crate::units::{Replicas, Time};
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Nodes of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSpec {
    /// Pods that fit on one node, at least 1.
    pub pods_per_node: Replicas,
    /// Bought to Ready.
    pub start_delay: StartDelay,
    /// A node that is not needed any more stands for so long (Karpenter's `consolidateAfter`).
    #[serde(with = "crate::units::duration")]
    pub consolidate_after: Duration,
}

impl NodeSpec {
    /// Those of cluster `n` of a seed.
    pub fn draw(seed: u64, n: u64) -> NodeSpec {
        let mut rng = rng::stream(seed, &format!("nodes/{n}"));
        let p50 = rng.random_range(30..120);
        let seconds = Duration::from_secs;
        NodeSpec {
            pods_per_node: rng.random_range(1..=16),
            start_delay: StartDelay { p50: seconds(p50), p95: seconds(p50 * 2), longest: seconds(p50 * 3) },
            consolidate_after: seconds(rng.random_range(0..900)),
        }
    }
}

/// The nodes, and the placeholders on them.
#[derive(Debug, Clone)]
pub struct Nodes {
    spec: NodeSpec,
    seed: u64,
    ready_at: Vec<Time>,
    bought: u64,
    spare_since: Option<Time>,
    sold_out: bool,
    warm: Replicas,
    placeholders: Replicas,
}

impl Nodes {
    /// Ready nodes for so many pods, and not one more.
    pub fn holding(now: Time, spec: NodeSpec, pods: Replicas, seed: u64) -> Nodes {
        let nodes = pods.div_ceil(spec.pods_per_node.max(1));
        Nodes {
            spec,
            seed,
            ready_at: vec![now; nodes as usize],
            bought: 0,
            spare_since: None,
            sold_out: false,
            warm: 0,
            placeholders: 0,
        }
    }

    /// Nodes that are paid for, ready or starting.
    pub fn count(&self) -> u32 {
        self.ready_at.len() as u32
    }

    /// Slots on ready nodes.
    pub fn slots(&self, now: Time) -> Replicas {
        self.ready_at.iter().filter(|t| **t <= now).count() as Replicas * self.spec.pods_per_node.max(1)
    }

    /// Placeholders that run: free slots held ready.
    pub fn placeholders(&self) -> Replicas {
        self.placeholders
    }

    /// Placeholders that are wanted from now on.
    pub fn set_warm(&mut self, slots: Replicas) {
        self.warm = slots;
    }

    /// While true, no node can be bought.
    pub fn set_sold_out(&mut self, sold_out: bool) {
        self.sold_out = sold_out;
    }

    /// A share of the ready nodes is gone at once, with the pods on them.
    pub fn lose(&mut self, share: f64) {
        let lost = (self.ready_at.len() as f64 * share) as usize;
        self.ready_at.drain(..lost);
    }

    /// One look of scheduler and provisioner at `pods` real pods: placeholders give way, nodes are bought for what finds
    /// no room and go when they have not been needed for long enough. Returns the slots for real pods.
    pub fn reconcile(&mut self, now: Time, pods: Replicas) -> Replicas {
        let slots = self.slots(now);
        let room = slots.saturating_sub(pods);
        self.placeholders = self.warm.min(room);
        let needed = pods.saturating_add(self.warm).div_ceil(self.spec.pods_per_node.max(1)) as usize;
        if self.ready_at.len() <= needed {
            self.spare_since = None;
        }
        while self.ready_at.len() < needed && !self.sold_out {
            self.ready_at.push(now + self.spec.start_delay.of_pod(self.seed ^ NODES, self.bought));
            self.bought += 1;
        }
        if self.ready_at.len() > needed
            && now.since(*self.spare_since.get_or_insert(now)) >= self.spec.consolidate_after
        {
            // those that are not ready go first, then the youngest
            self.ready_at.sort_unstable();
            self.ready_at.truncate(needed);
        }
        slots
    }
}

/// Keeps the nodes' delays apart from those of the pods.
const NODES: u64 = 0x6e6f_6465;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> Time {
        Time::from_secs(s)
    }

    fn nodes(pods: Replicas) -> Nodes {
        let minute = Duration::from_secs(60);
        let spec = NodeSpec {
            pods_per_node: 4,
            start_delay: StartDelay { p50: minute, p95: minute, longest: minute },
            consolidate_after: Duration::from_secs(300),
        };
        Nodes::holding(at(0), spec, pods, 1)
    }

    #[test]
    fn what_finds_no_room_waits_for_a_node() {
        let mut n = nodes(8);
        assert_eq!((n.count(), n.reconcile(at(0), 8)), (2, 8));
        assert_eq!((n.reconcile(at(15), 13), n.count()), (8, 4), "two nodes are bought for five pods");
        assert_eq!(n.reconcile(at(74), 13), 8);
        assert_eq!(n.reconcile(at(75), 13), 16, "a minute later they are there");
    }

    #[test]
    fn a_warm_slot_is_there_at_once_and_is_filled_again() {
        let mut n = nodes(8);
        n.set_warm(3);
        n.reconcile(at(0), 8);
        assert_eq!((n.placeholders(), n.count()), (0, 3), "room for them is being bought");
        n.reconcile(at(60), 8);
        assert_eq!(n.placeholders(), 3);
        assert_eq!(n.reconcile(at(75), 10), 12, "two pods find their slots at once");
        assert_eq!((n.placeholders(), n.count()), (2, 4), "one gave way, and a node comes for the third placeholder");
        n.set_warm(0);
        n.reconcile(at(90), 10);
        assert_eq!(n.placeholders(), 0);
    }

    #[test]
    fn nodes_go_when_they_were_spare_for_long_enough() {
        let mut n = nodes(16);
        n.reconcile(at(0), 5);
        assert_eq!(n.count(), 4);
        n.reconcile(at(100), 16);
        n.reconcile(at(200), 5);
        n.reconcile(at(499), 5);
        assert_eq!(n.count(), 4, "they were needed in between");
        n.reconcile(at(500), 5);
        assert_eq!(n.count(), 2);
    }

    #[test]
    fn where_none_can_be_bought_what_is_there_stays() {
        let mut n = nodes(8);
        n.set_sold_out(true);
        n.lose(0.5);
        assert_eq!((n.reconcile(at(0), 8), n.count()), (4, 1));
        n.set_sold_out(false);
        n.reconcile(at(15), 8);
        assert_eq!(n.count(), 2);
    }
}
