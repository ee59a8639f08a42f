//! `forescale backtest --node-lead-time`: the histories together as the workloads of one warm pool.

use crate::backtest::{Group, PlanBy, PoolBacktest, PoolSetting, Setting, run_pool};
use crate::error::{Failure, Problem};
use crate::plan::pool::{OBJECTIVE, PoolTask, SLOTS_MAX};
use crate::series::Series;
use crate::units::{QuantileLevel, Replicas, duration, parse_duration, parse_share};
use std::fmt::Write as _;
use std::time::Duration;

/// What makes a backtest one of a pool.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct PoolArgs {
    /// From asking for a node to a pod that runs on it: the histories together are one warm pool of that lead
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub node_lead_time: Option<Duration>,
    /// Pods that fit on a node
    #[arg(long, value_name = "N", default_value_t = 10, requires = "node_lead_time", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pods_per_node: u32,
    /// Share of the time in which the pool is to be enough
    #[arg(long, value_name = "SHARE", requires = "node_lead_time", value_parser = parse_share)]
    pool_objective: Option<f64>,
    /// The most slots that the pool may have
    #[arg(long, value_name = "N", default_value_t = SLOTS_MAX, requires = "node_lead_time")]
    max_slots: u32,
}

/// Runs it: the report on standard output, and as JSON.
pub(super) fn run(
    args: &PoolArgs,
    lead: Duration,
    histories: &[(String, Series)],
    workload: Setting,
    capacity: Result<f64, Replicas>,
) -> Result<serde_json::Value, Failure> {
    let series: Vec<Series> = histories.iter().map(|(_, s)| s.clone()).collect();
    let group = Group::align(&series).map_err(|e| {
        Problem::new("--history", e.to_string(), "others").help("bring histories of one step, a week long or longer")
    })?;
    let objective = args.pool_objective.unwrap_or(OBJECTIVE);
    let objective = QuantileLevel::new(objective)
        .ok_or_else(|| Problem::new("--pool-objective", "a share between 0 and 1", objective.to_string()))?;
    let pool = PoolTask {
        lead,
        objective,
        max_slots: args.max_slots,
        time_zone: workload.time_zone.clone(),
        windows: Vec::new(),
    };
    let pod_lead = workload.lead_time.0;
    let setting = PoolSetting { workload, capacity, pool, pods_per_node: args.pods_per_node };
    let result = run_pool(&group, &setting);
    let moved = group.moved_weeks.iter().filter(|w| **w != 0).count();
    if moved > 0 {
        let moved = format!("{moved} of {} histories moved by whole weeks so that all overlap\n", histories.len());
        super::print(&moved)?;
    }
    super::print(&text(&result, pod_lead, lead))?;
    Ok(serde_json::json!({
        "histories": histories.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        "moved_weeks": group.moved_weeks,
        "pool": result,
    }))
}

fn text(result: &PoolBacktest, pod_lead: Duration, node_lead: Duration) -> String {
    let mut out = String::new();
    let percent = |share: f64| format!("{:.2} %", share * 100.0);
    let (hits, rule) = (result.hit_rate, result.factor_rule);
    let (low, high) = hits.interval;
    let _ = writeln!(out, "scored from {} on, {:.1} days\n", result.score_from, result.days);
    let _ = writeln!(
        out,
        "enough slots in     {} of the steps, aimed at {}",
        percent(hits.steps),
        percent(result.objective)
    );
    let _ = writeln!(out, "  whole days drawn  {} to {} (95 %)", percent(low), percent(high));
    let _ = writeln!(out, "  worst day         {}", percent(hits.worst_day));
    let _ = writeln!(out, "  of the pods       {}", percent(hits.pods));
    let changes = result.changes_per_hour;
    let _ = writeln!(out, "slot-hours          {:.1}, {changes:.1} changes an hour", result.slot_hours);
    let _ = writeln!(out, "node-hours          {:.1}", result.node_hours);
    let _ = writeln!(out, "factor rule         {:.1} slot-hours at the same hit-rate", rule.slot_hours);
    let _ = writeln!(out, "  (peak - baseline) {:.0} pods x {:.3}, known with hindsight", rule.swing, rule.factor);
    if rule.slot_hours > 0.0 {
        let _ = writeln!(out, "  ours against it   {:+.1} %", (result.slot_hours / rule.slot_hours - 1.0) * 100.0);
    }
    let total = duration::format(pod_lead + node_lead);
    let _ = writeln!(out, "\nthe same with each workload planned {total} ahead; no room: share of the needed pods\n");
    let _ = writeln!(out, "{:<20} {:^39} {:^29} {:^21}", "", "with a pool", "without", "without, as good");
    let _ = writeln!(
        out,
        "{:<20} {:>9} {:>8} {:>9} {:>10} {:>10} {:>8} {:>9} {:>11} {:>9}",
        "plan", "pod-hours", "slot-h", "enough", "no room", "pod-hours", "enough", "no room", "pod-hours", "saves"
    );
    for row in &result.plans {
        let (with, without) = (&row.with, &row.without);
        let as_good = row.as_good_hours.map_or("-".into(), |h| format!("{h:.0}"));
        let saves = row.as_good_hours.map_or("-".into(), |h| format!("{:.1} %", (1.0 - with.hours() / h) * 100.0));
        let _ = writeln!(
            out,
            "{:<20} {:>9.0} {:>8.0} {:>9} {:>10} {:>10.0} {:>8} {:>9} {as_good:>11} {saves:>9}",
            name(row.by),
            with.replica_hours,
            with.slot_hours,
            percent(with.hit_rate),
            format!("{:.4} %", with.lacking_fraction * 100.0),
            without.replica_hours,
            percent(without.hit_rate),
            format!("{:.4} %", without.lacking_fraction * 100.0),
        );
    }
    out
}

fn name(by: PlanBy) -> String {
    match by {
        PlanBy::Decision => "the decision layer".into(),
        PlanBy::Quantile(q) => format!("P{} of its forecast", q * 100.0),
    }
}
