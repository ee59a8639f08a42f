//! Calibration: a correction of each quantile that moves until the promised share of outcomes lies below it.
//!
//! Quantile tracking, the P part of conformal PID control (Angelopoulos, Candès, Tibshirani, "Conformal PID control for time
//! series prediction", NeurIPS 2023), in units of the local scale, with a clamp, and frozen while the data is not valid.

/// The correction of one horizon and level.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tracker {
    correction: f32,
}

/// Corrections stay within so many scale units.
const MOST: f32 = 3.0;

impl Tracker {
    /// In scale units.
    pub fn correction(self) -> f32 {
        self.correction
    }

    /// One outcome: `missed` if it lay above the corrected quantile of `level`.
    pub fn learn(&mut self, missed: bool, level: f32, rate: f32) {
        let surprise = if missed { level } else { level - 1.0 };
        self.correction = (self.correction + rate * surprise).clamp(-MOST, MOST);
    }
}
