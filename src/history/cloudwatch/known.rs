//! What is known of the namespaces that loads usually come from: their dimensions, and which of their metrics make a
//! load. From the "Metrics and dimensions" pages of the services' own user guides. Not exhaustive: a name that isn't
//! here is accepted unless it looks like a slip of one that is.

/// What a metric's values are, which decides the statistic that makes a load of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Things that happened: the Sum over a period is their number.
    Count,
    /// Something there is at an instant, of the whole service: Average or Maximum.
    Level,
    /// Something there is at an instant, reported in parts: the Sum over a minute is the whole.
    PartedLevel,
    /// Of each event: only the number of samples is a load.
    PerEvent,
    /// A share of what there is: falls because we scale out.
    Utilization,
    /// An average per pod or target: falls because we scale out.
    PerReplica,
    /// A number of pods or hosts: our own output.
    Replicas,
}

/// A namespace with the keys its metrics can have.
#[derive(Debug)]
pub struct Namespace {
    /// Its name.
    pub name: &'static str,
    /// Every dimension key of it.
    pub dimensions: &'static [&'static str],
    /// The dimension without which it has no metric; empty if there is none.
    pub required: &'static str,
    /// Metrics and what they are.
    pub metrics: &'static [(&'static str, Kind)],
}

use Kind::{Count, Level, PartedLevel, PerEvent, PerReplica, Replicas, Utilization};

/// The namespaces.
pub const NAMESPACES: &[Namespace] = &[
    Namespace {
        name: "AWS/ApplicationELB",
        dimensions: &["LoadBalancer", "TargetGroup", "AvailabilityZone"],
        required: "LoadBalancer",
        metrics: &[
            ("RequestCount", Count),
            ("GrpcRequestCount", Count),
            ("NewConnectionCount", Count),
            ("ProcessedBytes", Count),
            ("RuleEvaluations", Count),
            ("RejectedConnectionCount", Count),
            ("HTTPCode_Target_2XX_Count", Count),
            ("HTTPCode_Target_4XX_Count", Count),
            ("HTTPCode_Target_5XX_Count", Count),
            ("HTTPCode_ELB_5XX_Count", Count),
            ("ActiveConnectionCount", PartedLevel),
            ("RequestCountPerTarget", PerReplica),
            ("TargetResponseTime", PerEvent),
            ("HealthyHostCount", Replicas),
            ("UnHealthyHostCount", Replicas),
        ],
    },
    Namespace {
        name: "AWS/NetworkELB",
        dimensions: &["LoadBalancer", "TargetGroup", "AvailabilityZone"],
        required: "LoadBalancer",
        metrics: &[
            ("NewFlowCount", Count),
            ("ProcessedBytes", Count),
            ("ProcessedPackets", Count),
            ("ActiveFlowCount", Level),
            ("HealthyHostCount", Replicas),
            ("UnHealthyHostCount", Replicas),
        ],
    },
    Namespace {
        name: "AWS/ELB",
        dimensions: &["LoadBalancerName", "AvailabilityZone"],
        required: "",
        metrics: &[
            ("RequestCount", Count),
            ("EstimatedProcessedBytes", Count),
            ("HTTPCode_Backend_2XX", Count),
            ("HTTPCode_Backend_5XX", Count),
            ("SurgeQueueLength", Level),
            ("Latency", PerEvent),
            ("HealthyHostCount", Replicas),
            ("UnHealthyHostCount", Replicas),
        ],
    },
    Namespace {
        name: "AWS/SQS",
        dimensions: &["QueueName"],
        required: "QueueName",
        metrics: &[
            ("NumberOfMessagesSent", Count),
            ("NumberOfMessagesReceived", Count),
            ("NumberOfMessagesDeleted", Count),
            ("NumberOfEmptyReceives", Count),
            ("ApproximateNumberOfMessagesVisible", Level),
            ("ApproximateNumberOfMessagesNotVisible", Level),
            ("ApproximateNumberOfMessagesDelayed", Level),
            ("ApproximateAgeOfOldestMessage", PerEvent),
            ("SentMessageSize", PerEvent),
        ],
    },
    Namespace {
        name: "AWS/Kinesis",
        dimensions: &["StreamName", "ShardId", "ConsumerName"],
        required: "StreamName",
        metrics: &[("IncomingRecords", Count), ("IncomingBytes", Count), ("GetRecords.Records", Count)],
    },
    Namespace {
        name: "AWS/ApiGateway",
        dimensions: &["ApiName", "ApiId", "Stage", "Method", "Resource", "Route"],
        required: "",
        metrics: &[("Count", Count), ("4XXError", Count), ("5XXError", Count), ("Latency", PerEvent)],
    },
    Namespace {
        name: "AWS/EC2",
        dimensions: &["InstanceId", "ImageId", "InstanceType", "AutoScalingGroupName"],
        required: "",
        metrics: &[("CPUUtilization", Utilization), ("NetworkIn", Count), ("NetworkOut", Count)],
    },
    Namespace {
        name: "ContainerInsights",
        dimensions: &[
            "ClusterName",
            "Namespace",
            "PodName",
            "FullPodName",
            "ContainerName",
            "Service",
            "NodeName",
            "InstanceId",
        ],
        required: "ClusterName",
        metrics: &[
            ("pod_cpu_usage_total", PartedLevel),
            ("pod_cpu_utilization", Utilization),
            ("pod_cpu_utilization_over_pod_limit", Utilization),
            ("pod_cpu_reserved_capacity", Utilization),
            ("pod_memory_utilization", Utilization),
            ("node_cpu_utilization", Utilization),
            ("pod_memory_working_set", PartedLevel),
            ("pod_network_rx_bytes", PartedLevel),
            ("pod_network_tx_bytes", PartedLevel),
            ("service_number_of_running_pods", Replicas),
            ("namespace_number_of_running_pods", Replicas),
            ("node_number_of_running_pods", Replicas),
        ],
    },
];

/// The namespace of that name.
pub fn namespace(name: &str) -> Option<&'static Namespace> {
    NAMESPACES.iter().find(|n| n.name == name)
}

/// What `metric` of `namespace` is: from the table, else from words in its name. None: nothing is known of it.
pub fn kind(namespace_name: &str, metric: &str) -> Option<Kind> {
    let tabled = namespace(namespace_name).and_then(|n| n.metrics.iter().find(|m| m.0 == metric)).map(|m| m.1);
    let lower = metric.to_ascii_lowercase().replace(['_', '-', '.', ' '], "");
    let has = |words: &[&str]| words.iter().any(|w| lower.contains(w));
    tabled.or_else(|| match () {
        () if has(&["utilization", "utilisation", "percent", "pct"]) => Some(Utilization),
        () if has(&["pertarget", "perpod", "perreplica", "perinstance", "perhost"]) => Some(PerReplica),
        () if has(&["latency", "duration", "responsetime"]) => Some(PerEvent),
        () => None,
    })
}

/// The regions of the public partitions, to name the one that was probably meant.
pub const REGIONS: &[&str] = &[
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "cn-north-1",
    "cn-northwest-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-gov-east-1",
    "us-gov-west-1",
    "us-west-1",
    "us-west-2",
];
