//! Realised residuals of all workloads at the same instants, and the joint quantile of what they add up to.

use crate::units::Time;
use jiff::tz::TimeZone;
use std::time::Duration;

/// From one scenario to the next.
pub const STRIDE: Duration = Duration::from_secs(300);
/// Scenarios that are kept: 14 days.
const KEPT: usize = 14 * 288;
/// Scenarios within so many seconds of the same local time of day count.
const NEAR_SECS: i64 = 45 * 60;
/// The last so many seconds count whatever their time of day.
const LATELY_SECS: i64 = 2 * 3600;
/// Scenarios of the same time of day that are older than a week count half.
const WEEK_SECS: i64 = 7 * 86_400;
/// See [`WEEK_SECS`].
const OLD_WEIGHT: f32 = 0.5;
const DAY_SECS: i64 = 86_400;

/// The ring of scenarios: one column of residuals a workload, one row an instant.
#[derive(Debug, Clone)]
pub(super) struct Scenarios {
    zone: TimeZone,
    /// Instant and local second of the day of each row, a ring.
    rows: Vec<(i64, i64)>,
    /// Residuals of each workload; NaN: it was not there.
    columns: Vec<Vec<f32>>,
    recorded: usize,
    sums: Vec<f32>,
    weighted: Vec<(f32, f32)>,
}

/// What the scenarios say of one instant ahead, in slots.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Joint {
    /// The quantile of the sums.
    pub quantile: f32,
    /// Their spread: the weighted standard deviation.
    pub spread: f32,
    /// Scenarios with weight.
    pub scenarios: usize,
}

impl Scenarios {
    pub fn new(time_zone: &str) -> Scenarios {
        let zone = TimeZone::get(time_zone).unwrap_or(TimeZone::UTC);
        Scenarios { zone, rows: Vec::new(), columns: Vec::new(), recorded: 0, sums: Vec::new(), weighted: Vec::new() }
    }

    /// Scenarios there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Records the residuals of an instant; one a column, NaN where a workload was not there.
    pub fn record(&mut self, at: Time, residuals: &[f32]) {
        let row = self.recorded % KEPT;
        let stamp = (at.secs(), self.local(at));
        match self.rows.get_mut(row) {
            Some(kept) => *kept = stamp,
            None => self.rows.push(stamp),
        }
        while self.columns.len() < residuals.len() {
            self.columns.push(vec![f32::NAN; KEPT]);
        }
        for (k, column) in self.columns.iter_mut().enumerate() {
            if let Some(kept) = column.get_mut(row) {
                *kept = residuals.get(k).copied().unwrap_or(f32::NAN);
            }
        }
        self.recorded += 1;
    }

    fn local(&self, at: Time) -> i64 {
        let offset = i64::from(self.zone.to_offset(at.timestamp()).seconds());
        (at.secs() + offset).rem_euclid(DAY_SECS)
    }

    /// Lays a weight beside each sum: in full, or by half, what is near in time or in time of day; the rest of the day in
    /// all as much as that, and none of it more than what is near. A far quantile needs hundreds of instants, and an hour
    /// and a half of a week has too few; how much is lacked then is mostly the time of day's.
    fn weigh(&mut self, now: Time, at: Time) {
        let local = self.local(at);
        let near = self.rows.iter().map(|(stamp, second)| {
            let age = now.secs() - stamp;
            let apart = (local - second).rem_euclid(DAY_SECS);
            let near = apart.min(DAY_SECS - apart) <= NEAR_SECS;
            match () {
                () if age <= LATELY_SECS => Some(1.0),
                () if near && age <= WEEK_SECS => Some(1.0),
                () if near => Some(OLD_WEIGHT),
                () => None,
            }
        });
        let (near_weight, rest) = near.clone().fold((0.0, 0.0f32), |(weight, rest), near| match near {
            Some(near) => (weight + near, rest),
            None => (weight, rest + 1.0),
        });
        let each = (near_weight / rest.max(1.0)).min(1.0);
        self.weighted.clear();
        self.weighted.extend(self.sums.iter().zip(near).map(|(sum, near)| (*sum, near.unwrap_or(each))));
    }

    /// The quantile of what all workloads together lack at `at`, seen from `now`. `gap`: how many slots each workload is
    /// expected to lack (negative: to have left) before its residual.
    pub fn joint(&mut self, now: Time, at: Time, level: f64, gap: &[f32]) -> Joint {
        let rows = self.rows.len();
        self.sums.clear();
        self.sums.resize(rows, 0.0);
        for (column, gap) in self.columns.iter().zip(gap) {
            if gap.is_finite() {
                for (sum, residual) in self.sums.iter_mut().zip(column) {
                    // no residual, no shortfall: NaN is ignored by max
                    *sum += (gap + residual).max(0.0);
                }
            }
        }
        self.weigh(now, at);
        let (mut total, mut mean, mut squares) = (0.0f64, 0.0f64, 0.0f64);
        for (sum, weight) in &self.weighted {
            let w = f64::from(*weight);
            total += w;
            mean += w * f64::from(*sum);
            squares += w * f64::from(*sum) * f64::from(*sum);
        }
        if total <= 0.0 {
            return Joint { quantile: 0.0, spread: 0.0, scenarios: 0 };
        }
        mean /= total;
        let spread = (squares / total - mean * mean).max(0.0).sqrt() as f32;
        self.weighted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let mut below = 0.0f64;
        let mut quantile = self.weighted.last().map_or(0.0, |(sum, _)| *sum);
        for (sum, weight) in &self.weighted {
            below += f64::from(*weight);
            if below >= level * total {
                quantile = *sum;
                break;
            }
        }
        Joint { quantile, spread, scenarios: rows }
    }
}
