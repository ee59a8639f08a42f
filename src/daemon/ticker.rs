//! The one loop: look, learn, ask, decide, act.

use super::acting::{Acted, Actor, Intent, Urgency};
use super::ahead::{RampsAhead, ramps_ahead};
use super::archive::Archive;
use super::board::Board;
use super::events::{Events, Regarding, Subject};
use super::learning::{Learned, Task};
use super::polling::{Fed, Sources, Wanted, apart, last_step, poll};
use super::pools::Pools;
use super::reader::{Reading, ToRead};
use super::showing::Showing;
use super::telling::{Told, regarding, tell_release};
use super::tended::Tended;
use super::together::{Crowd, Together};
use super::{DecisionLog, Right};
use crate::actuate::{Outcome, Site};
use crate::clock::{Clock, Deadline};
use crate::config::Config;
use crate::demand::LeadLine;
use crate::observe::{Cluster, Karpenter, Pods, Watched};
use crate::policy::Workload;
use crate::rng;
use crate::tick::Record;
use crate::units::{Step, Time};
use futures::stream::{FuturesUnordered, StreamExt};
use rand::Rng as _;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Changes in the cluster within this time are looked at together.
const DEBOUNCE: Duration = Duration::from_millis(500);
/// Longest wait of the loop: the sign of life for `/healthz`.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// No source is waited for longer than this, whatever its timeout: meanwhile the loop stands still.
const FETCH_MAX: Duration = Duration::from_secs(60);
/// Longest time after the decisions of one step in which forecasters do their homework: meanwhile the loop stands still.
const STUDY_MAX: Duration = Duration::from_secs(15);

/// All that the loop works with.
pub(super) struct Ticker {
    pub config: Config,
    pub clock: Arc<dyn Clock>,
    pub cluster: Arc<Cluster>,
    pub karpenter: Arc<Karpenter>,
    pub pods: Arc<Pods>,
    pub sources: Arc<Sources>,
    pub board: Arc<Board>,
    pub events: Events,
    /// History on disk. None: there is none.
    pub archive: Option<Arc<Archive>>,
    pub log: Option<DecisionLog>,
    pub actor: Actor,
    pub right: Right,
    pub identity: String,
    pub lessons: mpsc::Sender<Task>,
    /// What is to be read between the steps.
    pub read_now: watch::Sender<ToRead>,
    pub tended: BTreeMap<Workload, (Tended, Told)>,
    pub together: Together,
    pub pools: Pools,
    /// Sites that are being given back.
    pub releasing: BTreeSet<Workload>,
    /// Lead times of all workloads together, as of the last step.
    pub lead_times: Vec<LeadLine>,
    /// What every workload is expected to want, for the guards.
    pub ahead: watch::Sender<Arc<Vec<RampsAhead>>>,
    /// Workloads that have opted out and whose floor is still to be given back.
    pub leaving: BTreeMap<Workload, Regarding>,
    /// Workloads whose floor of mode act has been told of in mode observe.
    pub left: BTreeSet<Workload>,
    pub showing: Showing,
    pub seed: u64,
    pub started: Deadline,
}

/// What to ask of each source at once.
fn questions(by_source: BTreeMap<String, Vec<Wanted>>, step: Step) -> Vec<(String, Vec<Wanted>)> {
    let of = |(name, wanted): (String, Vec<Wanted>)| apart(wanted, step).map(|part| (name.clone(), part));
    by_source.into_iter().flat_map(of).filter(|(_, wanted)| !wanted.is_empty()).collect()
}

