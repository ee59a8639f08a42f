//! What all workloads of a cluster may do together: the shares of I4 and I5, and no namespace's use of them alone.

use crate::units::Replicas;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// A cluster of fewer pods counts as one of so many: one workload alone is limited by its own pace.
const PODS_MIN: u64 = 200;
/// One part in so many of the cluster's pods may go within a minute.
const FALL_PARTS: u64 = 20;
/// One part in so many may come within [`RISE_MINUTES`] without load that needs it.
const RISE_PARTS: u64 = 4;
/// The minutes within which a rise counts.
const RISE_MINUTES: i64 = 5;

/// What the cluster's shares leave for one workload now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// Replicas by which what stands may fall.
    pub fall: Replicas,
    /// Replicas that may come beyond what stands, runs, or is needed by load, schedule or operator.
    pub rise: Replicas,
}

/// What a decision took of the shares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Replicas by which it lowered what stands.
    pub fell: Replicas,
    /// Replicas beyond what stands, runs or is needed.
    pub rose: Replicas,
}

#[derive(Debug, Clone, Default)]
struct Minute {
    minute: i64,
    pods: u64,
    /// By namespace.
    moved: BTreeMap<String, (u64, u64)>,
}

/// The moves of the last minutes of all workloads. Counted in minutes of a clock that cannot be set.
#[derive(Debug, Clone, Default)]
pub struct FleetPace {
    minutes: VecDeque<Minute>,
    namespaces: usize,
}

impl FleetPace {
    /// A minute begins, or goes on: `pods` are asked for in the whole cluster, workloads lie in so many namespaces.
    pub fn begin(&mut self, minute: i64, pods: u64, namespaces: usize) {
        self.namespaces = namespaces;
        if self.minutes.front().is_none_or(|m| m.minute < minute) {
            self.minutes.push_front(Minute { minute, pods, moved: BTreeMap::new() });
            self.minutes.retain(|m| minute - m.minute < RISE_MINUTES);
        }
    }

    /// What is left for a workload of `namespace`. Where there are several, none takes more than half.
    pub fn room(&self, namespace: &str) -> Room {
        let Some(newest) = self.minutes.front() else { return Room { fall: 0, rise: 0 } };
        let pods = self.minutes.iter().map(|m| m.pods).min().unwrap_or(0);
        let left = |share: u64, used: u64, own: u64| {
            let cap = if self.namespaces > 1 { share.div_ceil(2) } else { share };
            let left = share.saturating_sub(used).min(cap.saturating_sub(own));
            Replicas::try_from(left).unwrap_or(Replicas::MAX)
        };
        let fell = |m: &Minute| m.moved.values().map(|(f, _)| f).sum::<u64>();
        let rose = self.minutes.iter().flat_map(|m| m.moved.values()).map(|(_, r)| r).sum();
        let own = |m: &Minute| m.moved.get(namespace).copied().unwrap_or_default();
        Room {
            fall: left(newest.pods.max(PODS_MIN) / FALL_PARTS, fell(newest), own(newest).0),
            rise: left(pods.max(PODS_MIN) / RISE_PARTS, rose, self.minutes.iter().map(|m| own(m).1).sum()),
        }
    }

    /// A workload of `namespace` has decided.
    pub fn note(&mut self, namespace: &str, moved: Moved) {
        if let Some(newest) = self.minutes.front_mut()
            && moved != Moved::default()
        {
            let sum = newest.moved.entry(namespace.to_owned()).or_default();
            sum.0 += u64::from(moved.fell);
            sum.1 += u64::from(moved.rose);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_twentieth_may_go_in_a_minute_and_a_quarter_come_in_five() {
        let mut fleet = FleetPace::default();
        fleet.begin(0, 1000, 1);
        assert_eq!(fleet.room("a"), Room { fall: 50, rise: 250 });
        fleet.note("a", Moved { fell: 50, rose: 200 });
        assert_eq!(fleet.room("b"), Room { fall: 0, rise: 50 });
        fleet.begin(1, 1200, 1);
        assert_eq!(fleet.room("a"), Room { fall: 60, rise: 50 }, "a quarter of the least of five minutes");
        fleet.begin(5, 1200, 1);
        assert_eq!(fleet.room("a").rise, 300);
    }

    #[test]
    fn a_small_cluster_counts_as_one_of_200_pods() {
        let mut fleet = FleetPace::default();
        fleet.begin(0, 7, 1);
        assert_eq!(fleet.room("a"), Room { fall: 10, rise: 50 });
    }

    #[test]
    fn a_noisy_namespace_leaves_half_to_the_others() {
        let mut fleet = FleetPace::default();
        fleet.begin(0, 1000, 2);
        for _ in 0..100 {
            let Room { fall, rise } = fleet.room("noisy");
            fleet.note("noisy", Moved { fell: fall.min(7), rose: rise.min(9) });
        }
        assert_eq!(fleet.room("noisy"), Room { fall: 0, rise: 0 });
        assert_eq!(fleet.room("quiet"), Room { fall: 25, rise: 125 });
    }
}
