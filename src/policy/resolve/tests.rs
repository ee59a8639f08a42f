use super::*;

mod capacity;
mod sources;
use crate::policy::{
    ContainerView, HpaView, LoadMetric, MetricSelector, MetricTarget, MetricView, PodView, ScaledObjectView,
    TriggerView, Workload,
};
use crate::units::LeadTime;
use std::collections::BTreeMap;
use std::time::Duration;

const CONFIG: &str = r#"
mode = "act"
[sources.main]
kind = "prometheus"
url = "http://prometheus:9090/"
[queries.metrics.http_requests]
query = 'sum(rate(http_requests_total{namespace="{namespace}",pod=~"{pods}"}[2m]))'
[queries.metrics.jobs]
query = 'sum(rate(jobs_total{queue="{object}"{labels}}[2m]))'
[queries.metrics.busy]
query = 'avg(busy{pod=~"{pods}"})'
"#;

fn config(extra: &str) -> Config {
    Config::assemble(Some(("forescale.toml", &format!("{CONFIG}{extra}"))), [], &[]).unwrap()
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| (format!("{PREFIX}{k}"), v.to_string())).collect()
}

fn workload(annotations: &[(&str, &str)], autoscalers: Vec<AutoscalerView>) -> WorkloadView {
    WorkloadView {
        workload: Workload { namespace: "shop".into(), name: "web".into(), kind: WorkloadKind::Deployment },
        annotations: map(annotations),
        containers: vec![
            ContainerView { name: "app".into(), cpu_request: Some(0.5), cpu_limit: None },
            ContainerView { name: "proxy".into(), cpu_request: Some(0.1), cpu_limit: None },
        ],
        pod: PodView::default(),
        replicas: 3,
        autoscalers,
    }
}

fn hpa(metrics: Vec<MetricView>) -> AutoscalerView {
    AutoscalerView::HorizontalPodAutoscaler(HpaView {
        name: "web".into(),
        min_replicas: Some(2),
        max_replicas: 20,
        metrics,
        annotations: BTreeMap::new(),
    })
}

fn cpu(target: MetricTarget) -> MetricView {
    MetricView::Resource { resource: "cpu".into(), container: None, target }
}

fn pods(metric: &str, target: MetricTarget) -> MetricView {
    MetricView::Pods { metric: metric.into(), selector: MetricSelector::default(), target }
}

fn keda(triggers: &[(&str, &[(&str, &str)])]) -> ScaledObjectView {
    ScaledObjectView {
        name: "web".into(),
        min_replicas: None,
        max_replicas: None,
        triggers: triggers
            .iter()
            .map(|(kind, metadata)| TriggerView {
                kind: kind.to_string(),
                metric_type: None,
                metadata: metadata.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
            })
            .collect(),
        formula: false,
        annotations: BTreeMap::new(),
        paused: false,
    }
}

fn ok(view: &WorkloadView) -> Resolved {
    resolve(view, &config("")).unwrap().unwrap()
}

fn one(view: &WorkloadView) -> LoadMetric {
    let resolved = ok(view);
    assert_eq!(resolved.policy.metrics.len(), 1, "{resolved:#?}");
    resolved.policy.metrics[0].clone()
}

fn problems(view: &WorkloadView) -> Vec<String> {
    resolve(view, &config("")).unwrap_err().iter().map(ToString::to_string).collect()
}

const ACT: &[(&str, &str)] = &[("mode", "act")];
const PODS: &str = "web-[bcdfghjklmnpqrstvwxz2456789]{1,10}-[bcdfghjklmnpqrstvwxz2456789]{5}";

#[test]
fn without_the_annotation_nothing_is_opted_in() {
    assert_eq!(resolve(&workload(&[], vec![]), &config("")), Ok(None));
}

#[test]
fn what_a_pod_asks_for_as_a_whole_counts_in_place_of_its_containers() {
    let mut view = workload(&[("mode", "act")], vec![hpa(vec![cpu(MetricTarget::UtilizationPercent(70))])]);
    view.pod = PodView { cpu_request: Some(2.0), cpu_limit: None };
    view.containers[1].cpu_request = None;
    assert!((one(&view).capacity_per_replica - 1.4).abs() < 1e-12, "70 % of 2 cores");
}

