//! What the watches have seen, as plain values: only what matters of only the objects that matter.

use super::stop::Stop;
use super::views::{AutoscalerSight, SlotView, Unread, WorkloadSight};
use super::watched::{FAILURE_OVER, WatchState, Watched};
use crate::actuate::{Ledger, Target, TargetView};
use crate::clock::Deadline;
use crate::error::Problem;
use crate::plan::Observation;
use crate::plan::nodes::Placement;
use crate::plan::quota::QuotaView;
use crate::policy::{AutoscalerView, Workload, WorkloadKind, WorkloadView};
use crate::units::{MAX_REPLICAS, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;
use tokio::sync::Notify;

/// Kill switches that could not be watched for so long count as on: nobody knows what was set since.
const BLIND_MAX: Duration = Duration::from_secs(120);

/// What is scaled: namespace, kind and name.
type Scaled<'a> = (&'a str, WorkloadKind, &'a str);

/// Autoscalers by what they scale.
#[derive(Default)]
struct Scalers<'a> {
    known: BTreeMap<Scaled<'a>, Vec<&'a AutoscalerSight>>,
    /// HPAs that KEDA made.
    derived: BTreeMap<Scaled<'a>, &'a AutoscalerSight>,
    /// Those that cannot be read, by namespace.
    unread: BTreeMap<&'a str, Vec<&'a Unread>>,
}

/// An object in a namespace.
type Key = (String, String);

#[derive(Debug, Default)]
pub(super) struct Seen {
    workloads: BTreeMap<Workload, WorkloadSight>,
    autoscalers: BTreeMap<(Watched, Key), Result<AutoscalerSight, Box<Unread>>>,
    watches: BTreeMap<Watched, WatchState>,
    listing: BTreeMap<Watched, BTreeSet<Key>>,
    /// Kill switches that are on. A ConfigMap's key has its namespace, a namespace's has none.
    stops: BTreeMap<(Watched, Key), Stop>,
    /// Watches of kill switches that fail: the first failure in a row and the newest, by a clock that nobody sets.
    blind: BTreeMap<Watched, (Deadline, Deadline)>,
    quotas: BTreeMap<Key, QuotaView>,
}

/// The cluster as it is seen.
#[derive(Debug, Default)]
pub struct Cluster {
    seen: RwLock<Seen>,
    changed: Notify,
}

/// One workload with all that belongs to it, at one instant.
#[derive(Debug, Clone)]
pub struct Sight {
    /// What a policy is made from: bounds are the user's own.
    pub view: WorkloadView,
    /// Its uid.
    pub uid: String,
    /// What its pods ask of nodes.
    pub placement: Placement,
    /// What a slot of a warm pool needs to know of it.
    pub slot: Arc<SlotView>,
    /// Where a floor would be written, as it stands. Err: nowhere, and why.
    pub target: Result<TargetView, Problem>,
    /// For the plan.
    pub observation: Observation,
    /// The kill switch that is on for it.
    pub stopped: Option<Stop>,
}

impl Sight {
    /// Which workload.
    pub fn workload(&self) -> &Workload {
        &self.view.workload
    }

    /// True where a ledger of ours stands.
    pub fn carries_ours(&self) -> bool {
        self.target.as_ref().is_ok_and(|t| t.ledger.is_some())
    }
}

impl Cluster {
    /// How the watches are doing.
    pub fn watches(&self) -> BTreeMap<Watched, WatchState> {
        self.read().watches.clone()
    }

    /// True once these watches have listed everything.
    pub fn synced(&self, watched: &[Watched]) -> bool {
        let seen = self.read();
        watched.iter().all(|w| seen.watches.get(w).is_some_and(|s| s.synced))
    }

    /// The kill switch that is on for a namespace. As long as the switches are not known, or not any more, that is one too.
    pub fn stopped(&self, namespace: &str) -> Option<Stop> {
        self.read().stopped(namespace, Deadline::now())
    }

    /// For a fence: Err with the kill switch that is on for a namespace.
    pub fn unstopped(&self, namespace: &str) -> Result<(), String> {
        self.stopped(namespace).map_or(Ok(()), |stop| Err(format!("stopped by {stop}")))
    }

    /// Err, with the reason, as long as nothing may be written in a namespace: where floors are is not known, or a kill switch
    /// is on. A workload whose autoscaler has not been listed looks as if it had none.
    pub fn may_write(&self, namespace: &str) -> Result<(), String> {
        if let Some(unknown) = Watched::ALL.iter().find(|w| !self.synced(&[**w])) {
            return Err(format!("{} have not been listed yet", unknown.resource()));
        }
        self.unstopped(namespace)
    }

