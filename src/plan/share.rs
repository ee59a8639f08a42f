//! What the plans of all workloads of a cluster may move together, whatever each of them may by itself.
//!
//! Everything at once is how automation makes outages of its own: a bad day of one source must not take a cluster's pods away,
//! nor a forecast drown its API server. So a minute's falls together stay within a twentieth of the pods, and five minutes'
//! rises that no load asks for within a quarter. Small clusters have a floor under both.

use super::{Observation, Plan};
use crate::units::{Replicas, Time};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// Falls count for so long: a minute, less what the steps of a loop jitter.
const FALLS: Duration = Duration::from_secs(55);
/// Rises count for so long.
const RISES: Duration = Duration::from_secs(300);
/// One of so many pods may go in a minute.
const FALL_PART: Replicas = 20;
/// One of so many may come in five, unless load asks for more.
const RISE_PART: Replicas = 4;
/// So many may always go in a minute.
const FALL_ALWAYS: Replicas = 10;
/// So many may always come in five.
const RISE_ALWAYS: Replicas = 40;
/// Seconds with moves that are remembered.
const MAX_MOVES: usize = 512;

/// What is left for one workload now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// Replicas by which its plan may be below what stands.
    pub fall: Replicas,
    /// Replicas by which it may be above what is there, unless load, a schedule or an operator asks for more.
    pub rise: Replicas,
}

/// The moves of the last minutes.
#[derive(Debug, Clone, Default)]
pub struct Shares {
    falls: VecDeque<(Time, Replicas)>,
    rises: VecDeque<(Time, Replicas)>,
}

impl Shares {
    /// What may still move now, where all workloads together have `pods`.
    pub fn room(&mut self, now: Time, pods: Replicas) -> Room {
        let left = |moves: &mut VecDeque<(Time, Replicas)>, lasts: Duration, most: Replicas| {
            // a clock that goes back forgets nothing
            while moves.front().is_some_and(|(at, _)| now.since(*at) >= lasts) {
                moves.pop_front();
            }
            moves.iter().fold(most, |left, (_, n)| left.saturating_sub(*n))
        };
        Room {
            fall: left(&mut self.falls, FALLS, (pods / FALL_PART).max(FALL_ALWAYS)),
            rise: left(&mut self.rises, RISES, (pods / RISE_PART).max(RISE_ALWAYS)),
        }
    }

    /// Takes what was planned for a workload as it was `seen`; `before`: its plan before this one.
    pub fn note(&mut self, now: Time, before: Option<Replicas>, seen: &Observation, plan: &Plan) {
        if seen.stopped {
            return;
        }
        // what is kept or usual is asked for by nobody
        let asked = plan.parts.reactive.max(plan.parts.schedule).max(before).unwrap_or(0);
        let there = asked.max(seen.standing()).max(seen.replicas);
        for (moves, by) in [
            (&mut self.falls, seen.standing().saturating_sub(plan.replicas)),
            (&mut self.rises, plan.replicas.saturating_sub(there)),
        ] {
            match moves.back_mut() {
                _ if by == 0 => {}
                Some((at, sum)) if at.secs() == now.secs() => *sum = sum.saturating_add(by),
                _ => moves.push_back((now, by)),
            }
            let excess = moves.len().saturating_sub(MAX_MOVES);
            moves.drain(..excess);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Parts, Reason};

    fn at(secs: i64) -> Time {
        Time::from_secs(1_000_000 + secs)
    }

    fn moved(shares: &mut Shares, secs: i64, from: Replicas, to: Replicas, need: Replicas) {
        let seen = Observation {
            at: at(secs),
            replicas: from,
            ready: from,
            autoscaled: true,
            floor: Some(from),
            rollout: false,
            blocked: None,
            stopped: false,
            unhealthy: false,
            room: None,
        };
        let parts = Parts { reactive: Some(need), ..Parts::default() };
        let valid_until = at(secs + 900);
        let plan = Plan { replicas: to, reason: Reason::Forecast, parts, valid_until, wake: at(secs + 60) };
        shares.note(at(secs), Some(from), &seen, &plan);
    }

    #[test]
    fn together_a_twentieth_goes_in_a_minute_and_a_quarter_comes_in_five() {
        let mut shares = Shares::default();
        assert_eq!(shares.room(at(0), 1000), Room { fall: 50, rise: 250 });
        moved(&mut shares, 0, 100, 90, 0);
        moved(&mut shares, 0, 300, 270, 0);
        moved(&mut shares, 0, 50, 100, 0);
        assert_eq!(shares.room(at(0), 1000), Room { fall: 10, rise: 200 });
        moved(&mut shares, 60, 50, 200, 180);
        assert_eq!(shares.room(at(60), 1000), Room { fall: 50, rise: 180 }, "180 of 200 are there to be served");
        assert_eq!(shares.room(at(300), 1000), Room { fall: 50, rise: 230 });
        assert_eq!(shares.room(at(300), 20), Room { fall: 10, rise: 20 }, "small clusters have a floor under both");
    }

    #[test]
    fn a_clock_that_goes_back_makes_no_room() {
        let mut shares = Shares::default();
        moved(&mut shares, 0, 100, 95, 0);
        assert_eq!(shares.room(at(-4000), 0).fall, 5);
    }
}
