//! Queues of gangs: pods that arrive together, want nodes at once, and leave none behind for those that follow.

use super::Member;
use crate::series::Series;
use crate::units::Step;
use std::time::Duration;

/// Days before whose arrivals at the same time are what is expected.
const DAYS: usize = 7;

/// What a pool for a queue has to have room for at step number `at` of `arrivals`, the gangs of `size` pods that arrived in
/// each step: pods of one node `lead`, all of which find no node of their own, and those that are expected in the next: the
/// median of the days before, the lower one of two. None: the steps of this lead are not all known.
pub fn queued(arrivals: &Series, at: usize, lead: Duration, size: u32) -> Option<Member> {
    let step = arrivals.step();
    let steps = step.cover(lead);
    let need = arrived(arrivals, at, steps)?;
    let same_time = |day: usize| arrived(arrivals, (at + steps).checked_sub(day * per_day(step))?, steps);
    let mut before: Vec<f32> = (1..=DAYS).filter_map(same_time).collect();
    before.sort_by(f32::total_cmp);
    let expected = before.get(before.len().saturating_sub(1) / 2).copied().unwrap_or(0.0);
    let size = size as f32;
    Some(Member { need: need * size, pods: 0.0, expected: expected * size })
}

/// A day, in steps; never less than one.
fn per_day(step: Step) -> usize {
    step.per_day().max(1)
}

/// Gangs of the `steps` steps that end with step number `at`. What a source extrapolates is rounded to whole ones.
fn arrived(arrivals: &Series, at: usize, steps: usize) -> Option<f32> {
    let first = (at + 1).checked_sub(steps)?;
    let sum = (first..=at).try_fold(0.0, |sum, i| Some(sum + arrivals.get(i).measured()?.max(0.0)))?;
    Some((sum as f32).round())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::Sample;
    use crate::units::Time;

    #[test]
    fn pods_of_one_lead_and_of_the_same_time_of_other_days_by_hand() {
        // steps of an hour, a lead of two: a gang at 9 and one at 10 every day, three at 10 on day 2
        let gangs = |hour: usize| match (hour / 24, hour % 24) {
            (2, 10) => 3.0,
            (_, 9 | 10) => 1.02,
            _ => 0.0,
        };
        let hours = Step::from_secs(3600).unwrap();
        let mut samples: Vec<Sample> = (0..4 * 24).map(|hour| Sample::Valid(gangs(hour))).collect();
        samples[3 * 24 + 12] = Sample::Missing;
        let arrivals = Series::of(Time::from_secs(0), hours, samples);
        let at = |hour: usize| queued(&arrivals, hour, Duration::from_secs(7200), 8);
        let member = |need: f32, expected: f32| Some(Member { need, pods: 0.0, expected });
        assert_eq!(at(24 + 10), member(16.0, 0.0), "nothing comes at 11 and 12");
        assert_eq!(at(2 * 24 + 8), member(0.0, 16.0), "9 and 10 of the days before");
        assert_eq!(at(3 * 24 + 8), member(0.0, 16.0), "the median: not the three of day 2");
        assert_eq!(at(2 * 24 + 10), member(32.0, 0.0));
        assert_eq!(at(0), None, "only half of a lead is known");
        assert_eq!(at(3 * 24 + 13), None, "a step is missing");
    }
}
