//! Many workloads, each with its own life, faults and witness: the proof of safety, and its replay from a seed.

use super::faults::Fault;
use super::life::{Life, Lived};
use super::witness::Violation;
use crate::plan::{FleetPace, Moved};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};

/// Hours that one workload lives.
const LIFE_HOURS: u64 = 48;
/// Workloads of one cluster, in two namespaces.
const CLUSTER: u64 = 8;
/// Clusters after which the verdict so far is told: some 400,000 workload-hours.
const BATCH: u64 = 1024;
/// Violations that a report shows.
const MAX_SHOWN: usize = 20;

/// Who forecasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Forecaster {
    /// The real one, within the real tick.
    Real,
    /// One that says anything at all.
    Adversary,
}

/// What is drawn from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trial {
    /// Everything follows from it.
    pub seed: u64,
    /// Workload-hours in total.
    pub hours: u64,
    /// The faults that may happen.
    pub faults: Vec<Fault>,
    /// Who forecasts.
    pub forecaster: Forecaster,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// The seed: with it and this build the run is the same again.
    pub seed: u64,
    /// Hours lived by all workloads together.
    pub workload_hours: u64,
    /// Who forecast.
    pub forecaster: Forecaster,
    /// Workloads.
    pub workloads: u64,
    /// Turns of the loop, each checked.
    pub turns: u64,
    /// Episodes of each fault.
    pub episodes: BTreeMap<Fault, u64>,
    /// Floors written.
    pub floors_written: u64,
    /// Times an invariant did not hold.
    pub violations: u64,
    /// The first of them.
    pub first_violations: Vec<Violation>,
}

/// Runs a trial, clusters in parallel; the verdict doesn't depend on how many at a time. `told` hears of the verdict so
/// far, now and then.
pub fn run(trial: &Trial, told: &mut dyn FnMut(u64, &Verdict)) -> Verdict {
    let workloads = trial.hours.div_ceil(LIFE_HOURS);
    let clusters = workloads.div_ceil(CLUSTER);
    let mut verdict = Verdict {
        seed: trial.seed,
        workload_hours: trial.hours,
        forecaster: trial.forecaster,
        workloads,
        turns: 0,
        episodes: BTreeMap::new(),
        floors_written: 0,
        violations: 0,
        first_violations: Vec::new(),
    };
    for first in (0..clusters).step_by(BATCH as usize) {
        let batch = (first..clusters.min(first + BATCH)).into_par_iter();
        let lives: Vec<Lived> = batch.flat_map_iter(|cluster| live(trial, cluster, workloads)).collect();
        for lived in lives {
            verdict.turns += lived.turns;
            verdict.floors_written += lived.floors_written;
            verdict.violations += lived.violations.len() as u64;
            let room = MAX_SHOWN - verdict.first_violations.len();
            verdict.first_violations.extend(lived.violations.into_iter().take(room));
            for fault in lived.faults {
                *verdict.episodes.entry(fault).or_default() += 1;
            }
        }
        told(trial.hours.min((first + BATCH) * CLUSTER * LIFE_HOURS), &verdict);
    }
    verdict
}

/// Lives one cluster: its workloads minute by minute beside each other, under the shares of the whole.
fn live(trial: &Trial, cluster: u64, workloads: u64) -> Vec<Lived> {
    let first = cluster * CLUSTER;
    let minutes = |n: u64| LIFE_HOURS.min(trial.hours - n * LIFE_HOURS) * 60;
    let mut lives: Vec<(u64, Life)> =
        (first..workloads.min(first + CLUSTER)).map(|n| (minutes(n), Life::draw(trial, n, minutes(n)))).collect();
    let mut pace = FleetPace::default();
    let mut shares = Shares::default();
    for minute in 0..lives.iter().map(|(m, _)| *m).max().unwrap_or(0) {
        let alive = lives.iter().filter(|(m, _)| minute < *m);
        let pods = alive.map(|(_, life)| u64::from(life.replicas())).sum();
        pace.begin(minute as i64, pods, NAMESPACES.len());
        shares.begin(pods);
        for (n, (until, life)) in lives.iter_mut().enumerate() {
            // those of the noisy half are always served first
            let namespace = usize::from(n as u64 >= CLUSTER / 2);
            if minute < *until
                && let Some(moved) = life.minute(minute, &mut pace, NAMESPACES[namespace])
            {
                shares.moved(namespace, moved);
            }
        }
        if let Some((invariant, seen)) = shares.exceeded()
            && let Some((_, life)) = lives.first_mut()
        {
            life.accuse(invariant, minute, seen);
        }
    }
    lives.into_iter().map(|(m, life)| life.end(m)).collect()
}

const NAMESPACES: [&str; 2] = ["noisy", "quiet"];
/// Minutes within which the rises of a cluster count.
const RISE_MINUTES: usize = 5;
/// A cluster of fewer pods counts as one of so many.
const SMALL: u64 = 200;

/// The witness of the whole cluster: pods, falls and rises of its minutes, the newest first.
#[derive(Debug, Default)]
struct Shares {
    minutes: VecDeque<(u64, [Moved; NAMESPACES.len()])>,
}

impl Shares {
    fn begin(&mut self, pods: u64) {
        self.minutes.push_front((pods, Default::default()));
        self.minutes.truncate(RISE_MINUTES);
    }

    fn moved(&mut self, namespace: usize, moved: Moved) {
        if let Some((_, sums)) = self.minutes.front_mut() {
            sums[namespace].fell += moved.fell;
            sums[namespace].rose += moved.rose;
        }
    }

    /// I4 and I5 of the cluster; I10: one namespace has taken more than half.
    fn exceeded(&self) -> Option<(&'static str, String)> {
        let (pods, newest) = self.minutes.front()?;
        // what came within five minutes came while there were so many
        let there = self.minutes.iter().map(|(pods, _)| *pods).max()?;
        let (fall, rise) = ((*pods).max(SMALL) / 20, there.max(SMALL) / 4);
        let rose = |n: usize| self.minutes.iter().map(|(_, sums)| u64::from(sums[n].rose)).sum::<u64>();
        let fell: u64 = newest.iter().map(|m| u64::from(m.fell)).sum();
        let all: u64 = (0..NAMESPACES.len()).map(rose).sum();
        let most = (0..NAMESPACES.len()).map(rose).max().unwrap_or(0);
        let falls = newest.iter().map(|m| u64::from(m.fell)).max().unwrap_or(0);
        match () {
            () if fell > fall => Some(("I4", format!("{fell} of {pods} pods fell in the cluster, {fall} may"))),
            () if all > rise => Some(("I5", format!("{all} of {there} pods came in the cluster, {rise} may"))),
            () if most > rise.div_ceil(2) => Some(("I10", format!("one namespace took {most} of {rise}"))),
            () if falls > fall.div_ceil(2) => Some(("I10", format!("one namespace gave up {falls} of {fall}"))),
            () => None,
        }
    }
}
