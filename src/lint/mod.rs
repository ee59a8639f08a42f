//! `forescale lint`: mistakes in objects around scaling and nodes that the API accepts, or refuses too late.
//!
//! Pure: text → findings. Files may hold several documents, `List`s, comments in any language and kinds that are not
//! known; those are skipped and counted.

mod annotations;
mod asks;
mod hours;
mod nodepool;
mod peaks;
mod placeholders;
mod pods;
mod read;
mod removed;
mod rules;
mod sarif;
mod scaling;
mod together;

pub use read::{Node, Object, Value, objects};
pub use rules::{RULES, Rule, reference, rule};
pub use sarif::sarif;

use serde::Serialize;
use std::time::Duration;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It works, but not as meant, or not always.
    Warning,
    /// It is refused, or does something else than it says.
    Error,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// The rule's id.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The file, or `-`, or the cluster.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// Kind and name of the object.
    pub object: String,
    /// Path of the field.
    pub field: String,
    /// What is wrong here.
    pub message: String,
    /// What happens at run time.
    pub happens: &'static str,
    /// YAML that does what is meant.
    pub instead: String,
}

/// What is known besides the objects. None: not known, so nothing is said of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Context {
    /// Where people work whose hours budgets are meant for.
    pub time_zone: Option<jiff::tz::TimeZone>,
    /// Replicas of the forecast peak, by `namespace/name`, by `name`, or by `*` for every workload.
    pub peak_replicas: Vec<(String, u32)>,
    /// From a decision to serving.
    pub lead_time: Option<Duration>,
    /// Now, for offsets of the zone: seconds since 1970.
    pub now: i64,
}

impl Context {
    /// Replicas of the forecast peak of the workload of this name where the object is: what says most of it goes first.
    fn peak(&self, object: &Object, name: &str) -> Option<u32> {
        let full = format!("{}/{name}", object.namespace);
        let rank = |key: &str| match key {
            "*" => Some(3),
            _ if key == full => Some(0),
            _ if object.is_meant(key, name) => Some(if key.contains('/') { 1 } else { 2 }),
            _ => None,
        };
        let fitting = self.peak_replicas.iter().filter_map(|(key, peak)| Some((rank(key)?, *peak)));
        fitting.min_by_key(|(rank, _)| *rank).map(|(_, peak)| peak)
    }
}

/// What was looked at and found.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// Mistakes, by file and line.
    pub findings: Vec<Finding>,
    /// Objects that were checked.
    pub checked: usize,
    /// Objects of kinds that are not known, and documents that are no objects.
    pub skipped: usize,
}

/// Checks objects, each by itself and together.
pub fn lint(objects: &[Object], context: &Context) -> Report {
    let mut report = Report::default();
    for object in objects {
        // kinds that are gone are known by that alone
        let gone = removed::check(object, &mut report.findings);
        let known = match object.kind.as_str() {
            "NodePool" => nodepool::check(object, context, &mut report.findings),
            "HorizontalPodAutoscaler" | "ScaledObject" => scaling::check(object, context, &mut report.findings),
            "PriorityClass"
            | "PodDisruptionBudget"
            | "Deployment"
            | "StatefulSet"
            | "DaemonSet"
            | "ReplicaSet"
            | "Pod"
            | "PodTemplate" => pods::check(objects, object, &mut report.findings),
            "ResourceQuota" | "LimitRange" | "CapacityBuffer" => true,
            _ => gone,
        };
        annotations::check(object, &mut report.findings);
        match known {
            true => report.checked += 1,
            false => report.skipped += 1,
        }
    }
    placeholders::check(objects, &mut report.findings);
    together::check(objects, context, &mut report.findings);
    report.findings.sort_by(|a, b| (&a.file, a.line, a.column, a.rule).cmp(&(&b.file, b.line, b.column, b.rule)));
    report.findings.dedup();
    report
}

/// Notes a finding at a node of an object.
fn found(
    findings: &mut Vec<Finding>,
    id: &'static str,
    object: &Object,
    at: &Node,
    field: &str,
    message: String,
    instead: String,
) {
    let Some(rule) = rule(id) else { return };
    findings.push(Finding {
        rule: id,
        severity: rule.severity,
        file: object.file.clone(),
        line: at.line,
        column: at.column,
        object: object.to_string(),
        field: field.to_owned(),
        message,
        happens: rule.happens,
        instead: if instead.is_empty() { rule.good.to_owned() } else { instead },
    });
}
