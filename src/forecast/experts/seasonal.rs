//! Seasonal naive forecasts and the robust profile of the local time of day and week.
//!
//! Seasonal naive: Hyndman and Athanasopoulos, "Forecasting: principles and practice", 3rd ed., 5.2. Profile: weighted median
//! of the same local slot, newer days and days of the same type weighing more; the strongest cheap rule of our own tests.
#![allow(clippy::indexing_slicing, reason = "at most one value a day of the profile")]

use super::{Ahead, PROFILE_DAYS};
use crate::forecast::past::Past;

/// The same window `days` before, averaged over its neighbours half a window and a window away.
pub fn smooth(past: &Past, ahead: &Ahead, days: usize) -> Option<f32> {
    let w = past.window().cast_signed();
    let mut sum = 0.0;
    for (shift, share) in [(-w, 1.0), (-w / 2, 2.0), (0, 3.0), (w / 2, 2.0), (w, 1.0)] {
        sum += share * ahead.before(past, days, shift)?;
    }
    Some(sum / 9.0)
}

/// The largest load at this time of the last `days` days, a window more on either side.
pub fn maximum(past: &Past, ahead: &Ahead, days: usize) -> Option<f32> {
    let w = past.window().cast_signed();
    let mut most = f32::NEG_INFINITY;
    for day in 1..=days {
        for shift in [-w, 0, w] {
            let Some(top) = ahead.before(past, day, shift) else { break };
            most = most.max(top);
        }
    }
    most.is_finite().then_some(most)
}

/// Recency: the weight of a day halves in so many days.
const HALF_LIFE: f32 = 5.0;
/// The weight of a day of rest for a working day, and the other way round: little enough that before any of them the days
/// alike of two weeks outweigh the others.
pub const UNLIKE: f32 = 0.2;

/// Weighted median of the same local slot of the last 14 days; NaN on the first day.
pub fn profile(past: &Past, ahead: &Ahead) -> f32 {
    let mut values = [(0.0f32, 0.0f32); PROFILE_DAYS];
    let mut n = 0;
    let mut mass = 0.0;
    for day in 1..=PROFILE_DAYS {
        let Some(top) = ahead.before(past, day, 0) else { break };
        let start = ahead.start - ahead.lags[day - 1];
        if !past.is_clean(start) {
            continue;
        }
        let then = (usize::from(ahead.slot.weekday) + 7 * PROFILE_DAYS - day) % 7;
        let alike = if (then >= 5) == ahead.slot.rest() { 1.0 } else { UNLIKE };
        let same = if day.is_multiple_of(7) { 1.5 } else { 1.0 };
        let weight = 0.5f32.powf(day as f32 / HALF_LIFE) * alike * same;
        values[n] = (top, weight);
        mass += weight;
        n += 1;
    }
    let values = &mut values[..n];
    values.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    median(values, mass)
}

/// Weighted median of sorted values, linear between the middles of neighbours' weights; NaN without values.
fn median(sorted: &[(f32, f32)], mass: f32) -> f32 {
    let mut below = 0.0;
    let mut previous: Option<(f32, f32)> = None;
    for (value, weight) in sorted {
        let middle = below + weight / 2.0;
        if middle >= mass / 2.0 {
            return match previous {
                Some((at, low)) if middle > at => low + (value - low) * (mass / 2.0 - at) / (middle - at),
                _ => *value,
            };
        }
        previous = Some((middle, *value));
        below += weight;
    }
    previous.map_or(f32::NAN, |(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn a_weighted_median_lies_between_the_middles_of_weights() {
        assert_eq!(median(&[(1.0, 1.0), (2.0, 1.0), (9.0, 1.0)], 3.0), 2.0);
        assert_eq!(median(&[(1.0, 1.0), (3.0, 1.0)], 2.0), 2.0);
        // middles at 1.5 and 3.5 of mass 4: half the mass is at 2, a quarter of the way
        assert_eq!(median(&[(0.0, 3.0), (4.0, 1.0)], 4.0), 1.0);
        assert!(median(&[], 0.0).is_nan());
    }
}
