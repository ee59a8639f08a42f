//! `forescale backtest`: what the decisions would have been on recorded history, and how they would have served.

use super::backtest_pool::{self, PoolArgs};
use super::calendar::CalendarArgs;
use super::history::HistoryArgs;
use crate::backtest::{self, Scores, Setting};
use crate::error::{Failure, Problem};
use crate::history::csv;
use crate::series::Series;
use crate::tick::Record;
use crate::units::{APPEND_ZONE, LeadTime, Replicas, Time, parse_budget, parse_duration};
use anyhow::Context;
use rayon::prelude::*;
use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "daemon")]
const EXAMPLES: &str = "Examples:
  forescale backtest --history load.csv --capacity-per-replica 120 --max-replicas 50 --lead-time 3m
  forescale backtest --peak-replicas 40 --history a.csv b.csv c.csv.gz
  forescale backtest --peak-replicas 40 --node-lead-time 8m --pods-per-node 10 --history a.csv b.csv
  forescale backtest --capacity-per-replica 120 --source-url http://prometheus:9090 \\
    --query 'sum(rate(http_requests_total[1m]))'";
#[cfg(not(feature = "daemon"))]
const EXAMPLES: &str = "Example:
  forescale backtest --history load.csv --capacity-per-replica 120 --max-replicas 50 --lead-time 3m";

/// Replay recorded load through the very same decisions as live, and score them.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    history: HistoryArgs,
    /// More CSV files, each a history of its own: all cores work on them
    #[arg(value_name = "FILE", conflicts_with_all = ["decisions", "forecasts", "log"])]
    more: Vec<PathBuf>,
    /// Load that one replica serves, in the unit of the history
    #[arg(long, value_name = "LOAD", value_parser = positive, allow_negative_numbers = true, required_unless_present = "peak_replicas")]
    capacity_per_replica: Option<f64>,
    /// Instead of a capacity: replicas that serve 99.9 % of the scored samples, known with hindsight
    #[arg(long, value_name = "N", conflicts_with = "capacity_per_replica", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    peak_replicas: Option<Replicas>,
    /// Lower bound
    #[arg(long, default_value_t = 1, value_name = "N")]
    min_replicas: Replicas,
    /// Upper bound
    #[arg(long, default_value_t = 400, value_name = "N")]
    max_replicas: Replicas,
    /// From decision to serving
    #[arg(long, default_value = "3m", value_parser = parse_duration, value_name = "DURATION")]
    lead_time: Duration,
    /// Share of the load that may go unserved, such as 0.1%
    #[arg(long, default_value = "0.1%", value_parser = parse_budget, value_name = "SHARE")]
    unserved_budget: f64,
    /// First instant that is scored [default: after 7 days of history, or 2 if there are fewer than 10]
    #[arg(long, value_parser = time, value_name = "TIME")]
    score_from: Option<Time>,
    /// IANA zone of the seasons
    #[arg(long, default_value = "UTC", value_parser = super::zone, value_name = "ZONE")]
    time_zone: String,
    #[command(flatten)]
    calendar: CalendarArgs,
    /// Write decisions: timestamp,desired_replicas
    #[arg(long, value_parser = super::output, value_name = "FILE")]
    decisions: Option<PathBuf>,
    /// Write forecasts: origin,horizon_seconds,window_seconds,quantile,value
    #[arg(long, value_parser = super::output, value_name = "FILE")]
    forecasts: Option<PathBuf>,
    /// Write a decision log for `forescale replay`: JSON lines
    #[arg(long, value_parser = super::output, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Write scores
    #[arg(long, value_parser = super::output, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    pool: PoolArgs,
}

fn positive(text: &str) -> Result<f64, String> {
    text.parse::<f64>().ok().filter(|v| v.is_finite() && *v > 0.0).ok_or_else(|| "expected a positive number".into())
}

