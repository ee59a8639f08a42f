//! `forescale replay`: run a decision log again and say where it parts.

use crate::error::{Failure, Problem};
use crate::tick::{Replay, ReplayError};
use anyhow::Context;
use std::io::BufRead;
use std::path::PathBuf;

/// Longest line of a log, bytes: a start record holds a history.
const MAX_LINE: u64 = 1 << 28;

/// Run a decision log again: every decision must come out the same, byte for byte
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  forescale replay decisions.jsonl")]
pub struct Args {
    /// Decision log: JSON lines, as `run` and `backtest --log` write them (- for standard input)
    #[arg(value_name = "FILE")]
    log: PathBuf,
}

/// A line that is no part of a log, and what came before it.
fn unreadable(name: &str, error: ReplayError, same: usize) -> Problem {
    let problem = |line, expected: &str, found: &str| Problem::new(format!("{name}:{line}"), expected, found);
    let problem = match error {
        ReplayError::Unreadable(line, why) => problem(line, "a record of a decision log", &why),
        ReplayError::NoStart(line, workload) => {
            problem(line, &format!("a start record of {workload} before its first decision"), "none")
        }
        ReplayError::TooMany(line) => problem(line, "as many workloads as one replay follows", "more"),
        ReplayError::Differs(difference) => problem(difference.line, "the same decision", &difference.to_string()),
    };
    problem.help(format!("{same} decisions before it were the same"))
}

/// Runs it. The first difference is a failure.
pub fn run(args: &Args) -> Result<(), Failure> {
    let name = if args.log.as_os_str() == "-" { "standard input".into() } else { args.log.display().to_string() };
    let mut reader: Box<dyn BufRead> = if args.log.as_os_str() == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        let file = std::fs::File::open(&args.log);
        Box::new(std::io::BufReader::new(
            file.map_err(|e| Problem::new(&name, "a readable decision log", e.to_string()))?,
        ))
    };
    let mut replay = Replay::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut limited = std::io::Read::take(&mut reader, MAX_LINE);
        if limited.read_until(b'\n', &mut line).with_context(|| format!("{name}: cannot be read"))? == 0 {
            break;
        }
        match replay.line(&String::from_utf8_lossy(&line)) {
            Ok(()) => {}
            Err(ReplayError::Differs(difference)) => {
                return Err(
                    anyhow::anyhow!("{name}: {difference}; {} decisions before it were the same", replay.same).into()
                );
            }
            Err(error) => return Err(unreadable(&name, error, replay.same).into()),
        }
    }
    if replay.same == 0 {
        return Err(Problem::new(&name, "a decision log with at least one decision", "none")
            .help("`forescale run` with decision_log.path and `forescale backtest --log` write one")
            .into());
    }
    super::print(&format!("{} decisions, all the same\n", replay.same))
}
