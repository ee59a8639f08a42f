//! What is asked for, and what it costs.

use crate::history::Spending;
use crate::units::Time;

/// US dollars for one metric asked for by `GetMetricData`: $0.01 for 1,000 metrics
/// (aws.amazon.com/cloudwatch/pricing, "API requests", us-east-1; other regions differ little, and there is no free
/// allowance for this call).
pub const DOLLARS_PER_METRIC: f64 = 0.01 / 1000.0;

/// Hours in a month, as AWS counts them.
const HOURS_PER_MONTH: f64 = 730.0;

/// Counts metrics asked for, over the last hour in slots of a minute.
#[derive(Debug)]
pub struct Meter {
    max_per_hour: u64,
    slots: [u64; 60],
    /// The minute that was last counted in, since the epoch.
    minute: i64,
    /// The first minute counted in: less than an hour of counting is scaled up.
    since: Option<i64>,
    total: u64,
    capped: bool,
}

impl Meter {
    /// Counts up to `max_per_hour`.
    pub fn new(max_per_hour: u64) -> Self {
        Meter { max_per_hour, slots: [0; 60], minute: i64::MIN, since: None, total: 0, capped: false }
    }

    fn turn(&mut self, now: Time) {
        let minute = now.secs().div_euclid(60);
        let passed = minute.saturating_sub(self.minute);
        if passed <= 0 {
            return;
        }
        for back in 0..passed.min(60) {
            if let Some(slot) = self.slots.get_mut((minute - back).rem_euclid(60) as usize) {
                *slot = 0;
            }
        }
        self.minute = minute;
    }

    /// Counts `metrics` if the cap allows them all; false, and nothing counted, if it doesn't.
    pub fn allow(&mut self, metrics: usize, now: Time) -> bool {
        self.turn(now);
        let metrics = metrics as u64;
        let hour: u64 = self.slots.iter().sum();
        self.capped = hour.saturating_add(metrics) > self.max_per_hour;
        if self.capped {
            return false;
        }
        self.since.get_or_insert(self.minute);
        if let Some(slot) = self.slots.get_mut(self.minute.rem_euclid(60) as usize) {
            *slot += metrics;
        }
        self.total += metrics;
        true
    }

    /// The present figures.
    pub fn read(&mut self, now: Time) -> Spending {
        self.turn(now);
        let metrics_last_hour: u64 = self.slots.iter().sum();
        let minutes = self.since.map_or(60, |since| (self.minute - since + 1).clamp(1, 60));
        let per_hour = metrics_last_hour as f64 * 60.0 / minutes as f64;
        Spending {
            metrics_last_hour,
            metrics_total: self.total,
            dollars_per_month: per_hour * HOURS_PER_MONTH * DOLLARS_PER_METRIC,
            max_metrics_per_hour: self.max_per_hour,
            capped: self.capped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_hundred_a_minute_cost_219_dollars_a_month() {
        let mut meter = Meter::new(1_000_000);
        for minute in 0..90 {
            assert!(meter.allow(500, Time::from_secs(minute * 60)));
        }
        let reading = meter.read(Time::from_secs(89 * 60));
        assert_eq!(reading.metrics_last_hour, 30_000);
        assert_eq!(reading.metrics_total, 45_000);
        assert!((reading.dollars_per_month - 219.0).abs() < 1e-9, "{reading:?}");
        assert_eq!(meter.read(Time::from_secs(89 * 60 + 7200)).metrics_last_hour, 0);
    }

    #[test]
    fn the_first_minutes_are_scaled_to_an_hour() {
        let mut meter = Meter::new(1_000_000);
        assert!(meter.allow(500, Time::from_secs(600)));
        assert!((meter.read(Time::from_secs(610)).dollars_per_month - 219.0).abs() < 1e-9);
    }

    #[test]
    fn the_cap_refuses_whole_calls_and_lets_go_after_the_hour() {
        let mut meter = Meter::new(100);
        assert!(meter.allow(60, Time::from_secs(0)));
        assert!(!meter.allow(60, Time::from_secs(60)), "120 would be too many");
        assert!(meter.read(Time::from_secs(60)).capped);
        assert!(meter.allow(40, Time::from_secs(60)));
        assert!(!meter.allow(1, Time::from_secs(3599)));
        assert!(meter.allow(60, Time::from_secs(3600)));
        assert!(!meter.read(Time::from_secs(3600)).capped);
    }
}
