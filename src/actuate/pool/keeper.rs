//! Brings a pool's objects about: looks, chooses the back end, writes what differs, takes away what is not wanted.

use super::{
    BUFFER_GROUP, Backend, BackendChoice, BufferView, Leave, MANAGED_LABEL, POOL_LABEL, POOL_LEDGER, PoolLedger,
    SLOT_LABEL, SlotSet, choose, leave, priority_class, quota, room,
};
use crate::actuate::executor::ask;
use crate::actuate::{Call, Executor, FIELD_MANAGER, Fence, WriteError};
use crate::plan::pool::PoolReason;
use crate::units::Time;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How long a pool's objects are answered for without being renewed.
const VALID: Duration = Duration::from_secs(30 * 60);
/// They are renewed when less than this is left.
const RENEW_BEFORE: Duration = Duration::from_secs(20 * 60);
/// A pod that is nominated and not bound for so long is stuck.
const STUCK: Duration = Duration::from_secs(3);
/// Pods that are looked at for that, and remembered, at most.
const PENDING_MAX: u32 = 500;
/// Objects of one kind that a pool has at most.
const OBJECTS_MAX: u32 = 500;

/// What a pool should be.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The pool.
    pub pool: String,
    /// Where its objects are.
    pub namespace: String,
    /// Its objects. Empty: everything is taken away.
    pub sets: Vec<SlotSet>,
    /// What bound its size.
    pub reason: PoolReason,
    /// What it may be made of.
    pub choice: BackendChoice,
    /// Every node that was ordered is there.
    pub nodes_settled: bool,
}

/// What a pool is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Kept {
    /// What it is made of. None: nothing.
    pub backend: Option<Backend>,
    /// Why it is not made of what one would expect.
    pub why: Option<String>,
    /// Slots that are there: placeholders that run, or what buffers have bought and nodes have.
    pub ready: u32,
    /// Slots that quotas admit. None: no quota is about them.
    pub room: Option<u32>,
    /// Writes that were made.
    pub writes: u64,
    /// Objects that are not wanted and still there.
    pub left: usize,
    /// What did not work.
    pub problems: Vec<String>,
}

/// Keeps pools as they should be.
pub struct Keeper {
    executor: Arc<Executor>,
    /// Pools whose buffers nobody acted on.
    silent: BTreeSet<String>,
    classed: bool,
    /// Pods that are nominated and not bound: since when, and whether a nudge was given.
    stuck: BTreeMap<String, (Time, bool)>,
}

fn resource(group: &str, version: &str, kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

fn deployments() -> ApiResource {
    resource("apps", "v1", "Deployment")
}

fn templates() -> ApiResource {
    resource("", "v1", "PodTemplate")
}

fn gone(result: Result<(), WriteError>) -> Result<(), WriteError> {
    match result {
        Err(WriteError::Gone(_)) => Ok(()),
        other => other,
    }
}

/// An object of a pool.
#[derive(Debug, Clone, PartialEq)]
pub struct Ours {
    /// Where it lives.
    pub namespace: String,
    /// The pool.
    pub pool: String,
    /// Its name.
    pub name: String,
    /// What it stands for.
    pub ledger: PoolLedger,
}

/// Every object of every pool in the cluster.
pub async fn ours(client: &Client, served: &[String]) -> Result<Vec<Ours>, WriteError> {
    let mut kinds = vec![deployments()];
    kinds.extend(served.first().map(|v| resource(BUFFER_GROUP, v, "CapacityBuffer")));
    let mut found = Vec::new();
    for kind in kinds {
        let call = Call { verb: "list", resource: kind.plural.clone(), object: "all namespaces".into() };
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &kind);
        let selector = format!("{}={},{POOL_LABEL}", MANAGED_LABEL.0, MANAGED_LABEL.1);
        let listed = match ask(&call, api.list(&ListParams::default().labels(&selector))).await {
            // the cluster has no such kind
            Err(WriteError::Gone(_)) => continue,
            other => other?,
        };
        for object in listed.items {
            let ledger = object.annotations().get(POOL_LEDGER).and_then(|text| PoolLedger::parse(text));
            let pool = object.labels().get(POOL_LABEL).cloned();
            if let (Some(ledger), Some(pool)) = (ledger, pool) {
                let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
                found.push(Ours { namespace, pool, name, ledger });
            }
        }
    }
    Ok(found)
}

impl Keeper {
    /// A keeper that has done nothing.
    pub fn new(executor: Arc<Executor>) -> Keeper {
        Keeper { executor, silent: BTreeSet::new(), classed: false, stuck: BTreeMap::new() }
    }

