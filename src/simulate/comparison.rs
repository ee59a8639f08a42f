//! One trace, several clusters side by side: with Forescale, with HPA alone, with perfect foresight.

use super::books::{Books, Row};
use super::cluster::{Cluster, WorkloadSpec};
use super::hpa::SYNC;
use super::nodes::NodeSpec;
use super::operator::{Operator, OptIn, Turn};
use super::oracle::Oracle;
use super::pods::StartDelay;
use crate::error::Problem;
use crate::forecast::QuantileForecast;
use crate::plan::pool::{OBJECTIVE, PoolTask, SLOTS_MAX};
use crate::plan::{Reason, SourceState};
use crate::series::{Sample, Series};
use crate::units::{QuantileLevel, Replicas, Step, Time, replicas_for};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What is played: a trace, a workload, and how it is scaled. Read from TOML.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// One line for people.
    pub title: String,
    /// File name of the trace.
    pub trace: String,
    /// Unit of the load.
    pub unit: String,
    /// Namespace/name of the workload, for people.
    pub workload_name: String,
    /// Before this instant the trace is history; from here on it is played.
    pub live_from: Time,
    /// How long it is played unless said otherwise.
    #[serde(with = "crate::units::duration")]
    pub live_for: Duration,
    /// The workload.
    pub workload: WorkloadSpec,
    /// The HPA's target where it is alone, percent of what a replica serves.
    pub hpa_alone_target_percent: u32,
    /// The HPA's target where Forescale leads its floor, percent of what a replica serves.
    pub forescale_target_percent: u32,
    /// What Forescale takes for the lead time.
    #[serde(with = "crate::units::duration")]
    pub lead_time: Duration,
    /// Share of the load that may go unserved.
    pub unserved_budget: f64,
    /// IANA zone of the seasons.
    pub time_zone: String,
    /// The nodes that pods need room on. None: there is always room. With them, Forescale keeps a warm pool.
    pub nodes: Option<NodeSpec>,
}

/// Who scales a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contestant {
    /// Forescale above an HPA.
    Forescale,
    /// An HPA at its usual target.
    HpaAlone,
    /// An HPA at the very target it has under Forescale, without Forescale.
    HpaSameTarget,
    /// Perfect foresight, with the same pods.
    Oracle,
}

impl Contestant {
    /// All, in the order of tables.
    pub const ALL: [Contestant; 4] =
        [Contestant::Forescale, Contestant::HpaAlone, Contestant::HpaSameTarget, Contestant::Oracle];

    /// Its own among one for each contestant, in the order of [`Contestant::ALL`].
    pub fn of<T>(self, all: &[T; Contestant::ALL.len()]) -> &T {
        let [forescale, hpa_alone, hpa_same_target, oracle] = all;
        match self {
            Contestant::Forescale => forescale,
            Contestant::HpaAlone => hpa_alone,
            Contestant::HpaSameTarget => hpa_same_target,
            Contestant::Oracle => oracle,
        }
    }

    /// The same, to be changed.
    fn of_mut<T>(self, all: &mut [T; Contestant::ALL.len()]) -> &mut T {
        let [forescale, hpa_alone, hpa_same_target, oracle] = all;
        match self {
            Contestant::Forescale => forescale,
            Contestant::HpaAlone => hpa_alone,
            Contestant::HpaSameTarget => hpa_same_target,
            Contestant::Oracle => oracle,
        }
    }

    /// Its name for machines.
    pub fn id(self) -> &'static str {
        match self {
            Contestant::Forescale => "forescale",
            Contestant::HpaAlone => "hpa-alone",
            Contestant::HpaSameTarget => "hpa-same-target",
            Contestant::Oracle => "oracle",
        }
    }

    /// Its name in a scenario, for people.
    pub fn name(self, scenario: &Scenario) -> String {
        match self {
            Contestant::Forescale => format!("Forescale (HPA {} %)", scenario.forescale_target_percent),
            Contestant::HpaAlone => format!("HPA alone ({} %)", scenario.hpa_alone_target_percent),
            Contestant::HpaSameTarget => format!("HPA alone ({} %)", scenario.forescale_target_percent),
            Contestant::Oracle => "Perfect oracle".into(),
        }
    }
}

