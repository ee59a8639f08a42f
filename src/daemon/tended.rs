//! One workload that is looked after: its policy, what it has learned, its last decision.

mod feed;
mod lessons;
mod state;
mod writing;

use super::ahead::Days;
use super::learning::Learned;
use super::outlook::{Outlook, meanwhile, teaches};
use crate::actuate::{Actions, Ledger, Outcome, Target, TargetView, Write, actions};
use crate::clock::Deadline;
use crate::config::{Config, Mode};
use crate::observe::{Pods, Sight};
use crate::plan::{Observation, Room, SourceState};
use crate::policy::{Policy, resolve};
use crate::tick::{Decision, Inputs, Memory, MetricInputs, Record, tick};
use crate::units::{Replicas, Time};
use feed::Feed;
use lessons::AGAIN;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// First and longest pause after a failed attempt to learn or to write.
const PAUSE_FIRST: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// A floor with less than this left is not made to wait for learning.
const EXPIRES_SOON: Duration = Duration::from_secs(5 * 60);
/// Samples so many steps ahead of a clock that was set back are of a time that never was.
const AHEAD_STEPS: usize = 3;

/// How far learning is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Learning {
    /// To be started at this time.
    Due(Time),
    /// Under way.
    UnderWay,
    /// Done.
    Done,
}

/// One workload that is looked after.
#[derive(Debug)]
pub struct Tended {
    /// As it was seen last.
    pub sight: Sight,
    /// How it is scaled. None: its annotations are wrong.
    pub policy: Option<Policy>,
    /// How it will be as soon as a planner for it has learned. None: it is so already.
    next: Option<Policy>,
    /// The policy that the lesson under way is for.
    taught: Option<Policy>,
    /// The log does not know the policy yet.
    unlogged: bool,
    /// The log has a start of it, from which its memory goes on.
    started: bool,
    pub(super) outlook: Outlook,
    /// What is wrong.
    pub problems: Vec<String>,
    notes: Vec<String>,
    /// Why it has learned from a part of its history only; the rest is asked for again, a few times.
    incomplete: Option<String>,
    /// How often it has been asked for again.
    again: usize,
    /// What will not fit in the hours ahead.
    pub unfit: Vec<String>,
    /// Grows with every change of the policy; a write that was decided under an older one is dropped.
    edition: Arc<AtomicU64>,
    learning: Learning,
    failures: u32,
    feeds: Vec<Feed>,
    memory: Memory,
    /// The day ahead, for outlooks.
    pub(super) days: Days,
    /// The last decision.
    pub decision: Option<Decision>,
    /// What it amounted to.
    pub outcome: Option<Outcome>,
    /// Why the last write failed.
    pub write_error: Option<String>,
    /// A write is under way.
    pub writing: bool,
    /// When the newest write was decided.
    write_began: Deadline,
    write_failures: u32,
    write_after: Deadline,
    /// In observe mode: what would be written.
    shadow: Option<Ledger>,
    /// Replicas that the recorded load needed, every five minutes from an instant on. For its warm pool. None: there are no pools.
    pub past: Option<(Time, Vec<f32>)>,
}

impl Tended {
    /// A workload just seen.
    pub fn new(sight: Sight) -> Tended {
        Tended {
            sight,
            policy: None,
            next: None,
            taught: None,
            unlogged: false,
            started: false,
            outlook: Outlook::default(),
            problems: Vec::new(),
            notes: Vec::new(),
            incomplete: None,
            again: 0,
            unfit: Vec::new(),
            edition: Arc::default(),
            learning: Learning::Done,
            failures: 0,
            feeds: Vec::new(),
            memory: Memory::new(Vec::new()),
            days: Days::default(),
            decision: None,
            outcome: None,
            write_error: None,
            writing: false,
            write_began: Deadline::now(),
            write_failures: 0,
            write_after: Deadline::now(),
            shadow: None,
            past: None,
        }
    }

