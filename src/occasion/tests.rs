use super::*;
use jiff::civil::date;
use proptest::prelude::*;

fn utc() -> TimeZone {
    TimeZone::UTC
}

fn at(text: &str) -> Time {
    Time::parse(text).unwrap()
}

fn spans(occasion: &Occasion, from: &str, until: &str, zone: &str) -> Vec<(String, String)> {
    let zone = TimeZone::get(zone).unwrap();
    occasion.spans(at(from), at(until), &zone).iter().map(|(a, b)| (a.to_string(), b.to_string())).collect()
}

#[test]
fn texts_of_every_kind() {
    let one = |text: &str| parse(text, Some(Effect::Exclude)).unwrap().pop().unwrap();
    let day = one("2026-12-24 load test");
    assert_eq!((day.length.as_hours(), day.effect, day.name.as_str()), (24, Effect::Exclude, "load test"));
    assert_eq!(one("2026-12-24/2026-12-26").length.as_hours(), 72, "the last day is meant as a whole");
    let evening = one("2026-11-27T18:00/2026-11-27T23:30 Europe/Berlin x3.5 every=year black friday");
    assert_eq!((evening.length.as_mins(), evening.effect), (330, Effect::Times(3.5)));
    assert_eq!((evening.zone.as_deref(), evening.name.as_str()), (Some("Europe/Berlin"), "black friday"));
    assert_eq!(one("2026-11-27 like=2026-11-13").effect, Effect::Like(date(2026, 11, 13)));
    assert_eq!(parse("2026-12-24 holiday\n2026-12-25 x0.2;", None).unwrap().len(), 2);
}

#[test]
fn mistakes_say_what_was_expected() {
    for (text, expected) in [
        ("", "1 to 512 entries"),
        ("tomorrow", "a local date or time"),
        ("2026-12-24T18:00", "an end after the begin, as in"),
        ("2026-12-24T18:00/2026-12-24T17:00", "an end after the begin"),
        ("2026-01-01/2026-12-31", "by at most 62 days"),
        ("2026-12-24", "an effect"),
        ("2026-12-24 x1000", "a factor from 0 to 100"),
        ("2026-12-24 holiday every=moon", "every=day"),
        ("2026-12-24 like=2026-12-31", "before the begin"),
        ("2026-12-24 holiday; 2026-13-01 holiday", "in entry 2"),
    ] {
        let errors = parse(text, None).unwrap_err().join(", ");
        assert!(errors.contains(expected), "{text}: {errors}");
    }
}

#[test]
fn it_comes_again_on_the_wall_clock() {
    let nightly = parse("2021-03-01T02:30/2021-03-01T03:30 every=day exclude", None).unwrap().pop().unwrap();
    // Berlin's clocks skip 02:00 to 03:00 on 28 March: from 02:30 to 03:30 nothing is left of it but an instant
    assert_eq!(
        spans(&nightly, "2021-03-27T00:00:00Z", "2021-03-29T12:00:00Z", "Europe/Berlin"),
        [
            ("2021-03-27T01:30:00Z".into(), "2021-03-27T02:30:00Z".into()),
            ("2021-03-29T00:30:00Z".into(), "2021-03-29T01:30:00Z".into()),
        ]
    );
    let yearly = parse("2020-02-29 every=year holiday", None).unwrap().pop().unwrap();
    let leap = spans(&yearly, "2020-01-01T00:00:00Z", "2029-01-01T00:00:00Z", "UTC");
    assert_eq!(leap.iter().map(|s| &s.0[..4]).collect::<Vec<_>>(), ["2020", "2024", "2028"]);
    let monthly = parse("2021-01-31 every=month exclude", None).unwrap().pop().unwrap();
    assert_eq!(spans(&monthly, "2021-01-01T00:00:00Z", "2021-06-30T00:00:00Z", "UTC").len(), 3, "January, March, May");
}

#[test]
fn holidays_are_local_days() {
    let two = parse("2026-12-25/2026-12-26 every=year holiday", None).unwrap().pop().unwrap();
    let day = since_1970(date(2027, 12, 25));
    assert_eq!(two.days(date(2027, 12, 26), date(2027, 12, 31)), [day + 1]);
    assert_eq!(two.days(date(2027, 1, 1), date(2027, 12, 31)), [day, day + 1]);
    let sale = parse("2026-12-25 x2", None).unwrap().pop().unwrap();
    assert!(sale.days(date(2026, 1, 1), date(2026, 12, 31)).is_empty());
}

