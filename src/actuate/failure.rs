//! Why a call to the cluster failed, in words that say what to do.

use super::LedgerError;
use super::access::qualified;
use crate::error::shorten;
use crate::plan::guard::GuardLedgerError;
use std::time::Duration;

/// Waited after a 429 that does not say how long.
const THROTTLED: Duration = Duration::from_secs(5);
/// Longest wait that a server's Retry-After makes us keep.
const THROTTLED_MAX: Duration = Duration::from_secs(300);

/// The call that failed: verb, resource (with subresource), object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// RBAC verb.
    pub verb: &'static str,
    /// Plural resource, with its subresource.
    pub resource: String,
    /// namespace/name.
    pub object: String,
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.verb, self.resource, self.object)
    }
}

/// Why nothing, or not all, was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// This copy must not write now.
    #[error("not written: {0}")]
    Fenced(String),
    /// The object changed under us more often than we tried.
    #[error("{0}: the object keeps changing; tried again at the next step")]
    Conflict(Call),
    /// The API server asks for patience.
    #[error("{call}: the API server is busy (429); waiting {} s", after.as_secs())]
    Throttled {
        /// Which call.
        call: Call,
        /// How long to wait.
        after: Duration,
    },
    /// RBAC said no.
    #[error(
        "{call}: forbidden: the role lacks {} on {}; add it to the role (deploy/manifests/rbac.yaml has all that are needed)",
        call.verb,
        qualified(&call.resource)
    )]
    Forbidden {
        /// Which call.
        call: Call,
    },
    /// Admission or validation said no.
    #[error("{call}: refused ({code}): {message}")]
    Refused {
        /// Which call.
        call: Call,
        /// HTTP code.
        code: u16,
        /// The server's words.
        message: String,
    },
    /// The credentials are not accepted.
    #[error("{call}: unauthorized (401): the credentials are missing or expired; log in again or renew the kubeconfig")]
    Unauthorized {
        /// Which call.
        call: Call,
    },
    /// It is not there.
    #[error("{0}: not found")]
    Gone(Call),
    /// Not reached, or no answer in time.
    #[error("{call}: the API server does not answer: {message}")]
    Unreachable {
        /// Which call.
        call: Call,
        /// What happened.
        message: String,
    },
    /// The object is not as its API says.
    #[error("{call}: expected {expected}; found {found}")]
    Unexpected {
        /// Which call.
        call: Call,
        /// What should have been there.
        expected: &'static str,
        /// What was.
        found: String,
    },
    /// Our ledger on the object cannot be read.
    #[error("{0}")]
    Ledger(#[from] LedgerError),
    /// Our ledger on a NodePool cannot be read.
    #[error("{0}")]
    Guards(#[from] GuardLedgerError),
}

impl WriteError {
    /// What a kube error of this call means.
    pub fn of(call: Call, error: kube::Error) -> WriteError {
        let status = match error {
            kube::Error::Api(status) => status,
            other => return WriteError::Unreachable { call, message: shorten(&chain(&other)) },
        };
        let message = shorten(&status.message);
        match status.code {
            401 => WriteError::Unauthorized { call },
            // RBAC says `User "x" cannot patch resource "y"`; admission says `... denied request: ...`
            403 if message.contains(" cannot ") => WriteError::Forbidden { call },
            404 => WriteError::Gone(call),
            409 => WriteError::Conflict(call),
            // a JSON Patch whose test fails, as against an object that is invalid
            422 if status.reason.is_empty() || message.contains("the server rejected our request") => {
                WriteError::Conflict(call)
            }
            429 => {
                let asked = status.details.as_ref().map_or(0, |d| d.retry_after_seconds);
                let after = if asked == 0 { THROTTLED } else { Duration::from_secs(u64::from(asked)) };
                WriteError::Throttled { call, after: after.min(THROTTLED_MAX) }
            }
            500..=599 => WriteError::Unreachable { call, message: format!("{} {message}", status.code) },
            code => WriteError::Refused { call, code, message },
        }
    }

    /// Short name, for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            WriteError::Fenced(_) => "fenced",
            WriteError::Conflict(_) => "conflict",
            WriteError::Throttled { .. } => "throttled",
            WriteError::Forbidden { .. } => "forbidden",
            WriteError::Refused { .. } => "refused",
            WriteError::Unauthorized { .. } => "unauthorized",
            WriteError::Gone(_) => "gone",
            WriteError::Unreachable { .. } => "unreachable",
            WriteError::Unexpected { .. } => "unexpected",
            WriteError::Ledger(_) | WriteError::Guards(_) => "unreadable",
        }
    }
}

/// An error with its causes, each said once.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        next = cause.source();
    }
    text
}
