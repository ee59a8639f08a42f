//! One simulated cluster with one workload, stepped every [`hpa::SYNC`].

use super::books::{Books, Row};
use super::hpa::{self, Behaviour, Hpa, PodMetric, Target, Tolerance};
use super::nodes::{NodeSpec, Nodes};
use super::objects::HpaObject;
use super::pods::{Deployment, StartDelay};
use crate::units::{Replicas, Time};
use serde::{Deserialize, Serialize};

/// A workload and the HPA that its user gave it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadSpec {
    /// Load units that one ready replica serves.
    pub capacity_per_replica: f64,
    /// The user's `minReplicas`.
    pub min_replicas: Replicas,
    /// The user's `maxReplicas`.
    pub max_replicas: Replicas,
    /// Creation to Ready.
    pub start_delay: StartDelay,
}

/// A cluster: a Deployment, an HPA on load per pod, and the books.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// The workload.
    pub deployment: Deployment,
    /// The HPA's object.
    pub hpa: HpaObject,
    /// The nodes that the pods need room on. None: there is always room.
    pub nodes: Option<Nodes>,
    spec: WorkloadSpec,
    /// What a replica truly serves, as a multiple of what it is said to.
    strength: f64,
    target: Option<f64>,
    /// The HPA's metric is a total from outside, as KEDA gives it, not one of the pods.
    external: bool,
    controller: Hpa,
    books: Books,
    now: Time,
}

impl Cluster {
    /// A cluster at `now` whose `ready` pods serve. `target`: load units per pod that the HPA aims at; None: there is
    /// no HPA, and whoever drives the cluster sets `spec.replicas` himself.
    pub fn new(now: Time, spec: WorkloadSpec, target: Option<f64>, ready: Replicas, seed: u64) -> Cluster {
        Cluster {
            deployment: Deployment::ready_with(now, ready, spec.start_delay, seed),
            hpa: HpaObject::new(Some(spec.min_replicas), spec.max_replicas, target.is_some()),
            nodes: None,
            spec,
            strength: 1.0,
            target,
            external: false,
            controller: Hpa::new(Behaviour::published()),
            books: Books::default(),
            now,
        }
    }

    /// From now on its pods need room on nodes; those that run have it.
    pub fn put_on_nodes(&mut self, spec: NodeSpec, seed: u64) {
        self.nodes = Some(Nodes::holding(self.now, spec, self.deployment.pods(), seed));
    }

    /// The instant up to which everything has happened.
    pub fn now(&self) -> Time {
        self.now
    }

    /// The sums so far.
    pub fn books(&self) -> &Books {
        &self.books
    }

    /// The workload's facts.
    pub fn spec(&self) -> &WorkloadSpec {
        &self.spec
    }

    /// True when an HPA scales the workload.
    pub fn autoscaled(&self) -> bool {
        self.target.is_some()
    }

    /// The HPA's metric is a total from outside, as KEDA gives it.
    pub fn set_external(&mut self, external: bool) {
        self.external = external;
    }

    /// The HPA's controller starts again without memory.
    pub fn restart_controller(&mut self) {
        self.controller = Hpa::new(Behaviour::published());
    }

    /// From now on a replica serves this multiple of what the spec says: a deploy that changed it.
    pub fn set_strength(&mut self, strength: f64) {
        self.strength = strength;
    }

    /// One step under `load`: pods serve what they can, then the HPA looks at the load of this very step (the most
    /// recent value a real metrics pipeline could have). `metrics`: false when the HPA's own metrics API is down.
    pub fn step(&mut self, load: f64, metrics: bool) -> Row {
        self.step_reading(load, metrics.then_some(load))
    }

    /// The same where the HPA's metric says something else than the load. None: it says nothing.
    pub fn step_reading(&mut self, load: f64, reading: Option<f64>) -> Row {
        if let Some(nodes) = &mut self.nodes {
            let room = nodes.reconcile(self.now, self.deployment.allowed());
            self.deployment.set_room(Some(room));
        }
        self.deployment.reconcile(self.now);
        let ready = self.deployment.ready(self.now);
        let capacity = f64::from(ready) * self.spec.capacity_per_replica * self.strength;
        // float noise is no shortage
        let short = load - capacity;
        let row = Row {
            at: self.now,
            load,
            unserved: if short > 1e-9 * self.spec.capacity_per_replica { short } else { 0.0 },
            replicas: self.deployment.replicas(),
            pods: self.deployment.pods(),
            ready,
            floor: if self.autoscaled() { self.hpa.bounds().0 } else { 0 },
            nodes: self.nodes.as_ref().map_or(0, Nodes::count),
            warm: self.nodes.as_ref().map_or(0, Nodes::placeholders),
        };
        self.books.enter(&row, hpa::SYNC);
        self.now = self.now + hpa::SYNC;
        if let Some(target) = self.target {
            let current = self.deployment.replicas();
            let wish = reading.and_then(|load| self.wish(load, ready, target, current));
            let replicas = self.controller.sync(self.now, current, wish, self.hpa.bounds());
            self.deployment.scale(replicas);
        }
        row
    }

    fn wish(&self, load: f64, ready: Replicas, target: f64, current: Replicas) -> Option<Replicas> {
        /// The target in the metric's milli-units: loads of any unit keep six digits.
        const TARGET: i64 = 1_000_000;
        if self.external {
            let total = (load / target * TARGET as f64) as i64;
            return Some(hpa::of_total(total, TARGET, current.max(1), Tolerance::DEFAULT));
        }
        let per_pod = load / f64::from(ready.max(1)) / target * TARGET as f64;
        let mut pods = vec![PodMetric::Ready(per_pod as i64); ready as usize];
        pods.resize(self.deployment.pods() as usize, PodMetric::Unready);
        hpa::per_pod(&pods, Target::AverageValue(TARGET), current, Tolerance::DEFAULT)
    }
}
