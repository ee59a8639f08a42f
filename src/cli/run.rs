//! `forescale run`: decide for every workload that opted in, and, in mode act, write.

use super::cluster::{ClusterArgs, greet, runtime};
use crate::clock::{Clock, SystemClock};
use crate::daemon::{self, Ends};
use crate::error::Failure;
use crate::{rng, telemetry};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// Watch workloads that opted in and decide for each; in mode act, raise their floors ahead of the load.
///
/// A workload opts in by the annotation `forescale.dev/mode: observe | act`. Nothing is written to the cluster unless
/// both the config and the annotation say act.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  forescale run --set sources.main.url=http://localhost:9090 --set sources.main.kind=prometheus
  forescale run --config forescale.toml --mode act
  curl localhost:8080/statez")]
pub struct Args {
    /// The configuration (TOML); docs/config.md has every key
    #[arg(long, value_name = "FILE", env = "FORESCALE_CONFIG")]
    config: Option<PathBuf>,
    /// A key of the configuration, over file and environment
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The most any workload may do: observe (write nothing) or act [default: the config's, observe]
    #[arg(long, value_name = "MODE", value_parser = ["observe", "act"])]
    mode: Option<String>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let config = super::config(args.config.as_deref(), &args.set, args.mode.as_deref())?;
    let problems = daemon::check_pools(&config);
    if !problems.is_empty() {
        return Err(Failure::Usage(problems));
    }
    telemetry::start_log();
    let runtime = runtime()?;
    let done = runtime.block_on(async {
        let mut stop = Box::pin(stop_signal()?);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let start = async {
            let sources = daemon::build_sources(&config, &clock).await.map_err(Failure::Usage)?;
            let client = args.cluster.client().await?;
            greet(&client).await?;
            Ok::<_, Failure>(Ends { client, sources, clock: clock.clone(), identity: identity() })
        };
        let ends = tokio::select! {
            () = &mut stop => return Ok(()),
            ends = start => ends?,
        };
        daemon::run(config, ends, stop).await.map_err(Failure::Failed)
    });
    runtime.shutdown_background();
    done
}

fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    let failed = |e: std::io::Error| Failure::Failed(anyhow::Error::new(e).context("signals cannot be heard"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// The pod's name, made unique: two copies on one machine are two.
fn identity() -> String {
    let name = ["POD_NAME", "HOSTNAME"].into_iter().find_map(|key| std::env::var(key).ok().filter(|v| !v.is_empty()));
    format!("{}_{:08x}", name.as_deref().unwrap_or("forescale"), rng::fresh_seed() & 0xffff_ffff)
}
