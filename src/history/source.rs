//! The seam behind which Prometheus and CloudWatch look the same.

use super::Points;
use crate::units::{Step, Time};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One series asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The caller's name for it; comes back in the answer.
    pub id: String,
    /// In the source's own language: PromQL, or a CloudWatch metric spec.
    pub text: String,
}

/// Samples asked for: `from <= t <= to`, one a step.
#[derive(Debug, Clone)]
pub struct Request {
    /// The series.
    pub queries: Vec<Query>,
    /// The first instant, on the grid of `step` since the epoch.
    pub from: Time,
    /// The last instant.
    pub to: Time,
    /// The spacing.
    pub step: Step,
}

/// What came back for one query. An error is never a number: a query that failed has no points.
#[derive(Debug)]
pub struct Answer {
    /// The id of the query.
    pub id: String,
    /// The points, oldest first, each time once; empty means that the source has no such samples (which is not zero).
    pub points: Result<Points, SourceError>,
    /// What the source said beside the data.
    pub warnings: Vec<String>,
}

/// Why a source gave no points.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Not reached, too slow, or overloaded: asking again later may work.
    #[error("{0}")]
    Unavailable(crate::error::Problem),
    /// The question is wrong: asking again will not help.
    #[error("{0}")]
    Refused(crate::error::Problem),
    /// It answered, but not with what the protocol says.
    #[error("{0}")]
    Malformed(crate::error::Problem),
}

/// A source of history.
pub trait HistorySource: Send + Sync {
    /// Its name in the config.
    fn name(&self) -> &str;

    /// Fetches all queries of the request, in as few calls as the source allows; one answer per query, in order.
    fn fetch<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Vec<Answer>>;

    /// How long after an instant its sample may still be withheld because the source is not done with it. Until then
    /// a missing newest sample is neither a gap nor stale.
    fn settling(&self, _query: &str) -> Duration {
        Duration::ZERO
    }

    /// How close together its samples can be: what is asked more often says nothing new.
    fn resolution(&self) -> Duration {
        Duration::ZERO
    }

    /// What asking costs. None: nothing.
    fn spending(&self) -> Option<Spending> {
        None
    }
}

/// What a source that is paid for has been asked, and what that costs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spending {
    /// Metrics asked for in the last 60 minutes.
    pub metrics_last_hour: u64,
    /// Metrics asked for since the start.
    pub metrics_total: u64,
    /// US dollars a month at the pace of the last hour.
    pub dollars_per_month: f64,
    /// The cap, metrics an hour.
    pub max_metrics_per_hour: u64,
    /// True while the cap holds requests back: then the source's data grow stale.
    pub capped: bool,
}
