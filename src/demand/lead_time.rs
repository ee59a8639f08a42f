//! Lead time: from a decision to a replica that serves, learned as a distribution for each path to a running pod.
//!
//! A start that is still under way, or that was given up, is censored: it took *at least* so long. It counts, else
//! the slowest starts would be missing from the very quantile they decide. Estimator: Kaplan and Meier, "Nonparametric
//! estimation from incomplete observations", JASA 53 (1958).

use crate::units::Time;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

/// How a pod came to its place. Quantiles over a mixture of paths mean nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StartPath {
    /// There was room on a node that ran already.
    WarmNode,
    /// A placeholder pod made room.
    PreemptedSlot,
    /// A node was bought for it.
    NewNode,
}

impl StartPath {
    /// All paths, quickest first.
    pub const ALL: [StartPath; 3] = [StartPath::WarmNode, StartPath::PreemptedSlot, StartPath::NewNode];
}

impl fmt::Display for StartPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StartPath::WarmNode => "warm-node",
            StartPath::PreemptedSlot => "preempted-slot",
            StartPath::NewNode => "new-node",
        })
    }
}

/// The parts of a start, in order. Each ends at the mark of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Decision until the pod object exists.
    Api,
    /// Until the node it runs on is registered; only where a node was bought.
    NodeRegistered,
    /// Until that node is Ready; only where a node was bought.
    NodeReady,
    /// Until it is bound to a node.
    Scheduled,
    /// Until its init containers are done.
    Initialized,
    /// Until its containers run, images pulled.
    Started,
    /// Until it is Ready for the first time.
    Ready,
}

impl Phase {
    /// All phases, in order.
    pub const ALL: [Phase; 7] = [
        Phase::Api,
        Phase::NodeRegistered,
        Phase::NodeReady,
        Phase::Scheduled,
        Phase::Initialized,
        Phase::Started,
        Phase::Ready,
    ];
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Api => "api",
            Phase::NodeRegistered => "node-registered",
            Phase::NodeReady => "node-ready",
            Phase::Scheduled => "scheduled",
            Phase::Initialized => "initialized",
            Phase::Started => "started",
            Phase::Ready => "ready",
        })
    }
}

/// What the API says of one pod's start. A mark that was not reached is None. API stamps have whole seconds, so that a
/// phase may come out up to a second off, never negative.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// Our decision that led to it. None: not ours, then the pod's creation counts.
    pub decided: Option<Time>,
    /// The pod's creation.
    pub created: Time,
    /// It was nominated to a node by preemption.
    pub preempted: bool,
    /// Creation of the node it was bound to.
    pub node_created: Option<Time>,
    /// When that node became Ready.
    pub node_ready: Option<Time>,
    /// When it was bound.
    pub scheduled: Option<Time>,
    /// When its init containers were done.
    pub initialized: Option<Time>,
    /// When the last of its containers started.
    pub started: Option<Time>,
    /// When it was Ready for the first time.
    pub ready: Option<Time>,
    /// The last look at it; a start that is not Ready took at least until then.
    pub seen: Time,
}

/// A time that something took, or took at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Took {
    /// How long.
    #[serde(with = "crate::units::duration")]
    pub duration: Duration,
    /// It had not ended yet: at least so long.
    pub censored: bool,
}

impl Start {
    fn from(&self) -> Time {
        self.decided.unwrap_or(self.created).min(self.created)
    }

    /// The path, told from the marks: a node younger than the pod was bought for it.
    pub fn path(&self) -> StartPath {
        match self.node_created {
            Some(node) if node >= self.created => StartPath::NewNode,
            // no node yet and not nominated: if it waits for one, it is being bought
            None if self.scheduled.is_none() && !self.preempted => StartPath::NewNode,
            _ if self.preempted => StartPath::PreemptedSlot,
            _ => StartPath::WarmNode,
        }
    }

    /// From decision to Ready.
    pub fn lead(&self) -> Took {
        let end = self.ready.unwrap_or(self.seen);
        Took { duration: end.since(self.from()), censored: self.ready.is_none() }
    }

    /// Each phase that was reached, in order, with the time since the mark before it.
    pub fn phases(&self) -> Vec<(Phase, Duration)> {
        let bought = self.path() == StartPath::NewNode;
        let marks = [
            (Phase::Api, Some(self.created)),
            (Phase::NodeRegistered, self.node_created.filter(|_| bought)),
            (Phase::NodeReady, self.node_ready.filter(|_| bought)),
            (Phase::Scheduled, self.scheduled),
            (Phase::Initialized, self.initialized),
            (Phase::Started, self.started),
            (Phase::Ready, self.ready),
        ];
        let mut before = self.from();
        let reached = marks.into_iter().filter_map(|(phase, at)| at.map(|at| (phase, at)));
        reached
            .map(|(phase, at)| {
                let took = at.since(before);
                before = before.max(at);
                (phase, took)
            })
            .collect()
    }
}

