//! Schedules: windows of time with bounds of their own. A window is a level, not an edge: whether one is active now is
//! computed from now alone, so that nothing is missed over a restart.
//!
//! A window begins at every hit of its cron expression on the wall clock of its zone and lasts a fixed, elapsed time.
//! A hit that the clocks skip begins when they go on; one that they repeat counts both times, so the window lasts as much
//! longer. Both err towards capacity.

use super::cron::Cron;
use crate::units::{MAX_REPLICAS, Replicas, Time, duration, parse_duration};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Windows of one workload at most.
pub const WINDOWS_MAX: usize = 64;
/// Excluded dates of one window at most.
pub(super) const EXCEPT_MAX: usize = 64;
/// The longest window.
pub(super) const DURATION_MAX: Duration = Duration::from_secs(31 * 86_400);
/// The largest factor of a relative window.
const TIMES_MAX: f64 = 10.0;
/// Changes of a zone's offset that one look back passes at most.
const TRANSITIONS_MAX: usize = 16;

/// A recurring stretch of time with bounds: `0 8 * * 1-5 10h Europe/Berlin min=10 max=40 except=2026-12-25`.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    cron: Cron,
    length: Duration,
    zone: TimeZone,
    zone_name: String,
    /// No window begins on these local dates.
    except: Vec<Date>,
    /// At least so many replicas inside. None: no bound.
    pub min: Option<Replicas>,
    /// At most so many replicas inside. None: no bound.
    pub max: Option<Replicas>,
    /// So many times what the load to come needs, above 1. None: not relative.
    pub times: Option<f64>,
}

/// Reads windows, separated by `;` or line breaks. Every error says what was expected and in which window.
pub fn parse(text: &str) -> Result<Vec<Window>, Vec<String>> {
    let texts: Vec<&str> = text.split([';', '\n']).map(str::trim).filter(|t| !t.is_empty()).collect();
    if texts.is_empty() || texts.len() > WINDOWS_MAX {
        return Err(vec![format!("1 to {WINDOWS_MAX} windows")]);
    }
    let (mut windows, mut errors) = (Vec::new(), Vec::new());
    for (i, text) in texts.iter().enumerate() {
        match text.parse::<Window>() {
            Ok(window) => windows.push(window),
            Err(error) => errors.push(format!("{error} in window {}", i + 1)),
        }
    }
    if errors.is_empty() { Ok(windows) } else { Err(errors) }
}

/// The most that any window asks for at some instant from `now` to `ahead` later. None: none is active, none begins.
pub fn floor(windows: &[Window], now: Time, ahead: Duration) -> Option<Replicas> {
    windows.iter().filter(|w| w.min.is_some() && w.touches(now, now + ahead)).filter_map(|w| w.min).max()
}

/// The most times what the load needs that any window asks for at some instant from `now` to `ahead` later.
pub fn times(windows: &[Window], now: Time, ahead: Duration) -> Option<f64> {
    let asked = windows.iter().filter(|w| w.times.is_some() && w.touches(now, now + ahead));
    asked.filter_map(|w| w.times).max_by(f64::total_cmp)
}

/// The least upper bound of the windows that are active now. None: none bounds.
pub fn ceiling(windows: &[Window], now: Time) -> Option<Replicas> {
    windows.iter().filter(|w| w.max.is_some() && w.touches(now, now)).filter_map(|w| w.max).min()
}

impl Window {
    /// A window with a lower bound only; `zone_name` is known to be a zone.
    pub(super) fn new(
        cron: Cron,
        length: Duration,
        zone_name: &str,
        min: Replicas,
        except: Vec<Date>,
    ) -> Option<Window> {
        let zone = TimeZone::get(zone_name).ok()?;
        let length = length.clamp(Duration::from_secs(60), DURATION_MAX);
        Some(Window { cron, length, zone, zone_name: zone_name.into(), except, min: Some(min), max: None, times: None })
    }

    /// Whether it is active at some instant of `from..=to`.
    pub fn touches(&self, from: Time, to: Time) -> bool {
        self.last_start(to).is_some_and(|start| start + self.length > from)
    }

