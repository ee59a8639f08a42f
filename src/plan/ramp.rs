//! Pods are created one after the other: a ramp of a thousand starts earlier than one of ten, and none asks for more
//! than can be created until the next decision.

use crate::units::Replicas;
use std::time::Duration;

/// Creating so little of a step's worth is part of the lead already.
const UNNOTICED: f64 = 0.1;

/// Steps that creating `pods` takes beyond the lead, at `per_step` pods a step (positive).
fn steps_for(pods: Replicas, per_step: f64) -> usize {
    (f64::from(pods) / per_step - UNNOTICED).ceil().max(0.0) as usize
}

/// What to ask for now so that each of `later` is there in time: (steps after the first need, replicas needed then).
/// `wanted` is what is needed one lead from now, `running` what is asked for already; `per_step`: pods that are created
/// in a step. What is asked for is at least what can be created in a step, as far as it is needed.
pub fn ramp(
    running: Replicas,
    wanted: Replicas,
    later: impl IntoIterator<Item = (usize, Replicas)>,
    per_step: f64,
) -> Replicas {
    if !(per_step.is_finite() && per_step > 0.0) {
        return wanted;
    }
    let begun = later
        .into_iter()
        .filter(|(steps, need)| *steps > 0 && *need > running && steps_for(need - running, per_step) >= *steps);
    let needed = begun.map(|(_, need)| need).fold(wanted, Replicas::max);
    let able = running.saturating_add(per_step.floor().max(1.0).min(f64::from(Replicas::MAX)) as Replicas);
    needed.min(able).max(wanted.min(running))
}

/// How long creating pods takes.
pub fn creation(pods: Replicas, per_second: f64) -> Duration {
    Duration::try_from_secs_f64(f64::from(pods) / per_second).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 20 pods a second, a step of a minute.
    const KUBE: f64 = 1200.0;

    #[test]
    fn a_ramp_of_a_thousand_starts_a_step_before_one_of_ten() {
        // one step after the first need, 1,010 are needed: 1,000 take 50 s to create, so they are begun now
        assert_eq!(ramp(10, 10, [(1, 1010)], KUBE), 1010);
        assert_eq!(ramp(10, 10, [(1, 20)], KUBE), 10, "ten take half a second");
        assert_eq!(ramp(10, 10, [(2, 1010)], KUBE), 10, "two steps ahead is too early");
        assert_eq!(ramp(10, 10, [(3, 3010)], KUBE), 1210, "3,000 take 150 s: begun now, with what a step can do");
        assert_eq!(ramp(10, 10, [(4, 3010)], KUBE), 10);
    }

    #[test]
    fn no_ramp_asks_for_more_than_can_be_created() {
        assert_eq!(ramp(10, 5000, [], KUBE), 1210);
        assert_eq!(ramp(10, 5, [], KUBE), 5, "falling takes nothing");
        assert_eq!(ramp(10, 5000, [], 0.5), 11, "one at least");
        assert_eq!(ramp(10, 5000, [], f64::NAN), 5000);
        assert_eq!(creation(1000, 20.0), Duration::from_secs(50));
    }

    proptest! {
        #[test]
        fn never_less_than_can_be_done_of_what_is_wanted(
            running in 0u32..5000,
            wanted in 0u32..20_000,
            later in proptest::collection::vec((0usize..60, 0u32..20_000), 0..4),
            per_step in 1.0f64..3000.0,
        ) {
            let asked = ramp(running, wanted, later.clone(), per_step);
            prop_assert!(asked >= wanted.min(running + per_step as u32));
            prop_assert!(asked <= running + per_step as u32);
            prop_assert!(asked <= wanted.max(later.iter().map(|l| l.1).max().unwrap_or(0)));
        }
    }
}
