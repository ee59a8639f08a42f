//! Which queries go together into one call.

use super::spec::Spec;
use super::stitch::Segment;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// `MetricDataQuery` structures of one call (API reference, `GetMetricData`).
pub const MAX_QUERIES: usize = 500;

/// Datapoints of one call (API reference, `GetMetricData`).
pub const MAX_DATAPOINTS: usize = 100_800;

/// One call: a stretch of time, and the queries (by index) that are asked for in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The stretch.
    pub segment: Segment,
    /// Indices of the queries.
    pub queries: Vec<usize>,
}

/// Packs what the queries need into as few calls as the limits allow, newest first. Each metric of a call costs, so
/// a stretch is cut only where one query alone has more datapoints than a call may have.
pub fn pack(needs: &[(usize, &Spec, Vec<Segment>)]) -> Vec<Call> {
    let mut by_segment: BTreeMap<Reverse<Segment>, Vec<(usize, &Spec)>> = BTreeMap::new();
    for (index, spec, segments) in needs {
        for segment in segments.iter().flat_map(|s| s.split(MAX_DATAPOINTS)) {
            by_segment.entry(Reverse(segment)).or_default().push((*index, *spec));
        }
    }
    let mut calls = Vec::new();
    for (Reverse(segment), queries) in by_segment {
        let datapoints = segment.datapoints().max(1);
        let mut call = Call { segment, queries: Vec::new() };
        let mut structures = 0;
        for (index, spec) in queries {
            let full =
                structures + spec.structures() > MAX_QUERIES || (call.queries.len() + 1) * datapoints > MAX_DATAPOINTS;
            if full && !call.queries.is_empty() {
                calls.push(std::mem::replace(&mut call, Call { segment, queries: Vec::new() }));
                structures = 0;
            }
            structures += spec.structures();
            call.queries.push(index);
        }
        calls.push(call);
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{Step, Time};

    fn segments(spec: &Spec, days: i64) -> Vec<Segment> {
        let now = Time::from_secs(1_700_000_040);
        super::super::stitch::segments(
            spec,
            Time::from_secs(1_700_000_040 - days * 86_400 + 60),
            now,
            Step::MINUTE,
            now,
        )
    }

    #[test]
    fn a_minute_of_five_hundred_metrics_is_one_call() {
        let spec = Spec::parse("App Jobs Sum 60s", "t").unwrap();
        let now = Time::from_secs(1_700_000_040);
        let needs: Vec<_> =
            (0..500).map(|i| (i, &spec, super::super::stitch::segments(&spec, now, now, Step::MINUTE, now))).collect();
        assert_eq!(pack(&needs).len(), 1);
        let more: Vec<_> = needs.iter().cloned().chain([(500, &spec, needs[0].2.clone())]).collect();
        assert_eq!(pack(&more).iter().map(|c| c.queries.len()).collect::<Vec<_>>(), [500, 1]);
    }

    #[test]
    fn a_fortnight_of_minutes_goes_in_fives() {
        let spec = Spec::parse("App Jobs Sum 60s", "t").unwrap();
        let needs: Vec<_> = (0..12).map(|i| (i, &spec, segments(&spec, 14))).collect();
        let calls = pack(&needs);
        assert_eq!(calls.iter().map(|c| c.queries.len()).collect::<Vec<_>>(), [5, 5, 2], "5 x 20,160 = 100,800");
    }

    #[test]
    fn structures_of_expressions_count_and_newer_stretches_come_first() {
        let math = "a + b where a = App A Sum 60s; b = App B Sum 60s";
        let spec = Spec::parse(math, "t").unwrap();
        let now = Time::from_secs(1_700_000_040);
        let needs: Vec<_> =
            (0..200).map(|i| (i, &spec, super::super::stitch::segments(&spec, now, now, Step::MINUTE, now))).collect();
        assert_eq!(pack(&needs).iter().map(|c| c.queries.len()).collect::<Vec<_>>(), [166, 34], "3 structures each");
        let fast = Spec::parse("App Jobs Sum 10s", "t").unwrap();
        let ten = Step::from_secs(10).unwrap();
        let old = Time::from_secs(1_700_000_040 - 100 * 86_400);
        let calls = pack(&[(0, &fast, super::super::stitch::segments(&fast, old, now, ten, now))]);
        assert!(calls.windows(2).all(|p| p[0].segment.from >= p[1].segment.to), "{calls:?}");
        assert!(calls.iter().all(|c| c.segment.datapoints() <= MAX_DATAPOINTS));
    }
}
