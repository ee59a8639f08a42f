//! Every rule, described once: findings and `docs/lint.md` come from here.

use super::Severity::{self, Error, Warning};
use std::fmt::Write as _;

/// One kind of mistake.
#[derive(Debug)]
pub struct Rule {
    /// Its name.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it finds.
    pub finds: &'static str,
    /// What happens at run time.
    pub happens: &'static str,
    /// YAML that does what is meant.
    pub good: &'static str,
}

const fn rule_of(
    id: &'static str,
    severity: Severity,
    finds: &'static str,
    happens: &'static str,
    good: &'static str,
) -> Rule {
    Rule { id, severity, finds, happens, good }
}

const BUDGET: &str = "- nodes: \"0\"\n  reasons: [Underutilized, Empty]\n  schedule: \"0 19 * * *\"\n  duration: 12h";

/// Every rule there is.
pub const RULES: &[Rule] = &[
    rule_of(
        "budget-reason",
        Error,
        "reasons that do not exist, such as Expired or Consolidation",
        "the API refuses the object (422); there is no budget for expiry",
        "reasons: [Underutilized, Empty]",
    ),
    rule_of(
        "budget-schedule-duration",
        Error,
        "a schedule without a duration, or the reverse",
        "the API refuses the object (422)",
        BUDGET,
    ),
    rule_of(
        "budget-schedule",
        Error,
        "a schedule that is neither five fields nor a name such as @daily: @every 1h, four fields",
        "the API refuses the object (422)",
        BUDGET,
    ),
    rule_of(
        "budget-cron",
        Error,
        "a schedule that the API accepts and Karpenter cannot read: a range that ends before it begins, weekday 7, hour 25, six fields, a time zone",
        "Karpenter disrupts nothing of the pool any more, for any reason, and no condition says so",
        BUDGET,
    ),
    rule_of(
        "budget-impossible-date",
        Error,
        "a date that never comes, such as 31 February",
        "the budget is active for ever",
        BUDGET,
    ),
    rule_of(
        "budget-nodes",
        Error,
        "nodes that is not a quoted number or a percentage up to 100%",
        "the API refuses the object (422)",
        "nodes: \"0\"",
    ),
    rule_of(
        "budget-duration",
        Error,
        "a duration in another form than hours, minutes, or hours and then minutes, such as 3600s or 30m1h",
        "the API refuses the object (422)",
        "duration: 1h30m",
    ),
    rule_of(
        "budgets-empty",
        Error,
        "budgets: []",
        "every node may be disrupted at once: an explicit empty list is not the default of 10%",
        "budgets:\n- nodes: 10%",
    ),
    rule_of(
        "budgets-list",
        Error,
        "budgets or reasons that are no list",
        "the API refuses the object (422)",
        "budgets:\n- nodes: 10%\n  reasons: [Underutilized, Empty]",
    ),
    rule_of("budgets-too-many", Error, "more than 50 budgets", "the API refuses the object (422)", ""),
    rule_of(
        "reasons-empty",
        Error,
        "reasons: []",
        "the budget never applies: an empty list is no reason at all, an absent one is every reason",
        "reasons: [Underutilized, Empty]",
    ),
    rule_of(
        "budget-time-zone",
        Warning,
        "budgets that seem to be written for local hours (needs --time-zone)",
        "Karpenter reads schedules in UTC, so the window lies hours away from what it is meant for",
        BUDGET,
    ),
    rule_of(
        "weight-range",
        Error,
        "a weight outside 1 to 100",
        "the API refuses the object (422); a pool without a weight has 0, the lowest priority",
        "weight: 100",
    ),
    rule_of(
        "weight-order",
        Warning,
        "a spot pool with a lower weight than the on-demand pool, or with none beside one that has",
        "the larger weight is tried first: spot is only used when on-demand is at its limit",
        "weight: 100 # spot\n---\nweight: 10 # on-demand",
    ),
    rule_of(
        "consolidate-after-missing",
        Error,
        "disruption without consolidateAfter",
        "the API refuses the object (422) up to Karpenter 1.14",
        "disruption:\n  consolidateAfter: 5m",
    ),
    rule_of(
        "consolidate-after-short",
        Warning,
        "consolidateAfter shorter than the lead of the warm pool (in the files, or --lead-time)",
        "warm nodes are consolidated away while they are being filled",
        "consolidateAfter: 10m",
    ),
    rule_of(
        "spot-without-fallback",
        Warning,
        "spot pools, and no pool with on-demand nodes",
        "when spot capacity runs out pods stay Pending",
        "requirements:\n- {key: karpenter.sh/capacity-type, operator: In, values: [spot, on-demand]}",
    ),
    rule_of(
        "limits-below-peak",
        Error,
        "cpu or memory limits of all NodePools together below what the peak asks for; limits of nodes or of other resources are not judged (needs --peak-replicas or --peaks-from)",
        "at the peak no further node is ordered and pods stay Pending",
        "",
    ),
    rule_of(
        "removed-api",
        Error,
        "objects and fields of versions that are gone, around scaling and nodes: Provisioner, Machine, AWSNodeTemplate, v1beta1 of Karpenter, spec.disruption.expireAfter, WhenUnderutilized, keda.k8s.io, workloads of extensions and of apps/v1beta1 and v1beta2, and v1beta1 or v2beta1 and v2beta2 of CronJob, HPA, PriorityClass and PodDisruptionBudget",
        "the API server does not know it: the object is refused, or the field silently dropped",
        "",
    ),
    rule_of(
        "hpa-target-high",
        Warning,
        "an HPA or a KEDA trigger whose utilization target leaves less room than a load that doubles in 15 minutes gains in one lead time (3m, or --lead-time)",
        "load outgrows what is there before new replicas are Ready",
        "",
    ),
    rule_of(
        "hpa-without-request",
        Error,
        "an HPA or a KEDA trigger on cpu or memory utilization over containers (and sidecars among the init containers) without a request, where neither the pod as a whole has one nor a LimitRange fills it in",
        "the HPA cannot compute it (FailedGetResourceMetric) and does not scale",
        "resources:\n  requests: {cpu: 500m}",
    ),
    rule_of(
        "hpa-bounds",
        Error,
        "minReplicas above maxReplicas, or maxReplicas below 1; without maxReplicaCount KEDA's is 100",
        "the API refuses the object (422)",
        "",
    ),
    rule_of(
        "max-replicas-below-peak",
        Error,
        "maxReplicas below the forecast peak; without maxReplicaCount KEDA's is 100 (needs --peak-replicas or --peaks-from)",
        "the floor stops at maxReplicas and the peak is not served",
        "",
    ),
    rule_of(
        "min-replicas-in-git",
        Warning,
        "minReplicas (or minReplicaCount) in a file while Forescale writes it: the workload is in mode act",
        "every apply resets the floor, also in the middle of a ramp",
        "# leave minReplicas out, or for Argo CD:\nignoreDifferences:\n- {group: autoscaling, kind: HorizontalPodAutoscaler, managedFieldsManagers: [forescale]}\n# with syncOptions: [RespectIgnoreDifferences=true]",
    ),
    rule_of(
        "annotation",
        Error,
        "forescale.dev annotations of a Deployment or StatefulSet that have an unknown name or cannot be read",
        "nothing is decided for the workload until it is put right, an event says so; without a readable mode it is not opted in",
        "# docs/annotations.md has every name, form and example",
    ),
    rule_of(
        "replicas-in-git",
        Warning,
        "spec.replicas of a workload that an autoscaler scales",
        "every apply resets the replicas to this number until the autoscaler looks again",
        "# leave spec.replicas out",
    ),
    rule_of(
        "quota-below-peak",
        Error,
        "a ResourceQuota on cpu, memory or pods below what the peak asks for; other resources, and quotas with scopes, which do not count every pod, are not judged (needs --peak-replicas or --peaks-from)",
        "pods beyond it are never created: the Deployment says FailedCreate, and nothing is Pending",
        "",
    ),
    rule_of(
        "pause-pdb",
        Warning,
        "a PodDisruptionBudget over placeholder pods: a pause image, or containers that only sleep in a class of negative priority",
        "their nodes become the least preferred for preemption, and drains wait for them",
        "# no PodDisruptionBudget for placeholders",
    ),
    rule_of(
        "pause-grace",
        Warning,
        "placeholder pods with another grace than 1 s",
        "a slot is free only when the grace is over; with 0 kube-scheduler (1.36) can strand the pod that preempts",
        "terminationGracePeriodSeconds: 1",
    ),
    rule_of(
        "pause-priority",
        Error,
        "placeholder pods whose priority is not negative, or below -10",
        "they are not preempted by pods of priority 0; below -10 cluster-autoscaler buys no node for them",
        "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: placeholder}\nvalue: -10\npreemptionPolicy: Never\nglobalDefault: false",
    ),
    rule_of(
        "priority-preempts",
        Warning,
        "a PriorityClass below 0 whose pods may preempt",
        "placeholders evict pods of a still lower priority",
        "preemptionPolicy: Never",
    ),
    rule_of(
        "priority-default",
        Error,
        "a PriorityClass below 0 that is the cluster's default",
        "every pod without a class becomes a placeholder that anything preempts",
        "globalDefault: false",
    ),
    rule_of(
        "pdb-blocks-all",
        Warning,
        "a PodDisruptionBudget that allows no disruption (maxUnavailable: 0, minAvailable: 100%)",
        "nodes are never drained: consolidation, drift and upgrades wait for ever",
        "maxUnavailable: 1",
    ),
    rule_of(
        "do-not-disrupt-value",
        Warning,
        "karpenter.sh/do-not-disrupt with another value than \"true\" or a duration such as 30m",
        "Karpenter ignores it",
        "karpenter.sh/do-not-disrupt: \"true\"",
    ),
];

