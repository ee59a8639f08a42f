//! Which entries of a NodePool's budgets are ours, in an annotation on that very NodePool.

use super::{Budget, Span};
use crate::units::Time;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The annotation.
pub const GUARDS: &str = "forescale.dev/guards";
/// Reversals within this time are counted: GitOps controllers look every few minutes.
pub(super) const CONTEST_WINDOW: Duration = Duration::from_secs(30 * 60);
/// So many reversals stop us.
pub(super) const CONTEST_LIMIT: usize = 3;
/// For so long.
pub(super) const CONTEST_FOR: Duration = Duration::from_secs(6 * 3600);

/// One guard that we wrote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Guard {
    /// What it guards.
    #[serde(flatten)]
    pub span: Span,
    /// The entry as it was written.
    pub budget: Budget,
}

/// What we wrote, and what stood beside it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GuardLedger {
    /// Ours, in the order of the list.
    pub guards: Vec<Guard>,
    /// Hash of the user's part when we wrote last.
    pub user: String,
    /// The field was not there before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub absent: bool,
    /// When a third party took our entries away and left the rest, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reversals: Vec<Time>,
    /// Until when we write none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contested_until: Option<Time>,
}

/// A ledger that could not be read: then the budgets are not touched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "annotation {GUARDS}: expected the JSON that forescale wrote; found {found}; remove the entries of spec.disruption.budgets that have a date, and the annotation ({error})"
)]
pub struct GuardLedgerError {
    found: String,
    error: String,
}

impl GuardLedger {
    /// Reads the annotation's text.
    pub fn parse(text: &str) -> Result<GuardLedger, GuardLedgerError> {
        serde_json::from_str(text)
            .map_err(|e| GuardLedgerError { found: crate::error::shorten(text), error: e.to_string() })
    }

    /// The annotation's text.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(super) fn forget_before(&mut self, now: Time) {
        self.reversals.retain(|at| now.since(*at) < CONTEST_WINDOW);
        let excess = self.reversals.len().saturating_sub(CONTEST_LIMIT);
        self.reversals.drain(..excess);
        if self.contested_until.is_some_and(|until| until <= now) {
            self.contested_until = None;
        }
    }
}

/// SHA-256 of the user's entries as JSON, in hex, the first 16 digits.
pub fn user_hash(budgets: &[Budget]) -> String {
    use sha2::{Digest, Sha256};
    let bytes = serde_json::to_vec(budgets).unwrap_or_default();
    Sha256::digest(&bytes).iter().take(8).map(|b| format!("{b:02x}")).collect()
}
