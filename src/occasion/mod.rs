//! Days and hours that are not like others, as people declare them: exclusions, public holidays, events with a known
//! effect. Written as text in annotations, or read from iCalendar files.

mod ics;
mod recurrence;

pub use ics::{ICS_BYTES_MAX, calendar};
pub use recurrence::{Recurrence, Unit};

use crate::units::Time;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, ToSpan};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Occasions of one workload or one calendar at most.
pub const OCCASIONS_MAX: usize = 512;
/// The longest occasion, days.
pub const DAYS_MAX: i64 = 62;
/// The largest factor.
const TIMES_MAX: f64 = 100.0;
/// Longest name, bytes.
const NAME_MAX: usize = 100;

/// What is known of the load of an occasion.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Effect {
    /// Nothing: what is measured teaches nothing.
    Exclude,
    /// A day of rest: like a Sunday. Teaches nothing of ordinary days.
    Holiday,
    /// So many times the usual load.
    Times(f64),
    /// Like this earlier date, as long as it is remembered.
    Like(Date),
}

/// A stretch of local time, once or again and again: `2026-11-27T18:00/2026-11-27T23:00 x3 every=year black friday`.
#[derive(Debug, Clone, PartialEq)]
pub struct Occasion {
    /// Its first begin, on the wall clock.
    pub begin: DateTime,
    /// Its length on the wall clock; from one second to [`DAYS_MAX`] days.
    pub length: SignedDuration,
    /// IANA zone of the wall clock. None: the workload's.
    pub zone: Option<String>,
    /// When it comes again.
    pub recurrence: Option<Recurrence>,
    /// Its effect.
    pub effect: Effect,
    /// For people.
    pub name: String,
}

impl Occasion {
    /// The wall-clock times at which it begins within `from..=until`, rising.
    pub fn begins(&self, from: DateTime, until: DateTime) -> Vec<DateTime> {
        match &self.recurrence {
            None => Some(self.begin).into_iter().filter(|b| (from..=until).contains(b)).collect(),
            Some(again) => {
                let mut found = Vec::new();
                let mut date = from.date().max(self.begin.date());
                while date <= until.date() {
                    let at = date.to_datetime(self.begin.time());
                    if (from..=until).contains(&at) && again.hits(self.begin.date(), date) {
                        found.push(at);
                    }
                    let Ok(next) = date.tomorrow() else { break };
                    date = next;
                }
                found
            }
        }
    }

    /// The instants between which it lasts, for every time that touches `from..until`; `zone` where it names none.
    pub fn spans(&self, from: Time, until: Time, zone: &TimeZone) -> Vec<(Time, Time)> {
        let zone = self.zone.as_ref().and_then(|name| TimeZone::get(name).ok()).unwrap_or_else(|| zone.clone());
        let day = SignedDuration::from_hours(24);
        let wall = |at: Time| zone.to_datetime(at.timestamp());
        let first = wall(from).saturating_sub(self.length).saturating_sub(day);
        let instant = |wall: DateTime| {
            // skipped by the clocks: when they go on; repeated: from the first to the second
            zone.to_ambiguous_timestamp(wall).compatible().ok().map(|t| Time::from_millis(t.as_millisecond()))
        };
        let mut spans = Vec::new();
        for begin in self.begins(first, wall(until).saturating_add(day)) {
            if let Some((a, b)) = instant(begin).zip(instant(begin.saturating_add(self.length)))
                && a < b
                && a < until
                && b > from
            {
                spans.push((a, b));
            }
        }
        spans
    }

    /// The local days of a holiday that touch `from..=until`, as days since 1970-01-01.
    pub fn days(&self, from: Date, until: Date) -> Vec<i64> {
        if self.effect != Effect::Holiday {
            return Vec::new();
        }
        let back = self.length.as_hours() / 24 + 1;
        let first = from.checked_sub(back.days()).unwrap_or(Date::MIN).to_datetime(self.begin.time());
        let mut days = Vec::new();
        for begin in self.begins(first, until.to_datetime(self.begin.time())) {
            let last = begin.saturating_add(self.length - SignedDuration::from_secs(1)).date();
            let mut date = begin.date();
            while date <= last && date <= until {
                if date >= from {
                    days.push(since_1970(date));
                }
                let Ok(next) = date.tomorrow() else { break };
                date = next;
            }
        }
        days
    }
}

/// Days since 1970-01-01.
pub fn since_1970(date: Date) -> i64 {
    i64::from(date.since(Date::constant(1970, 1, 1)).map_or(0, |span| span.get_days()))
}

/// Reads occasions separated by `;` or line breaks. `given`: the effect of those that name none. None: they must name one.
/// Every error says what was expected and in which entry.
pub fn parse(text: &str, given: Option<Effect>) -> Result<Vec<Occasion>, Vec<String>> {
    let texts: Vec<&str> = text.split([';', '\n']).map(str::trim).filter(|t| !t.is_empty()).collect();
    if texts.is_empty() || texts.len() > OCCASIONS_MAX {
        return Err(vec![format!("1 to {OCCASIONS_MAX} entries")]);
    }
    let (mut occasions, mut errors) = (Vec::new(), Vec::new());
    for (i, text) in texts.iter().enumerate() {
        match one(text, given) {
            Ok(occasion) => occasions.push(occasion),
            Err(error) => errors.push(format!("{error} in entry {}", i + 1)),
        }
    }
    if errors.is_empty() { Ok(occasions) } else { Err(errors) }
}

