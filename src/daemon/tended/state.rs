//! What `/statez` tells of one workload.

use super::Tended;
use crate::config::{Config, SourceKind};
use crate::daemon::statez::{MetricState, WorkloadState};

impl Tended {
    /// Sources that cannot be read between the steps.
    fn minutes_only(&self, config: &Config) -> Option<String> {
        let slow = |name: &&str| config.sources.get(*name).is_some_and(|s| matches!(s.kind, SourceKind::Cloudwatch(_)));
        let name = self.policy.iter().flat_map(|p| &p.metrics).map(|m| m.source.as_str()).find(slow)?;
        Some(format!("source {name} has minutes only, so nothing is read from it between the steps"))
    }

    /// What broken replicas mean.
    fn broken(&self) -> Option<String> {
        let text = "more than a fifth of its replicas restart or are not Ready any more: nothing is lowered, and for two \
                    hours its load teaches nothing";
        self.outlook.unhealthy.then(|| text.to_owned())
    }

    /// For `/statez`.
    pub fn state(&self, config: &Config) -> WorkloadState {
        let metrics = self.feeds.iter().enumerate().map(|(i, feed)| {
            let memory = self.memory.metrics.get(i);
            MetricState {
                source: feed.source.clone(),
                newest: memory.and_then(|m| m.newest()),
                doubted: memory.and_then(|m| m.doubted()),
                samples: memory.map_or(0, |m| m.taken()),
                candidates: memory
                    .map(|m| m.planner().portfolio().mixture().map(|(c, w)| (c.to_string(), w)).collect())
                    .unwrap_or_default(),
                price: memory.map(|m| m.planner().portfolio().price()),
                trust: memory.and_then(|m| m.trust()),
            }
        });
        WorkloadState {
            workload: self.sight.workload().clone(),
            mode: self.mode(config),
            problems: self.problems.clone(),
            notes: self
                .notes
                .iter()
                .chain(&self.unfit)
                .chain(&self.incomplete)
                .chain(self.feeds.iter().flat_map(|feed| &feed.warnings))
                .cloned()
                .chain(self.minutes_only(config))
                .chain(self.broken())
                .collect(),
            policy: self.policy.clone(),
            observation: self.observation(),
            target: self.sight.target.as_ref().ok().map(|t| t.target.clone()),
            floor: self.floor(),
            own_floor: self.own_floor(),
            stopped: self.sight.stopped.as_ref().map(ToString::to_string),
            lead: self.outlook.shown.clone(),
            capacity: self.outlook.capacity(),
            outcome: self.outcome,
            write_error: self.write_error.clone(),
            metrics: metrics.collect(),
            peak_ahead: self.days.peak(),
            learning: self.is_learning(),
            decision: self.decision.clone(),
        }
    }
}
