//! What one replica of a workload serves, learned from what its pods use: read once a step, after the decisions. The
//! first question reaches some hours back, so that a restart costs no evidence.

use super::polling::{Fed, Wanted, last_step};
use crate::config::version_names;
use crate::demand::{Capacities, Capacity, Regression, Usage};
use crate::policy::{UsageQueries, Workload, WorkloadKind};
use crate::series::Sample;
use crate::units::{Replicas, Step, Time};
use std::collections::{BTreeMap, VecDeque};

/// Steps that the first question reaches back.
const BACK: usize = 360;
/// Fewer than that would be no evidence.
const BACK_LEAST: usize = 45;
/// Versions that are asked for at most: those with the newest pods.
const VERSIONS: usize = 2;

/// What is learned of one workload's replicas.
#[derive(Debug)]
pub struct CapacityWatch {
    usage: UsageQueries,
    learned: Capacities,
    /// The metric whose load is divided among the replicas.
    metric: usize,
    /// The first step that has not been asked for. None: nothing has.
    next: Option<Time>,
    /// Steps that the next question reaches back at most: fewer after each failure.
    back: usize,
    loads: VecDeque<(Time, Option<f64>)>,
    /// Versions with pods, as of the newest look.
    running: BTreeMap<String, Replicas>,
    /// Versions of the question under way, in its order.
    asked: Vec<String>,
    in_force: Option<f64>,
}

impl CapacityWatch {
    /// Nothing known; `metric` is the place of the load in the policy.
    pub fn new(usage: UsageQueries, metric: usize) -> CapacityWatch {
        CapacityWatch {
            learned: Capacities::new(usage.full, usage.limit),
            usage,
            metric,
            next: None,
            back: BACK,
            loads: VecDeque::new(),
            running: BTreeMap::new(),
            asked: Vec::new(),
            in_force: None,
        }
    }

    /// The same for these queries; None where they read something else. Other requests or limits only change what a replica
    /// may use, not what was seen of it.
    pub fn going_on(mut self, usage: &UsageQueries, metric: usize) -> Option<CapacityWatch> {
        let of = |u: &UsageQueries| UsageQueries { full: 0.0, limit: None, ..u.clone() };
        if self.metric != metric || of(&self.usage) != of(usage) {
            return None;
        }
        if self.usage != *usage {
            self.learned.rescale(usage.full, usage.limit);
            self.in_force = self.learned.in_force(&self.running);
            self.usage = usage.clone();
        }
        Some(self)
    }

    /// Load that one replica is counted on to serve. None: there is no evidence.
    pub fn in_force(&self) -> Option<f64> {
        self.in_force
    }

    /// What is known of the version with the most pods.
    pub fn known(&self) -> Option<Capacity> {
        let (version, _) = self.running.iter().max_by_key(|(_, n)| **n)?;
        self.learned.of(version)
    }

    /// A version that serves far less than the one before it.
    pub fn regression(&self) -> Option<Regression> {
        self.learned.regression()
    }

    /// Takes the loads of a metric, `step` apart. Those of a history come first.
    pub fn loads(&mut self, metric: usize, from: Time, step: Step, samples: impl IntoIterator<Item = Sample>) {
        if metric != self.metric {
            return;
        }
        self.loads.extend(samples.into_iter().enumerate().map(|(i, s)| (from + step.times(i), s.measured())));
        let excess = self.loads.len().saturating_sub(BACK + 1);
        self.loads.drain(..excess);
        self.loads.shrink_to(2 * BACK);
    }

    /// What to ask the source: the number of pods, and number and cores of each version's (`running`, the one with the newest pod
    /// first). Nothing as long as there is no load to set against it. Pods of two versions of a StatefulSet have the same names: one is asked for only while all pods are its, `newest` (when the newest pod was
    /// created) being the first instant of which that is known.
    pub fn wanted(
        &mut self,
        workload: &Workload,
        running: Vec<(String, Replicas)>,
        newest: Option<Time>,
        to: Time,
        step: Step,
    ) -> Vec<(String, Wanted)> {
        self.asked = running.iter().map(|(version, _)| version.clone()).take(VERSIONS).collect();
        self.running = running.into_iter().collect();
        if self.loads.is_empty() || self.running.is_empty() {
            return Vec::new();
        }
        let oldest = to - step.times(self.back);
        let mut from = self.next.unwrap_or(oldest).max(oldest);
        let stateful = workload.kind == WorkloadKind::StatefulSet;
        if stateful {
            let Some(newest) = newest.filter(|_| self.running.len() == 1) else { return Vec::new() };
            from = from.max(last_step(newest, step) + step.duration());
            if from > to {
                return Vec::new();
            }
        }
        let all = crate::config::pod_names(&workload.name, stateful);
        let mut texts = vec![self.usage.replicas.replace("{pods}", &all)];
        for version in &self.asked {
            let pods = if stateful { all.clone() } else { version_names(&workload.name, version) };
            texts.push(self.usage.replicas.replace("{pods}", &pods));
            texts.push(self.usage.cores.replace("{pods}", &pods));
        }
        let wanted = texts.into_iter().enumerate().map(|(metric, query)| {
            (self.usage.source.clone(), Wanted { workload: workload.clone(), metric, query, from })
        });
        wanted.collect()
    }

