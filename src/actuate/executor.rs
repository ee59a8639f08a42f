//! Carries writes out against a Kubernetes API. What to write is decided by [`super::actions`] on a fresh look at the
//! object; the resourceVersion of that look is the precondition of the write.

use super::failure::{Call, WriteError};
use super::throttle::Throttle;
use super::{Actions, LEDGER, Ledger, Outcome, Target, TargetView, Write};
use crate::policy::{Workload, WorkloadKind};
use crate::units::Replicas;
use kube::api::{Api, DynamicObject, Patch, PatchParams, ValidationDirective};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use std::time::Duration;

/// Our name as a field manager, in `metadata.managedFields`.
pub const FIELD_MANAGER: &str = "forescale";
/// Looks at an object that keeps changing, per call.
pub(super) const TRIES: usize = 4;
/// Longest time one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The object whose floor is written, and the workload behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The workload.
    pub workload: Workload,
    /// Where the floor is written.
    pub target: Target,
    /// The upper bound where the target object has none of its own.
    pub max_replicas: Replicas,
}

/// What was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// What it amounts to.
    pub outcome: Outcome,
    /// The writes that were made, in order.
    pub writes: Vec<Write>,
}

/// Whether this copy may write now; asked before every single write. The words say why not.
pub type Fence<'a> = dyn Fn() -> Result<(), String> + Send + Sync + 'a;

/// What to write, from a fresh look.
pub type Decide<'a> = dyn Fn(&TargetView) -> Actions + Send + Sync + 'a;

/// Carries out writes.
pub struct Executor {
    pub(super) client: Client,
    throttle: Throttle,
}

struct Look {
    view: TargetView,
    version: String,
    /// Of the workload, where it is another object than the target.
    scale_version: String,
}

impl Executor {
    /// An executor that writes at most so many times a second.
    pub fn new(client: Client, writes_per_second: u32) -> Executor {
        Executor { client, throttle: Throttle::new(writes_per_second) }
    }

    /// Looks, decides, writes; again from the look when the object has changed meanwhile.
    pub async fn carry_out(&self, site: &Site, fence: &Fence<'_>, decide: &Decide<'_>) -> Result<Carried, WriteError> {
        let mut carried = Carried { outcome: Outcome::Kept, writes: Vec::new() };
        let mut conflict = None;
        for _ in 0..TRIES {
            fence().map_err(WriteError::Fenced)?;
            let look = self.look(site).await?;
            let actions = decide(&look.view);
            if actions.outcome != Outcome::Kept || carried.writes.is_empty() {
                carried.outcome = actions.outcome;
            }
            match self.apply(site, look, actions, fence, &mut carried.writes).await {
                Ok(()) => return Ok(carried),
                Err(WriteError::Conflict(call)) => conflict = Some(call),
                Err(error) => return Err(error),
            }
        }
        Err(conflict.map_or_else(|| WriteError::Fenced("no try left".into()), WriteError::Conflict))
    }

    /// The target as the API has it now.
    pub async fn view(&self, site: &Site) -> Result<TargetView, WriteError> {
        self.look(site).await.map(|look| look.view)
    }

    async fn look(&self, site: &Site) -> Result<Look, WriteError> {
        let (scaled, scale_version) = match site.target {
            Target::Scale => Default::default(),
            Target::Hpa { .. } | Target::ScaledObject { .. } => self.look_at_scale(site).await?,
        };
        let call = site.call("get", Part::Target);
        let object = self.ask(&call, self.targets(site).get(site.target_name())).await?;
        let ledger = object.annotations().get(LEDGER).map(|text| Ledger::parse(text)).transpose()?;
        let number = |field: &str| {
            let value = object.data.pointer(&format!("/spec/{field}")).and_then(Value::as_u64);
            value.and_then(|n| Replicas::try_from(n).ok())
        };
        let none = |expected| WriteError::Unexpected { call: call.clone(), expected, found: "none".into() };
        let (floor, max_replicas, replicas) = match &site.target {
            Target::Hpa { .. } => {
                let max = number("maxReplicas").ok_or_else(|| none("spec.maxReplicas"))?;
                (number("minReplicas"), max, scaled)
            }
            Target::ScaledObject { .. } => {
                (number("minReplicaCount"), number("maxReplicaCount").unwrap_or(super::KEDA_MAX_REPLICAS), scaled)
            }
            // replicas and version of one answer: what is changed between two would be overwritten unseen
            Target::Scale => (None, site.max_replicas, number("replicas").ok_or_else(|| none("spec.replicas"))?),
        };
        let view = TargetView { target: site.target.clone(), floor, max_replicas, replicas, ledger };
        Ok(Look { view, version: object.resource_version().unwrap_or_default(), scale_version })
    }

