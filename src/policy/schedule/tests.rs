use super::*;
use proptest::prelude::*;

fn window(text: &str) -> Window {
    text.parse().unwrap()
}

fn at(text: &str) -> Time {
    Time::parse(text).unwrap()
}

fn active(window: &Window, text: &str) -> bool {
    window.touches(at(text), at(text))
}

#[test]
fn a_window_is_a_level_on_the_zones_clock() {
    let w = window("0 8 * * 1-5 10h Europe/Berlin min=10 max=40");
    assert_eq!((w.min, w.max), (Some(10), Some(40)));
    // Tuesday 2026-11-24, winter time
    assert!(!active(&w, "2026-11-24T07:59:59+01:00"));
    assert!(active(&w, "2026-11-24T08:00:00+01:00"));
    assert!(active(&w, "2026-11-24T17:59:59+01:00"));
    assert!(!active(&w, "2026-11-24T18:00:00+01:00"));
    assert!(!active(&w, "2026-11-22T12:00:00+01:00"), "Sunday");
    assert!(active(&w, "2026-07-01T08:00:00+02:00"), "summer time");
}

#[test]
fn the_floor_looks_ahead_and_takes_the_most() {
    let windows = parse("0 8 * * * 1h UTC min=10; 30 8 * * * 1h UTC min=20 ; 0 8 * * * 2h UTC max=15\n").unwrap();
    let ahead = Duration::from_secs(180);
    for (time, expected) in [
        ("07:56:59", None),
        ("07:57:00", Some(10)),
        ("08:26:59", Some(10)),
        ("08:27:00", Some(20)),
        ("09:29:59", Some(20)),
        ("09:30:00", None),
    ] {
        assert_eq!(floor(&windows, at(&format!("2026-11-24T{time}Z")), ahead), expected, "{time}");
    }
    assert_eq!(ceiling(&windows, at("2026-11-24T07:59:00Z")), None);
    assert_eq!(ceiling(&windows, at("2026-11-24T09:59:00Z")), Some(15));
}

#[test]
fn the_largest_factor_holds() {
    let windows = parse("0 8 * * * 1h UTC x1.5; 30 8 * * * 1h UTC x2 min=4").unwrap();
    let at = |time: &str| times(&windows, at(&format!("2026-11-24T{time}Z")), Duration::from_secs(60));
    assert_eq!((at("07:58:00"), at("07:59:00"), at("08:29:00"), at("09:30:00")), (None, Some(1.5), Some(2.0), None));
}

#[test]
fn excluded_dates_begin_no_window() {
    let w = window("0 20 * * * 8h Europe/Berlin min=3 except=2026-12-24,2026-12-25");
    assert!(active(&w, "2026-12-24T02:00:00+01:00"), "began on the 23rd");
    assert!(!active(&w, "2026-12-24T21:00:00+01:00"));
    assert!(!active(&w, "2026-12-26T02:00:00+01:00"), "would have begun on the 25th");
    assert!(active(&w, "2026-12-26T21:00:00+01:00"));
}

/// Minutes from `from` on in which the window is active, as stretches.
fn stretches(window: &Window, from: &str, hours: u64) -> Vec<(String, u64)> {
    let from = at(from);
    let mut out: Vec<(String, u64)> = Vec::new();
    let mut before = false;
    for minute in 0..hours * 60 {
        let now = from + Duration::from_secs(60 * minute);
        let on = window.touches(now, now);
        match (before, on) {
            (false, true) => out.push((now.to_string(), 1)),
            (true, true) => out.last_mut().unwrap().1 += 1,
            _ => {}
        }
        before = on;
    }
    out
}

#[test]
fn clocks_that_skip_begin_the_window_when_they_go_on_and_clocks_that_repeat_prolong_it() {
    // zone, hit that is skipped, day it is skipped (UTC search start), expected begin, then the same for a repeated hit
    for (zone, skipped, from, begin, repeated, from2, begin2, minutes2) in [
        (
            "Europe/Berlin",
            "30 2",
            "2026-03-28T12:00:00Z",
            "2026-03-29T01:00:00Z",
            "30 2",
            "2026-10-24T12:00:00Z",
            "2026-10-25T00:30:00Z",
            90,
        ),
        (
            "America/New_York",
            "30 2",
            "2026-03-07T12:00:00Z",
            "2026-03-08T07:00:00Z",
            "30 1",
            "2026-10-31T12:00:00Z",
            "2026-11-01T05:30:00Z",
            90,
        ),
        (
            "America/Santiago",
            "30 0",
            "2026-09-05T12:00:00Z",
            "2026-09-06T04:00:00Z",
            "30 23",
            "2026-04-04T12:00:00Z",
            "2026-04-05T02:30:00Z",
            90,
        ),
        (
            "Australia/Lord_Howe",
            "15 2",
            "2026-10-03T00:00:00Z",
            "2026-10-03T15:30:00Z",
            "45 1",
            "2026-04-04T00:00:00Z",
            "2026-04-04T14:45:00Z",
            60,
        ),
        (
            "Africa/Cairo",
            "30 0",
            "2026-04-23T12:00:00Z",
            "2026-04-23T22:00:00Z",
            "30 23",
            "2026-10-29T12:00:00Z",
            "2026-10-29T20:30:00Z",
            90,
        ),
    ] {
        let w = window(&format!("{skipped} * * * 30m {zone} min=2"));
        assert_eq!(stretches(&w, from, 24), [(begin.to_string(), 30)], "{zone} skips");
        let w = window(&format!("{repeated} * * * 30m {zone} min=2"));
        let found = stretches(&w, from2, 24);
        assert_eq!(found[0].0, begin2, "{zone} repeats");
        let gap = minutes2 - 30;
        let again = at(begin2) + Duration::from_secs(60 * gap);
        match gap {
            30 => assert_eq!(found, [(begin2.to_string(), 60)], "{zone}: the two touch"),
            _ => assert_eq!(found, [(begin2.to_string(), 30), (again.to_string(), 30)], "{zone}"),
        }
        let long = window(&format!("{repeated} * * * 1h {zone} min=2"));
        assert_eq!(stretches(&long, from2, 24), [(begin2.to_string(), 60 + gap)], "{zone} is prolonged");
    }
}

