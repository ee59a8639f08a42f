//! `forescale demo` as a program: its numbers against its own step-by-step record, its page, its end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may fail")]

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
    node_hours: f64,
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
        let [time, contestant, load, unserved, replicas, pods, ready, _floor, nodes, _warm] = cells[..] else {
            panic!("{line}")
        };
        let load: f64 = load.parse().unwrap();
        let ready: f64 = ready.parse().unwrap();
        let short = (load - ready * capacity).max(0.0);
        assert!((short - unserved.parse::<f64>().unwrap()).abs() < 1e-6, "{line}");
        let book = books.entry(contestant.into()).or_default();
        book.offered += load * 15.0;
        book.unserved += short * 15.0;
        book.node_hours += nodes.parse::<f64>().unwrap() * 15.0 / 3600.0;
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
        near("node_hours", book.node_hours);
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
    for word in ["unserved work", "replica-hours", "node-hours", "scaling actions", "late minutes"] {
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
        (&["demo", "--headless", "--record", "/nonexistent/x.csv"], "found no folder /nonexistent"),
    ] {
        let run = forescale(args);
        assert_eq!(run.status.code(), Some(2), "{args:?}");
        assert!(text(&run.stderr).contains(says), "{}", text(&run.stderr));
    }
}

/// The program with its page, while it runs.
#[cfg(feature = "daemon")]
mod page {
    use super::text;
    use serde_json::Value;
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpStream;
    use std::process::{Child, ChildStdout, Command, Stdio};

    struct Running {
        child: Child,
        out: BufReader<ChildStdout>,
        port: u16,
    }

    /// Starts it and reads its lines up to the page's address.
    fn start(args: &[&str]) -> Running {
        let mut child = Command::new(env!("CARGO_BIN_EXE_forescale"))
            .arg("demo")
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let port = loop {
            let mut line = String::new();
            assert_ne!(out.read_line(&mut line).unwrap(), 0, "it ended without an address");
            if let Some((_, rest)) = line.split_once("http://127.0.0.1:") {
                break rest.split('/').next().unwrap().parse().unwrap();
            }
        };
        Running { child, out, port }
    }

    fn get(port: u16, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = text(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        (head.to_lowercase(), body.to_owned())
    }

    fn json(port: u16, since: i64) -> Value {
        serde_json::from_str(&get(port, &format!("/live.json?since={since}")).1).unwrap()
    }

    #[test]
    fn the_page_and_its_json_are_served_and_ctrl_c_ends_with_the_table() {
        let mut demo = start(&["--speed", "7200"]);
        let (head, page) = get(demo.port, "/");
        assert!(head.contains("content-security-policy: default-src 'none'"), "{head}");
        assert!(page.contains("<title>Forescale</title>"));
        assert!(!page.contains("https://") && !page.contains("src=\"http"), "the page asks nobody else for anything");
        let points = |answer: &Value| answer["points"].as_array().unwrap().clone();
        let mut all = json(demo.port, 0);
        while points(&all).len() < 5 {
            all = json(demo.port, 0);
        }
        assert_eq!(all["done"], false);
        assert_eq!(all["accounts"].as_array().unwrap().len(), 4);
        assert_eq!(all["subject"]["worlds"].as_array().unwrap().len(), 4);
        for point in points(&all) {
            assert!(point["load"].as_f64().unwrap() > 0.0 && point["ready"].as_array().unwrap().len() == 4, "{point}");
            assert!(point["reason"].is_string() && point["floor"].as_u64().unwrap() >= 1, "{point}");
            let band = &point["band"];
            assert_eq!(band["at"].as_i64().unwrap() - point["at"].as_i64().unwrap(), 300_000, "one lead ahead");
        }
        let third = points(&all)[2]["at"].as_i64().unwrap();
        let later = json(demo.port, third);
        assert_eq!(points(&later)[0]["at"].as_i64().unwrap(), third + 60_000, "only what is new");

        let interrupted = Command::new("kill").args(["-INT", &demo.child.id().to_string()]).status().unwrap();
        assert!(interrupted.success());
        let mut rest = String::new();
        demo.out.read_to_string(&mut rest).unwrap();
        assert!(demo.child.wait().unwrap().success());
        assert!(rest.contains("(stopped early)") && rest.contains("Perfect oracle"), "{rest}");
    }

    #[test]
    fn a_port_in_use_is_a_usage_error() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port().to_string();
        let run = super::forescale(&["demo", "--port", &port, "--live-for", "5m"]);
        assert_eq!(run.status.code(), Some(2));
        assert!(text(&run.stderr).contains("choose another port, or 0 for any"), "{}", text(&run.stderr));
    }

    #[test]
    fn in_a_browser_the_page_draws_and_shows_the_end() {
        let browser = ["chromium", "chromium-browser", "google-chrome"]
            .into_iter()
            .find(|b| Command::new(b).arg("--version").output().is_ok_and(|o| o.status.success()));
        let Some(browser) = browser else {
            println!("skipped: no chromium");
            return;
        };
        let mut demo = start(&["--speed", "1440", "--live-for", "6h"]);
        let profile = tempfile::tempdir().unwrap();
        // virtual time runs ahead while nothing is asked for, so the budget is large; the page stops asking at the end
        let shown = Command::new(browser)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(["--enable-logging=stderr", "--virtual-time-budget=3600000", "--window-size=1280,900", "--dump-dom"])
            .arg(format!("http://127.0.0.1:{}/", demo.port))
            .output()
            .unwrap();
        let mut rest = String::new();
        demo.out.read_to_string(&mut rest).unwrap();
        assert!(demo.child.wait().unwrap().success());
        let (dom, log) = (text(&shown.stdout), String::from_utf8_lossy(&shown.stderr).into_owned());
        let complaints: Vec<&str> = log.lines().filter(|l| l.contains("CONSOLE")).collect();
        assert!(complaints.is_empty(), "{complaints:?}");
        assert!(dom.contains(">ended</span>"), "{dom}");
        assert!(dom.contains("data-points=\"360\""), "every chart drew every step: {dom}");
        let mut rows = 0;
        for line in rest.lines().skip_while(|l| !l.contains("unserved work")).skip(1) {
            let cells: Vec<&str> = line.split("  ").map(str::trim).filter(|c| !c.is_empty()).collect();
            let [name, unserved, hours, nodes, actions, late] = cells[..] else { panic!("{line:?}") };
            let row: String = [name, unserved, late, hours, nodes, actions].map(|c| format!("<td>{c}</td>")).concat();
            assert!(dom.contains(&row), "{row} in {dom}");
            rows += 1;
        }
        assert_eq!(rows, 4, "{rest}");
    }
}
