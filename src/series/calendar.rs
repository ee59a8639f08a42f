//! Local civil time, in which seasons live.

use crate::occasion::{Effect, Occasion};
use crate::units::{Step, Time};
use jiff::tz::TimeZone;
use std::sync::Arc;

const DAY: i64 = 86_400;
/// Zone changes remembered at once: those of about 100 days.
const CHANGES: usize = 8;
/// Stretches of occasions remembered at once.
const SPANS: usize = 2048;

fn rank(effect: Effect) -> u8 {
    match effect {
        Effect::Exclude => 2,
        Effect::Times(_) | Effect::Like(_) => 1,
        Effect::Holiday => 0,
    }
}

/// The local calendar of one zone. Keeps the zone's offset changes of the days around the last instant asked for, so that
/// a question costs nanoseconds.
#[derive(Debug, Clone)]
pub struct Calendar {
    zone: TimeZone,
    step: i64,
    /// Offset changes, rising: (first UTC second, seconds east of UTC).
    changes: Vec<(i64, i64)>,
    known: (i64, i64),
    occasions: Arc<[Occasion]>,
    /// What the occasions around the last instant asked for are: first second, end, number.
    spans: Vec<(i64, i64, usize)>,
    /// Local days since 1970 that are public holidays, rising.
    holidays: Vec<i64>,
}

/// Where an instant lies in the local day and week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Step of the local day, from 0. The repeated hour of autumn has the slots of the first; the skipped hour of
    /// spring has none.
    pub of_day: usize,
    /// Local day of the week: 0 is Monday.
    pub weekday: u8,
    /// The local day is a public holiday.
    pub holiday: bool,
}

impl Slot {
    /// Saturday, Sunday or a public holiday: a day of rest.
    pub fn rest(self) -> bool {
        self.weekday >= 5 || self.holiday
    }
}

impl Calendar {
    /// The calendar of an IANA zone; UTC if the name is unknown (the policy refuses such names, with a message).
    pub fn new(zone: &str, step: Step) -> Self {
        let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
        Calendar {
            zone,
            step: i64::from(step.secs()),
            changes: Vec::new(),
            known: (0, -1),
            occasions: Arc::default(),
            spans: Vec::new(),
            holidays: Vec::new(),
        }
    }

    /// The same with occasions.
    pub fn with(mut self, occasions: &[Occasion]) -> Self {
        self.occasions = occasions.into();
        self.known = (0, -1);
        self
    }

    /// The occasion that holds at an instant: one that excludes before one with a known effect before a holiday; of equals
    /// the one that was declared last.
    pub fn occasion(&mut self, at: Time) -> Option<&Occasion> {
        let secs = at.secs();
        self.know(secs);
        let here = self.spans.iter().filter(|(from, until, _)| (*from..*until).contains(&secs));
        let occasions = here.filter_map(|(_, _, number)| self.occasions.get(*number).map(|o| (number, o)));
        occasions.max_by_key(|(number, o)| (rank(o.effect), *number)).map(|(_, o)| o)
    }

    /// Slots in a day.
    pub fn slots(&self) -> usize {
        usize::try_from((DAY + self.step - 1) / self.step).unwrap_or(1).max(1)
    }

    /// Seconds east of UTC at `secs` since the epoch.
    pub fn offset(&mut self, secs: i64) -> i64 {
        self.know(secs);
        self.changes.iter().rev().find(|(from, _)| *from <= secs).map_or(0, |(_, offset)| *offset)
    }

    fn know(&mut self, secs: i64) {
        if secs >= self.known.0 && secs < self.known.1 {
            return;
        }
        let (from, until) = (secs - 60 * DAY, secs + 40 * DAY);
        let start = Time::from_secs(from).timestamp();
        let offset = i64::from(self.zone.to_offset(start).seconds());
        self.changes.clear();
        self.changes.push((i64::MIN, offset));
        let later = self.zone.following(start).take(CHANGES).map(|t| (t.timestamp(), t.offset()));
        self.changes.extend(
            later.map(|(at, offset)| (at.as_second(), i64::from(offset.seconds()))).take_while(|(at, _)| *at < until),
        );
        let (first, last) = (Time::from_secs(from), Time::from_secs(until));
        self.spans = Vec::new();
        for (number, occasion) in self.occasions.iter().enumerate() {
            let spans = occasion.spans(first, last, &self.zone);
            self.spans.extend(spans.into_iter().take(SPANS).map(|(a, b)| (a.secs(), b.secs(), number)));
        }
        self.spans.truncate(SPANS);
        let date = |at: Time| self.zone.to_datetime(at.timestamp()).date();
        self.holidays = self.occasions.iter().flat_map(|o| o.days(date(first), date(last))).collect();
        self.holidays.sort_unstable();
        self.known = (from, until);
    }

    /// The local day of an instant, as days since 1970-01-01.
    pub fn day(&mut self, at: Time) -> i64 {
        (at.secs() + self.offset(at.secs())).div_euclid(DAY)
    }

    /// The slot of an instant.
    pub fn slot(&mut self, at: Time) -> Slot {
        let local = at.secs() + self.offset(at.secs());
        let weekday = (local.div_euclid(DAY) + 3).rem_euclid(7); // 1970-01-01 was a Thursday
        Slot {
            of_day: usize::try_from(local.rem_euclid(DAY) / self.step).unwrap_or(0),
            weekday: u8::try_from(weekday).unwrap_or(0),
            holiday: self.holidays.binary_search(&local.div_euclid(DAY)).is_ok(),
        }
    }

