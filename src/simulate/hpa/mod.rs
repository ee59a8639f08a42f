//! HorizontalPodAutoscaler v2 as Kubernetes publishes and implements it: the reactive autoscaler of the simulated
//! cluster, and the rival that Forescale is compared with.
//!
//! Sources: kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/, and `ReplicaCalculator` and
//! `normalizeDesiredReplicasWithBehaviors` of kubernetes/kubernetes, pkg/controller/podautoscaler, with which
//! `tests/differential.rs` compares both halves case by case.

mod behaviour;
mod metric;

pub use behaviour::{Amount, Behaviour, Rules, ScalingPolicy, Select};
pub use metric::{PodMetric, Target, Tolerance, largest, of_total, per_pod};

use crate::units::{Replicas, Time};
use std::collections::VecDeque;
use std::time::Duration;

/// How often the controller looks.
pub const SYNC: Duration = Duration::from_secs(15);
/// Recommendations and changes remembered at most: one a sync for two hours.
const MAX_REMEMBERED: usize = 480;

/// The controller's memory for one HPA object.
#[derive(Debug, Clone)]
pub struct Hpa {
    behaviour: Behaviour,
    recommendations: VecDeque<(Time, Replicas)>,
    ups: VecDeque<(Time, Replicas)>,
    downs: VecDeque<(Time, Replicas)>,
}

impl Hpa {
    /// A controller that has seen nothing of the object.
    pub fn new(behaviour: Behaviour) -> Hpa {
        Hpa { behaviour, recommendations: VecDeque::new(), ups: VecDeque::new(), downs: VecDeque::new() }
    }

    /// One that has recommended and changed before: (when, replicas), oldest first; changes as they were made.
    pub fn remembering(
        behaviour: Behaviour,
        recommendations: impl IntoIterator<Item = (Time, Replicas)>,
        ups: impl IntoIterator<Item = (Time, Replicas)>,
        downs: impl IntoIterator<Item = (Time, Replicas)>,
    ) -> Hpa {
        Hpa {
            behaviour,
            recommendations: recommendations.into_iter().collect(),
            ups: ups.into_iter().collect(),
            downs: downs.into_iter().collect(),
        }
    }

    /// One sync: `spec.replicas` as the controller would set it. `wish`: what the metrics ask for, None where they
    /// cannot be had. Bounds are those of the object as it stands; `current` 0 means switched off.
    pub fn sync(
        &mut self,
        now: Time,
        current: Replicas,
        wish: Option<Replicas>,
        bounds: (Replicas, Replicas),
    ) -> Replicas {
        let (min, max) = bounds;
        if self.recommendations.is_empty() && current > 0 {
            // a controller that sees an object for the first time takes what is there for a recommendation
            self.recommendations.push_back((now, current));
        }
        let desired = match wish {
            _ if current == 0 => 0,
            _ if current > max => max,
            _ if current < min => min,
            None => current,
            Some(wish) => self.normalized(now, current, wish, bounds),
        };
        match desired.cmp(&current) {
            std::cmp::Ordering::Greater => self.ups.push_back((now, desired - current)),
            std::cmp::Ordering::Less => self.downs.push_back((now, current - desired)),
            std::cmp::Ordering::Equal => {}
        }
        let memory = self.behaviour.memory();
        for remembered in [&mut self.recommendations, &mut self.ups, &mut self.downs] {
            while remembered.front().is_some_and(|(at, _)| now.since(*at) >= memory) {
                remembered.pop_front();
            }
            let excess = remembered.len().saturating_sub(MAX_REMEMBERED);
            remembered.drain(..excess);
        }
        desired
    }

    /// A wish, stabilized and limited: what `normalizeDesiredReplicasWithBehaviors` makes of it. Remembers the wish.
    pub fn normalized(
        &mut self,
        now: Time,
        current: Replicas,
        wish: Replicas,
        bounds: (Replicas, Replicas),
    ) -> Replicas {
        let stabilized = self.stabilized(now, current, wish);
        self.recommendations.push_back((now, wish));
        self.limited(now, current, stabilized, bounds)
    }

