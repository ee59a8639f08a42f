//! The lead time that plans are made for: learned, but it moves rarely, because a planner plans for one lead and a change
//! makes a new one learn from the whole history.

use super::{LeadTimes, StartPath};
use crate::units::{Step, Time};
use std::time::Duration;

/// The level of the lead that is planned for.
pub const LEAD_LEVEL: f64 = 0.95;
/// A path that fewer of the newest starts took does not decide.
const SHARE_MIN: f64 = 0.05;
/// Leads in steps that may be in force; each is at most a quarter longer than what is needed, from 4 steps on.
const STEPS: [usize; 18] = [1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 18, 22, 27, 33, 40, 48, 60, 90];
/// A longer lead must be seen so often in a row.
const LOOKS_UP: u32 = 3;
/// A shorter one must have been enough for so long.
const DOWN_AFTER: Duration = Duration::from_secs(3600);
/// A shorter one must leave so much room to its own bound.
const DOWN_ROOM: f64 = 0.9;

/// What was learned of a workload's starts, as one number: the slowest path that at least a twentieth of the newest starts
/// took, at [`LEAD_LEVEL`]. With too few starts it is at least `prior`. None: no start was seen.
pub fn learned_lead(times: &LeadTimes, prior: Duration) -> Option<Duration> {
    let taken = StartPath::ALL.into_iter().filter(|path| times.share(*path) >= SHARE_MIN);
    taken.filter_map(|path| times.lead(path, LEAD_LEVEL, prior)).map(|e| e.value).max()
}

/// The lead in force, in steps, with hysteresis.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeadInForce {
    steps: Option<usize>,
    over: u32,
    enough_since: Option<Time>,
}

impl LeadInForce {
    /// The lead to plan for. None: nothing was learned.
    pub fn lead(&self, step: Step) -> Option<Duration> {
        self.steps.map(|steps| step.times(steps))
    }

    /// Takes a newly learned lead. `given` is what plans are made for until something was
    /// learned. It rises when three looks in a row want more, and falls when less would have been enough for an hour.
    /// True: it has changed.
    pub fn look(&mut self, now: Time, learned: Duration, given: Duration, step: Step) -> bool {
        let needed = step.cover(learned);
        let [.., longest] = STEPS;
        let wanted = STEPS.into_iter().find(|s| *s >= needed).unwrap_or(longest);
        let before = self.steps;
        let current = before.unwrap_or_else(|| step.cover(given));
        if wanted > current {
            self.enough_since = None;
            self.over += 1;
            if self.over >= LOOKS_UP {
                self.over = 0;
                self.steps = Some(wanted);
            }
        } else {
            self.over = 0;
            let room = learned.as_secs_f64() <= DOWN_ROOM * step.times(wanted).as_secs_f64();
            if wanted == current || !room {
                self.enough_since = None;
            } else if now.since(*self.enough_since.get_or_insert(now)) >= DOWN_AFTER {
                self.enough_since = None;
                self.steps = Some(wanted);
            }
        }
        before != self.steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demand::Start;

    fn at(minute: i64) -> Time {
        Time::from_secs(60 * minute)
    }

    fn s(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// A start that took so long; on a node bought for it or not.
    fn start(secs: i64, bought: bool) -> Start {
        let created = at(100);
        let node = if bought { created + s(1) } else { at(1) };
        Start {
            decided: None,
            created,
            preempted: false,
            node_created: Some(node),
            node_ready: Some(node),
            scheduled: Some(node),
            initialized: None,
            started: None,
            ready: Some(Time::from_secs(created.secs() + secs)),
            seen: at(200),
        }
    }

    #[test]
    fn the_slowest_path_that_is_taken_decides() {
        let mut times = LeadTimes::default();
        assert_eq!(learned_lead(&times, s(180)), None);
        (0..96).for_each(|_| times.learn(&start(9, false)));
        (0..4).for_each(|_| times.learn(&start(70, true)));
        assert_eq!(learned_lead(&times, s(180)), Some(s(9)), "4 of 100 took the slow path");
        (0..40).for_each(|_| times.learn(&start(70, true)));
        assert_eq!(learned_lead(&times, s(180)), Some(s(70)));
        let mut few = LeadTimes::default();
        few.learn(&start(9, false));
        assert_eq!(learned_lead(&few, s(180)), Some(s(180)), "one start says little");
    }

    #[test]
    fn it_rises_after_three_looks_and_falls_after_an_hour() {
        let mut lead = LeadInForce::default();
        let mut look = |minute, secs| (lead.look(at(minute), s(secs), s(180), Step::MINUTE), lead.steps);
        assert_eq!(look(0, 200), (false, None));
        assert_eq!(look(1, 170), (false, None), "what is given is enough: the count begins again");
        assert_eq!([look(2, 200), look(3, 410)], [(false, None); 2]);
        assert_eq!(look(4, 410), (true, Some(8)), "410 s are 7 steps, and the next that may be is 8");
        for minute in 5..65 {
            assert_eq!(look(minute, 100), (false, Some(8)), "{minute}");
        }
        assert_eq!(look(65, 100), (true, Some(2)));
        for minute in 66..200 {
            assert_eq!(look(minute, 58), (false, Some(2)), "58 s of 60 leave no room");
        }
        assert_eq!(lead.lead(Step::MINUTE), Some(s(120)));
    }

    #[test]
    fn absurd_leads_are_bounded() {
        let mut lead = LeadInForce::default();
        assert!((0..3).any(|i| lead.look(at(i), s(1_000_000), s(180), Step::MINUTE)));
        assert_eq!(lead.lead(Step::MINUTE), Some(s(5400)));
    }
}
