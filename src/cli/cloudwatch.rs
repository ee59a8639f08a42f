//! A CloudWatch source that the command line names.

use crate::clock::SystemClock;
use crate::config::CloudwatchConfig;
use crate::error::Problem;
use crate::history::Spending;
use crate::history::cloudwatch::{CloudWatch, sdk_config};
use std::sync::Arc;
use std::time::Duration;

const HEADING: &str = "History from CloudWatch";

/// Longest time of one request.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Metrics that one command asks for at most: ten dollars.
const MAX_METRICS: u64 = 1_000_000;

/// A metric spec asked of Amazon CloudWatch in place of a file.
#[derive(Debug, clap::Args)]
pub(super) struct CloudwatchArgs {
    /// AWS region; then --query is a metric spec (docs/cloudwatch.md), and credentials come from the SDK's chain
    #[arg(long, help_heading = HEADING, group = "server", value_name = "REGION", requires = "query",
        conflicts_with = "source_url")]
    pub(super) cloudwatch_region: Option<String>,
    /// Role to assume first
    #[arg(long, help_heading = HEADING, value_name = "ARN", requires = "cloudwatch_region")]
    role_arn: Option<String>,
    /// Endpoint in place of the region's public one
    #[arg(long, help_heading = HEADING, value_name = "URL", requires = "cloudwatch_region")]
    endpoint_url: Option<String>,
}

impl CloudwatchArgs {
    /// The source.
    pub(super) async fn source(&self) -> Result<CloudWatch, Problem> {
        let config = CloudwatchConfig {
            region: self.cloudwatch_region.clone(),
            role_arn: self.role_arn.clone(),
            endpoint_url: self.endpoint_url.clone(),
            max_metrics_per_hour: MAX_METRICS,
        };
        let sdk = sdk_config(config.region.as_deref()).await;
        CloudWatch::new("--cloudwatch-region", &config, TIMEOUT, &sdk, Arc::new(SystemClock)).await
    }
}

/// What a command has asked for, for standard error.
pub(super) fn cost(reading: &Spending) -> String {
    let dollars = reading.metrics_total as f64 * crate::history::cloudwatch::DOLLARS_PER_METRIC;
    format!("asked CloudWatch for {} metrics (about ${dollars:.5})", reading.metrics_total)
}
