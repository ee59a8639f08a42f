//! Five-field cron as Kubernetes, Karpenter and KEDA understand it (robfig/cron v3), on wall-clock time.
//!
//! The text is read here, by robfig's rules (0 = Sunday; day of month and day of week are alternatives when both are
//! restricted); the `cron` crate evaluates. It numbers weekdays from 1 = Sunday and wants both days to match, so what
//! it is given are explicit lists: one schedule, or two of which either may hit.

use chrono::{DateTime, Utc};
use std::fmt;
use std::str::FromStr;

/// A cron expression of five fields, or a macro such as `@daily`.
#[derive(Debug, Clone)]
pub struct Cron {
    text: String,
    fields: Fields,
    schedules: Vec<cron::Schedule>,
}

impl PartialEq for Cron {
    fn eq(&self, other: &Cron) -> bool {
        self.fields == other.fields
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Bit n is set where the field admits n.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fields {
    minute: u64,
    hour: u64,
    day: u64,
    month: u64,
    weekday: u64,
    /// The field was `*` (or `?`), not a step of more than one: then the other day field alone decides.
    day_star: bool,
    weekday_star: bool,
}

struct Field {
    name: &'static str,
    low: u32,
    high: u32,
    names: &'static [&'static str],
}

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const FIELDS: [Field; 5] = [
    Field { name: "a minute", low: 0, high: 59, names: &[] },
    Field { name: "an hour", low: 0, high: 23, names: &[] },
    Field { name: "a day of month", low: 1, high: 31, names: &[] },
    Field { name: "a month", low: 1, high: 12, names: MONTHS },
    Field { name: "a day of week (0 is Sunday)", low: 0, high: 6, names: DAYS },
];

impl Cron {
    /// Reads an expression; the error says what was expected.
    pub fn parse(text: &str) -> Result<Cron, String> {
        Cron::parse_even_if_never(text)?.ok_or_else(|| "a date that exists".into())
    }

    /// The same, but a date that never comes (31 February) is no error: it gives None.
    pub fn parse_even_if_never(text: &str) -> Result<Option<Cron>, String> {
        let text = text.trim();
        let expanded = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            _ if text.starts_with('@') => {
                return Err("one of @yearly @monthly @weekly @daily @hourly, or five cron fields".into());
            }
            _ => text,
        };
        let parts: Vec<&str> = expanded.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = parts[..] else {
            return Err("five cron fields: minute, hour, day of month, month, day of week".into());
        };
        let (minute, _) = bits(minute, &FIELDS[0])?;
        let (hour, _) = bits(hour, &FIELDS[1])?;
        let (day, day_star) = bits(day, &FIELDS[2])?;
        let (month, _) = bits(month, &FIELDS[3])?;
        let (weekday, weekday_star) = bits(weekday, &FIELDS[4])?;
        let fields = Fields { minute, hour, day, month, weekday, day_star, weekday_star };
        if !fields.possible() {
            return Ok(None);
        }
        let schedules = fields.schedules().ok_or("a schedule that hits at least once")?;
        Ok(Some(Cron { text: text.split_whitespace().collect::<Vec<_>>().join(" "), fields, schedules }))
    }

    /// The last hit at or before a wall-clock reading, both in seconds since 1970-01-01T00:00:00 *of that clock*.
    pub fn last(&self, wall: i64) -> Option<i64> {
        let after = DateTime::<Utc>::from_timestamp(wall.checked_add(1)?, 0)?;
        self.schedules.iter().filter_map(|s| s.after(&after).next_back()).map(|hit| hit.timestamp()).max()
    }

    /// The first hit after a wall-clock reading, likewise.
    pub fn next(&self, wall: i64) -> Option<i64> {
        let after = DateTime::<Utc>::from_timestamp(wall, 0)?;
        self.schedules.iter().filter_map(|s| s.after(&after).next()).map(|hit| hit.timestamp()).min()
    }
}

impl Cron {
    /// Reads six fields, seconds first, as the CronHPA of autoscaling.alibabacloud.com has them. The seconds are left out:
    /// a window begins with the minute.
    pub fn parse_six(text: &str) -> Result<Cron, String> {
        match text.trim().split_once(char::is_whitespace) {
            Some((seconds, rest)) if rest.split_whitespace().count() == 5 => {
                let (low, high) = (0, 59);
                bits(seconds, &Field { name: "a second", low, high, names: &[] })?;
                Cron::parse(rest)
            }
            _ => Err("six cron fields: second, minute, hour, day of month, month, day of week".into()),
        }
    }

