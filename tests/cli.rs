//! The command line as a person meets it: help with examples, exit codes, no colours where none are wanted.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail")]

use std::process::{Command, Output, Stdio};

fn forescale(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_forescale")).args(arguments).env("NO_COLOR", "1").output().unwrap()
}

fn commands() -> Vec<String> {
    let help = String::from_utf8(forescale(&["--help"]).stdout).unwrap();
    let listed = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let name =
        |line: &str| line.strip_prefix("  ").filter(|l| !l.starts_with(' '))?.split(' ').next().map(str::to_owned);
    listed.lines().filter_map(name).filter(|name| name != "help").collect()
}

#[test]
fn every_command_has_help_with_an_example() {
    let commands = commands();
    assert!(commands.len() >= 5, "{commands:?}");
    for command in commands {
        let done = forescale(&[&command, "--help"]);
        let help = String::from_utf8(done.stdout).unwrap();
        assert!(done.status.success(), "{command} --help");
        assert!(help.contains("Example") && help.contains(&format!("forescale {command}")), "{command}:\n{help}");
        assert!(!help.contains('\u{1b}'), "{command}: colours in spite of NO_COLOR");
    }
}

#[test]
fn every_command_of_the_readme_exists() {
    let readme = include_str!("../README.md");
    let table = readme.split("## Commands").nth(1).unwrap().split("##").next().unwrap();
    let all = commands();
    let named = table.lines().filter(|l| l.starts_with("| `")).flat_map(|l| {
        let cell = l.trim_start_matches('|').split('|').next().unwrap_or_default();
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
    });
    let named: Vec<String> = named.collect();
    assert!(named.len() >= 5, "{named:?}");
    // a build without the daemon has fewer commands than the README
    #[cfg(feature = "daemon")]
    assert!(named.iter().all(|n| all.contains(n)), "{named:?} against {all:?}");
    assert!(all.iter().all(|n| named.contains(n)), "{all:?} are not all in the README: {named:?}");
}

#[test]
fn exit_codes_are_0_1_and_2() {
    assert_eq!(forescale(&["--version"]).status.code(), Some(0));
    assert_eq!(forescale(&["no-such-command"]).status.code(), Some(2));
    assert_eq!(
        forescale(&["backtest", "--history", "no-such-file.csv", "--capacity-per-replica", "1"]).status.code(),
        Some(2)
    );
    assert_eq!(forescale(&["import", "no-such-file.yaml"]).status.code(), Some(2));
    let done = forescale(&["backtest", "--history", "-", "--capacity-per-replica", "1", "--time-zone", "Mars/Olympus"]);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.code() == Some(2) && said.contains("expected an IANA time zone"), "{said}");
    let full = ["backtest", "--history", "config/demo/ms_mongo_app1_1m.csv.gz", "--capacity-per-replica", "300"];
    let done = forescale(&[&full[..], &["--decisions", "no-such-folder/out.csv"]].concat());
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.code() == Some(2) && said.contains("mkdir -p no-such-folder"), "{said}");
    for (flag, value, says) in [
        ("--unserved-budget", "0.1", "expected a percent sign"),
        ("--lead-time", "3", "expected a duration such as 90s"),
    ] {
        let done = forescale(&[&full[..], &[flag, value]].concat());
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.code() == Some(2) && said.contains(says), "{flag} {value}: {said}");
    }
    assert_eq!(forescale(&["lint", "tests/data/lint/bad/budgets.yaml"]).status.code(), Some(1));
    let done = forescale(&[&full[..], &["--decisions", "/dev/full"]].concat());
    assert_eq!(done.status.code(), Some(1), "{}", String::from_utf8_lossy(&done.stderr));
    let done = forescale(&[&full[..], &["--decisions", "same.csv", "--forecasts", "same.csv"]].concat());
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.code() == Some(2) && said.contains("--forecasts: expected a file of its own"), "{said}");
    let done = forescale(&["backtest", "--history", "-", "--capacity-per-replica", "-3"]);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.code() == Some(2) && said.contains("expected a positive number"), "{said}");
}

#[test]
fn a_reader_that_has_gone_away_is_no_reason_to_fail() {
    let dir = tempfile::tempdir().unwrap();
    let objects = dir.path().join("cron.yaml").display().to_string();
    let text = "kind: CronHPA\nmetadata: {name: web}\nspec:\n  scaleTargetRef: {name: web}\n  jobs:\n  - {schedule: '0 8 * * *', targetSize: 5}\n  - {schedule: '0 9 * * *', targetSize: 2}\n";
    std::fs::write(&objects, text).unwrap();
    let history = ["--history", "config/demo/ms_mongo_app1_1m.csv.gz"];
    for (arguments, code) in [
        (vec!["lint", "tests/data/lint/bad/budgets.yaml", "--sarif"], 1),
        (vec!["lint", "tests/data/lint/good/all.yaml"], 0),
        (vec!["import", &objects], 0),
        (vec!["import", &objects, "--json"], 0),
        (vec!["simulate", "--hours", "1"], 0),
        (vec!["forecast", history[0], history[1]], 0),
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_forescale"))
            .args(&arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let done = child.wait_with_output().unwrap();
        assert_eq!(done.status.code(), Some(code), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

#[test]
fn train_writes_a_model_with_its_card_and_says_what_is_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("traces");
    std::fs::create_dir(&folder).unwrap();
    let path = |name: &str| folder.join(name);
    for (name, peak) in [("noon.csv", 12.0), ("late.csv", 13.0), ("night.csv", 1.0)] {
        let row = |i: usize| {
            let load = 100.0 * (0.5 * (std::f64::consts::TAU * (i as f64 / 96.0 - peak / 24.0)).cos()).exp();
            format!("{},{load:.3}\n", 1_700_000_000 + 900 * i)
        };
        std::fs::write(path(name), (0..96 * 8).map(row).collect::<String>()).unwrap();
    }
    std::fs::write(path("short.csv"), "0,1\n60,2\n").unwrap();
    let (folder, out) = (folder.display().to_string(), dir.path().join("models").display().to_string());
    let train = |seed: &str| {
        forescale(&["train", "--traces", &folder, "--out", &out, "--archetypes", "2", "--seed", seed, "--json"])
    };
    let done = train("3");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let card: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    let shape = |i: usize| card["traces"][i]["archetype"].as_u64().unwrap();
    // by name: late, night, noon
    assert!(shape(0) == shape(2) && shape(0) != shape(1), "{card}");
    assert_eq!((card["skipped"][0]["file"].as_str(), card["seed"].as_u64()), (Some("short.csv"), Some(3)));
    assert!(card["trial"]["prior"].as_f64().unwrap() > 0.0, "{card}");
    let weights = std::fs::read(dir.path().join("models/weekly/weights.json")).unwrap();
    let stored = std::fs::read(dir.path().join("models/weekly/card.json")).unwrap();
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&stored).unwrap(), card);
    assert_eq!(train("3").stdout, done.stdout, "the same seed, the same bytes");
    assert_eq!(std::fs::read(dir.path().join("models/weekly/weights.json")).unwrap(), weights);
    let none = forescale(&["train", "--traces", "src"]);
    let said = String::from_utf8_lossy(&none.stderr).into_owned();
    assert!(none.status.code() == Some(2) && said.contains("at least two traces"), "{said}");
    assert_eq!(forescale(&["train", "--traces", "no-such-folder"]).status.code(), Some(2));
}
