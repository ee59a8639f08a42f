//! `config/default.toml` is the only source of defaults; file, environment and flags on top of it → a validated
//! configuration, all problems at once.

use serde::{Deserialize, Serialize};

/// Whether decisions are written to the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Decide, log, show; write nothing.
    Observe,
    /// Decide and write.
    Act,
}
