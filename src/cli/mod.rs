//! The command line: one file a subcommand. Each builds the ends, calls the middle and hands the result to `report`.

mod backtest;
mod backtest_pool;
mod calendar;
#[cfg(feature = "cloudwatch")]
mod cloudwatch;
#[cfg(feature = "daemon")]
mod cluster;
mod demo;
#[cfg(feature = "daemon")]
mod explain;
mod forecast;
mod history;
#[cfg(feature = "daemon")]
mod hold;
mod import;
#[cfg(feature = "daemon")]
mod leadtime;
mod lint;
#[cfg(feature = "daemon")]
mod release;
mod replay;
#[cfg(feature = "daemon")]
mod run;
mod simulate;
#[cfg(feature = "daemon")]
mod source;
#[cfg(feature = "daemon")]
mod statez;
#[cfg(feature = "daemon")]
mod status;
mod train;

use crate::error::Failure;
use anyhow::Context;
use clap::{Parser, Subcommand};
use std::io::Write;
use std::process::ExitCode;

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 usage or config.";

/// Predictive autoscaling for Kubernetes: replicas that are there before the load is.
#[derive(Debug, Parser)]
#[command(name = "forescale", version, after_help = EXIT_CODES, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Backtest(Box<backtest::Args>),
    Forecast(Box<forecast::Args>),
    Import(import::Args),
    Lint(Box<lint::Args>),
    Replay(replay::Args),
    #[cfg(feature = "daemon")]
    Run(run::Args),
    #[cfg(feature = "daemon")]
    Status(status::Args),
    #[cfg(feature = "daemon")]
    Explain(explain::Args),
    #[cfg(feature = "daemon")]
    Leadtime(leadtime::Args),
    #[cfg(feature = "daemon")]
    Release(release::Args),
    #[cfg(feature = "daemon")]
    Hold(hold::Args),
    Demo(demo::Args),
    Simulate(simulate::Args),
    Train(train::Args),
}

/// Runs the program with the process's arguments.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Backtest(args) => backtest::run(&args),
        Command::Forecast(args) => forecast::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Lint(args) => lint::run(&args),
        Command::Replay(args) => replay::run(&args),
        #[cfg(feature = "daemon")]
        Command::Run(args) => run::run(&args),
        #[cfg(feature = "daemon")]
        Command::Status(args) => status::run(&args),
        #[cfg(feature = "daemon")]
        Command::Explain(args) => explain::run(&args),
        #[cfg(feature = "daemon")]
        Command::Leadtime(args) => leadtime::run(&args),
        #[cfg(feature = "daemon")]
        Command::Release(args) => release::run(&args),
        #[cfg(feature = "daemon")]
        Command::Hold(args) => hold::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Train(args) => train::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            match failure {
                Failure::Failed(_) => ExitCode::from(1),
                Failure::Usage(_) => ExitCode::from(2),
            }
        }
    }
}

/// Writes to standard output. A reader that has gone away (`| head`) is no reason to stop.
fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::Failed(e.into())),
        _ => Ok(()),
    }
}

/// A value as JSON for people and programs.
fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    print(&(serde_json::to_string_pretty(value).context("cannot be shown as JSON")? + "\n"))
}

/// A file that is to be written: refused before the work is done, not after it.
fn output(text: &str) -> Result<std::path::PathBuf, String> {
    let path = std::path::PathBuf::from(text);
    if path.is_dir() {
        return Err("expected a file; found a folder: add a file name".into());
    }
    match path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        Some(folder) => {
            let folder = folder.display();
            Err(format!("expected a file in a folder that is there; found no folder {folder}: mkdir -p {folder}"))
        }
        None => Ok(path),
    }
}

/// An IANA time zone of the command line.
fn zone(text: &str) -> Result<String, String> {
    match jiff::tz::TimeZone::get(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("expected an IANA time zone such as Europe/Berlin".into()),
    }
}

/// The configuration of a command: file, environment, `--set`, and `--mode` last.
#[cfg(feature = "daemon")]
fn config(
    file: Option<&std::path::Path>,
    set: &[String],
    mode: Option<&str>,
) -> Result<crate::config::Config, Failure> {
    let mut flags = set.to_vec();
    flags.extend(mode.map(|mode| format!("mode={mode}")));
    crate::config::Config::load(file, std::env::vars(), &flags).map_err(Failure::Usage)
}
