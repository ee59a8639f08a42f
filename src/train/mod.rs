//! Weekly archetypes: what the weeks of many workloads have in common, learned from a folder of traces, for workloads that
//! have no history of their own yet.
//!
//! Each trace gives one profile: its usual log load in each half hour of the local week. Profiles of one shape, whatever
//! their level and swing, are found by principal components (Pearson, 1901) and k-means (Lloyd, 1982), both from `linfa`.
//! [`trial`] tells whether knowing them helps a workload of a few hours, on traces that they were not learned from.

#![allow(clippy::indexing_slicing, reason = "a profile has one entry for each half hour of the week")]

mod trial;

pub use trial::{Outcome, trial};

use crate::rng::Rng;
use crate::series::{Calendar, Series};
use linfa::DatasetBase;
use linfa::traits::{Fit, Predict};
use linfa_clustering::{KMeans, KMeansInit};
use linfa_reduction::Pca;
use ndarray::{Array1, Array2, Axis};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

/// Half hours of a week, from Monday 00:00 local time.
pub const SLOTS: usize = 336;
const SLOTS_A_DAY: usize = 48;
/// Principal components that shapes are compared by, at most.
const COMPONENTS: usize = 6;
/// Starts of k-means; the best is kept.
const STARTS: usize = 10;
/// Days that a profile needs.
const LEAST_DAYS: usize = 7;

/// The usual log load in each half hour of the local week; its mean is 0.
pub type Profile = Vec<f64>;

/// One shape of a week.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Archetype {
    /// Traces of this shape.
    pub traces: usize,
    /// The mean of their profiles: [`SLOTS`] values of log load, of mean 0.
    pub profile: Profile,
}

/// What was learned.
#[derive(Debug, Clone, PartialEq)]
pub struct Learned {
    /// The shapes.
    pub archetypes: Vec<Archetype>,
    /// Which one each profile is of.
    pub members: Vec<usize>,
    /// Share of the profiles' variance that the principal components hold.
    pub explained: f64,
}

/// The slot of the local week of each instant of `series`.
fn slots(series: &Series, zone: &str) -> impl Iterator<Item = usize> {
    let mut calendar = Calendar::new(zone, series.step());
    let a_day = calendar.slots().max(1);
    (0..series.len()).map(move |i| (i, a_day)).map({
        let (first, step) = (series.at(0), series.step());
        move |(i, a_day)| {
            let slot = calendar.slot(first + step.times(i));
            usize::from(slot.weekday) * SLOTS_A_DAY + slot.of_day * SLOTS_A_DAY / a_day
        }
    })
}

/// What is added to a load before its logarithm: 5 % of the median, of half the mean where that is 0. None: no load.
fn floor(series: &Series) -> Option<f64> {
    let mut loads: Vec<f64> = series.iter().filter_map(|(_, s)| s.valid()).collect();
    let mean = loads.iter().sum::<f64>() / loads.len().max(1) as f64;
    let middle = loads.len() / 2;
    let (_, median, _) = (!loads.is_empty()).then(|| loads.select_nth_unstable_by(middle, f64::total_cmp))?;
    let floor = 0.05 * if *median > 1e-9 * mean { *median } else { mean / 2.0 };
    (floor > 0.0 && floor.is_finite()).then_some(floor)
}

/// The profile of a trace. None: it is shorter than a week, has no load, or has no sample at some time of day.
pub fn profile(series: &Series, zone: &str) -> Option<Profile> {
    let floor = floor(series)?;
    if series.len() < LEAST_DAYS * series.step().per_day() || series.step().per_day() < SLOTS_A_DAY / 2 {
        return None;
    }
    let mut values: Vec<Vec<f64>> = vec![Vec::new(); SLOTS];
    for (slot, (_, sample)) in slots(series, zone).zip(series.iter()) {
        if let Some(load) = sample.valid() {
            values[slot].push((load + floor).ln());
        }
    }
    let mut found: Vec<Option<f64>> = values.iter_mut().map(|v| median(v)).collect();
    for slot in 0..SLOTS {
        if found[slot].is_none() {
            // a slot that fell into a gap, or between the steps of an hourly trace: the same time of the other days
            let mut others: Vec<f64> = (0..2)
                .flat_map(|back| (0..7).map(move |day| (day * SLOTS_A_DAY + slot % SLOTS_A_DAY + SLOTS - back) % SLOTS))
                .filter_map(|s| found[s])
                .collect();
            found[slot] = Some(median(&mut others)?);
        }
    }
    let mut profile: Profile = found.into_iter().flatten().collect();
    let mean = profile.iter().sum::<f64>() / SLOTS as f64;
    profile.iter_mut().for_each(|v| *v -= mean);
    Some(profile)
}

