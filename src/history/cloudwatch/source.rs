//! CloudWatch behind the seam.

use super::batch::{Call, pack};
use super::client::Api;
use super::meter::Meter;
use super::rules::{self, Fault, Place};
use super::settle::{LOOK_BACK, Settling};
use super::spec::Spec;
use super::stitch::{Gridder, Segment, segments};
use crate::clock::Clock;
use crate::config::CloudwatchConfig;
use crate::error::Problem;
use crate::history::{Answer, HistorySource, Points, Request, SourceError, Spending};
use crate::units::Time;
use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::config::SharedCredentialsProvider;
use aws_sdk_cloudwatch::config::retry::RetryConfig;
use aws_sdk_cloudwatch::config::timeout::TimeoutConfig;
use futures::future::BoxFuture;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Attempts of one request, by the SDK, for throttling and errors that pass.
const ATTEMPTS: u32 = 3;

/// How often a stretch is halved for which only part of the data comes.
const HALVINGS_MAX: u32 = 4;

/// How long a query that CloudWatch called wrong is left out of calls.
const REFUSED_FOR: Duration = Duration::from_secs(3600);

/// Metrics whose settling is remembered.
const METRICS_MAX: usize = 20_000;

/// Loads what the SDK's chain finds: credentials (IRSA, Pod Identity, profile, environment, instance) and, unless
/// `region` gives one, the region.
pub async fn sdk_config(region: Option<&str>) -> SdkConfig {
    let loader = aws_config::defaults(BehaviorVersion::latest());
    match region {
        Some(region) => loader.region(Region::new(region.to_owned())).load().await,
        None => loader.load().await,
    }
}

/// A source of history in CloudWatch: one account, one region.
pub struct CloudWatch {
    place: Place,
    client: Client,
    clock: Arc<dyn Clock>,
    meter: Mutex<Meter>,
    memory: Mutex<Memory>,
}

/// What is kept from fetch to fetch, by the text of the query.
#[derive(Default)]
struct Memory {
    settling: BTreeMap<String, Settling>,
    refused: BTreeMap<String, (Time, SourceError)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl CloudWatch {
    /// A source called `name`. `sdk` is what `sdk_config` loaded; `timeout` bounds one request.
    pub async fn new(
        name: &str,
        config: &CloudwatchConfig,
        timeout: Duration,
        sdk: &SdkConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<CloudWatch, Problem> {
        let at = format!("sources.{name}.region");
        let region = config.region.clone().or_else(|| sdk.region().map(ToString::to_string)).ok_or_else(|| {
            Problem::new(&at, "a region, there or in AWS_REGION or the profile", "none")
                .help("for example region = \"eu-west-1\"")
        })?;
        if config.endpoint_url.is_none() {
            rules::region(&region, &at)?;
        }
        let mut builder = aws_sdk_cloudwatch::config::Builder::from(sdk)
            .region(Region::new(region.clone()))
            .retry_config(
                RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(Duration::from_millis(200)),
            )
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(Duration::from_secs(5))
                    .operation_attempt_timeout(timeout)
                    .build(),
            );
        if let Some(url) = &config.endpoint_url {
            builder = builder.endpoint_url(url);
        }
        if let Some(role) = &config.role_arn {
            let provider = AssumeRoleProvider::builder(role)
                .session_name("forescale")
                .region(Region::new(region.clone()))
                .configure(sdk)
                .build()
                .await;
            builder = builder.credentials_provider(SharedCredentialsProvider::new(provider));
        }
        Ok(CloudWatch {
            place: Place { source: name.to_owned(), region, endpoint_url: config.endpoint_url.clone() },
            client: Client::from_conf(builder.build()),
            clock,
            meter: Mutex::new(Meter::new(config.max_metrics_per_hour)),
            memory: Mutex::default(),
        })
    }

    /// What has been asked for and what it costs.
    pub fn meter(&self) -> Spending {
        lock(&self.meter).read(self.clock.now())
    }

    async fn fetch_all(&self, request: &Request) -> Vec<Answer> {
        let now = self.clock.now();
        let mut run = Run::new(self, request, now);
        let api = Api { client: &self.client, place: &self.place, meter: &self.meter, clock: self.clock.as_ref() };
        while let Some((call, halvings)) = run.work.pop_front() {
            match api.get(&call, &run.specs).await {
                Ok((parts, said)) => {
                    for (index, part) in call.queries.iter().zip(parts) {
                        run.say(*index, said.iter().chain(&part.messages));
                        if !part.answered() {
                            let problem = self.place.problem("a result for each query", "none for one of them", "");
                            run.fail(*index, SourceError::Malformed(problem));
                            continue;
                        }
                        match rules::status(part.status.as_ref(), &part.messages.join("; "), &self.place) {
                            Ok(()) => run.take(*index, &call.segment, part.datapoints),
                            Err(Some(error)) => run.fail(*index, error),
                            Err(None) => run.halve(*index, &call.segment, halvings),
                        }
                    }
                }
                Err(Fault::Query(problem)) => run.isolate(call, halvings, problem),
                Err(Fault::Source(error)) => {
                    // The next call would fail as well: don't add to the load of a service in trouble.
                    run.fail_all(&error);
                }
                Err(Fault::Token(problem)) => run.fail_all(&SourceError::Malformed(problem)),
            }
        }
        run.answers()
    }
}

impl HistorySource for CloudWatch {
    fn name(&self) -> &str {
        &self.place.source
    }

