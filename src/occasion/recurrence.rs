//! When an occasion comes again: the part of RFC 5545's recurrence rules that calendars of events use.

use super::ics::local;
use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Days and months are counted in these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Every day.
    Day,
    /// The same weekdays.
    Week,
    /// The same day of the month; skipped where a month has no such day.
    Month,
    /// The same date; 29 February in leap years only.
    Year,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recurrence {
    /// In which units it is counted.
    pub unit: Unit,
    /// Every so many of them, at least 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub interval: i64,
    /// Weekly: on these days, 1 Monday to 7 Sunday. Empty: on that of the first begin.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weekdays: Vec<i8>,
    /// No later than on this date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Date>,
    /// Not on these dates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<Date>,
}

fn one() -> i64 {
    1
}

fn is_one(n: &i64) -> bool {
    *n == 1
}

impl Recurrence {
    /// Every one of `unit`, for ever.
    pub fn each(unit: Unit) -> Recurrence {
        Recurrence { unit, interval: 1, weekdays: Vec::new(), until: None, except: Vec::new() }
    }

    /// Whether an occasion whose first begin is on `first` begins on `date`.
    pub fn hits(&self, first: Date, date: Date) -> bool {
        if date < first || self.until.is_some_and(|until| date > until) || self.except.contains(&date) {
            return false;
        }
        let every = self.interval.max(1);
        let days = super::since_1970(date) - super::since_1970(first);
        let months = i64::from(date.year() - first.year()) * 12 + i64::from(date.month() - first.month());
        match self.unit {
            Unit::Day => days % every == 0,
            Unit::Week => {
                let weekday = date.weekday().to_monday_one_offset();
                let on = match self.weekdays.as_slice() {
                    [] => first.weekday() == date.weekday(),
                    days => days.contains(&weekday),
                };
                // weeks are counted from the Monday of the first
                on && (days + i64::from(first.weekday().to_monday_zero_offset())) / 7 % every == 0
            }
            Unit::Month => first.day() == date.day() && months % every == 0,
            Unit::Year => {
                (first.month(), first.day()) == (date.month(), date.day())
                    && i64::from(date.year() - first.year()) % every == 0
            }
        }
    }

    /// Reads the value of an RRULE whose first begin is `begin` by the clock of `zone`. What isn't understood is an
    /// error that says so.
    pub(super) fn rrule(text: &str, begin: DateTime, zone: Option<&TimeZone>) -> Result<Recurrence, String> {
        let first = begin.date();
        let mut rule = Recurrence::each(Unit::Day);
        let (mut unit, mut count, mut week_from) = (None, None, 1);
        for part in text.split(';').filter(|p| !p.is_empty()) {
            let (key, value) = part.split_once('=').ok_or_else(|| format!("KEY=VALUE instead of {part}"))?;
            let without = || format!("a rule without {part}: give the dates one by one");
            match key {
                "FREQ" => {
                    unit = Some(match value {
                        "DAILY" => Unit::Day,
                        "WEEKLY" => Unit::Week,
                        "MONTHLY" => Unit::Month,
                        "YEARLY" => Unit::Year,
                        _ => return Err(format!("FREQ=DAILY, WEEKLY, MONTHLY or YEARLY instead of {value}")),
                    });
                }
                "INTERVAL" => {
                    rule.interval =
                        value.parse().ok().filter(|n| (1..=1000).contains(n)).ok_or("INTERVAL from 1 to 1000")?;
                }
                "COUNT" => {
                    count =
                        Some(value.parse().ok().filter(|n| (1..=10_000).contains(n)).ok_or("COUNT from 1 to 10000")?);
                }
                "UNTIL" => {
                    let (date, time) = local(value, None, zone).ok_or("UNTIL with a date or time")?;
                    // before that day's begin: the day before is the last
                    let early = time.is_some_and(|time| time < begin.time());
                    rule.until = Some(if early { date.yesterday().unwrap_or(date) } else { date });
                }
                "BYDAY" => rule.weekdays = value.split(',').map(weekday).collect::<Result<_, _>>()?,
                "WKST" => week_from = weekday(value).map_err(|_| without())?,
                // what only says again what the first begin says
                "BYMONTH" if value == first.month().to_string() => {}
                "BYMONTHDAY" if value == first.day().to_string() => {}
                _ => return Err(without()),
            }
        }
        rule.unit = unit.ok_or("FREQ=")?;
        if !rule.weekdays.is_empty() && rule.unit != Unit::Week {
            return Err("BYDAY with FREQ=WEEKLY only: give the dates one by one".into());
        }
        // where weeks begin matters only to a rule that skips some, with days before and after
        let mut days = rule.weekdays.clone();
        days.push(first.weekday().to_monday_one_offset());
        let parted = days.iter().any(|day| *day < week_from) && days.iter().any(|day| *day >= week_from);
        if rule.unit == Unit::Week && rule.interval > 1 && parted {
            return Err("weeks that begin on Monday (WKST=MO): give the dates one by one".into());
        }
        if let Some(count) = count {
            rule.until = Some(rule.last(first, count));
        }
        Ok(rule)
    }

    /// The date of the hit number `count`.
    fn last(&self, first: Date, count: usize) -> Date {
        let (mut date, mut left) = (first, count);
        // no rule needs more days than this: 10 000 hits, or the years of the calendar
        while date.year() < first.year().saturating_add(200) {
            left -= usize::from(self.hits(first, date));
            if left == 0 {
                return date;
            }
            let Ok(next) = date.tomorrow() else { break };
            date = next;
        }
        date
    }
}

fn weekday(text: &str) -> Result<i8, String> {
    const DAYS: [(&str, Weekday); 7] = [
        ("MO", Weekday::Monday),
        ("TU", Weekday::Tuesday),
        ("WE", Weekday::Wednesday),
        ("TH", Weekday::Thursday),
        ("FR", Weekday::Friday),
        ("SA", Weekday::Saturday),
        ("SU", Weekday::Sunday),
    ];
    let found = DAYS.iter().find(|(name, _)| *name == text).map(|(_, day)| day.to_monday_one_offset());
    found.ok_or_else(|| format!("BYDAY with MO, TU, … instead of {text}: give the dates one by one"))
}

impl FromStr for Unit {
    type Err = String;

    fn from_str(text: &str) -> Result<Unit, String> {
        match text {
            "day" => Ok(Unit::Day),
            "week" => Ok(Unit::Week),
            "month" => Ok(Unit::Month),
            "year" => Ok(Unit::Year),
            _ => Err("every=day, week, month or year".into()),
        }
    }
}
