//! The sources of history that the config names.

use super::polling::Sources;
use crate::config::{Config, PrometheusConfig, SourceConfig, SourceKind};
use crate::error::Problem;
use crate::history::HistorySource;
use crate::history::prometheus::{Auth, Prometheus, SourceOptions};
use crate::rng;
use std::sync::Arc;

/// Builds every source; nothing is sent yet. Gives every problem there is.
pub fn build(config: &Config) -> Result<Sources, Vec<Problem>> {
    let mut sources = Sources::new();
    let mut problems = Vec::new();
    for (name, source) in &config.sources {
        match one(name, source, config.limits.queries_in_flight) {
            Ok(built) => drop(sources.insert(name.clone(), built)),
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() { Ok(sources) } else { Err(problems) }
}

fn one(name: &str, source: &SourceConfig, concurrency: usize) -> Result<Arc<dyn HistorySource>, Vec<Problem>> {
    match &source.kind {
        SourceKind::Prometheus(prometheus) => {
            let options = options(prometheus, source, concurrency);
            Ok(Arc::new(Prometheus::new(name, options, rng::fresh_seed())?))
        }
        SourceKind::Cloudwatch(_) => {
            Err(vec![Problem::new(format!("sources.{name}.kind"), "prometheus", "cloudwatch")])
        }
    }
}

fn options(prometheus: &PrometheusConfig, source: &SourceConfig, concurrency: usize) -> SourceOptions {
    let auth = match (&prometheus.bearer_token_file, &prometheus.basic_auth) {
        (Some(file), _) => Auth::BearerTokenFile(file.clone()),
        (None, Some(basic)) => Auth::Basic { user: basic.user.clone(), password_file: basic.password_file.clone() },
        (None, None) => Auth::None,
    };
    SourceOptions {
        auth,
        headers: prometheus.headers.clone(),
        ca_file: prometheus.ca_file.clone(),
        deadline: source.timeout,
        concurrency,
        ..SourceOptions::new(prometheus.url.clone())
    }
}
