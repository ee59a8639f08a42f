//! `forescale forecast`: the load to come, from recorded load.

use super::calendar::CalendarArgs;
use super::history::HistoryArgs;
use crate::error::{Failure, Problem};
use crate::forecast::{Fitted, LEVELS, QuantileForecast, SLOT, Task, day_ahead, fit};
use crate::report::fan;
use crate::series::{Calendar, Evidence, Quality, Sample, Series};
use crate::tick::COMMITMENT;
use crate::units::{Step, Time};
use anyhow::Context;
use std::path::PathBuf;
use std::time::Duration;

/// Minutes ahead that are shown.
const MINUTES: [u64; 7] = [1, 3, 5, 10, 15, 30, 60];

/// Forecast the load of the next hour from recorded load: a fan of quantiles, and whom it believes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  forescale forecast --history load.csv --time-zone Europe/Berlin
  forescale forecast --history load.csv --day-ahead --csv")]
pub struct Args {
    #[command(flatten)]
    history: HistoryArgs,
    /// IANA zone of the seasons
    #[arg(long, default_value = "UTC", value_parser = super::zone, value_name = "ZONE")]
    time_zone: String,
    #[command(flatten)]
    calendar: CalendarArgs,
    /// Compare with every expert alone, from this time on: `versus` in the JSON
    #[arg(long, value_name = "TIME", requires = "json", conflicts_with = "day_ahead", value_parser = super::backtest::time)]
    rate_from: Option<Time>,
    /// The next 24 hours by quarters of an hour, from the calendar alone: for planning, it moves no replicas
    #[arg(long)]
    day_ahead: bool,
    /// Print forecast and explanation as JSON
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print the forecast as CSV: origin,horizon_seconds,quantile,value
    #[arg(long)]
    csv: bool,
    /// Write a page with a chart
    #[arg(long, value_parser = super::output, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let measured = args.history.read(Duration::from_secs(3600))?;
    let step = measured.step();
    let mut horizons = MINUTES.map(|m| step.cover(Duration::from_secs(60 * m))).to_vec();
    horizons.dedup();
    let occasions = args.calendar.occasions()?;
    let window = step.cover(COMMITMENT);
    let task = Task { step, horizons, window, time_zone: args.time_zone.clone(), occasions };
    let mut quality = Quality::new(step, &args.time_zone).with(&task.occasions);
    let lessons = measured.iter().map(|(at, sample)| match sample {
        Sample::Valid(load) => quality.judge(at, Some(load), Evidence::default()).0,
        other => other,
    });
    let believed = Series::of(measured.at(0), step, lessons);
    if args.day_ahead {
        let calendar = Calendar::new(&args.time_zone, step).with(&task.occasions);
        return tomorrow(args, &measured, &believed, &calendar);
    }
    let fitted = match args.rate_from {
        None => fit(&believed, &task),
        Some(from) => rated(&believed, &task, from),
    };
    let (forecast, explanation) = (fitted.predict(), fitted.explain());
    if let Some(path) = &args.html {
        page(path, &forecast, step, &measured, 360.0)?;
    }
    let text = if args.json {
        serde_json::json!({ "forecast": forecast, "explanation": explanation }).to_string() + "\n"
    } else if args.csv {
        fan::csv(&forecast, step)
    } else {
        let now = measured.iter().next_back().and_then(|(_, s)| s.measured());
        fan::text(&forecast, &explanation, step, now)
    };
    super::print(&text)
}

/// Fits, and follows every expert from `from` on.
fn rated(history: &Series, task: &Task, from: Time) -> Fitted {
    let mut fitted = fit(&Series::new(history.at(0), history.step(), 1), task);
    let mut followed = false;
    for (at, sample) in history.iter() {
        if at >= from && !followed {
            followed = true;
            fitted.rate();
        }
        fitted.observe(at, sample);
    }
    fitted
}

/// Shows the day ahead.
fn tomorrow(args: &Args, measured: &Series, believed: &Series, calendar: &Calendar) -> Result<(), Failure> {
    let Some(ahead) = day_ahead(believed, calendar) else {
        let found = format!("{} samples", measured.len());
        return Err(Problem::new("--day-ahead", "at least two days of history that can be believed", found).into());
    };
    let (as_fan, slot) = (fan::of_day(&ahead), Step::from_secs(SLOT.as_secs() as u32).unwrap_or(Step::MINUTE));
    if let Some(path) = &args.html {
        page(path, &as_fan, slot, measured, 1440.0)?;
    }
    let zone = jiff::tz::TimeZone::get(&args.time_zone).unwrap_or(jiff::tz::TimeZone::UTC);
    super::print(&match (args.json, args.csv) {
        (true, _) => serde_json::json!({ "day_ahead": ahead, "levels": LEVELS }).to_string() + "\n",
        (_, true) => fan::csv(&as_fan, slot),
        _ => fan::day(&ahead, &zone),
    })
}

/// Writes a page that shows the last `minutes` of load, too.
fn page(
    path: &std::path::Path,
    forecast: &QuantileForecast,
    step: Step,
    measured: &Series,
    minutes: f64,
) -> anyhow::Result<()> {
    let ago = |at: Time| (at.secs() - forecast.origin.secs()) as f64 / 60.0;
    let recent: Vec<(f64, f64)> = measured
        .iter()
        .filter_map(|(at, s)| Some((ago(at), s.measured()?)))
        .filter(|(ago, _)| *ago >= -minutes)
        .collect();
    std::fs::write(path, fan::html(forecast, step, &recent))
        .with_context(|| format!("{}: cannot be written", path.display()))
}
