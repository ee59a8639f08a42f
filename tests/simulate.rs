//! `forescale simulate` as a program: no violation under any fault, and a seed replays exactly.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may fail")]

use serde_json::Value;
use std::process::{Command, Output};

fn simulate(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_forescale")).arg("simulate").args(args).output().unwrap()
}

fn verdict(args: &[&str]) -> Value {
    let run = simulate(args);
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(said.starts_with("seed "), "the seed comes first: {said}");
    let verdict: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(verdict["violations"], 0, "{said}{verdict:#}");
    assert!(run.status.success(), "{said}");
    verdict
}

#[test]
fn an_adversary_breaks_nothing() {
    let args = ["--seed", "11", "--hours", "2000", "--faults", "all", "--forecaster", "adversary", "--json"];
    let verdict = verdict(&args);
    assert_eq!((&verdict["seed"], &verdict["workload_hours"]), (&11.into(), &2000.into()));
    assert_eq!(verdict["episodes"].as_object().unwrap().len(), 26, "every fault happened: {verdict}");
    assert!(verdict["floors_written"].as_u64().unwrap() > 10_000, "{verdict}");
}

#[test]
fn the_real_forecaster_breaks_nothing_and_a_seed_replays_exactly() {
    let args = |seed| ["--seed", seed, "--hours", "200", "--faults", "all", "--json"];
    let first = verdict(&args("5"));
    assert_eq!(first, verdict(&args("5")));
    for seed in ["2", "7"] {
        verdict(&args(seed));
    }
    assert!(first["turns"].as_u64().unwrap() > 10_000, "{first}");
}

#[test]
fn an_unknown_fault_is_a_usage_error() {
    let run = simulate(&["--faults", "zeroes"]);
    assert_eq!(run.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&run.stderr).contains("did you mean zeros?"));
}
