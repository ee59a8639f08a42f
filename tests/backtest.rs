//! The backtest through the program: it never looks ahead, its log replays, its files are what scorers expect.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may fail")]

use std::io::Read;
use std::path::Path;
use std::process::Command;

/// Three days of minutes of the shipped trace, from its start.
fn trace() -> Vec<(String, f64)> {
    let file = std::fs::File::open("config/demo/ms_mongo_app1_1m.csv.gz").unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    let row = |line: &str| {
        let (time, value) = line.split_once(',').unwrap();
        (time.to_owned(), value.parse().unwrap())
    };
    text.lines().skip(1).take(3 * 1440).map(row).collect()
}

fn program(dir: &Path, rows: &[(String, f64)], more: &[&str]) -> (String, String, serde_json::Value) {
    let history = dir.join("load.csv");
    let text: String = rows.iter().map(|(time, value)| format!("{time},{value}\n")).collect();
    std::fs::write(&history, "timestamp,value\n".to_owned() + &text).unwrap();
    let file = |name: &str| dir.join(name).display().to_string();
    let (decisions, forecasts, json) = (file("decisions.csv"), file("forecasts.csv"), file("scores.json"));
    let done = Command::new(env!("CARGO_BIN_EXE_forescale"))
        .args(["backtest", "--history", &history.display().to_string(), "--capacity-per-replica", "300"])
        .args(["--min-replicas", "1", "--max-replicas", "400", "--lead-time", "3m", "--unserved-budget", "0.0323745%"])
        .args(["--score-from", &rows[1440].0, "--decisions", &decisions, "--forecasts", &forecasts, "--json", &json])
        .args(more)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let read = |path: &str| std::fs::read_to_string(path).unwrap();
    (read(&decisions), read(&forecasts), serde_json::from_str(&read(&json)).unwrap())
}

#[test]
fn no_row_up_to_a_cut_depends_on_what_comes_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let rows = trace();
    let (decisions, forecasts, scores) = program(dir.path(), &rows, &[]);
    assert_eq!(decisions.lines().count(), 1 + 2 * 1440, "a row for every scored step");
    assert_eq!(forecasts.lines().count(), 1 + 2 * 1440 * 12, "three horizons, four quantiles, every origin");
    let last = forecasts.lines().last().unwrap();
    assert!(last.starts_with(&rows[3 * 1440 - 1].0), "the last origin too: {last}");
    assert!(scores["scores"]["unserved_fraction"].as_f64().unwrap() < 0.01);
    assert!(scores["scores"]["replica_hours"].as_f64().unwrap() > 100.0);

    let cut = 2500;
    let upto = |text: &str| -> Vec<String> {
        text.lines().filter(|l| l.split(',').next().unwrap() <= rows[cut].0.as_str()).map(str::to_owned).collect()
    };
    let times_ten = |rows: &[(String, f64)], factor: f64| -> Vec<(String, f64)> {
        rows.iter().enumerate().map(|(i, (t, v))| (t.clone(), if i > cut { v * factor } else { *v })).collect()
    };
    for changed in [rows[..=cut].to_vec(), times_ten(&rows, 10.0), times_ten(&rows, 0.0)] {
        let (d, f, _) = program(dir.path(), &changed, &[]);
        assert!(upto(&d) == upto(&decisions) && upto(&f) == upto(&forecasts), "{} rows", changed.len());
    }
}

#[test]
fn a_cut_inside_a_hole_changes_nothing_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let all = trace();
    let hole = 2490..2520;
    let rows: Vec<(String, f64)> =
        all.iter().enumerate().filter(|(i, _)| !hole.contains(i)).map(|(_, row)| row.clone()).collect();
    let (decisions, forecasts, _) = program(dir.path(), &rows, &[]);
    assert_eq!(decisions.lines().count(), 1 + 2 * 1440 - hole.len(), "no row for a step without a sample");
    let cut = &all[2505].0;
    let upto = |text: &str| -> Vec<String> {
        text.lines().filter(|l| l.split(',').next().unwrap() <= cut.as_str()).map(str::to_owned).collect()
    };
    let (d, f, _) = program(dir.path(), &rows[..hole.start], &[]);
    assert!(upto(&d) == upto(&decisions) && upto(&f) == upto(&forecasts));
    assert!(!forecasts.contains(&all[2500].0), "an origin without a sample");
}

