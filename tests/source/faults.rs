//! Answers that are errors, don't end, or come from somewhere else; and that no message holds a credential.

use crate::query::{ask, of, one, plain, source, told};
use crate::server::{Reply, Server};
use forescale::history::prometheus::{Auth, MAX_ANSWER_BYTES, Prometheus, SourceOptions};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const GOOD: &str = r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[0,"7"]]}]}}"#;

#[tokio::test]
async fn statuses() {
    let bad_data = r#"{"status":"error","errorType":"bad_data","error":"parse error: unexpected end"}"#;
    let dear = r#"{"status":"error","errorType":"timeout","error":"query timed out in expression evaluation"}"#;
    for (status, body, kind, says, calls) in [
        (400, bad_data, "refused", "bad_data: parse error: unexpected end", 1),
        (401, "Unauthorized", "refused", "401 Unauthorized: Unauthorized; name a bearer token file", 1),
        (403, "", "refused", "403 Forbidden: ; these credentials or this tenant", 1),
        (404, "404 page not found", "refused", "is the path prefix right?", 1),
        (413, "", "refused", "a query that the source accepts", 1),
        (418, "", "refused", "is it the URL of", 1),
        (422, bad_data, "refused", "a query that the source accepts", 1),
        (429, "slow down", "unavailable", "429 Too Many Requests: slow down", 3),
        (500, "<html>oops</html>", "unavailable", "500 Internal Server Error: <html>oops", 1),
        (502, "", "unavailable", "502 Bad Gateway", 3),
        (503, "", "unavailable", "503 Service Unavailable", 3),
        (503, dear, "unavailable", "timeout: query timed out", 1),
        (504, "", "unavailable", "504 Gateway Timeout", 3),
        (204, "", "malformed", "an empty answer", 1),
    ] {
        let server = Server::start(move |_| Reply::status(status, body));
        let (was, text) = told(one(&server).await);
        assert_eq!(was, kind, "{status}: {text}");
        assert!(text.contains(says) && text.contains(&server.url), "{status}: {text}");
        assert_eq!(server.calls().len(), calls, "{status}: attempts");
    }
}

#[tokio::test]
async fn an_overloaded_server_is_asked_again_when_it_says() {
    let calls = AtomicUsize::new(0);
    let server = Server::start(move |_| match calls.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::Http(503, vec![("retry-after", "0".into())], Vec::new()),
        1 => Reply::Http(429, vec![("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT".into())], Vec::new()),
        _ => Reply::ok(GOOD),
    });
    assert_eq!(plain(&one(&server).await.points.unwrap()), [(0, 7.0)]);
    assert_eq!(server.calls().len(), 3);
    let later = Server::start(|_| Reply::Http(429, vec![("retry-after", "3600".into())], Vec::new()));
    assert_eq!(told(one(&later).await).0, "unavailable");
    assert_eq!(later.calls().len(), 1, "an hour is longer than the deadline: the next tick asks again");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = Server::saying(GOOD);
    let target = format!("{}/login?session=abcdefghijkl", other.url);
    for status in [301, 302, 307, 308] {
        let target = target.clone();
        let server = Server::start(move |_| Reply::Http(status, vec![("location", target.clone())], Vec::new()));
        let (kind, text) = told(one(&server).await);
        assert_eq!(kind, "refused");
        assert!(text.contains(&format!("to {}/login;", other.url)) && text.contains("not followed"), "{text}");
    }
    assert!(other.calls().is_empty());
}

