//! `forescale lint` on files with known mistakes and on files without, as a library and as a program.
//!
//! In `tests/data/lint/bad` a comment `# !RULE` ends every line that a finding must point to, and no other line has one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may fail")]

use forescale::lint::{Context, Object, RULES, Report, lint, objects, reference, sarif};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn files(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root(folder)).unwrap();
    let mut all: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    all.sort();
    assert!(!all.is_empty());
    all
}

fn context() -> Context {
    Context {
        time_zone: jiff::tz::TimeZone::get("Europe/Berlin").ok(),
        peak_replicas: vec![("big".into(), 80)],
        lead_time: None,
        now: 1_795_600_000, // 2026-11-25: Berlin is an hour ahead
    }
}

fn report(file: &Path) -> Report {
    let text = std::fs::read_to_string(file).unwrap();
    lint(&objects(&file.display().to_string(), &text).unwrap(), &context())
}

#[test]
fn every_mistake_is_found_at_its_line_and_nothing_else() {
    let mut seen = BTreeSet::new();
    for file in files("tests/data/lint/bad") {
        let text = std::fs::read_to_string(&file).unwrap();
        let mut expected: Vec<(usize, String)> = Vec::new();
        for (i, line) in text.lines().enumerate() {
            expected.extend(line.split("# !").nth(1).map(|rule| (i + 1, rule.trim().to_owned())));
        }
        let mut found: Vec<(usize, String)> =
            report(&file).findings.iter().map(|f| (f.line, f.rule.to_owned())).collect();
        if file.extension().is_some_and(|e| e == "json") {
            found.iter_mut().for_each(|(line, _)| *line = 8);
            expected.push((8, "spot-without-fallback".into()));
        }
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "{}", file.display());
        seen.extend(found.into_iter().map(|(_, rule)| rule));
    }
    let all: BTreeSet<String> = RULES.iter().map(|r| r.id.to_owned()).filter(|id| id != "budgets-too-many").collect();
    assert_eq!(seen, all, "every rule has a file that breaks it");
}

#[test]
fn what_is_right_is_left_alone_and_what_is_not_known_is_counted() {
    for file in files("tests/data/lint/good") {
        let report = report(&file);
        assert!(report.findings.is_empty(), "{:#?}", report.findings);
        assert_eq!((report.checked, report.skipped), (6, 1));
    }
}

#[test]
fn fifty_one_budgets_are_too_many() {
    let budgets: String = (0..51).map(|_| "    - {nodes: \"1\"}\n").collect();
    let text = format!(
        "apiVersion: karpenter.sh/v1\nkind: NodePool\nmetadata: {{name: a}}\nspec:\n  disruption:\n    consolidateAfter: 1m\n    budgets:\n{budgets}"
    );
    let report = lint(&objects("a.yaml", &text).unwrap(), &Context::default());
    assert_eq!(report.findings.iter().map(|f| f.rule).collect::<Vec<_>>(), ["budgets-too-many"]);
}

#[test]
fn a_broken_range_is_repaired_to_what_it_means() {
    let report = report(&root("tests/data/lint/bad/budgets.yaml"));
    let instead = |text: &str| report.findings.iter().find(|f| f.message.starts_with(text)).unwrap().instead.clone();
    assert_eq!(instead("\"0 19-7"), "schedule: \"0 19 * * *\"\nduration: 12h");
    assert_eq!(instead("\"0 9 * * 7"), "schedule: \"0 9 * * 0\"");
    assert_eq!(instead("\"0 9 * * sat-sun"), "schedule: \"0 9 * * 0,6\"");
    assert_eq!(instead("\"CRON_TZ"), "schedule: \"0 9 * * *\"");
    assert_eq!(instead("nodes: 0 is a number"), "nodes: \"0\"");
    assert_eq!(instead("reasons is Empty; expected a list"), "reasons: [Empty]");
}

#[test]
fn hours_are_said_in_both_zones() {
    let report = report(&root("tests/data/lint/bad/hours.yaml"));
    let finding = report.findings.iter().find(|f| f.rule == "budget-time-zone").unwrap();
    assert!(finding.message.contains("09:00 to 18:00 UTC, 10:00 to 19:00 there"), "{}", finding.message);
    assert!(finding.instead.starts_with("schedule: \"0 8 * * 1-5\""), "{}", finding.instead);
}

