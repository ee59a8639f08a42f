//! `forescale explain NS/NAME`: what binds the floor of one workload now, in a few lines.

use super::statez::{DaemonArgs, find};
use super::status::{age, number};
use crate::actuate::{Outcome, Target};
use crate::config::Mode;
use crate::daemon::{LeadSource, MetricState, Statez, WorkloadState, reason_name};
use crate::error::Failure;
use crate::forecast::{LEVELS, Trust};
use crate::plan::{Parts, Reason, SourceState};
use crate::policy::LoadMetric;
use crate::units::duration;

/// What binds the floor of one workload now, and what would change it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  forescale explain shop/web\n  forescale explain shop/web --json")]
pub struct Args {
    /// The workload
    #[arg(value_name = "NAMESPACE/NAME")]
    workload: String,
    /// Print what the daemon knows of it as JSON, with the lines of the explanation
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    daemon: DaemonArgs,
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let statez = args.daemon.statez()?;
    let workload = find(&statez, &args.workload)?;
    let lines = lines(&statez, workload);
    match args.json {
        true => super::print_json(&serde_json::json!({ "workload": workload, "explanation": lines })),
        false => super::print(&(lines.join("\n") + "\n")),
    }
}

/// The explanation.
pub(super) fn lines(statez: &Statez, w: &WorkloadState) -> Vec<String> {
    let mut lines = vec![headline(statez, w)];
    lines.extend(w.problems.iter().map(|p| format!("  wrong: {p}")));
    lines.extend(w.stopped.iter().map(|s| format!("  nothing is written: stopped by {s}")));
    lines.extend(w.write_error.iter().map(|e| format!("  the last write failed: {e}")));
    let Some(policy) = &w.policy else { return lines };
    let lead = duration::format(policy.lead_time.0);
    if let Some(decision) = &w.decision {
        let plan = &decision.plan;
        lines.push(format!("  wants {} replicas {}: {}", plan.replicas, age_of(statez, w), meaning(plan.reason)));
        lines.push(format!("  made of: {}", parts(&plan.parts)));
    } else if w.learning {
        lines.push("  history is being fetched and learned from; no decision yet".into());
    }
    lines.push(lead_time(w, &lead));
    for (i, metric) in policy.metrics.iter().enumerate() {
        let state = w.metrics.get(i);
        let load = state
            .and_then(|s| s.newest)
            .map_or("unknown".into(), |(at, load)| format!("{} ({} ago)", number(load), age(statez.at.since(at))));
        let source = match state.map(|s| &s.source) {
            Some(SourceState::Fresh) | None => String::new(),
            Some(SourceState::Stale) => "; no recent sample".into(),
            Some(SourceState::Failing { error }) => format!("; failing: {error}"),
        };
        let capacity = capacity(w, metric);
        lines.push(format!("  load: {load}, one replica serves {capacity}; source {}{source}", metric.source));
        lines.push(format!("    query: {}", metric.query));
        let forecast = w.decision.as_ref().and_then(|d| d.forecasts.get(i)?.as_ref());
        match forecast {
            Some(f) => {
                if let Some(why) = &f.abstains {
                    lines.push(format!("  the forecast abstains: {why:?}"));
                }
                if let Some(window) = f.window(statez.step.cover(policy.lead_time.0)) {
                    let fan: Vec<String> = LEVELS
                        .iter()
                        .zip(&window.values)
                        .map(|(l, v)| format!("{}% {}", l * 100.0, number(*v)))
                        .collect();
                    lines.push(format!("  largest load from {lead} ahead: {}", fan.join(", ")));
                }
            }
            None => lines.push("  no forecast yet".into()),
        }
        lines.extend(state.and_then(mixture));
        lines.extend(state.and_then(|s| s.trust.as_ref()).map(trusted));
    }
    let own = w.workload.to_string();
    let guards = statez.guards.iter().filter(|g| g.workloads.contains(&own));
    lines.extend(guards.map(|g| format!("  {}", super::status::guard(g, statez.at))));
    let pools = statez.pools.iter().filter(|p| p.members.contains(&own));
    lines.extend(pools.flat_map(super::status::pool).map(|line| format!("  {line}")));
    lines.extend(w.notes.iter().map(|n| format!("  note: {n}")));
    lines.push(format!("  to change it: {}", advice(w)));
    lines
}

