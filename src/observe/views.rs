//! API objects → plain values. What does not fit is a [`Problem`] with the object and the field, and costs only that
//! object.

use super::metrics::metric;
use crate::actuate::pool::{self, POOL_LEDGER, PodShape};
use crate::actuate::{KEDA_MAX_REPLICAS, LEDGER, Ledger, LedgerError, Target};
use crate::error::Problem;
use crate::observe::karpenter::placement;
use crate::plan::nodes::Placement;
use crate::plan::quota::QuotaView;
use crate::policy::{
    AutoscalerView, ContainerView, HpaView, MetricView, PodView, ScaledObjectView, TriggerView, Workload, WorkloadKind,
    WorkloadView,
};
use crate::units::{Quantity, Replicas, of_whole_pod};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2 as hpa;
use k8s_openapi::api::core::v1::{PodTemplateSpec, ResourceQuota};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Annotations of ours begin so.
pub const PREFIX: &str = "forescale.dev/";

/// A workload that opted in, or that carries a ledger of ours.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkloadSight {
    /// What a policy is made from; `autoscalers` is empty here.
    pub view: WorkloadView,
    /// Its uid, for events.
    pub uid: String,
    /// What its pods ask of nodes.
    pub placement: Placement,
    /// What a slot of a warm pool needs to know of it.
    pub slot: Arc<SlotView>,
    /// Replicas that are ready.
    pub ready: Replicas,
    /// A rollout is under way.
    pub rollout: bool,
    /// Why pods cannot be created, in the API's words.
    pub blocked: Option<String>,
    /// Our ledger on it.
    pub ledger: Result<Option<Ledger>, LedgerError>,
}

/// A workload as a warm pool sees it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SlotView {
    /// The labels of the workload itself.
    pub labels: BTreeMap<String, String>,
    /// What room its pods take.
    pub shape: PodShape,
}

/// An autoscaler and what it scales.
#[derive(Debug, Clone, PartialEq)]
pub struct AutoscalerSight {
    /// What matters of it.
    pub view: AutoscalerView,
    /// Kind and name of the scaled object, in the same namespace.
    pub scales: (String, String),
    /// True for an HPA that a ScaledObject made: never ours to change.
    pub derived: bool,
    /// Our ledger on it.
    pub ledger: Result<Option<Ledger>, LedgerError>,
}

/// An autoscaler that cannot be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Unread {
    /// Kind and name of what it scales. None: not known either, so it may be anything in its namespace.
    pub scales: Option<(String, String)>,
    /// It carries a ledger: a floor of ours may stand on it.
    pub ours: bool,
    /// What is wrong.
    pub problem: Problem,
}

impl Unread {
    /// One with these annotations.
    pub fn of(
        annotations: &BTreeMap<String, String>,
        scales: Option<(String, String)>,
        problem: Problem,
    ) -> Box<Unread> {
        Box::new(Unread { scales, ours: annotations.contains_key(LEDGER), problem })
    }
}

impl AutoscalerSight {
    /// Where its floor is written.
    pub fn target(&self) -> Target {
        match &self.view {
            AutoscalerView::HorizontalPodAutoscaler(hpa) => Target::Hpa { name: hpa.name.clone() },
            AutoscalerView::ScaledObject(so) => Target::ScaledObject { name: so.name.clone() },
        }
    }

    /// The floor field as it stands.
    pub fn floor(&self) -> Option<Replicas> {
        match &self.view {
            AutoscalerView::HorizontalPodAutoscaler(hpa) => hpa.min_replicas,
            AutoscalerView::ScaledObject(so) => so.min_replicas,
        }
    }

    /// The user's upper bound.
    pub fn max_replicas(&self) -> Replicas {
        match &self.view {
            AutoscalerView::HorizontalPodAutoscaler(hpa) => hpa.max_replicas,
            AutoscalerView::ScaledObject(so) => so.max_replicas.unwrap_or(KEDA_MAX_REPLICAS),
        }
    }

    /// The view with the user's own lower bound, which our ledger remembers.
    pub fn of_the_user(&self) -> AutoscalerView {
        let mut view = self.view.clone();
        if let Ok(Some(ledger)) = &self.ledger {
            match &mut view {
                AutoscalerView::HorizontalPodAutoscaler(hpa) => hpa.min_replicas = ledger.original,
                AutoscalerView::ScaledObject(so) => so.min_replicas = ledger.original,
            }
        }
        view
    }
}

