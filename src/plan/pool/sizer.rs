//! One pool from step to step.

use super::resize::Held;
use super::scenarios::{STRIDE, Scenarios};
use super::tracker::Tracker;
use super::{Bounds, Member, PoolReason, PoolTask, SLOTS_MAX, Sizing};
use crate::policy::schedule;
use crate::units::Time;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Workloads that one pool follows at most; more are not counted.
pub const MEMBERS_MAX: usize = 10_000;
/// Steps of the past that are kept at most.
const PAST_MAX: usize = 2000;
/// Scenarios from which on they are believed: six hours.
const ENOUGH: usize = 72;
/// Before that: so many slots per pod.
const PRIOR: f32 = 0.1;
/// Slots; float noise is no shortfall.
const NOISE: f32 = 1e-3;
/// The least spread that the correction is counted in, in slots.
const SPREAD_MIN: f32 = 0.5;

/// A step that is not yet one node lead ago.
#[derive(Debug, Clone)]
struct Past {
    at: Time,
    /// By column; NaN: not there.
    need: Vec<f32>,
    pods: Vec<f32>,
    expected: Vec<f32>,
    slots: u32,
    own: bool,
}

/// The size of one pool: its scenarios, its tracker and its present size. `K` names a workload.
#[derive(Debug, Clone)]
pub struct PoolSizer<K> {
    task: PoolTask,
    columns: BTreeMap<K, usize>,
    scenarios: Scenarios,
    tracker: Tracker,
    past: VecDeque<Past>,
    held: Held,
    recorded: Option<Time>,
}

impl<K: Ord + Clone> PoolSizer<K> {
    /// A pool that has seen nothing.
    pub fn new(task: PoolTask) -> PoolSizer<K> {
        PoolSizer {
            scenarios: Scenarios::new(&task.time_zone),
            task,
            columns: BTreeMap::new(),
            tracker: Tracker::default(),
            past: VecDeque::new(),
            held: Held::default(),
            recorded: None,
        }
    }

    /// What it is sized for.
    pub fn task(&self) -> &PoolTask {
        &self.task
    }

    /// Slots in force.
    pub fn slots(&self) -> u32 {
        self.held.slots
    }

    /// What may change from step to step: the node lead that is learned, and what the cost cap leaves beside other shapes.
    pub fn follow(&mut self, lead: Duration, max_slots: u32) {
        (self.task.lead, self.task.max_slots) = (lead, max_slots);
    }

    /// Slots that stand from before a restart: they fall as any others do, no sooner.
    pub fn inherit(&mut self, at: Time, slots: u32) {
        self.held.inherit(at, slots.min(SLOTS_MAX));
    }

    /// A step of the past, from recorded history: it teaches, nothing is sized.
    pub fn learn(&mut self, at: Time, members: &[(K, Member)]) {
        if self.recorded.is_some_and(|t| t > at) {
            // from the beginning, after steps that were lived
            self.recorded = None;
            self.past.clear();
        }
        let now = self.lay(at, members);
        self.record(&now);
        self.past.push_back(Past { own: false, ..now });
        self.forget(at);
    }

    /// One step: what the workloads are now → the slots to hold from now on.
    pub fn advance(&mut self, at: Time, members: &[(K, Member)], bounds: Bounds) -> Sizing {
        self.set_clock(at);
        if !bounds.fresh {
            self.past.clear();
            // what people have set holds, whatever is known
            let high = schedule::ceiling(&self.task.windows, at).unwrap_or(SLOTS_MAX).min(self.task.max_slots);
            let low = schedule::floor(&self.task.windows, at, self.task.lead).unwrap_or(0);
            self.held.clamp(low, high.min(bounds.quota.unwrap_or(SLOTS_MAX)));
            return self.sizing(PoolReason::HoldStale, None, 0.0, 0.0);
        }
        let now = self.lay(at, members);
        let shortfall = self.judge(&now);
        let taken = self.past.back().map_or(0.0, |before| growth(&before.pods, &now.pods));
        self.record(&now);
        let gap: Vec<f32> = now.expected.iter().zip(&now.pods).map(|(e, p)| e - p).collect();
        let level = self.tracker.level(self.task.objective.get());
        let joint = self.scenarios.joint(at, at + self.task.lead, level, &gap);
        let believed = self.scenarios.len() >= ENOUGH;
        let correction = self.tracker.spreads() * joint.spread.max(SPREAD_MIN);
        let (want, mut reason) = if believed {
            ((joint.quantile + correction).max(0.0), PoolReason::Shortfall)
        } else {
            let pods: f32 = now.pods.iter().filter(|p| p.is_finite()).sum();
            ((PRIOR * pods).max(joint.quantile), PoolReason::ColdStart)
        };
        let want = (want - NOISE).ceil().clamp(0.0, SLOTS_MAX as f32) as u32;
        let before = self.held.slots;
        let slots = self.held.resize(at, want, (taken - NOISE).ceil().max(0.0) as u32);
        if slots != want && slots == before {
            reason = PoolReason::Settled;
        }
        let bound = self.bound(at, bounds, slots, want);
        let own = bound.is_none() && believed;
        let reason = bound.unwrap_or(reason);
        self.past.push_back(Past { slots: self.held.slots, own, ..now });
        self.forget(at);
        self.sizing(reason, believed.then_some(joint.quantile), correction, shortfall)
    }

