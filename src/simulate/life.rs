//! The life of one workload under faults, minute by minute.

mod late;

use super::cluster::{Cluster, WorkloadSpec};
use super::faults::{Episode, Fault, draw};
use super::fleet::Trial;
use super::mind::{Facts, Mind};
use super::nodes::NodeSpec;
use super::pods::StartDelay;
use super::source::{Source, Told};
use super::warm::Warm;
use super::witness::{Moved, Turned, Violation, Witness};
use crate::actuate::{self, Write};
use crate::plan::{Observation, Plan, Room, Shares, VALID};
use crate::rng::{self, Rng};
use crate::series::Sample;
use crate::units::{Replicas, Step, Time, replicas_for};
use rand::Rng as _;
use std::collections::VecDeque;
use std::time::Duration;

/// One minute of load in steps of the HPA's sync.
const STEPS: u64 = 60 / super::hpa::SYNC.as_secs();
/// Our expired floors are swept this often, by a job that is not us.
const SWEEP: Duration = Duration::from_secs(60);
/// Minutes of truth after which nothing false is left in what the operator knows.
const TRUTH_MINUTES: u64 = 5;
/// Minutes for which a sample says something of now.
const CLAIM_MINUTES: u64 = 3;
/// Minutes for which the need of now is held where there is no autoscaler.
const STABILIZED_MINUTES: u64 = 5;
/// Minutes of claims that are kept.
const CLAIMS_MINUTES: u64 = 30;
/// Seconds after which a sample says nothing of now.
const OLD_SECONDS: f64 = 180.0;
/// On either side of a time of day, minutes that still count as the same.
const HABIT_MINUTES: usize = 30;
/// Pods that start this much slower never become ready within an episode.
const NEVER: f64 = 1000.0;
/// A clock that runs wrong gains or loses up to this share.
const RATE: f64 = 0.01;
/// Share of the workloads that have an autoscaler.
const AUTOSCALED: f64 = 0.8;

/// What came out of a life.
#[derive(Debug)]
pub(super) struct Lived {
    pub(super) turns: u64,
    pub(super) floors_written: u64,
    pub(super) faults: Vec<Fault>,
    pub(super) violations: Vec<Violation>,
}

/// One workload and its operator.
#[derive(Debug)]
pub(super) struct Life {
    rng: Rng,
    cluster: Cluster,
    mind: Mind,
    source: Source,
    witness: Witness,
    /// The warm pool of a workload on nodes.
    warm: Option<Warm>,
    episodes: Vec<Episode>,
    active: Vec<Episode>,
    /// Episodes that have begun.
    began: usize,
    /// The user's own value of the field that we write.
    users_value: Replicas,
    base: f64,
    swing: f64,
    unserved: f64,
    truthful_minutes: u64,
    uninformed_minutes: u64,
    /// What the newest sample of a minute claims to need.
    claims: VecDeque<(u64, Replicas)>,
    /// The need of every sample that the operator was given; None where it could not be believed.
    needs: Vec<Option<Replicas>>,
    had_skew: bool,
    /// When we looked last, by our clock and in truth.
    looked: Option<(Time, u64)>,
    was_stopped: bool,
    edition: u64,
    turns: u64,
    floors_written: u64,
}

