//! Which measurements are to be believed.
//!
//! Every rule looks back only: a sample is judged with what was known at its time. Rules are about *teaching*; what reacts
//! to the load of now still sees every measured value ([`Sample::measured`]), except suspects.

use super::{Calendar, Sample};
use crate::occasion::Occasion;
use crate::units::{Step, Time};
use std::time::Duration;

/// What else is known about one step. All unknown by default.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Evidence {
    /// More than a fifth of its replicas were broken: what was measured is errors and retries as much as demand.
    pub unhealthy: bool,
    /// The workload ran above 95 % of its capacity or shed load: the measurement is a lower bound.
    pub saturated: bool,
    /// The step lies in a declared event or exclusion.
    pub excluded: bool,
}

/// Why a measured sample is not Valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Doubt {
    /// Not finite or negative.
    NotANumber,
    /// The load collapsed far below anything usual at this time of day.
    Outage,
    /// The same non-zero value again and again where the load has always varied.
    Frozen,
    /// Twice the load from one step to the next and staying there, to the percent: two series counted as one.
    Doubled,
    /// A single step to zero or near it between two usual ones: a counter reset or a lost scrape.
    Reset,
    /// A retry storm or failing targets, by the state of the replicas.
    Unhealthy,
    /// A lower bound.
    Saturated,
    /// Declared by the user.
    Excluded,
}

/// A load below this share of the lowest usual one is a collapse.
const COLLAPSE: f64 = 0.2;
/// A collapsed or frozen load is believed again after so long without further evidence: what lasts is a new truth.
const BELIEVED_AFTER: Duration = Duration::from_secs(2 * 3600);
/// A frozen gauge repeats itself for so long.
const FROZEN: Duration = Duration::from_secs(10 * 60);
/// A doubled series stays doubled; believed after so long, like any level shift.
const DOUBLED: Duration = Duration::from_secs(20 * 60);
/// Where the load has doubled so often within a week it does so by itself, as small counts do.
const USUAL: usize = 3;
/// That week.
const WEEK_DAYS: usize = 7;
/// Days of history behind "usual".
const DAYS: usize = 3;

/// Judges the samples of one series, one a step.
#[derive(Debug, Clone)]
pub struct Quality {
    calendar: Calendar,
    step: Step,
    /// Lowest believed load of each half hour of the last days, the newest first; NaN: not known.
    lows: Box<[[f64; DAYS]; HALF_HOURS]>,
    current: Option<(usize, f64)>,
    last: Option<f64>,
    same: usize,
    changes: usize,
    steps: usize,
    low_run: usize,
    doubled_from: Option<(f64, usize)>,
    /// Steps at which the load has doubled last, the newest first.
    doublings: [Option<usize>; USUAL],
}

const HALF_HOURS: usize = 48;

impl Quality {
    /// Nothing seen.
    pub fn new(step: Step, time_zone: &str) -> Self {
        Quality {
            calendar: Calendar::new(time_zone, step),
            step,
            lows: Box::new([[f64::NAN; DAYS]; HALF_HOURS]),
            current: None,
            last: None,
            same: 0,
            changes: 0,
            steps: 0,
            low_run: 0,
            doubled_from: None,
            doublings: [None; USUAL],
        }
    }

    /// The same, with occasions: what is measured during one teaches nothing of ordinary days.
    pub fn with(mut self, occasions: &[Occasion]) -> Self {
        self.calendar = self.calendar.with(occasions);
        self
    }

    /// Judges the measurement of the next step: `None` where nothing was measured.
    pub fn judge(&mut self, at: Time, value: Option<f64>, evidence: Evidence) -> (Sample, Option<Doubt>) {
        let Some(value) = value else { return (Sample::Missing, None) };
        if !(value.is_finite() && value >= 0.0) {
            return (Sample::Missing, Some(Doubt::NotANumber));
        }
        let doubt = self.doubt(at, value, evidence);
        self.remember(at, value, doubt);
        let sample = match doubt {
            None => Sample::Valid(value),
            Some(Doubt::Saturated) => Sample::Censored(value),
            Some(Doubt::Excluded) => Sample::Event(value),
            Some(_) => Sample::Suspect(value),
        };
        (sample, doubt)
    }

    fn doubt(&mut self, at: Time, value: f64, evidence: Evidence) -> Option<Doubt> {
        if evidence.excluded || self.calendar.occasion(at).is_some() {
            return Some(Doubt::Excluded);
        }
        if evidence.unhealthy {
            return Some(Doubt::Unhealthy);
        }
        if evidence.saturated {
            return Some(Doubt::Saturated);
        }
        self.collapse(at, value).or_else(|| self.frozen(value)).or_else(|| self.doubled(value))
    }