#[test]
fn one_annotation_is_enough_for_cpu_utilization() {
    let view = workload(ACT, vec![hpa(vec![cpu(MetricTarget::UtilizationPercent(70))])]);
    let Resolved { policy, notes, .. } = ok(&view);
    assert_eq!(notes, []);
    let [metric] = &policy.metrics[..] else { panic!("{policy:?}") };
    assert!((metric.capacity_per_replica - 0.42).abs() < 1e-12, "70 % of 0.6 cores");
    assert_eq!(
        metric.query,
        format!(
            "sum(rate(container_cpu_usage_seconds_total{{namespace=\"shop\",pod=~\"{PODS}\",container=~\".+\",container!=\"POD\"}}[2m]))"
        )
    );
    assert_eq!((metric.source.as_str(), &metric.tenant), ("main", &None));
    assert_eq!((policy.mode, policy.min_replicas, policy.max_replicas), (Mode::Act, 2, 20));
    assert_eq!(policy.lead_time, LeadTime(Duration::from_secs(180)));
    assert_eq!((policy.unserved_budget, policy.time_zone.as_str()), (0.001, "UTC"));
}

#[test]
fn cpu_by_value_by_container_and_of_a_stateful_set() {
    let average = hpa(vec![cpu(MetricTarget::AverageValue(0.25))]);
    assert_eq!(one(&workload(ACT, vec![average])).capacity_per_replica, 0.25);
    let container = hpa(vec![MetricView::Resource {
        resource: "cpu".into(),
        container: Some("app".into()),
        target: MetricTarget::UtilizationPercent(50),
    }]);
    let mut view = workload(ACT, vec![container]);
    view.workload.kind = WorkloadKind::StatefulSet;
    let metric = one(&view);
    assert_eq!(metric.capacity_per_replica, 0.25);
    assert!(metric.query.contains("container=~\"app\"") && metric.query.contains("pod=~\"web-[0-9]+\""), "{metric:?}");
}

#[test]
fn named_metrics_come_from_templates() {
    let view = workload(ACT, vec![hpa(vec![pods("http_requests", MetricTarget::AverageValue(120.0))])]);
    let metric = one(&view);
    assert_eq!(metric.capacity_per_replica, 120.0);
    assert_eq!(metric.query, format!("sum(rate(http_requests_total{{namespace=\"shop\",pod=~\"{PODS}\"}}[2m]))"));
    let object = MetricView::Object {
        metric: "jobs".into(),
        selector: MetricSelector::default(),
        described: "Queue/mail".into(),
        target: MetricTarget::AverageValue(5.0),
    };
    let query = one(&workload(ACT, vec![hpa(vec![object])])).query;
    assert_eq!(query, "sum(rate(jobs_total{queue=\"mail\"}[2m]))");
    let external = MetricView::External {
        metric: "jobs".into(),
        selector: MetricSelector {
            labels: BTreeMap::from([("team".into(), "a\"b".into())]),
            expressions: vec![
                ("verb".into(), "In".into(), vec!["GET".into(), "v1.2".into()]),
                ("zone".into(), "NotIn".into(), vec!["a".into()]),
                ("slow".into(), "Exists".into(), vec![]),
                ("old".into(), "DoesNotExist".into(), vec![]),
            ],
        },
        target: MetricTarget::AverageValue(5.0),
    };
    let query = one(&workload(ACT, vec![hpa(vec![external])])).query;
    assert_eq!(
        query,
        r#"sum(rate(jobs_total{queue="",team="a\"b",verb=~"GET|v1\\.2",zone!~"a",slow!="",old=""}[2m]))"#
    );
    let of_some = MetricView::Pods {
        metric: "http_requests".into(),
        selector: MetricSelector { labels: BTreeMap::from([("verb".into(), "GET".into())]), ..Default::default() },
        target: MetricTarget::AverageValue(5.0),
    };
    let said = problems(&workload(ACT, vec![hpa(vec![of_some])]));
    assert!(said[0].contains("expected a query of http_requests that takes its selector"), "{said:?}");
}

