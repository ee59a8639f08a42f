//! Every rule of `docs/cloudwatch.md` has a test here that fails without it.

use super::server::*;
use forescale::config::CloudwatchConfig;
use forescale::history::cloudwatch::CloudWatch;
use forescale::history::{HistorySource, SourceError};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::Duration;

const SENT: &str = r#"AWS/SQS NumberOfMessagesSent{QueueName="orders"} Sum 60s delay 0s"#;
const OTHER: &str = r#"AWS/SQS NumberOfMessagesSent{QueueName="mails"} Sum 60s delay 0s"#;

/// Long ago enough that settling plays no part.
const T0: i64 = NOW - 7200;

fn unavailable(answer: &forescale::history::Answer) -> String {
    match &answer.points {
        Err(SourceError::Unavailable(problem)) => problem.to_string(),
        other => panic!("expected Unavailable, found {other:?}"),
    }
}

fn refused(answer: &forescale::history::Answer) -> String {
    match &answer.points {
        Err(SourceError::Refused(problem)) => problem.to_string(),
        other => panic!("expected Refused, found {other:?}"),
    }
}

fn malformed(answer: &forescale::history::Answer) -> String {
    match &answer.points {
        Err(SourceError::Malformed(problem)) => problem.to_string(),
        other => panic!("expected Malformed, found {other:?}"),
    }
}

fn results(results: &[Value]) -> Reply {
    Reply::Data(json!({ "MetricDataResults": results }))
}

fn page(results: &[Value], next: &str) -> Reply {
    Reply::Data(json!({ "MetricDataResults": results, "NextToken": next }))
}

#[tokio::test]
async fn pages_are_put_together_and_sorted() {
    let server = Server::start(|number, _| match number {
        0 => page(&[result("q0", "PartialData", &[(T0 + 120, 180.0), (T0 + 60, 120.0)])], "p2"),
        1 => page(&[result("q1", "Complete", &[(T0, 6.0)]), result("q0", "PartialData", &[(T0, 60.0)])], "p3"),
        _ => results(&[result("q0", "Complete", &[(T0 - 60, 30.0)])]),
    })
    .await;
    let source = server.source(clock()).await;
    let answers = fetch(&source, &[SENT, OTHER], T0, T0 + 180).await;
    assert_eq!(points(&answers[0]), [(T0, 0.5), (T0 + 60, 1.0), (T0 + 120, 2.0), (T0 + 180, 3.0)]);
    assert_eq!(points(&answers[1]), [(T0 + 60, 0.1)], "a missing datapoint stays missing");
    let asked = server.asked.lock().unwrap();
    let tokens: Vec<&Value> = asked.iter().map(|a| &a["NextToken"]).collect();
    assert_eq!(tokens, [&Value::Null, &json!("p2"), &json!("p3")]);
    assert_eq!(asked[0]["MaxDatapoints"], json!(100_800));
    assert_eq!(asked[0]["ScanBy"], json!("TimestampDescending"));
}

#[tokio::test]
async fn a_page_that_comes_again_or_never_ends_is_no_answer() {
    let server = Server::start(|_, _| page(&[], "same")).await;
    let source = server.source(clock()).await;
    assert!(malformed(&fetch(&source, &[SENT], T0, T0).await[0]).contains("a page that was there before"));
    assert_eq!(server.count(), 2);
    let endless = Server::start(|number, _| page(&[], &format!("p{number}"))).await;
    let source = endless.source(clock()).await;
    assert!(malformed(&fetch(&source, &[SENT], T0, T0).await[0]).contains("at most 500 pages"));
}

#[tokio::test]
async fn a_token_that_ran_out_begins_again_once() {
    let server = Server::start(|number, _| match number {
        0 => page(&[result("q0", "PartialData", &[(T0 + 60, 120.0)])], "p2"),
        1 => Reply::Error(400, "InvalidNextToken", "The token is invalid"),
        2 => page(&[result("q0", "PartialData", &[(T0, 60.0)])], "p2"),
        _ => results(&[result("q0", "Complete", &[(T0 - 60, 60.0)])]),
    })
    .await;
    let source = server.source(clock()).await;
    assert_eq!(points(&fetch(&source, &[SENT], T0, T0 + 120).await[0]), [(T0, 1.0), (T0 + 60, 1.0)]);
    let broken = Server::start(|_, _| Reply::Error(400, "InvalidNextToken", "The token is invalid")).await;
    let source = broken.source(clock()).await;
    assert!(malformed(&fetch(&source, &[SENT], T0, T0).await[0]).contains("InvalidNextToken"));
    assert_eq!(broken.count(), 2);
}

