//! `forescale train`: weekly archetypes from a folder of traces.

use crate::error::{Failure, Problem};
use crate::history::csv;
use crate::rng;
use crate::series::{Series, detect_step, grid};
use crate::train::{Learned, Outcome, Profile, learn, profile, trial};
use crate::units::{Time, duration};
use anyhow::Context;
use rayon::prelude::*;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Learn the shapes of a week from a folder of traces, and try whether they help a workload that is hours old.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  forescale train --traces ./traces --name weekly --time-zone Europe/Berlin
  forescale train --traces ./traces --archetypes 8 --seed 7 --json

Writes models/NAME/weights.json (the archetypes) and models/NAME/card.json: what they were learned from, with hashes, and
the trial: each trace is left out once and forecast from 6 to 24 hours of its own history. Forecasts do not use a model;
docs/training.md says why.")]
pub struct Args {
    /// Folder of CSV files of time,value (plain or .gz), a trace each, of a week or more
    #[arg(long, value_name = "FOLDER")]
    traces: PathBuf,
    /// Name of the model
    #[arg(long, default_value = "weekly", value_parser = name, value_name = "NAME")]
    name: String,
    /// Folder in which the model gets its own folder
    #[arg(long, default_value = "models", value_name = "FOLDER")]
    out: PathBuf,
    /// Archetypes, at most
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=64), value_name = "N")]
    archetypes: u8,
    /// Seed of every random choice
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// IANA zone in which the traces' users live
    #[arg(long, default_value = "UTC", value_parser = super::zone, value_name = "ZONE")]
    time_zone: String,
    /// Print the card as JSON
    #[arg(long)]
    json: bool,
}

fn name(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    match !text.is_empty() && text.len() <= 60 && text.chars().all(good) {
        true => Ok(text.to_owned()),
        false => Err("expected lower-case letters, digits and -, at most 60".into()),
    }
}

/// One trace of the folder.
struct Trace {
    file: String,
    sha256: String,
    series: Series,
    profile: Profile,
}

/// What stands in the card of a trace.
#[derive(Serialize)]
struct Lineage {
    file: String,
    sha256: String,
    from: Time,
    to: Time,
    step: String,
    archetype: usize,
    /// None: too short or too coarse to be tried.
    trial: Option<Outcome>,
}

#[derive(Serialize)]
struct Skipped {
    file: String,
    why: String,
}

#[derive(Serialize)]
struct Card {
    name: String,
    build: &'static str,
    seed: u64,
    time_zone: String,
    archetypes: usize,
    /// Share of the profiles' variance that the principal components hold.
    explained: f64,
    traces: Vec<Lineage>,
    skipped: Vec<Skipped>,
    trial: Option<Summary>,
    weights_sha256: String,
}

/// Geometric means over the traces, of errors relative to the forecaster's without a prior.
#[derive(Serialize)]
struct Summary {
    traces: usize,
    level: f64,
    prior: f64,
    prior_and_forecaster: f64,
    level_and_forecaster: f64,
    helps: bool,
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let files = files(&args.traces)?;
    let bar = indicatif::ProgressBar::new(2 * files.len() as u64);
    let read: Vec<Result<Trace, Skipped>> = files
        .par_iter()
        .map(|file| {
            let read = trace(file, &args.time_zone);
            bar.inc(1);
            read
        })
        .collect();
    let (mut traces, mut skipped) = (Vec::new(), Vec::new());
    for one in read {
        match one {
            Ok(trace) => traces.push(trace),
            Err(why) => skipped.push(why),
        }
    }
    let count = usize::from(args.archetypes);
    let stream = |what: &str| rng::stream(args.seed, what);
    let all: Vec<&Profile> = traces.iter().map(|t| &t.profile).collect();
    let learned = learn(&all, count, &mut stream("train")).ok_or_else(|| {
        let found = format!("{} of {} files", traces.len(), files.len());
        let why = skipped.first().map_or_else(String::new, |s| format!("{}: {}", s.file, s.why));
        Problem::new(args.traces.display().to_string(), "at least two traces of a week or more", found).help(why)
    })?;
    let outcomes: Vec<Option<Outcome>> = traces
        .par_iter()
        .enumerate()
        .map(|(i, trace)| {
            let others: Vec<&Profile> = all.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, p)| *p).collect();
            let left_out = learn(&others, count, &mut stream("train"));
            bar.inc(1);
            trial(&trace.series, &args.time_zone, &left_out?.archetypes)
        })
        .collect();
    bar.finish_and_clear();
    let card = write(args, learned, traces, skipped, outcomes)?;
    show(args, &card)
}

