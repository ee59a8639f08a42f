//! A pool's slots as manifests: pure, the whole object each time, for server-side apply under our field manager.

use super::{PodShape, PoolLedger};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Annotation with the ledger of a pool's object.
pub const POOL_LEDGER: &str = "forescale.dev/pool-ledger";
/// Label with the name of the pool.
pub const POOL_LABEL: &str = "forescale.dev/pool";
/// Label with the name of the object a slot belongs to.
pub const SLOT_LABEL: &str = "forescale.dev/slot";
/// Label of everything that the program makes.
pub const MANAGED_LABEL: (&str, &str) = ("app.kubernetes.io/managed-by", "forescale");
/// The PriorityClass of placeholders.
pub const PRIORITY_CLASS: &str = "forescale-placeholder";
/// -10: the lowest that Cluster Autoscaler still buys nodes for, and below every pod of the user's.
const PRIORITY: i32 = -10;
/// With 0 a defect of the scheduler strands preempting pods (kubernetes/kubernetes#141694).
const GRACE_SECS: u32 = 1;
/// What runs in a placeholder where no image is configured.
pub const PAUSE_IMAGE: &str = "registry.k8s.io/pause:3.10";
/// The label of a node's zone.
pub const ZONE_LABEL: &str = "topology.kubernetes.io/zone";

/// Slots of one shape in one place: one object, or one for a gang.
#[derive(Debug, Clone, PartialEq)]
pub struct SlotSet {
    /// Its name, and that of its objects.
    pub name: String,
    /// Where it lives.
    pub namespace: String,
    /// The pool.
    pub pool: String,
    /// Slots.
    pub slots: u32,
    /// What each looks like.
    pub shape: PodShape,
    /// The NodePool whose nodes are meant.
    pub node_pool: Option<String>,
    /// The zone they are in. None: any.
    pub zone: Option<String>,
    /// All in one domain of this topology key: a gang.
    pub together: Option<String>,
    /// What runs in a placeholder; with a command where it is the application's own image.
    pub image: String,
    /// True: the image is the application's, and is made to sleep.
    pub prepull: bool,
}

/// `forescale-<pool>-<shape>[-<zone>][-g<gang>]`.
pub fn name(pool: &str, shape: &PodShape, zone: Option<&str>, gang: Option<u32>) -> String {
    let zone = zone.map(|z| format!("-{z}")).unwrap_or_default();
    let gang = gang.map(|g| format!("-g{g}")).unwrap_or_default();
    format!("forescale-{pool}-{}{zone}{gang}", shape.key())
}

/// The object with one field more.
fn with(mut object: Value, field: &str, value: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(field.to_owned(), value);
    }
    object
}

impl SlotSet {
    fn labels(&self) -> Value {
        json!({ MANAGED_LABEL.0: MANAGED_LABEL.1, POOL_LABEL: self.pool, SLOT_LABEL: self.name })
    }

    fn metadata(&self, ledger: Option<&PoolLedger>) -> Value {
        let metadata = json!({ "name": self.name, "namespace": self.namespace, "labels": self.labels() });
        match ledger {
            Some(ledger) => with(metadata, "annotations", json!({ POOL_LEDGER: ledger.to_text() })),
            None => metadata,
        }
    }

