use super::*;

fn load(text: &str) -> Result<Config, Vec<Problem>> {
    Config::assemble(Some(("forescale.toml", text)), [], &[])
}

fn problems(text: &str) -> Vec<String> {
    load(text).err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

#[test]
fn the_defaults_are_a_configuration() {
    let config = Config::assemble(None, [], &[]).unwrap();
    assert_eq!(config.mode, Mode::Observe);
    assert_eq!(config.workloads.lead_time, LeadTime(Duration::from_secs(180)));
    assert_eq!(config.workloads.unserved_budget, 0.001);
    assert_eq!(config.workloads.history, Duration::from_secs(14 * 86_400));
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert!(config.sources.is_empty());
    assert!(config.queries.cpu.text().contains("container_cpu_usage_seconds_total"));
    assert_eq!(config.decision_log, DecisionLog { path: None, size_max: 256 << 20 });
}

#[test]
fn later_layers_win() {
    let file = "mode = \"act\"\n[workloads]\nlead_time = \"5m\"\nstep = \"30s\"\n[sources.main]\nkind = \"prometheus\"\nurl = \"http://p:9090/\"\n";
    let env = [("FORESCALE__WORKLOADS__LEAD_TIME", "7m"), ("FORESCALE__LIMITS__WORKLOADS", "5"), ("FORESCALE_X", "y")]
        .map(|(k, v)| (k.to_string(), v.to_string()));
    let flags = ["limits.workloads=6".to_string(), "sources.main.enforce_namespace=false".to_string()];
    let config = Config::assemble(Some(("f", file)), env, &flags).unwrap();
    assert_eq!(config.mode, Mode::Act);
    assert_eq!(config.workloads.lead_time, LeadTime(Duration::from_secs(420)));
    assert_eq!(config.workloads.step.secs(), 30);
    assert_eq!(config.limits.workloads, 6);
    assert_eq!(config.workloads.source.as_deref(), Some("main"), "the only one");
    let main = &config.sources["main"];
    assert_eq!(main.timeout, Duration::from_secs(10));
    let SourceKind::Prometheus(prometheus) = &main.kind else { panic!("{main:?}") };
    assert_eq!(prometheus.url, "http://p:9090", "compared without a trailing slash");
    assert!(!prometheus.enforce_namespace);
}

#[test]
fn all_mistakes_are_reported_at_once_with_their_lines() {
    let text = r#"mod = "act"
[workloads]
lead_time = "soon"
unserved_budget = "100%"
step = 60
time_zone = "Mars/Phobos"
[sources.main]
kind = "prometheus"
urll = "http://p"
region = "eu"
[limits]
workloads = 0
[queries]
cpu = 'sum(x{pod=~"{pod}"})'
[queries.metrics.rps]
source = "mian"
"#;
    assert_eq!(
        problems(text),
        [
            "forescale.toml:1: mod: expected a known key; found mod; did you mean mode?",
            "forescale.toml:3: workloads.lead_time: expected a duration such as \"3m\", from 1s to 1d; found \"soon\"; for example workloads.lead_time = \"3m\"",
            "forescale.toml:4: workloads.unserved_budget: expected a share between 0 and 1, such as \"0.1%\" or 0.001, above 0.01 with its sign, such as \"10%\"; found \"100%\"; for example workloads.unserved_budget = \"0.1%\"",
            "forescale.toml:5: workloads.step: expected a duration such as \"3m\", from 1s to 1h; found 60; for example workloads.step = \"1m\"",
            "forescale.toml:6: workloads.time_zone: expected an IANA time zone such as \"Europe/Berlin\"; found \"Mars/Phobos\"; for example workloads.time_zone = \"Europe/Berlin\"",
            "forescale.toml:9: sources.main.urll: expected a known key; found sources.main.urll; did you mean sources.main.url?",
            "forescale.toml:12: limits.workloads: expected a whole number from 1 to 100000; found 0; for example limits.workloads = 1000",
            "forescale.toml:14: queries.cpu: expected a query whose placeholders are among {namespace} {workload} {pods} {container} {metric} {object} {labels}; found \"sum(x{pod=~\\\"{pod}\\\"})\"; for example queries.cpu = 'sum(rate(my_cpu_seconds{namespace=\"{namespace}\",pod=~\"{pods}\"}[2m]))'",
            "forescale.toml:10: sources.main.region: expected a key of kind prometheus; found a key of kind cloudwatch; remove it",
            "forescale.toml:7: sources.main: expected a url; found none; for example url = \"http://prometheus.monitoring:9090\"",
            "forescale.toml:16: queries.metrics.rps.source: expected the name of a configured source; found mian; did you mean main?",
            "forescale.toml:16: queries.metrics.rps: expected a query; found a source alone",
        ]
    );
}

#[test]
fn broken_toml_says_the_line() {
    let found = problems("mode = \"act\"\n[workloads\nlead_time = 3m\n");
    assert!(found.iter().any(|p| p.starts_with("forescale.toml:2: expected TOML")), "{found:?}");
    assert!(found.iter().any(|p| p.starts_with("forescale.toml:3")), "{found:?}");
    let found = problems("mode = \n[[[\nstepp = 1");
    assert!(found.iter().all(|p| p.contains("expected TOML") || p.contains("stepp")), "nothing made up: {found:?}");
}

#[test]
fn a_bare_budget_that_may_be_meant_in_percent_is_refused() {
    let budget = |value| load(&format!("workloads.unserved_budget = {value}")).map(|c| c.workloads.unserved_budget);
    for (value, share) in [("0.001", 0.001), ("0.01", 0.01), ("\"0.1%\"", 0.001), ("\"10%\"", 0.1)] {
        assert!(budget(value).is_ok_and(|b| (b - share).abs() < 1e-12), "{value}");
    }
    for value in ["0.1", "0.02", "\"0.1\"", "1", "0.0", "-0.001", "nan"] {
        let found = budget(value).unwrap_err();
        assert!(
            found.iter().any(|p| p.to_string().contains("workloads.unserved_budget: expected a share")),
            "{found:?}"
        );
    }
}

#[test]
fn credentials_are_never_in_a_url_or_given_twice() {
    let found = problems(
        "[sources.a]\nkind = \"prometheus\"\nurl = \"http://u:p@h\"\n[sources.b]\nkind = \"prometheus\"\nurl = \"http://h\"\nbearer_token_file = \"/t\"\nbasic_auth = 1\n[sources.b2]\nkind = \"prometheus\"\nurl = \"http://h\"\nbearer_token_file = \"/t\"\nbasic_auth.user = \"u\"\nbasic_auth.password_file = \"/p\"\n",
    );
    assert!(
        found.iter().any(|p| p.contains(":3: sources.a.url: expected a URL without user and password")),
        "{found:#?}"
    );
    assert!(found.iter().all(|p| !p.contains("u:p")), "what is wrong is said without the password: {found:#?}");
    assert!(
        found.iter().any(|p| p.contains(":8: sources.b.basic_auth: expected a table; found integer")),
        "{found:#?}"
    );
    assert!(found.iter().any(|p| p.contains(":12: sources.b2.bearer_token_file: expected one way")), "{found:#?}");
}

#[test]
fn environment_and_flags_have_places_too() {
    let env = [("FORESCALE__WORKLOADS__LEADTIME".to_string(), "5m".to_string())];
    let found = Config::assemble(None, env, &["limits".into(), "limits.workloads=many".into()]).unwrap_err();
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "environment FORESCALE__WORKLOADS__LEADTIME: workloads.leadtime: expected a known key; found workloads.leadtime; did you mean workloads.lead_time?",
            "--set: expected KEY=VALUE; found limits",
            "--set limits.workloads: limits.workloads: expected a whole number from 1 to 100000; found \"many\"; for example limits.workloads = 1000",
        ]
    );
}

