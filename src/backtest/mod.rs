//! Recorded history through the very same ticks as live, closed loop against a simulated cluster, never looking ahead.

mod pool;
mod scores;

pub use pool::{FactorRule, Group, GroupError, HitRate, PlanBy, PlanRow, PoolBacktest, PoolSetting, Served, run_pool};
pub use scores::{Scores, fixed, hpa, oracle, ready, score};

use crate::forecast::{LEVELS, QuantileForecast};
use crate::occasion::Occasion;
use crate::plan::{Observation, SourceState};
use crate::policy::{LoadMetric, Mode, Policy, Workload, WorkloadKind};
use crate::series::Series;
use crate::tick::{COMMITMENT, Inputs, Memory, MetricInputs, MetricMemory, Record, tick};
use crate::units::{LeadTime, Replicas, Step, Time};
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
    /// Days and hours that are not like others.
    pub occasions: Vec<Occasion>,
}

/// What came out.
#[derive(Debug, Clone)]
pub struct Backtest {
    step: Step,
    decisions: Vec<(Time, Replicas)>,
    forecasts: Vec<QuantileForecast>,
    /// The scores.
    pub scores: Scores,
    /// First scored instant.
    pub score_from: Time,
    /// The candidates that decide at the end and their weights, the heaviest first.
    pub mixture: Vec<(String, f32)>,
}

/// Runs the history through `tick`. Replicas added by a decision are ready one lead later, removed ones are gone at the
/// next step: `ready[u] = min(desired[u - lead ..= u - 1])`. A step without a sample decides and forecasts nothing that is
/// scored: the last decision holds.
///
/// `log` is given what a decision log holds, record after record.
pub fn run(history: &Series, setting: &Setting, mut log: Option<&mut dyn FnMut(Record)>) -> Backtest {
    let step = history.step();
    let lead = step.cover(setting.lead_time.0);
    let score_from = score_from(history, setting);
    let capacity = setting.capacity_per_replica;
    let policy = Policy {
        mode: Mode::Observe,
        metrics: vec![LoadMetric {
            source: String::new(),
            query: String::new(),
            capacity_per_replica: capacity,
            tenant: None,
            learned: None,
        }],
        min_replicas: setting.min_replicas,
        max_replicas: setting.max_replicas,
        lead_time: setting.lead_time,
        unserved_budget: setting.unserved_budget,
        miss_cost: None,
        time_zone: setting.time_zone.clone(),
        schedules: Vec::new(),
        occasions: setting.occasions.clone(),
        hold: None,
        pods_per_second: None,
        slots: None,
    };
    let nothing = Series::new(history.at(0), step, 1);
    let mut memory = Memory::new(vec![MetricMemory::learn(&nothing, &policy, capacity)]);
    let workload = Workload { namespace: "backtest".into(), name: "history".into(), kind: WorkloadKind::Deployment };
    if let Some(log) = &mut log {
        log(Record::Start {
            workload: workload.clone(),
            build: env!("CARGO_PKG_VERSION").into(),
            policy: policy.clone(),
            metrics: vec![(nothing, capacity)],
            continued: false,
        });
    }
    let mut desired: Vec<Replicas> = Vec::with_capacity(history.len());
    let (mut forecasts, mut decisions) = (Vec::new(), Vec::new());
    for (i, (now, sample)) in history.iter().enumerate() {
        let ready = ready(&desired, i, lead);
        let scored = now >= score_from;
        let inputs = Inputs {
            metrics: vec![MetricInputs {
                samples: vec![sample],
                source: SourceState::Fresh,
                capacity_per_replica: capacity,
                settling: Duration::ZERO,
                reading: None,
            }],
            observation: Observation {
                at: now,
                replicas: desired.last().copied().unwrap_or(setting.min_replicas),
                ready,
                autoscaled: false,
                floor: None,
                rollout: false,
                blocked: None,
                stopped: false,
                unhealthy: false,
                room: None,
            },
        };
        let mut decision = tick(now, &policy, &inputs, &mut memory);
        let measured = sample.measured().is_some();
        let holds = desired.last().copied().filter(|_| !measured);
        desired.push(holds.unwrap_or(decision.plan.replicas));
        if let Some(log) = &mut log {
            log(Record::Tick { workload: workload.clone(), now, inputs, decision: decision.clone() });
        }
        if scored && measured {
            decisions.push((now, decision.plan.replicas));
            forecasts.extend(decision.forecasts.swap_remove(0));
        }
    }
    let scores = score(history, setting, score_from, &desired);
    let portfolios = memory.metrics.iter().map(|m| m.planner().portfolio());
    let mixture = portfolios.flat_map(|p| p.mixture()).map(|(candidate, weight)| (candidate.to_string(), weight));
    Backtest { step, decisions, forecasts, scores, score_from, mixture: mixture.collect() }
}

/// The setting's, or after 7 days of a history of at least 10, else after 2.
pub fn score_from(history: &Series, setting: &Setting) -> Time {
    let day = history.step().per_day();
    let first_day = if history.len() >= 10 * day { 7 } else { 2 };
    setting.score_from.unwrap_or(history.at(first_day * day))
}

/// The capacity with which `replicas` serve 99.9 % of the scored samples; 1 where there is no load.
pub fn capacity_for_peak(history: &Series, setting: &Setting, replicas: Replicas) -> f64 {
    let from = score_from(history, setting);
    let mut loads: Vec<f64> = history.iter().filter(|(t, _)| *t >= from).filter_map(|(_, s)| s.valid()).collect();
    loads.sort_by(f64::total_cmp);
    let peak = loads.get((loads.len() * 999).div_ceil(1000).saturating_sub(1)).copied().unwrap_or(0.0);
    if peak > 0.0 { peak / f64::from(replicas.max(1)) } else { 1.0 }
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