    /// No lower than the largest recommendation of the window for scaling down, no higher than the smallest of the one
    /// for scaling up.
    fn stabilized(&self, now: Time, current: Replicas, wish: Replicas) -> Replicas {
        let recent = |window: Duration| {
            self.recommendations.iter().filter(move |(at, _)| now.since(*at) < window).map(|(_, r)| *r)
        };
        let up = recent(self.behaviour.up.window).min().unwrap_or(wish).min(wish);
        let down = recent(self.behaviour.down.window).max().unwrap_or(wish).max(wish);
        current.max(up).min(down)
    }

    fn limited(&self, now: Time, current: Replicas, desired: Replicas, bounds: (Replicas, Replicas)) -> Replicas {
        let within = |changes: &VecDeque<(Time, Replicas)>, period: Duration| -> i64 {
            changes.iter().filter(|(at, _)| now.since(*at) < period).map(|(_, n)| i64::from(*n)).sum()
        };
        let start = |period| i64::from(current) - within(&self.ups, period) + within(&self.downs, period);
        let (now_there, wanted) = (i64::from(current), i64::from(desired));
        let allowed = if wanted > now_there {
            let limit = self.behaviour.up.up_limit(current, start).max(now_there);
            wanted.min(limit.min(bounds.1.into()))
        } else if wanted < now_there {
            let limit = self.behaviour.down.down_limit(current, start).min(now_there);
            wanted.max(limit.max(bounds.0.into()))
        } else {
            wanted
        };
        Replicas::try_from(allowed).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> Time {
        Time::from_secs(1_000_000 + s)
    }

    #[test]
    fn scale_up_doubles_or_adds_four_a_sync() {
        let mut hpa = Hpa::new(Behaviour::published());
        assert_eq!(hpa.sync(at(0), 1, Some(50), (1, 100)), 5, "1 + 4");
        assert_eq!(hpa.sync(at(15), 5, Some(50), (1, 100)), 10, "5 x 2");
        assert_eq!(hpa.sync(at(30), 10, Some(50), (1, 100)), 20);
        assert_eq!(hpa.sync(at(45), 20, Some(50), (1, 30)), 30, "the user's maximum");
        let mut twice = Hpa::new(Behaviour::published());
        assert_eq!(twice.sync(at(0), 10, Some(50), (1, 100)), 20);
        assert_eq!(twice.sync(at(5), 20, Some(50), (1, 100)), 20, "the period began with 10");
    }

    #[test]
    fn scale_down_waits_five_minutes_for_the_largest_recommendation() {
        let mut hpa = Hpa::new(Behaviour::published());
        assert_eq!(hpa.sync(at(0), 10, Some(10), (1, 100)), 10);
        for s in (15..300).step_by(15) {
            assert_eq!(hpa.sync(at(s), 10, Some(4), (1, 100)), 10, "{s}");
        }
        assert_eq!(hpa.sync(at(300), 10, Some(4), (1, 100)), 4);
        assert_eq!(hpa.sync(at(315), 4, Some(2), (3, 100)), 4, "4 is still recommended");
        assert_eq!(hpa.sync(at(615), 4, Some(2), (3, 100)), 3, "the user's minimum");
    }

    #[test]
    fn bounds_come_before_metrics() {
        let mut hpa = Hpa::new(Behaviour::published());
        assert_eq!(hpa.sync(at(0), 2, None, (8, 100)), 8, "a raised minimum needs no metric and has no rate");
        assert_eq!(hpa.sync(at(15), 8, None, (1, 100)), 8, "no metric: nothing changes");
        assert_eq!(hpa.sync(at(30), 200, Some(3), (1, 100)), 100);
        assert_eq!(hpa.sync(at(45), 0, Some(3), (1, 100)), 0, "0 is switched off");
    }

    #[test]
    fn a_floor_that_goes_lets_the_count_drop_at_once() {
        // recommendations are what the metrics want, not what the minimum made of it
        let mut hpa = Hpa::new(Behaviour::published());
        for s in (0..600).step_by(15) {
            assert_eq!(hpa.sync(at(s), 20, Some(5), (20, 100)), 20);
        }
        assert_eq!(hpa.sync(at(600), 20, Some(5), (2, 100)), 5);
    }
}
