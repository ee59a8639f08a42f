//! What one replica serves, learned from what its pods use under how much load.
//!
//! For each version of the pod template a line `cores = idle + cores per load x load`, of one replica, is fitted with
//! Huber's weights. Capacity is the load at which the line reaches the cores that a replica may use; what is planned with
//! is its lower bound at 10 %. Where the load per replica hardly varies (an autoscaler sees to that) no line can be
//! told: then it goes through the origin, which understates what a busier replica serves.

use crate::units::Replicas;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// Steps of one version that are remembered: a day of minutes.
const STEPS: usize = 1440;
/// Versions that are remembered.
const VERSIONS: usize = 3;
/// So often a version is fitted anew, in steps.
const REFIT: usize = 10;
/// Steps before anything is said.
const EVIDENCE: usize = 30;
/// A replica at this share of its limit is saturated: it says nothing of the line, but that it serves no more than this.
const SATURATED: f64 = 0.95;
/// The loads' spread from the 5th to the 95th percentile, over the median, from which a line can be told.
const SPREAD: f64 = 0.25;
/// Without a line: the share of the usable cores that must be in use, or the idle part decides.
const BUSY: f64 = 0.2;
/// Capacity is believed up to this multiple of the largest loads seen.
const BEYOND: f64 = 3.0;
/// Residuals beyond this many scales count less.
const HUBER: f64 = 1.345;
/// The median absolute deviation of a normal distribution, inverted.
const MAD: f64 = 1.4826;
/// The 90th percentile of the standard normal distribution.
const Z90: f64 = 1.2816;
/// So many neighbouring steps tell as much as one: loads hang together.
const TOGETHER: f64 = 10.0;
/// A version that serves less than this part of what the one before served has regressed.
const REGRESSED: f64 = 0.85;
/// A capacity in force moves when it is off by more than this.
const MOVE: f64 = 0.05;
/// Until a version is known for a day, it is taken to serve at most this multiple of what the one before it does: one that
/// fails fast uses little, too.
const BETTER: f64 = 1.2;
/// A pod that comes or goes is given so many steps until its figures count.
const SETTLING: usize = 4;

/// What is known of one replica.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// The load at which it uses all that it may.
    pub load: f64,
    /// The same, at the lower confidence bound of 10 %: what is planned with.
    pub lower: f64,
    /// Steps that it rests on.
    pub steps: usize,
    /// False: the load hardly varied, so it is an understatement.
    pub line: bool,
}

/// A version that serves less than the one before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Regression {
    /// The hash of its pod template.
    pub version: String,
    /// Load that one of its replicas serves.
    pub now: f64,
    /// Load that one replica of the version before served.
    pub before: f64,
}

/// What was measured of a workload in one step. None: not measured.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Usage {
    /// The load of all replicas.
    pub load: Option<f64>,
    /// Replicas of all versions.
    pub replicas: Option<f64>,
    /// By version: its replicas, and the cores they use together.
    pub versions: BTreeMap<String, (Option<f64>, Option<f64>)>,
}

/// Load and cores of one replica, a step each, the newest last.
#[derive(Debug, Clone, Default)]
struct Steps {
    points: VecDeque<(f32, f32)>,
    /// Loads at which a replica was saturated.
    saturated: VecDeque<f32>,
    taken: usize,
    /// As of the last refit. None: too little evidence.
    capacity: Option<Capacity>,
}

impl Steps {
    fn push(&mut self, load: f64, cores: f64, full: f64) {
        self.points.push_back((load as f32, cores as f32));
        while self.points.len() > STEPS {
            self.points.pop_front();
        }
        self.taken += 1;
        if self.taken.is_multiple_of(REFIT) {
            self.capacity = self.fitted(full);
        }
    }

    /// A step in which replicas were saturated.
    fn push_saturated(&mut self, load: f64, share: f64, full: f64) {
        self.saturated.push_back((load * share) as f32);
        while self.saturated.len() > STEPS {
            self.saturated.pop_front();
        }
        self.taken += 1;
        if self.taken.is_multiple_of(REFIT) {
            self.capacity = self.fitted(full);
        }
    }

