//! What the cluster says of a workload, as plain values: what a policy is made from.

use super::Workload;
use crate::units::Replicas;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A workload and the objects around it, as the API gives them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkloadView {
    /// Which one.
    pub workload: Workload,
    /// Its annotations, all of them.
    pub annotations: BTreeMap<String, String>,
    /// The containers of its pod template.
    pub containers: Vec<ContainerView>,
    /// What a pod as a whole says, which counts in place of its containers.
    #[serde(default)]
    pub pod: PodView,
    /// `spec.replicas`; 1 where it is not set, as the API does.
    pub replicas: Replicas,
    /// Every autoscaler whose `scaleTargetRef` is this workload. An HPA that a ScaledObject owns is left out.
    pub autoscalers: Vec<AutoscalerView>,
}

/// `spec.resources` of the pod template.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct PodView {
    /// CPU request, cores. None: the containers say.
    pub cpu_request: Option<f64>,
    /// CPU limit, cores. None: the containers say.
    pub cpu_limit: Option<f64>,
}

/// One container of the pod template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerView {
    /// Its name.
    pub name: String,
    /// CPU request, cores. None: not given, so a utilization of it means nothing.
    pub cpu_request: Option<f64>,
    /// CPU limit, cores. None: not limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_limit: Option<f64>,
}

/// An autoscaler of the user's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum AutoscalerView {
    /// autoscaling/v2 HorizontalPodAutoscaler.
    HorizontalPodAutoscaler(HpaView),
    /// keda.sh/v1alpha1 ScaledObject.
    ScaledObject(ScaledObjectView),
}

/// What matters of an HPA.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HpaView {
    /// Its name.
    pub name: String,
    /// `spec.minReplicas` as it stands, ours or the user's. None: not set (the API's default is 1).
    pub min_replicas: Option<Replicas>,
    /// `spec.maxReplicas`.
    pub max_replicas: Replicas,
    /// `spec.metrics`, in order.
    pub metrics: Vec<MetricView>,
    /// Its annotations: the ledger is one of them.
    pub annotations: BTreeMap<String, String>,
}

/// One entry of an HPA's `spec.metrics`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum MetricView {
    /// Resource, or ContainerResource when `container` is given.
    Resource {
        /// cpu, memory…
        resource: String,
        /// The one container it looks at. None: all.
        container: Option<String>,
        /// What it aims at.
        target: MetricTarget,
    },
    /// Pods.
    Pods {
        /// Name of the metric.
        metric: String,
        /// Which of its series.
        #[serde(default, skip_serializing_if = "MetricSelector::is_empty")]
        selector: MetricSelector,
        /// What it aims at.
        target: MetricTarget,
    },
    /// Object.
    Object {
        /// Name of the metric.
        metric: String,
        /// Which of its series.
        #[serde(default, skip_serializing_if = "MetricSelector::is_empty")]
        selector: MetricSelector,
        /// Kind/name of the described object.
        described: String,
        /// What it aims at.
        target: MetricTarget,
    },
    /// External.
    External {
        /// Name of the metric.
        metric: String,
        /// Which of its series.
        #[serde(default, skip_serializing_if = "MetricSelector::is_empty")]
        selector: MetricSelector,
        /// What it aims at.
        target: MetricTarget,
    },
}

/// The label selector of an HPA's metric.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricSelector {
    /// `matchLabels`.
    pub labels: BTreeMap<String, String>,
    /// `matchExpressions`: key, operator, values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expressions: Vec<(String, String, Vec<String>)>,
}

impl MetricSelector {
    /// True where it selects everything.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.expressions.is_empty()
    }

    /// As matchers of PromQL, each with a comma before it.
    pub fn matchers(&self) -> String {
        let labels = self.labels.iter().map(|(key, value)| format!(",{key}={value:?}"));
        let expressions = self.expressions.iter().map(|(key, operator, values)| {
            // a label's value has no other character that means something in a regular expression
            let any = values.iter().map(|v| v.replace('.', "\\.")).collect::<Vec<_>>().join("|");
            match operator.as_str() {
                "In" => format!(",{key}=~{any:?}"),
                "NotIn" => format!(",{key}!~{any:?}"),
                "Exists" => format!(",{key}!=\"\""),
                // DoesNotExist; the API knows no other
                _ => format!(",{key}=\"\""),
            }
        });
        labels.chain(expressions).collect()
    }
}

/// The target of an HPA metric.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum MetricTarget {
    /// Percent of the request, as HPA has it.
    UtilizationPercent(u32),
    /// Average per pod, in base units.
    AverageValue(f64),
    /// Of the whole, in base units: not divided by pods, so it says nothing of one replica's capacity.
    Value(f64),
}

/// What matters of a ScaledObject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScaledObjectView {
    /// Its name.
    pub name: String,
    /// `spec.minReplicaCount`. None: not set (KEDA's default is 0).
    pub min_replicas: Option<Replicas>,
    /// `spec.maxReplicaCount`. None: not set (KEDA's default is 100).
    pub max_replicas: Option<Replicas>,
    /// `spec.triggers`, in order.
    pub triggers: Vec<TriggerView>,
    /// `spec.advanced.scalingModifiers.formula` is set: KEDA scales on what it makes of the triggers, not on each by its threshold.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub formula: bool,
    /// Its annotations: the ledger is one of them.
    pub annotations: BTreeMap<String, String>,
    /// `autoscaling.keda.sh/paused` or `paused-replicas` is set: then nothing of ours applies.
    pub paused: bool,
}

/// One trigger of a ScaledObject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TriggerView {
    /// prometheus, cron, aws-cloudwatch…
    pub kind: String,
    /// Its `metricType`. None: not set (KEDA's default is AverageValue, Utilization for cpu).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric_type: Option<String>,
    /// Its `metadata`.
    pub metadata: BTreeMap<String, String>,
}
