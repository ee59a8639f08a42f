//! What must hold whatever happens, checked on every step from the outside: from what was written into the cluster and
//! from the simulator's own truth, never by the planner's code. The invariants are those of `docs/safety.md`.

use super::faults::Fault;
use crate::units::{Replicas, Time};
use serde::Serialize;
use std::collections::VecDeque;

/// An invariant that did not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// I1 to I8.
    pub invariant: &'static str,
    /// Which workload of the run.
    pub workload: u64,
    /// The minute of its life.
    pub minute: u64,
    /// What was seen.
    pub seen: String,
    /// The faults at that minute.
    pub faults: Vec<Fault>,
}

/// The truth about one turn, as the simulator knows it.
#[derive(Debug, Clone, Copy)]
pub struct Turned {
    /// The minute.
    pub minute: u64,
    /// The user's own lower bound.
    pub users_min: Replicas,
    /// The user's upper bound.
    pub max: Replicas,
    /// The plan.
    pub plan: Replicas,
    /// The floor in force after our writes.
    pub floor: Replicas,
    /// The floor in force before our writes.
    pub in_force: Replicas,
    /// `spec.replicas` before the turn.
    pub running: Replicas,
    /// Replicas that the load of now truly needs; None when the operator was not told the truth in the last minutes.
    pub told_need: Option<Replicas>,
    /// The most that the newest samples of the last minutes can justify.
    pub claimed_need: Replicas,
    /// True when this turn brought a believable sample.
    pub informed: bool,
    /// Minutes without one, this turn included.
    pub uninformed_minutes: u64,
    /// Pods could not be created.
    pub blocked: bool,
    /// The least need that the operator was told within half an hour of this time yesterday: a fall down to it is not
    /// limited in rate. None: nothing of the kind is claimed.
    pub habit: Option<Replicas>,
    /// The first turn of a copy without memory.
    pub restarted: bool,
}

/// Watches one workload.
#[derive(Debug, Clone)]
pub struct Witness {
    workload: u64,
    /// (minute, floor) as our own writes left it, newest last.
    floors: VecDeque<(u64, Replicas)>,
    /// (minute, plan), newest last.
    plans: VecDeque<(u64, Replicas)>,
    faults: Vec<Fault>,
    violations: Vec<Violation>,
}

/// Violations kept of one workload.
const MAX_VIOLATIONS: usize = 10;
/// Minutes of floors that limit how fast they may fall.
const MINUTES: u64 = 15;
/// Minutes of plans that limit how fast they may grow.
const GROWTH_MINUTES: u64 = 10;
/// A hold lasts so long at most.
const HOLD_MINUTES: u64 = 59;

impl Witness {
    /// One that has seen nothing.
    pub fn new(workload: u64) -> Witness {
        Witness {
            workload,
            floors: VecDeque::new(),
            plans: VecDeque::new(),
            faults: Vec::new(),
            violations: Vec::new(),
        }
    }

    /// What did not hold so far.
    pub fn into_violations(self) -> Vec<Violation> {
        self.violations
    }

