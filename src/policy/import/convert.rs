//! Jobs that set a number in turn → windows in which the number holds.

use super::{Group, Job, Turns};
use crate::error::Problem;
use crate::policy::Window;
use crate::policy::cron::Cron;
use crate::policy::schedule::{DURATION_MAX, EXCEPT_MAX};
use crate::units::{Replicas, Time, duration};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use std::time::Duration;

/// Hits of one job in a day at most; more are no hours of a day.
const HITS_A_DAY: usize = 48;
/// Days that are looked at.
const DAYS: usize = 366;
const DAY: i64 = 86_400;

/// What holds outside, the windows, and what could not be said exactly.
pub(super) fn windows(group: &Group, now: Time) -> Result<(Replicas, Vec<Window>, Vec<String>), Problem> {
    let jobs = group.turns.iter().flat_map(|turns| &turns.jobs);
    let base = group.base.or(jobs.map(|job| job.target).min()).unwrap_or(0);
    let from = now.secs() - now.secs().rem_euclid(DAY);
    let (mut windows, mut notes) = (Vec::new(), Vec::new());
    for turns in &group.turns {
        let hits = turns.jobs.iter().map(|job| hits(group, turns, job, from)).collect::<Result<Vec<_>, _>>()?;
        for (job, own) in turns.jobs.iter().zip(&hits).filter(|(job, _)| job.target > base) {
            let others = turns.jobs.iter().zip(&hits).filter(|(other, _)| other.target != job.target);
            let mut ends: Vec<i64> = others.flat_map(|(_, hits)| hits.kept.iter().copied()).collect();
            ends.sort_unstable();
            one(turns, job, own, &ends, &mut windows, &mut notes);
        }
    }
    Ok((base, windows, notes))
}

/// The hits of a job in the days to come, wall clock.
struct Hits {
    kept: Vec<i64>,
    left_out: Vec<i64>,
}

fn hits(group: &Group, turns: &Turns, job: &Job, from: i64) -> Result<Hits, Problem> {
    let (mut kept, mut left_out, mut at) = (Vec::new(), Vec::new(), from - 1);
    while let Some(hit) = job.cron.next(at).filter(|hit| *hit < from + DAYS as i64 * DAY) {
        if turns.excluded(hit) {
            left_out.push(hit)
        } else {
            kept.push(hit)
        }
        if kept.len() + left_out.len() > HITS_A_DAY * DAYS
            || kept.iter().rev().nth(HITS_A_DAY).zip(kept.last()).is_some_and(|(first, last)| last - first < DAY)
        {
            let expected = format!("jobs that hit at most {HITS_A_DAY} times a day");
            return Err(Problem::new(&group.from, expected, job.cron.to_string()).help("write the window by hand"));
        }
        at = hit;
    }
    Ok(Hits { kept, left_out })
}

/// The windows of one job: one for each length, by weekday.
fn one(turns: &Turns, job: &Job, hits: &Hits, ends: &[i64], windows: &mut Vec<Window>, notes: &mut Vec<String>) {
    let mut lengths: BTreeMap<u32, BTreeMap<i64, usize>> = BTreeMap::new();
    let mut endless = false;
    for hit in &hits.kept {
        let end = ends.get(ends.partition_point(|end| end <= hit)).copied();
        endless |= end.is_none_or(|end| end - hit > DURATION_MAX.as_secs() as i64)
            && hits.kept.first().is_some_and(|first| *hit < first + 7 * DAY);
        // at the end of the look-ahead the end isn't known
        let Some(end) = end.or((ends.is_empty()).then_some(hit + DURATION_MAX.as_secs() as i64)) else { continue };
        *lengths.entry(weekday(*hit)).or_default().entry(end - hit).or_default() += 1;
    }
    if endless {
        notes.push(format!("{}: nothing ends it within {}", job.cron, duration::format(DURATION_MAX)));
    }
    let usual: BTreeMap<u32, i64> = lengths
        .iter()
        .filter_map(|(day, all)| Some((*day, all.iter().max_by_key(|(length, n)| (**n, **length))?.0)))
        .map(|(day, length)| (day, *length))
        .collect();
    let Some(longest) = usual.values().max().copied() else {
        notes.push(format!("{}: never hits in the year to come", job.cron));
        return;
    };
    let mut by_length: BTreeMap<i64, u64> = BTreeMap::new();
    for (day, length) in &usual {
        *by_length.entry(*length).or_default() |= 1 << day;
    }
    let days = by_length.values().fold(0, |all, days| all | days);
    let parts: Option<Vec<(Cron, i64)>> =
        by_length.iter().map(|(length, days)| Some((job.cron.on_weekdays(*days)?, *length))).collect();
    let parts = parts.unwrap_or_else(|| {
        if by_length.len() > 1 {
            let longest = duration::format(Duration::from_secs(longest.unsigned_abs()));
            notes.push(format!("{}: lasts differently long; the longest, {longest}, is taken", job.cron));
        }
        vec![(job.cron.clone(), longest)]
    });
    let mut except: Vec<Date> =
        hits.left_out.iter().filter(|hit| days & (1 << weekday(**hit)) != 0).filter_map(|hit| date(*hit)).collect();
    except.dedup();
    if except.len() > EXCEPT_MAX {
        notes.push(format!("{}: {} excluded dates, of which {EXCEPT_MAX} are taken", job.cron, except.len()));
        except.truncate(EXCEPT_MAX);
    } else if !except.is_empty() {
        notes.push(format!("{}: dates are excluded for one year; renew them after that", job.cron));
    }
    for (cron, length) in parts {
        let length = Duration::from_secs(length.unsigned_abs());
        windows.extend(Window::new(cron, length, &turns.zone, job.target, except.clone()));
    }
}

/// 0 is Sunday.
fn weekday(wall: i64) -> u32 {
    // 1970-01-01 was a Thursday
    (wall.div_euclid(DAY) + 4).rem_euclid(7) as u32
}

fn date(wall: i64) -> Option<Date> {
    Some(TimeZone::UTC.to_datetime(Timestamp::from_second(wall).ok()?).date())
}
