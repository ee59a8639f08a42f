//! `forescale backtest`: what the decisions would have been on recorded history, and how they would have served.

use super::history::HistoryArgs;
use crate::backtest::{self, Setting};
use crate::error::{Failure, Problem};
use crate::units::{LeadTime, Replicas, Time, parse_duration, parse_share};
use anyhow::Context;
use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "daemon")]
const EXAMPLES: &str = "Examples:
  forescale backtest --history load.csv --capacity-per-replica 120 --max-replicas 50 --lead-time 3m
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
    /// Load that one replica serves, in the unit of the history
    #[arg(long, value_name = "LOAD", value_parser = positive)]
    capacity_per_replica: f64,
    /// Lower bound
    #[arg(long, default_value_t = 1, value_name = "N")]
    min_replicas: Replicas,
    /// Upper bound
    #[arg(long, default_value_t = 400, value_name = "N")]
    max_replicas: Replicas,
    /// From decision to serving
    #[arg(long, default_value = "3m", value_parser = parse_duration, value_name = "DURATION")]
    lead_time: Duration,
    /// Share of the load that may go unserved
    #[arg(long, default_value = "0.1%", value_parser = parse_share, value_name = "PERCENT")]
    unserved_budget: f64,
    /// First instant that is scored [default: after 7 days of history, or 2 if there are fewer than 10]
    #[arg(long, value_parser = time, value_name = "TIME")]
    score_from: Option<Time>,
    /// IANA zone of the seasons
    #[arg(long, default_value = "UTC", value_name = "ZONE")]
    time_zone: String,
    /// Write decisions: timestamp,desired_replicas
    #[arg(long, value_name = "FILE")]
    decisions: Option<PathBuf>,
    /// Write forecasts: origin,horizon_seconds,window_seconds,quantile,value
    #[arg(long, value_name = "FILE")]
    forecasts: Option<PathBuf>,
    /// Write scores
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn positive(text: &str) -> Result<f64, String> {
    text.parse::<f64>().ok().filter(|v| v.is_finite() && *v > 0.0).ok_or_else(|| "expected a positive number".into())
}

fn time(text: &str) -> Result<Time, String> {
    Time::parse(text).map_err(|e| e.to_string())
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
    let series = args.history.read(args.lead_time)?;
    let setting = Setting {
        capacity_per_replica: args.capacity_per_replica,
        min_replicas: args.min_replicas,
        max_replicas: args.max_replicas,
        lead_time: LeadTime(args.lead_time),
        unserved_budget: args.unserved_budget,
        score_from: args.score_from,
        time_zone: args.time_zone.clone(),
    };
    let result = backtest::run(&series, &setting);
    let write = |path: &Option<PathBuf>, text: &dyn Fn() -> String| -> Result<(), Failure> {
        match path {
            Some(path) => {
                Ok(std::fs::write(path, text()).with_context(|| format!("{}: cannot be written", path.display()))?)
            }
            None => Ok(()),
        }
    };
    write(&args.decisions, &|| result.decisions_csv())?;
    write(&args.forecasts, &|| result.forecasts_csv())?;
    let json = serde_json::json!({ "scores": result.scores }).to_string() + "\n";
    write(&args.json, &|| json.clone())?;
    print!("{json}");
    Ok(())
}
