//! `forescale release`: put the user's own values back, straight through the API, daemon or not.

mod guards;

use super::cluster::{ClusterArgs, greet, known, runtime, silent};
use crate::actuate::pool::{self, BackendChoice, Keeper, Ours, Standing};
use crate::actuate::{Actions, Executor, Ledger, Outcome, Site, Target, TargetView, Write, release, release_expired};
use crate::clock::{Clock, SystemClock};
use crate::error::{Failure, Problem};
use crate::observe::{Capability, Cluster, Watched, versions, watch};
use crate::plan::pool::PoolReason;
use crate::policy::Workload;
use crate::units::{MAX_REPLICAS, Time};
use anyhow::anyhow;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// Longest time for listing the cluster.
const LIST_MAX: Duration = Duration::from_secs(60);
const WRITES_PER_SECOND: u32 = 5;
/// Seconds that a warm pool may take to go: a CapacityBuffer is emptied before it is deleted.
const POOL_ROUNDS: usize = 130;

/// Put the values back that workloads had before Forescale changed them.
///
/// What was changed is written in a ledger annotation on each object, so this needs no running daemon. A floor goes
/// back to the user's value, the ledger goes, and so does Forescale's entry in managedFields. Without an autoscaler
/// no running replica is taken away. Warm pools are taken away whole, by --all or their namespace; guards on NodePools and marks on
/// nodes by --all, or when no other workload is in mode act. A daemon in mode act raises floors again: remove the annotation
/// forescale.dev/mode first.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  forescale release --all
  forescale release shop/web
  forescale release -n shop
  forescale release --all --expired --dry-run")]
pub struct Args {
    /// The workload; NAME alone needs --namespace
    #[arg(value_name = "[NAMESPACE/]NAME")]
    name: Option<String>,
    /// Only this namespace
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Every workload of the cluster, and every guard on NodePools and mark on nodes
    #[arg(long, conflicts_with_all = ["name", "namespace"])]
    all: bool,
    /// Only floors, guards and marks whose time is over
    #[arg(long)]
    expired: bool,
    /// Say what would be done
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
}

impl Args {
    /// The same with the namespace of NAMESPACE/NAME in its place.
    fn placed(&self) -> Result<Args, Problem> {
        if self.name.is_none() && self.namespace.is_none() && !self.all {
            return Err(Problem::new("release", "NAMESPACE/NAME, --namespace NAMESPACE or --all", "none"));
        }
        let mut args = self.clone();
        if let Some((namespace, name)) = self.name.as_deref().and_then(|text| text.split_once('/')) {
            if namespace.is_empty() || name.is_empty() || self.namespace.as_ref().is_some_and(|n| n != namespace) {
                let found = self.namespace.as_ref().map_or(String::new(), |n| format!(" and --namespace {n}"));
                return Err(Problem::new("workload", "NAMESPACE/NAME", format!("{namespace}/{name}{found}")));
            }
            args.namespace = Some(namespace.to_owned());
            args.name = Some(name.to_owned());
        }
        Ok(args)
    }
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let args = &args.placed()?;
    if args.name.is_some() && args.namespace.is_none() {
        return Err(Problem::new("--namespace", "the workload's namespace", "none").into());
    }
    crate::telemetry::start_log();
    let runtime = runtime()?;
    let done = runtime.block_on(release_all(args));
    runtime.shutdown_background();
    done
}

/// Says what was done. Values are given back, whether or not somebody still reads of it.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn note(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