    /// Below 20 % of the lowest load of this half hour on each of the last days. The first such step is a reset until a
    /// second one makes it an outage.
    fn collapse(&mut self, at: Time, value: f64) -> Option<Doubt> {
        if self.low(at).is_none_or(|low| low <= 0.0 || value >= COLLAPSE * low) {
            self.low_run = 0;
            return None;
        }
        self.low_run += 1;
        match self.low_run {
            1 => Some(Doubt::Reset),
            n if n <= self.step.cover(BELIEVED_AFTER) => Some(Doubt::Outage),
            _ => None,
        }
    }

    /// The lowest believed load of the last days within an hour of this time of day. None: not known.
    pub fn low(&mut self, at: Time) -> Option<f64> {
        let slot = self.half_hour(at);
        let low = |slot: usize| self.lows.get(slot)?.iter().copied().filter(|low| !low.is_nan()).reduce(f64::min);
        let around = [(slot + 1) % HALF_HOURS, (slot + HALF_HOURS - 1) % HALF_HOURS];
        // steps of an hour leave every other half hour empty
        let here = low(slot)?;
        Some(around.into_iter().filter_map(low).fold(here, f64::min))
    }

    /// The very same non-zero value for 10 minutes and at least 3 steps, and for 2 hours or one step at most, where at least
    /// 9 of 10 steps have changed so far.
    fn frozen(&mut self, value: f64) -> Option<Doubt> {
        self.steps += 1;
        if self.last == Some(value) {
            self.same += 1;
        } else {
            self.same = 0;
            self.changes += 1;
        }
        let least = self.step.cover(FROZEN).max(3);
        let long = (least..self.step.cover(BELIEVED_AFTER).max(least + 1)).contains(&self.same);
        let lively = self.steps > self.step.per_day() && (self.changes + self.same) * 10 >= self.steps * 9;
        (long && lively && value > 0.0).then_some(Doubt::Frozen)
    }

    /// Exactly twice the last believed load (within 1 %), and near twice it since, where that is rare.
    fn doubled(&mut self, value: f64) -> Option<Doubt> {
        let last = self.last.unwrap_or(0.0);
        if let Some((before, since)) = self.doubled_from {
            let still = value > 1.6 * before && value < 2.6 * before;
            let waited = since + 1;
            self.doubled_from = (still && waited < self.step.cover(DOUBLED)).then_some((before, waited));
            return self.doubled_from.map(|_| Doubt::Doubled);
        }
        let settled = self.steps > self.step.per_day();
        if settled && last > 0.0 && (value / last - 2.0).abs() < 0.01 {
            let lately = |at: &Option<usize>| at.is_some_and(|at| self.steps - at <= WEEK_DAYS * self.step.per_day());
            let usual = self.doublings.iter().all(lately);
            self.doublings = [Some(self.steps), self.doublings[0], self.doublings[1]];
            self.doubled_from = (!usual).then_some((last, 0));
            return self.doubled_from.map(|_| Doubt::Doubled);
        }
        None
    }

    fn half_hour(&mut self, at: Time) -> usize {
        let slot = self.calendar.slot(at).of_day;
        (slot * HALF_HOURS / self.calendar.slots().max(1)).min(HALF_HOURS - 1)
    }