#[test]
fn what_cannot_be_used_is_skipped_with_a_note_while_something_is_left() {
    let memory = MetricView::Resource {
        resource: "memory".into(),
        container: None,
        target: MetricTarget::UtilizationPercent(80),
    };
    let metrics = vec![
        memory,
        cpu(MetricTarget::UtilizationPercent(70)),
        pods("http_requests", MetricTarget::AverageValue(9.0)),
        pods("busy", MetricTarget::AverageValue(9.0)),
        pods("unknown", MetricTarget::AverageValue(9.0)),
        pods("http_requests", MetricTarget::Value(9.0)),
    ];
    let resolved = ok(&workload(ACT, vec![hpa(metrics)]));
    assert_eq!(resolved.policy.metrics.len(), 2, "all that can be used are kept: the largest need wins");
    let at = "HorizontalPodAutoscaler web of Deployment shop/web: spec.metrics";
    let notes: Vec<String> = resolved.notes.iter().map(ToString::to_string).collect();
    assert_eq!(
        notes,
        [
            format!(
                "{at}[0]: skipped: expected a resource that follows the load (cpu); found memory; the autoscaler itself goes on looking at it"
            ),
            format!(
                "{at}[3]: skipped: expected a load: a sum offered from outside, such as requests/s or total cores; found an average over pods, which falls when replicas are added: avg(busy{{pod=~\"{PODS}\"}}); give the sum, and the capacity of one replica"
            ),
            format!(
                "{at}[4]: skipped: expected a query template for metric unknown in the config (an HPA doesn't say its adapter's query); found none; add to the config: [queries.metrics.\"unknown\"] query = 'sum(rate(unknown{{namespace=\"{{namespace}}\",pod=~\"{{pods}}\"}}[2m]))'"
            ),
            format!(
                "{at}[5]: skipped: expected an AverageValue target, which is what one replica serves; found a Value target, which is of the whole; use AverageValue, or give forescale.dev/load-query and forescale.dev/capacity-per-replica"
            ),
        ]
    );
}

#[test]
fn a_keda_trigger_brings_its_own_query_and_threshold() {
    let metadata = [("serverAddress", "http://prometheus:9090"), ("query", "sum(rate(x[1m]))"), ("threshold", "7.5")];
    let view = keda(&[("cron", &[]), ("prometheus", &metadata)]);
    let resolved = ok(&workload(ACT, vec![AutoscalerView::ScaledObject(view)]));
    assert_eq!((resolved.policy.min_replicas, resolved.policy.max_replicas), (0, 100), "KEDA's defaults");
    let [metric] = &resolved.policy.metrics[..] else { panic!() };
    assert_eq!((metric.query.as_str(), metric.capacity_per_replica, &metric.tenant), ("sum(rate(x[1m]))", 7.5, &None));
    assert!(resolved.notes[0].text.contains("cron: hours, not load"), "{:?}", resolved.notes);
}

#[test]
fn a_keda_cpu_trigger_is_the_hpas_metric() {
    let mut view = keda(&[("cpu", &[("value", "60")])]);
    assert!(
        (one(&workload(ACT, vec![AutoscalerView::ScaledObject(view.clone())])).capacity_per_replica - 0.36).abs()
            < 1e-12
    );
    view.triggers[0].metric_type = Some("AverageValue".into());
    view.triggers[0].metadata.insert("value".into(), "250m".into());
    assert_eq!(one(&workload(ACT, vec![AutoscalerView::ScaledObject(view)])).capacity_per_replica, 0.25);
}

#[test]
fn a_paused_scaled_object_is_only_observed() {
    let metadata = [("serverAddress", "http://prometheus:9090/"), ("query", "sum(x)"), ("threshold", "1")];
    let mut view = keda(&[("prometheus", &metadata)]);
    view.paused = true;
    let resolved = ok(&workload(ACT, vec![AutoscalerView::ScaledObject(view)]));
    assert_eq!(resolved.policy.mode, Mode::Observe);
    assert!(resolved.notes[0].text.starts_with("paused"), "{:?}", resolved.notes);
}

#[test]
fn annotations_override() {
    let annotations = [
        ("mode", "act"),
        ("load-query", "sum(rate(own[1m]))"),
        ("capacity-per-replica", "3"),
        ("min-replicas", "4"),
        ("max-replicas", "10"),
        ("lead-time", "8m"),
        ("unserved-budget", "1%"),
        ("time-zone", "Europe/Berlin"),
        ("schedule", "0 8 * * 1-5 10h Europe/Berlin min=10"),
    ];
    let Resolved { policy, notes, .. } = ok(&workload(&annotations, vec![hpa(vec![])]));
    let tenant = Some("shop".to_string());
    assert_eq!(
        policy.metrics,
        [LoadMetric {
            source: "main".into(),
            query: "sum(rate(own[1m]))".into(),
            capacity_per_replica: 3.0,
            tenant,
            learned: None
        }]
    );
    assert_eq!((policy.min_replicas, policy.max_replicas), (4, 10));
    assert_eq!(policy.lead_time, LeadTime(Duration::from_secs(480)));
    assert_eq!((policy.unserved_budget, policy.time_zone.as_str()), (0.01, "Europe/Berlin"));
    assert_eq!(policy.schedules.len(), 1);
    assert_eq!(notes.len(), 1, "{notes:?}");
    let capacity = [("mode", "act"), ("capacity-per-replica", "0.3")];
    let view = workload(&capacity, vec![hpa(vec![cpu(MetricTarget::UtilizationPercent(70))])]);
    assert_eq!(one(&view).capacity_per_replica, 0.3);
}

