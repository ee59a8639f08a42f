//! Answers that arrive whole: each rule of the module's table, on answers as servers write them.

use crate::query::{ask, of, one, plain, request, told};
use crate::server::{Reply, Server};
use forescale::history::HistorySource;
use proptest::prelude::*;
use std::sync::{Arc, Mutex};

fn matrix(series: &str) -> String {
    format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{series}]}}}}"#)
}

fn server(body: String) -> Server {
    Server::start(move |_| Reply::ok(body.clone()))
}

#[tokio::test]
async fn odd_samples_are_dropped_and_counted() {
    let body = matrix(
        r#"{"metric":{},"values":[[0,"1"],[60,"NaN"],[120,"+Inf"],[180,"-Inf"],[240,"0"],[300,"ten"],[300,"-3"],
           [300,"1e30"],[99999999,"7"],[-60,"7"]]}"#,
    );
    let answer = one(&server(body)).await;
    assert_eq!(plain(&answer.points.unwrap()), [(0, 1.0), (240, 0.0)], "zero stays zero, the others stay missing");
    assert_eq!(
        answer.warnings,
        [
            "2 samples dropped: negative or above 1e18",
            "2 samples dropped: outside the time that was asked for",
            "4 samples dropped: NaN, infinite or no number",
        ]
    );
}

#[tokio::test]
async fn an_empty_vector_is_no_points_and_no_error() {
    let answer = one(&server(matrix(""))).await;
    assert_eq!(answer.points.unwrap(), []);
    assert!(answer.warnings.is_empty());
}

#[tokio::test]
async fn disorder_is_sorted_and_of_equal_times_the_last_wins() {
    let body = matrix(r#"{"metric":{},"values":[[120,"3"],[0,"1"],[60,"2"],[60,"2.5"],[0.0004,"9"]]}"#);
    let answer = one(&server(body)).await;
    assert_eq!(plain(&answer.points.unwrap()), [(0, 9.0), (60, 2.5), (120, 3.0)]);
    assert_eq!(answer.warnings.len(), 2, "{:?}", answer.warnings);
}

#[tokio::test]
async fn more_than_one_series_is_refused_with_what_differs() {
    let several = matrix(
        r#"{"metric":{"app":"a","pod":"1"},"values":[[0,"1"]]},{"metric":{"app":"a","pod":"2"},"values":[[0,"2"]]},
           {"metric":{"app":"a","pod":"3","zone":"z"},"values":[[0,"2"]]}"#,
    );
    let (kind, text) = told(one(&server(several)).await);
    assert_eq!(kind, "refused");
    assert!(text.contains("3 series, differing in pod, zone") && text.contains("sum(...)"), "{text}");
    assert!(text.contains("of sum(x)"), "the query is named: {text}");
}

#[tokio::test]
async fn a_doubled_series_is_told_to_be_a_pair() {
    let pair = matrix(
        r#"{"metric":{"replica":"a"},"values":[[0,"1"],[60,"2"],[120,"5"]]},
           {"metric":{"replica":"b"},"values":[[0,"1"],[60,"2"]]}"#,
    );
    let (kind, text) = told(one(&server(pair)).await);
    assert_eq!(kind, "refused");
    assert!(text.contains("highly available pair") && text.contains("without (replica)"), "{text}");
}

#[tokio::test]
async fn a_partial_answer_is_none_but_notes_on_the_query_are_passed_on() {
    let with = |extra: &str| {
        let body = matrix(r#"{"metric":{},"values":[[0,"1"]]}"#);
        server(format!("{},{extra}}}", body.strip_suffix('}').unwrap()))
    };
    for extra in [r#""warnings":["store 10.0.0.1 did not answer"]"#, r#""isPartial":true"#] {
        let (kind, text) = told(one(&with(extra)).await);
        assert_eq!(kind, "unavailable", "{text}");
        assert!(text.contains("expected a whole answer"), "{text}");
    }
    let notes = r#""warnings":["PromQL warning: odd"],"infos":["PromQL info: metric might not be a counter"]"#;
    let answer = one(&with(notes)).await;
    assert_eq!(plain(&answer.points.unwrap()), [(0, 1.0)]);
    assert_eq!(answer.warnings, ["PromQL info: metric might not be a counter", "PromQL warning: odd"]);
    let null = with(r#""warnings":null,"infos":null,"stats":{}"#);
    assert!(one(&null).await.points.is_ok());
}

#[tokio::test]
async fn what_is_no_matrix_of_numbers_is_told_as_such() {
    for (body, kind, says) in [
        ("", "malformed", "an empty answer"),
        ("<!DOCTYPE html><title>Sign in</title>", "malformed", "found HTML: <!DOCTYPE html><title>Sign in"),
        ("  <html>", "malformed", "HTML"),
        (r#"{"status":"success","data":{"resultType":"mat"#, "malformed", "cut off after 45 bytes"),
        (r#"{"status":"success"}"#, "malformed", "without data"),
        ("[]", "malformed", "in JSON"),
        ("null", "malformed", "in JSON"),
        ("7", "malformed", "in JSON"),
        (
            r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#,
            "malformed",
            "expected a matrix; found a vector",
        ),
        (r#"{"status":"success","data":{"resultType":"scalar","result":[0,"1"]}}"#, "malformed", "in JSON"),
        (
            r#"{"status":"error","errorType":"execution","error":"expanding series"}"#,
            "refused",
            "execution: expanding series",
        ),
        (
            r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[0,1]]}]}}"#,
            "malformed",
            "string",
        ),
        (
            r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[0,null]]}]}}"#,
            "malformed",
            "null",
        ),
        (
            r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1e300,"1"]]}]}}"#,
            "malformed",
            "time",
        ),
        (
            r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"histograms":[[0,{"count":"1"}]]}]}}"#,
            "refused",
            "histogram_count",
        ),
    ] {
        let server = Server::saying(body);
        let (was, text) = told(one(&server).await);
        assert_eq!(was, kind, "{body}: {text}");
        assert!(text.contains(says) && text.contains(&server.url), "{body}: {text}");
        assert_eq!(server.calls().len(), 1, "not asked again");
    }
}