/// What one replica serves, and who says so.
fn capacity(w: &WorkloadState, metric: &LoadMetric) -> String {
    let number = number(metric.capacity_per_replica);
    let Some(state) = w.capacity.as_ref().filter(|_| metric.learned.is_some()) else { return number };
    let known =
        state.known.map(|known| format!(" of {} steps, {} at best", known.steps, super::status::number(known.load)));
    let regressed = state.regression.as_ref().map(|r| {
        format!("; version {} serves {:.0}% less than the one before", r.version, 100.0 * (1.0 - r.now / r.before))
    });
    let regressed = regressed.unwrap_or_default();
    match state.in_force {
        Some(_) => format!("{number} (learned{}{regressed})", known.unwrap_or_default()),
        None if metric.capacity_per_replica > 0.0 => format!("{number} (its target, until more is learned)"),
        None => "what is still to be learned".into(),
    }
}

/// Candidates that are named; the others are summed up.
const NAMED: usize = 5;

/// Which candidates decide, and by how much.
fn mixture(state: &MetricState) -> Option<String> {
    let (first, rest) = state.candidates.split_at_checked(NAMED).unwrap_or((&state.candidates, &[]));
    let named: Vec<String> = first.iter().map(|(name, weight)| format!("{:.0}% {name}", weight * 100.0)).collect();
    let others = match rest.iter().map(|(_, weight)| weight).sum::<f32>() {
        0.0 => String::new(),
        weight => format!("; {:.0}% {} others", weight * 100.0, rest.len()),
    };
    let price = state.price.map(|p| format!(" (a missed budget costs {p:.1} replicas)")).unwrap_or_default();
    (!first.is_empty()).then(|| format!("  decided by{price}: {}{others}", named.join("; ")))
}

/// How far the forecast can be trusted, and whose it is.
fn trusted(trust: &Trust) -> String {
    let share = |s: Option<f64>| s.map_or("unknown".into(), |s| format!("{:.1}%", 100.0 * s));
    let held: Vec<String> = trust
        .coverage
        .iter()
        .map(|c| format!("{}% held {} (worst day {})", 100.0 * c.level, share(c.overall), share(c.worst_day)))
        .collect();
    let experts: Vec<String> =
        trust.experts.iter().map(|(expert, w)| format!("{:.0}% {}", w * 100.0, expert.name())).collect();
    let loss = match (trust.versus_seasonal_naive, trust.versus_reactive) {
        (Some(naive), Some(reactive)) => {
            format!("; its loss is {naive:.2} of seasonal naive's and {reactive:.2} of reacting's")
        }
        _ => "; less than a day of outcomes yet".into(),
    };
    format!("  the forecast's {}{loss}; it believes {}", held.join(", "), experts.join(", "))
}

/// The lead time that is planned for, and by which path starts took how long.
fn lead_time(w: &WorkloadState, lead: &str) -> String {
    let from = match w.lead.from {
        LeadSource::Annotation => "your annotation",
        LeadSource::Config => "the config",
        LeadSource::Learned => "its own starts",
    };
    let whole = w.lead.lines.iter().filter(|l| l.phase.is_none());
    let paths: Vec<String> = whole
        .map(|l| {
            let few = if l.p95.prior { ", too few to tell" } else { "" };
            format!("{} P95 {} of {} starts{few}", l.path, duration::format(l.p95.value), l.p95.ended)
        })
        .collect();
    let seen = if paths.is_empty() { "no start seen yet".into() } else { paths.join("; ") };
    let pace = w.lead.pods_per_second.map(|p| format!("; {p} pods a second can be created")).unwrap_or_default();
    format!("  lead time: {lead} by {from} ({seen}{pace})")
}

fn headline(statez: &Statez, w: &WorkloadState) -> String {
    let place = match &w.target {
        Some(Target::Hpa { name }) => format!("minReplicas of HPA {name}"),
        Some(Target::ScaledObject { name }) => format!("minReplicaCount of ScaledObject {name}"),
        Some(Target::Scale) => "replicas (no autoscaler)".into(),
        None => "floor".into(),
    };
    let own = w.own_floor.map_or("not set".into(), |n| n.to_string());
    let floor = match (w.floor, w.mode) {
        (Some(n), Some(Mode::Act)) => format!("{place} is {n}, yours is {own}"),
        (Some(n), _) => format!("{place} is {own}, and would be {n} in mode act"),
        (None, _) => format!("{place} is yours, {own}"),
    };
    let writer = if statez.lease.held { "" } else { " (this copy does not write)" };
    format!("{}: {floor}; {} of {} ready{writer}", w.workload, w.observation.ready, w.observation.replicas)
}

