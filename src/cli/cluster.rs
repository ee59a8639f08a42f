//! How commands reach a cluster: the kubeconfig, and what to say when it does not work.

use crate::actuate::{chain, workload_resource};
use crate::error::{Failure, Problem, did_you_mean};
use crate::policy::WorkloadKind;
use anyhow::anyhow;
use kube::api::{Api, DynamicObject, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use std::error::Error as _;
use std::path::PathBuf;
use std::time::Duration;

/// Which cluster, and as whom.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ClusterArgs {
    /// The kubeconfig [default: $KUBECONFIG, ~/.kube/config, or the pod's service account]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

const HELP: &str = "log in to the cluster, or name the file with --kubeconfig or KUBECONFIG";

impl ClusterArgs {
    /// A client for it. Nothing is sent yet.
    pub(super) async fn client(&self) -> Result<Client, Failure> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let config = match &self.kubeconfig {
            Some(path) => {
                let place = path.display().to_string();
                let bad = |e: kube::config::KubeconfigError| {
                    Failure::from(Problem::new(&place, "a kubeconfig", chain(&e)).help(HELP))
                };
                let file = Kubeconfig::read_from(path).map_err(bad)?;
                Config::from_custom_kubeconfig(file, &options).await.map_err(bad)?
            }
            None if self.context.is_some() => Config::from_kubeconfig(&options).await.map_err(|e| {
                Failure::from(Problem::new("kubeconfig", "one with this context", chain(&e)).help(HELP))
            })?,
            None => Config::infer().await.map_err(|e| {
                // the kubeconfig is the source: outside a pod it is what the user can put right
                let found = e.source().map_or_else(|| e.to_string(), chain);
                let place = std::env::var("KUBECONFIG").map_or("~/.kube/config".into(), |p| format!("KUBECONFIG {p}"));
                Failure::from(Problem::new(place, "a kubeconfig, or a pod's service account", found).help(HELP))
            })?,
        };
        let mut config = config;
        // retries are ours: a write that waits for minutes is out of date
        config.default_retry = false;
        config.connect_timeout = Some(Duration::from_secs(5));
        Client::try_from(config)
            .map_err(|e| Problem::new("kubeconfig", "usable credentials", chain(&e)).help(HELP).into())
    }
}

/// Asks the API server who it is, to say early and clearly that credentials are not accepted. Ok(false): it does not
/// answer, which may pass.
pub(super) async fn greet(client: &Client) -> Result<bool, Failure> {
    let asked = tokio::time::timeout(Duration::from_secs(10), client.apiserver_version()).await;
    match asked {
        Ok(Ok(_)) => Ok(true),
        Ok(Err(kube::Error::Api(status))) if status.code == 401 => Err(Failure::Failed(anyhow!(
            "the cluster does not accept the credentials (401 {}): they are missing or expired; {HELP}",
            status.message
        ))),
        Ok(Err(kube::Error::Auth(error))) => {
            Err(Failure::Failed(anyhow!("the kubeconfig's credentials cannot be had: {}; {HELP}", chain(&error))))
        }
        Ok(Err(kube::Error::Api(_))) => Ok(true),
        Ok(Err(error)) => {
            tracing::warn!(error = %chain(&error), "the API server does not answer; trying on");
            Ok(false)
        }
        Err(_) => {
            tracing::warn!("the API server does not answer within 10 s; trying on");
            Ok(false)
        }
    }
}

/// Names that a name which is not there is compared with at most.
const NAMES_MAX: u32 = 500;

/// Refuses the name of a workload that is not there, with the name that may be meant. Says nothing where that cannot be told.
pub(super) async fn known(client: &Client, namespace: &str, name: &str) -> Result<(), Failure> {
    let mut names = Vec::new();
    for kind in [WorkloadKind::Deployment, WorkloadKind::StatefulSet] {
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &workload_resource(kind));
        if !matches!(api.get_opt(name).await, Ok(None)) {
            return Ok(());
        }
        let listed = api.list(&ListParams::default().limit(NAMES_MAX)).await.map(|list| list.items).unwrap_or_default();
        names.extend(listed.into_iter().filter_map(|object| object.metadata.name));
    }
    let problem = Problem::new(format!("{namespace}/{name}"), "a Deployment or StatefulSet of this name", "none");
    let near = did_you_mean(name, names.iter().map(String::as_str));
    Err(problem.help(near.map(|near| format!("did you mean {namespace}/{near}?")).unwrap_or_default()).into())
}

/// The API server did not answer the greeting.
pub(super) fn silent() -> Failure {
    Failure::Failed(anyhow!(
        "the API server does not answer, as the warning above says; check the network and the address in the kubeconfig, \
         or name another cluster with --kubeconfig or --context"
    ))
}

/// The runtime that commands talk to a network with.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(|e| Failure::Failed(anyhow::Error::new(e).context("no runtime for the network")))
}
