//! Nodes, what makes them, and what pods ask of them, as plain values.
//!
//! NodePools and NodeClaims are Karpenter's (`karpenter.sh/v1`, <https://karpenter.sh/docs/concepts/nodepools/>); Nodes
//! are there with or without it.

use super::guard::Budget;
use crate::units::Time;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The node label that names the NodePool a node belongs to.
pub const NODE_POOL_LABEL: &str = "karpenter.sh/nodepool";

/// A NodePool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NodePoolView {
    /// Its name; NodePools have no namespace.
    pub name: String,
    /// Its uid, for events.
    pub uid: String,
    /// Annotations of ours on it.
    pub annotations: BTreeMap<String, String>,
    /// `spec.disruption.budgets` as it stands, ours included. None: the field is not there.
    pub budgets: Option<Vec<Budget>>,
    /// `spec.disruption.consolidationPolicy`.
    pub consolidation_policy: Option<String>,
    /// `spec.disruption.consolidateAfter`. None: `Never`.
    pub consolidate_after: Option<Duration>,
    /// `spec.weight`; 0 where it is not set. The larger is tried first.
    pub weight: u32,
    /// `spec.replicas`: nodes of a static pool. None: the pool follows pods.
    pub replicas: Option<u32>,
    /// `spec.limits`: cores, bytes, and other amounts by resource.
    pub limits: BTreeMap<String, f64>,
    /// `status.resources`: what its nodes add up to, likewise; `nodes` among them.
    pub used: BTreeMap<String, f64>,
    /// `spec.template.spec.expireAfter`. None: `Never`.
    pub expire_after: Option<Duration>,
    /// Labels that its nodes will have.
    pub labels: BTreeMap<String, String>,
    /// `spec.template.spec.requirements`.
    pub requirements: Vec<Requirement>,
    /// `spec.template.spec.taints`; start-up taints are none of them.
    pub taints: Vec<Taint>,
    /// Its condition Ready. None: not said.
    pub ready: Option<bool>,
}

/// A NodeClaim: a node that was ordered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeClaimView {
    /// Its name.
    pub name: String,
    /// Its NodePool. None: it stands alone.
    pub pool: Option<String>,
    /// The node it became. None: not registered so far.
    pub node: Option<String>,
    /// When it was ordered.
    pub created: Time,
    /// When the provider launched it.
    pub launched: Option<Time>,
    /// When the node joined.
    pub registered: Option<Time>,
    /// When the node could take any pod.
    pub initialized: Option<Time>,
    /// When its deletion began.
    pub deleting: Option<Time>,
    /// `spec.expireAfter`. None: `Never`.
    pub expire_after: Option<Duration>,
    /// What pods asked for when it was ordered: `spec.resources.requests`.
    pub requests: BTreeMap<String, f64>,
    /// What it offers to pods: `status.allocatable`. Empty before it is launched.
    pub allocatable: BTreeMap<String, f64>,
    /// Its labels: zone, instance type, capacity type.
    pub labels: BTreeMap<String, String>,
}

impl NodeClaimView {
    /// When it expires by itself, whatever budgets say. None: never.
    pub fn expires(&self) -> Option<Time> {
        self.expire_after.map(|after| self.created + after)
    }
}

/// A Node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeView {
    /// Its name.
    pub name: String,
    /// When it was created.
    pub created: Time,
    /// Since when it is Ready. None: it is not.
    pub ready: Option<Time>,
    /// When its deletion began.
    pub deleting: Option<Time>,
    /// Cordoned.
    pub unschedulable: bool,
    /// What it offers to pods.
    pub allocatable: BTreeMap<String, f64>,
    /// Its labels, all of them.
    pub labels: BTreeMap<String, String>,
    /// Its taints.
    pub taints: Vec<Taint>,
    /// `karpenter.sh/do-not-disrupt` is "true".
    pub do_not_disrupt: bool,
    /// Annotations of ours on it.
    pub annotations: BTreeMap<String, String>,
}

impl NodeView {
    /// The NodePool it belongs to. None: it is none of Karpenter's.
    pub fn pool(&self) -> Option<&str> {
        self.labels.get(NODE_POOL_LABEL).map(String::as_str)
    }
}

