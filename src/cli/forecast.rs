//! `forescale forecast`: the load to come, from recorded load.

use super::history::HistoryArgs;
use crate::error::Failure;
use crate::forecast::{Task, fit};
use crate::report::fan;
use crate::series::{Evidence, Quality, Sample, Series};
use crate::tick::COMMITMENT;
use anyhow::Context;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

/// Minutes ahead that are shown.
const MINUTES: [u64; 7] = [1, 3, 5, 10, 15, 30, 60];

/// Forecast the load of the next hour from recorded load: a fan of quantiles, and whom it believes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  forescale forecast --history load.csv --time-zone Europe/Berlin")]
pub struct Args {
    #[command(flatten)]
    history: HistoryArgs,
    /// IANA zone of the seasons
    #[arg(long, default_value = "UTC", value_parser = super::zone, value_name = "ZONE")]
    time_zone: String,
    /// Print forecast and explanation as JSON
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print the forecast as CSV: origin,horizon_seconds,quantile,value
    #[arg(long)]
    csv: bool,
    /// Write a page with a chart
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let measured = args.history.read(Duration::from_secs(3600))?;
    let step = measured.step();
    let mut horizons = MINUTES.map(|m| step.cover(Duration::from_secs(60 * m))).to_vec();
    horizons.dedup();
    let task = Task { step, horizons, window: step.cover(COMMITMENT), time_zone: args.time_zone.clone() };
    let mut quality = Quality::new(step, &args.time_zone);
    let lessons = measured.iter().map(|(at, sample)| match sample {
        Sample::Valid(load) => quality.judge(at, Some(load), Evidence::default()).0,
        other => other,
    });
    let fitted = fit(&Series::of(measured.at(0), step, lessons), &task);
    let (forecast, explanation) = (fitted.predict(), fitted.explain());
    if let Some(path) = &args.html {
        let minutes = |at: crate::units::Time| (at.secs() - forecast.origin.secs()) as f64 / 60.0;
        let recent: Vec<(f64, f64)> = measured
            .iter()
            .filter_map(|(at, s)| Some((minutes(at), s.measured()?)))
            .filter(|(minutes, _)| *minutes >= -360.0)
            .collect();
        std::fs::write(path, fan::html(&forecast, step, &recent))
            .with_context(|| format!("{}: cannot be written", path.display()))?;
    }
    let text = if args.json {
        serde_json::json!({ "forecast": forecast, "explanation": explanation }).to_string() + "\n"
    } else if args.csv {
        fan::csv(&forecast, step)
    } else {
        let now = measured.iter().next_back().and_then(|(_, s)| s.measured());
        fan::text(&forecast, &explanation, step, now)
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::Failed(e.into())),
        _ => Ok(()),
    }
}
