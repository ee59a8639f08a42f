//! End to end against moto's server: back-fill, forecast, increments, an outage. Needs Python 3 with pip and venv, and
//! a package index for the first run; without them it says so and passes.

use super::server::{SetClock, static_credentials};
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit};
use forescale::config::CloudwatchConfig;
use forescale::history::backfill::{Track, fill};
use forescale::history::cloudwatch::CloudWatch;
use forescale::history::{HistorySource, Points, Query, Request, SourceError, csv};
use forescale::units::{Step, Time};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

const MOTO: &str = "moto[server]==5.2.5";
const QUERY: &str = r#"Shop Requests{Service="web"} Sum 60s delay 0s"#;
const DAY: i64 = 86_400;

/// A virtual environment with moto, made once under the target directory. None: it can't be made here.
fn python() -> Option<PathBuf> {
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("moto-5.2.5");
    let python = venv.join("bin/python");
    let done = venv.join("installed");
    if !done.exists() {
        let run = |command: &mut Command| {
            let output = command.stdin(Stdio::null()).output();
            match output {
                Ok(output) if output.status.success() => true,
                Ok(output) => {
                    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
                    false
                }
                Err(_) => false,
            }
        };
        let made = ["python3.11", "python3"].iter().any(|p| run(Command::new(p).args(["-m", "venv"]).arg(&venv)));
        if !made || !run(Command::new(&python).args(["-m", "pip", "install", "--quiet", MOTO])) {
            return None;
        }
        std::fs::write(done, MOTO).unwrap();
    }
    Some(python)
}

struct Moto {
    child: Child,
    url: String,
    port: u16,
    python: PathBuf,
}

impl Drop for Moto {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Moto {
    async fn start(python: &Path) -> Moto {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut moto =
            Moto { child: spawn(python, port), url: format!("http://127.0.0.1:{port}"), port, python: python.into() };
        moto.ready().await;
        moto
    }