    /// Takes a new look. False: it has not opted in (any more).
    pub fn look(&mut self, sight: Sight, config: &Config, now: Time) -> bool {
        let place = |sight: &Sight| sight.target.as_ref().ok().map(|t| t.target.clone());
        if place(&self.sight) != place(&sight) {
            // what waits to be written was meant for another object
            self.revoke();
        }
        self.sight = sight;
        let (policy, notes, mut problems) = match resolve(&self.sight.view, config) {
            Ok(None) => return false,
            Ok(Some(resolved)) => {
                let policy = self.outlook.over(&resolved, config);
                (Some(policy), resolved.notes.iter().map(ToString::to_string).collect(), Vec::new())
            }
            Err(problems) => (None, Vec::new(), problems.iter().map(ToString::to_string).collect::<Vec<_>>()),
        };
        problems.extend(self.sight.target.as_ref().err().map(ToString::to_string));
        self.notes = notes;
        self.problems = problems;
        self.follow(policy, now);
        true
    }

    /// Follows a policy: at once, or as soon as a planner for it has learned where only what is planned for has changed.
    fn follow(&mut self, policy: Option<Policy>, now: Time) {
        if policy == self.policy {
            self.next = self.unfinished();
            return;
        }
        let until = policy.as_ref().zip(self.policy.as_ref()).and_then(|(wanted, current)| meanwhile(wanted, current));
        let learned = !self.memory.metrics.is_empty();
        match until.filter(|_| learned) {
            Some(until) => {
                if self.policy.as_ref() != Some(&until) {
                    self.adopt(Some(until));
                }
                let next = policy.filter(|p| teaches(Some(p)) != teaches(self.policy.as_ref()));
                let waits = self.incomplete.is_some() && matches!(self.learning, Learning::Due(_));
                if self.next != next && next.is_some() && (self.learning == Learning::Done || waits) {
                    self.learning = Learning::Due(now);
                }
                self.next = next.or_else(|| self.unfinished());
            }
            None => {
                let relearn = teaches(policy.as_ref()) != teaches(self.policy.as_ref());
                self.adopt(policy);
                self.next = None;
                if relearn {
                    (self.incomplete, self.again) = (None, 0);
                    self.learning = Learning::Due(now);
                    self.failures = 0;
                    self.memory.metrics.clear();
                    self.days = Days::default();
                    self.feeds.clear();
                }
            }
        }
    }

    fn adopt(&mut self, policy: Option<Policy>) {
        self.revoke();
        self.policy = policy;
        self.unlogged = true;
    }

    /// What its pods have taught. Once a minute.
    pub fn look_at_pods(&mut self, pods: &Pods, config: &Config, now: Time) {
        self.outlook.look(pods, &self.sight.view.workload, config, now);
    }

    /// The workload as it was seen last, with what its pods say.
    fn observation(&self) -> Observation {
        Observation { unhealthy: self.outlook.unhealthy, ..self.sight.observation.clone() }
    }

    /// The line for the log where the policy has changed without anything to learn, or nothing has been learned so far.
    pub fn policy_record(&mut self) -> Option<Record> {
        let policy = self.policy.clone().filter(|_| std::mem::take(&mut self.unlogged))?;
        let workload = self.sight.workload().clone();
        let continued = std::mem::replace(&mut self.started, true);
        if continued && !self.memory.metrics.is_empty() {
            return Some(Record::Policy { workload, policy });
        }
        let build = env!("CARGO_PKG_VERSION").into();
        Some(Record::Start { workload, build, policy, metrics: Vec::new(), continued })
    }

    /// Samples are fetched and taken: what was learned is of use.
    fn feeding(&self) -> bool {
        !self.memory.metrics.is_empty() && (self.learning == Learning::Done || self.next.is_some())
    }

    /// The lower of config and annotation. None: its annotations are wrong.
    pub fn mode(&self, config: &Config) -> Option<Mode> {
        self.policy.as_ref().map(|p| p.mode.min(config.mode))
    }

    /// True when decisions of this workload are written.
    pub fn acts(&self, config: &Config) -> bool {
        self.mode(config) == Some(Mode::Act) && self.sight.target.is_ok()
    }

    /// Somebody else's value stands.
    pub fn yields(&self) -> bool {
        matches!(self.outcome, Some(Outcome::Yielded | Outcome::Contested))
    }

