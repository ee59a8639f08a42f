//! What the loop shows of itself, no more often than it can afford: everything is copied for it.

use super::board::Board;
use super::events::{Kind, Regarding, Subject};
use super::statez::{LeaseState, Statez};
use super::ticker::Ticker;
use crate::clock::Deadline;
use crate::error::Problem;
use crate::observe::NodeKind;
use crate::policy::Workload;
use std::collections::BTreeMap;
use std::time::Duration;

/// Of the loop's time, showing takes one part in so many at most.
const SHARE: u32 = 20;
/// What is shown is never older than this while the loop turns.
const OLD_MAX: Duration = Duration::from_secs(10);
/// Workloads over the limit that are named, and told of on themselves, at most.
const NAMED: usize = 5;

/// What is remembered between two times that something is shown.
#[derive(Debug, Default)]
pub(super) struct Showing {
    /// Not again before. None: nothing was shown so far.
    next: Option<Deadline>,
    /// Workloads over the limit, and whether that was told of.
    refused: BTreeMap<Workload, bool>,
}

impl Showing {
    /// Shows what `statez` gives, or only that the loop is alive where that was done a moment ago: then the time to wait.
    fn show(&mut self, board: &Board, statez: impl FnOnce(&Showing) -> Statez) -> Option<Duration> {
        if let Some(next) = self.next.filter(|next| !next.passed()) {
            board.alive(None);
            return Some(next.left());
        }
        let begun = Deadline::now();
        board.alive(Some(statez(self)));
        self.next = Some(Deadline::after((begun.ago() * SHARE).min(OLD_MAX)));
        None
    }

    /// True for a workload over the limit.
    pub(super) fn refuses(&self, workload: &Workload) -> bool {
        self.refused.contains_key(workload)
    }

    /// Those over the limit, in words.
    fn problem(&self, limit: usize) -> Option<Problem> {
        let some: Vec<String> = self.refused.keys().take(NAMED).map(ToString::to_string).collect();
        let found = format!("{} more", self.refused.len());
        let help = format!("raise it; not looked after: {}", some.join(", "));
        let problem = Problem::new("limits.workloads", format!("at most {limit} workloads that have opted in"), found);
        (!some.is_empty()).then(|| problem.help(help))
    }
}

impl Ticker {
    /// A sign of life, with what there is to be seen. Some: not yet all of it; to be called again after this time.
    pub(super) fn show(&mut self) -> Option<Duration> {
        let mut showing = std::mem::take(&mut self.showing);
        let wait = showing.show(&self.board, |showing| self.statez(showing));
        self.showing = showing;
        wait
    }

    /// Takes which workloads, with their uids, are over the limit. Each is told of once.
    pub(super) fn refuse(&mut self, refused: BTreeMap<Workload, String>) {
        let limit = self.config.limits.workloads;
        if let Some(one) = refused.keys().find(|w| !self.showing.refused.contains_key(*w)) {
            let count = refused.len();
            tracing::warn!(workload = %one, count, limit, "limits.workloads is reached: the others are not looked after");
        }
        let (held, now) = (self.right.held(), self.clock.now());
        let mut said = 0;
        let told = refused.into_iter().map(|(workload, uid)| {
            let before = self.showing.refused.get(&workload) == Some(&true);
            if held && !before && said < NAMED {
                said += 1;
                let about = Regarding { subject: Subject::Workload(workload.clone()), uid };
                let note =
                    format!("not looked after: limits.workloads of the config is {limit}, and as many others are");
                self.events.say(&about, Kind::BadAnnotation, note, now);
            }
            (workload, held || before)
        });
        let told = told.collect();
        self.showing.refused = told;
    }

    fn statez(&self, showing: &Showing) -> Statez {
        let now = self.clock.now();
        let (watches, nodes) = (self.cluster.watches(), self.karpenter.watches());
        let watches = watches.iter().map(|(w, s)| (w.resource(), s));
        // nodes are watched twice, for two purposes: one failure is one
        let nodes = nodes.iter().filter(|(kind, _)| **kind != NodeKind::Nodes);
        let watches = watches.chain(nodes.map(|(kind, s)| (kind.resource(), s)));
        let failing = watches.filter(|(_, s)| s.failing_since(now).is_some());
        let over = showing.problem(self.config.limits.workloads);
        Statez {
            version: env!("CARGO_PKG_VERSION").into(),
            at: now,
            mode: self.config.mode,
            step: self.config.workloads.step,
            lease: LeaseState {
                identity: self.identity.clone(),
                holder: self.right.holder(),
                held: self.right.held(),
                error: self.right.error(),
            },
            watches: failing
                .filter_map(|(resource, s)| s.failing.as_ref().map(|f| format!("{resource}: {}", f.error)))
                .collect(),
            problems: self
                .cluster
                .problems()
                .iter()
                .chain(&self.karpenter.problems())
                .chain(&over)
                .map(ToString::to_string)
                .collect(),
            guards: self.board.guards(),
            spending: self.sources.iter().filter_map(|(n, s)| Some((n.clone(), s.spending()?))).collect(),
            lead_times: self.lead_times.clone(),
            pools: self.pools.states(),
            workloads: self.tended.values().map(|(t, _)| t.state(&self.config)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Mode;
    use crate::policy::WorkloadKind;
    use crate::units::{Step, Time};

    fn nothing() -> Statez {
        Statez {
            version: String::new(),
            at: Time::from_secs(0),
            mode: Mode::Observe,
            step: Step::MINUTE,
            lease: LeaseState::default(),
            watches: Vec::new(),
            problems: Vec::new(),
            spending: BTreeMap::new(),
            lead_times: Vec::new(),
            guards: Vec::new(),
            pools: Vec::new(),
            workloads: Vec::new(),
        }
    }

    #[test]
    fn showing_takes_a_twentieth_of_the_time() {
        let (board, mut showing, long) = (Board::new(), Showing::default(), Duration::from_millis(50));
        let wait = showing.show(&board, |_| {
            std::thread::sleep(long);
            nothing()
        });
        assert_eq!(wait, None);
        let wait = showing.show(&board, |_| panic!("it has just been put together"));
        assert!(wait.is_some_and(|wait| wait > long * 10), "{wait:?}");
        assert!(board.statez().is_some() && board.is_alive());
    }

    #[test]
    fn workloads_over_the_limit_are_counted_and_some_are_named() {
        let mut showing = Showing::default();
        assert_eq!(showing.problem(1000), None);
        let workload =
            |i: usize| Workload { namespace: "shop".into(), name: format!("w{i}"), kind: WorkloadKind::Deployment };
        showing.refused = (0..7).map(|i| (workload(i), false)).collect();
        let said = showing.problem(1000).unwrap().to_string();
        let expected = "limits.workloads: expected at most 1000 workloads that have opted in; found 7 more; raise it; not looked after: shop/w0, shop/w1, shop/w2, shop/w3, shop/w4";
        assert_eq!(said, expected);
    }
}