#[test]
fn a_schedule_alone_needs_no_load() {
    let mut annotations = vec![
        ("mode", "act"),
        ("max-replicas", "9"),
        ("schedule", "@daily 2h UTC min=5; 0 9 * * * 1h UTC max=8"),
        ("min-replicas", "2"),
    ];
    let policy = ok(&workload(&annotations, vec![])).policy;
    assert_eq!((policy.metrics.len(), policy.schedules.len(), policy.min_replicas), (0, 2, 2));
    annotations.pop();
    assert_eq!(
        problems(&workload(&annotations, vec![])),
        [
            "Deployment shop/web: expected forescale.dev/min-replicas, as nothing else says how many there are outside the schedule; found none; for example forescale.dev/min-replicas: \"2\""
        ],
        "nothing else would keep what runs outside the window"
    );
}

#[test]
fn the_config_is_a_ceiling() {
    let view = workload(ACT, vec![hpa(vec![cpu(MetricTarget::UtilizationPercent(70))])]);
    let resolved = resolve(&view, &config("").observing()).unwrap().unwrap();
    assert_eq!(resolved.policy.mode, Mode::Observe);
    assert!(resolved.notes[0].text.contains("nothing is written"));
}

impl Config {
    fn observing(mut self) -> Config {
        self.mode = Mode::Observe;
        self
    }
}

