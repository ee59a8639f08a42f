//! Moves the size so that the share of hits is the objective's: a conformal quantile tracker with anti-windup.
//! Sources: Angelopoulos, Candès, Tibshirani, "Conformal PID Control for Time Series Prediction", NeurIPS 2023, for what is
//! added beyond the quantile; Gibbs, Candès, "Adaptive Conformal Inference Under Distribution Shift", NeurIPS 2021, for the
//! level that is lowered: where plans leave little to lack, most sums are 0 and no multiple of their spread fits.

use crate::units::Time;
use std::collections::VecDeque;

/// The correction adds so many spreads at most.
const CORRECTION_MAX: f32 = 3.0;
/// How fast the correction follows, per judged step of one minute.
const RATE: f32 = 0.1;
/// Days over which the hit-rate is told.
const DAYS: usize = 7;

/// The correction, and how often the pool was enough.
#[derive(Debug, Clone, Default)]
pub(super) struct Tracker {
    correction: f32,
    /// (day since the epoch, hits, judged), the newest last.
    days: VecDeque<(i64, u32, u32)>,
}

impl Tracker {
    /// Spreads to add to the quantile: none while the pool is enough too often.
    pub fn spreads(&self) -> f32 {
        self.correction.max(0.0)
    }

    /// The level to take the quantile at: the objective's, or where the pool is enough too often a lower one, down to 0.
    pub fn level(&self, objective: f64) -> f64 {
        (1.0 - (1.0 - objective) * (-f64::from(self.correction.min(0.0))).exp()).max(0.0)
    }

    /// One judged step of `minutes`. `teaches`: the size was the tracker's own, no cap's, window's or hold's.
    pub fn judge(&mut self, at: Time, hit: bool, objective: f64, minutes: f32, teaches: bool) {
        let day = at.secs().div_euclid(86_400);
        if self.days.back().is_none_or(|d| d.0 != day) {
            self.days.push_back((day, 0, 0));
            if self.days.len() > DAYS {
                self.days.pop_front();
            }
        }
        if let Some(today) = self.days.back_mut() {
            today.1 += u32::from(hit);
            today.2 += 1;
        }
        if teaches {
            let miss = if hit { 0.0 } else { 1.0 };
            let step = RATE * minutes * (miss - (1.0 - objective as f32));
            // no further than to the level 0
            let least = (1.0 - objective).ln() as f32;
            self.correction = (self.correction + step).clamp(least, CORRECTION_MAX);
        }
    }

    /// The share of hits of the last week. None: nothing was judged.
    pub fn hit_rate(&self) -> Option<f64> {
        let (hits, judged) = self.days.iter().fold((0, 0), |(h, j), d| (h + d.1, j + d.2));
        (judged > 0).then(|| f64::from(hits) / f64::from(judged))
    }
}
