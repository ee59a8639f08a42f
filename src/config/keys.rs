//! Every key of the configuration, described once: what is accepted, `docs/config.md` and the schema come from here.

/// What a key's value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One of these words.
    Choice(&'static [&'static str]),
    /// "3m", "90s", between the two bounds (seconds).
    Duration(u64, u64),
    /// "0.1%" or 0.001, between 0 and 1, both excluded.
    Share,
    /// The same of what may go wrong: above 0.01 with its sign only, as 0.1 may be meant to be 0.1%.
    Budget,
    /// IANA time zone.
    Zone,
    /// Whole number between the two bounds.
    Count(u64, u64),
    /// "256Mi".
    Bytes,
    /// true or false.
    Switch,
    /// Any non-empty text.
    Text,
    /// `http://` or `https://` URL without credentials.
    Url,
    /// Path of a file.
    File,
    /// IP address and port.
    Address,
    /// A query with placeholders.
    Template,
    /// A table of texts.
    Texts,
}

/// One documented key.
#[derive(Debug)]
pub(super) struct Key {
    /// Its path; the segment `NAME` stands for any name.
    pub path: &'static str,
    /// What its value looks like.
    pub form: Form,
    /// The kind of source it belongs to. Empty: all.
    pub kind: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// A value that makes sense.
    pub example: &'static str,
}

const fn key(path: &'static str, form: Form, meaning: &'static str, example: &'static str) -> Key {
    Key { path, form, kind: "", meaning, example }
}

const fn of(kind: &'static str, path: &'static str, form: Form, meaning: &'static str, example: &'static str) -> Key {
    Key { path, form, kind, meaning, example }
}

const PROMETHEUS: &str = "prometheus";
const CLOUDWATCH: &str = "cloudwatch";
const YEAR: u64 = 366 * 86_400;

