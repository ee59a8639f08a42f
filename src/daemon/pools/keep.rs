//! The task that brings pools about.

use super::super::lease::Right;
use crate::actuate::Executor;
use crate::actuate::pool::{self, Backend, Keeper, Kept, Ours, Standing};
use crate::clock::Clock;
use crate::observe::{Capability, Cluster, Karpenter};
use crate::plan::pool::PoolReason;
use crate::units::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How often pools are looked at, changed or not: placeholders are to be seen within a moment.
const ROUND: Duration = Duration::from_secs(5);
/// How often what stands from before a restart is asked for; pools then begin without it.
const TRIES: u32 = 3;
/// How often objects of pools that nobody answers for are looked for.
const SWEEP: Duration = Duration::from_secs(60);

/// Slots of the cluster before a restart, by pool and placement.
pub(super) type Before = BTreeMap<(String, String), u32>;

/// What is wanted of pools.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Wanted {
    /// Pools that are known.
    pub standings: Vec<Standing>,
    /// Pools of the config of which too little is known: what stands of them is neither kept nor taken away.
    pub unknown: BTreeSet<String>,
}

/// What the task that writes is given.
pub(in crate::daemon) struct Hands {
    pub client: kube::Client,
    pub executor: Arc<Executor>,
    pub nodes: Arc<Karpenter>,
    pub cluster: Arc<Cluster>,
    pub right: Right,
    pub clock: Arc<dyn Clock>,
    pub(super) wanted: watch::Receiver<Option<Wanted>>,
    pub(super) kept: Arc<Mutex<BTreeMap<String, Kept>>>,
    /// What stands from before a restart is to be told.
    pub(super) inherits: bool,
    pub(super) before: Arc<Mutex<Option<Before>>>,
    pub(super) nudges: Arc<Mutex<u64>>,
}

impl Hands {
    /// Err with the reason where this copy must not write in a namespace now.
    fn may_write(&self, namespace: &str) -> Result<(), String> {
        self.right.check()?;
        self.cluster.unstopped(namespace)
    }
}

/// Brings about what is wanted until told to stop.
pub(in crate::daemon) async fn keep(mut hands: Hands, mut stop: watch::Receiver<bool>) {
    let mut keeper = Keeper::new(hands.executor.clone());
    let mut swept: Option<Time> = None;
    let mut tries = 0;
    loop {
        tokio::select! {
            () = super::super::told_to_stop(&mut stop) => return,
            changed = tokio::time::timeout(ROUND, hands.wanted.changed()) => {
                if matches!(changed, Ok(Err(_))) {
                    return;
                }
            }
        }
        let wanted = hands.wanted.borrow_and_update().clone();
        let (Some(served), true) = (served(&hands.nodes), hands.right.held()) else { continue };
        if hands.inherits && tries < TRIES {
            match pool::ours(&hands.client, &served).await {
                Ok(found) => {
                    *hands.before.lock().unwrap_or_else(PoisonError::into_inner) = Some(before(&found));
                    tries = TRIES;
                }
                Err(error) => {
                    tracing::warn!(%error, "warm pools cannot be listed");
                    tries += 1;
                    if tries == TRIES {
                        *hands.before.lock().unwrap_or_else(PoisonError::into_inner) = Some(Before::new());
                    }
                }
            }
        }
        let Some(Wanted { mut standings, unknown }) = wanted else { continue };
        let now = hands.clock.now();
        if swept.is_none_or(|t| now.since(t) >= SWEEP) {
            match pool::ours(&hands.client, &served).await {
                Ok(found) => standings.extend(left_over(&standings, &unknown, found)),
                Err(error) => tracing::warn!(%error, "warm pools cannot be listed"),
            }
            swept = Some(now);
        }
        let mut kept = BTreeMap::new();
        for standing in &standings {
            let fence = || hands.may_write(&standing.namespace);
            let result = keeper.keep(now, standing, &served, &fence).await;
            if result.writes > 0 {
                let slots: u32 = standing.sets.iter().map(|s| s.slots).sum();
                tracing::info!(pool = %standing.pool, slots, backend = ?result.backend, "warm pool written");
            }
            kept.insert(standing.pool.clone(), result);
        }
        let placeholders = |s: &&Standing| {
            kept.get(&s.pool).is_some_and(|k: &Kept| k.backend == Some(Backend::Placeholders) && k.ready > 0)
        };
        let mut namespaces: BTreeSet<String> =
            standings.iter().filter(placeholders).map(|s| s.namespace.clone()).collect();
        namespaces.retain(|namespace| hands.cluster.stopped(namespace).is_none());
        if !namespaces.is_empty() {
            let fence = || namespaces.iter().try_for_each(|namespace| hands.may_write(namespace));
            match keeper.nudge(now, &namespaces, &fence).await {
                Ok(n) => *hands.nudges.lock().unwrap_or_else(PoisonError::into_inner) += n,
                Err(error) => tracing::warn!(%error, "stuck pods cannot be looked for"),
            }
        }
        *hands.kept.lock().unwrap_or_else(PoisonError::into_inner) = kept;
    }
}

