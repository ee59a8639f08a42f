//! Whether replicas help: a load that only grows because there are more replicas (a gauge of each pod, summed) would be
//! chased to the upper bound.
//!
//! Load from outside grows whether or not replicas have just arrived, and is spread over more of them. Load that the
//! replicas make themselves grows with them, step for step, and stands still while they do. Where too few steps without
//! arrivals have been seen to tell, raising pauses for a few of them.

use crate::units::Replicas;
use serde::{Deserialize, Serialize};

/// Growth of the replicas, in natural logarithms, before anything is suspected: two doublings.
const DOUBLINGS: f64 = 2.0 * std::f64::consts::LN_2;
/// Load that follows its replicas grows by at least this part of what they do, when they do; and by no more than the
/// inverse.
const FOLLOWS: f64 = 0.9;
/// Steps without arrivals that are needed to tell.
const STILL: usize = 3;
/// Load from outside grows in a step without arrivals by at least this part of what it does in one with them.
const OUTSIDE: f64 = 0.25;
/// After so many steps without arrivals a rise is over.
const OVER: usize = 30;
/// Load that was seen to come from outside is not looked at again for so many steps.
const EXEMPT: usize = 60;
/// So many steps after a stop one raise is let through, to see whether the load follows it.
const TEST: usize = 10;
/// After a test that it followed, so many steps until the next one, doubled each time.
const RETEST: usize = 120;
/// Tests after which that is not doubled any more.
const TESTS: u32 = 5;
/// A raise that tells: by this part, in logarithms, at least.
const TELLS: f64 = 0.05;
/// Once stopped, a change of the load by this part while the replicas stay shows that it has a life of its own.
const MOVES: f64 = 0.2;

/// What is to be done about raising.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gain {
    /// Nothing: replicas help, or nothing speaks against it.
    #[default]
    Unquestioned,
    /// Pause: it is being found out.
    Probing,
    /// Stop: the load only follows the replicas.
    Missing,
}

/// Watches load and ready replicas, a step each.
#[derive(Debug, Clone, Default)]
pub struct GainCheck {
    last: Option<(f64, Replicas)>,
    /// Sums of growth, in logarithms: of the replicas, of the load when they arrived, and of the load between.
    grown: f64,
    followed: f64,
    between: f64,
    arrivals: usize,
    still: usize,
    /// Steps since the newest arrival.
    quiet: usize,
    exempt: usize,
    stopped: Option<Stop>,
}

/// Raising was stopped.
#[derive(Debug, Clone, Copy)]
struct Stop {
    /// Load and replicas then, or when the newest replicas had arrived.
    load: f64,
    ready: Replicas,
    /// The newest load of as many replicas: what it had come to before more arrived.
    before: f64,
    /// Steps since, or since the load followed one more raise.
    steps: usize,
    /// It has.
    tested: bool,
    /// How often it was tested again.
    again: u32,
}

impl GainCheck {
    /// Takes the load of a step and the replicas that were ready for it. `usual`: the largest load of the day before; what
    /// is no more than that needs no explanation. None: not known. Asked for where it matters.
    pub fn advance(&mut self, load: f64, ready: Replicas, usual: impl FnOnce() -> Option<f64>) -> Gain {
        self.exempt = self.exempt.saturating_sub(1);
        let before = self.last.replace((load, ready));
        let Some((load_before, ready_before)) = before.filter(|(l, r)| *l > 0.0 && *r > 0 && load > 0.0) else {
            return self.forget();
        };
        if let Some(stop) = self.stopped {
            return self.while_stopped(stop, load, ready);
        }
        if ready < ready_before {
            return self.forget();
        }
        let growth = (load / load_before).ln();
        if ready > ready_before {
            self.grown += (f64::from(ready) / f64::from(ready_before)).ln();
            self.followed += growth;
            self.arrivals += 1;
            self.quiet = 0;
        } else if self.arrivals > 0 {
            self.between += growth;
            self.still += 1;
            self.quiet += 1;
        }
        if self.quiet > OVER {
            return self.forget();
        }
        let follows = self.followed >= FOLLOWS * self.grown && self.followed * FOLLOWS <= self.grown;
        if self.grown < DOUBLINGS || !follows || self.exempt > 0 || usual().is_some_and(|usual| load <= usual) {
            return Gain::Unquestioned;
        }
        if self.still < STILL {
            return Gain::Probing;
        }
        let (with, without) = (self.followed / self.arrivals as f64, self.between / self.still as f64);
        if without >= OUTSIDE * with {
            self.exempt = EXEMPT;
            return self.forget();
        }
        self.stopped = Some(Stop { load, ready, before: load, steps: 0, tested: false, again: 0 });
        Gain::Missing
    }

    /// Load that moves by itself, or does not follow the one raise that is let through, is no load of the replicas' own.
    fn while_stopped(&mut self, stop: Stop, load: f64, ready: Replicas) -> Gain {
        let steps = stop.steps + 1;
        let grown = (f64::from(ready) / f64::from(stop.ready)).ln();
        // what it did before they arrived was no answer to them
        let followed = (load / stop.before).ln();
        let moves = ready == stop.ready && (load / stop.load).ln().abs() > MOVES;
        let enough = !stop.tested && steps > 2 * TEST;
        let tells = !stop.tested && steps > TEST && grown >= TELLS;
        if grown < 0.0 || moves || enough || tells && followed < grown / 2.0 {
            self.exempt = EXEMPT;
            return self.forget();
        }
        let before = if ready == stop.ready { load } else { stop.before };
        let stop = match grown > 0.0 && (tells || stop.tested || steps <= TEST) {
            true if tells => Stop { load, ready, before: load, steps: 0, tested: true, ..stop },
            true => Stop { load, ready, before: load, steps, ..stop },
            false => Stop { before, steps, ..stop },
        };
        let again = stop.tested && stop.steps >= RETEST << stop.again;
        self.stopped = Some(match again {
            true => Stop { steps: TEST, tested: false, again: (stop.again + 1).min(TESTS), ..stop },
            false => stop,
        });
        if again || !stop.tested && steps == TEST { Gain::Unquestioned } else { Gain::Missing }
    }