    /// The same on some of its weekdays only (bit 0 is Sunday). None: the days of the month decide, too.
    pub fn on_weekdays(&self, weekdays: u64) -> Option<Cron> {
        let own = self.fields.weekday & weekdays;
        if !self.fields.day_star || own == 0 {
            return None;
        }
        if own == self.fields.weekday {
            return Some(self.clone());
        }
        let text = |bits, field| list(bits, field, 0);
        let (f, [minute, hour, _, month, weekday]) = (&self.fields, &FIELDS);
        let (minute, hour) = (text(f.minute, minute), text(f.hour, hour));
        Cron::parse(&format!("{minute} {hour} * {} {}", text(f.month, month), text(own, weekday))).ok()
    }
}

impl Fields {
    fn possible(&self) -> bool {
        const LONGEST: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let alternatives = !self.day_star && !self.weekday_star;
        alternatives
            || (1..=12)
                .zip(LONGEST)
                .any(|(month, days)| self.month & (1 << month) != 0 && (1..=days).any(|day| self.day & (1 << day) != 0))
    }

    /// The same for the `cron` crate: seconds first, Sunday is 1, both day fields must match.
    fn schedules(&self) -> Option<Vec<cron::Schedule>> {
        let of = |day: &str, weekday: &str| {
            let time = format!("0 {} {}", list(self.minute, &FIELDS[0], 0), list(self.hour, &FIELDS[1], 0));
            cron::Schedule::from_str(&format!("{time} {day} {} {weekday}", list(self.month, &FIELDS[3], 0))).ok()
        };
        let (day, weekday) = (list(self.day, &FIELDS[2], 0), list(self.weekday, &FIELDS[4], 1));
        match self.day_star || self.weekday_star {
            true => Some(vec![of(&day, &weekday)?]),
            false => Some(vec![of(&day, "*")?, of("*", &weekday)?]),
        }
    }
}

/// Numbers of a field as a list, each raised by `shift`; `*` when it is full.
fn list(bits: u64, field: &Field, shift: u32) -> String {
    let all: Vec<u32> = (field.low..=field.high).filter(|n| bits & (1 << n) != 0).collect();
    match all.len() as u32 == field.high - field.low + 1 {
        true => "*".into(),
        false => all.iter().map(|n| (n + shift).to_string()).collect::<Vec<_>>().join(","),
    }
}

/// The bits of a field and whether it is a star.
fn bits(text: &str, field: &Field) -> Result<(u64, bool), String> {
    let mut all = (0, false);
    // robfig takes no offence at an empty item beside others
    for part in text.split(',').filter(|part| !part.is_empty() || text.is_empty()) {
        let (bits, star) = part_bits(part, field)?;
        all = (all.0 | bits, all.1 || star);
    }
    Ok(all)
}

fn part_bits(part: &str, field: &Field) -> Result<(u64, bool), String> {
    let bad = || format!("{} from {} to {}, as *, N, A-B, */S or A-B/S", field.name, field.low, field.high);
    let number = |text: &str| -> Result<u32, String> {
        let name = field.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        match name {
            Some(index) => Ok(field.low + index as u32),
            None if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().map_err(|_| bad()),
            None => Err(bad()),
        }
    };
    let (range, step) = match part.split_once('/') {
        Some((range, step)) => (range, Some(number_only(step).filter(|s| *s > 0).ok_or_else(bad)?)),
        None => (part, None),
    };
    let (low, high, star) = match (range, range.split_once('-')) {
        ("*" | "?", _) => (field.low, field.high, step.is_none_or(|s| s == 1)),
        (_, Some((low, high))) => (number(low)?, number(high)?, false),
        (single, None) => {
            let low = number(single)?;
            (low, if step.is_some() { field.high } else { low }, false)
        }
    };
    if low < field.low || high > field.high {
        return Err(bad());
    }
    if low > high {
        return Err(format!("{} whose range begins before it ends ({low}-{high} does not)", field.name));
    }
    let bits = (low..=high).step_by(step.unwrap_or(1) as usize).fold(0, |bits, n| bits | (1 << n));
    Ok((bits, star))
}