    /// Steps from the instant that showed the same local time `days` days before `at`, to `at`. Where that local time was
    /// skipped, the instant that would have shown it without the change; where it was repeated, the second.
    pub fn lag(&mut self, at: Time, days: usize) -> usize {
        usize::try_from(self.lag_secs(at, days).max(0) / self.step).unwrap_or(0)
    }

    /// The same in seconds.
    pub fn lag_secs(&mut self, at: Time, days: usize) -> i64 {
        let secs = at.secs();
        let back = i64::try_from(days).unwrap_or(i64::MAX / (2 * DAY)) * DAY;
        let here = self.offset(secs);
        let mut lag = back;
        for _ in 0..2 {
            let then = self.offset(secs - lag);
            lag = back + then - here;
        }
        lag
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Zone, and the UTC seconds of its two changes of 2021 (spring forward, fall back in local seasons), with the shift.
    const ZONES: [(&str, &str, &str, i64); 5] = [
        ("Europe/Berlin", "2021-03-28T01:00:00Z", "2021-10-31T01:00:00Z", 3600),
        ("America/New_York", "2021-03-14T07:00:00Z", "2021-11-07T06:00:00Z", 3600),
        ("Australia/Lord_Howe", "2021-10-02T15:30:00Z", "2021-04-03T15:00:00Z", 1800),
        ("America/Santiago", "2021-09-05T04:00:00Z", "2021-04-04T03:00:00Z", 3600),
        ("Asia/Jerusalem", "2021-03-26T00:00:00Z", "2021-10-30T23:00:00Z", 3600),
    ];

    #[test]
    fn both_changes_in_five_zones() {
        for (zone, forward, back, shift) in ZONES {
            let mut calendar = Calendar::new(zone, Step::MINUTE);
            for (change, by) in [(forward, shift), (back, -shift)] {
                let at = Time::parse(change).unwrap();
                let jump = calendar.offset(at.secs()) - calendar.offset(at.secs() - 1);
                assert_eq!(jump, by, "{zone} {change}");
                // six hours later the same local time was a day and the jump ago
                let later = at + Duration::from_secs(6 * 3600);
                assert_eq!(calendar.lag(later, 1) as i64 * 60, DAY - by, "{zone} {change}");
                assert_eq!(calendar.slot(later).of_day, calendar.slot(Time::from_secs(later.secs() - DAY + by)).of_day);
                // a week later everything is as usual again
                assert_eq!(calendar.lag(at + Duration::from_secs(8 * 86_400), 1) as i64 * 60, DAY);
            }
        }
    }

    #[test]
    fn the_repeated_hour_is_two_samples_of_one_slot_and_the_skipped_hour_has_none() {
        for (zone, forward, back, shift) in ZONES {
            let mut calendar = Calendar::new(zone, Step::MINUTE);
            let mut counts = |change: &str| {
                let at = Time::parse(change).unwrap().secs();
                let mut seen = std::collections::BTreeMap::<usize, usize>::new();
                // the local day around the change
                let midnight =
                    (-1440..=0).rev().map(|m| at + 60 * m).find(|t| calendar.slot(Time::from_secs(*t)).of_day == 0);
                let start = midnight.unwrap();
                let weekday = calendar.slot(Time::from_secs(start)).weekday;
                for minute in 0..1600 {
                    let slot = calendar.slot(Time::from_secs(start + 60 * minute));
                    if slot.weekday == weekday {
                        *seen.entry(slot.of_day).or_default() += 1;
                    }
                }
                seen
            };
            // Santiago skips and repeats at midnight itself, where its day has no such beginning
            if zone != "America/Santiago" {
                let spring = counts(forward);
                assert_eq!(spring.len() as i64 * 60, DAY - shift, "{zone}: skipped");
                let autumn = counts(back);
                assert_eq!(autumn.values().filter(|n| **n == 2).count() as i64 * 60, shift, "{zone}: repeated");
            }
        }
    }

    #[test]
    fn holidays_are_days_of_rest_and_occasions_hold_on_the_wall_clock() {
        let text = "2020-12-25 every=year holiday; 2021-12-25T20:00/2021-12-25T22:00 x2; 2021-12-25T21:00/2021-12-25T21:30 exclude";
        let mut calendar =
            Calendar::new("Europe/Berlin", Step::MINUTE).with(&crate::occasion::parse(text, None).unwrap());
        let at = |text: &str| Time::parse(text).unwrap();
        let eve = calendar.slot(at("2021-12-24T22:59:00Z"));
        assert!(!eve.rest() && eve.weekday == 4, "the Friday before, until midnight in Berlin");
        assert!(calendar.slot(at("2021-12-24T23:00:00Z")).rest());
        let mut effect = |text: &str| calendar.occasion(at(text)).map(|o| o.effect);
        assert_eq!(effect("2021-12-24T22:59:59Z"), None);
        assert_eq!(effect("2021-12-25T18:59:00Z"), Some(Effect::Holiday));
        assert_eq!(effect("2021-12-25T19:00:00Z"), Some(Effect::Times(2.0)));
        assert_eq!(effect("2021-12-25T20:00:00Z"), Some(Effect::Exclude));
        assert_eq!(effect("2023-12-25T12:00:00Z"), Some(Effect::Holiday), "the next years, too");
    }

    #[test]
    fn weekdays_are_local() {
        let monday = Time::parse("2021-01-04T00:30:00Z").unwrap();
        assert_eq!(Calendar::new("UTC", Step::MINUTE).slot(monday), Slot { of_day: 30, weekday: 0, holiday: false });
        assert_eq!(
            Calendar::new("America/New_York", Step::MINUTE).slot(monday),
            Slot { of_day: 1170, weekday: 6, holiday: false }
        );
    }
}