    /// Something that is seen elsewhere did not hold.
    pub fn accuse(&mut self, invariant: &'static str, minute: u64, seen: String) {
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(Violation {
                invariant,
                workload: self.workload,
                minute,
                seen,
                faults: self.faults.clone(),
            });
        }
    }

    /// What goes wrong in this minute.
    pub fn during(&mut self, faults: Vec<Fault>) {
        self.faults = faults;
    }

    /// Somebody else changed the floor, or it expired: falls are counted from here.
    pub fn others_changed(&mut self) {
        self.floors.clear();
    }

    /// Our clock went forward by so many minutes as after a pause that it cannot be told from: all is that much older.
    pub fn paused(&mut self, minutes: u64) {
        for (minute, _) in self.floors.iter_mut().chain(&mut self.plans) {
            *minute = minute.saturating_sub(minutes);
        }
    }

    /// Checks I1 to I5 on one turn.
    pub fn turn(&mut self, t: &Turned) {
        if t.floor > t.max || t.floor < t.users_min.min(t.max) {
            self.accuse("I1", t.minute, format!("floor {} outside {}..={}", t.floor, t.users_min, t.max));
        }
        let planned = if t.restarted { None } else { self.plans.back().map(|(_, p)| *p) };
        if t.blocked && planned.is_some_and(|p| t.plan > p.max(t.users_min).max(t.in_force)) {
            self.accuse("I1", t.minute, format!("plan {planned:?} -> {} while pods cannot be created", t.plan));
        }
        let before = self.floors.back().map(|(_, f)| *f);
        if let Some(need) = t.told_need
            && !t.blocked
            && t.plan < need.min(t.max)
        {
            self.accuse("I2", t.minute, format!("plan {} below the need {need} of now", t.plan));
        }
        if let Some(before) = before {
            let usual_again = t.uninformed_minutes > HOLD_MINUTES;
            if !t.informed && t.floor < before && !usual_again {
                self.accuse("I3", t.minute, format!("floor {before} -> {} without a sample", t.floor));
            }
            let least = self.least(t.minute, before).min(t.habit.unwrap_or(Replicas::MAX));
            if t.floor < least {
                self.accuse("I4", t.minute, format!("floor {before} -> {}, at least {least} allowed", t.floor));
            }
        }
        self.growth(t);
        self.floors.push_back((t.minute, t.floor));
        self.floors.retain(|(m, _)| t.minute - m <= MINUTES);
        if t.restarted {
            self.plans.clear();
        }
        self.plans.push_back((t.minute, t.plan));
        self.plans.retain(|(m, _)| t.minute - m <= GROWTH_MINUTES);
    }

    /// At most 10 % a minute and 30 % in 15 minutes; of ten or fewer, one a minute.
    fn least(&self, minute: u64, before: Replicas) -> Replicas {
        if before <= 10 {
            let last = self.floors.back().map_or(minute, |(m, _)| *m);
            return before.saturating_sub((minute - last).max(1) as Replicas);
        }
        let within = |minutes: u64, keep: f64| {
            let recent = self.floors.iter().filter(|(m, _)| minute - m <= minutes).map(|(_, f)| *f).max().unwrap_or(0);
            (f64::from(recent) * keep - 1e-9).ceil() as Replicas
        };
        within(1, 0.9).max(within(MINUTES, 0.7))
    }

    /// At most four times the least of ten minutes, unless load is there that needs more, or so many run already.
    fn growth(&mut self, t: &Turned) {
        let recent = self.plans.iter().filter(|(m, _)| t.minute - m <= GROWTH_MINUTES);
        let (least, last) = match recent.map(|(_, p)| *p).min() {
            // a copy without memory counts from what it finds
            Some(least) if !t.restarted => (least, self.plans.back().map_or(0, |(_, p)| *p)),
            _ => (t.running, 0),
        };
        let from = least.max(1);
        let most = from.saturating_mul(4).max(t.claimed_need).max(t.users_min).max(t.in_force).max(t.running);
        if t.plan > most.max(last) {
            self.accuse("I5", t.minute, format!("plan {}, at most {most} allowed from {from}", t.plan));
        }
    }

    /// I7: our floor does not outlive its time by more than a sweep.
    pub fn expiry(&mut self, minute: u64, now: Time, expires: Time, sweep: std::time::Duration) {
        if now.since(expires) > sweep {
            self.accuse("I7", minute, format!("the floor expired at {expires} and stands at {now}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fine(minute: u64, floor: Replicas) -> Turned {
        Turned {
            minute,
            users_min: 2,
            max: 100,
            plan: floor,
            floor,
            in_force: floor,
            running: floor,
            told_need: Some(1),
            claimed_need: 1,
            informed: true,
            uninformed_minutes: 0,
            blocked: false,
            habit: None,
            restarted: false,
        }
    }

    fn accused(turns: &[Turned]) -> Vec<&'static str> {
        let mut witness = Witness::new(0);
        turns.iter().for_each(|t| witness.turn(t));
        witness.into_violations().iter().map(|v| v.invariant).collect()
    }

    #[test]
    fn each_invariant_can_fail() {
        assert_eq!(accused(&[fine(0, 50), fine(1, 45), fine(2, 41)]), [""; 0]);
        assert_eq!(accused(&[fine(0, 101)]), ["I1"]);
        assert_eq!(accused(&[fine(0, 1)]), ["I1"]);
        assert_eq!(accused(&[fine(0, 50), Turned { blocked: true, in_force: 50, ..fine(1, 51) }]), ["I1"]);
        assert_eq!(accused(&[Turned { told_need: Some(9), ..fine(0, 8) }]), ["I2"]);
        assert_eq!(accused(&[fine(0, 50), Turned { informed: false, uninformed_minutes: 1, ..fine(1, 49) }]), ["I3"]);
        assert_eq!(accused(&[fine(0, 50), fine(1, 44)]), ["I4"]);
        assert_eq!(accused(&[fine(0, 50), Turned { habit: Some(30), ..fine(1, 44) }]), [""; 0]);
        let restarted = |minute, floor| Turned { restarted: true, ..fine(minute, floor) };
        let falls = [fine(0, 100), fine(1, 90), fine(2, 81), fine(3, 73)];
        assert_eq!(accused(&[&falls[..], &[fine(4, 66)]].concat()), ["I4"]);
        assert_eq!(accused(&[&falls[..], &[restarted(4, 66)]].concat()), ["I4"], "a restart excuses nothing");
        let sudden = Turned { in_force: 10, running: 10, ..fine(5, 41) };
        assert_eq!(accused(&[fine(0, 10), sudden]), ["I5"]);
        assert_eq!(accused(&[fine(0, 10), Turned { running: 41, ..sudden }]), [""; 0]);
        assert_eq!(accused(&[fine(0, 10), Turned { claimed_need: 41, ..sudden }]), [""; 0]);
    }
}
