//! What a server answers to a range query: JSON into points. The rules are in the module's doc.

use super::super::Points;
use crate::units::Time;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A load above it is no load but a mistake of units or arithmetic: 1e18 bytes/s, requests/s, cores.
pub(super) const MAX_LOAD: f64 = 1e18;
/// How warnings begin that judge the query, not the data.
const ABOUT_THE_QUERY: &str = "PromQL ";
/// Warnings of one answer that are passed on at most.
const MAX_WARNINGS: usize = 10;

/// Labels of one series.
pub type Labels = BTreeMap<String, String>;

/// One series of an answer.
#[derive(Debug, PartialEq)]
pub struct Found {
    /// Its labels.
    pub labels: Labels,
    /// Its points as they came.
    pub points: Points,
    /// Samples that are no finite numbers.
    pub not_numbers: usize,
    /// It holds native histograms.
    pub histograms: bool,
}

/// A whole answer.
#[derive(Debug)]
pub struct Matrix {
    /// All series.
    pub series: Vec<Found>,
    /// What the server said beside them.
    pub warnings: Vec<String>,
}

/// What an answer was instead of one.
#[derive(Debug, PartialEq)]
pub enum Unusable {
    /// `status: error`: type and text.
    Error(String, String),
    /// The server says that data is missing from it: its words.
    Partial(String),
    /// Not what the protocol says: expected, found.
    Malformed(&'static str, String),
}

#[derive(Deserialize)]
struct Body {
    status: String,
    data: Option<Data>,
    #[serde(rename = "errorType", default)]
    error_type: String,
    #[serde(default)]
    error: String,
    warnings: Option<Vec<String>>,
    infos: Option<Vec<String>>,
    /// VictoriaMetrics: some of its storage nodes did not answer.
    #[serde(rename = "isPartial", default)]
    is_partial: bool,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "resultType")]
    result_type: String,
    result: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    metric: Labels,
    #[serde(default)]
    values: Vec<Pair>,
    #[serde(default)]
    histograms: Vec<serde::de::IgnoredAny>,
}

/// `[seconds, "value"]`; None: the value isn't a finite number.
struct Pair(Time, Option<f64>);

impl<'de> Deserialize<'de> for Pair {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        /// Seconds: beyond it milliseconds were meant, or nothing.
        const MAX_SECONDS: f64 = 1e11;
        #[derive(Deserialize)]
        struct Raw<'a>(f64, #[serde(borrow)] Cow<'a, str>);
        let Raw(seconds, text) = Raw::deserialize(d)?;
        if seconds.is_nan() || seconds.abs() >= MAX_SECONDS {
            return Err(D::Error::custom(format!("a sample's time of {seconds} s")));
        }
        let value = text.parse::<f64>().ok().filter(|v| v.is_finite());
        Ok(Pair(Time::from_millis((seconds * 1000.0).round() as i64), value))
    }
}

/// Reads the body of an answer with status 200.
pub fn parse(body: &[u8]) -> Result<Matrix, Unusable> {
    const JSON: &str = "an answer of the Prometheus HTTP API in JSON";
    let start = body.trim_ascii_start();
    match start.first() {
        None => return Err(Unusable::Malformed(JSON, "an empty answer".into())),
        Some(b'<') => return Err(Unusable::Malformed(JSON, format!("HTML: {}", beginning(start)))),
        Some(_) => {}
    }
    let body: Body = serde_json::from_slice(body).map_err(|e| {
        let found = if e.is_eof() { format!("one cut off after {} bytes", body.len()) } else { e.to_string() };
        Unusable::Malformed(JSON, format!("{found}: {}", beginning(start)))
    })?;
    if body.status != "success" {
        return Err(Unusable::Error(body.error_type, body.error));
    }
    let data = body.data.ok_or_else(|| Unusable::Malformed(JSON, "status success without data".into()))?;
    if data.result_type != "matrix" {
        return Err(Unusable::Malformed("a matrix", format!("a {}", crate::error::shorten(&data.result_type))));
    }
    if body.is_partial {
        return Err(Unusable::Partial("isPartial: true".into()));
    }
    let warnings = body.warnings.unwrap_or_default();
    if let Some(partial) = warnings.iter().find(|w| !w.starts_with(ABOUT_THE_QUERY)) {
        return Err(Unusable::Partial(crate::error::shorten(partial)));
    }
    let said = warnings.iter().chain(body.infos.iter().flatten()).take(MAX_WARNINGS);
    let said = said.map(|w| crate::error::shorten(w)).collect();
    Ok(Matrix { series: data.result.into_iter().map(found).collect(), warnings: said })
}

