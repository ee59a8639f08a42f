//! The live page and its JSON: the same for the demo and for the daemon.

use crate::report::live::Millis;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use serde::Deserialize;
use std::sync::Arc;

/// The page: one file that asks for nothing but `live.json`.
const PAGE: &str = include_str!("../report/page.html");

/// What a page shows; see [`crate::report::live::Live::answer`] for the shape.
pub trait Story: Send + Sync + 'static {
    /// What has happened after `since`, and how it stands.
    fn answer(&self, since: Millis) -> serde_json::Value;
}

#[derive(Debug, Deserialize)]
struct Since {
    #[serde(default)]
    since: i64,
}

/// `/` and `/live.json?since=MILLISECONDS`.
pub fn router(story: Arc<impl Story>) -> Router {
    Router::new().route("/", get(page)).route("/live.json", get(live)).with_state(story as Arc<dyn Story>)
}

async fn page() -> impl IntoResponse {
    // nothing from elsewhere is ever loaded, whatever a workload is called
    const POLICY: &str =
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:";
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, PAGE)
}

async fn live(State(story): State<Arc<dyn Story>>, Query(query): Query<Since>) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "no-store")], axum::Json(story.answer(Millis(query.since))))
}
