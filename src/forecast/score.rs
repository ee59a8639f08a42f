//! How good the forecasts of one horizon have been: coverage, and pinball loss against the two yardsticks of the gate.
#![allow(clippy::indexing_slicing, reason = "levels, members and hours have fixed lengths")]

use super::LEVELS;
use super::members::{K, REACTIVE, SEASONAL_NAIVE};
use serde::{Deserialize, Serialize};

const Q: usize = LEVELS.len();
/// Hours of a rolling day.
const HOURS: usize = 24;

/// Pinball loss of `forecast` when `target` came, in their unit: `level` x shortfall, or `(1 - level)` x excess. Lower is
/// better (Koenker and Bassett, Econometrica 1978).
pub fn pinball(target: f32, forecast: f32, level: f32) -> f32 {
    let error = target - forecast;
    if error >= 0.0 { level * error } else { (level - 1.0) * error }
}

/// Coverage of one horizon at one level.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Coverage {
    /// The promise.
    pub level: f64,
    /// Share of all outcomes at or below the quantile. None before the first outcome.
    pub overall: Option<f64>,
    /// The lowest share in any 24 h so far. None before 24 h of outcomes.
    pub worst_day: Option<f64>,
}

/// Books of one horizon.
#[derive(Debug, Clone)]
pub struct Score {
    /// Outcomes and hits of the last 24 hours, hour by hour.
    hours: [[u32; Q + 1]; HOURS],
    hour: usize,
    total: [u64; Q + 1],
    worst: [f32; Q],
    per_hour: u32,
    /// Forgetting pinball sums of the final forecast, seasonal naive and reactive.
    losses: [f32; 3],
    keep: f32,
    scored: u32,
}

/// Books of one horizon that follow every member at every level, for who wants to know whether one of them alone would do.
#[derive(Debug, Clone)]
pub struct Ratings {
    /// Level by level, the pinball sums of the forecast and of the member, of the outcomes that the member was awake for.
    sums: Vec<(f64, f64)>,
}

impl Ratings {
    /// No outcome yet.
    pub fn new() -> Self {
        Ratings { sums: vec![(0.0, 0.0); K * Q] }
    }

    /// One outcome, all in the unit of the workload's mean load, which was `unit` then. `members`: level by level.
    pub fn learn(&mut self, target: f32, values: &[f32; Q], members: &[f32], unit: f32) {
        for (l, (sums, members)) in self.sums.chunks_exact_mut(K).zip(members.chunks_exact(K)).enumerate() {
            let level = LEVELS[l] as f32;
            let own = f64::from(pinball(target, values[l], level) * unit);
            for ((ours, theirs), value) in sums.iter_mut().zip(members) {
                if value.is_finite() {
                    *ours += own;
                    *theirs += f64::from(pinball(target, *value, level) * unit);
                }
            }
        }
    }

    /// Of each level, the loss of the forecast over that of member number `k` of [`MEMBERS`](super::members::MEMBERS); below 1
    /// the forecast is better. None: the member has lost nothing, or has slept.
    pub fn versus(&self, k: usize) -> Vec<Option<f64>> {
        let of_level = |sums: &[(f64, f64)]| {
            let (ours, theirs) = sums[k];
            (theirs > 0.0).then(|| ours / theirs)
        };
        self.sums.chunks_exact(K).map(of_level).collect()
    }
}

/// Levels whose loss decides the gate: 0.9, 0.95, 0.98 and 0.99.
const GATED: std::ops::Range<usize> = 3..7;

impl Score {
    /// `per_day` outcomes a day; losses are forgotten with a half-life of 2 days.
    pub fn new(per_day: usize) -> Self {
        Score {
            hours: [[0; Q + 1]; HOURS],
            hour: 0,
            total: [0; Q + 1],
            worst: [1.0; Q],
            per_hour: u32::try_from(per_day / HOURS).unwrap_or(u32::MAX).max(1),
            losses: [0.0; 3],
            keep: 0.5f32.powf(1.0 / (2.0 * per_day.max(1) as f32)),
            scored: 0,
        }
    }

