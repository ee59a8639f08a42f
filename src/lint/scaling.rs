//! HPAs and ScaledObjects by themselves.

use super::{Context, Finding, Node, Object, found};
use std::time::Duration;

/// The lead where nobody says.
const LEAD: Duration = Duration::from_secs(180);
/// Replicas of a ScaledObject that does not say.
const KEDA_MAX: f64 = 100.0;
/// A load that doubles in this time is what a target has to leave room for.
const DOUBLES: f64 = 15.0 * 60.0;

/// Checks one; true: it is of a kind that is known.
pub(super) fn check(object: &Object, context: &Context, findings: &mut Vec<Finding>) -> bool {
    for aim in utilizations(object) {
        judge(object, aim.at, &aim.field, context, findings);
    }
    let low = bounds(object).0.and_then(Node::number).unwrap_or(1.0);
    if let Some((at, high)) = most(object)
        && (high < 1.0 || low > high)
    {
        let message = format!("from {low} to {high} replicas");
        let instead = format!("{}: {}", field(object, false), low.max(1.0));
        found(findings, "hpa-bounds", object, at, &format!("spec.{}", field(object, false)), message, instead);
    }
    true
}

/// The field of the lower (or upper) bound.
pub(super) fn field(object: &Object, lower: bool) -> &'static str {
    match (object.kind == "ScaledObject", lower) {
        (false, true) => "minReplicas",
        (false, false) => "maxReplicas",
        (true, true) => "minReplicaCount",
        (true, false) => "maxReplicaCount",
    }
}

/// Lower and upper bound as they stand.
pub(super) fn bounds(object: &Object) -> (Option<&Node>, Option<&Node>) {
    let of = |lower| object.root.get(&format!("spec.{}", field(object, lower)));
    (of(true), of(false))
}

/// The upper bound and where it stands.
pub(super) fn most(object: &Object) -> Option<(&Node, f64)> {
    match bounds(object).1 {
        Some(at) => Some((at, at.number()?)),
        None if object.kind == "ScaledObject" => Some((object.root.get("spec")?, KEDA_MAX)),
        None => None,
    }
}

/// A target in percent of a request.
pub(super) struct Utilization<'a> {
    /// cpu or memory.
    pub(super) resource: String,
    /// The one container it looks at. None: all.
    pub(super) container: Option<String>,
    field: String,
    at: &'a Node,
}

/// Those of an HPA, of either version, and those of KEDA's triggers, which end up in an HPA.
pub(super) fn utilizations(object: &Object) -> Vec<Utilization<'_>> {
    let items = |field: &str| object.root.get(field).map(Node::items).unwrap_or_default().iter().enumerate();
    let mut all = Vec::new();
    for (i, metric) in items("spec.metrics") {
        for kind in ["resource", "containerResource"] {
            let Some(of) = metric.entry(kind) else { continue };
            let Some(at) = of.get("target.averageUtilization") else { continue };
            let field = format!("spec.metrics[{i}].{kind}.target.averageUtilization");
            let container = of.entry("container").map(Node::words);
            all.push(Utilization {
                resource: of.entry("name").map(Node::words).unwrap_or_default(),
                container,
                field,
                at,
            });
        }
    }
    let v1 = "spec.targetCPUUtilizationPercentage";
    if let Some(at) = object.root.get(v1) {
        all.push(Utilization { resource: "cpu".into(), container: None, field: v1.into(), at });
    }
    for (i, trigger) in items("spec.triggers") {
        let resource = trigger.entry("type").map(Node::words).unwrap_or_default();
        let other =
            trigger.entry("metricType").or(trigger.get("metadata.type")).is_some_and(|t| t.words() != "Utilization");
        if other || !matches!(resource.as_str(), "cpu" | "memory") {
            continue;
        }
        if let Some(at) = trigger.get("metadata.value") {
            let container = trigger.get("metadata.containerName").map(Node::words).filter(|name| !name.is_empty());
            all.push(Utilization { resource, container, field: format!("spec.triggers[{i}].metadata.value"), at });
        }
    }
    all
}

fn judge(object: &Object, at: &Node, field: &str, context: &Context, findings: &mut Vec<Finding>) {
    let lead = context.lead_time.unwrap_or(LEAD);
    let most = (100.0 / (lead.as_secs_f64() / DOUBLES).exp2()).floor();
    // KEDA has it as text
    let percent = at.number().or_else(|| at.text()?.trim().parse().ok());
    if let Some(percent) = percent.filter(|p| *p >= most) {
        let message = format!(
            "a target of {percent}% is at its limit before a replica that takes {} s is Ready, where the load doubles in 15 minutes",
            lead.as_secs()
        );
        let name = field.rsplit('.').next().unwrap_or(field);
        let instead = match at.text() {
            Some(_) => format!("{name}: \"{}\"", most - 1.0),
            None => format!("{name}: {}", most - 1.0),
        };
        found(findings, "hpa-target-high", object, at, field, message, instead);
    }
}