/// The rule of this name.
pub fn rule(id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|r| r.id == id)
}

/// `docs/lint.md`.
pub fn reference() -> String {
    let mut text = String::from(
        "# Lint\n\n`forescale lint` finds mistakes in NodePools, HPAs, ScaledObjects, PriorityClasses, PodDisruptionBudgets, quotas, pod templates and\nForescale's own annotations before they cost a night. Generated from `src/lint/rules.rs` by `UPDATE=1 cargo test lint`.\n\n```sh\nforescale lint k8s/*.yaml\nhelm template . | forescale lint - --time-zone Europe/Berlin --peak-replicas shop/web=80\nforescale lint --cluster --peaks-from http://127.0.0.1:8080\nforescale lint k8s/*.yaml --sarif > lint.sarif\n```\n\nExit codes: 0 clean, 1 findings, 2 usage or a file that cannot be read. Kinds that are not known are skipped and counted.\n",
    );
    for rule in RULES {
        let severity = match rule.severity {
            Warning => "warning",
            Error => "error",
        };
        let _ = write!(text, "\n## {}\n\n{severity}: {}.\n\nAt run time: {}.\n", rule.id, rule.finds, rule.happens);
        if !rule.good.is_empty() {
            let _ = write!(text, "\n```yaml\n{}\n```\n", rule.good);
        }
    }
    text
}
