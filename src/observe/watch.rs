//! The watches: one task a kind, each of which lists, watches, and starts again by itself.

use super::cluster::Cluster;
use super::watched::Watched;
use super::{Pods, stop, views};
use crate::actuate::{chain, hpa_resource, scaled_object_resource};
use crate::clock::Clock;
use crate::error::Problem;
use futures::{Stream, StreamExt};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Pod, ResourceQuota};
use kube::api::{Api, DynamicObject};
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Resource, ResourceExt};
use std::sync::Arc;
use std::time::Duration;

/// How often a cluster that has no KEDA is asked again.
const DISCOVERY: Duration = Duration::from_secs(60);

/// Starts the watches of what floors are written on, for which the sweeper has the rights. They end when the returned tasks are dropped.
pub fn watch(client: &Client, cluster: &Arc<Cluster>, clock: &Arc<dyn Clock>) -> tokio::task::JoinSet<()> {
    let mut tasks = tokio::task::JoinSet::new();
    let (c, t) = (cluster.clone(), clock.clone());
    let api: Api<Deployment> = Api::all(client.clone());
    tasks.spawn(async move {
        let stream = watcher(api, watcher::Config::default());
        let keep = |key: &Key, object: Option<&Deployment>| {
            c.keep_workload(Watched::Deployments, key, object.and_then(views::deployment));
        };
        follow(stream, Watched::Deployments, &c, t.as_ref(), keep).await;
    });
    let (c, t) = (cluster.clone(), clock.clone());
    let api: Api<StatefulSet> = Api::all(client.clone());
    tasks.spawn(async move {
        let stream = watcher(api, watcher::Config::default());
        let keep = |key: &Key, object: Option<&StatefulSet>| {
            c.keep_workload(Watched::StatefulSets, key, object.and_then(views::stateful_set));
        };
        follow(stream, Watched::StatefulSets, &c, t.as_ref(), keep).await;
    });
    let (c, t) = (cluster.clone(), clock.clone());
    let api: Api<DeserializeGuard<HorizontalPodAutoscaler>> = Api::all(client.clone());
    tasks.spawn(async move {
        let stream = watcher(api, watcher::Config::default());
        let keep = |key: &Key, object: Option<&DeserializeGuard<HorizontalPodAutoscaler>>| {
            let sight = object.map(|o| match &o.0 {
                Ok(hpa) => views::autoscaler(hpa),
                Err(error) => {
                    let place = format!("HorizontalPodAutoscaler {}/{}", key.0, key.1);
                    let problem = Problem::new(place, hpa_resource().api_version, error.to_string());
                    Err(views::Unread::of(o.annotations(), None, problem))
                }
            });
            c.keep_autoscaler(Watched::Autoscalers, key, sight);
        };
        follow(stream, Watched::Autoscalers, &c, t.as_ref(), keep).await;
    });
    let (c, t, client) = (cluster.clone(), clock.clone(), client.clone());
    tasks.spawn(async move {
        loop {
            scaled_objects(&client, &c, t.as_ref()).await;
            tokio::time::sleep(DISCOVERY).await;
        }
    });
    tasks
}

/// Starts the watches of the kill switches: the ConfigMap of this namespace and name, and annotations of namespaces.
pub fn watch_stops(
    client: &Client,
    cluster: &Arc<Cluster>,
    clock: &Arc<dyn Clock>,
    namespace: &str,
    name: &str,
) -> tokio::task::JoinSet<()> {
    let mut tasks = tokio::task::JoinSet::new();
    let (c, t) = (cluster.clone(), clock.clone());
    let api: Api<PartialObjectMeta<Namespace>> = Api::all(client.clone());
    tasks.spawn(async move {
        let stream = watcher(api, watcher::Config::default());
        let keep = |key: &Key, object: Option<&PartialObjectMeta<Namespace>>| {
            c.keep_stop(Watched::Namespaces, key, object.and_then(stop::of_namespace));
        };
        follow(stream, Watched::Namespaces, &c, t.as_ref(), keep).await;
    });
    let (c, t) = (cluster.clone(), clock.clone());
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let only = watcher::Config::default().fields(&format!("metadata.name={name}"));
    tasks.spawn(async move {
        let stream = watcher(api, only);
        let keep = |key: &Key, object: Option<&ConfigMap>| {
            c.keep_stop(Watched::StopMap, key, object.map(stop::of_config_map));
        };
        follow(stream, Watched::StopMap, &c, t.as_ref(), keep).await;
    });
    tasks
}

