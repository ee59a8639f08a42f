//! The sources of history that the config names.

use super::polling::Sources;
use crate::clock::Clock;
use crate::config::{CloudwatchConfig, Config, SourceConfig, SourceKind};
use crate::error::Problem;
use crate::history::HistorySource;
use crate::history::prometheus::{Prometheus, SourceOptions};
use crate::rng;
use std::sync::Arc;

/// Builds every source; nothing is sent yet. Gives every problem there is.
pub async fn build(config: &Config, clock: &Arc<dyn Clock>) -> Result<Sources, Vec<Problem>> {
    let mut sources = Sources::new();
    let mut problems = Vec::new();
    for (name, source) in &config.sources {
        match one(name, source, config.limits.queries_in_flight, clock).await {
            Ok(built) => drop(sources.insert(name.clone(), built)),
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() { Ok(sources) } else { Err(problems) }
}

async fn one(
    name: &str,
    source: &SourceConfig,
    concurrency: usize,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn HistorySource>, Vec<Problem>> {
    match &source.kind {
        SourceKind::Prometheus(prometheus) => {
            let options = SourceOptions { concurrency, ..SourceOptions::of(prometheus, source.timeout) };
            Ok(Arc::new(Prometheus::new(name, options, rng::fresh_seed())?))
        }
        SourceKind::Cloudwatch(cloudwatch) => cloud_watch(name, cloudwatch, source, clock).await.map_err(|p| vec![p]),
    }
}

#[cfg(feature = "cloudwatch")]
async fn cloud_watch(
    name: &str,
    config: &CloudwatchConfig,
    source: &SourceConfig,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn HistorySource>, Problem> {
    use crate::history::cloudwatch::{CloudWatch, sdk_config};
    let sdk = sdk_config(config.region.as_deref()).await;
    Ok(Arc::new(CloudWatch::new(name, config, source.timeout, &sdk, clock.clone()).await?))
}

#[cfg(not(feature = "cloudwatch"))]
async fn cloud_watch(
    name: &str,
    _config: &CloudwatchConfig,
    _source: &SourceConfig,
    _clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn HistorySource>, Problem> {
    let place = format!("sources.{name}.kind");
    Err(Problem::new(place, "prometheus", "cloudwatch")
        .help("this build has no CloudWatch: build with the feature `cloudwatch`"))
}