    /// One round for one pool. `served`: versions of CapacityBuffer that the cluster has.
    pub async fn keep(&mut self, now: Time, standing: &Standing, served: &[String], fence: &Fence<'_>) -> Kept {
        let mut kept = Kept::default();
        if let Err(error) = self.round(now, standing, served, fence, &mut kept).await {
            kept.problems.push(error.to_string());
        }
        kept
    }

    async fn round(
        &mut self,
        now: Time,
        standing: &Standing,
        served: &[String],
        fence: &Fence<'_>,
        kept: &mut Kept,
    ) -> Result<(), WriteError> {
        let placeholders = self.list(standing, &deployments()).await?;
        let buffers = match served.first() {
            Some(version) => self.list(standing, &resource(BUFFER_GROUP, version, "CapacityBuffer")).await?,
            None => BTreeMap::new(),
        };
        let views: BTreeMap<&String, BufferView> = buffers
            .iter()
            .filter_map(|(name, o)| Some((name, BufferView::of(&serde_json::to_value(o).ok()?)?)))
            .collect();
        if views.values().any(|view| view.silent(now)) {
            self.silent.insert(standing.pool.clone());
        } else if views.values().any(|view| view.heard) {
            self.silent.remove(&standing.pool);
        }
        let (backend, why) = choose(standing.choice, served, self.silent.contains(&standing.pool));
        kept.problems.extend(views.values().filter_map(|v| v.problem.clone()));
        if matches!(backend, Some(Backend::Placeholders)) {
            kept.room = self.room(standing, &placeholders, &mut kept.problems).await;
        }
        let wanted: BTreeSet<&String> = standing.sets.iter().map(|s| &s.name).collect();
        for set in &standing.sets {
            match &backend {
                Some(Backend::Placeholders) => {
                    kept.writes += self.placeholders(now, standing, set, placeholders.get(&set.name), fence).await?;
                    let ready =
                        placeholders.get(&set.name).and_then(|o| o.data.pointer("/status/readyReplicas")?.as_u64());
                    kept.ready += ready.and_then(|n| u32::try_from(n).ok()).unwrap_or(0).min(set.slots);
                }
                Some(Backend::CapacityBuffer(version)) => {
                    kept.writes += self.buffer(now, standing, set, version, buffers.get(&set.name), fence).await?;
                    let bought = views.get(&set.name).is_some_and(|v| v.bought && v.replicas == set.slots);
                    kept.ready += if bought && standing.nodes_settled { set.slots } else { 0 };
                }
                None => {}
            }
        }
        kept.left = 0;
        // what is not wanted, or of the other kind, goes: after its successor is there
        for name in placeholders.keys() {
            // nobody may be there who acts on a buffer: until somebody has, the nodes are kept by what stands
            let unheard = !views.get(name).is_some_and(|v| v.heard || v.replicas == 0);
            let succeeds = matches!(backend, Some(Backend::CapacityBuffer(_))) && wanted.contains(name);
            if succeeds && unheard {
                continue;
            }
            if !wanted.contains(name) || !matches!(backend, Some(Backend::Placeholders)) {
                self.delete(standing, &deployments(), name, fence).await?;
                kept.writes += 1;
            }
        }
        for (name, view) in &views {
            if !wanted.contains(name) || !matches!(backend, Some(Backend::CapacityBuffer(_))) {
                let Some(buffer) = buffers.get(*name) else { continue };
                let (writes, gone) = self.leave(now, standing, served, (buffer, view), fence).await?;
                kept.writes += writes;
                kept.left += usize::from(!gone);
            }
        }
        kept.backend = backend.filter(|_| !standing.sets.is_empty());
        kept.why = why;
        Ok(())
    }

    /// See [`room`]; pods of buffers count in no quota.
    async fn room(
        &self,
        standing: &Standing,
        placeholders: &BTreeMap<String, DynamicObject>,
        problems: &mut Vec<String>,
    ) -> Option<u32> {
        let kind = resource("", "v1", "ResourceQuota");
        let call = Call { verb: "list", resource: kind.plural.clone(), object: standing.namespace.clone() };
        let listed = match self
            .executor
            .ask(&call, self.api(standing, &kind).list(&ListParams::default().limit(OBJECTS_MAX)))
            .await
        {
            Ok(listed) => listed.items,
            Err(error) => {
                problems.push(format!("quotas are not regarded: {error}"));
                return None;
            }
        };
        let mut largest: BTreeMap<String, f64> = BTreeMap::new();
        for (resource, amount) in standing.sets.iter().flat_map(|s| &s.shape.requests) {
            let most = largest.entry(resource.clone()).or_insert(0.0);
            *most = most.max(*amount);
        }
        let stand = placeholders.values().filter_map(|o| o.data.pointer("/status/replicas")?.as_u64()).sum::<u64>();
        let quotas: Vec<_> =
            listed.iter().filter_map(|o| quota(o.metadata.name.as_deref().unwrap_or_default(), &o.data)).collect();
        room(&quotas, &largest, u32::try_from(stand).unwrap_or(u32::MAX))
    }