/// A taint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taint {
    /// Key.
    pub key: String,
    /// Value; often empty.
    #[serde(default)]
    pub value: String,
    /// `NoSchedule`, `NoExecute` or `PreferNoSchedule`.
    pub effect: String,
}

/// A toleration of a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Toleration {
    /// Key; empty with `Exists` tolerates everything.
    #[serde(default)]
    pub key: String,
    /// `Equal` (the default) or `Exists`.
    #[serde(default)]
    pub operator: String,
    /// Value.
    #[serde(default)]
    pub value: String,
    /// Effect; empty is any.
    #[serde(default)]
    pub effect: String,
}

impl Toleration {
    fn tolerates(&self, taint: &Taint) -> bool {
        let effect = self.effect.is_empty() || self.effect == taint.effect;
        let key = self.key.is_empty() || self.key == taint.key;
        effect && key && (self.operator == "Exists" || !self.key.is_empty() && self.value == taint.value)
    }
}

/// One requirement on a label: `In`, `NotIn`, `Exists`, `DoesNotExist`, `Gt`, `Lt`, `Gte`, `Lte`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// The label.
    pub key: String,
    /// The operator.
    pub operator: String,
    /// Its values.
    #[serde(default)]
    pub values: Vec<String>,
}

/// What a pod template asks of nodes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Placement {
    /// `nodeSelector`.
    pub node_selector: BTreeMap<String, String>,
    /// The terms of the required node affinity: one of them has to hold. Empty: none is required.
    pub affinity: Vec<Vec<Requirement>>,
    /// Tolerations.
    pub tolerations: Vec<Toleration>,
}

/// The labels a node may turn out to have without its NodePool naming them.
fn well_known(key: &str) -> bool {
    const DOMAINS: [&str; 3] = ["kubernetes.io", "k8s.io", "karpenter.sh"];
    let domain = key.split_once('/').map_or("", |(domain, _)| domain);
    let within = |of: &&str| domain == *of || domain.strip_suffix(*of).is_some_and(|rest| rest.ends_with('.'));
    DOMAINS.iter().any(within) || domain.starts_with("karpenter.")
}

impl Placement {
    /// Whether a pod with this placement may get a node of this pool. What is not known (labels that the provider
    /// gives) counts as yes.
    pub fn fits(&self, pool: &NodePoolView) -> bool {
        let hard = |t: &&Taint| t.effect != "PreferNoSchedule";
        let tolerated = pool.taints.iter().filter(hard).all(|t| self.tolerations.iter().any(|o| o.tolerates(t)));
        let selected = self.node_selector.iter().all(|(key, value)| {
            let wanted = Requirement { key: key.clone(), operator: "In".into(), values: vec![value.clone()] };
            admits(pool, &wanted)
        });
        let affine = self.affinity.is_empty() || self.affinity.iter().any(|term| term.iter().all(|r| admits(pool, r)));
        tolerated && selected && affine
    }
}

fn admits(pool: &NodePoolView, wanted: &Requirement) -> bool {
    if wanted.key == NODE_POOL_LABEL {
        return wanted.holds(Some(&pool.name));
    }
    if let Some(value) = pool.labels.get(&wanted.key) {
        return wanted.holds(Some(value));
    }
    let own: Vec<&Requirement> = pool.requirements.iter().filter(|r| r.key == wanted.key).collect();
    if own.is_empty() {
        return well_known(&wanted.key) || wanted.holds(None);
    }
    let named = own.iter().filter(|r| r.operator == "In").flat_map(|r| &r.values);
    let candidates: BTreeSet<&String> = match own.iter().any(|r| r.operator == "In") {
        true => named.collect(),
        // any value is possible but those that are excluded: only a list of ours can miss
        false if wanted.operator == "In" => wanted.values.iter().collect(),
        false => return wanted.operator != "DoesNotExist" || own.iter().any(|r| r.holds(None)),
    };
    candidates.into_iter().any(|value| wanted.holds(Some(value)) && own.iter().all(|r| r.holds(Some(value))))
}