fn age_of(statez: &Statez, w: &WorkloadState) -> String {
    w.decision.as_ref().map_or(String::new(), |d| format!("as of {} ago", age(statez.at.since(d.at))))
}

fn parts(parts: &Parts) -> String {
    let named = [
        ("needed now", parts.reactive),
        ("ahead of the load", parts.forecast),
        ("schedule", parts.schedule),
        ("held", parts.hold),
    ];
    let known: Vec<String> = named.iter().filter_map(|(n, v)| v.map(|v| format!("{n} {v}"))).collect();
    if known.is_empty() { "nothing is known".into() } else { known.join(", ") }
}

fn meaning(reason: Reason) -> String {
    let words = match reason {
        Reason::Reactive => "the load of now needs them",
        Reason::Forecast => "the load to come needs them",
        Reason::Schedule => "a schedule asks for them",
        Reason::MinReplicas => "your lower bound",
        Reason::MaxReplicas => "your upper bound stops it there",
        Reason::RiseLimited => "on the way up, limited in rate",
        Reason::FallLimited => "on the way down, limited in rate",
        Reason::HoldStale => "held, because there are no fresh samples",
        Reason::HoldRollout => "held, because a rollout is under way",
        Reason::HoldOutage => "held for an hour after an outage, or a fall that no day had at this time",
        Reason::HoldRestart => "held, because the program has just started",
        Reason::Surge => "the load beats the forecast: full speed, no scale-in",
        Reason::ColdStart => "too little history to look ahead; reacting only",
        Reason::Abstains => "the forecast is not good enough here; reacting only",
        Reason::Blocked => "pods cannot be created, so it rises no further",
        Reason::HoldOperator => "held by an operator",
        Reason::NoGain => "the load only follows the replicas, so more of them are no help: it rises no further",
    };
    format!("{words} ({})", reason_name(reason))
}

