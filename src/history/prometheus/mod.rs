//! History from the Prometheus HTTP API: Prometheus itself, and by their plain URL Thanos, Mimir, VictoriaMetrics and
//! Amazon Managed Prometheus (behind a signing proxy), which speak the same `POST /api/v1/query_range`.
//!
//! One request of ours becomes as few of theirs as they allow: time is cut into chunks under their limit of 11,000
//! points per series, and up to [`MAX_JOINED`] queries travel as one, `label_replace(Q0, …) or label_replace(Q1, …)`.
//! When a joined query is refused, too slow or too long, its members are asked apart, and one that fails apart too
//! stays apart until it works again, asked last: a bad query blocks nobody else's. A whole fetch ends within twice the
//! deadline per chunk of time; what isn't answered by then is unavailable, what is answered is given.
//!
//! # Rules
//!
//! An error is never a number: a query that failed in any chunk has no points at all.
//!
//! | the source says | we take it as |
//! |---|---|
//! | an empty result | no points, which is not zero |
//! | NaN, `+Inf`, `-Inf`, text that is no number | the sample is dropped and counted in the warnings |
//! | a negative value, or one above 1e18 | the same |
//! | a sample outside the time asked for | the same: a sample from the future hides no real one |
//! | samples in disorder | sorted, with a warning |
//! | a time twice | the last given wins, with a warning |
//! | several series for one query | refused, with the labels that differ and the advice to `sum()` |
//! | two equal series | refused as a highly available pair that nobody deduplicated |
//! | native histograms | refused, with the advice to take `histogram_count()` |
//! | `warnings`, or VictoriaMetrics' `isPartial` | part of the data is missing: unavailable, no points |
//! | `infos`, and warnings that begin `PromQL ` | passed on beside the points: they judge the query, not the data |
//! | old samples only | the points as they are: the last one's time is their age, and the caller judges it |
//! | 400, 413, 414, 422 | refused: the query; members of a joined one are asked apart |
//! | 401, 403, 404, a redirect | refused: the config |
//! | 429, 502, 503, 504, no connection | asked again, [`MAX_ATTEMPTS`] times in all, after `Retry-After` seconds or a scattered doubling wait; not again if the server says that the query took too long, or wants a wait beyond the deadline |
//! | any other 5xx, or no whole answer within the deadline | unavailable, not asked again |
//! | HTML, cut-off JSON, another result type, a compressed answer | malformed |
//! | more than [`MAX_ANSWER_BYTES`] | malformed; not read to its end |
//!
//! Compression is not offered, so there is no decompression bomb. Redirects are not followed and proxies of the
//! environment are not used: what the config names is what is asked. Messages hold neither credentials nor values of
//! headers.

mod answer;
mod http;
mod options;
mod promql;
mod split;

pub use answer::{Found, Labels, Matrix, Unusable, parse};
pub use http::{MAX_ANSWER_BYTES, MAX_ATTEMPTS};
pub use options::{Auth, SourceOptions};
pub use promql::{MAX_QUERY_BYTES, check, enforce_namespace};
pub use split::{MAX_CHUNK_POINTS, MAX_JOINED, MAX_JOINED_BYTES};

use super::{Answer, HistorySource, Points, Query, Request, SourceError};
use crate::error::{Problem, shorten};
use crate::units::{Step, Time};
use futures::future::{BoxFuture, Either, FutureExt, Shared, select};
use futures::stream::{self, StreamExt};
use http::{Http, Trouble};
use split::{Apart, Group, chunks, groups};
use std::sync::{Mutex, PoisonError};

/// Queries that are remembered as to be asked apart, at most.
const MAX_APART: usize = 10_000;
/// Groups of one request that are under way or wait for it at the same time, at most.
const MAX_GROUPS: usize = 16;

/// A source that speaks the Prometheus HTTP API.
pub struct Prometheus {
    name: String,
    http: Http,
    /// Texts of queries to be asked alone.
    apart: Mutex<Apart>,
}

/// What came of one query.
struct Outcome {
    points: Result<Points, SourceError>,
    warnings: Vec<String>,
}

impl From<SourceError> for Outcome {
    fn from(error: SourceError) -> Self {
        Outcome { points: Err(error), warnings: Vec::new() }
    }
}

/// What a fetch is about, and when it is over.
#[derive(Clone)]
struct Ask<'a> {
    request: &'a Request,
    chunks: &'a [(Time, Time)],
    end: Shared<BoxFuture<'static, ()>>,
}

impl<'a> Ask<'a> {
    fn text(&self, member: usize) -> &'a str {
        self.request.queries.get(member).map(|q| q.text.as_str()).unwrap_or_default()
    }
}