    /// Nothing is asked of these steps: broken pods say nothing of what a replica serves.
    pub fn skip(&mut self, to: Time, step: Step) {
        self.next = Some(to + step.duration());
    }

    /// Takes what the source said to the last question. One that failed is asked again at the next step, of half as long a time:
    /// it may have been too much.
    pub fn take(&mut self, fed: Vec<Fed>, step: Step) {
        let Some(first) = fed.first() else { return };
        let (from, steps) = (first.from, fed.iter().map(|f| f.samples.len()).max().unwrap_or(0));
        if fed.iter().any(|f| f.from != from || matches!(f.source, crate::plan::SourceState::Failing { .. })) {
            // and it may have been away: then all of it again
            self.back = if self.back <= BACK_LEAST { BACK } else { self.back / 2 };
            return;
        }
        self.back = BACK;
        let value = |metric: usize, i: usize| {
            let fed = fed.iter().find(|f| f.metric == metric)?;
            fed.samples.get(i).and_then(|s| s.measured())
        };
        self.asked.iter().rev().for_each(|version| self.learned.know(version));
        for i in 0..steps {
            let at = from + step.times(i);
            let load = self.loads.iter().find(|(t, _)| *t == at).and_then(|(_, load)| *load);
            let versions = self.asked.iter().enumerate();
            let versions = versions.map(|(k, v)| (v.clone(), (value(1 + 2 * k, i), value(2 + 2 * k, i)))).collect();
            self.learned.learn(&Usage { load, replicas: value(0, i), versions });
        }
        self.next = Some(from + step.times(steps));
        self.in_force = self.learned.in_force(&self.running);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::SourceState;
    use std::time::Duration;

    fn t(minute: i64) -> Time {
        Time::from_secs(60 * minute)
    }

    fn web() -> Workload {
        Workload { namespace: "shop".into(), name: "web".into(), kind: WorkloadKind::Deployment }
    }

    fn watch() -> CapacityWatch {
        let usage = UsageQueries {
            source: "main".into(),
            cores: "cores{pod=~\"{pods}\"}".into(),
            replicas: "pods{pod=~\"{pods}\"}".into(),
            full: 0.7,
            limit: None,
        };
        CapacityWatch::new(usage, 0)
    }

    fn answer(wanted: &[(String, Wanted)], to: Time, value: impl Fn(&str) -> f64) -> Vec<Fed> {
        let fed = |w: &Wanted| Fed {
            workload: w.workload.clone(),
            metric: w.metric,
            query: w.query.clone(),
            samples: vec![Sample::Valid(value(&w.query)); 1 + (to.since(w.from).as_secs() / 60) as usize],
            from: w.from,
            source: SourceState::Fresh,
            settling: Duration::ZERO,
            warnings: Vec::new(),
        };
        wanted.iter().map(|(_, w)| fed(w)).collect()
    }

    #[test]
    fn hours_of_history_are_read_at_once_and_then_steps() {
        let mut watch = watch();
        let to = t(1000);
        watch.loads(0, t(600), Step::MINUTE, vec![Sample::Valid(400.0); 401]);
        let running = vec![("6d4cf56db".to_owned(), 10)];
        let wanted = watch.wanted(&web(), running.clone(), None, to, Step::MINUTE);
        let texts: Vec<&str> = wanted.iter().map(|(_, w)| w.query.as_str()).collect();
        assert_eq!(wanted[0].1.from, t(640));
        assert!(texts[0].starts_with("pods{pod=~\"web-[") && texts[0].contains("{1,10}"), "{texts:?}");
        assert!(texts[2].starts_with("cores{pod=~\"web-6d4cf56db-["), "{texts:?}");
        // 40 a replica at 0.5 of 0.7 cores: 56
        let value = |query: &str| if query.starts_with("pods") { 10.0 } else { 5.0 };
        watch.take(answer(&wanted, to, value), Step::MINUTE);
        assert!((watch.in_force().unwrap() - 56.0).abs() < 0.1, "{:?}", watch.known());
        let next = watch.wanted(&web(), running, None, t(1001), Step::MINUTE);
        assert_eq!(next[0].1.from, t(1001));
        assert_eq!(watch.regression(), None);
    }

    #[test]
    fn of_a_stateful_set_only_one_version_is_asked_for_and_only_since_all_pods_are_its() {
        let mut watch = watch();
        let db = Workload { kind: WorkloadKind::StatefulSet, name: "db".into(), ..web() };
        let versions = |of: &[(&str, Replicas)]| of.iter().map(|(v, n)| ((*v).to_owned(), *n)).collect::<Vec<_>>();
        watch.loads(0, t(700), Step::MINUTE, vec![Sample::Valid(400.0); 301]);
        let newest = Some(t(900) + Duration::from_secs(20));
        let rollout = watch.wanted(&db, versions(&[("db-1", 3), ("db-2", 7)]), newest, t(1000), Step::MINUTE);
        assert!(rollout.is_empty(), "their names are the same");
        let wanted = watch.wanted(&db, versions(&[("db-2", 10)]), newest, t(1000), Step::MINUTE);
        assert_eq!((wanted.len(), wanted[0].1.from), (3, t(901)));
        assert_eq!(wanted[2].1.query, "cores{pod=~\"db-[0-9]+\"}");
        let value = |query: &str| if query.starts_with("pods") { 10.0 } else { 5.0 };
        watch.take(answer(&wanted, t(1000), value), Step::MINUTE);
        assert!((watch.in_force().unwrap() - 56.0).abs() < 0.1, "{:?}", watch.known());
        let newer = Some(t(1001));
        assert!(watch.wanted(&db, versions(&[("db-2", 11)]), newer, t(1001), Step::MINUTE).is_empty(), "just created");
    }

    #[test]
    fn what_failed_is_asked_again_and_says_nothing() {
        let mut watch = watch();
        let running = || vec![("a".to_owned(), 1)];
        assert!(watch.wanted(&web(), running(), None, t(1000), Step::MINUTE).is_empty(), "no load is known");
        watch.loads(0, t(600), Step::MINUTE, vec![Sample::Valid(400.0); 401]);
        assert!(watch.wanted(&web(), Vec::new(), None, t(1000), Step::MINUTE).is_empty(), "no pod is known");
        let wanted = watch.wanted(&web(), running(), None, t(1000), Step::MINUTE);
        let mut fed = answer(&wanted, t(1000), |_| 1.0);
        fed[1].source = SourceState::Failing { error: "503".into() };
        watch.take(fed, Step::MINUTE);
        let again = watch.wanted(&web(), running(), None, t(1001), Step::MINUTE);
        assert_eq!((again.len(), again[0].1.from, watch.in_force()), (3, t(821), None), "half as far back");
    }

    #[test]
    fn the_versions_with_the_newest_pods_are_asked_for() {
        let mut watch = watch();
        watch.loads(0, t(900), Step::MINUTE, vec![Sample::Valid(400.0); 101]);
        let running = ["new", "before", "a-dead-one"].map(|v| (v.to_owned(), 1)).to_vec();
        let wanted = watch.wanted(&web(), running, None, t(1000), Step::MINUTE);
        let of = |version: &str| wanted.iter().filter(|(_, w)| w.query.contains(version)).count();
        assert_eq!((of("web-new-"), of("web-before-"), of("dead")), (2, 2, 0));
    }

    #[test]
    fn other_requests_change_what_a_replica_may_use_and_nothing_that_was_seen() {
        let mut watch = watch();
        watch.loads(0, t(600), Step::MINUTE, vec![Sample::Valid(400.0); 401]);
        let wanted = watch.wanted(&web(), vec![("a".to_owned(), 10)], None, t(1000), Step::MINUTE);
        let value = |query: &str| if query.starts_with("pods") { 10.0 } else { 5.0 };
        watch.take(answer(&wanted, t(1000), value), Step::MINUTE);
        let usage = UsageQueries { full: 1.4, ..watch.usage.clone() };
        let watch = watch.going_on(&usage, 0).unwrap();
        assert!((watch.in_force().unwrap() - 112.0).abs() < 0.2, "twice the cores: {:?}", watch.known());
        let other = UsageQueries { cores: "other".into(), ..usage };
        assert!(watch.going_on(&other, 0).is_none());
    }
}