/// A quantile with what it rests on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The quantile.
    #[serde(with = "crate::units::duration")]
    pub value: Duration,
    /// Starts that ended.
    pub ended: usize,
    /// Starts that did not.
    pub censored: usize,
    /// Too few to tell: the prior took part.
    pub prior: bool,
}

/// Starts remembered for each path; the oldest go first.
const MAX_STARTS: usize = 512;
/// Starts whose paths tell how often a path is taken.
const MAX_RECENT: usize = 200;
/// The quantiles that are shown.
const SHOWN: [f64; 3] = [0.5, 0.95, 0.99];

/// What was learned of the lead time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LeadTimes {
    leads: BTreeMap<StartPath, VecDeque<Took>>,
    phases: BTreeMap<(StartPath, Phase), VecDeque<Took>>,
    recent: VecDeque<StartPath>,
}

/// One line of a table of lead times: a phase of a path, or the whole of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LeadLine {
    /// Which path.
    pub path: StartPath,
    /// None: from decision to Ready.
    pub phase: Option<Phase>,
    /// The median.
    pub p50: Estimate,
    /// The 95th percentile.
    pub p95: Estimate,
    /// The 99th percentile.
    pub p99: Estimate,
}

impl LeadTimes {
    /// Learns from a start that is over: Ready, or given up.
    pub fn learn(&mut self, start: &Start) {
        let path = start.path();
        self.recent.push_back(path);
        let excess = self.recent.len().saturating_sub(MAX_RECENT);
        self.recent.drain(..excess);
        remember(self.leads.entry(path).or_default(), start.lead());
        for (phase, duration) in start.phases() {
            remember(self.phases.entry((path, phase)).or_default(), Took { duration, censored: false });
        }
    }

    /// The quantile of the whole lead on a path. With fewer than `1 / (1 - level)` ended starts, or a tail that only
    /// censored ones reach, it is at least `prior`. None on a path that was never taken.
    pub fn lead(&self, path: StartPath, level: f64, prior: Duration) -> Option<Estimate> {
        estimate(self.leads.get(&path)?, level, prior)
    }

    /// The quantile of one phase on a path. None where it was never reached.
    pub fn phase(&self, path: StartPath, phase: Phase, level: f64) -> Option<Estimate> {
        estimate(self.phases.get(&(path, phase))?, level, Duration::ZERO)
    }

    /// Takes in what another has learned.
    pub fn absorb(&mut self, other: &LeadTimes) {
        for (path, taken) in &other.leads {
            taken.iter().for_each(|took| remember(self.leads.entry(*path).or_default(), *took));
        }
        for (place, taken) in &other.phases {
            taken.iter().for_each(|took| remember(self.phases.entry(*place).or_default(), *took));
        }
        self.recent.extend(&other.recent);
        let excess = self.recent.len().saturating_sub(MAX_RECENT);
        self.recent.drain(..excess);
    }

    /// The share of the newest starts that took a path.
    pub fn share(&self, path: StartPath) -> f64 {
        let taken = self.recent.iter().filter(|p| **p == path).count();
        taken as f64 / self.recent.len().max(1) as f64
    }

    /// Every path that was taken, phase by phase and as a whole.
    pub fn lines(&self) -> Vec<LeadLine> {
        let phases = || Phase::ALL.into_iter().map(Some).chain([None]);
        let places = StartPath::ALL.into_iter().flat_map(|path| phases().map(move |phase| (path, phase)));
        places
            .filter_map(|(path, phase)| {
                let at = |level| match phase {
                    Some(phase) => self.phase(path, phase, level),
                    None => self.lead(path, level, Duration::ZERO),
                };
                let [Some(p50), Some(p95), Some(p99)] = SHOWN.map(at) else { return None };
                Some(LeadLine { path, phase, p50, p95, p99 })
            })
            .collect()
    }

    /// True when nothing was learned.
    pub fn is_empty(&self) -> bool {
        self.leads.is_empty()
    }
}

fn remember(taken: &mut VecDeque<Took>, took: Took) {
    if taken.len() == MAX_STARTS {
        taken.pop_front();
    }
    taken.push_back(took);
}

fn estimate(taken: &VecDeque<Took>, level: f64, prior: Duration) -> Option<Estimate> {
    let largest = taken.iter().map(|t| t.duration).max()?;
    let ended = taken.iter().filter(|t| !t.censored).count();
    let known = kaplan_meier(taken, level);
    let few = (ended as f64) < (1.0 / (1.0 - level)).floor() - 1.0;
    let (value, prior) = match known {
        Some(value) if !few => (value, false),
        Some(value) => (value.max(prior), true),
        None => (largest.max(prior), true),
    };
    Some(Estimate { value, ended, censored: taken.len() - ended, prior })
}

