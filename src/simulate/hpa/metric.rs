//! What one metric asks for: the replica calculator. Integer arithmetic in milli-units, as the controller has it: its
//! averages and utilizations are cut off, and that decides at the edge of the tolerance.

use crate::units::{MAX_REPLICAS, Replicas};
use serde::Deserialize;

/// One pod as the controller groups it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodMetric {
    /// Ready, with its value in milli-units, not negative.
    Ready(i64),
    /// Ready, but the metrics API has no value for it.
    Missing,
    /// Not ready yet: counted as idle when scaling up, ignored otherwise.
    Unready,
}

/// What a metric aims at for each pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// So much of it, milli-units, positive (Pods metrics, and resources by value).
    AverageValue(i64),
    /// Such a share of the request.
    Utilization {
        /// Percent, positive.
        percent: i64,
        /// Request of a pod, milli-units, positive.
        request: i64,
    },
}

/// How far a ratio may be from 1 without a change, by direction.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct Tolerance {
    /// Below 1.
    pub down: f64,
    /// Above 1.
    pub up: f64,
}

impl Tolerance {
    /// The controller's default.
    pub const DEFAULT: Tolerance = Tolerance { down: 0.1, up: 0.1 };

    fn covers(self, ratio: f64) -> bool {
        1.0 - self.down <= ratio && ratio <= 1.0 + self.up
    }
}

impl Target {
    /// Usage over target for `count` pods with `total` between them; `count` is at least 1.
    fn ratio(self, total: i64, count: i64) -> f64 {
        match self {
            Target::AverageValue(target) => (total / count) as f64 / target as f64,
            Target::Utilization { percent, request } => (total * 100 / (request * count)) as f64 / percent as f64,
        }
    }

    /// What a pod without a value is taken to use when the others say scale down: the target, or for utilizations the
    /// whole request or more if more is the target.
    fn assumed(self) -> i64 {
        match self {
            Target::AverageValue(target) => target,
            Target::Utilization { percent, request } => request * percent.max(100) / 100,
        }
    }
}

/// Replicas that a metric with a value for each pod asks for, before any bound. None: there is no value at all, which is
/// an error of the metric and never a number.
pub fn per_pod(pods: &[PodMetric], target: Target, current: Replicas, tolerance: Tolerance) -> Option<Replicas> {
    let values = || pods.iter().filter_map(|p| if let PodMetric::Ready(v) = p { Some(*v) } else { None });
    let count = |kind: PodMetric| pods.iter().filter(|p| **p == kind).count() as i64;
    let (known, missing, unready) = (values().count() as i64, count(PodMetric::Missing), count(PodMetric::Unready));
    if known == 0 {
        return None;
    }
    let total: i64 = values().sum();
    let ratio = target.ratio(total, known);
    let up_with_unready = unready > 0 && ratio > 1.0;
    if missing == 0 && !up_with_unready {
        return Some(if tolerance.covers(ratio) { current } else { ceil(ratio * known as f64) });
    }
    // at a ratio of exactly 1 the controller leaves pods without a value out
    let (total, counted) = match ratio {
        r if r < 1.0 => (total + missing * target.assumed(), known + missing),
        r if r > 1.0 => (total, known + missing + if up_with_unready { unready } else { 0 }),
        _ => (total, known),
    };
    let new_ratio = target.ratio(total, counted);
    if tolerance.covers(new_ratio) || (ratio < 1.0 && new_ratio > 1.0) || (ratio > 1.0 && new_ratio < 1.0) {
        return Some(current);
    }
    let replicas = ceil(new_ratio * counted as f64);
    let contrary = (new_ratio < 1.0 && replicas > current) || (new_ratio > 1.0 && replicas < current);
    Some(if contrary { current } else { replicas })
}

/// Replicas that an External or Object metric with an average value asks for: `total` and `target` in milli-units.
pub fn of_total(total: i64, target: i64, current: Replicas, tolerance: Tolerance) -> Replicas {
    let ratio = total as f64 / (target as f64 * f64::from(current));
    if tolerance.covers(ratio) { current } else { ceil(total as f64 / target as f64) }
}

/// The largest wish of several metrics. A metric without a value blocks a scale-down and nothing else.
pub fn largest(wishes: &[Option<Replicas>], current: Replicas) -> Option<Replicas> {
    let largest = wishes.iter().flatten().copied().max()?;
    (wishes.iter().all(Option::is_some) || largest > current).then_some(largest)
}