impl Ticker {
    /// Runs until told to stop.
    pub async fn run(
        mut self,
        mut learned: mpsc::Receiver<Learned>,
        mut acted: mpsc::UnboundedReceiver<Acted>,
        mut read: mpsc::Receiver<Vec<Reading>>,
        mut stop: watch::Receiver<bool>,
    ) {
        let step = self.config.workloads.step;
        let mut jitter = rng::stream(self.seed, "tick");
        // sources need a moment until the samples of a step are there
        let settle = (step.duration() / 12).min(Duration::from_secs(5));
        let mut last_polled = last_step(self.clock.now(), step);
        let mut offset = settle;
        let mut woken = self.clock.now();
        self.look();
        loop {
            let unshown = self.show();
            let now = self.clock.now();
            if now < last_polled {
                last_polled = last_step(now, step);
                self.set_back(now);
            }
            let due = last_polled + step.duration() + offset;
            let wake = self.tended.values().filter_map(|(t, _)| t.wake()).min().unwrap_or(due);
            let sleep = due.min(wake.max(woken + Duration::from_secs(1))).since(now).min(IDLE_MAX);
            tokio::select! {
                () = super::told_to_stop(&mut stop) => break,
                Some(result) = learned.recv() => self.take_learned(result),
                Some(result) = acted.recv() => self.take_acted(result),
                Some(readings) = read.recv() => self.take_readings(readings),
                () = tokio::time::sleep(unshown.unwrap_or_default()), if unshown.is_some() => {}
                () = self.cluster.changed() => {
                    tokio::time::sleep(DEBOUNCE).await;
                    self.look();
                }
                () = tokio::time::sleep(sleep) => {
                    self.look();
                    let now = self.clock.now();
                    woken = now;
                    if now >= last_polled + step.duration() + offset {
                        last_polled = last_step(now, step);
                        offset = settle + settle.mul_f64(jitter.random::<f64>() / 4.0);
                        tokio::select! {
                            () = super::told_to_stop(&mut stop) => break,
                            () = self.step(last_polled) => {}
                        }
                        self.pools.step(self.clock.now(), &mut self.tended, &self.config, &self.lead_times);
                        if self.right.held() {
                            self.pools.tell(&self.tended, &self.events, self.clock.now());
                        }
                        // with what was seen meanwhile, or floors of workloads that are not known yet would be given back
                        self.look();
                    } else {
                        let waking: Vec<Workload> =
                            self.tended.iter().filter(|(_, (t, _))| t.wakes(now)).map(|(w, _)| w.clone()).collect();
                        self.tick(&waking);
                    }
                }
            }
        }
        self.actor.finish(Duration::from_secs(3)).await;
    }

    /// Takes what the watches have seen: new workloads, changed policies, opted-out ones.
    fn look(&mut self) {
        let now = self.clock.now();
        // asked before the look: only then it has seen whatever is there
        let complete = self.cluster.synced(&Watched::ALL);
        let mut gone: BTreeSet<Workload> = self.tended.keys().cloned().collect();
        let (mut refused, mut count) = (BTreeMap::new(), gone.len());
        let mut sights = self.cluster.sights(now);
        // where there are more than the limit, those with a floor of ours come first
        sights.sort_by_key(|s| !s.carries_ours());
        for sight in sights {
            let workload = sight.workload().clone();
            let known = self.tended.contains_key(&workload);
            if !known && count >= self.config.limits.workloads {
                let uid = sight.uid.clone();
                if Tended::new(sight.clone()).look(sight, &self.config, now) {
                    refused.insert(workload, uid);
                }
                continue;
            }
            let (tended, told) =
                self.tended.entry(workload.clone()).or_insert_with(|| (Tended::new(sight.clone()), Told::default()));
            if tended.look(sight, &self.config, now) {
                count += usize::from(!known);
                gone.remove(&workload);
                if self.right.held() {
                    told.problems(tended, &self.events, now);
                }
            } else if !known {
                gone.insert(workload);
            }
        }
        for workload in gone {
            if let Some((tended, _)) = self.tended.remove(&workload) {
                tended.revoke();
                if tended.sight.carries_ours() {
                    self.leaving.insert(workload, regarding(&tended));
                }
            }
        }
        self.refuse(refused);
        for (tended, _) in self.tended.values_mut() {
            if let Some(task) = tended.lesson(now)
                && self.lessons.try_send(task).is_err()
            {
                tended.postpone(now);
            }
        }
        self.pools.complete = complete;
        if complete {
            self.sweep();
        }
    }

    /// Our clock was set back: the next step, and whatever was to be looked at again, would be as far away as it was set.
    fn set_back(&mut self, now: Time) {
        tracing::warn!(%now, "the clock was set back");
        for (tended, _) in self.tended.values_mut() {
            tended.set_back(now, self.config.workloads.step);
        }
        self.tick(&self.tended.keys().cloned().collect::<Vec<_>>());
    }

    fn take_learned(&mut self, learned: Learned) {
        let now = self.clock.now();
        let workload = learned.workload.clone();
        let Some((tended, _)) = self.tended.get_mut(&workload) else { return };
        let record = tended.learned(learned, now, self.log.is_some(), !self.config.pools.is_empty());
        self.write_log(record);
        self.board.first_history();
        self.tick(&[workload]);
    }

    /// Decides at once on workloads whose load outruns their plan.
    fn take_readings(&mut self, readings: Vec<Reading>) {
        let mut outrun = BTreeSet::new();
        for reading in readings {
            let Some((tended, _)) = self.tended.get_mut(&reading.workload) else { continue };
            let workload = reading.workload.clone();
            if tended.read(&reading) {
                outrun.insert(workload);
            }
        }
        if outrun.is_empty() {
            return;
        }
        self.tick(&outrun.into_iter().collect::<Vec<_>>());
        // slots that the new replicas take are not to be filled again, on nodes that would be bought for them
        self.pools.step(self.clock.now(), &mut self.tended, &self.config, &self.lead_times);
    }

