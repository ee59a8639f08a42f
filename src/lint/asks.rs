//! What the pods of a template ask for.

use super::{Node, Object};
use crate::units::{of_pod, of_whole_pod};

/// Of a container, or of a pod as a whole: `of` is `requests` or `limits`. A limit stands for a request that is not there.
pub(super) fn given<'a>(at: &'a Node, of: &str, resource: &str) -> Option<&'a Node> {
    let given = |key: &str| at.entry("resources")?.entry(key)?.entry(resource);
    given(of).or_else(|| given("limits"))
}

/// Whether an init container goes on beside the others.
pub(super) fn is_sidecar(container: &Node) -> bool {
    container.entry("restartPolicy").and_then(Node::text) == Some("Always")
}

/// What the API fills in where a container says nothing: it takes a LimitRange's bounds for defaults that are not there.
/// Source: `SetDefaults_LimitRangeItem` in Kubernetes' pkg/apis/core/v1/defaults.go.
pub(super) fn filled<'a>(objects: &'a [Object], namespace: &str, of: &str, resource: &str) -> Option<&'a Node> {
    let ranges = objects.iter().filter(|o| o.kind == "LimitRange" && o.namespace == namespace);
    let limits = ranges.filter_map(|o| o.root.get("spec.limits")).flat_map(Node::items);
    let mut limits = limits.filter(|limit| limit.entry("type").and_then(Node::text) == Some("Container"));
    let keys: &[&str] = if of == "limits" { &["default", "max"] } else { &["defaultRequest", "default", "max", "min"] };
    limits.find_map(|limit| keys.iter().find_map(|key| limit.entry(key)?.entry(resource)))
}

/// What one pod of `spec` asks for. None: a container does not say.
pub(super) fn pod(objects: &[Object], namespace: &str, spec: &Node, of: &str, resource: &str) -> Option<f64> {
    let own = |of: &str| spec.entry("resources")?.entry(of)?.entry(resource).and_then(Node::quantity);
    if let Some(whole) = own(of) {
        return Some(whole);
    }
    let filled = filled(objects, namespace, of, resource);
    let one = |container: &Node| given(container, of, resource).or(filled).and_then(Node::quantity);
    let items = |of: &str| spec.entry(of).map(Node::items).unwrap_or_default().iter();
    let all = || items("initContainers").chain(items("containers"));
    // a pod that is limited as a whole asks for what its containers say, however many do
    let limit = own("limits");
    let asked = limit.is_none() || all().any(|c| one(c).is_some());
    let amount = |container: &Node, needed: bool| match limit {
        None if needed => one(container),
        _ => Some(one(container).unwrap_or(0.0)),
    };
    let first = items("initContainers").map(|c| Some((is_sidecar(c), amount(c, is_sidecar(c))?)));
    let first: Vec<(bool, f64)> = first.collect::<Option<_>>()?;
    let together = items("containers").map(|c| amount(c, true)).sum::<Option<f64>>()?;
    of_whole_pod([None, limit], asked.then(|| of_pod(first.into_iter(), together)))
}