    /// Replicas and version of an autoscaled workload.
    async fn look_at_scale(&self, site: &Site) -> Result<(Replicas, String), WriteError> {
        let call = site.call("get", Part::Scale);
        let scale = match self.ask(&call, self.workloads(site).get_scale(&site.workload.name)).await {
            // the autoscaler of a workload that is gone still has to be given back
            Err(WriteError::Gone(_)) => return Ok(Default::default()),
            other => other?,
        };
        let replicas = scale.spec.as_ref().and_then(|s| s.replicas).unwrap_or(0).try_into().unwrap_or(0);
        Ok((replicas, scale.metadata.resource_version.unwrap_or_default()))
    }

    async fn apply(
        &self,
        site: &Site,
        mut look: Look,
        actions: Actions,
        fence: &Fence<'_>,
        done: &mut Vec<Write>,
    ) -> Result<(), WriteError> {
        let urgent = actions.outcome == Outcome::Raised;
        for write in actions.writes {
            self.turn(urgent, fence).await?;
            match &write {
                Write::Floor { replicas, ledger } => {
                    let patch = floor_patch(site, &look.version, Some(*replicas), Some(ledger));
                    self.patch_target(site, &mut look, &patch).await?;
                }
                Write::Ledger { ledger } => {
                    let patch = ledger_patch(&look.version, Some(ledger));
                    self.patch_target(site, &mut look, &patch).await?;
                }
                Write::Scale { replicas } => self.scale(site, &look.scale_version, *replicas).await?,
                Write::Restore { original } => self.restore(site, &mut look, *original).await?,
            }
            done.push(write);
        }
        Ok(())
    }

    async fn patch_target(&self, site: &Site, look: &mut Look, patch: &Value) -> Result<(), WriteError> {
        let call = site.call("patch", Part::Target);
        let targets = self.targets(site);
        let object = self.ask(&call, targets.patch(site.target_name(), &params(), &Patch::Merge(patch))).await?;
        look.version = object.resource_version().unwrap_or_default();
        Ok(())
    }

    async fn scale(&self, site: &Site, version: &str, replicas: Replicas) -> Result<(), WriteError> {
        let patch = json!({ "metadata": { "resourceVersion": version }, "spec": { "replicas": replicas } });
        let call = site.call("patch", Part::Scale);
        let workloads = self.workloads(site);
        self.ask(&call, workloads.patch_scale(&site.workload.name, &params(), &Patch::Merge(&patch))).await.map(drop)
    }

    /// Puts the user's value back and removes the ledger, then, in further patches, our entries in `managedFields`:
    /// in the same patch the write would add the entry again.
    async fn restore(&self, site: &Site, look: &mut Look, original: Option<Replicas>) -> Result<(), WriteError> {
        // without an autoscaler replicas that run are not taken away, and there is always a count
        let stays = site.target == Target::Scale && original <= Some(look.view.replicas);
        let patch = match stays {
            true => ledger_patch(&look.version, None),
            false => floor_patch(site, &look.version, original, None),
        };
        self.patch_target(site, look, &patch).await?;
        if site.target != Target::Scale {
            self.disown(&self.targets(site), site.target_name(), site.call("patch", Part::Target)).await?;
        }
        self.disown(&self.workloads(site), &site.workload.name, site.call("patch", Part::Workload)).await
    }

