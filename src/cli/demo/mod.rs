//! `forescale demo`: the main job on embedded parts. A recorded trace is played to simulated clusters side by side, the
//! program learns, decides and writes in one of them exactly as it would in a real one.

#[cfg(feature = "daemon")]
mod page;
mod terminal;

use crate::clock::Stopwatch;
use crate::error::{Failure, Problem};
use crate::history::csv;
use crate::report::live::{Account, Live, Millis, Point, Subject};
use crate::series::{Series, detect_step, grid};
use crate::simulate::{Comparison, Contestant, Frame, Row, Scenario};
use crate::units::parse_duration;
use anyhow::Context;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SCENARIO: &str = include_str!("../../../config/demo/morning-ramp.toml");
const TRACE: &[u8] = include_bytes!("../../../config/demo/ms_mongo_app1_1m.csv.gz");

/// See it work in two minutes: a recorded morning ramp, with Forescale and with an HPA alone.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
No cluster, no network, no files: the trace and the clusters are built in.
Examples:
  forescale demo                      a live page and two days in two minutes
  forescale demo --headless --json    the same numbers at once, for scripts")]
pub struct Args {
    /// Simulated seconds per second; 1440 is a day in a minute
    #[arg(long, default_value_t = 1440.0, value_name = "FACTOR", value_parser = speed)]
    speed: f64,
    /// How much of the trace is played [default: 2d]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    live_for: Option<Duration>,
    /// Seed of the pods' start delays
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Port of the live page on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    port: u16,
    /// No page and no waiting: only the result
    #[arg(long)]
    headless: bool,
    /// The result as JSON
    #[arg(long)]
    json: bool,
    /// Write every 15-s step of every cluster as CSV
    #[arg(long, value_parser = crate::cli::output, value_name = "FILE")]
    record: Option<PathBuf>,
}

fn speed(text: &str) -> Result<f64, String> {
    let factor = text.trim_end_matches('x').parse::<f64>().ok();
    factor.filter(|v| (1.0..=1e6).contains(v)).ok_or_else(|| "expected a factor from 1 to 1000000".into())
}

/// Where the run is shown and how it is stopped; shared with the page's thread.
#[derive(Debug)]
struct Stage {
    live: Mutex<Live>,
    stop: AtomicBool,
    #[cfg(feature = "daemon")]
    was_read: AtomicBool,
    #[cfg(feature = "daemon")]
    end_was_read: AtomicBool,
}

