//! History from Amazon CloudWatch, by `GetMetricData` through the AWS SDK: indistinguishable from Prometheus after
//! the seam. `docs/cloudwatch.md` has the spec language, the rules and the policy that the role needs.
//!
//! ```text
//! spec ── segments ── pack ── call, pages ── settle ── grid ──▶ points
//!         (age)       (500, 100,800)         (too new)
//! ```

mod batch;
mod client;
mod judge;
mod known;
mod meter;
mod rules;
mod scan;
mod settle;
mod source;
mod spec;
mod stitch;

pub use meter::{DOLLARS_PER_METRIC, Meter};
pub use source::{CloudWatch, sdk_config};
pub use spec::{Amount, Metric, Shape, Spec};

#[cfg(test)]
mod tests;
