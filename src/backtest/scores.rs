//! How a path of decisions served a recorded load, and yardsticks that are scored the same way.

use crate::series::{Sample, Series};
use crate::units::{Replicas, Time, replicas_for};
use serde::Serialize;

use super::Setting;

/// Scores over the scored steps: those measured, from `score_from` on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Scores {
    /// Share of the load that met no capacity.
    pub unserved_fraction: f64,
    /// Hours of ready replicas.
    pub replica_hours: f64,
    /// Ready replicas, as a multiple of what is just enough at every step with no lead time.
    pub cost: f64,
    /// Share of the steps with unserved load.
    pub overload_fraction: f64,
    /// Changes of ready replicas, as a multiple of those of what is just enough.
    pub churn: f64,
    /// The largest unserved share of one of the 24-hour days counted from `score_from`.
    pub worst_day_unserved_fraction: f64,
}

/// Replicas ready at step `i`, from the totals decided at the steps before: an added one is ready `lead` steps after its
/// decision, a removed one is gone at the next step, so `ready[i] = min(desired[i - lead ..= i - 1])`.
pub fn ready(desired: &[Replicas], i: usize, lead: usize) -> Replicas {
    desired.iter().take(i).rev().take(lead).copied().min().unwrap_or(0)
}

/// Scores totals decided at each step of a history.
pub fn score(history: &Series, setting: &Setting, score_from: Time, desired: &[Replicas]) -> Scores {
    /// Replicas; float noise is no shortage.
    const NOISE: f64 = 1e-9;
    let step = history.step();
    let lead = step.cover(setting.lead_time.0);
    let capacity = setting.capacity_per_replica;
    let (mut steps, mut overloaded, mut load, mut unserved) = (0u64, 0u64, 0.0, 0.0);
    let (mut total, mut enough, mut changes, mut enough_changes) = (0.0, 0.0, 0.0, 0.0);
    let (mut worst, mut day) = (0.0f64, (0, 0.0, 0.0));
    let mut before: Option<(Replicas, Replicas)> = None;
    for (i, (now, sample)) in history.iter().enumerate() {
        let (true, Sample::Valid(value)) = (now >= score_from, sample) else {
            before = None;
            continue;
        };
        let have = ready(desired, i, lead);
        let need = replicas_for(value, capacity).clamp(setting.min_replicas, setting.max_replicas);
        let short = value - capacity * f64::from(have);
        let short = if short > NOISE * capacity { short } else { 0.0 };
        let today = now.since(score_from).as_secs() / 86_400;
        if today != day.0 {
            worst = worst.max(share(day.1, day.2));
            day = (today, 0.0, 0.0);
        }
        day = (today, day.1 + short, day.2 + value);
        steps += 1;
        overloaded += u64::from(short > 0.0);
        load += value;
        unserved += short;
        total += f64::from(have);
        enough += f64::from(need);
        if let Some((h, n)) = before {
            changes += f64::from(h.abs_diff(have));
            enough_changes += f64::from(n.abs_diff(need));
        }
        before = Some((have, need));
    }
    Scores {
        unserved_fraction: share(unserved, load),
        replica_hours: total * f64::from(step.secs()) / 3600.0,
        cost: share(total, enough),
        overload_fraction: share(overloaded as f64, steps as f64),
        churn: changes / f64::max(enough_changes, 1.0),
        worst_day_unserved_fraction: worst.max(share(day.1, day.2)),
    }
}

fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// The load as a plain policy sees it: a missing sample repeats the last one.
fn seen(history: &Series) -> Vec<f64> {
    let mut last = 0.0;
    history
        .iter()
        .map(|(_, sample)| {
            last = sample.measured().unwrap_or(last);
            last
        })
        .collect()
}