impl Stage {
    fn with_live<T>(&self, f: impl FnOnce(&mut Live) -> T) -> T {
        // a poisoned lock still holds a whole story: every change of it is a single push
        f(&mut self.live.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let watch = Stopwatch::start();
    let scenario: Scenario = toml::from_str(SCENARIO).context("the built-in scenario cannot be read")?;
    let live_for = args.live_for.unwrap_or(scenario.live_for);
    let mut comparison = Comparison::new(scenario, trace()?, args.seed)?;
    let until = comparison.now() + live_for;
    if until > comparison.ends() {
        let longest = comparison.ends().since(comparison.now());
        return Err(Problem::new(
            "--live-for",
            format!("at most {}, the trace's end", crate::units::duration::format(longest)),
            crate::units::duration::format(live_for),
        )
        .into());
    }
    let mut record = args.record.as_ref().map(|path| Record::create(path)).transpose()?;
    let stage = Arc::new(Stage {
        live: Mutex::new(Live::new(subject(&comparison, until.into(), args))),
        stop: AtomicBool::new(false),
        #[cfg(feature = "daemon")]
        was_read: AtomicBool::new(false),
        #[cfg(feature = "daemon")]
        end_was_read: AtomicBool::new(false),
    });
    let mut terminal = terminal::Terminal::new(args.headless, args.json);
    terminal.opening(&comparison, until, args.seed, watch.elapsed());
    #[cfg(feature = "daemon")]
    let _server = if args.headless {
        None
    } else {
        let server = page::serve(args.port, stage.clone())?;
        terminal.page(server.port());
        Some(server)
    };

    let step = comparison.step().duration();
    let began = watch.elapsed();
    let mut played = Duration::ZERO;
    while comparison.now() < until && !stage.stop.load(Ordering::Relaxed) {
        let Some(frame) = comparison.advance() else { break };
        if let Some(record) = &mut record {
            record.write(&frame)?;
        }
        if args.headless {
            continue;
        }
        stage.with_live(|live| show(live, &frame, &comparison));
        terminal.frame(&frame, &comparison);
        played += step;
        let due = began + played.div_f64(args.speed);
        std::thread::sleep(due.saturating_sub(watch.elapsed()));
    }
    if let Some(record) = record {
        record.finish()?;
    }
    let stopped = comparison.now() < until;
    stage.with_live(Live::finish);
    terminal.result(&comparison, args.seed, stopped)?;
    #[cfg(feature = "daemon")]
    if !args.headless {
        page::let_the_end_be_read(&stage);
    }
    Ok(())
}

fn trace() -> Result<Series, Failure> {
    let name = "the built-in trace";
    let points = csv::parse(&csv::unpack(TRACE, name)?, name)?;
    let step = detect_step(&points).ok_or_else(|| Problem::new(name, "at least two rows", "one"))?;
    Ok(grid(&points, step).map_err(|e| Problem::new(name, "a regular series", e.to_string()))?)
}

fn subject(comparison: &Comparison, until: Millis, args: &Args) -> Subject {
    let scenario = comparison.scenario();
    Subject {
        title: scenario.title.clone(),
        workload: scenario.workload_name.clone(),
        unit: scenario.unit.clone(),
        from: comparison.now().into(),
        until: Some(until),
        speed: Some(args.speed),
        capacity_per_replica: scenario.workload.capacity_per_replica,
        lead_seconds: scenario.lead_time.as_secs(),
        time_zone: scenario.time_zone.clone(),
        worlds: Contestant::ALL.map(|c| c.name(scenario)).to_vec(),
    }
}

fn show(live: &mut Live, frame: &Frame, comparison: &Comparison) {
    let point = Point {
        at: frame.at.into(),
        load: Some(frame.load),
        band: None,
        ready: Contestant::ALL.map(|c| frame.last(c).map_or(0, |row| row.ready)).to_vec(),
        floor: frame.floor,
        nodes: Contestant::ALL.map(|c| frame.last(c).map_or(0, |row| row.nodes)).to_vec(),
        warm: frame.last(Contestant::Forescale).map_or(0, |row| row.warm),
        reason: frame.reason(),
    };
    live.push(point, frame.forecast(), comparison.step().duration());
    terminal::events(frame).into_iter().for_each(|text| live.note(frame.at, text));
    live.set_accounts(
        comparison
            .worlds()
            .into_iter()
            .map(|world| Account {
                name: world.name,
                unserved_fraction: world.unserved_fraction,
                replica_hours: world.books.replica_hours,
                node_hours: world.books.node_hours,
                scaling_actions: world.books.scaling_actions,
                late_minutes: world.books.late_minutes,
            })
            .collect(),
    );
}

/// The CSV of every step.
struct Record {
    path: PathBuf,
    out: std::io::BufWriter<std::fs::File>,
}

impl Record {
    fn create(path: &std::path::Path) -> Result<Record, Failure> {
        let file = std::fs::File::create(path).with_context(|| format!("{}: cannot be written", path.display()))?;
        let mut record = Record { path: path.to_owned(), out: std::io::BufWriter::new(file) };
        record.line("time,contestant,load,unserved,replicas,pods,ready,floor,nodes,warm")?;
        Ok(record)
    }

    fn line(&mut self, line: &str) -> Result<(), Failure> {
        let written = writeln!(self.out, "{line}");
        Ok(written.with_context(|| format!("{}: cannot be written", self.path.display()))?)
    }

    fn write(&mut self, frame: &Frame) -> Result<(), Failure> {
        for (contestant, rows) in Contestant::ALL.iter().zip(&frame.rows) {
            let name = contestant.id();
            for Row { at, load, unserved, replicas, pods, ready, floor, nodes, warm } in rows {
                self.line(&format!("{at},{name},{load},{unserved},{replicas},{pods},{ready},{floor},{nodes},{warm}"))?;
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(), Failure> {
        let flushed = self.out.flush();
        Ok(flushed.with_context(|| format!("{}: cannot be written", self.path.display()))?)
    }
}
