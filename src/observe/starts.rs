//! Pods and nodes, looked at once → the marks of their starts.
//!
//! Fields: KUBERNETES pod and node status, <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/>.
//! A container that restarted has lost the marks of its first start, and so has a pod whose Ready condition flapped: the
//! former is left out, the latter can't be told from one look.

use crate::demand::Start;
use crate::policy::{Workload, WorkloadKind};
use crate::units::Time;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time as ApiTime;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use std::collections::BTreeMap;

/// Objects of one page.
const PAGE: u32 = 500;
/// Pages read at most.
const PAGES_MAX: usize = 400;

/// The marks of a node.
#[derive(Debug, Clone, Copy)]
pub(super) struct NodeMarks {
    created: Option<Time>,
    ready: Option<Time>,
}

impl NodeMarks {
    pub(super) fn of(node: &Node) -> NodeMarks {
        let conditions = node.status.as_ref().and_then(|s| s.conditions.as_deref()).unwrap_or_default();
        let ready = conditions.iter().find(|c| c.type_ == "Ready" && c.status == "True");
        NodeMarks {
            created: node.metadata.creation_timestamp.as_ref().map(time),
            ready: ready.and_then(|c| c.last_transition_time.as_ref()).map(time),
        }
    }
}

/// A pod's start, and whose it is.
#[derive(Debug, Clone)]
pub struct PodStart {
    /// The Deployment or StatefulSet, told from the owner. None: neither.
    pub workload: Option<Workload>,
    /// Its marks.
    pub start: Start,
}

/// The starts of all pods of a namespace (None: of all), as `now` finds them. Pods with restarts, and pods that are over,
/// are left out. Errors: of the API, in its own words.
pub async fn starts(client: &Client, namespace: Option<&str>, now: Time) -> kube::Result<Vec<PodStart>> {
    let nodes: BTreeMap<String, NodeMarks> = all::<Node>(&Api::all(client.clone()))
        .await?
        .into_iter()
        .map(|node| (node.name_any(), NodeMarks::of(&node)))
        .collect();
    let pods: Api<Pod> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    Ok(all(&pods).await?.iter().filter_map(|pod| start(pod, &nodes, now)).collect())
}

async fn all<K>(api: &Api<K>) -> kube::Result<Vec<K>>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let mut found = Vec::new();
    let mut page = ListParams::default().limit(PAGE);
    for _ in 0..PAGES_MAX {
        let list = api.list(&page).await?;
        found.extend(list.items);
        match list.metadata.continue_.filter(|c| !c.is_empty()) {
            Some(next) => page = page.continue_token(&next),
            None => break,
        }
    }
    Ok(found)
}

/// The start of one pod. None: its stamps tell nothing.
pub(super) fn start(pod: &Pod, nodes: &BTreeMap<String, NodeMarks>, now: Time) -> Option<PodStart> {
    let status = pod.status.as_ref()?;
    let containers = status.container_statuses.as_deref().unwrap_or_default();
    let over = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    if over || containers.iter().any(|c| c.restart_count > 0) || pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let condition = |name: &str| {
        let conditions = status.conditions.as_deref().unwrap_or_default();
        let found = conditions.iter().find(|c| c.type_ == name && c.status == "True")?;
        found.last_transition_time.as_ref().map(time)
    };
    let running = containers.iter().map(|c| {
        let running = c.state.as_ref().and_then(|s| s.running.as_ref());
        running.and_then(|r| r.started_at.as_ref()).map(time)
    });
    // all of them have to run
    let started = running.collect::<Option<Vec<Time>>>().and_then(|times| times.into_iter().max());
    let node = pod.spec.as_ref().and_then(|s| s.node_name.as_ref()).and_then(|name| nodes.get(name));
    Some(PodStart {
        workload: workload(pod),
        start: Start {
            decided: None,
            created: time(pod.metadata.creation_timestamp.as_ref()?),
            preempted: status.nominated_node_name.is_some(),
            node_created: node.and_then(|n| n.created),
            node_ready: node.and_then(|n| n.ready),
            scheduled: condition("PodScheduled"),
            initialized: condition("Initialized"),
            started,
            ready: condition("Ready"),
            seen: now,
        },
    })
}

/// The Deployment's name is the ReplicaSet's without the hash that its pods carry as a label.
pub(super) fn workload(pod: &Pod) -> Option<Workload> {
    let owner = pod.metadata.owner_references.as_deref()?.iter().find(|o| o.controller == Some(true))?;
    let (kind, name) = match owner.kind.as_str() {
        "StatefulSet" => (WorkloadKind::StatefulSet, owner.name.as_str()),
        "ReplicaSet" => {
            let hash = pod.metadata.labels.as_ref()?.get("pod-template-hash")?;
            (WorkloadKind::Deployment, owner.name.strip_suffix(hash.as_str())?.strip_suffix('-')?)
        }
        _ => return None,
    };
    Some(Workload { namespace: pod.namespace().unwrap_or_default(), name: name.to_owned(), kind })
}

pub(super) fn time(time: &ApiTime) -> Time {
    Time::from_millis(time.0.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demand::StartPath;

    fn pod(restarts: u32) -> Pod {
        serde_json::from_value(serde_json::json!({
            "metadata": {
                "name": "web-api-5d4f8c7b9-x2x4v", "namespace": "shop", "creationTimestamp": "2026-01-05T08:00:00Z",
                "labels": {"pod-template-hash": "5d4f8c7b9"},
                "ownerReferences": [
                    {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-api-5d4f8c7b9", "uid": "1", "controller": true}
                ],
            },
            "spec": {"nodeName": "n1", "containers": []},
            "status": {
                "phase": "Running",
                "conditions": [
                    {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-05T08:00:46Z"},
                    {"type": "Initialized", "status": "True", "lastTransitionTime": "2026-01-05T08:00:47Z"},
                    {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-05T08:01:10Z"},
                ],
                "containerStatuses": [
                    {"name": "app", "image": "a", "imageID": "", "ready": true, "restartCount": restarts,
                     "state": {"running": {"startedAt": "2026-01-05T08:01:02Z"}}}
                ],
            },
        }))
        .unwrap()
    }

    #[test]
    fn a_pod_on_a_node_that_is_younger_was_bought_one() {
        let at = |text: &str| Some(Time::parse(text).unwrap());
        let marks = NodeMarks { created: at("2026-01-05T08:00:40Z"), ready: at("2026-01-05T08:00:45Z") };
        let nodes = BTreeMap::from([("n1".to_owned(), marks)]);
        let now = Time::parse("2026-01-05T09:00:00Z").unwrap();
        let found = start(&pod(0), &nodes, now).unwrap();
        assert_eq!(found.workload.unwrap().to_string(), "shop/web-api");
        assert_eq!(found.start.path(), StartPath::NewNode);
        let seconds: Vec<u64> = found.start.phases().iter().map(|(_, d)| d.as_secs()).collect();
        assert_eq!(seconds, [0, 40, 5, 1, 1, 15, 8]);
        assert_eq!(found.start.lead().duration.as_secs(), 70);
        assert!(start(&pod(1), &nodes, now).is_none(), "a restart overwrote the marks of the first start");
    }
}
