//! iCalendar files (RFC 5545), read with `icalendar`: every country's public holidays can be had as one.

use super::{Effect, OCCASIONS_MAX, Occasion, Recurrence, length};
use icalendar::{Calendar, CalendarDateTime, Component, DatePerhapsTime, Event};
use jiff::SignedDuration;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

/// Longest file, bytes.
pub const ICS_BYTES_MAX: usize = 4 << 20;

/// The property of an event that overrides the calendar's effect, with a value such as `x3`, `like=2025-11-28`,
/// `holiday` or `exclude`.
const OWN_EFFECT: &str = "X-FORESCALE";

/// The occasions of a calendar whose events have `effect` unless they name their own. Errors name the event.
pub fn calendar(text: &str, effect: Effect) -> Result<Vec<Occasion>, Vec<String>> {
    if text.len() > ICS_BYTES_MAX {
        return Err(vec![format!("at most {ICS_BYTES_MAX} bytes")]);
    }
    let calendar: Calendar =
        text.parse().map_err(|e: String| vec![format!("an iCalendar file: {}", crate::error::shorten(&e))])?;
    let (mut occasions, mut errors) = (Vec::new(), Vec::new());
    for event in calendar.events() {
        let name: String = event.get_summary().unwrap_or("without a name").chars().take(80).collect();
        match occasion(event, effect, &name) {
            Ok(occasion) => occasions.push(occasion),
            Err(error) => errors.push(format!("{error} in event {name:?}")),
        }
        if occasions.len() > OCCASIONS_MAX || errors.len() >= 20 {
            break;
        }
    }
    if occasions.len() > OCCASIONS_MAX {
        errors.push(format!("at most {OCCASIONS_MAX} events"));
    }
    if occasions.is_empty() && errors.is_empty() {
        errors.push("at least one event".into());
    }
    if errors.is_empty() { Ok(occasions) } else { Err(errors) }
}

fn occasion(event: &Event, effect: Effect, name: &str) -> Result<Occasion, String> {
    let start = event.get_start().ok_or("DTSTART with a date or time")?;
    let (begin, zone) = wall(&start)?;
    let whole_days = matches!(start, DatePerhapsTime::Date(_));
    let end = match (event.get_end(), event.property_value("DURATION")) {
        (Some(end), _) => wall(&end)?.0,
        (None, Some(text)) => {
            let span: jiff::Span = text.parse().map_err(|_| "DURATION such as PT2H")?;
            begin.checked_add(span).map_err(|_| "DURATION such as PT2H")?
        }
        (None, None) if whole_days => begin.saturating_add(SignedDuration::from_hours(24)),
        (None, None) => return Err("DTEND or DURATION".into()),
    };
    let mut recurrence = match event.property_value("RRULE") {
        Some(rule) => Some(Recurrence::rrule(rule, begin.date())?),
        None => None,
    };
    if event.properties().contains_key("RDATE") || event.multi_properties().contains_key("RDATE") {
        return Err("no RDATE: give the dates one by one".into());
    }
    let lists = event.multi_properties().get("EXDATE").into_iter().flatten();
    for property in event.properties().get("EXDATE").into_iter().chain(lists) {
        for value in property.value().split(',') {
            let date = value.get(..8).and_then(|d| Date::strptime("%Y%m%d", d).ok()).ok_or("EXDATE with dates")?;
            if let Some(recurrence) = &mut recurrence {
                recurrence.except.push(date);
            }
        }
    }
    let effect = match event.property_value(OWN_EFFECT) {
        Some(own) => own.trim().parse().map_err(|e| format!("{OWN_EFFECT} with {e}"))?,
        None => effect,
    };
    Ok(Occasion { begin, length: length(begin, end)?, zone, recurrence, effect, name: name.into() })
}

/// Wall-clock time and zone; without a zone it is the workload's.
fn wall(at: &DatePerhapsTime) -> Result<(DateTime, Option<String>), String> {
    let civil = |text: String| text.parse::<DateTime>().map_err(|_| "a date of this era".to_owned());
    let known = |zone: &str| match TimeZone::get(zone) {
        Ok(_) => Ok(Some(zone.to_owned())),
        Err(_) => Err(format!("an IANA zone instead of TZID={}", crate::error::shorten(zone))),
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