#[tokio::test]
async fn partial_data_without_a_page_is_asked_for_in_halves() {
    // Math has no pages: more than an hour at once comes in part.
    let server = Server::start(|_, asked| {
        let long = asked["EndTime"].as_f64().unwrap() - asked["StartTime"].as_f64().unwrap() > 3600.0;
        let mut answer = one_per_second(asked);
        if long {
            answer["MetricDataResults"][0]["StatusCode"] = json!("PartialData");
            answer["MetricDataResults"][0]["Values"] = json!([1.0]);
            answer["MetricDataResults"][0]["Timestamps"] = json!([T0 - 60]);
        }
        Reply::Data(answer)
    })
    .await;
    let source = server.source(clock()).await;
    let math = r#"a + a where a = App Jobs Sum 60s delay 0s"#;
    let got = points(&fetch(&source, &[math], T0 - 7140, T0).await[0]);
    assert_eq!(got.len(), 120);
    assert!(got.iter().all(|p| p.1 == 1.0), "nothing of the part is left");
    let spans: Vec<f64> = server
        .asked
        .lock()
        .unwrap()
        .iter()
        .map(|a| a["EndTime"].as_f64().unwrap() - a["StartTime"].as_f64().unwrap())
        .collect();
    assert_eq!(spans, [7200.0, 3600.0, 3600.0]);
}

#[tokio::test]
async fn data_that_stay_partial_are_no_data() {
    let server = Server::start(|_, _| results(&[result("q0", "PartialData", &[(T0 - 60, 3.0)])])).await;
    let source = server.source(clock()).await;
    let said = unavailable(&fetch(&source, &[SENT], T0 - 7140, T0).await[0]);
    assert!(said.contains("PartialData without a next page"), "{said}");
    assert_eq!(server.count(), 5, "halved four times, then no more");
}

#[tokio::test]
async fn an_internal_error_is_one_querys_own() {
    let server = Server::start(|_, _| {
        results(&[result("q0", "InternalError", &[(T0 - 60, 5.0)]), result("q1", "Complete", &[(T0 - 60, 60.0)])])
    })
    .await;
    let source = server.source(clock()).await;
    let answers = fetch(&source, &[SENT, OTHER], T0, T0).await;
    let said = unavailable(&answers[0]);
    assert!(said.contains("InternalError") && said.contains("asked again"), "{said}");
    assert_eq!(points(&answers[1]), [(T0, 1.0)]);
}

#[tokio::test]
async fn forbidden_says_what_to_allow_and_messages_are_passed_on() {
    let server = Server::start(|_, _| {
        let mut forbidden = result("q0", "Forbidden", &[]);
        forbidden["Messages"] = json!([{ "Code": "Forbidden", "Value": "no access to account 111122223333" }]);
        let mut noted = result("q1", "Complete", &[(T0 - 60, 60.0)]);
        noted["Messages"] = json!([{ "Code": "ArithmeticError", "Value": "One or more values divided by zero" }]);
        let global = json!([{ "Code": "MaxMetricsExceeded", "Value": "the first 500 are returned" }]);
        Reply::Data(json!({ "MetricDataResults": [forbidden, noted], "Messages": global }))
    })
    .await;
    let source = server.source(clock()).await;
    let answers = fetch(&source, &[SENT, OTHER], T0, T0).await;
    let said = refused(&answers[0]);
    assert!(said.contains("allow cloudwatch:GetMetricData") && said.contains("111122223333"), "{said}");
    assert_eq!(
        answers[1].warnings,
        ["MaxMetricsExceeded: the first 500 are returned", "ArithmeticError: One or more values divided by zero"]
    );
    assert_eq!(points(&answers[1]), [(T0, 1.0)]);
}

