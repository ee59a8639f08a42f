//! The life of one workload under faults, minute by minute.

use super::adversary::Adversary;
use super::cluster::{Cluster, WorkloadSpec};
use super::faults::{Episode, Fault, draw};
use super::fleet::{Forecaster, Trial};
use super::pods::StartDelay;
use super::witness::{Turned, Violation, Witness};
use crate::actuate::{self, Write};
use crate::plan::{Bounds, Observation, Plan, PlanMemory, SourceState, VALID, decide};
use crate::policy::{LoadMetric, Mode, Policy};
use crate::rng::{self, Rng};
use crate::series::{Sample, Series};
use crate::tick::{Inputs, Memory, MetricInputs, MetricMemory, tick};
use crate::units::{LeadTime, Replicas, Step, Time, replicas_for};
use rand::Rng as _;
use std::time::Duration;

/// One minute of load in steps of the HPA's sync.
const STEPS: u64 = 60 / super::hpa::SYNC.as_secs();
/// Our expired floors are swept this often, by a job that is not us.
const SWEEP: Duration = Duration::from_secs(60);
/// A write this old is dropped by whoever made it.
const MAX_WRITE_AGE: Duration = Duration::from_secs(30);
/// Minutes of truth after which nothing false is left in what the operator knows.
const TRUTH_MINUTES: u64 = 5;
/// Minutes for which a sample says something of now.
const CLAIM_MINUTES: u64 = 3;
/// Seconds after which a sample says nothing of now.
const OLD_SECONDS: f64 = 180.0;
/// On either side of a time of day, minutes that still count as the same.
const HABIT_MINUTES: usize = 30;
/// A load that rises beyond what was thought possible is extrapolated to this multiple at most.
const SURGE: Replicas = 2;
/// Minutes of zeros that are not believed.
const DOUBTED_ZEROS: u64 = 55;
/// Minutes of load within a day, beyond which a collapse is noticed.
const KNOWN_MINUTES: usize = 60;

/// What came out of a life.
#[derive(Debug)]
pub(super) struct Lived {
    pub(super) turns: u64,
    pub(super) floors_written: u64,
    pub(super) faults: Vec<Fault>,
    pub(super) violations: Vec<Violation>,
}

#[derive(Debug)]
enum Mind {
    Real { policy: Box<Policy>, memory: Box<Memory> },
    Adversary { adversary: Box<Adversary>, memory: PlanMemory },
}

/// What the source says in one minute.
struct Told {
    samples: Vec<Sample>,
    state: SourceState,
    /// A believable sample of now is among them.
    informed: bool,
    /// Everything in it is true.
    truthful: bool,
}

struct Life {
    rng: Rng,
    cluster: Cluster,
    mind: Mind,
    witness: Witness,
    episodes: Vec<Episode>,
    users_min: Replicas,
    base: f64,
    swing: f64,
    backlog: Vec<Sample>,
    last_value: f64,
    zeros: u64,
    truthful_minutes: u64,
    uninformed_minutes: u64,
    /// What the newest sample of a minute claims to need.
    claims: std::collections::VecDeque<(u64, Replicas)>,
    /// The need of every sample that the operator was given; None where it could not be believed.
    needs: Vec<Option<Replicas>>,
    had_skew: bool,
    skew_before: f64,
    floors_written: u64,
}

/// Lives `minutes` of workload `n` of a trial.
pub(super) fn live(trial: &Trial, n: u64, minutes: u64) -> Lived {
    let mut life = Life::draw(trial, n, minutes);
    let mut turns = 0;
    for minute in 0..minutes {
        turns += u64::from(life.minute(minute));
    }
    Lived {
        turns,
        floors_written: life.floors_written,
        faults: life.episodes.iter().map(|e| e.fault).collect(),
        violations: life.witness.into_violations(),
    }
}