fn one(text: &str, given: Option<Effect>) -> Result<Occasion, String> {
    const FORM: &str = "<date or time>[/<date or time>] [IANA zone] [every=day|week|month|year] [xN.N | like=DATE | holiday | exclude] [name]";
    let mut words = text.split_whitespace();
    let span = words.next().ok_or(FORM)?;
    let (begin, end) = match span.split_once('/') {
        Some((begin, end)) => (begin, end),
        None => (span, span),
    };
    let (begin, begin_is_day) = moment(begin)?;
    let (end, end_is_day) = moment(end)?;
    // a day as an end is meant as a whole
    let end = if end_is_day { end.saturating_add(SignedDuration::from_hours(24)) } else { end };
    if !begin_is_day && span.split_once('/').is_none() {
        return Err("an end after the begin, as in 2026-11-27T18:00/2026-11-27T23:00".into());
    }
    let mut occasion = Occasion {
        begin,
        length: length(begin, end)?,
        zone: None,
        recurrence: None,
        effect: Effect::Exclude,
        name: String::new(),
    };
    let (mut effect, mut name) = (given, Vec::new());
    for word in words {
        if !name.is_empty() {
            name.push(word);
        } else if let Some(unit) = word.strip_prefix("every=") {
            occasion.recurrence = Some(Recurrence::each(unit.parse()?));
        } else if let Ok(named) = word.parse::<Effect>() {
            effect = Some(named);
        } else if ["x", "like="]
            .iter()
            .any(|p| word.strip_prefix(p).is_some_and(|r| r.starts_with(|c: char| c.is_ascii_digit())))
        {
            return Err(format!("x and a factor from 0 to {TIMES_MAX}, or like= and a date"));
        } else if occasion.zone.is_none() && TimeZone::get(word).is_ok() {
            occasion.zone = Some(word.into());
        } else {
            name.push(word);
        }
    }
    occasion.effect = effect.ok_or("an effect: x1.5, like=2025-11-28, holiday or exclude")?;
    occasion.name = name.join(" ");
    if occasion.name.len() > NAME_MAX {
        return Err(format!("a name of at most {NAME_MAX} bytes"));
    }
    if let Effect::Like(date) = occasion.effect
        && date >= begin.date()
    {
        return Err("like= with a date before the begin".into());
    }
    Ok(occasion)
}

/// A day or a minute, and whether it is a day.
fn moment(text: &str) -> Result<(DateTime, bool), String> {
    if let Ok(date) = Date::from_str(text)
        && text.len() == 10
    {
        return Ok((date.to_datetime(jiff::civil::Time::midnight()), true));
    }
    let found = DateTime::from_str(text).ok().filter(|_| text.contains('T'));
    found.map(|at| (at, false)).ok_or_else(|| "a local date or time such as 2026-12-24 or 2026-12-24T18:00".into())
}

fn length(begin: DateTime, end: DateTime) -> Result<SignedDuration, String> {
    let length = end.duration_since(begin);
    let most = SignedDuration::from_hours(24 * DAYS_MAX);
    if length > SignedDuration::ZERO && length <= most {
        Ok(length)
    } else {
        Err(format!("an end after the begin, by at most {DAYS_MAX} days"))
    }
}

impl FromStr for Effect {
    type Err = String;

    fn from_str(text: &str) -> Result<Effect, String> {
        let bad = || "x1.5, like=2025-11-28, holiday or exclude".to_owned();
        match text.strip_prefix("like=") {
            Some(date) => Date::from_str(date).map(Effect::Like).map_err(|_| bad()),
            None if text == "holiday" => Ok(Effect::Holiday),
            None if text == "exclude" => Ok(Effect::Exclude),
            None => {
                let times = text.strip_prefix('x').and_then(|t| t.parse::<f64>().ok());
                times.filter(|t| (0.0..=TIMES_MAX).contains(t)).map(Effect::Times).ok_or_else(bad)
            }
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Effect::Exclude => f.write_str("exclude"),
            Effect::Holiday => f.write_str("holiday"),
            Effect::Times(times) => write!(f, "x{times}"),
            Effect::Like(date) => write!(f, "like={date}"),
        }
    }
}

/// In logs and snapshots: all parts, as JSON text of its own.
#[derive(Serialize, Deserialize)]
struct Parts {
    begin: DateTime,
    seconds: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recurrence: Option<Recurrence>,
    effect: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    name: String,
}

impl Serialize for Occasion {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let parts = Parts {
            begin: self.begin,
            seconds: self.length.as_secs(),
            zone: self.zone.clone(),
            recurrence: self.recurrence.clone(),
            effect: self.effect.to_string(),
            name: self.name.clone(),
        };
        parts.serialize(s)
    }
}

impl<'de> Deserialize<'de> for Occasion {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let parts = Parts::deserialize(d)?;
        let bad = serde::de::Error::custom;
        let end = parts.begin.saturating_add(SignedDuration::from_secs(parts.seconds));
        Ok(Occasion {
            length: length(parts.begin, end).map_err(bad)?,
            begin: parts.begin,
            zone: parts.zone,
            recurrence: parts.recurrence,
            effect: parts.effect.parse().map_err(bad)?,
            name: parts.name,
        })
    }
}

#[cfg(test)]
mod tests;
