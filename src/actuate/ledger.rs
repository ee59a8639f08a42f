//! What we changed on an object, in an annotation on that very object.

use super::{CONTEST_LIMIT, CONTEST_WINDOW};
use crate::plan::Reason;
use crate::units::{Replicas, Time};
use serde::{Deserialize, Serialize};

pub use crate::policy::LEDGER;

/// The user's value, ours, and until when ours holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// The user's value of the field. None: it was not set.
    pub original: Option<Replicas>,
    /// The value we wrote.
    pub floor: Replicas,
    /// What bound it.
    pub reason: Reason,
    /// After this instant the user's value holds again.
    pub expires: Time,
    /// When a third party put the user's value back, oldest first, at most [`CONTEST_LIMIT`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reversals: Vec<Time>,
    /// Until when a third party's value stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yielded_until: Option<Time>,
}

/// A ledger that could not be read: then nothing of the object is touched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "annotation {LEDGER}: expected the JSON that forescale wrote; found {found}; restore the field by hand and remove the annotation ({error})"
)]
pub struct LedgerError {
    found: String,
    error: String,
}

impl Ledger {
    /// Reads the annotation's text.
    pub fn parse(text: &str) -> Result<Ledger, LedgerError> {
        serde_json::from_str(text).map_err(|e| LedgerError { found: crate::error::shorten(text), error: e.to_string() })
    }

    /// The annotation's text.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(super) fn note_reversal(&mut self, now: Time) {
        self.forget_before(now);
        self.reversals.push(now);
        let excess = self.reversals.len().saturating_sub(CONTEST_LIMIT);
        self.reversals.drain(..excess);
    }

    pub(super) fn forget_before(&mut self, now: Time) {
        self.reversals.retain(|at| now.since(*at) < CONTEST_WINDOW);
        if self.yielded_until.is_some_and(|until| until <= now) {
            self.yielded_until = None;
        }
    }
}
