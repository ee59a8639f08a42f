use super::*;
use crate::policy::HpaView;
use std::task::{Context, Poll, Waker};

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn a_kill_switch_that_cannot_be_watched_for_two_minutes_is_on() {
    let mut seen = Seen::default();
    let start = Deadline::now();
    assert!(seen.stopped("shop", start).is_some(), "not read so far");
    for watched in Watched::STOPS {
        seen.watches.insert(watched, WatchState { synced: true, failing: None });
    }
    seen.watches.entry(Watched::StopMap).or_default().fails(Time::from_secs(0), "forbidden".into());
    for second in [0, 30, 60, 90, 119] {
        seen.fails(Watched::StopMap, start.later(seconds(second)));
        assert_eq!(seen.stopped("shop", start.later(seconds(second))), None, "second {second}");
    }
    let stop = seen.stopped("shop", start.later(seconds(120))).unwrap().to_string();
    assert!(stop.contains("configmaps") && stop.contains("forbidden"), "{stop}");
    assert_eq!(seen.stopped("shop", start.later(seconds(119 + 90))), None, "no newer failure: it is watched again");
    seen.fails(Watched::StopMap, start.later(seconds(300)));
    assert_eq!(seen.stopped("shop", start.later(seconds(310))), None, "another failure begins anew");
    seen.fails(Watched::Deployments, start);
    seen.fails(Watched::Deployments, start.later(seconds(80)));
    assert_eq!(seen.stopped("shop", start.later(seconds(130))), None, "nothing is switched by a Deployment");
}

#[test]
fn a_watch_that_works_again_ends_the_blindness_at_once() {
    let cluster = Cluster::default();
    Watched::STOPS.into_iter().for_each(|watched| cluster.done(watched));
    cluster.failing(Watched::Namespaces, Time::from_secs(0), "gone".into());
    assert!(cluster.read().blind.contains_key(&Watched::Namespaces));
    cluster.healthy(Watched::Namespaces);
    assert!(cluster.read().blind.is_empty());
    cluster.failing(Watched::Namespaces, Time::from_secs(0), "gone".into());
    cluster.done(Watched::Namespaces);
    assert!(cluster.read().blind.is_empty());
}

fn workload(name: &str) -> WorkloadSight {
    let workload = Workload { namespace: "shop".into(), name: name.into(), kind: WorkloadKind::Deployment };
    let (annotations, containers, autoscalers) = (BTreeMap::new(), Vec::new(), Vec::new());
    WorkloadSight {
        view: WorkloadView { workload, annotations, containers, pod: Default::default(), replicas: 3, autoscalers },
        uid: name.into(),
        placement: Placement::default(),
        slot: Arc::default(),
        ready: 3,
        rollout: false,
        blocked: None,
        ledger: Ok(None),
    }
}

fn autoscaler(name: &str, kind: &str, scales: &str) -> AutoscalerSight {
    let hpa = HpaView {
        name: name.into(),
        min_replicas: Some(2),
        max_replicas: 9,
        metrics: Vec::new(),
        annotations: BTreeMap::new(),
    };
    let view = AutoscalerView::HorizontalPodAutoscaler(hpa);
    AutoscalerSight { view, scales: (kind.into(), scales.into()), derived: false, ledger: Ok(None) }
}

fn key(namespace: &str, name: &str) -> Key {
    (namespace.into(), name.into())
}

#[test]
fn an_autoscaler_belongs_to_the_workload_of_its_namespace_kind_and_name() {
    let cluster = Cluster::default();
    for name in ["api", "web"] {
        cluster.keep_workload(Watched::Deployments, &key("shop", name), Some(workload(name)));
    }
    let keep = |namespace: &str, sight: AutoscalerSight| {
        let name = match &sight.view {
            AutoscalerView::HorizontalPodAutoscaler(hpa) => hpa.name.clone(),
            AutoscalerView::ScaledObject(so) => so.name.clone(),
        };
        cluster.keep_autoscaler(Watched::Autoscalers, &key(namespace, &name), Some(Ok(sight)));
    };
    keep("shop", autoscaler("of-web", "Deployment", "web"));
    keep("else", autoscaler("elsewhere", "Deployment", "web"));
    keep("shop", autoscaler("other-kind", "StatefulSet", "web"));
    keep("shop", AutoscalerSight { derived: true, ..autoscaler("of-keda", "Deployment", "web") });
    let targets = || -> Vec<Option<Target>> {
        cluster.sights(Time::from_secs(0)).into_iter().map(|s| s.target.ok().map(|t| t.target)).collect()
    };
    assert_eq!(targets(), [Some(Target::Scale), Some(Target::Hpa { name: "of-web".into() })]);
    keep("shop", autoscaler("second", "Deployment", "web"));
    assert_eq!(targets(), [Some(Target::Scale), None], "two of them are a problem");
}

#[test]
fn what_changes_nothing_is_no_news() {
    let cluster = Cluster::default();
    let news = || {
        let mut changed = std::pin::pin!(cluster.changed());
        changed.as_mut().poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    };
    let keep = |sight| cluster.keep_autoscaler(Watched::Autoscalers, &key("shop", "web"), sight);
    keep(Some(Ok(autoscaler("web", "Deployment", "web"))));
    assert!(news());
    keep(Some(Ok(autoscaler("web", "Deployment", "web"))));
    assert!(!news(), "its status has changed, and that is not kept");
    keep(Some(Ok(autoscaler("web", "Deployment", "api"))));
    assert!(news());
    keep(None);
    assert!(news());
    cluster.keep_workload(Watched::Deployments, &key("shop", "db"), None);
    assert!(!news(), "most workloads are none of ours");
}

#[test]
fn a_floor_is_given_back_whatever_its_autoscaler_scales_by_now() {
    let cluster = Cluster::default();
    let text = r#"{"original":2,"floor":40,"reason":"forecast","expires":"2027-01-15T08:00:00Z"}"#;
    let ledger = Ledger::parse(text).unwrap();
    let moved = AutoscalerSight { ledger: Ok(Some(ledger.clone())), ..autoscaler("web", "Rollout", "web") };
    cluster.keep_autoscaler(Watched::Autoscalers, &key("shop", "web"), Some(Ok(moved)));
    let target = Target::Hpa { name: "web".into() };
    assert_eq!(cluster.ledgers(), [(workload("web").view.workload, target, ledger)]);
    let problem = Problem::new("HorizontalPodAutoscaler shop/api", "autoscaling/v2", "something else");
    let unread = |annotations: &[(String, String)]| {
        let annotations = annotations.iter().cloned().collect();
        cluster.keep_autoscaler(
            Watched::Autoscalers,
            &key("shop", "api"),
            Some(Err(Unread::of(&annotations, None, problem.clone()))),
        );
        cluster.unreadable().len()
    };
    assert_eq!(unread(&[]), 0, "nothing of ours");
    assert_eq!(unread(&[(crate::actuate::LEDGER.into(), text.into())]), 1);
}
