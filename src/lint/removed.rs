//! Objects of API versions that are gone.
//!
//! Sources: <https://kubernetes.io/docs/reference/using-api/deprecation-guide/>, <https://karpenter.sh/docs/upgrading/upgrade-guide/>,
//! <https://keda.sh/docs/2.0/migration/>

use super::{Finding, Object, found};

/// What became of a kind.
struct Removed {
    api_version: &'static str,
    kinds: &'static [&'static str],
    since: &'static str,
    /// `apiVersion`, and `kind` where it has another name now.
    now: (&'static str, Option<&'static str>),
}

const fn gone(
    api_version: &'static str,
    kinds: &'static [&'static str],
    since: &'static str,
    now: (&'static str, Option<&'static str>),
) -> Removed {
    Removed { api_version, kinds, since, now }
}

const WORKLOADS: &[&str] = &["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"];

const REMOVED: &[Removed] = &[
    gone("karpenter.sh/v1alpha5", &["Provisioner"], "Karpenter 0.33", ("karpenter.sh/v1", Some("NodePool"))),
    gone("karpenter.sh/v1alpha5", &["Machine"], "Karpenter 0.33", ("karpenter.sh/v1", Some("NodeClaim"))),
    gone("karpenter.sh/v1beta1", &["NodePool", "NodeClaim"], "Karpenter 1.1", ("karpenter.sh/v1", None)),
    gone(
        "karpenter.k8s.aws/v1alpha1",
        &["AWSNodeTemplate"],
        "Karpenter 0.33",
        ("karpenter.k8s.aws/v1", Some("EC2NodeClass")),
    ),
    gone("karpenter.k8s.aws/v1beta1", &["EC2NodeClass"], "Karpenter 1.1", ("karpenter.k8s.aws/v1", None)),
    gone("keda.k8s.io/v1alpha1", &["ScaledObject", "TriggerAuthentication"], "KEDA 2.0", ("keda.sh/v1alpha1", None)),
    gone("extensions/v1beta1", WORKLOADS, "Kubernetes 1.16", ("apps/v1", None)),
    gone("apps/v1beta1", WORKLOADS, "Kubernetes 1.16", ("apps/v1", None)),
    gone("apps/v1beta2", WORKLOADS, "Kubernetes 1.16", ("apps/v1", None)),
    gone("scheduling.k8s.io/v1beta1", &["PriorityClass"], "Kubernetes 1.22", ("scheduling.k8s.io/v1", None)),
    gone("batch/v1beta1", &["CronJob"], "Kubernetes 1.25", ("batch/v1", None)),
    gone("policy/v1beta1", &["PodDisruptionBudget"], "Kubernetes 1.25", ("policy/v1", None)),
    gone("autoscaling/v2beta1", &["HorizontalPodAutoscaler"], "Kubernetes 1.25", ("autoscaling/v2", None)),
    gone("autoscaling/v2beta2", &["HorizontalPodAutoscaler"], "Kubernetes 1.26", ("autoscaling/v2", None)),
];

/// Fields that moved or have other values in NodePools of today.
const NODE_POOL: &str = "\nspec:\n  template:\n    spec:\n      expireAfter: 720h\n  disruption:\n    consolidationPolicy: WhenEmptyOrUnderutilized\n    consolidateAfter: 5m";

/// Checks one; true: it is of a version that is gone.
pub(super) fn check(object: &Object, findings: &mut Vec<Finding>) -> bool {
    let same = |r: &&Removed| r.api_version == object.api_version && r.kinds.contains(&object.kind.as_str());
    let Some(Removed { since, now: (api_version, kind), .. }) = REMOVED.iter().find(same) else { return false };
    let at = object.root.entry("apiVersion").unwrap_or(&object.root);
    let kind = kind.unwrap_or(&object.kind);
    let fields = match kind {
        "NodePool" => NODE_POOL,
        "ScaledObject" => "\nspec:\n  scaleTargetRef:\n    name: web # was deploymentName",
        _ => "",
    };
    let message = format!("{} {} is gone since {since}", object.api_version, object.kind);
    let instead = format!("apiVersion: {api_version}\nkind: {kind}{fields}");
    found(findings, "removed-api", object, at, "apiVersion", message, instead);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_row_is_asked_in_vain_and_none_leads_to_what_is_gone() {
        let rows = || REMOVED.iter().flat_map(|r| r.kinds.iter().map(move |kind| (r.api_version, *kind)));
        let all: BTreeSet<_> = rows().collect();
        assert_eq!(all.len(), rows().count(), "a kind twice");
        for row in REMOVED {
            for kind in row.kinds {
                let now = (row.now.0, row.now.1.unwrap_or(kind));
                assert!(!all.contains(&now), "{now:?} is gone, too");
            }
        }
    }
}
