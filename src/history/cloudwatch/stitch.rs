//! Which period is asked for at which age, and how datapoints of any period come to stand on the grid.
//!
//! A datapoint at T of period P says what happened in [T, T+P). A sample at t says what happened in the step that
//! ended at t, as a Prometheus rate does: it is known when it is over, and nothing in a backtest looks ahead.

use super::spec::{Amount, Shape, Spec};
use crate::history::Points;
use crate::units::{Step, Time};
use std::time::Duration;

const HOUR_S: i64 = 3600;
const DAY_S: i64 = 24 * HOUR_S;

/// How long datapoints of at least that period are kept, seconds (API reference, `GetMetricData`).
const RETENTION: [(u32, i64); 4] = [(1, 3 * HOUR_S), (60, 15 * DAY_S), (300, 63 * DAY_S), (3600, 455 * DAY_S)];

/// A stretch of time in which one period is asked for: datapoints with `from <= T < to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Segment {
    /// The first start of a period, a multiple of the period since the epoch.
    pub from: Time,
    /// Behind the last start of a period, a multiple too.
    pub to: Time,
    /// Seconds of one datapoint.
    pub period_seconds: u32,
}

impl Segment {
    /// Datapoints that it can have.
    pub fn datapoints(&self) -> usize {
        let ms = i64::from(self.period_seconds) * 1000;
        usize::try_from((self.to.millis() - self.from.millis()) / ms).unwrap_or(0)
    }

    /// The same stretch in pieces of at most `most` datapoints, newest first.
    pub fn split(&self, most: usize) -> Vec<Segment> {
        let span = i64::from(self.period_seconds) * 1000 * i64::try_from(most.max(1)).unwrap_or(i64::MAX);
        let mut out = Vec::new();
        let mut to = self.to.millis();
        while to > self.from.millis() {
            let from = to.saturating_sub(span).max(self.from.millis());
            out.push(Segment { from: Time::from_millis(from), to: Time::from_millis(to), ..*self });
            to = from;
        }
        out
    }
}

fn floor(ms: i64, unit: i64) -> i64 {
    ms.div_euclid(unit) * unit
}

fn ceil(ms: i64, unit: i64) -> i64 {
    floor(ms.saturating_add(unit - 1), unit)
}

/// The period asked for where datapoints of at least `kept` seconds are stored: the spec's own, coarser where only
/// coarser ones are kept, and the step itself where that is a whole number of them, so that CloudWatch adds up.
fn asked_period(spec: u32, step: Step, kept: u32) -> u32 {
    let period = spec.next_multiple_of(kept).max(kept);
    let step = step.secs();
    let allowed = step.is_multiple_of(60) || matches!(step, 5 | 10 | 20 | 30);
    if step > period && step.is_multiple_of(period) && allowed { step } else { period }
}

/// The segments that samples with `from <= t <= to` need, newest first. They don't overlap: each begins where the
/// next coarser one ends, on a boundary of the coarser period. What is older than 455 days isn't asked for.
pub fn segments(spec: &Spec, from: Time, to: Time, step: Step, now: Time) -> Vec<Segment> {
    let oldest = from.millis() - i64::from(step.secs()) * 1000;
    let mut end = to.millis();
    let mut out = Vec::new();
    for (i, (kept, age)) in RETENTION.iter().enumerate() {
        let period = asked_period(spec.period_seconds(), step, *kept);
        let next = RETENTION.get(i + 1).map(|(kept, _)| asked_period(spec.period_seconds(), step, *kept));
        if next == Some(period) {
            continue;
        }
        let ms = i64::from(period) * 1000;
        let boundary = ceil(now.millis() - age * 1000, i64::from(next.unwrap_or(period)) * 1000);
        let begin = floor(oldest, ms).max(boundary);
        if begin < end {
            out.push(Segment {
                from: Time::from_millis(begin),
                to: Time::from_millis(ceil(end, ms)),
                period_seconds: period,
            });
            end = begin;
        }
        if begin <= oldest {
            break;
        }
    }
    out
}

/// What a value stands for once its period is known: a load per second, or a level as it is.
fn scale(spec: &Spec, period_seconds: u32) -> f64 {
    match (spec.amount, &spec.shape) {
        (Amount::Rate, _) => f64::from(period_seconds),
        // A level that is reported in parts once a period: a coarser Sum holds each part several times.
        (Amount::Level, Shape::Metric(m)) if m.stat == "Sum" || m.stat == "SampleCount" => {
            f64::from(period_seconds) / f64::from(m.period_seconds)
        }
        (Amount::Level, _) => 1.0,
    }
}

/// The grid of one query while datapoints come in.
#[derive(Debug)]
pub struct Gridder {
    first: i64,
    step: i64,
    /// Milliseconds covered, and the sum of value x milliseconds; a single exact value is kept exactly.
    cells: Vec<(u32, f64)>,
}