    async fn ready(&mut self) {
        for _ in 0..600 {
            if tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                return;
            }
            assert!(self.child.try_wait().unwrap().is_none(), "moto ended before it listened");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("moto does not listen after 30 s");
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    async fn restart(&mut self) {
        self.child = spawn(&self.python, self.port);
        self.ready().await;
    }

    /// Puts what happened in the minutes that begin at the given times.
    async fn put(&self, minutes: &[(i64, f64)]) {
        let config = aws_sdk_cloudwatch::config::Builder::from(&static_credentials().await)
            .region(aws_config::Region::new("eu-west-1"))
            .endpoint_url(&self.url)
            .build();
        let client = aws_sdk_cloudwatch::Client::from_conf(config);
        for chunk in minutes.chunks(1000) {
            let data = chunk.iter().map(|(t, v)| {
                MetricDatum::builder()
                    .metric_name("Requests")
                    .dimensions(Dimension::builder().name("Service").value("web").build())
                    .timestamp(DateTime::from_secs(*t))
                    .value(*v)
                    .unit(StandardUnit::Count)
                    .build()
            });
            let put = client.put_metric_data().namespace("Shop").set_metric_data(Some(data.collect()));
            put.send().await.expect("moto takes the data");
        }
    }

    async fn source(&self, clock: Arc<SetClock>) -> CloudWatch {
        let config = CloudwatchConfig {
            region: Some("eu-west-1".into()),
            role_arn: None,
            endpoint_url: Some(self.url.clone()),
            max_metrics_per_hour: 100_000,
        };
        let sdk = static_credentials().await;
        CloudWatch::new("moto", &config, Duration::from_secs(60), &sdk, clock).await.unwrap()
    }
}

fn spawn(python: &Path, port: u16) -> Child {
    let front = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cloudwatch/moto_cbor.py");
    Command::new(python).arg(front).arg(port.to_string()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// The trace as requests a minute: start of each minute and their number. The last minute ends at `end`.
fn minutes(end: i64) -> Vec<(i64, f64)> {
    let trace =
        csv::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/nab_elb_requests_5m.csv.gz")).unwrap();
    let shift = end - 300 - trace.last().unwrap().0.secs();
    trace.iter().flat_map(|(t, v)| (0..5).map(move |m| (t.secs() + shift + m * 60, v / 5.0))).collect()
}

/// The same as a CSV of requests a second, each at the end of its minute.
fn text(minutes: &[(i64, f64)]) -> String {
    let rows = minutes.iter().map(|(t, v)| format!("{},{}\n", t + 60, v / 60.0));
    "timestamp,value\n".to_owned() + &rows.collect::<String>()
}

fn backtest(dir: &Path, name: &str, sts: Option<&str>, args: &[&str]) -> (Vec<u8>, Vec<u8>) {
    let file = |what: &str| dir.join(format!("{name}-{what}.csv"));
    let done = Command::new(env!("CARGO_BIN_EXE_forescale"))
        .args(["backtest", "--capacity-per-replica", "0.5", "--lead-time", "3m"])
        .args(args)
        .arg("--decisions")
        .arg(file("decisions"))
        .arg("--forecasts")
        .arg(file("forecasts"))
        .envs(sts.map(|url| ("AWS_ENDPOINT_URL_STS", url)))
        .env("AWS_ACCESS_KEY_ID", "AKID")
        .env("AWS_SECRET_ACCESS_KEY", "SECRET")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    (std::fs::read(file("decisions")).unwrap(), std::fs::read(file("forecasts")).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fourteen_days_back_filled_then_live_then_an_outage() {
    let Some(python) = python() else {
        eprintln!("skipped: no Python 3 with venv and pip, or no package index, so no moto");
        return;
    };
    let mut moto = Moto::start(&python).await;
    let real = forescale::clock::SystemClock;
    let end = forescale::clock::Clock::now(&real).secs() / 300 * 300 - 600;
    let recorded = minutes(end);
    moto.put(&recorded).await;

    // back-fill: the same series as from CSV
    let clock = Arc::new(SetClock(AtomicI64::new(end + 5)));
    let source = moto.source(clock.clone()).await;
    let mut tracks = [Track::new(
        Query { id: "web".into(), text: QUERY.into() },
        Step::MINUTE,
        Duration::from_secs(14 * DAY as u64),
    )];
    let filled = fill(&source, &mut tracks, Time::from_secs(end + 5), 100, &mut |_| {}).await;
    assert_eq!(filled[0].error, None);
    let mut expected: Points = csv::parse(&text(&recorded), "trace").unwrap();
    assert_eq!(recorded.len(), 4032 * 5, "fourteen days");
    assert!(recorded[recorded.len() - 1].0 - recorded[0].0 > 20_159 * 60, "with gaps");
    expected.retain(|(t, _)| t.secs() >= end - 14 * DAY);
    assert_eq!(tracks[0].points(), &expected, "no point more, none less, each the same to the last bit");

    // forecasts and decisions from it: those from the CSV
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("trace.csv");
    std::fs::write(&file, text(&recorded)).unwrap();
    let from_csv = backtest(dir.path(), "csv", None, &["--history", file.to_str().unwrap()]);
    let from_moto = backtest(
        dir.path(),
        "moto",
        Some(&moto.url), // the role is assumed there too
        &[
            "--cloudwatch-region",
            "eu-west-1",
            "--role-arn",
            "arn:aws:iam::123456789012:role/forescale",
            "--endpoint-url",
            &moto.url,
            "--query",
            QUERY,
            "--since",
            "348h",
        ],
    );
    assert!(from_csv.0.len() > 10_000 && from_csv.1.len() > 10_000);
    assert!(from_csv == from_moto, "forecasts and decisions differ between the sources");

    // live: a point a minute
    let mut now = end;
    let mut put = recorded.clone();
    for minute in 0..5 {
        put.push((now, 60.0 + f64::from(minute)));
        moto.put(&put[put.len() - 1..]).await;
        now += 60;
        clock.0.store(now + 5, Ordering::Relaxed);
        let filled = fill(&source, &mut tracks, Time::from_secs(now + 5), 1, &mut |_| {}).await;
        assert_eq!(filled[0].error, None);
        assert_eq!(tracks[0].points().last(), Some(&(Time::from_secs(now), (60.0 + f64::from(minute)) / 60.0)));
    }
    let before = tracks[0].points().clone();

    // moto is gone: nothing is known, and what was known stays
    moto.kill();
    now += 60;
    clock.0.store(now + 5, Ordering::Relaxed);
    let filled = fill(&source, &mut tracks, Time::from_secs(now + 5), 1, &mut |_| {}).await;
    assert!(matches!(filled[0].error, Some(SourceError::Unavailable(_))), "{:?}", filled[0].error);
    assert_eq!(tracks[0].points(), &before);

    // it comes back, without its memory: empty, not zero
    moto.restart().await;
    let request = Request {
        queries: vec![Query { id: "web".into(), text: QUERY.into() }],
        from: Time::from_secs(now - 600),
        to: Time::from_secs(now),
        step: Step::MINUTE,
    };
    let empty = source.fetch(&request).await.remove(0);
    assert_eq!(empty.points.unwrap(), []);
    assert!(empty.warnings.iter().any(|w| w.contains("which is not zero")), "{:?}", empty.warnings);

    // with the last hours put again, increments go on where they stopped
    put.push((now - 60, 90.0));
    let recent: Vec<_> = put.iter().copied().filter(|(t, _)| *t >= now - 7200).collect();
    moto.put(&recent).await;
    let filled = fill(&source, &mut tracks, Time::from_secs(now + 5), 1, &mut |_| {}).await;
    assert_eq!(filled[0].error, None);
    assert_eq!(tracks[0].points().last(), Some(&(Time::from_secs(now), 1.5)));
    let old = Time::from_secs(end - 14 * DAY + 3600);
    let mut kept = before.clone();
    kept.retain(|p| p.0 > old);
    let mut known = tracks[0].points().clone();
    known.retain(|p| p.0 > old);
    known.pop();
    assert_eq!(known, kept, "neither a hole nor a zero where the outage was");
    let reading = source.meter();
    assert!(reading.metrics_total > 10 && reading.dollars_per_month > 0.0, "{reading:?}");
}
