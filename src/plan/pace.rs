//! How fast a plan may move: the last quarter of an hour of plans, a minute a bucket.

use crate::units::{Replicas, Time};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Minutes of plans that are remembered.
const MINUTES: i64 = 15;
/// Growth within ten minutes that needs no load already there to justify it.
const GROWTH: Replicas = 4;
/// The minutes within which [`GROWTH`] counts.
const GROWTH_MINUTES: i64 = 10;

/// Minutes without a plan after which growth counts from what runs, too.
const PAUSE_MINUTES: i64 = 5;

/// Of so many replicas, a tenth is not a whole one.
const SMALL: Replicas = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Minute {
    minute: i64,
    low: Replicas,
    high: Replicas,
}

/// The plans of the last 15 minutes, and of the newest minute however old it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    minutes: VecDeque<Minute>,
    last: Option<Replicas>,
}

impl Pace {
    /// The newest plan. None before the first.
    pub fn last(&self) -> Option<Replicas> {
        self.last
    }

    /// Minutes remembered.
    pub fn remembered(&self) -> usize {
        self.minutes.len()
    }

    /// Before the first plan: what is in force, and what runs now, from which growth is counted.
    pub fn begin(&mut self, now: Time, in_force: Replicas, running: Replicas) {
        let low = self.minutes.front().map_or(running, |m| m.low.min(running));
        self.note(now, in_force);
        if let Some(newest) = self.minutes.front_mut() {
            newest.low = low;
        }
    }

    /// A floor that stands in the cluster, whoever kept it from falling: the next plan falls from there.
    pub fn stands(&mut self, now: Time, floor: Replicas) {
        if let (Some(last), Some(newest)) = (self.last, self.minutes.front())
            && floor > last
        {
            let low = newest.low;
            self.note(now, floor);
            self.last = Some(last);
            if let Some(newest) = self.minutes.front_mut() {
                newest.low = low.min(newest.low);
            }
        }
    }

    /// What is left where nothing of ours stands in the cluster: no plan to fall from, and the least ones still limit
    /// growth.
    pub fn without_floor(&self) -> Pace {
        let minutes = self.minutes.iter().map(|m| Minute { high: 0, ..*m }).collect();
        Pace { minutes, last: None }
    }

    /// Our clock was set: in truth `minutes` have passed since the newest plan.
    pub fn set_clock(&mut self, now: Time, minutes: i64) {
        let Some(newest) = self.minutes.front() else { return };
        let gap = now.secs().div_euclid(60) - newest.minute - minutes;
        self.minutes.iter_mut().for_each(|m| m.minute = m.minute.saturating_add(gap));
    }

    /// Remembers a plan.
    pub fn note(&mut self, now: Time, replicas: Replicas) {
        let minute = now.secs().div_euclid(60);
        self.last = Some(replicas);
        match self.minutes.front_mut() {
            // a clock that went back counts to the newest minute
            Some(newest) if newest.minute >= minute => {
                newest.low = newest.low.min(replicas);
                newest.high = newest.high.max(replicas);
            }
            _ => self.minutes.push_front(Minute { minute, low: replicas, high: replicas }),
        }
        self.minutes.retain(|m| minute - m.minute <= MINUTES);
    }

    /// The least a plan may be now: at most 10 % less than within the last minute and 30 % less than within the last
    /// 15 minutes (I4), but of ten or fewer, one replica a minute may always go. After a pause of more than 15 minutes: 30 % for each.
    pub fn least(&self, now: Time) -> Replicas {
        let minute = now.secs().div_euclid(60);
        let Some(newest) = self.minutes.front() else { return 0 };
        let limited = self.minutes.iter().map(|m| match minute - m.minute {
            ..=1 => share(m.high, 9),
            2..=MINUTES => share(m.high, 7),
            _ if m.minute != newest.minute => 0,
            old => (0..(old / MINUTES).min(32)).fold(m.high, |left, _| share(left, 7)),
        });
        let least = limited.max().unwrap_or(0);
        // a few minutes without a plan do not add up to more than their tenths
        let age = (minute - newest.minute).clamp(1, MINUTES);
        if newest.high <= SMALL {
            let left = newest.high.saturating_sub(u32::try_from(age).unwrap_or(1));
            return least.min(newest.high.saturating_sub(1)).max(left);
        }
        let tenths = (0..age).fold(newest.high, |left, _| share(left, 9));
        if minute - newest.minute <= MINUTES { least.max(tenths) } else { least }
    }