impl Gridder {
    /// For the samples `from <= t <= to` that stand on multiples of `step` since the epoch.
    pub fn new(from: Time, to: Time, step: Step) -> Self {
        let step = i64::from(step.secs()) * 1000;
        let first = ceil(from.millis(), step);
        let count = (floor(to.millis(), step) - first) / step + 1;
        Gridder { first, step, cells: vec![(0, 0.0); usize::try_from(count).unwrap_or(0)] }
    }

    /// Takes the datapoints of one segment: any order, any alignment; of several with the same time the last given
    /// counts. Values that are no load (negative, not finite) are left out; returns how many were.
    pub fn add(&mut self, spec: &Spec, segment: &Segment, datapoints: &mut Vec<(Time, f64)>) -> usize {
        datapoints.retain(|(t, _)| segment.from <= *t && *t < segment.to);
        datapoints.reverse();
        datapoints.sort_by_key(|d| d.0);
        datapoints.dedup_by_key(|d| d.0);
        let period = i64::from(segment.period_seconds) * 1000;
        let scale = scale(spec, segment.period_seconds);
        let mut refused = 0;
        for (time, value) in datapoints.iter() {
            if !value.is_finite() || *value < 0.0 {
                refused += 1;
                continue;
            }
            self.cover(time.millis(), time.millis() + period, value / scale);
        }
        refused
    }

    fn cover(&mut self, begin: i64, end: i64, value: f64) {
        // The cell of t covers (t - step, t]; the first that a stretch touches ends behind its beginning.
        let mut cell = (begin - self.first).div_euclid(self.step) + 1;
        loop {
            let cell_end = self.first + cell * self.step;
            let overlap = end.min(cell_end) - begin.max(cell_end - self.step);
            if overlap <= 0 {
                break;
            }
            if let Some((covered, sum)) = usize::try_from(cell).ok().and_then(|c| self.cells.get_mut(c)) {
                let overlap = u32::try_from(overlap).unwrap_or(u32::MAX);
                // Weighted mean, kept as a mean so that one value alone stays exactly what it is.
                let total = covered.saturating_add(overlap);
                *sum += (value - *sum) * (f64::from(overlap) / f64::from(total));
                *covered = total;
            }
            cell += 1;
        }
    }

