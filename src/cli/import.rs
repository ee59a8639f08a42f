//! `forescale import`: the schedules people have today, as windows.

use crate::clock::{Clock, SystemClock};
use crate::error::{Failure, Problem};
use crate::policy::import::{Imported, import};
use std::fmt::Write as _;
use std::io::Read;
use std::path::PathBuf;

/// Turn CronHPA objects, KEDA cron triggers and CronJobs that run `kubectl scale` into schedules.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  kubectl get cronhpa,scaledobject,cronjob -A -o yaml | forescale import -\n\nNothing is written to the cluster: the annotations are printed, with the minutes of the week to come in which they\nwould ask for another number than the original does."
)]
pub struct Args {
    /// YAML or JSON of Kubernetes objects (- for standard input)
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
    let (mut imported, mut problems, mut skipped) = (Vec::new(), Vec::new(), 0);
    for file in &args.files {
        let mut text = String::new();
        let name = file.display().to_string();
        match name.as_str() {
            "-" => std::io::stdin().read_to_string(&mut text).map(drop),
            _ => std::fs::read_to_string(file).map(|content| text = content),
        }
        .map_err(|e| Problem::new(&name, "a readable YAML or JSON file of UTF-8 text", e.to_string()))?;
        let (found, wrong, others) = import(&name, &text, &args.time_zone, now);
        imported.extend(found);
        problems.extend(wrong);
        skipped += others;
    }
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