    /// Our clock was set back: nothing is of a time to come.
    fn set_clock(&mut self, at: Time) {
        if self.past.back().is_some_and(|p| p.at > at) {
            self.past.clear();
        }
        self.recorded = self.recorded.map(|t| t.min(at));
        self.held.set_clock(at);
    }

    fn sizing(&self, reason: PoolReason, quantile: Option<f32>, correction: f32, shortfall: f32) -> Sizing {
        let scenarios = self.scenarios.len();
        let hit_rate = self.tracker.hit_rate();
        Sizing { slots: self.held.slots, reason, quantile, correction, scenarios, hit_rate, shortfall }
    }

    /// Windows, cap and quota, which hold at once. None: none keeps it from what would be right.
    fn bound(&mut self, at: Time, bounds: Bounds, slots: u32, want: u32) -> Option<PoolReason> {
        let ahead = self.task.lead;
        let low = schedule::floor(&self.task.windows, at, ahead).unwrap_or(0);
        let high = schedule::ceiling(&self.task.windows, at).unwrap_or(SLOTS_MAX);
        let cap = self.task.max_slots.min(SLOTS_MAX);
        let quota = bounds.quota.unwrap_or(SLOTS_MAX);
        let after = self.held.clamp(low, high.min(cap).min(quota));
        let short = after < slots.max(want).max(low);
        match after {
            _ if short && after == cap => Some(PoolReason::MaxSlots),
            _ if short && after == quota => Some(PoolReason::Quota),
            _ if short && after == high => Some(PoolReason::WindowMax),
            _ if after == low && want < low => Some(PoolReason::WindowMin),
            _ => None,
        }
    }

    /// The members laid on their columns.
    fn lay(&mut self, at: Time, members: &[(K, Member)]) -> Past {
        for (name, _) in members {
            if !self.columns.contains_key(name) && self.columns.len() < MEMBERS_MAX {
                self.columns.insert(name.clone(), self.columns.len());
            }
        }
        let blank = vec![f32::NAN; self.columns.len()];
        let mut past =
            Past { at, need: blank.clone(), pods: blank.clone(), expected: blank, slots: self.held.slots, own: true };
        for (name, member) in members {
            let Some(k) = self.columns.get(name).copied() else { continue };
            for (column, value) in
                [(&mut past.need, member.need), (&mut past.pods, member.pods), (&mut past.expected, member.expected)]
            {
                column.iter_mut().skip(k).take(1).for_each(|kept| *kept = value);
            }
        }
        past
    }

    /// The step one node lead ago: the newest that is at least so old. None: there is none.
    fn lead_ago(&self, at: Time) -> Option<usize> {
        self.past.iter().rposition(|p| at.since(p.at) >= self.task.lead)
    }

    /// The shortfall of this step, told to the tracker against the slots that were there for it. Nodes for the pods and
    /// slots of some step of the last lead are there, as far as no later step held less.
    fn judge(&mut self, now: &Past) -> f32 {
        let Some(from) = self.lead_ago(now.at) else { return 0.0 };
        let lately = || self.past.range(from..);
        let mut base = now.need.clone();
        base.fill(f32::INFINITY);
        for before in lately() {
            for (least, pods) in base.iter_mut().zip(&before.pods) {
                // a workload that was not there is no evidence: NaN is ignored by min
                *least = least.min(*pods);
            }
        }
        let shortfall: f32 = now.need.iter().zip(&base).map(|(need, base)| (need - base).max(0.0)).sum();
        let free = |p: &Past| -> f32 {
            let beyond = p.pods.iter().zip(&base).map(|(pods, base)| pods - base);
            p.slots as f32 + beyond.filter(|d| d.is_finite()).sum::<f32>()
        };
        let there = lately().map(free).fold(f32::INFINITY, f32::min);
        let own = lately().all(|p| p.own);
        let minutes = self.past.back().map_or(0.0, |p| now.at.since(p.at).as_secs_f32() / 60.0);
        let hit = shortfall <= there + NOISE;
        self.tracker.judge(now.at, hit, self.task.objective.get(), minutes, own);
        shortfall
    }

    /// Every stride, the residuals of this instant become a scenario.
    fn record(&mut self, now: &Past) {
        if self.recorded.is_some_and(|t| now.at.since(t) < STRIDE) {
            return;
        }
        let Some(from) = self.lead_ago(now.at) else { return };
        let Some(origin) = self.past.get(from) else { return };
        let expected = origin.expected.iter().copied().chain(std::iter::repeat(f32::NAN));
        let residuals: Vec<f32> = now.need.iter().zip(expected).map(|(need, expected)| need - expected).collect();
        self.scenarios.record(now.at, &residuals);
        self.recorded = Some(now.at);
    }

    /// Steps older than a node lead are of no use, but for the newest of them.
    fn forget(&mut self, at: Time) {
        let horizon = self.task.lead + Duration::from_secs(1);
        while self.past.len() > PAST_MAX || self.past.get(1).is_some_and(|p| at.since(p.at) > horizon) {
            self.past.pop_front();
        }
    }
}

/// How much the pods of all workloads together grew; a workload that was not there before counts for nothing.
fn growth(from: &[f32], to: &[f32]) -> f32 {
    to.iter().zip(from).map(|(t, f)| t - f).filter(|d| d.is_finite()).sum()
}
