//! Calibration over days: a level that has covered more than it promised is read lower in the fan, one that covered less,
//! higher.
//!
//! Recalibration of a quantile forecast by its own observed frequencies (Kuleshov, Fenner, Ermon, "Accurate uncertainties for
//! deep learning using calibrated regression", ICML 2018), with frequencies that forget and a prior that the promise is kept.
//! Levels are compared as log-odds.
#![allow(clippy::indexing_slicing, reason = "levels have a fixed number, and each index comes from a range over them")]

use super::LEVELS;
use std::sync::LazyLock;

const Q: usize = LEVELS.len();
/// Half of an outcome's weight is forgotten in so many days.
const HALF_LIFE: f32 = 3.0;
/// The promise weighs as much as the outcomes of so many days.
const PROMISE: f32 = 2.0;
/// The odds at which a level is read are at most twice or half its own.
const FARTHEST: f32 = std::f32::consts::LN_2;
/// The least distance of two observed log-odds.
const APART: f32 = 1e-3;

static ODDS: LazyLock<[f32; Q]> = LazyLock::new(|| LEVELS.map(|level| log_odds(level as f32)));

fn log_odds(share: f32) -> f32 {
    (share / (1.0 - share)).ln()
}

/// How often outcomes of one horizon lay below each quantile, and where in the fan each level is therefore read.
#[derive(Debug, Clone)]
pub struct Calibration {
    /// Outcomes of the first day are left out: what was said then was hardly learned.
    young: usize,
    below: [f32; Q],
    total: f32,
    keeps: f32,
    promise: f32,
    /// Log-odds.
    read_at: [f32; Q],
}

impl Calibration {
    /// Nothing has been seen: every level is read where it stands.
    pub fn new(steps_per_day: usize) -> Self {
        let day = steps_per_day as f32;
        Calibration {
            young: steps_per_day,
            below: [0.0; Q],
            total: 0.0,
            keeps: 0.5f32.powf(1.0 / (HALF_LIFE * day)),
            promise: PROMISE * day,
            read_at: *ODDS,
        }
    }

    /// One outcome, and the values at [`LEVELS`] that were said for it, not falling. A value that was hit exactly, as zero is
    /// by a load that rests, tells nothing.
    pub fn learn(&mut self, load: f32, said: &[f32; Q]) {
        if self.young > 0 {
            self.young -= 1;
            return;
        }
        self.total = self.total * self.keeps + 1.0;
        let mut seen = [0.0; Q];
        for l in 0..Q {
            let level = LEVELS[l] as f32;
            let below = match load.total_cmp(&said[l]) {
                std::cmp::Ordering::Less => 1.0,
                std::cmp::Ordering::Equal => level,
                std::cmp::Ordering::Greater => 0.0,
            };
            self.below[l] = self.below[l] * self.keeps + below;
            let share = (self.promise * level + self.below[l]) / (self.promise + self.total);
            seen[l] = log_odds(share.clamp(1e-4, 1.0 - 1e-4));
            if l > 0 {
                seen[l] = seen[l].max(seen[l - 1] + APART);
            }
        }
        for (own, read_at) in ODDS.iter().zip(&mut self.read_at) {
            *read_at = along(&seen, &ODDS, *own, 1.0, 1.0).clamp(own - FARTHEST, own + FARTHEST);
        }
    }

    /// The fan with each level read where it keeps its promise; the median stays. What lies above a level is seldom seen, so
    /// a level that is too low goes up along the slope below it. `fan`: values at [`LEVELS`], not falling.
    pub fn apply(&self, fan: &[f32; Q]) -> [f32; Q] {
        let mut read = [fan[0]; Q];
        for l in 1..Q {
            let more = self.read_at[l] - ODDS[l];
            let value = if more > 0.0 {
                fan[l] + more * (fan[l] - fan[l - 1]) / (ODDS[l] - ODDS[l - 1])
            } else {
                along(&ODDS, fan, self.read_at[l], 0.0, 0.0)
            };
            read[l] = value.max(read[l - 1]);
        }
        read
    }
}

