use super::*;
use crate::units::Time;
use serde_json::{Value, json};
use std::time::Duration;

fn template() -> Value {
    json!({ "spec": {
        "nodeSelector": { "disk": "ssd" },
        "runtimeClassName": "gvisor",
        "tolerations": [{ "key": "team", "operator": "Exists" }],
        "serviceAccountName": "web",
        "hostNetwork": false,
        "affinity": {
            "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [] } },
            "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [
                { "topologyKey": "kubernetes.io/hostname", "labelSelector": { "matchLabels": { "app": "web" } } }
            ] },
        },
        "topologySpreadConstraints": [
            { "maxSkew": 1, "topologyKey": ZONE_LABEL, "whenUnsatisfiable": "DoNotSchedule",
              "labelSelector": { "matchLabels": { "app": "web" } }, "matchLabelKeys": ["pod-template-hash"] }
        ],
        "initContainers": [
            { "name": "migrate", "resources": { "requests": { "cpu": "2", "memory": "64Mi" } } },
            { "name": "mesh", "restartPolicy": "Always", "resources": { "requests": { "cpu": "100m" } } },
            { "name": "late", "resources": { "requests": { "cpu": "2500m" } } },
        ],
        "containers": [
            { "name": "web", "image": "shop/web:1",
              "resources": { "requests": { "cpu": "500m", "memory": "1Gi" }, "limits": { "example.com/gpu": 1 } } },
            { "name": "log", "resources": { "requests": { "cpu": "0.25" } } },
        ],
    } })
}

fn set() -> SlotSet {
    let shape = PodShape::of(&template());
    SlotSet {
        name: name("web", &shape, None, None),
        namespace: "forescale".into(),
        pool: "web".into(),
        slots: 3,
        shape,
        node_pool: Some("general".into()),
        zone: None,
        together: None,
        image: PAUSE_IMAGE.into(),
        prepull: false,
    }
}

fn ledger() -> PoolLedger {
    PoolLedger {
        slots: 3,
        reason: PoolReason::Shortfall,
        expires: Time::from_secs(1800),
        digest: String::new(),
        emptied: None,
    }
}

#[test]
fn a_slot_asks_for_what_a_pod_is_scheduled_by() {
    let shape = PodShape::of(&template());
    // containers and the sidecar: 0.85 cores; the last init container beside the sidecar: 2.6
    let of = |r: &str| shape.requests.get(r).copied();
    assert_eq!(of("cpu").map(|c| (c * 1000.0).round()), Some(2600.0));
    assert_eq!(of("memory"), Some(1_073_741_824.0));
    assert_eq!(of("example.com/gpu"), Some(1.0));
    assert_eq!(
        Value::Object(shape.quantities()),
        json!({ "cpu": "2600m", "memory": "1073741824", "example.com/gpu": "1" })
    );
    let mut whole = template();
    whole["spec"]["resources"] = json!({ "requests": { "cpu": "2" } });
    let whole = PodShape::of(&whole).requests;
    assert_eq!((whole["cpu"], whole["memory"]), (2.0, 1_073_741_824.0), "what the pod as a whole asks for");
    let mut bound = template();
    bound["spec"]["resources"] = json!({ "limits": { "cpu": "4", "example.com/nic": "1" } });
    let bound = PodShape::of(&bound).requests;
    assert_eq!((bound["cpu"], bound["example.com/nic"]), (2.6, 1.0), "a limit counts where no container asks");
    let mut both = shape.clone();
    both.cover(&PodShape { requests: [("cpu".into(), 4.0), ("memory".into(), 1.0)].into(), ..PodShape::default() });
    assert_eq!((both.requests["cpu"], both.requests["memory"]), (4.0, 1_073_741_824.0));
}

