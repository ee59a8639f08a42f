//! `forescale status`: what a running daemon does for every workload, as `kubectl get` would say it.

use super::statez::DaemonArgs;
use crate::config::Mode;
use crate::daemon::{GuardState, PoolState, Statez, WorkloadState, reason_name};
use crate::error::Failure;
use crate::history::Spending;
use crate::plan::SourceState;
use crate::plan::guard::{GuardOutcome, Span};
use crate::units::{Time, duration};
use std::time::Duration;

/// What a running daemon does for every workload.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  forescale status
  kubectl -n forescale port-forward deploy/forescale 8080 &
  forescale status --url http://127.0.0.1:8080 --json")]
pub struct Args {
    #[command(flatten)]
    daemon: DaemonArgs,
    /// How to print it
    #[arg(short, long, value_name = "FORM", default_value = "table", value_parser = ["table", "json"])]
    output: String,
    /// Print JSON, as -o json does
    #[arg(long, conflicts_with = "output")]
    json: bool,
    /// Only this namespace
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let mut statez = args.daemon.statez()?;
    if let Some(namespace) = &args.namespace {
        statez.workloads.retain(|w| w.workload.namespace == *namespace);
    }
    if args.json || args.output == "json" {
        return super::print_json(&statez);
    }
    let pools: String = pools(&statez).iter().map(|line| format!("{line}\n")).collect();
    super::print(&(table(&statez) + &pools))?;
    for line in notes(&statez) {
        eprintln!("{line}");
    }
    Ok(())
}

const HEAD: [&str; 9] = ["NAMESPACE", "NAME", "MODE", "LOAD", "READY", "FLOOR", "REASON", "SOURCE", "AGE"];

/// The table: columns padded to their widest cell.
pub(super) fn table(statez: &Statez) -> String {
    let mut rows: Vec<[String; 9]> = vec![HEAD.map(str::to_string)];
    rows.extend(statez.workloads.iter().map(|w| row(w, statez.at)));
    let mut widths = [0; HEAD.len()];
    for row in &rows {
        widths.iter_mut().zip(row).for_each(|(width, cell)| *width = cell.chars().count().max(*width));
    }
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("   ").trim_end());
        text.push('\n');
    }
    text
}

fn row(w: &WorkloadState, now: Time) -> [String; 9] {
    let mode = match w.mode {
        Some(Mode::Act) => "act",
        Some(Mode::Observe) => "observe",
        None => "invalid",
    };
    let load = w.metrics.first().and_then(|m| m.newest).map_or("-".into(), |(_, load)| number(load));
    let floor = match (w.floor, w.own_floor) {
        (Some(floor), Some(own)) => format!("{floor} (yours {own})"),
        (Some(floor), None) => floor.to_string(),
        (None, _) => "-".into(),
    };
    let floor = if w.mode == Some(Mode::Observe) && w.floor.is_some() { format!("would be {floor}") } else { floor };
    let reason = match (&w.decision, w.learning) {
        _ if w.stopped.is_some() => "stopped".into(),
        _ if !w.problems.is_empty() => "invalid".into(),
        (Some(d), _) => reason_name(d.plan.reason),
        (None, true) => "learning".into(),
        (None, false) => "-".into(),
    };
    let state = w.metrics.iter().map(|m| match m.source {
        SourceState::Fresh => "fresh",
        SourceState::Stale => "stale",
        SourceState::Failing { .. } => "failing",
    });
    let source = state.max_by_key(|s| ["fresh", "stale", "failing"].iter().position(|o| o == s)).unwrap_or("-");
    let age = w.decision.as_ref().map_or("-".into(), |d| age(now.since(d.at)));
    [
        w.workload.namespace.clone(),
        w.workload.name.clone(),
        mode.into(),
        load,
        format!("{}/{}", w.observation.ready, w.observation.replicas),
        floor,
        reason,
        source.into(),
        age,
    ]
}

/// A line for each warm pool, and what is wrong with it.
pub(super) fn pools(statez: &Statez) -> Vec<String> {
    statez.pools.iter().flat_map(pool).collect()
}

/// A warm pool in a line, and one for each thing that is wrong with it.
pub(super) fn pool(pool: &PoolState) -> Vec<String> {
    let backend = pool.backend.as_deref().unwrap_or("not written");
    let reason = pool.reason.map_or("no workload".into(), |r| {
        serde_json::to_value(r).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
    });
    let hits = pool.hit_rate.map_or(String::new(), |h| format!(", enough in {:.2} % of the last week", h * 100.0));
    let expiring = match pool.expiring {
        0 => String::new(),
        slots => format!(", {slots} of them for nodes that expire within a ramp"),
    };
    let (slots, ready, members, name) = (pool.slots, pool.ready, pool.members.len(), &pool.name);
    let lead = duration::format(pool.lead);
    let mut lines = vec![format!(
        "warm pool {name}: {slots} slots ({reason}){expiring}, {ready} there, {backend}, for {members} workloads, node lead {lead}{hits}"
    )];
    lines.extend(pool.problems.iter().map(|p| format!("warm pool {name}: {p}")));
    lines
}

