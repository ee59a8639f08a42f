//! `forescale release --all --expired` as the CronJob of `deploy/manifests/sweep.yaml` runs it: that role has to grant
//! every request that is made on the way.

use super::api::{Api, Place};
use super::managed;
use forescale::actuate::pool::{BUFFER_GROUP, MANAGED_LABEL, POOL_LABEL, POOL_LEDGER, PoolLedger};
use forescale::actuate::{LEDGER, Ledger};
use forescale::plan::Reason;
use forescale::plan::guard::{GUARDS, GuardLedger, MARK, PoolState, Span, decide};
use forescale::plan::pool::PoolReason;
use forescale::units::{Replicas, Time};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::{Command, Output};

const LONG_AGO: Time = Time::from_secs(1_700_000_000);
const WEB: &str = "/apis/apps/v1/namespaces/shop/deployments/web";
const API: &str = "/apis/apps/v1/namespaces/shop/deployments/api";
const QUEUE: &str = "/apis/apps/v1/namespaces/shop/statefulsets/queue";
const HPA: &str = "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/api";
const KEDA: &str = "/apis/keda.sh/v1alpha1/namespaces/shop/scaledobjects/queue";
const NODES: &str = "/apis/karpenter.sh/v1/nodepools/general";
const NODE: &str = "/api/v1/nodes/n1";
const SLOT: &str = "/apis/apps/v1/namespaces/forescale/deployments/slot";
const BUFFER: &str = "/apis/autoscaling.x-k8s.io/v1beta1/namespaces/forescale/capacitybuffers/buffer";
const TEMPLATE: &str = "/api/v1/namespaces/forescale/podtemplates/buffer";

/// A ledger whose time is over.
fn over(original: Replicas, floor: Replicas) -> Value {
    let ledger = Ledger {
        original: Some(original),
        floor,
        reason: Reason::Forecast,
        expires: LONG_AGO,
        reversals: Vec::new(),
        yielded_until: None,
    };
    json!({ LEDGER: ledger.to_text() })
}

fn put(api: &Api, path: &str, annotations: Value, spec: Value) {
    let place = Place::of(path).unwrap();
    let ours = managed(&[("forescale", None), ("gitops", None)]);
    api.put(
        path,
        json!({
            "metadata": { "name": place.name, "namespace": place.namespace, "annotations": annotations,
                "creationTimestamp": LONG_AGO.to_string(), "managedFields": ours },
            "spec": spec,
        }),
    );
}

fn slot(api: &Api, path: &str) {
    let ledger =
        PoolLedger { slots: 3, reason: PoolReason::Settled, expires: LONG_AGO, digest: String::new(), emptied: None };
    put(api, path, json!({ POOL_LEDGER: ledger.to_text() }), json!({ "replicas": 3, "selector": {}, "template": {} }));
    let mut object = api.object(path);
    object["metadata"]["labels"] = json!({ MANAGED_LABEL.0: MANAGED_LABEL.1, POOL_LABEL: "all" });
    // nodes have never been bought for it
    object["status"] =
        json!({ "conditions": [{ "type": "Provisioning", "status": "False", "reason": "BufferEmpty" }] });
    api.put(path, object);
}

/// Something of everything that a dead daemon leaves.
fn leave(api: &Api, buffers: bool) {
    let groups = [("keda.sh", "v1alpha1"), ("karpenter.sh", "v1")];
    let group = |(name, version): &(&str, &str)| json!({ "name": name, "versions": [{ "version": version, "groupVersion": format!("{name}/{version}") }] });
    let mut groups: Vec<Value> = groups.iter().map(group).collect();
    // a Cluster Autoscaler has something else in it, in a version of its own
    let versions = ["v1", "v1beta1"].map(|v| json!({ "version": v, "groupVersion": format!("{BUFFER_GROUP}/{v}") }));
    groups.push(json!({ "name": BUFFER_GROUP, "versions": versions }));
    for (version, name) in
        [("v1", "provisioningrequests"), ("v1beta1", if buffers { "capacitybuffers" } else { "provisioningrequests" })]
    {
        let resource = json!({ "name": name, "singularName": "", "namespaced": true, "kind": "", "verbs": ["list"] });
        let list = json!({ "kind": "APIResourceList", "groupVersion": format!("{BUFFER_GROUP}/{version}"), "resources": [resource] });
        api.put(&format!("/apis/{BUFFER_GROUP}/{version}"), list);
    }
    api.put("/apis", json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups }));
    let text = ["gitVersion", "gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform"];
    let mut version = json!({ "major": "1", "minor": "36" });
    text.iter().for_each(|field| version[*field] = json!(""));
    api.put("/version", version);
    let pods = |replicas: Replicas| json!({ "replicas": replicas, "serviceName": "", "selector": {}, "template": {} });
    // fewer than the user's run, so that the user's value is written
    put(api, WEB, over(5, 3), pods(3));
    put(api, API, json!({}), pods(8));
    put(api, QUEUE, json!({}), pods(6));
    let scaled = json!({ "kind": "Deployment", "name": "api" });
    put(api, HPA, over(2, 8), json!({ "scaleTargetRef": scaled, "minReplicas": 8, "maxReplicas": 20 }));
    let scaled = json!({ "kind": "StatefulSet", "name": "queue" });
    put(api, KEDA, over(3, 6), json!({ "scaleTargetRef": scaled, "minReplicaCount": 6 }));
    let ramp = Span { from: LONG_AGO, to: LONG_AGO + std::time::Duration::from_secs(3600) };
    let guards = decide(LONG_AGO, &PoolState { budgets: None, ledger: None }, &[ramp]).write.unwrap();
    let ledger = guards.ledger.as_ref().map(GuardLedger::to_text);
    put(api, NODES, json!({ GUARDS: ledger }), json!({ "disruption": { "budgets": guards.budgets } }));
    put(api, NODE, json!({ MARK: LONG_AGO.to_string(), "karpenter.sh/do-not-disrupt": "true" }), json!({}));
    slot(api, SLOT);
    if buffers {
        slot(api, BUFFER);
        put(api, TEMPLATE, json!({}), json!({}));
    }
}