    /// Removes our entries from `managedFields`, so that the user's next server-side apply does not conflict with us.
    pub(super) async fn disown(&self, api: &Api<DynamicObject>, name: &str, call: Call) -> Result<(), WriteError> {
        let mut last = WriteError::Conflict(call.clone());
        for _ in 0..TRIES {
            let get = Call { verb: "get", ..call.clone() };
            let object = match self.ask(&get, api.get(name)).await {
                Err(WriteError::Gone(_)) => return Ok(()),
                other => other?,
            };
            let Some(patch) = disowning(&object) else { return Ok(()) };
            match self.ask(&call, api.patch(name, &params(), &Patch::Json::<()>(patch))).await {
                Ok(_) | Err(WriteError::Gone(_)) => return Ok(()),
                Err(error @ WriteError::Conflict(_)) => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// Waits for a turn to write; whether this copy may is asked after it, as the wait may have been long.
    pub(super) async fn turn(&self, urgent: bool, fence: &Fence<'_>) -> Result<(), WriteError> {
        if !self.throttle.turn(urgent).await {
            return Err(WriteError::Fenced("too many writes are waiting".into()));
        }
        fence().map_err(WriteError::Fenced)
    }

    /// One call. An API server that asks for silence gets it, from all writes.
    pub(super) async fn ask<T>(
        &self,
        call: &Call,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, WriteError> {
        let answer = ask(call, request).await;
        if let Err(WriteError::Throttled { after, .. }) = &answer {
            self.throttle.silence(*after);
        }
        answer
    }

    fn workloads(&self, site: &Site) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &site.workload.namespace, &workload_resource(site.workload.kind))
    }

    fn targets(&self, site: &Site) -> Api<DynamicObject> {
        let resource = match site.target {
            Target::Hpa { .. } => hpa_resource(),
            Target::ScaledObject { .. } => scaled_object_resource(),
            Target::Scale => workload_resource(site.workload.kind),
        };
        Api::namespaced_with(self.client.clone(), &site.workload.namespace, &resource)
    }
}

/// Which object of a site a call is about.
#[derive(Clone, Copy)]
enum Part {
    Target,
    Workload,
    Scale,
}

impl Site {
    fn target_name(&self) -> &str {
        match &self.target {
            Target::Hpa { name } | Target::ScaledObject { name } => name,
            Target::Scale => &self.workload.name,
        }
    }

    fn call(&self, verb: &'static str, part: Part) -> Call {
        let workload = workload_resource(self.workload.kind).plural;
        let (resource, name) = match (part, &self.target) {
            (Part::Scale, _) => (format!("{workload}/scale"), self.workload.name.as_str()),
            (Part::Target, Target::Hpa { name }) => (hpa_resource().plural, name.as_str()),
            (Part::Target, Target::ScaledObject { name }) => (scaled_object_resource().plural, name.as_str()),
            (Part::Target, Target::Scale) | (Part::Workload, _) => (workload, self.workload.name.as_str()),
        };
        Call { verb, resource, object: format!("{}/{name}", self.workload.namespace) }
    }
}

/// One call, not waited for longer than [`CALL_TIMEOUT`].
pub(super) async fn ask<T>(
    call: &Call,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, WriteError> {
    match tokio::time::timeout(CALL_TIMEOUT, request).await {
        Ok(answer) => answer.map_err(|error| WriteError::of(call.clone(), error)),
        Err(_) => {
            let message = format!("no answer within {} s", CALL_TIMEOUT.as_secs());
            Err(WriteError::Unreachable { call: call.clone(), message })
        }
    }
}

/// apps/v1 Deployment or StatefulSet.
pub fn workload_resource(kind: WorkloadKind) -> ApiResource {
    let kind = match kind {
        WorkloadKind::Deployment => "Deployment",
        WorkloadKind::StatefulSet => "StatefulSet",
    };
    ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", kind))
}

/// autoscaling/v2 HorizontalPodAutoscaler.
pub fn hpa_resource() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("autoscaling", "v2", "HorizontalPodAutoscaler"))
}

/// keda.sh/v1alpha1 ScaledObject.
pub fn scaled_object_resource() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("keda.sh", "v1alpha1", "ScaledObject"))
}

pub(super) fn params() -> PatchParams {
    PatchParams {
        field_manager: Some(FIELD_MANAGER.into()),
        field_validation: Some(ValidationDirective::Strict),
        ..PatchParams::default()
    }
}

fn ledger_patch(version: &str, ledger: Option<&Ledger>) -> Value {
    json!({ "metadata": ledger_metadata(version, ledger) })
}

fn ledger_metadata(version: &str, ledger: Option<&Ledger>) -> Value {
    let text = ledger.map(Ledger::to_text);
    json!({ "resourceVersion": version, "annotations": { LEDGER: text } })
}

/// The field that we hold and the ledger in one patch; null removes either.
fn floor_patch(site: &Site, version: &str, floor: Option<Replicas>, ledger: Option<&Ledger>) -> Value {
    let field = match site.target {
        Target::Hpa { .. } => "minReplicas",
        Target::ScaledObject { .. } => "minReplicaCount",
        Target::Scale => "replicas",
    };
    json!({ "metadata": ledger_metadata(version, ledger), "spec": { field: floor } })
}

/// A JSON Patch that removes our entries, the last first, each only if it is still ours. None: there is none.
fn disowning(object: &DynamicObject) -> Option<json_patch::Patch> {
    let entries = object.metadata.managed_fields.as_deref().unwrap_or_default();
    let ours = |i: &usize| entries.get(*i).is_some_and(|e| e.manager.as_deref() == Some(FIELD_MANAGER));
    let operations: Vec<Value> = (0..entries.len())
        .rev()
        .filter(ours)
        .flat_map(|i| {
            let path = format!("/metadata/managedFields/{i}");
            [
                json!({ "op": "test", "path": format!("{path}/manager"), "value": FIELD_MANAGER }),
                json!({ "op": "remove", "path": path }),
            ]
        })
        .collect();
    if operations.is_empty() { None } else { serde_json::from_value(Value::Array(operations)).ok() }
}
