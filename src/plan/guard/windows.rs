//! Stretches of time, and the budget entries that say them.

use super::Budget;
use crate::units::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The longest guard; what lasts longer is said by another that follows on it.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// A stretch of time, its end not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Span {
    /// Its begin.
    pub from: Time,
    /// Its end.
    pub to: Time,
}

impl Span {
    /// Whether this instant belongs to it.
    pub fn holds(&self, at: Time) -> bool {
        self.from <= at && at < self.to
    }

    /// Widened to whole minutes, and no longer than the longest guard.
    pub fn whole_minutes(&self) -> Span {
        let from = self.from.secs().div_euclid(60) * 60;
        let to = (self.to.millis() + 59_999).div_euclid(60_000) * 60;
        let longest = from.saturating_add(LONGEST.as_secs().cast_signed());
        Span { from: Time::from_secs(from), to: Time::from_secs(to.clamp(from + 60, longest)) }
    }
}

/// In parts that are no longer than the longest guard.
pub(super) fn parts(span: Span) -> impl Iterator<Item = Span> {
    let after =
        move |part: &Span| (part.to < span.to).then(|| Span { from: part.to, to: span.to.min(part.to + LONGEST) });
    std::iter::successors(Some(Span { from: span.from, to: span.to.min(span.from + LONGEST) }), after)
}

/// Sorted, and joined where less than `gap` lies between two.
pub fn merge(mut spans: Vec<Span>, gap: Duration) -> Vec<Span> {
    spans.sort();
    let mut merged: Vec<Span> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.from <= last.to + gap => last.to = last.to.max(span.to),
            _ => merged.push(span),
        }
    }
    merged
}

/// The parts of `span` that none of `others` holds, in order.
pub(super) fn uncovered(span: Span, others: &[Span]) -> Vec<Span> {
    let mut at = span.from;
    let mut open = Vec::new();
    for other in merge(others.to_vec(), Duration::ZERO) {
        if other.to <= at || other.from >= span.to {
            continue;
        }
        open.push(Span { from: at, to: other.from });
        at = at.max(other.to);
    }
    open.push(Span { from: at, to: span.to });
    open.retain(|part| part.from < part.to);
    open
}

/// The budget entry for a span, which is widened to whole minutes: no node for consolidation, in UTC. The date comes back
/// every year, so an entry is taken away once it has lapsed.
pub fn entry(span: Span) -> Budget {
    let span = span.whole_minutes();
    let from = span.from.timestamp().to_zoned(jiff::tz::TimeZone::UTC);
    let minutes = span.to.since(span.from).as_secs() / 60;
    let duration = match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes}m"),
        (hours, 0) => format!("{hours}h"),
        (hours, minutes) => format!("{hours}h{minutes}m"),
    };
    Budget {
        nodes: "0".into(),
        reasons: Some(vec!["Underutilized".into(), "Empty".into()]),
        schedule: Some(format!("{} {} {} {} *", from.minute(), from.hour(), from.day(), from.month())),
        duration: Some(duration),
        other: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Allowed, allowed};
    use super::*;
    use proptest::prelude::*;

    fn span(from: i64, to: i64) -> Span {
        Span { from: Time::from_secs(from), to: Time::from_secs(to) }
    }

    #[test]
    fn an_entry_says_its_date_in_utc() {
        let from = Time::parse("2026-11-25T08:50:10+01:00").unwrap();
        let written = entry(Span { from, to: from + Duration::from_secs(90 * 60) });
        assert_eq!(written.schedule.as_deref(), Some("50 7 25 11 *"));
        assert_eq!(written.duration.as_deref(), Some("1h31m"), "widened to whole minutes");
        let text = serde_json::to_string(&written).unwrap();
        assert_eq!(
            text,
            r#"{"nodes":"0","reasons":["Underutilized","Empty"],"schedule":"50 7 25 11 *","duration":"1h31m"}"#
        );
        assert_eq!(entry(span(0, 7200)).duration.as_deref(), Some("2h"));
    }

    #[test]
    fn spans_join_over_small_gaps() {
        let all = vec![span(600, 900), span(0, 300), span(2000, 2100), span(100, 200)];
        assert_eq!(merge(all.clone(), Duration::from_secs(300)), vec![span(0, 900), span(2000, 2100)]);
        assert_eq!(merge(all, Duration::from_secs(299)).len(), 3);
    }

    #[test]
    fn what_no_other_holds() {
        let open = |others: &[Span]| uncovered(span(100, 200), others);
        assert_eq!(open(&[]), [span(100, 200)]);
        assert_eq!(open(&[span(0, 150)]), [span(150, 200)]);
        assert_eq!(open(&[span(120, 130), span(150, 300)]), [span(100, 120), span(130, 150)]);
        assert_eq!(open(&[span(0, 100), span(200, 300)]), [span(100, 200)]);
        assert!(open(&[span(50, 250)]).is_empty());
    }

    proptest! {
        /// Karpenter holds its hand exactly while the span lasts, whatever the user's own entries are.
        #[test]
        fn an_entry_guards_its_span_and_nothing_else(from in 1_600_000_000i64..2_500_000_000, minutes in 1i64..1440, probe in -2000i64..90_000) {
            let wanted = span(from, from + 60 * minutes);
            let guard = entry(wanted);
            let at = Time::from_secs(from + probe);
            let inside = wanted.whole_minutes().holds(at);
            for reason in ["Empty", "Underutilized"] {
                let got = allowed(std::slice::from_ref(&guard), at, 10, reason);
                prop_assert_eq!(got == Allowed::Nodes(0), inside, "{:?} at {}", guard, at);
            }
            prop_assert_eq!(allowed(&[guard], at, 10, "Drifted"), Allowed::Unlimited);
        }
    }
}
