//! Short ways to ask.

use crate::server::Server;
use forescale::history::prometheus::{Prometheus, SourceOptions};
use forescale::history::{Answer, HistorySource, Points, Query, Request, SourceError};
use forescale::units::{Step, Time};

pub fn source(options: SourceOptions) -> Prometheus {
    Prometheus::new("test", options, 1).unwrap()
}

pub fn of(server: &Server) -> Prometheus {
    source(SourceOptions::new(&server.url))
}

pub fn request(texts: &[&str], from: i64, to: i64, step: u32) -> Request {
    Request {
        queries: texts.iter().map(|t| Query { id: format!("id of {t}"), text: (*t).into() }).collect(),
        from: Time::from_secs(from),
        to: Time::from_secs(to),
        step: Step::from_secs(step).unwrap(),
    }
}

/// The answers to the queries from 0 to 300 s, a minute apart.
pub async fn ask(source: &Prometheus, texts: &[&str]) -> Vec<Answer> {
    let answers = source.fetch(&request(texts, 0, 300, 60)).await;
    let ids: Vec<&str> = answers.iter().map(|a| a.id.trim_start_matches("id of ")).collect();
    assert_eq!(ids, texts, "one answer per query, in order");
    answers
}

/// The answer to `sum(x)` of a server.
pub async fn one(server: &Server) -> Answer {
    ask(&of(server), &["sum(x)"]).await.remove(0)
}

pub fn plain(points: &Points) -> Vec<(i64, f64)> {
    points.iter().map(|(t, v)| (t.secs(), *v)).collect()
}

/// The kind of an error and its text.
pub fn told(answer: Answer) -> (&'static str, String) {
    match answer.points.unwrap_err() {
        e @ SourceError::Unavailable(_) => ("unavailable", e.to_string()),
        e @ SourceError::Refused(_) => ("refused", e.to_string()),
        e @ SourceError::Malformed(_) => ("malformed", e.to_string()),
    }
}
