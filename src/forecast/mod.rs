//! Load so far → an honest fan of quantiles of the load to come.
//!
//! What is forecast is the *largest load of the commitment window* `[origin + horizon, origin + horizon + window)`,
//! for each horizon and quantile level: that is what capacity decided now has to cover.
//!
//! `fit` reads a history off the tick; the fitted forecaster then observes one sample a step and predicts, both in
//! microseconds and without allocation that grows.

mod calibrate;
mod combine;
mod day_ahead;
mod ensemble;
mod experts;
mod explain;
mod fitted;
mod flat;
mod homework;
mod like;
mod members;
mod past;
mod residual;
mod score;
mod shift;
mod track;

pub use day_ahead::{DayAhead, SLOT, SLOTS, SlotAhead, day_ahead, quarters};
pub use experts::Expert;
pub use explain::{Explanation, HorizonExplanation, Trust, Weight};
pub use fitted::{Fitted, fit};
pub use homework::{Done, Homework};
pub use members::{Member, Spread};
pub use score::{Coverage, pinball};

use crate::occasion::Occasion;
use crate::units::{Step, Time};
use serde::{Deserialize, Serialize};

/// The quantile levels of every forecast, rising.
pub const LEVELS: [f64; 9] = [0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999];

/// A forecast of less history than this abstains.
pub const COLD_START: std::time::Duration = std::time::Duration::from_secs(2 * 3600);

/// What to forecast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// The grid.
    pub step: Step,
    /// Steps from the origin to the first step of the window, rising, each at least 1.
    pub horizons: Vec<usize>,
    /// Steps in the window, at least 1.
    pub window: usize,
    /// IANA zone in which seasons live.
    pub time_zone: String,
    /// Days and hours that are not like others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub occasions: Vec<Occasion>,
}

/// Quantiles of the largest load of one window.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WindowForecast {
    /// Steps from the origin to the first step of the window.
    pub horizon: usize,
    /// One value per level of [`LEVELS`], in load units, finite, not negative, not falling.
    pub values: [f64; LEVELS.len()],
}

impl WindowForecast {
    /// The value at the highest level.
    pub fn highest(&self) -> f64 {
        let [.., highest] = self.values;
        highest
    }

    /// The value at `level`: linear between the levels of [`LEVELS`], clamped to their ends.
    pub fn at(&self, level: f64) -> f64 {
        between(&self.values, level)
    }
}

/// The value at `level` of the values at [`LEVELS`]: linear between them, clamped to their ends.
fn between(values: &[f64; LEVELS.len()], level: f64) -> f64 {
    let [lowest, .., highest] = *values;
    let knots = LEVELS.into_iter().zip(*values);
    let Some((l1, v1)) = knots.clone().find(|(l, _)| *l >= level) else { return highest };
    let Some((l0, v0)) = knots.take_while(|(l, _)| *l < level).last() else { return lowest };
    let share = (level - l0) / (l1 - l0);
    v0 + share * (v1 - v0)
}

/// The fan at one origin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuantileForecast {
    /// The last instant whose sample was used.
    pub origin: Time,
    /// One entry per horizon of the task, in its order.
    pub windows: Vec<WindowForecast>,
    /// Set when the forecast is not good enough to act on; says why.
    pub abstains: Option<Abstention>,
}

impl QuantileForecast {
    /// The window that starts `horizon` steps ahead, if the task asked for it.
    pub fn window(&self, horizon: usize) -> Option<&WindowForecast> {
        self.windows.iter().find(|w| w.horizon == horizon)
    }
}

/// Why a forecast doesn't move replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Abstention {
    /// Not enough history yet.
    ColdStart,
    /// In rolling hindsight it lost to seasonal naive.
    LosesToSeasonalNaive,
    /// In rolling hindsight it lost to reacting.
    LosesToReactive,
}

#[cfg(test)]
mod tests;