    /// The samples, oldest first. A step that is covered to less than a half has none.
    pub fn points(self) -> Points {
        let half = u32::try_from(self.step / 2).unwrap_or(u32::MAX);
        let enough = |c: &(u32, f64)| c.0 > 0 && c.0 >= half;
        let mut out = Vec::with_capacity(self.cells.iter().filter(|c| enough(c)).count());
        let at = |i: usize| Time::from_millis(self.first) + Duration::from_millis(self.step.unsigned_abs() * i as u64);
        out.extend(self.cells.iter().enumerate().filter(|(_, c)| enough(c)).map(|(i, c)| (at(i), c.1)));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: i64 = 1_700_000_000; // not on any boundary but its second

    fn spec(text: &str) -> Spec {
        Spec::parse(text, "t").unwrap()
    }

    fn secs(s: i64) -> Time {
        Time::from_secs(s)
    }

    fn step(s: u32) -> Step {
        Step::from_secs(s).unwrap()
    }

    #[test]
    fn each_age_is_asked_for_at_the_period_that_is_kept() {
        let fast = spec("App Jobs Sum 10s");
        let got = segments(&fast, secs(NOW - 500 * DAY_S), secs(NOW), step(10), secs(NOW));
        let periods: Vec<u32> = got.iter().map(|s| s.period_seconds).collect();
        assert_eq!(periods, [10, 60, 300, 3600], "newest first");
        for (segment, (_, age)) in got.iter().zip(RETENTION) {
            assert!(segment.from >= secs(NOW - age), "nothing is asked for that has expired");
            assert!(segment.from < secs(NOW - age + 3600), "and all that hasn't");
            assert_eq!(segment.from.secs() % i64::from(segment.period_seconds), 0);
            assert_eq!(segment.to.secs() % i64::from(segment.period_seconds), 0);
        }
        for pair in got.windows(2) {
            assert_eq!(pair[0].from, pair[1].to, "neither a hole nor an overlap");
        }
        let minute = spec("App Jobs Sum 60s");
        let got = segments(&minute, secs(NOW - 14 * DAY_S), secs(NOW), step(60), secs(NOW));
        assert_eq!(got.len(), 1, "a minute's metric needs no tier of seconds");
        let coarse = segments(&minute, secs(NOW - 14 * DAY_S), secs(NOW), step(300), secs(NOW));
        assert_eq!(coarse[0].period_seconds, 300, "CloudWatch adds up to the step");
        let odd = segments(&minute, secs(NOW - 14 * DAY_S), secs(NOW), step(90), secs(NOW));
        assert_eq!(odd[0].period_seconds, 60);
    }

    fn points(spec: &Spec, parts: &[(Segment, Vec<(i64, f64)>)], from: i64, to: i64, s: u32) -> Vec<(i64, f64)> {
        let mut gridder = Gridder::new(secs(from), secs(to), step(s));
        for (segment, data) in parts {
            gridder.add(spec, segment, &mut data.iter().map(|(t, v)| (secs(*t), *v)).collect());
        }
        gridder.points().into_iter().map(|(t, v)| (t.secs(), v)).collect()
    }

    fn segment(from: i64, to: i64, period_seconds: u32) -> Segment {
        Segment { from: secs(from), to: secs(to), period_seconds }
    }

    #[test]
    fn a_sum_is_a_rate_at_the_end_of_its_period_and_a_hole_stays_one() {
        let sum = spec("App Jobs Sum 60s");
        let data = vec![(180, 30.0), (60, 120.0), (0, 60.0)];
        assert_eq!(points(&sum, &[(segment(0, 240, 60), data)], 60, 240, 60), [(60, 1.0), (120, 2.0), (240, 0.5)]);
    }

    #[test]
    fn coarser_periods_spread_over_their_steps_and_levels_keep_their_size() {
        let parts =
            [(segment(0, 300, 300), vec![(0, 600.0)]), (segment(300, 420, 60), vec![(300, 60.0), (360, 180.0)])];
        let sum = points(&spec("App Jobs Sum 60s"), &parts, 60, 420, 60);
        assert_eq!(sum.iter().map(|p| p.1).collect::<Vec<_>>(), [2.0, 2.0, 2.0, 2.0, 2.0, 1.0, 3.0]);
        let whole = points(&spec("App Cores Sum 60s level"), &parts, 60, 420, 60);
        assert_eq!(whole[0].1, 120.0, "five reports in one Sum");
        assert_eq!(whole[6].1, 180.0);
        let depth = points(&spec("App Depth Average 60s"), &parts, 60, 420, 60);
        assert_eq!(depth[0].1, 600.0);
        let fine = points(
            &spec("App Jobs Sum 10s"),
            &[(segment(0, 60, 10), vec![(0, 10.0), (20, 30.0), (40, 20.0)])],
            60,
            60,
            60,
        );
        assert_eq!(fine, [(60, 2.0)], "three of six tenths: the mean of those that there are");
        let few = points(&spec("App Jobs Sum 10s"), &[(segment(0, 60, 10), vec![(0, 10.0)])], 60, 60, 60);
        assert_eq!(few, [], "one of six is not enough");
    }

    #[test]
    fn what_is_no_load_and_what_comes_twice() {
        let sum = spec("App Jobs Sum 60s");
        let mut gridder = Gridder::new(secs(60), secs(180), step(60));
        let mut data =
            vec![(secs(0), 60.0), (secs(0), 120.0), (secs(60), -1.0), (secs(120), f64::NAN), (secs(900), 9.0)];
        assert_eq!(gridder.add(&sum, &segment(0, 180, 60), &mut data), 2);
        assert_eq!(gridder.points(), [(secs(60), 2.0)]);
    }

    proptest! {
        /// Whatever the tiers, the step and the order: the total that comes out is the total that went in.
        #[test]
        fn nothing_is_counted_twice_or_lost(
            seed in proptest::collection::vec(0u32..1000, 24 * 12),
            shift in 0i64..20 * DAY_S,
            s in prop::sample::select(vec![60u32, 90, 300, 600]),
        ) {
            let sum = spec("App Jobs Sum 60s");
            // A day that lies across the boundary of 15 days for many shifts.
            let to = floor((NOW - shift) * 1000, 3_600_000) / 1000;
            let from = to - DAY_S;
            let parts: Vec<_> = segments(&sum, secs(from + i64::from(s)), secs(to), step(s), secs(NOW))
                .into_iter()
                .map(|segment| {
                    // 5-minute totals from the seed, dealt out evenly over the periods of the segment
                    let period = i64::from(segment.period_seconds);
                    let mut data = (segment.from.secs()..segment.to.secs())
                        .step_by(segment.period_seconds as usize)
                        .map(|t| {
                            let total: f64 = (t..t + period).step_by(60).map(|m| {
                                f64::from(seed[usize::try_from((m - from).div_euclid(300).rem_euclid(288)).unwrap()]) / 5.0
                            }).sum();
                            (t, total)
                        })
                        .collect::<Vec<_>>();
                    data.reverse();
                    (segment, data)
                })
                .collect();
            let got: f64 = points(&sum, &parts, from + i64::from(s), to, s).iter().map(|p| p.1 * f64::from(s)).sum();
            let want: f64 = seed.iter().map(|v| f64::from(*v)).sum();
            prop_assert!((got - want).abs() < 1e-6 * want.max(1.0), "{got} of {want}");
        }
    }
}
