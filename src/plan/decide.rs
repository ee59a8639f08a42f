//! The last step of every decision: the largest need, holds, limits in rate, the user's bounds.

use super::{Gain, Observation, Pace, Parts, Plan, Reason};
use crate::units::{Replicas, Time};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// How long a plan holds without being renewed (I7).
pub const VALID: Duration = Duration::from_secs(15 * 60);
/// The largest recommendation of this time is what scale-in may go down to: HPA's default stabilization window.
pub const STABILIZATION: Duration = Duration::from_secs(300);
/// So long a hold keeps everything when the load is not known any more.
pub const HOLD: Duration = Duration::from_secs(3600);
/// A plan is looked at again after this time at the latest.
const WAKE: Duration = Duration::from_secs(60);
/// A write of ours may not be seen so soon.
const UNSEEN: Duration = Duration::from_secs(30);
/// So long the load has to be low before the plan goes below half of what this hour had yesterday (I4).
const CONFIRMED: Duration = Duration::from_secs(30 * 60);
/// Recommendations remembered at most: one every five seconds of [`CONFIRMED`].
const MAX_ADVICE: usize = 512;
/// Hours of least plans that are remembered: a day, this hour, and one for a clock that is set.
const MAX_HOURS: usize = 26;

/// The user's bounds. `min <= max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Never below.
    pub min: Replicas,
    /// Never above.
    pub max: Replicas,
}

/// How well the load of now is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Every metric's newest sample is there and believed: the only state that supports a fall.
    Fresh,
    /// The newest sample is missing, but one of a moment ago is there.
    Gap,
    /// Some metric is unknown: failing, old, never seen, or not believed.
    Stale,
}

/// What a decision is made from, besides the look at the workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Needs of now, of the load to come, and of a schedule. `hold`: what an operator wants held.
    pub parts: Parts,
    /// Of the schedule, what people have named: no multiple of what is forecast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Replicas>,
    /// How well the load is known.
    pub standing: Standing,
    /// Nothing has been learned so far, so that what is usual is not known yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unlearned: bool,
    /// Replicas that the 95th percentile of this time of day needs: the floor after an hour without load.
    pub usual_high: Option<Replicas>,
    /// The least that this time of day needed yesterday: down to it, a fall is a habit and not limited in rate.
    pub usual_low: Option<Replicas>,
    /// Set while a miss lasts: what the load needs one lead from now if it goes on rising.
    pub surge: Option<Replicas>,
    /// An outage was there within the hour, or what looks like one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outage: bool,
    /// Whether replicas help at all.
    #[serde(default)]
    pub gain: Gain,
    /// What to call a decision that only reacts: [`Reason::Reactive`], [`Reason::ColdStart`] or [`Reason::Abstains`].
    pub reacting: Reason,
}

/// What is remembered of a workload's plans.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanMemory {
    pace: Pace,
    advice: VecDeque<(Time, Replicas)>,
    fresh_since: Option<Time>,
    stale: Option<(Time, Replicas)>,
    recovering: bool,
    /// When the newest plan was made.
    #[serde(default)]
    decided: Option<Time>,
    /// When a floor of an earlier copy was found.
    #[serde(default)]
    inherited: Option<Time>,
    /// The least plan of each hour, newest first.
    #[serde(default)]
    hours: VecDeque<(i64, Replicas)>,
    /// A floor of ours stood when we looked last.
    #[serde(default)]
    stood: bool,
}

impl PlanMemory {
    /// The newest plan. None before the first.
    pub fn last(&self) -> Option<Replicas> {
        self.pace.last()
    }

    /// Since when the load has not been known. None: it is.
    pub fn blind_since(&self) -> Option<Time> {
        self.stale.map(|(since, _)| since)
    }

    /// Entries remembered, of whatever kind: bounded (I9).
    pub fn remembered(&self) -> usize {
        self.pace.remembered() + self.advice.len() + self.hours.len()
    }

    /// Our clock may have been set since the newest plan. Backwards it was for sure; forwards when a floor of ours, which
    /// would have expired in so long a pause, still stands. Then at most a minute has passed. Where our floor was taken
    /// away or we were, whatever was planned before is no reason to have it back at once.
    fn set_clock(&mut self, now: Time, seen: &Observation) {
        let gap = self.decided.map_or(0, |decided| now.millis() - decided.millis());
        let passed = if gap < 0 { 0 } else { WAKE.as_millis() as i64 };
        if gap < 0 || (seen.floor.is_some() && gap > VALID.as_millis() as i64) {
            let moved = |t: Time| Time::from_millis(t.millis().saturating_add(gap - passed));
            self.pace.set_clock(now, passed / 60_000);
            self.advice.iter_mut().for_each(|(t, _)| *t = moved(*t));
            self.fresh_since = self.fresh_since.map(moved);
            self.stale = self.stale.map(|(t, held)| (moved(t), held));
            self.inherited = self.inherited.map(moved);
        }
        // plans that nothing is left of in the cluster say nothing of now
        let over = self.pace.is_over(now);
        let taken = self.stood && gap >= UNSEEN.as_millis() as i64;
        if seen.floor.is_none() && (taken || over || gap < 0) {
            self.pace = self.pace.without_floor();
            self.stale = self.stale.map(|(t, held)| (t, held.min(seen.replicas)));
            if over {
                self.pace = Pace::default();
            }
        }
        self.stood = seen.floor.is_some();
        self.decided = Some(now);
    }

