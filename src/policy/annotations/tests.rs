use super::*;
use proptest::prelude::*;

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| (format!("{PREFIX}{k}"), v.to_string())).collect()
}

fn parse(pairs: &[(&str, &str)]) -> Result<Option<Annotations>, Vec<String>> {
    Annotations::parse("Deployment shop/web", &map(pairs)).map_err(|all| all.iter().map(ToString::to_string).collect())
}

fn only(pairs: &[(&str, &str)]) -> String {
    let problems = parse(pairs).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems[0].clone()
}

/// `UPDATE=1 cargo test annotations` writes the file anew.
#[test]
fn the_committed_page_is_current() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/annotations.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, reference()).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == reference(), "docs/annotations.md is stale: UPDATE=1 cargo test annotations");
}

#[test]
fn every_example_is_accepted() {
    let all: Vec<(&str, &str)> = ANNOTATIONS.iter().map(|a| (a.name, a.example)).collect();
    let parsed = parse(&all).unwrap().unwrap();
    assert_eq!(parsed.lead_time, Some(LeadTime(Duration::from_secs(90))));
    assert_eq!((parsed.unserved_budget, parsed.miss_cost), (Some(0.0005), Some(150.0)));
    assert_eq!((parsed.min_replicas, parsed.max_replicas), (Some(2), Some(50)));
}

#[test]
fn without_mode_nothing_is_opted_in() {
    assert_eq!(parse(&[]), Ok(None));
    assert_eq!(parse(&[("lead-time", "3m")]), Ok(None));
    let others = BTreeMap::from([("example.com/mode".to_string(), "act".to_string())]);
    assert_eq!(Annotations::parse("x", &others), Ok(None));
}

#[test]
fn messages() {
    let at = "Deployment shop/web: annotation forescale.dev/";
    for (pairs, message) in [
        (&[("mode", "on")][..], "mode: expected observe or act; found \"on\"; for example observe"),
        (
            &[("costs", "6/0.04")],
            "costs: expected two costs above 0, the second from 1 to 100000 times the first, such as 0.04/6; found \"6/0.04\"; for example 0.04/6",
        ),
        (
            &[("mod", "act")],
            "mod: expected a known annotation; found forescale.dev/mod; did you mean forescale.dev/mode?",
        ),
        (
            &[("zzz", "1")],
            "zzz: expected a known annotation; found forescale.dev/zzz; docs/annotations.md lists them all",
        ),
        (
            &[("mode", "act"), ("min-replicas", "9"), ("max-replicas", "3")],
            "min-replicas: expected at most max-replicas, which is 3; found 9",
        ),
        (
            &[("mode", "act"), ("max-replicas", "1000000000")],
            "max-replicas: expected a whole number from 1 to 100000; found \"1000000000\"; for example 50",
        ),
        (
            &[("mode", "act"), ("lead-time", "0")],
            "lead-time: expected a duration such as 90s or 3m, from 1s to 1d; found \"0\"; for example 90s",
        ),
        (
            &[("mode", "act"), ("unserved-budget", "0")],
            "unserved-budget: expected a share between 0% and 100%, both excluded, such as 0.1%; found \"0\"; for example 0.05%",
        ),
        (
            &[("mode", "act"), ("unserved-budget", "100%")],
            "unserved-budget: expected a share between 0% and 100%, both excluded, such as 0.1%; found \"100%\"; for example 0.05%",
        ),
        (
            &[("mode", "act"), ("unserved-budget", "0.1")],
            "unserved-budget: expected a percent sign after a share above 0.01, such as 0.1%; found \"0.1\"; for example 0.05%",
        ),
        (
            &[("mode", "act"), ("lead-time", "3")],
            "lead-time: expected a duration such as 90s or 3m, from 1s to 1d; found \"3\"; for example 90s",
        ),
        (
            &[("mode", "act"), ("time-zone", "CEST+1")],
            "time-zone: expected an IANA time zone such as Europe/Berlin; found \"CEST+1\"; for example Europe/Berlin",
        ),
        (
            &[("mode", "act"), ("capacity-per-replica", "-3")],
            "capacity-per-replica: expected a quantity above 0, such as 120 or 500m, or auto; found \"-3\"; for example 120",
        ),
        (
            &[("mode", "act"), ("load-query", "sum(x)")],
            "load-query: expected forescale.dev/capacity-per-replica beside it; found none; give the load that one replica serves, such as forescale.dev/capacity-per-replica: \"120\"",
        ),
        (
            &[("mode", "act"), ("hold", "20 for 2h")],
            "hold: expected <replicas from 1 to 100000> until <RFC 3339 time>; found \"20 for 2h\"; for example 20 until 2026-11-24T18:00:00Z",
        ),
        (&[("mode", "act"), ("source", "")], "source: expected a value; found \"\"; for example main"),
    ] {
        assert_eq!(only(pairs), format!("{at}{message}"));
    }
}

#[test]
fn a_megabyte_is_refused_and_not_repeated() {
    let huge = "x".repeat(1 << 20);
    let message = only(&[("mode", "act"), ("load-query", &huge), ("capacity-per-replica", "1")]);
    assert!(message.contains("expected at most 4096 bytes"), "{message}");
    assert!(message.len() < 500, "{} bytes", message.len());
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let problems = parse(&[("mode", "x"), ("lead-time", "y"), ("min-replicas", "-1"), ("lead-tme", "3m")]).unwrap_err();
    assert_eq!(problems.len(), 4, "{problems:#?}");
}

#[test]
fn the_users_floor_is_the_original_only_while_ours_stands() {
    let with = |text: &str| BTreeMap::from([(LEDGER.to_string(), text.to_string())]);
    let ledger = with(r#"{"original":2,"floor":8,"reason":"forecast","expires":"2026-11-24T08:15:00Z"}"#);
    assert_eq!(own_floor("x", &ledger, Some(8)), Ok(Some(2)));
    assert_eq!(own_floor("x", &ledger, Some(5)), Ok(Some(5)), "edited by hand meanwhile");
    assert_eq!(own_floor("x", &with(r#"{"original":null,"floor":8}"#), Some(8)), Ok(None));
    assert_eq!(own_floor("x", &BTreeMap::new(), Some(5)), Ok(Some(5)));
    assert!(own_floor("x", &with("{"), Some(5)).is_err());
}

proptest! {
    #[test]
    fn any_annotations_give_a_policy_or_problems(
        pairs in proptest::collection::btree_map(
            proptest::sample::select(ANNOTATIONS.iter().map(|a| a.name).chain(["modus"]).collect::<Vec<_>>()),
            "\\PC{0,20}|[0-9]{1,12}[a-z%]{0,2}", 0..6)
    ) {
        let all: BTreeMap<String, String> = pairs.into_iter().map(|(k, v)| (format!("{PREFIX}{k}"), v)).collect();
        match Annotations::parse("x", &all) {
            Ok(Some(a)) => {
                prop_assert!(a.unserved_budget.is_none_or(|b| b > 0.0 && b < 1.0));
                let usable = match a.capacity_per_replica {
                    Some(GivenCapacity::Load(load)) => load > 0.0 && load.is_finite(),
                    Some(GivenCapacity::Learned) | None => true,
                };
                prop_assert!(usable);
                prop_assert!(a.max_replicas.is_none_or(|m| (1..=MAX_REPLICAS).contains(&m)));
            }
            Ok(None) => prop_assert!(!all.contains_key("forescale.dev/mode")),
            Err(problems) => prop_assert!(!problems.is_empty()),
        }
    }
}
