//! The only place that reads time.

#![expect(clippy::disallowed_methods, reason = "this is the place")]

use crate::units::Time;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A source of the present instant. Everything that needs "now" is given one of these, or the instant itself.
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> Time;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Time {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A stopwatch for progress lines and benchmarks. Nothing that decides may look at it.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts to measure.
    pub fn start() -> Self {
        Stopwatch(Instant::now())
    }

    /// Time since the start.
    pub fn elapsed(&self) -> std::time::Duration {
        self.0.elapsed()
    }
}

/// An instant of the monotonic clock. Leases, limits and retries count on it, since the wall clock may jump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// So long from now.
    pub fn after(time: std::time::Duration) -> Self {
        Deadline(Instant::now() + time)
    }

    /// The present instant.
    pub fn now() -> Self {
        Deadline(Instant::now())
    }

    /// The deadline `time` later.
    pub fn later(self, time: std::time::Duration) -> Self {
        Deadline(self.0 + time)
    }

    /// True once it is over.
    pub fn passed(self) -> bool {
        Instant::now() >= self.0
    }

    /// What is left; zero once it is over.
    pub fn left(self) -> std::time::Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Time since it passed; zero before.
    pub fn ago(self) -> std::time::Duration {
        self.0.elapsed()
    }
}