/// The CSV files of a folder, by name.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable =
        |e: std::io::Error| Problem::new(folder.display().to_string(), "a folder of CSV files", e.to_string());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
        if name.ends_with(".csv") || name.ends_with(".csv.gz") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn trace(path: &Path, zone: &str) -> Result<Trace, Skipped> {
    let file = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let skipped = |why: String| Skipped { file: file.clone(), why };
    let bytes = std::fs::read(path).map_err(|e| skipped(e.to_string()))?;
    let points = csv::unpack(&bytes, &file)
        .and_then(|text| csv::parse(&text, &file))
        .map_err(|problem| skipped(problem.to_string()))?;
    let step = detect_step(&points).ok_or_else(|| skipped("one row".into()))?;
    let series = grid(&points, step).map_err(|e| skipped(e.to_string()))?;
    let profile = profile(&series, zone).ok_or_else(|| {
        skipped("expected a week of load or more, at every time of day, at steps of an hour or less".into())
    })?;
    Ok(Trace { sha256: hash(&bytes), file, series, profile })
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// Writes the model's two files.
fn write(
    args: &Args,
    learned: Learned,
    traces: Vec<Trace>,
    skipped: Vec<Skipped>,
    outcomes: Vec<Option<Outcome>>,
) -> Result<Card, Failure> {
    let folder = args.out.join(&args.name);
    let place = |what: &str| format!("{}: cannot be {what}", folder.display());
    let weights = serde_json::json!({ "version": 1, "slots": crate::train::SLOTS, "archetypes": learned.archetypes });
    let weights = weights.to_string() + "\n";
    let summary = summary(&outcomes);
    let lineage = traces.iter().zip(&learned.members).zip(&outcomes).map(|((trace, archetype), outcome)| Lineage {
        file: trace.file.clone(),
        sha256: trace.sha256.clone(),
        from: trace.series.at(0),
        to: trace.series.at(trace.series.len().saturating_sub(1)),
        step: duration::format(trace.series.step().duration()),
        archetype: *archetype,
        trial: *outcome,
    });
    let card = Card {
        name: args.name.clone(),
        build: env!("CARGO_PKG_VERSION"),
        seed: args.seed,
        time_zone: args.time_zone.clone(),
        archetypes: learned.archetypes.len(),
        explained: learned.explained,
        traces: lineage.collect(),
        skipped,
        trial: summary,
        weights_sha256: hash(weights.as_bytes()),
    };
    std::fs::create_dir_all(&folder).with_context(|| place("made"))?;
    std::fs::write(folder.join("weights.json"), &weights).with_context(|| place("written"))?;
    let text = serde_json::to_string_pretty(&card).with_context(|| place("shown as JSON"))? + "\n";
    std::fs::write(folder.join("card.json"), text).with_context(|| place("written"))?;
    Ok(card)
}

fn summary(outcomes: &[Option<Outcome>]) -> Option<Summary> {
    let tried: Vec<&Outcome> = outcomes.iter().flatten().filter(|o| o.without > 0.0).collect();
    let mean = |of: fn(&Outcome) -> f64| {
        (tried.iter().map(|o| (of(o) / o.without).max(1e-12).ln()).sum::<f64>() / tried.len() as f64).exp()
    };
    (!tried.is_empty()).then(|| {
        let (level, prior) = (mean(|o| o.level), mean(|o| o.prior));
        let (prior_and_forecaster, level_and_forecaster) = (mean(|o| o.both), mean(|o| o.level_both));
        // what the level of now alone can do is no merit of the archetypes
        let helps = prior < 0.98 * level && prior_and_forecaster < 0.98 * level_and_forecaster;
        Summary { traces: tried.len(), level, prior, prior_and_forecaster, level_and_forecaster, helps }
    })
}

fn show(args: &Args, card: &Card) -> Result<(), Failure> {
    if args.json {
        return super::print_json(card);
    }
    let mut out = String::new();
    let share = |one: f64| format!("{:.0} %", 100.0 * one);
    let _ =
        writeln!(out, "{} archetypes of {} traces, {} skipped", card.archetypes, card.traces.len(), card.skipped.len());
    for skipped in &card.skipped {
        let _ = writeln!(out, "skipped {}: {}", skipped.file, skipped.why);
    }
    let _ = writeln!(out, "the principal components hold {} of the variance", share(card.explained));
    if let Some(trial) = &card.trial {
        let _ = writeln!(
            out,
            "\nan hour ahead, from 6 to 24 hours of history, each trace left out once; error relative to the forecaster's:"
        );
        let _ = writeln!(out, "  the level of now                {:.3}", trial.level);
        let _ = writeln!(out, "  with what the archetypes tell   {:.3}", trial.prior);
        let _ = writeln!(out, "  mean of level and forecaster    {:.3}", trial.level_and_forecaster);
        let _ = writeln!(out, "  mean of prior and forecaster    {:.3}", trial.prior_and_forecaster);
        let _ = writeln!(
            out,
            "the archetypes {} a workload that is hours old",
            if trial.helps { "help" } else { "do not help" }
        );
    }
    let _ = writeln!(out, "\nwritten to {}", args.out.join(&args.name).display());
    super::print(&out)
}