    /// ResourceQuotas of a namespace that are about pods which serve.
    pub fn quotas(&self, namespace: &str) -> Vec<QuotaView> {
        let seen = self.read();
        seen.quotas.iter().filter(|((of, _), _)| of == namespace).map(|(_, quota)| quota.clone()).collect()
    }

    /// Waits until something has changed.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Objects that could not be read.
    pub fn problems(&self) -> Vec<Problem> {
        self.read().autoscalers.values().filter_map(|a| a.as_ref().err().map(|u| u.problem.clone())).collect()
    }

    /// Ledgers that cannot be read, or whose autoscaler cannot; nothing of their objects may be touched.
    pub fn unreadable(&self) -> Vec<String> {
        let seen = self.read();
        let on_autoscalers = seen.autoscalers.iter().filter_map(|((watched, (namespace, name)), a)| match a {
            Ok(a) => Some(format!("{} {namespace}/{name}: {}", watched.resource(), a.ledger.as_ref().err()?)),
            Err(unread) => {
                unread.ours.then(|| format!("a floor of ours may stand on what cannot be read: {}", unread.problem))
            }
        });
        let on_workloads = seen.workloads.values().filter_map(|w| {
            let error = w.ledger.as_ref().err()?;
            Some(format!("{}: {error}", w.view.workload))
        });
        on_autoscalers.chain(on_workloads).collect()
    }

    /// Every workload that carries an annotation of ours, with its autoscalers.
    pub fn sights(&self, now: Time) -> Vec<Sight> {
        let seen = self.read();
        let (scalers, at) = (seen.scalers(), Deadline::now());
        let mut sights: Vec<Sight> = seen.workloads.values().map(|w| sight(&seen, &scalers, w, now)).collect();
        for sight in &mut sights {
            sight.stopped = seen.stopped(&sight.workload().namespace, at);
            sight.observation.stopped = sight.stopped.is_some();
        }
        sights
    }

    /// Every autoscaler with a ledger of ours, and the workload it scales; one that scales something else by now counts as a
    /// Deployment's, so that its floor is given back too. KEDA copies a ScaledObject's annotations to the HPA that it makes, our
    /// ledger among them: that copy is nobody's to act on.
    pub fn ledgers(&self) -> Vec<(Workload, Target, Ledger)> {
        let seen = self.read();
        let on_autoscalers = seen.autoscalers.iter().filter_map(|((_, (namespace, _)), a)| {
            let a = a.as_ref().ok().filter(|a| !a.derived)?;
            let ledger = a.ledger.as_ref().ok()?.clone()?;
            let kind = kind(&a.scales.0).unwrap_or(WorkloadKind::Deployment);
            let workload = Workload { namespace: namespace.clone(), name: a.scales.1.clone(), kind };
            Some((workload, a.target(), ledger))
        });
        let on_workloads = seen.workloads.values().filter_map(|w| {
            let ledger = w.ledger.as_ref().ok()?.clone()?;
            Some((w.view.workload.clone(), Target::Scale, ledger))
        });
        on_autoscalers.chain(on_workloads).collect()
    }

    pub(super) fn keep_workload(&self, watched: Watched, key: &Key, sight: Option<WorkloadSight>) {
        let mut seen = self.write();
        seen.listed(watched, key);
        let Some(kind) = watched.workload_kind() else { return };
        let workload = Workload { namespace: key.0.clone(), name: key.1.clone(), kind };
        match sight {
            Some(sight) if seen.workloads.get(&workload) == Some(&sight) => return,
            Some(sight) => drop(seen.workloads.insert(workload, sight)),
            // most workloads of a cluster are none of ours
            None if seen.workloads.remove(&workload).is_none() => return,
            None => {}
        }
        drop(seen);
        self.changed.notify_one();
    }

    pub(super) fn keep_autoscaler(
        &self,
        watched: Watched,
        key: &Key,
        sight: Option<Result<AutoscalerSight, Box<Unread>>>,
    ) {
        let mut seen = self.write();
        seen.listed(watched, key);
        let place = (watched, key.clone());
        match sight {
            // most of what changes of an HPA is its status, which says nothing here
            Some(sight) if seen.autoscalers.get(&place) == Some(&sight) => return,
            Some(sight) => drop(seen.autoscalers.insert(place, sight)),
            None => drop(seen.autoscalers.remove(&place)),
        }
        drop(seen);
        self.changed.notify_one();
    }