/// Each output in a file of its own: the later one would replace the earlier.
fn different_files(args: &Args) -> Result<(), Problem> {
    let outputs = [
        ("--decisions", &args.decisions),
        ("--forecasts", &args.forecasts),
        ("--log", &args.log),
        ("--json", &args.json),
    ];
    for (i, (name, path)) in outputs.iter().enumerate() {
        let Some(path) = path.as_ref().filter(|p| p.is_file() || !p.exists()) else { continue };
        if let Some((other, _)) = outputs.iter().take(i).find(|(_, earlier)| earlier.as_ref() == Some(path)) {
            let found = format!("{} for {other} too", path.display());
            return Err(Problem::new(*name, "a file of its own", found).help("give each output another name"));
        }
    }
    Ok(())
}

pub(super) fn time(text: &str) -> Result<Time, String> {
    Time::parse(text).map_err(|e| if Time::lacks_zone(text) { format!("{e}; {APPEND_ZONE}") } else { e.to_string() })
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Failure> {
    if args.min_replicas > args.max_replicas {
        return Err(Problem::new(
            "--min-replicas",
            format!("at most --max-replicas {}", args.max_replicas),
            args.min_replicas.to_string(),
        )
        .into());
    }
    different_files(args)?;
    args.calendar.occasions()?;
    let first = args.history.read(args.lead_time)?;
    scorable(args, "--history", &first)?;
    if args.more.is_empty() && args.pool.node_lead_time.is_none() {
        return one(args, &first);
    }
    let mut histories = vec![("--history".to_owned(), first)];
    for path in &args.more {
        let (name, series) = (csv::name(path), super::history::read_file(path, args.lead_time)?);
        scorable(args, &name, &series)?;
        histories.push((name, series));
    }
    if let Some(lead) = args.pool.node_lead_time {
        let capacity = args.capacity_per_replica.ok_or(args.peak_replicas.unwrap_or(1));
        let json = backtest_pool::run(&args.pool, lead, &histories, setting(args), capacity)?;
        return write(&args.json, &|| json.to_string() + "\n");
    }
    let bar = indicatif::ProgressBar::new(histories.len() as u64);
    let results: Vec<(String, Report)> = histories
        .par_iter()
        .map(|(name, series)| {
            let report = Report::new(args, series, None).0;
            bar.inc(1);
            (name.clone(), report)
        })
        .collect();
    bar.finish_and_clear();
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{:<28} {:>10} {:>13} {:>9} {:>9} {:>6}",
        "history", "unserved", "replica-hours", "x enough", "HPA 70 %", "kept"
    );
    for (name, report) in &results {
        let (ours, hpa) = (&report.scores, &report.hpa);
        let kept = if ours.unserved_fraction <= args.unserved_budget { "yes" } else { "no" };
        let unserved = format!("{:.4} %", ours.unserved_fraction * 100.0);
        let _ = writeln!(
            out,
            "{name:<28} {unserved:>10} {:>13.1} {:>9.3} {:>9.3} {kept:>6}",
            ours.replica_hours, ours.cost, hpa.cost
        );
    }
    super::print(&out)?;
    let files: Vec<_> = results
        .iter()
        .map(
            |(name, report)| serde_json::json!({ "history": name, "scores": report.scores, "rivals": report.rivals() }),
        )
        .collect();
    write(&args.json, &|| serde_json::json!({ "files": files }).to_string() + "\n")
}

/// What was asked for; the capacity is not known yet.
fn setting(args: &Args) -> Setting {
    Setting {
        capacity_per_replica: 1.0,
        min_replicas: args.min_replicas,
        max_replicas: args.max_replicas,
        lead_time: LeadTime(args.lead_time),
        unserved_budget: args.unserved_budget,
        score_from: args.score_from,
        time_zone: args.time_zone.clone(),
        occasions: args.calendar.occasions().unwrap_or_default(),
    }
}

/// A history without a measured load from the first scored instant on has no scores, which is not the same as zeros.
fn scorable(args: &Args, name: &str, series: &Series) -> Result<(), Problem> {
    let from = backtest::score_from(series, &setting(args));
    if series.iter().any(|(at, sample)| at >= from && sample.valid().is_some()) {
        return Ok(());
    }
    let last = series.at(series.len().saturating_sub(1));
    Err(Problem::new(name, format!("measured load from {from} on, which is scored"), format!("none up to {last}"))
        .help("the first two days are learned from, a week where there are ten: bring more history, or an earlier --score-from"))
}