/// Every key there is.
pub(super) const KEYS: &[Key] = &[
    key(
        "mode",
        Form::Choice(&["observe", "act"]),
        "The most any workload may do. `observe`: nothing is written to the cluster, whatever annotations say.",
        "\"act\"",
    ),
    key(
        "workloads.lead_time",
        Form::Duration(1, 86_400),
        "From a decision to replicas that serve, where no annotation says otherwise and too few starts have been seen.",
        "\"3m\"",
    ),
    key(
        "workloads.learn_lead_time",
        Form::Switch,
        "Whether the lead time of a workload without the annotation is learned from the starts of its pods.",
        "false",
    ),
    key(
        "workloads.pods_per_second",
        Form::Count(1, 10_000),
        "Pods that the control plane creates in a second, until bursts of 40 pods or more have shown it.",
        "20",
    ),
    key(
        "workloads.unserved_budget",
        Form::Budget,
        "Share of the load that may go unserved, where no annotation says otherwise.",
        "\"0.1%\"",
    ),
    key(
        "workloads.time_zone",
        Form::Zone,
        "Zone in which days and weeks repeat, where no annotation says otherwise.",
        "\"Europe/Berlin\"",
    ),
    key("workloads.step", Form::Duration(1, 3600), "Spacing of the samples that are fetched and forecast.", "\"1m\""),
    key("workloads.history", Form::Duration(3600, YEAR), "How far back history is fetched at start.", "\"28d\""),
    key(
        "workloads.source",
        Form::Text,
        "Source of metrics that name none. Needed only where several sources are configured.",
        "\"main\"",
    ),
    key("sources.NAME.kind", Form::Choice(&[PROMETHEUS, CLOUDWATCH]), "What answers there.", "\"prometheus\""),
    key(
        "sources.NAME.timeout",
        Form::Duration(1, 300),
        "Longest time that one request may take, connecting included.",
        "\"10s\"",
    ),
    key(
        "sources.NAME.allow_annotation_queries",
        Form::Switch,
        "Whether `forescale.dev/load-query` may name a query for this source.",
        "false",
    ),
    of(
        PROMETHEUS,
        "sources.NAME.url",
        Form::Url,
        "Base URL of the HTTP API (Prometheus, Thanos, Mimir, VictoriaMetrics…), without `/api/v1`.",
        "\"http://prometheus.monitoring:9090\"",
    ),
    of(
        PROMETHEUS,
        "sources.NAME.enforce_namespace",
        Form::Switch,
        "Whether a query from an annotation sees only series whose label `namespace` is the workload's namespace.",
        "true",
    ),
    of(
        PROMETHEUS,
        "sources.NAME.bearer_token_file",
        Form::File,
        "File with a bearer token; read again when it changes.",
        "\"/var/run/secrets/token\"",
    ),
    of(PROMETHEUS, "sources.NAME.basic_auth.user", Form::Text, "User of basic authentication.", "\"forescale\""),
    of(
        PROMETHEUS,
        "sources.NAME.basic_auth.password_file",
        Form::File,
        "File with the password of basic authentication.",
        "\"/var/run/secrets/password\"",
    ),
    of(
        PROMETHEUS,
        "sources.NAME.headers",
        Form::Texts,
        "Headers sent with every request, such as a tenant's id.",
        "{ X-Scope-OrgID = \"team-a\" }",
    ),
    of(
        PROMETHEUS,
        "sources.NAME.ca_file",
        Form::File,
        "PEM file with certificates to trust besides the system's.",
        "\"/etc/forescale/ca.pem\"",
    ),
    of(CLOUDWATCH, "sources.NAME.region", Form::Text, "Region.", "\"eu-west-1\""),
    of(
        CLOUDWATCH,
        "sources.NAME.role_arn",
        Form::Text,
        "Role to assume first.",
        "\"arn:aws:iam::123456789012:role/forescale\"",
    ),
    of(
        CLOUDWATCH,
        "sources.NAME.endpoint_url",
        Form::Url,
        "Endpoint in place of the region's public one.",
        "\"https://vpce-0123.monitoring.eu-west-1.vpce.amazonaws.com\"",
    ),
    of(
        CLOUDWATCH,
        "sources.NAME.max_metrics_per_hour",
        Form::Count(1, 100_000_000),
        "Most metrics asked for in an hour (they cost money); beyond it the source counts as stale.",
        "20000",
    ),
    key(
        "calendars.NAME.file",
        Form::File,
        "An iCalendar file (.ics) of public holidays or events; every country's holidays can be had as one. An event with a property such as `X-FORESCALE:x3` has that effect.",
        "\"/etc/forescale/holidays-de.ics\"",
    ),
    key(
        "calendars.NAME.effect",
        Form::Text,
        "What its events do, where they don't say: `holiday` (like a Sunday, the default), `exclude` (no lesson), `x1.5` (times the usual load), `like=DATE`.",
        "\"holiday\"",
    ),
    key(
        "queries.cpu",
        Form::Template,
        "Total CPU cores used by a workload's pods: the load of an HPA that scales on cpu.",
        "'sum(rate(my_cpu_seconds{namespace=\"{namespace}\",pod=~\"{pods}\"}[2m]))'",
    ),
    key(
        "queries.pods",
        Form::Template,
        "How many pods of a workload run: with their cores it tells what one replica serves, where `forescale.dev/capacity-per-replica` is `auto`.",
        "'count(sum by (pod) (rate(my_cpu_seconds{namespace=\"{namespace}\",pod=~\"{pods}\"}[2m])))'",
    ),
    key(
        "queries.metrics.NAME.query",
        Form::Template,
        "Sum of the HPA metric NAME over a workload's pods, or of the Object or External metric NAME.",
        "'sum(rate(http_requests_total{namespace=\"{namespace}\",pod=~\"{pods}\"}[2m]))'",
    ),
    key("queries.metrics.NAME.source", Form::Text, "The source that this query is for.", "\"main\""),
    key(
        "pools.NAME.selector",
        Form::Text,
        "Labels of the Deployments and StatefulSets that share the pool, `key=value`, separated by commas. A workload may also name its pool by the annotation `forescale.dev/pool`.",
        "\"team=shop\"",
    ),
    key("pools.NAME.namespace", Form::Text, "Only workloads of this namespace.", "\"shop\""),
    key(
        "pools.NAME.node_pool",
        Form::Text,
        "Karpenter NodePool whose nodes are held ready; without a selector, the workloads whose pods select it share the pool.",
        "\"general\"",
    ),
    key(
        "pools.NAME.lead_time",
        Form::Duration(1, 86_400),
        "From asking for a node to a pod that runs on it. Not given: learned (P95 of starts on new nodes), once there are 19.",
        "\"90s\"",
    ),
    key(
        "pools.NAME.objective",
        Form::Share,
        "Share of the time in which every pod that is needed finds a slot or a node.",
        "\"99%\"",
    ),
    key(
        "pools.NAME.waiting_cost",
        Form::Count(1, 1_000_000),
        "In place of an objective, with slot_cost: what a pod costs that waits a node lead.",
        "99",
    ),
    key("pools.NAME.slot_cost", Form::Count(1, 1_000_000), "What a slot costs in the same time.", "1"),
    key(
        "pools.NAME.max_slots",
        Form::Count(1, 10_000),
        "Most slots: the cost cap, to which a reserve for a lost zone is added.",
        "20",
    ),
    key(
        "pools.NAME.windows",
        Form::Text,
        "Hours with bounds of their own, in slots, in the form of the annotation `forescale.dev/schedule`.",
        "\"0 8 * * 1-5 10h Europe/Berlin min=4 max=30\"",
    ),
    key(
        "pools.NAME.zones",
        Form::Text,
        "Zones that slots are spread over evenly, separated by commas. Not given: wherever there is room.",
        "\"eu-west-1a,eu-west-1b\"",
    ),
    key(
        "pools.NAME.lost_zone_reserve",
        Form::Switch,
        "So many more slots that the other zones have enough when one is lost.",
        "true",
    ),
    key(
        "pools.NAME.gang_size",
        Form::Count(1, 1000),
        "Pods that start together or not at all; slots come in gangs.",
        "8",
    ),
    key(
        "pools.NAME.gang_topology",
        Form::Text,
        "Topology key of the domain that all slots of a gang share.",
        "\"topology.kubernetes.io/zone\"",
    ),
    key(
        "pools.NAME.arrivals",
        Form::Text,
        "In place of workloads: a query for the gangs (pods, where gang_size is 1) that arrived in a step. The pool is sized from those that are expected.",
        "'sum(increase(kueue_admitted_workloads_total{cluster_queue=\"gpu\"}[1m]))'",
    ),
    key("pools.NAME.source", Form::Text, "Source of `arrivals`. Not given: `workloads.source`.", "\"main\""),
    key(
        "pools.NAME.pod_template",
        Form::Text,
        "With `arrivals`: the PodTemplate that its pods look like, `namespace/name`.",
        "\"batch/gpu-worker\"",
    ),
    key(
        "pools.NAME.backend",
        Form::Choice(&["auto", "capacity-buffer", "placeholders"]),
        "What slots are made of. `auto`: CapacityBuffers where the cluster has them and something acts on them, else placeholder pods.",
        "\"placeholders\"",
    ),
    key(
        "pools.NAME.slot_namespace",
        Form::Text,
        "Namespace of the pool's objects; the program needs its rights there. Not given: the lease's.",
        "\"warm-pool\"",
    ),
    key(
        "pools.NAME.image",
        Form::Text,
        "Image of placeholders in place of the usual pause image.",
        "\"mirror.example/pause:3.10\"",
    ),
    key(
        "pools.NAME.prepull",
        Form::Switch,
        "Placeholders run the application's image, asleep, so that nodes have it. It needs `sleep`.",
        "true",
    ),
    key("server.listen", Form::Address, "Where page, JSON, metrics and health are served.", "\"0.0.0.0:8080\""),
    key("lease.namespace", Form::Text, "Namespace of the Lease that elects the writer.", "\"forescale\""),
    key("lease.name", Form::Text, "Name of the Lease.", "\"forescale\""),
    key(
        "lease.duration",
        Form::Duration(5, 300),
        "How long the writer may be silent before another takes over.",
        "\"15s\"",
    ),
    key(
        "objectives.warm_node",
        Form::Duration(1, 86_400),
        "Objective for the P95 of the lead time where a running node had room; the alert compares with it.",
        "\"15s\"",
    ),
    key(
        "objectives.new_node",
        Form::Duration(1, 86_400),
        "Objective for the P95 of the lead time where a node had to be bought.",
        "\"90s\"",
    ),
    key(
        "stop.config_map",
        Form::Text,
        "Name of the ConfigMap, in the Lease's namespace, whose being there stops every write: the kill switch.",
        "\"forescale-stop\"",
    ),
    key(
        "guards.mode",
        Form::Choice(&["off", "observe", "act"]),
        "Whether NodePools are kept from voluntary disruption during forecast ramps. `observe`: it is only said when they would be. `act` needs `mode = \"act\"` too.",
        "\"act\"",
    ),
    key(
        "guards.before",
        Form::Duration(60, 6 * 3600),
        "How long before a ramp's replicas are wanted its nodes are kept.",
        "\"15m\"",
    ),
    key(
        "reactive.interval",
        Form::Duration(1, 300),
        "How often the load is read between the steps: what outruns the plan raises it at once. Sources that only have minutes (CloudWatch) are not asked more often than once a step.",
        "\"5s\"",
    ),
    key("limits.workloads", Form::Count(1, 100_000), "Most workloads that are handled; more are refused.", "1000"),
    key("limits.queries_in_flight", Form::Count(1, 64), "Most requests to one source at the same time.", "4"),
    key("limits.writes_per_second", Form::Count(1, 1000), "Most writes to the cluster in a second.", "5"),
    key(
        "store.path",
        Form::File,
        "Folder in which history is kept, `workloads.history` long, so that more is known than sources keep. One copy of the program, one folder. Not given: none is kept.",
        "\"/var/lib/forescale/history\"",
    ),
    key(
        "decision_log.path",
        Form::File,
        "File to which every decision is appended as one line of JSON. Not given: none is kept.",
        "\"/var/lib/forescale/decisions.jsonl\"",
    ),
    key(
        "decision_log.size_max",
        Form::Bytes,
        "Size at which the decision log starts again, one old file kept.",
        "\"256Mi\"",
    ),
];