fn ceil(x: f64) -> Replicas {
    x.ceil().clamp(0.0, f64::from(MAX_REPLICAS)) as Replicas
}

#[cfg(test)]
mod tests {
    use super::PodMetric::*;
    use super::*;

    fn pods(ready: &[i64], missing: usize, unready: usize) -> Vec<PodMetric> {
        let mut pods: Vec<_> = ready.iter().map(|v| Ready(*v)).collect();
        pods.extend(vec![Missing; missing]);
        pods.extend(vec![Unready; unready]);
        pods
    }

    fn wanted(pods: &[PodMetric], current: Replicas) -> Option<Replicas> {
        per_pod(pods, Target::AverageValue(70_000), current, Tolerance::DEFAULT)
    }

    #[test]
    fn the_metric_alone() {
        assert_eq!(wanted(&pods(&[140_000; 4], 0, 0), 4), Some(8), "twice the target: twice the pods");
        assert_eq!(wanted(&pods(&[35_000; 4], 0, 0), 4), Some(2));
        assert_eq!(wanted(&pods(&[76_900; 4], 0, 0), 4), Some(4), "ratio 1.0986 is within the tolerance");
        assert_eq!(wanted(&pods(&[77_100; 4], 0, 0), 4), Some(5), "ratio 1.1014 is not: ceil(4.4057)");
        assert_eq!(wanted(&pods(&[63_100; 4], 0, 0), 4), Some(4), "ratio 0.9014 is within");
        assert_eq!(wanted(&pods(&[50_000, 100_000], 0, 0), 2), Some(2), "the mean counts: 75 / 70 = 1.07");
        assert_eq!(wanted(&pods(&[], 2, 2), 4), None, "no value is not zero");
        assert_eq!(wanted(&pods(&[0; 3], 0, 0), 3), Some(0), "a measured zero is");
    }

    #[test]
    fn pods_that_start_count_as_idle_when_scaling_up() {
        // 4 ready at 140 and 4 starting: 560 / 8 / 70 = 1.0: within the tolerance, so no second doubling
        assert_eq!(wanted(&pods(&[140_000; 4], 0, 4), 8), Some(8));
        // 4 ready at 210 and 4 starting: 840 / 8 / 70 = 1.5, times 8 = 12
        assert_eq!(wanted(&pods(&[210_000; 4], 0, 4), 8), Some(12));
        // 4 ready at 90 and 8 starting: 360 / 12 / 70 = 0.43 turns the direction round: nothing happens
        assert_eq!(wanted(&pods(&[90_000; 4], 0, 8), 12), Some(12));
        // scaling down they are ignored: 4 ready at 35 want 2
        assert_eq!(wanted(&pods(&[35_000; 4], 0, 2), 6), Some(2));
    }

    #[test]
    fn pods_without_a_value_never_decide() {
        // up: 2 at 140, 2 missing as 0: 280 / 4 / 70 = 1.0: stays
        assert_eq!(wanted(&pods(&[140_000; 2], 2, 0), 4), Some(4));
        // down: 2 at 14, 2 missing at the target: (28 + 140) / 4 / 70 = 0.6, times 4 = 2.4
        assert_eq!(wanted(&pods(&[14_000; 2], 2, 0), 4), Some(3));
        // utilization 70 % of 1 core, missing at the whole request: (2 x 0.14 + 2 x 1.0) / 4 = 57 %, / 70 = 0.814, x 4 = 3.26
        let target = Target::Utilization { percent: 70, request: 1000 };
        assert_eq!(per_pod(&pods(&[140; 2], 2, 0), target, 4, Tolerance::DEFAULT), Some(4));
    }

    #[test]
    fn a_total_is_divided_by_what_is_there() {
        assert_eq!(of_total(840_000, 70_000, 8, Tolerance::DEFAULT), 12);
        assert_eq!(of_total(600_000, 70_000, 8, Tolerance::DEFAULT), 8, "ratio 1.07 is within the tolerance");
    }

    #[test]
    fn the_largest_metric_wins_and_a_failed_one_blocks_scaling_down() {
        assert_eq!(largest(&[Some(3), Some(9)], 5), Some(9));
        assert_eq!(largest(&[Some(3), None], 5), None);
        assert_eq!(largest(&[Some(9), None], 5), Some(9));
        assert_eq!(largest(&[None, None], 5), None);
    }
}