impl Life {
    /// Draws workload `n` of a trial.
    pub(super) fn draw(trial: &Trial, n: u64, minutes: u64) -> Life {
        let mut rng = rng::stream(trial.seed, &format!("life/{n}"));
        let capacity_per_replica = 10f64.powf(rng.random_range(0.0..3.0));
        let peak = 10f64.powf(rng.random_range(0.3..2.2));
        let users_min = rng.random_range(1..=1 + (peak / 4.0) as Replicas);
        let max_replicas = (peak * rng.random_range(1.0..3.0)) as Replicas + users_min + 1;
        let seconds = |s: u64| Duration::from_secs(s);
        let p50 = rng.random_range(10..120);
        let start_delay = StartDelay { p50: seconds(p50), p95: seconds(p50 * 2), longest: seconds(p50 * 4) };
        let spec = WorkloadSpec { capacity_per_replica, min_replicas: users_min, max_replicas, start_delay };
        let now = Time::from_secs(1_700_000_040 + rng.random_range(0..7 * 1440) * 60);
        let target = capacity_per_replica * rng.random_range(0.5..1.0);
        let target = rng.random_bool(AUTOSCALED).then_some(target);
        let mut cluster = Cluster::new(now, spec, target, users_min, trial.seed ^ n);
        if n.is_multiple_of(2) {
            cluster.put_on_nodes(NodeSpec::draw(trial.seed, n), trial.seed ^ n);
        }
        let warm = n.is_multiple_of(8).then(Warm::new).flatten();
        let facts = Facts {
            capacity: capacity_per_replica,
            users_min,
            max_replicas,
            lead: start_delay.p95,
            two_metrics: n.is_multiple_of(4),
        };
        let evil = rng::stream(trial.seed, &format!("adversary/{n}"));
        let mind = Mind::new(trial.forecaster, evil, now + Step::MINUTE.duration(), &facts);
        let load = peak * capacity_per_replica;
        let swing = rng.random_range(0.0..0.8);
        let episodes = draw(&mut rng, &trial.faults, minutes);
        Life {
            rng,
            cluster,
            mind,
            source: Source::new(load),
            witness: Witness::new(n),
            warm,
            episodes,
            active: Vec::new(),
            began: 0,
            users_value: users_min,
            base: load,
            swing,
            unserved: 0.0,
            truthful_minutes: 0,
            uninformed_minutes: 0,
            needs: Vec::new(),
            claims: VecDeque::new(),
            had_skew: false,
            looked: None,
            was_stopped: false,
            edition: 0,
            turns: 0,
            floors_written: 0,
        }
    }

    /// Ends it: we are uninstalled, and whatever is ours has to be gone (I12).
    pub(super) fn end(mut self, minutes: u64) -> Lived {
        self.release(minutes);
        Lived {
            turns: self.turns,
            floors_written: self.floors_written,
            faults: self.episodes.iter().map(|e| e.fault).collect(),
            violations: self.witness.into_violations(),
        }
    }

    fn on(&self, fault: Fault) -> Option<Episode> {
        self.active.iter().find(|e| e.fault == fault).copied()
    }

    fn is(&self, fault: Fault) -> bool {
        self.on(fault).is_some()
    }

    fn begins(&self, fault: Fault, minute: u64) -> Option<Episode> {
        self.active.iter().find(|e| e.fault == fault && e.from == minute).copied()
    }

    /// A day's curve, noise, now and then a jump; in a retry storm, what was not served comes again.
    fn load(&mut self, minute: u64) -> f64 {
        let day = (minute as f64 / 1440.0 * std::f64::consts::TAU).sin();
        let noise = self.rng.random_range(0.9..1.1);
        let jump = if self.rng.random_bool(0.002) { self.rng.random_range(0.5..2.0) } else { 1.0 };
        let load = self.base * (1.0 - self.swing / 2.0 * (1.0 - day)) * noise * jump;
        let again = self.on(Fault::RetryStorm).map_or(0.0, |e| self.unserved * e.degree);
        load + again.min(3.0 * load)
    }

    /// Pods of it now.
    pub(super) fn pods(&self) -> Replicas {
        self.cluster.deployment.replicas()
    }

    /// A cluster-wide rule did not hold.
    pub(super) fn accuse(&mut self, invariant: &'static str, minute: u64, seen: String) {
        self.witness.accuse(invariant, minute, seen);
    }

    /// One minute, in a cluster that has `pods`. What was moved in it.
    pub(super) fn minute(&mut self, minute: u64, shares: &mut Shares, pods: Replicas) -> Moved {
        let ended: Vec<Fault> = self.active.iter().filter(|e| !e.lasts(minute)).map(|e| e.fault).collect();
        self.active.retain(|e| e.lasts(minute));
        while let Some(next) = self.episodes.get(self.began).filter(|e| e.from <= minute) {
            self.active.push(*next);
            self.began += 1;
        }
        self.witness.during(&self.active);
        self.environment(minute, &ended);
        let load = self.load(minute);
        self.unserved = 0.0;
        for _ in 0..STEPS {
            self.unserved = self.unserved.max(self.cluster.step(load, true).unserved);
        }
        let known = if self.is(Fault::Zeros) { self.needs.iter().rev().take(1440).flatten().count() } else { 0 };
        let told = self.source.tell(load, |f| self.active.iter().find(|e| e.fault == f).copied(), known);
        let ahead = if self.mind.is_real() { self.skew(minute) } else { 0.0 };
        // by a clock that is ahead, the newest sample is old: the load of now is not known
        let believed = told.informed;
        let told = Told { informed: told.informed && ahead < OLD_SECONDS, ..told };
        self.truthful_minutes = if told.truthful { self.truthful_minutes + 1 } else { 0 };
        // zeros may still be doubted by some measure when others believe them
        let present = !self.is(Fault::Down);
        let doubted = !told.informed || ahead >= 60.0 || !present || self.is(Fault::Zeros);
        self.uninformed_minutes = if doubted { self.uninformed_minutes + 1 } else { 0 };
        let mut moved = Moved::default();
        if present {
            moved = self.turn(minute, load, told, believed, (shares, pods));
            self.turns += 1;
        } else {
            self.source.unheard(told.samples);
        }
        self.sweep(minute);
        moved
    }