    pub(super) fn keep_stop(&self, watched: Watched, key: &Key, stop: Option<Stop>) {
        let mut seen = self.write();
        seen.listed(watched, key);
        let place = (watched, key.clone());
        if seen.stops.get(&place) == stop.as_ref() {
            return;
        }
        match stop {
            Some(stop) => drop(seen.stops.insert(place, stop)),
            None => drop(seen.stops.remove(&place)),
        }
        drop(seen);
        self.changed.notify_one();
    }

    pub(super) fn keep_quota(&self, key: &Key, quota: Option<QuotaView>) {
        let mut seen = self.write();
        seen.listed(Watched::Quotas, key);
        match quota {
            Some(quota) => drop(seen.quotas.insert(key.clone(), quota)),
            None => drop(seen.quotas.remove(key)),
        }
    }

    pub(super) fn begin(&self, watched: Watched) {
        self.write().listing.insert(watched, BTreeSet::new());
    }

    /// The list is complete: what was not in it is gone.
    pub(super) fn done(&self, watched: Watched) {
        let mut seen = self.write();
        let listed = seen.listing.remove(&watched).unwrap_or_default();
        if let Some(kind) = watched.workload_kind() {
            seen.workloads.retain(|w, _| w.kind != kind || listed.contains(&(w.namespace.clone(), w.name.clone())));
        } else {
            seen.autoscalers.retain(|(from, key), _| *from != watched || listed.contains(key));
            seen.stops.retain(|(from, key), _| *from != watched || listed.contains(key));
            seen.quotas.retain(|key, _| watched != Watched::Quotas || listed.contains(key));
        }
        seen.watches.insert(watched, WatchState { synced: true, failing: None });
        seen.blind.remove(&watched);
        drop(seen);
        self.changed.notify_one();
    }

    pub(super) fn healthy(&self, watched: Watched) {
        let mut seen = self.write();
        seen.watches.entry(watched).or_default().failing = None;
        seen.blind.remove(&watched);
    }

    pub(super) fn failing(&self, watched: Watched, now: Time, error: String) {
        let mut seen = self.write();
        seen.watches.entry(watched).or_default().fails(now, error);
        seen.fails(watched, Deadline::now());
    }

    fn read(&self) -> RwLockReadGuard<'_, Seen> {
        self.seen.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Seen> {
        self.seen.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn listed(&mut self, watched: Watched, key: &Key) {
        if let Some(listing) = self.listing.get_mut(&watched) {
            listing.insert(key.clone());
        }
    }

    /// Once for all workloads: each of them looking through all autoscalers would take their product.
    fn scalers(&self) -> Scalers<'_> {
        let mut scalers = Scalers::default();
        for ((_, (namespace, _)), a) in &self.autoscalers {
            let a = match a {
                Ok(a) => a,
                Err(unread) => {
                    scalers.unread.entry(namespace).or_default().push(unread);
                    continue;
                }
            };
            let Some(kind) = kind(&a.scales.0) else { continue };
            let scaled: Scaled = (namespace, kind, &a.scales.1);
            if a.derived {
                scalers.derived.insert(scaled, a);
            } else {
                scalers.known.entry(scaled).or_default().push(a);
            }
        }
        scalers
    }

    fn fails(&mut self, watched: Watched, at: Deadline) {
        if Watched::STOPS.contains(&watched) {
            let known = self.blind.get(&watched).filter(|(_, newest)| at < newest.later(FAILURE_OVER));
            let since = known.map_or(at, |(since, _)| *since);
            self.blind.insert(watched, (since, at));
        }
    }

    /// See [`Cluster::stopped`]; `at` is now.
    fn stopped(&self, namespace: &str, at: Deadline) -> Option<Stop> {
        let known = Watched::STOPS.iter().all(|w| self.watches.get(w).is_some_and(|s| s.synced));
        if !known {
            return Some(Stop { by: "the kill switch has not been read yet".into(), reason: String::new() });
        }
        let everywhere = self.stops.iter().find(|((watched, _), _)| *watched == Watched::StopMap);
        let here = || self.stops.get_key_value(&(Watched::Namespaces, (String::new(), namespace.to_owned())));
        everywhere.or_else(here).map(|(_, stop)| stop.clone()).or_else(|| self.blind(at))
    }

