//! Against a real Prometheus, filled by promtool. Where `prometheus` and `promtool` aren't installed, these tests say so
//! and do nothing.

use crate::query::{ask, plain, request, source, told};
use forescale::clock::{Clock, SystemClock};
use forescale::history::backfill::{Track, fill};
use forescale::history::prometheus::{Auth, SourceOptions, enforce_namespace};
use forescale::history::{HistorySource, Query};
use forescale::units::{Step, Time};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const STEP: i64 = 10;
const DAYS: i64 = 2;

/// Seconds from the end of the trace: nothing measured.
const HOLE: std::ops::Range<i64> = 30_000..34_000;
/// Seconds from the end of the trace: measured, and nothing to do.
const IDLE: std::ops::Range<i64> = 50_000..52_000;

/// The load `ago` seconds before the end of the trace.
fn load(ago: i64) -> Option<f64> {
    match ago {
        _ if HOLE.contains(&ago) => None,
        _ if IDLE.contains(&ago) => Some(0.0),
        _ => Some((1000.0 + 500.0 * (ago as f64 / 13_000.0).sin()).round()),
    }
}

struct Real {
    url: String,
    /// The last instant of the trace.
    end: i64,
    process: Child,
    _dir: tempfile::TempDir,
}

impl Drop for Real {
    fn drop(&mut self) {
        // it may have been stopped by the test
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn installed() -> bool {
    let runs = |name| Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    let both = runs("prometheus") && runs("promtool");
    if !both {
        eprintln!("skipped: prometheus and promtool are not installed (Debian and Ubuntu: apt-get install prometheus)");
    }
    both
}

/// Starts one with the trace in two namespaces, `a` and (tripled) `b`; None where it isn't installed.
fn start(web_config: Option<(&Path, &str)>) -> Option<Real> {
    if !installed() {
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let (data, config) = (dir.path().join("data"), dir.path().join("prometheus.yml"));
    let end = SystemClock.now().secs() / 60 * 60;
    let mut text = String::from("# TYPE load gauge\n");
    for (namespace, times) in [("a", 1.0), ("b", 3.0)] {
        for ago in (0..=DAYS * 86_400).rev().step_by(STEP as usize) {
            if let Some(value) = load(ago) {
                writeln!(text, "load{{app=\"web\",namespace=\"{namespace}\"}} {} {}", value * times, end - ago)
                    .unwrap();
            }
        }
    }
    text.push_str("# EOF\n");
    std::fs::write(dir.path().join("trace"), text).unwrap();
    std::fs::write(&config, "global: {}\n").unwrap();
    // one block at a time, and few of them: each sets 512 MB aside while it is made
    static FILLING: Mutex<()> = Mutex::new(());
    let filling = FILLING.lock().unwrap_or_else(PoisonError::into_inner);
    let made = Command::new("promtool")
        .args(["tsdb", "create-blocks-from", "--max-block-duration=486h", "openmetrics", "--quiet"])
        .args([dir.path().join("trace"), data.clone()])
        .output()
        .unwrap();
    assert!(made.status.success(), "promtool: {}", String::from_utf8_lossy(&made.stderr));
    drop(filling);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", data.display()))
        .arg("--storage.tsdb.retention.time=60d")
        .arg("--storage.tsdb.max-block-chunk-segment-size=16MB")
        .arg("--storage.tsdb.wal-segment-size=16MB")
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(dir.path().join("log")).unwrap());
    let scheme = match web_config {
        Some((path, scheme)) => {
            command.arg(format!("--web.config.file={}", path.display()));
            scheme
        }
        None => "http",
    };
    let process = command.spawn().unwrap();
    let log = dir.path().join("log");
    let real = Real { url: format!("{scheme}://127.0.0.1:{port}"), end, process, _dir: dir };
    for _ in 0..300 {
        if std::fs::read_to_string(&log).unwrap_or_default().contains("Server is ready") {
            return Some(real);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("prometheus is not ready after 30 s: {}", std::fs::read_to_string(&log).unwrap_or_default());
}

/// Seconds for which a sample stands where none follows: Prometheus' look-back.
const LOOK_BACK: i64 = 300;

/// What the source must give from `from` to `to` (seconds before the end).
fn expected(from: i64, to: i64, end: i64) -> Vec<(i64, f64)> {
    let at = |ago: i64| (ago..ago + LOOK_BACK).step_by(STEP as usize).find_map(load);
    (to..=from).rev().step_by(STEP as usize).filter_map(|ago| Some((end - ago, at(ago)?))).collect()
}

#[tokio::test]
async fn two_days_of_ten_seconds() {
    let Some(real) = start(None) else { return };
    let prometheus = source(SourceOptions::new(&real.url));
    let query = r#"sum(load{namespace="a"})"#;

    // more points than one range query may give
    let from = real.end - DAYS * 86_400;
    let answer = prometheus.fetch(&request(&[query], from, real.end, STEP as u32)).await.remove(0);
    let points = plain(&answer.points.unwrap());
    assert!(points.len() > 11_000 && answer.warnings.is_empty());
    // Prometheus 2 still gives the sample when it is exactly as old as the look-back, Prometheus 3 doesn't
    let edge = real.end - (HOLE.end - LOOK_BACK);
    let inside = |points: &[(i64, f64)]| points.iter().copied().filter(|p| p.0 != edge).collect::<Vec<_>>();
    let (got, wanted) = (inside(&points), inside(&expected(DAYS * 86_400, 0, real.end)));
    assert_eq!(got.iter().zip(&wanted).find(|(a, b)| a != b), None, "holes are missing, zeros are zero");
    assert_eq!(got.len(), wanted.len());
    assert!(points.iter().filter(|p| p.1 == 0.0).count() >= 200);
    let widest = got.windows(2).map(|w| w[1].0 - w[0].0).max();
    assert_eq!(widest, Some(HOLE.end - HOLE.start - LOOK_BACK + 2 * STEP), "the hole, less the look-back");

    // the same points by back-fill, window after window, and by increments afterwards
    let step = Step::from_secs(STEP as u32).unwrap();
    let span = Duration::from_secs(86_400 * DAYS as u64);
    let mut tracks = [Track::new(Query { id: "q".into(), text: query.into() }, step, span)];
    let mut seen = Vec::new();
    let before = Time::from_secs(real.end - 100);
    let filled = fill(&prometheus, &mut tracks, before, 1000, &mut |p| seen.push(p)).await;
    assert!(filled[0].error.is_none() && seen.len() > 5, "{filled:?}");
    fill(&prometheus, &mut tracks, Time::from_secs(real.end), 1000, &mut |_| {}).await;
    assert!(plain(tracks[0].points()) == points, "other points by back-fill");
    let grids = [tracks[0].points(), &points.iter().map(|(t, v)| (Time::from_secs(*t), *v)).collect()]
        .map(|points| forescale::series::grid(points, step).unwrap());
    assert!(grids[0] == grids[1], "another grid by back-fill");

    // nothing there, which is not zero
    let nothing = ask(&prometheus, &["sum(no_such_metric)"]).await.remove(0);
    assert_eq!(nothing.points.unwrap(), []);

    // a tenant's query is held to its namespace
    let last = request(&[&enforce_namespace("sum(load)", "b").unwrap(), "sum(load)"], real.end, real.end, 10);
    let answers = prometheus.fetch(&last).await;
    let value = load(0).unwrap();
    assert_eq!(plain(answers[0].points.as_ref().unwrap()), [(real.end, 3.0 * value)]);
    assert_eq!(plain(answers[1].points.as_ref().unwrap()), [(real.end, 4.0 * value)]);

    many_at_once(&real).await;
    backtest(&real, query);

    let Real { url, .. } = &real;
    let url = url.clone();
    drop(real);
    let (kind, text) = told(ask(&prometheus, &["sum(load)"]).await.remove(0));
    assert!(kind == "unavailable" && text.contains(&url), "{text}");
}

/// Forty queries, some of which a real Prometheus refuses: the others are answered.
async fn many_at_once(real: &Real) {
    let prometheus = source(SourceOptions::new(&real.url));
    let mut texts: Vec<String> = (1..=40).map(|i| format!(r#"sum(load{{namespace="a"}}) * {i}"#)).collect();
    let bad = [
        ("sum(load", "refused", "parse error"),
        // the parser knows it, this Prometheus doesn't: so it spoils what it is joined with
        ("limitk(1, load)", "refused", "parse error"),
        ("load * on (app) load", "refused", "execution: found duplicate series"),
        (r#"load{namespace=~"a|b"}"#, "refused", "2 series, differing in namespace"),
        ("\"text\"", "refused", "must be Scalar or instant Vector"),
    ];
    texts.extend(bad.iter().map(|(text, _, _)| (*text).to_owned()));
    texts.push("42".into());
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    for round in 0..2 {
        let mut answers = prometheus.fetch(&request(&texts, real.end - 60, real.end, 60)).await;
        let scalar = answers.pop().unwrap();
        assert_eq!(plain(&scalar.points.unwrap()), [(real.end - 60, 42.0), (real.end, 42.0)]);
        for ((text, kind, says), answer) in bad.iter().zip(answers.split_off(40)) {
            let (was, told) = told(answer);
            assert!(was == *kind && told.contains(says) && told.contains("of "), "{text}, round {round}: {told}");
        }
        for (i, answer) in answers.iter().enumerate() {
            let points = plain(answer.points.as_ref().unwrap());
            let times = (i + 1) as f64;
            let expected = [60, 0].map(|ago| (real.end - ago, load(ago).unwrap() * times));
            assert_eq!(points, expected, "query {i}, round {round}");
        }
    }
}

/// The program itself on the same source.
fn backtest(real: &Real, query: &str) {
    let dir = tempfile::tempdir().unwrap();
    let decisions = dir.path().join("decisions.csv");
    let run = |query: &str, url: &str| {
        Command::new(env!("CARGO_BIN_EXE_forescale"))
            .args(["backtest", "--capacity-per-replica", "100", "--source-url", url, "--query", query])
            .args(["--since", "2d", "--step", "1m", "--score-from"])
            .arg((real.end - 3600).to_string())
            .arg("--decisions")
            .arg(&decisions)
            .output()
            .unwrap()
    };
    let done = run(query, &real.url);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(String::from_utf8_lossy(&done.stdout).contains("replica-hours"));
    let rows = std::fs::read_to_string(&decisions).unwrap().lines().count();
    assert!(rows >= 60, "{rows} rows for the decisions of an hour");
    for (query, url, code, says) in [
        ("sum(no_such_metric)", real.url.as_str(), 2, "expected samples in the 2d before"),
        ("sum(load", &real.url, 2, "parse error"),
        ("load", &real.url, 2, "2 series, differing in namespace"),
        ("sum(load)", "http://127.0.0.1:9", 1, "Connection refused"),
        ("sum(load)", "http://user:pass-word@127.0.0.1:9", 2, "the password in a file"),
    ] {
        let done = run(query, url);
        let told = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.code() == Some(code) && told.contains(says), "{query} of {url}: {told}");
        assert!(!told.contains("pass-word"), "{told}");
    }
}

/// TLS with certificates of a private authority, and a password.
#[tokio::test]
async fn private_ca_and_basic_auth() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| -> PathBuf { dir.path().join(name) };
    let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = rcgen::CertifiedIssuer::self_signed(ca, rcgen::KeyPair::generate().unwrap()).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    std::fs::write(path("ca.pem"), issuer.pem()).unwrap();
    std::fs::write(path("cert.pem"), leaf.pem()).unwrap();
    std::fs::write(path("key.pem"), key.serialize_pem()).unwrap();
    // bcrypt of "test", from https://prometheus.io/docs/guides/basic-auth/
    let web = "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\nbasic_auth_users: {admin: $2b$12$hNf2lSsxfm0.i4a.1kVpSOVyBCfIB51VRjgBUyv6kdnyTlgWj81Ay}\n";
    std::fs::write(path("web.yml"), web).unwrap();
    std::fs::write(path("password"), "test\n").unwrap();
    std::fs::write(path("wrong"), "mistaken-word").unwrap();
    let Some(real) = start(Some((&path("web.yml"), "https"))) else { return };
    let options = |ca: bool, password: &str| SourceOptions {
        ca_file: ca.then(|| path("ca.pem")),
        auth: Auth::Basic { user: "admin".into(), password_file: path(password) },
        ..SourceOptions::new(&real.url)
    };
    let last = request(&["sum(load)"], real.end, real.end, 10);
    let answer = source(options(true, "password")).fetch(&last).await.remove(0);
    assert_eq!(plain(&answer.points.unwrap()), [(real.end, 4.0 * load(0).unwrap())]);
    let (kind, text) = told(source(options(true, "wrong")).fetch(&last).await.remove(0));
    assert!(kind == "refused" && text.contains("401 Unauthorized") && !text.contains("mistaken"), "{text}");
    let (kind, text) = told(source(options(false, "password")).fetch(&last).await.remove(0));
    assert!(kind == "unavailable" && text.contains("certificate"), "{text}");
}