    /// Its latest beginning at or before `to`. None: none, or further back than it lasts.
    pub fn last_start(&self, to: Time) -> Option<Time> {
        let mut end = to.secs();
        for _ in 0..TRANSITIONS_MAX {
            let stamp = Timestamp::from_second(end).ok()?;
            let offset = i64::from(self.zone.to_offset(stamp).seconds());
            let change =
                self.zone.preceding(Timestamp::from_second(end + 1).ok()?).next().map(|t| t.timestamp().as_second());
            let start = self.last_wall(end + offset).map(|wall| wall - offset);
            let Some(change) = change else { return start.map(Time::from_secs) };
            if let Some(start) = start.filter(|start| *start >= change) {
                return Some(Time::from_secs(start));
            }
            let before = i64::from(self.zone.to_offset(Timestamp::from_second(change - 1).ok()?).seconds());
            let skipped = self.last_wall(change + offset - 1).is_some_and(|wall| wall >= change + before);
            if offset > before && skipped {
                return Some(Time::from_secs(change));
            }
            if to.since(Time::from_secs(change)) > self.length {
                return None;
            }
            end = change - 1;
        }
        None
    }

    /// The last hit at or before a wall-clock reading that isn't on an excluded date.
    fn last_wall(&self, wall: i64) -> Option<i64> {
        let mut hit = self.cron.last(wall)?;
        for _ in 0..=EXCEPT_MAX {
            let date = TimeZone::UTC.to_datetime(Timestamp::from_second(hit).ok()?).date();
            if !self.except.contains(&date) {
                return Some(hit);
            }
            hit = self.cron.last(hit - hit.rem_euclid(86_400) - 1)?;
        }
        None
    }
}

impl FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Window, String> {
        const FORM: &str = "<five cron fields> <duration> <IANA zone> [min=N] [max=N] [xN.N] [except=DATE,…]";
        let tokens: Vec<&str> = text.split_whitespace().collect();
        let fields = if tokens.first().is_some_and(|t| t.starts_with('@')) { 1 } else { 5 };
        let Some((cron, [length, zone_name, bounds @ ..])) = tokens.split_at_checked(fields) else {
            return Err(FORM.into());
        };
        let cron = Cron::parse(&cron.join(" "))?;
        let length = parse_duration(length)
            .ok()
            .filter(|d| (Duration::from_secs(60)..=DURATION_MAX).contains(d))
            .ok_or_else(|| format!("a duration from 1m to {} after the cron fields", duration::format(DURATION_MAX)))?;
        let zone = TimeZone::get(zone_name).map_err(|_| "an IANA time zone after the duration".to_string())?;
        let mut window = Window {
            cron,
            length,
            zone,
            zone_name: zone_name.to_string(),
            except: Vec::new(),
            min: None,
            max: None,
            times: None,
        };
        for bound in bounds {
            let replicas = |text: &str| {
                let count = text.parse().ok().filter(|n| (1..=MAX_REPLICAS).contains(n));
                count.ok_or_else(|| format!("a whole number of replicas from 1 to {MAX_REPLICAS}"))
            };
            match bound.split_once('=') {
                Some(("min", n)) => window.min = Some(replicas(n)?),
                Some(("max", n)) => window.max = Some(replicas(n)?),
                Some(("except", dates)) => {
                    let dates = dates.split(',').map(Date::from_str).collect::<Result<Vec<_>, _>>();
                    window.except = dates
                        .ok()
                        .filter(|d| d.len() <= EXCEPT_MAX)
                        .ok_or_else(|| format!("except= with up to {EXCEPT_MAX} dates such as 2026-12-25"))?;
                }
                None if bound.starts_with('x') => {
                    let times = bound[1..].parse().ok().filter(|t| *t > 1.0 && *t <= TIMES_MAX);
                    window.times = Some(
                        times.ok_or_else(|| format!("x and a factor above 1, at most {TIMES_MAX}, such as x1.5"))?,
                    );
                }
                _ => return Err(FORM.into()),
            }
        }
        match (window.min, window.max) {
            (None, None) if window.times.is_none() => Err("min=, max= or x1.5".into()),
            (Some(min), Some(max)) if min > max => Err(format!("min= of at most max=, which is {max}")),
            _ => Ok(window),
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.cron, duration::format(self.length), self.zone_name)?;
        if let Some(min) = self.min {
            write!(f, " min={min}")?;
        }
        if let Some(max) = self.max {
            write!(f, " max={max}")?;
        }
        if let Some(times) = self.times {
            write!(f, " x{times}")?;
        }
        for (i, date) in self.except.iter().enumerate() {
            write!(f, "{}{date}", if i == 0 { " except=" } else { "," })?;
        }
        Ok(())
    }
}

impl Serialize for Window {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