    fn environment(&mut self, minute: u64, ended: &[Fault]) {
        let now = self.cluster.now();
        let quota = self.on(Fault::Quota).map(|e| {
            let peak = self.base / self.cluster.spec().capacity_per_replica;
            (peak * e.degree) as Replicas + 1
        });
        let sold_out = self.is(Fault::Stockout);
        if let Some(nodes) = &mut self.cluster.nodes {
            nodes.set_sold_out(sold_out);
        }
        let never = self.is(Fault::CrashLoop) || (sold_out && self.cluster.nodes.is_none());
        let slow = self.is(Fault::SlowPods);
        let pods = &mut self.cluster.deployment;
        pods.set_quota(quota);
        pods.set_slowdown(if never {
            NEVER
        } else if slow {
            5.0
        } else {
            1.0
        });
        if ended.contains(&Fault::CrashLoop) || ended.contains(&Fault::Stockout) {
            pods.restart_starting(now);
        }
        for fault in [Fault::Rollout, Fault::CrashLoop, Fault::Regression] {
            if let Some(begun) = self.begins(fault, minute) {
                self.cluster.deployment.restart(now, begun.degree);
                if fault == Fault::Regression {
                    self.cluster.set_strength(0.5 + begun.degree);
                }
            }
        }
        if let Some(begun) = self.begins(Fault::NodesLost, minute) {
            if let Some(nodes) = &mut self.cluster.nodes {
                nodes.lose(begun.degree);
                self.cluster.deployment.set_room(Some(nodes.slots(now)));
            }
            self.cluster.deployment.restart(now, begun.degree);
        }
        let max = self.cluster.spec().max_replicas;
        if let Some(edit) = self.begins(Fault::UserEdit, minute) {
            let wanted = 1 + (edit.degree * f64::from(max) / 2.0) as Replicas;
            // a value that is ours at this moment could not be told from ours
            if self.standing() != wanted && wanted <= max {
                self.users_value = wanted;
                self.edition += 1;
                self.others(wanted);
            }
        }
        if self.is(Fault::GitOpsRevert) && minute.is_multiple_of(3) && self.standing() != self.users_value {
            self.others(self.users_value);
        }
    }

    /// Someone else sets the value.
    fn others(&mut self, value: Replicas) {
        self.cluster.hpa.edit(value, &mut self.cluster.deployment);
        self.witness.others_changed();
    }

    /// The value that stands where we write.
    fn standing(&self) -> Replicas {
        self.cluster.hpa.standing(&self.cluster.deployment)
    }

    /// Seconds that our clock is ahead.
    fn skew(&self, minute: u64) -> f64 {
        let set = self.on(Fault::ClockSkew).map_or(0.0, |e| (e.degree - 0.5) * 7200.0);
        let runs = |e: Episode| (e.degree - 0.5) * 2.0 * RATE * 60.0 * (minute - e.from) as f64;
        set + self.on(Fault::ClockRate).map_or(0.0, runs)
    }

    /// What our clock says.
    fn own_now(&self, minute: u64) -> Time {
        Time::from_millis(self.cluster.now().millis() + (self.skew(minute) * 1000.0) as i64)
    }