impl Life {
    fn draw(trial: &Trial, n: u64, minutes: u64) -> Life {
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
        let cluster = Cluster::new(now, spec, Some(target), users_min, trial.seed ^ n);
        let mind = match trial.forecaster {
            Forecaster::Adversary => Mind::Adversary {
                adversary: Box::new(Adversary::new(
                    rng::stream(trial.seed, &format!("adversary/{n}")),
                    now + Step::MINUTE.duration(),
                )),
                memory: PlanMemory::default(),
            },
            Forecaster::Real => {
                let policy = Policy {
                    mode: Mode::Act,
                    metrics: vec![LoadMetric {
                        source: "simulated".into(),
                        query: "load".into(),
                        tenant: None,
                        usage: None,
                        capacity_per_replica,
                    }],
                    min_replicas: users_min,
                    max_replicas,
                    lead_time: LeadTime(start_delay.p95),
                    unserved_budget: 0.001,
                    time_zone: "UTC".into(),
                    schedules: Vec::new(),
                    occasions: Vec::new(),
                    hold: None,
                    staffing: None,
                    pods_per_second: None,
                };
                let nothing = Series::new(now + Step::MINUTE.duration(), Step::MINUTE, 1);
                let memory = Memory::new(vec![MetricMemory::learn(&nothing, &policy, capacity_per_replica)]);
                Mind::Real { policy: Box::new(policy), memory: Box::new(memory) }
            }
        };
        let load = peak * capacity_per_replica;
        let swing = rng.random_range(0.0..0.8);
        let episodes = draw(&mut rng, &trial.faults, minutes);
        Life {
            rng,
            cluster,
            mind,
            witness: Witness::new(n),
            episodes,
            users_min,
            base: load,
            swing,
            backlog: Vec::new(),
            last_value: load,
            zeros: 0,
            truthful_minutes: 0,
            uninformed_minutes: 0,
            needs: Vec::new(),
            claims: Default::default(),
            had_skew: false,
            skew_before: 0.0,
            floors_written: 0,
        }
    }

    fn on(&self, fault: Fault, minute: u64) -> Option<Episode> {
        self.episodes.iter().find(|e| e.fault == fault && e.lasts(minute)).copied()
    }

    fn begins(&self, fault: Fault, minute: u64) -> Option<Episode> {
        self.episodes.iter().find(|e| e.fault == fault && e.from == minute).copied()
    }

    /// A day's curve, noise, and now and then a jump.
    fn load(&mut self, minute: u64) -> f64 {
        let day = (minute as f64 / 1440.0 * std::f64::consts::TAU).sin();
        let noise = self.rng.random_range(0.9..1.1);
        let jump = if self.rng.random_bool(0.002) { self.rng.random_range(0.5..2.0) } else { 1.0 };
        self.base * (1.0 - self.swing / 2.0 * (1.0 - day)) * noise * jump
    }

    /// One minute; true when we had a turn in it.
    fn minute(&mut self, minute: u64) -> bool {
        let faults = self.episodes.iter().filter(|e| e.lasts(minute)).map(|e| e.fault).collect();
        self.witness.during(faults);
        self.environment(minute);
        let load = self.load(minute);
        for _ in 0..STEPS {
            self.cluster.step(load, true);
        }
        let told = self.tell(minute, load);
        let ahead = if matches!(self.mind, Mind::Real { .. }) { self.skew(minute) } else { 0.0 };
        // by a clock that is ahead, the newest sample is old: the load of now is not known
        let believed = told.informed;
        let told = Told { informed: told.informed && ahead < OLD_SECONDS, ..told };
        self.truthful_minutes = if told.truthful { self.truthful_minutes + 1 } else { 0 };
        // zeros may still be doubted by some measure when others believe them
        let present = self.on(Fault::Down, minute).is_none();
        let doubted = !told.informed || ahead >= 60.0 || !present || self.on(Fault::Zeros, minute).is_some();
        self.uninformed_minutes = if doubted { self.uninformed_minutes + 1 } else { 0 };
        if present {
            self.turn(minute, load, told, believed);
        } else {
            self.backlog.splice(0..0, told.samples);
        }
        self.sweep(minute);
        present
    }

    fn environment(&mut self, minute: u64) {
        let now = self.cluster.now();
        let quota = self.on(Fault::Quota, minute).map(|e| {
            let peak = self.base / self.cluster.spec().capacity_per_replica;
            (peak * e.degree) as Replicas + 1
        });
        self.cluster.deployment.set_quota(quota);
        self.cluster.deployment.set_slowdown(if self.on(Fault::SlowPods, minute).is_some() { 5.0 } else { 1.0 });
        if let Some(rollout) = self.begins(Fault::Rollout, minute) {
            self.cluster.deployment.restart(now, rollout.degree);
        }
        if let Some(edit) = self.begins(Fault::UserEdit, minute) {
            let max = f64::from(self.cluster.spec().max_replicas);
            let wanted = 1 + (edit.degree * max / 2.0) as Replicas;
            // a value that is ours at this moment could not be told from ours
            if self.cluster.hpa.min_replicas != Some(wanted) && wanted <= self.cluster.spec().max_replicas {
                self.users_min = wanted;
                self.cluster.hpa.edit(Some(wanted));
                self.witness.others_changed();
            }
        }
        if self.on(Fault::GitOpsRevert, minute).is_some()
            && minute.is_multiple_of(3)
            && self.cluster.hpa.min_replicas != Some(self.users_min)
        {
            self.cluster.hpa.edit(Some(self.users_min));
            self.witness.others_changed();
        }
    }

    /// Seconds that our clock is ahead.
    fn skew(&self, minute: u64) -> f64 {
        self.on(Fault::ClockSkew, minute).map_or(0.0, |e| (e.degree - 0.5) * 7200.0)
    }

