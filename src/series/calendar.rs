//! Local civil time, in which seasons live.

use crate::units::{Step, Time};
use jiff::tz::TimeZone;

const DAY: i64 = 86_400;
/// Zone changes remembered at once: those of about 100 days.
const CHANGES: usize = 8;

/// The local calendar of one zone. Keeps the zone's offset changes of the days around the last instant asked for, so that
/// a question costs nanoseconds.
#[derive(Debug, Clone)]
pub struct Calendar {
    zone: TimeZone,
    step: i64,
    /// Offset changes, rising: (first UTC second, seconds east of UTC).
    changes: Vec<(i64, i64)>,
    known: (i64, i64),
}

/// Where an instant lies in the local day and week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Step of the local day, from 0. The repeated hour of autumn has the slots of the first; the skipped hour of
    /// spring has none.
    pub of_day: usize,
    /// Local day of the week: 0 is Monday.
    pub weekday: u8,
}

impl Slot {
    /// Saturday or Sunday.
    pub fn weekend(self) -> bool {
        self.weekday >= 5
    }
}

impl Calendar {
    /// The calendar of an IANA zone; UTC if the name is unknown (the policy refuses such names, with a message).
    pub fn new(zone: &str, step: Step) -> Self {
        let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
        Calendar { zone, step: i64::from(step.secs()), changes: Vec::new(), known: (0, -1) }
    }

    /// Slots in a day.
    pub fn slots(&self) -> usize {
        usize::try_from((DAY + self.step - 1) / self.step).unwrap_or(1).max(1)
    }

    /// Seconds east of UTC at `secs` since the epoch.
    pub fn offset(&mut self, secs: i64) -> i64 {
        if secs < self.known.0 || secs >= self.known.1 {
            self.learn(secs);
        }
        self.changes.iter().rev().find(|(from, _)| *from <= secs).map_or(0, |(_, offset)| *offset)
    }

    fn learn(&mut self, secs: i64) {
        let (from, until) = (secs - 60 * DAY, secs + 40 * DAY);
        let start = Time::from_secs(from).timestamp();
        let offset = i64::from(self.zone.to_offset(start).seconds());
        self.changes.clear();
        self.changes.push((i64::MIN, offset));
        let later = self.zone.following(start).take(CHANGES).map(|t| (t.timestamp(), t.offset()));
        self.changes.extend(
            later.map(|(at, offset)| (at.as_second(), i64::from(offset.seconds()))).take_while(|(at, _)| *at < until),
        );
        self.known = (from, until);
    }

    /// The slot of an instant.
    pub fn slot(&mut self, at: Time) -> Slot {
        let local = at.secs() + self.offset(at.secs());
        let weekday = (local.div_euclid(DAY) + 3).rem_euclid(7); // 1970-01-01 was a Thursday
        Slot {
            of_day: usize::try_from(local.rem_euclid(DAY) / self.step).unwrap_or(0),
            weekday: u8::try_from(weekday).unwrap_or(0),
        }
    }

    /// Steps from the instant that showed the same local time `days` days before `at`, to `at`. Where that local time was
    /// skipped, the instant that would have shown it without the change; where it was repeated, the second.
    pub fn lag(&mut self, at: Time, days: usize) -> usize {
        let secs = at.secs();
        let back = i64::try_from(days).unwrap_or(i64::MAX / (2 * DAY)) * DAY;
        let here = self.offset(secs);
        let mut lag = back;
        for _ in 0..2 {
            let then = self.offset(secs - lag);
            lag = back + then - here;
        }
        usize::try_from(lag.max(0) / self.step).unwrap_or(0)
    }
}
