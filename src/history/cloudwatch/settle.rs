//! When a period can be believed. The newest periods grow for a while after their end, as the services report; taken
//! too early they look like a drop. How long is learned from when values last changed, or set in the spec.

use super::spec::{Shape, Spec};
use crate::units::Time;
use std::collections::BTreeMap;
use std::time::Duration;

/// Periods remembered of one metric.
const REMEMBERED: usize = 120;

/// Periods that have to be watched before what was learned replaces the assumption.
const ENOUGH: usize = 20;

/// How far back increments look again, to see whether values still change. Costs nothing: metrics are paid for, not
/// datapoints.
pub const LOOK_BACK: Duration = Duration::from_secs(15 * 60);

/// A gap between two looks beyond which nothing is learned from what appeared in between.
const WATCH_GAP: Duration = Duration::from_secs(180);

/// What was seen of one period.
#[derive(Debug, Clone, Copy)]
struct Seen {
    value: f64,
    /// Age of the period, from its end, when its value was last seen to change. None: seen too late to know.
    changed_age: Option<Duration>,
}

/// The settling delay of one metric.
#[derive(Debug, Default)]
pub struct Settling {
    seen: BTreeMap<(u32, Time), Seen>,
    looked: Option<Time>,
}

/// Assumed until it is learned: services take a minute or two, an own agent about one period.
fn assumed(spec: &Spec) -> Duration {
    let first = match &spec.shape {
        Shape::Metric(metric) => Some(metric),
        Shape::Math { metrics, .. } => metrics.first().map(|m| &m.1),
    };
    match first {
        Some(m) if m.namespace.starts_with("AWS/") || m.namespace == "ContainerInsights" => Duration::from_secs(120),
        _ => Duration::from_secs(u64::from(spec.period_seconds().clamp(10, 60))),
    }
}

impl Settling {
    /// Looks at the datapoints of a fetch at `now`.
    pub fn observe(&mut self, period_seconds: u32, datapoints: &[(Time, f64)], now: Time) {
        let period = Duration::from_secs(u64::from(period_seconds));
        let watched = self.looked.filter(|looked| now.since(*looked) <= WATCH_GAP);
        for (start, value) in datapoints {
            let end = *start + period;
            let age = now.since(end);
            if age > LOOK_BACK + WATCH_GAP {
                continue;
            }
            let seen = self.seen.entry((period_seconds, *start));
            seen.and_modify(|s| {
                if s.value.to_bits() != value.to_bits() {
                    *s = Seen { value: *value, changed_age: Some(age.max(s.changed_age.unwrap_or_default())) };
                }
            })
            .or_insert_with(|| {
                // Not there at the last look. If its end was already past then, it came late.
                let late = watched.is_some_and(|looked| looked > end);
                let fresh = watched.is_some_and(|looked| looked <= end);
                let changed_age = if late { Some(age) } else { fresh.then_some(Duration::ZERO) };
                Seen { value: *value, changed_age }
            });
        }
        self.looked = Some(now);
        while self.seen.len() > REMEMBERED {
            self.seen.pop_first();
        }
    }

    /// How long after its end a period is believed.
    pub fn delay(&self, spec: &Spec) -> Duration {
        if let Some(set) = spec.delay {
            return set;
        }
        let watched: Vec<Duration> = self.seen.values().filter_map(|s| s.changed_age).collect();
        let learned = watched.iter().copied().max().unwrap_or_default();
        if watched.len() >= ENOUGH { learned } else { learned.max(assumed(spec)) }
    }

    /// Takes away what can't be believed yet.
    pub fn withhold(&self, spec: &Spec, period_seconds: u32, datapoints: &mut Vec<(Time, f64)>, now: Time) {
        let wait = self.delay(spec) + Duration::from_secs(u64::from(period_seconds));
        datapoints.retain(|(start, _)| *start + wait <= now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> Spec {
        Spec::parse(text, "t").unwrap()
    }

    fn t(s: i64) -> Time {
        Time::from_secs(s)
    }

    /// A service that reports a period in two halves: at 40 s and at 100 s after its end.
    fn look(now: i64) -> Vec<(Time, f64)> {
        (0..now / 60)
            .map(|i| i * 60)
            .filter(|s| now - (s + 60) >= 40)
            .map(|s| (t(s), if now - (s + 60) >= 100 { 60.0 } else { 30.0 }))
            .collect()
    }

    #[test]
    fn a_growing_period_is_no_drop_and_the_delay_is_learned() {
        let own = spec("App Jobs Sum 60s");
        let mut settling = Settling::default();
        assert_eq!(settling.delay(&own), Duration::from_secs(60), "assumed");
        let mut drops_late = 0;
        for minute in 20..80 {
            let now = minute * 60 + 5;
            let mut data = look(now);
            settling.observe(60, &data, t(now));
            settling.withhold(&own, 60, &mut data, t(now));
            drops_late += usize::from(minute >= 23 && data.iter().any(|d| d.1 < 60.0));
        }
        assert_eq!(drops_late, 0, "after three looks no half period is given out");
        let delay = settling.delay(&own);
        assert!(delay >= Duration::from_secs(100) && delay <= Duration::from_secs(180), "{delay:?}");
    }

    #[test]
    fn a_metric_that_is_complete_at_once_is_soon_believed_at_once() {
        let slow = spec(r#"AWS/SQS NumberOfMessagesSent{QueueName="q"} Sum 60s"#);
        let mut settling = Settling::default();
        assert_eq!(settling.delay(&slow), Duration::from_secs(120));
        for minute in 20..60i64 {
            let now = minute * 60 + 1;
            let data: Vec<_> = (0..minute).map(|i| (t(i * 60), 60.0)).collect();
            settling.observe(60, &data, t(now));
        }
        assert_eq!(settling.delay(&slow), Duration::ZERO);
    }

    #[test]
    fn a_delay_that_is_set_is_kept_and_an_outage_teaches_nothing() {
        let set = spec("App Jobs Sum 60s delay 5m");
        let mut settling = Settling::default();
        settling.observe(60, &[(t(0), 1.0)], t(61));
        settling.observe(60, &[(t(0), 1.0), (t(60), 1.0), (t(120), 1.0)], t(1000));
        assert_eq!(settling.delay(&spec("App Jobs Sum 60s")), Duration::from_secs(60));
        assert_eq!(settling.delay(&set), Duration::from_secs(300));
        let mut data = vec![(t(0), 1.0), (t(300), 1.0), (t(360), 1.0)];
        settling.withhold(&set, 60, &mut data, t(660));
        assert_eq!(data, [(t(0), 1.0), (t(300), 1.0)]);
    }
}
