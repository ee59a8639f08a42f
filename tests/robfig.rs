//! Windows against robfig/cron v3, the library behind Kubernetes' CronJobs, Karpenter's budgets and KEDA's cron trigger:
//! its own hits over two years in five zones, for every form of field (`tests/robfig/main.go` wrote them down).
//!
//! Three differences are wanted. A hit that the clocks skip is left out by robfig, and begins a window when they go on.
//! Around changes of half an hour robfig, which counts in whole ones, passes over hits that the wall clock shows (midnight
//! on the Sunday after Lord Howe's change). Where the clocks skip midnight (Santiago), it goes on into the next day
//! without asking whether that day is one of the expression's. What the wall clock shows is told by the same expression
//! in UTC, where both agree.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may fail")]

use forescale::policy::Window;
use forescale::units::Time;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;
use std::io::Read;

#[derive(Deserialize)]
struct Line {
    cron: String,
    zone: String,
    #[serde(default)]
    refused: bool,
    #[serde(default)]
    stretches: Vec<Stretch>,
}

#[derive(Deserialize)]
struct Stretch {
    from: i64,
    to: i64,
    /// Seconds since the hit before; the first since `from`.
    hits: Vec<i64>,
}

/// Seconds; no window is longer, so no look back is.
const LONGEST: i64 = 31 * 86_400;

fn recorded() -> Vec<Line> {
    let mut text = String::new();
    let file = std::fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/robfig/hits.jsonl.gz")).unwrap();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Whether the clocks of the zone go forward at this instant.
fn skips(zone: &TimeZone, at: i64) -> bool {
    let offset = |at| zone.to_offset(Timestamp::from_second(at).unwrap());
    offset(at) > offset(at - 1)
}

#[test]
fn windows_begin_when_robfig_hits() {
    let (mut hits, mut skipped, mut missed, mut wrong, mut refused) = (0, 0, 0, 0, 0);
    for line in recorded() {
        let window = format!("{} 31d {} min=1", line.cron, line.zone).parse::<Window>();
        if line.refused {
            refused += 1;
            assert!(window.is_err(), "{} is refused by robfig", line.cron);
            continue;
        }
        let impossible = line.stretches.iter().all(|s| s.hits.is_empty());
        let Ok(window) = window else {
            assert!(impossible, "{}: {}", line.cron, window.unwrap_err());
            continue;
        };
        let zone = TimeZone::get(&line.zone).unwrap();
        let on_utc = format!("{} 31d UTC min=1", line.cron).parse::<Window>().unwrap();
        let shown = |at: i64| {
            let wall = Time::from_secs(at + i64::from(zone.to_offset(Timestamp::from_second(at).unwrap()).seconds()));
            on_utc.last_start(wall) == Some(wall)
        };
        let last = |at: i64| window.last_start(Time::from_secs(at)).map(Time::secs);
        for stretch in &line.stretches {
            let (mut before, mut hit) = (None, stretch.from);
            for (i, after) in stretch.hits.iter().enumerate() {
                hit += after;
                let what = || format!("{} in {}: hit {i} at {}", line.cron, line.zone, Time::from_secs(hit));
                if last(hit) != Some(hit) && !shown(hit) && line.zone == "America/Santiago" {
                    wrong += 1;
                    continue;
                }
                assert_eq!(last(hit), Some(hit), "{}", what());
                hits += 1;
                // between two hits nothing begins, but for what the clocks skip
                match last(hit - 60) {
                    found if found == before => {}
                    Some(found) if found < stretch.from && before.is_none() => {}
                    None if before.is_none_or(|b| hit - b > LONGEST) => {}
                    Some(found) if skips(&zone, found) => skipped += 1,
                    Some(found) if shown(found) && line.zone == "Australia/Lord_Howe" => missed += 1,
                    found => panic!("{}: before it {:?}, not {before:?}", what(), found.map(Time::from_secs)),
                }
                before = Some(hit);
            }
            let found = last(stretch.to);
            let fits = found == before
                || found.is_none_or(|f| {
                    f < stretch.from || skips(&zone, f) || line.zone == "Australia/Lord_Howe" && shown(f)
                });
            assert!(fits, "{} in {}: after the last hit {before:?} comes {found:?}", line.cron, line.zone);
        }
    }
    println!(
        "{hits} hits the same, {skipped} begun when the clocks went on, {missed} passed over and {wrong} invented by robfig, {refused} refused by both"
    );
    assert!(hits > 50_000 && refused > 5 && skipped > 0 && missed + wrong < hits / 100);
}
