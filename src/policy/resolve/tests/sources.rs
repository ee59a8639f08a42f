//! Triggers and metrics of CloudWatch, and which source is asked.

use super::*;

const TWO_CLOUDS: &str = r#"
[sources.eu]
kind = "cloudwatch"
region = "eu-west-1"
[sources.us]
kind = "cloudwatch"
region = "us-east-1"
"#;

#[test]
fn keda_triggers_of_cloudwatch_are_loads_of_their_region() {
    let alb = [
        ("namespace", "AWS/ApplicationELB"),
        ("metricName", "RequestCount"),
        ("dimensionName", "LoadBalancer"),
        ("dimensionValue", "app/web/50dc6c49"),
        ("metricStat", "Sum"),
        ("metricStatPeriod", "60"),
        ("targetMetricValue", "600"),
        ("awsRegion", "us-east-1"),
    ];
    let queue = [("queueURL", "https://sqs.eu-west-1.amazonaws.com/012345678912/orders"), ("scaleOnInFlight", "false")];
    let view =
        workload(ACT, vec![AutoscalerView::ScaledObject(keda(&[("aws-cloudwatch", &alb), ("aws-sqs-queue", &queue)]))]);
    let resolved = resolve(&view, &config(TWO_CLOUDS)).unwrap().unwrap();
    assert_eq!(resolved.policy.metrics.len(), 2, "{resolved:#?}");
    let (requests, backlog) = (&resolved.policy.metrics[0], &resolved.policy.metrics[1]);
    assert_eq!((requests.source.as_str(), requests.capacity_per_replica), ("us", 10.0));
    assert_eq!(requests.query, r#"AWS/ApplicationELB RequestCount{LoadBalancer="app/web/50dc6c49"} Sum 60s rate"#);
    assert_eq!((backlog.source.as_str(), backlog.capacity_per_replica), ("eu", 5.0));
    assert!(resolved.notes[0].text.contains("a backlog, which falls"), "{:?}", resolved.notes);
    let said = problems(&view);
    assert!(said[0].contains("expected a source of kind cloudwatch in us-east-1 in the config"), "{said:?}");
    let mut whole = keda(&[("aws-sqs-queue", &queue)]);
    whole.triggers[0].metric_type = Some("Value".into());
    let view = workload(ACT, vec![AutoscalerView::ScaledObject(whole)]);
    let said = resolve(&view, &config(TWO_CLOUDS)).unwrap_err();
    assert!(said[0].to_string().contains("expected an AverageValue target"), "{said:?}");
}

#[test]
fn an_external_metric_of_a_queue_is_a_load_of_cloudwatch() {
    let metric = "aws_sqs_approximate_number_of_messages_visible_average".into();
    let labels = [("dimension_QueueName".to_string(), "orders".to_string())].into();
    let selector = MetricSelector { labels, ..Default::default() };
    let metric = MetricView::External { metric, selector, target: MetricTarget::AverageValue(30.0) };
    let config = config("[sources.aws]\nkind = \"cloudwatch\"\n");
    let resolved = resolve(&workload(ACT, vec![hpa(vec![metric])]), &config).unwrap().unwrap();
    assert_eq!(resolved.policy.metrics.len(), 1, "{resolved:#?}");
    let metric = &resolved.policy.metrics[0];
    assert_eq!((metric.source.as_str(), metric.capacity_per_replica), ("aws", 30.0));
    assert_eq!(metric.query, r#"AWS/SQS ApproximateNumberOfMessagesVisible{QueueName="orders"} Average 60s"#);
}

#[test]
fn a_trigger_in_a_formula_is_no_load_and_one_url_of_two_sources_names_neither() {
    let trigger = [("serverAddress", "http://prometheus:9090"), ("query", "sum(x)"), ("threshold", "1")];
    let two = config("[sources.team-b]\nkind = \"prometheus\"\nurl = \"http://prometheus:9090\"\n");
    let given = |annotations: &[(&str, &str)], formula| {
        let keda = ScaledObjectView { formula, ..keda(&[("prometheus", &trigger)]) };
        workload(annotations, vec![AutoscalerView::ScaledObject(keda)])
    };
    let said = problems(&given(ACT, true));
    assert!(said[0].contains("expected a trigger that is scaled on by itself; found one in a formula"), "{said:?}");
    let said = resolve(&given(ACT, false), &two).unwrap_err();
    assert!(said[0].to_string().contains("the URL of one configured source; found main, team-b"), "{said:?}");
    let named = resolve(&given(&[("mode", "act"), ("source", "team-b")], false), &two).unwrap().unwrap();
    assert_eq!(named.policy.metrics[0].source, "team-b");
}

#[test]
fn a_metric_spec_is_not_judged_as_promql() {
    let annotations = [
        ("mode", "act"),
        ("source", "aws"),
        ("load-query", r#"AWS/ApplicationELB RequestCount{LoadBalancer="app/web/1"} Sum 60s"#),
        ("capacity-per-replica", "100"),
        ("max-replicas", "20"),
    ];
    let config = config("[sources.aws]\nkind = \"cloudwatch\"\nallow_annotation_queries = true\n");
    let resolved = resolve(&workload(&annotations, vec![]), &config).unwrap().unwrap();
    assert_eq!((resolved.policy.metrics[0].source.as_str(), &resolved.policy.metrics[0].tenant), ("aws", &None));
}