    /// Tells the witness how much older our clock makes everything that we remember, in begun minutes as the planner
    /// counts them.
    fn follow_clock(&mut self, minute: u64) {
        let own = self.own_now(minute);
        self.had_skew |= own != self.cluster.now();
        let (before, then) = self.looked.replace((own, minute)).unwrap_or((own, minute));
        let begun = own.secs().div_euclid(60) - before.secs().div_euclid(60);
        let more = begun - (minute - then) as i64;
        let jump = own.since(before);
        // a floor that stands after so long a pause would have expired: then it was the clock
        let ours = self.cluster.hpa.our_floor(&self.cluster.deployment).is_some();
        if let Ok(minutes @ 1..) = u64::try_from(more)
            && (jump <= VALID || !ours)
        {
            self.witness.paused(minutes);
            self.uninformed_minutes += if self.uninformed_minutes > 0 { minutes } else { 0 };
        }
    }

    fn turn(
        &mut self,
        minute: u64,
        load: f64,
        told: Told,
        believed: bool,
        (shares, pods): (&mut Shares, Replicas),
    ) -> Moved {
        // every life has a calendar of its own
        let together = Time::from_secs(60 * minute as i64);
        self.follow_clock(minute);
        let now = self.own_now(minute);
        let capacity = self.cluster.spec().capacity_per_replica;
        let need = |s: &Sample| s.measured().filter(|v| (0.0..1e15).contains(v)).map(|v| replicas_for(v, capacity));
        let newest = told.samples.iter().rev().find_map(need);
        self.claims.extend(newest.map(|need| (minute, need)));
        self.claims.retain(|(m, _)| minute - m <= CLAIMS_MINUTES);
        self.needs.extend(told.samples.iter().map(need));
        if let (false, Some(newest)) = (believed || told.samples.is_empty(), self.needs.last_mut()) {
            *newest = None;
        }
        let takes_over = self.begins(Fault::LeaderChange, minute);
        let late = takes_over.map(|e| {
            let (room, before) = (shares.room(together, pods), self.mind.plans().last());
            let (late, seen, plan) = self.decided(minute, now, &told, room);
            shares.note(together, before, &seen, &plan);
            (e, late)
        });
        let stopped = self.is(Fault::KillSwitch);
        let again = self.begins(Fault::Restart, minute).is_some();
        let restarted = minute == 0 || takes_over.is_some() || again || self.was_stopped;
        if restarted {
            self.mind.forget_plans();
        }
        self.was_stopped = stopped;
        let refused = stopped || self.is(Fault::ApiDown) || self.is(Fault::WebhookDenies);
        let (running, before) = (self.cluster.deployment.replicas(), self.standing());
        // the other copy has seen the same samples already
        let told = if takes_over.is_some() { Told { samples: Vec::new(), ..told } } else { told };
        let room = shares.room(together, pods);
        let (seen, blocked) = (self.observation(now, room), self.cluster.deployment.blocked().is_some());
        let (bounds, planned) = (self.bounds(), self.mind.plans().last());
        let plan = self.mind.decide(minute, now, bounds, seen.clone(), &told, capacity);
        shares.note(together, planned, &seen, &plan);
        let true_now = self.cluster.now();
        if let (Some(warm), Some(nodes)) = (&mut self.warm, &mut self.cluster.nodes) {
            let slots = warm.size(true_now, &plan, told.informed);
            if let Err((invariant, seen)) = &slots {
                self.witness.accuse(invariant, minute, seen.clone());
            }
            nodes.set_warm(slots.unwrap_or(0));
        }
        let writes = self.writes(minute, now, &plan);
        if !refused {
            self.carry_out(&writes);
            if let Ok(view) = self.cluster.hpa.view(&self.cluster.deployment) {
                let again = actuate::actions(now, &plan, &view).writes;
                if !again.is_empty() {
                    self.witness.accuse("I8", minute, format!("after {writes:?} the same plan writes {again:?}"));
                }
            }
            if let Some((episode, late)) = late {
                self.arrives(minute, episode, &late);
            }
        }
        // without an autoscaler the need of now is held for a stabilization window, as an HPA would
        let claims = if self.cluster.autoscaled() { CLAIM_MINUTES } else { STABILIZED_MINUTES };
        let within = |minutes| self.claims.iter().filter(move |(m, _)| minute - m <= minutes).map(|(_, need)| *need);
        let claimed_need = within(claims).max().unwrap_or(0).saturating_mul(self.mind.surges());
        let half_hour_need = within(CLAIMS_MINUTES - 1).max();
        let floor = self.standing();
        let yielded = self.cluster.hpa.ledger().ok().flatten().is_some_and(|l| l.yielded_until.is_some());
        let plans = self.mind.plans();
        let turned = Turned {
            minute,
            hour: self.cluster.now().secs() / 3600,
            users_min: if yielded || refused { floor.min(bounds.0) } else { bounds.0 },
            users_wish: bounds.0,
            max: bounds.1,
            plan: plan.replicas,
            floor,
            in_force: before,
            running,
            told_need: (self.truthful_minutes > TRUTH_MINUTES && takes_over.is_none())
                .then(|| replicas_for(load, capacity)),
            claimed_need,
            half_hour_need,
            informed: told.informed,
            uninformed_minutes: self.uninformed_minutes,
            blocked,
            habit: self.habit(),
            restarted,
            stopped,
            remembered: plans.remembered(),
            blind_minutes: plans.blind_since().map(|t| now.since(t).as_secs() / 60),
            clock_was_wrong: self.had_skew,
            hearsay: self.is(Fault::Zeros) || told.caught_up,
        };
        self.witness.turn(&turned)
    }