    fn api(&self, standing: &Standing, kind: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.executor.client.clone(), &standing.namespace, kind)
    }

    async fn list(
        &self,
        standing: &Standing,
        kind: &ApiResource,
    ) -> Result<BTreeMap<String, DynamicObject>, WriteError> {
        let call = Call { verb: "list", resource: kind.plural.clone(), object: standing.namespace.clone() };
        let selector = format!("{}={},{POOL_LABEL}={}", MANAGED_LABEL.0, MANAGED_LABEL.1, standing.pool);
        let params = ListParams::default().labels(&selector).limit(OBJECTS_MAX);
        let listed = match self.executor.ask(&call, self.api(standing, kind).list(&params)).await {
            Err(WriteError::Gone(_)) => return Ok(BTreeMap::new()),
            other => other?,
        };
        Ok(listed.items.into_iter().map(|o| (o.name_any(), o)).collect())
    }

    async fn apply(
        &self,
        namespace: Option<&str>,
        kind: &ApiResource,
        object: &Value,
        fence: &Fence<'_>,
    ) -> Result<(), WriteError> {
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let place = namespace.map_or(name.to_owned(), |n| format!("{n}/{name}"));
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(self.executor.client.clone(), namespace, kind),
            None => Api::all_with(self.executor.client.clone(), kind),
        };
        let call = Call { verb: "patch", resource: kind.plural.clone(), object: place };
        let params = PatchParams::apply(FIELD_MANAGER).force();
        self.executor.turn(false, fence).await?;
        self.executor.ask(&call, api.patch(name, &params, &Patch::Apply(object))).await.map(drop)
    }

    async fn delete(
        &self,
        standing: &Standing,
        kind: &ApiResource,
        name: &str,
        fence: &Fence<'_>,
    ) -> Result<(), WriteError> {
        let object = format!("{}/{name}", standing.namespace);
        let call = Call { verb: "delete", resource: kind.plural.clone(), object };
        let params = DeleteParams::background();
        self.executor.turn(false, fence).await?;
        gone(self.executor.ask(&call, self.api(standing, kind).delete(name, &params)).await.map(drop))
    }

    /// The ledger to write with a set of this digest. None: what is there is as it should be.
    fn ledger(now: Time, standing: &Standing, set: &SlotSet, there: Option<&DynamicObject>) -> Option<PoolLedger> {
        let digest = set.digest();
        let known = there.and_then(|o| PoolLedger::parse(o.annotations().get(POOL_LEDGER)?));
        let slots = there.and_then(|o| o.data.pointer("/spec/replicas")?.as_u64());
        let same = known.as_ref().is_some_and(|l| {
            l.digest == digest && l.emptied.is_none() && slots == Some(u64::from(set.slots)) && l.slots == set.slots
        });
        if same && known.is_some_and(|l| l.expires >= now + RENEW_BEFORE) {
            return None;
        }
        Some(PoolLedger { slots: set.slots, reason: standing.reason, expires: now + VALID, digest, emptied: None })
    }

    async fn placeholders(
        &mut self,
        now: Time,
        standing: &Standing,
        set: &SlotSet,
        there: Option<&DynamicObject>,
        fence: &Fence<'_>,
    ) -> Result<u64, WriteError> {
        let Some(ledger) = Keeper::ledger(now, standing, set, there) else { return Ok(0) };
        if !self.classed {
            self.apply(None, &resource("scheduling.k8s.io", "v1", "PriorityClass"), &priority_class(), fence).await?;
            self.classed = true;
        }
        self.apply(Some(&standing.namespace), &deployments(), &set.deployment(&ledger), fence).await.map(|()| 1)
    }

    async fn buffer(
        &self,
        now: Time,
        standing: &Standing,
        set: &SlotSet,
        version: &str,
        there: Option<&DynamicObject>,
        fence: &Fence<'_>,
    ) -> Result<u64, WriteError> {
        let Some(ledger) = Keeper::ledger(now, standing, set, there) else { return Ok(0) };
        self.apply(Some(&standing.namespace), &templates(), &set.pod_template(), fence).await?;
        let kind = resource(BUFFER_GROUP, version, "CapacityBuffer");
        self.apply(Some(&standing.namespace), &kind, &set.buffer(version, &ledger), fence).await.map(|()| 2)
    }

    async fn leave(
        &self,
        now: Time,
        standing: &Standing,
        served: &[String],
        (there, view): (&DynamicObject, &BufferView),
        fence: &Fence<'_>,
    ) -> Result<(u64, bool), WriteError> {
        let Some(version) = served.first() else { return Ok((0, true)) };
        let kind = resource(BUFFER_GROUP, version, "CapacityBuffer");
        let name = there.name_any();
        let ledger = there.annotations().get(POOL_LEDGER).and_then(|text| PoolLedger::parse(text));
        match leave(now, view, ledger.as_ref().and_then(|l| l.emptied)) {
            Leave::Wait => Ok((0, false)),
            Leave::Empty => {
                let digest = ledger.map(|l| l.digest).unwrap_or_default();
                let ledger =
                    PoolLedger { slots: 0, reason: standing.reason, expires: now + VALID, digest, emptied: Some(now) };
                let patch = serde_json::json!({
                    "metadata": { "annotations": { POOL_LEDGER: ledger.to_text() } },
                    "spec": { "replicas": 0 },
                });
                let object = format!("{}/{name}", standing.namespace);
                let call = Call { verb: "patch", resource: kind.plural.clone(), object };
                let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
                let api = self.api(standing, &kind);
                self.executor.turn(false, fence).await?;
                gone(self.executor.ask(&call, api.patch(&name, &params, &Patch::Merge(&patch))).await.map(drop))
                    .map(|()| (1, false))
            }
            Leave::Delete => {
                self.delete(standing, &kind, &name, fence).await?;
                self.delete(standing, &templates(), &name, fence).await.map(|()| (2, true))
            }
        }
    }

    /// Looks for pods that the scheduler has nominated to a node and forgotten, and deletes one bound placeholder for each,
    /// once: any deletion of a bound pod makes it look again. Gives how many nudges there were.
    pub async fn nudge(
        &mut self,
        now: Time,
        namespaces: &BTreeSet<String>,
        fence: &Fence<'_>,
    ) -> Result<u64, WriteError> {
        let kind = resource("", "v1", "Pod");
        let all: Api<DynamicObject> = Api::all_with(self.executor.client.clone(), &kind);
        let call = Call { verb: "list", resource: "pods".into(), object: "all namespaces".into() };
        let pending = ListParams::default().fields("status.phase=Pending,spec.nodeName=").limit(PENDING_MAX);
        let listed = self.executor.ask(&call, all.list(&pending)).await?;
        let nominated = |o: &&DynamicObject| {
            let node = o.data.pointer("/status/nominatedNodeName").and_then(Value::as_str);
            node.is_some_and(|n| !n.is_empty()) && !o.labels().contains_key(SLOT_LABEL)
        };
        let seen: BTreeSet<String> = listed.items.iter().filter(nominated).filter_map(|o| o.uid()).collect();
        self.stuck.retain(|uid, _| seen.contains(uid));
        for uid in seen {
            self.stuck.entry(uid).or_insert((now, false));
        }
        let mut nudges = 0;
        let stuck: Vec<String> = self
            .stuck
            .iter()
            .filter(|(_, (since, done))| !done && now.since(*since) >= STUCK)
            .map(|(u, _)| u.clone())
            .collect();
        for uid in stuck {
            for namespace in namespaces {
                let api: Api<DynamicObject> = Api::namespaced_with(self.executor.client.clone(), namespace, &kind);
                let call = Call { verb: "list", resource: "pods".into(), object: namespace.clone() };
                let slots = ListParams::default().labels(SLOT_LABEL).fields("status.phase=Running").limit(1);
                let Some(slot) = self.executor.ask(&call, api.list(&slots)).await?.items.into_iter().next() else {
                    continue;
                };
                self.executor.turn(true, fence).await?;
                let name = slot.name_any();
                let call = Call { verb: "delete", resource: "pods".into(), object: format!("{namespace}/{name}") };
                gone(self.executor.ask(&call, api.delete(&name, &DeleteParams::default())).await.map(drop))?;
                nudges += 1;
                break;
            }
            if let Some(entry) = self.stuck.get_mut(&uid) {
                entry.1 = true;
            }
        }
        Ok(nudges)
    }
}