#[test]
fn a_bad_annotation_is_told_as_the_daemon_tells_it() {
    let report = report(&root("tests/data/lint/bad/annotations.yaml"));
    let said: Vec<(&str, &str)> =
        report.findings.iter().map(|f| (f.message.as_str(), f.instead.lines().next().unwrap())).collect();
    let has = |message: &str, instead: &str| said.iter().any(|(m, i)| m.starts_with(message) && i.starts_with(instead));
    assert!(
        has("forescale.dev/mode: expected observe or act; found \"atc\"", "forescale.dev/mode: 'observe'"),
        "{said:#?}"
    );
    assert!(
        has("forescale.dev/modee: expected a known annotation; found forescale.dev/modee; did you mean", "#"),
        "{said:#?}"
    );
    assert!(has("forescale.dev/min-replicas: expected at most max-replicas, which is 2; found 50", "#"), "{said:#?}");
    assert!(has("forescale.dev/max-replicas: 8 is no text", "forescale.dev/max-replicas: \"8\""), "{said:#?}");
}

#[test]
fn what_git_has_is_judged_by_what_the_cluster_says() {
    let hpa = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: web}\nspec:\n  scaleTargetRef: {kind: Deployment, name: web}\n  minReplicas: 2\n  maxReplicas: 9\n";
    let deployment = |inner: &str| {
        format!("apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n{inner}\nspec: {{replicas: 3}}\n")
    };
    let act = deployment("  annotations: {forescale.dev/mode: act}");
    // a folder of Git may be called like what a cluster gives
    let git = |text: &str| objects("cluster/web.yaml", text).unwrap();
    let cluster = |text: &str| -> Vec<Object> {
        objects("cluster/x/web", text).unwrap().into_iter().map(|object| Object { live: true, ..object }).collect()
    };
    let rules = |all: [Vec<Object>; 3]| -> Vec<&str> {
        lint(&all.concat(), &Context::default()).findings.iter().map(|f| f.rule).collect()
    };
    assert_eq!(rules([cluster(hpa), cluster(&act), vec![]]), [""; 0], "Git has neither");
    assert_eq!(rules([git(hpa), cluster(&act), vec![]]), ["min-replicas-in-git"]);
    let both = ["min-replicas-in-git", "replicas-in-git"];
    assert_eq!(BTreeSet::from_iter(rules([git(hpa), git(&deployment("")), cluster(&act)])), BTreeSet::from(both));
    assert_eq!(BTreeSet::from_iter(rules([git(hpa), git(&act), vec![]])), BTreeSet::from(both));
    assert_eq!(rules([cluster(&deployment("")), cluster(hpa), git(&deployment(""))]), ["replicas-in-git"]);
}

