//! `expireAfter`: nodes that go at their age whatever budgets say. They can only be seen coming.
//!
//! An expired NodeClaim is deleted, and its successor is ordered only when pods wait for it (KP
//! `pkg/controllers/nodeclaim/expiration`): within a ramp that is capacity lost when it is wanted most.

use super::Span;
use crate::plan::nodes::NodeClaimView;
use crate::units::{Time, duration};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Nodes of one pool that expire within one span.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wave {
    /// The NodePool.
    pub pool: String,
    /// The guarded span that they fall into.
    pub ramp: Span,
    /// The first and the last expiry.
    pub first: Time,
    /// See `first`.
    pub last: Time,
    /// The NodeClaims, by name.
    pub claims: Vec<String>,
    /// NodeClaims of the pool in all.
    pub of: usize,
    /// The pool's age limit.
    #[serde(with = "crate::units::duration")]
    pub expire_after: Duration,
}

impl fmt::Display for Wave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} nodes of NodePool {} expire (expireAfter {}) from {} to {}, within the forecast ramp {} to {}; budgets do not hold that: delete them one by one before it, or change spec.template.spec.expireAfter (which drifts nodes)",
            self.claims.len(),
            self.of,
            self.pool,
            duration::format(self.expire_after),
            self.first,
            self.last,
            self.ramp.from,
            self.ramp.to
        )
    }
}

/// The NodeClaims of `claims` that expire by themselves from `from` (included) to `to` (not included): so many nodes have
/// to be there besides, for a while.
pub fn expiring_within<'a>(
    claims: impl IntoIterator<Item = &'a NodeClaimView>,
    span: Span,
) -> impl Iterator<Item = &'a NodeClaimView> {
    claims.into_iter().filter(move |c| c.deleting.is_none() && c.expires().is_some_and(|at| span.holds(at)))
}

/// Pods that lose their node while a ramp lasts: what the NodeClaims hold that expire within `soon`, and within a ramp, at
/// most; and those that have and are still being emptied. `requests`: of one pod, in base units.
pub fn pods_that_lose_their_node<'a>(
    claims: impl IntoIterator<Item = &'a NodeClaimView>,
    ramps: &[Span],
    soon: Span,
    requests: &BTreeMap<String, f64>,
) -> u32 {
    let goes = |c: &&NodeClaimView| {
        let in_ramp = |at: Time| ramps.iter().any(|ramp| ramp.holds(at));
        let now = |at: Time| if c.deleting.is_some() { at < soon.to } else { soon.holds(at) };
        c.expires().is_some_and(|at| in_ramp(at) && now(at))
    };
    let pods = |claim: &NodeClaimView| {
        let asked = requests.iter().filter(|(_, each)| **each > 0.0);
        let fit = asked.filter_map(|(resource, each)| Some(claim.allocatable.get(resource)? / each));
        fit.reduce(f64::min).map_or(0, |fit| fit as u32)
    };
    claims.into_iter().filter(goes).map(pods).fold(0, u32::saturating_add)
}

/// Waves of expiry that will hit within spans of their pool, soonest first.
pub fn waves(claims: &[&NodeClaimView], spans: &BTreeMap<String, Vec<Span>>, now: Time) -> Vec<Wave> {
    let mut found = Vec::new();
    for (pool, spans) in spans {
        let own: Vec<&NodeClaimView> = claims.iter().copied().filter(|c| c.pool.as_deref() == Some(pool)).collect();
        for span in spans {
            let ahead = Span { from: span.from.max(now), to: span.to };
            let mut hit: Vec<&NodeClaimView> = expiring_within(own.iter().copied(), ahead).collect();
            hit.sort_by_key(|c| (c.expires(), c.name.clone()));
            let (Some(first), Some(last)) = (hit.first(), hit.last()) else { continue };
            found.push(Wave {
                pool: pool.clone(),
                ramp: *span,
                first: first.expires().unwrap_or(now),
                last: last.expires().unwrap_or(now),
                expire_after: first.expire_after.unwrap_or_default(),
                claims: hit.iter().map(|c| c.name.clone()).collect(),
                of: own.len(),
            });
        }
    }
    found.sort_by_key(|w| w.first);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(name: &str, created: Time, hours: Option<u64>) -> NodeClaimView {
        NodeClaimView {
            name: name.into(),
            pool: Some("web".into()),
            node: Some(name.into()),
            created,
            launched: None,
            registered: None,
            initialized: None,
            deleting: None,
            expire_after: hours.map(|h| Duration::from_secs(3600 * h)),
            requests: BTreeMap::new(),
            allocatable: BTreeMap::new(),
            labels: BTreeMap::new(),
        }
    }

    #[test]
    fn a_wave_is_seen_before_it_comes() {
        let now = Time::parse("2026-11-25T06:00:00Z").unwrap();
        let hour = |h: u64| now + Duration::from_secs(3600 * h);
        let ramp = Span { from: hour(2), to: hour(4) };
        let day = Duration::from_secs(86_400);
        let all = [
            claim("a", hour(3) - day, Some(24)),
            claim("b", hour(2) - day, Some(24)),
            claim("c", hour(4) - day, Some(24)),
            claim("d", hour(3) - day, None),
            NodeClaimView { deleting: Some(now), ..claim("e", hour(3) - day, Some(24)) },
            NodeClaimView { pool: Some("db".into()), ..claim("f", hour(3) - day, Some(24)) },
        ];
        let all: Vec<&NodeClaimView> = all.iter().collect();
        let found = waves(&all, &BTreeMap::from([("web".into(), vec![ramp])]), now);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].claims, ["b", "a"], "the end does not belong to it");
        assert_eq!((found[0].first, found[0].last, found[0].of), (hour(2), hour(3), 5));
        let words = found[0].to_string();
        assert!(words.starts_with("2 of 5 nodes of NodePool web expire (expireAfter 1d) from 2026-11-25T08:00:00Z"));
        assert!(waves(&all, &BTreeMap::new(), now).is_empty());
    }

    #[test]
    fn pods_on_nodes_that_expire_in_a_ramp_are_counted_a_lead_before() {
        let now = Time::parse("2026-11-25T06:00:00Z").unwrap();
        let minute = |m: u64| now + Duration::from_secs(60 * m);
        let of = |name: &str, expires: Time| NodeClaimView {
            allocatable: BTreeMap::from([("cpu".into(), 3.9), ("memory".into(), 8e9)]),
            ..claim(name, expires - Duration::from_secs(86_400), Some(24))
        };
        let all = [of("a", minute(2)), of("b", minute(9)), of("c", minute(4)), claim("d", minute(2), None)];
        let requests = BTreeMap::from([("cpu".to_owned(), 0.5), ("memory".to_owned(), 1e9)]);
        let count =
            |ramps: &[Span]| pods_that_lose_their_node(&all, ramps, Span { from: now, to: minute(5) }, &requests);
        assert_eq!(count(&[Span { from: minute(1), to: minute(60) }]), 14, "7 on each of two");
        assert_eq!(count(&[Span { from: minute(3), to: minute(60) }]), 7, "one goes before the ramp");
        let drains = NodeClaimView { deleting: Some(now), ..of("e", now - Duration::from_secs(120)) };
        let ramp = [Span { from: now - Duration::from_secs(300), to: minute(60) }];
        let soon = Span { from: now, to: minute(1) };
        assert_eq!(pods_that_lose_their_node(&[drains], &ramp, soon, &requests), 7, "until it is empty");
        assert_eq!(count(&[]), 0);
    }
}
