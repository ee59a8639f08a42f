//! What the program serves: `/metrics`, `/healthz`, `/readyz`, `/statez`.

use super::board::Board;
use super::statez::{GuardState, Statez, WorkloadState};
use super::telling;
use crate::clock::Clock;
use crate::config::{Mode, Objectives};
use crate::demand::StartPath;
use crate::forecast::LEVELS;
use crate::observe::{Cluster, Watched};
use crate::plan::SourceState;
use crate::plan::guard::GuardOutcome;
use crate::telemetry::{GuardGauges, MetricGauges, PoolGauges, WorkloadGauges};
use crate::units::Time;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::sync::Arc;

/// What answers are made from.
#[derive(Clone)]
pub struct Served {
    /// What the loop shows.
    pub board: Arc<Board>,
    /// What the watches have seen.
    pub cluster: Arc<Cluster>,
    /// For ages.
    pub clock: Arc<dyn Clock>,
    /// For lead times.
    pub objectives: Objectives,
}

/// The routes.
pub fn router(served: Served) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/statez", get(statez))
        .route("/metrics", get(metrics))
        .with_state(served)
}

async fn healthz(State(served): State<Served>) -> (StatusCode, &'static str) {
    if served.board.is_alive() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the loop is silent\n")
    }
}

async fn readyz(State(served): State<Served>) -> (StatusCode, String) {
    let missing = if !served.cluster.synced(&Watched::ALL) {
        let watches = served.cluster.watches();
        let waiting: Vec<&str> =
            Watched::ALL.iter().filter(|w| watches.get(w).is_none_or(|s| !s.synced)).map(|w| w.resource()).collect();
        Some(format!("waiting for the first list of {}\n", waiting.join(", ")))
    } else if !served.board.has_tried_history() {
        Some("waiting for the first history\n".into())
    } else {
        None
    };
    missing.map_or_else(|| (StatusCode::OK, "ready\n".into()), |m| (StatusCode::SERVICE_UNAVAILABLE, m))
}

async fn statez(State(served): State<Served>) -> Response {
    match served.board.statez() {
        Some(statez) => axum::Json(statez.as_ref().clone()).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "starting\n").into_response(),
    }
}

async fn metrics(State(served): State<Served>) -> Response {
    let now = served.clock.now();
    let _alone = served.board.scrape();
    let (held, failing, gauges) = match served.board.statez() {
        Some(s) => (s.lease.held, s.watches.len(), s.workloads.iter().map(|w| gauges(&s, w, now)).collect()),
        None => (false, 0, Vec::new()),
    };
    for (source, spending) in served.board.statez().iter().flat_map(|s| &s.spending) {
        served.board.metrics.spent(source, spending);
    }
    if let Some(statez) = served.board.statez() {
        served.board.metrics.starts(&statez.lead_times, |path| match path {
            StartPath::WarmNode | StartPath::PreemptedSlot => served.objectives.warm_node,
            StartPath::NewNode => served.objectives.new_node,
        });
    }
    let guards: Vec<GuardGauges> = served.board.guards().iter().map(|g| guard_gauges(g, now)).collect();
    served.board.metrics.guards.set(&guards);
    if let Some(statez) = served.board.statez() {
        let pool = |p: &super::statez::PoolState| PoolGauges {
            name: p.name.clone(),
            slots: p.slots,
            expiring: p.expiring,
            ready: p.ready,
            hit_rate: p.hit_rate,
            backend: p.backend.clone(),
            problems: p.problems.len(),
            nudges: p.nudges,
        };
        served.board.metrics.pools(&statez.pools.iter().map(pool).collect::<Vec<_>>());
    }
    let text = served.board.metrics.render(held, failing, &gauges);
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
}

fn guard_gauges(guard: &GuardState, now: Time) -> GuardGauges {
    GuardGauges {
        pool: guard.pool.clone(),
        active: guard.standing.iter().any(|span| span.holds(now)),
        windows: guard.standing.len(),
        contested: guard.outcome == GuardOutcome::Contested,
        marked_nodes: guard.marked_nodes,
        expiring_nodes: guard.waves.iter().map(|w| w.claims.len()).sum(),
    }
}

fn gauges(statez: &Statez, w: &WorkloadState, now: Time) -> WorkloadGauges {
    let acts = w.mode.map(|m| m.min(statez.mode)) == Some(Mode::Act);
    let plan = w.decision.as_ref().map(|d| &d.plan);
    let metric = |(i, m): (usize, &super::statez::MetricState)| {
        let forecast = w.decision.as_ref().and_then(|d| d.forecasts.get(i)?.as_ref());
        let lead = w.policy.as_ref().zip(forecast).and_then(|(p, f)| f.window(statez.step.cover(p.lead_time.0)));
        MetricGauges {
            load: m.newest.map(|n| n.1),
            age: m.newest.map(|n| now.since(n.0).as_secs_f64()),
            fresh: m.source == SourceState::Fresh && m.doubted.is_none(),
            trust: m.trust.clone(),
            forecast: lead.map(|l| LEVELS.iter().copied().zip(l.values).collect()).unwrap_or_default(),
        }
    };
    WorkloadGauges {
        namespace: w.workload.namespace.clone(),
        name: w.workload.name.clone(),
        floor: w.floor.filter(|_| acts),
        would_floor: w.floor.filter(|_| !acts),
        replicas: w.observation.replicas,
        ready: w.observation.ready,
        planned: plan.map(|p| p.replicas),
        decision_age: w.decision.as_ref().map(|d| now.since(d.at).as_secs_f64()),
        reason: plan.map(|p| telling::name(p.reason)),
        invalid: !w.problems.is_empty(),
        stopped: w.stopped.is_some(),
        lead: w.policy.as_ref().map(|p| p.lead_time.0.as_secs_f64()),
        capacity: w.capacity.as_ref().and_then(|c| c.in_force),
        regressed: w.capacity.as_ref().is_some_and(|c| c.regression.is_some()),
        metrics: w.metrics.iter().enumerate().map(metric).collect(),
    }
}
