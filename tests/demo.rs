//! `forescale demo` as a program: its numbers against its own step-by-step record, its page, its end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output};

fn forescale(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_forescale")).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A short run: the first morning's ramp.
fn headless(record: &Path) -> Output {
    forescale(&["demo", "--headless", "--json", "--live-for", "8h", "--record", record.to_str().unwrap()])
}

#[derive(Default)]
struct Recomputed {
    offered: f64,
    unserved: f64,
    hours: f64,
    actions: u64,
    late: BTreeSet<String>,
    last: Option<u32>,
}

#[test]
fn the_books_agree_with_the_record_and_a_seed_gives_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one.csv"), dir.path().join("two.csv"));
    let first = headless(&one);
    assert!(first.status.success(), "{}", text(&first.stderr));
    let second = headless(&two);
    assert_eq!(text(&first.stdout), text(&second.stdout));
    let record = std::fs::read_to_string(&one).unwrap();
    assert_eq!(record, std::fs::read_to_string(&two).unwrap());

    let answer: serde_json::Value = serde_json::from_slice(&first.stdout).unwrap();
    let capacity = answer["scenario"]["workload"]["capacity_per_replica"].as_f64().unwrap();
    let mut books: BTreeMap<String, Recomputed> = BTreeMap::new();
    for line in record.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let [time, contestant, load, unserved, replicas, pods, ready, _floor] = cells[..] else { panic!("{line}") };
        let load: f64 = load.parse().unwrap();
        let ready: f64 = ready.parse().unwrap();
        let short = (load - ready * capacity).max(0.0);
        assert!((short - unserved.parse::<f64>().unwrap()).abs() < 1e-6, "{line}");
        let book = books.entry(contestant.into()).or_default();
        book.offered += load * 15.0;
        book.unserved += short * 15.0;
        book.hours += pods.parse::<f64>().unwrap() * 15.0 / 3600.0;
        let replicas: u32 = replicas.parse().unwrap();
        book.actions += u64::from(book.last.is_some_and(|last| last != replicas));
        book.last = Some(replicas);
        if short > 1e-6 {
            book.late.insert(time[..16].to_owned());
        }
    }
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results.len(), 4);
    for result in results {
        let book = &books[result["contestant"].as_str().unwrap()];
        let near = |key: &str, value: f64| {
            let told = result[key].as_f64().unwrap();
            assert!((told - value).abs() <= 1e-9 * value.abs() + 1e-9, "{key}: told {told}, recomputed {value}");
        };
        near("offered", book.offered);
        near("unserved", book.unserved);
        near("unserved_fraction", book.unserved / book.offered);
        near("replica_hours", book.hours);
        assert_eq!(result["scaling_actions"], book.actions);
        assert_eq!(result["late_minutes"], book.late.len());
    }
    let oracle = &books["oracle"];
    assert_eq!(oracle.unserved, 0.0, "perfect foresight serves everything");
    for (name, book) in &books {
        // 8 h x 240 steps an hour, all at the same load
        assert_eq!(book.offered, oracle.offered, "{name}");
    }
}

#[test]
fn without_json_a_table_ends_it() {
    let run = forescale(&["demo", "--headless", "--live-for", "30m"]);
    assert!(run.status.success());
    let table = text(&run.stdout);
    for word in ["unserved work", "replica-hours", "scaling actions", "late minutes"] {
        assert!(table.contains(word), "{table}");
    }
    for name in ["Forescale", "HPA alone", "Perfect oracle"] {
        assert_eq!(table.lines().filter(|l| l.starts_with(name)).count().min(1), 1, "{table}");
    }
    assert!(!table.contains('\x1b'), "no colours where there is no terminal");
}

#[test]
fn wrong_options_are_usage_errors() {
    for (args, says) in [
        (&["demo", "--live-for", "90d"][..], "--live-for: expected at most"),
        (&["demo", "--speed", "0"], "a factor from 1"),
        (&["demo", "--port", "70000"], "70000"),
    ] {
        let run = forescale(args);
        assert_eq!(run.status.code(), Some(2), "{args:?}");
        assert!(text(&run.stderr).contains(says), "{}", text(&run.stderr));
    }
    let run = forescale(&["demo", "--headless", "--record", "/nonexistent/x.csv"]);
    assert_eq!(run.status.code(), Some(1));
    assert!(text(&run.stderr).contains("/nonexistent/x.csv: cannot be written"), "{}", text(&run.stderr));
}