#[tokio::test]
async fn a_status_that_does_not_exist_is_no_answer() {
    let server = Server::start(|_, _| results(&[result("q0", "Fine", &[(T0 - 60, 5.0)])])).await;
    let source = server.source(clock()).await;
    assert!(malformed(&fetch(&source, &[SENT], T0, T0).await[0]).contains("found Fine"));
}

#[tokio::test]
async fn throttling_is_tried_again_then_waits_for_the_next_step() {
    let server = Server::start(|number, asked| match number {
        0 => Reply::Error(400, "Throttling", "Rate exceeded"),
        _ => Reply::Data(one_per_second(asked)),
    })
    .await;
    let source = server.source(clock()).await;
    assert_eq!(points(&fetch(&source, &[SENT], T0, T0).await[0]), [(T0, 1.0)]);
    let always = Server::start(|_, _| Reply::Error(400, "Throttling", "Rate exceeded")).await;
    let source = always.source(clock()).await;
    let many: Vec<String> = (0..600).map(|i| format!("App Jobs{{n=\"{i}\"}} Sum 60s")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let answers = fetch(&source, &many, T0, T0).await;
    let said = unavailable(&answers[599]);
    assert!(said.contains("Rate exceeded") && said.contains("Service Quotas"), "{said}");
    assert_eq!(always.count(), 3, "three attempts, and no second call on top of a throttled one");
}

#[tokio::test]
async fn each_error_of_the_account_says_what_to_do() {
    for (status, code, message, is_refused, says) in [
        (403, "ExpiredToken", "The security token included in the request is expired", false, "renew them"),
        (400, "ExpiredTokenException", "expired", false, "check the clock of the node"),
        (
            403,
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
            true,
            "the region is enabled",
        ),
        (400, "UnrecognizedClientException", "invalid", true, "keys of another partition"),
        (
            403,
            "SignatureDoesNotMatch",
            "Credential should be scoped to a valid region.",
            true,
            "region is the region of endpoint_url",
        ),
        (
            403,
            "AccessDenied",
            "User is not authorized to perform: cloudwatch:GetMetricData",
            true,
            "docs/cloudwatch.md has the policy",
        ),
        (500, "InternalServiceFault", "", false, "AWS health dashboard"),
        (503, "ServiceUnavailable", "", false, "AWS health dashboard"),
        (400, "SomethingNew", "of 2030", true, "SomethingNew: of 2030"),
    ] {
        let server = Server::start(move |_, _| Reply::Error(status, code, message)).await;
        let source = server.source(clock()).await;
        let answer = &fetch(&source, &[SENT], T0, T0).await[0];
        let said = if is_refused { refused(answer) } else { unavailable(answer) };
        assert!(said.contains(says) && said.contains("eu-west-1") && said.contains(code), "{code}: {said}");
    }
}

#[tokio::test]
async fn without_credentials_the_user_is_told_where_they_come_from() {
    let server = Server::start(|_, asked| Reply::Data(one_per_second(asked))).await;
    let nobody = aws_config::profile::ProfileFileCredentialsProvider::builder().profile_name("no-such-profile").build();
    let sdk = aws_config::defaults(aws_config::BehaviorVersion::latest()).credentials_provider(nobody).load().await;
    let mut config = CloudwatchConfig {
        region: Some("eu-west-1".into()),
        role_arn: None,
        endpoint_url: Some(server.url.clone()),
        max_metrics_per_hour: 1000,
    };
    let source = CloudWatch::new("aws", &config, Duration::from_secs(5), &sdk, clock()).await.unwrap();
    let said = unavailable(&fetch(&source, &[SENT], T0, T0).await[0]);
    assert!(said.contains("IRSA, Pod Identity") && said.contains("role-arn"), "{said}");
    assert_eq!(server.count(), 0);
    config.region = None;
    let no_region = aws_config::SdkConfig::builder().build();
    let said = CloudWatch::new("aws", &config, Duration::from_secs(5), &no_region, clock()).await.err().unwrap();
    assert!(said.to_string().contains("sources.aws.region: expected a region"), "{said}");
}

#[tokio::test]
async fn a_region_that_does_not_exist_is_named_and_one_without_the_metric_too() {
    let sdk = static_credentials().await;
    let config = |region: &str| CloudwatchConfig {
        region: Some(region.into()),
        role_arn: None,
        endpoint_url: None,
        max_metrics_per_hour: 1000,
    };
    for (wrong, meant) in [("us-esat-1", "us-east-1"), ("eu-wset-1", "eu-west-1"), ("eu-west", "eu-west-1")] {
        let said = CloudWatch::new("aws", &config(wrong), Duration::from_secs(5), &sdk, clock()).await.err().unwrap();
        assert!(said.to_string().contains(&format!("did you mean {meant}?")), "{said}");
    }
    for fine in ["eu-west-1", "eu-west-9", "us-gov-west-1"] {
        assert!(CloudWatch::new("aws", &config(fine), Duration::from_secs(5), &sdk, clock()).await.is_ok(), "{fine}");
    }
    let server = Server::start(|_, _| results(&[result("q0", "Complete", &[])])).await;
    let source = server.source(clock()).await;
    let answer = &fetch(&source, &[r#"AWS/Sqs2 Sent{QueueName="q"} Sum 60s"#], T0, T0).await[0];
    assert_eq!(points(answer), [], "an unknown namespace is empty, and empty is not zero");
    let warning = answer.warnings.join(" ");
    assert!(warning.contains("which is not zero") && warning.contains("the metric is in eu-west-1"), "{warning}");
}

#[tokio::test]
async fn one_wrong_query_does_not_stop_the_others() {
    let server = Server::start(|_, asked| {
        let text = asked.to_string();
        if text.contains("wrong") {
            Reply::Error(400, "ValidationError", "The value for parameter MetricDataQueries.member.6 is invalid.")
        } else {
            Reply::Data(one_per_second(asked))
        }
    })
    .await;
    let source = server.source(clock()).await;
    let texts: Vec<String> = (0..9)
        .map(|i| format!("App Jobs{{n=\"{}\"}} Sum 60s", if i == 5 { "wrong".into() } else { i.to_string() }))
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let answers = fetch(&source, &texts, T0, T0).await;
    for (i, answer) in answers.iter().enumerate() {
        if i == 5 {
            let said = refused(answer);
            assert!(said.contains("member.6") && said.contains("put the metric spec right"), "{said}");
        } else {
            assert_eq!(points(answer), [(T0, 1.0)], "{i}");
        }
    }
    let before = server.count();
    let again = fetch(&source, &texts, T0 + 60, T0 + 60).await;
    assert_eq!(server.count(), before + 1, "the wrong one is left out of the next calls");
    assert!(refused(&again[5]).contains("member.6"));
    assert_eq!(points(&again[6]), [(T0 + 60, 1.0)]);
}

#[tokio::test]
async fn a_spec_that_cannot_be_read_asks_for_nothing() {
    let server = Server::start(|_, asked| Reply::Data(one_per_second(asked))).await;
    let source = server.source(clock()).await;
    let bad = r#"AWS/SQS NumberOfMessagesSent{Queue="orders"} Sum 60s"#;
    let answers = fetch(&source, &[bad, SENT], T0, T0).await;
    assert!(refused(&answers[0]).contains("query w0, character"), "{}", refused(&answers[0]));
    assert_eq!(points(&answers[1]), [(T0, 1.0)]);
    assert_eq!(ids(&server.asked.lock().unwrap()[0]), ["q1"]);
    assert!(refused(&fetch(&source, &[bad], T0, T0).await[0]).contains("did you mean QueueName?"));
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn answers_that_are_not_the_protocols_are_no_data() {
    type Case = (fn() -> Reply, &'static str);
    let cases: [Case; 4] = [
        (|| Reply::Junk, "in CBOR"),
        (|| results(&[]), "found none for one of them"),
        (|| results(&[result("q7", "Complete", &[])]), "found q7"),
        (
            || {
                let mut odd = result("q0", "Complete", &[(T0 - 60, 60.0), (T0 - 120, 60.0)]);
                odd["Values"] = json!([60.0]);
                results(&[odd])
            },
            "found 2 times, 1 values",
        ),
    ];
    for (reply, says) in cases {
        let server = Server::start(move |_, _| reply()).await;
        let source = server.source(clock()).await;
        let said = malformed(&fetch(&source, &[SENT], T0, T0).await[0]);
        assert!(said.contains(says), "{said}");
    }
    let odd = Server::start(|_, _| {
        let mut odd = result("q0", "Complete", &[]);
        odd["Timestamps"] = json!([T0 - 60, T0, T0 + 60, T0 + 120]);
        odd["Values"] = json!(["NaN", -5.0, 60.0, 120.0]);
        results(&[odd])
    })
    .await;
    let answer = &fetch(&odd.source(clock()).await, &[SENT], T0, T0 + 180).await[0];
    assert_eq!(points(answer), [(T0 + 120, 1.0), (T0 + 180, 2.0)]);
    assert!(answer.warnings[0].contains("2 values are negative or no number"), "{:?}", answer.warnings);
}

#[tokio::test]
async fn silence_and_a_closed_port_are_unavailable() {
    let server = Server::start(|_, _| Reply::Silence(Duration::from_secs(20))).await;
    let source = server.source_with(clock(), 1000, Duration::from_millis(200)).await;
    assert!(unavailable(&fetch(&source, &[SENT], T0, T0).await[0]).contains("raise the source's timeout"));
    let mut gone = Server::start(|_, _| Reply::Junk).await;
    gone.url = "http://127.0.0.1:1".into();
    let said = unavailable(&fetch(&gone.source(clock()).await, &[SENT], T0, T0).await[0]);
    assert!(said.contains("check that region and endpoint_url exist"), "{said}");
}

#[tokio::test]
async fn the_cap_stops_increments_and_says_stale_not_zero() {
    let server = Server::start(|_, asked| Reply::Data(one_per_second(asked))).await;
    let clock = clock();
    let source = server.source_with(clock.clone(), 4, Duration::from_secs(5)).await;
    assert_eq!(points(&fetch(&source, &[SENT, OTHER], T0, T0).await[0]), [(T0, 1.0)]);
    assert!(fetch(&source, &[SENT, OTHER], T0, T0).await[1].points.is_ok());
    let said = unavailable(&fetch(&source, &[SENT, OTHER], T0, T0).await[0]);
    assert!(said.contains("max_metrics_per_hour = 4") && said.contains("grow stale"), "{said}");
    assert_eq!(server.count(), 2, "nothing was asked");
    let reading = source.meter();
    assert!(reading.capped && reading.metrics_last_hour == 4);
    clock.0.store(NOW + 3600, Ordering::Relaxed);
    assert!(fetch(&source, &[SENT, OTHER], T0, T0).await[0].points.is_ok(), "an hour later there is room again");
}

#[tokio::test]
async fn expressions_are_sent_with_names_of_their_own() {
    let server = Server::start(|_, asked| Reply::Data(one_per_second(asked))).await;
    let source = server.source(clock()).await;
    let math = r#"FILL(a, 0) + b * 1 where a = App A{x="1"} Sum 60s; b = App B Sum 60s"#;
    let answers = fetch(&source, &[SENT, math], T0, T0).await;
    assert_eq!(points(&answers[1]), [(T0, 1.0)]);
    let asked = server.asked.lock().unwrap()[0]["MetricDataQueries"].clone();
    assert_eq!(asked[1], json!({ "Id": "q1", "Expression": "FILL(q1_a, 0) + q1_b * 1" }));
    assert_eq!(
        asked[2],
        json!({
            "Id": "q1_a",
            "ReturnData": false,
            "MetricStat": {
                "Metric": { "Namespace": "App", "MetricName": "A", "Dimensions": [{ "Name": "x", "Value": "1" }] },
                "Period": 60,
                "Stat": "Sum",
            },
        })
    );
    assert_eq!(source.meter().metrics_last_hour, 3, "one and two");
}

#[tokio::test]
async fn percentiles_are_levels() {
    let server = Server::start(|_, _| results(&[result("q0", "Complete", &[(T0 - 60, 42.0)])])).await;
    let source = server.source(clock()).await;
    assert_eq!(points(&fetch(&source, &["App Sessions p99.9 60s"], T0, T0).await[0]), [(T0, 42.0)]);
    assert_eq!(server.asked.lock().unwrap()[0]["MetricDataQueries"][0]["MetricStat"]["Stat"], json!("p99.9"));
}

#[tokio::test]
async fn five_hundred_and_one_metrics_are_two_calls() {
    let server = Server::start(|_, asked| Reply::Data(one_per_second(asked))).await;
    let source = server.source(clock()).await;
    let texts: Vec<String> = (0..501).map(|i| format!("App Jobs{{n=\"{i}\"}} Sum 60s")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let answers = fetch(&source, &texts, T0, T0 + 120).await;
    assert!(answers.iter().all(|a| points(a).len() == 3));
    assert!(answers.iter().enumerate().all(|(i, a)| a.id == format!("w{i}")), "in the order of the queries");
    let sizes: Vec<usize> = server.asked.lock().unwrap().iter().map(|a| ids(a).len()).collect();
    assert_eq!(sizes, [500, 1]);
}

#[tokio::test]
async fn the_newest_period_is_no_drop() {
    // The service has half of a period's requests at its end, and all of them a minute and a half later.
    let clock = clock();
    let now = clock.clone();
    let server = Server::start(move |_, asked| {
        let now = now.0.load(Ordering::Relaxed);
        let mut answer = one_per_second(asked);
        let times = answer["MetricDataResults"][0]["Timestamps"].as_array().unwrap().clone();
        let values = times.iter().map(|t| if now < t.as_i64().unwrap() + 60 + 90 { 30.0 } else { 60.0 });
        answer["MetricDataResults"][0]["Values"] = values.collect::<Vec<f64>>().into();
        Reply::Data(answer)
    })
    .await;
    let source = server.source(clock.clone()).await;
    let alb = r#"AWS/ApplicationELB RequestCount{LoadBalancer="app/web/1"} Sum 60s"#;
    for minute in 0..40 {
        let now = NOW + minute * 60 + 7;
        clock.0.store(now, Ordering::Relaxed);
        let to = now / 60 * 60;
        let answer = &fetch(&source, &[alb], to - 240, to).await[0];
        let got = points(answer);
        assert!(got.iter().all(|p| p.1 == 1.0), "minute {minute}: {got:?}");
        assert!(got.len() >= 2, "what is settled is given out: {got:?}");
    }
    let delay = source.settling(alb);
    assert!((90..=180).contains(&delay.as_secs()), "{delay:?}");
    let eager = fetch(&source, &[&format!("{alb} delay 0s")], NOW + 39 * 60, NOW + 39 * 60).await;
    assert_eq!(points(&eager[0]), [(NOW + 39 * 60, 0.5)], "set to zero, it would have been a drop");
}

#[tokio::test]
async fn back_fill_is_newest_first_with_the_period_of_each_age() {
    let server = Server::start(|_, asked| {
        let period = asked["MetricDataQueries"][0]["MetricStat"]["Period"].as_i64().unwrap();
        let (start, end) = (asked["StartTime"].as_f64().unwrap() as i64, asked["EndTime"].as_f64().unwrap() as i64);
        let data: Vec<_> = (start..end).step_by(period as usize).map(|t| (t, period as f64)).rev_all();
        results(&[result("q0", "Complete", &data)])
    })
    .await;
    let source = server.source(clock()).await;
    let answer = &fetch(&source, &["App Jobs Sum 10s"], NOW - 20 * 86_400, NOW - 3600).await[0];
    let got = points(answer);
    assert_eq!(got.len(), 20 * 1440 - 60 + 1, "a sample for each minute of twenty days");
    assert!(got.iter().all(|p| (p.1 - 1.0).abs() < 1e-12), "one a second at every age");
    let asked: Vec<(i64, i64)> = server
        .asked
        .lock()
        .unwrap()
        .iter()
        .map(|a| {
            let period = a["MetricDataQueries"][0]["MetricStat"]["Period"].as_i64().unwrap();
            (period, a["StartTime"].as_f64().unwrap() as i64)
        })
        .collect();
    assert_eq!(asked.iter().map(|a| a.0).collect::<Vec<_>>(), [60, 300]);
    assert!(asked[0].1 > asked[1].1, "newest first");
}

trait Reversed: Iterator + Sized {
    /// All of it, from its end.
    fn rev_all(self) -> Vec<Self::Item> {
        let mut all: Vec<_> = self.collect();
        all.reverse();
        all
    }
}

impl<I: Iterator> Reversed for I {}
