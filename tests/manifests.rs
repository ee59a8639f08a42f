//! `deploy/manifests`: the role grants exactly what the code's table says, and the Deployment keeps its promises.
#![cfg(feature = "daemon")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail")]

use forescale::actuate::{Access, CLUSTER_ACCESS, LEASE_ACCESS};
use forescale::config::Config;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Command;

/// group/resource → verbs.
type Rights = BTreeMap<(String, String), Vec<String>>;

fn documents(file: &str) -> Vec<Value> {
    let path = format!("{}/deploy/manifests/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    serde_yaml_ng::Deserializer::from_str(&text).map(|d| Value::deserialize(d).unwrap()).collect()
}

fn of_kind(documents: &[Value], kind: &str) -> Value {
    documents.iter().find(|d| d["kind"] == kind).unwrap_or_else(|| panic!("no {kind}")).clone()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_string()).collect()
}

fn granted(role: &Value) -> Rights {
    let mut rights = Rights::new();
    for rule in role["rules"].as_array().unwrap() {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                let mut verbs = texts(&rule["verbs"]);
                verbs.sort();
                assert!(rights.insert((group.clone(), resource), verbs).is_none(), "a rule twice");
            }
        }
    }
    rights
}

fn needed(table: &[Access]) -> Rights {
    let row = |a: &Access| {
        let verbs = a.verbs.iter().map(|v| v.to_string()).collect();
        ((a.group.to_string(), a.resource.to_string()), verbs)
    };
    table.iter().map(row).collect()
}

#[test]
fn the_roles_grant_what_the_code_uses_and_nothing_else() {
    let rbac = documents("rbac.yaml");
    let (cluster, own) = (granted(&of_kind(&rbac, "ClusterRole")), granted(&of_kind(&rbac, "Role")));
    assert_eq!(cluster, needed(CLUSTER_ACCESS));
    assert_eq!(own, needed(LEASE_ACCESS));
    for ((group, resource), verbs) in cluster.iter().chain(&own) {
        assert!(group != "*" && resource != "*" && !verbs.contains(&"*".to_string()), "a wildcard");
        assert!(!resource.starts_with("secrets") && !resource.starts_with("pods/"), "{resource}");
        for verb in ["deletecollection", "escalate", "bind", "impersonate"] {
            assert!(!verbs.contains(&verb.to_string()), "{verb} {resource}");
        }
    }
    // what is deleted is our own, in our own namespace: slots of warm pools
    assert!(cluster.values().all(|verbs| !verbs.contains(&"delete".to_string())));
}

#[test]
fn the_configuration_is_valid_and_writes_nothing_by_itself() {
    let map = of_kind(&documents("config.yaml"), "ConfigMap");
    let text = map["data"]["forescale.toml"].as_str().unwrap();
    let config = Config::assemble(Some(("forescale.toml", text)), [], &[]).unwrap();
    assert_eq!(config.mode, forescale::config::Mode::Observe);
    assert_eq!(config.listen.port(), 8080);
    assert_eq!(config.lease.namespace, "forescale");
}

#[test]
fn the_sweeper_has_fewer_rights_than_the_daemon_and_parses() {
    let sweep = documents("sweep.yaml");
    let daemon = needed(CLUSTER_ACCESS);
    for (row, verbs) in granted(&of_kind(&sweep, "ClusterRole")) {
        assert!(verbs.iter().all(|v| daemon[&row].contains(v)), "{row:?} {verbs:?}");
    }
    let job = of_kind(&sweep, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"].clone();
    let container = &job["containers"][0];
    assert_eq!(texts(&container["args"]), ["release", "--all", "--expired"]);
    assert_eq!(container["securityContext"]["capabilities"]["drop"], serde_json::json!(["ALL"]));
    assert_eq!(job["securityContext"]["runAsNonRoot"], true);
}

#[test]
fn one_line_names_the_image_of_the_daemon_and_of_the_sweep() {
    let kustomization = &documents("kustomization.yaml")[0];
    let [image] = &kustomization["images"].as_array().unwrap()[..] else { panic!("one image is to be named") };
    let name = image["name"].as_str().unwrap();
    assert!(image["newName"].is_string() && image["newTag"].is_string());
    let mut containers = Vec::new();
    for file in texts(&kustomization["resources"]) {
        for object in documents(&file) {
            let pod = match object["kind"].as_str() {
                Some("Deployment") => &object["spec"]["template"]["spec"],
                Some("CronJob") => &object["spec"]["jobTemplate"]["spec"]["template"]["spec"],
                _ => continue,
            };
            containers.extend(pod["containers"].as_array().unwrap().clone());
        }
    }
    assert_eq!(containers.len(), 2, "the daemon and the sweep");
    for container in &containers {
        // kustomize renames an image whose name without its tag is this one
        let (own, _tag) = container["image"].as_str().unwrap().rsplit_once(':').unwrap();
        assert_eq!(own, name, "{} would keep an image that nobody named", container["name"]);
        assert_eq!(container["image"], containers[0]["image"]);
    }
    let readme = std::fs::read_to_string(format!("{}/README.md", env!("CARGO_MANIFEST_DIR"))).unwrap();
    assert!(readme.contains("`deploy/manifests/kustomization.yaml`"), "the README says where");
}

#[test]
fn alerts_ask_for_metrics_that_there_are() {
    let alerts = &documents("../alerts.yaml")[0];
    // a family without a value yet is not rendered, so what is registered is looked for
    let registered = include_str!("../src/telemetry/metrics.rs");
    let rules = alerts["groups"][0]["rules"].as_array().unwrap();
    assert!(rules.len() >= 4);
    for rule in rules {
        let words: Vec<&str> =
            rule["expr"].as_str().unwrap().split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
        let asked = || words.iter().filter(|w| w.starts_with("forescale_"));
        // kube-state-metrics speaks of the CronJob, which serves none
        assert!(asked().count() > 0 || words.iter().any(|w| w.starts_with("kube_cronjob_")), "{}", rule["alert"]);
        for name in asked() {
            let own = name.trim_start_matches("forescale_").trim_end_matches("_total");
            assert!(registered.contains(&format!("\"{own}\",")), "{name} is not served");
        }
        assert!(rule["annotations"]["action"].is_string(), "every alert says what to do");
    }
}

#[test]
fn alerts_fire_when_they_should() {
    let root = env!("CARGO_MANIFEST_DIR");
    let Ok(done) =
        Command::new("promtool").args(["test", "rules", "tests/data/alerts.yaml"]).current_dir(root).output()
    else {
        eprintln!("skipped: promtool is not installed (Debian and Ubuntu: apt-get install prometheus)");
        return;
    };
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{said}");
}

#[test]
fn the_deployment_is_small_and_without_rights_on_its_node() {
    let deployment = of_kind(&documents("deployment.yaml"), "Deployment");
    assert_eq!(deployment["spec"]["replicas"], 2);
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    let container = &pod["containers"][0];
    let security = &container["securityContext"];
    assert_eq!(security["readOnlyRootFilesystem"], true);
    assert_eq!(security["allowPrivilegeEscalation"], false);
    assert_eq!(security["capabilities"]["drop"], serde_json::json!(["ALL"]));
    assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/healthz");
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz");
    assert!(container["resources"]["limits"]["memory"].is_string());
    let files = texts(&documents("kustomization.yaml")[0]["resources"]);
    for file in files {
        assert!(!documents(&file).is_empty(), "{file}");
    }
}
