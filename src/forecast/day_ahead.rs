//! A day ahead, quarter of an hour by quarter of an hour, from calendar features alone: it explains and plans, and never
//! moves replicas.
//!
//! A day ahead everything that knows the last minutes does worse than what knows the calendar only, so this path has its
//! own rule: the robust profile of the same local time of the last 14 days, shifted by as much of yesterday's distance from
//! usual as has lasted a day before, with quantiles of the rule's own errors on the last days (split conformal prediction,
//! Vovk et al., 2005). It is computed anew from the history whenever somebody asks; nothing learns from it.

use super::experts::UNLIKE;
use super::{LEVELS, between};
use crate::occasion::Effect;
use crate::series::{Calendar, Series};
use crate::units::{Step, Time};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Slots of a day.
pub const SLOTS: usize = 96;
/// One slot: 15 minutes.
pub const SLOT: Duration = Duration::from_secs(QUARTER as u64);

const QUARTER: i64 = 900;
/// Days that a profile looks back.
const DAYS: usize = 14;
/// Days on which the rule is tried for its errors.
const TRIED: usize = 7;
/// Errors that must be known, slots.
const LEAST: usize = SLOTS / 2;
/// The weight of a day halves in so many days.
const HALF_LIFE: f64 = 5.0;
/// Slots on either side whose errors count as errors at this time of day.
const AROUND: usize = 4;

const Q: usize = LEVELS.len();

/// The next 24 hours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DayAhead {
    /// The last instant whose sample was used.
    pub origin: Time,
    /// 96 slots, the first one the quarter of an hour that holds the next sample.
    pub slots: Vec<SlotAhead>,
}

/// One quarter of an hour.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SlotAhead {
    /// Its begin.
    pub from: Time,
    /// Its largest load, one value per level of [`LEVELS`], in load units, finite, not negative, not falling.
    pub values: [f64; Q],
}

impl SlotAhead {
    /// The value at `level`: linear between the levels of [`LEVELS`], clamped to their ends.
    pub fn at(&self, level: f64) -> f64 {
        between(&self.values, level)
    }
}

/// Forecasts the 24 hours after `history`, in the local time of `calendar`. None: there are not yet two days of history to
/// try the rule on. Costs about a millisecond; off the tick.
pub fn day_ahead(history: &Series, calendar: &Calendar) -> Option<DayAhead> {
    let last = history.len().checked_sub(1)?;
    let past = Quarters::new(history, calendar.clone());
    let first = history.next_at().secs().div_euclid(QUARTER);
    let mut rule = Rule::learn(past, first)?;
    let slots = (0..SLOTS).map(|i| rule.slot(first + i as i64)).collect();
    Some(DayAhead { origin: history.at(last), slots })
}

/// The first and the last quarter of an hour, counted from 1970, that a sample stands for: its own, and where steps are
/// longer all that the step touches.
pub fn quarters(at: Time, step: Step) -> (i64, i64) {
    let begin = at.secs().div_euclid(QUARTER);
    let secs = i64::from(step.secs());
    (begin, if secs > QUARTER { (at.secs() + secs - 1).div_euclid(QUARTER) } else { begin })
}

/// Largest believed load of each quarter of an hour, in log space.
struct Quarters {
    calendar: Calendar,
    /// Number of the first quarter since 1970.
    first: i64,
    tops: Vec<Option<f64>>,
    floor: f64,
    most: f64,
}

