//! The HPA of the simulated cluster against Kubernetes' own code, schedule windows against robfig/cron v3, and disruption
//! budgets against Karpenter's own code, case by case.
//!
//! `FORESCALE_DIFFERENTIAL` names a file with the cases and the real answers, a JSON object a line, as
//! `tests/cluster/go/differential` and `tests/cluster/go/karpenter/budgets` print them; `tests/cluster/run` makes it. Without it the recorded cases of
//! `tests/data/differential.jsonl` are compared, so that a machine without Go checks something too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may fail")]

use forescale::plan::guard::{Allowed, Budget, allowed};
use forescale::policy::schedule;
use forescale::simulate::hpa::{
    Amount, Behaviour, Hpa, PodMetric, Rules, ScalingPolicy, Select, Target, Tolerance, of_total, per_pod,
};
use forescale::units::{Replicas, Time};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Case {
    Pods(MetricCase),
    Utilization(MetricCase),
    ExternalPerPod(MetricCase),
    Behaviour(BehaviourCase),
    Cron(CronCase),
    Budgets(BudgetsCase),
}

#[derive(Deserialize)]
struct BudgetsCase {
    budgets: Vec<Budget>,
    at_ms: i64,
    nodes: u64,
    /// Of each entry; None: its schedule cannot be read.
    active: Vec<Option<bool>>,
    /// By reason.
    allowed: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct CronCase {
    zone: String,
    spec: String,
    error: String,
    samples: Vec<CronSample>,
}

#[derive(Deserialize)]
struct CronSample {
    at: i64,
    active: bool,
}

#[derive(Deserialize)]
struct MetricCase {
    pods: Vec<Pod>,
    request: i64,
    target: i64,
    current: Replicas,
    tolerance_down: f64,
    tolerance_up: f64,
    want: Option<Replicas>,
}

#[derive(Deserialize)]
struct Pod {
    state: String,
    value: i64,
}

#[derive(Deserialize)]
struct BehaviourCase {
    current: Replicas,
    desired: Replicas,
    min: Replicas,
    max: Replicas,
    up: RulesCase,
    down: RulesCase,
    recommendations: Vec<Dated>,
    ups: Vec<Dated>,
    downs: Vec<Dated>,
    want: Replicas,
}

#[derive(Deserialize)]
struct RulesCase {
    window_seconds: u64,
    select: Select,
    policies: Vec<PolicyCase>,
}

#[derive(Deserialize)]
struct PolicyCase {
    r#type: String,
    value: Replicas,
    period_seconds: u64,
}

#[derive(Deserialize)]
struct Dated {
    age_seconds: u64,
    replicas: Replicas,
}

impl MetricCase {
    fn pods(&self) -> Vec<PodMetric> {
        let pod = |p: &Pod| match p.state.as_str() {
            "ready" => PodMetric::Ready(p.value),
            "missing" => PodMetric::Missing,
            _ => PodMetric::Unready,
        };
        self.pods.iter().map(pod).collect()
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance { down: self.tolerance_down, up: self.tolerance_up }
    }
}

impl RulesCase {
    fn rules(&self) -> Rules {
        let policy = |p: &PolicyCase| ScalingPolicy {
            amount: if p.r#type == "Pods" { Amount::Pods(p.value) } else { Amount::Percent(p.value) },
            period: Duration::from_secs(p.period_seconds),
        };
        Rules {
            window: Duration::from_secs(self.window_seconds),
            select: self.select,
            policies: self.policies.iter().map(policy).collect(),
        }
    }
}

/// What a case comes to: replicas (None is an error of the metric), or the instants at which a window of a minute is
/// active (None: the expression is refused), or which budgets are active and how many nodes may go for each reason.
#[derive(Debug, PartialEq)]
enum Answer {
    Replicas(Option<Replicas>),
    Active(Option<Vec<i64>>),
    Disruptions(Vec<Option<bool>>, BTreeMap<String, u64>),
}

/// Karpenter's "no limit".
const UNLIMITED: u64 = i32::MAX as u64;

fn budget_answers(c: &BudgetsCase) -> (Answer, Answer) {
    let now = Time::from_millis(c.at_ms);
    let active = c.budgets.iter().map(|b| b.window().ok().map(|w| w.active(now))).collect();
    let count = |reason: &String| match allowed(&c.budgets, now, c.nodes, reason) {
        Allowed::Nodes(count) => count,
        Allowed::Unlimited => UNLIMITED,
    };
    let ours = c.allowed.keys().map(|reason| (reason.clone(), count(reason))).collect();
    (Answer::Disruptions(active, ours), Answer::Disruptions(c.active.clone(), c.allowed.clone()))
}

fn cron_answers(c: &CronCase) -> (Answer, Answer) {
    let real: Vec<i64> = c.samples.iter().filter(|s| s.active).map(|s| s.at).collect();
    let window = schedule::parse(&format!("{} 1m {} min=1", c.spec, c.zone));
    let ours = window.ok().map(|windows| {
        let active = |s: &&CronSample| schedule::floor(&windows, Time::from_secs(s.at), Duration::ZERO).is_some();
        c.samples.iter().filter(active).map(|s| s.at).collect()
    });
    (Answer::Active(ours), Answer::Active(c.error.is_empty().then_some(real)))
}

/// Our answer and the real one.
fn answers(case: &Case) -> (Answer, Answer) {
    let (ours, real) = match case {
        Case::Cron(c) => return cron_answers(c),
        Case::Budgets(c) => return budget_answers(c),
        Case::Pods(c) => (per_pod(&c.pods(), Target::AverageValue(c.target), c.current, c.tolerance()), c.want),
        Case::Utilization(c) => {
            let target = Target::Utilization { percent: c.target, request: c.request };
            (per_pod(&c.pods(), target, c.current, c.tolerance()), c.want)
        }
        Case::ExternalPerPod(c) => {
            let total = c.pods.iter().map(|p| p.value).sum();
            (Some(of_total(total, c.target, c.current, c.tolerance())), c.want)
        }
        Case::Behaviour(c) => {
            let now = Time::from_secs(1_000_000);
            // the real clock has moved on by a little when it looks: half a second stands for it, there and here
            let dated = |all: &[Dated]| {
                let at = |d: &Dated| now - Duration::from_millis(d.age_seconds * 1000 + 500);
                all.iter().map(|d| (at(d), d.replicas)).collect::<Vec<_>>()
            };
            let behaviour = Behaviour { up: c.up.rules(), down: c.down.rules() };
            let (recommendations, ups, downs) = (dated(&c.recommendations), dated(&c.ups), dated(&c.downs));
            let mut hpa = Hpa::remembering(behaviour, recommendations, ups, downs);
            (Some(hpa.normalized(now, c.current, c.desired, (c.min, c.max))), Some(c.want))
        }
    };
    (Answer::Replicas(ours), Answer::Replicas(real))
}

#[test]
fn ours_is_the_real_one() {
    let recorded = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/differential.jsonl");
    let file = std::env::var("FORESCALE_DIFFERENTIAL").unwrap_or_else(|_| recorded.to_owned());
    let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{file}: {e}"));
    let mut compared = 0;
    for line in text.lines() {
        let case: Case = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        let (ours, real) = answers(&case);
        assert_eq!(ours, real, "add this line to tests/data/differential.jsonl:\n{line}");
        compared += 1;
    }
    assert!(compared >= 1000, "{file} has only {compared} cases");
    println!("{compared} cases, no difference");
}
