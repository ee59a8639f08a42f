//! Instants, steps and lead times.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// An instant: milliseconds since 1970-01-01T00:00:00Z. Shown and stored as RFC 3339 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

/// A time that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected RFC 3339 (2021-01-08T00:00:00Z) or seconds or milliseconds since 1970; found {0:?}")]
pub struct TimeError(pub String);

/// What to do about a time that [names no zone](Time::lacks_zone).
pub const APPEND_ZONE: &str = "it names no time zone: append Z, or an offset such as +01:00";

impl Time {
    /// Whether a text would be a time if it named its zone.
    pub fn lacks_zone(text: &str) -> bool {
        Time::parse(text).is_err() && Time::parse(&format!("{}Z", text.trim())).is_ok()
    }

    /// From milliseconds since the epoch.
    pub const fn from_millis(ms: i64) -> Self {
        Time(ms)
    }

    /// From seconds since the epoch.
    pub const fn from_secs(s: i64) -> Self {
        Time(s.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Time since `earlier`; zero if `earlier` is later.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Reads RFC 3339, or a number since the epoch: seconds, or milliseconds from 1e11 up.
    pub fn parse(text: &str) -> Result<Time, TimeError> {
        let text = text.trim();
        let bad = || TimeError(crate::error::shorten(text));
        if let Ok(n) = text.parse::<f64>() {
            if !n.is_finite() || n.abs() > 1e15 {
                return Err(bad());
            }
            return Ok(Time(if n.abs() < 1e11 { (n * 1000.0).round() as i64 } else { n.round() as i64 }));
        }
        text.parse::<jiff::Timestamp>().map(|t| Time(t.as_millisecond())).map_err(|_| bad())
    }

    /// The same instant for jiff; the epoch if it lies outside jiff's years.
    pub fn timestamp(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.timestamp())
    }
}

impl Serialize for Time {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
        Time::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, d: Duration) -> Time {
        Time(self.0.saturating_add(i64::try_from(d.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Time {
    type Output = Time;
    fn sub(self, d: Duration) -> Time {
        Time(self.0.saturating_sub(i64::try_from(d.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// The spacing of a series' grid: whole seconds, from 1 s to 1 day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Step(u32);

impl Step {
    /// One minute, the usual step.
    pub const MINUTE: Step = Step(60);
    /// A quarter of an hour.
    pub const QUARTER: Step = Step(900);

    /// None unless the step is between a second and a day.
    pub fn from_secs(secs: u32) -> Option<Step> {
        (1..=86_400).contains(&secs).then_some(Step(secs))
    }

    /// Seconds.
    pub fn secs(self) -> u32 {
        self.0
    }

    /// As a duration.
    pub fn duration(self) -> Duration {
        Duration::from_secs(u64::from(self.0))
    }

    /// Steps that cover `d`: rounded up, at least 1.
    pub fn cover(self, d: Duration) -> usize {
        usize::try_from(d.as_millis().div_ceil(u128::from(self.0) * 1000)).unwrap_or(usize::MAX).max(1)
    }

    /// Whole steps in a day, at least 1.
    pub fn per_day(self) -> usize {
        (86_400 / self.0) as usize
    }

    /// `n` steps.
    pub fn times(self, n: usize) -> Duration {
        Duration::from_secs(u64::from(self.0) * n as u64)
    }
}

impl TryFrom<u32> for Step {
    type Error = String;
    fn try_from(secs: u32) -> Result<Self, String> {
        Step::from_secs(secs).ok_or_else(|| format!("a step lasts from 1 to 86400 s, not {secs}"))
    }
}

impl From<Step> for u32 {
    fn from(step: Step) -> u32 {
        step.0
    }
}

/// Decision to serving. A point here; the planning stage takes a distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LeadTime(#[serde(with = "duration")] pub Duration);

/// Reads "90s", "3m", "1h30m" or "2d". A number without a unit is refused, but for 0: it may be meant as minutes. The
/// longest accepted is a year.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    const YEAR_S: f64 = 366.0 * 86_400.0;
    let text = text.trim();
    let bad = || format!("expected a duration such as 90s, 3m or 1h30m; found {:?}", crate::error::shorten(text));
    let mut rest = text;
    let mut total = 0.0;
    if rest.is_empty() {
        return Err(bad());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let number: f64 = number.parse().map_err(|_| bad())?;
        let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let scale = match unit.trim() {
            "ms" => 0.001,
            "s" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            "w" => 604_800.0,
            "" if text == "0" => 1.0,
            _ => return Err(bad()),
        };
        total += number * scale;
        rest = tail;
    }
    if total.is_finite() && total <= YEAR_S {
        Ok(Duration::from_millis((total * 1000.0).round() as u64))
    } else {
        Err(bad())
    }
}

/// Serde for durations written as "3m".
pub mod duration {
    use super::{Duration, parse_duration};
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes the shortest exact form: "3m", "90s", "1500ms".
    pub fn format(d: Duration) -> String {
        let ms = d.as_millis();
        match ms {
            0 => "0s".into(),
            _ if ms.is_multiple_of(86_400_000) => format!("{}d", ms / 86_400_000),
            _ if ms.is_multiple_of(3_600_000) => format!("{}h", ms / 3_600_000),
            _ if ms.is_multiple_of(60_000) => format!("{}m", ms / 60_000),
            _ if ms.is_multiple_of(1000) => format!("{}s", ms / 1000),
            _ => format!("{ms}ms"),
        }
    }

    /// For `#[serde(with)]`.
    pub fn serialize<S: Serializer>(d: &Duration, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&format(*d))
    }

    /// For `#[serde(with)]`.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
        parse_duration(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_three_forms_and_written_in_one() {
        let t = Time::from_secs(1_610_064_000);
        assert_eq!(Time::parse("2021-01-08T00:00:00Z"), Ok(t));
        assert_eq!(Time::parse("2021-01-08T01:00:00+01:00"), Ok(t));
        assert_eq!(Time::parse("1610064000"), Ok(t));
        assert_eq!(Time::parse("1610064000.0"), Ok(t));
        assert_eq!(Time::parse("1610064000000"), Ok(t));
        assert_eq!(t.to_string(), "2021-01-08T00:00:00Z");
        assert!(Time::parse("yesterday").is_err());
        assert!(["2021-01-08T00:00:00", "2021-01-08 00:00:00"].iter().all(|text| Time::lacks_zone(text)));
        assert!(["2021-01-08T00:00:00Z", "1610064000", "yesterday", ""].iter().all(|text| !Time::lacks_zone(text)));
        assert!(Time::parse("1e300").is_err());
    }

    #[test]
    fn durations() {
        assert_eq!(parse_duration("3m"), Ok(Duration::from_secs(180)));
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_duration("0"), Ok(Duration::ZERO));
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1500)));
        for bad in ["", "m", "3", "90", "3x", "-3m", "1e9d", "3m5"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
        assert_eq!(duration::format(Duration::from_secs(5400)), "90m");
    }

    #[test]
    fn steps_cover() {
        let minute = Step::MINUTE;
        assert_eq!(minute.cover(Duration::from_secs(180)), 3);
        assert_eq!(minute.cover(Duration::from_secs(181)), 4);
        assert_eq!(minute.cover(Duration::ZERO), 1);
        assert_eq!(Step::from_secs(300).map(|s| s.per_day()), Some(288));
    }
}