impl Quarters {
    fn new(history: &Series, calendar: Calendar) -> Quarters {
        let first = history.at(0).secs().div_euclid(QUARTER);
        let end = history.next_at().secs().div_euclid(QUARTER);
        let mut tops: Vec<Option<f64>> = vec![None; usize::try_from(end - first).unwrap_or(0) + 1];
        for (at, load) in history.iter().filter_map(|(at, sample)| Some((at, sample.valid()?))) {
            let (begin, last) = quarters(at, history.step());
            let place = |quarter: i64| usize::try_from(quarter - first).unwrap_or(usize::MAX);
            for top in tops.iter_mut().take(place(last).saturating_add(1)).skip(place(begin)) {
                *top = Some(top.map_or(load, |t| t.max(load)));
            }
        }
        // the quarter that is still open is not a lesson
        tops.truncate(usize::try_from(end - first).unwrap_or(0));
        let mut loads: Vec<f64> = tops.iter().copied().flatten().collect();
        loads.sort_by(f64::total_cmp);
        let median = loads.get(loads.len() / 2).copied().unwrap_or(0.0);
        let mean = loads.iter().sum::<f64>() / loads.len().max(1) as f64;
        let floor = (0.05 * if median > 1e-9 * mean { median } else { mean / 2.0 }).max(1e-300);
        let most = loads.last().copied().unwrap_or(0.0);
        tops.iter_mut().for_each(|top| *top = top.map(|load| (load + floor).ln()));
        Quarters { calendar, first, tops, floor, most }
    }

    fn top(&self, quarter: i64) -> Option<f64> {
        usize::try_from(quarter - self.first).ok().and_then(|i| self.tops.get(i).copied().flatten())
    }

    /// Quarter of the local day.
    fn place(&mut self, quarter: i64) -> usize {
        let secs = quarter * QUARTER;
        let local = secs + self.calendar.offset(secs);
        usize::try_from(local.rem_euclid(86_400) / QUARTER).unwrap_or(0).min(SLOTS - 1)
    }

    /// Weighted median of the same local time of the days before, newer days and days of the same type weighing more.
    /// Only what was known a day before the quarter is used.
    fn profile(&mut self, quarter: i64) -> Option<f64> {
        let at = Time::from_secs(quarter * QUARTER);
        let slot = self.calendar.slot(at);
        let (mut values, mut mass) = (Vec::with_capacity(DAYS), 0.0);
        for day in 1..=DAYS {
            let back = self.calendar.lag_secs(at, day);
            let then = Time::from_secs(quarter * QUARTER - back);
            let Some(top) = self.top(then.secs().div_euclid(QUARTER)) else { continue };
            let alike = if self.calendar.slot(then).rest() == slot.rest() { 1.0 } else { f64::from(UNLIKE) };
            let same = if day.is_multiple_of(7) { 1.5 } else { 1.0 };
            let weight = 0.5f64.powf(day as f64 / HALF_LIFE) * alike * same;
            values.push((top, weight));
            mass += weight;
        }
        values.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut below = 0.0;
        values.into_iter().find_map(|(value, weight)| {
            below += weight;
            (below >= mass / 2.0).then_some(value)
        })
    }
}

/// The rule with what it has learned of its errors.
struct Rule {
    past: Quarters,
    /// Yesterday's mean distance from usual, and how much of it lasts.
    gap: f64,
    lasts: f64,
    /// Usual size of an error at each local quarter.
    scales: Vec<f64>,
    /// Standardised errors at [`LEVELS`].
    errors: [f64; Q],
}