    /// What pods have taught since the last step; new policies follow at the next look.
    fn look_at_pods(&mut self) {
        let now = self.clock.now();
        self.pods.count_bursts(now);
        for (tended, _) in self.tended.values_mut() {
            tended.look_at_pods(&self.pods, &self.config, now);
        }
        self.lead_times = self.pods.all_lead_times(self.tended.keys(), now).lines();
    }

    /// Asks every source, and decides on each workload as soon as its sources have answered.
    async fn step(&mut self, to: Time) {
        self.look_at_pods();
        let step = self.config.workloads.step;
        let now = self.clock.now();
        let mut by_source: BTreeMap<String, Vec<Wanted>> = BTreeMap::new();
        let mut open: BTreeMap<Workload, usize> = BTreeMap::new();
        for (workload, (tended, _)) in &mut self.tended {
            open.insert(workload.clone(), 0);
            for (source, wanted) in tended.wanted(to, step, now) {
                by_source.entry(source).or_default().push(wanted);
            }
        }
        let questions = questions(by_source, step);
        for (_, wanted) in &questions {
            for workload in wanted.iter().map(|w| &w.workload).collect::<BTreeSet<_>>() {
                open.entry(workload.clone()).and_modify(|n| *n += 1);
            }
        }
        let sources = self.sources.clone();
        let mut asked: FuturesUnordered<_> = questions
            .into_iter()
            .filter_map(|(name, wanted)| {
                let source = sources.get(&name)?.clone();
                // its own timeout speaks first, and gives what was answered by then
                let own = self.config.sources.get(&name).map_or(Duration::ZERO, |s| s.timeout);
                let deadline = (step.duration() / 2).max(own + Duration::from_secs(2)).min(FETCH_MAX);
                Some(async move { poll(source.as_ref(), wanted, to, step, deadline).await })
            })
            .collect();
        let ready: Vec<Workload> = open.iter().filter(|(_, n)| **n == 0).map(|(w, _)| w.clone()).collect();
        self.tick(&ready);
        while let Some(answers) = asked.next().await {
            let ready = self.take_fed(answers, &mut open);
            self.tick(&ready);
        }
        self.board.first_history();
        let reads = self.tended.values().flat_map(|(tended, _)| tended.to_read());
        let mut to_read: BTreeMap<String, Vec<Wanted>> = BTreeMap::new();
        reads.for_each(|(source, wanted)| to_read.entry(source).or_default().push(wanted));
        self.read_now.send_replace(Arc::new(to_read));
        self.look_ahead();
        self.study().await;
        self.learn_usage(to).await;
    }

    /// Asks what the pods use of those workloads whose replicas are to be learned, after all decisions.
    async fn learn_usage(&mut self, to: Time) {
        let step = self.config.workloads.step;
        let mut by_source: BTreeMap<String, Vec<Wanted>> = BTreeMap::new();
        for (workload, (tended, _)) in &mut self.tended {
            for (source, wanted) in tended.outlook.usage_wanted(&self.pods, workload, to, step) {
                by_source.entry(source).or_default().push(wanted);
            }
        }
        let asked = questions(by_source, step).into_iter().filter_map(|(name, wanted)| {
            let source = self.sources.get(&name)?.clone();
            Some(async move { poll(source.as_ref(), wanted, to, step, (step.duration() / 2).min(FETCH_MAX / 2)).await })
        });
        let mut by_workload: BTreeMap<Workload, Vec<Fed>> = BTreeMap::new();
        for fed in futures::future::join_all(asked).await.into_iter().flatten() {
            by_workload.entry(fed.workload.clone()).or_default().push(fed);
        }
        let now = self.clock.now();
        for (workload, fed) in by_workload {
            let Some((tended, told)) = self.tended.get_mut(&workload) else { continue };
            tended.outlook.take_usage(fed, step);
            if self.right.held() {
                told.capacity(tended, &self.events, now);
            }
        }
    }

    /// Tells the guards what is expected.
    fn look_ahead(&mut self) {
        let now = self.clock.now();
        let tended = self.tended.values_mut();
        let ahead: Vec<RampsAhead> = tended.filter_map(|(t, _)| ramps_ahead(t, &self.config, now)).collect();
        let events = self.right.held().then_some(&self.events);
        self.pools.foresee(&ahead, &mut self.tended, events, now);
        self.ahead.send_replace(Arc::new(ahead));
    }

    /// Lets forecasters do their homework after the decisions, for a tenth of a step or [`STUDY_MAX`] at most: there are 15
    /// minutes for it, and what is left then is done on the tick.
    async fn study(&mut self) {
        let begun = Deadline::now();
        let most = (self.config.workloads.step.duration() / 10).min(STUDY_MAX);
        for (tended, _) in self.tended.values_mut() {
            tended.study().await;
            if begun.ago() > most {
                break;
            }
        }
    }

