//! API objects → plain values. What does not fit is a [`Problem`] with the object and the field, and costs only that
//! object.

use crate::error::Problem;
use crate::observe::PREFIX;
use crate::plan::guard::go_duration;
use crate::plan::nodes::{
    NODE_POOL_LABEL, NodeClaimView, NodePoolView, NodeView, Placement, Requirement, Taint, Toleration,
};
use crate::units::{Quantity, Time};
use k8s_openapi::api::core::v1::{Node, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use kube::api::DynamicObject;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Keeps a node from voluntary disruption where it is "true".
pub(super) const DO_NOT_DISRUPT: &str = "karpenter.sh/do-not-disrupt";
/// `expireAfter` where a NodePool does not say: the API's default.
const EXPIRE_AFTER: Duration = Duration::from_secs(720 * 3600);

fn time(t: &meta::Time) -> Time {
    Time::from_millis(t.0.as_millisecond())
}

fn ours(of: &meta::ObjectMeta) -> BTreeMap<String, String> {
    let all = of.annotations.iter().flatten();
    all.filter(|(key, _)| key.starts_with(PREFIX)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// Resources of a JSON map; what is no quantity is left out.
fn resources(value: Option<&Value>) -> BTreeMap<String, f64> {
    let entries = value.and_then(Value::as_object).into_iter().flatten();
    let amount = |v: &Value| Quantity::parse(&v.as_str().map_or_else(|| v.to_string(), str::to_owned)).ok();
    entries.filter_map(|(name, v)| Some((name.clone(), amount(v)?.0))).collect()
}

/// A list or object of its own type; absent is the default.
fn part<T: DeserializeOwned + Default>(data: &Value, pointer: &str, place: &str) -> Result<T, Problem> {
    match data.pointer(pointer) {
        None | Some(Value::Null) => Ok(T::default()),
        Some(value) => serde_json::from_value(value.clone()).map_err(|e| {
            Problem::new(place, format!("{} as karpenter.sh/v1 has it", pointer.replace('/', ".")), e.to_string())
        }),
    }
}

/// A duration or `Never`. Outer None: not there.
fn nillable(data: &Value, pointer: &str) -> Option<Option<Duration>> {
    let text = data.pointer(pointer)?.as_str()?;
    if text == "Never" { Some(None) } else { go_duration(text).map(Some) }
}

/// A NodePool.
pub(super) fn node_pool(object: &DynamicObject) -> Result<NodePoolView, Problem> {
    let name = object.metadata.name.clone().unwrap_or_default();
    let place = format!("NodePool {name}");
    let data = &object.data;
    let count = |pointer: &str| data.pointer(pointer).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
    let conditions = data.pointer("/status/conditions").and_then(Value::as_array);
    let ready = conditions.into_iter().flatten().find(|c| c["type"] == "Ready");
    Ok(NodePoolView {
        uid: object.metadata.uid.clone().unwrap_or_default(),
        annotations: ours(&object.metadata),
        budgets: part(data, "/spec/disruption/budgets", &place)?,
        consolidation_policy: part(data, "/spec/disruption/consolidationPolicy", &place)?,
        consolidate_after: nillable(data, "/spec/disruption/consolidateAfter").unwrap_or(Some(Duration::ZERO)),
        weight: count("/spec/weight").unwrap_or(0),
        replicas: count("/spec/replicas"),
        limits: resources(data.pointer("/spec/limits")),
        used: resources(data.pointer("/status/resources")),
        expire_after: nillable(data, "/spec/template/spec/expireAfter").unwrap_or(Some(EXPIRE_AFTER)),
        labels: part(data, "/spec/template/metadata/labels", &place)?,
        requirements: part(data, "/spec/template/spec/requirements", &place)?,
        taints: part(data, "/spec/template/spec/taints", &place)?,
        ready: ready.and_then(|c| c["status"].as_str()).map(|s| s == "True"),
        name,
    })
}

/// A NodeClaim. None: it has no creation time, so it is none.
pub(super) fn node_claim(object: &DynamicObject) -> Option<NodeClaimView> {
    let data = &object.data;
    let conditions = data.pointer("/status/conditions").and_then(Value::as_array);
    let condition = |name: &str| {
        let found = conditions?.iter().find(|c| c["type"] == name && c["status"] == "True")?;
        Time::parse(found["lastTransitionTime"].as_str()?).ok()
    };
    let labels = object.metadata.labels.clone().unwrap_or_default();
    Some(NodeClaimView {
        name: object.metadata.name.clone()?,
        pool: labels.get(NODE_POOL_LABEL).cloned(),
        node: data.pointer("/status/nodeName").and_then(Value::as_str).map(str::to_owned),
        created: time(object.metadata.creation_timestamp.as_ref()?),
        launched: condition("Launched"),
        registered: condition("Registered"),
        initialized: condition("Initialized"),
        deleting: object.metadata.deletion_timestamp.as_ref().map(time),
        expire_after: nillable(data, "/spec/expireAfter").unwrap_or(Some(EXPIRE_AFTER)),
        requests: resources(data.pointer("/spec/resources/requests")),
        allocatable: resources(data.pointer("/status/allocatable")),
        labels,
    })
}

/// A Node.
pub(super) fn node(object: &Node) -> NodeView {
    let spec = object.spec.as_ref();
    let status = object.status.as_ref();
    let conditions = status.and_then(|s| s.conditions.as_deref()).unwrap_or_default();
    let ready = conditions.iter().find(|c| c.type_ == "Ready" && c.status == "True");
    let taints = spec.and_then(|s| s.taints.as_deref()).unwrap_or_default();
    let amounts = status.and_then(|s| s.allocatable.as_ref()).into_iter().flatten();
    let annotations = object.metadata.annotations.iter().flatten();
    NodeView {
        name: object.metadata.name.clone().unwrap_or_default(),
        created: object.metadata.creation_timestamp.as_ref().map_or(Time::from_millis(0), time),
        ready: ready.and_then(|c| c.last_transition_time.as_ref()).map(time),
        deleting: object.metadata.deletion_timestamp.as_ref().map(time),
        unschedulable: spec.and_then(|s| s.unschedulable).unwrap_or(false),
        allocatable: amounts.filter_map(|(k, q)| Some((k.clone(), Quantity::parse(&q.0).ok()?.0))).collect(),
        labels: object.metadata.labels.clone().unwrap_or_default(),
        taints: taints
            .iter()
            .map(|t| Taint { key: t.key.clone(), value: t.value.clone().unwrap_or_default(), effect: t.effect.clone() })
            .collect(),
        do_not_disrupt: annotations.into_iter().any(|(k, v)| k == DO_NOT_DISRUPT && v == "true"),
        annotations: ours(&object.metadata),
    }
}

/// What a pod template asks of nodes.
pub fn placement(template: &PodTemplateSpec) -> Placement {
    let Some(spec) = template.spec.as_ref() else { return Placement::default() };
    let affinity = spec.affinity.as_ref().and_then(|a| a.node_affinity.as_ref());
    let required = affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
    let term = |t: &k8s_openapi::api::core::v1::NodeSelectorTerm| {
        let expressions = t.match_expressions.iter().flatten();
        let requirement = |e: &k8s_openapi::api::core::v1::NodeSelectorRequirement| Requirement {
            key: e.key.clone(),
            operator: e.operator.clone(),
            values: e.values.clone().unwrap_or_default(),
        };
        expressions.map(requirement).collect()
    };
    let toleration = |t: &k8s_openapi::api::core::v1::Toleration| Toleration {
        key: t.key.clone().unwrap_or_default(),
        operator: t.operator.clone().unwrap_or_default(),
        value: t.value.clone().unwrap_or_default(),
        effect: t.effect.clone().unwrap_or_default(),
    };
    Placement {
        node_selector: spec.node_selector.clone().unwrap_or_default(),
        affinity: required.map(|r| r.node_selector_terms.iter().map(term).collect()).unwrap_or_default(),
        tolerations: spec.tolerations.iter().flatten().map(toleration).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_node_pool_is_read_as_it_stands() {
        let pool = node_pool(&object(json!({
            "apiVersion": "karpenter.sh/v1", "kind": "NodePool",
            "metadata": { "name": "web", "uid": "u", "annotations": { "forescale.dev/x": "1", "other": "2" } },
            "spec": {
                "weight": 10,
                "limits": { "cpu": "100", "memory": "1Gi" },
                "disruption": {
                    "consolidateAfter": "10m",
                    "budgets": [{ "nodes": "20%" }, { "nodes": "0", "reasons": [], "schedule": "@daily", "duration": "1h" }],
                },
                "template": { "metadata": { "labels": { "team": "shop" } }, "spec": {
                    "expireAfter": "Never",
                    "requirements": [{ "key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"], "minValues": 1 }],
                    "taints": [{ "key": "web", "effect": "NoSchedule" }],
                } },
            },
            "status": { "resources": { "cpu": "4", "nodes": "1" }, "conditions": [{ "type": "Ready", "status": "True" }] },
        })))
        .unwrap();
        assert_eq!(pool.annotations.len(), 1);
        let budgets = pool.budgets.unwrap();
        assert_eq!(budgets[1].reasons, Some(Vec::new()));
        assert_eq!(pool.consolidate_after, Some(Duration::from_secs(600)));
        assert_eq!(pool.limits["memory"], 1_073_741_824.0);
        assert_eq!((pool.used["nodes"], pool.weight, pool.ready), (1.0, 10, Some(true)));
        assert_eq!((pool.expire_after, pool.taints.len(), pool.requirements.len()), (None, 1, 1));
    }

    #[test]
    fn what_is_not_there_has_the_apis_default_and_what_is_wrong_costs_only_that_object() {
        let pool = node_pool(&object(
            json!({ "apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": { "name": "a" }, "spec": {} }),
        ))
        .unwrap();
        assert_eq!((pool.budgets, pool.expire_after), (None, Some(EXPIRE_AFTER)));
        let wrong = json!({ "apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": { "name": "a" }, "spec": { "disruption": { "budgets": [{ "nodes": 0 }] } } });
        let problem = node_pool(&object(wrong)).unwrap_err().to_string();
        assert!(problem.contains("NodePool a") && problem.contains("budgets"), "{problem}");
    }

    #[test]
    fn a_node_claim_says_when_it_was_ready_and_when_it_expires() {
        let claim = node_claim(&object(json!({
            "apiVersion": "karpenter.sh/v1", "kind": "NodeClaim",
            "metadata": { "name": "web-x", "creationTimestamp": "2026-11-25T09:00:00Z", "labels": { "karpenter.sh/nodepool": "web" } },
            "spec": { "expireAfter": "24h" },
            "status": { "nodeName": "n1", "conditions": [
                { "type": "Launched", "status": "True", "lastTransitionTime": "2026-11-25T09:00:02Z" },
                { "type": "Initialized", "status": "Unknown", "lastTransitionTime": "2026-11-25T09:00:02Z" },
            ] },
        })))
        .unwrap();
        assert_eq!(claim.pool.as_deref(), Some("web"));
        assert_eq!(claim.launched, Some(Time::parse("2026-11-25T09:00:02Z").unwrap()));
        assert_eq!(claim.initialized, None);
        assert_eq!(claim.expires(), Some(Time::parse("2026-11-26T09:00:00Z").unwrap()));
    }
}