/// The least duration by which a share `level` of starts has ended; None when censoring leaves that open.
fn kaplan_meier(taken: &VecDeque<Took>, level: f64) -> Option<Duration> {
    let mut sorted: Vec<Took> = taken.iter().copied().collect();
    // at the same duration what ended comes before what did not
    sorted.sort_by_key(|t| (t.duration, t.censored));
    let mut surviving = 1.0;
    for (i, took) in sorted.iter().enumerate() {
        if !took.censored {
            surviving *= 1.0 - 1.0 / (sorted.len() - i) as f64;
            // float noise must not move the quantile by one start
            if 1.0 - surviving >= level - 1e-9 {
                return Some(took.duration);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn at(n: i64) -> Time {
        Time::from_secs(1_000_000 + n)
    }

    fn start(ready: Option<i64>) -> Start {
        Start {
            decided: Some(at(0)),
            created: at(1),
            preempted: false,
            node_created: Some(at(-500)),
            node_ready: Some(at(-490)),
            scheduled: Some(at(2)),
            initialized: Some(at(2)),
            started: Some(at(5)),
            ready: ready.map(at),
            seen: at(60),
        }
    }

    #[test]
    fn kaplan_meier_by_hand() {
        // times 1, 2+, 3, 4, 5+ (+ censored): S = 4/5 at 1, 4/5 x 2/3 at 3, that x 1/2 = 0.2667 at 4; never 0
        let took = |(secs, censored): (u64, bool)| Took { duration: s(secs), censored };
        let taken: VecDeque<Took> =
            [(1, false), (2, true), (3, false), (4, false), (5, true)].into_iter().map(took).collect();
        assert_eq!(kaplan_meier(&taken, 0.2), Some(s(1)));
        assert_eq!(kaplan_meier(&taken, 0.4), Some(s(3)), "1 - 8/15 = 0.4667");
        assert_eq!(kaplan_meier(&taken, 0.7), Some(s(4)), "1 - 4/15 = 0.7333");
        assert_eq!(kaplan_meier(&taken, 0.8), None);
    }

    #[test]
    fn without_censoring_it_is_the_empirical_quantile() {
        let mut times = LeadTimes::default();
        for n in 1..=100 {
            times.learn(&start(Some(n)));
        }
        let p95 = times.lead(StartPath::WarmNode, 0.95, s(180)).unwrap();
        assert_eq!((p95.value, p95.ended, p95.prior), (s(95), 100, false));
        assert_eq!(times.lead(StartPath::NewNode, 0.95, s(180)), None);
    }

    #[test]
    fn few_starts_never_beat_the_prior_but_may_exceed_it() {
        let mut times = LeadTimes::default();
        times.learn(&start(Some(7)));
        assert_eq!(times.lead(StartPath::WarmNode, 0.95, s(180)).unwrap().value, s(180));
        times.learn(&start(Some(200)));
        assert_eq!(times.lead(StartPath::WarmNode, 0.95, s(180)).unwrap().value, s(200));
    }

    #[test]
    fn starts_that_never_end_pull_the_quantile_up() {
        let mut times = LeadTimes::default();
        for n in 0..40 {
            times.learn(&start(Some(8 + n % 3)));
        }
        for _ in 0..4 {
            times.learn(&start(None));
        }
        let p95 = times.lead(StartPath::WarmNode, 0.95, s(30)).unwrap();
        assert_eq!((p95.value, p95.censored, p95.prior), (s(60), 4, true), "1 in 11 is still waiting after 60 s");
        assert_eq!(times.lead(StartPath::WarmNode, 0.5, s(30)).unwrap().value, s(9));
    }

    #[test]
    fn the_path_is_told_from_the_marks() {
        assert_eq!(start(Some(9)).path(), StartPath::WarmNode);
        assert_eq!(Start { preempted: true, ..start(Some(9)) }.path(), StartPath::PreemptedSlot);
        let bought = Start {
            node_created: Some(at(25)),
            node_ready: Some(at(27)),
            scheduled: Some(at(26)),
            initialized: Some(at(28)),
            started: Some(at(30)),
            ..start(Some(34))
        };
        assert_eq!(bought.path(), StartPath::NewNode);
        let phases: Vec<_> = bought.phases().into_iter().map(|(p, d)| (p, d.as_secs())).collect();
        use Phase::*;
        assert_eq!(
            phases,
            [
                (Api, 1),
                (NodeRegistered, 24),
                (NodeReady, 2),
                (Scheduled, 0),
                (Initialized, 1),
                (Started, 2),
                (Ready, 4)
            ],
            "a pod may be bound before its node is Ready: that phase took no time of its own"
        );
        let waiting = Start { node_created: None, scheduled: None, ..start(None) };
        assert_eq!((waiting.path(), waiting.lead().censored), (StartPath::NewNode, true));
    }
}