impl Rule {
    /// Tries the rule on the days before the quarter `first`.
    fn learn(mut past: Quarters, first: i64) -> Option<Rule> {
        let day = SLOTS as i64;
        // distances from usual, newest day first
        let mut days: Vec<Vec<(usize, f64)>> = Vec::new();
        for d in 0..=TRIED as i64 {
            let begin = first - (d + 1) * day;
            let mut gaps = Vec::with_capacity(SLOTS);
            for quarter in begin..begin + day {
                if let Some((top, usual)) = past.top(quarter).zip(past.profile(quarter)) {
                    gaps.push((past.place(quarter), top - usual));
                }
            }
            days.push(gaps);
        }
        let mean = |gaps: &[(usize, f64)]| gaps.iter().map(|g| g.1).sum::<f64>() / gaps.len().max(1) as f64;
        let means: Vec<f64> = days.iter().map(|gaps| mean(gaps)).collect();
        let (mut across, mut square) = (0.0, 0.0);
        for [newer, older] in means.array_windows() {
            across += newer * older;
            square += older * older;
        }
        let lasts = (across / (square + 1e-3)).clamp(0.0, 1.0);
        let tried: Vec<(usize, f64)> = days
            .iter()
            .take(TRIED)
            .enumerate()
            .flat_map(|(d, gaps)| {
                let shift = lasts * means.get(d + 1).copied().unwrap_or(0.0);
                gaps.iter().map(move |(place, gap)| (*place, gap - shift))
            })
            .collect();
        if tried.len() < LEAST {
            return None;
        }
        let overall = (tried.iter().map(|e| e.1.abs()).sum::<f64>() / tried.len() as f64).max(1e-3);
        let scales: Vec<f64> = (0..SLOTS)
            .map(|place| {
                let near = |other: usize| (other + SLOTS + AROUND - place) % SLOTS <= 2 * AROUND;
                let (mut sum, mut n) = (overall, 1.0);
                for (_, error) in tried.iter().filter(|e| near(e.0)) {
                    sum += error.abs();
                    n += 1.0;
                }
                sum / n
            })
            .collect();
        let mut standard: Vec<f64> =
            tried.iter().filter_map(|(place, error)| Some(error / scales.get(*place)?)).collect();
        standard.sort_by(f64::total_cmp);
        let errors = LEVELS.map(|level| {
            let rank = ((standard.len() + 1) as f64 * level).ceil() as usize;
            standard.get(rank.clamp(1, standard.len()) - 1).copied().unwrap_or(0.0)
        });
        let gap = means.first().copied().unwrap_or(0.0);
        Some(Rule { past, gap, lasts, scales, errors })
    }

