//! The text that names a load in CloudWatch, parsed and judged. `docs/cloudwatch.md` has the language.
//!
//! ```text
//! AWS/ApplicationELB RequestCount{LoadBalancer="app/web/50dc6c495c0c9188"} Sum 60s
//! a + b where a = AWS/SQS ApproximateNumberOfMessagesVisible{QueueName="q"} Average 60s;
//!             b = AWS/SQS ApproximateNumberOfMessagesNotVisible{QueueName="q"} Average 60s
//! ```

use super::judge;
use super::scan::Scanner;
use crate::error::{Problem, did_you_mean};
use crate::units::{duration, parse_duration};
use std::time::Duration;

/// Bytes of one spec.
const MAX_TEXT: usize = 8_192;

/// Metrics of one expression; with the expression they have to fit into one call of 500.
pub const MAX_METRICS: usize = 50;

/// Dimensions of one metric (API reference, `Metric`).
const MAX_DIMENSIONS: usize = 30;

/// The longest settling delay that can be set.
pub const DELAY_MAX: Duration = Duration::from_secs(3600);

/// Whether values are amounts of a period, or something that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// A number of things in the period: divided by its seconds it becomes a load per second.
    Rate,
    /// Taken as it is.
    Level,
}

/// One metric: what `MetricStat` of the API names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// AWS/SQS, ContainerInsights, or one of the user's own.
    pub namespace: String,
    /// The metric's name.
    pub name: String,
    /// Key and value, in the order given.
    pub dimensions: Vec<(String, String)>,
    /// Sum, SampleCount, Average, Minimum, Maximum, IQM, p99, tm90, wm90…
    pub stat: String,
    /// Seconds: 1, 5, 10, 20, 30 or a multiple of 60.
    pub period_seconds: u32,
}

/// One metric, or an expression over several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// One metric.
    Metric(Metric),
    /// Metric math: the expression, and the metrics its identifiers stand for. All have the same period.
    Math {
        /// As given.
        expression: String,
        /// Identifier and metric.
        metrics: Vec<(String, Metric)>,
    },
}

/// A load in CloudWatch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// What is asked for.
    pub shape: Shape,
    /// What its values are.
    pub amount: Amount,
    /// How long after its end a period is believed, if the user says so. None: learned.
    pub delay: Option<Duration>,
}

impl Spec {
    /// Reads a spec; `at` is what errors call the place (an annotation, a flag).
    pub fn parse(text: &str, at: &str) -> Result<Spec, Problem> {
        if text.len() > MAX_TEXT {
            return Err(Problem::new(at, format!("at most {MAX_TEXT} bytes"), text.len().to_string()));
        }
        match Scanner::find_where(text) {
            Some(position) => parse_math(text, position, at),
            None => {
                let mut scanner = Scanner::new(text, at);
                let metric = parse_metric(&mut scanner, "")?;
                let (amount, delay) = parse_options(&mut scanner)?;
                let amount = judge::statistic(&metric, amount, at)?;
                Ok(Spec { shape: Shape::Metric(metric), amount, delay })
            }
        }
    }

    /// The period of the spec, seconds.
    pub fn period_seconds(&self) -> u32 {
        match &self.shape {
            Shape::Metric(metric) => metric.period_seconds,
            Shape::Math { metrics, .. } => metrics.first().map_or(60, |(_, m)| m.period_seconds),
        }
    }

    /// Metrics that a call for it asks for: what it costs.
    pub fn metrics_asked(&self) -> usize {
        match &self.shape {
            Shape::Metric(_) => 1,
            Shape::Math { metrics, .. } => metrics.len(),
        }
    }

    /// `MetricDataQuery` structures that it takes of a call's 500.
    pub fn structures(&self) -> usize {
        match &self.shape {
            Shape::Metric(_) => 1,
            Shape::Math { metrics, .. } => metrics.len() + 1,
        }
    }
}