    /// What our clock says.
    fn own_now(&self, minute: u64) -> Time {
        Time::from_millis(self.cluster.now().millis() + (self.skew(minute) * 1000.0) as i64)
    }

    /// What the source says of this minute's load.
    fn tell(&mut self, minute: u64, load: f64) -> Told {
        let truth = Sample::Valid(load);
        let failing = || SourceState::Failing { error: "503 Service Unavailable".into() };
        if self.on(Fault::SourceDown, minute).is_some() || self.on(Fault::Late, minute).is_some() {
            self.backlog.push(truth);
            return Told { samples: Vec::new(), state: failing(), informed: false, truthful: false };
        }
        if self.on(Fault::Stale, minute).is_some() {
            self.backlog.push(Sample::Missing);
            return Told { samples: Vec::new(), state: SourceState::Stale, informed: false, truthful: false };
        }
        let mut told = Told { samples: Vec::new(), state: SourceState::Fresh, informed: true, truthful: false };
        let sample = if self.on(Fault::Zeros, minute).is_some() {
            // zeros from before a day was known are believed, and so are all that follow
            let given = self.backlog.iter().filter(|s| s.measured().is_some()).count();
            let known = self.needs.iter().rev().take(1440).flatten().count() + given;
            self.zeros += if known <= KNOWN_MINUTES { DOUBTED_ZEROS + 1 } else { 1 };
            told.informed = self.zeros > DOUBTED_ZEROS;
            Sample::Valid(0.0)
        } else if let Some(e) = self.on(Fault::NotANumber, minute) {
            const VALUES: [f64; 5] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 1e30];
            told.informed = false;
            Sample::Valid(VALUES[(e.degree * VALUES.len() as f64) as usize])
        } else if self.on(Fault::Frozen, minute).is_some() {
            Sample::Valid(self.last_value)
        } else if self.on(Fault::Doubled, minute).is_some() {
            Sample::Valid(2.0 * load)
        } else {
            told.truthful = self.on(Fault::ClockSkew, minute).is_none();
            self.last_value = load;
            truth
        };
        if self.on(Fault::Down, minute).is_none() {
            told.samples = std::mem::take(&mut self.backlog);
        }
        told.samples.push(sample);
        told
    }

    fn turn(&mut self, minute: u64, load: f64, told: Told, believed: bool) {
        let true_now = self.cluster.now();
        let skew = self.skew(minute);
        self.had_skew |= skew != 0.0;
        if skew > self.skew_before {
            let jump = Duration::from_secs_f64(skew - self.skew_before);
            // a floor that stands after so long a pause would have expired: then it was the clock
            if jump + Duration::from_secs(60) <= VALID || self.cluster.hpa.our_floor().is_none() {
                // begun minutes, as the planner counts them
                let minutes = (jump.as_millis() as u64).div_ceil(60_000);
                self.witness.paused(minutes);
                self.uninformed_minutes += if self.uninformed_minutes > 0 { minutes } else { 0 };
            }
        }
        self.skew_before = skew;
        let now = self.own_now(minute);
        let capacity = self.cluster.spec().capacity_per_replica;
        let need = |s: &Sample| s.measured().filter(|v| (0.0..1e15).contains(v)).map(|v| replicas_for(v, capacity));
        let newest = told.samples.iter().rev().find_map(need);
        self.claims.extend(newest.map(|need| (minute, need)));
        self.claims.retain(|(m, _)| minute - m <= CLAIM_MINUTES);
        self.needs.extend(told.samples.iter().map(need));
        if let (false, Some(newest)) = (believed || told.samples.is_empty(), self.needs.last_mut()) {
            *newest = None;
        }
        let takes_over = self.begins(Fault::LeaderChange, minute).is_some();
        let late_write = takes_over.then(|| self.decided(minute, now, &told)).flatten();
        let restarted = minute == 0 || takes_over || self.begins(Fault::Restart, minute).is_some();
        if restarted {
            self.mind.forget_plans();
        }
        let running = self.cluster.deployment.replicas();
        let before = self.cluster.hpa.bounds().0;
        // the other copy has seen the same samples already
        let told = if takes_over { Told { samples: Vec::new(), ..told } } else { told };
        let (seen, blocked) = (self.observation(minute, now), self.cluster.deployment.blocked().is_some());
        let bounds = (self.cluster.hpa.users_minimum(), self.cluster.spec().max_replicas);
        let plan = self.mind.decide(minute, now, bounds, seen, &told, capacity);
        let writes = self.writes(minute, now, &plan);
        if self.on(Fault::ApiDown, minute).is_none() {
            self.carry_out(&writes);
            if let Ok(view) = self.cluster.hpa.view(&self.cluster.deployment) {
                let again = actuate::actions(now, &plan, &view).writes;
                if !again.is_empty() {
                    self.witness.accuse("I8", minute, format!("after {writes:?} the same plan writes {again:?}"));
                }
            }
            if let Some((decided, version, writes)) = late_write {
                // it took 20 s to get here: what fences it is the precondition alone
                let age = true_now.since(decided) + Duration::from_secs(20);
                if age < MAX_WRITE_AGE && version == self.cluster.hpa.resource_version {
                    self.carry_out(&writes);
                }
            }
        }
        let claimed = self.claims.iter().map(|(_, need)| *need).max().unwrap_or(0);
        let in_force = self.cluster.hpa.bounds().0;
        let yielded = self.cluster.hpa.ledger().ok().flatten().is_some_and(|l| l.yielded_until.is_some());
        let need = replicas_for(load, capacity);
        self.witness.turn(&Turned {
            minute,
            users_min: if yielded { in_force.min(self.users_min) } else { self.users_min },
            max: bounds.1,
            plan: plan.replicas,
            floor: in_force,
            in_force: before,
            running,
            told_need: (self.truthful_minutes > TRUTH_MINUTES && !takes_over).then_some(need),
            claimed_need: claimed.saturating_mul(self.mind.surges()),
            informed: told.informed,
            uninformed_minutes: self.uninformed_minutes,
            blocked,
            habit: self.habit(),
            restarted,
        });
    }

    /// The least need of this time yesterday, from what was told. An adversary knows no yesterday.
    fn habit(&self) -> Option<Replicas> {
        let Mind::Real { .. } = self.mind else { return None };
        let middle = self.needs.len().checked_sub(1 + 1440)?;
        let around = self.needs.get(middle.saturating_sub(HABIT_MINUTES)..=middle + HABIT_MINUTES)?;
        around.iter().flatten().min().copied()
    }

    /// What a copy that is about to be deposed has decided, with the version of the object that it saw.
    fn decided(&mut self, minute: u64, now: Time, told: &Told) -> Option<(Time, u64, Vec<Write>)> {
        let seen = self.observation(minute, now);
        let spec = *self.cluster.spec();
        let bounds = (self.cluster.hpa.users_minimum(), spec.max_replicas);
        let plan = self.mind.decide(minute, now, bounds, seen, told, spec.capacity_per_replica);
        let version = self.cluster.hpa.resource_version;
        Some((self.cluster.now(), version, self.writes(minute, now, &plan)))
    }

    fn observation(&self, minute: u64, now: Time) -> Observation {
        Observation {
            at: now,
            replicas: self.cluster.deployment.replicas(),
            ready: self.cluster.deployment.ready(self.cluster.now()),
            autoscaled: true,
            floor: self.cluster.hpa.our_floor(),
            rollout: self.on(Fault::Rollout, minute).is_some(),
            blocked: self.cluster.deployment.blocked(),
            stopped: false,
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
        let Ok(view) = self.cluster.hpa.view(&self.cluster.deployment) else { return };
        if actuate::expired(now, &view) {
            self.carry_out(&actuate::release(&view));
            self.witness.others_changed();
        }
        if let Ok(Some(ledger)) = self.cluster.hpa.ledger()
            && !self.had_skew
        {
            self.witness.expiry(minute, now, ledger.expires, SWEEP);
        }
    }
}