    fn fetch<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Vec<Answer>> {
        Box::pin(self.fetch_all(request))
    }

    fn resolution(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn settling(&self, query: &str) -> Duration {
        let Ok(spec) = Spec::parse(query, "query") else { return Duration::ZERO };
        let delay = lock(&self.memory).settling.get(query).map(|s| s.delay(&spec));
        // until it has been asked for: what is assumed; a period beyond a minute is only known when it is over
        let period = u64::from(spec.period_seconds());
        let delay = delay.unwrap_or_else(|| Settling::default().delay(&spec));
        delay + Duration::from_secs(if period > 60 { period } else { 0 })
    }

    fn spending(&self) -> Option<Spending> {
        Some(self.meter())
    }
}

/// Where one query stands during a fetch.
struct Progress {
    gridder: Option<Gridder>,
    /// Calls that are still to come.
    open: usize,
    points: Result<Points, SourceError>,
    warnings: Vec<String>,
    no_load: usize,
}

/// One fetch.
struct Run<'a> {
    source: &'a CloudWatch,
    request: &'a Request,
    now: Time,
    /// One for each query; for those that can't be read, any.
    specs: Vec<Spec>,
    progress: Vec<Progress>,
    work: VecDeque<(Call, u32)>,
}

impl<'a> Run<'a> {
    fn new(source: &'a CloudWatch, request: &'a Request, now: Time) -> Self {
        let mut specs = Vec::new();
        let mut progress = Vec::new();
        let memory = lock(&source.memory);
        for query in &request.queries {
            let at = format!("source {}: query {}", source.place.source, query.id);
            let refused = memory.refused.get(&query.text).filter(|(until, _)| *until > now).map(|(_, e)| e.clone());
            let spec = Spec::parse(&query.text, &at).map_err(SourceError::Refused);
            let (spec, points) = match (spec, refused) {
                (Ok(spec), None) => (Some(spec), Ok(Points::new())),
                (Ok(_), Some(error)) | (Err(error), _) => (None, Err(error)),
            };
            let gridder = spec.as_ref().map(|_| Gridder::new(request.from, request.to, request.step));
            progress.push(Progress { gridder, open: 0, points, warnings: Vec::new(), no_load: 0 });
            specs.push(spec);
        }
        drop(memory);
        let needs: Vec<(usize, &Spec, Vec<Segment>)> = specs
            .iter()
            .enumerate()
            .filter_map(|(i, spec)| spec.as_ref().map(|s| (i, s, stretch(s, request, now))))
            .collect();
        let work: VecDeque<(Call, u32)> = pack(&needs).into_iter().map(|c| (c, 0)).collect();
        for (call, _) in &work {
            for index in &call.queries {
                if let Some(p) = progress.get_mut(*index) {
                    p.open += 1;
                }
            }
        }
        // A query that can't be read is in no call, so its place is never looked at.
        let filler = specs.iter().flatten().next().cloned();
        let specs = specs.into_iter().filter_map(|s| s.or_else(|| filler.clone())).collect();
        let mut run = Run { source, request, now, specs, progress, work };
        for index in 0..run.progress.len() {
            run.finish(index);
        }
        run
    }

    fn say<'b>(&mut self, index: usize, messages: impl Iterator<Item = &'b String>) {
        if let Some(p) = self.progress.get_mut(index) {
            for message in messages.filter(|m| !p.warnings.contains(m)).cloned().collect::<Vec<_>>() {
                p.warnings.push(message);
            }
        }
    }

