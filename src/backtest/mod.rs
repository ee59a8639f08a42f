//! Recorded history through the very same ticks as live, closed loop against a simulated cluster, never looking ahead.

use crate::forecast::{LEVELS, QuantileForecast};
use crate::plan::{Observation, SourceState};
use crate::policy::{LoadMetric, Mode, Policy};
use crate::series::{Sample, Series};
use crate::tick::{COMMITMENT, Inputs, Memory, MetricInputs, MetricMemory, tick};
use crate::units::{LeadTime, Replicas, Step, Time, replicas_for};
use serde::Serialize;
use std::fmt::Write as _;
use std::time::Duration;

/// What is tested.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Load one replica serves.
    pub capacity_per_replica: f64,
    /// Lower bound.
    pub min_replicas: Replicas,
    /// Upper bound.
    pub max_replicas: Replicas,
    /// Decision to serving.
    pub lead_time: LeadTime,
    /// Share of load that may go unserved.
    pub unserved_budget: f64,
    /// First scored instant. None: after 7 days, or 2 where the history covers fewer than 10.
    pub score_from: Option<Time>,
    /// Zone of the seasons.
    pub time_zone: String,
}

/// Scores over the scored steps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Scores {
    /// Share of the load that met no capacity.
    pub unserved_fraction: f64,
    /// Hours of ready replicas.
    pub replica_hours: f64,
}

/// What came out.
#[derive(Debug, Clone)]
pub struct Backtest {
    step: Step,
    decisions: Vec<(Time, Replicas)>,
    forecasts: Vec<QuantileForecast>,
    /// The scores.
    pub scores: Scores,
}

/// Every how many steps a forecast is kept for scoring.
const FORECAST_STRIDE: usize = 5;

/// Runs the history through `tick`. Replicas added by a decision are ready one lead later, removed ones are gone at the
/// next step: `ready[u] = min(desired[u - lead ..= u - 1])`.
pub fn run(history: &Series, setting: &Setting) -> Backtest {
    let step = history.step();
    let lead = step.cover(setting.lead_time.0);
    let days = history.len() as f64 * f64::from(step.secs()) / 86_400.0;
    let first_day = if days >= 10.0 { 7 } else { 2 };
    let score_from = setting.score_from.unwrap_or(history.at(first_day * step.per_day()));
    let capacity = setting.capacity_per_replica;
    let policy = Policy {
        mode: Mode::Observe,
        metrics: vec![LoadMetric {
            source: String::new(),
            query: String::new(),
            capacity_per_replica: capacity,
            tenant: None,
        }],
        min_replicas: setting.min_replicas,
        max_replicas: setting.max_replicas,
        lead_time: setting.lead_time,
        unserved_budget: setting.unserved_budget,
        time_zone: setting.time_zone.clone(),
        schedules: Vec::new(),
        hold: None,
    };
    let nothing = Series::new(history.at(0), step, 1);
    let mut memory = Memory::new(vec![MetricMemory::learn(&nothing, &policy, capacity)]);
    // before the first decision: what the peak of the scored part would need is unknown, so the bound of the user's load so far
    let mut desired: Vec<Replicas> = Vec::with_capacity(history.len());
    let (mut forecasts, mut decisions) = (Vec::new(), Vec::new());
    let (mut unserved, mut load, mut ready_sum) = (0.0, 0.0, 0.0);
    for (i, (now, sample)) in history.iter().enumerate() {
        let ready = if i == 0 { 0 } else { desired[i.saturating_sub(lead)..i].iter().copied().min().unwrap_or(0) };
        let scored = now >= score_from;
        if let (true, Sample::Valid(v)) = (scored, sample) {
            let short = v - capacity * f64::from(ready);
            unserved += if short > 1e-9 * capacity { short } else { 0.0 };
            load += v;
            ready_sum += f64::from(ready);
        }
        let inputs = Inputs {
            metrics: vec![MetricInputs {
                samples: vec![sample],
                source: SourceState::Fresh,
                capacity_per_replica: capacity,
                settling: Duration::ZERO,
            }],
            observation: Observation {
                at: now,
                replicas: desired.last().copied().unwrap_or(setting.min_replicas),
                ready,
                autoscaled: false,
                floor: None,
                rollout: false,
                blocked: None,
            },
        };
        let mut decision = tick(now, &policy, &inputs, &mut memory);
        desired.push(decision.plan.replicas);
        if scored {
            decisions.push((now, decision.plan.replicas));
            if i % FORECAST_STRIDE == 0 {
                forecasts.extend(decision.forecasts.swap_remove(0));
            }
        }
    }
    let scores = Scores {
        unserved_fraction: if load > 0.0 { unserved / load } else { 0.0 },
        replica_hours: ready_sum * f64::from(step.secs()) / 3600.0,
    };
    Backtest { step, decisions, forecasts, scores }
}

impl Backtest {
    /// `timestamp,desired_replicas`, one row a step.
    pub fn decisions_csv(&self) -> String {
        let mut out = String::from("timestamp,desired_replicas\n");
        for (at, replicas) in &self.decisions {
            let _ = writeln!(out, "{at},{replicas}");
        }
        out
    }

    /// `origin,horizon_seconds,window_seconds,quantile,value` at 0.5, 0.9, 0.95 and 0.99.
    pub fn forecasts_csv(&self) -> String {
        let mut out = String::from("origin,horizon_seconds,window_seconds,quantile,value\n");
        let window = self.step.cover(COMMITMENT) * self.step.secs() as usize;
        let wanted = [180, 900, 3600].map(|s| self.step.cover(Duration::from_secs(s)));
        for forecast in &self.forecasts {
            for w in forecast.windows.iter().filter(|w| wanted.contains(&w.horizon)) {
                for (level, value) in LEVELS.iter().zip(w.values).filter(|(l, _)| [0.5, 0.9, 0.95, 0.99].contains(*l)) {
                    let horizon = w.horizon * self.step.secs() as usize;
                    let _ = writeln!(out, "{},{horizon},{window},{level},{value}", forecast.origin);
                }
            }
        }
        out
    }
}

/// Replicas just enough at every step, with no lead time: the yardstick of cost.
pub fn oracle(load: f64, setting: &Setting) -> Replicas {
    replicas_for(load, setting.capacity_per_replica).clamp(setting.min_replicas, setting.max_replicas)
}