    /// The most a plan may be now without load that already needs more: four times the least of the last 10 minutes
    /// (I5), and at least four. After more than 5 minutes without a plan, what is `running` counts as one, so that nothing hangs on
    /// whose clock counts those ten.
    pub fn most(&self, now: Time, running: Replicas) -> Replicas {
        let minute = now.secs().div_euclid(60);
        let recent = self.minutes.iter().filter(|m| minute - m.minute <= GROWTH_MINUTES).map(|m| m.low).min();
        let paused = self.minutes.front().is_none_or(|newest| minute - newest.minute > PAUSE_MINUTES);
        let least = recent.into_iter().chain(paused.then_some(running)).min();
        least.unwrap_or(0).max(1).saturating_mul(GROWTH)
    }

    /// Plans are remembered, and growth counts none of them any more.
    pub fn is_over(&self, now: Time) -> bool {
        let minute = now.secs().div_euclid(60);
        self.minutes.front().is_some_and(|newest| minute - newest.minute > GROWTH_MINUTES)
    }
}

/// `tenths` tenths of a count, rounded up.
fn share(count: Replicas, tenths: Replicas) -> Replicas {
    u32::try_from((u64::from(count) * u64::from(tenths)).div_ceil(10)).unwrap_or(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Time {
        Time::from_secs(minute * 60)
    }

    #[test]
    fn a_hundred_falls_by_a_tenth_a_minute_and_three_tenths_a_quarter_of_an_hour() {
        let mut pace = Pace::default();
        pace.note(at(0), 100);
        let mut path = vec![];
        for minute in 1..=18 {
            let least = pace.least(at(minute));
            pace.note(at(minute), least);
            path.push(least);
        }
        assert_eq!(path[..5], [90, 81, 73, 70, 70]);
        // the hundred leaves the window after 15 minutes, the ninety after 16
        assert_eq!(path[14..], [70, 63, 57, 52]);
    }

    #[test]
    fn a_floor_that_could_not_be_lowered_is_where_the_fall_begins() {
        let mut pace = Pace::default();
        pace.note(at(0), 100);
        for minute in 1..=30 {
            pace.stands(at(minute), 100);
            let least = pace.least(at(minute));
            pace.note(at(minute), least);
            assert_eq!((minute, least, pace.last()), (minute, 90, Some(90)), "nothing could be written");
        }
    }

    #[test]
    fn small_counts_move_by_one() {
        let mut pace = Pace::default();
        pace.note(at(0), 3);
        assert_eq!(pace.least(at(1)), 2);
        pace.note(at(1), 2);
        assert_eq!(pace.least(at(2)), 1);
    }

    #[test]
    fn a_pause_counts_in_quarters_of_an_hour() {
        let mut pace = Pace::default();
        pace.note(at(0), 100);
        assert_eq!(pace.least(at(60)), 25, "100 x 0.7^4, rounded up each time");
    }

    #[test]
    fn growth_is_four_times_the_least_of_ten_minutes() {
        let mut pace = Pace::default();
        pace.note(at(0), 5);
        pace.note(at(5), 20);
        assert_eq!(pace.most(at(6), 9), 20);
        assert_eq!((pace.most(at(10), 9), pace.is_over(at(15))), (20, false));
        pace.note(at(11), 20);
        assert_eq!(pace.most(at(11), 9), 80, "no pause: what runs does not count");
        assert_eq!((pace.most(at(17), 9), pace.most(at(17), 90)), (36, 80), "after six minutes it does");
        assert_eq!((pace.most(at(22), 9), pace.is_over(at(22))), (36, true), "it alone");
    }
}