#[test]
fn the_users_minimum_is_read_from_the_ledger() {
    let mut view = workload(ACT, vec![hpa(vec![cpu(MetricTarget::UtilizationPercent(70))])]);
    let AutoscalerView::HorizontalPodAutoscaler(hpa) = &mut view.autoscalers[0] else { panic!() };
    hpa.min_replicas = Some(12);
    hpa.annotations.insert(crate::policy::LEDGER.into(), r#"{"original":3,"floor":12}"#.into());
    assert_eq!(ok(&view).policy.min_replicas, 3);
    let AutoscalerView::HorizontalPodAutoscaler(hpa) = &mut view.autoscalers[0] else { panic!() };
    hpa.annotations.insert(crate::policy::LEDGER.into(), "gone".into());
    assert_eq!(
        problems(&view),
        [
            "HorizontalPodAutoscaler web of Deployment shop/web: annotation forescale.dev/ledger: expected the JSON that forescale wrote; found gone; restore the field by hand and remove the annotation"
        ]
    );
}

#[test]
fn messages() {
    let cpu70 = || hpa(vec![cpu(MetricTarget::UtilizationPercent(70))]);
    let with = |change: &dyn Fn(&mut HpaView)| {
        let mut view = cpu70();
        if let AutoscalerView::HorizontalPodAutoscaler(hpa) = &mut view {
            change(hpa);
        }
        workload(ACT, vec![view])
    };
    let prometheus =
        |pairs: &[(&str, &str)]| workload(ACT, vec![AutoscalerView::ScaledObject(keda(&[("prometheus", pairs)]))]);
    let mut no_request = workload(ACT, vec![cpu70()]);
    no_request.containers[1].cpu_request = None;
    let web = "Deployment shop/web";
    let h = "HorizontalPodAutoscaler web of Deployment shop/web";
    let k = "ScaledObject web of Deployment shop/web: spec.triggers[0]";
    for (view, message) in [
        (
            workload(ACT, vec![cpu70(), AutoscalerView::ScaledObject(keda(&[]))]),
            format!(
                "{web}: expected at most one autoscaler; found HorizontalPodAutoscaler web and ScaledObject web; they work against each other: remove all but one"
            ),
        ),
        (
            with(&|hpa| hpa.metrics.clear()),
            format!(
                "{h}: expected a metric that is a load; found no metric; add forescale.dev/load-query with forescale.dev/capacity-per-replica (or forescale.dev/schedule for fixed hours alone)"
            ),
        ),
        (
            with(&|hpa| hpa.max_replicas = 1_000_000_000),
            format!("{h}: expected an upper bound of at most 100000 replicas; found 1000000000"),
        ),
        (
            with(&|hpa| hpa.min_replicas = Some(21)),
            format!("{h}: expected a lower bound of at most the upper, which is 20; found 21"),
        ),
        (
            no_request,
            format!(
                "{web}: container proxy: expected a cpu request, of which the autoscaler's utilization is a share; found none; set resources.requests.cpu"
            ),
        ),
        (
            workload(&[("mode", "act"), ("max-replicas", "30")], vec![cpu70()]),
            format!(
                "{web}: annotation forescale.dev/max-replicas: expected within 2 and 20, the bounds of HorizontalPodAutoscaler web; found 30; change one of the two: neither may silently win"
            ),
        ),
        (
            workload(&[("mode", "act"), ("source", "mian")], vec![cpu70()]),
            format!(
                "{web}: annotation forescale.dev/source: expected the name of a configured source; found mian; did you mean main?"
            ),
        ),
        (
            workload(&[("mode", "act"), ("load-query", "avg(x)"), ("capacity-per-replica", "1")], vec![cpu70()]),
            format!(
                "{web}: annotation forescale.dev/load-query: expected a load: a sum offered from outside, such as requests/s or total cores; found an average over pods, which falls when replicas are added: avg(x); give the sum, and the capacity of one replica"
            ),
        ),
        (
            workload(&[("mode", "act"), ("schedule", "@daily 1h UTC min=21")], vec![cpu70()]),
            format!(
                "{web}: annotation forescale.dev/schedule: expected a window whose min is at most the upper bound, which is 20; found @daily 1h UTC min=21"
            ),
        ),
        (
            workload(
                &[("mode", "act"), ("capacity-per-replica", "5"), ("min-replicas", "1"), ("max-replicas", "9")],
                vec![],
            ),
            format!(
                "{web}: expected a metric that is a load; found no query, and no autoscaler whose scaleTargetRef names it; add forescale.dev/load-query with forescale.dev/capacity-per-replica (or forescale.dev/schedule for fixed hours alone)"
            ),
        ),
        (
            workload(&[("mode", "act"), ("load-query", "sum(x)"), ("capacity-per-replica", "1")], vec![]),
            format!(
                "{web}: expected forescale.dev/max-replicas, as no autoscaler gives one; found none; for example forescale.dev/max-replicas: \"20\""
            ),
        ),
        (
            prometheus(&[("serverAddress", "http://u:p@other"), ("query", "sum(x)"), ("threshold", "1")]),
            format!(
                "{k}: metadata.serverAddress: expected the URL of a configured source (http://prometheus:9090); found http://other; add it under [sources.<name>] if it is to be asked"
            ),
        ),
        (
            prometheus(&[("serverAddress", "http://prometheus:9090"), ("threshold", "1")]),
            format!("{k}: metadata: expected query; found none; a value from authenticationRef cannot be read here"),
        ),
        (
            prometheus(&[("serverAddress", "http://prometheus:9090"), ("query", "sum(x)"), ("threshold", "0")]),
            format!("{k}: metadata.threshold: expected a number above 0; found 0"),
        ),
    ] {
        assert_eq!(problems(&view), [message]);
    }
}

#[test]
fn an_administrator_can_forbid_queries_in_annotations_and_several_sources_must_be_named() {
    let annotations = [("mode", "act"), ("load-query", "sum(x)"), ("capacity-per-replica", "1"), ("max-replicas", "9")];
    let view = workload(&annotations, vec![]);
    let forbidden = resolve(
        &view,
        &Config::assemble(Some(("f", CONFIG)), [], &["sources.main.allow_annotation_queries=false".into()]).unwrap(),
    );
    assert!(forbidden.unwrap_err()[0].to_string().contains("the config forbids it for this source"));
    let two = config("[sources.second]\nkind = \"prometheus\"\nurl = \"http://second\"\nenforce_namespace = false\n");
    assert!(resolve(&view, &two).unwrap_err()[0].to_string().contains("expected one source; found main, second"));
    let mut named = view.clone();
    named.annotations.insert(format!("{PREFIX}source"), "second".into());
    let policy = resolve(&named, &two).unwrap().unwrap().policy;
    assert_eq!((policy.metrics[0].source.as_str(), &policy.metrics[0].tenant), ("second", &None));
}