/// One cluster as it stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorldView {
    /// Who scales it.
    pub contestant: Contestant,
    /// The same for people.
    pub name: String,
    /// Its sums so far.
    #[serde(flatten)]
    pub books: Books,
    /// Unserved over offered work.
    pub unserved_fraction: f64,
}

/// One step of the trace, played.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The instant that is now; its sample has just become known.
    pub at: Time,
    /// The load of the step that has ended.
    pub load: f64,
    /// Every step of [`SYNC`] in it, for each contestant in the order of [`Contestant::ALL`].
    pub rows: [Vec<Row>; Contestant::ALL.len()],
    /// Forescale's turn at its end.
    pub turn: Turn,
    /// Forescale's floor after that turn.
    pub floor: Replicas,
    /// Slots of Forescale's warm pool before that turn.
    pub slots_before: u32,
}

impl Frame {
    /// The state of a contestant's cluster at the end of the step.
    pub fn last(&self, contestant: Contestant) -> Option<&Row> {
        contestant.of(&self.rows).last()
    }

    /// What bound Forescale's plan.
    pub fn reason(&self) -> Reason {
        self.turn.decision.plan.reason
    }

    /// The forecast of the load.
    pub fn forecast(&self) -> Option<&QuantileForecast> {
        self.turn.decision.forecasts.first().and_then(Option::as_ref)
    }
}

/// The clusters, and where in the trace they are.
#[derive(Debug, Clone)]
pub struct Comparison {
    scenario: Scenario,
    trace: Series,
    next: usize,
    clusters: [Cluster; Contestant::ALL.len()],
    operator: Operator,
    oracle: Oracle,
    load: f64,
}

impl Comparison {
    /// Learns what lies before `scenario.live_from` and stands ready to play the rest. All clusters begin with the
    /// pods that an HPA alone would have at the last known load.
    pub fn new(scenario: Scenario, trace: Series, seed: u64) -> Result<Comparison, Problem> {
        let place = || format!("scenario {:?}", scenario.title);
        let step = trace.step();
        if !u64::from(step.secs()).is_multiple_of(SYNC.as_secs()) {
            return Err(Problem::new(
                place(),
                format!("a trace whose step is a multiple of {} s", SYNC.as_secs()),
                format!("{} s", step.secs()),
            ));
        }
        let next = (scenario.live_from.since(trace.at(0)).as_secs() / u64::from(step.secs())) as usize + 1;
        if scenario.live_from < trace.at(0) || next >= trace.len() {
            return Err(Problem::new(
                place(),
                format!("live_from between {} and {}", trace.at(0), trace.at(trace.len().saturating_sub(1))),
                scenario.live_from.to_string(),
            ));
        }
        let history = Series::of(trace.at(0), step, trace.iter().take(next).map(|(_, sample)| sample));
        let now = trace.at(next - 1);
        let load = history.last_measured().map_or(0.0, |(_, v)| v);
        let spec = scenario.workload;
        let target = |percent: u32| spec.capacity_per_replica * f64::from(percent) / 100.0;
        let ready = replicas_for(load, target(scenario.hpa_alone_target_percent))
            .clamp(spec.min_replicas.max(1), spec.max_replicas);
        let clusters = Contestant::ALL.map(|contestant| {
            let target = match contestant {
                Contestant::Forescale | Contestant::HpaSameTarget => Some(target(scenario.forescale_target_percent)),
                Contestant::HpaAlone => Some(target(scenario.hpa_alone_target_percent)),
                Contestant::Oracle => None,
            };
            let mut cluster = Cluster::new(now, spec, target, ready, seed);
            if let Some(nodes) = scenario.nodes {
                // who knows the future has bought its nodes in time
                let start_delay = if contestant == Contestant::Oracle { StartDelay::NONE } else { nodes.start_delay };
                cluster.put_on_nodes(NodeSpec { start_delay, ..nodes }, seed);
            }
            cluster
        });
        let opt_in = OptIn {
            capacity_per_replica: spec.capacity_per_replica,
            lead_time: scenario.lead_time,
            unserved_budget: scenario.unserved_budget,
            time_zone: scenario.time_zone.clone(),
        };
        let mut operator = Operator::learn(&history, Contestant::Forescale.of(&clusters), &opt_in);
        if let Some(nodes) = scenario.nodes {
            let objective = QuantileLevel::new(OBJECTIVE)
                .ok_or_else(|| Problem::new(place(), "an objective between 0 and 1", OBJECTIVE.to_string()))?;
            let task = PoolTask {
                lead: nodes.start_delay.longest,
                objective,
                max_slots: SLOTS_MAX,
                time_zone: scenario.time_zone.clone(),
                windows: Vec::new(),
            };
            operator.keep_warm(task, &history);
        }
        let oracle = Oracle::new(&trace, Contestant::Oracle.of(&clusters));
        let mut comparison = Comparison { scenario, trace, next, clusters, operator, oracle, load };
        comparison.foresee();
        Ok(comparison)
    }