    /// What the line says, and no more than what saturated replicas were given.
    fn fitted(&self, full: f64) -> Option<Capacity> {
        let told = self.line(full);
        if self.saturated.len() < EVIDENCE || self.saturated.len() < self.points.len() {
            return told;
        }
        let most = at(&sorted(self.saturated.iter().map(|load| f64::from(*load))), 0.25);
        let bound = Capacity { load: most, lower: most, steps: self.saturated.len(), line: false };
        Some(told.filter(|told| told.lower <= most).unwrap_or(bound))
    }

    fn line(&self, full: f64) -> Option<Capacity> {
        let points: Vec<(f64, f64)> = self.points.iter().map(|(x, y)| (f64::from(*x), f64::from(*y))).collect();
        if points.len() < EVIDENCE {
            return None;
        }
        let loads = sorted(points.iter().map(|p| p.0));
        let (low, middle, high) = (at(&loads, 0.05), at(&loads, 0.5), at(&loads, 0.95));
        let spread = (high - low) / middle >= SPREAD;
        let fit = fit(&points, spread).filter(|f| f.slope > 0.0 && f.idle < full)?;
        let used = at(&sorted(points.iter().map(|p| p.1)), 0.5);
        if !fit.line && used < BUSY * full {
            return None;
        }
        let load = (full - fit.idle) / fit.slope;
        let off = fit.scale * (fit.variance(load) / (points.len() as f64 / TOGETHER).max(1.0)).sqrt();
        let most = BEYOND * high;
        let lower = (load - Z90 * off / fit.slope).min(most);
        (lower > 0.0 && load.is_finite()).then_some(Capacity {
            load: load.min(most),
            lower,
            steps: points.len(),
            line: fit.line,
        })
    }
}

/// A fitted line.
struct Fit {
    idle: f64,
    slope: f64,
    /// Of the residuals.
    scale: f64,
    mean: f64,
    spread: f64,
    line: bool,
}

impl Fit {
    /// The variance of the line at `load`, in squares of the scale, for one independent step.
    fn variance(&self, load: f64) -> f64 {
        match self.line {
            true => 1.0 + (load - self.mean).powi(2) / self.spread,
            false => (load / self.mean).powi(2),
        }
    }
}

