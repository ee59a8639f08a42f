//! Where past load comes from. A source answers with points that have gaps and ages; it never invents a number.

pub mod csv;

use crate::units::Time;

/// Points of one series as a source gave them: times not yet on a grid, values not yet judged.
pub type Points = Vec<(Time, f64)>;

#[cfg(feature = "cloudwatch")]
pub mod cloudwatch;

#[cfg(feature = "daemon")]
pub use source::{Answer, HistorySource, Query, Request, SourceError, Spending};

#[cfg(feature = "daemon")]
pub mod backfill;
#[cfg(feature = "daemon")]
pub mod prometheus;
#[cfg(feature = "daemon")]
mod source;
#[cfg(feature = "daemon")]
pub mod store;
