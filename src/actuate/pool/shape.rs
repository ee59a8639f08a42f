//! What a slot has to look like so that the pod it stands for can take its place.

use crate::units::{Quantity, of_pod, of_whole_pod};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// The part of a pod template that decides where its pods can run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PodShape {
    /// Requests of a whole pod by resource, in base units. Overhead comes with the runtime class.
    pub requests: BTreeMap<String, f64>,
    /// `nodeSelector`, `tolerations`, `affinity.nodeAffinity`, `runtimeClassName`, `schedulerName`: copied as they are.
    pub placement: Map<String, Value>,
    /// Topology keys of required anti-affinity, with the label selector each goes with.
    pub apart: Vec<(String, Value)>,
    /// `topologySpreadConstraints`, without their selectors.
    pub spread: Vec<Value>,
    /// The first container's image.
    pub image: Option<String>,
}

/// Fields of a pod spec that are copied.
const COPIED: [&str; 4] = ["nodeSelector", "tolerations", "runtimeClassName", "schedulerName"];

impl PodShape {
    /// From a pod template (`spec.template`), as JSON.
    pub fn of(template: &Value) -> PodShape {
        let spec = template.get("spec").unwrap_or(&Value::Null);
        let mut placement = Map::new();
        for field in COPIED {
            if let Some(value) = spec.get(field).filter(|v| !v.is_null()) {
                placement.insert(field.into(), value.clone());
            }
        }
        if let Some(affinity) = spec.pointer("/affinity/nodeAffinity").filter(|a| !a.is_null()) {
            placement.insert("affinity".into(), json!({ "nodeAffinity": affinity }));
        }
        let anti = spec.pointer("/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution");
        let anti = anti.unwrap_or(&Value::Null);
        let apart = list(anti)
            .iter()
            .filter_map(|term| Some((term["topologyKey"].as_str()?.to_owned(), term["labelSelector"].clone())));
        let spread = list(&spec["topologySpreadConstraints"]).iter().filter_map(|constraint| {
            let mut kept = constraint.as_object()?.clone();
            kept.retain(|key, _| ["maxSkew", "topologyKey", "whenUnsatisfiable", "minDomains"].contains(&key.as_str()));
            Some(Value::Object(kept))
        });
        PodShape {
            requests: requests(spec),
            placement,
            apart: apart.collect(),
            spread: spread.collect(),
            image: list(&spec["containers"]).first().and_then(|c| c["image"].as_str()).map(str::to_owned),
        }
    }

    /// Six hex digits that are the same for pods that may run on the same nodes: those share slots.
    pub fn key(&self) -> String {
        let bytes = serde_json::to_vec(&(&self.placement, &self.apart, &self.spread)).unwrap_or_default();
        Sha256::digest(&bytes).iter().take(3).map(|b| format!("{b:02x}")).collect()
    }

    /// Room for either pod: the larger request of each resource. The placement is this one's.
    pub fn cover(&mut self, other: &PodShape) {
        for (resource, amount) in &other.requests {
            let own = self.requests.entry(resource.clone()).or_insert(0.0);
            *own = own.max(*amount);
        }
    }

    /// The requests as a manifest has them.
    pub fn quantities(&self) -> Map<String, Value> {
        let text = |resource: &str, amount: f64| match resource {
            // 0.95 cores times 1000 is a hair over 950 in binary, which is not another millicore
            "cpu" => format!("{}m", (amount * 1000.0 - 1e-6).ceil() as u64),
            _ => format!("{}", amount.ceil() as u64),
        };
        self.requests.iter().map(|(r, amount)| (r.clone(), Value::String(text(r, *amount)))).collect()
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// What a pod asks for, by resource.
/// Source: <https://kubernetes.io/docs/tasks/configure-pod-container/assign-pod-level-resources/>
fn requests(spec: &Value) -> BTreeMap<String, f64> {
    type Amounts = BTreeMap<String, f64>;
    let read = |amount: &Value| amount.as_str().map(str::to_owned).or_else(|| amount.as_f64().map(|n| n.to_string()));
    let given = |at: &Value, of: &str| -> Amounts {
        let pairs = at.pointer(&format!("/resources/{of}")).and_then(Value::as_object).into_iter().flatten();
        pairs.filter_map(|(r, amount)| Some((r.clone(), Quantity::parse(&read(amount)?).ok()?.0))).collect()
    };
    // a container's limit without a request is a request
    let of = |container: &Value| -> Amounts {
        let mut amounts = given(container, "limits");
        amounts.extend(given(container, "requests"));
        amounts
    };
    let inits = list(&spec["initContainers"]).iter().map(|c| (c["restartPolicy"] == "Always", of(c)));
    let (inits, containers): (Vec<(bool, Amounts)>, Vec<Amounts>) =
        (inits.collect(), list(&spec["containers"]).iter().map(of).collect());
    let own = ["requests", "limits"].map(|of| given(spec, of));
    let resources: BTreeSet<&String> =
        inits.iter().map(|(_, c)| c).chain(&containers).chain(&own).flat_map(BTreeMap::keys).collect();
    let whole = |resource: &str| {
        let amount = |of: &Amounts| of.get(resource).copied().unwrap_or(0.0);
        let asked = inits.iter().map(|(_, c)| c).chain(&containers).any(|c| c.contains_key(resource));
        let sum = of_pod(inits.iter().map(|(sidecar, c)| (*sidecar, amount(c))), containers.iter().map(amount).sum());
        of_whole_pod(own.each_ref().map(|own| own.get(resource).copied()), asked.then_some(sum))
    };
    resources.into_iter().filter_map(|r| Some((r.clone(), whole(r)?))).collect()
}