/// Huber's line by iterated weights, from the median ratio on; through the origin where `line` is false or the idle part
/// would be negative.
fn fit(points: &[(f64, f64)], line: bool) -> Option<Fit> {
    const ROUNDS: usize = 12;
    let ratios = sorted(points.iter().filter(|p| p.0 > 0.0).map(|p| p.1 / p.0));
    let (mut idle, mut slope) = (0.0, *ratios.get(ratios.len() / 2)?);
    let (mut scale, mut mean, mut spread, mut told) = (0.0, 0.0, 0.0, false);
    for _ in 0..ROUNDS {
        let residual = |p: &(f64, f64)| p.1 - idle - slope * p.0;
        scale = MAD * at(&sorted(points.iter().map(|p| residual(p).abs())), 0.5);
        let weigh = |p: &(f64, f64)| {
            let off = residual(p).abs();
            if off <= HUBER * scale { 1.0 } else { HUBER * scale / off }
        };
        let (mut w, mut wx, mut wy, mut wxx, mut wxy) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for p in points {
            let weight = weigh(p);
            w += weight;
            wx += weight * p.0;
            wy += weight * p.1;
            wxx += weight * p.0 * p.0;
            wxy += weight * p.0 * p.1;
        }
        mean = wx / w;
        spread = wxx / w - mean * mean;
        let sloped = (wxy / w - mean * wy / w) / spread;
        let start = wy / w - sloped * mean;
        told = line && start >= 0.0 && sloped > 0.0 && sloped.is_finite();
        (idle, slope) = if told { (start, sloped) } else { (0.0, wxy / wxx) };
    }
    (slope.is_finite() && mean > 0.0).then_some(Fit { idle, slope, scale, mean, spread, line: told })
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// The value at a share of sorted ones, which are not empty.
fn at(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((share * last as f64).round() as usize).copied().unwrap_or(f64::NAN)
}

/// The capacities of the versions of one workload.
#[derive(Debug, Clone)]
pub struct Capacities {
    full: f64,
    limit: Option<f64>,
    /// The newest last.
    versions: VecDeque<(String, Steps)>,
    /// Replicas of the last steps, to see what has settled.
    counts: VecDeque<f64>,
    in_force: Option<f64>,
}

impl Capacities {
    /// Nothing known. `full`: cores that a replica uses at its capacity; `limit`: cores beyond which it is throttled.
    pub fn new(full: f64, limit: Option<f64>) -> Capacities {
        Capacities { full, limit, versions: VecDeque::new(), counts: VecDeque::new(), in_force: None }
    }

    /// A replica may use other amounts by now. What was seen of its usage stays.
    pub fn rescale(&mut self, full: f64, limit: Option<f64>) {
        // what was served at the limit of then is kept as what `full` cores would have
        let by = (full / self.full) as f32;
        (self.full, self.limit) = (full, limit);
        for (_, steps) in &mut self.versions {
            steps.saturated.iter_mut().for_each(|load| *load *= by);
            steps.capacity = steps.fitted(full);
        }
    }

    /// There is this version: newer than all that are known, or one of them.
    pub fn know(&mut self, version: &str) {
        if !self.versions.iter().any(|(v, _)| v == version) {
            self.versions.push_back((version.to_owned(), Steps::default()));
        }
        while self.versions.len() > VERSIONS {
            self.versions.pop_front();
        }
    }

    /// Takes what was measured of a step.
    pub fn learn(&mut self, usage: &Usage) {
        usage.versions.keys().for_each(|version| self.know(version));
        let Some(replicas) = usage.replicas.filter(|n| *n >= 1.0) else {
            self.counts.clear();
            return;
        };
        self.counts.push_back(replicas);
        while self.counts.len() > SETTLING {
            self.counts.pop_front();
        }
        let settled = self.counts.len() == SETTLING && self.counts.iter().all(|n| *n == replicas);
        let Some(load) = usage.load.filter(|l| settled && l.is_finite() && *l > 0.0) else { return };
        for (version, steps) in &mut self.versions {
            let Some((Some(count), Some(cores))) = usage.versions.get(version).copied() else { continue };
            if count < 1.0 || !(cores.is_finite() && cores > 0.0) {
                continue;
            }
            let each = cores / count;
            match self.limit.filter(|limit| each >= SATURATED * limit) {
                None => steps.push(load / replicas, each, self.full),
                Some(limit) => steps.push_saturated(load / replicas, self.full / limit, self.full),
            }
        }
    }

    /// What is known of a version.
    pub fn of(&self, version: &str) -> Option<Capacity> {
        self.versions.iter().find(|(v, _)| v == version)?.1.capacity
    }

    /// The load to count on from one replica while these versions run, with their replicas: the least of theirs. One
    /// that is not known yet is taken to serve what the one before it does, and for a day not much more. It moves by more than a twentieth or not at
    /// all. None: nothing is known of any version.
    pub fn in_force(&mut self, running: &BTreeMap<String, Replicas>) -> Option<f64> {
        let mut known: Vec<(bool, f64)> = Vec::new();
        for (version, steps) in &self.versions {
            let Some(capacity) = steps.capacity else { continue };
            let runs = running.get(version).is_some_and(|n| *n > 0);
            let most =
                known.last().filter(|_| steps.taken < STEPS).map_or(f64::INFINITY, |(_, before)| BETTER * before);
            known.push((runs, capacity.lower.min(most)));
        }
        let least = known.iter().filter(|(runs, _)| *runs).map(|(_, lower)| *lower).reduce(f64::min);
        let learned = least.or(known.last().map(|(_, lower)| *lower));
        if let Some(learned) = learned
            && self.in_force.is_none_or(|now| (learned / now - 1.0).abs() > MOVE)
        {
            self.in_force = Some(learned);
        }
        self.in_force
    }

    /// The newest version, if it serves less than 85 % of what the one before it did.
    pub fn regression(&self) -> Option<Regression> {
        let mut newest = self.versions.iter().rev().map(|(v, s)| (v, s.capacity));
        let (version, now) = newest.next()?;
        let (now, before) = (now?, newest.find_map(|(_, capacity)| capacity)?);
        (now.load < REGRESSED * before.load).then(|| Regression {
            version: version.clone(),
            now: now.load,
            before: before.load,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Ten replicas of one version at a load each, with `noise` in hundredths of a core.
    fn step(version: &str, load: f64, cores: f64) -> Usage {
        let versions = BTreeMap::from([(version.to_owned(), (Some(10.0), Some(10.0 * cores)))]);
        Usage { load: Some(10.0 * load), replicas: Some(10.0), versions }
    }

    fn running(versions: &[&str]) -> BTreeMap<String, Replicas> {
        versions.iter().map(|v| ((*v).to_owned(), 5)).collect()
    }

    /// A replica that uses 0.1 cores idle and 0.01 for each unit of load: at 0.7 cores it serves 60.
    fn line(load: f64) -> f64 {
        0.1 + 0.01 * load
    }

    #[test]
    fn a_clean_line_is_read_off() {
        let mut all = Capacities::new(0.7, None);
        (0..200).for_each(|i| all.learn(&step("a", 20.0 + f64::from(i % 30), line(20.0 + f64::from(i % 30)))));
        let capacity = all.of("a").unwrap();
        assert!((capacity.load - 60.0).abs() < 0.01 && (capacity.lower - 60.0).abs() < 0.1, "{capacity:?}");
        assert!(capacity.line);
        assert_eq!(capacity.steps, 190, "three steps until the count has settled; fitted every ten");
    }

    #[test]
    fn a_load_that_does_not_vary_gives_an_understatement() {
        let mut all = Capacities::new(0.7, None);
        (0..100).for_each(|_| all.learn(&step("a", 40.0, line(40.0))));
        let capacity = all.of("a").unwrap();
        // 0.5 cores at 40: through the origin 0.7 cores are 56, where the line would say 60
        assert!(!capacity.line && (capacity.load - 56.0).abs() < 0.01, "{capacity:?}");
        let mut idle = Capacities::new(0.7, None);
        (0..100).for_each(|_| idle.learn(&step("a", 0.2, line(0.2))));
        assert_eq!(idle.of("a"), None, "at 0.102 of 0.7 cores the idle part decides");
    }

    #[test]
    fn noise_lowers_the_bound_and_outliers_move_little() {
        let mut all = Capacities::new(0.7, None);
        for i in 0..300u32 {
            let load = 20.0 + f64::from(i % 30);
            let noise = f64::from(i * 7919 % 101) / 101.0 - 0.5;
            let cores = if i % 20 == 0 { 0.68 } else { line(load) + 0.04 * noise };
            all.learn(&step("a", load, cores));
        }
        let capacity = all.of("a").unwrap();
        assert!((capacity.load / 60.0 - 1.0).abs() < 0.1, "{capacity:?}");
        assert!(capacity.lower < capacity.load && capacity.lower > 0.75 * capacity.load, "{capacity:?}");
    }

    #[test]
    fn saturated_replicas_only_say_that_they_serve_no_more() {
        let mut all = Capacities::new(0.7, Some(1.0));
        (0..103).for_each(|_| all.learn(&step("a", 100.0, 0.96)));
        let bound = all.of("a").unwrap();
        assert!((bound.load - 70.0).abs() < 1e-3 && !bound.line, "100 at the limit of 1 core, so 70 at 0.7: {bound:?}");
        // later it is not saturated any more, and the line says 60
        (0..300).for_each(|i| all.learn(&step("a", 20.0 + f64::from(i % 30), line(20.0 + f64::from(i % 30)))));
        assert!((all.of("a").unwrap().load - 60.0).abs() < 0.1);
    }

    #[test]
    fn other_bounds_say_nothing_else_of_what_was_served_at_the_limit() {
        let mut all = Capacities::new(0.7, Some(1.0));
        (0..103).for_each(|_| all.learn(&step("a", 100.0, 0.96)));
        all.rescale(0.7, Some(2.0));
        assert!((all.of("a").unwrap().load - 70.0).abs() < 1e-3, "a higher limit alone");
        all.rescale(1.4, Some(2.0));
        assert!((all.of("a").unwrap().load - 140.0).abs() < 1e-3, "twice the cores");
    }

    #[test]
    fn unsettled_steps_teach_nothing_and_few_are_not_enough() {
        let mut all = Capacities::new(0.7, Some(1.0));
        for i in 0..100 {
            let replicas = f64::from(10 + i % 3);
            let versions = BTreeMap::from([("a".to_owned(), (Some(replicas), Some(5.0)))]);
            all.learn(&Usage { load: Some(400.0), replicas: Some(replicas), versions });
        }
        assert_eq!(all.of("a"), None);
        // the last of those had ten too
        (0..29 + 2).for_each(|_| all.learn(&step("a", 40.0, 0.5)));
        assert_eq!(all.of("a"), None, "29 steps are too few");
        all.learn(&step("a", 40.0, 0.5));
        assert!(all.of("a").is_some());
    }

    #[test]
    fn a_rollout_counts_on_the_weaker_version_and_a_regression_is_told() {
        let mut all = Capacities::new(0.7, None);
        assert_eq!(all.in_force(&running(&["a"])), None, "no evidence: nothing is said");
        (0..100).for_each(|_| all.learn(&step("a", 40.0, 0.4)));
        let old = all.in_force(&running(&["a"])).unwrap();
        assert!((old - 70.0).abs() < 0.1);
        assert_eq!(all.in_force(&running(&["a", "b"])), Some(old), "the new one is not known");
        (0..40).for_each(|_| all.learn(&step("b", 40.0, 0.56)));
        let weak = all.in_force(&running(&["a", "b"])).unwrap();
        assert!((weak - 50.0).abs() < 0.1);
        let told = all.regression().unwrap();
        assert_eq!((told.version.as_str(), told.now.round(), told.before.round()), ("b", 50.0, 70.0));
        (0..40).for_each(|_| all.learn(&step("c", 40.0, 0.38)));
        assert_eq!(all.regression(), None, "better than the one before");
        assert!((all.in_force(&running(&["b", "c"])).unwrap() - 50.0).abs() < 0.1);
        let early = all.in_force(&running(&["c"])).unwrap();
        assert!((early - 60.0).abs() < 0.1, "one that uses little may also just fail: {early}");
        (0..STEPS).for_each(|_| all.learn(&step("c", 40.0, 0.38)));
        assert!(all.in_force(&running(&["c"])).unwrap() > 70.0);
    }

    #[test]
    fn a_small_move_is_none() {
        let mut all = Capacities::new(0.7, None);
        (0..60).for_each(|_| all.learn(&step("a", 40.0, 0.4)));
        let before = all.in_force(&running(&["a"])).unwrap();
        (0..1440).for_each(|_| all.learn(&step("a", 40.0, 0.41)));
        assert_eq!(all.in_force(&running(&["a"])), Some(before), "2.4 % less");
    }

    proptest! {
        #[test]
        fn any_steps_give_a_positive_finite_bound_or_none(
            steps in prop::collection::vec((0.0..1e6f64, 0.0..64.0f64, 0.0..50.0f64), 0..120),
            full in 0.01..16.0f64,
        ) {
            let mut all = Capacities::new(full, Some(2.0 * full));
            for (load, cores, replicas) in steps {
                let replicas = if replicas > 5.0 { 10.0 } else { replicas.floor() };
                let versions = BTreeMap::from([("a".to_owned(), (Some(replicas), Some(cores)))]);
                all.learn(&Usage { load: Some(load), replicas: Some(replicas), versions });
            }
            if let Some(capacity) = all.of("a") {
                prop_assert!(capacity.lower > 0.0 && capacity.lower.is_finite() && capacity.load.is_finite());
                prop_assert!(capacity.lower <= capacity.load * (1.0 + 1e-9));
            }
            prop_assert!(all.in_force(&running(&["a"])).is_none_or(|c| c > 0.0 && c.is_finite()));
        }
    }
}
