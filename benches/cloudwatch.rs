//! CloudWatch at the size of a large cluster, answers served from memory in this process, the server's CPU included.
//!
//! `cargo bench --bench cloudwatch` prints, beside criterion's times, the CPU of one increment and the peak memory of
//! a back-fill.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may fail")]

#[path = "../tests/cloudwatch/cbor.rs"]
mod cbor;

use axum::Router;
use axum::body::Bytes;
use criterion::{Criterion, SamplingMode};
use forescale::clock::Clock;
use forescale::config::CloudwatchConfig;
use forescale::history::cloudwatch::CloudWatch;
use forescale::history::{HistorySource, Query, Request};
use forescale::series::{Sample, Series};
use forescale::units::{Step, Time};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Runtime;

const NOW: i64 = 1_700_000_040;
const METRICS: usize = 500;
const DAYS: i64 = 14;
/// Steps of one request, as the back-fill cuts them.
const WINDOW: i64 = 2880;

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Time {
        Time::from_secs(NOW + 5)
    }
}

/// Answers by the shape of the question, encoded once: what is measured is the client.
fn serve(runtime: &Runtime) -> String {
    let cache: Arc<Mutex<HashMap<String, Bytes>>> = Arc::default();
    let app = Router::new().fallback(move |body: Bytes| {
        let cache = cache.clone();
        async move {
            let asked = cbor::decode(&body);
            let key = format!("{} {} {}", asked["StartTime"], asked["EndTime"], asked["MetricDataQueries"][0]["Id"]);
            let mut cache = cache.lock().unwrap();
            let body = cache.entry(key).or_insert_with(|| answer(&asked)).clone();
            ([("smithy-protocol", "rpc-v2-cbor"), ("content-type", "application/cbor")], body)
        }
    });
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    runtime.spawn(async move { axum::serve(listener, app).await.unwrap() });
    url
}

fn answer(asked: &Value) -> Bytes {
    let (start, end) = (asked["StartTime"].as_f64().unwrap() as i64, asked["EndTime"].as_f64().unwrap() as i64);
    let times: Vec<i64> = (start / 60..end / 60).rev().map(|m| m * 60).collect();
    let values: Vec<f64> = times.iter().map(|t| (t / 60 % 1440) as f64 + 0.5).collect();
    let queries = asked["MetricDataQueries"].as_array().unwrap().iter();
    let results: Vec<Value> = queries
        .map(|q| json!({ "Id": q["Id"], "StatusCode": "Complete", "Timestamps": times, "Values": values }))
        .collect();
    let mut body = Vec::new();
    cbor::encode(&json!({ "MetricDataResults": results }), &mut body);
    body.into()
}

fn source(runtime: &Runtime, url: &str) -> CloudWatch {
    let config = CloudwatchConfig {
        region: Some("eu-west-1".into()),
        role_arn: None,
        endpoint_url: Some(url.into()),
        max_metrics_per_hour: u64::MAX,
    };
    runtime.block_on(async {
        let key = aws_sdk_cloudwatch::config::Credentials::new("AKID", "SECRET", None, None, "bench");
        let sdk = aws_config::defaults(aws_config::BehaviorVersion::latest()).credentials_provider(key).load().await;
        CloudWatch::new("bench", &config, Duration::from_secs(60), &sdk, Arc::new(Fixed)).await.unwrap()
    })
}

fn queries() -> Vec<Query> {
    let text = |i: usize| format!("AWS/SQS NumberOfMessagesSent{{QueueName=\"queue-{i}\"}} Sum 60s delay 0s");
    (0..METRICS).map(|i| Query { id: i.to_string(), text: text(i) }).collect()
}

/// The whole back-fill: windows newest first, each answer gridded into the series of its metric.
fn back_fill(runtime: &Runtime, source: &CloudWatch) -> Vec<Series> {
    let steps = DAYS * 1440;
    let first = NOW - (steps - 1) * 60;
    let mut samples: Vec<Vec<Sample>> = (0..METRICS).map(|_| vec![Sample::Missing; steps as usize]).collect();
    let mut to = NOW;
    while to >= first {
        let from = (to - (WINDOW - 1) * 60).max(first);
        let request =
            Request { queries: queries(), from: Time::from_secs(from), to: Time::from_secs(to), step: Step::MINUTE };
        for (answer, samples) in runtime.block_on(source.fetch(&request)).into_iter().zip(&mut samples) {
            for (time, value) in answer.points.unwrap() {
                samples[((time.secs() - first) / 60) as usize] = Sample::Valid(value);
            }
        }
        to = from - 60;
    }
    samples.into_iter().map(|s| Series::of(Time::from_secs(first), Step::MINUTE, s)).collect()
}

/// User and system time of this process so far, in seconds.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

/// A line of /proc/self/status, in MiB.
fn memory(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with(name)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let url = serve(&runtime);
    let source = source(&runtime, &url);

    // The answers are made on the first pass; the process is then at rest with them in memory.
    let series = back_fill(&runtime, &source);
    assert!(series.iter().all(|s| s.len() == (DAYS * 1440) as usize && s.iter().all(|(_, v)| v.valid().is_some())));
    drop(series);
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let at_rest = memory("VmRSS");
    let (before, watch) = (cpu(), forescale::clock::Stopwatch::start());
    let series = back_fill(&runtime, &source);
    let (seconds, wall, peak) = (cpu() - before, watch.elapsed().as_secs_f64(), memory("VmHWM"));
    println!(
        "back-fill of {METRICS} x {DAYS} d x 1 min: {seconds:.2} s CPU, {wall:.2} s wall, {:.0} MiB over rest ({at_rest:.0} MiB, of which the answers)",
        peak - at_rest
    );
    drop(series);

    let now = Time::from_secs(NOW);
    let increment = Request { queries: queries(), from: now, to: now, step: Step::MINUTE };
    let rounds = 100;
    runtime.block_on(source.fetch(&increment));
    let before = cpu();
    for _ in 0..rounds {
        black_box(runtime.block_on(source.fetch(&increment)));
    }
    println!("increment of {METRICS} metrics in one call: {:.1} ms CPU", (cpu() - before) * 1000.0 / f64::from(rounds));

    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("cloudwatch");
    group.sampling_mode(SamplingMode::Flat).sample_size(10).measurement_time(Duration::from_secs(20));
    group.bench_function("back_fill_500_metrics_14_days", |b| b.iter(|| back_fill(&runtime, &source)));
    group.bench_function("increment_500_metrics", |b| b.iter(|| runtime.block_on(source.fetch(&increment))));
    group.finish();
    criterion.final_summary();
}
