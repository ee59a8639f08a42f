//! What is refused of a metric spec: slips in names, periods that CloudWatch doesn't have, statistics and
//! expressions that make no load.

use super::known::{self, Kind};
use super::scan::{Token, tokens};
use super::spec::{Amount, Metric};
use crate::error::{Problem, did_you_mean};
use crate::units::parse_duration;

const STATISTICS: [&str; 6] = ["Sum", "SampleCount", "Average", "Minimum", "Maximum", "IQM"];

fn suggest(word: &str, candidates: &[&'static str]) -> String {
    let same = candidates.iter().find(|c| c.eq_ignore_ascii_case(word)).copied();
    same.or_else(|| did_you_mean(word, candidates.iter().copied()))
        .map(|c| format!("did you mean {c}?"))
        .unwrap_or_default()
}

/// A statistic that the API has and that gives one value a period.
pub fn statistic_name(word: &str) -> Result<String, Problem> {
    let share = ["tm", "wm", "p"].iter().find_map(|prefix| word.strip_prefix(prefix)).map(str::parse::<f64>);
    let percentile = matches!(share, Some(Ok(v)) if v > 0.0 && v <= 100.0);
    if percentile || STATISTICS.contains(&word) {
        return Ok(word.to_owned());
    }
    Err(Problem::new("", "a statistic: Sum, SampleCount, Average, Minimum, Maximum, IQM, p99, tm90 or wm90", word)
        .help(suggest(word, &STATISTICS)))
}

/// Seconds of a period that can be asked for (API reference, `MetricStat`).
pub fn period(word: &str, namespace: &str) -> Result<u32, Problem> {
    let bad = |help: &str| Problem::new("", "a period of 1s, 5s, 10s, 20s, 30s or a multiple of 60s", word).help(help);
    let seconds = parse_duration(word).map_err(|_| bad(""))?;
    let whole = u32::try_from(seconds.as_secs()).unwrap_or(u32::MAX);
    if seconds.subsec_millis() != 0 || whole == 0 || whole > 86_400 {
        return Err(bad("a period lasts from 1s to 1d"));
    }
    match whole {
        1 | 5 | 10 | 20 | 30 if namespace.starts_with("AWS/") || namespace == "ContainerInsights" => {
            Err(bad(&format!("{namespace} has one value a minute: take 60s")))
        }
        1 | 5 | 10 | 20 | 30 => Ok(whole),
        _ if whole.is_multiple_of(60) => Ok(whole),
        _ => {
            let near = [1, 5, 10, 20, 30, 60].into_iter().find(|p| *p >= whole);
            Err(bad(&format!("take {}s", near.unwrap_or(whole.next_multiple_of(60)))))
        }
    }
}

/// Names that are slips of known ones, and dimensions that a known namespace doesn't have.
pub fn names(metric: &Metric) -> Result<(), Problem> {
    let all: Vec<&str> = known::NAMESPACES.iter().map(|n| n.name).collect();
    let Some(namespace) = known::namespace(&metric.namespace) else {
        let slip = all.iter().find(|n| {
            n.eq_ignore_ascii_case(&metric.namespace)
                || (n.len() >= 10 && strsim::damerau_levenshtein(n, &metric.namespace) <= 2)
        });
        return match slip {
            Some(known) => Err(Problem::new("", format!("the namespace {known}"), &metric.namespace)
                .help(format!("did you mean {known}?"))),
            None => Ok(()),
        };
    };
    let metrics: Vec<&str> = namespace.metrics.iter().map(|m| m.0).collect();
    let slip = metrics.iter().find(|m| {
        m.eq_ignore_ascii_case(&metric.name) || strsim::damerau_levenshtein(m, &metric.name) <= 1 + m.len() / 12
    });
    if let Some(known) = slip.filter(|m| !metrics.contains(&metric.name.as_str()) && **m != metric.name) {
        return Err(Problem::new("", format!("a metric of {}: {known}", namespace.name), &metric.name)
            .help(format!("did you mean {known}?")));
    }
    for (key, _) in &metric.dimensions {
        if !namespace.dimensions.contains(&key.as_str()) {
            return Err(Problem::new(
                "",
                format!("a dimension of {}: {}", namespace.name, namespace.dimensions.join(", ")),
                key,
            )
            .help(suggest(key, namespace.dimensions)));
        }
    }
    if !namespace.required.is_empty() && metric.dimensions.iter().all(|d| d.0 != namespace.required) {
        return Err(Problem::new(
            "",
            format!("the dimension {}=\"…\": {} has no metric without it", namespace.required, namespace.name),
            "none",
        ));
    }
    Ok(())
}

/// What the values are, if the statistic makes a load of the metric.
pub fn statistic(metric: &Metric, asked: Option<Amount>, at: &str) -> Result<Amount, Problem> {
    let kind = known::kind(&metric.namespace, &metric.name);
    let refuse = |expected: &str, help: &str| {
        let found = format!("{} of {} {}", metric.stat, metric.namespace, metric.name);
        Err(Problem::new(at, expected, found).help(help))
    };
    let counted = matches!(metric.stat.as_str(), "Sum" | "SampleCount");
    match kind {
        Some(Kind::Utilization) => refuse(
            "a load: something that doesn't change because we scale (requests, messages, total cores)",
            "a utilization falls as soon as replicas are added; take the load balancer's RequestCount, the queue's \
             NumberOfMessagesSent, or Sum of ContainerInsights pod_cpu_usage_total",
        ),
        Some(Kind::PerReplica) => refuse(
            "a load of the whole service",
            "an average per replica falls as soon as replicas are added; take the total, such as RequestCount",
        ),
        Some(Kind::Replicas) => {
            refuse("a load", "a number of replicas is what follows from a load; take what the replicas work on")
        }
        Some(Kind::Count) if !counted => {
            refuse("Sum, which is how many there were in a period", "write Sum instead of the statistic")
        }
        Some(Kind::PerEvent) if metric.stat != "SampleCount" => {
            refuse("a load", "of a metric that has one value an event only SampleCount, the number of events, is one")
        }
        Some(Kind::Level) if counted => refuse(
            "Average or Maximum of what there is at an instant",
            "the Sum of it depends on how often it is reported",
        ),
        Some(Kind::PartedLevel) if metric.stat != "Sum" => {
            refuse("Sum, which is the whole of its parts", "any other statistic is an average over pods or hosts")
        }
        Some(Kind::PartedLevel) => Ok(asked.unwrap_or(Amount::Level)),
        _ if counted => Ok(asked.unwrap_or(Amount::Rate)),
        _ if asked == Some(Amount::Rate) => {
            refuse("level: only Sum and SampleCount are amounts of a period", "leave the word rate out")
        }
        _ => Ok(Amount::Level),
    }
}

/// What the values of an expression are, if it is one over all of its metrics and gives one series.
pub fn expression(
    text: &str,
    metrics: &[(String, Metric)],
    asked: Option<Amount>,
    at: &str,
) -> Result<Amount, Problem> {
    const SEVERAL: [&str; 5] = ["SEARCH", "SELECT", "METRICS", "INSIGHT_RULE_METRIC", "ANOMALY_DETECTION_BAND"];
    let parts = tokens(text);
    let ids: Vec<&str> = metrics.iter().map(|m| m.0.as_str()).collect();
    let mut used = Vec::new();
    let mut depth = 0i32;
    for part in &parts {
        match part {
            Token::Id(id) if ids.contains(id) => used.push(*id),
            Token::Id(id) => {
                let hint = did_you_mean(id, ids.iter().copied());
                return Err(Problem::new(at, format!("an identifier that where defines: {}", ids.join(", ")), *id)
                    .help(
                        hint.map(|h| format!("did you mean {h}?"))
                            .unwrap_or_else(|| format!("add {id} = … after where")),
                    ));
            }
            Token::Name(name) if SEVERAL.contains(name) => {
                return Err(Problem::new(at, "an expression over named metrics that gives one series", *name)
                    .help("name each metric after where, and add them up"));
            }
            Token::Other("(") => depth += 1,
            Token::Other(")") => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            break;
        }
    }
    if depth != 0 {
        return Err(Problem::new(at, "parentheses in pairs", text));
    }
    if used.is_empty() {
        return Err(Problem::new(at, format!("an expression over {}", ids.join(", ")), text)
            .help("it references no metric, so it would be the same at all times"));
    }
    if let Some(idle) = ids.iter().find(|id| !used.contains(id)) {
        return Err(Problem::new(at, format!("{idle} in the expression"), text)
            .help(format!("use {idle}, or remove it: each metric asked for costs")));
    }
    for (_, metric) in metrics {
        let kind = known::kind(&metric.namespace, &metric.name);
        if matches!(kind, Some(Kind::Replicas)) && metrics.len() == 1 {
            return statistic(metric, asked, at);
        }
        // A utilization times a number of replicas is a load; alone it is not.
        if matches!(kind, Some(Kind::Utilization | Kind::PerReplica)) && metrics.len() == 1 {
            return statistic(metric, asked, at);
        }
    }
    let sums = metrics.iter().all(|(_, m)| {
        matches!(m.stat.as_str(), "Sum" | "SampleCount")
            && known::kind(&m.namespace, &m.name) != Some(Kind::PartedLevel)
    });
    let timed = parts.iter().any(|t| matches!(t, Token::Name("PERIOD" | "RATE")));
    Ok(asked.unwrap_or(if sums && !timed { Amount::Rate } else { Amount::Level }))
}
