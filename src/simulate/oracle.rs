//! Perfect foresight with the same pods: the cheapest course that serves everything.

use super::cluster::Cluster;
use crate::series::Series;
use crate::units::{Replicas, Time, replicas_for};
use std::time::Duration;

/// Knows the whole trace, and no more than anyone else how long each pod will take: it orders so early that the slowest
/// start is ready in time, and never earlier.
#[derive(Debug, Clone)]
pub struct Oracle {
    first: Time,
    step: Duration,
    needs: Vec<Replicas>,
    ahead: usize,
}

impl Oracle {
    /// The oracle of `trace` for workloads like that of `cluster`.
    pub fn new(trace: &Series, cluster: &Cluster) -> Oracle {
        let spec = cluster.spec();
        let mut known = 0.0;
        let needs = trace.iter().map(|(_, sample)| {
            known = sample.measured().unwrap_or(known);
            replicas_for(known, spec.capacity_per_replica).clamp(spec.min_replicas, spec.max_replicas)
        });
        Oracle {
            first: trace.at(0),
            step: trace.step().duration(),
            needs: needs.collect(),
            ahead: trace.step().cover(spec.start_delay.longest) + 1,
        }
    }

    /// What `spec.replicas` has to be from `now` on.
    pub fn replicas(&self, now: Time) -> Replicas {
        let next = (now.since(self.first).as_millis() / self.step.as_millis().max(1)) as usize + 1;
        self.needs.iter().skip(next).take(self.ahead).copied().max().unwrap_or(0)
    }
}