fn count(n: Option<i32>) -> Option<Replicas> {
    n.and_then(|n| Replicas::try_from(n).ok())
}

/// A ResourceQuota. None: it is not about pods that serve.
pub(super) fn quota(object: &ResourceQuota) -> Option<QuotaView> {
    pool::quota(object.metadata.name.as_deref()?, &serde_json::to_value(object).ok()?)
}

/// The ledger among annotations.
pub(super) fn ledger(annotations: &BTreeMap<String, String>) -> Result<Option<Ledger>, LedgerError> {
    annotations.get(LEDGER).map(|text| Ledger::parse(text)).transpose()
}

fn ours(meta: &ObjectMeta) -> BTreeMap<String, String> {
    let all = meta.annotations.iter().flatten();
    all.filter(|(key, _)| key.starts_with(PREFIX)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

fn containers(template: Option<&PodTemplateSpec>) -> Vec<ContainerView> {
    let spec = template.and_then(|t| t.spec.as_ref());
    let containers = spec.map(|s| s.containers.as_slice()).unwrap_or_default();
    // an init container that goes on beside the others counts like them
    let first = spec.and_then(|s| s.init_containers.as_deref()).unwrap_or_default();
    let sidecars = first.iter().filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let view = |c: &k8s_openapi::api::core::v1::Container| {
        let [cpu_request, cpu_limit] = cores(c.resources.as_ref());
        // the API takes a limit for a request that is not there
        ContainerView { name: c.name.clone(), cpu_request: cpu_request.or(cpu_limit), cpu_limit }
    };
    containers.iter().chain(sidecars).map(view).collect()
}

/// What a pod asks for as a whole.
fn pod(template: Option<&PodTemplateSpec>, containers: &[ContainerView]) -> PodView {
    let [request, limit] = cores(template.and_then(|t| t.spec.as_ref()?.resources.as_ref()));
    if request.or(limit).is_none() {
        return PodView::default();
    }
    let asked: Vec<f64> = containers.iter().filter_map(|c| c.cpu_request).collect();
    let asked = (!asked.is_empty()).then(|| asked.iter().sum());
    PodView { cpu_request: of_whole_pod([request, limit], asked), cpu_limit: limit }
}

/// CPU request and limit.
fn cores(resources: Option<&k8s_openapi::api::core::v1::ResourceRequirements>) -> [Option<f64>; 2] {
    let amounts = |of: Option<&BTreeMap<String, k8s_openapi::apimachinery::pkg::api::resource::Quantity>>| {
        Quantity::parse(&of?.get("cpu")?.0).ok().map(|q| q.0)
    };
    [amounts(resources.and_then(|r| r.requests.as_ref())), amounts(resources.and_then(|r| r.limits.as_ref()))]
}

fn sight(
    meta: &ObjectMeta,
    kind: WorkloadKind,
    replicas: Option<i32>,
    template: Option<&PodTemplateSpec>,
) -> Option<WorkloadSight> {
    let annotations = ours(meta);
    // the slots of a warm pool are ours, and no workload
    if annotations.is_empty() || annotations.contains_key(POOL_LEDGER) {
        return None;
    }
    let workload = Workload { namespace: meta.namespace.clone().unwrap_or_default(), name: meta.name.clone()?, kind };
    let containers = containers(template);
    Some(WorkloadSight {
        ledger: ledger(&annotations),
        view: WorkloadView {
            workload,
            annotations,
            pod: pod(template, &containers),
            containers,
            replicas: count(replicas).unwrap_or(1),
            autoscalers: Vec::new(),
        },
        uid: meta.uid.clone().unwrap_or_default(),
        placement: template.map(placement).unwrap_or_default(),
        slot: Arc::new(SlotView {
            labels: meta.labels.clone().unwrap_or_default(),
            shape: template.map(|t| PodShape::of(&serde_json::json!({ "spec": t.spec }))).unwrap_or_default(),
        }),
        ready: 0,
        rollout: false,
        blocked: None,
    })
}

/// A Deployment. None: nothing of ours is on it.
pub fn deployment(object: &Deployment) -> Option<WorkloadSight> {
    let spec = object.spec.as_ref();
    let mut seen =
        sight(&object.metadata, WorkloadKind::Deployment, spec.and_then(|s| s.replicas), spec.map(|s| &s.template))?;
    if let Some(status) = &object.status {
        seen.ready = count(status.ready_replicas).unwrap_or(0);
        // pods of an old ReplicaSet are still there; scaling alone never makes that so
        let paused = spec.and_then(|s| s.paused).unwrap_or(false);
        seen.rollout = !paused && status.updated_replicas.unwrap_or(0) < status.replicas.unwrap_or(0);
        let failure = status.conditions.iter().flatten().find(|c| c.type_ == "ReplicaFailure" && c.status == "True");
        seen.blocked = failure.map(|c| c.message.clone().or(c.reason.clone()).unwrap_or_default());
    }
    Some(seen)
}

/// A StatefulSet. None: nothing of ours is on it.
pub fn stateful_set(object: &StatefulSet) -> Option<WorkloadSight> {
    let spec = object.spec.as_ref();
    let mut seen =
        sight(&object.metadata, WorkloadKind::StatefulSet, spec.and_then(|s| s.replicas), spec.map(|s| &s.template))?;
    if let Some(status) = &object.status {
        seen.ready = count(status.ready_replicas).unwrap_or(0);
        let strategy = spec.and_then(|s| s.update_strategy.as_ref());
        let rolling = strategy.and_then(|s| s.rolling_update.as_ref());
        let kept_old = rolling.and_then(|r| r.partition).unwrap_or(0);
        let due = (status.replicas - kept_old).max(0);
        // then nothing goes on until somebody deletes pods
        let on_delete = strategy.and_then(|s| s.type_.as_deref()) == Some("OnDelete");
        let differs = status.current_revision != status.update_revision;
        seen.rollout = !on_delete && differs && status.updated_replicas.unwrap_or(0) < due;
    }
    Some(seen)
}

/// An HPA.
pub fn autoscaler(object: &hpa::HorizontalPodAutoscaler) -> Result<AutoscalerSight, Box<Unread>> {
    let scales = object.spec.as_ref().map(|s| (s.scale_target_ref.kind.clone(), s.scale_target_ref.name.clone()));
    read_autoscaler(object).map_err(|problem| Unread::of(object.annotations(), scales, problem))
}

fn read_autoscaler(object: &hpa::HorizontalPodAutoscaler) -> Result<AutoscalerSight, Problem> {
    let meta = &object.metadata;
    let place = || {
        format!(
            "HorizontalPodAutoscaler {}/{}",
            meta.namespace.as_deref().unwrap_or(""),
            meta.name.as_deref().unwrap_or("")
        )
    };
    let spec = object.spec.as_ref().ok_or_else(|| Problem::new(place(), "a spec", "none"))?;
    let max_replicas = count(Some(spec.max_replicas))
        .ok_or_else(|| Problem::new(place(), "spec.maxReplicas from 1 up", spec.max_replicas.to_string()))?;
    let derived = meta.owner_references.iter().flatten().any(|o| o.kind == "ScaledObject");
    let annotations = ours(meta);
    // those of an HPA that KEDA made are its ScaledObject's
    let metrics = spec.metrics.iter().flatten().filter(|_| !derived);
    let metrics: Result<Vec<MetricView>, Problem> = metrics.map(|m| metric(m, &place)).collect();
    Ok(AutoscalerSight {
        scales: (spec.scale_target_ref.kind.clone(), spec.scale_target_ref.name.clone()),
        derived,
        ledger: ledger(&annotations),
        view: AutoscalerView::HorizontalPodAutoscaler(HpaView {
            name: meta.name.clone().unwrap_or_default(),
            min_replicas: count(spec.min_replicas),
            max_replicas,
            metrics: metrics?,
            annotations,
        }),
    })
}

/// A ScaledObject.
pub fn scaled_object(object: &DynamicObject) -> Result<AutoscalerSight, Box<Unread>> {
    read_scaled_object(object).map_err(|problem| Unread::of(object.annotations(), scales(object), problem))
}

/// Kind and name of what a ScaledObject scales.
fn scales(object: &DynamicObject) -> Option<(String, String)> {
    let scaled = object.data.pointer("/spec/scaleTargetRef")?;
    let text = |field: &str| Some(scaled.get(field)?.as_str()?.to_owned());
    Some((text("kind").unwrap_or_else(|| "Deployment".into()), text("name")?))
}

fn read_scaled_object(object: &DynamicObject) -> Result<AutoscalerSight, Problem> {
    let meta = &object.metadata;
    let name = meta.name.clone().unwrap_or_default();
    let place = format!("ScaledObject {}/{name}", meta.namespace.as_deref().unwrap_or(""));
    let spec = object.data.get("spec").ok_or_else(|| Problem::new(&place, "a spec", "none"))?;
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_string);
    let scales = scales(object).ok_or_else(|| Problem::new(&place, "spec.scaleTargetRef.name", "none"))?;
    let number = |field: &str| match spec.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let n = value.as_u64().and_then(|n| Replicas::try_from(n).ok());
            n.map(Some)
                .ok_or_else(|| Problem::new(&place, format!("a whole number in spec.{field}"), value.to_string()))
        }
    };
    let triggers = spec.get("triggers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let trigger = |t: &Value| TriggerView {
        kind: text(t.get("type")).unwrap_or_default(),
        metric_type: text(t.get("metricType")),
        metadata: t.get("metadata").and_then(Value::as_object).into_iter().flatten().map(pair).collect(),
    };
    let paused = meta.annotations.iter().flatten().any(|(key, value)| match key.as_str() {
        "autoscaling.keda.sh/paused" => value == "true",
        key => key == "autoscaling.keda.sh/paused-replicas",
    });
    let annotations = ours(meta);
    Ok(AutoscalerSight {
        scales,
        derived: false,
        ledger: ledger(&annotations),
        view: AutoscalerView::ScaledObject(ScaledObjectView {
            name,
            min_replicas: number("minReplicaCount")?,
            max_replicas: number("maxReplicaCount")?,
            triggers: triggers.iter().map(trigger).collect(),
            formula: spec
                .pointer("/advanced/scalingModifiers/formula")
                .and_then(Value::as_str)
                .is_some_and(|f| !f.is_empty()),
            annotations,
            paused,
        }),
    })
}

