//! iCalendar files (RFC 5545), read with `icalendar`: every country's public holidays can be had as one.

use super::{Effect, OCCASIONS_MAX, Occasion, Recurrence, length};
use crate::error::Problem;
use icalendar::{Calendar, CalendarDateTime, Component, DatePerhapsTime, Event, Property};
use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

/// Longest file, bytes.
pub const ICS_BYTES_MAX: usize = 4 << 20;

/// The property of an event that overrides the calendar's effect, with a value such as `x3`, `like=2025-11-28`,
/// `holiday` or `exclude`.
const OWN_EFFECT: &str = "X-FORESCALE";

/// The property of an event that stands in for one of a series with the same UID: when that one would have begun.
const INSTANCE: &str = "RECURRENCE-ID";

/// The occasions of a calendar whose events have `effect` unless they name their own; none of those that are cancelled.
/// A problem's place is the event; empty: the file.
pub fn calendar(text: &str, effect: Effect) -> Result<Vec<Occasion>, Vec<Problem>> {
    if text.len() > ICS_BYTES_MAX {
        return Err(vec![Problem::new("", format!("at most {ICS_BYTES_MAX} bytes"), text.len().to_string())]);
    }
    let text = text.trim_start_matches('\u{feff}');
    let calendar: Calendar = text.parse().map_err(|dump: String| vec![unreadable(text, &dump)])?;
    let moved: Vec<(&str, &Property)> =
        calendar.events().filter_map(|event| event.get_uid().zip(event.properties().get(INSTANCE))).collect();
    let (mut occasions, mut problems) = (Vec::new(), Vec::new());
    for event in calendar.events().filter(|event| !cancelled(event)) {
        let name: String = event.get_summary().unwrap_or("without a name").chars().take(80).collect();
        match occasion(event, effect, &name, &moved) {
            Ok(occasion) => occasions.push(occasion),
            Err((expected, found)) => problems.push(Problem::new(format!("event {name:?}"), expected, found)),
        }
        if occasions.len() > OCCASIONS_MAX || problems.len() >= 20 {
            break;
        }
    }
    if occasions.len() > OCCASIONS_MAX {
        problems.push(Problem::new("", format!("at most {OCCASIONS_MAX} events"), "more"));
    }
    if calendar.events().next().is_none() {
        problems.push(Problem::new("", "at least one event", "none"));
    }
    if problems.is_empty() { Ok(occasions) } else { Err(problems) }
}

/// What is no iCalendar file: of the parser's dump only the line is for people.
fn unreadable(text: &str, dump: &str) -> Problem {
    let expected = "an iCalendar file, from BEGIN:VCALENDAR to END:VCALENDAR";
    let first = text.lines().map(str::trim).find(|line| !line.is_empty());
    let line = dump.split("at line ").nth(1).and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
    match (first, line) {
        (None, _) => Problem::new("", expected, "nothing"),
        (Some(first), _) if !first.eq_ignore_ascii_case("BEGIN:VCALENDAR") => {
            Problem::new("", expected, format!("{first:?}"))
        }
        (_, Some(line)) => Problem::new("", expected, format!("something else from line {line} on"))
            .help("is an END missing, or the file cut?"),
        (_, None) => Problem::new("", expected, "something else"),
    }
}

/// What was expected, and found.
type Wrong = (String, String);

fn wrong(expected: impl Into<String>, found: impl Into<String>) -> Wrong {
    (expected.into(), found.into())
}

fn cancelled(event: &Event) -> bool {
    event.property_value("STATUS").is_some_and(|status| status.trim().eq_ignore_ascii_case("CANCELLED"))
}

/// The date of a value such as `20261202T080000Z`, and its time, by the clock of `zone`. One that ends in Z is in UTC,
/// another in the zone `of` its TZID. Where `zone` is not known: the date as it is written, without the time.
pub(super) fn local(text: &str, of: Option<&TimeZone>, zone: Option<&TimeZone>) -> Option<(Date, Option<Time>)> {
    let (date, time) = (text.get(..8)?, text.get(8..)?);
    let date = Date::strptime("%Y%m%d", date).ok()?;
    if time.is_empty() {
        return Some((date, None));
    }
    let utc = TimeZone::UTC;
    let (time, of) = match time.strip_suffix('Z') {
        Some(time) => (time, Some(&utc)),
        None => (time, of),
    };
    let time = Time::strptime("T%H%M%S", time).ok()?;
    match (of, zone) {
        (Some(of), Some(zone)) => {
            let at = zone.to_datetime(of.to_timestamp(date.to_datetime(time)).ok()?);
            Some((at.date(), Some(at.time())))
        }
        (Some(_), None) => Some((date, None)),
        (None, _) => Some((date, Some(time))),
    }
}