#[test]
fn its_log_replays_and_a_changed_one_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log.jsonl");
    program(dir.path(), &trace()[..1500], &["--log", &log.display().to_string()]);
    let replay = || Command::new(env!("CARGO_BIN_EXE_forescale")).arg("replay").arg(&log).output().unwrap();
    let done = replay();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(String::from_utf8_lossy(&done.stdout), "1500 decisions, all the same\n");

    let text = std::fs::read_to_string(&log).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines[1000] = lines[1000].replacen("\"Valid\":", "\"Valid\":1", 1);
    std::fs::write(&log, lines.join("\n")).unwrap();
    let done = replay();
    let told = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{told}");
    assert!(
        told.contains("line 1001, backtest/history at ") && told.contains(": decision.demands[0].replicas[0] was "),
        "{told}"
    );
    assert!(told.contains("999 decisions before it were the same"), "{told}");

    let cut: String = text.lines().take(500).map(|line| format!("{line}\n")).collect();
    std::fs::write(&log, &cut[..cut.len() - 100]).unwrap();
    let done = replay();
    let told = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(2), "{told}");
    assert!(told.contains("log.jsonl:500: expected a record of a decision log; found EOF while"), "{told}");
    assert!(told.contains("; 498 decisions before it were the same"), "{told}");
}

#[test]
fn an_empty_log_is_no_replay() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("empty.jsonl");
    std::fs::write(&log, "").unwrap();
    let done = Command::new(env!("CARGO_BIN_EXE_forescale")).arg("replay").arg(&log).output().unwrap();
    assert_eq!(done.status.code(), Some(2));
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(said.contains("expected a decision log with at least one decision; found none"), "{said}");
}

#[test]
fn several_histories_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let rows = trace();
    let write = |name: &str, rows: &[(String, f64)]| {
        let text: String = rows.iter().map(|(time, value)| format!("{time},{value}\n")).collect();
        std::fs::write(dir.path().join(name), text).unwrap();
    };
    write("a.csv", &rows[..1600]);
    write("b.csv", &rows[..1500]);
    let done = Command::new(env!("CARGO_BIN_EXE_forescale"))
        .args(["backtest", "--peak-replicas", "20", "--score-from", &rows[700].0, "--json", "all.json"])
        .args(["--history", "a.csv", "b.csv"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let table = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(table.lines().count() == 3 && table.contains("b.csv"), "{table}");
    let json: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(dir.path().join("all.json")).unwrap()).unwrap();
    assert_eq!(json["files"].as_array().unwrap().len(), 2);
}

#[test]
fn the_order_of_workloads_changes_nothing_and_a_second_run_gives_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let rows = trace();
    let mut paths = Vec::new();
    for (i, factor) in [1.0, 3.0, 0.2].into_iter().enumerate() {
        let path = dir.path().join(format!("{i}.csv"));
        let text: String =
            rows.iter().skip(200 * i).map(|(time, value)| format!("{time},{}\n", value * factor)).collect();
        std::fs::write(&path, text).unwrap();
        paths.push(path.display().to_string());
    }
    let run = |order: [usize; 3]| {
        let json = dir.path().join("out.json").display().to_string();
        let done = Command::new(env!("CARGO_BIN_EXE_forescale"))
            .args(["backtest", "--peak-replicas", "40", "--json", &json, "--history"])
            .args(order.map(|i| &paths[i]))
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let text = std::fs::read_to_string(&json).unwrap();
        let files: serde_json::Value = serde_json::from_str(&text).unwrap();
        let books = |file: &serde_json::Value| format!("{} {}", file["scores"], file["rivals"]);
        let mut files: Vec<String> = files["files"].as_array().unwrap().iter().map(books).collect();
        files.sort();
        (text, files)
    };
    let (text, files) = run([0, 1, 2]);
    assert_eq!(files.len(), 3);
    assert_eq!(run([0, 1, 2]).0, text, "byte for byte, on however many cores");
    assert_eq!(run([2, 0, 1]).1, files);

    let (one, other) = (program(dir.path(), &rows, &[]), program(dir.path(), &rows, &[]));
    assert!(one == other, "decisions, forecasts and scores");
}