#[test]
fn a_window_keeps_its_civil_hours_over_a_year_in_every_zone() {
    for zone in ["Europe/Berlin", "America/New_York", "America/Santiago", "Australia/Lord_Howe", "Asia/Kolkata"] {
        let tz = TimeZone::get(zone).unwrap();
        let w = window(&format!("0 9 * * 1-5 8h {zone} min=2"));
        for hour in 0..365 * 24 {
            let now = at("2026-01-01T00:00:00Z") + Duration::from_secs(3600 * hour + 60);
            let local = now.timestamp().to_zoned(tz.clone());
            let weekday = local.weekday().to_sunday_zero_offset();
            // no transition of these zones lies between 9 and 17 o'clock
            let expected = (9..17).contains(&local.hour()) && (1..=5).contains(&weekday);
            assert_eq!(w.touches(now, now), expected, "{zone} {local}");
        }
    }
}

#[test]
fn messages() {
    for (text, message) in [
        ("", "1 to 64 windows"),
        ("0 8 * * 1-5", "<five cron fields> <duration> <IANA zone> [min=N] [max=N] [xN.N] [except=DATE,…] in window 1"),
        ("0 8 * * 7 1h UTC min=1", "a day of week (0 is Sunday) from 0 to 6, as *, N, A-B, */S or A-B/S in window 1"),
        ("0 8 * * 1 40d UTC min=1", "a duration from 1m to 31d after the cron fields in window 1"),
        ("0 8 * * 1 1h Mars min=1", "an IANA time zone after the duration in window 1"),
        ("0 8 * * 1 1h UTC", "min=, max= or x1.5 in window 1"),
        ("@daily 1h UTC min=1; @daily 1h UTC min=0", "a whole number of replicas from 1 to 100000 in window 2"),
        ("@daily 1h UTC min=5 max=4", "min= of at most max=, which is 4 in window 1"),
        ("@daily 1h UTC x0.5", "x and a factor above 1, at most 10, such as x1.5 in window 1"),
        ("@daily 1h UTC min=5 except=Monday", "except= with up to 64 dates such as 2026-12-25 in window 1"),
    ] {
        assert_eq!(parse(text).unwrap_err(), [message], "{text}");
    }
}

#[test]
fn a_window_survives_its_text() {
    for text in [
        "0 8 * * 1-5 10h Europe/Berlin min=10 max=40 except=2026-12-25,2026-12-26",
        "@daily 90m UTC max=3",
        "@hourly 5m UTC x1.5",
    ] {
        let w = window(text);
        assert_eq!(w.to_string(), text);
        let json = serde_json::to_string(&w).unwrap();
        assert_eq!(serde_json::from_str::<Window>(&json).unwrap(), w);
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in "[0-9a-zA-Z*/,@;=? -]{0,60}") {
        let _ = parse(&text);
    }

    #[test]
    fn active_is_what_a_search_of_every_minute_finds(
        minute in 0u32..60, hour in 0u32..24, length in 1u64..2000, now in 1_774_000_000i64..1_800_000_000,
        zone in proptest::sample::select(vec!["Europe/Berlin", "America/Santiago", "Australia/Lord_Howe", "Pacific/Apia"]),
    ) {
        let w = window(&format!("{minute} {hour} * * * {length}m {zone} min=1"));
        let tz = TimeZone::get(zone).unwrap();
        let reads = |at: i64| {
            let local = tz.to_datetime(Timestamp::from_second(at).unwrap());
            (local.hour() as u32, local.minute() as u32)
        };
        let now = now - now.rem_euclid(60);
        let found = (0..length as i64).any(|back| reads(now - 60 * back) == (hour, minute));
        let on = w.touches(Time::from_secs(now), Time::from_secs(now));
        // a skipped hit begins one more; nothing is ever missed
        prop_assert!(on || !found);
        if on && !found {
            let change = tz.preceding(Timestamp::from_second(now + 1).unwrap()).next().unwrap().timestamp().as_second();
            prop_assert!(now - change < 60 * length as i64, "active without a cause");
        }
    }
}
