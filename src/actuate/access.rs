//! What the program may do in a cluster, as a table: `deploy/manifests/rbac.yaml` grants exactly this, and errors name
//! the row that is missing.

/// One rule of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Resource, with its subresource if it has one.
    pub resource: &'static str,
    /// Verbs, in alphabetical order.
    pub verbs: &'static [&'static str],
    /// What for.
    pub why: &'static str,
}

const WATCHED: &[&str] = &["get", "list", "patch", "watch"];

/// Rights in the whole cluster.
pub const CLUSTER_ACCESS: &[Access] = &[
    Access {
        group: "apps",
        resource: "deployments",
        verbs: WATCHED,
        why: "annotations are read; patch sets replicas and ledger where no autoscaler stands, and gives field ownership back",
    },
    Access { group: "apps", resource: "statefulsets", verbs: WATCHED, why: "the same" },
    Access {
        group: "apps",
        resource: "deployments/scale",
        verbs: &["get", "patch"],
        why: "replicas of an autoscaled workload up to its floor",
    },
    Access { group: "apps", resource: "statefulsets/scale", verbs: &["get", "patch"], why: "the same" },
    Access {
        group: "autoscaling",
        resource: "horizontalpodautoscalers",
        verbs: WATCHED,
        why: "metrics and bounds are read; patch raises spec.minReplicas",
    },
    Access {
        group: "keda.sh",
        resource: "scaledobjects",
        verbs: WATCHED,
        why: "triggers and bounds are read; patch raises spec.minReplicaCount",
    },
    Access {
        group: "",
        resource: "namespaces",
        verbs: &["get", "list", "watch"],
        why: "the annotation forescale.dev/stop is the kill switch of a namespace",
    },
    Access {
        group: "karpenter.sh",
        resource: "nodepools",
        verbs: WATCHED,
        why: "limits and budgets are read; patch appends guards to spec.disruption.budgets",
    },
    Access {
        group: "karpenter.sh",
        resource: "nodeclaims",
        verbs: &["get", "list", "watch"],
        why: "nodes on their way, and when they expire",
    },
    Access {
        group: "",
        resource: "nodes",
        verbs: WATCHED,
        why: "what there is; patch sets karpenter.sh/do-not-disrupt where budgets are reverted, and takes it off again",
    },
    Access {
        group: "",
        resource: "pods",
        verbs: &["get", "list", "watch"],
        why: "their stamps tell how long a start takes, and which replicas serve",
    },
    Access {
        group: "",
        resource: "resourcequotas",
        verbs: &["get", "list", "watch"],
        why: "what they will not admit of a ramp is said hours ahead",
    },
    Access { group: "", resource: "podtemplates", verbs: &["get"], why: "what the pods of a queue look like" },
    Access {
        group: "scheduling.k8s.io",
        resource: "priorityclasses",
        verbs: &["create", "get", "patch"],
        why: "the PriorityClass forescale-placeholder of warm pools",
    },
    Access {
        group: "autoscaling.x-k8s.io",
        resource: "capacitybuffers",
        verbs: &["list"],
        why: "what is left of warm pools is found wherever it is",
    },
    Access {
        group: "events.k8s.io",
        resource: "events",
        verbs: &["create"],
        why: "what was done is told on the workload",
    },
];

/// Rights in the program's own namespace.
pub const LEASE_ACCESS: &[Access] = &[
    Access {
        group: "coordination.k8s.io",
        resource: "leases",
        verbs: &["create", "get", "update"],
        why: "one copy writes",
    },
    Access {
        group: "",
        resource: "configmaps",
        verbs: &["get", "list", "watch"],
        why: "the ConfigMap forescale-stop is the kill switch",
    },
    Access {
        group: "apps",
        resource: "deployments",
        verbs: &["create", "delete", "get", "list", "patch"],
        why: "placeholders of warm pools",
    },
    Access {
        group: "",
        resource: "pods",
        verbs: &["delete", "list"],
        why: "one placeholder is deleted where a pod that was nominated to a node is stuck",
    },
    Access {
        group: "",
        resource: "resourcequotas",
        verbs: &["list"],
        why: "placeholders are held within the namespace's quota",
    },
    Access {
        group: "",
        resource: "podtemplates",
        verbs: &["create", "delete", "get", "patch"],
        why: "what a slot of a CapacityBuffer looks like",
    },
    Access {
        group: "autoscaling.x-k8s.io",
        resource: "capacitybuffers",
        verbs: &["create", "delete", "get", "list", "patch"],
        why: "slots of warm pools, where the cluster has them",
    },
];

/// The group of a resource in the tables above, for messages such as "horizontalpodautoscalers.autoscaling".
pub(super) fn qualified(resource: &str) -> String {
    let rule = CLUSTER_ACCESS.iter().chain(LEASE_ACCESS).find(|a| a.resource == resource);
    match rule {
        Some(rule) if !rule.group.is_empty() => match resource.split_once('/') {
            Some((base, sub)) => format!("{base}.{}/{sub}", rule.group),
            None => format!("{resource}.{}", rule.group),
        },
        _ => resource.to_string(),
    }
}
