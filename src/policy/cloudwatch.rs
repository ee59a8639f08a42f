//! What already names a metric of CloudWatch fully → the text of a metric spec (`docs/cloudwatch.md`): KEDA's
//! `aws-cloudwatch` and `aws-sqs-queue` triggers, and external metrics of the CloudWatch exporters.

use crate::error::Problem;
use std::collections::BTreeMap;

/// A load in CloudWatch, with what one replica serves of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CloudwatchLoad {
    /// The region that is meant. None: it isn't said.
    pub region: Option<String>,
    /// The metric spec.
    pub query: String,
    /// In the spec's unit: per second where it is a rate.
    pub capacity: f64,
    /// The load is a backlog, which falls as replicas are added.
    pub backlog: bool,
}

type Metadata = BTreeMap<String, String>;

/// KEDA's default of `metricStatPeriod`, seconds.
const KEDA_PERIOD: u32 = 300;
/// KEDA's default of `queueLength`, messages a replica.
const KEDA_QUEUE_LENGTH: f64 = 5.0;

fn given<'a>(metadata: &'a Metadata, key: &str) -> Option<&'a str> {
    metadata.get(key).map(|v| v.trim()).filter(|v| !v.is_empty())
}

fn required<'a>(at: &str, metadata: &'a Metadata, key: &str) -> Result<&'a str, Problem> {
    given(metadata, key).ok_or_else(|| {
        let from_env = metadata.contains_key(&format!("{key}FromEnv"));
        let found = if from_env { "a value from the pod's environment" } else { "none" };
        Problem::new(format!("{at}: metadata"), key, found)
            .help(format!("write {key} into the trigger, or give forescale.dev/load-query"))
    })
}

fn positive(at: &str, key: &str, text: &str) -> Result<f64, Problem> {
    let number = text.parse::<f64>().ok().filter(|v| v.is_finite() && *v > 0.0);
    number.ok_or_else(|| Problem::new(format!("{at}: metadata.{key}"), "a number above 0", text))
}