#[tokio::test]
async fn a_huge_answer_is_not_read_to_its_end() {
    let said = Server::start(|_| Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n{".to_vec()));
    let (kind, text) = told(one(&said).await);
    assert!(kind == "malformed" && text.contains("at most 33554432 bytes; found 104857600 bytes"), "{text}");
    let flood = Server::start(|_| Reply::Flood);
    let (kind, text) = told(one(&flood).await);
    assert!(kind == "malformed" && text.contains("at most 33554432 bytes; found more"), "{text}");
    let taken = *flood.flooded.lock().unwrap();
    assert!(taken < 2 * MAX_ANSWER_BYTES, "{taken} bytes of 100 MB were taken");
}

#[tokio::test]
async fn an_answer_that_does_not_end_is_given_up() {
    let hurried = |server: &Server| {
        let mut options = SourceOptions::new(&server.url);
        options.deadline = Duration::from_millis(300);
        source(options)
    };
    let slow = Server::start(|_| Reply::Drip);
    let (kind, text) = told(ask(&hurried(&slow), &["x"]).await.remove(0));
    assert!(kind == "unavailable" && text.contains("expected an answer within 300ms"), "{text}");
    assert_eq!(slow.calls().len(), 1, "not asked again");
    // one slow query among others: they are asked apart and answered
    let mixed = Server::start(|call| if call.form["query"].contains("slow") { Reply::Drip } else { Reply::ok(GOOD) });
    let answers = ask(&hurried(&mixed), &["slow", "quick"]).await;
    assert!(answers[0].points.is_err());
    assert_eq!(plain(answers[1].points.as_ref().unwrap()), [(0, 7.0)]);
}

/// More slow queries than may be under way at once: the fetch ends all the same, with the answers that there are, and
/// the slow ones don't stand in the way for ever.
#[tokio::test]
async fn slow_queries_do_not_starve_the_others() {
    let server = Server::start(|call| if call.form["query"].contains("slow") { Reply::Drip } else { Reply::ok(GOOD) });
    let mut options = SourceOptions::new(&server.url);
    (options.deadline, options.concurrency) = (Duration::from_millis(200), 2);
    let source = source(options);
    let texts = ["slow1", "slow2", "slow3", "slow4", "slow5", "quick"];
    let mut answered = 0;
    for _ in 0..4 {
        let answers = ask(&source, &texts).await;
        assert!(answers[..5].iter().all(|a| a.points.is_err()));
        answered = if answers[5].points.is_ok() { answered + 1 } else { 0 };
    }
    assert!(answered >= 1, "the quick one was not answered by the fourth time");
    // numbers are not joined: they go before what has failed alone
    assert!(ask(&source, &["slow1", "slow2", "1"]).await[2].points.is_ok());
}

#[tokio::test]
async fn broken_connections() {
    for (bytes, says) in [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{\"status\"".to_vec(), "cut off after 9 bytes"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"sta".to_vec(), "cut off after"),
        (b"\x16\x03\x01 no http".to_vec(), "expected an answer"),
        (Vec::new(), "expected an answer"),
    ] {
        let server = Server::start(move |_| Reply::Raw(bytes.clone()));
        let (kind, text) = told(one(&server).await);
        assert!(kind == "unavailable" && text.contains(says), "{text}");
    }
    let nobody = source(SourceOptions::new("http://127.0.0.1:9"));
    let (kind, text) = told(ask(&nobody, &["x"]).await.remove(0));
    assert!(
        kind == "unavailable" && text.contains("Connection refused") && text.contains("http://127.0.0.1:9/"),
        "{text}"
    );
}

#[tokio::test]
async fn a_compressed_answer_is_not_unpacked() {
    use std::io::Write;
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&vec![b' '; 50 << 20]).unwrap();
    let bomb = bomb.finish().unwrap();
    let server = Server::start(move |_| Reply::Http(200, vec![("content-encoding", "gzip".into())], bomb.clone()));
    let (kind, text) = told(one(&server).await);
    assert!(kind == "malformed" && text.contains("not compressed"), "{text}");
}

#[tokio::test]
async fn who_we_are_is_sent_and_never_told() {
    let echo = || {
        Server::start(|call| {
            let sent = format!("{:?}", call.headers);
            if call.form["query"] == "fine" { Reply::ok(GOOD) } else { Reply::status(401, sent) }
        })
    };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");

    let server = echo();
    std::fs::write(&file, "first-token-value\n").unwrap();
    let mut options = SourceOptions::new(format!("{}/prometheus/", server.url));
    options.auth = Auth::BearerTokenFile(file.clone());
    options.headers.insert("X-Scope-OrgID".into(), "tenant-of-ours".into());
    let with_token = source(options);
    let (_, text) = told(ask(&with_token, &["x"]).await.remove(0));
    assert!(text.contains("***") && !text.contains("first-token") && !text.contains("tenant-of-ours"), "{text}");
    std::fs::write(&file, "second-token-value").unwrap();
    ask(&with_token, &["fine"]).await.remove(0).points.unwrap();
    let calls = server.calls();
    assert_eq!(calls[0].headers["authorization"], "Bearer first-token-value");
    assert_eq!(calls[1].headers["authorization"], "Bearer second-token-value", "a rotated token is used at once");
    assert_eq!(calls[1].headers["x-scope-orgid"], "tenant-of-ours");
    assert_eq!(calls[1].line, "POST /prometheus/api/v1/query_range HTTP/1.1");

    std::fs::write(&file, "").unwrap();
    let (kind, text) = told(ask(&with_token, &["fine"]).await.remove(0));
    assert!(
        kind == "unavailable" && text.contains("secret: expected a file with a bearer token; found an empty"),
        "{text}"
    );
    assert_eq!(server.calls().len(), 2, "never asked without it");

    let server = echo();
    std::fs::write(&file, "pass-word-value").unwrap();
    let mut options = SourceOptions::new(&server.url);
    options.auth = Auth::Basic { user: "me".into(), password_file: file };
    let (_, text) = told(ask(&source(options), &["x"]).await.remove(0));
    assert_eq!(server.calls()[0].headers["authorization"], "Basic bWU6cGFzcy13b3JkLXZhbHVl");
    assert!(!text.contains("pass-word") && !text.contains("bWU6"), "{text}");

    let problems = Prometheus::new("x", SourceOptions::new("http://u:pass-word@h"), 1).err().unwrap();
    assert!(!problems[0].to_string().contains("pass-word"));
}

#[tokio::test]
async fn a_source_that_recovers_is_used_again() {
    let calls = AtomicUsize::new(0);
    let server = Server::start(move |_| match calls.fetch_add(1, Ordering::SeqCst) {
        0..3 => Reply::status(500, ""),
        _ => Reply::ok(GOOD),
    });
    let source = of(&server);
    assert!(ask(&source, &["x", "y"]).await.iter().all(|a| a.points.is_err()));
    assert!(ask(&source, &["x"]).await[0].points.is_ok());
}

/// In an image without any certificate a plain URL works, and an https one says what is missing.
#[test]
fn without_certificates() {
    let server = Server::saying(GOOD);
    let run = |url: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_forescale"));
        command.args(["backtest", "--capacity-per-replica", "1", "--query", "sum(x)", "--source-url", url]);
        command.env("SSL_CERT_FILE", "/dev/null").env("SSL_CERT_DIR", "/nonexistent");
        String::from_utf8(command.output().unwrap().stderr).unwrap()
    };
    let told = run(&server.url);
    assert!(told.contains("expected samples in the 14d before"), "asked, and told that there are none: {told}");
    let told = run("https://127.0.0.1:9");
    assert!(told.contains("certificates that the machine trusts, or a CA file"), "{told}");
}