/// Our scores, and those of yardsticks.
struct Report {
    scores: Scores,
    hpa: Scores,
    oracle: Scores,
    fixed: Option<Scores>,
}

impl Report {
    fn new(args: &Args, series: &Series, log: Option<&mut dyn FnMut(Record)>) -> (Report, backtest::Backtest) {
        let mut setting = setting(args);
        setting.capacity_per_replica = match (args.capacity_per_replica, args.peak_replicas) {
            (Some(capacity), _) => capacity,
            (None, peak) => backtest::capacity_for_peak(series, &setting, peak.unwrap_or(1)),
        };
        let result = backtest::run(series, &setting, log);
        let from = result.score_from;
        let score = |desired: &[Replicas]| backtest::score(series, &setting, from, desired);
        let fixed = backtest::fixed(series, &setting, from, args.unserved_budget);
        let report = Report {
            scores: result.scores,
            hpa: score(&backtest::hpa(series, &setting, 0.7)),
            oracle: score(&backtest::oracle(series, &setting)),
            fixed: fixed.map(|n| score(&vec![n; series.len()])),
        };
        (report, result)
    }

    fn rivals(&self) -> serde_json::Value {
        serde_json::json!({ "hpa_70_percent": self.hpa, "fixed_with_hindsight": self.fixed, "perfect_foresight": self.oracle })
    }
}

fn one(args: &Args, series: &Series) -> Result<(), Failure> {
    let mut log = match &args.log {
        Some(path) => {
            let file = std::fs::File::create(path).with_context(|| format!("{}: cannot be written", path.display()))?;
            Some(std::io::BufWriter::new(file))
        }
        None => None,
    };
    let mut failed = Ok(());
    let mut record = |record: Record| {
        if let (Some(log), Ok(())) = (&mut log, &failed) {
            failed = writeln!(log, "{}", record.to_line());
        }
    };
    let (report, result) = Report::new(args, series, args.log.is_some().then_some(&mut record));
    failed.and_then(|()| log.map_or(Ok(()), |mut log| log.flush())).context("--log: cannot be written")?;
    write(&args.decisions, &|| result.decisions_csv())?;
    write(&args.forecasts, &|| result.forecasts_csv())?;
    let json = serde_json::json!({
        "scores": report.scores,
        "rivals": report.rivals(),
        "score_from": result.score_from,
        "unserved_budget": args.unserved_budget,
    });
    write(&args.json, &|| json.to_string() + "\n")?;
    let mut out = String::new();
    let _ = writeln!(out, "scored from {} on, budget {} %\n", result.score_from, args.unserved_budget * 100.0);
    let _ = writeln!(
        out,
        "{:<34} {:>10} {:>10} {:>13} {:>9} {:>6}",
        "", "unserved", "worst day", "replica-hours", "x enough", "churn"
    );
    let fixed = report.fixed.map(|scores| ("a fixed number, known afterwards", scores));
    let rows =
        [("forescale", report.scores), ("HPA at 70 %", report.hpa), ("perfect oracle, same lead", report.oracle)];
    for (name, s) in rows.into_iter().chain(fixed) {
        let percent = |share: f64| format!("{:.4} %", share * 100.0);
        let _ = writeln!(
            out,
            "{name:<34} {:>10} {:>10} {:>13.1} {:>9.3} {:>6.2}",
            percent(s.unserved_fraction),
            percent(s.worst_day_unserved_fraction),
            s.replica_hours,
            s.cost,
            s.churn
        );
    }
    let _ = writeln!(
        out,
        "\nunserved: share of the load that met no ready replica; x enough: ready replicas over what is just enough"
    );
    for (candidate, weight) in result.mixture.iter().take(SHOWN) {
        let _ = writeln!(out, "decided {:>3.0} % by {candidate}", weight * 100.0);
    }
    super::print(&out)
}

/// Candidates that are named in the report.
const SHOWN: usize = 5;

fn write(path: &Option<PathBuf>, text: &dyn Fn() -> String) -> Result<(), Failure> {
    match path {
        Some(path) => {
            Ok(std::fs::write(path, text()).with_context(|| format!("{}: cannot be written", path.display()))?)
        }
        None => Ok(()),
    }
}
