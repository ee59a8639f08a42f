//! Whether nodes and quotas are enough for the forecast peaks.

use super::placeholders::is_placeholder;
use super::pods::pod;
use super::{Context, Finding, Node, Object, asks, found};
use std::collections::BTreeSet;

const GIB: f64 = 1_073_741_824.0;
/// What is above rounding of sums.
const NOTICEABLE: f64 = 1.0 + 1e-9;

/// A workload at its peak.
struct Peak<'a> {
    objects: &'a [Object],
    workload: &'a Object,
    pods: f64,
}

impl Peak<'_> {
    /// What its pods ask for together. None: a container does not say.
    fn asks(&self, of: &str, resource: &str) -> Option<f64> {
        let spec = pod(self.workload)?.entry("spec")?;
        Some(asks::pod(self.objects, &self.workload.namespace, spec, of, resource)? * self.pods)
    }
}

/// Checks the limits of all NodePools together, and each quota.
pub(super) fn check(objects: &[Object], pools: &[&Object], context: &Context, findings: &mut Vec<Finding>) {
    // what is written replaces what the cluster has: it is not there besides
    let written: BTreeSet<_> = objects.iter().filter(|o| !o.live).map(identity).collect();
    let counts = |o: &&Object| !o.live || !written.contains(&identity(o));
    let pools: Vec<&Object> = pools.iter().copied().filter(counts).collect();
    let workloads = objects.iter().filter(counts).filter(|o| matches!(o.kind.as_str(), "Deployment" | "StatefulSet"));
    let peaks: Vec<Peak<'_>> = workloads
        .filter(|o| !is_placeholder(objects, o))
        .filter_map(|o| Some(Peak { objects, workload: o, pods: f64::from(context.peak(o, &o.name)?) }))
        .collect();
    for resource in ["cpu", "memory"] {
        let need: f64 = peaks.iter().filter_map(|p| p.asks("requests", resource)).sum();
        let of = |pool: &Object| pool.root.get("spec.limits")?.entry(resource).and_then(Node::quantity);
        // one without a limit has no end
        let limits: Option<f64> = pools.iter().map(|pool| of(pool)).sum();
        if let Some(limit) = limits.filter(|limit| limit * NOTICEABLE < need)
            && let Some(pool) = pools.first()
        {
            let field = format!("spec.limits.{resource}");
            let at = pool.root.get(&field).unwrap_or(&pool.root);
            let (limit, asked) = (amount(resource, limit), amount(resource, need));
            let unit = if resource == "cpu" { "cores" } else { "of memory" };
            let message = format!("all NodePools together may have {limit} {unit}; the peak asks for {asked}");
            let instead = format!("limits:\n  {resource}: {}", enough(resource, need));
            found(findings, "limits-below-peak", pool, at, &field, message, instead);
        }
    }
    for quota in objects.iter().filter(counts).filter(|o| o.kind == "ResourceQuota" && !is_scoped(o)) {
        let own = || peaks.iter().filter(|p| p.workload.namespace == quota.namespace);
        let ask = |of, resource| own().filter_map(|p| p.asks(of, resource)).sum::<f64>();
        let pods = own().map(|p| p.pods).sum::<f64>();
        let needs = [
            ("requests.cpu", "cpu", ask("requests", "cpu")),
            ("cpu", "cpu", ask("requests", "cpu")),
            ("limits.cpu", "cpu", ask("limits", "cpu")),
            ("requests.memory", "memory", ask("requests", "memory")),
            ("memory", "memory", ask("requests", "memory")),
            ("limits.memory", "memory", ask("limits", "memory")),
            ("pods", "pods", pods),
            ("count/pods", "pods", pods),
        ];
        for (key, resource, need) in needs {
            let at = quota.root.get("spec.hard").and_then(|h| h.entry(key));
            let hard = at.and_then(|at| Some((at, at.quantity()?)));
            if let Some((at, _)) = hard.filter(|(_, hard)| hard * NOTICEABLE < need) {
                let message = format!("{key} is {}; the peak asks for {}", at.words(), amount(resource, need));
                let instead = format!("hard:\n  {key}: \"{}\"", enough(resource, need));
                found(findings, "quota-below-peak", quota, at, &format!("spec.hard.{key}"), message, instead);
            }
        }
    }
}

fn identity(object: &Object) -> (&str, &str, &str) {
    (&object.kind, &object.namespace, &object.name)
}

/// Whether it counts only some pods.
fn is_scoped(quota: &Object) -> bool {
    let scopes = ["spec.scopes", "spec.scopeSelector.matchExpressions"];
    scopes.iter().any(|field| quota.root.get(field).is_some_and(|at| !at.items().is_empty()))
}

fn amount(resource: &str, value: f64) -> String {
    match resource {
        "memory" => format!("{}Gi", (value / GIB * 10.0).round() / 10.0),
        _ => value.to_string(),
    }
}

/// A quarter more than the need.
fn enough(resource: &str, need: f64) -> String {
    match resource {
        "memory" => format!("{}Gi", (need * 1.25 / GIB).ceil()),
        _ => (need * 1.25).ceil().to_string(),
    }
}
