//! When a new size takes effect: up every five minutes; down, as often, to the largest of what was right lately; and down at
//! once by what real replicas have taken.

use crate::units::Time;
use std::collections::VecDeque;
use std::time::Duration;

/// A pool is resized at most so often; what real replicas take of it is no resize.
pub const RESIZE_EVERY: Duration = Duration::from_secs(300);
/// Changes smaller than this share of the pool wait.
pub const HYSTERESIS: f64 = 0.1;
/// It falls to the largest size that was right within this time.
const FALL_AFTER: Duration = Duration::from_secs(900);
/// Wants that are remembered at most.
const WANTS_MAX: usize = 1000;

/// The size that is in force.
#[derive(Debug, Clone, Default)]
pub(super) struct Held {
    pub slots: u32,
    changed: Option<Time>,
    /// (when, want), falling: the first is the largest.
    wants: VecDeque<(Time, u32)>,
}

impl Held {
    /// The size from now on. `want`: what would be right; `taken`: slots that real replicas took in this step.
    pub fn resize(&mut self, now: Time, want: u32, taken: u32) -> u32 {
        self.remember(now, want);
        while self.wants.len() > WANTS_MAX || self.wants.front().is_some_and(|(t, _)| now.since(*t) > FALL_AFTER) {
            self.wants.pop_front();
        }
        let lately = self.wants.front().map_or(want, |(_, w)| *w);
        // room that was held ready is in use: ordering it anew would buy it twice
        let held = self.slots.min(want.max(self.slots.saturating_sub(taken)));
        let due = self.changed.is_none_or(|t| now.since(t) >= RESIZE_EVERY);
        let far = |to: u32| f64::from(to.abs_diff(held)) >= HYSTERESIS * f64::from(held);
        let next = match () {
            () if want > held && due && far(want) => want,
            () if lately < held && due && far(lately) => lately,
            () => held,
        };
        if next != held {
            self.changed = Some(now);
        }
        self.slots = next;
        next
    }

    fn remember(&mut self, now: Time, want: u32) {
        while self.wants.back().is_some_and(|(_, w)| *w <= want) {
            self.wants.pop_back();
        }
        self.wants.push_back((now, want));
    }

    /// Slots that stand from before a restart count as right until now.
    pub fn inherit(&mut self, now: Time, slots: u32) {
        if slots > self.slots {
            self.slots = slots;
            self.remember(now, slots);
        }
    }

    /// Nothing is of a time to come.
    pub fn set_clock(&mut self, now: Time) {
        self.changed = self.changed.map(|t| t.min(now));
        self.wants.iter_mut().for_each(|(t, _)| *t = (*t).min(now));
    }

    /// A bound from outside holds at once.
    pub fn clamp(&mut self, low: u32, high: u32) -> u32 {
        self.slots = self.slots.max(low).min(high);
        self.slots
    }
}