    /// The scenario.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// The trace's step.
    pub fn step(&self) -> Step {
        self.trace.step()
    }

    /// The instant up to which everything has happened.
    pub fn now(&self) -> Time {
        self.trace.at(self.next - 1)
    }

    /// The whole trace's last instant.
    pub fn ends(&self) -> Time {
        self.trace.at(self.trace.len() - 1)
    }

    /// Plays one step of the trace: its load arrives spread evenly over the step, then its sample is known. None at
    /// the trace's end.
    pub fn advance(&mut self) -> Option<Frame> {
        if self.next >= self.trace.len() {
            return None;
        }
        let at = self.trace.at(self.next);
        let sample = self.trace.get(self.next);
        self.next += 1;
        // where nothing was measured the load is taken to have stayed; Forescale is told that it is missing
        self.load = sample.measured().unwrap_or(self.load);
        let load = self.load;
        let steps = u64::from(self.trace.step().secs()) / SYNC.as_secs();
        let mut rows: [Vec<Row>; Contestant::ALL.len()] = Default::default();
        for (cluster, rows) in self.clusters.iter_mut().zip(&mut rows) {
            rows.extend((0..steps).map(|_| cluster.step(load, true)));
        }
        let slots_before = self.operator.slots();
        let turn = self.turn(at, sample);
        self.foresee();
        let floor = Contestant::Forescale.of(&self.clusters).hpa.bounds().0;
        Some(Frame { at, load, rows, turn, floor, slots_before })
    }

    fn turn(&mut self, at: Time, sample: Sample) -> Turn {
        let source = if sample.measured().is_some() { SourceState::Fresh } else { SourceState::Stale };
        self.operator.turn(at, vec![sample], source, Contestant::Forescale.of_mut(&mut self.clusters))
    }

    fn foresee(&mut self) {
        let replicas = self.oracle.replicas(self.now());
        Contestant::Oracle.of_mut(&mut self.clusters).deployment.scale(replicas);
    }