    /// The least plan of this hour yesterday. None: not known.
    fn yesterday(&self, now: Time) -> Option<Replicas> {
        let hour = now.secs().div_euclid(3600) - 24;
        self.hours.iter().find(|(h, _)| *h == hour).map(|(_, least)| *least)
    }

    fn note_hour(&mut self, now: Time, replicas: Replicas) {
        let hour = now.secs().div_euclid(3600);
        match self.hours.iter_mut().find(|(h, _)| *h == hour) {
            Some((_, least)) => *least = replicas.min(*least),
            None => self.hours.push_front((hour, replicas)),
        }
        self.hours.truncate(MAX_HOURS);
    }

    /// True when the load has been known for half an hour and has never needed so many in it.
    fn confirms(&self, now: Time, fewer_than: Replicas) -> bool {
        let known = self.fresh_since.is_some_and(|t| now.since(t) >= CONFIRMED);
        known && self.advice.front().is_some_and(|(_, largest)| *largest < fewer_than)
    }

    /// The largest of the reactive needs of the stabilization window, this one included.
    fn stabilized(&mut self, now: Time, reactive: Option<Replicas>) -> Option<Replicas> {
        if let Some(reactive) = reactive {
            // an older, smaller one can never be the largest again
            while self.advice.back().is_some_and(|(_, r)| *r <= reactive) {
                self.advice.pop_back();
            }
            self.advice.push_back((now, reactive));
        }
        while self.advice.len() > MAX_ADVICE || self.advice.front().is_some_and(|(t, _)| *t + CONFIRMED <= now) {
            self.advice.pop_front();
        }
        self.advice.iter().find(|(t, _)| *t + STABILIZATION > now).map(|(_, r)| *r)
    }
}

/// Decides. `memory` is the workload's own; the same arguments always give the same plan.
///
/// The result is the largest of the reactive need, the portfolio's proposal, an active schedule and the holds;
/// limited in rate; within the user's bounds whatever else is said. It falls only on fresh, believed samples that
/// have been there for a stabilization window, never during a rollout or a surge. Where an autoscaler stands above,
/// the result is a floor; where none does, it is the whole decision and the reactive need is held for the window.
pub fn decide(now: Time, bounds: Bounds, evidence: &Evidence, seen: &Observation, memory: &mut PlanMemory) -> Plan {
    let parts = evidence.parts;
    memory.set_clock(now, seen);
    let own = seen.standing();
    let base = memory.pace.last().unwrap_or(own).max(seen.floor.unwrap_or(0));
    if memory.pace.last().is_none() {
        memory.pace.begin(now, base, seen.replicas);
        memory.inherited = seen.floor.map(|_| now);
    }
    memory.pace.stands(now, own);
    follow(now, evidence.standing, base.max(seen.replicas), memory);
    let held = memory.stabilized(now, parts.reactive);
    let reactive = if seen.autoscaled { parts.reactive } else { held };
    let ahead = parts.forecast.max(parts.schedule).max(parts.hold);
    let need = reactive.max(evidence.surge).max(ahead);
    let (lower, hold) = lower(now, evidence, seen, base, memory);
    let wanted = need.unwrap_or(0).max(lower);
    // growth that load, a schedule or an operator already justifies is not limited; what a surge led to is old once nothing is
    // measured any more, and is not caught up with at once where it could not be had then
    let surge = evidence.surge.filter(|_| evidence.standing == Standing::Fresh);
    let confirmed = reactive.max(surge).max(evidence.asked).max(parts.hold).unwrap_or(0);
    // what is held is kept where it stands; what it once was comes back no faster than anything else
    let stays = lower.min(base.max(seen.replicas));
    let most = memory.pace.most(now, seen.replicas).min(together(seen, base).1).max(confirmed).max(stays);
    let (mut replicas, mut reason) = match () {
        () if wanted > most => (most, Reason::RiseLimited),
        () if lower > need.unwrap_or(0) => (lower, hold),
        () => (wanted, binding(evidence, reactive)),
    };
    // nothing is raised, and what stands does not fall for it
    let stands = base.max(own);
    if seen.blocked.is_some() && replicas > stands {
        (replicas, reason) = (stands, Reason::Blocked);
    }
    // what people ask for is not questioned
    let asked = stands.max(evidence.asked.max(parts.hold).unwrap_or(0));
    if evidence.gain != Gain::Unquestioned && replicas > asked {
        (replicas, reason) = (asked, Reason::NoGain);
    }
    if replicas > bounds.max {
        (replicas, reason) = (bounds.max, Reason::MaxReplicas);
    }
    if replicas < bounds.min {
        (replicas, reason) = (bounds.min.min(bounds.max), Reason::MinReplicas);
    }
    memory.note_hour(now, replicas);
    memory.pace.note(now, replicas);
    if seen.stopped {
        // nobody will have written it: what comes after the switch grows from what runs then
        memory.pace = Pace::default();
    }
    let kept = (lower > need.unwrap_or(0)).then_some(lower);
    Plan {
        replicas,
        reason,
        parts: Parts { hold: kept.max(parts.hold), ..parts },
        valid_until: now + VALID,
        wake: now + WAKE,
    }
}