#[test]
fn only_pods_that_can_run_on_the_same_nodes_share_slots() {
    let key = |change: &dyn Fn(&mut Value)| {
        let mut template = template();
        change(&mut template);
        PodShape::of(&template).key()
    };
    let same = key(&|_| {});
    assert_eq!(key(&|t| t["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("4")), same);
    assert_ne!(key(&|t| t["spec"]["nodeSelector"]["disk"] = json!("hdd")), same);
    assert_ne!(key(&|t| t["spec"]["tolerations"] = json!([])), same);
    assert_ne!(key(&|t| t["spec"]["runtimeClassName"] = Value::Null), same);
}

#[test]
fn placeholders_are_seen_by_nobody_and_in_nobodys_way() {
    let deployment = set().deployment(&ledger());
    let spec = &deployment["spec"];
    assert_eq!(spec["replicas"], 3);
    assert_eq!(spec["strategy"]["type"], "Recreate");
    assert_eq!(spec["revisionHistoryLimit"], 0);
    let pod = &spec["template"];
    let name = set().name;
    assert_eq!(name, format!("forescale-web-{}", set().shape.key()));
    assert_eq!(
        pod["metadata"]["labels"],
        json!({ "app.kubernetes.io/managed-by": "forescale", "forescale.dev/pool": "web", "forescale.dev/slot": name }),
        "own labels alone"
    );
    let pod = &pod["spec"];
    assert_eq!(pod["priorityClassName"], PRIORITY_CLASS);
    assert_eq!(pod["terminationGracePeriodSeconds"], 1);
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod["nodeSelector"], json!({ "disk": "ssd", "karpenter.sh/nodepool": "general" }));
    assert_eq!(pod["runtimeClassName"], "gvisor");
    assert!(pod["serviceAccountName"].is_null());
    assert_eq!(pod["containers"][0]["resources"]["limits"], json!({ "example.com/gpu": "1" }));
    let apart = &pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    assert_eq!(apart[0]["labelSelector"], json!({ "matchLabels": { "app": "web" } }));
    assert_eq!(apart[0]["namespaceSelector"], json!({}), "the application is in another namespace");
    assert_eq!(apart[1]["labelSelector"], json!({ "matchLabels": { "forescale.dev/slot": name } }));
    assert_eq!(
        pod["topologySpreadConstraints"],
        json!([{ "maxSkew": 1, "topologyKey": ZONE_LABEL, "whenUnsatisfiable": "DoNotSchedule",
                 "labelSelector": { "matchLabels": { "forescale.dev/slot": name } } }])
    );
    let class = priority_class();
    assert_eq!((&class["value"], &class["preemptionPolicy"]), (&json!(-10), &json!("Never")));
    let text = deployment["metadata"]["annotations"][POOL_LEDGER].as_str().and_then(PoolLedger::parse);
    assert_eq!(text, Some(ledger()));
}

#[test]
fn a_zone_a_gang_and_an_image() {
    let zoned = SlotSet { zone: Some("a".into()), ..set() }.pod();
    assert_eq!(zoned["spec"]["nodeSelector"][ZONE_LABEL], "a");
    assert!(zoned["spec"]["topologySpreadConstraints"].is_null(), "one zone has nothing to spread over");
    let gang = SlotSet { together: Some("rack".into()), ..set() }.pod();
    let together = &gang["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0];
    assert_eq!(together["topologyKey"], "rack");
    let asleep = SlotSet { prepull: true, image: "shop/web:1".into(), ..set() }.pod();
    assert_eq!(asleep["spec"]["containers"][0]["command"], json!(["sleep", "infinity"]));
    assert_ne!(SlotSet { prepull: true, ..set() }.digest(), set().digest());
    assert_eq!(SlotSet { slots: 9, ..set() }.digest(), set().digest(), "the count is no change of shape");
}

#[test]
fn a_buffer_refers_to_its_template_in_the_version_that_is_served() {
    let buffer = set().buffer("v1alpha1", &ledger());
    assert_eq!(buffer["apiVersion"], "autoscaling.x-k8s.io/v1alpha1");
    assert_eq!(buffer["spec"], json!({ "podTemplateRef": { "name": set().name }, "replicas": 3 }));
    let template = set().pod_template();
    assert_eq!(template["metadata"]["name"], set().name);
    assert!(template["template"]["spec"]["priorityClassName"].is_null(), "nothing evicts a buffer");
}

#[test]
fn the_back_end_is_what_the_cluster_has_and_acts_on() {
    use BackendChoice::{Auto, CapacityBuffer, Placeholders};
    let both = ["v1alpha1".to_owned(), "v1beta1".to_owned()];
    let chosen = |choice, served: &[String], silent| choose(choice, served, silent).0;
    assert_eq!(chosen(Auto, &both, false), Some(Backend::CapacityBuffer("v1beta1".into())));
    assert_eq!(chosen(Auto, &both[..1], false), Some(Backend::CapacityBuffer("v1alpha1".into())));
    assert_eq!(chosen(Auto, &[], false), Some(Backend::Placeholders));
    assert_eq!(chosen(Auto, &both, true), Some(Backend::Placeholders));
    assert!(choose(Auto, &both, true).1.is_some_and(|why| why.contains("gate CapacityBuffer is off")));
    assert_eq!(chosen(Placeholders, &both, false), Some(Backend::Placeholders));
    assert_eq!(chosen(CapacityBuffer, &[], false), None);
    assert!(choose(CapacityBuffer, &["v2".into()], false).1.is_some());
}

fn buffer(replicas: u32, conditions: Value) -> BufferView {
    let object = json!({
        "metadata": { "creationTimestamp": "1970-01-01T00:00:00Z" },
        "spec": { "replicas": replicas },
        "status": { "conditions": conditions },
    });
    BufferView::of(&object).unwrap()
}

#[test]
fn a_buffer_is_emptied_before_it_is_deleted() {
    let at = |s: i64| Time::from_secs(s);
    let fits = json!([{ "type": "Provisioning", "status": "True", "reason": "FitsExistingCapacity" }]);
    let empty = json!([{ "type": "Provisioning", "status": "False", "reason": "BufferEmpty" }]);
    assert!(buffer(3, fits.clone()).bought);
    assert_eq!(leave(at(0), &buffer(3, fits.clone()), None), Leave::Empty);
    assert_eq!(leave(at(1), &buffer(0, fits.clone()), Some(at(0))), Leave::Wait);
    assert_eq!(leave(at(1), &buffer(0, empty), Some(at(0))), Leave::Delete);
    assert_eq!(leave(at(0) + EMPTY_WAIT, &buffer(0, fits), Some(at(0))), Leave::Delete, "whoever empties it is gone");
    let never = buffer(3, Value::Null);
    assert!(!never.silent(at(0) + GATE_WAIT - Duration::from_secs(1)) && never.silent(at(0) + GATE_WAIT));
    assert_eq!(leave(at(0), &never, None), Leave::Delete, "nothing was ever bought for it");
    let failed = buffer(
        3,
        json!([{ "type": "ReadyForProvisioning", "status": "False", "reason": "ResolutionFailed", "message": "m" }]),
    );
    assert!(!failed.silent(at(999)) && failed.problem.as_deref() == Some("ResolutionFailed: m"));
}
