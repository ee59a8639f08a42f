//! Budgets that are written for local hours, where Karpenter reads UTC.

use crate::policy::cron::Cron;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Working hours that budgets are meant for, minutes of the local day.
const WORKING: (i64, i64) = (8 * 60, 18 * 60);
/// A longer window is not about hours, seconds.
const LENGTH_MAX: i64 = 20 * 3600;
/// Windows of a week that are looked at: one every five minutes.
const HITS_MAX: usize = 7 * 24 * 12;
/// Schedules that a fix is made of at most: two, where one part of the hours moves over midnight.
const SCHEDULES_MAX: usize = 2;

const DAY: i64 = 1440;
const WEEK: i64 = 7 * DAY;

/// What is wrong with a schedule, and what to write instead.
pub(super) struct Mistake {
    pub(super) message: String,
    pub(super) instead: String,
}

/// Windows that would lie in working hours if the schedule were local, and do not: by every window of a week, so that it
/// does not matter how the hours are written.
pub(super) fn mistake(cron: &Cron, text: &str, length: i64, zone: &TimeZone, now: i64) -> Option<Mistake> {
    if length > LENGTH_MAX {
        return None;
    }
    let first = cron.next(now)?;
    let hits: Vec<i64> = std::iter::successors(Some(first), |hit| cron.next(*hit))
        .take_while(|hit| *hit < first + WEEK * 60)
        .take(HITS_MAX)
        .collect();
    let minutes = length / 60;
    let windows: Vec<Window> = hits.iter().filter_map(|hit| Window::new(*hit, minutes, zone)).collect();
    let meant: i64 = windows.iter().map(|w| w.meant).sum();
    let real: i64 = windows.iter().map(|w| w.real).sum();
    if real >= meant {
        return None;
    }
    let shown = windows.iter().find(|w| w.real < w.meant)?;
    let (utc, local) = (shown.begin, shown.begin + shown.offset);
    let how = if real == 0 { "never in the working hours" } else { "partly outside the working hours" };
    let message = format!(
        "{text:?} is {} to {} UTC, {} to {} there: {how} 08:00 to 18:00",
        clock(utc),
        clock(utc + minutes),
        clock(local),
        clock(local + minutes)
    );
    Some(Mistake { message, instead: moved(text, &windows, shown, minutes) })
}

/// One time that the schedule hits. All in minutes.
struct Window {
    /// Of the UTC week, from Sunday 00:00.
    of_week: i64,
    /// Of the UTC day.
    begin: i64,
    /// Of the zone, then.
    offset: i64,
    /// In the working hours, if the schedule were local.
    meant: i64,
    /// In the working hours, as it is.
    real: i64,
}

impl Window {
    fn new(hit: i64, minutes: i64, zone: &TimeZone) -> Option<Window> {
        let stamp = Timestamp::from_second(hit).ok()?;
        let offset = i64::from(zone.to_offset(stamp).seconds()).div_euclid(60);
        let begin = hit.rem_euclid(86_400) / 60;
        // 1970-01-01 was a Thursday
        let of_week = (hit.div_euclid(60) + 4 * DAY).rem_euclid(WEEK);
        let overlap = |from: i64| -> i64 {
            let day = |shift: i64| (from + minutes + shift).min(WORKING.1) - (from + shift).max(WORKING.0);
            [-DAY, 0, DAY].into_iter().map(|shift| day(shift).max(0)).sum()
        };
        let (meant, real) = (overlap(begin), overlap((begin + offset).rem_euclid(DAY)));
        Some(Window { of_week, begin, offset, meant, real })
    }
}

fn clock(minutes: i64) -> String {
    format!("{:02}:{:02}", minutes.rem_euclid(DAY) / 60, minutes.rem_euclid(60))
}

/// The schedule in UTC: where a time moves over midnight its weekdays move with it. Days of the month and months cannot.
fn moved(text: &str, windows: &[Window], shown: &Window, minutes: i64) -> String {
    let (there, utc) = (clock(shown.begin), clock(shown.begin - shown.offset));
    let fields: Vec<&str> = text.split_whitespace().collect();
    let every_day = match fields[..] {
        [_, _, day, month, _] => [day, month].iter().all(|field| matches!(*field, "*" | "?")),
        _ => matches!(text, "@daily" | "@midnight" | "@weekly" | "@hourly"),
    };
    let schedules = if every_day { schedules(windows, shown.offset) } else { Vec::new() };
    if schedules.is_empty() || schedules.len() > SCHEDULES_MAX {
        return format!("# in UTC; {there} there is {utc} UTC now, and days move with it where that passes midnight");
    }
    let mut out = String::new();
    for (i, schedule) in schedules.iter().enumerate() {
        let (before, note) = match i {
            0 => ("", format!(" # UTC; {there} there is {utc} now, an hour off when the clocks change")),
            _ => ("\n# and a second budget:\n", String::new()),
        };
        let _ = write!(out, "{before}schedule: \"{schedule}\"{note}\nduration: {}h{}m", minutes / 60, minutes % 60);
    }
    out
}

