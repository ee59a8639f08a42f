//! One call of `GetMetricData` with all its pages.

use super::batch::{Call, MAX_DATAPOINTS};
use super::meter::Meter;
use super::rules::{self, Fault, Place};
use super::scan::{Token, tokens};
use super::spec::{Metric, Shape, Spec};
use crate::clock::Clock;
use crate::history::SourceError;
use crate::units::Time;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, MessageData, MetricDataQuery, MetricStat, ScanBy, StatusCode};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// Pages of one call; a page may be as small as 100,800 datapoints / 500 pages.
const MAX_PAGES: usize = 500;

/// What came for one query of a call.
#[derive(Debug, Default)]
pub struct Part {
    /// Start of the period and value, in the order in which they came.
    pub datapoints: Vec<(Time, f64)>,
    /// The last status.
    pub status: Option<StatusCode>,
    /// What CloudWatch said of it.
    pub messages: Vec<String>,
    seen: bool,
}

impl Part {
    /// True if the answer had this query at all.
    pub fn answered(&self) -> bool {
        self.seen
    }
}

/// The call's means.
pub struct Api<'a> {
    /// The SDK's client.
    pub client: &'a Client,
    /// Where it is.
    pub place: &'a Place,
    /// What is asked for is counted here.
    pub meter: &'a Mutex<Meter>,
    /// The present.
    pub clock: &'a dyn Clock,
}

impl Api<'_> {
    /// Makes the call; parts in the order of the call's queries, and what was said of the call as a whole.
    pub async fn get(&self, call: &Call, specs: &[Spec]) -> Result<(Vec<Part>, Vec<String>), Fault> {
        match self.pages(call, specs).await {
            Err(Fault::Token(_)) => match self.pages(call, specs).await {
                Err(Fault::Token(problem)) => Err(Fault::Source(SourceError::Malformed(problem))),
                other => other,
            },
            other => other,
        }
    }

    async fn pages(&self, call: &Call, specs: &[Spec]) -> Result<(Vec<Part>, Vec<String>), Fault> {
        let malformed = |expected: &str, found: &str| {
            let help = "is it CloudWatch that answers at the endpoint?";
            Err(Fault::Source(SourceError::Malformed(self.place.problem(expected, found, help))))
        };
        let queries = structures(call, specs);
        let metrics = call.queries.iter().filter_map(|i| specs.get(*i)).map(Spec::metrics_asked).sum();
        let position: BTreeMap<String, usize> =
            call.queries.iter().enumerate().map(|(at, i)| (format!("q{i}"), at)).collect();
        let mut parts: Vec<Part> = call.queries.iter().map(|_| Part::default()).collect();
        let mut said = Vec::new();
        let mut tokens_seen = BTreeSet::new();
        let mut token: Option<String> = None;
        for _ in 0..MAX_PAGES {
            {
                let mut meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
                if !meter.allow(metrics, self.clock.now()) {
                    let most = meter.read(self.clock.now()).max_metrics_per_hour;
                    return Err(Fault::Source(rules::capped(most, self.place)));
                }
            }
            let answer = self
                .client
                .get_metric_data()
                .set_metric_data_queries(Some(queries.clone()))
                .start_time(DateTime::from_millis(call.segment.from.millis()))
                .end_time(DateTime::from_millis(call.segment.to.millis()))
                .scan_by(ScanBy::TimestampDescending)
                .max_datapoints(i32::try_from(MAX_DATAPOINTS).unwrap_or(i32::MAX))
                .set_next_token(token.take())
                .send()
                .await
                .map_err(|e| rules::fault(&e, self.place))?;
            said.extend(answer.messages.iter().flatten().map(message));
            for result in answer.metric_data_results.unwrap_or_default() {
                let id = result.id.unwrap_or_default();
                let Some(part) = position.get(&id).and_then(|at| parts.get_mut(*at)) else {
                    return malformed("only results that were asked for", &id);
                };
                let times = result.timestamps.unwrap_or_default();
                let values = result.values.unwrap_or_default();
                if times.len() != values.len() {
                    return malformed(
                        "a value for each time",
                        &format!("{} times, {} values", times.len(), values.len()),
                    );
                }
                if part.datapoints.len() + times.len() > MAX_DATAPOINTS {
                    return malformed(&format!("at most {MAX_DATAPOINTS} datapoints"), "more");
                }
                part.seen = true;
                part.status = result.status_code.or(part.status.take());
                part.messages.extend(result.messages.iter().flatten().map(message));
                let times = times.iter().map(|t| Time::from_millis(t.to_millis().unwrap_or(i64::MAX)));
                part.datapoints.extend(times.zip(values));
            }
            match answer.next_token.filter(|t| !t.is_empty()) {
                None => return Ok((parts, said)),
                Some(next) if tokens_seen.contains(&next) => {
                    return malformed("a new token with each page", "a page that was there before");
                }
                Some(next) => {
                    tokens_seen.insert(next.clone());
                    token = Some(next);
                }
            }
        }
        malformed(&format!("at most {MAX_PAGES} pages"), "more")
    }
}

fn message(message: &MessageData) -> String {
    let code = message.code.as_deref().unwrap_or("message");
    crate::error::shorten(&format!("{code}: {}", message.value.as_deref().unwrap_or_default()))
}

fn structures(call: &Call, specs: &[Spec]) -> Vec<MetricDataQuery> {
    let mut out = Vec::new();
    for index in &call.queries {
        let id = format!("q{index}");
        match specs.get(*index).map(|s| &s.shape) {
            Some(Shape::Metric(metric)) => {
                out.push(
                    MetricDataQuery::builder().id(id).metric_stat(stat(metric, call.segment.period_seconds)).build(),
                );
            }
            Some(Shape::Math { expression, metrics }) => {
                let own = |name: &str| format!("{id}_{name}");
                let renamed: String = tokens(expression)
                    .into_iter()
                    .map(|t| match t {
                        Token::Id(name) => own(name),
                        Token::Name(text) | Token::Other(text) => text.to_owned(),
                    })
                    .collect();
                out.push(MetricDataQuery::builder().id(&id).expression(renamed).build());
                out.extend(metrics.iter().map(|(name, metric)| {
                    MetricDataQuery::builder()
                        .id(own(name))
                        .metric_stat(stat(metric, call.segment.period_seconds))
                        .return_data(false)
                        .build()
                }));
            }
            None => {}
        }
    }
    out
}

fn stat(metric: &Metric, period_seconds: u32) -> MetricStat {
    let dimensions = metric.dimensions.iter().map(|(k, v)| Dimension::builder().name(k).value(v).build()).collect();
    let named = aws_sdk_cloudwatch::types::Metric::builder()
        .namespace(&metric.namespace)
        .metric_name(&metric.name)
        .set_dimensions(Some(dimensions))
        .build();
    let period = i32::try_from(period_seconds).unwrap_or(i32::MAX);
    MetricStat::builder().metric(named).period(period).stat(&metric.stat).build()
}
