//! Pods that only hold a place: which they are, and what stands in their way.

use super::pods::pod;
use super::{Finding, Node, Object, found};

/// Whether its pods only hold a place: they are made of a pause image, or only sleep in a class of negative priority.
pub(super) fn is_placeholder(objects: &[Object], object: &Object) -> bool {
    let Some(pod) = pod(object) else { return false };
    let containers = pod.get("spec.containers").map(Node::items).unwrap_or_default();
    if containers.is_empty() {
        return false;
    }
    let low = || priority(objects, pod).is_some_and(|value| value < 0.0);
    containers.iter().all(pauses) || containers.iter().all(sleeps) && low()
}

/// registry.k8s.io/pause, rancher/mirrored-pause, pause-amd64…
fn pauses(container: &Node) -> bool {
    let image = container.entry("image").map(Node::words).unwrap_or_default();
    let name = image.rsplit('/').next().unwrap_or_default().split([':', '@']).next().unwrap_or_default();
    name == "pause" || name.starts_with("pause-") || name.ends_with("-pause")
}

fn sleeps(container: &Node) -> bool {
    let given = ["command", "args"].iter().filter_map(|key| container.entry(key)).flat_map(Node::items);
    let text = given.map(Node::words).collect::<Vec<_>>().join(" ");
    let shell = |word: &&str| matches!(*word, "sh" | "/bin/sh" | "bash" | "/bin/bash" | "-c" | "exec");
    let words: Vec<&str> = text.split_whitespace().skip_while(shell).collect();
    matches!(words[..], ["sleep" | "/bin/sleep", _] | ["tail", "-f", "/dev/null"])
}

/// The priority of a pod. None: by a class that is not here.
fn priority(objects: &[Object], pod: &Node) -> Option<f64> {
    let Some(class) = pod.get("spec.priorityClassName").map(Node::words) else { return Some(0.0) };
    match class.as_str() {
        "system-cluster-critical" => Some(2_000_000_000.0),
        "system-node-critical" => Some(2_000_001_000.0),
        _ => {
            let known = objects.iter().find(|o| o.kind == "PriorityClass" && o.name == class)?;
            known.root.entry("value").and_then(Node::number)
        }
    }
}

/// Checks what the objects together say of placeholder pods.
pub(super) fn check(objects: &[Object], findings: &mut Vec<Finding>) {
    for object in objects.iter().filter(|o| is_placeholder(objects, o)) {
        let Some(pod) = pod(object) else { continue };
        if let Some(value) = priority(objects, pod).filter(|v| !(-10.0..0.0).contains(v)) {
            let message = format!("placeholder pods have priority {value}");
            let at = pod.get("spec.priorityClassName").unwrap_or(pod);
            found(findings, "pause-priority", object, at, "spec.priorityClassName", message, String::new());
        }
        let labels = texts(pod.get("metadata.labels"));
        for budget in objects.iter().filter(|o| o.kind == "PodDisruptionBudget" && o.namespace == object.namespace) {
            let Some(at) = budget.root.get("spec.selector") else { continue };
            if selects(at, &labels) {
                let message = format!("it covers the placeholder pods of {object}");
                found(findings, "pause-pdb", budget, at, "spec.selector", message, String::new());
            }
        }
    }
}

fn texts(of: Option<&Node>) -> Vec<(String, String)> {
    of.map(Node::entries).unwrap_or_default().iter().map(|(k, v)| (k.clone(), v.words())).collect()
}

/// Whether a selector takes pods with these labels; an empty one takes all.
fn selects(selector: &Node, labels: &[(String, String)]) -> bool {
    let label = |key: &str| labels.iter().find(|(k, _)| k == key).map(|(_, value)| value);
    let expressions = selector.entry("matchExpressions").map(Node::items).unwrap_or_default();
    texts(selector.entry("matchLabels")).iter().all(|(key, value)| label(key) == Some(value))
        && expressions.iter().all(|expression| {
            let own = label(&expression.entry("key").map(Node::words).unwrap_or_default());
            let values = expression.entry("values").map(Node::items).unwrap_or_default();
            let listed = own.is_some_and(|own| values.iter().any(|value| value.words() == *own));
            match expression.entry("operator").map(Node::words).as_deref() {
                Some("In") => listed,
                Some("NotIn") => !listed,
                Some("Exists") => own.is_some(),
                Some("DoesNotExist") => own.is_none(),
                _ => false,
            }
        })
}