    /// A watch of kill switches has failed for too long.
    fn blind(&self, at: Deadline) -> Option<Stop> {
        let fails =
            |since: &Deadline, newest: &Deadline| since.later(BLIND_MAX) <= at && at < newest.later(FAILURE_OVER);
        let (watched, _) = self.blind.iter().find(|(_, (since, newest))| fails(since, newest))?;
        let error = self.watches.get(watched).and_then(|s| s.failing.as_ref()).map(|f| crate::error::shorten(&f.error));
        Some(Stop {
            by: format!("the kill switch cannot be read any more (watch of {}, for 2 minutes)", watched.resource()),
            reason: error.unwrap_or_default(),
        })
    }
}

fn kind(name: &str) -> Option<WorkloadKind> {
    match name {
        "Deployment" => Some(WorkloadKind::Deployment),
        "StatefulSet" => Some(WorkloadKind::StatefulSet),
        _ => None,
    }
}

fn sight(seen: &Seen, scalers: &Scalers<'_>, workload: &WorkloadSight, now: Time) -> Sight {
    let of = &workload.view.workload;
    let scaled: Scaled = (&of.namespace, of.kind, &of.name);
    let scaling = scalers.known.get(&scaled).cloned().unwrap_or_default();
    let mut view = workload.view.clone();
    view.autoscalers = scaling.iter().map(|a| a.of_the_user()).collect();
    let target = match unknown(scalers, scaled, scaling.is_empty()) {
        Some(problem) => Err(problem),
        None => target(workload, &scaling),
    };
    // quotas are for forewarning alone: without them no decision is any older
    let decides = seen.watches.iter().filter(|(watched, _)| **watched != Watched::Quotas);
    let since = decides.filter_map(|(_, w)| w.failing_since(now)).min();
    let observation = Observation {
        at: since.unwrap_or(now),
        replicas: view.replicas,
        ready: workload.ready,
        autoscaled: !scaling.is_empty(),
        floor: target.as_ref().ok().and_then(TargetView::our_floor),
        rollout: workload.rollout,
        blocked: workload.blocked.clone(),
        stopped: false,
        unhealthy: false,
        room: None,
    };
    let placement = workload.placement.clone();
    Sight {
        view,
        uid: workload.uid.clone(),
        placement,
        slot: workload.slot.clone(),
        target,
        observation,
        stopped: None,
    }
}

/// Why it is not known what scales a workload: an autoscaler that cannot be read, or an HPA that KEDA made for a
/// ScaledObject that has not been seen. `alone`: no autoscaler of it is known.
fn unknown(scalers: &Scalers<'_>, scaled: Scaled<'_>, alone: bool) -> Option<Problem> {
    let (namespace, of, name) = scaled;
    let is = |(k, n): &(String, String)| n == name && kind(k) == Some(of);
    let unread = scalers.unread.get(namespace).into_iter().flatten();
    let unread = unread.filter(|u| u.scales.as_ref().map_or(alone, is)).map(|u| u.problem.to_string()).next();
    let derived = || scalers.derived.get(&scaled).filter(|_| alone);
    let found = unread.or_else(|| derived().map(|a| format!("{:?} of a ScaledObject not seen yet", a.target())))?;
    Some(Problem::new(format!("{of:?} {namespace}/{name}"), "to know what scales it", found))
}

/// Where the floor of a workload is written: its one autoscaler, or itself.
fn target(workload: &WorkloadSight, scaling: &[&AutoscalerSight]) -> Result<TargetView, Problem> {
    let place = format!("{:?} {}", workload.view.workload.kind, workload.view.workload);
    let unreadable = |e: &crate::actuate::LedgerError| Problem::new(&place, "a ledger of ours", e.to_string());
    let (target, floor, max_replicas, ledger) = match scaling {
        [] => (Target::Scale, None, MAX_REPLICAS, &workload.ledger),
        [one] => {
            if let AutoscalerView::ScaledObject(so) = &one.view
                && so.paused
            {
                return Err(Problem::new(&place, format!("ScaledObject {} to be active", so.name), "it is paused"));
            }
            (one.target(), one.floor(), one.max_replicas(), &one.ledger)
        }
        several => {
            let names: Vec<String> = several.iter().map(|a| format!("{:?}", a.target())).collect();
            return Err(Problem::new(&place, "one autoscaler", names.join(", ")).help("keep one of them"));
        }
    };
    let ledger = ledger.as_ref().map_err(unreadable)?.clone();
    Ok(TargetView { target, floor, max_replicas, replicas: workload.view.replicas, ledger })
}

#[cfg(test)]
mod tests;