/// Versions of CapacityBuffer there are. None: not known so far.
fn served(nodes: &Karpenter) -> Option<Vec<String>> {
    match nodes.buffers() {
        Capability::Served(versions) => Some(versions),
        Capability::Absent => Some(Vec::new()),
        Capability::Unknown => None,
    }
}

/// The slots of objects that stand, by pool and placement: the placement's key follows the pool in a name.
fn before(found: &[Ours]) -> Before {
    let mut slots = Before::new();
    for of in found.iter().filter(|of| of.ledger.emptied.is_none()) {
        let key = of.name.strip_prefix(&format!("forescale-{}-", of.pool)).and_then(|rest| rest.split('-').next());
        if let Some(key) = key {
            *slots.entry((of.pool.clone(), key.to_owned())).or_default() += of.ledger.slots;
        }
    }
    slots
}

/// Pools that are there and that nobody wants any more: everything of them goes.
fn left_over(standings: &[Standing], unknown: &BTreeSet<String>, found: Vec<Ours>) -> Vec<Standing> {
    let known = |namespace: &str, pool: &str| {
        unknown.contains(pool) || standings.iter().any(|s| s.pool == pool && s.namespace == namespace)
    };
    let gone: BTreeSet<(String, String)> =
        found.into_iter().map(|o| (o.namespace, o.pool)).filter(|(n, p)| !known(n, p)).collect();
    let gone = gone.into_iter().map(|(namespace, pool)| Standing {
        pool,
        namespace,
        sets: Vec::new(),
        reason: PoolReason::Settled,
        choice: crate::config::BackendChoice::Auto,
        nodes_settled: false,
    });
    gone.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actuate::pool::PoolLedger;

    fn of(pool: &str, name: &str, slots: u32, emptied: Option<Time>) -> Ours {
        let (reason, expires) = (PoolReason::Shortfall, Time::from_secs(0));
        let ledger = PoolLedger { slots, reason, expires, digest: String::new(), emptied };
        Ours { namespace: "forescale".into(), pool: pool.into(), name: name.into(), ledger }
    }

    #[test]
    fn a_pool_that_nobody_wants_goes_and_one_that_is_not_known_yet_stays() {
        let found = vec![of("gpu", "forescale-gpu-a1", 3, None), of("old", "forescale-old-b2", 2, None)];
        let gone = left_over(&[], &BTreeSet::from(["gpu".to_owned()]), found);
        assert_eq!(gone.iter().map(|s| s.pool.as_str()).collect::<Vec<_>>(), ["old"]);
    }

    #[test]
    fn what_stands_is_counted_by_pool_and_placement() {
        let found = [
            of("web", "forescale-web-a1b2c3-zone-a", 3, None),
            of("web", "forescale-web-a1b2c3-zone-b-g1", 2, None),
            of("web", "forescale-web-d4e5f6", 4, None),
            of("web-2", "forescale-web-2-d4e5f6", 7, None),
            of("web", "forescale-web-000000", 0, Some(Time::from_secs(0))),
        ];
        let place = |pool: &str, key: &str| (pool.to_owned(), key.to_owned());
        let expected = [(place("web", "a1b2c3"), 5), (place("web", "d4e5f6"), 4), (place("web-2", "d4e5f6"), 7)];
        assert_eq!(before(&found), Before::from(expected));
    }
}
