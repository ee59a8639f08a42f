//! When a workload's floor may be written, and what follows from how that went.

use super::{PAUSE_FIRST, Tended, pause};
use crate::actuate::{DECISION_AGE_MAX, WriteError};
use crate::clock::Deadline;
use std::time::Duration;

/// Who waits for a turn gives up a moment before its decision is too old.
const MOMENT: Duration = Duration::from_secs(1);

impl Tended {
    /// True when a write may be tried: none is under way, and the last failure is long enough ago.
    pub fn may_write(&self) -> bool {
        !self.writing && self.write_after.passed()
    }

    /// A write is under way from now on.
    pub fn begin_write(&mut self) {
        self.writing = true;
        self.write_began = Deadline::now();
    }

    /// Notes how a write went. True: it came to nothing because its decision had grown too old before its turn came, and is to
    /// be decided again at once: many are written in a row, and who waits for the next step loses every other turn.
    pub fn wrote(&mut self, error: Option<WriteError>) -> bool {
        self.wrote_after(error, self.write_began.ago())
    }

    /// `age`: of the decision. It is what keeps this from going round in circles.
    pub(super) fn wrote_after(&mut self, error: Option<WriteError>, age: Duration) -> bool {
        self.writing = false;
        let outlived = matches!(error, Some(WriteError::Fenced(_))) && age + MOMENT >= DECISION_AGE_MAX;
        match &error {
            None => self.write_failures = 0,
            Some(WriteError::Fenced(_)) if outlived => self.write_after = Deadline::now(),
            // it concerns the whole cluster, not this object: what is newest is written as soon as that is over
            Some(WriteError::Unreachable { .. } | WriteError::Fenced(_)) => {
                self.write_after = Deadline::after(PAUSE_FIRST)
            }
            Some(_) => {
                self.write_failures = self.write_failures.saturating_add(1);
                self.write_after = Deadline::after(pause(self.write_failures));
            }
        }
        self.write_error = error.map(|e| e.to_string());
        outlived
    }
}