fn median(values: &mut [f64]) -> Option<f64> {
    let middle = values.len() / 2;
    (!values.is_empty()).then(|| *values.select_nth_unstable_by(middle, f64::total_cmp).1)
}

/// Finds at most `count` shapes among `profiles`. None: fewer than two profiles, or none that varies.
pub fn learn(profiles: &[&Profile], count: usize, rng: &mut Rng) -> Option<Learned> {
    let n = profiles.len();
    if n < 2 {
        return None;
    }
    let mut rows = Array2::<f64>::zeros((n, SLOTS));
    for (mut row, profile) in rows.axis_iter_mut(Axis(0)).zip(profiles) {
        let swing = (profile.iter().map(|v| v * v).sum::<f64>() / SLOTS as f64).sqrt().max(1e-9);
        row.assign(&(Array1::from((*profile).clone()) / swing));
    }
    let dataset = DatasetBase::from(rows.clone());
    let pca = Pca::params(COMPONENTS.min(n - 1)).fit(&dataset).ok()?;
    let points: Array2<f64> = pca.predict(&dataset);
    let variance = |rows: &Array2<f64>| rows.var_axis(Axis(0), 0.0).sum();
    let explained = variance(&points) / variance(&rows).max(1e-300);
    let members = cluster(&points, count.clamp(1, n), rng)?;
    let archetypes = (0..=*members.iter().max()?)
        .map(|shape| {
            let own: Vec<&&Profile> =
                profiles.iter().zip(&members).filter(|(_, m)| **m == shape).map(|p| p.0).collect();
            let mean = |slot: usize| own.iter().map(|p| p[slot]).sum::<f64>() / own.len().max(1) as f64;
            Archetype { traces: own.len(), profile: (0..SLOTS).map(|slot| (mean(slot) * 1e4).round() / 1e4).collect() }
        })
        .collect();
    Some(Learned { archetypes, members, explained })
}

/// The cluster of each point, numbered in the order of their first points.
fn cluster(points: &Array2<f64>, count: usize, rng: &mut Rng) -> Option<Vec<usize>> {
    let dataset = DatasetBase::from(points.clone());
    let mut best: Option<(f64, Array1<usize>)> = None;
    for _ in 0..STARTS {
        let mut order: Vec<usize> = (0..points.nrows()).collect();
        let (begin, _) = order.partial_shuffle(rng, count);
        let begin = KMeansInit::Precomputed(points.select(Axis(0), begin));
        let Ok(fitted) = KMeans::params(count).n_runs(1).init_method(begin).fit(&dataset) else { continue };
        if best.as_ref().is_none_or(|(inertia, _)| fitted.inertia() < *inertia) {
            best = Some((fitted.inertia(), fitted.predict(points)));
        }
    }
    let (_, numbers) = best?;
    let mut order: Vec<usize> = Vec::new();
    let renumbered = numbers.iter().map(|number| {
        order.iter().position(|o| o == number).unwrap_or_else(|| {
            order.push(*number);
            order.len() - 1
        })
    });
    Some(renumbered.collect())
}

/// How much of the change that the archetypes tell is believed: their swing is that of many, not of this one.
const BELIEVED: f64 = 0.5;

