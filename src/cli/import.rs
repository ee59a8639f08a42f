//! `forescale import`: the schedules people have today, as windows.

use crate::clock::{Clock, SystemClock};
use crate::error::{Failure, Problem};
use crate::policy::import::{Imported, import};
use std::fmt::Write as _;
use std::path::PathBuf;

/// Turn CronHPA objects, KEDA cron triggers and CronJobs that run `kubectl scale` into schedules.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  kubectl get cronjob -A -o yaml | forescale import - --time-zone Europe/Berlin\n  kubectl get scaledobject -A -o yaml | forescale import -\n\nNothing is written to the cluster: the annotations are printed, with the minutes of the week to come in which they\nwould ask for another number than the original does."
)]
pub struct Args {
    /// YAML or JSON of Kubernetes objects, read as one text (- for standard input)
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Zone of objects that say none (CronHPA and CronJobs run on their controller's clock)
    #[arg(long, default_value = "UTC", value_parser = super::zone, value_name = "ZONE")]
    time_zone: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let now = SystemClock.now();
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for file in &args.files {
        let name = file.display().to_string();
        let text = match name.as_str() {
            "-" => std::io::read_to_string(std::io::stdin()),
            _ => std::fs::read_to_string(file),
        };
        match text {
            Ok(text) => files.push((name, text)),
            Err(e) => problems.push(Problem::new(name, "a readable YAML or JSON file of UTF-8 text", e.to_string())),
        }
    }
    if files.is_empty() {
        return Err(Failure::Usage(problems));
    }
    let texts: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let (imported, found, skipped) = import(&texts, &args.time_zone, now);
    problems.extend(found);
    match args.json {
        true => super::print_json(&imported)?,
        false => super::print(&imported.iter().map(show).collect::<Vec<_>>().join("\n"))?,
    }
    if skipped > 0 {
        eprintln!("{skipped} objects that schedule no replicas skipped");
    }
    if problems.is_empty() { Ok(()) } else { Err(Failure::Usage(problems)) }
}

fn show(imported: &Imported) -> String {
    let mut out = format!("# {}, from {}\n", imported.workload, imported.from);
    for note in &imported.notes {
        let _ = writeln!(out, "# note: {note}");
    }
    for (name, value) in imported.annotations() {
        let _ = match value.contains([' ', '\n']) {
            true => writeln!(out, "{name}: |\n  {}", value.replace('\n', "\n  ")),
            false if value.parse::<u64>().is_ok() => writeln!(out, "{name}: \"{value}\""),
            false => writeln!(out, "{name}: {value}"),
        };
    }
    match imported.difference.len() {
        0 => out.push_str("# the week to come: the same number in every minute\n"),
        n => {
            let _ = writeln!(out, "# the week to come: {n} stretches differ");
            for stretch in &imported.difference {
                let _ = writeln!(
                    out,
                    "#   {} to {}: was {}, would be {}",
                    stretch.from, stretch.to, stretch.was, stretch.would_be
                );
            }
        }
    }
    out
}
