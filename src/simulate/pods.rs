//! A Deployment with its pods: created at once, ready after a start delay drawn from the seed.

use crate::rng;
use crate::units::{Replicas, Time};
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a pod takes from its creation to Ready: log-normal through two quantiles, never beyond `longest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartDelay {
    /// Half of the pods are Ready within this.
    #[serde(with = "crate::units::duration")]
    pub p50: Duration,
    /// 95 % of the pods are Ready within this.
    #[serde(with = "crate::units::duration")]
    pub p95: Duration,
    /// All of them are.
    #[serde(with = "crate::units::duration")]
    pub longest: Duration,
}

/// The 95 % quantile of the standard normal distribution.
const Z95: f64 = 1.644_853_6;

impl StartDelay {
    /// There at once.
    pub const NONE: StartDelay = StartDelay { p50: Duration::ZERO, p95: Duration::ZERO, longest: Duration::ZERO };

    /// The delay of the `n`-th pod of a seed: the same pod starts equally fast in every simulated cluster.
    pub fn of_pod(&self, seed: u64, n: u64) -> Duration {
        let mut draw = rng::stream(seed, &format!("start-delay/{n}"));
        // Box-Muller; 1 - u keeps the logarithm finite
        let (u, v): (f64, f64) = (draw.random(), draw.random());
        let z = (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos();
        let (p50, p95) = (self.p50.as_secs_f64(), self.p95.as_secs_f64());
        let sigma = if p95 > p50 && p50 > 0.0 { (p95 / p50).ln() / Z95 } else { 0.0 };
        let seconds = (p50 * (sigma * z).exp()).min(self.longest.as_secs_f64());
        Duration::from_millis((seconds * 1000.0) as u64)
    }
}

/// One pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pod {
    /// From its place on a node to Ready.
    delay: Duration,
    /// None: Pending, no node has room for it.
    ready_at: Option<Time>,
}

impl Pod {
    fn serves(&self, now: Time) -> bool {
        self.ready_at.is_some_and(|t| t <= now)
    }
}

/// A Deployment and its ReplicaSet.
#[derive(Debug, Clone)]
pub struct Deployment {
    replicas: Replicas,
    pods: Vec<Pod>,
    created: u64,
    start: StartDelay,
    seed: u64,
    quota: Option<Replicas>,
    room: Option<Replicas>,
    slowdown: f64,
}

impl Deployment {
    /// One whose `replicas` pods are all Ready at `now`.
    pub fn ready_with(now: Time, replicas: Replicas, start: StartDelay, seed: u64) -> Deployment {
        Deployment {
            replicas,
            pods: vec![Pod { delay: Duration::ZERO, ready_at: Some(now) }; replicas as usize],
            created: 0,
            start,
            seed,
            quota: None,
            room: None,
            slowdown: 1.0,
        }
    }

    /// Sets `spec.replicas`; pods follow at the next [`Deployment::reconcile`].
    pub fn scale(&mut self, replicas: Replicas) {
        self.replicas = replicas;
    }

    /// Pods that admission lets exist; None: no quota.
    pub fn set_quota(&mut self, quota: Option<Replicas>) {
        self.quota = quota;
    }

    /// Pods for which the nodes have room; None: there is always room.
    pub fn set_room(&mut self, room: Option<Replicas>) {
        self.room = room;
    }

    /// From now on pods start this many times slower than drawn.
    pub fn set_slowdown(&mut self, factor: f64) {
        self.slowdown = factor;
    }

    /// Every pod is replaced: `share` of the ready ones start again now (a rollout, or a node lost).
    pub fn restart(&mut self, now: Time, share: f64) {
        let n = (self.pods.len() as f64 * share) as usize;
        self.pods.drain(..n);
        self.reconcile(now);
    }

    /// Pods that are not ready yet are made anew: what kept them from starting is over.
    pub fn restart_starting(&mut self, now: Time) {
        self.pods.retain(|p| p.serves(now));
        self.reconcile(now);
    }

    /// Creates and deletes pods until there are as many as asked for. Pods that are not ready go first, then the
    /// youngest, as in the ReplicaSet controller.
    pub fn reconcile(&mut self, now: Time) {
        while self.pods.len() < self.allowed() as usize {
            let delay = self.start.of_pod(self.seed, self.created).mul_f64(self.slowdown);
            self.pods.push(Pod { delay, ready_at: None });
            self.created += 1;
        }
        let keep = self.replicas as usize;
        if self.pods.len() > keep {
            self.pods.sort_by_key(|p| (p.ready_at.is_none(), !p.serves(now), p.ready_at));
            self.pods.truncate(keep);
        }
        let placed = self.pods.iter().filter(|p| p.ready_at.is_some()).count();
        let room = self.room.map_or(usize::MAX, |room| (room as usize).saturating_sub(placed));
        for pod in self.pods.iter_mut().filter(|p| p.ready_at.is_none()).take(room) {
            pod.ready_at = Some(now + pod.delay);
        }
    }

    /// Pods that are asked for and may exist.
    pub fn allowed(&self) -> Replicas {
        self.quota.map_or(self.replicas, |q| q.min(self.replicas))
    }

    /// `spec.replicas`.
    pub fn replicas(&self) -> Replicas {
        self.replicas
    }

    /// Pods that exist, ready or starting: those are paid for.
    pub fn pods(&self) -> Replicas {
        self.pods.len() as Replicas
    }

    /// Pods that serve.
    pub fn ready(&self, now: Time) -> Replicas {
        self.pods.iter().filter(|p| p.serves(now)).count() as Replicas
    }

    /// Why pods that are asked for do not exist, in the API's words.
    pub fn blocked(&self) -> Option<String> {
        let quota = self.quota.filter(|q| *q < self.replicas)?;
        Some(format!("exceeded quota: pods, used: {}, limited: {quota}", self.pods.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: StartDelay =
        StartDelay { p50: Duration::from_secs(60), p95: Duration::from_secs(120), longest: Duration::from_secs(180) };

    fn at(s: i64) -> Time {
        Time::from_secs(s)
    }

    #[test]
    fn delays_follow_their_quantiles_and_their_seed() {
        let mut delays: Vec<_> = (0..2000).map(|n| START.of_pod(7, n)).collect();
        assert_eq!(delays[5], START.of_pod(7, 5));
        assert_ne!(delays[5], START.of_pod(8, 5));
        delays.sort();
        let near = |d: Duration, s: f64| (d.as_secs_f64() / s - 1.0).abs() < 0.08;
        assert!(near(delays[1000], 60.0), "{:?}", delays[1000]);
        assert!(near(delays[1900], 120.0), "{:?}", delays[1900]);
        assert!(delays[1999] <= START.longest);
    }

    #[test]
    fn pods_start_late_and_go_at_once_the_starting_ones_first() {
        let mut d = Deployment::ready_with(at(0), 2, START, 1);
        d.scale(6);
        assert_eq!((d.replicas(), d.pods()), (6, 2));
        d.reconcile(at(0));
        assert_eq!((d.pods(), d.ready(at(0)), d.ready(at(180))), (6, 2, 6));
        d.scale(2);
        d.reconcile(at(1));
        assert_eq!((d.pods(), d.ready(at(1))), (2, 2));
    }

    #[test]
    fn a_quota_stops_pods_and_says_so() {
        let mut d = Deployment::ready_with(at(0), 2, START, 1);
        d.set_quota(Some(3));
        d.scale(6);
        d.reconcile(at(0));
        assert_eq!(d.pods(), 3);
        assert_eq!(d.blocked().unwrap(), "exceeded quota: pods, used: 3, limited: 3");
    }
}