    fn slot(&mut self, quarter: i64) -> SlotAhead {
        // without a usual value at this time (a hole on every day), the largest load so far
        let usual = self.past.profile(quarter).unwrap_or((self.past.most + self.past.floor).ln());
        let scale = self.scales.get(self.past.place(quarter)).copied().unwrap_or(1e-3);
        let load = |error: f64| {
            let z = usual + self.lasts * self.gap + scale * error;
            (z.min(600.0).exp() - self.past.floor).clamp(0.0, 3.0 * self.past.most)
        };
        let from = Time::from_secs(quarter * QUARTER);
        let factor = match self.past.calendar.occasion(from).map(|o| o.effect) {
            Some(Effect::Times(times)) => times,
            _ => 1.0,
        };
        SlotAhead { from, values: self.errors.map(|error| factor * load(error)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::Sample;

    fn calendar(zone: &str) -> Calendar {
        Calendar::new(zone, Step::MINUTE)
    }

    /// 100 by night, 200 from 08:00 to 20:00 local, with a little noise.
    fn office(secs: i64) -> f64 {
        let noise = (secs / 60 * 7919 % 101) as f64 / 20.0;
        let hour = secs.rem_euclid(86_400) / 3600;
        noise + if (8..20).contains(&hour) { 200.0 } else { 100.0 }
    }

    fn series(days: i64, load: impl Fn(i64) -> f64) -> Series {
        Series::of(
            Time::from_secs(0),
            Step::MINUTE,
            (0..days * 1440).map(|i| Sample::Valid(load(60 * i))).collect::<Vec<_>>(),
        )
    }

    #[test]
    fn a_regular_day_comes_again() {
        let ahead = day_ahead(&series(6, office), &calendar("UTC")).unwrap();
        assert_eq!((ahead.slots.len(), ahead.slots[0].from), (SLOTS, Time::from_secs(6 * 86_400)));
        for slot in &ahead.slots {
            let top = (0..15).map(|m| office(slot.from.secs() + 60 * m)).fold(0.0, f64::max);
            assert!((slot.at(0.5) - top).abs() < 4.0, "{slot:?}: {top}");
            assert!(slot.values.windows(2).all(|v| v[0] <= v[1]) && slot.at(0.999) < 215.0, "{slot:?}");
        }
    }

    #[test]
    fn at_steps_of_20_minutes_and_an_hour_every_quarter_is_known() {
        for step in [1200, 3600] {
            let samples = (0..8 * 86_400 / step).map(|i| Sample::Valid(office(step * i)));
            let history = Series::of(Time::from_secs(0), Step::from_secs(step as u32).unwrap(), samples);
            let ahead = day_ahead(&history, &calendar("UTC")).unwrap();
            for slot in &ahead.slots {
                let usual = (0..15).map(|m| office((slot.from.secs() + 60 * m) / step * step)).fold(0.0, f64::max);
                assert!((slot.at(0.5) - usual).abs() < 6.0, "{slot:?}: {usual}");
            }
        }
    }

    #[test]
    fn before_a_saturday_and_a_holiday_on_a_friday_the_days_of_rest_count() {
        // 1970-01-01 was a Thursday: three weeks of 200 on working days and 50 on others end on the 22nd, a Thursday
        let week = |secs: i64| if (secs / 86_400 + 3) % 7 >= 5 { 50.0 } else { 200.0 };
        let noon = |days: i64, calendar: &Calendar| day_ahead(&series(days, week), calendar).unwrap().slots[48].at(0.5);
        assert_eq!(noon(23, &calendar("UTC")).round(), 50.0, "a Saturday");
        assert_eq!(noon(22, &calendar("UTC")).round(), 200.0, "a Friday");
        let holiday = crate::occasion::parse("1970-01-23 holiday", None).unwrap();
        assert_eq!(noon(22, &calendar("UTC").with(&holiday)).round(), 50.0, "a Friday that is a holiday");
    }

    #[test]
    fn a_hole_yesterday_is_not_inherited_and_a_new_level_lasts() {
        let holed = Series::of(
            Time::from_secs(0),
            Step::MINUTE,
            series(6, office).iter().map(|(at, s)| {
                let hole = (5 * 86_400 + 36_000..5 * 86_400 + 50_000).contains(&at.secs());
                if hole { Sample::Suspect(0.0) } else { s }
            }),
        );
        let ahead = day_ahead(&holed, &calendar("UTC")).unwrap();
        assert!(ahead.slots[48].at(0.5) > 190.0, "{:?}", ahead.slots[48]);
        // twice the load since four days ago: most of it is expected to last
        let shifted = series(10, |secs| office(secs) * if secs >= 6 * 86_400 { 2.0 } else { 1.0 });
        let ahead = day_ahead(&shifted, &calendar("UTC")).unwrap();
        assert!(ahead.slots[48].at(0.5) > 380.0, "{:?}", ahead.slots[48]);
    }

    #[test]
    fn the_day_is_the_local_one_through_a_clock_change() {
        // Berlin's clocks went forward on 28 March 2021 at 01:00 UTC: 08:00 local is 07:00 UTC before, 06:00 UTC after
        let begin = Time::parse("2021-03-18T00:00:00Z").unwrap();
        let change = Time::parse("2021-03-28T01:00:00Z").unwrap().secs();
        let local = |secs: i64| secs + if secs >= change { 7200 } else { 3600 };
        let samples: Vec<Sample> =
            (0..10 * 1440).map(|i| Sample::Valid(office(local(begin.secs() + 60 * i)))).collect();
        let ahead = day_ahead(&Series::of(begin, Step::MINUTE, samples), &calendar("Europe/Berlin")).unwrap();
        for slot in ahead.slots.iter().filter(|s| s.from.secs() >= change) {
            let top = (0..15).map(|m| office(local(slot.from.secs() + 60 * m))).fold(0.0, f64::max);
            assert!((slot.at(0.5) - top).abs() < 5.0, "{slot:?}: {top}");
        }
    }

    #[test]
    fn too_little_history_says_nothing() {
        assert_eq!(day_ahead(&Series::new(Time::from_secs(0), Step::MINUTE, 1), &calendar("UTC")), None);
        assert_eq!(day_ahead(&series(1, office), &calendar("UTC")), None);
        let zeros = day_ahead(&series(4, |_| 0.0), &calendar("UTC")).unwrap();
        assert!(zeros.slots.iter().all(|s| s.values == [0.0; Q]), "{:?}", zeros.slots[0]);
    }
}
