//! Cost of one tick of the forecaster: every expert, four horizons, nine levels, at one-minute steps.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may fail")]

use criterion::{Criterion, criterion_group, criterion_main};
use forescale::forecast::{Task, fit};
use forescale::series::{Sample, Series};
use forescale::units::{Step, Time};
use std::hint::black_box;

fn load(i: usize) -> f64 {
    let day = (i % 1440) as f64 / 1440.0;
    100.0 + 60.0 * (std::f64::consts::TAU * day).sin() + (i * 7919 % 101) as f64 / 20.0
}

fn tick(c: &mut Criterion) {
    let task = Task {
        step: Step::MINUTE,
        horizons: vec![3, 8, 15, 60],
        window: 5,
        time_zone: "Europe/Berlin".into(),
        occasions: Vec::new(),
    };
    let days = 3 * 1440;
    let history = Series::of(Time::from_secs(0), Step::MINUTE, (0..days).map(|i| Sample::Valid(load(i))));
    let mut fitted = fit(&history, &task);
    let mut i = days;
    c.bench_function("forecast/tick", |b| {
        b.iter(|| {
            fitted.observe(Time::from_secs(60 * i as i64), Sample::Valid(load(i)));
            i += 1;
            black_box(fitted.predict())
        });
    });
}

criterion_group!(benches, tick);
criterion_main!(benches);