    /// The bounds of the user: where an autoscaler stands above, its own lower one.
    fn bounds(&self) -> (Replicas, Replicas) {
        let spec = self.cluster.spec();
        let autoscaled = self.cluster.autoscaled();
        (if autoscaled { self.cluster.hpa.users_minimum() } else { spec.min_replicas }, spec.max_replicas)
    }

    /// The least need of this time yesterday, from what was told. An adversary knows no yesterday.
    fn habit(&self) -> Option<Replicas> {
        let middle = self.needs.len().checked_sub(1 + 1440).filter(|_| self.mind.is_real())?;
        let around = self.needs.get(middle.saturating_sub(HABIT_MINUTES)..=middle + HABIT_MINUTES)?;
        around.iter().flatten().min().copied()
    }

    fn observation(&self, now: Time, room: Room) -> Observation {
        Observation {
            at: now,
            replicas: self.cluster.deployment.replicas(),
            ready: self.cluster.deployment.ready(self.cluster.now()),
            autoscaled: self.cluster.autoscaled(),
            floor: self.cluster.hpa.our_floor(&self.cluster.deployment),
            rollout: self.is(Fault::Rollout) || self.is(Fault::Regression),
            blocked: self.cluster.deployment.blocked(),
            stopped: self.is(Fault::KillSwitch),
            unhealthy: self.is(Fault::CrashLoop),
            room: Some(room),
        }
    }

    fn writes(&mut self, minute: u64, now: Time, plan: &Plan) -> Vec<Write> {
        let Ok(view) = self.cluster.hpa.view(&self.cluster.deployment) else {
            self.witness.accuse("I7", minute, "our own ledger cannot be read".into());
            return Vec::new();
        };
        let actions = actuate::actions(now, plan, &view);
        if actions != actuate::actions(now, plan, &view) {
            self.witness.accuse("I8", minute, "the same look gave two answers".into());
        }
        actions.writes
    }

    fn carry_out(&mut self, writes: &[Write]) {
        for write in writes {
            self.floors_written += u64::from(matches!(write, Write::Floor { .. }));
            self.cluster.hpa.apply(write, &mut self.cluster.deployment);
        }
    }

    /// The independent job: floors whose time is over go.
    fn sweep(&mut self, minute: u64) {
        let now = self.cluster.now();
        let expires = match self.cluster.hpa.ledger() {
            Ok(Some(ledger)) => ledger.expires,
            _ => return,
        };
        if expires <= now {
            self.release(minute);
        } else if !self.had_skew {
            self.witness.expiry(minute, now, expires, SWEEP);
        }
    }

    /// Everything of ours is given back, and the user's own value has to stand then (I12).
    fn release(&mut self, minute: u64) {
        let Ok(view) = self.cluster.hpa.view(&self.cluster.deployment) else { return };
        let (autoscaled, users) = (self.cluster.autoscaled(), self.users_value);
        self.carry_out(&actuate::release(&view));
        self.witness.others_changed();
        let (left, stands) = (self.cluster.hpa.ledger().is_ok_and(|l| l.is_none()), self.standing());
        // without an autoscaler nothing that runs is taken away
        let right = if autoscaled { stands == users } else { stands >= view.replicas };
        if !left || !right {
            self.witness.accuse("I12", minute, format!("after a release {stands} stands, the user's is {users}"));
        }
    }
}
