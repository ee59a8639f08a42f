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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_by_hand_and_stops_at_its_clamp() {
        let mut tracker = Tracker::default();
        tracker.learn(true, 0.95, 0.1);
        assert!((tracker.correction() - 0.095).abs() < 1e-6);
        tracker.learn(false, 0.95, 0.1);
        assert!((tracker.correction() - 0.09).abs() < 1e-6);
        (0..1000).for_each(|_| tracker.learn(true, 0.95, 0.1));
        assert_eq!(tracker.correction(), MOST);
        // no wind-up: it comes back at once
        tracker.learn(false, 0.5, 1.0);
        assert_eq!(tracker.correction(), MOST - 0.5);
    }

    #[test]
    fn the_promised_share_is_reached_on_any_sequence() {
        let mut tracker = Tracker::default();
        let mut misses = 0;
        for i in 0..20_000u64 {
            let outcome = (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f32 / (1u64 << 24) as f32;
            let missed = outcome > 0.3 + tracker.correction();
            misses += u32::from(missed);
            tracker.learn(missed, 0.9, 0.03);
        }
        assert!((f64::from(misses) / 20_000.0 - 0.1).abs() < 0.005, "{misses}");
    }
}
