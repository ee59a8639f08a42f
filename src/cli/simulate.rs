//! `forescale simulate`: many simulated workloads under faults, every invariant checked on every step.

use crate::error::{Failure, Problem, did_you_mean};
use crate::simulate::{Fault, Forecaster, Ordeal, Trial, Verdict, ordeals, run_trial};
use std::fmt::Write as _;

/// Look for unsafe decisions: simulated workloads, drawn faults, every invariant checked on every step.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Everything follows from the seed: the same seed and build give the same run.
Exit code 1 when an invariant did not hold.
Example:
  forescale simulate --seed 7 --hours 1000 --faults all --forecaster adversary
  forescale simulate --ordeals      the same faults for Forescale, HPA and KEDA beside each other")]
pub struct Args {
    /// Seed of everything that is drawn
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Workload-hours in total
    #[arg(long, default_value_t = 1000, value_name = "HOURS", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    hours: u64,
    /// Faults that may happen: all, none, or a list of names
    #[arg(long, default_value = "all", value_name = "NAMES")]
    faults: String,
    /// Who forecasts: the real one, or an adversary that says anything at all
    #[arg(long, default_value = "real", value_parser = ["real", "adversary"], value_name = "WHO")]
    forecaster: String,
    /// Instead: a loss of metrics, a restart and a poisoned day for Forescale, HPA and KEDA beside each other
    #[arg(long, conflicts_with_all = ["hours", "faults", "forecaster"])]
    ordeals: bool,
    /// The verdict as JSON
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Failure> {
    if args.ordeals {
        return compare(args);
    }
    let forecaster = if args.forecaster == "adversary" { Forecaster::Adversary } else { Forecaster::Real };
    let trial = Trial { seed: args.seed, hours: args.hours, faults: faults(&args.faults)?, forecaster };
    // first of all: whatever happens, this replays it
    let names: Vec<String> = trial.faults.iter().map(|f| f.name()).collect();
    eprintln!(
        "seed {}, {} workload-hours, forecaster {}, faults: {}",
        trial.seed,
        trial.hours,
        args.forecaster,
        if names.is_empty() { "none".into() } else { names.join(",") }
    );
    let mut told = 0;
    let verdict = run_trial(&trial, &mut |hours, so_far| {
        // at once: the end may be hours away
        for violation in so_far.first_violations.iter().skip(told) {
            eprintln!("violation: {}", serde_json::to_string(violation).unwrap_or_default());
        }
        told = so_far.first_violations.len();
        if hours < trial.hours {
            eprintln!("{hours} workload-hours so far, {} violations", so_far.violations);
        }
    });
    if args.json {
        super::print(&(serde_json::to_string(&verdict).map_err(anyhow::Error::from)? + "\n"))?;
    } else {
        super::print(&text(&verdict))?;
    }
    match verdict.violations {
        0 => Ok(()),
        n => Err(anyhow::anyhow!("{n} violations; seed {} replays them", verdict.seed).into()),
    }
}

fn compare(args: &Args) -> Result<(), Failure> {
    eprintln!("seed {}, a week of a daily load with a peak of 40 replicas at noon", args.seed);
    let all = ordeals(args.seed);
    if args.json {
        return super::print(&(serde_json::to_string(&all).map_err(anyhow::Error::from)? + "\n"));
    }
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{:<14} {:<10} {:>14} {:>14} {:>13}",
        "trouble", "scaled by", "unserved work", "replica-hours", "late minutes"
    );
    for Ordeal { trouble, scaler, unserved_fraction, replica_hours, late_minutes } in all {
        let name = |v: serde_json::Value| v.as_str().unwrap_or_default().to_owned();
        let _ = writeln!(
            out,
            "{:<14} {:<10} {:>12.3} % {replica_hours:>14.0} {late_minutes:>13}",
            name(serde_json::json!(trouble)),
            name(serde_json::json!(scaler)),
            unserved_fraction * 100.0
        );
    }
    super::print(&out)
}

fn faults(text: &str) -> Result<Vec<Fault>, Failure> {
    let one = |word: &str| {
        let found = Fault::ALL.into_iter().find(|f| f.name() == word);
        found.ok_or_else(|| {
            let names = Fault::ALL.map(Fault::name);
            let help = did_you_mean(word, names.iter().map(String::as_str)).map(|w| format!("did you mean {w}?"));
            Problem::new("--faults", format!("all, none, or some of {}", names.join(",")), word)
                .help(help.unwrap_or_default())
                .into()
        })
    };
    match text {
        "all" => Ok(Fault::ALL.to_vec()),
        "none" => Ok(Vec::new()),
        list => list.split(',').map(str::trim).map(one).collect(),
    }
}

fn text(verdict: &Verdict) -> String {
    let mut out = String::new();
    for (fault, episodes) in &verdict.episodes {
        let _ = writeln!(out, "{:<16} {episodes:>9} episodes", fault.name());
    }
    for violation in &verdict.first_violations {
        let faults: Vec<String> = violation.faults.iter().map(|f| f.name()).collect();
        let (n, minute) = (violation.workload, violation.minute);
        let _ = writeln!(
            out,
            "{} workload {n} minute {minute}: {} (faults: {})",
            violation.invariant,
            violation.seen,
            faults.join(",")
        );
    }
    let _ = writeln!(
        out,
        "{} workload-hours, {} workloads, {} turns, {} floors written: {} violations",
        verdict.workload_hours, verdict.workloads, verdict.turns, verdict.floors_written, verdict.violations
    );
    out
}
