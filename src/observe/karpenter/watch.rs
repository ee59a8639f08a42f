//! The watches behind [`Karpenter`]: each lists, watches, and starts again by itself.

use super::views;
use super::{Capability, Karpenter, NodeKind, Sight};
use crate::actuate::chain;
use crate::clock::Clock;
use crate::observe::watch::advice;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Resource, ResourceExt};
use std::sync::Arc;
use std::time::Duration;

/// How often the cluster is asked what it has.
const DISCOVERY: Duration = Duration::from_secs(60);
/// Version of NodePools and NodeClaims that we read and write.
const VERSION: &str = "v1";

/// Starts all watches. They end when the returned tasks are dropped.
pub fn watch_karpenter(client: &Client, seen: &Arc<Karpenter>, clock: &Arc<dyn Clock>) -> tokio::task::JoinSet<()> {
    let mut tasks = tokio::task::JoinSet::new();
    let (s, c, t) = (seen.clone(), client.clone(), clock.clone());
    tasks.spawn(async move {
        loop {
            discover(&c, &s, t.as_ref()).await;
            tokio::time::sleep(DISCOVERY).await;
        }
    });
    let (s, t) = (seen.clone(), clock.clone());
    let nodes: Api<Node> = Api::all(client.clone());
    tasks.spawn(async move {
        follow(nodes, NodeKind::Nodes, &s, t.as_ref(), |node| Sight::Node(views::node(node))).await;
    });
    for kind in [NodeKind::NodePools, NodeKind::NodeClaims] {
        let (s, c, t) = (seen.clone(), client.clone(), clock.clone());
        tasks.spawn(async move {
            loop {
                let _ = s.served.subscribe().wait_for(|served| *served).await;
                let api: Api<DynamicObject> = Api::all_with(c.clone(), &resource(kind));
                let read = |object: &DynamicObject| match kind {
                    NodeKind::NodePools => Sight::Pool(views::node_pool(object)),
                    NodeKind::NodeClaims | NodeKind::Nodes => Sight::Claim(views::node_claim(object)),
                };
                follow(api, kind, &s, t.as_ref(), read).await;
                tokio::time::sleep(DISCOVERY).await;
            }
        });
    }
    tasks
}

/// `karpenter.sh/v1` NodePool or NodeClaim.
fn resource(kind: NodeKind) -> ApiResource {
    let name = match kind {
        NodeKind::NodePools => "NodePool",
        NodeKind::NodeClaims | NodeKind::Nodes => "NodeClaim",
    };
    ApiResource::from_gvk(&GroupVersionKind::gvk("karpenter.sh", VERSION, name))
}

/// Asks the cluster what it has.
async fn discover(client: &Client, seen: &Karpenter, clock: &dyn Clock) {
    let found = async {
        let karpenter = versions(client, "karpenter.sh", "nodepools").await?;
        let buffers = versions(client, "autoscaling.x-k8s.io", "capacitybuffers").await?;
        Ok::<_, kube::Error>((karpenter, buffers))
    };
    match found.await {
        Ok((karpenter, buffers)) => {
            let served = karpenter.serves(VERSION);
            seen.found(karpenter, buffers);
            seen.served.send_replace(served);
            for kind in [NodeKind::NodePools, NodeKind::NodeClaims] {
                if !served {
                    seen.begin(kind);
                    seen.done(kind);
                }
            }
        }
        // what was known stays
        Err(error) => {
            for kind in [NodeKind::NodePools, NodeKind::NodeClaims] {
                seen.failing(kind, clock.now(), chain(&error));
            }
        }
    }
}

/// The versions in which a group serves a resource, the preferred one first.
pub async fn versions(client: &Client, group: &str, plural: &str) -> kube::Result<Capability> {
    let groups = client.list_api_groups().await?.groups;
    let Some(group) = groups.into_iter().find(|g| g.name == group) else { return Ok(Capability::Absent) };
    let preferred = group.preferred_version.map(|v| v.group_version);
    let mut all: Vec<_> = group.versions.into_iter().map(|v| (v.group_version, v.version)).collect();
    all.sort_by_key(|(full, _)| Some(full) != preferred.as_ref());
    let mut served = Vec::new();
    for (full, version) in all {
        let resources = client.list_api_group_resources(&full).await?.resources;
        if resources.iter().any(|r| r.name == plural) {
            served.push(version);
        }
    }
    Ok(if served.is_empty() { Capability::Absent } else { Capability::Served(served) })
}

/// Follows one kind. Returns when the cluster has it no longer.
async fn follow<K>(api: Api<K>, kind: NodeKind, seen: &Karpenter, clock: &dyn Clock, read: impl Fn(&K) -> Sight)
where
    K: Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    let mut stream = Box::pin(watcher(api, watcher::Config::default()).default_backoff());
    while let Some(event) = stream.next().await {
        match event {
            Ok(Event::Init) => seen.begin(kind),
            Ok(Event::InitDone) => seen.done(kind),
            Ok(Event::InitApply(object)) => seen.keep(kind, &object.name_any(), read(&object)),
            Ok(Event::Apply(object)) => {
                seen.healthy(kind);
                seen.keep(kind, &object.name_any(), read(&object));
            }
            Ok(Event::Delete(object)) => {
                seen.healthy(kind);
                seen.keep(kind, &object.name_any(), Sight::Gone);
            }
            Err(
                watcher::Error::InitialListFailed(kube::Error::Api(status))
                | watcher::Error::WatchStartFailed(kube::Error::Api(status)),
            ) if status.code == 404 => {
                seen.begin(kind);
                return seen.done(kind);
            }
            Err(error) => {
                let message = format!("{}{}", chain(&error), advice(&error, kind.resource()));
                tracing::warn!(resource = kind.resource(), error = %message, "watch failed; trying again");
                seen.failing(kind, clock.now(), message);
            }
        }
    }
}
