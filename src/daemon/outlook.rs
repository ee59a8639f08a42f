//! What pods have taught about a workload, laid over the policy that its annotations and the config give.

use super::polling::{Fed, Wanted};
use super::statez::{CapacityState, LeadSource, LeadState};
use super::usage::CapacityWatch;
use crate::config::{Config, Mode};
use crate::demand::{LeadInForce, learned_lead};
use crate::observe::Pods;
use crate::policy::{LoadMetric, Policy, Resolved, UsageQueries, Workload};
use crate::series::Sample;
use crate::units::{LeadTime, Step, Time};

/// Paces of creation that are told apart: a new one makes planners learn anew, so it must not change with every burst.
const PACES: [f64; 11] = [1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 50.0, 100.0, 200.0, 500.0];

/// What pods have taught about one workload.
#[derive(Debug, Default)]
pub struct Outlook {
    lead: LeadInForce,
    pods_per_second: Option<f64>,
    /// None: what a replica serves is given.
    capacity: Option<CapacityWatch>,
    /// More than a fifth of its replicas are broken.
    pub unhealthy: bool,
    /// For people.
    pub shown: LeadState,
}

impl Outlook {
    /// Looks at what was learned since. Once a minute.
    pub fn look(&mut self, pods: &Pods, workload: &Workload, config: &Config, now: Time) {
        let times = pods.lead_times(workload, now);
        let prior = config.workloads.lead_time.0;
        if let Some(learned) = learned_lead(&times, prior) {
            self.lead.look(now, learned, prior, config.workloads.step);
        }
        self.pods_per_second = pods.pods_per_second().map(slower);
        self.shown.lines = times.lines();
        self.unhealthy = pods.unhealthy(workload);
    }

    /// The policy with what was learned in it.
    pub fn over(&mut self, resolved: &Resolved, config: &Config) -> Policy {
        let mut policy = resolved.policy.clone();
        let learned = self.lead.lead(config.workloads.step).filter(|_| config.workloads.learn_lead_time);
        self.shown.from = match learned {
            _ if resolved.lead_time_given => LeadSource::Annotation,
            Some(lead) => {
                policy.lead_time = LeadTime(lead);
                LeadSource::Learned
            }
            None => LeadSource::Config,
        };
        policy.pods_per_second = self.pods_per_second.or(policy.pods_per_second);
        self.shown.pods_per_second = policy.pods_per_second;
        self.count_on(&mut policy.metrics);
        policy
    }

    /// What a replica was seen to serve, where that is to be learned.
    fn count_on(&mut self, metrics: &mut [LoadMetric]) {
        let asked = metrics.iter_mut().enumerate().find_map(|(i, m)| Some((i, m.learned.clone()?, m)));
        let Some((place, usage, metric)) = asked else {
            self.capacity = None;
            return;
        };
        let before = self.capacity.take().and_then(|watch| watch.going_on(&usage, place));
        let watch = before.unwrap_or_else(|| CapacityWatch::new(usage, place));
        metric.capacity_per_replica = watch.in_force().unwrap_or(metric.capacity_per_replica);
        self.capacity = Some(watch);
    }

    /// Takes the loads of a metric for what is learned of its replicas.
    pub fn loads(&mut self, metric: usize, from: Time, step: Step, samples: impl IntoIterator<Item = Sample>) {
        if let Some(watch) = &mut self.capacity {
            watch.loads(metric, from, step, samples);
        }
    }

    /// What to ask of the usage of its pods.
    pub fn usage_wanted(&mut self, pods: &Pods, workload: &Workload, to: Time, step: Step) -> Vec<(String, Wanted)> {
        let Some(watch) = &mut self.capacity else { return Vec::new() };
        if self.unhealthy {
            watch.skip(to, step);
            return Vec::new();
        }
        watch.wanted(workload, pods.versions(workload), pods.newest(workload), to, step)
    }

    /// Takes what was said of it. The next look at the workload uses it.
    pub fn take_usage(&mut self, fed: Vec<Fed>, step: Step) {
        if let Some(watch) = &mut self.capacity {
            watch.take(fed, step);
        }
    }

