//! Many workloads, each with its own life, faults and witness: the proof of safety, and its replay from a seed.

use super::faults::Fault;
use super::life::{Life, Lived};
use super::witness::Violation;
use rayon::prelude::*;
use serde::Serialize;
use std::collections::BTreeMap;

/// Hours that one workload lives.
const LIFE_HOURS: u64 = 48;
/// Workloads after which the verdict so far is told: some 400,000 workload-hours.
const BATCH: u64 = 8192;
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
    for first in (0..workloads).step_by(BATCH as usize) {
        let batch = (first..workloads.min(first + BATCH)).into_par_iter();
        let lives: Vec<Lived> = batch.map(|n| live(trial, n)).collect();
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
        told(trial.hours.min((first + BATCH) * LIFE_HOURS), &verdict);
    }
    verdict
}

fn live(trial: &Trial, n: u64) -> Lived {
    let minutes = LIFE_HOURS.min(trial.hours - n * LIFE_HOURS) * 60;
    let mut life = Life::draw(trial, n, minutes);
    (0..minutes).for_each(|minute| life.minute(minute));
    life.end(minutes)
}