/// What a HorizontalPodAutoscaler on the load decides: `target` is the load per replica it aims at as a share of the
/// capacity; tolerance 0.1, and the largest advice of the last 5 minutes holds a scale-down.
/// Source: <https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details>
pub fn hpa(history: &Series, setting: &Setting, target: f64) -> Vec<Replicas> {
    const TOLERANCE: f64 = 0.1;
    let hold = history.step().cover(crate::plan::STABILIZATION);
    let per_replica = target * setting.capacity_per_replica;
    let loads = seen(history);
    let mut advice: Vec<Replicas> = Vec::with_capacity(loads.len());
    let mut current = loads.first().map_or(setting.min_replicas, |load| replicas_for(*load, per_replica)).max(1);
    let mut decided = Vec::with_capacity(loads.len());
    for load in loads {
        let ratio = load / (f64::from(current) * per_replica);
        let wanted = if (ratio - 1.0).abs() <= TOLERANCE { current } else { replicas_for(load, per_replica) };
        advice.push(wanted);
        let held = advice.iter().rev().take(hold + 1).copied().max().unwrap_or(wanted);
        current = if wanted > current { wanted } else { held.min(current) };
        current = current.clamp(setting.min_replicas, setting.max_replicas).max(1);
        decided.push(current);
    }
    decided
}

/// What a policy decides that knows the future and has the same lead: the largest need of the next `lead` steps.
pub fn oracle(history: &Series, setting: &Setting) -> Vec<Replicas> {
    let lead = history.step().cover(setting.lead_time.0);
    let needs: Vec<Replicas> = seen(history)
        .into_iter()
        .map(|load| replicas_for(load, setting.capacity_per_replica).clamp(setting.min_replicas, setting.max_replicas))
        .collect();
    let last = needs.last().copied().unwrap_or(0);
    (0..needs.len()).map(|i| needs.iter().skip(i + 1).take(lead).copied().max().unwrap_or(last)).collect()
}

/// The smallest fixed number that leaves at most `unserved` of the scored load, with hindsight. None: not even the
/// upper bound does.
pub fn fixed(history: &Series, setting: &Setting, score_from: Time, unserved: f64) -> Option<Replicas> {
    let left = |replicas: Replicas| {
        let (mut load, mut short) = (0.0, 0.0);
        for (now, sample) in history.iter() {
            if let (true, Sample::Valid(value)) = (now >= score_from, sample) {
                load += value;
                short += (value - setting.capacity_per_replica * f64::from(replicas)).max(0.0);
            }
        }
        share(short, load)
    };
    let (mut low, mut high) = (setting.min_replicas, setting.max_replicas);
    if left(high) > unserved {
        return None;
    }
    while low < high {
        let middle = low + (high - low) / 2;
        if left(middle) <= unserved {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Some(low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{LeadTime, Step};
    use std::time::Duration;

    fn setting() -> Setting {
        Setting {
            capacity_per_replica: 10.0,
            min_replicas: 1,
            max_replicas: 50,
            lead_time: LeadTime(Duration::from_secs(120)),
            unserved_budget: 0.001,
            score_from: None,
            time_zone: "UTC".into(),
            occasions: Vec::new(),
        }
    }

    fn series(loads: &[f64]) -> Series {
        Series::of(Time::from_secs(0), Step::MINUTE, loads.iter().map(|v| Sample::Valid(*v)))
    }

    #[test]
    fn scores_by_hand() {
        // two steps of lead: ready is 0 3 2 2 2, need 1 1 2 4 1
        let history = series(&[10.0, 10.0, 20.0, 35.0, 5.0]);
        let scores = score(&history, &setting(), Time::from_secs(60), &[3, 2, 4, 2, 9]);
        assert_eq!(scores.unserved_fraction, 15.0 / 70.0);
        assert_eq!(scores.replica_hours, 9.0 / 60.0);
        assert_eq!(scores.cost, 9.0 / 8.0);
        assert_eq!(scores.overload_fraction, 0.25);
        assert_eq!(scores.churn, 1.0 / 6.0);
        assert_eq!(scores.worst_day_unserved_fraction, 15.0 / 70.0);
    }

    #[test]
    fn yardsticks_by_hand() {
        let history = series(&[10.0, 10.0, 20.0, 35.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0]);
        assert_eq!(oracle(&history, &setting()), [2, 4, 4, 1, 1, 1, 1, 1, 1, 1]);
        assert_eq!(hpa(&history, &setting(), 1.0), [1, 1, 2, 4, 4, 4, 4, 4, 4, 1]);
        assert_eq!(fixed(&history, &setting(), Time::from_secs(0), 0.0), Some(4));
        assert_eq!(fixed(&history, &setting(), Time::from_secs(0), 0.05), Some(3), "5 of 105");
    }
}