/// Cron expressions of all these windows, earlier by the offset. Times on the same weekdays share one.
fn schedules(windows: &[Window], offset: i64) -> Vec<String> {
    let mut days: BTreeMap<i64, u8> = BTreeMap::new();
    for window in windows {
        let at = (window.of_week - offset).rem_euclid(WEEK);
        *days.entry(at % DAY).or_default() |= 1u8 << (at / DAY);
    }
    let mut hours: BTreeMap<(u8, i64), u32> = BTreeMap::new();
    for (time, weekdays) in days {
        *hours.entry((weekdays, time % 60)).or_default() |= 1u32 << (time / 60);
    }
    let text = |((weekdays, minute), hours): (&(u8, i64), &u32)| {
        format!("{minute} {} * * {}", list(*hours, 24), list(u32::from(*weekdays), 7))
    };
    hours.iter().map(text).collect()
}

/// The numbers below `end` whose bit is set, as cron has them: `*`, `8-17`, `0,6`.
fn list(bits: u32, end: u32) -> String {
    let all: Vec<u32> = (0..end).filter(|n| bits & (1 << n) != 0).collect();
    if all.len() as u32 == end {
        return "*".into();
    }
    let runs = all.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
        [first, _, .., last] => format!("{first}-{last}"),
        short => short.iter().map(u32::to_string).collect::<Vec<_>>().join(","),
    });
    runs.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Time;

    /// What to write instead; empty where nothing is wrong. 2026-11-25: winter in the north.
    fn instead(schedule: &str, length: i64, zone: &str) -> String {
        let (cron, zone) = (Cron::parse(schedule).unwrap(), TimeZone::get(zone).unwrap());
        let now = Time::parse("2026-11-25T00:00:00Z").unwrap().secs();
        mistake(&cron, schedule, length * 3600, &zone, now).map(|m| m.instead).unwrap_or_default()
    }

    /// The schedules of a fix.
    fn fixed(schedule: &str, length: i64, zone: &str) -> Vec<String> {
        let text = instead(schedule, length, zone);
        let of = |line: &str| Some(line.strip_prefix("schedule: \"")?.split('"').next()?.to_owned());
        text.lines().filter_map(of).collect()
    }

    #[test]
    fn weekdays_move_with_the_hour() {
        assert_eq!(fixed("0 8 * * 1-5", 10, "Asia/Tokyo"), ["0 23 * * 0-4"]);
        assert_eq!(fixed("0 8 * * *", 10, "Asia/Tokyo"), ["0 23 * * *"]);
        assert_eq!(fixed("0 14 * * fri", 4, "Pacific/Honolulu"), ["0 0 * * 6"]);
        assert_eq!(fixed("0 9 * * mon-fri", 9, "Europe/Berlin"), ["0 8 * * 1-5"]);
        assert_eq!(fixed("30 8 * * 0,6", 9, "Asia/Kolkata"), ["0 3 * * 0,6"]);
    }

    #[test]
    fn lists_and_ranges_of_hours_are_judged_by_their_windows() {
        assert_eq!(fixed("0 8,13 * * 1-5", 4, "America/Los_Angeles"), ["0 16,21 * * 1-5"]);
        assert_eq!(fixed("0 8-17 * * 1-5", 1, "America/Los_Angeles"), ["0 16-23 * * 1-5", "0 0,1 * * 2-6"]);
        for all_day in ["0 * * * *", "*/5 * * * *", "@hourly"] {
            assert_eq!(instead(all_day, 1, "America/Los_Angeles"), "", "{all_day}");
        }
        assert_eq!(instead("0 8-17 * * 1-5", 1, "UTC"), "");
        assert_eq!(instead("0 19 * * 1-5", 12, "Asia/Tokyo"), "", "not meant for working hours");
        assert_eq!(instead("0 23 * * 0-4", 10, "Asia/Tokyo"), "", "the fix is right");
    }

    #[test]
    fn what_no_schedule_in_utc_can_say_has_no_fix() {
        for text in ["0 8 1 * *", "0 8 * 6 *", "0,10,20 8 * * 1-5"] {
            let instead = instead(text, 4, "Asia/Tokyo");
            assert!(instead.starts_with("# in UTC; 08:00 there is 23:00 UTC now"), "{text}: {instead}");
        }
    }
}