    /// A new rise begins.
    fn forget(&mut self) -> Gain {
        *self = GainCheck { last: self.last, exempt: self.exempt, ..GainCheck::default() };
        Gain::Unquestioned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays steps of (load of the replicas that are ready and the step, most replicas wanted); a replica serves 10, and
    /// starts within `late` steps.
    fn play(steps: usize, late: usize, load: impl Fn(usize, Replicas) -> f64) -> (Vec<Gain>, Vec<Replicas>) {
        let mut check = GainCheck::default();
        let (mut wanted, mut gains, mut counts) = (vec![2u32; late + 1], Vec::new(), Vec::new());
        for step in 0..steps {
            let ready = wanted[step];
            let now = load(step, ready);
            let gain = check.advance(now, ready, || None);
            let need = (now / 10.0).ceil() as Replicas;
            let last = wanted[wanted.len() - 1];
            wanted.push(if gain == Gain::Unquestioned { need.max(last) } else { last });
            gains.push(gain);
            counts.push(ready);
        }
        (gains, counts)
    }

    #[test]
    fn a_gauge_of_each_pod_summed_is_stopped_after_two_doublings() {
        for late in [0, 1, 3] {
            // every pod says 15, whatever is to be done
            let (gains, counts) = play(60, late, |_, ready| 15.0 * f64::from(ready));
            assert!(gains[40..].iter().all(|g| *g == Gain::Missing), "late {late}: {gains:?}");
            // 2, 3, 5, 8: two doublings, and one more raise to make sure
            assert!(counts[counts.len() - 1] <= 12, "late {late}: {counts:?}");
        }
    }

    #[test]
    fn a_ramp_from_outside_is_not_stopped() {
        for late in [0, 1, 3] {
            for growth in [1.03f64, 1.1, 1.3, 2.0] {
                let crowd = |step: usize, _| (15.0 * growth.powi(step.min(60) as i32)).min(5000.0);
                let (gains, counts) = play(200, late, crowd);
                let paused = gains.iter().filter(|g| **g != Gain::Unquestioned).count();
                assert!(paused <= STILL + late + 1 || counts[60] >= 490, "late {late}, {growth}: {gains:?}");
                assert_eq!(f64::from(counts[counts.len() - 1]), (crowd(199, 0) / 10.0).ceil());
            }
        }
    }

    #[test]
    fn a_ramp_whose_replicas_become_ready_one_by_one_gets_out_when_it_flattens() {
        for growth in [1.1f64, 1.2, 1.4] {
            for after in [1.0f64, 1.003, 1.01] {
                let load =
                    |step: usize| 20.0 * growth.powi(step.min(12) as i32) * after.powi(step.saturating_sub(12) as i32);
                let mut check = GainCheck::default();
                let (mut wanted, mut ready, mut short) = (2u32, 2u32, 0);
                for step in 0..300 {
                    // a third of what is missing becomes ready in a step
                    ready += (wanted - ready).div_ceil(3);
                    let need = (load(step) / 10.0).ceil() as Replicas;
                    if check.advance(load(step), ready, || None) == Gain::Unquestioned {
                        wanted = wanted.max(need);
                    }
                    short += usize::from(step > 60 && f64::from(ready) < 0.75 * f64::from(need));
                }
                assert!(short <= 2, "{growth} {after}: {short} steps with less than three quarters, {ready} ready");
            }
        }
    }

    #[test]
    fn a_sum_of_what_each_pod_has_is_tested_ever_more_seldom() {
        let (_, counts) = play(1440, 1, |_, ready| 15.0 * f64::from(ready));
        // 8 or 12 when it was stopped; half as many again after 2, 4 and 8 hours
        assert!(counts[1439] <= 41, "{}", counts[1439]);
    }

    #[test]
    fn what_the_day_before_had_too_is_not_questioned() {
        let mut check = GainCheck::default();
        for ready in [2u32, 4, 8, 16, 16, 16, 16, 16] {
            assert_eq!(check.advance(15.0 * f64::from(ready), ready, || Some(1000.0)), Gain::Unquestioned);
        }
    }

    #[test]
    fn it_goes_on_when_the_load_moves_by_itself() {
        let mut check = GainCheck::default();
        let told: Vec<Gain> =
            [2u32, 4, 8, 8, 8, 8, 8].map(|n| check.advance(15.0 * f64::from(n), n, || None)).into_iter().collect();
        assert_eq!(told[2..], [Gain::Probing, Gain::Probing, Gain::Probing, Gain::Missing, Gain::Missing]);
        assert_eq!(check.advance(125.0, 8, || None), Gain::Missing, "4 % more");
        assert_eq!(check.advance(200.0, 8, || None), Gain::Unquestioned, "two thirds more with the same replicas");
    }

    proptest::proptest! {
        #[test]
        fn no_load_is_too_strange(steps in proptest::collection::vec((0.0..1e12f64, 0u32..1000), 0..200)) {
            let mut check = GainCheck::default();
            for (load, ready) in steps {
                check.advance(load, ready, || None);
            }
        }
    }
}
