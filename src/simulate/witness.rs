//! What must hold whatever happens, checked on every step from the outside: from what was written into the cluster and
//! from the simulator's own truth, never by the planner's code. The invariants are those of `docs/safety.md`.

use super::faults::{Episode, Fault};
use crate::units::{Replicas, Time};
use serde::Serialize;
use std::collections::VecDeque;

/// An invariant that did not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// I1 to I12.
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
    /// The hour, by a clock that is right.
    pub hour: i64,
    /// The lower bound that has to hold now.
    pub users_min: Replicas,
    /// The lower bound that the user's own object says.
    pub users_wish: Replicas,
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
    /// The largest need that a sample of the last half hour claims.
    pub half_hour_need: Option<Replicas>,
    /// The kill switch is on: nothing is written.
    pub stopped: bool,
    /// Entries that the planner remembers.
    pub remembered: usize,
    /// Whole minutes for which the planner says that it has not known the load. None: it does.
    pub blind_minutes: Option<u64>,
    /// Our clock has been wrong at some time.
    pub clock_was_wrong: bool,
    /// The source says zero, which may or may not be believed, or catches up with the minutes before.
    pub hearsay: bool,
}

/// What a turn moved, for the rules that hold for all workloads together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// Replicas by which our write lowered what stood.
    pub fell: Replicas,
    /// Replicas by which the plan rose above what was there, planned or asked for.
    pub rose: Replicas,
}

/// Watches all workloads of a cluster together.
#[derive(Debug, Default)]
pub struct Crowd {
    /// What rose in the last minutes.
    rises: VecDeque<(u64, Replicas)>,
}

impl Crowd {
    /// Checks a minute of a cluster that had `pods`: a twentieth of them or ten may go, in five minutes a quarter or forty may
    /// come that nothing asks for. What did not hold.
    pub fn minute(&mut self, minute: u64, pods: Replicas, moved: &[Moved]) -> Vec<(&'static str, String)> {
        let fell: Replicas = moved.iter().map(|m| m.fell).sum();
        let rose: Replicas = moved.iter().map(|m| m.rose).sum();
        self.rises.push_back((minute, rose));
        self.rises.retain(|(m, _)| minute - m < CROWD_MINUTES);
        let lately: Replicas = self.rises.iter().map(|(_, n)| n).sum();
        let mut broken = Vec::new();
        if fell > (pods / 20).max(10) {
            broken.push(("I4", format!("{fell} of {pods} pods of the cluster go in a minute")));
        }
        if rose > 0 && lately > (pods / 4).max(40) {
            broken.push(("I5", format!("{lately} pods come to the {pods} of the cluster within five minutes")));
        }
        broken
    }
}

/// Watches one workload.
#[derive(Debug, Clone)]
pub struct Witness {
    workload: u64,
    /// (minute, floor) as our own writes left it, newest last. Before the first minute where our clock made it older.
    floors: VecDeque<(i64, Replicas)>,
    /// (minute, plan), newest last.
    plans: VecDeque<(i64, Replicas)>,
    /// The least plan of each hour since memory began, newest last.
    hours: VecDeque<(i64, Replicas)>,
    last: Option<Replicas>,
    remembers_since: u64,
    informed_since: Option<u64>,
    unknown_since: Option<u64>,
    faults: Vec<Episode>,
    violations: Vec<Violation>,
}

/// Entries that a planner may remember of one workload (I9).
const MAX_REMEMBERED: usize = 600;
/// Minutes without load after which it has to be said (I11).
const DEAD_MAN_MINUTES: u64 = 5;
/// Violations kept of one workload.
const MAX_VIOLATIONS: usize = 10;
/// Minutes of floors that limit how fast they may fall.
const MINUTES: i64 = 15;
/// Minutes of plans that limit how fast they may grow.
const GROWTH_MINUTES: i64 = 10;
/// Minutes of rises of all workloads together.
const CROWD_MINUTES: u64 = 5;
/// A sample says something of now for so long.
const CLAIM_MINUTES: u64 = 3;
/// So long the load has to be low.
const HALF_HOUR: u64 = 30;
/// A hold lasts so long at most.
const HOLD_MINUTES: u64 = 59;