/// One query in the making: its points so far, oldest chunk first.
#[derive(Default)]
struct Gathered {
    points: Points,
    labels: Option<Labels>,
    warnings: Vec<String>,
}

impl Prometheus {
    /// A source called `name` in the config. `seed` scatters the waits between attempts. Nothing is sent yet.
    /// Errors: all mistakes of the options.
    pub fn new(name: impl Into<String>, options: SourceOptions, seed: u64) -> Result<Self, Vec<Problem>> {
        Ok(Prometheus { name: name.into(), http: Http::new(options, seed)?, apart: Mutex::default() })
    }

    async fn answers(&self, request: &Request) -> Vec<Answer> {
        let chunks = match chunks(request) {
            Ok(chunks) => chunks,
            Err(problem) => {
                let refuse = |q: &Query| Answer {
                    id: q.id.clone(),
                    points: Err(SourceError::Refused(problem.clone())),
                    warnings: Vec::new(),
                };
                return request.queries.iter().map(refuse).collect();
            }
        };
        let groups = groups(&request.queries, &self.apart.lock().unwrap_or_else(PoisonError::into_inner));
        let whole = self.http.deadline().saturating_mul(2 * u32::try_from(chunks.len()).unwrap_or(u32::MAX / 2));
        let ask = Ask { request, chunks: &chunks, end: tokio::time::sleep(whole).boxed().shared() };
        // the semaphore of `http` bounds what is under way; this bounds what waits for it
        let asked = stream::iter(groups).map(|group| self.group(group, ask.clone())).buffer_unordered(MAX_GROUPS);
        let done: Vec<Vec<(usize, Outcome)>> = asked.collect().await;
        let mut outcomes: Vec<Option<Outcome>> = request.queries.iter().map(|_| None).collect();
        for (index, outcome) in done.into_iter().flatten() {
            if let Some(slot) = outcomes.get_mut(index) {
                *slot = Some(outcome);
            }
        }
        let unasked = || self.http.unavailable("an answer to each query", "none", "", false).error.into();
        request
            .queries
            .iter()
            .zip(outcomes)
            .map(|(query, outcome)| {
                let Outcome { points, warnings } = outcome.unwrap_or_else(unasked);
                Answer { id: query.id.clone(), points: points.map_err(|e| of_query(e, &query.text)), warnings }
            })
            .collect()
    }

    /// The outcomes of one group, with the places of their queries in the request.
    async fn group(&self, group: Group, ask: Ask<'_>) -> Vec<(usize, Outcome)> {
        if let Group::Joined { text, members } = &group {
            match self.within(&ask, self.ask(text, members.len(), true, &ask)).await {
                Ok(outcomes) => return members.iter().copied().zip(outcomes).collect(),
                Err(trouble) if !trouble.query_suspect => {
                    return members.iter().map(|m| (*m, trouble.error.clone().into())).collect();
                }
                // one of them: until it is asked alone, nobody knows which
                Err(_) => members.iter().for_each(|m| self.set_apart(ask.text(*m), false)),
            }
        }
        let singles = group.members().into_iter().map(|member| self.single(member, &ask).boxed());
        stream::iter(singles).buffer_unordered(MAX_JOINED).collect().await
    }

    async fn single(&self, member: usize, ask: &Ask<'_>) -> (usize, Outcome) {
        let text = ask.text(member);
        let outcome = match self.within(ask, self.ask(text, 1, false, ask)).await {
            Ok(outcomes) => {
                self.apart.lock().unwrap_or_else(PoisonError::into_inner).remove(text);
                outcomes.into_iter().next().unwrap_or(Outcome { points: Ok(Vec::new()), warnings: Vec::new() })
            }
            Err(trouble) => {
                if trouble.query_suspect {
                    self.set_apart(text, true);
                }
                trouble.error.into()
            }
        };
        (member, outcome)
    }

    fn set_apart(&self, text: &str, failed_alone: bool) {
        let mut apart = self.apart.lock().unwrap_or_else(PoisonError::into_inner);
        if apart.len() < MAX_APART {
            apart.insert(text.to_owned(), failed_alone);
        }
    }

    /// The result, unless the time of the whole fetch is over before.
    async fn within<T>(&self, ask: &Ask<'_>, result: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
        match select(ask.end.clone(), std::pin::pin!(result)).await {
            Either::Right((result, _)) => result,
            Either::Left(_) => {
                let help = "others were slow: is the server overloaded?";
                Err(self.http.unavailable("an answer within the time for all queries", "none", help, false))
            }
        }
    }

