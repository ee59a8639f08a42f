//! Direct ridge regression: one model a horizon, from lags, seasonal lags, profile, other experts and the calendar to the
//! largest load of the window. Closed form (Hoerl and Kennard, Technometrics 1970) on discounted sufficient statistics;
//! linear models fitted in closed form match or beat the trained deep ones (Toner and Darlow, ICML 2024).
#![allow(clippy::indexing_slicing, reason = "points have one place for each expert, features a fixed length")]

use super::linear::Gram;
use super::{Ahead, Expert, Levels, Now, Points};
use crate::forecast::past::Past;
use std::f32::consts::TAU;

/// Features of a regression.
pub const FEATURES: usize = 36;

/// One regression.
#[derive(Debug, Clone)]
pub struct Ridge {
    gram: Gram<FEATURES>,
    coefficients: Option<[f32; FEATURES]>,
    /// The features that it needs. None: not known yet, so all.
    kept: Option<[bool; FEATURES]>,
    ridge: f64,
    rows: usize,
    refit: usize,
}

impl Ridge {
    /// The weight of a row halves in `half_life` rows; refitted every `refit` rows, from the first `refit * 4` on.
    pub fn new(half_life: f64, ridge: f64, refit: usize) -> Self {
        Ridge { gram: Gram::new(half_life), coefficients: None, kept: None, ridge, rows: 0, refit: refit.max(1) }
    }

    /// The point: NaN until fitted.
    pub fn point(&self, features: &[f32; FEATURES], base: f32) -> f32 {
        self.coefficients.map_or(f32::NAN, |c| base + c.iter().zip(features).map(|(c, x)| c * x).sum::<f32>())
    }

    /// The statistics, to screen features by.
    pub fn gram(&self) -> &Gram<FEATURES> {
        &self.gram
    }

    /// How many features were kept last. None: not screened yet.
    pub fn kept(&self) -> Option<usize> {
        self.kept.map(|kept| kept.iter().filter(|k| **k).count())
    }

    /// From the next refit on it takes these features.
    pub fn keep(&mut self, kept: Option<[bool; FEATURES]>) {
        self.kept = kept;
    }

    /// Learns one elapsed window.
    pub fn learn(&mut self, features: &[f32; FEATURES], target: f32) {
        if !(target.is_finite() && features.iter().all(|x| x.is_finite())) {
            return;
        }
        self.gram.add(features, target);
        self.rows += 1;
        if self.rows.is_multiple_of(self.refit) && self.rows >= 4 * self.refit {
            self.coefficients = self.gram.solve_kept(self.ridge, &self.kept.unwrap_or([true; FEATURES]));
        }
    }
}

/// The features of a window, and the level that they and the target are measured from.
pub fn features(
    past: &Past,
    now: &Now,
    ahead: &Ahead,
    levels: &Levels,
    p: &Points,
    profile: f32,
) -> ([f32; FEATURES], f32) {
    let base = levels.slow;
    let at = |expert: Expert| p[expert as usize];
    let or = |value: f32, other: f32| if value.is_finite() { value } else { other };
    let z = |back: usize| past.z(back).unwrap_or(base);
    let usual = or(profile, base);
    let usual_now = or(now.profile, base);
    let day = or(at(Expert::SmoothDay), usual);
    let week = or(at(Expert::SmoothWeek), day);
    let day_now = super::seasonal::smooth(past, &now.ahead, 1).unwrap_or(usual_now);
    let week_now = super::seasonal::smooth(past, &now.ahead, now.ahead.alike).unwrap_or(day_now);
    let two = super::seasonal::smooth(past, ahead, 2).unwrap_or(day);
    let hour = or(at(Expert::HourPhase), base);
    let half = or(at(Expert::HalfHourPhase), base);
    let gap = levels.top - usual_now;
    let sharp = or(at(Expert::NaiveDay), day);
    let mut x = [0.0; FEATURES];
    let values = [
        1.0,
        z(0) - base,
        z(1) - base,
        z(2) - base,
        levels.quick - base,
        levels.hour - base,
        levels.top - base,
        at(Expert::RecentMaximum) - base,
        at(Expert::HourMaximum) - base,
        sharp - day,
        day - base,
        week - base,
        two - base,
        day_now - base,
        week_now - base,
        usual - base,
        usual_now - base,
        gap.abs(),
        hour - base,
        half - base,
        or(at(Expert::HoltWinters), usual) - base,
        or(at(Expert::QuickHoltWinters), usual) - base,
        or(at(Expert::DayMaximum), day) - day,
        levels.week - base,
        if ahead.slot.rest() { 0.5 } else { 0.0 },
    ];
    x[..values.len()].copy_from_slice(&values);
    let mut i = values.len();
    let week_share = (f32::from(ahead.slot.weekday) + ahead.when.day) / 7.0;
    for (share, harmonics) in [(ahead.when.day, 4), (week_share, 1)] {
        for k in 1..=harmonics {
            let angle = TAU * share * k as f32;
            x[i] = 0.3 * angle.sin();
            x[i + 1] = 0.3 * angle.cos();
            i += 2;
        }
    }
    (x, base)
}
