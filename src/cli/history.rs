//! Which recorded load a command is about: a CSV file, or a query of a Prometheus or CloudWatch source.

use crate::error::{Failure, Problem};
use crate::history::{Points, csv};
use crate::series::{GridError, MAX_SAMPLES, Series, detect_step, grid};
use crate::units::{Step, duration};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where recorded load comes from.
#[derive(Debug, clap::Args)]
pub(super) struct HistoryArgs {
    /// CSV of time,value (plain or .gz, - for standard input)
    #[arg(long, value_name = "FILE")]
    #[cfg_attr(feature = "daemon", arg(required_unless_present = "server", conflicts_with = "server"))]
    #[cfg_attr(not(feature = "daemon"), arg(required = true))]
    history: Option<PathBuf>,
    #[cfg(feature = "daemon")]
    #[command(flatten)]
    source: super::source::SourceArgs,
}

impl HistoryArgs {
    /// Reads it and lays it on its grid; on standard error go progress and warnings, also one if its step is coarser than `lead_time`.
    pub(super) fn read(&self, lead_time: Duration) -> Result<Series, Failure> {
        let (name, points, step) = self.points()?;
        lay(&name, &points, step, lead_time)
    }

    fn points(&self) -> Result<(String, Points, Step), Failure> {
        match &self.history {
            Some(path) => file(path),
            #[cfg(feature = "daemon")]
            None => self.source.read(),
            #[cfg(not(feature = "daemon"))]
            None => Err(Problem::new("--history", "a file", "none").into()),
        }
    }
}

fn file(path: &Path) -> Result<(String, Points, Step), Failure> {
    let points = csv::read(path)?;
    let name = csv::name(path);
    let step = detect_step(&points).ok_or_else(|| match points.len() {
        1 => Problem::new(&name, "at least two rows", "one"),
        n => Problem::new(&name, "rows a second or more apart", format!("{n} rows within one second"))
            .help("sum them, or give a row a second"),
    })?;
    Ok((name, points, step))
}

/// One more CSV file, read like `--history`.
pub(super) fn read_file(path: &Path, lead_time: Duration) -> Result<Series, Failure> {
    let (name, points, step) = file(path)?;
    lay(&name, &points, step, lead_time)
}

fn lay(name: &str, points: &Points, step: Step, lead_time: Duration) -> Result<Series, Failure> {
    let series = grid(points, step).map_err(|e| match e {
        GridError::Empty => Problem::new(name, "at least one sample", "none"),
        GridError::TooLong(steps) => {
            let expected = format!("at most {MAX_SAMPLES} steps of {}", duration::format(step.duration()));
            Problem::new(name, expected, format!("{steps} from the first to the last row"))
                .help("is one timestamp far off?")
        }
    })?;
    if step.duration() > lead_time {
        let expected = format!("a step no longer than the lead time {}", duration::format(lead_time));
        let warning = Problem::new(name, expected, duration::format(step.duration()))
            .help("what rises within a step is seen too late: record the load at a finer step");
        eprintln!("warning: {warning}");
    }
    Ok(series)
}