fn pair((key, value): (&String, &Value)) -> (String, String) {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_string);
    (key.clone(), text)
}

#[cfg(test)]
mod tests {
    use super::super::{Cluster, Watched};
    use super::*;
    use crate::units::Time;
    use serde_json::json;

    fn key(name: &str) -> (String, String) {
        ("shop".into(), name.into())
    }

    #[test]
    fn a_pod_asks_as_a_whole_or_by_its_containers() {
        let views = |spec: Value| {
            let template: PodTemplateSpec = serde_json::from_value(json!({ "spec": spec })).unwrap();
            let containers = containers(Some(&template));
            let asked = containers.iter().map(|c| c.cpu_request).collect::<Vec<_>>();
            (pod(Some(&template), &containers).cpu_request, asked)
        };
        let container = |resources: Value| json!([{ "name": "web", "resources": resources }]);
        let whole = json!({ "requests": { "cpu": "2" }, "limits": { "cpu": "3" } });
        let spec = json!({ "resources": whole, "containers": container(json!({ "requests": { "cpu": "500m" } })) });
        assert_eq!(views(spec), (Some(2.0), vec![Some(0.5)]));
        let limits = json!({ "limits": { "cpu": "3" } });
        assert_eq!(views(json!({ "resources": limits, "containers": container(json!({})) })), (Some(3.0), vec![None]));
        let spec = json!({ "resources": limits, "containers": container(json!({ "requests": { "cpu": "1" } })) });
        assert_eq!(views(spec), (Some(1.0), vec![Some(1.0)]), "the container asks, and the limit bounds");
        assert_eq!(views(json!({ "containers": container(json!({})) })), (None, vec![None]));
    }