#[tokio::test]
async fn an_old_answer_keeps_its_age() {
    let body = matrix(r#"{"metric":{},"values":[[0,"1"],[60,"2"]]}"#);
    let points = one(&server(body)).await.points.unwrap();
    assert_eq!(points.last().map(|p| p.0.secs()), Some(60), "asked until 300: the caller sees 240 s without news");
}

#[tokio::test]
async fn a_request_is_cut_into_chunks_and_fails_as_a_whole() {
    let cut = Server::start(|call| {
        let (start, end): (i64, i64) = (call.form["start"].parse().unwrap(), call.form["end"].parse().unwrap());
        let pod = if call.form["query"] == "moving" { start / 100_000 } else { 0 };
        if call.form["query"] == "broken" && start > 0 && end < 30_000 {
            return Reply::status(500, "disk");
        }
        let values: Vec<String> = (start..=end).map(|t| format!(r#"[{t},"{t}"]"#)).collect();
        Reply::ok(matrix(&format!(r#"{{"metric":{{"pod":"{pod}"}},"values":[{}]}}"#, values.join(","))))
    });
    let source = of(&cut);
    let points = source.fetch(&request(&["x"], 0, 30_000, 1)).await.remove(0).points.unwrap();
    assert_eq!(points.len(), 30_001);
    assert!(points.iter().zip(0..).all(|(p, t)| p.0.secs() == t && p.1 == t as f64));
    let calls = cut.calls();
    assert_eq!(calls.len(), 3);
    for call in &calls {
        assert_eq!(call.line, "POST /api/v1/query_range HTTP/1.1");
        assert_eq!((call.form["step"].as_str(), call.form["partial_response"].as_str()), ("1", "false"));
        let points: i64 = call.form["end"].parse::<i64>().unwrap() - call.form["start"].parse::<i64>().unwrap() + 1;
        assert!(points <= 11_000);
        assert!(!call.headers.contains_key("accept-encoding"), "no compression is offered");
    }
    assert!(source.fetch(&request(&["broken"], 0, 30_000, 1)).await.remove(0).points.is_err());
    let (kind, text) = told(source.fetch(&request(&["moving"], 90_000, 110_000, 1)).await.remove(0));
    assert!(kind == "refused" && text.contains("several over time, differing in pod"), "{text}");
    let (_, text) = told(source.fetch(&request(&["x"], 0, 9_000_000, 1)).await.remove(0));
    assert!(text.contains("expected at most 5300000 steps"), "{text}");
}

fn joined(call: &crate::server::Call) -> Vec<String> {
    let query = call.form.get("query").unwrap();
    if !query.contains("forescale_query") {
        return vec![query.clone()];
    }
    query.split(" or ").map(|m| m["label_replace(".len()..].split(',').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn many_queries_are_one_call_and_a_bad_one_does_not_block_them() {
    let server = Server::start(|call| {
        let members = joined(call);
        if members.iter().any(|m| m == "bad") {
            return Reply::status(422, r#"{"status":"error","errorType":"execution","error":"many-to-many"}"#);
        }
        let series = members.iter().enumerate().map(|(i, m)| {
            let labels = if members.len() > 1 { format!(r#""forescale_query":"{i}""#) } else { String::new() };
            let one = format!(r#"{{"metric":{{{labels}}},"values":[[0,"{}"]]}}"#, m.len());
            let twin = r#"{"metric":{"forescale_query":"0","pod":"2"},"values":[[0,"5"]]}"#;
            if m == "twins" && i == 0 { format!("{one},{twin}") } else { one }
        });
        Reply::ok(matrix(&series.collect::<Vec<_>>().join(",")))
    });
    let source = of(&server);
    let values = |answers: Vec<forescale::history::Answer>| -> Vec<Option<f64>> {
        answers.into_iter().map(|a| a.points.ok().and_then(|p| p.first().map(|p| p.1))).collect()
    };
    let good = ["aa", "bbb", "cccc"];
    assert_eq!(values(ask(&source, &good).await), [Some(2.0), Some(3.0), Some(4.0)]);
    assert_eq!(server.calls().len(), 1);
    let with_bad = ["aa", "bad", "bbb"];
    assert_eq!(values(ask(&source, &with_bad).await), [Some(2.0), None, Some(3.0)]);
    assert_eq!(server.calls().len(), 1 + 4, "joined, then each alone");
    assert_eq!(values(ask(&source, &with_bad).await), [Some(2.0), None, Some(3.0)]);
    assert_eq!(server.calls().len(), 5 + 2, "the bad one is alone from now on");
    assert_eq!(values(ask(&source, &["twins", "aa"]).await), [None, Some(2.0)]);
    assert_eq!(server.calls().len(), 7 + 1, "several series of one are no trouble of the others");
    assert_eq!(values(ask(&source, &["aa) or (b", "bbb"]).await), [Some(9.0), Some(3.0)]);
    let sent: Vec<String> = server.calls()[8..].iter().map(|c| c.form["query"].clone()).collect();
    assert!(sent.contains(&"aa) or (b".to_owned()) && sent.contains(&"bbb".to_owned()), "{sent:?}");
}

#[tokio::test]
async fn no_more_requests_at_once_than_allowed() {
    let under_way = Arc::new(Mutex::new((0, 0)));
    let count = under_way.clone();
    let server = Server::start(move |_| {
        {
            let mut n = count.lock().unwrap();
            n.0 += 1;
            n.1 = n.1.max(n.0);
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
        count.lock().unwrap().0 -= 1;
        Reply::ok(matrix(""))
    });
    let mut options = forescale::history::prometheus::SourceOptions::new(&server.url);
    options.concurrency = 2;
    let scalars: Vec<String> = (0..12).map(|i| i.to_string()).collect();
    let texts: Vec<&str> = scalars.iter().map(String::as_str).collect();
    let answers = ask(&crate::query::source(options), &texts).await;
    assert!(answers.iter().all(|a| a.points.is_ok()));
    assert_eq!(server.calls().len(), 12);
    assert!(under_way.lock().unwrap().1 <= 2);
}

#[test]
fn any_bytes_are_points_only_if_they_are_a_good_answer() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let said = Arc::new(Mutex::new((200u16, Vec::new())));
    let now = said.clone();
    let server = Server::start(move |_| {
        let (status, body) = now.lock().unwrap().clone();
        Reply::status(status, body)
    });
    let source = of(&server);
    let good = matrix(r#"{"metric":{"a":"b"},"values":[[0,"1"],[60,"2.5"],[120,"0"]]}"#).into_bytes();
    let mutated = (Just(good), proptest::collection::vec((0usize..120, any::<u8>(), 0u8..3), 0..6)).prop_map(
        |(mut bytes, edits)| {
            for (at, byte, what) in edits {
                let at = at % (bytes.len() + 1);
                match what {
                    0 if at < bytes.len() => bytes[at] = byte,
                    1 => bytes.insert(at, byte),
                    _ => bytes.truncate(bytes.len() - (at % 4).min(bytes.len())),
                }
            }
            bytes
        },
    );
    let bytes = prop_oneof![mutated, proptest::collection::vec(any::<u8>(), 0..300)];
    proptest!(ProptestConfig::with_cases(400), |(status in prop_oneof![5 => Just(200u16), 1 => Just(500), 1 => Just(400), 1 => Just(204)], body in bytes)| {
        *said.lock().unwrap() = (status, body.clone());
        let answer = runtime.block_on(ask(&source, &["x"])).remove(0);
        if let Ok(points) = answer.points {
            prop_assert_eq!(status, 200);
            let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
            prop_assert_eq!(&json["status"], "success");
            prop_assert_eq!(&json["data"]["resultType"], "matrix");
            for (time, value) in points {
                prop_assert!((0..=300).contains(&time.secs()) && value.is_finite() && value >= 0.0);
            }
        }
    });
}
