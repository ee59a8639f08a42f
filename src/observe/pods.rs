//! Pods and nodes as they come and go → lead times, the pace of pod creation, and which replicas are broken.
//!
//! A few hundred bytes are kept of each pod of a Deployment or StatefulSet. Learning from them is a side product: where
//! these watches fail, plans are made for the lead time of the config.

use super::starts::{NodeMarks, PodStart, start};
use crate::demand::{LeadTimes, Start};
use crate::policy::Workload;
use crate::units::{Replicas, Time};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::ResourceExt;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Pods that are followed at most.
const PODS_MAX: usize = 200_000;
/// A start that takes longer is broken, not slow; or its stamps are not those of the first start.
const START_MAX: Duration = Duration::from_secs(3600);
/// A pod that was created so long after a raise of ours was created for it.
const CAUSED: Duration = Duration::from_secs(60);
/// Raises of one workload that are remembered.
const RAISES_MAX: usize = 8;
/// Pods of one workload created for one raise that tell the pace of creation.
const BURST: usize = 40;
/// Bursts remembered.
const BURSTS_MAX: usize = 8;
/// More than one of so many replicas broken: the workload is.
const BROKEN: usize = 5;
/// A pod that is created so long after the one before belongs to no burst of it.
const BURST_PAUSE: Duration = Duration::from_secs(10);
/// A burst is over after this time.
const BURST_OVER: Duration = Duration::from_secs(120);

/// Workloads whose lead times are remembered though they have no pods, about.
const GONE_MAX: usize = 10_000;

#[derive(Debug, Clone)]
struct Followed {
    uid: String,
    version: String,
    /// None: restarted or over, so that its stamps tell nothing.
    start: Option<Start>,
    learned: bool,
    created: Option<Time>,
    life: Life,
}

impl Followed {
    /// Its start, which by now took at least so long; nobody waits any more for one that is leaving.
    fn waited(&self, now: Time) -> Option<Start> {
        let start = self.start.clone()?;
        Some(Start { seen: if self.life == Life::Leaving { start.seen } else { now }, ..start })
    }
}

/// Whether a pod does what it is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// It has not been Ready and did not restart.
    Starting,
    /// It is Ready.
    Serving,
    /// It restarts, or it was Ready and is not any more.
    Broken,
    /// It is about to be deleted.
    Leaving,
    /// It has succeeded or failed, as what was evicted has: nothing runs any more.
    Over,
}

impl Life {
    fn of(pod: &Pod, ready: bool, before: Option<Life>) -> Life {
        let status = pod.status.as_ref();
        let over = matches!(status.and_then(|s| s.phase.as_deref()), Some("Succeeded" | "Failed"));
        let containers = status.and_then(|s| s.container_statuses.as_deref()).unwrap_or_default();
        match before {
            _ if over => Life::Over,
            _ if pod.metadata.deletion_timestamp.is_some() => Life::Leaving,
            _ if ready => Life::Serving,
            Some(Life::Serving | Life::Broken) => Life::Broken,
            _ if containers.iter().any(|c| c.restart_count > 0) => Life::Broken,
            _ => Life::Starting,
        }
    }
}

#[derive(Debug, Default)]
struct Inner {
    /// By workload and pod name.
    pods: BTreeMap<Workload, BTreeMap<String, Followed>>,
    followed: usize,
    nodes: BTreeMap<String, NodeMarks>,
    raises: BTreeMap<Workload, VecDeque<Time>>,
    times: BTreeMap<Workload, LeadTimes>,
    bursts: VecDeque<f64>,
    /// Namespaces and names of the pods, and names of the nodes, of a list that is not complete.
    listing: Option<BTreeSet<(String, String)>>,
    listing_nodes: Option<BTreeSet<String>>,
}

/// What is known of pods and nodes.
#[derive(Debug, Default)]
pub struct Pods(Mutex<Inner>);

impl Pods {
    /// A floor of ours rose: pods that are created soon are created for it.
    pub fn raised(&self, workload: &Workload, at: Time) {
        let mut inner = self.lock();
        let raises = inner.raises.entry(workload.clone()).or_default();
        raises.push_back(at);
        let excess = raises.len().saturating_sub(RAISES_MAX);
        raises.drain(..excess);
    }

