//! Moves the size so that the share of hits is the objective's: a conformal quantile tracker with anti-windup.
//! Source: Angelopoulos, Candès, Tibshirani, "Conformal PID Control for Time Series Prediction", NeurIPS 2023.

use crate::units::Time;
use std::collections::VecDeque;

/// The correction is never larger than so many spreads.
const CORRECTION_MAX: f32 = 3.0;
/// How fast the correction follows, per judged step of one minute.
const RATE: f32 = 0.1;
/// Days over which the hit-rate is told.
const DAYS: usize = 7;

/// The correction in spreads, and how often the pool was enough.
#[derive(Debug, Clone, Default)]
pub(super) struct Tracker {
    correction: f32,
    /// (day since the epoch, hits, judged), the newest last.
    days: VecDeque<(i64, u32, u32)>,
}

impl Tracker {
    /// The correction, in spreads.
    pub fn correction(&self) -> f32 {
        self.correction
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
            self.correction = (self.correction + step).clamp(-CORRECTION_MAX, CORRECTION_MAX);
        }
    }

    /// The share of hits of the last week. None: nothing was judged.
    pub fn hit_rate(&self) -> Option<f64> {
        let (hits, judged) = self.days.iter().fold((0, 0), |(h, j), d| (h + d.1, j + d.2));
        (judged > 0).then(|| f64::from(hits) / f64::from(judged))
    }
}