    /// One outcome, all in the unit of the workload's mean load. `members`: level by level.
    pub fn learn(&mut self, target: f32, values: &[f32; Q], members: &[f32]) {
        let now = &mut self.hours[self.hour];
        now[Q] += 1;
        self.total[Q] += 1;
        for (l, value) in values.iter().enumerate() {
            let hit = target <= *value;
            now[l] += u32::from(hit);
            self.total[l] += u64::from(hit);
        }
        if now[Q] >= self.per_hour {
            self.close_hour();
        }
        self.losses.iter_mut().for_each(|l| *l *= self.keep);
        self.scored = self.scored.saturating_add(1);
        for l in GATED {
            let level = LEVELS[l] as f32;
            let naive = members[l * K + SEASONAL_NAIVE];
            let reactive = members[l * K + REACTIVE];
            for (loss, forecast) in self.losses.iter_mut().zip([values[l], naive, reactive]) {
                *loss += pinball(target, if forecast.is_finite() { forecast } else { values[l] }, level);
            }
        }
    }

    fn close_hour(&mut self) {
        let count: u32 = self.hours.iter().map(|h| h[Q]).sum();
        if self.hours.iter().all(|h| h[Q] >= self.per_hour) {
            for (l, worst) in self.worst.iter_mut().enumerate() {
                let hits: u32 = self.hours.iter().map(|h| h[l]).sum();
                *worst = worst.min(hits as f32 / count as f32);
            }
        }
        self.hour = (self.hour + 1) % HOURS;
        self.hours[self.hour] = [0; Q + 1];
    }

    /// Coverage at every level.
    pub fn coverage(&self) -> [Coverage; Q] {
        let all = self.total[Q];
        let full = all >= u64::from(self.per_hour) * (HOURS as u64 + 1);
        std::array::from_fn(|l| Coverage {
            level: LEVELS[l],
            overall: (all > 0).then(|| self.total[l] as f64 / all as f64),
            worst_day: full.then(|| f64::from(self.worst[l])),
        })
    }

    /// Loss of the forecast over that of seasonal naive and of reactive, over the last days. None without a day of outcomes.
    pub fn relative(&self) -> Option<(f32, f32)> {
        (self.scored >= self.per_hour * HOURS as u32 && self.losses[1] > 0.0 && self.losses[2] > 0.0)
            .then(|| (self.losses[0] / self.losses[1], self.losses[0] / self.losses[2]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinball_by_hand() {
        assert_eq!(pinball(10.0, 8.0, 0.75), 1.5);
        assert_eq!(pinball(8.0, 10.0, 0.75), 0.5);
        assert_eq!(pinball(3.0, 3.0, 0.9), 0.0);
    }

    #[test]
    fn a_rating_compares_what_both_have_said() {
        let mut ratings = Ratings::new();
        let mut members = vec![f32::NAN; Q * K];
        members[0] = 2.0; // of the median
        ratings.learn(4.0, &[3.0; Q], &members, 10.0);
        members[0] = f32::NAN;
        ratings.learn(9.0, &[1.0; Q], &members, 10.0);
        // 0.5 x (4 - 3) against 0.5 x (4 - 2); nothing while it slept, nothing at the other levels
        assert_eq!(ratings.versus(0)[..2], [Some(0.5), None]);
        assert_eq!(ratings.versus(1)[0], None);
    }

    #[test]
    fn coverage_overall_and_of_the_worst_day() {
        // one outcome an hour: 24 hits, then 12 misses, then 24 hits
        let mut score = Score::new(24);
        let members = vec![1.0; Q * K];
        for hour in 0..60 {
            let target = if (24..36).contains(&hour) { 2.0 } else { 0.5 };
            score.learn(target, &[1.0; Q], &members);
        }
        let c = score.coverage()[4];
        assert_eq!(c.overall, Some(0.8));
        assert_eq!(c.worst_day.map(|w| (w * 24.0).round()), Some(12.0));
        assert_eq!(Score::new(24).coverage()[0].overall, None);
    }
}
