//! What pods have taught about a workload, laid over the policy that its annotations and the config give.

use super::statez::{LeadSource, LeadState};
use crate::config::{Config, Mode};
use crate::demand::{LeadInForce, learned_lead};
use crate::observe::Pods;
use crate::policy::{Policy, Resolved, Workload};
use crate::units::{LeadTime, Time};

/// Paces of creation that are told apart: a new one makes planners learn anew, so it must not change with every burst.
const PACES: [f64; 11] = [1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 50.0, 100.0, 200.0, 500.0];

/// What pods have taught about one workload.
#[derive(Debug, Default)]
pub struct Outlook {
    lead: LeadInForce,
    pods_per_second: Option<f64>,
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
        policy
    }
}

/// The next slower of the paces that are told apart.
fn slower(pace: f64) -> f64 {
    PACES.into_iter().rev().find(|p| *p <= pace).unwrap_or(PACES[0])
}

/// The part of a policy that memory depends on: everything but mode, schedules and hold.
pub fn teaches(policy: Option<&Policy>) -> Option<Policy> {
    policy.map(|p| Policy { mode: Mode::Observe, schedules: Vec::new(), hold: None, ..p.clone() })
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
            time_zone: "UTC".into(),
            schedules: Vec::new(),
            occasions: Vec::new(),
            hold: None,
            pods_per_second: Some(20.0),
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
    fn a_pace_is_rounded_down() {
        assert_eq!([0.2, 1.0, 19.9, 20.0, 900.0].map(slower), [1.0, 1.0, 10.0, 20.0, 500.0]);
    }
}
