//! `forescale run`: loops, lease, events, HTTP around the very same ticks as everywhere else.
//!
//! One task looks, asks and decides ([`ticker`](self)); writes, learning, watches, the lease, events and HTTP each have
//! tasks of their own, so that nothing that waits holds up anything else.

mod acting;
mod ahead;
mod archive;
mod board;
mod decision_log;
mod events;
mod guards;
mod http;
mod learning;
mod lease;
mod outlook;
pub mod page;
mod polling;
mod pools;
mod reader;
mod showing;
mod sources;
mod statez;
mod sweep;
mod telling;
mod tended;
mod ticker;
mod together;
mod usage;

pub use decision_log::DecisionLog;
pub use events::{Events, Kind, Regarding, Subject};
pub use lease::{Elector, Right};
pub use polling::Sources;
pub use pools::check as check_pools;
pub use sources::build as build_sources;
pub use statez::{GuardState, LeadSource, LeadState, LeaseState, MetricState, PoolState, Statez, WorkloadState};
pub use telling::name as reason_name;

use crate::actuate::Executor;
use crate::clock::{Clock, Deadline};
use crate::config::Config;
use crate::history::store::Store;
use crate::observe::{Cluster, Karpenter, Pods, watch, watch_karpenter, watch_pods, watch_stops};
use crate::rng;
use anyhow::Context;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Workloads that wait to learn at most.
const LESSONS: usize = 4096;
/// Longest time for ending.
const END: Duration = Duration::from_secs(4);

/// What the daemon is made of besides its config.
pub struct Ends {
    /// The cluster.
    pub client: kube::Client,
    /// The sources of history.
    pub sources: Sources,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// This copy's name: the pod's.
    pub identity: String,
}

