//! The past of many series, filled in newest first, then kept up to date by increments only.
//!
//! A [`Track`] knows what of one query has been asked and answered; [`fill`] asks for what is missing, all tracks that
//! want the same stretch of time in one request. It works with any [`HistorySource`]. The newest points come first, so
//! that a workload can be decided on before its weeks of history are there. An increment asks for the steps after
//! the newest known point and for a few before it again, because late samples change them; it replaces what was
//! known of the time that it covers.

use super::{HistorySource, Points, Query, Request, SourceError};
use crate::units::{Step, Time};
use std::collections::BTreeMap;
use std::time::Duration;

/// Steps of one request at most: two days of minutes.
pub const WINDOW_STEPS: usize = 2880;
/// Steps before the newest known point that an increment asks for again.
pub const OVERLAP_STEPS: usize = 5;
/// Steps back that an increment reaches at most when points are missing at the end.
const CATCH_UP_STEPS: usize = 60;

/// What is known of one query.
#[derive(Debug, Clone)]
pub struct Track {
    query: Query,
    step: Step,
    span: Duration,
    points: Points,
    /// First and last instant of the time that was asked for and answered, without a hole.
    covered: Option<(Time, Time)>,
}

/// A stretch of time, both ends included and on the step's grid.
type Window = (Time, Time);

impl Track {
    /// Nothing known yet; `span` is how far back it is to reach.
    pub fn new(query: Query, step: Step, span: Duration) -> Self {
        Track { query, step, span, points: Vec::new(), covered: None }
    }

    /// The query.
    pub fn query(&self) -> &Query {
        &self.query
    }

    /// The known points, oldest first, each time once.
    pub fn points(&self) -> &Points {
        &self.points
    }

    /// Takes points of instants that no source has told of.
    pub fn recall(&mut self, points: Points) {
        self.points.extend(points);
        self.points.sort_by_key(|p| p.0);
    }

    /// Whether the whole span up to `now` has been answered.
    pub fn is_complete(&self, now: Time) -> bool {
        self.wants(now).is_none()
    }

    /// Steps of the span up to `now`, and those of them that are answered.
    fn steps(&self, now: Time) -> (usize, usize) {
        let (first, last) = self.goal(now);
        let count = |from: Time, to: Time| {
            if from > to { 0 } else { (to.since(from).as_secs() / u64::from(self.step.secs())) as usize + 1 }
        };
        let known = self.covered.map_or(0, |(a, b)| count(a.max(first), b.min(last)));
        (count(first, last), known)
    }

    /// The first and last grid instant of the span.
    fn goal(&self, now: Time) -> Window {
        let step = i64::from(self.step.secs());
        let last = Time::from_secs(now.secs().div_euclid(step) * step);
        (last - self.step.times(self.step.cover(self.span)), last)
    }

    /// What to ask next: the increment, else the next older window; None when the span is complete.
    fn wants(&self, now: Time) -> Option<Window> {
        let (first, last) = self.goal(now);
        let step = self.step.duration();
        let newest = (first.max(last - self.step.times(WINDOW_STEPS - 1)), last);
        let Some((a, b)) = self.covered else { return Some(newest) };
        if b < last {
            let known = self.points.last().map_or(a, |p| p.0).min(b) + step;
            let from = (known - self.step.times(OVERLAP_STEPS)).max(b - self.step.times(CATCH_UP_STEPS)).max(first);
            // after a long silence the newest comes first again
            return Some(if last.since(from) > last.since(newest.0) { newest } else { (from, last) });
        }
        (a > first).then(|| (first.max(a - self.step.times(WINDOW_STEPS)), a - step))
    }

    /// Takes the points of `window` in place of what was known of it. Points outside it are dropped.
    fn accept(&mut self, (from, to): Window, mut points: Points, now: Time) {
        points.retain(|p| (from..=to).contains(&p.0));
        let (start, end) = (self.points.partition_point(|p| p.0 < from), self.points.partition_point(|p| p.0 <= to));
        self.points.splice(start..end, points);
        let step = self.step.duration();
        self.covered = Some(match self.covered {
            Some((a, b)) if from <= b + step && a <= to + step => (a.min(from), b.max(to)),
            _ => (from, to),
        });
        let (first, _) = self.goal(now);
        let old = self.points.partition_point(|p| p.0 < first);
        self.points.drain(..old);
    }
}

/// How far a [`fill`] has come, over all its tracks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Steps answered, with points or without.
    pub done: usize,
    /// Steps wanted.
    pub total: usize,
}

/// What a [`fill`] did for one track.
#[derive(Debug, Default)]
pub struct Filled {
    /// Why it stopped before the end. What was known stays known.
    pub error: Option<SourceError>,
    /// What the source said beside the data.
    pub warnings: Vec<String>,
}

/// Asks for what the tracks want at `now`, at most `rounds` windows for each; a track whose query fails is left as it
/// is, the others go on. One result per track, in order. With `rounds` 1 it brings known tracks up to date and new
/// ones their newest window, which is what a tick can wait for.
pub async fn fill(
    source: &dyn HistorySource,
    tracks: &mut [Track],
    now: Time,
    rounds: usize,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Vec<Filled> {
    let mut results: Vec<Filled> = tracks.iter().map(|_| Filled::default()).collect();
    for _ in 0..rounds {
        let mut wanted: BTreeMap<(Time, Time, Step), Vec<usize>> = BTreeMap::new();
        for (place, (track, result)) in tracks.iter().zip(&results).enumerate() {
            if let Some((from, to)) = track.wants(now).filter(|_| result.error.is_none()) {
                wanted.entry((from, to, track.step)).or_default().push(place);
            }
        }
        if wanted.is_empty() {
            break;
        }
        for ((from, to, step), places) in wanted.into_iter().rev() {
            let queries = places.iter().filter_map(|p| tracks.get(*p)).map(|t| t.query.clone()).collect();
            let answers = source.fetch(&Request { queries, from, to, step }).await;
            for (place, answer) in places.into_iter().zip(answers) {
                let (Some(track), Some(result)) = (tracks.get_mut(place), results.get_mut(place)) else { continue };
                result.warnings.extend(answer.warnings);
                result.warnings.sort();
                result.warnings.dedup();
                match answer.points {
                    Ok(points) => track.accept((from, to), points, now),
                    Err(error) => result.error = Some(error),
                }
            }
            let (total, done) = tracks.iter().map(|t| t.steps(now)).fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
            progress(Progress { done, total });
        }
    }
    results
}

#[cfg(test)]
mod tests;
