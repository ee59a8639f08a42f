//! Raw points onto a regular grid: duplicates resolved, holes left as Missing.

use super::{Sample, Series};
use crate::units::{Step, Time};

/// Samples one series may hold: 10 years of minutes.
pub const MAX_SAMPLES: usize = 5_300_000;

/// Points that make no series.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GridError {
    /// No point at all.
    #[error("expected at least one sample; found none")]
    Empty,
    /// From the first to the last point are more steps than a series may hold.
    #[error(
        "expected at most {MAX_SAMPLES} steps; found {0} from the first to the last sample (is one timestamp far off?)"
    )]
    TooLong(usize),
}

/// The usual distance of neighbouring points: the most frequent difference of sorted, distinct times, in whole
/// seconds; the smaller of two equally frequent ones. None with fewer than two distinct times.
pub fn detect_step(points: &[(Time, f64)]) -> Option<Step> {
    let mut times: Vec<i64> = points.iter().map(|p| p.0.secs()).collect();
    times.sort_unstable();
    times.dedup();
    let mut counts = std::collections::BTreeMap::new();
    for [before, after] in times.array_windows() {
        *counts.entry(after - before).or_insert(0usize) += 1;
    }
    let (gap, _) = counts.iter().max_by_key(|(gap, count)| (**count, -**gap))?;
    Step::from_secs(u32::try_from(*gap).unwrap_or(u32::MAX).min(86_400))
}

/// Points on the grid of `step` that starts at the first point. A point belongs to the nearest grid instant at or
/// before it. Of several points in one step the last given wins (a correction comes later than what it corrects).
/// Values that are not finite or negative are Missing.
pub fn grid(points: &[(Time, f64)], step: Step) -> Result<Series, GridError> {
    let first = points.iter().map(|p| p.0).min().ok_or(GridError::Empty)?;
    let last = points.iter().map(|p| p.0).max().ok_or(GridError::Empty)?;
    let ms = i64::from(step.secs()) * 1000;
    let steps = usize::try_from((last.millis() - first.millis()) / ms).unwrap_or(usize::MAX).saturating_add(1);
    if steps > MAX_SAMPLES {
        return Err(GridError::TooLong(steps));
    }
    let mut samples = vec![Sample::Missing; steps];
    for (time, value) in points {
        let slot = usize::try_from((time.millis() - first.millis()) / ms).unwrap_or(usize::MAX);
        if let Some(sample) = samples.get_mut(slot) {
            *sample = if value.is_finite() && *value >= 0.0 { Sample::Valid(*value) } else { Sample::Missing };
        }
    }
    Ok(Series::of(first, step, samples))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(points: &[(i64, f64)]) -> Vec<(Time, f64)> {
        points.iter().map(|(t, v)| (Time::from_secs(*t), *v)).collect()
    }

    #[test]
    fn holes_stay_missing_and_corrections_win() {
        let s = grid(&p(&[(0, 1.0), (60, 2.0), (61, 2.5), (240, 4.0), (180, f64::NAN)]), Step::MINUTE).unwrap();
        let got: Vec<_> = s.iter().map(|(_, s)| s).collect();
        use Sample::*;
        assert_eq!(got, [Valid(1.0), Valid(2.5), Missing, Missing, Valid(4.0)]);
    }

    #[test]
    fn the_step_is_the_usual_distance() {
        assert_eq!(detect_step(&p(&[(0, 0.0), (60, 0.0), (120, 0.0), (500, 0.0)])), Step::from_secs(60));
        assert_eq!(detect_step(&p(&[(0, 0.0), (0, 1.0)])), None);
    }

    #[test]
    fn a_timestamp_far_off_is_an_error_not_an_allocation() {
        assert!(matches!(grid(&p(&[(0, 0.0), (9_000_000_000, 0.0)]), Step::MINUTE), Err(GridError::TooLong(_))));
        assert_eq!(grid(&[], Step::MINUTE), Err(GridError::Empty));
    }
}