/// Waits for the word to stop; it is given too when whoever could give it is gone.
async fn told_to_stop(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// The history on disk. None: it cannot be had; the program runs without.
fn open(folder: &Path, span: Duration) -> Option<Arc<archive::Archive>> {
    match Store::open(folder) {
        Ok((store, aside)) => {
            aside.inspect(|said| tracing::warn!("{said}"));
            Some(Arc::new(archive::Archive::new(store, span)))
        }
        Err(problem) => {
            tracing::warn!("no history is kept on disk: {problem}");
            None
        }
    }
}

/// Runs until `stop` resolves, then ends in order: no further write, floors stay (they expire by themselves), the
/// lease is given back.
pub async fn run(config: Config, ends: Ends, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let Ends { client, sources, clock, identity } = ends;
    let (stopper, stopped) = watch::channel(false);
    let listen = config.listen;
    let listener = tokio::net::TcpListener::bind(listen)
        .await
        .with_context(|| format!("server.listen {listen}: cannot listen there"))?;
    let log = match &config.decision_log.path {
        Some(path) => {
            let log = DecisionLog::open(path, config.decision_log.size_max);
            Some(log.with_context(|| format!("decision_log.path {}: cannot be opened", path.display()))?)
        }
        None => None,
    };
    let cluster = Arc::new(Cluster::default());
    let pods = Arc::new(Pods::default());
    let board = Arc::new(board::Board::new());
    let watches = watch(&client, &cluster, &clock);
    let pod_watches = watch_pods(&client, &cluster, &pods, &clock);
    let stops = watch_stops(&client, &cluster, &clock, &config.lease.namespace, &config.stop.config_map);
    let elector = Elector::new(client.clone(), config.lease.clone(), identity.clone(), clock.clone());
    let right = elector.right();
    let election = tokio::spawn(elector.run(stopped.clone()));
    let executor = Arc::new(Executor::new(client.clone(), config.limits.writes_per_second));
    let (actor, acted) = acting::Actor::new(executor.clone(), right.clone(), clock.clone(), cluster.clone());
    let karpenter = Arc::new(Karpenter::default());
    let (nodes, seen_nodes) = (karpenter.clone(), karpenter.clone());
    let node_watches = watch_karpenter(&client, &karpenter, &clock);
    let (ahead, looked) = watch::channel(Arc::default());
    let guarding = guards::Guards {
        config: config.clone(),
        clock: clock.clone(),
        cluster: cluster.clone(),
        karpenter,
        executor: executor.clone(),
        events: Events::start(client.clone(), identity.clone()),
        right: right.clone(),
        board: board.clone(),
        ahead: looked,
        told: BTreeMap::new(),
    };
    let guarding = tokio::spawn(guarding.run(stopped.clone()));
    let archive = config.store.as_deref().and_then(|folder| open(folder, config.workloads.history));
    let archiving = archive.clone().map(|archive| tokio::spawn(archive::write_hourly(archive, clock.clone())));
    let (lessons, tasks) = mpsc::channel(LESSONS);
    let (results, learned) = mpsc::channel(64);
    let sources = Arc::new(sources);
    let workloads = &config.workloads;
    let (step, span) = (workloads.step, workloads.history);
    let (s, a, c) = (sources.clone(), archive.clone(), clock.clone());
    let school = learning::School { sources: s, archive: a, clock: c, step, span, results };
    let school = tokio::spawn(learning::school(school, tasks));
    let (read_now, to_read) = watch::channel(reader::ToRead::default());
    let (readings, read) = mpsc::channel(64);
    let reading = reader::read(sources.clone(), clock.clone(), config.reactive_interval, to_read, readings);
    let reading = tokio::spawn(reading);
    let served = http::Served {
        board: board.clone(),
        cluster: cluster.clone(),
        clock: clock.clone(),
        objectives: config.objectives,
    };
    let address = listener.local_addr().unwrap_or(listen);
    let server = tokio::spawn(async move { axum::serve(listener, http::router(served)).await });
    tracing::info!(mode = ?config.mode, %address, %identity, "forescale runs");
    if config.sources.is_empty() {
        tracing::warn!("no source of load is configured, so only schedules and holds act: add [sources.<name>]");
    }
    let ends = (client.clone(), sources.clone(), nodes, cluster.clone());
    let (pools, hands, ears) = pools::Pools::new(&config, ends, executor.clone(), right.clone(), clock.clone());
    let pooling = tokio::spawn(pools::keep(hands, stopped.clone()));
    let listening = tokio::spawn(pools::listen(ears));
    let ticker = ticker::Ticker {
        pools,
        events: Events::start(client, identity.clone()),
        config,
        clock,
        cluster,
        karpenter: seen_nodes,
        pods,
        sources,
        board,
        archive: archive.clone(),
        log,
        actor,
        right,
        identity,
        lessons,
        read_now,
        tended: BTreeMap::new(),
        together: together::Together::default(),
        releasing: BTreeSet::new(),
        lead_times: Vec::new(),
        ahead,
        leaving: BTreeMap::new(),
        left: BTreeSet::new(),
        showing: showing::Showing::default(),
        seed: rng::fresh_seed(),
        started: Deadline::now(),
    };
    let last = (archive.clone(), ticker.clock.clone());
    let mut ticking = tokio::spawn(ticker.run(learned, acted, read, stopped));
    tokio::select! {
        () = stop => {}
        ended = &mut ticking => {
            stopper.send_replace(true);
            anyhow::bail!("the loop ended by itself: {ended:?}");
        }
    }
    tracing::info!("stopping: floors stay until they expire, the lease is given back");
    stopper.send_replace(true);
    let end = async {
        let _ = ticking.await;
        let _ = pooling.await;
        let _ = election.await;
        if let (Some(archive), clock) = last {
            let _ = tokio::task::spawn_blocking(move || archive.write(clock.now())).await;
        }
    };
    if tokio::time::timeout(END, end).await.is_err() {
        tracing::warn!("not everything ended in time");
    }
    school.abort();
    reading.abort();
    listening.abort();
    archiving.inspect(|task| task.abort());
    server.abort();
    guarding.abort();
    drop((watches, pod_watches, stops, node_watches));
    Ok(())
}