/// `moved`: what stands in for one of a series, by the UID of the series.
fn occasion(event: &Event, effect: Effect, name: &str, moved: &[(&str, &Property)]) -> Result<Occasion, Wrong> {
    let start = event.get_start().ok_or_else(|| wrong("DTSTART with a date or time", "none"))?;
    let (begin, zone) = wall(&start)?;
    let whole_days = matches!(start, DatePerhapsTime::Date(_));
    let end = match (event.get_end(), event.property_value("DURATION")) {
        (Some(end), _) => by_clock_of(zone.as_deref(), wall(&end)?),
        (None, Some(text)) => {
            let bad = || wrong("DURATION such as PT2H", text);
            let span: jiff::Span = text.parse().map_err(|_| bad())?;
            begin.checked_add(span).map_err(|_| bad())?
        }
        (None, None) if whole_days => begin.saturating_add(SignedDuration::from_hours(24)),
        (None, None) => return Err(wrong("DTEND or DURATION", "neither")),
    };
    let clock = zone.as_deref().and_then(|name| TimeZone::get(name).ok());
    let alone = event.properties().contains_key(INSTANCE);
    let mut recurrence = match event.property_value("RRULE").filter(|_| !alone) {
        Some(rule) => {
            let read = Recurrence::rrule(rule, begin, clock.as_ref());
            Some(read.map_err(|expected| wrong(expected, rule))?)
        }
        None => None,
    };
    if event.properties().contains_key("RDATE") || event.multi_properties().contains_key("RDATE") {
        return Err(wrong("no RDATE: give the dates one by one", "RDATE"));
    }
    let lists = event.multi_properties().get("EXDATE").into_iter().flatten();
    let moved = moved.iter().filter(|(uid, _)| event.get_uid() == Some(*uid)).map(|(_, property)| *property);
    for property in event.properties().get("EXDATE").into_iter().chain(lists).chain(moved) {
        if property.params().contains_key("RANGE") {
            return Err(wrong(format!("{INSTANCE} of one date: give the dates one by one"), "RANGE"));
        }
        let of = property.params().get("TZID").and_then(|zone| TimeZone::get(zone.value()).ok());
        for value in property.value().split(',').map(str::trim) {
            let read = local(value, of.as_ref(), clock.as_ref());
            let (date, _) = read.ok_or_else(|| wrong(format!("{} with dates", property.key()), value))?;
            if let Some(recurrence) = &mut recurrence {
                recurrence.except.push(date);
            }
        }
    }
    let effect = match event.property_value(OWN_EFFECT) {
        Some(own) => own.trim().parse().map_err(|e| wrong(format!("{OWN_EFFECT} with {e}"), own))?,
        None => effect,
    };
    let length = length(begin, end).map_err(|expected| wrong(expected, format!("{begin} to {end}")))?;
    Ok(Occasion { begin, length, zone, recurrence, effect, name: name.into() })
}

/// A wall-clock time of another zone, by the clock of `zone`.
fn by_clock_of(zone: Option<&str>, (at, of): (DateTime, Option<String>)) -> DateTime {
    let named = |name: &str| TimeZone::get(name).ok();
    match (of.as_deref().and_then(named), zone.and_then(named)) {
        (Some(of), Some(zone)) => of.to_timestamp(at).map_or(at, |instant| zone.to_datetime(instant)),
        _ => at,
    }
}

/// Wall-clock time and zone; without a zone it is the workload's.
fn wall(at: &DatePerhapsTime) -> Result<(DateTime, Option<String>), Wrong> {
    let civil = |text: String| text.parse::<DateTime>().map_err(|_| wrong("a date of this era", &*text));
    let known = |zone: &str| match TimeZone::get(zone) {
        Ok(_) => Ok(Some(zone.to_owned())),
        Err(_) => Err(wrong("an IANA zone", format!("TZID={zone}"))),
    };
    match at {
        DatePerhapsTime::Date(date) => Ok((civil(format!("{}T00:00:00", date.format("%Y-%m-%d")))?, None)),
        DatePerhapsTime::DateTime(CalendarDateTime::Floating(at)) => {
            Ok((civil(at.format("%Y-%m-%dT%H:%M:%S").to_string())?, None))
        }
        DatePerhapsTime::DateTime(CalendarDateTime::Utc(at)) => {
            Ok((civil(at.format("%Y-%m-%dT%H:%M:%S").to_string())?, known("UTC")?))
        }
        DatePerhapsTime::DateTime(CalendarDateTime::WithTimezone { date_time, tzid }) => {
            Ok((civil(date_time.format("%Y-%m-%dT%H:%M:%S").to_string())?, known(tzid)?))
        }
    }
}
