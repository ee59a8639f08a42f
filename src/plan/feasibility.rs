//! Whether what the hours ahead will want can be had: the user's upper bounds, the ResourceQuotas of the namespace, and
//! the limits of NodePools.
//!
//! Subnets and addresses are not visible in the cluster, and free room on nodes that are there is not counted: what is
//! said here is that new nodes for a ramp would not be bought.

use super::nodes::{NodePoolView, Placement};
use super::quota::QuotaView;
use crate::units::{Replicas, Time};
use std::collections::BTreeMap;
use std::fmt;

/// A rise that is foreseen.
#[derive(Debug, Clone, PartialEq)]
pub struct Rise<'a> {
    /// When it begins.
    pub at: Time,
    /// Replicas that are there now: what limits leave is counted beside them.
    pub now: Replicas,
    /// Replicas before.
    pub low: Replicas,
    /// Replicas at its top.
    pub high: Replicas,
    /// The user's upper bound.
    pub max_replicas: Replicas,
    /// What a pod requests, in base units.
    pub requests: &'a BTreeMap<String, f64>,
    /// What its pods ask of nodes.
    pub placement: &'a Placement,
}

/// What will not fit.
#[derive(Debug, Clone, PartialEq)]
pub enum Infeasible {
    /// The user's upper bound stops it.
    MaxReplicas {
        /// When.
        at: Time,
        /// The bound.
        max: Replicas,
    },
    /// A ResourceQuota of the namespace leaves less.
    Quota {
        /// When.
        at: Time,
        /// Pods that are to come.
        pods: Replicas,
        /// Pods that it leaves room for.
        room: Replicas,
        /// Its name and the entry that runs out.
        by: (String, String),
    },
    /// The limits of every NodePool that fits leave less.
    NodePools {
        /// When.
        at: Time,
        /// Pods that are to come.
        pods: Replicas,
        /// Pods that the limits leave room for.
        room: Replicas,
        /// The NodePool and the resource that run out.
        by: Vec<(String, String)>,
    },
}

impl fmt::Display for Infeasible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Infeasible::MaxReplicas { at, max } => {
                write!(f, "the ramp at {at} reaches maxReplicas {max}: raise it, or what is above goes unserved")
            }
            Infeasible::Quota { at, pods, room, by: (quota, entry) } => write!(
                f,
                "the ramp at {at} wants {pods} more pods, and ResourceQuota {quota} ({entry}) leaves room for {room}: raise spec.hard"
            ),
            Infeasible::NodePools { at, pods, room, by } => {
                let by: Vec<String> = by.iter().map(|(pool, resource)| format!("{pool} ({resource})")).collect();
                let by = by.join(", ");
                write!(
                    f,
                    "the ramp at {at} wants {pods} more pods, and the limits of NodePool {by} leave room for {room} on new nodes: raise spec.limits"
                )
            }
        }
    }
}

/// Checks a rise. Empty: nothing that is visible stands in its way. No NodePools or `quotas` (those of the workload's
/// namespace): their part is left out.
pub fn infeasible(rise: &Rise<'_>, pools: &[NodePoolView], quotas: &[QuotaView]) -> Vec<Infeasible> {
    let mut found = Vec::new();
    if rise.high >= rise.max_replicas && rise.high > rise.low {
        found.push(Infeasible::MaxReplicas { at: rise.at, max: rise.max_replicas });
    }
    let pods = rise.high.saturating_sub(rise.now);
    let left = quotas.iter().filter_map(|q| q.leaves(rise.requests).map(|(room, entry)| (room, &q.name, entry)));
    if let Some((room, quota, entry)) = left.min().filter(|(room, ..)| *room < pods) {
        found.push(Infeasible::Quota { at: rise.at, pods, room, by: (quota.clone(), entry.to_owned()) });
    }
    // a static pool buys nothing for pods
    let bought = |p: &&NodePoolView| p.replicas.is_none() && rise.placement.fits(p);
    let fitting: Vec<&NodePoolView> = pools.iter().filter(bought).collect();
    let room: Vec<Option<(Replicas, String)>> = fitting.iter().map(|p| leaves(p, rise.requests)).collect();
    let bound: Option<Vec<(Replicas, String)>> = room.into_iter().collect();
    let Some(bound) = bound.filter(|b| !b.is_empty()) else { return found };
    let room = bound.iter().fold(0, |sum: Replicas, (n, _)| sum.saturating_add(*n));
    if room < pods {
        let by = fitting.iter().zip(bound).map(|(pool, (_, resource))| (pool.name.clone(), resource)).collect();
        found.push(Infeasible::NodePools { at: rise.at, pods, room, by });
    }
    found
}