    /// All clusters' sums so far, in the order of [`Contestant::ALL`].
    pub fn worlds(&self) -> Vec<WorldView> {
        let view = |contestant: Contestant| {
            let books = *contestant.of(&self.clusters).books();
            WorldView {
                contestant,
                name: contestant.name(&self.scenario),
                books,
                unserved_fraction: books.unserved_fraction(),
            }
        };
        Contestant::ALL.map(view).to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::StartDelay;

    fn minutes(m: u64) -> Duration {
        Duration::from_secs(60 * m)
    }

    fn scenario() -> Scenario {
        Scenario {
            title: "test".into(),
            trace: String::new(),
            unit: "requests/s".into(),
            workload_name: "a/b".into(),
            live_from: Time::from_secs(3600),
            live_for: minutes(60),
            workload: WorkloadSpec {
                capacity_per_replica: 10.0,
                min_replicas: 1,
                max_replicas: 100,
                start_delay: StartDelay { p50: minutes(1), p95: minutes(2), longest: minutes(3) },
            },
            hpa_alone_target_percent: 70,
            forescale_target_percent: 90,
            lead_time: minutes(3),
            unserved_budget: 0.001,
            time_zone: "UTC".into(),
            nodes: None,
        }
    }

    /// 1 h of history at 100, then 30 min at 100, then 300.
    fn trace() -> Series {
        let load = (0..180).map(|m| Sample::Valid(if m <= 90 { 100.0 } else { 300.0 }));
        Series::of(Time::from_secs(0), Step::MINUTE, load)
    }

    #[test]
    fn the_oracle_leaves_nothing_unserved_and_orders_as_late_as_it_may() {
        let mut c = Comparison::new(scenario(), trace(), 3).unwrap();
        let mut ordered = None;
        while let Some(frame) = c.advance() {
            let row = frame.last(Contestant::Oracle).unwrap();
            if row.replicas == 30 && ordered.is_none() {
                ordered = Some(row.at);
            }
        }
        let oracle = &c.worlds()[3];
        assert_eq!((oracle.books.unserved, oracle.books.late_minutes, oracle.books.scaling_actions), (0.0, 0, 1));
        // the load rises in (90, 91] min; the slowest pod takes 3: ordered at 87, the row's last step is at 87:45
        assert_eq!(ordered, Some(Time::from_secs(87 * 60 + 45)));
    }

    #[test]
    fn hpa_alone_is_late_on_a_jump_by_hand() {
        let mut c = Comparison::new(scenario(), trace(), 3).unwrap();
        let mut rows = Vec::new();
        while let Some(mut frame) = c.advance() {
            rows.append(Contestant::HpaAlone.of_mut(&mut frame.rows));
        }
        // 100 / (0.7 x 10) = 14.3: 15 pods; at 300 the first sync sees 20 a pod: 43 wanted, 30 allowed at once
        let jump = rows.iter().position(|r| r.load == 300.0).unwrap();
        assert_eq!((rows[jump - 1].ready, rows[jump].replicas, rows[jump + 1].replicas), (15, 15, 30));
        assert_eq!((rows[jump].unserved, rows[jump + 1].unserved), (150.0, 150.0), "nothing is ready after 15 s");
        // the starting pods count as idle: 300 / 30 / 7 = 1.43, wants 43
        assert_eq!(rows[jump + 2].replicas, 43);
        let unserved: f64 = rows.iter().map(|r| (r.load - 10.0 * f64::from(r.ready)).max(0.0) * 15.0).sum();
        assert_eq!(c.worlds()[1].books.unserved, unserved);
    }

    #[test]
    fn a_warm_pool_gives_room_at_once_and_an_hpa_alone_waits_for_nodes() {
        let start_delay = StartDelay { p50: minutes(2), p95: minutes(2), longest: minutes(2) };
        let nodes = NodeSpec { pods_per_node: 4, start_delay, consolidate_after: minutes(5) };
        let mut c = Comparison::new(Scenario { nodes: Some(nodes), ..scenario() }, trace(), 3).unwrap();
        let (mut ours, mut hpa, mut oracle) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(mut frame) = c.advance() {
            for (of, into) in [(0, &mut ours), (1, &mut hpa), (3, &mut oracle)] {
                into.append(&mut frame.rows[of]);
            }
        }
        let jump = ours.iter().position(|r| r.load == 300.0).unwrap();
        // six hours are not known, so the pool is a tenth of the pods; ten or eleven of them are a slot or two
        assert!((1..=2).contains(&ours[jump - 1].warm), "{:?}", ours[jump - 1]);
        // 15 pods stand on 4 nodes; two minutes after the first sync, the nodes for 30 pods are there
        assert_eq!((hpa[jump - 1].nodes, hpa[jump + 1].nodes, hpa[jump + 1].warm), (4, 8, 0));
        let (_, late) = hpa.split_at(jump);
        assert!(late[..9].iter().all(|r| r.ready <= 16), "only the last slot of the old nodes is free");
        assert!(late[9..].iter().any(|r| r.ready > 16));
        assert!(oracle.iter().all(|r| r.unserved == 0.0 && r.nodes == r.pods.div_ceil(4).max(r.nodes.min(8))));
    }

    #[test]
    fn a_run_is_a_function_of_its_seed() {
        let run = |seed| {
            let mut c = Comparison::new(scenario(), trace(), seed).unwrap();
            while c.advance().is_some() {}
            c.worlds()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }

    #[test]
    fn a_start_outside_the_trace_is_refused() {
        let late = Scenario { live_from: Time::from_secs(999_999), ..scenario() };
        let problem = Comparison::new(late, trace(), 1).unwrap_err();
        assert!(problem.to_string().contains("live_from between"), "{problem}");
    }
}