async fn release_all(args: &Args) -> Result<(), Failure> {
    let client = args.cluster.client().await?;
    if !greet(&client).await? {
        return Err(silent());
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let cluster = Arc::new(Cluster::default());
    let watches = watch(&client, &cluster, &clock);
    listed(&cluster).await?;
    let now = clock.now();
    let wanted = |w: &Workload, ledger: &Ledger| {
        args.namespace.as_ref().is_none_or(|n| *n == w.namespace)
            && args.name.as_ref().is_none_or(|n| *n == w.name)
            && (!args.expired || ledger.expires <= now)
    };
    let ledgers: Vec<_> = cluster.ledgers().into_iter().filter(|(w, _, l)| wanted(w, l)).collect();
    let acting: Vec<Workload> = cluster
        .sights(now)
        .iter()
        .filter(|s| s.view.annotations.get("forescale.dev/mode").is_some_and(|m| m == "act"))
        .map(|s| s.workload().clone())
        .collect();
    drop(watches);
    let executor = Arc::new(Executor::new(client.clone(), WRITES_PER_SECOND));
    let mut failures: Vec<String> = cluster.unreadable();
    for (workload, target, _) in &ledgers {
        match one(&executor, workload, target, args, clock.as_ref()).await {
            Ok(line) => say(&line),
            Err(error) => failures.push(format!("{workload}: {error}")),
        }
        if acting.contains(workload) && !args.dry_run {
            note(&format!("{workload}: note: forescale.dev/mode is still act; a running daemon will raise it again"));
        }
    }
    let mut nothing = ledgers.is_empty();
    let chosen = |w: &Workload| {
        args.namespace.as_ref().is_none_or(|n| *n == w.namespace) && args.name.as_ref().is_none_or(|n| *n == w.name)
    };
    // guards are for the ramps of all workloads together: they go with the last one that acts
    let others = acting.iter().filter(|w| !chosen(w)).count();
    if others > 0 {
        note(&format!(
            "note: guards on NodePools stay for {others} other workloads in mode act, and lapse by themselves; --all takes them off"
        ));
    } else {
        let done = guards::release_guards(&client, &executor, args.expired, args.dry_run, now).await;
        nothing = nothing && done.lines.is_empty();
        done.lines.iter().for_each(|line| say(line));
        failures.extend(done.failures);
    }
    let pools = if args.name.is_none() { pools((&client, &executor), args, now, &mut failures).await } else { 0 };
    if nothing && pools == 0 && failures.is_empty() {
        if let (Some(namespace), Some(name)) = (&args.namespace, &args.name) {
            known(&client, namespace, name).await?;
        }
        say("nothing to release");
    }
    if failures.is_empty() { Ok(()) } else { Err(Failure::Failed(anyhow!("{}", failures.join("\n")))) }
}

/// Takes warm pools away; a CapacityBuffer is emptied first. Gives how many there were.
async fn pools(
    (client, executor): (&kube::Client, &Arc<Executor>),
    args: &Args,
    now: Time,
    failures: &mut Vec<String>,
) -> usize {
    // others use the group, too
    let served = match versions(client, pool::BUFFER_GROUP, "capacitybuffers").await {
        Ok(Capability::Served(versions)) => versions,
        Ok(_) => Vec::new(),
        Err(error) => {
            failures.push(format!("warm pools: {error}"));
            return 0;
        }
    };
    let found = match pool::ours(client, &served).await {
        Ok(found) => found,
        Err(error) => {
            failures.push(format!("warm pools: {error}"));
            return 0;
        }
    };
    let wanted = |of: &&Ours| {
        args.namespace.as_ref().is_none_or(|n| *n == of.namespace) && (!args.expired || of.ledger.expires <= now)
    };
    let place = |of: &Ours| (of.namespace.clone(), of.pool.clone());
    let kept: BTreeSet<(String, String)> = found.iter().filter(|f| !wanted(f)).map(place).collect();
    let gone: BTreeSet<(String, String)> =
        found.iter().filter(wanted).map(place).filter(|p| !kept.contains(p)).collect();
    let mut keeper = Keeper::new(executor.clone());
    for (namespace, name) in &gone {
        if args.dry_run {
            say(&format!("warm pool {name} in {namespace}: would be removed"));
            continue;
        }
        let standing = Standing {
            pool: name.clone(),
            namespace: namespace.clone(),
            sets: Vec::new(),
            reason: PoolReason::Settled,
            choice: BackendChoice::Auto,
            nodes_settled: false,
        };
        let mut last = pool::Kept::default();
        for _ in 0..POOL_ROUNDS {
            last = keeper.keep(SystemClock.now(), &standing, &served, &|| Ok(())).await;
            if last.problems.is_empty() && last.left == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        match last.problems.first() {
            None if last.left == 0 => say(&format!("warm pool {name} in {namespace}: removed")),
            None => failures.push(format!("warm pool {name} in {namespace}: {} objects are not empty yet", last.left)),
            Some(problem) => failures.push(format!("warm pool {name} in {namespace}: {problem}")),
        }
    }
    gone.len()
}

/// Waits until everything is listed, or says what stops it.
async fn listed(cluster: &Cluster) -> Result<(), Failure> {
    let listing = async {
        while !cluster.synced(&Watched::FLOORS) {
            let failing = cluster.watches().into_iter().find_map(|(w, s)| s.failing.map(|f| (w, f)));
            if let Some((watched, failure)) = failing {
                return Err(Failure::Failed(anyhow!("list {}: {}", watched.resource(), failure.error)));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    };
    tokio::time::timeout(LIST_MAX, listing).await.unwrap_or_else(|_| {
        Err(Failure::Failed(anyhow!("the cluster could not be listed within {} s", LIST_MAX.as_secs())))
    })
}

async fn one(
    executor: &Executor,
    workload: &Workload,
    target: &Target,
    args: &Args,
    clock: &dyn Clock,
) -> anyhow::Result<String> {
    let site = Site { workload: workload.clone(), target: target.clone(), max_replicas: MAX_REPLICAS };
    let what = match target {
        Target::Hpa { name } => format!("minReplicas of HPA {name}"),
        Target::ScaledObject { name } => format!("minReplicaCount of ScaledObject {name}"),
        Target::Scale => "replicas".to_string(),
    };
    // since the list was made, a daemon that came back may have renewed it
    let due = |view: &TargetView| if args.expired { release_expired(clock.now(), view) } else { release(view) };
    let writes = if args.dry_run {
        due(&executor.view(&site).await?)
    } else {
        let decide = |view: &TargetView| Actions { writes: due(view), outcome: Outcome::Released };
        executor.carry_out(&site, &|| Ok(()), &decide).await?.writes
    };
    let value = writes.iter().find_map(|w| match w {
        Write::Restore { original } => Some(original.map_or("unset".to_string(), |n| n.to_string())),
        Write::Floor { .. } | Write::Ledger { .. } | Write::Scale { .. } => None,
    });
    Ok(match value {
        Some(value) if args.dry_run => format!("{workload}: {what} would be {value} again"),
        Some(value) => format!("{workload}: {what} is {value} again"),
        None if args.expired => format!("{workload}: nothing of ours whose time is over is there any more"),
        None => format!("{workload}: nothing of ours is there any more"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn a_workload_is_named_in_one_word_or_two() {
        let placed = |words: &[&str]| {
            let args = Line::parse_from([&["x"][..], words].concat()).args.placed().map_err(|p| p.to_string())?;
            Ok::<_, String>((args.namespace.unwrap_or_default(), args.name.unwrap_or_default()))
        };
        let web = Ok(("shop".to_owned(), "web".to_owned()));
        for words in [&["shop/web"][..], &["-n", "shop", "web"], &["-n", "shop", "shop/web"]] {
            assert_eq!(placed(words), web, "{words:?}");
        }
        assert_eq!(placed(&["-n", "shop"]), Ok(("shop".into(), String::new())));
        for words in [&["-n", "other", "shop/web"][..], &["/web"], &["shop/"]] {
            assert!(placed(words).is_err(), "{words:?}");
        }
        assert_eq!(placed(&["--all"]), Ok((String::new(), String::new())));
        let wanted = "release: expected NAMESPACE/NAME, --namespace NAMESPACE or --all; found none";
        for words in [&["--expired"][..], &[]] {
            assert_eq!(placed(words), Err(wanted.into()), "{words:?}");
        }
    }
}
