//! Pod templates, PriorityClasses and PodDisruptionBudgets by themselves.

use super::placeholders::is_placeholder;
use super::{Finding, Node, Object, found};
use crate::plan::guard::go_duration;

const DO_NOT_DISRUPT: &str = "karpenter.sh/do-not-disrupt";

/// Checks one; true: it is of a kind that is known.
pub(super) fn check(objects: &[Object], object: &Object, findings: &mut Vec<Finding>) -> bool {
    match object.kind.as_str() {
        "PriorityClass" => priority_class(object, findings),
        "PodDisruptionBudget" => disruption_budget(object, findings),
        _ => template(objects, object, findings),
    }
    true
}

fn priority_class(object: &Object, findings: &mut Vec<Finding>) {
    if object.root.entry("value").and_then(Node::number).is_none_or(|value| value >= 0.0) {
        return;
    }
    let policy = object.root.entry("preemptionPolicy");
    if policy.and_then(Node::text) != Some("Never") {
        let at = policy.unwrap_or(&object.root);
        let message = "a class of negative priority without preemptionPolicy: Never".to_string();
        found(findings, "priority-preempts", object, at, "preemptionPolicy", message, String::new());
    }
    if let Some(at) = object.root.entry("globalDefault").filter(|d| d.words() == "true") {
        let message = "a class of negative priority is the default".to_string();
        found(findings, "priority-default", object, at, "globalDefault", message, String::new());
    }
}

fn disruption_budget(object: &Object, findings: &mut Vec<Finding>) {
    let blocks = [("spec.maxUnavailable", ["0", "0%"]), ("spec.minAvailable", ["100%", "100%"])];
    for (field, values) in blocks {
        if let Some(at) = object.root.get(field).filter(|at| values.contains(&at.words().as_str())) {
            let message = format!("{} is {}: no pod may ever be evicted", field, at.words());
            found(findings, "pdb-blocks-all", object, at, field, message, String::new());
        }
    }
}

/// The pod template's root: what has `metadata` and `spec` of pods.
pub(super) fn pod(object: &Object) -> Option<&Node> {
    match object.kind.as_str() {
        "Pod" => Some(&object.root),
        "PodTemplate" => object.root.entry("template"),
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" => object.root.get("spec.template"),
        _ => None,
    }
}

fn template(objects: &[Object], object: &Object, findings: &mut Vec<Finding>) {
    let Some(pod) = pod(object) else { return };
    let annotation = pod.get("metadata.annotations").and_then(|a| a.entry(DO_NOT_DISRUPT));
    if let Some(at) = annotation.filter(|at| at.text().is_none_or(|t| t != "true" && go_duration(t).is_none())) {
        let message = format!("{DO_NOT_DISRUPT}: {} means nothing to Karpenter", at.words());
        found(findings, "do-not-disrupt-value", object, at, "metadata.annotations", message, String::new());
    }
    if !is_placeholder(objects, object) {
        return;
    }
    let grace = pod.get("spec.terminationGracePeriodSeconds");
    let seconds = grace.and_then(Node::number).unwrap_or(30.0);
    if seconds != 1.0 {
        let at = grace.unwrap_or(pod);
        let message = format!("placeholder pods take {seconds} s to go");
        found(findings, "pause-grace", object, at, "spec.terminationGracePeriodSeconds", message, String::new());
    }
}
