//! What sizing a warm pool costs: `cargo bench --no-default-features --bench pool`. Figures: `docs/warm-pool.md`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may fail")]

use criterion::{Criterion, criterion_group, criterion_main};
use forescale::plan::pool::{Bounds, Member, PoolSizer, PoolTask};
use forescale::units::{QuantileLevel, Time};
use std::hint::black_box;
use std::time::Duration;

const WORKLOADS: usize = 200;

fn members(step: u64) -> Vec<(usize, Member)> {
    let need = |k: usize| (10 + (step * 7919 + k as u64 * 104_729) % 23) as f32;
    (0..WORKLOADS).map(|k| (k, Member { need: need(k), pods: need(k) + 2.0, expected: need(k) })).collect()
}

fn size(c: &mut Criterion) {
    let task = PoolTask {
        lead: Duration::from_secs(480),
        objective: QuantileLevel::new(0.99).unwrap(),
        max_slots: 10_000,
        time_zone: "Europe/Berlin".into(),
        windows: Vec::new(),
    };
    let mut pool = PoolSizer::new(task);
    let mut step = 0;
    for _ in 0..4100 {
        pool.learn(Time::from_secs(300 * step as i64), &members(step));
        step += 1;
    }
    c.bench_function("pool: one size of 200 workloads, 4,032 scenarios", |b| {
        b.iter(|| {
            step += 1;
            let bounds = Bounds { quota: None, fresh: true };
            black_box(pool.advance(Time::from_secs(300 * step as i64), &members(step), bounds))
        })
    });
}

criterion_group!(benches, size);
criterion_main!(benches);
