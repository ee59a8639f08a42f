//! Many workloads, each with its own life, faults and witness, a few of them to a cluster whose shares they have in common: the
//! proof of safety, and its replay from a seed.

use super::faults::Fault;
use super::life::{Life, Lived};
use super::witness::{Crowd, Moved, Violation};
use crate::plan::Shares;
use rayon::prelude::*;
use serde::Serialize;
use std::collections::BTreeMap;

/// Hours that one workload lives.
const LIFE_HOURS: u64 = 48;
/// Workloads of one cluster.
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

/// Runs a trial, workloads in parallel; the verdict doesn't depend on how many at a time. `told` hears of the verdict so
/// far, now and then.
pub fn run(trial: &Trial, told: &mut dyn FnMut(u64, &Verdict)) -> Verdict {
    let workloads = trial.hours.div_ceil(LIFE_HOURS);
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
    let clusters = workloads.div_ceil(CLUSTER);
    for first in (0..clusters).step_by(BATCH as usize) {
        let batch = (first..clusters.min(first + BATCH)).into_par_iter();
        let lives: Vec<Vec<Lived>> = batch.map(|cluster| live(trial, cluster, workloads)).collect();
        for lived in lives.into_iter().flatten() {
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

/// The workloads of one cluster, minute by minute.
fn live(trial: &Trial, cluster: u64, workloads: u64) -> Vec<Lived> {
    let born = |n: u64| {
        let minutes = LIFE_HOURS.min(trial.hours - n * LIFE_HOURS) * 60;
        (Life::draw(trial, n, minutes), minutes)
    };
    let first = cluster * CLUSTER;
    let mut lives: Vec<(Life, u64)> = (first..workloads.min(first + CLUSTER)).map(born).collect();
    let (mut shares, mut crowd) = (Shares::default(), Crowd::default());
    for minute in 0..LIFE_HOURS * 60 {
        let alive = |(_, minutes): &&mut (Life, u64)| minute < *minutes;
        let pods = lives.iter_mut().filter(alive).map(|(life, _)| life.pods()).sum();
        let turns = lives.iter_mut().filter(alive).map(|(life, _)| life.minute(minute, &mut shares, pods));
        let moved: Vec<Moved> = turns.collect();
        for (invariant, seen) in crowd.minute(minute, pods, &moved) {
            if let Some((life, _)) = lives.first_mut() {
                life.accuse(invariant, minute, seen);
            }
        }
    }
    lives.into_iter().map(|(life, minutes)| life.end(minutes)).collect()
}
