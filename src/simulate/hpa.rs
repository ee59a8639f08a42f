//! HorizontalPodAutoscaler v2 as Kubernetes publishes and implements it: the reactive autoscaler of the simulated
//! cluster, and the rival that Forescale is compared with.
//!
//! Sources: kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/, and the replica calculator and
//! `normalizeDesiredReplicasWithBehaviors` of kubernetes/kubernetes, pkg/controller/podautoscaler. Defaults: a sync
//! every 15 s, tolerance 0.1, scale-up by the larger of +100 % and +4 per 15 s without stabilization, scale-down to
//! the largest recommendation of the last 300 s, at most -100 % per 15 s.

use crate::units::{Replicas, Time};
use std::collections::VecDeque;
use std::time::Duration;

/// How often the controller looks.
pub const SYNC: Duration = Duration::from_secs(15);
/// A ratio this near to 1 changes nothing.
pub const TOLERANCE: f64 = 0.1;
/// A scale-down goes no lower than the largest recommendation of this long.
pub const DOWN_STABILIZATION: Duration = Duration::from_secs(300);
/// The period of both default policies.
const POLICY_PERIOD: Duration = Duration::from_secs(15);
/// Pods that the default scale-up policy may add in a period, whatever the percentage says.
const UP_PODS: Replicas = 4;
/// Recommendations remembered at most: one a sync within the stabilization window, and one to spare.
const MAX_RECOMMENDATIONS: usize = 21;

/// One pod as the controller groups it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PodMetric {
    /// Ready, with its value in load units.
    Ready(f64),
    /// Ready, but the metrics API has no value for it.
    Missing,
    /// Not ready yet: counted as idle when scaling up, ignored otherwise.
    Unready,
}

/// What a missing pod is taken to use when the rest says scale down. When the rest says up, it is taken to use nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingUses {
    /// Pods metrics: exactly the target.
    Target,
    /// Resource metrics: its whole request, given as a multiple of the target in percent (143 for a target of 70 %).
    PercentOfTarget(u32),
}

/// Replicas that one metric asks for, before any bound. `target`: load units per pod, positive. None: there is no value
/// at all, which is an error of the metric and never a number.
pub fn wanted(pods: &[PodMetric], target: f64, current: Replicas, missing_uses: MissingUses) -> Option<Replicas> {
    let values = || pods.iter().filter_map(|p| if let PodMetric::Ready(v) = p { Some(*v) } else { None });
    let known = values().count();
    if known == 0 {
        return None;
    }
    let sum: f64 = values().sum();
    let ratio = sum / known as f64 / target;
    let missing = pods.iter().filter(|p| matches!(p, PodMetric::Missing)).count();
    let unready = pods.iter().filter(|p| matches!(p, PodMetric::Unready)).count();
    let up_with_unready = unready > 0 && ratio > 1.0;
    if missing == 0 && !up_with_unready {
        return Some(if within_tolerance(ratio) { current } else { ceil(ratio * known as f64) });
    }
    let assumed = match missing_uses {
        _ if ratio >= 1.0 => 0.0,
        MissingUses::Target => target,
        MissingUses::PercentOfTarget(percent) => target * f64::from(percent.max(100)) / 100.0,
    };
    let counted = known + missing + if up_with_unready { unready } else { 0 };
    let new_ratio = (sum + assumed * missing as f64) / counted as f64 / target;
    if within_tolerance(new_ratio) || (ratio < 1.0 && new_ratio > 1.0) || (ratio > 1.0 && new_ratio < 1.0) {
        return Some(current);
    }
    let replicas = ceil(new_ratio * counted as f64);
    let contrary = (new_ratio < 1.0 && replicas > current) || (new_ratio > 1.0 && replicas < current);
    Some(if contrary { current } else { replicas })
}

/// The largest wish of several metrics. A metric without a value blocks a scale-down and nothing else.
pub fn largest(wishes: &[Option<Replicas>], current: Replicas) -> Option<Replicas> {
    let largest = wishes.iter().flatten().copied().max()?;
    (wishes.iter().all(Option::is_some) || largest > current).then_some(largest)
}

