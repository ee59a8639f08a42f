//! HPAs and ScaledObjects by themselves.

use super::{Context, Finding, Node, Object, found};
use std::time::Duration;

/// The lead where nobody says.
const LEAD: Duration = Duration::from_secs(180);
/// A load that doubles in this time is what a target has to leave room for.
const DOUBLES: f64 = 15.0 * 60.0;

/// Checks one; true: it is of a kind that is known.
pub(super) fn check(object: &Object, context: &Context, findings: &mut Vec<Finding>) -> bool {
    let (min, max) = bounds(object);
    if object.kind == "HorizontalPodAutoscaler" {
        if matches!(object.api_version.as_str(), "autoscaling/v2beta1" | "autoscaling/v2beta2") {
            let at = object.root.entry("apiVersion").unwrap_or(&object.root);
            let message = format!("{} is gone since Kubernetes 1.26", object.api_version);
            found(findings, "removed-api", object, at, "apiVersion", message, "apiVersion: autoscaling/v2".into());
        }
        for (i, metric) in object.root.get("spec.metrics").map(Node::items).unwrap_or_default().iter().enumerate() {
            let of = metric.get("resource.target").or(metric.get("containerResource.target"));
            target(object, of, &format!("spec.metrics[{i}].resource.target.averageUtilization"), context, findings);
        }
        if let Some(at) = object.root.get("spec.targetCPUUtilizationPercentage") {
            judge(object, at, "spec.targetCPUUtilizationPercentage", context, findings);
        }
    }
    let (low, high) = (min.and_then(|n| n.number()).unwrap_or(1.0), max.and_then(|n| n.number()));
    if let Some((at, high)) = max.zip(high)
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

fn target(object: &Object, of: Option<&Node>, field: &str, context: &Context, findings: &mut Vec<Finding>) {
    if let Some(at) = of.and_then(|t| t.entry("averageUtilization")) {
        judge(object, at, field, context, findings);
    }
}

fn judge(object: &Object, at: &Node, field: &str, context: &Context, findings: &mut Vec<Finding>) {
    let lead = context.lead_time.unwrap_or(LEAD);
    let most = (100.0 / (lead.as_secs_f64() / DOUBLES).exp2()).floor();
    if let Some(percent) = at.number().filter(|p| *p >= most) {
        let message = format!(
            "a target of {percent}% is at its limit before a replica that takes {} s is Ready, where the load doubles in 15 minutes",
            lead.as_secs()
        );
        let name = field.rsplit('.').next().unwrap_or(field);
        found(findings, "hpa-target-high", object, at, field, message, format!("{name}: {}", most - 1.0));
    }
}