fn number_only(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// robfig's rule, written down once more from its source, by the calendar of another library.
    fn matches(fields: &Fields, wall: i64) -> bool {
        let at = jiff::Timestamp::from_second(wall).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
        let has = |bits: u64, n: i8| bits & (1 << n) != 0;
        let day = has(fields.day, at.day());
        let weekday = has(fields.weekday, at.weekday().to_sunday_zero_offset());
        let days = if fields.day_star || fields.weekday_star { day && weekday } else { day || weekday };
        days && at.second() == 0
            && has(fields.minute, at.minute())
            && has(fields.hour, at.hour())
            && has(fields.month, at.month())
    }

    fn check_against_model(text: &str, from: i64, minutes: i64) {
        let cron = Cron::parse(text).unwrap();
        let from = from - from.rem_euclid(60);
        let mut expected = cron.last(from - 1);
        for minute in 0..minutes {
            let wall = from + 60 * minute;
            if matches(&cron.fields, wall) {
                assert_eq!(cron.next(wall - 60), Some(wall), "{text} misses {wall}");
                expected = Some(wall);
            }
            assert_eq!(cron.last(wall), expected, "{text} at {wall}");
            assert_eq!(cron.last(wall + 59), expected, "{text} at {wall}+59");
        }
    }

    /// 2026-11-22 is a Sunday.
    const SUNDAY: i64 = 1_795_305_600;

    #[test]
    fn every_weekday_is_the_same_day_by_number_by_name_and_for_the_cron_crate() {
        for (number, name) in DAYS.iter().enumerate() {
            let by_number = Cron::parse(&format!("0 12 * * {number}")).unwrap();
            let by_name = Cron::parse(&format!("0 12 * * {}", name.to_uppercase())).unwrap();
            let noon = SUNDAY + 86_400 * number as i64 + 43_200;
            assert_eq!(by_number, by_name);
            assert_eq!(by_number.next(SUNDAY), Some(noon), "{name}");
            assert_eq!(by_number.next(noon), Some(noon + 7 * 86_400), "{name}");
            // the crate's own words for that day
            let own = cron::Schedule::from_str(&format!("0 0 12 * * {name}")).unwrap();
            let hit = own.after(&DateTime::<Utc>::from_timestamp(SUNDAY, 0).unwrap()).next().unwrap();
            assert_eq!(hit.timestamp(), noon, "{name}");
        }
        assert!(Cron::parse("0 12 * * 7").unwrap_err().contains("0 is Sunday"));
    }

    #[test]
    fn every_set_of_weekdays_hits_exactly_its_days() {
        for set in 1u64..128 {
            let days: Vec<String> = (0..7).filter(|d| set & (1 << d) != 0).map(|d: u32| d.to_string()).collect();
            let cron = Cron::parse(&format!("0 0 * * {}", days.join(","))).unwrap();
            for day in 0..14 {
                let midnight = SUNDAY + 86_400 * day;
                let hit = cron.last(midnight + 86_399).is_some_and(|last| last == midnight);
                assert_eq!(hit, set & (1 << (day % 7)) != 0, "{cron} on day {day}");
            }
        }
    }

    #[test]
    fn days_are_alternatives_when_both_are_restricted() {
        for text in
            ["0 0 13 * 5", "30 6 1,15 * mon", "0 0 */2 * 1", "0 0 1 * */2", "15 */6 * 2 *", "@weekly", "0 0 29 2 *"]
        {
            check_against_model(text, 1_700_000_000, 3 * 1440);
            check_against_model(text, 1_709_100_000, 3 * 1440); // over 29 February 2024
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for text in [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "0 19-7 * * *",
            "*/0 * * * *",
            "0 0 31 2 *",
            "0 0 30 feb *",
            "a * * * *",
            ", * * * *",
            ", 0 * * *",
            "0 0 , * *",
            "@every 5m",
            "@dailyfoo",
            "-1 * * * *",
            "1-2-3 * * * *",
            "TZ=UTC 0 0 * * *",
            "0 0 * * sat-sun",
            "0 0 * * L",
            "4294967296 * * * *",
        ] {
            assert!(Cron::parse(text).is_err(), "{text}");
        }
        assert_eq!(Cron::parse("1,,2 * * * *").unwrap(), Cron::parse("1,2 * * * *").unwrap(), "as robfig");
        assert_eq!(
            Cron::parse("0 19-7 * * *").unwrap_err(),
            "an hour whose range begins before it ends (19-7 does not)"
        );
    }

    fn field(low: u32, high: u32) -> impl Strategy<Value = String> {
        let number = low..=high;
        let range = (low..=high, low..=high).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b)));
        let part = prop_oneof![number.prop_map(|n| n.to_string()), range.clone(), range.prop_map(|r| format!("{r}/7"))];
        let list = proptest::collection::vec(part, 1..3).prop_map(|parts| parts.join(","));
        prop_oneof![2 => Just("*".to_string()), 1 => (1u32..9).prop_map(|s| format!("*/{s}")), 3 => list]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_expression_hits_as_the_model_says(
            minute in field(0, 59), hour in field(0, 23), day in field(1, 28), month in field(1, 12), weekday in field(0, 6),
            from in 1_600_000_000i64..1_900_000_000,
        ) {
            check_against_model(&format!("{minute} {hour} {day} {month} {weekday}"), from, 1500);
        }

        #[test]
        fn no_text_panics(text in "[0-9a-z*/,@? -]{0,30}") {
            let _ = Cron::parse(&text);
        }
    }
}