impl Mind {
    /// A new copy knows the load so far, from the source; of plans it knows only what stands in the cluster.
    fn forget_plans(&mut self) {
        match self {
            Mind::Real { memory, .. } => memory.plan = PlanMemory::default(),
            Mind::Adversary { memory, .. } => *memory = PlanMemory::default(),
        }
    }

    /// To which multiple of the load of now a rise is extrapolated.
    fn surges(&self) -> Replicas {
        match self {
            Mind::Real { .. } => SURGE,
            Mind::Adversary { .. } => 1,
        }
    }

    fn decide(
        &mut self,
        minute: u64,
        now: Time,
        (min, max): (Replicas, Replicas),
        seen: Observation,
        told: &Told,
        capacity: f64,
    ) -> Plan {
        match self {
            Mind::Real { policy, memory } => {
                (policy.min_replicas, policy.max_replicas) = (min, max);
                let metric = MetricInputs {
                    samples: told.samples.clone(),
                    source: told.state.clone(),
                    capacity_per_replica: capacity,
                    settling: Duration::ZERO,
                    now: None,
                    usage: None,
                };
                tick(now, policy, &Inputs { metrics: vec![metric], observation: seen }, memory).plan
            }
            Mind::Adversary { adversary, memory } => {
                let failing = told.state != SourceState::Fresh;
                let evidence = adversary.evidence(minute, &told.samples, failing, capacity);
                decide(now, Bounds { min: min.min(max), max }, &evidence, &seen, memory)
            }
        }
    }
}