    /// Takes what was learned, for warm pools too where there are some (`pooled`). Some: the line for the decision log, where
    /// there is one (`logged`).
    pub fn learned(&mut self, learned: Learned, now: Time, logged: bool, pooled: bool) -> Option<Record> {
        if learned.edition != self.edition.load(Ordering::SeqCst) {
            if self.learning == Learning::UnderWay {
                self.learning = Learning::Due(now);
            }
            return None;
        }
        let wanted = self.next.clone().or(self.policy.clone())?;
        let lessons = match learned.lessons {
            Ok(lessons) => lessons,
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                self.learning = Learning::Due(now + pause(self.failures));
                if self.next.is_some() {
                    return None;
                }
                let source = SourceState::Failing { error };
                self.feeds = wanted.metrics.iter().map(|_| Feed::new(now, source.clone())).collect();
                return None;
            }
        };
        let ahead = lessons.iter().any(|l| l.next > now + l.history.step().times(AHEAD_STEPS));
        if ahead || teaches(self.taught.as_ref()) != teaches(Some(&wanted)) {
            self.learning = Learning::Due(now);
            return None;
        }
        if let Some(next) = self.next.take().filter(|next| self.policy.as_ref() != Some(next)) {
            self.adopt(Some(next));
        }
        let policy = self.policy.clone()?;
        self.unlogged = false;
        self.learning = Learning::Done;
        match learned.incomplete {
            Some(why) => {
                self.incomplete = Some(format!("learned from a part of the history only: {why}"));
                if let Some(pause) = AGAIN.get(self.again) {
                    // it decides with what it has, meanwhile
                    self.again += 1;
                    self.learning = Learning::Due(now + *pause);
                    self.next = Some(policy.clone());
                }
            }
            None => (self.incomplete, self.again) = (None, 0),
        }
        self.failures = 0;
        self.feeds = lessons
            .iter()
            .map(|l| {
                let known = l.memory.newest().is_some();
                Feed::new(l.next, if known { SourceState::Fresh } else { SourceState::Stale })
            })
            .collect();
        let capacities = policy.metrics.iter().map(|m| m.capacity_per_replica);
        let record = logged.then(|| Record::Start {
            workload: learned.workload,
            build: env!("CARGO_PKG_VERSION").into(),
            policy: policy.clone(),
            metrics: lessons.iter().map(|l| l.history.clone()).zip(capacities).collect(),
            continued: self.decision.is_some(),
        });
        self.started |= logged;
        self.days = Days::of(lessons.iter().map(|l| &l.history), &policy);
        for (i, lesson) in lessons.iter().enumerate() {
            let history = &lesson.history;
            self.outlook.loads(i, history.at(0), history.step(), history.iter().map(|(_, sample)| sample));
        }
        self.past = lessons
            .iter()
            .zip(&policy.metrics)
            .next()
            .filter(|_| pooled)
            .and_then(|(l, m)| super::pools::past_needs(&l.history, m.capacity_per_replica));
        self.memory.metrics = lessons.into_iter().map(|l| l.memory).collect();
        record
    }

    /// True when the last decision wants to be looked at again.
    pub fn wakes(&self, now: Time) -> bool {
        self.wake().is_some_and(|wake| wake <= now)
    }

    /// When the last decision wants to be looked at again; before the first one, when a floor of ours has to be renewed.
    pub fn wake(&self) -> Option<Time> {
        match &self.decision {
            Some(decision) => Some(decision.plan.wake),
            None => self.expires().filter(|_| self.policy.is_some()).map(|at| at - EXPIRES_SOON),
        }
    }

    /// When a floor of ours expires.
    fn expires(&self) -> Option<Time> {
        let ours = self.sight.target.as_ref().ok().filter(|t| t.our_floor().is_some());
        ours.and_then(|t| t.ledger.as_ref()).map(|l| l.expires)
    }

    /// A floor of ours would soon expire. With nothing learned the load is unknown, and what stands is held and renewed.
    fn expires_soon(&self, now: Time) -> bool {
        self.expires().is_some_and(|at| at <= now + EXPIRES_SOON)
    }

    /// Decides, within what all workloads together leave it. Gives the inputs too, for the log. None: there is no policy, or
    /// nothing has been learned so far, no attempt has failed and no floor of ours would expire.
    pub fn tick(&mut self, now: Time, room: Room) -> Option<Record> {
        let mut observation = Observation { room: Some(room), ..self.observation() };
        let policy = self.policy.as_ref()?;
        let learned = self.learning == Learning::Done || self.feeding() || self.decision.is_some() || self.failures > 0;
        if !learned && !self.expires_soon(now) {
            return None;
        }
        let metrics = policy.metrics.iter().zip(&mut self.feeds).map(|(metric, feed)| MetricInputs {
            samples: std::mem::take(&mut feed.waiting),
            source: feed.source.clone(),
            capacity_per_replica: metric.capacity_per_replica,
            settling: feed.settling,
            reading: feed.reading(now),
        });
        // in observe mode: as if every write so far had been made
        if let Some(shadow) = self.shadow.as_ref().filter(|_| !observation.autoscaled) {
            observation.replicas = shadow.floor;
        }
        let inputs = Inputs { metrics: metrics.collect(), observation };
        let decision = tick(now, policy, &inputs, &mut self.memory);
        self.decision = Some(decision.clone());
        Some(Record::Tick { workload: self.sight.workload().clone(), now, inputs, decision })
    }

    /// The target with the bounds of the policy, as last seen.
    pub fn target(&self) -> Option<TargetView> {
        let mut view = self.sight.target.clone().ok()?;
        if view.target == Target::Scale {
            view.max_replicas = self.policy.as_ref()?.max_replicas;
        }
        Some(view)
    }

    /// What the last decision asks for, on the target as last seen.
    pub fn actions(&self, now: Time) -> Option<Actions> {
        Some(actions(now, &self.decision.as_ref()?.plan, &self.target()?))
    }

    /// The same in observe mode: as if every write so far had been made. Remembers this one too.
    pub fn rehearse(&mut self, now: Time) -> Option<Actions> {
        let mut view = self.target()?;
        if let Some(ledger) = &self.shadow {
            view.replicas = match view.target {
                Target::Scale => ledger.floor,
                Target::Hpa { .. } | Target::ScaledObject { .. } => view.replicas.max(ledger.floor),
            };
            view.floor = Some(ledger.floor);
            view.ledger = Some(ledger.clone());
        }
        let actions = actions(now, &self.decision.as_ref()?.plan, &view);
        for write in &actions.writes {
            match write {
                Write::Floor { ledger, .. } | Write::Ledger { ledger } => self.shadow = Some(ledger.clone()),
                Write::Restore { .. } => self.shadow = None,
                Write::Scale { .. } => {}
            }
        }
        Some(actions)
    }

    /// Forgets what would have been written.
    pub fn stop_rehearsing(&mut self) {
        self.shadow = None;
    }

    /// The newest load of the first metric.
    pub fn newest_load(&self) -> Option<f64> {
        self.memory.metrics.first().and_then(|m| m.newest()).map(|(_, load)| load)
    }

    /// For a fence: the edition of the policy, and where to look whether it still is.
    pub fn edition(&self) -> (u64, Arc<AtomicU64>) {
        (self.edition.load(Ordering::SeqCst), self.edition.clone())
    }

    /// Nothing that was decided so far may be written any more.
    pub fn revoke(&self) {
        /// Of all workloads, so that one that leaves and comes back gets nothing that was meant for the one before.
        static EDITIONS: AtomicU64 = AtomicU64::new(0);
        self.edition.store(EDITIONS.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
    }

    /// What the sources of its metrics said last.
    pub fn sources(&self) -> impl Iterator<Item = (&str, &SourceState)> {
        let names = self.policy.iter().flat_map(|p| p.metrics.iter().map(|m| m.source.as_str()));
        names.zip(self.feeds.iter().map(|f| &f.source))
    }

    /// Values of its metrics that were measured but are not believed, by source.
    pub fn doubted(&self) -> impl Iterator<Item = (&str, f64)> {
        let names = self.policy.iter().flat_map(|p| p.metrics.iter().map(|m| m.source.as_str()));
        names.zip(&self.memory.metrics).filter_map(|(name, m)| Some((name, m.doubted()?)))
    }

    /// The floor that stands, or would in observe mode.
    pub fn floor(&self) -> Option<Replicas> {
        let ledger = self.sight.target.as_ref().ok().and_then(|t| t.ledger.as_ref());
        ledger.or(self.shadow.as_ref()).map(|l| l.floor)
    }

    /// The user's own lower bound as last seen.
    pub fn own_floor(&self) -> Option<Replicas> {
        let target = self.sight.target.as_ref().ok()?;
        target.ledger.as_ref().map_or(target.standing(), |l| l.original)
    }

    /// Does the forecasters' homework on a thread for such work, one after the other.
    pub async fn study(&mut self) {
        for memory in &mut self.memory.metrics {
            if let Some(homework) = memory.homework()
                && let Ok(done) = tokio::task::spawn_blocking(move || homework.work()).await
            {
                memory.hand_in(done);
            }
        }
    }
}

fn pause(failures: u32) -> Duration {
    PAUSE_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests;