fn notes(statez: &Statez) -> Vec<String> {
    let lease = &statez.lease;
    let mut lines = Vec::new();
    if statez.workloads.is_empty() {
        lines.push("No workload has opted in: kubectl annotate deployment NAME forescale.dev/mode=observe".into());
    }
    match (lease.held, &lease.error, lease.holder.is_empty()) {
        (true, ..) => {}
        (false, Some(error), _) => lines.push(format!("This copy does not write: {error}")),
        (false, None, true) => lines.push("This copy does not write: nobody holds the lease".into()),
        (false, None, false) => lines.push(format!("This copy does not write: {} holds the lease", lease.holder)),
    }
    lines.extend(statez.watches.iter().map(|w| format!("Watch fails: {w}")));
    lines.extend(statez.problems.iter().cloned());
    lines.extend(statez.guards.iter().map(|g| guard(g, statez.at)));
    lines.extend(statez.spending.iter().map(|(source, spending)| cost(source, spending)));
    lines.extend(statez.workloads.iter().flat_map(|w| {
        let stop = w.stopped.iter().map(|s| format!("{}: stopped by {s}", w.workload));
        w.problems.iter().cloned().chain(stop).chain(w.write_error.iter().map(|e| format!("{}: {e}", w.workload)))
    }));
    lines
}

/// A NodePool that is guarded, or would be, in one line.
pub(super) fn guard(guard: &GuardState, now: Time) -> String {
    let of = guard.workloads.join(", ");
    let span = |s: &Span| if s.holds(now) { format!("until {}", s.to) } else { format!("from {} to {}", s.from, s.to) };
    let spans = |all: &[Span]| all.iter().take(3).map(span).collect::<Vec<_>>().join(", ");
    let head = match (&guard.problem, guard.outcome, guard.mode) {
        (Some(problem), ..) => format!("not guarded: {problem}"),
        (None, GuardOutcome::Contested, _) => format!(
            "guards are taken away by somebody: {} nodes carry karpenter.sh/do-not-disrupt instead",
            guard.marked_nodes
        ),
        (None, _, Mode::Observe) if guard.wanted.is_empty() => "no ramp ahead".into(),
        (None, _, Mode::Observe) => format!("would be guarded {}", spans(&guard.wanted)),
        (None, ..) if !guard.standing.is_empty() => format!("guarded {}", spans(&guard.standing)),
        (None, ..) => format!("will be guarded {}", spans(&guard.wanted)),
    };
    let of = if of.is_empty() { of } else { format!(" (ramps of {of})") };
    let waves: String = guard.waves.iter().map(|w| format!("; {w}")).collect();
    format!("NodePool {}: {head}{of}{waves}", guard.pool)
}

/// What a source that is paid for costs.
fn cost(source: &str, spending: &Spending) -> String {
    let capped = if spending.capped { "; the cap holds requests back, so samples grow stale" } else { "" };
    format!(
        "Source {source}: {} metrics asked for in the last hour (at most {}), about ${:.2} a month{capped}",
        spending.metrics_last_hour, spending.max_metrics_per_hour, spending.dollars_per_month
    )
}

/// Four significant digits at most.
pub(super) fn number(value: f64) -> String {
    let decimals = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

/// As kubectl has it: 5s, 3m, 2h, 4d.
pub(super) fn age(age: Duration) -> String {
    match age.as_secs() {
        s if s < 120 => format!("{s}s"),
        s if s < 7200 => format!("{}m", s / 60),
        s if s < 172_800 => format!("{}h", s / 3600),
        s => format!("{}d", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_can_be_pasted_from_the_help() {
        let command = <Args as clap::Args>::augment_args(clap::Command::new("status"));
        let help = command.get_after_help().unwrap().to_string();
        assert!(help.contains("port-forward"), "{help}");
        for line in help.lines() {
            assert!(line.len() <= 80 && !line.contains("&  "), "{line:?} is wrapped");
        }
    }

    #[test]
    fn what_a_source_costs_and_its_cap_are_said() {
        let mut spending = Spending {
            metrics_last_hour: 30_000,
            metrics_total: 90_000,
            dollars_per_month: 219.0,
            max_metrics_per_hour: 100_000,
            capped: false,
        };
        let said = "Source aws: 30000 metrics asked for in the last hour (at most 100000), about $219.00 a month";
        assert_eq!(cost("aws", &spending), said);
        spending.capped = true;
        assert_eq!(cost("aws", &spending), format!("{said}; the cap holds requests back, so samples grow stale"));
    }
}