impl Requirement {
    /// Whether a label with this value satisfies it. None: the label is not there.
    pub fn holds(&self, value: Option<&str>) -> bool {
        let number = |text: Option<&str>| text.and_then(|t| t.parse::<i64>().ok());
        let bound = number(self.values.first().map(String::as_str));
        let compared = |holds: fn(i64, i64) -> bool| number(value).zip(bound).is_some_and(|(n, b)| holds(n, b));
        let listed = value.is_some_and(|v| self.values.iter().any(|of| of == v));
        match self.operator.as_str() {
            "In" => listed,
            "NotIn" => !listed,
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            "Gt" => compared(|n, b| n > b),
            "Lt" => compared(|n, b| n < b),
            "Gte" => compared(|n, b| n >= b),
            "Lte" => compared(|n, b| n <= b),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requirement(key: &str, operator: &str, values: &[&str]) -> Requirement {
        let values = values.iter().map(|v| v.to_string()).collect();
        Requirement { key: key.into(), operator: operator.into(), values }
    }

    fn pool() -> NodePoolView {
        NodePoolView {
            name: "web".into(),
            labels: BTreeMap::from([("team".into(), "shop".into())]),
            requirements: vec![
                requirement("kubernetes.io/arch", "In", &["amd64", "arm64"]),
                requirement("tier", "NotIn", &["batch"]),
            ],
            taints: vec![Taint { key: "web".into(), value: "yes".into(), effect: "NoSchedule".into() }],
            ..NodePoolView::default()
        }
    }

    fn tolerant() -> Placement {
        let toleration = Toleration { key: "web".into(), operator: "Exists".into(), ..Toleration::default() };
        Placement { tolerations: vec![toleration], ..Placement::default() }
    }

    #[test]
    fn a_pod_needs_to_tolerate_the_pools_taints() {
        assert!(!Placement::default().fits(&pool()));
        assert!(tolerant().fits(&pool()));
        let equal = |value: &str| Placement {
            tolerations: vec![Toleration { key: "web".into(), value: value.into(), ..Toleration::default() }],
            ..Placement::default()
        };
        assert!(equal("yes").fits(&pool()) && !equal("no").fits(&pool()));
        let all = Toleration { operator: "Exists".into(), ..Toleration::default() };
        assert!(Placement { tolerations: vec![all], ..Placement::default() }.fits(&pool()));
    }

    #[test]
    fn selectors_meet_labels_and_requirements() {
        let selects = |key: &str, value: &str| Placement {
            node_selector: BTreeMap::from([(key.to_string(), value.to_string())]),
            ..tolerant()
        };
        assert!(selects("team", "shop").fits(&pool()) && !selects("team", "search").fits(&pool()));
        assert!(selects("kubernetes.io/arch", "arm64").fits(&pool()));
        assert!(!selects("kubernetes.io/arch", "s390x").fits(&pool()));
        assert!(selects("topology.kubernetes.io/zone", "a").fits(&pool()), "the provider's to say");
        assert!(selects("karpenter.k8s.aws/instance-family", "c7").fits(&pool()));
        assert!(!selects("unheard-of", "x").fits(&pool()));
        assert!(selects("tier", "web").fits(&pool()) && !selects("tier", "batch").fits(&pool()));
        assert!(selects(NODE_POOL_LABEL, "web").fits(&pool()) && !selects(NODE_POOL_LABEL, "db").fits(&pool()));
    }

    #[test]
    fn one_term_of_the_affinity_has_to_hold() {
        let wants = |terms: Vec<Vec<Requirement>>| Placement { affinity: terms, ..tolerant() };
        let no = requirement("team", "In", &["search"]);
        let yes = requirement("team", "NotIn", &["search"]);
        assert!(!wants(vec![vec![no.clone()]]).fits(&pool()));
        assert!(!wants(vec![vec![yes.clone(), no.clone()]]).fits(&pool()));
        assert!(wants(vec![vec![no], vec![yes]]).fits(&pool()));
        assert!(!wants(vec![vec![requirement("team", "DoesNotExist", &[])]]).fits(&pool()));
        assert!(wants(vec![vec![requirement("other", "DoesNotExist", &[])]]).fits(&pool()));
    }
}