const ICS: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//holidays//EN\r\n\
BEGIN:VEVENT\r\nUID:1\r\nDTSTART;VALUE=DATE:20261003\r\nDTEND;VALUE=DATE:20261004\r\nRRULE:FREQ=YEARLY\r\nSUMMARY:Tag der \r\n Deutschen Einheit\r\nEND:VEVENT\r\n\
BEGIN:VEVENT\r\nUID:2\r\nDTSTART;TZID=Europe/Berlin:20261130T090000\r\nDURATION:PT2H30M\r\nRRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE;COUNT=3\r\nEXDATE;TZID=Europe/Berlin:20261202T090000\r\nX-FORESCALE:x2.5\r\nSUMMARY:Webinar\r\nEND:VEVENT\r\n\
BEGIN:VEVENT\r\nUID:3\r\nDTSTART:20261127T170000Z\r\nDTEND:20261127T190000Z\r\nSUMMARY:Launch\r\nEND:VEVENT\r\n\
END:VCALENDAR\r\n";

#[test]
fn a_calendar_file() {
    let read = calendar(ICS, Effect::Holiday).unwrap();
    assert_eq!(read.len(), 3);
    assert_eq!((read[0].effect, read[0].name.as_str()), (Effect::Holiday, "Tag der Deutschen Einheit"));
    assert_eq!(read[0].days(date(2030, 1, 1), date(2030, 12, 31)), [since_1970(date(2030, 10, 3))]);
    assert_eq!((read[1].effect, read[1].length.as_mins()), (Effect::Times(2.5), 150));
    // Monday 30 November, (Wednesday 2 December is left out,) Monday 14 December: the third and last
    assert_eq!(
        spans(&read[1], "2026-11-01T00:00:00Z", "2027-03-01T00:00:00Z", "UTC")
            .iter()
            .map(|s| s.0.as_str())
            .collect::<Vec<_>>(),
        ["2026-11-30T08:00:00Z", "2026-12-14T08:00:00Z"]
    );
    assert_eq!(
        spans(&read[2], "2026-11-01T00:00:00Z", "2027-03-01T00:00:00Z", "Asia/Tokyo"),
        [("2026-11-27T17:00:00Z".into(), "2026-11-27T19:00:00Z".into())]
    );
}

#[test]
fn an_end_in_another_zone_ends_then() {
    // a flight: 21:00 in New York is 02:00 UTC, 15:30 in Berlin is 14:30 UTC
    let flight = "UID:f|DTSTART;TZID=America/New_York:20261130T210000|DTEND;TZID=Europe/Berlin:20261201T153000";
    let read = calendar(&calendar_of(&[flight]), Effect::Exclude).unwrap();
    assert_eq!(
        spans(&read[0], "2026-11-30T00:00:00Z", "2026-12-31T00:00:00Z", "UTC"),
        [("2026-12-01T02:00:00Z".into(), "2026-12-01T14:30:00Z".into())]
    );
}

/// A calendar of events, each given by its lines with `|` between them.
fn calendar_of(events: &[&str]) -> String {
    let events = events.iter().map(|e| format!("BEGIN:VEVENT\r\n{}\r\nEND:VEVENT\r\n", e.replace('|', "\r\n")));
    format!("BEGIN:VCALENDAR\r\n{}END:VCALENDAR\r\n", events.collect::<String>())
}

/// The days and hours of December 2026, in UTC, at which its events begin.
fn december(events: &[&str]) -> Vec<String> {
    let read = calendar(&calendar_of(events), Effect::Exclude).unwrap();
    let spans = read.iter().flat_map(|o| spans(o, "2026-12-01T00:00:00Z", "2026-12-31T00:00:00Z", "UTC"));
    let mut begins: Vec<String> = spans.map(|(begin, _)| begin[8..13].to_owned()).collect();
    begins.sort();
    begins
}

