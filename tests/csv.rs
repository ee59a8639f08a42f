//! Recorded load from CSV, through the program: a file, a packed one, standard input, and every way to get it wrong.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// 2021-01-08T00:00:00Z.
const START: i64 = 1_610_064_000;

fn backtest(history: &str, input: &[u8], dir: &Path) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_forescale"))
        .args([
            "backtest",
            "--capacity-per-replica",
            "10",
            "--score-from",
            "1970-01-01T01:00:00Z",
            "--history",
            history,
        ])
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // a program that stops at a bad row does not read the rest
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_same_load_in_every_form_gives_the_same_scores() {
    let dir = tempfile::tempdir().unwrap();
    let load = |minute: i64| if minute == 100 { String::new() } else { format!("{}", 50 + minute % 40) };
    let rows = |time: &dyn Fn(i64) -> String| -> String {
        (0..240).map(|minute| format!("{},{}\n", time(minute), load(minute))).collect()
    };
    let rfc = |m: i64| format!("2021-01-08T{:02}:{:02}:00Z", m / 60, m % 60);
    let forms = [
        format!("timestamp,value\n{}", rows(&rfc)),
        rows(&rfc),
        rows(&|m| (START + m * 60).to_string()),
        rows(&|m| format!("{}.0", START + m * 60)),
        rows(&|m| ((START + m * 60) * 1000).to_string()),
        format!("\u{feff}\"Time\",\"value\"\r\n{}", rows(&|m| format!("\"{}\"", rfc(m))).replace('\n', "\r\n")),
        format!("sep=,\r\nTime,Requests\r\n{}", rows(&rfc)),
        format!("\"Time\",\"web-1\"\n{}", rows(&rfc).replace(",\n", ",null\n")),
    ];
    let mut scores = Vec::new();
    for text in &forms {
        std::fs::write(dir.path().join("load.csv"), text).unwrap();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(text.as_bytes()).unwrap();
        std::fs::write(dir.path().join("load.csv.gz"), packed.finish().unwrap()).unwrap();
        for (history, input) in [("load.csv", ""), ("load.csv.gz", ""), ("-", text.as_str())] {
            let done = backtest(history, input.as_bytes(), dir.path());
            assert!(done.status.success(), "{history}: {}", told(&done));
            assert_eq!(told(&done), "", "no warnings");
            scores.push(String::from_utf8(done.stdout).unwrap());
        }
    }
    assert!(scores[0].contains("replica-hours"), "{}", scores[0]);
    assert!(scores.iter().all(|s| *s == scores[0]), "{scores:#?}");
}

#[test]
fn bad_input_names_file_and_line_and_ends_with_2() {
    let dir = tempfile::tempdir().unwrap();
    for (text, says) in [
        ("", "bad.csv: expected at least one row time,value; found none"),
        ("timestamp,value\n", "bad.csv: expected at least one row"),
        ("0,1\n120,2\n60,3\n", "bad.csv:3: expected rows in order of time; found 1970-01-01T00:01:00Z after"),
        ("0,1\n60,2\n60,3\n", "bad.csv:3: expected each time once; found 1970-01-01T00:01:00Z again"),
        ("0,1\n60,-2\n", "bad.csv:2: expected a load: finite and not negative; found \"-2\""),
        ("0,1\n60,nan\n", "bad.csv:2: expected a load: finite and not negative; found \"nan\"; leave the value empty"),
        ("0,1\n60,many\n", "bad.csv:2: expected a load: a number; found \"many\""),
        ("0,1\n60,1e300\n", "bad.csv:2: expected a load of at most 1e15; found \"1e300\""),
        ("timestamp,value\n0,1,5\n60,2,5\n", "bad.csv:2: expected at most 2 cells, as the header has"),
        ("1795305600,1,200\n1795305660,1,210\n", "bad.csv:1: expected one number after the time, or a header"),
        ("1795305600,812,5\n", "found \"1795305600,812,5\"; write decimals with a point, not a comma"),
        ("1795305600,\"1,200.0\"\n", "found \"1,200.0\"; write decimals with a point, not a comma, and no thousands"),
        (
            "\"Time\",\"web-1\",\"web-2\"\n1795305600,1,2\n",
            "bad.csv:1: expected one column besides the time, or exactly one called value; found Time, web-1, web-2; name",
        ),
        ("id,Time,Load\n1,1795305600,5\n", "; found id, Time, Load; name the column of the load value"),
        ("sep=;\n1795305600;5\n", "bad.csv:2: expected a row time,value; found \"1795305600;5\"; separate the columns"),
        ("5,1970-01-01T00:00:00Z\n", "the two columns look swapped: the time comes first"),
        ("yesterday,5\n", "bad.csv:1: expected a time: RFC 3339"),
        ("0;1\n", "separate the columns by commas"),
        ("0,1\n", "bad.csv: expected at least two rows; found one"),
        ("0,1\n0.25,1\n0.5,1\n", "bad.csv: expected rows a second or more apart; found 3 rows within one second"),
        (
            "0,1\n60,1\n9000000000,1\n",
            "bad.csv: expected at most 5300000 steps of 1m; found 150000001 from the first to the last row; is one timestamp far off?",
        ),
        ("2026-01-01 00:00:00,1\n", "bad.csv:1: expected a time: RFC 3339"),
        ("2026-01-01 00:00:00,1\n", "it names no time zone: append Z, or an offset such as +01:00"),
    ] {
        std::fs::write(dir.path().join("bad.csv"), text).unwrap();
        for history in ["bad.csv", "-"] {
            let done = backtest(history, text.as_bytes(), dir.path());
            let says = if history == "-" { says.replace("bad.csv", "standard input") } else { says.into() };
            assert!(told(&done).contains(&says), "{text:?} as {history}: {}", told(&done));
            assert_eq!(done.status.code(), Some(2), "{text:?}");
            assert!(done.stdout.is_empty());
        }
    }
    let done = backtest("none.csv", b"", dir.path());
    assert!(told(&done).contains("none.csv: expected a readable CSV file") && done.status.code() == Some(2));
}

#[test]
fn a_history_without_anything_to_score_is_told() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("short.csv"), "0,1\n60,2\n120,3\n").unwrap();
    let done = backtest("short.csv", b"", dir.path());
    let says =
        "expected measured load from 1970-01-01T01:00:00Z on, which is scored; found none up to 1970-01-01T00:02:00Z";
    assert!(told(&done).contains(says), "{}", told(&done));
    assert_eq!(done.status.code(), Some(2));
    assert!(done.stdout.is_empty(), "no zeros in place of scores");
}

#[test]
fn a_step_coarser_than_the_lead_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let rows: String = (0..30).map(|hour| format!("{},5\n", START + hour * 3600)).collect();
    std::fs::write(dir.path().join("hourly.csv"), rows).unwrap();
    let done = backtest("hourly.csv", b"", dir.path());
    assert!(done.status.success(), "{}", told(&done));
    let says =
        "warning: hourly.csv: expected a step no longer than the lead time 3m; found 1h; what rises within a step";
    assert!(told(&done).contains(says), "{}", told(&done));
}