fn within_tolerance(ratio: f64) -> bool {
    (1.0 - ratio).abs() <= TOLERANCE
}

fn ceil(x: f64) -> Replicas {
    x.ceil().clamp(0.0, f64::from(crate::units::MAX_REPLICAS)) as Replicas
}

/// The controller's memory for one HPA object.
#[derive(Debug, Clone, Default)]
pub struct Hpa {
    recommendations: VecDeque<(Time, Replicas)>,
    ups: VecDeque<(Time, Replicas)>,
    downs: VecDeque<(Time, Replicas)>,
}

impl Hpa {
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
            Some(wish) => self.limited(now, current, self.stabilized(now, current, wish), min, max),
        };
        if let (Some(wish), false) = (wish, current == 0 || current > max || current < min) {
            self.recommendations.push_back((now, wish));
            let old = self.recommendations.len().saturating_sub(MAX_RECOMMENDATIONS);
            self.recommendations.drain(..old);
        }
        match desired.cmp(&current) {
            std::cmp::Ordering::Greater => self.ups.push_back((now, desired - current)),
            std::cmp::Ordering::Less => self.downs.push_back((now, current - desired)),
            std::cmp::Ordering::Equal => {}
        }
        for events in [&mut self.ups, &mut self.downs] {
            events.retain(|(at, _)| now.since(*at) < POLICY_PERIOD);
        }
        desired
    }

    /// No lower than the largest recommendation of the window, never above the current count for that reason.
    fn stabilized(&self, now: Time, current: Replicas, wish: Replicas) -> Replicas {
        let recent = self.recommendations.iter().filter(|(at, _)| now.since(*at) < DOWN_STABILIZATION);
        let down = recent.map(|(_, r)| *r).max().unwrap_or(0).max(wish);
        current.max(wish).min(down)
    }

    fn limited(&self, now: Time, current: Replicas, desired: Replicas, min: Replicas, max: Replicas) -> Replicas {
        let within = |events: &VecDeque<(Time, Replicas)>| -> Replicas {
            events.iter().filter(|(at, _)| now.since(*at) < POLICY_PERIOD).map(|(_, n)| *n).sum()
        };
        let start = (current + within(&self.downs)).saturating_sub(within(&self.ups));
        if desired > current {
            let limit = start.saturating_mul(2).max(start.saturating_add(UP_PODS)).max(current);
            desired.min(limit).min(max)
        } else {
            // the default scale-down policy allows -100 %: only the user's minimum binds
            desired.max(min).min(max)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PodMetric::*;
    use super::*;

    fn at(s: i64) -> Time {
        Time::from_secs(1_000_000 + s)
    }

    fn pods(ready: &[f64], missing: usize, unready: usize) -> Vec<PodMetric> {
        let mut pods: Vec<_> = ready.iter().map(|v| Ready(*v)).collect();
        pods.extend(vec![Missing; missing]);
        pods.extend(vec![Unready; unready]);
        pods
    }

    #[test]
    fn the_metric_alone() {
        let target = |p: &[PodMetric], current| wanted(p, 70.0, current, MissingUses::Target);
        assert_eq!(target(&pods(&[140.0; 4], 0, 0), 4), Some(8), "twice the target: twice the pods");
        assert_eq!(target(&pods(&[35.0; 4], 0, 0), 4), Some(2));
        assert_eq!(target(&pods(&[76.9; 4], 0, 0), 4), Some(4), "ratio 1.0986 is within the tolerance");
        assert_eq!(target(&pods(&[77.1; 4], 0, 0), 4), Some(5), "ratio 1.1014 is not: ceil(4.4057)");
        assert_eq!(target(&pods(&[63.1; 4], 0, 0), 4), Some(4), "ratio 0.9014 is within");
        assert_eq!(target(&pods(&[50.0, 100.0], 0, 0), 2), Some(2), "the mean counts: 75 / 70 = 1.07");
        assert_eq!(target(&pods(&[], 2, 2), 4), None, "no value is not zero");
        assert_eq!(target(&pods(&[0.0; 3], 0, 0), 3), Some(0), "a measured zero is");
    }

    #[test]
    fn pods_that_start_count_as_idle_when_scaling_up() {
        // 4 ready at 140 and 4 starting: 560 / 8 / 70 = 1.0: within the tolerance, so no second doubling
        assert_eq!(wanted(&pods(&[140.0; 4], 0, 4), 70.0, 8, MissingUses::Target), Some(8));
        // 4 ready at 210 and 4 starting: 840 / 8 / 70 = 1.5, times 8 = 12
        assert_eq!(wanted(&pods(&[210.0; 4], 0, 4), 70.0, 8, MissingUses::Target), Some(12));
        // 4 ready at 90 and 8 starting: 360 / 12 / 70 = 0.43 turns the direction round: nothing happens
        assert_eq!(wanted(&pods(&[90.0; 4], 0, 8), 70.0, 12, MissingUses::Target), Some(12));
        // scaling down they are ignored: 4 ready at 35 want 2
        assert_eq!(wanted(&pods(&[35.0; 4], 0, 2), 70.0, 6, MissingUses::Target), Some(2));
    }

    #[test]
    fn pods_without_a_value_never_decide() {
        // up: 2 at 140, 2 missing as 0: 280 / 4 / 70 = 1.0: stays
        assert_eq!(wanted(&pods(&[140.0; 2], 2, 0), 70.0, 4, MissingUses::Target), Some(4));
        // down: 2 at 14, 2 missing at the target: (28 + 140) / 4 / 70 = 0.6, times 4 = 2.4
        assert_eq!(wanted(&pods(&[14.0; 2], 2, 0), 70.0, 4, MissingUses::Target), Some(3));
        // resource metric, missing at the request (143 % of a target of 70): (28 + 200.2) / 4 / 70 = 0.815, times 4 = 3.26
        assert_eq!(wanted(&pods(&[14.0; 2], 2, 0), 70.0, 4, MissingUses::PercentOfTarget(143)), Some(4));
    }

    #[test]
    fn the_largest_metric_wins_and_a_failed_one_blocks_scaling_down() {
        assert_eq!(largest(&[Some(3), Some(9)], 5), Some(9));
        assert_eq!(largest(&[Some(3), None], 5), None);
        assert_eq!(largest(&[Some(9), None], 5), Some(9));
        assert_eq!(largest(&[None, None], 5), None);
    }

    #[test]
    fn scale_up_doubles_or_adds_four_a_sync() {
        let mut hpa = Hpa::default();
        assert_eq!(hpa.sync(at(0), 1, Some(50), (1, 100)), 5, "1 + 4");
        assert_eq!(hpa.sync(at(15), 5, Some(50), (1, 100)), 10, "5 x 2");
        assert_eq!(hpa.sync(at(30), 10, Some(50), (1, 100)), 20);
        assert_eq!(hpa.sync(at(45), 20, Some(50), (1, 30)), 30, "the user's maximum");
        let mut twice = Hpa::default();
        assert_eq!(twice.sync(at(0), 10, Some(50), (1, 100)), 20);
        assert_eq!(twice.sync(at(5), 20, Some(50), (1, 100)), 20, "the period began with 10");
    }

    #[test]
    fn scale_down_waits_five_minutes_for_the_largest_recommendation() {
        let mut hpa = Hpa::default();
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
        let mut hpa = Hpa::default();
        assert_eq!(hpa.sync(at(0), 2, None, (8, 100)), 8, "a raised minimum needs no metric and has no rate");
        assert_eq!(hpa.sync(at(15), 8, None, (1, 100)), 8, "no metric: nothing changes");
        assert_eq!(hpa.sync(at(30), 200, Some(3), (1, 100)), 100);
        assert_eq!(hpa.sync(at(45), 0, Some(3), (1, 100)), 0, "0 is switched off");
    }

    #[test]
    fn a_floor_that_goes_lets_the_count_drop_at_once() {
        // recommendations are what the metrics want, not what the minimum made of it
        let mut hpa = Hpa::default();
        for s in (0..600).step_by(15) {
            assert_eq!(hpa.sync(at(s), 20, Some(5), (20, 100)), 20);
        }
        assert_eq!(hpa.sync(at(600), 20, Some(5), (2, 100)), 5);
    }
}