#[test]
fn a_file_that_cannot_be_read_says_so() {
    let found = Config::load(Some(Path::new("/nonexistent/f.toml")), [], &[]).unwrap_err();
    assert!(found[0].to_string().starts_with("/nonexistent/f.toml: expected a readable TOML file"), "{found:?}");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]

    #[test]
    fn any_text_gives_a_configuration_or_bounded_problems(text in "[a-z\\[\\]={}\"'\n._ 0-9%\u{e4}-]{0,200}") {
        if let Err(problems) = load(&text) {
            proptest::prop_assert!(!problems.is_empty() && problems.len() <= 100);
        }
    }
}

#[test]
fn pools_and_all_that_is_wrong_with_them_at_once() {
    let good = "[pools.web]\nselector = \"team=shop, tier==front\"\nwaiting_cost = 99\nslot_cost = 1\nzones = \"a, b\"\n\
                lost_zone_reserve = true\nbackend = \"placeholders\"\n";
    let config = Config::assemble(Some(("f.toml", good)), [], &[]).unwrap();
    let pool = &config.pools["web"];
    assert_eq!((pool.objective, pool.max_slots, pool.gang_size), (0.99, 100, 1));
    assert_eq!(pool.lead_time, Duration::from_secs(180));
    assert_eq!(pool.zones, ["a", "b"]);
    assert_eq!(pool.selector.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>(), ["team=shop", "tier=front"]);
    assert_eq!(pool.backend, BackendChoice::Placeholders);
    assert!(Config::assemble(None, [], &[]).unwrap().pools.is_empty());

    let source = "[sources.main]\nkind = \"prometheus\"\nurl = \"http://p:9090\"\n";
    let queue = "[pools.gpu]\narrivals = \"sum(x)\"\npod_template = \"batch/worker\"\ngang_size = 8\n";
    let config = Config::assemble(Some(("f.toml", &format!("{source}{queue}"))), [], &[]).unwrap();
    let of = config.pools["gpu"].queue.as_ref().unwrap();
    assert_eq!((of.source.as_str(), &of.template), ("main", &("batch".to_owned(), "worker".to_owned())));
    let places = |text: &str| {
        let problems = Config::assemble(Some(("f.toml", text)), [], &[]).unwrap_err();
        problems.into_iter().map(|p| p.at).collect::<Vec<_>>()
    };
    assert_eq!(places(queue), ["f.toml:1: pools.gpu.source"], "there is no source at all");
    assert_eq!(places("[pools.gpu]\narrivals = \"sum(x)\"\n"), ["f.toml:2: pools.gpu.arrivals"]);
    let odd = format!("{source}{queue}selector = \"a=b\"\nsource = \"other\"\n").replace("batch/", "");
    let odd = places(&odd);
    for key in ["pod_template", "selector", "source"] {
        assert!(odd.iter().any(|at| at.ends_with(&format!("pools.gpu.{key}"))), "{key} in {odd:?}");
    }

    let bad = "[pools.Web]\nselector = \"team\"\nwaiting_cost = 9\nlost_zone_reserve = true\ngang_topology = \"rack\"\n\
               max_slots = 0\n";
    let problems = Config::assemble(Some(("f.toml", bad)), [], &[]).unwrap_err();
    let at: Vec<&str> = problems.iter().map(|p| p.at.as_str()).collect();
    for place in [
        "f.toml:1: pools.Web",
        "f.toml:2: pools.Web.selector",
        "f.toml:3: pools.Web.waiting_cost",
        "f.toml:4: pools.Web.lost_zone_reserve",
        "f.toml:5: pools.Web.gang_topology",
        "f.toml:6: pools.Web.max_slots",
    ] {
        assert!(at.contains(&place), "{place} in {at:?}");
    }
}