    fn fail(&mut self, index: usize, error: SourceError) {
        if let Some(p) = self.progress.get_mut(index) {
            p.gridder = None;
            p.points = Err(error);
        }
        for (call, _) in &mut self.work {
            call.queries.retain(|i| *i != index);
        }
        self.work.retain(|(call, _)| !call.queries.is_empty());
    }

    /// Fails everything that isn't done.
    fn fail_all(&mut self, error: &SourceError) {
        self.work.clear();
        for p in self.progress.iter_mut().filter(|p| p.gridder.is_some()) {
            p.gridder = None;
            p.points = Err(error.clone());
        }
    }

    fn take(&mut self, index: usize, segment: &Segment, mut datapoints: Vec<(Time, f64)>) {
        let (Some(p), Some(spec)) = (self.progress.get_mut(index), self.specs.get(index)) else { return };
        let (Some(gridder), Some(query)) = (p.gridder.as_mut(), self.request.queries.get(index)) else { return };
        if segment.to + LOOK_BACK >= self.now {
            let mut memory = lock(&self.source.memory);
            if memory.settling.len() >= METRICS_MAX && !memory.settling.contains_key(&query.text) {
                memory.settling.pop_first();
            }
            let settling = memory.settling.entry(query.text.clone()).or_default();
            settling.observe(segment.period_seconds, &datapoints, self.now);
            settling.withhold(spec, segment.period_seconds, &mut datapoints, self.now);
        }
        p.no_load += gridder.add(spec, segment, &mut datapoints);
        p.open = p.open.saturating_sub(1);
        self.finish(index);
    }

    /// Makes points of the grid once the last call is done, so that no more than one call's datapoints are held.
    fn finish(&mut self, index: usize) {
        let Some(p) = self.progress.get_mut(index) else { return };
        if p.open > 0 {
            return;
        }
        if let Some(gridder) = p.gridder.take() {
            p.points = Ok(gridder.points());
        }
    }

    /// Only part of the data came: asks for the two halves of the stretch.
    fn halve(&mut self, index: usize, segment: &Segment, halvings: u32) {
        let halves = segment.split(segment.datapoints().div_ceil(2));
        if halvings >= HALVINGS_MAX || halves.len() < 2 {
            return self.fail(index, rules::still_partial(&self.source.place));
        }
        if let Some(p) = self.progress.get_mut(index) {
            p.open += halves.len() - 1;
        }
        for segment in halves.into_iter().rev() {
            self.work.push_front((Call { segment, queries: vec![index] }, halvings + 1));
        }
    }

    /// One query of the call is wrong: asks for halves of the queries until it stands alone, and leaves it out then.
    fn isolate(&mut self, call: Call, halvings: u32, problem: Problem) {
        if let [index] = call.queries.as_slice() {
            let error = SourceError::Refused(problem);
            if let Some(query) = self.request.queries.get(*index) {
                let mut memory = lock(&self.source.memory);
                memory.refused.retain(|_, (until, _)| *until > self.now);
                memory.refused.insert(query.text.clone(), (self.now + REFUSED_FOR, error.clone()));
            }
            return self.fail(*index, error);
        }
        let half = call.queries.len().div_ceil(2);
        for queries in call.queries.chunks(half).rev() {
            self.work.push_front((Call { segment: call.segment, queries: queries.to_vec() }, halvings));
        }
    }

    fn answers(self) -> Vec<Answer> {
        let place = &self.source.place;
        let queries = self.request.queries.iter().zip(self.progress);
        queries
            .map(|(query, mut p)| {
                if p.no_load > 0 {
                    p.warnings.push(format!(
                        "{}: {} values are negative or no number: left out",
                        place.at(),
                        p.no_load
                    ));
                }
                if p.points.as_ref().is_ok_and(Vec::is_empty) {
                    p.warnings.push(rules::empty(&query.text, place));
                }
                Answer { id: query.id.clone(), points: p.points, warnings: p.warnings }
            })
            .collect()
    }
}

/// The segments of a query; increments look back a little, to learn how long values change.
fn stretch(spec: &Spec, request: &Request, now: Time) -> Vec<Segment> {
    let mut out = segments(spec, request.from, request.to, request.step, now);
    if let [newest] = out.as_mut_slice()
        && request.to + LOOK_BACK >= now
    {
        let ms = i64::from(newest.period_seconds) * 1000;
        let back = (request.to - LOOK_BACK).millis().div_euclid(ms) * ms;
        newest.from = newest.from.min(Time::from_millis(back));
    }
    out
}
