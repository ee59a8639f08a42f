//! `forescale hold`: an operator's word for an emergency, written where the daemon reads its orders.

use super::cluster::{ClusterArgs, greet, known, runtime, silent};
use crate::actuate::{FIELD_MANAGER, chain, workload_resource};
use crate::clock::{Clock, SystemClock};
use crate::error::{Failure, Problem};
use crate::policy::WorkloadKind;
use crate::units::{MAX_REPLICAS, Replicas, parse_duration};
use anyhow::anyhow;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::json;
use std::time::Duration;

const HOLD: &str = "forescale.dev/hold";
const MODE: &str = "forescale.dev/mode";
/// The longest hold: it is for emergencies, and must end by itself.
const HOLD_MAX: Duration = Duration::from_secs(7 * 86_400);

/// Hold at least so many replicas for a while, whatever load, forecast and schedules say.
///
/// The order is an annotation on the workload, which the daemon follows within seconds and which is void when its time
/// is over. It never goes above the workload's own maximum.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  forescale hold shop/web --at-least 40 --for 2h
  forescale hold shop/web --end")]
pub struct Args {
    /// The workload
    #[arg(value_name = "NAMESPACE/NAME", value_parser = workload)]
    workload: (String, String),
    /// Replicas
    #[arg(long, value_name = "N", required_unless_present = "end", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_REPLICAS)))]
    at_least: Option<Replicas>,
    /// How long
    #[arg(long = "for", value_name = "DURATION", required_unless_present = "end", value_parser = length)]
    time: Option<Duration>,
    /// End a hold before its time
    #[arg(long, conflicts_with_all = ["at_least", "time"])]
    end: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
}

fn workload(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok((namespace.into(), name.into()))
        }
        _ => Err("expected NAMESPACE/NAME".into()),
    }
}

fn length(text: &str) -> Result<Duration, String> {
    let length = parse_duration(text)?;
    let fits = (Duration::from_secs(60)..=HOLD_MAX).contains(&length);
    fits.then_some(length).ok_or_else(|| "expected a duration from 1m to 7d".into())
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Failure> {
    crate::telemetry::start_log();
    let runtime = runtime()?;
    let done = runtime.block_on(hold(args));
    runtime.shutdown_background();
    done
}

async fn hold(args: &Args) -> Result<(), Failure> {
    let client = args.cluster.client().await?;
    if !greet(&client).await? {
        return Err(silent());
    }
    let (namespace, name) = &args.workload;
    let until = args.time.map(|time| SystemClock.now() + time);
    let order = until.zip(args.at_least).map(|(until, at_least)| format!("{at_least} until {until}"));
    let patch = json!({ "metadata": { "annotations": { HOLD: order } } });
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
    for kind in [WorkloadKind::Deployment, WorkloadKind::StatefulSet] {
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &workload_resource(kind));
        match api.patch(name, &params, &Patch::Merge(&patch)).await {
            Ok(object) => {
                let mode = object.metadata.annotations.as_ref().and_then(|all| all.get(MODE)).map(String::as_str);
                let held = order.as_deref().unwrap_or("nothing is held");
                super::print(&format!("{kind:?} {namespace}/{name}: {held}\n"))?;
                if order.is_some() && mode != Some("act") {
                    let mode = mode.unwrap_or("none");
                    eprintln!("warning: {MODE} is {mode}: nothing is written until it is act");
                }
                return Ok(());
            }
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => {
                return Err(Failure::Failed(anyhow!("{kind:?} {namespace}/{name}: not held: {}", chain(&error))));
            }
        }
    }
    known(&client, namespace, name).await?;
    let expected = "a Deployment or StatefulSet of this name";
    Err(Problem::new(format!("{namespace}/{name}"), expected, "none").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_checked() {
        assert_eq!(workload("shop/web"), Ok(("shop".into(), "web".into())));
        assert!(["web", "/web", "shop/", "a/b/c"].iter().all(|text| workload(text).is_err()));
        assert_eq!(length("2h"), Ok(Duration::from_secs(7200)));
        assert!(["10s", "8d", "x"].iter().all(|text| length(text).is_err()));
    }
}