/// Starts the watches of pods and nodes, from which lead times are learned, and of quotas.
pub fn watch_pods(
    client: &Client,
    cluster: &Arc<Cluster>,
    pods: &Arc<Pods>,
    clock: &Arc<dyn Clock>,
) -> tokio::task::JoinSet<()> {
    let mut tasks = tokio::task::JoinSet::new();
    let (c, p, t) = (cluster.clone(), pods.clone(), clock.clone());
    let api: Api<Node> = Api::all(client.clone());
    tasks.spawn(async move {
        let mut stream = Box::pin(watcher(api, watcher::Config::default()).default_backoff());
        while let Some(event) = stream.next().await {
            match &event {
                Ok(Event::InitApply(node) | Event::Apply(node)) => p.keep_node(node),
                Ok(Event::Delete(node)) => p.drop_node(node),
                Ok(Event::Init) => p.begin_nodes(),
                Ok(Event::InitDone) => p.done_nodes(),
                Err(_) => {}
            }
            take(event, Watched::Nodes, &c, t.as_ref(), &|_, _| ());
        }
    });
    let (c, p, t) = (cluster.clone(), pods.clone(), clock.clone());
    let api: Api<Pod> = Api::all(client.clone());
    tasks.spawn(async move {
        let mut stream = Box::pin(watcher(api, watcher::Config::default()).default_backoff());
        while let Some(event) = stream.next().await {
            match &event {
                Ok(Event::Init) => p.begin(),
                Ok(Event::InitDone) => p.done(),
                Ok(Event::InitApply(pod) | Event::Apply(pod)) => p.keep(pod, t.now()),
                Ok(Event::Delete(pod)) => p.drop_pod(pod, t.now()),
                Err(_) => {}
            }
            take(event, Watched::Pods, &c, t.as_ref(), &|_, _| ());
        }
    });
    let (c, t) = (cluster.clone(), clock.clone());
    let api: Api<ResourceQuota> = Api::all(client.clone());
    tasks.spawn(async move {
        let stream = watcher(api, watcher::Config::default());
        let keep = |key: &Key, object: Option<&ResourceQuota>| {
            c.keep_quota(key, object.and_then(views::quota));
        };
        follow(stream, Watched::Quotas, &c, t.as_ref(), keep).await;
    });
    tasks
}

/// Watches ScaledObjects if the cluster has the kind; returns when it has not, or no longer.
async fn scaled_objects(client: &Client, cluster: &Cluster, clock: &dyn Clock) {
    let resource = scaled_object_resource();
    let none = || {
        cluster.begin(Watched::ScaledObjects);
        cluster.done(Watched::ScaledObjects);
    };
    match has_group(client, &resource.group).await {
        Ok(true) => {}
        Ok(false) => return none(),
        Err(error) => return cluster.failing(Watched::ScaledObjects, clock.now(), chain(&error)),
    }
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let mut stream = Box::pin(watcher(api, watcher::Config::default()).default_backoff());
    while let Some(event) = stream.next().await {
        let gone = matches!(&event, Err(watcher::Error::InitialListFailed(kube::Error::Api(s))) if s.code == 404);
        if gone {
            // another kind of the group may have stayed
            return none();
        }
        let keep = |key: &Key, object: Option<&DynamicObject>| {
            cluster.keep_autoscaler(Watched::ScaledObjects, key, object.map(views::scaled_object));
        };
        take(event, Watched::ScaledObjects, cluster, clock, &keep);
    }
}

async fn has_group(client: &Client, group: &str) -> Result<bool, kube::Error> {
    Ok(client.list_api_groups().await?.groups.iter().any(|g| g.name == group))
}

type Key = (String, String);

async fn follow<K: Resource>(
    stream: impl Stream<Item = watcher::Result<Event<K>>> + Send,
    watched: Watched,
    cluster: &Cluster,
    clock: &dyn Clock,
    keep: impl Fn(&Key, Option<&K>),
) {
    let mut stream = Box::pin(stream.default_backoff());
    while let Some(event) = stream.next().await {
        take(event, watched, cluster, clock, &keep);
    }
}

fn take<K: Resource>(
    event: watcher::Result<Event<K>>,
    watched: Watched,
    cluster: &Cluster,
    clock: &dyn Clock,
    keep: &impl Fn(&Key, Option<&K>),
) {
    let key = |object: &K| (object.namespace().unwrap_or_default(), object.name_any());
    match event {
        Ok(Event::Init) => cluster.begin(watched),
        Ok(Event::InitDone) => cluster.done(watched),
        Ok(Event::InitApply(object)) => keep(&key(&object), Some(&object)),
        Ok(Event::Apply(object)) => {
            cluster.healthy(watched);
            keep(&key(&object), Some(&object));
        }
        Ok(Event::Delete(object)) => {
            cluster.healthy(watched);
            keep(&key(&object), None);
        }
        Err(error) => {
            let message = format!("{}{}", chain(&error), advice(&error, watched.resource()));
            tracing::warn!(resource = watched.resource(), error = %message, "watch failed; trying again");
            cluster.failing(watched, clock.now(), message);
        }
    }
}

/// What to do about a watch of `resource` that failed, to be put behind the error.
pub(super) fn advice(error: &watcher::Error, resource: &str) -> String {
    let status = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(s))
        | watcher::Error::WatchStartFailed(kube::Error::Api(s)) => s,
        watcher::Error::WatchError(s) => s,
        _ => return String::new(),
    };
    match status.code {
        403 => format!("; the role lacks list or watch on {resource} (deploy/manifests/rbac.yaml)"),
        401 => "; the credentials are missing or expired".into(),
        _ => String::new(),
    }
}
