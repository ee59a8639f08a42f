//! What a decision costs: `cargo bench --no-default-features --bench tick`. Figures: `docs/performance.md`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may fail")]

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use forescale::backtest::{self, Setting};
use forescale::plan::{Heard, Observation, PlanTask, Portfolio, SourceState};
use forescale::policy::{LoadMetric, Mode, Policy};
use forescale::series::{Sample, Series};
use forescale::tick::{Inputs, Memory, MetricInputs, MetricMemory, tick};
use forescale::units::{LeadTime, Step, Time};
use std::cell::RefCell;
use std::hint::black_box;
use std::time::Duration;

/// A wave of a day with a spike every hour and a little ripple.
fn load(minute: usize) -> f64 {
    let day = (minute as f64 / 1440.0 * std::f64::consts::TAU).sin();
    let spike = if minute % 60 < 4 { 120.0 } else { 0.0 };
    300.0 + 150.0 * day + spike + ((minute * 7919) % 23) as f64
}

fn history(minutes: usize) -> Series {
    Series::of(Time::from_secs(0), Step::MINUTE, (0..minutes).map(|i| Sample::Valid(load(i))))
}

fn policy() -> Policy {
    Policy {
        mode: Mode::Observe,
        metrics: vec![LoadMetric {
            source: String::new(),
            query: String::new(),
            capacity_per_replica: 12.0,
            tenant: None,
            learned: None,
        }],
        min_replicas: 1,
        max_replicas: 400,
        lead_time: LeadTime(Duration::from_secs(180)),
        unserved_budget: 0.001,
        miss_cost: None,
        time_zone: "UTC".into(),
        schedules: Vec::new(),
        occasions: Vec::new(),
        hold: None,
        pods_per_second: None,
        slots: None,
    }
}

fn one_tick(c: &mut Criterion) {
    let policy = policy();
    let minutes = 8 * 1440;
    let memory = RefCell::new(Memory::new(vec![MetricMemory::learn(&history(minutes), &policy, 12.0)]));
    let mut minute = minutes;
    c.bench_function("tick: one step of one workload", |b| {
        let next = || {
            // fits are made between ticks, as the daemon makes them
            for metric in &mut memory.borrow_mut().metrics {
                if let Some(homework) = metric.homework() {
                    metric.hand_in(homework.work());
                }
            }
            let now = Time::from_secs(60 * minute as i64);
            let inputs = Inputs {
                metrics: vec![MetricInputs {
                    samples: vec![Sample::Valid(load(minute))],
                    source: SourceState::Fresh,
                    capacity_per_replica: 12.0,
                    settling: Duration::ZERO,
                    reading: None,
                }],
                observation: Observation {
                    at: now,
                    replicas: 30,
                    ready: 30,
                    autoscaled: true,
                    floor: None,
                    rollout: false,
                    blocked: None,
                    stopped: false,
                    unhealthy: false,
                    room: None,
                },
            };
            minute += 1;
            (now, inputs)
        };
        let one = |(now, inputs)| tick(now, &policy, &inputs, &mut memory.borrow_mut());
        b.iter_batched(next, one, BatchSize::PerIteration);
    });
}

fn portfolio(c: &mut Criterion) {
    let task = PlanTask {
        step: Step::MINUTE,
        lead: 3,
        window: 5,
        unserved_budget: 0.001,
        miss_cost: None,
        min_replicas: 1,
        max_replicas: 400,
    };
    let mut portfolio = Portfolio::new(task);
    let mut minute = 0;
    let mut step = || {
        minute += 1;
        portfolio.advance(Time::from_secs(60 * minute as i64), load(minute), Heard::Lesson, None, 12.0)
    };
    (0..8 * 1440).for_each(|_| {
        step();
    });
    c.bench_function("portfolio: books and decision of one step", |b| b.iter(|| black_box(step())));
}

fn sixteen_days(c: &mut Criterion) {
    let history = history(16 * 1440);
    let setting = Setting {
        capacity_per_replica: 12.0,
        min_replicas: 1,
        max_replicas: 400,
        lead_time: LeadTime(Duration::from_secs(180)),
        unserved_budget: 0.001,
        score_from: None,
        time_zone: "UTC".into(),
        occasions: Vec::new(),
    };
    let mut group = c.benchmark_group("backtest");
    group.sample_size(10);
    group
        .bench_function("16 days of minutes", |b| b.iter(|| black_box(backtest::run(&history, &setting, None).scores)));
    group.finish();
}

criterion_group!(benches, one_tick, portfolio, sixteen_days);
criterion_main!(benches);