    /// Asks one text for all chunks; an outcome for each of its `members`.
    async fn ask(&self, text: &str, members: usize, joined: bool, ask: &Ask<'_>) -> Result<Vec<Outcome>, Trouble> {
        let mut gathered: Vec<Result<Gathered, SourceError>> = (0..members).map(|_| Ok(Gathered::default())).collect();
        for (from, to) in ask.chunks {
            let matrix = self.chunk(text, *from, *to, ask.request.step).await?;
            let sorted = self.sort_out(matrix.series, members, joined)?;
            for (slot, series) in gathered.iter_mut().zip(sorted) {
                if let Ok(so_far) = slot {
                    so_far.warnings.extend(matrix.warnings.iter().cloned());
                    if let Err(error) = self.add(so_far, series, *from, *to) {
                        *slot = Err(error);
                    }
                }
            }
        }
        Ok(gathered
            .into_iter()
            .map(|slot| match slot {
                Ok(mut all) => {
                    all.warnings.sort();
                    all.warnings.dedup();
                    Outcome { points: Ok(all.points), warnings: all.warnings }
                }
                Err(error) => error.into(),
            })
            .collect())
    }

    async fn chunk(&self, text: &str, from: Time, to: Time, step: Step) -> Result<answer::Matrix, Trouble> {
        let (from, to) = (from.secs().to_string(), to.secs().to_string());
        let timeout = crate::units::duration::format(self.http.deadline());
        let step = step.secs().to_string();
        let body = self
            .http
            .post(&[
                ("query", text),
                ("start", &from),
                ("end", &to),
                ("step", &step),
                ("timeout", &timeout),
                // Thanos and VictoriaMetrics: an error where data is missing, not a smaller sum
                ("partial_response", "false"),
                ("deny_partial_response", "1"),
            ])
            .await?;
        answer::parse(&body).map_err(|unusable| match unusable {
            Unusable::Error(kind, text) => {
                let found = format!("{}: {}", shorten(&kind), shorten(&text));
                self.http.refused("a query that the source accepts", &found, "", true)
            }
            Unusable::Partial(found) => {
                let help = "the source lacks part of the data and says so; a sum of the rest would be too small";
                self.http.unavailable("a whole answer", &found, help, false)
            }
            Unusable::Malformed(expected, found) => {
                self.http.malformed(expected, &found, "is it the URL of a Prometheus HTTP API?")
            }
        })
    }

    /// The series of each member of a joined query, by their label.
    fn sort_out(&self, series: Vec<Found>, members: usize, joined: bool) -> Result<Vec<Vec<Found>>, Trouble> {
        if !joined {
            return Ok(vec![series]);
        }
        let mut sorted: Vec<Vec<Found>> = (0..members).map(|_| Vec::new()).collect();
        for mut found in series {
            let member = found.labels.remove(promql::JOIN_LABEL).and_then(|l| l.parse::<usize>().ok());
            match member.and_then(|m| sorted.get_mut(m)) {
                Some(slot) => slot.push(found),
                None => {
                    let expected = format!("series with the label {} that the query gave them", promql::JOIN_LABEL);
                    let mut trouble = self.http.malformed(&expected, "one without", "");
                    trouble.query_suspect = true;
                    return Err(trouble);
                }
            }
        }
        Ok(sorted)
    }

    /// Adds what one chunk gave for one query.
    fn add(&self, so_far: &mut Gathered, series: Vec<Found>, from: Time, to: Time) -> Result<(), SourceError> {
        let one =
            answer::only(series).map_err(|(found, help)| self.http.refused("one series", &found, &help, true).error)?;
        let Some(one) = one else { return Ok(()) };
        if let Some(labels) = so_far.labels.as_ref().filter(|l| **l != one.labels) {
            let differ = answer::differing([labels, &one.labels].into_iter()).join(", ");
            let found = format!("several over time, differing in {differ}");
            return Err(self.http.refused("one series", &found, "wrap the query in sum(...)", true).error);
        }
        so_far.labels = Some(one.labels.clone());
        so_far.points.extend(answer::tidy(one, from, to, &mut so_far.warnings));
        Ok(())
    }
}

/// The error with the query that it is about; one of a file is about the source.
fn of_query(error: SourceError, text: &str) -> SourceError {
    let name = |mut problem: Problem| {
        if problem.at.contains("://") {
            problem.at = format!("{} of {}", problem.at, shorten(text));
        }
        problem
    };
    match error {
        SourceError::Unavailable(problem) => SourceError::Unavailable(name(problem)),
        SourceError::Refused(problem) => SourceError::Refused(name(problem)),
        SourceError::Malformed(problem) => SourceError::Malformed(name(problem)),
    }
}

impl HistorySource for Prometheus {
    fn name(&self) -> &str {
        &self.name
    }

    fn fetch<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Vec<Answer>> {
        Box::pin(self.answers(request))
    }
}