    /// Gives the workloads that have all they asked for.
    fn take_fed(&mut self, answers: Vec<Fed>, open: &mut BTreeMap<Workload, usize>) -> Vec<Workload> {
        let mut touched = BTreeSet::new();
        for fed in answers {
            touched.insert(fed.workload.clone());
            if let Some((tended, _)) = self.tended.get_mut(&fed.workload) {
                if let Some(archive) = &self.archive
                    && let Some((source, query)) = tended.origin(fed.metric)
                {
                    archive.keep(&source, &query, fed.from, self.config.workloads.step, &fed.samples);
                }
                tended.feed(fed, self.config.workloads.step);
            }
        }
        let answered = |w: &Workload, open: &mut BTreeMap<Workload, usize>| {
            let left = open.get_mut(w)?;
            *left = left.saturating_sub(1);
            (*left == 0).then_some(())
        };
        touched.into_iter().filter(|w| answered(w, open).is_some()).collect()
    }

    /// Decides on workloads, writes what is to be written.
    fn tick(&mut self, workloads: &[Workload]) {
        let now = self.clock.now();
        let mut jitter = rng::stream(self.seed.wrapping_add(now.millis().unsigned_abs()), "spread");
        let spread = (self.config.workloads.step.duration() / 20).min(Duration::from_secs(2));
        let all = self.tended.values().map(|(tended, _)| tended);
        let crowd = all.fold(Crowd::default(), |crowd, tended| crowd.count(tended, tended.acts(&self.config)));
        for workload in workloads {
            let Some((tended, told)) = self.tended.get_mut(workload) else { continue };
            let acts = tended.acts(&self.config);
            let Some(record) = self.together.tick(tended, acts, crowd, now) else { continue };
            self.board.metrics.decisions.inc();
            if let Some(log) = &self.log {
                log.append(tended.policy_record().map(|r| r.to_line()).as_deref());
                log.append([record.to_line().as_str()]);
            }
            let writes = self.right.held();
            if writes {
                told.decision(tended, &self.events, now);
                told.stopped(tended, &self.events, now);
            }
            if tended.sight.stopped.is_some() {
                continue;
            }
            if !acts {
                if let Some(actions) = tended.rehearse(now) {
                    tended.outcome = Some(actions.outcome);
                    if writes {
                        told.rehearsed(tended, &actions, &self.events, now);
                    }
                }
                continue;
            }
            tended.stop_rehearsing();
            let Some(actions) = tended.actions(now) else { continue };
            if actions.writes.is_empty() || tended.writing {
                tended.outcome = Some(actions.outcome);
                continue;
            }
            let Some((target, plan)) = tended.target().zip(tended.decision.as_ref().map(|d| d.plan.clone())) else {
                continue;
            };
            let known = self.cluster.may_write(&workload.namespace).is_ok();
            if !writes || !known || !tended.may_write() || self.releasing.contains(workload) {
                continue;
            }
            let site = Site { workload: workload.clone(), target: target.target, max_replicas: target.max_replicas };
            let (urgency, late) = match actions.outcome {
                Outcome::Raised => (Urgency::Raise, 0.0),
                _ => (Urgency::Other, 1.0),
            };
            let delay = spread.mul_f64((late + jitter.random::<f64>()) / 2.0);
            tended.begin_write();
            self.actor.start(site, Intent::Plan(plan), urgency, tended.edition(), delay);
        }
    }

    fn take_acted(&mut self, acted: Acted) {
        let now = self.clock.now();
        let workload = acted.site.workload.clone();
        self.releasing.remove(&workload);
        match &acted.result {
            Ok(carried) => {
                for write in &carried.writes {
                    self.board.metrics.wrote(write);
                }
            }
            Err(error) => {
                tracing::warn!(%workload, %error, "write");
                self.board.metrics.write_failed(error.kind());
            }
        }
        let Some((tended, told)) = self.tended.get_mut(&workload) else {
            if let (Ok(carried), Intent::Release | Intent::Expire) = (&acted.result, &acted.intent) {
                // opted out while no copy ran: its uid is not known
                let unknown = || Regarding { subject: Subject::Workload(workload.clone()), uid: String::new() };
                let about = self.leaving.remove(&workload).unwrap_or_else(unknown);
                tell_release(&about, carried, &self.events, now);
            }
            return;
        };
        told.acted(tended, &acted, &self.events, now);
        if let Ok(carried) = &acted.result {
            if carried.outcome == Outcome::Raised {
                self.pods.raised(&workload, now);
            }
            tended.outcome = Some(carried.outcome);
        }
        if matches!(acted.intent, Intent::Plan(_)) && tended.wrote(acted.result.err()) {
            self.tick(&[workload]);
        }
    }

    fn write_log(&self, record: Option<Record>) {
        if let (Some(log), Some(record)) = (&self.log, record) {
            log.append([record.to_line().as_str()]);
        }
    }
}