fn advice(w: &WorkloadState) -> &'static str {
    let reason = w.decision.as_ref().map(|d| d.plan.reason);
    match (w.mode, w.outcome, reason) {
        (None, ..) => "put the annotations right",
        (_, Some(Outcome::Contested | Outcome::Yielded), _) => {
            "somebody else sets this value; it is left alone for 10 minutes. Leave the field out of Git, or set mode observe"
        }
        (Some(Mode::Observe), ..) => "set mode act in the config and in the annotation forescale.dev/mode",
        (_, _, Some(Reason::MaxReplicas)) => "raise the autoscaler's upper bound",
        (_, _, Some(Reason::Blocked)) => "raise the quota that stops pods",
        (_, _, Some(Reason::NoGain)) => "give a load that comes from outside: forescale.dev/load-query",
        (_, _, Some(Reason::HoldStale)) => "bring the source back",
        _ => "forescale.dev/unserved-budget (more budget, fewer replicas), forescale.dev/lead-time, or your own bounds",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::{LeaseState, PoolState};
    use crate::plan::Observation;
    use crate::policy::{Policy, Workload, WorkloadKind};
    use crate::series::{Sample, Series};
    use crate::tick::{Inputs, Memory, MetricInputs, MetricMemory, tick};
    use crate::units::{LeadTime, Step, Time};
    use std::time::Duration;

    /// A daemon that has just decided about a load of 1,000, 100 a replica, of which 4 are ready.
    fn statez() -> Statez {
        let now = Time::from_secs(1_700_000_040);
        let policy = Policy {
            mode: Mode::Act,
            metrics: vec![LoadMetric {
                source: "main".into(),
                query: "sum(rate(requests_total[1m]))".into(),
                capacity_per_replica: 100.0,
                tenant: None,
                learned: None,
            }],
            min_replicas: 2,
            max_replicas: 50,
            lead_time: LeadTime(Duration::from_secs(180)),
            unserved_budget: 0.001,
            miss_cost: None,
            time_zone: "UTC".into(),
            schedules: Vec::new(),
            occasions: Vec::new(),
            hold: None,
            pods_per_second: None,
            slots: None,
        };
        let observation = Observation {
            at: now,
            replicas: 4,
            ready: 4,
            autoscaled: true,
            floor: Some(4),
            rollout: false,
            blocked: None,
            stopped: false,
            unhealthy: false,
            room: None,
        };
        let inputs = Inputs {
            metrics: vec![MetricInputs {
                samples: vec![Sample::Valid(1000.0)],
                source: SourceState::Fresh,
                capacity_per_replica: 100.0,
                settling: Duration::ZERO,
                reading: None,
            }],
            observation: observation.clone(),
        };
        let nothing = Series::new(now, Step::MINUTE, 1);
        let mut memory = Memory::new(vec![MetricMemory::learn(&nothing, &policy, 100.0)]);
        let decision = tick(now, &policy, &inputs, &mut memory);
        Statez {
            guards: Vec::new(),
            pools: Vec::new(),
            version: "1".into(),
            at: now + Duration::from_secs(5),
            mode: Mode::Act,
            step: Step::MINUTE,
            lease: LeaseState { held: true, ..LeaseState::default() },
            watches: Vec::new(),
            problems: Vec::new(),
            spending: Default::default(),
            lead_times: Vec::new(),
            workloads: vec![WorkloadState {
                workload: Workload { namespace: "shop".into(), name: "web".into(), kind: WorkloadKind::Deployment },
                mode: Some(Mode::Act),
                problems: Vec::new(),
                notes: Vec::new(),
                policy: Some(policy),
                observation,
                target: Some(Target::Hpa { name: "web".into() }),
                floor: Some(4),
                own_floor: Some(2),
                stopped: None,
                lead: Default::default(),
                capacity: None,
                outcome: None,
                write_error: None,
                metrics: vec![MetricState {
                    source: SourceState::Fresh,
                    newest: Some((now, 1000.0)),
                    doubted: None,
                    samples: 1,
                    candidates: vec![("load x 1.4, held 5 min".into(), 0.75), ("Day1 x 1 or load x 1".into(), 0.25)],
                    price: Some(2.0),
                    trust: None,
                }],
                peak_ahead: None,
                learning: false,
                decision: Some(decision),
            }],
        }
    }

    #[test]
    fn what_the_daemon_serves_is_explained_in_a_few_lines() {
        let served = serde_json::to_string(&statez()).unwrap();
        let statez: Statez = serde_json::from_str(&served).unwrap();
        let said = lines(&statez, find(&statez, "shop/web").unwrap()).join("\n");
        for words in [
            "shop/web: minReplicas of HPA web is 4, yours is 2; 4 of 4 ready",
            "replicas as of 5s ago: too little history to look ahead; reacting only (cold-start)",
            "needed now 10",
            "load: 1000 (5s ago), one replica serves 100; source main",
            "query: sum(rate(requests_total[1m]))",
            "lead time: 3m by the config (no start seen yet)",
            "decided by (a missed budget costs 2.0 replicas): 75% load x 1.4, held 5 min; 25% Day1 x 1 or load x 1",
            "to change it: ",
        ] {
            assert!(said.contains(words), "{words:?} is not in:\n{said}");
        }
        assert!(said.lines().count() <= 14, "a few lines:\n{said}");
        assert!(find(&statez, "shop/wbe").unwrap_err().to_string().contains("did you mean shop/web?"));
    }

    #[test]
    fn wrong_annotations_and_a_failing_source_are_named() {
        let mut statez = statez();
        if let Some(w) = statez.workloads.first_mut() {
            w.metrics[0].source = SourceState::Failing { error: "http://main: 503".into() };
            w.write_error = Some("patch horizontalpodautoscalers shop/web: forbidden".into());
        }
        let said = lines(&statez, &statez.workloads[0]).join("\n");
        assert!(said.contains("source main; failing: http://main: 503"), "{said}");
        assert!(said.contains("the last write failed: patch horizontalpodautoscalers"), "{said}");
        let members = vec!["shop/web".to_owned()];
        let lead = Duration::from_secs(90);
        statez.pools = vec![PoolState {
            name: "web".into(),
            slots: 7,
            ready: 5,
            expiring: 2,
            lead,
            members,
            ..PoolState::default()
        }];
        let said = lines(&statez, &statez.workloads[0]).join("\n");
        assert!(said.contains("warm pool web: 7 slots (no workload), 2 of them for nodes that expire within a ramp, 5 there, not written, for 1 workloads, node lead 90s"), "{said}");
        statez.workloads[0].policy = None;
        statez.workloads[0].mode = None;
        statez.workloads[0].problems = vec!["forescale.dev/mode: expected observe or act; found Act".into()];
        let said = lines(&statez, &statez.workloads[0]).join("\n");
        assert!(said.contains("wrong: forescale.dev/mode: expected observe or act; found Act"), "{said}");
    }
}
