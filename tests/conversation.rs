//! Conversations with a Kubernetes API: what is asked, in which order, and what is made of every answer. The shapes of
//! refusals are those of a real API server 1.36 (tests/cluster talks to the real thing).
#![cfg(feature = "daemon")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may fail")]

#[path = "conversation/api.rs"]
mod api;
#[path = "conversation/sweeper.rs"]
mod sweeper;

use api::Api;
use forescale::actuate::{
    Actions, Executor, LEDGER, Ledger, Outcome, Site, Target, TargetView, Write, WriteError, actions, release,
};
use forescale::clock::{Clock, SystemClock};
use forescale::config;
use forescale::daemon::Elector;
use forescale::plan::{Parts, Plan, Reason};
use forescale::policy::{Workload, WorkloadKind};
use forescale::units::{Replicas, Time};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const HPA: &str = "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/web";
const WEB: &str = "/apis/apps/v1/namespaces/shop/deployments/web";
const SCALE: &str = "/apis/apps/v1/namespaces/shop/deployments/web/scale";
const NOW: Time = Time::from_secs(1_800_000_000);

fn site(target: Target) -> Site {
    let workload = Workload { namespace: "shop".into(), name: "web".into(), kind: WorkloadKind::Deployment };
    Site { workload, target, max_replicas: 20 }
}

fn hpa() -> Site {
    site(Target::Hpa { name: "web".into() })
}

fn plan(replicas: Replicas) -> Plan {
    Plan {
        replicas,
        reason: Reason::Forecast,
        parts: Parts::default(),
        valid_until: NOW + Duration::from_secs(900),
        wake: NOW,
    }
}

fn wants(replicas: Replicas) -> impl Fn(&TargetView) -> Actions + Send + Sync {
    move |view| actions(NOW, &plan(replicas), view)
}

fn gives_back(view: &TargetView) -> Actions {
    Actions { writes: release(view), outcome: Outcome::Released }
}

fn open() -> Result<(), String> {
    Ok(())
}

fn managed(entries: &[(&str, Option<&str>)]) -> Value {
    entries
        .iter()
        .map(|(manager, sub)| json!({ "manager": manager, "operation": "Update", "subresource": sub }))
        .collect()
}

