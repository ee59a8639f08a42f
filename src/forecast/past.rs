//! What the experts look at: the recent load in log space and the largest load of each past window.
#![allow(clippy::indexing_slicing, reason = "a ring is indexed modulo its length")]

use super::Task;
use super::flat::Marked;
use crate::series::Sample;
use std::collections::VecDeque;

/// Days of window maxima that are kept.
const DAYS: usize = 15;
/// Steps kept at most, whatever the step.
const MAX_STEPS: usize = 24_000;

/// The past in `z = ln(load + floor)`. Steps are numbered from 0, the first ever observed.
///
/// A step without a Valid sample is bridged by `fill`, so that lags and windows have a value, but its windows are marked
/// and teach nothing.
#[derive(Debug, Clone)]
pub struct Past {
    window: usize,
    floor: f64,
    seen: usize,
    valid_seen: usize,
    /// The newest first, at most so many.
    recent: VecDeque<f32>,
    recent_valid: VecDeque<bool>,
    recent_max: usize,
    /// Largest value of each past window, as its distance from the smallest there can be, marked where every sample was Valid.
    tops: Vec<Marked>,
    /// The smallest value there can be: no load.
    least: f32,
    next_floor: usize,
    per_day: usize,
    /// Largest load of each of the last days, newest last.
    peaks: VecDeque<f64>,
    mean: f64,
}

impl Past {
    /// Nothing seen.
    pub fn new(task: &Task) -> Self {
        let per_day = task.step.per_day();
        let longest = task.horizons.last().copied().unwrap_or(1);
        let steps = (DAYS * per_day + longest + task.window + 16).min(MAX_STEPS);
        let hours = task.step.cover(std::time::Duration::from_secs(7200)) + task.window;
        Past {
            window: task.window,
            floor: 1.0,
            seen: 0,
            valid_seen: 0,
            recent: VecDeque::with_capacity(hours + 1),
            recent_valid: VecDeque::with_capacity(hours + 1),
            recent_max: hours,
            tops: vec![Marked::default(); steps],
            least: 0.0,
            next_floor: 1,
            per_day,
            peaks: VecDeque::from([0.0]),
            mean: 0.0,
        }
    }

    /// Steps observed so far.
    pub fn seen(&self) -> usize {
        self.seen
    }

    /// Valid samples so far.
    pub fn valid_seen(&self) -> usize {
        self.valid_seen
    }

    /// Steps in the window.
    pub fn window(&self) -> usize {
        self.window
    }

    /// Load → log space.
    pub fn to_z(&self, load: f64) -> f32 {
        (load + self.floor).ln() as f32
    }

    /// Log space → load, not below 0.
    pub fn to_load(&self, z: f32) -> f64 {
        (f64::from(z).min(600.0).exp() - self.floor).max(0.0)
    }

    /// What is added to a load before its logarithm is taken.
    pub fn floor(&self) -> f32 {
        self.floor as f32
    }

    /// The unit of losses, from what is known now: the mean load, and 5 % of the largest after days without any.
    pub fn unit(&self) -> f64 {
        self.mean.max(0.05 * self.peak()).max(1e-12)
    }

    /// The largest load of the last 7 days.
    pub fn peak(&self) -> f64 {
        self.peaks.iter().copied().fold(0.0, f64::max)
    }

    /// Takes the next step. `fill` bridges it in log space if the sample is not Valid. True if the floor moved, with the
    /// function that carries old log values over.
    pub fn push(&mut self, sample: Sample, fill: f32) -> Option<Refloor> {
        let valid = sample.valid();
        if let Some(load) = valid {
            self.valid_seen += 1;
            let rate = (1.0 / self.valid_seen as f64).max(1.0 / (3.0 * self.per_day as f64));
            self.mean += rate * (load - self.mean);
            if let Some(today) = self.peaks.back_mut() {
                *today = today.max(load);
            }
        }
        let z = valid.map_or(fill, |load| self.to_z(load));
        self.seen += 1;
        if self.seen.is_multiple_of(self.per_day.max(1)) {
            self.peaks.push_back(0.0);
            while self.peaks.len() > 8 {
                self.peaks.pop_front();
            }
        }
        self.recent.push_front(if z.is_finite() { z } else { self.recent.front().copied().unwrap_or(0.0) });
        self.recent_valid.push_front(valid.is_some());
        self.recent.truncate(self.recent_max);
        self.recent_valid.truncate(self.recent_max);
        if let Some(start) = self.newest_top() {
            let slot = start % self.tops.len();
            let clean = self.recent_valid.iter().take(self.window).all(|v| *v);
            self.tops[slot] = Marked::new(self.recent_top(self.window) - self.least, clean);
        }
        self.refloor()
    }

    /// The largest of the last `steps` values, in log space.
    pub fn recent_top(&self, steps: usize) -> f32 {
        self.recent.iter().take(steps.max(1)).copied().fold(f32::NEG_INFINITY, f32::max)
    }

    /// The value `back` steps ago, in log space.
    pub fn z(&self, back: usize) -> Option<f32> {
        self.recent.get(back).copied()
    }

    /// Whether a log value stands for no load at all: less than a millionth of the mean.
    pub fn is_zero(&self, z: f32) -> bool {
        self.to_load(z) <= 1e-6 * self.mean
    }

    /// True if the newest sample was Valid.
    pub fn now_valid(&self) -> bool {
        self.recent_valid.front().copied().unwrap_or(false)
    }

    /// True if the newest `steps` samples were all Valid.
    pub fn recent_valid(&self, steps: usize) -> bool {
        self.recent_valid.len() >= steps && self.recent_valid.iter().take(steps).all(|v| *v)
    }

