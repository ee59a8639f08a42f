//! What is worth an event: changes between one look and the next.

use super::acting::{Acted, Intent};
use super::events::{Events, Kind, Regarding, Subject};
use super::tended::Tended;
use crate::actuate::{Actions, Carried, Outcome, Write, WriteError};
use crate::config::Mode;
use crate::plan::{Gain, Reason, SourceState};
use crate::units::{Replicas, Time};

/// What was told of a workload last; told again only when it changes.
#[derive(Debug, Default)]
pub struct Told {
    problems: Vec<String>,
    reason: Option<Reason>,
    blocked: Option<String>,
    failing: bool,
    outcome: Option<Outcome>,
    stopped: bool,
    regressed: Option<String>,
    no_gain: bool,
}

impl Told {
    /// Wrong annotations, or the objects around.
    pub fn problems(&mut self, tended: &Tended, events: &Events, now: Time) {
        if tended.problems != self.problems {
            for problem in &tended.problems {
                events.say(&regarding(tended), Kind::BadAnnotation, problem.clone(), now);
            }
            if tended.problems.is_empty() {
                events.over(&regarding(tended), Kind::BadAnnotation);
            }
            self.problems.clone_from(&tended.problems);
        }
    }

    /// Sources, holds, fallbacks and blocked pods after a decision.
    pub fn decision(&mut self, tended: &Tended, events: &Events, now: Time) {
        let about = regarding(tended);
        let words = tended.sources().find_map(|(name, state)| match state {
            SourceState::Fresh => None,
            SourceState::Stale => Some(format!("source {name} answers, but has no recent sample; nothing is lowered")),
            SourceState::Failing { error } => Some(format!("{error}; nothing is lowered")),
        });
        let words = words.or_else(|| {
            let (name, load) = tended.doubted().next()?;
            Some(format!(
                "source {name} says {load}, a fraction of anything it said in a day: not believed for an hour; nothing is lowered"
            ))
        });
        match words {
            Some(words) if !self.failing => {
                events.say(&about, Kind::SourceDown, words, now);
                self.failing = true;
            }
            None if self.failing => {
                events.say(&about, Kind::SourceRecovered, format!("recent samples are back at {now}"), now);
                events.over(&about, Kind::SourceDown);
                events.over(&about, Kind::Held);
                self.failing = false;
            }
            _ => {}
        }
        let blocked = tended.sight.observation.blocked.clone();
        if let Some(why) = blocked.clone().filter(|_| self.blocked.is_none()) {
            events.say(
                &about,
                Kind::Blocked,
                format!("pods cannot be created, so the floor rises no further: {why}"),
                now,
            );
        }
        if blocked.is_none() && self.blocked.is_some() {
            events.over(&about, Kind::Blocked);
        }
        self.blocked = blocked;
        let Some(plan) = tended.decision.as_ref().map(|d| &d.plan) else { return };
        if self.reason != Some(plan.reason) {
            let n = plan.replicas;
            match plan.reason {
                Reason::HoldStale => events.say(&about, Kind::Held, format!("held at {n}: no fresh samples"), now),
                Reason::HoldRollout => {
                    events.say(&about, Kind::Held, format!("held at {n}: a rollout is under way"), now);
                }
                Reason::HoldRestart => events.say(&about, Kind::Held, format!("held at {n}: just started"), now),
                Reason::HoldOutage => {
                    let note = format!("held at {n} for an hour: an outage, or a fall that no day had at this time");
                    events.say(&about, Kind::Held, note, now);
                }
                Reason::HoldOperator => events.say(&about, Kind::Held, format!("held at {n} by an operator"), now),
                Reason::ColdStart => {
                    events.say(&about, Kind::Fallback, "not enough history to look ahead; reacting only", now);
                }
                Reason::Abstains => {
                    events.say(&about, Kind::Fallback, "the forecast is not good enough here; reacting only", now);
                }
                _ => {}
            }
        }
        self.reason = Some(plan.reason);
        let missing = tended.decision.as_ref().is_some_and(|d| d.evidence.gain == Gain::Missing);
        if missing && !self.no_gain {
            let note = format!(
                "stays at {}: the load has grown with the replicas, step for step, and not without them; is it a sum over pods of what each has?",
                plan.replicas
            );
            events.say(&about, Kind::NoGain, note, now);
        } else if !missing && self.no_gain {
            events.over(&about, Kind::NoGain);
        }
        self.no_gain = missing;
    }

    /// A version that serves less than the one before it.
    pub fn capacity(&mut self, tended: &Tended, events: &Events, now: Time) {
        let about = regarding(tended);
        let regression = tended.outlook.capacity().and_then(|c| c.regression);
        match &regression {
            Some(r) if self.regressed.as_ref() != Some(&r.version) => {
                let note = format!(
                    "a replica of version {} serves {:.4}, one of the version before {:.4}: {:.0}% less; more replicas are planned for it",
                    r.version,
                    r.now,
                    r.before,
                    100.0 * (1.0 - r.now / r.before)
                );
                events.say(&about, Kind::Regressed, note, now);
            }
            None if self.regressed.is_some() => events.over(&about, Kind::Regressed),
            _ => {}
        }
        self.regressed = regression.map(|r| r.version);
    }

