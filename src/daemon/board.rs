//! What the loop shows to the HTTP side.

use super::statez::{GuardState, Statez};
use crate::clock::Deadline;
use crate::telemetry::Metrics;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A loop that has been silent for so long is dead.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// What the loop shows.
pub struct Board {
    /// Counters that live as long as the program.
    pub metrics: Metrics,
    shown: Mutex<Option<Arc<Statez>>>,
    /// The last sign of life.
    alive: Mutex<Option<Deadline>>,
    history: AtomicBool,
    guards: Mutex<Vec<GuardState>>,
    scrape: Mutex<()>,
}

impl Board {
    /// Nothing to show yet.
    pub fn new() -> Board {
        Board {
            metrics: Metrics::new(),
            shown: Mutex::default(),
            alive: Mutex::default(),
            history: AtomicBool::new(false),
            guards: Mutex::default(),
            scrape: Mutex::default(),
        }
    }

    /// A sign of life, with what is to be shown from now on. None: what is shown stays.
    pub fn alive(&self, statez: Option<Statez>) {
        if let Some(statez) = statez {
            *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(statez));
        }
        *self.alive.lock().unwrap_or_else(PoisonError::into_inner) = Some(Deadline::now());
    }

    /// To be held while metrics are set and shown: each answer sets them anew, and two at once would lose some.
    pub fn scrape(&self) -> MutexGuard<'_, ()> {
        self.scrape.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the guards show from now on.
    pub fn show_guards(&self, guards: Vec<GuardState>) {
        *self.guards.lock().unwrap_or_else(PoisonError::into_inner) = guards;
    }

    /// What the guards showed last.
    pub fn guards(&self) -> Vec<GuardState> {
        self.guards.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The first attempt to fetch history is over.
    pub fn first_history(&self) {
        self.history.store(true, Ordering::Relaxed);
    }

    /// What was shown last. None: the loop has not started.
    pub fn statez(&self) -> Option<Arc<Statez>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the loop has given a sign of life lately.
    pub fn is_alive(&self) -> bool {
        let alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        alive.is_none_or(|at| at.ago() < SILENCE_MAX)
    }

    /// Whether history has been tried for, or there is nothing to try for.
    pub fn has_tried_history(&self) -> bool {
        self.history.load(Ordering::Relaxed) || self.statez().is_some_and(|s| s.workloads.is_empty())
    }
}

impl Default for Board {
    fn default() -> Self {
        Board::new()
    }
}