/// How the log load of a workload changes from slot `from` to slot `to`, as far as shapes tell that fit its few hours:
/// `recent` are its means of log load by slot.
pub fn change(archetypes: &[Archetype], recent: &[(usize, f64)], from: usize, to: usize) -> f64 {
    let level = recent.iter().map(|r| r.1).sum::<f64>() / recent.len().max(1) as f64;
    let (mut sum, mut mass) = (0.0, 0.0);
    for archetype in archetypes {
        let usual = recent.iter().map(|r| archetype.profile[r.0]).sum::<f64>() / recent.len().max(1) as f64;
        let off = |r: &(usize, f64)| (r.1 - level - archetype.profile[r.0] + usual).powi(2);
        let error = recent.iter().map(off).sum::<f64>() / recent.len().max(1) as f64;
        let weight = archetype.traces as f64 * (-error / 0.02).exp();
        sum += weight * (archetype.profile[to] - archetype.profile[from]);
        mass += weight;
    }
    if mass > 1e-12 { BELIEVED * sum / mass } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::Sample;
    use crate::units::{Step, Time};
    use std::f64::consts::TAU;

    /// 14 days of half hours whose log load swings by `swing`, highest `peak` hours after midnight.
    fn trace(swing: f64, peak: f64) -> Series {
        let load = |i: usize| 100.0 * (swing * (TAU * (i as f64 / 48.0 - peak / 24.0)).cos()).exp();
        let step = Step::from_secs(1800).unwrap();
        Series::of(Time::from_secs(0), step, (0..14 * 48).map(|i| Sample::Valid(load(i))))
    }

    #[test]
    fn a_profile_is_the_week_in_local_time() {
        let utc = profile(&trace(0.5, 12.0), "UTC").unwrap();
        assert_eq!(utc.len(), SLOTS);
        assert!(utc.iter().sum::<f64>().abs() < 1e-9);
        let top = |p: &Profile| (0..48).max_by(|a, b| p[*a].total_cmp(&p[*b])).unwrap();
        assert_eq!(top(&utc), 24, "noon");
        assert_eq!(top(&profile(&trace(0.5, 12.0), "Asia/Kolkata").unwrap()), 35, "half past five in the afternoon");
        let short = Series::of(Time::from_secs(0), Step::MINUTE, (0..1440).map(|_| Sample::Valid(1.0)));
        assert_eq!(profile(&short, "UTC"), None);
    }

    #[test]
    fn shapes_are_found_whatever_their_swing_and_the_same_seed_finds_the_same() {
        let all: Vec<Profile> = [(0.2, 12.0), (0.6, 12.5), (0.3, 0.0), (0.5, 0.5), (0.4, 11.5)]
            .map(|(swing, peak)| profile(&trace(swing, peak), "UTC").unwrap())
            .into();
        let refs: Vec<&Profile> = all.iter().collect();
        let learned = learn(&refs, 2, &mut crate::rng::stream(1, "train")).unwrap();
        assert_eq!(learned.members, [0, 0, 1, 1, 0]);
        assert_eq!(learned.archetypes.iter().map(|a| a.traces).collect::<Vec<_>>(), [3, 2]);
        assert!(learned.explained > 0.9 && learned.explained < 1.0001, "{}", learned.explained);
        assert_eq!(learn(&refs, 2, &mut crate::rng::stream(1, "train")), Some(learned));
        assert_eq!(learn(&refs[..1], 2, &mut crate::rng::stream(1, "train")), None);
    }

    #[test]
    fn a_change_by_hand() {
        let flat = Archetype { traces: 1, profile: vec![0.0; SLOTS] };
        let mut rise = flat.clone();
        (rise.profile[10], rise.profile[11], rise.profile[12]) = (0.0, 1.0, 3.0);
        // the first hour rose as the second shape does: its error is 0, the flat one's 0.25, which weighs e^-12.5 as much
        let told = change(&[flat, rise], &[(10, 5.0), (11, 6.0)], 11, 12);
        assert!((told - BELIEVED * 2.0 / (1.0 + (-12.5f64).exp())).abs() < 1e-9, "{told}");
        assert_eq!(change(&[], &[], 0, 1), 0.0);
    }
}
