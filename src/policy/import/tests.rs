use super::*;
use proptest::prelude::*;

/// Tuesday.
const NOW: Time = Time::from_secs(1_795_478_400 + 43_200);

/// Of one text.
fn import(name: &str, text: &str, zone: &str, now: Time) -> (Vec<Imported>, Vec<Problem>, usize) {
    super::import(&[(name, text)], zone, now)
}

fn ok(text: &str) -> Vec<Imported> {
    let (imported, problems, _) = import("f.yaml", text, "UTC", NOW);
    assert_eq!(problems, []);
    imported
}

fn one(text: &str) -> Imported {
    let mut all = ok(text);
    assert_eq!(all.len(), 1, "{all:#?}");
    all.remove(0)
}

fn windows(imported: &Imported) -> Vec<String> {
    imported.windows.iter().map(ToString::to_string).collect()
}

const ALIBABA: &str = r#"
apiVersion: autoscaling.alibabacloud.com/v1beta1
kind: CronHorizontalPodAutoscaler
metadata: {name: web, namespace: shop}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  excludeDates:
  - "* * * 25 12 *"
  - "* * * * * 5"
  jobs:
  - {name: up, schedule: "0 0 8 * * *", targetSize: 10}
  - {name: down, schedule: "30 0 20 * * *", targetSize: 2}
"#;

#[test]
fn cron_hpa_with_six_fields_and_excluded_dates() {
    let imported = one(ALIBABA);
    assert_eq!((imported.workload.as_str(), imported.base, imported.most), ("Deployment shop/web", 2, 10));
    assert_eq!(
        windows(&imported),
        ["0 8 * * 0,1,2,3,4,6 12h UTC min=10 except=2026-12-25"].map(|w| w.replace(" except=2026-12-25", ""))
    );
    assert_eq!(imported.difference, [], "Friday is left out, and 25 December 2026 is a Friday");
    assert_eq!(imported.notes, ["says no time zone: UTC is taken (--time-zone)"]);
}

#[test]
fn a_job_that_runs_once_is_left_out_and_no_error() {
    let once = "  - {name: once, schedule: \"@date 2026-12-10 15:12:00\", targetSize: 20, runOnce: true}\n";
    let imported = one(&(ALIBABA.to_owned() + once));
    assert_eq!(imported.most, 10);
    assert!(imported.notes.contains(&"spec.jobs[2].runOnce: runs once; left out".to_owned()), "{:?}", imported.notes);
}

#[test]
fn a_dated_exclusion_becomes_a_date() {
    let imported = one(&ALIBABA.replace("25 12", "26 11").replace("  - \"* * * * * 5\"\n", ""));
    assert_eq!(windows(&imported), ["0 8 * * * 12h UTC min=10 except=2026-11-26"]);
    assert_eq!(imported.difference, []);
}