#[test]
fn what_is_cancelled_or_moved_does_not_begin_when_it_would_have() {
    // 20:00 in New York is 01:00 UTC of the day after
    let series = "UID:a|DTSTART;TZID=America/New_York:20261201T200000|DURATION:PT1H|RRULE:FREQ=DAILY;COUNT=4";
    let moved = "UID:a|RECURRENCE-ID:20261203T010000Z|DTSTART;TZID=America/New_York:20261202T210000|DURATION:PT1H|RRULE:FREQ=DAILY";
    let cancelled = "UID:a|RECURRENCE-ID;TZID=America/New_York:20261203T200000|DTSTART;TZID=America/New_York:20261203T200000|DURATION:PT1H|STATUS:CANCELLED";
    let another = "UID:b|DTSTART;VALUE=DATE:20261202|RRULE:FREQ=DAILY;COUNT=2";
    let dropped = "UID:c|DTSTART;VALUE=DATE:20261224|STATUS:CANCELLED";
    let mut events = [series, moved, cancelled, another, dropped];
    for _ in 0..2 {
        assert_eq!(december(&events), ["02T00", "02T01", "03T00", "03T02", "05T01"]);
        events.reverse();
    }
    assert_eq!(calendar(&calendar_of(&[dropped]), Effect::Exclude), Ok(Vec::new()), "nothing to mend");
    let days = "UID:d|DTSTART;VALUE=DATE:20261201|RRULE:FREQ=DAILY;COUNT=3";
    assert_eq!(december(&[days, "UID:d|RECURRENCE-ID;VALUE=DATE:20261202|DTSTART;VALUE=DATE:20261207"]).len(), 3);
}

#[test]
fn dates_in_utc_are_those_of_the_clock_of_the_event() {
    let new_york = "UID:a|DTSTART;TZID=America/New_York:20261201T200000|DURATION:PT1H|";
    let tokyo = "UID:a|DTSTART;TZID=Asia/Tokyo:20261202T080000|DURATION:PT1H|";
    let floating = "UID:a|DTSTART:20261201T200000|DURATION:PT1H|";
    for (event, rule, begins) in [
        (new_york, "RRULE:FREQ=DAILY;UNTIL=20261204T010000Z", vec!["02T01", "03T01", "04T01"]),
        (new_york, "RRULE:FREQ=DAILY;UNTIL=20261204T005959Z", vec!["02T01", "03T01"]),
        (new_york, "RRULE:FREQ=DAILY;UNTIL=20261202T195959", vec!["02T01"]),
        (new_york, "RRULE:FREQ=DAILY;UNTIL=20261202", vec!["02T01", "03T01"]),
        (new_york, "RRULE:FREQ=DAILY;COUNT=3|EXDATE:20261203T010000Z", vec!["02T01", "04T01"]),
        (new_york, "RRULE:FREQ=DAILY;COUNT=3|EXDATE;TZID=Asia/Tokyo:20261203T100000", vec!["02T01", "04T01"]),
        (tokyo, "RRULE:FREQ=DAILY;UNTIL=20261203T230000Z", vec!["01T23", "02T23", "03T23"]),
        // the workload's zone is not known yet: by the date as it is written
        (floating, "RRULE:FREQ=DAILY;UNTIL=20261202T000000Z", vec!["01T20", "02T20"]),
        (floating, "RRULE:FREQ=DAILY;COUNT=2|EXDATE:20261202T000000Z", vec!["01T20"]),
    ] {
        assert_eq!(december(&[format!("{event}{rule}").as_str()]), begins, "{event}{rule}");
    }
}

#[test]
fn what_changes_nothing_is_no_obstacle() {
    let read = calendar(ICS, Effect::Holiday);
    assert_eq!(calendar(&format!("\u{feff}{ICS}"), Effect::Holiday), read, "a byte order mark");
    for rule in ["RRULE:FREQ=YEARLY", "RRULE:FREQ=WEEKLY;INTERVAL=2"] {
        assert_eq!(calendar(&ICS.replace(rule, &format!("{rule};WKST=SU")), Effect::Holiday), read, "{rule}");
    }
}