    /// The lead times of a workload; starts under way count as "at least so long". Empty where none was seen.
    pub fn lead_times(&self, workload: &Workload, now: Time) -> LeadTimes {
        let inner = self.lock();
        let mut times = inner.times.get(workload).cloned().unwrap_or_default();
        inner.under_way(workload, now).for_each(|start| times.learn(&start));
        times
    }

    /// The lead times of these workloads together.
    pub fn all_lead_times<'a>(&self, workloads: impl IntoIterator<Item = &'a Workload>, now: Time) -> LeadTimes {
        let inner = self.lock();
        let wanted: BTreeSet<&Workload> = workloads.into_iter().collect();
        let mut times = LeadTimes::default();
        for of in wanted {
            inner.times.get(of).into_iter().for_each(|t| times.absorb(t));
            inner.under_way(of, now).for_each(|start| times.learn(&start));
        }
        times
    }

    /// Pods that the control plane creates in a second, at the least of the last bursts. None: no burst was large enough.
    pub fn pods_per_second(&self) -> Option<f64> {
        self.lock().bursts.iter().copied().reduce(f64::min)
    }

    /// Pods of a workload that are not over by the hash of their template, the one with the newest pod first.
    pub fn versions(&self, workload: &Workload) -> Vec<(String, Replicas)> {
        let mut versions = BTreeMap::<String, (Option<Time>, Replicas)>::new();
        for pod in self.lock().of(workload).filter(|p| p.life != Life::Over) {
            let (newest, count) = versions.entry(pod.version.clone()).or_default();
            *newest = pod.created.max(*newest);
            *count += 1;
        }
        let mut versions: Vec<_> = versions.into_iter().collect();
        versions.sort_by_key(|(_, (newest, _))| std::cmp::Reverse(*newest));
        versions.into_iter().map(|(version, (_, count))| (version, count)).collect()
    }

    /// More than a fifth of the replicas of a workload restart, or have been Ready and are not any more.
    pub fn unhealthy(&self, workload: &Workload) -> bool {
        let inner = self.lock();
        let lives: Vec<Life> =
            inner.of(workload).map(|p| p.life).filter(|l| !matches!(l, Life::Leaving | Life::Over)).collect();
        lives.iter().filter(|l| **l == Life::Broken).count() * BROKEN > lives.len()
    }

    /// When the newest pod of a workload was created. None: it has no pods.
    pub fn newest(&self, workload: &Workload) -> Option<Time> {
        self.lock().of(workload).filter_map(|p| p.created).max()
    }

    /// Once a minute: what raises are over tell the pace of creation.
    pub fn count_bursts(&self, now: Time) {
        let mut inner = self.lock();
        let mut over = Vec::new();
        for (workload, raises) in &mut inner.raises {
            while let Some(at) = raises.front().filter(|at| **at + BURST_OVER <= now) {
                over.push((workload.clone(), *at));
                raises.pop_front();
            }
        }
        inner.raises.retain(|_, raises| !raises.is_empty());
        let Inner { times, pods, .. } = &mut *inner;
        if times.len() > pods.len() + GONE_MAX {
            times.retain(|workload, _| pods.contains_key(workload));
        }
        for (workload, at) in over {
            let starts = inner.of(&workload).filter_map(|p| p.start.as_ref());
            let mut burst: Vec<Time> = starts.map(|s| s.created).filter(|t| *t >= at && *t < at + BURST_OVER).collect();
            burst.sort_unstable();
            // what comes after a pause was not waited for
            let pause = burst.windows(2).position(|w| matches!(w, [a, b] if b.since(*a) > BURST_PAUSE));
            burst.truncate(pause.map_or(burst.len(), |last| last + 1));
            let (Some(first), Some(last)) = (burst.first(), burst.last()) else { continue };
            if burst.len() >= BURST {
                // stamps have whole seconds
                let rate = burst.len() as f64 / (last.since(*first).as_secs_f64() + 1.0);
                inner.bursts.push_back(rate);
                let excess = inner.bursts.len().saturating_sub(BURSTS_MAX);
                inner.bursts.drain(..excess);
            }
        }
    }

    pub(super) fn keep_node(&self, node: &Node) {
        let mut inner = self.lock();
        if let Some(listing) = &mut inner.listing_nodes {
            listing.insert(node.name_any());
        }
        inner.nodes.insert(node.name_any(), NodeMarks::of(node));
    }

    pub(super) fn drop_node(&self, node: &Node) {
        self.lock().nodes.remove(&node.name_any());
    }

    /// A pod as it is now.
    pub(super) fn keep(&self, pod: &Pod, now: Time) {
        let Some(workload) = super::starts::workload(pod) else { return };
        let mut inner = self.lock();
        let pod_name = pod.name_any();
        if let Some(listing) = &mut inner.listing {
            listing.insert((workload.namespace.clone(), pod_name.clone()));
        }
        let uid = pod.uid().unwrap_or_default();
        let before = inner.pods.get(&workload).and_then(|pods| pods.get(&pod_name)).cloned();
        let before = match before {
            Some(before) if before.uid == uid => Some(before),
            Some(_) => {
                inner.give_up(&workload, &pod_name, now);
                None
            }
            None if inner.followed >= PODS_MAX => return,
            None => None,
        };
        let mut learned = before.as_ref().is_some_and(|b| b.learned);
        let mut found = start(pod, &inner.nodes, now).map(|PodStart { start, .. }| start);
        if let Some(before) = before.as_ref().filter(|b| !b.learned && pod.metadata.deletion_timestamp.is_some()) {
            found = before.waited(now);
        }
        if let Some(start) = &mut found {
            let caused =
                |at: &&Time| **at <= start.created + Duration::from_secs(1) && start.created.since(**at) <= CAUSED;
            start.decided = inner.raises.get(&workload).and_then(|r| r.iter().rev().find(caused)).copied();
            // the first time it was Ready counts, not the newest
            if let Some(before) = before.as_ref().and_then(|b| b.start.as_ref()) {
                start.decided = before.decided.or(start.decided);
                start.ready = before.ready.or(start.ready);
            }
            if start.ready.is_some() && !learned {
                learned = true;
                if start.lead().duration <= START_MAX {
                    inner.times.entry(workload.clone()).or_default().learn(start);
                }
            }
        }
        let ready = pod.status.as_ref().and_then(|s| s.conditions.as_deref()).unwrap_or_default();
        let ready = ready.iter().any(|c| c.type_ == "Ready" && c.status == "True");
        let version = pod.labels().get("pod-template-hash").or_else(|| pod.labels().get("controller-revision-hash"));
        let followed = Followed {
            uid,
            version: version.cloned().unwrap_or_default(),
            start: found,
            learned,
            created: pod.metadata.creation_timestamp.as_ref().map(super::starts::time),
            life: Life::of(pod, ready, before.map(|b| b.life)),
        };
        if inner.pods.entry(workload).or_default().insert(pod_name, followed).is_none() {
            inner.followed += 1;
        }
    }

    /// A pod that is gone: one that was never Ready took at least so long.
    pub(super) fn drop_pod(&self, pod: &Pod, now: Time) {
        if let Some(of) = super::starts::workload(pod) {
            self.lock().give_up(&of, &pod.name_any(), now);
        }
    }

    pub(super) fn begin(&self) {
        self.lock().listing = Some(BTreeSet::new());
    }

    pub(super) fn done(&self) {
        let mut inner = self.lock();
        if let Some(listed) = inner.listing.take() {
            for (of, pods) in &mut inner.pods {
                pods.retain(|name, _| listed.contains(&(of.namespace.clone(), name.clone())));
            }
            inner.pods.retain(|_, pods| !pods.is_empty());
            inner.followed = inner.pods.values().map(BTreeMap::len).sum();
        }
    }

    pub(super) fn begin_nodes(&self) {
        self.lock().listing_nodes = Some(BTreeSet::new());
    }

    pub(super) fn done_nodes(&self) {
        let mut inner = self.lock();
        if let Some(listed) = inner.listing_nodes.take() {
            inner.nodes.retain(|name, _| listed.contains(name));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn of(&self, workload: &Workload) -> impl Iterator<Item = &Followed> {
        self.pods.get(workload).into_iter().flat_map(BTreeMap::values)
    }

    fn give_up(&mut self, workload: &Workload, pod: &str, now: Time) {
        let Some(pods) = self.pods.get_mut(workload) else { return };
        let Some(pod) = pods.remove(pod) else { return };
        if pods.is_empty() {
            self.pods.remove(workload);
        }
        self.followed = self.followed.saturating_sub(1);
        if let Some(start) = pod.waited(now).filter(|s| !pod.learned && s.lead().duration <= START_MAX) {
            self.times.entry(workload.clone()).or_default().learn(&start);
        }
    }

    /// Starts that have not ended, and not yet taken so long that they never will.
    fn under_way(&self, workload: &Workload, now: Time) -> impl Iterator<Item = Start> {
        let waiting =
            self.of(workload).filter(|p| !p.learned && p.life != Life::Leaving).filter_map(|p| p.start.clone());
        waiting.map(move |start| Start { seen: now, ..start }).filter(|s| s.lead().duration <= START_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demand::StartPath;
    use crate::policy::WorkloadKind;
    use serde_json::json;

    fn at(secs: i64) -> Time {
        Time::from_secs(1_767_600_000 + secs)
    }

    fn pod(name: &str, hash: &str, created: i64, ready: Option<i64>, restarts: u32) -> Pod {
        let mut conditions =
            vec![json!({"type": "PodScheduled", "status": "True", "lastTransitionTime": at(created + 1).to_string()})];
        if let Some(ready) = ready {
            conditions.push(json!({"type": "Ready", "status": "True", "lastTransitionTime": at(ready).to_string()}));
        }
        serde_json::from_value(json!({
            "metadata": {
                "name": name, "namespace": "shop", "uid": name, "creationTimestamp": at(created).to_string(),
                "labels": {"pod-template-hash": hash},
                "ownerReferences":
                    [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("web-{hash}"), "uid": "1", "controller": true}],
            },
            "spec": {"containers": [], "nodeName": "n"},
            "status": {"phase": "Running", "conditions": conditions,
                "containerStatuses": [{"name": "a", "image": "a", "imageID": "", "ready": true, "restartCount": restarts}]},
        }))
        .unwrap()
    }

    fn web() -> Workload {
        Workload { namespace: "shop".into(), name: "web".into(), kind: WorkloadKind::Deployment }
    }

    fn node(pods: &Pods) {
        let node = json!({"metadata": {"name": "n", "creationTimestamp": at(-5000).to_string()}});
        pods.keep_node(&serde_json::from_value(node).unwrap());
    }

    #[test]
    fn a_pod_teaches_once_from_our_decision_to_its_first_ready() {
        let pods = Pods::default();
        node(&pods);
        pods.raised(&web(), at(-3));
        pods.keep(&pod("a", "1", 0, None, 0), at(5));
        let lead = |now| pods.lead_times(&web(), at(now)).lead(StartPath::WarmNode, 0.5, Duration::ZERO);
        let under_way = lead(6).unwrap();
        assert_eq!((under_way.value.as_secs(), under_way.censored), (9, 1), "at least so long");
        pods.keep(&pod("a", "1", 0, Some(7), 0), at(8));
        pods.keep(&pod("a", "1", 0, Some(50), 0), at(60));
        let ended = lead(100).unwrap();
        assert_eq!((ended.value.as_secs(), ended.ended, ended.censored), (10, 1, 0), "7 + 3; once; no later Ready");
        let both = pods.all_lead_times([&web()], at(100));
        assert_eq!(both.lines(), pods.lead_times(&web(), at(100)).lines());
    }

    #[test]
    fn what_is_broken_or_cannot_be_told_teaches_nothing() {
        let pods = Pods::default();
        node(&pods);
        pods.keep(&pod("loops", "1", 0, Some(9), 3), at(10));
        pods.keep(&pod("flapped", "1", 0, Some(90_000), 0), at(90_001));
        pods.keep(&pod("stuck", "1", 0, None, 0), at(90_001));
        assert!(pods.lead_times(&web(), at(90_002)).is_empty());
        pods.keep(&pod("b", "1", 90_000, None, 0), at(90_001));
        pods.drop_pod(&pod("b", "1", 90_000, None, 0), at(90_700));
        let given_up = |now| pods.lead_times(&web(), at(now)).lead(StartPath::WarmNode, 0.5, Duration::ZERO).unwrap();
        assert_eq!((given_up(90_800).value.as_secs(), given_up(90_800).censored), (700, 1), "waited for in vain");
        // being deleted takes its time, which nobody waits for
        let mut leaves = pod("c", "1", 91_000, None, 0);
        pods.keep(&leaves, at(91_001));
        leaves.metadata.deletion_timestamp = leaves.metadata.creation_timestamp.clone();
        pods.keep(&leaves, at(91_900));
        pods.keep(&leaves, at(91_930));
        pods.drop_pod(&leaves, at(91_931));
        assert_eq!((given_up(92_000).value.as_secs(), given_up(92_000).censored), (900, 2));
    }

    #[test]
    fn crash_loops_and_lost_readiness_of_a_fifth_are_unhealthy_and_starts_are_not() {
        let pods = Pods::default();
        let keep = |name: &str, ready: bool, restarts| {
            pods.keep(&pod(name, "1", 0, ready.then_some(10), restarts), at(11));
        };
        (0..5).for_each(|i| keep(&format!("p{i}"), true, 0));
        (5..9).for_each(|i| keep(&format!("p{i}"), false, 0));
        assert!(!pods.unhealthy(&web()), "four of nine start");
        keep("p0", false, 0);
        assert!(!pods.unhealthy(&web()), "one of nine was Ready and is not");
        keep("p5", false, 2);
        assert!(pods.unhealthy(&web()), "and one restarts: two of nine");
        keep("p5", true, 2);
        assert!(!pods.unhealthy(&web()), "what is Ready again serves again");
        let mut leaves = pod("p1", "1", 0, None, 0);
        leaves.metadata.deletion_timestamp = leaves.metadata.creation_timestamp.clone();
        pods.keep(&leaves, at(12));
        assert!(!pods.unhealthy(&web()), "what is scaled in is no failure");
    }

    #[test]
    fn a_burst_of_pods_tells_the_pace_of_creation() {
        let pods = Pods::default();
        pods.raised(&web(), at(0));
        (0..100).for_each(|i| pods.keep(&pod(&format!("p{i}"), "1", i / 10, None, 0), at(20)));
        pods.count_bursts(at(119));
        assert_eq!(pods.pods_per_second(), None, "it may go on");
        pods.count_bursts(at(120));
        assert_eq!(pods.pods_per_second(), Some(10.0));
        // one more, long after
        pods.raised(&web(), at(200));
        (0..50).for_each(|i| pods.keep(&pod(&format!("q{i}"), "1", 200 + i / 25, None, 0), at(210)));
        pods.keep(&pod("late", "1", 300, None, 0), at(301));
        pods.count_bursts(at(320));
        assert_eq!(pods.pods_per_second(), Some(10.0), "25, not 0.5");
    }

    #[test]
    fn a_new_list_forgets_what_is_gone() {
        let pods = Pods::default();
        pods.keep(&pod("a", "1", 0, Some(10), 0), at(11));
        pods.begin();
        pods.keep(&pod("b", "1", 0, Some(10), 0), at(11));
        pods.done();
        assert_eq!(pods.versions(&web()), [("1".to_owned(), 1)]);
    }

    #[test]
    fn namesakes_of_two_kinds_are_told_apart_and_nodes_that_are_gone_forgotten() {
        let pods = Pods::default();
        node(&pods);
        pods.keep(&pod("a", "1", 0, Some(7), 0), at(8));
        let set = Workload { kind: WorkloadKind::StatefulSet, ..web() };
        assert!(pods.lead_times(&set, at(9)).is_empty() && !pods.lead_times(&web(), at(9)).is_empty());
        pods.drop_pod(&pod("a", "1", 0, Some(7), 0), at(10));
        assert!(pods.lock().pods.is_empty());
        pods.begin_nodes();
        pods.done_nodes();
        assert!(pods.lock().nodes.is_empty());
    }

    #[test]
    fn the_version_with_the_newest_pod_comes_first_and_what_is_over_does_not_run() {
        let pods = Pods::default();
        pods.keep(&pod("old", "z", 0, Some(10), 0), at(11));
        pods.keep(&pod("new", "m", 50, None, 0), at(51));
        let mut evicted = pod("evicted", "a", 20, None, 0);
        evicted.status.as_mut().unwrap().phase = Some("Failed".into());
        pods.keep(&evicted, at(60));
        assert_eq!(pods.versions(&web()), [("m".to_owned(), 1), ("z".to_owned(), 1)]);
    }
}
