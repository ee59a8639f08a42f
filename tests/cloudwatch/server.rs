//! A server of recorded answers on loopback. It is not CloudWatch: each test writes down what CloudWatch would say,
//! shaped after the API reference of `GetMetricData` (and of its common errors) in the protocol that the SDK speaks,
//! Smithy RPC v2 CBOR. It shows what moto doesn't have: pages, limits, math, percentiles, throttling, partial data.

use super::cbor;
use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use forescale::clock::Clock;
use forescale::config::CloudwatchConfig;
use forescale::history::cloudwatch::CloudWatch;
use forescale::history::{Answer, HistorySource, Query, Request};
use forescale::units::{Step, Time};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The present of the tests: a whole minute.
pub const NOW: i64 = 1_700_000_040;

/// A clock that is set.
pub struct SetClock(pub AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Time {
        Time::from_secs(self.0.load(Ordering::Relaxed))
    }
}

/// What is answered to one request.
#[derive(Clone)]
pub enum Reply {
    /// 200 with this.
    Data(Value),
    /// An error: HTTP status, code, message.
    Error(u16, &'static str, &'static str),
    /// 200 with bytes that are no CBOR.
    Junk,
    /// Nothing for so long.
    Silence(Duration),
}

type Script = dyn Fn(usize, &Value) -> Reply + Send + Sync;

/// The server: what it was asked, in order.
pub struct Server {
    /// Where it listens.
    pub url: String,
    /// Every request, decoded.
    pub asked: Arc<Mutex<Vec<Value>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Answers by `script`, which is given the number of the request, from 0, and the request.
    pub async fn start(script: impl Fn(usize, &Value) -> Reply + Send + Sync + 'static) -> Server {
        let asked: Arc<Mutex<Vec<Value>>> = Arc::default();
        let script: Arc<Script> = Arc::new(script);
        let seen = asked.clone();
        let app = Router::new().fallback(move |body: Bytes| {
            let (seen, script) = (seen.clone(), script.clone());
            async move {
                let request = cbor::decode(&body);
                let number = {
                    let mut seen = seen.lock().unwrap();
                    seen.push(request.clone());
                    seen.len() - 1
                };
                respond(script(number, &request)).await
            }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Server { url, asked, task }
    }

    /// Number of requests so far.
    pub fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// A source that asks it, with static credentials.
    pub async fn source(&self, clock: Arc<SetClock>) -> CloudWatch {
        self.source_with(clock, 1_000_000, Duration::from_secs(5)).await
    }

    /// The same with a cap and a timeout.
    pub async fn source_with(&self, clock: Arc<SetClock>, cap: u64, timeout: Duration) -> CloudWatch {
        let config = CloudwatchConfig {
            region: Some("eu-west-1".into()),
            role_arn: None,
            endpoint_url: Some(self.url.clone()),
            max_metrics_per_hour: cap,
        };
        CloudWatch::new("aws", &config, timeout, &static_credentials().await, clock).await.unwrap()
    }
}

/// The SDK's configuration with a key that anybody may know.
pub async fn static_credentials() -> aws_config::SdkConfig {
    let key = aws_sdk_cloudwatch::config::Credentials::new("AKID", "SECRET", None, None, "test");
    aws_config::defaults(aws_config::BehaviorVersion::latest()).credentials_provider(key).load().await
}

async fn respond(reply: Reply) -> Response {
    let headers = [("smithy-protocol", "rpc-v2-cbor"), ("content-type", "application/cbor")];
    match reply {
        Reply::Data(value) => {
            let mut body = Vec::new();
            cbor::encode(&value, &mut body);
            (headers, body).into_response()
        }
        Reply::Error(status, code, message) => {
            let mut body = Vec::new();
            let kind = format!("com.amazonaws.cloudwatch#{code}");
            cbor::encode(&json!({ "__type": kind, "message": message }), &mut body);
            let query = [("x-amzn-query-error", format!("{code};Sender"))];
            (StatusCode::from_u16(status).unwrap(), headers, query, body).into_response()
        }
        Reply::Junk => "<html>a login page</html>".into_response(),
        Reply::Silence(time) => {
            tokio::time::sleep(time).await;
            StatusCode::GATEWAY_TIMEOUT.into_response()
        }
    }
}

/// The ids of the queries whose data are asked for.
pub fn ids(request: &Value) -> Vec<String> {
    let queries = request["MetricDataQueries"].as_array().unwrap();
    queries.iter().filter(|q| q["ReturnData"] != json!(false)).map(|q| q["Id"].as_str().unwrap().to_owned()).collect()
}

/// A result.
pub fn result(id: &str, status: &str, datapoints: &[(i64, f64)]) -> Value {
    let (times, values): (Vec<i64>, Vec<f64>) = datapoints.iter().copied().unzip();
    json!({ "Id": id, "Label": id, "StatusCode": status, "Timestamps": times, "Values": values })
}

/// The same answer for each query that is asked: a Sum of 60 a minute over the time asked for, newest first.
pub fn one_per_second(request: &Value) -> Value {
    let (start, end) = (request["StartTime"].as_f64().unwrap() as i64, request["EndTime"].as_f64().unwrap() as i64);
    let data: Vec<(i64, f64)> = (start..end).step_by(60).map(|t| (t, 60.0)).collect();
    let data: Vec<_> = data.into_iter().rev().collect();
    json!({ "MetricDataResults": ids(request).iter().map(|id| result(id, "Complete", &data)).collect::<Vec<_>>() })
}

/// A clock at NOW.
pub fn clock() -> Arc<SetClock> {
    Arc::new(SetClock(AtomicI64::new(NOW)))
}

/// Asks for the samples of `from..=to`, one a minute.
pub async fn fetch(source: &CloudWatch, queries: &[&str], from: i64, to: i64) -> Vec<Answer> {
    let queries =
        queries.iter().enumerate().map(|(i, text)| Query { id: format!("w{i}"), text: (*text).to_owned() }).collect();
    let request = Request { queries, from: Time::from_secs(from), to: Time::from_secs(to), step: Step::MINUTE };
    source.fetch(&request).await
}

/// Times and values, in seconds.
pub fn points(answer: &Answer) -> Vec<(i64, f64)> {
    answer.points.as_ref().unwrap_or_else(|e| panic!("{e}")).iter().map(|(t, v)| (t.secs(), *v)).collect()
}