    fn hpa(name: &str, scaled: &str, metric: &str, owners: Value) -> Result<AutoscalerSight, Box<Unread>> {
        let object = json!({
            "metadata": { "name": name, "namespace": "shop", "ownerReferences": owners },
            "spec": {
                "scaleTargetRef": { "kind": "Deployment", "name": scaled }, "maxReplicas": 9,
                "metrics": [{ "type": metric, "resource": { "name": "cpu",
                    "target": { "type": "Utilization", "averageUtilization": 50 } } }],
            },
        });
        autoscaler(&serde_json::from_value(object).unwrap())
    }

    /// Two Deployments.
    fn shop() -> Cluster {
        let cluster = Cluster::default();
        for name in ["web", "api"] {
            let meta = ObjectMeta {
                namespace: Some("shop".into()),
                name: Some(name.into()),
                annotations: Some(BTreeMap::from([("forescale.dev/mode".to_owned(), "act".to_owned())])),
                ..ObjectMeta::default()
            };
            let seen = sight(&meta, WorkloadKind::Deployment, Some(2), None);
            cluster.keep_workload(Watched::Deployments, &key(name), seen);
        }
        cluster
    }

    /// Where floors of `web` and `api` would be written, or why nowhere.
    fn targets(cluster: &Cluster) -> [Result<Target, String>; 2] {
        let sights = cluster.sights(Time::from_secs(0));
        ["web", "api"].map(|name| {
            let sight = sights.iter().find(|s| s.workload().name == name).unwrap();
            sight.target.clone().map(|view| view.target).map_err(|problem| problem.to_string())
        })
    }

