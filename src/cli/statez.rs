//! How commands ask a running daemon what it knows.

use super::cluster::runtime;
use crate::daemon::{Statez, WorkloadState};
use crate::error::{Failure, Problem, did_you_mean};
use anyhow::anyhow;
use std::path::PathBuf;
use std::time::Duration;

/// Where the daemon is.
#[derive(Debug, clap::Args)]
pub(super) struct DaemonArgs {
    /// Where the daemon serves [default: server.listen of the config]
    #[arg(long, value_name = "URL", env = "FORESCALE_URL")]
    url: Option<String>,
    /// The daemon's configuration, for the address
    #[arg(long, value_name = "FILE", env = "FORESCALE_CONFIG")]
    config: Option<PathBuf>,
}

/// Bytes of an answer at most.
const ANSWER_MAX: usize = 64 << 20;

impl DaemonArgs {
    /// The daemon that serves there.
    pub(super) fn at(url: &str) -> DaemonArgs {
        DaemonArgs { url: Some(url.to_owned()), config: None }
    }

    /// What the daemon shows.
    pub(super) fn statez(&self) -> Result<Statez, Failure> {
        let base = match &self.url {
            Some(url) => url.trim_end_matches('/').to_string(),
            None => format!("http://{}", super::config(self.config.as_deref(), &[], None)?.listen),
        };
        runtime()?.block_on(fetch(&format!("{base}/statez")))
    }
}

async fn fetch(url: &str) -> Result<Statez, Failure> {
    let failed = |words: String| {
        Failure::Failed(anyhow!(
            "{url}: {words}; is the daemon running there? In a cluster: \
             kubectl -n forescale port-forward deploy/forescale 8080"
        ))
    };
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(10))
        .no_proxy()
        .build()
        .map_err(|e| failed(crate::actuate::chain(&e)))?;
    let answer = client.get(url).send().await.map_err(|e| match e.is_builder() {
        true => Failure::from(Problem::new("--url", "a URL such as http://127.0.0.1:8080", url)),
        false => failed(crate::actuate::chain(&e.without_url())),
    })?;
    if !answer.status().is_success() {
        return Err(failed(format!("answered {}", answer.status())));
    }
    let bytes = answer.bytes().await.map_err(|e| failed(crate::actuate::chain(&e.without_url())))?;
    if bytes.len() > ANSWER_MAX {
        return Err(failed(format!("expected at most {ANSWER_MAX} bytes; found {}", bytes.len())));
    }
    serde_json::from_slice(&bytes)
        .map_err(|e| failed(format!("expected forescale's statez; found something else ({e})")))
}

/// The workload `NS/NAME` of a statez.
pub(super) fn find<'a>(statez: &'a Statez, name: &str) -> Result<&'a WorkloadState, Failure> {
    let names: Vec<String> = statez.workloads.iter().map(|w| w.workload.to_string()).collect();
    let place = names.iter().position(|n| n == name);
    place.and_then(|i| statez.workloads.get(i)).ok_or_else(|| {
        let problem = Problem::new("workload", "one that opted in, as NAMESPACE/NAME", name);
        let near = did_you_mean(name, names.iter().map(String::as_str));
        let help = match near {
            Some(near) => format!("did you mean {near}?"),
            None => "see `forescale status`; a workload opts in by the annotation forescale.dev/mode".into(),
        };
        problem.help(help).into()
    })
}