async fn shop() -> (Api, Executor) {
    let (api, client) = Api::start().await;
    let meta = json!({ "name": "web", "namespace": "shop" });
    api.put(WEB, json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": { "replicas": 2 } }));
    let spec = json!({ "minReplicas": 2, "maxReplicas": 20 });
    let kind = "HorizontalPodAutoscaler";
    api.put(HPA, json!({ "apiVersion": "autoscaling/v2", "kind": kind, "metadata": meta, "spec": spec }));
    (api, Executor::new(client, 100))
}

/// A floor of 8 in place over the user's 2.
fn raised(api: &Api) {
    let ledger = Ledger {
        original: Some(2),
        floor: 8,
        reason: Reason::Forecast,
        expires: NOW,
        reversals: Vec::new(),
        yielded_until: None,
    };
    let mut hpa = api.object(HPA);
    hpa["spec"]["minReplicas"] = json!(8);
    hpa["metadata"]["annotations"] = json!({ LEDGER: ledger.to_text() });
    hpa["metadata"]["managedFields"] = managed(&[("forescale", None), ("gitops", None), ("forescale", Some("status"))]);
    api.put(HPA, hpa);
    let mut web = api.object(WEB);
    web["spec"]["replicas"] = json!(8);
    web["metadata"]["managedFields"] = managed(&[("gitops", None), ("forescale", Some("scale"))]);
    api.put(WEB, web);
}

#[tokio::test]
async fn floor_and_ledger_go_in_one_patch_and_replicas_follow() {
    let (api, executor) = shop().await;
    let version = api.object(HPA)["metadata"]["resourceVersion"].clone();
    let carried = executor.carry_out(&hpa(), &open, &wants(8)).await.unwrap();
    assert_eq!(carried.outcome, Outcome::Raised);
    let [floor, scale] = &api.writes()[..] else { panic!("{:?}", api.writes()) };
    assert_eq!((floor.method.as_str(), floor.path.as_str()), ("PATCH", HPA));
    assert_eq!(floor.content, "application/merge-patch+json");
    assert_eq!(floor.query.trim_start_matches('&'), "fieldManager=forescale&fieldValidation=Strict");
    assert_eq!(floor.body["spec"], json!({ "minReplicas": 8 }));
    assert_eq!(floor.body["metadata"]["resourceVersion"], version);
    let ledger = Ledger::parse(floor.body["metadata"]["annotations"][LEDGER].as_str().unwrap()).unwrap();
    assert_eq!((ledger.original, ledger.floor), (Some(2), 8));
    assert_eq!((scale.path.as_str(), &scale.body["spec"]), (SCALE, &json!({ "replicas": 8 })));
    assert!(scale.body["metadata"]["resourceVersion"].is_string());
    assert_eq!(api.object(WEB)["spec"]["replicas"], 8);
}

#[tokio::test]
async fn a_conflict_is_decided_again_from_a_fresh_look() {
    let (api, executor) = shop().await;
    api.next("PATCH", HPA, 409, "Conflict", "the object has been modified", json!({}));
    let looks = AtomicUsize::new(0);
    let decide = |view: &TargetView| {
        looks.fetch_add(1, Ordering::SeqCst);
        wants(8)(view)
    };
    let carried = executor.carry_out(&hpa(), &open, &decide).await.unwrap();
    assert_eq!((carried.outcome, looks.into_inner()), (Outcome::Raised, 2));
    // the replicas alone in conflict: the floor is not written twice
    let (api, executor) = shop().await;
    api.next("PATCH", SCALE, 409, "Conflict", "the object has been modified", json!({}));
    let carried = executor.carry_out(&hpa(), &open, &wants(8)).await.unwrap();
    assert_eq!(carried.outcome, Outcome::Raised);
    assert_eq!(api.writes().iter().map(|w| w.path.as_str()).collect::<Vec<_>>(), [HPA, SCALE, SCALE]);
}

#[tokio::test]
async fn an_object_that_always_changes_is_left_for_the_next_step() {
    let (api, executor) = shop().await;
    for _ in 0..10 {
        api.next("PATCH", HPA, 409, "Conflict", "the object has been modified", json!({}));
    }
    let error = executor.carry_out(&hpa(), &open, &wants(8)).await.unwrap_err();
    assert!(matches!(error, WriteError::Conflict(_)), "{error}");
    assert_eq!(api.writes().len(), 4, "a bounded number of tries");
}

#[tokio::test]
async fn a_missing_right_is_named() {
    let (api, executor) = shop().await;
    let message = r#"horizontalpodautoscalers.autoscaling "web" is forbidden: User "system:serviceaccount:forescale:forescale" cannot patch resource "horizontalpodautoscalers" in API group "autoscaling" in the namespace "shop""#;
    api.next("PATCH", HPA, 403, "Forbidden", message, json!({}));
    let error = executor.carry_out(&hpa(), &open, &wants(8)).await.unwrap_err().to_string();
    assert!(error.contains("the role lacks patch on horizontalpodautoscalers.autoscaling"), "{error}");
    assert!(error.starts_with("patch horizontalpodautoscalers shop/web"), "{error}");
    let message = r#"deployments.apps "web" is forbidden: User "x" cannot get resource "deployments/scale" in API group "apps" in the namespace "shop""#;
    api.next("GET", SCALE, 403, "Forbidden", message, json!({}));
    let error = executor.carry_out(&hpa(), &open, &wants(8)).await.unwrap_err().to_string();
    assert!(error.contains("the role lacks get on deployments.apps/scale"), "{error}");
}

#[tokio::test]
async fn a_busy_server_is_given_the_time_it_asks_for() {
    let (api, executor) = shop().await;
    api.next("PATCH", HPA, 429, "TooManyRequests", "too many requests", json!({ "retryAfterSeconds": 7 }));
    match executor.carry_out(&hpa(), &open, &wants(8)).await.unwrap_err() {
        WriteError::Throttled { after, .. } => assert_eq!(after, Duration::from_secs(7)),
        other => panic!("{other}"),
    }
    assert_eq!(api.writes().len(), 1);
}

#[tokio::test]
async fn nobody_there_is_not_an_answer() {
    let config = kube::Config::new("http://127.0.0.1:9".parse().unwrap());
    let executor = Executor::new(kube::Client::try_from(config).unwrap(), 5);
    let error = executor.carry_out(&hpa(), &open, &wants(8)).await.unwrap_err();
    assert!(matches!(error, WriteError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_lease_lost_between_two_writes_stops_the_second() {
    let (api, executor) = shop().await;
    let asked = AtomicUsize::new(0);
    let fence = || match asked.fetch_add(1, Ordering::SeqCst) {
        0 | 1 => Ok(()),
        _ => Err("the lease was not renewed in time".to_string()),
    };
    let error = executor.carry_out(&hpa(), &fence, &wants(8)).await.unwrap_err();
    assert_eq!(error.to_string(), "not written: the lease was not renewed in time");
    assert_eq!(api.writes().iter().map(|w| w.path.as_str()).collect::<Vec<_>>(), [HPA]);
}

#[tokio::test]
async fn a_release_gives_value_ledger_and_ownership_back() {
    let (api, executor) = shop().await;
    raised(&api);
    // the entry has moved between look and patch: 422, tried again
    let message = "the server rejected our request due to an error in our request";
    api.next("PATCH", HPA, 409, "Conflict", "the object has been modified", json!({}));
    executor.carry_out(&hpa(), &open, &gives_back).await.unwrap();
    let found = api.object(HPA);
    assert_eq!(found["spec"]["minReplicas"], 2);
    assert_eq!(found["metadata"]["annotations"].get(LEDGER), None);
    let managers = |o: &Value| -> Vec<String> {
        o["metadata"]["managedFields"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| m["manager"].as_str().unwrap().into())
            .collect()
    };
    assert_eq!(managers(&found), ["gitops"]);
    assert_eq!(managers(&api.object(WEB)), ["gitops"], "the scale subresource's entry goes too");
    assert_eq!(api.object(WEB)["spec"]["replicas"], 8, "replicas are the HPA's now");
    let last: Vec<String> = api.writes().iter().map(|w| w.content.clone()).collect();
    assert_eq!(
        last,
        [
            "application/merge-patch+json",
            "application/merge-patch+json",
            "application/json-patch+json",
            "application/json-patch+json"
        ]
    );
    // 422 of a failed test
    let (api, executor) = shop().await;
    raised(&api);
    api.next("PATCH", WEB, 422, "Invalid", message, json!({}));
    executor.carry_out(&hpa(), &open, &gives_back).await.unwrap();
    assert_eq!(managers(&api.object(WEB)), ["gitops"]);
}

#[tokio::test]
async fn a_release_of_an_unset_value_unsets_it() {
    let (api, executor) = shop().await;
    raised(&api);
    let mut hpa_object = api.object(HPA);
    let text =
        hpa_object["metadata"]["annotations"][LEDGER].as_str().unwrap().replace("\"original\":2", "\"original\":null");
    hpa_object["metadata"]["annotations"][LEDGER] = json!(text);
    api.put(HPA, hpa_object);
    executor.carry_out(&hpa(), &open, &gives_back).await.unwrap();
    assert_eq!(api.object(HPA)["spec"].get("minReplicas"), None);
}

#[tokio::test]
async fn the_autoscaler_of_a_workload_that_is_gone_is_given_back_too() {
    let (api, client) = Api::start().await;
    let meta = json!({ "name": "web", "namespace": "shop" });
    api.put(WEB, json!({ "metadata": meta, "spec": { "replicas": 2 } }));
    api.put(HPA, json!({ "metadata": meta, "spec": { "minReplicas": 2, "maxReplicas": 20 } }));
    raised(&api);
    let not_found = |method, path| api.next(method, path, 404, "NotFound", "not found", json!({}));
    not_found("GET", SCALE);
    not_found("GET", WEB);
    let executor = Executor::new(client, 5);
    executor.carry_out(&hpa(), &open, &gives_back).await.unwrap();
    assert_eq!(api.object(HPA)["spec"]["minReplicas"], 2);
}

#[tokio::test]
async fn without_an_autoscaler_the_ledger_is_on_the_workload() {
    let (api, executor) = shop().await;
    let site = site(Target::Scale);
    executor.carry_out(&site, &open, &wants(8)).await.unwrap();
    let web = api.object(WEB);
    assert_eq!(web["spec"]["replicas"], 8);
    let ledger = Ledger::parse(web["metadata"]["annotations"][LEDGER].as_str().unwrap()).unwrap();
    assert_eq!((ledger.original, ledger.floor), (Some(2), 8));
    executor.carry_out(&site, &open, &gives_back).await.unwrap();
    let web = api.object(WEB);
    assert_eq!((&web["spec"]["replicas"], web["metadata"]["annotations"].get(LEDGER)), (&json!(8), None));
}

#[tokio::test]
async fn without_an_autoscaler_nothing_comes_between_replicas_and_ledger() {
    let (api, executor) = shop().await;
    let stood = Ledger {
        original: Some(5),
        floor: 6,
        reason: Reason::Forecast,
        expires: NOW,
        reversals: Vec::new(),
        yielded_until: None,
    };
    let mut web = api.object(WEB);
    web["spec"]["replicas"] = json!(6);
    web["metadata"]["annotations"] = json!({ LEDGER: stood.to_text() });
    api.put(WEB, web);
    let version = api.object(WEB)["metadata"]["resourceVersion"].clone();
    // the first write meets a pod that has become Ready, and the right to write ends after the second
    api.next("PATCH", WEB, 409, "Conflict", "the object has been modified", json!({}));
    let asked = AtomicUsize::new(0);
    let fence = || match asked.fetch_add(1, Ordering::SeqCst) {
        0..=3 => Ok(()),
        _ => Err("the lease was not renewed in time".to_string()),
    };
    let carried = executor.carry_out(&site(Target::Scale), &fence, &wants(10)).await.unwrap();
    assert_eq!(carried.outcome, Outcome::Raised);
    let paths: Vec<String> = api.asked().into_iter().map(|a| format!("{} {}", a.method, a.path)).collect();
    let (get, patch) = (format!("GET {WEB}"), format!("PATCH {WEB}"));
    assert_eq!(paths, [get.clone(), patch.clone(), get, patch], "replicas and version are of one answer");
    let [_, write] = &api.writes()[..] else { panic!("{:?}", api.writes()) };
    assert_eq!(write.body["metadata"]["resourceVersion"], version);
    assert_eq!(write.body["spec"], json!({ "replicas": 10 }));
    let ledger = Ledger::parse(write.body["metadata"]["annotations"][LEDGER].as_str().unwrap()).unwrap();
    assert_eq!((ledger.original, ledger.floor), (Some(5), 10), "the user's value is still known");
    // a release that finds fewer replicas than the user had: the value and the ledger go together too
    let mut web = api.object(WEB);
    web["metadata"]["annotations"] = json!({ LEDGER: Ledger { original: Some(12), ..ledger }.to_text() });
    web["metadata"]["managedFields"] = managed(&[("forescale", None), ("gitops", None)]);
    api.put(WEB, web);
    let before = api.writes().len();
    executor.carry_out(&site(Target::Scale), &open, &gives_back).await.unwrap();
    let [value, owner] = &api.writes()[before..] else { panic!("{:?}", api.writes()) };
    assert_eq!((&value.body["spec"], &value.path), (&json!({ "replicas": 12 }), &owner.path));
    let web = api.object(WEB);
    assert_eq!(web["metadata"]["annotations"].get(LEDGER), None);
    assert_eq!(web["metadata"]["managedFields"], managed(&[("gitops", None)]));
}

#[tokio::test]
async fn replicas_that_admission_refuses_leave_no_wrong_ledger() {
    let (api, executor) = shop().await;
    let message = r#"deployments.apps "web" is forbidden: ValidatingAdmissionPolicy 'max-five' with binding 'max-five' denied request: at most 5 replicas here"#;
    api.next("PATCH", WEB, 403, "Forbidden", message, json!({}));
    let error = executor.carry_out(&site(Target::Scale), &open, &wants(8)).await.unwrap_err();
    assert!(matches!(&error, WriteError::Refused { code: 403, .. }), "{error}");
    assert!(error.to_string().contains("at most 5 replicas here"), "{error}");
    assert_eq!(api.object(WEB)["metadata"]["annotations"].get(LEDGER), None, "nothing of ours stands");
    assert_eq!(api.object(WEB)["spec"]["replicas"], 2);
}

#[tokio::test]
async fn a_ledger_that_cannot_be_read_is_never_touched() {
    let (api, executor) = shop().await;
    let mut object = api.object(HPA);
    object["metadata"]["annotations"] = json!({ LEDGER: "{broken" });
    api.put(HPA, object);
    let error = executor.carry_out(&hpa(), &open, &wants(8)).await.unwrap_err();
    assert!(matches!(error, WriteError::Ledger(_)), "{error}");
    assert!(api.writes().is_empty());
}

#[tokio::test]
async fn writes_are_the_decisions_and_nothing_else() {
    let (api, executor) = shop().await;
    let carried = executor.carry_out(&hpa(), &open, &wants(2)).await.unwrap();
    assert_eq!((carried.outcome, carried.writes), (Outcome::Kept, Vec::<Write>::new()));
    assert!(api.writes().is_empty());
}

#[tokio::test]
async fn of_two_copies_one_writes_and_the_other_takes_over() {
    let (api, client) = Api::start().await;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let lease =
        || config::Lease { namespace: "forescale".into(), name: "forescale".into(), duration: Duration::from_secs(2) };
    let start = |name: &str| {
        let elector = Elector::new(client.clone(), lease(), name.into(), clock.clone());
        let right = elector.right();
        let (stop, stopped) = tokio::sync::watch::channel(false);
        (right, stop, tokio::spawn(elector.run(stopped)))
    };
    let (a, stop_a, run_a) = start("a");
    until(|| a.held()).await;
    let (b, stop_b, run_b) = start("b");
    until(|| b.holder() == "a").await;
    assert!(!b.held());
    assert_eq!(b.check(), Err("the lease is held by a".into()));
    stop_a.send_replace(true);
    run_a.await.unwrap();
    assert!(!a.held(), "who stops gives it up at once");
    until(|| b.held()).await;
    let spec = &api.object("/apis/coordination.k8s.io/v1/namespaces/forescale/leases/forescale")["spec"];
    assert_eq!((&spec["holderIdentity"], &spec["leaseTransitions"]), (&json!("b"), &json!(1)));
    stop_b.send_replace(true);
    run_b.await.unwrap();
}

/// Waits until it is so; a test that waits longer fails.
async fn until(so: impl Fn() -> bool) {
    for _ in 0..1000 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came");
}
