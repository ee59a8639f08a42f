//! What only shows when objects are looked at together.

use super::placeholders::is_placeholder;
use super::pods::pod;
use super::scaling::{bounds, field, most, utilizations};
use super::{Context, Finding, Node, Object, asks, found, peaks};
use crate::plan::guard::go_duration;
use std::time::Duration;

const CAPACITY_TYPE: &str = "karpenter.sh/capacity-type";

/// Checks all of them.
pub(super) fn check(objects: &[Object], context: &Context, findings: &mut Vec<Finding>) {
    let of = |kind: &str| objects.iter().filter(move |o| o.kind == kind).collect::<Vec<_>>();
    let pools = of("NodePool");
    spot(&pools, findings);
    consolidation(objects, &pools, context, findings);
    for scaler in objects.iter().filter(|o| matches!(o.kind.as_str(), "HorizontalPodAutoscaler" | "ScaledObject")) {
        scaled(objects, scaler, context, findings);
    }
    peaks::check(objects, &pools, context, findings);
}

/// Capacity types a pool admits: (spot, on-demand).
fn types(pool: &Object) -> (bool, bool) {
    let requirements = pool.root.get("spec.template.spec.requirements").map(Node::items).unwrap_or_default();
    let own = requirements.iter().find(|r| r.entry("key").and_then(Node::text) == Some(CAPACITY_TYPE));
    let Some(own) = own else { return (false, true) };
    let has = |value: &str| own.entry("values").map(Node::items).unwrap_or_default().iter().any(|v| v.words() == value);
    match own.entry("operator").map(Node::words).as_deref() {
        Some("NotIn") => (!has("spot"), !has("on-demand")),
        Some("In") => (has("spot"), has("on-demand") || has("reserved")),
        _ => (true, true),
    }
}

fn spot(pools: &[&Object], findings: &mut Vec<Finding>) {
    let weight = |pool: &Object| pool.root.get("spec.weight").and_then(Node::number).unwrap_or(0.0);
    let fallback = pools.iter().any(|p| types(p).1);
    for pool in pools.iter().filter(|p| types(p) == (true, false)) {
        let at = pool.root.get("spec.template.spec.requirements").unwrap_or(&pool.root);
        if !fallback {
            let message = "only spot nodes, and no pool here has others".to_string();
            found(
                findings,
                "spot-without-fallback",
                pool,
                at,
                "spec.template.spec.requirements",
                message,
                String::new(),
            );
        }
        let dear = pools.iter().find(|p| types(p) == (false, true) && weight(p) > weight(pool));
        if let Some(dear) = dear {
            let own = pool.root.get("spec.weight");
            let (at, given) =
                (own.unwrap_or(at), own.map_or("no weight, which is 0".into(), |w| format!("weight {}", w.words())));
            let message = format!("spot has {given}, on-demand {} has {}", dear.name, weight(dear));
            found(findings, "weight-order", pool, at, "spec.weight", message, String::new());
        }
    }
}

fn consolidation(objects: &[Object], pools: &[&Object], context: &Context, findings: &mut Vec<Finding>) {
    let warm = objects.iter().any(|o| o.kind == "CapacityBuffer" || is_placeholder(objects, o));
    let lead = match context.lead_time {
        Some(lead) => lead,
        None if warm => Duration::from_secs(180),
        None => return,
    };
    for pool in pools {
        let at = pool.root.get("spec.disruption.consolidateAfter");
        let Some((at, after)) = at.and_then(|at| Some((at, go_duration(&at.words())?))) else { continue };
        if after < lead {
            let message = format!("consolidateAfter {} is shorter than the lead of {} s", at.words(), lead.as_secs());
            let instead = format!("consolidateAfter: {}m", (2 * lead.as_secs()).div_ceil(60));
            found(findings, "consolidate-after-short", pool, at, "spec.disruption.consolidateAfter", message, instead);
        }
    }
}

/// What a scaler scales: a file may have it, and the cluster, too.
fn workloads<'a>(objects: &'a [Object], scaler: &Object) -> Vec<&'a Object> {
    let Some(target) = scaler.root.get("spec.scaleTargetRef") else { return Vec::new() };
    let kind = target.entry("kind").map_or_else(|| "Deployment".to_owned(), Node::words);
    let Some(name) = target.entry("name").map(Node::words) else { return Vec::new() };
    objects.iter().filter(|o| o.kind == kind && o.name == name && o.namespace == scaler.namespace).collect()
}

fn acts(workload: &Object) -> bool {
    let annotations = workload.root.get("metadata.annotations");
    annotations.and_then(|a| a.entry("forescale.dev/mode")).is_some_and(|mode| mode.words() == "act")
}

fn scaled(objects: &[Object], scaler: &Object, context: &Context, findings: &mut Vec<Finding>) {
    let (min, max) = bounds(scaler);
    let by = if max.is_none() { " (KEDA's own, where maxReplicaCount is absent)" } else { "" };
    let target = scaler.root.get("spec.scaleTargetRef.name").map(Node::words).unwrap_or_default();
    let peak = context.peak(scaler, &target);
    if let Some(((at, most), peak)) = most(scaler).zip(peak)
        && most < f64::from(peak)
    {
        let path = format!("spec.{}", field(scaler, false));
        let message = format!("at most {most} replicas{by}; the peak asks for {peak}");
        found(
            findings,
            "max-replicas-below-peak",
            scaler,
            at,
            &path,
            message,
            format!("{}: {peak}", field(scaler, false)),
        );
    }
    let workloads = workloads(objects, scaler);
    let Some(workload) = workloads.first() else { return };
    // in a cluster the field is Forescale's own
    if let Some(at) = min.filter(|_| !scaler.live && workloads.iter().any(|w| acts(w))) {
        let path = format!("spec.{}", field(scaler, true));
        let message = format!("{workload} is in mode act, so {path} is written by Forescale");
        found(findings, "min-replicas-in-git", scaler, at, &path, message, String::new());
    }
    for written in workloads.iter().filter(|w| !w.live) {
        if let Some(at) = written.root.get("spec.replicas") {
            let message = format!("{scaler} scales it");
            found(findings, "replicas-in-git", written, at, "spec.replicas", message, String::new());
        }
    }
    requests(objects, workload, scaler, findings);
}

/// Containers without the request that a utilization is a share of.
fn requests(objects: &[Object], workload: &Object, scaler: &Object, findings: &mut Vec<Finding>) {
    let Some(spec) = pod(workload).and_then(|p| p.entry("spec")) else { return };
    let items = |of: &str| spec.entry(of).map(Node::items).unwrap_or_default().iter();
    let mut containers: Vec<(&str, &Node)> = items("containers").map(|c| ("containers", c)).collect();
    containers.extend(items("initContainers").filter(|c| asks::is_sidecar(c)).map(|c| ("initContainers", c)));
    for aim in utilizations(scaler) {
        let what = &aim.resource;
        // what the pod asks for as a whole does not say what one container does
        let asked = |of: &Node| asks::given(of, "requests", what).is_some();
        let filled = asks::filled(objects, &workload.namespace, "requests", what).is_some();
        if aim.container.is_none() && asked(spec) || filled {
            continue;
        }
        for (list, container) in containers.iter().filter(|(_, c)| !asked(c)) {
            let name = container.entry("name").map(Node::words).unwrap_or_default();
            if aim.container.as_ref().is_none_or(|only| *only == name) {
                let message = format!("container {name} has no {what} request; {scaler} scales on {what} utilization");
                let field = format!("spec.template.spec.{list}");
                found(findings, "hpa-without-request", workload, container, &field, message, String::new());
            }
        }
    }
}