/// A name as the spec language takes it: bare, or in double quotes.
fn word(text: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || "_./:#-".contains(c);
    if !text.is_empty() && text.chars().all(bare) { text.to_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// KEDA's `aws-cloudwatch`: namespace, metric, dimensions, statistic; the target is of the whole over a period.
pub(super) fn aws_cloudwatch(at: &str, metadata: &Metadata) -> Result<CloudwatchLoad, Problem> {
    if let Some(expression) = given(metadata, "expression") {
        let expected = "namespace, metricName and dimensions, which name one metric";
        return Err(Problem::new(format!("{at}: metadata.expression"), expected, expression)
            .help("a Metrics Insights query has no history beyond three hours; give forescale.dev/load-query"));
    }
    let (namespace, name) = (required(at, metadata, "namespace")?, required(at, metadata, "metricName")?);
    let list = |key: &str| -> Vec<String> {
        given(metadata, key).map(|v| v.split(';').map(|p| p.trim().to_owned()).collect()).unwrap_or_default()
    };
    let (keys, values) = (list("dimensionName"), list("dimensionValue"));
    if keys.len() != values.len() {
        let expected = format!("as many values as dimensionName has names, which is {}", keys.len());
        return Err(Problem::new(format!("{at}: metadata.dimensionValue"), expected, values.len().to_string()));
    }
    let stat = given(metadata, "metricStat").unwrap_or("Average");
    let period =
        match given(metadata, "metricStatPeriod") {
            Some(text) => text.parse::<u32>().ok().filter(|p| *p > 0).ok_or_else(|| {
                Problem::new(format!("{at}: metadata.metricStatPeriod"), "whole seconds above 0", text)
            })?,
            None => KEDA_PERIOD,
        };
    let target = positive(at, "targetMetricValue", required(at, metadata, "targetMetricValue")?)?;
    let dimensions: Vec<String> =
        keys.iter().zip(&values).map(|(key, value)| format!("{}={}", word(key), quoted(value))).collect();
    let dimensions = if dimensions.is_empty() { String::new() } else { format!("{{{}}}", dimensions.join(",")) };
    // A service of AWS reports every minute, whatever longer period the trigger adds up over.
    let minutely = namespace.starts_with("AWS/") || namespace == "ContainerInsights";
    let asked = if minutely && period.is_multiple_of(60) { 60 } else { period };
    let counted = matches!(stat, "Sum" | "SampleCount");
    Ok(CloudwatchLoad {
        region: given(metadata, "awsRegion").map(str::to_owned),
        query: format!(
            "{} {}{dimensions} {stat} {asked}s{}",
            word(namespace),
            word(name),
            if counted { " rate" } else { "" }
        ),
        capacity: if counted { target / f64::from(period) } else { target },
        backlog: false,
    })
}

/// KEDA's `aws-sqs-queue`: messages that wait, in flight and delayed as the trigger counts them.
pub(super) fn aws_sqs_queue(at: &str, metadata: &Metadata) -> Result<CloudwatchLoad, Problem> {
    let url = required(at, metadata, "queueURL")?;
    let name = url.trim_end_matches('/').rsplit('/').next().unwrap_or(url);
    let capacity = match given(metadata, "queueLength") {
        Some(text) => positive(at, "queueLength", text)?,
        None => KEDA_QUEUE_LENGTH,
    };
    let counts = |key: &str, default: bool| given(metadata, key).map_or(default, |v| v.eq_ignore_ascii_case("true"));
    let mut parts = vec![("visible", "ApproximateNumberOfMessagesVisible")];
    if counts("scaleOnInFlight", true) {
        parts.push(("flying", "ApproximateNumberOfMessagesNotVisible"));
    }
    if counts("scaleOnDelayed", false) {
        parts.push(("delayed", "ApproximateNumberOfMessagesDelayed"));
    }
    let metric = |metric: &str| format!("AWS/SQS {metric}{{QueueName={}}} Average 60s", quoted(name));
    let query = match parts.as_slice() {
        [(_, only)] => metric(only),
        several => {
            let sum: Vec<&str> = several.iter().map(|p| p.0).collect();
            let named: Vec<String> = several.iter().map(|(id, m)| format!("{id} = {}", metric(m))).collect();
            format!("{} where {}", sum.join(" + "), named.join("; "))
        }
    };
    let from_url = || url.split("://").nth(1)?.strip_prefix("sqs.")?.split('.').next().map(str::to_owned);
    let region = given(metadata, "awsRegion").map(str::to_owned).or_else(from_url);
    Ok(CloudwatchLoad { region, query, capacity, backlog: true })
}

/// An external metric by the name that the exporters of CloudWatch give it, such as
/// `aws_sqs_approximate_number_of_messages_visible_average` with `dimension_QueueName` (YACE) or `queue_name`
/// (cloudwatch_exporter). None: it is no such metric. A sum says nothing of the period that it is over, so a target
/// for it is not known per second.
pub(super) fn external(
    at: &str,
    metric: &str,
    labels: &Metadata,
    target: f64,
) -> Option<Result<CloudwatchLoad, Problem>> {
    const LEVELS: [(&str, &str); 3] = [
        ("approximate_number_of_messages_visible", "ApproximateNumberOfMessagesVisible"),
        ("approximate_number_of_messages_not_visible", "ApproximateNumberOfMessagesNotVisible"),
        ("approximate_number_of_messages_delayed", "ApproximateNumberOfMessagesDelayed"),
    ];
    let rest = metric.strip_prefix("aws_sqs_")?;
    let (name, stat) = rest.rsplit_once('_')?;
    let Some((_, exact)) = LEVELS.iter().find(|l| l.0 == name) else {
        let expected = "a metric that says what one replica serves a second";
        let found = format!("{metric}, over a period that the HPA doesn't say");
        return Some(Err(Problem::new(at, expected, found).help(
            "give forescale.dev/load-query with the metric spec and forescale.dev/capacity-per-replica per second",
        )));
    };
    let stat = match stat {
        "average" => "Average",
        "maximum" => "Maximum",
        _ => return None,
    };
    let Some(queue) = labels.get("dimension_QueueName").or_else(|| labels.get("queue_name")) else {
        return Some(Err(Problem::new(at, "a label dimension_QueueName or queue_name, which names the queue", "none")));
    };
    let region = labels.get("region").cloned();
    let query = format!("AWS/SQS {exact}{{QueueName={}}} {stat} 60s", quoted(queue));
    Some(Ok(CloudwatchLoad { region, query, capacity: target, backlog: true }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> Metadata {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn load(query: &str, capacity: f64, backlog: bool) -> CloudwatchLoad {
        CloudwatchLoad { region: Some("eu-west-1".into()), query: query.into(), capacity, backlog }
    }

    fn is_a_spec(query: &str) {
        #[cfg(feature = "cloudwatch")]
        assert!(crate::history::cloudwatch::Spec::parse(query, "t").is_ok(), "{query}");
        #[cfg(not(feature = "cloudwatch"))]
        assert!(!query.is_empty());
    }

    #[test]
    fn a_sum_over_the_triggers_period_becomes_a_rate() {
        let mut trigger = map(&[
            ("namespace", "AWS/ApplicationELB"),
            ("metricName", "RequestCount"),
            ("dimensionName", "LoadBalancer;TargetGroup"),
            ("dimensionValue", "app/web/50dc6c49;targetgroup/web/1"),
            ("metricStat", "Sum"),
            ("metricStatPeriod", "120"),
            ("targetMetricValue", "6000"),
            ("awsRegion", "eu-west-1"),
        ]);
        let got = aws_cloudwatch("t", &trigger).unwrap();
        let query = r#"AWS/ApplicationELB RequestCount{LoadBalancer="app/web/50dc6c49",TargetGroup="targetgroup/web/1"} Sum 60s rate"#;
        assert_eq!(got, load(query, 50.0, false));
        is_a_spec(&got.query);
        trigger.insert("namespace".into(), "My App".into());
        trigger.remove("metricStat");
        trigger.remove("metricStatPeriod");
        let got = aws_cloudwatch("t", &trigger).unwrap();
        assert!(got.query.starts_with(r#""My App" RequestCount{"#) && got.query.ends_with(" Average 300s"), "{got:?}");
        assert_eq!(got.capacity, 6000.0);
        is_a_spec(&got.query);
    }

    #[test]
    fn a_trigger_that_names_no_single_metric_says_what_is_missing() {
        let all = map(&[
            ("namespace", "AWS/SQS"),
            ("metricName", "NumberOfMessagesSent"),
            ("dimensionName", "QueueName"),
            ("dimensionValue", "q"),
            ("targetMetricValue", "5"),
        ]);
        for (key, value, says) in [
            ("namespace", "", "expected namespace; found none"),
            ("metricName", "", "expected metricName; found none"),
            ("dimensionValue", "a;b", "expected as many values as dimensionName has names, which is 1; found 2"),
            ("targetMetricValue", "-1", "expected a number above 0; found -1"),
            ("metricStatPeriod", "1m", "expected whole seconds above 0; found 1m"),
            ("expression", "SELECT SUM(x) FROM y", "which name one metric; found SELECT"),
        ] {
            let mut trigger = all.clone();
            trigger.insert(key.into(), value.into());
            let said = aws_cloudwatch("t", &trigger).unwrap_err().to_string();
            assert!(said.contains(says), "{key}: {said}");
        }
    }

    #[test]
    fn a_queue_is_what_the_trigger_counts() {
        let url = "https://sqs.eu-west-1.amazonaws.com/012345678912/orders";
        let got = aws_sqs_queue("t", &map(&[("queueURL", url), ("queueLength", "20")])).unwrap();
        let query = r#"visible + flying where visible = AWS/SQS ApproximateNumberOfMessagesVisible{QueueName="orders"} Average 60s; flying = AWS/SQS ApproximateNumberOfMessagesNotVisible{QueueName="orders"} Average 60s"#;
        assert_eq!(got, load(query, 20.0, true));
        is_a_spec(&got.query);
        let plain = map(&[("queueURL", "orders"), ("awsRegion", "eu-west-1"), ("scaleOnInFlight", "false")]);
        let got = aws_sqs_queue("t", &plain).unwrap();
        let query = r#"AWS/SQS ApproximateNumberOfMessagesVisible{QueueName="orders"} Average 60s"#;
        assert_eq!(got, load(query, 5.0, true));
        let delayed = map(&[("queueURL", url), ("scaleOnDelayed", "true")]);
        assert!(aws_sqs_queue("t", &delayed).unwrap().query.starts_with("visible + flying + delayed where"));
        is_a_spec(&aws_sqs_queue("t", &delayed).unwrap().query);
        let env = aws_sqs_queue("t", &map(&[("queueURLFromEnv", "QUEUE_URL")])).unwrap_err().to_string();
        assert!(env.contains("found a value from the pod's environment"), "{env}");
    }

    #[test]
    fn an_exporters_name_is_a_level_or_refused() {
        let labels = map(&[("dimension_QueueName", "orders"), ("region", "eu-west-1")]);
        let metric = "aws_sqs_approximate_number_of_messages_visible_average";
        let query = r#"AWS/SQS ApproximateNumberOfMessagesVisible{QueueName="orders"} Average 60s"#;
        assert_eq!(external("t", metric, &labels, 30.0), Some(Ok(load(query, 30.0, true))));
        assert!(external("t", metric, &Metadata::new(), 30.0).unwrap().is_err());
        let sum = external("t", "aws_sqs_number_of_messages_sent_sum", &labels, 30.0).unwrap().unwrap_err();
        assert!(sum.to_string().contains("a period that the HPA doesn't say"), "{sum}");
        assert_eq!(external("t", "http_requests", &labels, 30.0), None);
    }
}