/// Follows how long the load has been known or unknown.
fn follow(now: Time, standing: Standing, held: Replicas, memory: &mut PlanMemory) {
    match standing {
        Standing::Fresh | Standing::Gap => {
            memory.stale = None;
            memory.fresh_since.get_or_insert(now);
        }
        Standing::Stale => {
            memory.recovering = true;
            memory.fresh_since = None;
            memory.stale.get_or_insert((now, held));
        }
    }
}

/// The least and the most that the workloads of the cluster together leave a plan whose newest was `base`, where no load asks
/// for more.
fn together(seen: &Observation, base: Replicas) -> (Replicas, Replicas) {
    let Some(room) = seen.room else { return (0, Replicas::MAX) };
    let there = base.max(seen.standing()).max(seen.replicas);
    (seen.standing().saturating_sub(room.fall), there.saturating_add(room.rise))
}

/// The least the plan may be, and why.
fn lower(
    now: Time,
    evidence: &Evidence,
    seen: &Observation,
    base: Replicas,
    memory: &mut PlanMemory,
) -> (Replicas, Reason) {
    let (fewest, most) = together(seen, base);
    let least = memory.pace.least(now).max(fewest);
    let half = memory.yesterday(now).map_or(0, |plan| plan.div_ceil(2)).min(base);
    // a hold is no faster way down: what stood lately, by whoever's hand, may be more than the newest plan
    let base = base.max(least);
    if let Some((since, held)) = memory.stale {
        // where an autoscaler stands above, it still reacts on its own metrics: after an hour our floor is what is usual
        return match evidence.usual_high {
            usual if seen.autoscaled && now.since(since) >= HOLD && (usual.is_some() || !evidence.unlearned) => {
                // nothing confirms that less than half of yesterday is enough; where nothing is usual it decides alone
                (
                    usual.unwrap_or(0).min(memory.pace.most(now, seen.replicas)).min(most).max(least).max(half),
                    Reason::HoldStale,
                )
            }
            // somebody may have set more by hand since
            _ => (held.max(base).max(seen.standing()), Reason::HoldStale),
        };
    }
    let settled = memory.fresh_since.is_some_and(|t| now.since(t) >= STABILIZATION);
    match () {
        () if seen.rollout => (base, Reason::HoldRollout),
        () if evidence.surge.is_some() => (base, Reason::Surge),
        () if evidence.outage => (base, Reason::HoldOutage),
        // how fast an earlier copy lowered it is not known
        () if memory.inherited.is_some_and(|t| now.since(t) < VALID) => (base, Reason::HoldRestart),
        () if !settled => (base, if memory.recovering { Reason::HoldStale } else { Reason::HoldRestart }),
        () if evidence.standing == Standing::Gap => (base, Reason::HoldStale),
        () => {
            memory.recovering = false;
            // an HPA drops straight to its metric when a floor goes: a floor always comes down in steps
            let habit = evidence.usual_low.filter(|_| !seen.autoscaled);
            let least = habit.map_or(least, |usual| least.min(usual)).max(fewest);
            // half of what this hour had yesterday goes only when the load has been below it for half an hour
            let kept = if memory.confirms(now, half) { 0 } else { half };
            (least.max(kept), Reason::FallLimited)
        }
    }
}

/// The part that is the largest; the explanation that tells the user most where several are.
fn binding(evidence: &Evidence, reactive: Option<Replicas>) -> Reason {
    let parts = evidence.parts;
    let others = reactive.max(parts.forecast);
    match () {
        () if parts.hold > others.max(parts.schedule).max(evidence.surge) => Reason::HoldOperator,
        () if parts.schedule > others.max(evidence.surge) => Reason::Schedule,
        () if evidence.surge.is_some() && evidence.surge >= others => Reason::Surge,
        // with too little history what is wanted ahead is the load of now with headroom, no forecast
        () if parts.forecast > reactive && evidence.reacting != Reason::ColdStart => Reason::Forecast,
        () => evidence.reacting,
    }
}

#[cfg(test)]
mod tests;