fn found(row: Row) -> Found {
    let samples = row.values.len();
    let points: Points = row.values.into_iter().filter_map(|Pair(time, value)| Some((time, value?))).collect();
    Found { labels: row.metric, not_numbers: samples - points.len(), points, histograms: !row.histograms.is_empty() }
}

fn beginning(text: &[u8]) -> String {
    /// Bytes of a foreign answer that an error repeats at most.
    const ECHO: usize = 80;
    crate::error::shorten(&String::from_utf8_lossy(text.get(..ECHO).unwrap_or(text)))
}

/// The error of an answer with another status than 200, if it is one of the API's own: type and text.
pub fn parse_error(body: &[u8]) -> Option<(String, String)> {
    #[derive(Deserialize)]
    struct ErrorBody {
        #[serde(rename = "errorType", default)]
        error_type: String,
        error: String,
    }
    serde_json::from_slice::<ErrorBody>(body).ok().map(|e| (e.error_type, e.error))
}

/// The points of one series by the rules: outside `from..=to`, negative and absurd ones dropped, sorted, each time
/// once (the last given wins). Says in `warnings` what it changed.
pub(super) fn tidy(series: Found, from: Time, to: Time, warnings: &mut Vec<String>) -> Points {
    let mut say = |count: usize, what: &str| {
        if count > 0 {
            warnings.push(format!("{count} {what}"));
        }
    };
    say(series.not_numbers, "samples dropped: NaN, infinite or no number");
    let mut points = series.points;
    let before = points.len();
    points.retain(|(_, v)| (0.0..=MAX_LOAD).contains(v));
    say(before - points.len(), "samples dropped: negative or above 1e18");
    let before = points.len();
    points.retain(|(t, _)| (from..=to).contains(t));
    say(before - points.len(), "samples dropped: outside the time that was asked for");
    if !points.is_sorted_by_key(|p| p.0) {
        say(1, "series sorted: its samples were not in order of time");
        points.sort_by_key(|p| p.0);
    }
    let before = points.len();
    // the last of equal times stays
    points.reverse();
    points.dedup_by_key(|p| p.0);
    points.reverse();
    say(before - points.len(), "samples dropped: the same time again");
    points
}

/// One series out of those found for one query, or why there is none to be had: found and help.
pub(super) fn only(mut series: Vec<Found>) -> Result<Option<Found>, (String, String)> {
    if series.iter().any(|f| f.histograms) {
        return Err(("native histograms".into(), "take histogram_count(...) or histogram_sum(...) of them".into()));
    }
    let last = series.pop();
    let (Some(one), Some(other)) = (&last, series.last()) else { return Ok(last) };
    let count = series.len() + 1;
    let differ = differing(series.iter().chain([one]).map(|f| &f.labels));
    let labels = differ.join(", ");
    if count == 2 && doubled(one, other) {
        return Err((
            format!("the same series twice, differing in {labels}: it looks like a highly available pair"),
            format!("ask the source that removes duplicates, or write max without ({labels}) (QUERY)"),
        ));
    }
    Err((format!("{count} series, differing in {labels}"), "wrap the query in sum(...)".into()))
}

/// Names of labels that don't have the same value everywhere.
pub(super) fn differing<'a>(sets: impl Iterator<Item = &'a Labels> + Clone) -> Vec<String> {
    /// Labels that a message names at most.
    const MAX_NAMED: usize = 8;
    let names: std::collections::BTreeSet<&String> = sets.clone().flat_map(|s| s.keys()).collect();
    let differ = names.into_iter().filter(|name| {
        let mut values = sets.clone().map(|s| s.get(*name));
        let first = values.next();
        values.any(|v| Some(v) != first)
    });
    differ.take(MAX_NAMED).map(|name| crate::error::shorten(name)).collect()
}

/// Both have the same values wherever both have one, and that more than once.
fn doubled(a: &Found, b: &Found) -> bool {
    let other: BTreeMap<Time, f64> = b.points.iter().copied().collect();
    let mut both = 0;
    for (time, value) in &a.points {
        match other.get(time) {
            Some(v) if v == value => both += 1,
            Some(_) => return false,
            None => {}
        }
    }
    both > 1
}
