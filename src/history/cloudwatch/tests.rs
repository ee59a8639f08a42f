//! The spec language: what is read, and what is refused with which words.

use super::spec::{Amount, Shape, Spec};
use std::time::Duration;

fn parse(text: &str) -> Spec {
    Spec::parse(text, "load-query").unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn error(text: &str) -> String {
    match Spec::parse(text, "load-query") {
        Ok(spec) => panic!("{text} was read as {spec:?}"),
        Err(problem) => problem.to_string(),
    }
}

#[test]
fn a_metric_with_all_its_parts() {
    let spec =
        parse(r#"AWS/ApplicationELB RequestCount{LoadBalancer="app/x/123", TargetGroup="tg/y"} Sum 1m delay 3m"#);
    let Shape::Metric(metric) = &spec.shape else { panic!("{spec:?}") };
    assert_eq!((metric.namespace.as_str(), metric.name.as_str()), ("AWS/ApplicationELB", "RequestCount"));
    assert_eq!(metric.dimensions[1], ("TargetGroup".into(), "tg/y".into()));
    assert_eq!((metric.stat.as_str(), metric.period_seconds), ("Sum", 60));
    assert_eq!((spec.amount, spec.delay), (Amount::Rate, Some(Duration::from_secs(180))));
    let own = parse(r#""My App" "jobs in"{"queue name"="a \"b\" \\c"} SampleCount 10s"#);
    let Shape::Metric(metric) = &own.shape else { panic!("{own:?}") };
    assert_eq!(metric.dimensions, [("queue name".to_owned(), r#"a "b" \c"#.to_owned())]);
}

#[test]
fn what_the_values_are_follows_from_statistic_and_metric() {
    for (text, amount) in [
        (r#"AWS/SQS NumberOfMessagesSent{QueueName="q"} Sum 60s"#, Amount::Rate),
        (r#"AWS/SQS ApproximateNumberOfMessagesVisible{QueueName="q"} Average 60s"#, Amount::Level),
        (r#"AWS/ApplicationELB ActiveConnectionCount{LoadBalancer="app/x/1"} Sum 60s"#, Amount::Level),
        (r#"AWS/ApplicationELB TargetResponseTime{LoadBalancer="app/x/1"} SampleCount 60s"#, Amount::Rate),
        (
            r#"ContainerInsights pod_cpu_usage_total{ClusterName="c",Namespace="n",PodName="web"} Sum 60s"#,
            Amount::Level,
        ),
        ("App Sessions Maximum 5m", Amount::Level),
        ("App Sessions p99.9 5m", Amount::Level),
        ("App Sessions Sum 60s level", Amount::Level),
        ("a + b where a = App A Sum 60s; b = App B Sum 60s", Amount::Rate),
        ("(a+b)/PERIOD(a) where a = App A Sum 60s; b = App B Sum 60s", Amount::Level),
        ("a * b where a = App Busy Average 60s; b = App Pods Average 60s delay 1m", Amount::Level),
        ("FILL(a, 0) where a = App A Sum 60s level", Amount::Level),
        (r#"IF(a > 3, a, 0) where a = App "where it is"{x="y where z"} Sum 60s"#, Amount::Rate),
    ] {
        assert_eq!(parse(text).amount, amount, "{text}");
    }
}

#[test]
fn slips_are_named() {
    for (text, says) in [
        (
            r#"AWS/ApplicationELB RequestCount{LoadBalncer="app/x/123"} Sum 60s"#,
            "expected a dimension of AWS/ApplicationELB: LoadBalancer, TargetGroup, AvailabilityZone; found LoadBalncer; \
             did you mean LoadBalancer?",
        ),
        (r#"AWS/SQS NumberOfMessagesSent{queuename="q"} Sum 60s"#, "did you mean QueueName?"),
        (r#"AWS/SQS NumberOfMesagesSent{QueueName="q"} Sum 60s"#, "did you mean NumberOfMessagesSent?"),
        (r#"AWS/AplicationELB RequestCount{LoadBalancer="x"} Sum 60s"#, "did you mean AWS/ApplicationELB?"),
        (r#"aws/sqs NumberOfMessagesSent{QueueName="q"} Sum 60s"#, "did you mean AWS/SQS?"),
        (r#"AWS/SQS NumberOfMessagesSent{QueueName="q"} sum 60s"#, "did you mean Sum?"),
        (r#"AWS/SQS NumberOfMessagesSent{QueueName="q"} p101 60s"#, "expected a statistic"),
        ("AWS/SQS NumberOfMessagesSent Sum 60s", "expected the dimension QueueName=\"…\""),
        ("App Jobs Sum 60s levl", "did you mean level?"),
        ("App Jobs Sum 60s delay 2d", "expected a delay of 0s to 1h"),
    ] {
        assert!(error(text).contains(says), "{text} gave {}", error(text));
    }
}

#[test]
fn the_place_is_the_character() {
    assert!(error("App Jobs Sum").starts_with("load-query, character 13: expected a period after Sum"));
    assert!(
        error(r#"App Jobs{a"b"} Sum 60s"#).starts_with("load-query, character 11: expected = after the dimension a")
    );
    assert!(error(r#"App Jobs{a="b Sum 60s"#).contains("expected a closing double quote; found the end"));
    assert!(error(r#"App Jobs{a=""} Sum 60s"#).contains("expected a text that isn't empty"));
    assert!(error(r#"App Jobs{a="b",a="c"} Sum 60s"#).contains("expected each dimension once"));
    assert!(error("").contains("expected a namespace"));
    assert!(error(&"x".repeat(9000)).contains("expected at most 8192 bytes"));
}

#[test]
fn periods_that_cloudwatch_does_not_have() {
    assert!(error("App Jobs Sum 45s").contains("found 45s; take 60s"));
    assert!(error("App Jobs Sum 2s").contains("take 5s"));
    assert!(error("App Jobs Sum 90s").contains("take 120s"));
    assert!(error("App Jobs Sum 0s").contains("from 1s to 1d"));
    assert!(error("App Jobs Sum 2d").contains("from 1s to 1d"));
    assert!(error("App Jobs Sum soon").contains("a period of 1s, 5s, 10s, 20s, 30s or a multiple of 60s"));
    let fast = error(r#"AWS/SQS NumberOfMessagesSent{QueueName="q"} Sum 10s"#);
    assert!(fast.contains("AWS/SQS has one value a minute: take 60s"), "{fast}");
}

#[test]
fn statistics_that_make_no_load() {
    for (text, says) in [
        (
            r#"AWS/EC2 CPUUtilization{AutoScalingGroupName="a"} Average 60s"#,
            "a utilization falls as soon as replicas are added",
        ),
        (r#"ContainerInsights pod_cpu_utilization{ClusterName="c"} Average 60s"#, "a utilization falls"),
        ("App gpu_utilisation Sum 60s", "a utilization falls"),
        (r#"AWS/ApplicationELB RequestCountPerTarget{LoadBalancer="x"} Sum 60s"#, "an average per replica falls"),
        (
            r#"AWS/ApplicationELB HealthyHostCount{LoadBalancer="x"} Average 60s"#,
            "a number of replicas is what follows",
        ),
        (r#"AWS/ApplicationELB RequestCount{LoadBalancer="x"} Average 60s"#, "write Sum instead"),
        (r#"AWS/ApplicationELB TargetResponseTime{LoadBalancer="x"} p99 60s"#, "only SampleCount"),
        (r#"AWS/SQS ApproximateNumberOfMessagesVisible{QueueName="q"} Sum 60s"#, "depends on how often it is reported"),
        (r#"ContainerInsights pod_cpu_usage_total{ClusterName="c"} Average 60s"#, "an average over pods or hosts"),
        ("App Sessions Average 60s rate", "leave the word rate out"),
        ("a where a = App cpu_utilization Average 60s", "a utilization falls"),
    ] {
        assert!(error(text).contains(says), "{text} gave {}", error(text));
        assert!(error(text).contains("expected"), "{text}");
    }
}

#[test]
fn expressions_that_are_no_load() {
    for (text, says) in [
        ("1 + 2 where a = App A Sum 60s", "it references no metric"),
        (
            "m1 + b where a = App A Sum 60s; b = App B Sum 60s",
            "expected an identifier that where defines: a, b; found m1",
        ),
        ("requets where requests = App A Sum 60s", "did you mean requests?"),
        ("a where a = App A Sum 60s; b = App B Sum 60s", "expected b in the expression"),
        ("a + b where a = App A Sum 60s; b = App B Sum 300s", "expected the same period"),
        ("SUM(SEARCH('{AWS/SQS}', 'Sum', 60)) + a where a = App A Sum 60s", "gives one series; found SEARCH"),
        ("(a where a = App A Sum 60s", "expected parentheses in pairs"),
        ("a)( where a = App A Sum 60s", "expected parentheses in pairs"),
        ("A where A = App A Sum 60s", "a lower-case letter, then"),
        ("a where a = App A Sum 60s; a = App B Sum 60s", "expected each identifier once"),
        ("a where ", "expected an identifier of the expression"),
    ] {
        assert!(error(text).contains(says), "{text} gave {}", error(text));
    }
}
