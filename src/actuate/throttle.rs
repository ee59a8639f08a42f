//! How fast we write: a token bucket of our own, scale-ups first, and silence while the API server asks for it.

use crate::clock::Deadline;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Writes that may follow each other at once after a quiet time.
const BURST: f64 = 5.0;
/// Longest wait for a turn; who waits longer is out of date and gives up.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// A token bucket with two priorities.
#[derive(Debug)]
pub struct Throttle {
    per_second: f64,
    state: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Deadline,
    urgent: usize,
    silent_until: Deadline,
}

impl Throttle {
    /// At most so many writes a second in the long run.
    pub fn new(per_second: u32) -> Throttle {
        let now = Deadline::now();
        let bucket = Bucket { tokens: BURST, filled: now, urgent: 0, silent_until: now };
        Throttle { per_second: f64::from(per_second.max(1)), state: Mutex::new(bucket) }
    }

    /// No write for so long: the API server asked for it.
    pub fn silence(&self, time: Duration) {
        let mut bucket = self.lock();
        bucket.silent_until = bucket.silent_until.max(Deadline::after(time));
    }

    /// Waits for a turn; urgent ones (scale-ups) go first. False: it would take too long.
    pub async fn turn(&self, urgent: bool) -> bool {
        let give_up = Deadline::after(WAIT_MAX);
        let _place = urgent.then(|| Place::take(self));
        loop {
            let wait = match self.try_turn(urgent) {
                None => return true,
                Some(wait) => wait,
            };
            if wait > give_up.left() {
                return false;
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Takes a token, or says after what time to ask again.
    fn try_turn(&self, urgent: bool) -> Option<Duration> {
        let mut bucket = self.lock();
        if !bucket.silent_until.passed() {
            return Some(bucket.silent_until.left());
        }
        let gained = bucket.filled.ago().as_secs_f64() * self.per_second;
        bucket.tokens = (bucket.tokens + gained).min(BURST);
        bucket.filled = Deadline::now();
        if bucket.tokens >= 1.0 && (urgent || bucket.urgent == 0) {
            bucket.tokens -= 1.0;
            return None;
        }
        Some(Duration::from_secs_f64((1.0 - bucket.tokens).max(0.1) / self.per_second))
    }

    fn lock(&self) -> MutexGuard<'_, Bucket> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among the urgent ones, given up when dropped.
struct Place<'a>(&'a Throttle);

impl<'a> Place<'a> {
    fn take(throttle: &'a Throttle) -> Self {
        throttle.lock().urgent += 1;
        Place(throttle)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.lock().urgent -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_bounded_and_scale_ups_go_first() {
        let throttle = Throttle::new(1);
        for turn in 0..5 {
            assert_eq!(throttle.try_turn(false), None, "turn {turn}");
        }
        assert!(throttle.try_turn(true).is_some(), "the bucket is empty");
        let throttle = Throttle::new(1);
        let place = Place::take(&throttle);
        assert!(throttle.try_turn(false).is_some(), "a scale-up waits");
        assert_eq!(throttle.try_turn(true), None);
        drop(place);
        assert_eq!(throttle.try_turn(false), None);
    }

    #[test]
    fn silence_holds_for_everyone() {
        let throttle = Throttle::new(5);
        throttle.silence(Duration::from_secs(60));
        assert!(throttle.try_turn(true).is_some_and(|wait| wait > Duration::from_secs(50)));
    }
}
