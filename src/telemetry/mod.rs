//! What the program tells about itself: log lines, and metrics for Prometheus.

#[cfg(feature = "daemon")]
mod gauges;
#[cfg(feature = "daemon")]
mod guards;
#[cfg(feature = "daemon")]
mod metrics;
#[cfg(feature = "daemon")]
mod replicas;

#[cfg(feature = "daemon")]
pub use gauges::{MetricGauges, PoolGauges, WorkloadGauges};
#[cfg(feature = "daemon")]
pub use guards::{GuardGauges, GuardMetrics};
#[cfg(feature = "daemon")]
pub use metrics::Metrics;

/// Starts log lines on standard error, as text on a terminal and as JSON elsewhere. `FORESCALE_LOG` filters them as
/// `RUST_LOG` does elsewhere ("debug", "forescale=debug,kube=info").
#[cfg(feature = "daemon")]
pub fn start_log() {
    use std::io::IsTerminal;
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("FORESCALE_LOG").unwrap_or_else(|_| EnvFilter::new("info,kube=error"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // a second start, as in tests, keeps the first
    let _ = if std::io::stderr().is_terminal() { builder.try_init() } else { builder.json().try_init() };
}