    /// The kill switch.
    pub fn stopped(&mut self, tended: &Tended, events: &Events, now: Time) {
        let about = regarding(tended);
        match &tended.sight.stopped {
            Some(stop) if !self.stopped => {
                let note = format!("nothing is written: {stop}; what stands is kept until its time is over");
                events.say(&about, Kind::Stopped, note, now);
            }
            None if self.stopped => {
                events.say(&about, Kind::Resumed, "the kill switch is off: floors are written again", now);
                events.over(&about, Kind::Stopped);
            }
            _ => {}
        }
        self.stopped = tended.sight.stopped.is_some();
    }

    /// What would have been written in observe mode, or why nothing is.
    pub fn rehearsed(&mut self, tended: &Tended, actions: &Actions, events: &Events, now: Time) {
        let moved = floor_of(&actions.writes);
        let own = own(tended);
        let mode = if tended.policy.as_ref().map(|p| p.mode) == Some(Mode::Act) { "config" } else { "annotation" };
        match (actions.outcome, moved) {
            (Outcome::Raised, Some((n, why))) => {
                let note = format!(
                    "would raise the floor to {n} (yours: {own}; {}); not written: {mode} says observe",
                    name(why)
                );
                events.say(&regarding(tended), Kind::FloorRaised, note, now);
            }
            (Outcome::Lowered, Some((n, why))) => {
                let note = format!(
                    "would lower the floor to {n} (yours: {own}; {}); not written: {mode} says observe",
                    name(why)
                );
                events.say(&regarding(tended), Kind::FloorLowered, note, now);
            }
            (Outcome::Released, _) => {
                let note = format!("would give your floor of {own} back; not written: {mode} says observe");
                events.say(&regarding(tended), Kind::FloorLowered, note, now);
            }
            _ => {}
        }
    }

    /// What was written, or why not.
    pub fn acted(&mut self, tended: &Tended, acted: &Acted, events: &Events, now: Time) {
        let about = regarding(tended);
        let carried = match &acted.result {
            Ok(carried) => carried,
            Err(WriteError::Fenced(_) | WriteError::Conflict(_)) => return,
            Err(error) => return events.say(&about, Kind::WriteFailed, error.to_string(), now),
        };
        events.over(&about, Kind::WriteFailed);
        let own = own(tended);
        match (carried.outcome, floor_of(&carried.writes)) {
            (Outcome::Raised, Some((n, why))) => {
                events.say(
                    &about,
                    Kind::FloorRaised,
                    format!("floor raised to {n} (yours: {own}; {})", name(why)),
                    now,
                );
            }
            (Outcome::Lowered, Some((n, why))) => {
                events.say(
                    &about,
                    Kind::FloorLowered,
                    format!("floor lowered to {n} (yours: {own}; {})", name(why)),
                    now,
                );
            }
            (Outcome::Released, _) => {
                let why = match acted.intent {
                    Intent::Plan(_) => "no floor above yours is needed",
                    Intent::Release => "released",
                    Intent::Expire => "its time was over",
                };
                events.say(&about, Kind::FloorLowered, format!("your floor of {own} is back: {why}"), now);
            }
            (Outcome::Yielded | Outcome::Contested, _) if self.outcome == Some(carried.outcome) => {}
            (Outcome::Yielded, _) => {
                let note = "somebody else changed the value: it stands for 10 minutes and is remembered as yours";
                events.say(&about, Kind::Contested, note, now);
            }
            (Outcome::Contested, _) => {
                let note = "somebody else put the value back three times within an hour: we stop for 10 minutes";
                events.say(&about, Kind::Contested, note, now);
            }
            _ => {}
        }
        if !matches!(carried.outcome, Outcome::Yielded | Outcome::Contested) {
            events.over(&about, Kind::Contested);
        }
        self.outcome = Some(carried.outcome);
    }
}

/// The user's value is back on a workload that is not looked after any more.
pub fn tell_release(about: &Regarding, carried: &Carried, events: &Events, now: Time) {
    let original = carried.writes.iter().find_map(|w| match w {
        Write::Restore { original } => Some(*original),
        Write::Floor { .. } | Write::Ledger { .. } | Write::Scale { .. } => None,
    });
    if let Some(original) = original {
        let own = original.map_or_else(|| "not set".to_string(), |n| n.to_string());
        events.say(about, Kind::FloorLowered, format!("your floor of {own} is back: opted out"), now);
    }
}

/// The workload an event is about.
pub fn regarding(tended: &Tended) -> Regarding {
    Regarding { subject: Subject::Workload(tended.sight.workload().clone()), uid: tended.sight.uid.clone() }
}

fn own(tended: &Tended) -> String {
    tended.own_floor().map_or_else(|| "not set".to_string(), |n| n.to_string())
}

/// The reason as it stands in documents and metrics.
pub fn name(reason: Reason) -> String {
    serde_json::to_value(reason).ok().and_then(|v| v.as_str().map(str::to_string)).unwrap_or_default()
}

fn floor_of(writes: &[Write]) -> Option<(Replicas, Reason)> {
    writes.iter().find_map(|w| match w {
        Write::Floor { replicas, ledger } => Some((*replicas, ledger.reason)),
        Write::Ledger { ledger } => Some((ledger.floor, ledger.reason)),
        Write::Restore { .. } | Write::Scale { .. } => None,
    })
}
