//! Expected replicas over the next hours → the ramps in them. Troughs and falls are none.

use super::Span;
use crate::units::{Replicas, Time};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A ramp has settled so long after its last new high.
pub const SETTLE: Duration = Duration::from_secs(15 * 60);
/// Slots without a new high that end a ramp.
const QUIET: usize = 2;
/// A rise by fewer replicas than this is none.
const LEAST: Replicas = 2;
/// A rise by a smaller share than this is none: 10 %.
const LEAST_SHARE: f64 = 0.10;

/// What is expected of one slot of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// Begin of the slot.
    pub from: Time,
    /// Replicas wanted in it.
    pub replicas: Replicas,
}

/// A forecast ramp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ramp {
    /// From its first rise until it has settled.
    pub span: Span,
    /// Replicas before it.
    pub low: Replicas,
    /// Replicas at its top.
    pub high: Replicas,
}

/// The ramps of slots that follow each other, `slot` long each, oldest first.
pub fn ramps(expected: &[Expected], slot: Duration) -> Vec<Ramp> {
    let mut found = Vec::new();
    let mut open: Option<(Ramp, usize)> = None;
    for (i, pair) in expected.windows(2).enumerate() {
        let [before, here] = pair else { continue };
        if let Some((ramp, _)) = open.take_if(|(_, last)| i - *last > QUIET) {
            found.push(ramp);
        }
        let settled = here.from + slot + SETTLE;
        match &mut open {
            Some((ramp, last)) if here.replicas > ramp.high => {
                (ramp.high, ramp.span.to, *last) = (here.replicas, settled, i);
                ramp.low = ramp.low.min(before.replicas);
            }
            // that one is over, and what comes now begins lower down
            Some((ramp, last)) if before.replicas <= ramp.low && here.replicas > before.replicas => {
                found.push(*ramp);
                let span = Span { from: here.from, to: settled };
                (*ramp, *last) = (Ramp { span, low: before.replicas, high: here.replicas }, i);
            }
            Some(_) => {}
            None if here.replicas > before.replicas => {
                let span = Span { from: here.from, to: settled };
                open = Some((Ramp { span, low: before.replicas, high: here.replicas }, i));
            }
            None => {}
        }
    }
    found.extend(open.map(|(ramp, _)| ramp));
    found.retain(|ramp| {
        let least = (f64::from(ramp.low) * LEAST_SHARE).ceil() as Replicas;
        ramp.high - ramp.low >= least.max(LEAST)
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SLOT: Duration = Duration::from_secs(900);

    fn slots(replicas: &[Replicas]) -> Vec<Expected> {
        let at = |i: usize| Time::from_secs(900 * i as i64);
        replicas.iter().enumerate().map(|(i, r)| Expected { from: at(i), replicas: *r }).collect()
    }

    fn found(replicas: &[Replicas]) -> Vec<(i64, i64, Replicas, Replicas)> {
        let slot = |t: Time| t.secs() / 900;
        ramps(&slots(replicas), SLOT).iter().map(|r| (slot(r.span.from), slot(r.span.to), r.low, r.high)).collect()
    }

    #[test]
    fn a_ramp_lasts_from_its_first_rise_until_it_has_settled() {
        assert_eq!(found(&[4, 4, 4, 6, 9, 12, 12, 12, 12, 8, 4]), [(3, 7, 4, 12)]);
    }

    #[test]
    fn falls_troughs_and_noise_are_no_ramps() {
        assert!(found(&[12, 10, 8, 6, 4, 4, 4]).is_empty());
        assert!(found(&[100, 104, 100, 105, 101, 103]).is_empty(), "within a tenth");
        assert!(found(&[4, 5, 4, 5, 4]).is_empty(), "one replica");
        assert!(found(&[]).is_empty() && found(&[7]).is_empty());
    }

    #[test]
    fn a_pause_within_a_ramp_does_not_end_it_and_a_long_one_does() {
        assert_eq!(found(&[4, 8, 8, 12, 12, 12, 12]), [(1, 5, 4, 12)]);
        assert_eq!(found(&[4, 8, 8, 8, 8, 12, 12]), [(1, 3, 4, 8), (5, 7, 8, 12)]);
    }

    #[test]
    fn a_small_bump_before_does_not_swallow_the_ramp() {
        assert_eq!(found(&[4, 5, 4, 8, 12, 12]), [(1, 6, 4, 12)]);
        assert_eq!(found(&[6, 7, 4, 12, 12, 12]), [(1, 5, 4, 12)]);
    }

    proptest! {
        /// Every large rise from one slot to the next is within some ramp.
        #[test]
        fn no_rise_is_missed(replicas in proptest::collection::vec(0u32..40, 2..60)) {
            let all = slots(&replicas);
            let found = ramps(&all, SLOT);
            for pair in all.windows(2) {
                let rise = pair[1].replicas.saturating_sub(pair[0].replicas);
                let highest_before = all.iter().filter(|e| e.from < pair[1].from).map(|e| e.replicas).max().unwrap_or(0);
                if rise >= 2 && f64::from(rise) >= 0.1 * f64::from(pair[0].replicas) && pair[1].replicas > highest_before {
                    prop_assert!(found.iter().any(|r| r.span.holds(pair[1].from)), "{replicas:?} at {}", pair[1].from);
                }
            }
        }
    }
}