#[test]
fn what_is_written_and_in_the_cluster_counts_once() {
    let text = |pods: u32| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec: {{replicas: 3}}\n---\napiVersion: v1\nkind: ResourceQuota\nmetadata: {{name: q}}\nspec: {{hard: {{pods: \"{pods}\"}}}}\n"
        )
    };
    let context = Context { peak_replicas: vec![("web".into(), 20)], ..Context::default() };
    let found = |written: u32, live: u32| {
        let live = objects("cluster", &text(live)).unwrap().into_iter().map(|object| Object { live: true, ..object });
        let all: Vec<Object> = objects("web.yaml", &text(written)).unwrap().into_iter().chain(live).collect();
        lint(&all, &context).findings.iter().filter(|f| f.rule == "quota-below-peak").count()
    };
    assert_eq!(found(30, 30), 0, "20 pods, not 40");
    assert_eq!(found(30, 10), 0, "the quota will be what is written");
    assert_eq!(found(10, 30), 1);
}

#[test]
fn a_pod_asks_for_what_the_scheduler_counts() {
    // ten pods against a quota: the largest number of cores a pod that still fits, found by asking
    let asks = |spec: &str, range: &str| {
        let fits = |tenths: u32| {
            let text = format!(
                "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec: {{template: {{spec: {spec}}}}}\n---\napiVersion: v1\nkind: LimitRange\nmetadata: {{name: r}}\nspec: {{limits: [{{type: Container, {range}}}]}}\n---\napiVersion: v1\nkind: ResourceQuota\nmetadata: {{name: q}}\nspec: {{hard: {{requests.cpu: {tenths}}}}}\n"
            );
            let context = Context { peak_replicas: vec![("web".into(), 10)], ..Context::default() };
            let findings = lint(&objects("a.yaml", &text).unwrap(), &context).findings;
            !findings.iter().any(|f| f.rule == "quota-below-peak")
        };
        (0..100).find(|tenths| fits(*tenths)).map(|tenths| f64::from(tenths) / 10.0)
    };
    let cpu = |cores: &str| format!("resources: {{requests: {{cpu: \"{cores}\"}}}}");
    let two = format!("containers: [{{{}}}, {{{}}}]", cpu("0.5"), cpu("0.2"));
    let first = format!("initContainers: [{{{}}}]", cpu("0.9"));
    let always = format!("{{restartPolicy: Always, {}}}", cpu("0.3"));
    let none = "max: {memory: 1Gi}";
    assert_eq!(asks(&format!("{{{two}}}"), none), Some(0.7));
    assert_eq!(asks(&format!("{{{first}, {two}}}"), none), Some(0.9), "one after the other");
    assert_eq!(asks(&format!("{{initContainers: [{always}], {two}}}"), none), Some(1.0), "beside them");
    let after = format!("{{initContainers: [{always}, {{{}}}], {two}}}", cpu("0.9"));
    assert_eq!(asks(&after, none), Some(1.2), "an init container runs beside what was started before it");
    assert_eq!(asks(&format!("{{{}, {two}}}", cpu("2")), none), Some(2.0), "the pod as a whole");
    let silent = format!("{{containers: [{{name: a}}, {{{}}}]}}", cpu("0.2"));
    let limit = "resources: {limits: {cpu: \"4\"}}";
    assert_eq!(
        asks(&format!("{{{limit}, {two}}}"), none),
        Some(0.7),
        "a limit as a whole is no request where containers ask"
    );
    assert_eq!(asks(&format!("{{{limit}, containers: [{{name: a}}, {{{}}}]}}", cpu("0.2")), none), Some(0.2));
    assert_eq!(asks(&format!("{{{limit}, containers: [{{name: a}}]}}"), none), Some(4.0));
    assert_eq!(asks(&silent, none), Some(0.0), "not known");
    assert_eq!(asks(&silent, "defaultRequest: {cpu: 100m}, default: {cpu: 1}"), Some(0.3));
    assert_eq!(asks(&silent, "max: {cpu: 1}"), Some(1.2));
}

#[test]
fn what_names_no_namespace_may_go_to_any() {
    let rules = |metadata: &str, peaks: &[(&str, u32)]| -> Vec<&str> {
        let text = format!(
            "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {metadata}\nspec: {{maxReplicas: 5, scaleTargetRef: {{kind: Deployment, name: web}}}}\n"
        );
        let peak_replicas = peaks.iter().map(|(name, peak)| ((*name).to_owned(), *peak)).collect();
        let context = Context { peak_replicas, ..Context::default() };
        lint(&objects("a.yaml", &text).unwrap(), &context).findings.iter().map(|f| f.rule).collect()
    };
    let below = ["max-replicas-below-peak"];
    let (anywhere, shop) = ("{name: web}", "{name: web, namespace: shop}");
    assert_eq!(rules(anywhere, &[("shop/web", 80)]), below);
    assert_eq!(rules(anywhere, &[("shop/other", 80)]), [""; 0]);
    assert_eq!(rules(anywhere, &[("*", 5), ("web", 5), ("shop/web", 80)]), below, "what says most goes first");
    assert_eq!(rules(anywhere, &[("shop/web", 80), ("default/web", 5)]), [""; 0]);
    assert_eq!(rules(shop, &[("shop/web", 80)]), below);
    assert_eq!(rules(shop, &[("other/web", 80)]), [""; 0]);
}

#[test]
fn helm_is_spoken_of_where_a_template_is() {
    let help = |text: &str| objects("f.yaml", text).unwrap_err().help;
    assert_eq!(help("kind: Pod\nkind: Pod\n"), "");
    let template = help("{{- if .Values.web }}\nkind: Pod\n{{- end }}\n");
    assert!(template.contains("helm template"), "{template}");
}

#[test]
fn a_schedule_that_the_api_refuses_is_said_to_be_refused() {
    let report = report(&root("tests/data/lint/bad/budgets.yaml"));
    let happens = |text: &str| report.findings.iter().find(|f| f.message.starts_with(text)).unwrap().happens;
    assert!(happens("\"@every 1h\"").contains("refuses"));
    assert!(happens("\"@daily junk\"").contains("disrupts nothing"));
}

#[test]
fn nesting_is_bounded_before_it_is_read() {
    let read = |text: &str| forescale::lint::objects("f.yaml", text).map(|o| o.len()).map_err(|e| e.to_string());
    let (found, flow) = (read(&"- ".repeat(1_000_000)), read(&"[".repeat(1_000_000)));
    assert_eq!(found, Err("f.yaml:1:501: expected YAML nested at most 250 deep; found more".into()));
    assert!(flow.is_err(), "{flow:?}");
    assert_eq!(read(&format!("a:\n{}", "- [[]]\n".repeat(3_000))), Ok(1), "many, but not within each other");
}

#[test]
fn keda_allows_a_hundred_replicas_where_nobody_says() {
    let text =
        "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: a}\nspec:\n  scaleTargetRef: {name: a}\n";
    let said = |peak: u32| {
        let context = Context { peak_replicas: vec![("*".into(), peak)], ..Context::default() };
        let report = lint(&objects("a.yaml", text).unwrap(), &context);
        report.findings.into_iter().map(|f| (f.rule, f.instead)).collect::<Vec<_>>()
    };
    assert_eq!(said(100), []);
    assert_eq!(said(101), [("max-replicas-below-peak", "maxReplicaCount: 101".to_owned())]);
}

#[test]
fn what_is_gone_is_counted_and_has_a_successor_of_its_own_kind() {
    let report = report(&root("tests/data/lint/bad/removed.yaml"));
    assert_eq!((report.checked, report.skipped), (12, 3));
    let instead = |object: &str| report.findings.iter().find(|f| f.object == object).unwrap().instead.clone();
    assert_eq!(instead("AWSNodeTemplate template"), "apiVersion: karpenter.k8s.aws/v1\nkind: EC2NodeClass");
    assert_eq!(instead("EC2NodeClass class"), "apiVersion: karpenter.k8s.aws/v1\nkind: EC2NodeClass");
    assert_eq!(instead("NodeClaim claim"), "apiVersion: karpenter.sh/v1\nkind: NodeClaim");
    assert_eq!(instead("CronJob ancient"), "apiVersion: batch/v1\nkind: CronJob");
    assert!(instead("Provisioner old").starts_with("apiVersion: karpenter.sh/v1\nkind: NodePool\nspec:"));
}

/// The parts of the SARIF 2.1.0 schema that a viewer relies on.
/// What a value breaks of a JSON schema of draft 7: the keywords that SARIF's schema uses, but for `pattern` and `format`.
fn breaks(schema: &Value, value: &Value, root: &Value, at: &str) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        return breaks(root.pointer(&reference[1..]).unwrap(), value, root, at);
    }
    let mut found = Vec::new();
    let mut expect = |holds: bool, what: &str| {
        if !holds {
            found.push(format!("{at}: {what}: {value}"));
        }
    };
    if let Some(kind) = schema["type"].as_str() {
        let is = match kind {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            other => panic!("type {other}"),
        };
        expect(is, kind);
    }
    let bound = |key: &str| schema[key].as_f64().zip(value.as_f64());
    expect(bound("minimum").is_none_or(|(least, v)| v >= least), "minimum");
    expect(bound("maximum").is_none_or(|(most, v)| v <= most), "maximum");
    expect(schema["enum"].as_array().is_none_or(|all| all.contains(value)), "enum");
    for key in schema["required"].as_array().into_iter().flatten() {
        expect(value.get(key.as_str().unwrap()).is_some(), &format!("required {key}"));
    }
    let items = value.as_array();
    let least = schema["minItems"].as_u64().unwrap_or(0);
    expect(items.is_none_or(|all| all.len() as u64 >= least), "minItems");
    let unique = |all: &Vec<Value>| (1..all.len()).all(|i| !all[..i].contains(&all[i]));
    expect(schema["uniqueItems"] != true || items.is_none_or(unique), "uniqueItems");
    let admits = |of: &&Value| breaks(of, value, root, at).is_empty();
    expect(schema["anyOf"].as_array().is_none_or(|all| all.iter().any(|of| admits(&of))), "anyOf");
    expect(schema["oneOf"].as_array().is_none_or(|all| all.iter().filter(admits).count() == 1), "oneOf");
    for (key, inner) in value.as_object().into_iter().flatten() {
        let place = format!("{at}/{key}");
        match (schema["properties"].get(key), &schema["additionalProperties"]) {
            (Some(known), _) => found.extend(breaks(known, inner, root, &place)),
            (None, Value::Bool(false)) => found.push(format!("{place}: no such property")),
            (None, other @ Value::Object(_)) => found.extend(breaks(other, inner, root, &place)),
            (None, _) => {}
        }
    }
    if let (Some(all), of @ Value::Object(_)) = (items, &schema["items"]) {
        found.extend(all.iter().enumerate().flat_map(|(i, item)| breaks(of, item, root, &format!("{at}/{i}"))));
    }
    found
}