    /// What was learned of its replicas, for people. None: it is given.
    pub fn capacity(&self) -> Option<CapacityState> {
        let watch = self.capacity.as_ref()?;
        Some(CapacityState { in_force: watch.in_force(), known: watch.known(), regression: watch.regression() })
    }
}

/// The next slower of the paces that are told apart.
fn slower(pace: f64) -> f64 {
    PACES.into_iter().rev().find(|p| *p <= pace).unwrap_or(PACES[0])
}

/// The part of a policy that memory depends on: everything but mode, schedules and hold; and of a capacity that is learned
/// whether it is known, and what it is learned from.
pub fn teaches(policy: Option<&Policy>) -> Option<Policy> {
    let metric = |m: &LoadMetric| match &m.learned {
        Some(usage) => LoadMetric {
            capacity_per_replica: if m.capacity_per_replica > 0.0 { 1.0 } else { 0.0 },
            learned: Some(UsageQueries { full: 1.0, limit: None, ..usage.clone() }),
            ..m.clone()
        },
        None => m.clone(),
    };
    policy.map(|p| Policy {
        mode: Mode::Observe,
        schedules: Vec::new(),
        hold: None,
        metrics: p.metrics.iter().map(metric).collect(),
        ..p.clone()
    })
}

/// `wanted` with the lead time and the pace of creation that `current` has: what holds until a planner for the wanted ones
/// has learned. None: they differ in more than that, so that what was learned so far is of no use.
pub fn meanwhile(wanted: &Policy, current: &Policy) -> Option<Policy> {
    let until = Policy { lead_time: current.lead_time, pods_per_second: current.pods_per_second, ..wanted.clone() };
    (teaches(Some(&until)) == teaches(Some(current))).then_some(until)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn policy(lead: u64, max: u32) -> Policy {
        Policy {
            mode: Mode::Act,
            metrics: Vec::new(),
            min_replicas: 1,
            max_replicas: max,
            lead_time: LeadTime(Duration::from_secs(lead)),
            unserved_budget: 0.001,
            miss_cost: None,
            time_zone: "UTC".into(),
            schedules: Vec::new(),
            occasions: Vec::new(),
            hold: None,
            pods_per_second: Some(20.0),
            slots: None,
        }
    }

    #[test]
    fn a_new_lead_waits_for_its_planner_and_all_else_does_not() {
        let current = policy(180, 50);
        let wanted = Policy { mode: Mode::Observe, ..policy(60, 50) };
        let until = meanwhile(&wanted, &current).unwrap();
        assert_eq!((until.mode, until.lead_time), (Mode::Observe, current.lead_time));
        assert_eq!(meanwhile(&policy(60, 60), &current), None, "other bounds need another planner at once");
    }

    #[test]
    fn a_learned_capacity_makes_planners_learn_anew_only_when_it_is_first_known() {
        let usage = crate::policy::UsageQueries {
            source: "main".into(),
            cores: "c".into(),
            replicas: "r".into(),
            full: 1.0,
            limit: None,
        };
        let of = |capacity: f64| {
            let learned = Some(usage.clone());
            let metric = LoadMetric {
                source: "main".into(),
                query: "q".into(),
                capacity_per_replica: capacity,
                tenant: None,
                learned,
            };
            Policy { metrics: vec![metric], ..policy(180, 50) }
        };
        assert_ne!(teaches(Some(&of(0.0))), teaches(Some(&of(50.0))));
        assert_eq!(teaches(Some(&of(50.0))), teaches(Some(&of(70.0))));
        assert_eq!(meanwhile(&of(70.0), &of(50.0)), Some(of(70.0)), "in force at once");
    }

    #[test]
    fn a_pace_is_rounded_down() {
        assert_eq!([0.2, 1.0, 19.9, 20.0, 900.0].map(slower), [1.0, 1.0, 10.0, 20.0, 500.0]);
    }
}