/// The placeholders of a query template, with their meaning.
pub(super) const PLACEHOLDERS: &[(&str, &str)] = &[
    ("namespace", "the workload's namespace"),
    ("workload", "the workload's name"),
    (
        "pods",
        "a regular expression (fully anchored, as PromQL does) that matches the names of the workload's pods and of no other's",
    ),
    ("container", "a regular expression for the container: its name for a ContainerResource metric, `.+` otherwise"),
    ("metric", "the metric's name"),
    ("object", "name of the described object (Object metrics)"),
    (
        "labels",
        "the selector of a Pods, Object or External metric as matchers, each with a comma before it; a metric with a selector needs it",
    ),
];

/// The key at a path whose names stand for themselves, and its kind.
pub(super) fn find(path: &[&str]) -> Option<&'static Key> {
    KEYS.iter().find(|key| matches(key.path, path))
}

fn matches(pattern: &str, path: &[&str]) -> bool {
    pattern.split('.').count() == path.len() && pattern.split('.').zip(path).all(|(p, s)| p == "NAME" || p == *s)
}

/// The names that may follow a path, without duplicates; `NAME` where any may.
pub(super) fn names_below(path: &[&str]) -> Vec<&'static str> {
    let mut names = Vec::new();
    for key in KEYS {
        let segments: Vec<&str> = key.path.split('.').collect();
        let fits = segments.len() > path.len() && segments.iter().zip(path).all(|(p, s)| *p == "NAME" || p == s);
        if let Some(name) = segments.get(path.len()).filter(|n| fits && !names.contains(*n)) {
            names.push(*name);
        }
    }
    names
}