/// Pods that the limits of a NodePool leave room for, and the resource that runs out first. None: no limit is known that
/// concerns them.
fn leaves(pool: &NodePoolView, requests: &BTreeMap<String, f64>) -> Option<(Replicas, String)> {
    let of = |(resource, amount): (&String, &f64)| {
        let limit = pool.limits.get(resource)?;
        let left = (limit - pool.used.get(resource).copied().unwrap_or(0.0)).max(0.0);
        (*amount > 0.0).then(|| ((left / amount).floor().min(f64::from(Replicas::MAX)) as Replicas, resource.clone()))
    };
    requests.iter().filter_map(of).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amounts(pairs: &[(&str, f64)]) -> BTreeMap<String, f64> {
        pairs.iter().map(|(r, n)| (r.to_string(), *n)).collect()
    }

    fn pool(name: &str, limits: &[(&str, f64)], used: &[(&str, f64)]) -> NodePoolView {
        NodePoolView { name: name.into(), limits: amounts(limits), used: amounts(used), ..NodePoolView::default() }
    }

    #[test]
    fn what_limits_leave_is_counted_in_pods() {
        let (requests, placement) = (amounts(&[("cpu", 2.0), ("memory", 1e9)]), Placement::default());
        let at = Time::from_secs(0);
        let rise =
            Rise { at, now: 10, low: 10, high: 30, max_replicas: 50, requests: &requests, placement: &placement };
        // 100 cores of which 70 are used: 15 pods; memory would do for 40
        let tight = pool("a", &[("cpu", 100.0), ("memory", 1e11)], &[("cpu", 70.0), ("memory", 6e10)]);
        let short = Infeasible::NodePools { at, pods: 20, room: 15, by: vec![("a".into(), "cpu".into())] };
        assert_eq!(infeasible(&rise, std::slice::from_ref(&tight), &[]), [short]);
        assert_eq!(
            infeasible(&rise, &[tight.clone(), pool("b", &[("cpu", 10.0)], &[])], &[]),
            [],
            "five more elsewhere"
        );
        assert_eq!(
            infeasible(&rise, &[tight.clone(), pool("b", &[], &[])], &[]),
            [],
            "one without limits takes the rest"
        );
        assert_eq!(infeasible(&rise, &[], &[]), [], "a cluster without Karpenter");
        let fixed = NodePoolView { replicas: Some(3), ..pool("b", &[], &[]) };
        assert_eq!(infeasible(&rise, &[tight.clone(), fixed], &[]).len(), 1, "a static one takes nothing");
        let second = Rise { now: 25, ..rise.clone() };
        assert_eq!(infeasible(&second, std::slice::from_ref(&tight), &[]), [], "15 of the 20 are there already");
        let bounded = Rise { max_replicas: 30, ..rise };
        assert_eq!(infeasible(&bounded, &[], &[]), [Infeasible::MaxReplicas { at, max: 30 }]);
    }

    #[test]
    fn a_quota_of_the_namespace_counts() {
        let (requests, placement) = (amounts(&[("cpu", 2.0)]), Placement::default());
        let at = Time::from_secs(0);
        let rise =
            Rise { at, now: 10, low: 10, high: 30, max_replicas: 50, requests: &requests, placement: &placement };
        let quota = |name: &str, entry: &str, hard: f64, used: f64| QuotaView {
            name: name.into(),
            hard: amounts(&[(entry, hard)]),
            used: amounts(&[(entry, used)]),
        };
        let (cpu, pods) = (quota("team", "requests.cpu", 50.0, 20.0), quota("few", "pods", 40.0, 12.0));
        let short = Infeasible::Quota { at, pods: 20, room: 15, by: ("team".into(), "requests.cpu".into()) };
        assert!(short.to_string().contains("ResourceQuota team (requests.cpu) leaves room for 15"));
        assert_eq!(infeasible(&rise, &[], &[pods.clone(), cpu]), [short], "28 pods are admitted, 30 cores are not");
        assert_eq!(infeasible(&rise, &[], &[pods]), []);
    }
}