    /// Number of the newest step whose window `[step, step + window)` has fully elapsed.
    pub fn newest_top(&self) -> Option<usize> {
        self.seen.checked_sub(self.window)
    }

    /// Largest value, in log space, of the window that starts at step `start`, if it has elapsed and is still kept.
    pub fn top(&self, start: Option<usize>) -> Option<f32> {
        let (start, newest) = (start?, self.newest_top()?);
        (start <= newest && newest - start < self.tops.len()).then(|| self.kept(start))
    }

    fn kept(&self, start: usize) -> f32 {
        self.least + self.tops[start % self.tops.len()].distance()
    }

    /// Whether every sample of that window was Valid.
    pub fn is_clean(&self, start: usize) -> bool {
        self.top(Some(start)).is_some() && self.tops[start % self.tops.len()].marked()
    }

    /// Largest loads of the windows that began within `half` steps of the time of day that is `later` steps after the newest
    /// step, on each of the last days; only those whose every sample was Valid.
    pub fn around(&self, later: usize, half: usize) -> impl Iterator<Item = f64> + '_ {
        let middle = (self.seen + later).saturating_sub(1);
        let days = (1 + later / self.per_day.max(1)..).take(DAYS - 1);
        let starts = days.flat_map(move |day| {
            let there = middle.checked_sub(day * self.per_day);
            there.map(|t| t.saturating_sub(half)..=t + half).into_iter().flatten()
        });
        starts.filter(|start| self.is_clean(*start)).map(|start| self.to_load(self.kept(start)))
    }

    /// Carries what lies before the newest `steps` steps over to a level `by` higher, in log load, as if it had always been
    /// there, but not above three times the largest load of the week. The windows that the change falls into hold the higher
    /// of both already.
    pub fn relevel(&mut self, steps: usize, by: f32) {
        let Some(newest) = self.newest_top() else { return };
        let first_new = self.seen.saturating_sub(steps);
        let end = if by > 0.0 { (first_new + 1).saturating_sub(self.window) } else { first_new };
        let (factor, most) = (f64::from(by).exp(), 3.0 * self.peak());
        for start in (newest + 1).saturating_sub(self.tops.len())..end.min(newest + 1) {
            let load = (self.to_load(self.kept(start)) * factor).min(most);
            let slot = start % self.tops.len();
            self.tops[slot] = Marked::new(self.to_z(load) - self.least, self.tops[slot].marked());
        }
    }

    /// Moves the floor to 5 % of the median load (of half the mean where the median is 0), at set counts of steps.
    fn refloor(&mut self) -> Option<Refloor> {
        if self.seen < self.next_floor {
            return None;
        }
        self.next_floor =
            if self.seen < self.per_day { (self.seen * 4).min(self.per_day) } else { self.seen + self.per_day };
        let newest = self.newest_top()?;
        let kept = newest.min(self.tops.len() - 1).min(7 * self.per_day);
        let mut loads: Vec<f32> = (newest - kept..=newest)
            .filter(|s| self.tops[s % self.tops.len()].marked())
            .map(|s| self.kept(s))
            .collect();
        if loads.is_empty() {
            return None;
        }
        let mid = loads.len() / 2;
        let (_, median, _) = loads.select_nth_unstable_by(mid, f32::total_cmp);
        let median = self.to_load(*median);
        let wanted = 0.05 * if median > 1e-9 * self.mean { median } else { self.mean / 2.0 };
        let ratio = wanted / self.floor;
        if !(wanted.is_finite() && wanted > 0.0) || (0.5..2.0).contains(&ratio) {
            return None;
        }
        let moved = Refloor { old: self.floor, new: wanted };
        self.recent.iter_mut().for_each(|z| *z = moved.carry(*z));
        let (before, least) = (self.least, wanted.ln() as f32);
        for top in &mut self.tops {
            *top = Marked::new(moved.carry(before + top.distance()) - least, top.marked());
        }
        self.floor = wanted;
        self.least = least;
        Some(moved)
    }
}

/// A move of the floor in `ln(load + floor)`.
#[derive(Debug, Clone, Copy)]
pub struct Refloor {
    old: f64,
    new: f64,
}

impl Refloor {
    /// An old log value in the new space.
    pub fn carry(self, z: f32) -> f32 {
        ((f64::from(z).min(600.0).exp() - self.old).max(0.0) + self.new).ln() as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Step;

    #[test]
    fn what_lay_before_a_shift_is_carried_over_and_what_lies_after_it_stays() {
        let task =
            Task { step: Step::MINUTE, horizons: vec![1], window: 2, time_zone: "UTC".into(), occasions: Vec::new() };
        let mut past = Past::new(&task);
        for load in [10.0, 10.0, 10.0, 10.0, 20.0, 20.0, 20.0] {
            past.push(Sample::Valid(load), 0.0);
        }
        let loads = |past: &Past| (0..6).map(|s| past.to_load(past.kept(s)).round()).collect::<Vec<f64>>();
        assert_eq!(loads(&past), [10.0, 10.0, 10.0, 20.0, 20.0, 20.0], "windows of two steps");
        let mut up = past.clone();
        up.relevel(3, 2f32.ln());
        assert_eq!(loads(&up), [20.0; 6], "the window from step 3 holds the new level already");
        past.relevel(3, 0.5f32.ln());
        assert_eq!(loads(&past), [5.0, 5.0, 5.0, 10.0, 20.0, 20.0], "a fall: that window holds the old level");
    }
}