#[test]
fn cron_hpa_with_five_fields_splits_by_how_long_it_lasts() {
    let imported = one(r#"
kind: CronHPA
metadata: {name: web, namespace: shop}
spec:
  timeZone: Europe/Berlin
  scaleTargetRef: {kind: StatefulSet, name: db}
  jobs:
  - {schedule: "0 8 * * 1-5", targetSize: 4}
  - {schedule: "0 12 * * *", targetSize: 6}
  - {schedule: "0 20 * * *", targetSize: 1}
"#);
    assert_eq!(imported.workload, "StatefulSet shop/db");
    assert_eq!(windows(&imported), ["0 8 * * 1-5 4h Europe/Berlin min=4", "0 12 * * * 8h Europe/Berlin min=6"]);
    assert_eq!(imported.difference, []);
    let weekend = one(r#"
kind: CronHPA
metadata: {name: web}
spec:
  scaleTargetRef: {name: web}
  crons:
  - {schedule: "0 20 * * 1-5", targetReplicas: 9}
  - {schedule: "0 8 * * 1-5", targetReplicas: 3}
"#);
    assert_eq!(windows(&weekend), ["0 20 * * 1,2,3,4 12h UTC min=9", "0 20 * * 5 60h UTC min=9"]);
    assert_eq!(weekend.difference, []);
}

#[test]
fn keda_cron_triggers_are_windows_of_one_schedule() {
    let text = r#"
kind: List
items:
- kind: ScaledObject
  metadata: {name: web, namespace: shop}
  spec:
    scaleTargetRef: {name: web}
    minReplicaCount: 1
    triggers:
    - type: prometheus
      metadata: {query: x}
    - type: cron
      metadata: {timezone: Asia/Kolkata, start: "0 6 * * *", end: "30 20 * * *", desiredReplicas: "10"}
    - type: cron
      metadata: {timezone: Europe/Berlin, start: "0 10 * * 6", end: "0 2 * * 0", desiredReplicas: "5"}
    - type: cron
      metadata: {timezone: Europe/Berlin, start: "0 3 * * *", end: "0 4 * * *", desiredReplicas: "0"}
"#;
    let imported = one(text);
    assert_eq!(
        windows(&imported),
        ["0 6 * * * 870m Asia/Kolkata min=10", "0 10 * * 6 16h Europe/Berlin min=5"],
        "both, each in its zone"
    );
    assert_eq!((imported.base, imported.most), (1, 100), "KEDA's default maxReplicaCount, not what cron asks for");
    assert!(imported.difference.is_empty() && imported.notes.is_empty(), "{imported:#?}");
    let capped = one(&text.replace("minReplicaCount: 1", "minReplicaCount: 1\n    maxReplicaCount: 8"));
    assert_eq!(windows(&capped)[0], "0 6 * * * 870m Asia/Kolkata min=8");
    assert_eq!((capped.most, capped.difference.len()), (8, 0));
    assert_eq!(capped.notes, ["spec.triggers[1].metadata.desiredReplicas: 10 is above maxReplicaCount 8, which holds"]);
}

const IDLE: &str = r#"
kind: ScaledObject
metadata: {name: web, namespace: shop}
spec:
  scaleTargetRef: {name: web}
  minReplicaCount: 2
  idleReplicaCount: 0
  triggers:
  - type: cron
    metadata: {timezone: UTC, start: "0 8 * * *", end: "0 20 * * *", desiredReplicas: "10"}
  - type: cron
    metadata: {timezone: UTC, start: "0 21 * * *", end: "0 22 * * *", desiredReplicas: "1"}
"#;

#[test]
fn keda_idles_where_no_cron_trigger_is_active() {
    let idle = one(IDLE);
    assert_eq!(idle.base, 0);
    assert_eq!(windows(&idle), ["0 8 * * * 12h UTC min=10", "0 21 * * * 1h UTC min=2"]);
    assert!(idle.difference.is_empty() && idle.notes.is_empty(), "{idle:#?}");
    let other = one(&IDLE.replace("triggers:\n", "triggers:\n  - {type: prometheus, metadata: {query: x}}\n"));
    assert_eq!(other.base, 2);
    assert_eq!(windows(&other), ["0 8 * * * 12h UTC min=10"]);
    let note = "spec.idleReplicaCount: 0 is not taken over, as not every trigger is cron: minReplicaCount 2 is taken";
    assert_eq!(other.notes, [note]);
}

#[test]
fn a_paused_scaled_object_is_left_out_and_told() {
    let annotated = |annotation: &str| {
        let text = IDLE.replace("namespace: shop", &format!("namespace: shop, annotations: {{{annotation}}}"));
        let (imported, problems, skipped) = import("f.yaml", &text, "UTC", NOW);
        assert_eq!(skipped, 0);
        (imported.len(), problems.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    for (name, value) in [("paused", "\"true\""), ("paused-replicas", "\"0\"")] {
        let name = format!("autoscaling.keda.sh/{name}");
        let told = format!(
            "f.yaml: ScaledObject shop/web: metadata.annotations[{name}]: expected a ScaledObject that runs; found paused; left out"
        );
        assert_eq!(annotated(&format!("{name}: {value}")), (0, vec![told]));
    }
    assert_eq!(annotated("autoscaling.keda.sh/paused: \"false\""), (1, Vec::new()));
}

#[test]
fn a_byte_order_mark_and_merge_keys_are_yaml() {
    assert_eq!(ok(&format!("\u{feff}{}", ALIBABA.trim_start())), ok(ALIBABA));
    let text = r#"
size: &size {targetSize: 5}
up: &up {<<: *size, schedule: "0 8 * * *"}
kind: CronHPA
metadata: {name: web}
spec:
  scaleTargetRef: {name: web}
  jobs:
  - {<<: *up, name: up}
  - {<<: *size, targetSize: 2, schedule: "0 9 * * *"}
"#;
    assert_eq!(windows(&one(text)), ["0 8 * * * 1h UTC min=5"]);
    let (imported, problems, skipped) = import("f.yaml", &format!("<<: 3\n---{text}"), "UTC", NOW);
    assert_eq!((imported.len(), problems.len(), skipped), (1, 1, 0), "{problems:?}");
    assert!(problems[0].to_string().starts_with("f.yaml: expected maps to merge (<<); found "), "{problems:?}");
}

#[test]
fn cron_jobs_that_scale_the_same_workload_go_together() {
    let job = |name: &str, schedule: &str, command: &str| {
        format!(
            "---\napiVersion: batch/v1\nkind: CronJob\nmetadata: {{name: {name}, namespace: ops}}\nspec:\n  schedule: \"{schedule}\"\n  timeZone: UTC\n  jobTemplate:\n    spec:\n      template:\n        spec:\n          containers:\n          - command: {command}\n"
        )
    };
    let text = job("up", "0 7 * * 1-5", r#"["kubectl", "-n", "shop", "scale", "deployment/web", "--replicas=8"]"#)
        + &job(
            "down",
            "0 19 * * 1-5",
            r#"["sh", "-c", "kubectl scale --namespace=shop deploy web --replicas 2; echo done"]"#,
        )
        + &job("other", "0 1 * * *", r#"["backup"]"#);
    let imported = one(&text);
    assert_eq!(
        (imported.workload.as_str(), imported.from.as_str()),
        ("Deployment shop/web", "CronJob ops/up, CronJob ops/down")
    );
    assert_eq!(windows(&imported), ["0 7 * * 1-5 12h UTC min=8"]);
    assert_eq!(imported.difference, []);
}

/// A CronJob of the namespace shop.
fn cron_job(name: &str, schedule: &str, zone: &str, container: &str) -> String {
    format!(
        "---\nkind: CronJob\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  schedule: \"{schedule}\"\n{zone}  jobTemplate: {{spec: {{template: {{spec: {{containers: [{container}]}}}}}}}}\n"
    )
}

fn scale(replicas: u32) -> String {
    format!("{{command: [kubectl, scale, deploy/web, --replicas={replicas}]}}")
}

#[test]
fn cron_jobs_in_two_zones_are_refused_together() {
    let berlin = "  timeZone: Europe/Berlin\n";
    let text = cron_job("up", "0 7 * * 1-5", berlin, &scale(8)) + &cron_job("down", "0 19 * * 1-5", "", &scale(2));
    let (imported, problems, _) = import("f.yaml", &text, "UTC", NOW);
    assert_eq!(imported, [], "half of it would be wrong");
    let told = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(told.contains("CronJob shop/up, CronJob shop/down: spec.timeZone"), "{told}");
    assert!(told.contains("found Europe/Berlin and UTC"), "{told}");
    let (imported, problems, _) = import("f.yaml", &text, "Europe/Berlin", NOW);
    assert_eq!((imported.len(), problems), (1, Vec::new()));
    assert_eq!(windows(&imported[0]), ["0 7 * * 1-5 12h Europe/Berlin min=8"]);
    assert_eq!(imported[0].notes, ["says no time zone: Europe/Berlin is taken (--time-zone)"]);
}

#[test]
fn texts_are_read_as_one() {
    let zone = "  timeZone: UTC\n";
    let up = cron_job("up", "0 7 * * 1-5", zone, &scale(8));
    let down = cron_job("down", "0 19 * * 1-5", zone, &scale(2));
    let texts = [("up.yaml", up.as_str()), ("service.yaml", "kind: Service"), ("down.yaml", down.as_str())];
    let (imported, problems, skipped) = super::import(&texts, "UTC", NOW);
    assert_eq!((imported.len(), problems, skipped), (1, Vec::new(), 1));
    assert_eq!(imported[0].from, "CronJob shop/up, CronJob shop/down");
    assert_eq!(windows(&imported[0]), ["0 7 * * 1-5 12h UTC min=8"]);
    assert_eq!(imported[0].difference, []);

    let told = |texts: &[(&str, &str)]| -> (usize, Vec<String>) {
        let (imported, problems, _) = super::import(texts, "UTC", NOW);
        (imported.len(), problems.iter().map(ToString::to_string).collect())
    };
    let berlin = down.replace("UTC", "Europe/Berlin");
    let (count, zones) = told(&[("up.yaml", up.as_str()), ("down.yaml", berlin.as_str())]);
    let place = "up.yaml, down.yaml: CronJob shop/up, CronJob shop/down: spec.timeZone: expected one time zone";
    assert!(count == 0 && zones.len() == 1 && zones[0].starts_with(place), "{zones:?}");
    let (count, wrong) = told(&[("a.yaml", "a: ["), ("b.yaml", ALIBABA), ("c.yaml", "kind: CronHPA")]);
    assert_eq!((count, wrong.len()), (1, 2), "what is wrong in one does not lose the others: {wrong:?}");
    assert!(wrong[0].starts_with("a.yaml:"), "{wrong:?}");
    assert!(wrong[1].starts_with("c.yaml: CronHPA default/: spec:"), "{wrong:?}");
    let (_, none) = told(&[("a.yaml", "kind: Service"), ("b.yaml", "")]);
    assert!(none.len() == 1 && none[0].starts_with("a.yaml, b.yaml: expected a CronHorizontal"), "{none:?}");
    assert_eq!(told(&[]), (0, Vec::new()));
}

/// A CronJob that runs a script.
fn scripted(script: &str) -> String {
    cron_job("a", "0 8 * * *", "  timeZone: UTC\n", &format!("{{command: [/bin/sh, -ec, {script:?}]}}"))
}

#[test]
fn a_script_that_scales_under_a_condition_or_later_is_left_out() {
    for script in [
        "[ $(date +%u) -gt 5 ] || kubectl scale deploy/web --replicas=20",
        "[[ -f /x ]] && echo up && kubectl scale deploy/web --replicas=20",
        "test $(date +%u) -lt 6 &&\n  kubectl scale deploy/web --replicas=20",
        "[ -f /x ] || { echo up; kubectl scale deploy/web --replicas=20; }",
        "[ -f /x ] && (echo up; kubectl scale deploy/web --replicas=20)",
        "if [ -f /x ]; then kubectl scale deploy/web --replicas=20; else kubectl scale deploy/web --replicas=4; fi",
        "if [ -f /x ]\nthen\n  echo up\n  kubectl scale deploy/web --replicas=20\nfi",
        "case $(date +%u) in 6|7) echo up; kubectl scale deploy/web --replicas=20;; esac",
        "for i in 1 2 3; do kubectl scale deploy/web --replicas=20; done",
        "while ! kubectl scale deploy/web --replicas=20; do sleep 5; done",
        "[ $(date +%u) -gt 5 ] && exit 0\nkubectl scale deploy/web --replicas=20",
        "if [ -f /x ]; then exit 0; fi; kubectl scale deploy/web --replicas=20",
        "kubectl scale deploy/web --replicas=20; sleep 3600; kubectl scale deploy/web --replicas=2",
        "kubectl scale deploy/web --replicas=20 || kubectl scale deploy/web --replicas=10",
        "kubectl scale deploy/web --replicas=20; kubectl scale deploy web -n shop --replicas=10",
    ] {
        let (imported, problems, skipped) = import("f.yaml", &scripted(script), "UTC", NOW);
        assert_eq!((imported, skipped), (Vec::new(), 0), "{script}");
        let told = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        let begin = "f.yaml: CronJob shop/a: spec.jobTemplate: expected one number for Deployment shop/web at every";
        assert!(told.starts_with(begin), "{script}: {told}");
        assert!(told.contains("found kubectl scale deploy/web --replicas=20"), "{script}: {told}");
        assert!(told.ends_with("left out: write its window by hand") && problems.len() == 1, "{script}: {told}");
    }
    let delayed = "kubectl scale deploy/api --replicas=3; sleep 60; kubectl scale deploy/web --replicas=20";
    let (imported, problems, _) = import("f.yaml", &scripted(delayed), "UTC", NOW);
    assert_eq!((imported.len(), problems.len()), (1, 1));
    assert_eq!(imported[0].workload, "Deployment shop/api", "the one that is scaled at once");
}

#[test]
fn a_script_that_scales_at_every_run_is_understood() {
    for script in [
        "set -e; kubectl scale deploy/web --replicas=20; kubectl scale deploy/api --replicas=4",
        "kubectl config use-context test && kubectl scale deploy/web --replicas=20",
        "kubectl config use-context x || exit 1; kubectl scale deploy/web --replicas=20 >/dev/null 2>&1 || true",
        "kubectl scale deploy/api --replicas=4 || echo failed\nkubectl scale deploy/web --replicas=20",
        "sleep $((RANDOM % 30)); kubectl scale deploy/web --replicas=20; kubectl scale deploy/web --replicas=20",
        "[ -f /x ] && . /x; kubectl scale deploy/web --replicas=20",
        "if [ -f /x ]; then . /x; fi\nkubectl scale deploy/web --replicas=20",
        "case $HOME in /root) cd /;; esac; kubectl scale deploy/web --replicas=20",
        "for i in 1 2; do echo $i; done; echo $(date) && kubectl scale deploy/web --replicas=20",
    ] {
        let all = ok(&scripted(script));
        let web = all.iter().find(|i| i.workload == "Deployment shop/web");
        assert_eq!(web.map(|i| i.most), Some(20), "{script}");
    }
}

#[test]
fn every_workload_of_every_call_is_imported() {
    let zone = "  timeZone: UTC\n";
    let both = "{command: [sh, -c, \"kubectl scale deploy web --replicas=8; kubectl scale deploy api --replicas=4\"]}";
    let text = cron_job("up", "0 7 * * 1-5", zone, both)
        + &cron_job(
            "down",
            "0 19 * * 1-5",
            zone,
            "{image: bitnami/kubectl, args: [scale, --replicas=2, deploy/web, deploy/api]}",
        );
    let all: Vec<(String, Vec<String>)> = ok(&text).iter().map(|i| (i.workload.clone(), windows(i))).collect();
    let expected = [("api", 4), ("web", 8)]
        .map(|(name, n)| (format!("Deployment shop/{name}"), vec![format!("0 7 * * 1-5 12h UTC min={n}")]));
    assert_eq!(all, expected);
}

#[test]
fn a_cron_job_that_scales_in_other_words_is_told_and_one_that_does_not_is_counted() {
    let said = |container: &str| {
        let (imported, problems, skipped) = import("f.yaml", &cron_job("a", "0 8 * * *", "", container), "UTC", NOW);
        assert_eq!((imported, skipped), (Vec::new(), 0));
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let told = said("{command: [sh, -c, \"kubectl scale deploy web --replicas=$N\"]}");
    assert!(told.starts_with("f.yaml: CronJob shop/a: spec.jobTemplate: expected kubectl scale of"), "{told}");
    assert!(told.contains("found kubectl scale deploy web --replicas=$N; left out"), "{told}");
    assert!(said("{command: [/opt/scale.sh, web]}").contains("found /opt/scale.sh web"));
    let text = cron_job("a", "0 8 * * *", "", "{command: [backup]}") + "---\nkind: Service\n---\n" + ALIBABA;
    let (imported, problems, skipped) = import("f.yaml", &text, "UTC", NOW);
    assert_eq!((imported.len(), problems, skipped), (1, Vec::new(), 2));
}

#[test]
fn lists_of_any_kind_are_opened() {
    let jobs = "jobs: [{schedule: '0 8 * * *', targetSize: 5}, {schedule: '0 9 * * *', targetSize: 2}]";
    for kind in ["  kind: CronHPA\n", ""] {
        let text = format!(
            "kind: CronHPAList\nitems:\n- metadata: {{name: web}}\n{kind}  spec: {{scaleTargetRef: {{name: web}}, {jobs}}}\n"
        );
        assert_eq!(one(&text).from, "CronHPA default/web", "{text}");
    }
}

#[test]
fn without_a_window_there_is_no_schedule() {
    for (replicas, names) in [(3, "mode min-replicas max-replicas"), (0, "mode min-replicas")] {
        let imported = one(&cron_job("a", "0 8 * * *", "  timeZone: UTC\n", &scale(replicas)));
        assert_eq!(imported.windows, []);
        let given: Vec<String> = imported.annotations().into_iter().map(|(name, _)| name.replace(PREFIX, "")).collect();
        assert_eq!(given.join(" "), names);
        let note = format!("no window asks for more than {replicas} replicas: there is no schedule to set");
        assert_eq!(imported.notes, [note]);
    }
}

#[test]
fn what_the_annotations_would_refuse_is_not_imported() {
    let jobs: String = (0..96)
        .map(|i| format!("  - {{schedule: \"{} {} * * *\", targetSize: {}}}\n", i % 4 * 15, i / 4, 2 + i % 7))
        .collect();
    let text =
        format!("kind: CronHPA\nmetadata: {{name: web}}\nspec:\n  scaleTargetRef: {{name: web}}\n  jobs:\n{jobs}");
    let (imported, problems, _) = import("f.yaml", &text, "UTC", NOW);
    assert_eq!(imported, []);
    let told = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert_eq!(told, "CronHPA default/web: expected at most 64 windows; found 82; write the annotations by hand");
}

#[test]
fn what_cannot_be_said_exactly_is_shown() {
    let imported = one(r#"
kind: CronHPA
metadata: {name: web}
spec:
  scaleTargetRef: {name: web}
  jobs:
  - {schedule: "0 8 1,26 * *", targetSize: 9}
  - {schedule: "0 8 2,28 * *", targetSize: 3}
"#);
    assert!(imported.notes.iter().any(|n| n.contains("the longest")), "{imported:#?}");
    let at = |text: &str| Time::parse(text).unwrap();
    assert_eq!(imported.difference, [], "{imported:#?}");
    let (imported, ..) = import(
        "f",
        "kind: CronHPA\nmetadata: {name: web}\nspec:\n  scaleTargetRef: {name: web}\n  jobs:\n  - {schedule: \"0 8 1,26 * *\", targetSize: 9}\n  - {schedule: \"0 8 2,28 * *\", targetSize: 3}\n",
        "UTC",
        at("2026-11-30T00:00:00Z"),
    );
    assert_eq!(
        imported[0].difference,
        [Stretch { from: at("2026-12-02T08:00:00Z"), to: at("2026-12-03T08:00:00Z"), was: 3, would_be: 9 }],
        "towards capacity"
    );
}

#[test]
fn nesting_is_bounded_before_it_is_read() {
    let told = |text: &str| import("f.yaml", text, "UTC", NOW).1[0].to_string();
    let deep = format!("kind: CronHPA\n---\na: {}", "[".repeat(40_000));
    assert_eq!(told(&deep), "f.yaml: expected YAML with at most 1000 brackets open at once; found more");
    let many = format!("a: [{}]\n", "[{}],".repeat(2_000));
    assert!(told(&many).ends_with("found none"), "many, but not within each other: {}", told(&many));
}

#[test]
fn messages() {
    let found =
        |text: &str| -> Vec<String> { import("f.yaml", text, "UTC", NOW).1.iter().map(ToString::to_string).collect() };
    for (text, message) in [
        (
            "kind: Service",
            "f.yaml: expected a CronHorizontalPodAutoscaler, CronHPA, ScaledObject with a cron trigger, or CronJob that runs kubectl scale; found none",
        ),
        ("kind: CronHPA\nmetadata: {name: a}", "f.yaml: CronHPA default/a: spec: expected a spec; found none"),
        (
            "kind: CronHPA\nmetadata: {name: a}\nspec: {scaleTargetRef: {name: w}, jobs: [{schedule: '0 8 * * 7', targetSize: 1}, {schedule: '0 9 * * *', targetSize: 2}]}",
            "f.yaml: CronHPA default/a: spec.jobs[0].schedule: expected a day of week (0 is Sunday) from 0 to 6, as *, N, A-B, */S or A-B/S; found \"0 8 * * 7\"",
        ),
        (
            "kind: CronHPA\nmetadata: {name: a}\nspec: {scaleTargetRef: {name: w}, jobs: [{schedule: '* * * * *', targetSize: 1}, {schedule: '0 9 * * *', targetSize: 2}]}",
            "CronHPA default/a: expected jobs that hit at most 48 times a day; found * * * * *; write the window by hand",
        ),
        (
            "kind: ScaledObject\nmetadata: {name: a}\nspec: {triggers: [{type: cron, metadata: {timezone: Mars, start: '0 8 * * *', end: '0 9 * * *', desiredReplicas: '2'}}]}",
            "f.yaml: ScaledObject default/a: spec.triggers[0].metadata.timezone: expected an IANA time zone such as Europe/Berlin; found Mars",
        ),
    ] {
        assert_eq!(found(text), [message]);
    }
    assert!(found("a: [")[0].starts_with("f.yaml:"), "{:?}", found("a: ["));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_panics(text in "(kind: CronHPA|kind: ScaledObject|spec:|jobs:|\n|  |- |[a-z{}\\[\\]:,*0-9\" ]){0,30}") {
        let _ = import("x", &text, "UTC", NOW);
    }
}
