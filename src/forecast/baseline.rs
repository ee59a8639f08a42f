//! A first forecaster behind the seam: persistence with the empirical quantiles of its own errors.

use super::{Abstention, LEVELS, QuantileForecast, Task, WindowForecast};
use crate::series::{Sample, Series};
use crate::units::Time;
use std::collections::VecDeque;

/// A forecaster that has seen a history.
#[derive(Debug, Clone)]
pub struct Fitted {
    task: Task,
    recent: VecDeque<f64>,
    errors: Vec<VecDeque<f64>>,
    origin: Time,
    seen: usize,
}

/// Fits by walking through the history once.
pub fn fit(history: &Series, task: &Task) -> Fitted {
    let mut fitted = Fitted {
        task: task.clone(),
        recent: VecDeque::new(),
        errors: vec![VecDeque::new(); task.horizons.len()],
        origin: history.at(0),
        seen: 0,
    };
    for (at, sample) in history.iter() {
        fitted.observe(at, sample);
    }
    fitted
}

impl Fitted {
    /// Takes the sample of the next step.
    pub fn observe(&mut self, at: Time, sample: Sample) {
        self.origin = at;
        let Some(value) = sample.valid() else { return };
        self.seen += 1;
        self.recent.push_front(value);
        self.recent.truncate(self.task.horizons.last().copied().unwrap_or(1) + self.task.window);
        for (horizon, errors) in self.task.horizons.iter().zip(&mut self.errors) {
            if let Some(point) = self.recent.get(horizon + self.task.window - 1) {
                let target = self.recent.iter().take(self.task.window).copied().fold(0.0, f64::max);
                errors.push_front((target + 1.0).ln() - (point + 1.0).ln());
                errors.truncate(1440);
            }
        }
    }

    /// The fan from the last observed step.
    pub fn predict(&self) -> QuantileForecast {
        let level = self.recent.front().copied().unwrap_or(0.0);
        let windows = self.task.horizons.iter().zip(&self.errors).map(|(horizon, errors)| {
            let mut sorted: Vec<f64> = errors.iter().copied().collect();
            sorted.sort_by(f64::total_cmp);
            let values = LEVELS.map(|q| {
                let rank = (((sorted.len() + 1) as f64 * q).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
                let e = sorted.get(rank).copied().unwrap_or(0.0);
                (((level + 1.0).ln() + e).exp() - 1.0).max(0.0)
            });
            WindowForecast { horizon: *horizon, values }
        });
        QuantileForecast {
            origin: self.origin,
            windows: windows.collect(),
            abstains: (self.seen < 120).then_some(Abstention::ColdStart),
        }
    }
}
