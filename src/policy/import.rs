//! What people have today → windows: CronHPA objects, KEDA cron triggers, and CronJobs that run `kubectl scale`.
//!
//! All of them are edges: at an instant a number is set, and it stays until the next one is. A window is a level; it
//! lasts from a job to the next that sets another number. What cannot be said exactly is shown as a difference.

mod convert;
mod flow;
mod kubectl;
mod read;

use super::Window;
use super::annotations::{Annotations, PREFIX};
use super::cron::Cron;
use super::schedule::WINDOWS_MAX;
use crate::error::Problem;
use crate::units::{Replicas, Time};
use jiff::tz::TimeZone;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Length of the look-ahead in which the difference is shown.
const WEEK: Duration = Duration::from_secs(7 * 86_400);
/// What is left to do where the annotations would be refused.
const BY_HAND: &str = "write the annotations by hand";
/// Stretches that a difference names at most.
const STRETCHES_MAX: usize = 50;

/// One imported schedule of one workload.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Imported {
    /// The object it was: kind, namespace/name.
    pub from: String,
    /// The workload that it scales: kind, namespace/name.
    pub workload: String,
    /// What holds outside all windows.
    pub base: Replicas,
    /// The most that it ever sets, or allows.
    pub most: Replicas,
    /// The windows.
    pub windows: Vec<Window>,
    /// What was assumed or could not be said exactly.
    pub notes: Vec<String>,
    /// Where the windows and the original differ in the week to come; empty: nowhere.
    pub difference: Vec<Stretch>,
}

/// Minutes in which the original asks for one number and the windows for another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stretch {
    /// Its first minute.
    pub from: Time,
    /// Its end.
    pub to: Time,
    /// What the original has set.
    pub was: Replicas,
    /// What the windows ask for.
    pub would_be: Replicas,
}

/// A number that is set at every hit of a cron expression, except on excluded days.
#[derive(Debug, Clone)]
struct Job {
    cron: Cron,
    target: Replicas,
}

/// Jobs that set the same number in turn, on the wall clock of one zone.
#[derive(Debug, Clone)]
struct Turns {
    zone: String,
    jobs: Vec<Job>,
    /// A day on which one of these hits is left out.
    exclude: Vec<Cron>,
}

/// What sets the replicas of one workload.
#[derive(Debug, Clone)]
struct Group {
    from: String,
    workload: String,
    /// Of several, the one that asks for most holds.
    turns: Vec<Turns>,
    /// What holds when no job has hit, or outside. None: the least target.
    base: Option<Replicas>,
    /// What it allows at most. None: the largest target.
    most: Option<Replicas>,
    notes: Vec<String>,
}

/// Reads YAML documents (or JSON), of which those that schedule replicas are imported and others left aside: the third
/// of what it gives is how many. The texts, each with its name, count as one: what sets the number of a workload may be
/// spread over them. `zone` is for objects that say none. Problems don't keep the rest from being imported.
pub fn import(texts: &[(&str, &str)], zone: &str, now: Time) -> (Vec<Imported>, Vec<Problem>, usize) {
    let (groups, mut problems, skipped) = read::groups(texts, zone);
    let mut imported = Vec::new();
    for group in groups {
        match Imported::of(group, now) {
            Ok(one) => imported.push(one),
            Err(found) => problems.extend(found),
        }
    }
    (imported, problems, skipped)
}

impl Imported {
    /// A group as windows; an error where the annotations would be refused.
    fn of(group: Group, now: Time) -> Result<Imported, Vec<Problem>> {
        let (base, windows, found) = convert::windows(&group, now).map_err(|p| vec![p])?;
        let jobs = group.turns.iter().flat_map(|turns| &turns.jobs);
        let most = group.most.or(jobs.map(|job| job.target).max()).unwrap_or(base);
        let difference = difference(&group, base, &windows, now);
        let (from, workload, mut notes) = (group.from, group.workload, group.notes);
        notes.extend(found);
        if windows.len() > WINDOWS_MAX {
            let problem = Problem::new(from, format!("at most {WINDOWS_MAX} windows"), windows.len().to_string());
            return Err(vec![problem.help(BY_HAND)]);
        }
        if windows.is_empty() {
            notes.push(format!("no window asks for more than {base} replicas: there is no schedule to set"));
        }
        let imported = Imported { from, workload, base, most, windows, notes, difference };
        let all: BTreeMap<String, String> = imported.annotations().into_iter().collect();
        match Annotations::parse(&imported.from, &all) {
            Ok(_) => Ok(imported),
            Err(problems) => Err(problems.into_iter().map(|p| p.help(BY_HAND)).collect()),
        }
    }

    /// The annotations that ask for the same, by their full names.
    pub fn annotations(&self) -> Vec<(String, String)> {
        let mut all = vec![("mode", "observe".to_owned()), ("min-replicas", self.base.to_string())];
        if self.most > 0 {
            all.push(("max-replicas", self.most.to_string()));
        }
        if !self.windows.is_empty() {
            let lines: Vec<String> = self.windows.iter().map(ToString::to_string).collect();
            all.push(("schedule", lines.join("\n")));
        }
        all.into_iter().map(|(name, value)| (format!("{PREFIX}{name}"), value)).collect()
    }
}

/// Every minute of the week to come in which the two are not the same.
fn difference(group: &Group, base: Replicas, windows: &[Window], now: Time) -> Vec<Stretch> {
    const MINUTE: Duration = Duration::from_secs(60);
    let turns: Vec<(&Turns, TimeZone)> =
        group.turns.iter().filter_map(|turns| Some((turns, TimeZone::get(&turns.zone).ok()?))).collect();
    let begin = Time::from_secs(now.secs() - now.secs().rem_euclid(60));
    let mut stretches: Vec<Stretch> = Vec::new();
    for minute in 0..(WEEK.as_secs() / 60) {
        let at = begin + Duration::from_secs(60 * minute);
        let level = |(turns, zone): &(&Turns, TimeZone)| {
            turns.level(at.secs() + i64::from(zone.to_offset(at.timestamp()).seconds()), base)
        };
        let was = turns.iter().map(level).max().unwrap_or(base);
        let would_be = super::schedule::floor(windows, at, Duration::ZERO).unwrap_or(base).max(base);
        if was == would_be {
            continue;
        }
        let count = stretches.len();
        match stretches.last_mut() {
            Some(last) if last.to == at && last.was == was && last.would_be == would_be => last.to = at + MINUTE,
            _ if count < STRETCHES_MAX => stretches.push(Stretch { from: at, to: at + MINUTE, was, would_be }),
            _ => break,
        }
    }
    stretches
}

impl Turns {
    /// Days back that a job is looked for.
    const BACK: usize = 400;

    /// Whether a hit at this wall-clock reading is left out: an excluding expression still hits on that day, as CronHPA
    /// has it.
    fn excluded(&self, wall: i64) -> bool {
        let end_of_day = wall - wall.rem_euclid(86_400) + 86_400;
        self.exclude.iter().any(|cron| cron.next(wall - 1).is_some_and(|hit| hit < end_of_day))
    }

    /// What the original has set at a wall-clock reading: the number of the job that hit last; of two, the larger.
    fn level(&self, wall: i64, base: Replicas) -> Replicas {
        let last = |job: &Job| {
            let mut hit = job.cron.last(wall)?;
            for _ in 0..Self::BACK {
                if !self.excluded(hit) {
                    return Some((hit, job.target));
                }
                hit = job.cron.last(hit - 1)?;
            }
            None
        };
        self.jobs.iter().filter_map(last).max().map_or(base, |(_, target)| target)
    }
}

#[cfg(test)]
mod tests;