impl Witness {
    /// One that has seen nothing.
    pub fn new(workload: u64) -> Witness {
        Witness {
            workload,
            floors: VecDeque::new(),
            plans: VecDeque::new(),
            hours: VecDeque::new(),
            last: None,
            remembers_since: 0,
            informed_since: None,
            unknown_since: None,
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
                faults: self.faults.iter().map(|e| e.fault).collect(),
            });
        }
    }

    /// What goes wrong in this minute.
    pub fn during(&mut self, faults: &[Episode]) {
        self.faults.clear();
        self.faults.extend_from_slice(faults);
    }

    /// Somebody else changed the floor, or it expired: falls are counted from here.
    pub fn others_changed(&mut self) {
        self.floors.clear();
    }

    /// Our clock went forward by so many minutes as after a pause that it cannot be told from: all is that much older.
    pub fn paused(&mut self, minutes: u64) {
        for (minute, _) in self.floors.iter_mut().chain(&mut self.plans) {
            *minute -= minutes as i64;
        }
    }

    /// Checks what one turn shows, and tells what it moved.
    pub fn turn(&mut self, t: &Turned) -> Moved {
        if t.floor > t.max || t.floor < t.users_min.min(t.max) {
            self.accuse("I1", t.minute, format!("floor {} outside {}..={}", t.floor, t.users_min, t.max));
        }
        if t.remembered > MAX_REMEMBERED {
            self.accuse("I9", t.minute, format!("{} entries are remembered", t.remembered));
        }
        if t.restarted || t.stopped {
            self.plans.clear();
            self.hours.clear();
            self.last = None;
            self.remembers_since = t.minute;
        }
        // a new copy has not been blind for long itself
        let unknown = if t.informed || t.hearsay { None } else { self.unknown_since.or(Some(t.minute)) };
        self.unknown_since = unknown.map(|since| since.max(self.remembers_since));
        let blind = self.unknown_since.map_or(0, |since| t.minute - since);
        if !t.clock_was_wrong
            && blind > DEAD_MAN_MINUTES + CLAIM_MINUTES
            && t.blind_minutes.is_none_or(|m| m < DEAD_MAN_MINUTES)
        {
            self.accuse("I11", t.minute, format!("no load for {blind} minutes, and {:?} are told", t.blind_minutes));
        }
        if t.stopped {
            return Moved::default();
        }
        let planned = self.last;
        if t.blocked && planned.is_some_and(|p| t.plan > p.max(t.users_min).max(t.in_force)) {
            self.accuse("I1", t.minute, format!("plan {planned:?} -> {} while pods cannot be created", t.plan));
        }
        if let Some(need) = t.told_need
            && !t.blocked
            && t.plan < need.min(t.max)
        {
            self.accuse("I2", t.minute, format!("plan {} below the need {need} of now", t.plan));
        }
        self.informed_since = if t.informed { self.informed_since.or(Some(t.minute)) } else { None };
        let stood = self.floors.back().map_or(0, |(_, floor)| *floor);
        let fell = stood.min(t.in_force).min(t.max).saturating_sub(t.floor);
        self.fall(t);
        let rose = self.growth(t);
        let minute = t.minute as i64;
        self.floors.push_back((minute, t.floor));
        self.floors.retain(|(m, _)| minute - m <= MINUTES);
        self.plans.push_back((minute, t.plan));
        self.plans.retain(|(m, _)| minute - m <= GROWTH_MINUTES);
        Moved { fell, rose }
    }

    fn fall(&mut self, t: &Turned) {
        let half = self.half_of_yesterday(t);
        let Some(before) = self.floors.back().map(|(_, f)| *f) else { return };
        let usual_again = t.uninformed_minutes > HOLD_MINUTES;
        if !t.informed && t.floor < before && !usual_again {
            self.accuse("I3", t.minute, format!("floor {before} -> {} without a sample", t.floor));
        }
        let least = self.least(t.minute as i64, before).min(t.habit.unwrap_or(Replicas::MAX));
        if t.floor < least {
            self.accuse("I4", t.minute, format!("floor {before} -> {}, at least {least} allowed", t.floor));
        }
        if t.floor < before.min(half) && !t.clock_was_wrong {
            self.accuse("I4", t.minute, format!("floor {before} -> {}, half of yesterday is {half}", t.floor));
        }
    }

    /// Half of the least plan of this hour yesterday. 0: not known, or half an hour of load has confirmed less.
    fn half_of_yesterday(&mut self, t: &Turned) -> Replicas {
        let hour = t.hour;
        match self.hours.back_mut().filter(|(h, _)| *h == hour) {
            Some((_, least)) => *least = t.plan.min(*least),
            None => self.hours.push_back((hour, t.plan)),
        }
        self.hours.retain(|(h, _)| hour - h <= 24);
        let known = self.hours.front().filter(|(h, _)| h + 24 == hour);
        let half = known.map_or(0, |(_, plan)| plan / 2);
        let informed = self.informed_since.is_some_and(|m| t.minute - m >= HALF_HOUR - 1);
        if informed && t.half_hour_need.is_some_and(|need| need <= half) { 0 } else { half }
    }

    /// At most 10 % a minute and 30 % in 15 minutes; of ten or fewer, one a minute.
    fn least(&self, minute: i64, before: Replicas) -> Replicas {
        if before <= 10 {
            let last = self.floors.back().map_or(minute, |(m, _)| *m);
            return before.saturating_sub((minute - last).max(1) as Replicas);
        }
        let within = |minutes: i64, keep: f64| {
            let recent = self.floors.iter().filter(|(m, _)| minute - m <= minutes).map(|(_, f)| *f).max().unwrap_or(0);
            (f64::from(recent) * keep - 1e-9).ceil() as Replicas
        };
        within(1, 0.9).max(within(MINUTES, 0.7))
    }

    /// At most four times the least of ten minutes, unless load is there that needs more, or so many run already. How much
    /// more it is than what was there, planned or asked for.
    fn growth(&mut self, t: &Turned) -> Replicas {
        let recent = self.plans.iter().filter(|(m, _)| t.minute as i64 - m <= GROWTH_MINUTES);
        // a copy without memory counts from what it finds
        let least = recent.map(|(_, p)| *p).min().unwrap_or(t.running);
        let last = self.last.replace(t.plan).unwrap_or(0);
        let there = t.claimed_need.max(t.users_wish).max(t.in_force).max(t.running).max(last);
        let from = least.max(1);
        let most = from.saturating_mul(4).max(there);
        if t.plan > most {
            self.accuse("I5", t.minute, format!("plan {}, at most {most} allowed from {from}", t.plan));
        }
        t.plan.saturating_sub(there)
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
            hour: 0,
            users_min: 2,
            users_wish: 2,
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
            half_hour_need: Some(1),
            stopped: false,
            remembered: 0,
            blind_minutes: None,
            clock_was_wrong: false,
            hearsay: false,
        }
    }

    fn accused(turns: &[Turned]) -> Vec<&'static str> {
        let mut witness = Witness::new(0);
        for t in turns {
            witness.turn(t);
        }
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

    #[test]
    fn a_cluster_can_fail_where_no_workload_does() {
        let moves = |fell, rose| vec![Moved { fell, rose }; 4];
        let names = |broken: Vec<(&'static str, String)>| broken.iter().map(|b| b.0).collect::<Vec<_>>();
        let mut crowd = Crowd::default();
        assert_eq!(names(crowd.minute(0, 1000, &moves(12, 60))), [""; 0]);
        assert_eq!(names(crowd.minute(1, 1000, &moves(13, 0))), ["I4"], "52 of 1,000");
        assert_eq!(names(crowd.minute(4, 1000, &moves(0, 3))), ["I5"], "252 within five minutes");
        assert_eq!(names(crowd.minute(5, 1000, &moves(0, 3))), [""; 0]);
    }

    #[test]
    fn a_clock_that_jumps_makes_the_first_minutes_older_too() {
        let grown = |minutes| {
            let mut witness = Witness::new(0);
            witness.turn(&fine(0, 10));
            witness.paused(minutes);
            witness.turn(&Turned { running: 20, in_force: 20, ..fine(5, 41) });
            witness.into_violations().len()
        };
        assert_eq!((grown(5), grown(6)), (1, 0), "ten minutes old, eleven minutes old");
    }
}