    /// The pod of a slot. Own labels alone, or Services, PodDisruptionBudgets and ReplicaSets of the application would
    /// take it for theirs.
    pub fn pod(&self) -> Value {
        let mut spec: Map<String, Value> = self.shape.placement.clone();
        let mut selector = spec.get("nodeSelector").and_then(Value::as_object).cloned().unwrap_or_default();
        if let Some(pool) = &self.node_pool {
            selector.insert(crate::plan::nodes::NODE_POOL_LABEL.into(), json!(pool));
        }
        if let Some(zone) = &self.zone {
            selector.insert(ZONE_LABEL.into(), json!(zone));
        }
        if !selector.is_empty() {
            spec.insert("nodeSelector".into(), Value::Object(selector));
        }
        let own = json!({ "matchLabels": { SLOT_LABEL: self.name } });
        let mut affinity = spec.remove("affinity").unwrap_or_else(|| json!({}));
        if !self.shape.apart.is_empty() {
            // where a pod of the application keeps its others away, a slot must keep away from those and from slots
            let apart = self.shape.apart.iter().flat_map(|(key, selector)| {
                [
                    json!({ "topologyKey": key, "labelSelector": selector, "namespaceSelector": {} }),
                    json!({ "topologyKey": key, "labelSelector": own }),
                ]
            });
            let apart = json!({ "requiredDuringSchedulingIgnoredDuringExecution": apart.collect::<Vec<_>>() });
            affinity = with(affinity, "podAntiAffinity", apart);
        }
        if let Some(key) = &self.together {
            let together = json!({
                "requiredDuringSchedulingIgnoredDuringExecution": [{ "topologyKey": key, "labelSelector": own }]
            });
            affinity = with(affinity, "podAffinity", together);
        }
        if affinity.as_object().is_some_and(|a| !a.is_empty()) {
            spec.insert("affinity".into(), affinity);
        }
        // slots of one zone have nothing to spread over zones
        let zonal = |constraint: &Value| constraint.get("topologyKey").is_some_and(|key| key == ZONE_LABEL);
        let spread = self.shape.spread.iter().filter(|c| self.zone.is_none() || !zonal(c));
        let spread: Vec<Value> = spread.map(|c| with(c.clone(), "labelSelector", own.clone())).collect();
        if !spread.is_empty() {
            spec.insert("topologySpreadConstraints".into(), json!(spread));
        }
        let requests = self.shape.quantities();
        // extended resources have to be limited to what is requested
        let limits: Map<String, Value> =
            requests.iter().filter(|(r, _)| r.contains('/')).map(|(r, q)| (r.clone(), q.clone())).collect();
        let mut resources = json!({ "requests": requests });
        if !limits.is_empty() {
            resources = with(resources, "limits", Value::Object(limits));
        }
        let mut container = json!({
            "name": "slot",
            "image": self.image,
            "resources": resources,
            "securityContext": {
                "allowPrivilegeEscalation": false, "runAsNonRoot": true, "runAsUser": 65535,
                "capabilities": { "drop": ["ALL"] }, "seccompProfile": { "type": "RuntimeDefault" },
            },
        });
        if self.prepull {
            container = with(container, "command", json!(["sleep", "infinity"]));
        }
        spec.insert("containers".into(), json!([container]));
        spec.insert("terminationGracePeriodSeconds".into(), json!(GRACE_SECS));
        spec.insert("automountServiceAccountToken".into(), json!(false));
        spec.insert("enableServiceLinks".into(), json!(false));
        json!({ "metadata": { "labels": self.labels() }, "spec": spec })
    }

    /// Eight hex digits that change with the pod of a slot.
    pub fn digest(&self) -> String {
        let bytes = serde_json::to_vec(&self.pod()).unwrap_or_default();
        Sha256::digest(&bytes).iter().take(4).map(|b| format!("{b:02x}")).collect()
    }

    /// The Deployment of placeholders.
    pub fn deployment(&self, ledger: &PoolLedger) -> Value {
        let mut template = self.pod();
        if let Some(spec) = template.get_mut("spec").and_then(Value::as_object_mut) {
            spec.insert("priorityClassName".into(), json!(PRIORITY_CLASS));
        }
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": self.metadata(Some(ledger)),
            "spec": {
                "replicas": self.slots,
                "revisionHistoryLimit": 0,
                "strategy": { "type": "Recreate" },
                "selector": { "matchLabels": { SLOT_LABEL: self.name } },
                "template": template,
            },
        })
    }

    /// The PodTemplate that the CapacityBuffer refers to.
    pub fn pod_template(&self) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "PodTemplate",
            "metadata": self.metadata(None),
            "template": self.pod(),
        })
    }

    /// The CapacityBuffer, in a version that the cluster serves.
    pub fn buffer(&self, version: &str, ledger: &PoolLedger) -> Value {
        json!({
            "apiVersion": format!("{BUFFER_GROUP}/{version}"),
            "kind": "CapacityBuffer",
            "metadata": self.metadata(Some(ledger)),
            "spec": { "podTemplateRef": { "name": self.name }, "replicas": self.slots },
        })
    }
}

/// The API group of CapacityBuffers.
pub const BUFFER_GROUP: &str = "autoscaling.x-k8s.io";

/// The PriorityClass of placeholders: they evict nothing, and everything evicts them.
pub fn priority_class() -> Value {
    json!({
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": { "name": PRIORITY_CLASS, "labels": { MANAGED_LABEL.0: MANAGED_LABEL.1 } },
        "value": PRIORITY,
        "globalDefault": false,
        "preemptionPolicy": "Never",
        "description": "Slots of forescale's warm pools: any other pod takes their place.",
    })
}
