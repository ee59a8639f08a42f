//! `forescale leadtime`: how long starts take on this cluster, by path and phase.

use super::cluster::{ClusterArgs, greet, runtime};
use super::statez::{DaemonArgs, find};
use crate::actuate::chain;
use crate::clock::{Clock, SystemClock};
use crate::demand::{Estimate, LeadLine, LeadTimes, StartPath};
use crate::error::{Failure, Problem};
use crate::observe::starts;
use crate::units::{duration, parse_duration};
use anyhow::anyhow;
use serde::Serialize;
use std::time::Duration;

/// How long a pod takes from its creation to Ready, by path and phase.
///
/// Looks once at the pods that are there, and at the nodes they run on. Pods that are not Ready yet count as "at least
/// so long". Stamps of the API have whole seconds. Pods whose containers restarted are left out. With --learned it is
/// what the running daemon has learned: from its own decision to Ready.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  forescale leadtime
  forescale leadtime shop/web
  forescale leadtime --learned shop/web
  forescale leadtime --json --objective-new-node 60s

Exit codes: 0 done, 1 failed or a P95 is over its objective, 2 usage.")]
pub struct Args {
    /// Only this workload
    #[arg(value_name = "NAMESPACE/NAME")]
    workload: Option<String>,
    /// Objective for the P95 where a running node had room
    #[arg(long, default_value = "15s", value_name = "DURATION", value_parser = parse_duration)]
    objective_warm_node: Duration,
    /// Objective for the P95 where a node had to be bought
    #[arg(long, default_value = "90s", value_name = "DURATION", value_parser = parse_duration)]
    objective_new_node: Duration,
    /// How to print it
    #[arg(short, long, value_name = "FORM", default_value = "table", value_parser = ["table", "json"])]
    output: String,
    /// Print JSON, as -o json does
    #[arg(long, conflicts_with = "output")]
    json: bool,
    /// What the running daemon has learned since it started
    #[arg(long)]
    learned: bool,
    #[command(flatten)]
    daemon: DaemonArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let wanted = match args.workload.as_deref().map(|w| w.split_once('/').ok_or(w)) {
        None => None,
        Some(Ok(wanted)) => Some(wanted),
        Some(Err(found)) => return Err(Problem::new("workload", "NAMESPACE/NAME", found).into()),
    };
    let found = if args.learned { of_daemon(args)? } else { of_cluster(args, wanted)? };
    if found.is_empty() {
        let place = args.workload.as_deref().unwrap_or("the cluster");
        return Err(Failure::Failed(anyhow!("{place} has no pods whose start can be told")));
    }
    let lines = lines(found, args);
    if args.json || args.output == "json" {
        super::print_json(&lines)?;
    } else {
        super::print(&table(&lines))?;
    }
    match lines.iter().find(|l| l.late) {
        Some(line) => Err(Failure::Failed(anyhow!(
            "P95 on the path {} is {}, over its objective",
            line.line.path,
            duration::format(line.line.p95.value)
        ))),
        None => Ok(()),
    }
}

fn of_daemon(args: &Args) -> Result<Vec<LeadLine>, Failure> {
    let statez = args.daemon.statez()?;
    match &args.workload {
        Some(name) => Ok(find(&statez, name)?.lead.lines.clone()),
        None => Ok(statez.lead_times),
    }
}

fn of_cluster(args: &Args, wanted: Option<(&str, &str)>) -> Result<Vec<LeadLine>, Failure> {
    crate::telemetry::start_log();
    let runtime = runtime()?;
    let found = runtime.block_on(async {
        let client = args.cluster.client().await?;
        greet(&client).await?;
        let found = starts(&client, wanted.map(|w| w.0), SystemClock.now()).await;
        found.map_err(|e| Failure::Failed(anyhow!("pods and nodes cannot be listed: {}", chain(&e))))
    });
    runtime.shutdown_background();
    let mut times = LeadTimes::default();
    for pod in found? {
        if wanted.is_none_or(|(_, name)| pod.workload.as_ref().is_some_and(|of| of.name == name)) {
            times.learn(&pod.start);
        }
    }
    Ok(times.lines())
}

/// What is printed of a line.
#[derive(Debug, Serialize)]
struct Line {
    #[serde(flatten)]
    line: LeadLine,
    /// P95 over the objective; only for the whole of a path that has one, and enough starts.
    late: bool,
}

fn lines(found: Vec<LeadLine>, args: &Args) -> Vec<Line> {
    let judged = |line: LeadLine| {
        let objective = match line.path {
            StartPath::WarmNode | StartPath::PreemptedSlot => args.objective_warm_node,
            StartPath::NewNode => args.objective_new_node,
        };
        Line { late: line.phase.is_none() && !line.p95.prior && line.p95.value > objective, line }
    };
    found.into_iter().map(judged).collect()
}

fn table(lines: &[Line]) -> String {
    let mut text = format!("{:<16}{:<18}{:>8}{:>9}{:>9}{:>8}  NOTE\n", "PATH", "PHASE", "P50", "P95", "P99", "STARTS");
    for Line { line, late } in lines {
        let phase = line.phase.map_or("all".to_owned(), |p| p.to_string());
        let starts = match line.p95.censored {
            0 => line.p95.ended.to_string(),
            censored => format!("{}+{censored}", line.p95.ended),
        };
        let note = match (*late, line.p95.prior && line.phase.is_none()) {
            (true, _) => "over the objective",
            (_, true) => "too few to tell",
            _ => "",
        };
        let cell = |e: &Estimate| duration::format(e.value);
        let row = format!(
            "{:<16}{phase:<18}{:>8}{:>9}{:>9}{starts:>8}  {note}",
            line.path.to_string(),
            cell(&line.p50),
            cell(&line.p95),
            cell(&line.p99)
        );
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demand::Start;
    use crate::units::Time;
    use clap::Parser;

    #[derive(Parser)]
    struct Line1 {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn the_table_says_what_is_late_and_what_is_not_known() {
        let at = |s| Time::from_secs(1_000_000 + s);
        let start = |ready: i64, node: i64| Start {
            decided: None,
            created: at(0),
            preempted: false,
            node_created: Some(at(node)),
            node_ready: Some(at(node)),
            scheduled: Some(at(node.max(1))),
            initialized: None,
            started: None,
            ready: Some(at(ready)),
            seen: at(900),
        };
        let mut times = LeadTimes::default();
        (0..30).for_each(|i| times.learn(&start(100 + i, 50)));
        times.learn(&start(7, -60));
        let args = Line1::parse_from(["x"]).args;
        let text = table(&lines(times.lines(), &args));
        let wanted = "\
PATH            PHASE                  P50      P95      P99  STARTS  NOTE
warm-node       api                     0s       0s       0s       1
warm-node       scheduled               1s       1s       1s       1
warm-node       ready                   6s       6s       6s       1
warm-node       all                     7s       7s       7s       1  too few to tell
new-node        api                     0s       0s       0s      30
new-node        node-registered        50s      50s      50s      30
new-node        node-ready              0s       0s       0s      30
new-node        scheduled               0s       0s       0s      30
new-node        ready                  64s      78s      79s      30
new-node        all                   114s     128s     129s      30  over the objective
";
        assert_eq!(text, wanted);
    }
}