#[test]
fn what_a_file_says_and_we_do_not_understand_is_refused_by_name() {
    for (from, to, expected) in [
        (
            "RRULE:FREQ=YEARLY",
            "RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH",
            "give the dates one by one; found FREQ=YEARLY;BYMONTH=11;BYDAY=4TH",
        ),
        ("RRULE:FREQ=YEARLY", "RRULE:FREQ=HOURLY", "FREQ=DAILY, WEEKLY"),
        ("DURATION:PT2H30M\r\n", "", "event \"Webinar\": expected DTEND or DURATION; found neither"),
        ("Europe/Berlin:20261130", "W. Europe Standard Time:20261130", "an IANA zone; found TZID=W. Europe"),
        ("X-FORESCALE:x2.5", "X-FORESCALE:big", "X-FORESCALE with x1.5"),
        ("UID:3", "UID:3\r\nRDATE:20270101T000000Z", "no RDATE"),
        (
            "BYDAY=MO,WE;COUNT=3",
            "BYDAY=MO,SU;COUNT=3;WKST=SU",
            "event \"Webinar\": expected weeks that begin on Monday",
        ),
        ("RRULE:FREQ=YEARLY", "RRULE:FREQ=YEARLY;WKST=7", "a rule without WKST=7: give the dates"),
        ("COUNT=3", "UNTIL=20261231T09", "expected UNTIL with a date or time; found FREQ=WEEKLY"),
        ("EXDATE;TZID=Europe/Berlin:20261202T090000", "EXDATE:never", "expected EXDATE with dates; found never"),
        ("UID:3", "UID:3\r\nRECURRENCE-ID:never", "event \"Launch\": expected RECURRENCE-ID with dates; found never"),
        (
            "UID:3",
            "UID:2\r\nSTATUS:CANCELLED\r\nRECURRENCE-ID;RANGE=THISANDFUTURE:20261214T080000Z",
            "event \"Webinar\": expected RECURRENCE-ID of one date",
        ),
    ] {
        let errors = calendar(&ICS.replace(from, to), Effect::Holiday).unwrap_err();
        let errors = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(errors.contains(expected), "{to}: {errors}");
    }
    for (text, found) in [
        ("hello", "; found \"hello\""),
        ("", "; found nothing"),
        ("\u{feff}hello", "; found \"hello\""),
        (
            "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20261225\r\n",
            "; found something else from line 2 on; is",
        ),
    ] {
        let told = calendar(text, Effect::Exclude).unwrap_err()[0].to_string();
        assert!(told.contains("VCALENDAR to END:VCALENDAR") && told.contains(found), "{told}");
        assert!(!told.contains("Tag") && !told.contains('^'), "the parser's dump: {told}");
    }
}

#[test]
fn what_is_written_to_a_log_comes_back() {
    for occasion in calendar(ICS, Effect::Holiday).unwrap() {
        let text = serde_json::to_string(&occasion).unwrap();
        assert_eq!(serde_json::from_str::<Occasion>(&text).unwrap(), occasion, "{text}");
    }
}

proptest! {
    #[test]
    fn any_text_gives_occasions_or_errors(text in "\\PC{0,80}", ics in "(BEGIN:VEVENT|DTSTART:2026[0-9]{4}|RRULE:[A-Z=;]{0,20}|[A-Z]{2,8}:[ -~]{0,12}|END:VEVENT|\r\n){0,20}") {
        let _ = parse(&text, None);
        let wrapped = format!("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n{ics}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n");
        if let Ok(read) = calendar(&wrapped, Effect::Exclude) {
            for occasion in read {
                let _ = occasion.spans(Time::from_secs(0), Time::from_secs(8_000_000), &utc());
            }
        }
    }

    #[test]
    fn spans_touch_what_was_asked_for(day in 0i64..20_000, hours in 1i64..400, unit in 0usize..4, from in 0i64..1_700_000_000, zone in 0usize..4) {
        let unit = [Unit::Day, Unit::Week, Unit::Month, Unit::Year][unit];
        let zone = TimeZone::get(["UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/Santiago"][zone]).unwrap();
        let begin = date(1970, 1, 1).checked_add(jiff::Span::new().days(day)).unwrap().at(5, 30, 0, 0);
        let occasion = Occasion {
            begin, length: SignedDuration::from_hours(hours), zone: None,
            recurrence: Some(Recurrence::each(unit)), effect: Effect::Exclude, name: String::new(),
        };
        let (from, until) = (Time::from_secs(from), Time::from_secs(from + 40 * 86_400));
        for (a, b) in occasion.spans(from, until, &zone) {
            prop_assert!(a < b && a < until && b > from);
        }
    }
}
