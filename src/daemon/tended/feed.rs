//! From the sources into memory: what to ask, and what came back.

use super::{Learning, Tended};
use crate::daemon::polling::{Fed, Wanted, query};
use crate::daemon::reader::Reading;
use crate::plan::SourceState;
use crate::series::Sample;
use crate::tick;
use crate::units::{Step, Time};
use std::time::Duration;

/// A metric that missed more steps than this learns from its history again.
const CATCH_UP_STEPS: usize = 300;
/// A reading of this moment says nothing later.
const READING: Duration = Duration::from_secs(60);

/// One metric on its way into memory.
#[derive(Debug)]
pub(super) struct Feed {
    /// The first instant that is not in memory.
    pub(super) next: Time,
    /// Samples that wait for the next tick.
    pub(super) waiting: Vec<Sample>,
    pub(super) source: SourceState,
    /// How late its samples are.
    pub(super) settling: Duration,
    /// What the source had to say besides, at the last question.
    pub(super) warnings: Vec<String>,
    /// The newest reading between the steps.
    reading: Option<(Time, tick::Reading)>,
}

impl Feed {
    /// Nothing has come so far.
    pub(super) fn new(next: Time, source: SourceState) -> Feed {
        Feed { next, waiting: Vec::new(), source, settling: Duration::ZERO, warnings: Vec::new(), reading: None }
    }

    /// What was read just now.
    pub(super) fn reading(&self, now: Time) -> Option<tick::Reading> {
        self.reading.filter(|(at, _)| now.since(*at) <= READING).map(|(_, reading)| reading)
    }

    /// Takes a reading. The same load again is most likely the same sample of the source, so its rise stays.
    fn take_reading(&mut self, at: Time, load: f64) {
        let rise = match self.reading(at) {
            Some(before) if before.load == load => before.rise,
            Some(before) => (load - before.load).max(0.0),
            None => 0.0,
        };
        self.reading = Some((at, tick::Reading { load, rise }));
    }
}

impl Tended {
    /// What to ask the sources, by source name. A metric that is too far behind learns again instead.
    pub fn wanted(&mut self, to: Time, step: Step, now: Time) -> Vec<(String, Wanted)> {
        let Some(policy) = self.policy.as_ref().filter(|_| self.feeding()) else { return Vec::new() };
        if self.feeds.iter().any(|f| f.next + step.times(CATCH_UP_STEPS) < to) {
            self.learning = Learning::Due(now);
            return Vec::new();
        }
        let of = |(metric, (m, feed)): (usize, (&crate::policy::LoadMetric, &Feed))| {
            let workload = self.sight.workload().clone();
            let wanted = Wanted { workload, metric, query: query(m).ok()?, from: feed.next };
            Some((m.source.clone(), wanted))
        };
        policy.metrics.iter().zip(&self.feeds).enumerate().filter_map(of).collect()
    }

    /// Source and query of a metric.
    pub fn origin(&self, metric: usize) -> Option<(String, String)> {
        let metric = self.policy.as_ref()?.metrics.get(metric)?;
        Some((metric.source.clone(), query(metric).ok()?))
    }

    /// What to read between the steps, by source name.
    pub fn to_read(&self) -> Vec<(String, Wanted)> {
        let Some(policy) = self.policy.as_ref().filter(|_| self.feeding()) else { return Vec::new() };
        let of = |(metric, m): (usize, &crate::policy::LoadMetric)| {
            let workload = self.sight.workload().clone();
            Some((
                m.source.clone(),
                Wanted { workload, metric, query: query(m).ok()?, from: self.sight.observation.at },
            ))
        };
        policy.metrics.iter().enumerate().filter_map(of).collect()
    }

    /// Takes a reading. True: the load of this moment needs more replicas than were planned.
    pub fn read(&mut self, reading: &Reading) -> bool {
        let asked = self.origin(reading.metric).is_some_and(|origin| origin == reading.origin);
        let feeding = asked && self.feeding();
        let Some(feed) = self.feeds.get_mut(reading.metric).filter(|_| feeding) else { return false };
        feed.take_reading(reading.at, reading.load);
        let (memory, decision) = (self.memory.metrics.get(reading.metric), self.decision.as_ref());
        let need = memory.and_then(|m| m.need(reading.load));
        need.zip(decision)
            .zip(self.policy.as_ref())
            .is_some_and(|((need, d), p)| need.min(p.max_replicas) > d.plan.replicas)
    }

    /// Takes what a source said.
    pub fn feed(&mut self, fed: Fed, step: Step) {
        let feeding = self.feeding();
        let Some(feed) = self.feeds.get_mut(fed.metric).filter(|_| feeding) else { return };
        feed.source = fed.source;
        feed.settling = fed.settling;
        feed.warnings = fed.warnings;
        if fed.from == feed.next {
            self.days.take(fed.metric, fed.from, step, &fed.samples);
            self.outlook.loads(fed.metric, fed.from, step, fed.samples.iter().copied());
            feed.next = feed.next + step.times(fed.samples.len());
            feed.waiting.extend(fed.samples);
        }
        // the source had no history when it was asked for it, and has samples now: there may be more to learn from
        let knows = self.memory.metrics.get(fed.metric).is_some_and(|m| m.newest().is_some());
        if feed.source == SourceState::Fresh && !knows {
            self.learning = Learning::Due(fed.from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rise_is_what_came_since_the_reading_that_differs() {
        let mut feed = Feed::new(Time::from_secs(0), SourceState::Fresh);
        let mut rise = |at, load| {
            feed.take_reading(Time::from_secs(at), load);
            feed.reading(Time::from_secs(at)).map(|r| (r.load, r.rise))
        };
        assert_eq!(rise(0, 100.0), Some((100.0, 0.0)), "nothing is known of before");
        assert_eq!(rise(5, 100.0), Some((100.0, 0.0)));
        assert_eq!(rise(10, 130.0), Some((130.0, 30.0)));
        assert_eq!(rise(15, 130.0), Some((130.0, 30.0)), "not scraped again");
        assert_eq!(rise(20, 120.0), Some((120.0, 0.0)));
        assert_eq!(rise(90, 500.0), Some((500.0, 0.0)), "a reading of over a minute ago says nothing");
        assert_eq!(feed.reading(Time::from_secs(151)), None);
    }
}