    #[test]
    fn an_autoscaler_that_cannot_be_read_keeps_us_off_what_it_scales() {
        let cluster = shop();
        assert_eq!(targets(&cluster), [Ok(Target::Scale), Ok(Target::Scale)]);
        let keep = |watched, name: &str, sight| cluster.keep_autoscaler(watched, &key(name), Some(sight));
        keep(Watched::Autoscalers, "h", hpa("h", "web", "Later", json!([])));
        let [web, api] = targets(&cluster);
        assert!(web.unwrap_err().contains("HorizontalPodAutoscaler shop/h"));
        assert_eq!(api, Ok(Target::Scale), "it is not about this one");
        // beside one that can be read it is a second one
        keep(Watched::Autoscalers, "i", hpa("i", "web", "Resource", json!([])));
        assert!(targets(&cluster)[0].is_err());
        keep(Watched::Autoscalers, "h", hpa("h", "elsewhere", "Later", json!([])));
        assert_eq!(targets(&cluster)[0], Ok(Target::Hpa { name: "i".into() }));
        // nobody knows what it scales
        let so: DynamicObject = serde_json::from_value(json!({ "metadata": { "name": "s" }, "spec": {} })).unwrap();
        keep(Watched::ScaledObjects, "s", scaled_object(&so));
        let [web, api] = targets(&cluster);
        assert_eq!(web, Ok(Target::Hpa { name: "i".into() }), "its own is known");
        assert!(api.unwrap_err().contains("spec.scaleTargetRef.name"));
    }

    #[test]
    fn an_hpa_of_keda_whose_scaled_object_is_not_seen_yet_keeps_us_off_too() {
        let cluster = shop();
        let owner = json!([{ "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "s", "uid": "u" }]);
        cluster.keep_autoscaler(Watched::Autoscalers, &key("k"), Some(hpa("k", "web", "Later", owner)));
        assert!(targets(&cluster)[0].is_err());
        let so = json!({ "metadata": { "name": "s" }, "spec": { "scaleTargetRef": { "name": "web" } } });
        let so: DynamicObject = serde_json::from_value(so).unwrap();
        cluster.keep_autoscaler(Watched::ScaledObjects, &key("s"), Some(scaled_object(&so)));
        assert_eq!(targets(&cluster), [Ok(Target::ScaledObject { name: "s".into() }), Ok(Target::Scale)]);
    }

    #[test]
    fn nothing_is_written_before_autoscalers_and_switches_are_listed() {
        for last in Watched::ALL {
            let cluster = Cluster::default();
            Watched::ALL.into_iter().filter(|w| *w != last).for_each(|w| cluster.done(w));
            assert!(cluster.may_write("shop").unwrap_err().contains(last.resource()), "{last:?}");
            cluster.done(last);
            assert_eq!(cluster.may_write("shop"), Ok(()));
        }
    }

    #[test]
    fn a_slot_of_a_warm_pool_is_no_workload() {
        let seen = |annotation: &str| {
            let annotations = BTreeMap::from([(annotation.to_owned(), "{}".to_owned())]);
            let meta = ObjectMeta { name: Some("web".into()), annotations: Some(annotations), ..ObjectMeta::default() };
            sight(&meta, WorkloadKind::Deployment, Some(2), None).is_some()
        };
        assert!(seen("forescale.dev/mode") && !seen(POOL_LEDGER) && !seen("else.example/mode"));
    }
}