#[test]
fn sarif_is_what_its_schema_says() {
    let mut text = String::new();
    let file = std::fs::File::open(root("tests/data/sarif-2.1.0.schema.json.gz")).unwrap();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    for file in files("tests/data/lint/bad") {
        let log = sarif(&report(&file), "1.2.3");
        let broken = breaks(&schema, &log, &schema, "");
        assert!(broken.is_empty(), "{}: {broken:#?}", file.display());
        // and the check can fail
        for (place, wrong) in
            [("/runs/0/results/0/level", "fatal"), ("/version", "2.0"), ("/runs/0/columnKind", "bytes")]
        {
            let mut log = log.clone();
            *log.pointer_mut(place).unwrap() = wrong.into();
            assert!(!breaks(&schema, &log, &schema, "").is_empty(), "{place}");
        }
    }
}

#[test]
fn sarif_is_as_its_standard_has_it() {
    let log = sarif(&report(&root("tests/data/lint/bad/together.yaml")), "1.2.3");
    assert_eq!(log["version"], "2.1.0");
    assert!(log["$schema"].as_str().unwrap().ends_with("sarif-2.1.0.json"));
    let runs = log["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 1);
    let driver = &runs[0]["tool"]["driver"];
    assert_eq!((driver["name"].as_str(), driver["version"].as_str()), (Some("forescale"), Some("1.2.3")));
    let rules = driver["rules"].as_array().unwrap();
    let ids: BTreeSet<&str> = rules.iter().map(|r| r["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), rules.len(), "ids are unique");
    for rule in rules {
        assert!(rule["shortDescription"]["text"].is_string() && rule["fullDescription"]["text"].is_string());
        assert!(["warning", "error"].contains(&rule["defaultConfiguration"]["level"].as_str().unwrap()));
    }
    let results = runs[0]["results"].as_array().unwrap();
    assert!(results.len() > 10);
    for result in results {
        let index = result["ruleIndex"].as_u64().unwrap() as usize;
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        assert!(["none", "note", "warning", "error"].contains(&result["level"].as_str().unwrap()));
        let place = &result["locations"][0]["physicalLocation"];
        assert!(place["artifactLocation"]["uri"].is_string());
        assert!(place["region"]["startLine"].as_u64().unwrap() >= 1);
        assert!(place["region"]["startColumn"].as_u64().unwrap() >= 1);
    }
}

#[test]
fn the_reference_is_up_to_date() {
    let path = root("docs/lint.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, reference()).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == reference(), "docs/lint.md is stale: UPDATE=1 cargo test --test lint");
}

#[test]
fn exit_codes_tell_clean_findings_and_unreadable_apart() {
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_forescale"))
            .arg("lint")
            .args(args)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, text, _) = run(&["tests/data/lint/good/all.yaml"]);
    assert_eq!((code, text.as_str()), (Some(0), "0 findings in 6 objects; 1 of other kinds skipped\n"));
    let (code, text, _) = run(&["tests/data/lint/bad/budgets.yaml"]);
    assert_eq!(code, Some(1));
    assert!(
        text.contains("tests/data/lint/bad/budgets.yaml:6:11: error [weight-range] NodePool web spec.weight"),
        "{text}"
    );
    assert!(text.contains("at run time:") && text.contains("instead:"), "{text}");
    assert_eq!(run(&[]).0, Some(2));
    assert_eq!(run(&["no-such-file.yaml"]).0, Some(2));
    // its objects name no namespace
    let good = ["*=3", "web=3", "default/web=3", "shop/web=3", "3"].map(|peak| (peak, 0));
    let wrong = ["webb=3", "default/webb=3", "shop/webb=3"].map(|peak| (peak, 2));
    for (peak, code) in good.into_iter().chain(wrong) {
        let (found, _, error) = run(&["tests/data/lint/good/all.yaml", "--peak-replicas", peak]);
        assert_eq!(found, Some(code), "{peak}: {error}");
        assert_eq!(error.contains("found") && error.contains("web?"), code == 2, "{error}");
    }
    for (peak, code) in [("warm/batch=3", 1), ("shop/batch=3", 2)] {
        let (found, _, error) = run(&["tests/data/lint/bad/placeholders.yaml", "--peak-replicas", peak]);
        assert_eq!(found, Some(code), "{peak}: {error}");
    }
    let (code, _, error) = run(&["tests/data/lint/broken.txt", "--json"]);
    assert_eq!(code, Some(2), "{error}");
    let (code, text, _) = run(&["--json", "tests/data/lint/bad/spot.json"]);
    assert_eq!(code, Some(1));
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["findings"][0]["rule"], "spot-without-fallback");
}