/// NAMESPACE NAME{key="value",…} STATISTIC PERIOD
fn parse_metric(scanner: &mut Scanner<'_>, of: &str) -> Result<Metric, Problem> {
    const FORM: &str =
        r#"NAMESPACE NAME{key="value"} STATISTIC PERIOD, such as AWS/SQS NumberOfMessagesSent{QueueName="q"} Sum 60s"#;
    let namespace = scanner.word(&format!("{of}a namespace: {FORM}"))?;
    let name = scanner.word(&format!("{of}the metric's name after {namespace}: {FORM}"))?;
    let mut dimensions: Vec<(String, String)> = Vec::new();
    if scanner.take('{') && !scanner.take('}') {
        loop {
            let key = scanner.word("a dimension: key=\"value\"")?;
            scanner.expect('=', &format!("= after the dimension {key}"))?;
            let value = scanner.quoted(&format!("the value of {key} in double quotes"))?;
            if dimensions.iter().any(|d| d.0 == key) {
                return Err(scanner.problem("each dimension once", &format!("{key} again")));
            }
            dimensions.push((key, value));
            if dimensions.len() > MAX_DIMENSIONS {
                return Err(scanner.problem(&format!("at most {MAX_DIMENSIONS} dimensions"), "more"));
            }
            if scanner.take('}') {
                break;
            }
            scanner.expect(',', "a comma or } after a dimension")?;
        }
    }
    let stat = scanner.word(&format!("a statistic after {namespace} {name}: Sum, Average, p99…"))?;
    let stat = judge::statistic_name(&stat).map_err(|p| scanner.refuse(p))?;
    let period = scanner.word(&format!("a period after {stat}: 60s, 5m…"))?;
    let period_seconds = judge::period(&period, &namespace).map_err(|p| scanner.refuse(p))?;
    let metric = Metric { namespace, name, dimensions, stat, period_seconds };
    judge::names(&metric).map_err(|p| scanner.refuse(p))?;
    Ok(metric)
}

/// [rate | level] [delay DURATION]
fn parse_options(scanner: &mut Scanner<'_>) -> Result<(Option<Amount>, Option<Duration>), Problem> {
    let (mut amount, mut delay) = (None, None);
    while !scanner.at_end() {
        let word = scanner.word("rate, level, delay DURATION, or the end")?;
        match word.as_str() {
            "rate" if amount.is_none() => amount = Some(Amount::Rate),
            "level" if amount.is_none() => amount = Some(Amount::Level),
            "delay" if delay.is_none() => {
                let text = scanner.word("how long after its end a period is believed: delay 3m")?;
                let given = parse_duration(&text).ok().filter(|d| *d <= DELAY_MAX).ok_or_else(|| {
                    let most = duration::format(DELAY_MAX);
                    scanner.problem(&format!("a delay of 0s to {most}, such as delay 3m"), &text)
                })?;
                delay = Some(given);
            }
            other => {
                let hint = did_you_mean(other, ["rate", "level", "delay"]);
                return Err(scanner
                    .problem("rate, level or delay DURATION, each once, or the end", other)
                    .help(hint.map(|h| format!("did you mean {h}?")).unwrap_or_default()));
            }
        }
    }
    Ok((amount, delay))
}

/// EXPRESSION where id = METRIC; id = METRIC [options]
fn parse_math(text: &str, position: usize, at: &str) -> Result<Spec, Problem> {
    let (expression, rest) = text.split_at(position);
    let expression = expression.trim().to_owned();
    let mut scanner = Scanner::new(text, at);
    scanner.skip_to(text.len() - rest.len() + "where".len());
    let mut metrics: Vec<(String, Metric)> = Vec::new();
    let (amount, delay) = loop {
        let id = scanner.word("an identifier of the expression: where m1 = NAMESPACE NAME{…} STATISTIC PERIOD")?;
        let plain = id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !plain || !id.starts_with(|c: char| c.is_ascii_lowercase()) {
            return Err(scanner.problem("an identifier: a lower-case letter, then letters, digits and _", &id));
        }
        if metrics.iter().any(|m| m.0 == id) {
            return Err(scanner.problem("each identifier once", &format!("{id} again")));
        }
        scanner.expect('=', &format!("= after {id}"))?;
        let metric = parse_metric(&mut scanner, &format!("for {id} "))?;
        if let Some((first, other)) = metrics.first().filter(|m| m.1.period_seconds != metric.period_seconds) {
            return Err(scanner.problem(
                &format!("the same period for all metrics of an expression: {}s as for {first}", other.period_seconds),
                &format!("{}s for {id}", metric.period_seconds),
            ));
        }
        metrics.push((id, metric));
        if metrics.len() > MAX_METRICS {
            return Err(scanner.problem(&format!("at most {MAX_METRICS} metrics in an expression"), "more"));
        }
        if !scanner.take(';') {
            break parse_options(&mut scanner)?;
        }
    };
    let amount = judge::expression(&expression, &metrics, amount, at)?;
    Ok(Spec { shape: Shape::Math { expression, metrics }, amount, delay })
}
