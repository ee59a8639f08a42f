//! What only shows when objects are looked at together.

use super::pods::{is_placeholder, pod};
use super::scaling::{bounds, field};
use super::{Context, Finding, Node, Object, found};
use crate::plan::guard::go_duration;
use std::time::Duration;

const CAPACITY_TYPE: &str = "karpenter.sh/capacity-type";

/// Checks all of them.
pub(super) fn check(objects: &[Object], context: &Context, findings: &mut Vec<Finding>) {
    let of = |kind: &str| objects.iter().filter(move |o| o.kind == kind).collect::<Vec<_>>();
    let pools = of("NodePool");
    spot(&pools, findings);
    consolidation(objects, &pools, context, findings);
    placeholders(objects, findings);
    for scaler in objects.iter().filter(|o| matches!(o.kind.as_str(), "HorizontalPodAutoscaler" | "ScaledObject")) {
        scaled(objects, scaler, context, findings);
    }
    peaks(objects, &pools, context, findings);
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
        if let Some(dear) = dear.filter(|_| pool.root.get("spec.weight").is_some()) {
            let at = pool.root.get("spec.weight").unwrap_or(at);
            let message = format!("spot has weight {}, on-demand {} has {}", weight(pool), dear.name, weight(dear));
            found(findings, "weight-order", pool, at, "spec.weight", message, String::new());
        }
    }
}

fn consolidation(objects: &[Object], pools: &[&Object], context: &Context, findings: &mut Vec<Finding>) {
    let warm = objects.iter().any(|o| o.kind == "CapacityBuffer" || is_placeholder(o));
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

fn labels(of: Option<&Node>) -> Vec<(String, String)> {
    of.map(Node::entries).unwrap_or_default().iter().map(|(k, v)| (k.clone(), v.words())).collect()
}

fn placeholders(objects: &[Object], findings: &mut Vec<Finding>) {
    for object in objects.iter().filter(|o| is_placeholder(o)) {
        let Some(pod) = pod(object) else { continue };
        let class = pod.get("spec.priorityClassName");
        let known =
            objects.iter().find(|o| o.kind == "PriorityClass" && Some(o.name.as_str()) == class.and_then(Node::text));
        let value = match (class, known) {
            (None, _) => Some(0.0),
            (Some(_), Some(known)) => known.root.entry("value").and_then(Node::number),
            (Some(_), None) => None,
        };
        if let Some(value) = value.filter(|v| !(-10.0..0.0).contains(v)) {
            let message = format!("placeholder pods have priority {value}");
            found(
                findings,
                "pause-priority",
                object,
                class.unwrap_or(pod),
                "spec.priorityClassName",
                message,
                String::new(),
            );
        }
        let own = labels(pod.get("metadata.labels"));
        for budget in objects.iter().filter(|o| o.kind == "PodDisruptionBudget" && o.namespace == object.namespace) {
            let selector = labels(budget.root.get("spec.selector.matchLabels"));
            if !selector.is_empty() && selector.iter().all(|l| own.contains(l)) {
                let at = budget.root.get("spec.selector").unwrap_or(&budget.root);
                let message = format!("it covers the placeholder pods of {object}");
                found(findings, "pause-pdb", budget, at, "spec.selector", message, String::new());
            }
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
    let target = scaler.root.get("spec.scaleTargetRef.name").map(Node::words).unwrap_or_default();
    let peak = context.peak(&scaler.namespace, &target);
    if let Some(((at, most), peak)) = max.and_then(|at| Some((at, at.number()?))).zip(peak)
        && most < f64::from(peak)
    {
        let path = format!("spec.{}", field(scaler, false));
        let message = format!("at most {most} replicas; the peak asks for {peak}");
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
    let metrics = scaler.root.get("spec.metrics").map(Node::items).unwrap_or_default();
    let cpu = metrics.iter().any(|m| {
        m.get("resource.name").map(Node::words).as_deref() == Some("cpu")
            && m.get("resource.target.averageUtilization").is_some()
    });
    let containers = pod(workload).and_then(|p| p.get("spec.containers")).map(Node::items).unwrap_or_default();
    for container in containers.iter().filter(|_| cpu) {
        let limit_or_request = container.get("resources.requests.cpu").or(container.get("resources.limits.cpu"));
        if limit_or_request.is_none() {
            let name = container.entry("name").map(Node::words).unwrap_or_default();
            let message = format!("container {name} has no cpu request; {scaler} scales on cpu utilization");
            found(
                findings,
                "hpa-without-request",
                workload,
                container,
                "spec.template.spec.containers",
                message,
                String::new(),
            );
        }
    }
}

/// Cores one pod of a workload asks for.
fn cores(workload: &Object) -> Option<f64> {
    let containers = pod(workload)?.get("spec.containers")?.items();
    let of = |c: &Node| c.get("resources.requests.cpu").or(c.get("resources.limits.cpu")).and_then(Node::quantity);
    containers.iter().map(of).sum()
}

fn peaks(objects: &[Object], pools: &[&Object], context: &Context, findings: &mut Vec<Finding>) {
    let workloads = objects.iter().filter(|o| matches!(o.kind.as_str(), "Deployment" | "StatefulSet"));
    let asked: Vec<(&Object, f64, f64)> = workloads
        .filter(|o| !is_placeholder(o))
        .filter_map(|o| {
            let peak = f64::from(context.peak(&o.namespace, &o.name)?);
            Some((o, peak, peak * cores(o)?))
        })
        .collect();
    if asked.is_empty() {
        return;
    }
    let total: f64 = asked.iter().map(|(_, _, cores)| cores).sum();
    let limits: Option<f64> = pools.iter().map(|p| p.root.get("spec.limits.cpu").and_then(Node::quantity)).sum();
    if let Some(limit) = limits.filter(|limit| *limit < total)
        && let Some(pool) = pools.first()
    {
        let at = pool.root.get("spec.limits.cpu").unwrap_or(&pool.root);
        let message = format!("all NodePools together may have {limit} cores; the peak asks for {total}");
        let instead = format!("limits:\n  cpu: {}", (total * 1.25).ceil());
        found(findings, "limits-below-peak", pool, at, "spec.limits.cpu", message, instead);
    }
    for quota in objects.iter().filter(|o| o.kind == "ResourceQuota") {
        let own = || asked.iter().filter(|(o, ..)| o.namespace == quota.namespace);
        let needs = [
            ("requests.cpu", own().map(|(.., cores)| cores).sum::<f64>()),
            ("cpu", own().map(|(.., cores)| cores).sum::<f64>()),
            ("pods", own().map(|(_, pods, _)| pods).sum::<f64>()),
        ];
        for (key, need) in needs {
            let at = quota.root.get("spec.hard").and_then(|h| h.entry(key));
            if let Some((at, hard)) = at.and_then(|at| Some((at, at.quantity()?))).filter(|(_, hard)| *hard < need) {
                let message = format!("{key} is {hard}; the peak asks for {need}");
                let instead = format!("hard:\n  {key}: \"{}\"", (need * 1.25).ceil());
                found(findings, "quota-below-peak", quota, at, &format!("spec.hard.{key}"), message, instead);
            }
        }
    }
}