    fn remember(&mut self, at: Time, value: f64, doubt: Option<Doubt>) {
        self.last = Some(value);
        if doubt.is_some() {
            return;
        }
        let slot = self.half_hour(at);
        self.current = match self.current {
            Some((open, low)) if open == slot => Some((slot, low.min(value))),
            Some((open, low)) => {
                if let Some(lows) = self.lows.get_mut(open) {
                    lows.rotate_right(1);
                    lows[0] = low;
                }
                Some((slot, value))
            }
            None => Some((slot, value)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Evidence = Evidence { unhealthy: false, saturated: false, excluded: false };

    fn usual(i: usize) -> f64 {
        100.0 + 50.0 * (i as f64 / 229.0).sin() + (i * 7919 % 101) as f64 / 10.0
    }

    /// Three usual days, then the given values.
    fn after_three_days(values: &[f64]) -> Vec<(Sample, Option<Doubt>)> {
        let mut quality = Quality::new(Step::MINUTE, "UTC");
        let days = 3 * 1440;
        let mut judged = Vec::new();
        for i in 0..days + values.len() {
            let value = if i < days { usual(i) } else { values[i - days] };
            let at = Time::from_secs(60 * i as i64);
            let verdict = quality.judge(at, Some(value), NONE);
            if i < days {
                assert_eq!(verdict.1, None, "usual load at step {i}");
            } else {
                judged.push(verdict);
            }
        }
        judged
    }

    #[test]
    fn what_is_no_number_is_missing() {
        let mut quality = Quality::new(Step::MINUTE, "UTC");
        for value in [f64::NAN, f64::INFINITY, -1.0] {
            assert_eq!(
                quality.judge(Time::from_secs(0), Some(value), NONE),
                (Sample::Missing, Some(Doubt::NotANumber))
            );
        }
        assert_eq!(quality.judge(Time::from_secs(0), None, NONE), (Sample::Missing, None));
    }

    #[test]
    fn an_outage_is_suspect_until_it_is_a_new_truth() {
        let judged = after_three_days(&[3.0; 200]);
        assert_eq!(judged[0].1, Some(Doubt::Reset));
        assert!(judged[1..120].iter().all(|j| j.1 == Some(Doubt::Outage) || j.1 == Some(Doubt::Frozen)));
        assert_eq!(judged[0].0, Sample::Suspect(3.0));
    }

    #[test]
    fn a_lost_scrape_is_one_suspect() {
        let judged = after_three_days(&[0.0, usual(4321), usual(4322)]);
        assert_eq!(judged.iter().map(|j| j.1).collect::<Vec<_>>(), [Some(Doubt::Reset), None, None]);
    }

    #[test]
    fn a_frozen_gauge_is_suspect_but_zero_is_not_frozen() {
        let judged = after_three_days(&[123.0; 30]);
        assert!(judged[..10].iter().all(|j| j.1.is_none()));
        assert!(judged[10..].iter().all(|j| j.1 == Some(Doubt::Frozen)));
        let judged = after_three_days(&[123.0; 300]);
        assert!(
            judged[119].1.is_some() && judged[120..].iter().all(|j| j.1.is_none()),
            "after two hours it is a new truth"
        );
        let mut idle = Quality::new(Step::MINUTE, "UTC");
        for i in 0..3000 {
            let verdict = idle.judge(Time::from_secs(60 * i), Some(0.0), NONE);
            assert_eq!(verdict, (Sample::Valid(0.0), None), "a workload that rests is not an outage");
        }
    }

    #[test]
    fn a_doubled_series_is_suspect_for_20_minutes() {
        let last = usual(3 * 1440 - 1);
        let twice: Vec<f64> = (0..40).map(|i| 2.0 * last + 0.01 * f64::from(i)).collect();
        let judged = after_three_days(&twice);
        assert!(judged[..20].iter().all(|j| j.1 == Some(Doubt::Doubled)));
        assert!(judged[20..].iter().all(|j| j.1.is_none()));
    }

    #[test]
    fn small_counts_double_by_themselves() {
        let mut quality = Quality::new(Step::MINUTE, "UTC");
        let count = |minute: i64| if minute / 7 * 7919 % 5 < 2 { 2.0 } else { 1.0 };
        let mut doubted = |minutes: std::ops::Range<i64>| {
            minutes.filter(|m| quality.judge(Time::from_secs(60 * m), Some(count(*m)), NONE).1.is_some()).count()
        };
        // on the first day nothing is known; then three rises of 14 minutes are doubted, and no more
        assert_eq!([doubted(0..1440), doubted(1440..2880), doubted(2880..30_000)], [0, 3 * 14, 0]);
    }

    #[test]
    fn a_collapse_is_seen_at_steps_of_an_hour() {
        let mut quality = Quality::new(Step::from_secs(3600).unwrap(), "UTC");
        let mut judge = |hour: i64, load| quality.judge(Time::from_secs(3600 * hour), Some(load), NONE).1;
        assert!((0..96).all(|hour| judge(hour, 100.0 + (hour % 24) as f64).is_none()));
        assert_eq!([judge(96, 3.0), judge(97, 2.0), judge(98, 1.0)], [Some(Doubt::Reset), Some(Doubt::Outage), None]);
    }

    #[test]
    fn a_flash_crowd_is_real() {
        assert!(after_three_days(&[350.0, 420.0, 500.0, 480.0]).iter().all(|j| j.1.is_none()));
    }

    #[test]
    fn what_is_declared_is_an_event() {
        let occasions = crate::occasion::parse(
            "1970-01-02T00:00/1970-01-02T02:00 load test",
            Some(crate::occasion::Effect::Exclude),
        );
        let mut quality = Quality::new(Step::MINUTE, "UTC").with(&occasions.unwrap());
        for minute in 0..2000i64 {
            let load = 7.0 + (minute % 5) as f64;
            let (sample, _) = quality.judge(Time::from_secs(60 * minute), Some(load), NONE);
            let inside = (1440..1560).contains(&minute);
            assert_eq!(sample, if inside { Sample::Event(load) } else { Sample::Valid(load) }, "minute {minute}");
        }
    }

    #[test]
    fn evidence_names_the_kind() {
        let mut quality = Quality::new(Step::MINUTE, "UTC");
        let mut judge = |evidence| quality.judge(Time::from_secs(0), Some(5.0), evidence).0;
        assert_eq!(judge(Evidence { unhealthy: true, ..NONE }), Sample::Suspect(5.0));
        assert_eq!(judge(Evidence { saturated: true, ..NONE }), Sample::Censored(5.0));
        assert_eq!(judge(Evidence { excluded: true, ..NONE }), Sample::Event(5.0));
    }
}