/// The line through the points (`xs`, `ys`) at `x`, with these slopes before the first and after the last.
fn along(xs: &[f32; Q], ys: &[f32; Q], x: f32, before: f32, after: f32) -> f32 {
    let right = xs.partition_point(|known| *known < x);
    match right {
        0 => ys[0] + (x - xs[0]) * before,
        Q.. => ys[Q - 1] + (x - xs[Q - 1]) * after,
        _ => {
            let left = right - 1;
            ys[left] + (x - xs[left]) / (xs[right] - xs[left]) * (ys[right] - ys[left])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Quantiles of an even distribution from 0 to `width`.
    fn even(width: f32) -> [f32; Q] {
        LEVELS.map(|level| level as f32 * width)
    }

    /// Shares of outcomes between 0 and 1 that lie below each level of a fan from 0 to `width`, after two weeks of learning.
    fn covered(width: f32) -> [f64; Q] {
        let mut calibration = Calibration::new(1440);
        let mut below = [0.0; Q];
        for i in 0..40_000u64 {
            let outcome = (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f32 / (1u64 << 24) as f32;
            let read = calibration.apply(&even(width));
            if i >= 20_000 {
                (0..Q).for_each(|l| below[l] += f64::from(u8::from(outcome <= read[l])) / 20_000.0);
            }
            calibration.learn(outcome, &even(width));
        }
        below
    }

    #[test]
    fn a_fan_that_is_right_stays_and_one_that_is_too_wide_or_narrow_is_put_right_by_half_at_least() {
        for (level, share) in LEVELS.iter().zip(covered(1.0)).skip(1) {
            assert!((share - level).abs() < 0.004, "{share} for {level}");
        }
        for width in [1.03, 0.97] {
            for (level, share) in LEVELS.iter().zip(covered(width)).skip(1).filter(|(level, _)| **level <= 0.95) {
                let before = (f64::from(width) * level - level).abs();
                assert!((share - level).abs() < before / 2.0, "{width} x as wide: {share} for {level}");
            }
        }
    }

    #[test]
    fn one_outcome_by_hand() {
        let mut calibration = Calibration { promise: 10.0, young: 0, ..Calibration::new(1440) };
        calibration.learn(0.85, &even(1.0));
        // ten promises and one outcome: 0.8 was seen to cover 8 of 11, 0.9 to cover 10 of 11. Log-odds: 0.981 and 2.303; 0.8's
        // own is 1.386, 0.9's 2.197. So 0.8 is read at 1.386 + (1.386 - 0.981) / (2.303 - 0.981) x (2.197 - 1.386)
        assert!((calibration.read_at[2] - 1.635).abs() < 2e-3, "{:?}", calibration.read_at);
        // and lies that share of the way to 0.9 beyond itself, as the slope below it has it: 0.1 a step of 1.386 - 0.847
        let by_hand = 0.8 + (1.635 - 1.386) * 0.1 / (1.386 - 0.847);
        assert!((calibration.apply(&even(1.0))[2] - by_hand).abs() < 1e-3, "{:?}", calibration.apply(&even(1.0)));
    }

    #[test]
    fn a_load_that_rests_tells_nothing() {
        let mut calibration = Calibration::new(1440);
        (0..5000).for_each(|_| calibration.learn(0.0, &[0.0; Q]));
        for (read, odds) in calibration.read_at.iter().zip(ODDS.iter()) {
            assert!((read - odds).abs() < 1e-2, "{read} for {odds}");
        }
    }

    proptest! {
        #[test]
        fn it_never_falls_and_stays_at_or_above_the_median(
            loads in prop::collection::vec(0.0f32..10.0, 0..200),
            mut fan in prop::array::uniform9(0.0f32..10.0),
        ) {
            fan.sort_unstable_by(f32::total_cmp);
            let mut calibration = Calibration::new(24);
            for load in loads {
                calibration.learn(load, &fan);
            }
            let read = calibration.apply(&fan);
            prop_assert!(read.iter().all(|v| v.is_finite()) && read.is_sorted());
            prop_assert!((read[0] - fan[0]).abs() < 1e-5);
        }
    }
}
