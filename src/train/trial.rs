//! Whether archetypes help a workload of six hours to a day, tried on a trace that they were not learned from.

#![allow(clippy::indexing_slicing, reason = "one place for each step of the trace, looked at up to its last origin")]

use super::{Archetype, change, floor, slots};
use crate::forecast::{Task, fit};
use crate::series::Series;
use serde::Serialize;
use std::time::Duration;

/// Days of a trace on which a workload is made to begin.
const BEGINS: usize = 5;
/// Hours of history when the trial begins, and when it ends.
const HOURS: (usize, usize) = (6, 24);
/// Ahead.
const AHEAD: Duration = Duration::from_secs(3600);
/// The window whose largest load is forecast.
const WINDOW: Duration = Duration::from_secs(300);

/// Mean absolute errors of the median an hour ahead, over the mean load.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Outcome {
    /// Forecasts that were judged.
    pub forecasts: usize,
    /// Of the forecaster without a prior.
    pub without: f64,
    /// Of the level of now: the largest load of the last window.
    pub level: f64,
    /// Of the level of now with the change that the archetypes tell.
    pub prior: f64,
    /// Of the mean of the forecaster and the prior.
    pub both: f64,
    /// Of the mean of the forecaster and the level.
    pub level_both: f64,
}

/// Tries `archetypes` on a trace. None: it is too short, or its step too coarse.
pub fn trial(series: &Series, zone: &str, archetypes: &[Archetype]) -> Option<Outcome> {
    let (step, floor) = (series.step(), floor(series)?);
    let (per_day, hour) = (step.per_day(), step.per_day() / 24);
    let task = Task {
        step,
        horizons: vec![step.cover(AHEAD)],
        window: step.cover(WINDOW),
        time_zone: zone.to_owned(),
        occasions: Vec::new(),
    };
    let (ahead, window) = (task.horizons[0], task.window);
    let places: Vec<usize> = slots(series, zone).collect();
    let log = |i: usize| series.get(i).valid().map(|load| (load + floor).ln());
    let top = |from: usize| -> Option<f64> {
        (from..from + window).map(|i| series.get(i).valid()).try_fold(0.0f64, |most, load| Some(most.max(load?)))
    };
    let (mut outcome, mut loads) = (Outcome::default(), 0.0);
    for begin in (0..BEGINS).map(|day| day * per_day) {
        if hour == 0 || begin + HOURS.1 * hour + ahead + window > series.len() {
            break;
        }
        let mut fitted = fit(&Series::new(series.at(begin), step, 1), &task);
        let mut sums: Vec<(usize, f64, f64)> = Vec::new();
        for i in begin..begin + HOURS.1 * hour {
            fitted.observe(series.at(i), series.get(i));
            if let Some(z) = log(i) {
                match sums.last_mut() {
                    Some(last) if last.0 == places[i] => (last.1, last.2) = (last.1 + z, last.2 + 1.0),
                    _ => sums.push((places[i], z, 1.0)),
                }
            }
            if i < begin + HOURS.0 * hour || !(i - begin).is_multiple_of(step.cover(WINDOW)) {
                continue;
            }
            let (Some(now), Some(target)) = (top((i + 1).saturating_sub(window)), top(i + ahead)) else { continue };
            let recent: Vec<(usize, f64)> = sums.iter().map(|(slot, sum, count)| (*slot, sum / count)).collect();
            let told = change(archetypes, &recent, places[i], places[i + ahead]);
            let without = fitted.predict().windows[0].at(0.5);
            let prior = ((now + floor) * told.exp() - floor).max(0.0);
            outcome.forecasts += 1;
            outcome.without += (without - target).abs();
            outcome.level += (now - target).abs();
            outcome.level_both += ((without + now) / 2.0 - target).abs();
            outcome.prior += (prior - target).abs();
            outcome.both += ((without + prior) / 2.0 - target).abs();
            loads += target;
        }
    }
    if outcome.forecasts == 0 || loads <= 0.0 {
        return None;
    }
    for error in
        [&mut outcome.without, &mut outcome.level, &mut outcome.prior, &mut outcome.both, &mut outcome.level_both]
    {
        *error /= loads;
    }
    Some(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::Sample;
    use crate::units::{Step, Time};
    use std::f64::consts::TAU;

    #[test]
    fn who_knows_the_shape_beats_the_level_of_now() {
        let load = |i: usize| 100.0 * (0.6 * (TAU * i as f64 / 288.0).sin()).exp();
        let step = Step::from_secs(300).unwrap();
        let series = Series::of(Time::from_secs(0), step, (0..288 * 3).map(|i| Sample::Valid(load(i))));
        let week = (0..super::super::SLOTS).map(|slot| 1.2 * (TAU * (slot as f64 + 0.5) / 48.0).sin()).collect();
        let knows = trial(&series, "UTC", &[Archetype { traces: 3, profile: week }]).unwrap();
        assert!(knows.forecasts > 300 && knows.prior < 0.5 * knows.level, "{knows:?}");
        let nothing = trial(&series, "UTC", &[]).unwrap();
        assert!((nothing.prior / nothing.level - 1.0).abs() < 1e-9, "no archetype, no change: {nothing:?}");
        let short = Series::of(Time::from_secs(0), step, (0..100).map(|i| Sample::Valid(load(i))));
        assert_eq!(trial(&short, "UTC", &[]), None);
    }
}