async fn sweep(server: String) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let kubeconfig = dir.path().join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: c, cluster: {{server: '{server}'}}}}]\n\
         users: [{{name: u, user: {{token: t}}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n"
    );
    std::fs::write(&kubeconfig, text).unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_forescale"));
    program.args(["release", "--all", "--expired", "--kubeconfig"]).arg(&kubeconfig);
    program.env_remove("HTTP_PROXY").env_remove("http_proxy");
    tokio::task::spawn_blocking(move || program.output().unwrap()).await.unwrap()
}

/// Namespace (None: everywhere), group, resource, verb.
type Right = (Option<String>, String, String, String);

fn granted() -> BTreeSet<Right> {
    let path = format!("{}/deploy/manifests/sweep.yaml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let mut rights = BTreeSet::new();
    for role in serde_yaml_ng::Deserializer::from_str(&text).map(|d| Value::deserialize(d).unwrap()) {
        let namespace = match role["kind"].as_str().unwrap() {
            "ClusterRole" => None,
            "Role" => Some(role["metadata"]["namespace"].as_str().unwrap().to_owned()),
            _ => continue,
        };
        let texts = |value: &Value| -> Vec<String> { serde_json::from_value(value.clone()).unwrap() };
        for rule in role["rules"].as_array().unwrap() {
            for (group, resource) in texts(&rule["apiGroups"])
                .iter()
                .flat_map(|g| texts(&rule["resources"]).into_iter().map(move |r| (g, r)))
            {
                let row = |verb| (namespace.clone(), group.clone(), resource.clone(), verb);
                rights.extend(texts(&rule["verbs"]).into_iter().map(row));
            }
        }
    }
    rights
}

/// What was asked without a right to it. What is no object may be asked by everybody.
fn without_right(api: &Api) -> Vec<String> {
    let rights = granted();
    let mut missing = BTreeSet::new();
    for asked in api.asked() {
        let Some(place) = Place::of(&asked.path) else { continue };
        let verb = match (asked.method.as_str(), &place.name) {
            ("GET", Some(_)) => "get",
            ("GET", None) => "list",
            ("PATCH", _) => "patch",
            ("DELETE", Some(_)) => "delete",
            other => panic!("{other:?} {}", asked.path),
        };
        let right = |namespace| (namespace, place.group.clone(), place.resource.clone(), verb.to_owned());
        if !rights.contains(&right(None)) && !rights.contains(&right(place.namespace.clone())) {
            missing.insert(format!("{verb} {}", asked.path));
        }
    }
    missing.into_iter().collect()
}

#[tokio::test]
async fn the_sweeper_may_all_that_it_does() {
    for buffers in [false, true] {
        let (api, server) = Api::listen().await;
        leave(&api, buffers);
        let done = sweep(server).await;
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        assert_eq!(without_right(&api), Vec::<String>::new(), "deploy/manifests/sweep.yaml lacks them");
        let stands = |path: &str, field: &str| api.object(path)["spec"][field].clone();
        assert_eq!(stands(WEB, "replicas"), 5);
        assert_eq!((stands(HPA, "minReplicas"), stands(KEDA, "minReplicaCount")), (json!(2), json!(3)));
        assert_eq!(stands(NODES, "disruption")["budgets"], Value::Null);
        for path in [WEB, API, QUEUE, HPA, KEDA, NODES, NODE] {
            let meta = &api.object(path)["metadata"];
            assert_eq!(meta["annotations"], json!({}), "{path}");
            assert_eq!(meta["managedFields"], managed(&[("gitops", None)]), "{path}");
        }
        for path in [SLOT, BUFFER, TEMPLATE] {
            assert!(!api.has(path), "{path}");
        }
    }
}
