//! The experts: cheap forecasters of one point each, the largest load of a window to come, in log space.
//!
//! No single one is good everywhere; `combine` finds out which to believe, per workload, horizon and quantile. An expert
//! that has nothing to say answers NaN and sleeps; one that errs is benched by the caller.
#![allow(clippy::indexing_slicing, reason = "points have one place for each expert")]

mod decomposition;
mod holt_winters;
mod level;
mod linear;
mod phase;
mod ridge;
mod screen;
mod seasonal;
mod two_part;

pub use decomposition::{Decomposition, Homework as Fit, Path};
pub use holt_winters::HoltWinters;
pub use level::Levels;
pub use linear::Gram;
pub use ridge::{FEATURES, Ridge};
pub use screen::keep;
pub use seasonal::UNLIKE;
pub use two_part::{Idle, Rest, TwoPart};

use super::past::{Past, Refloor};
use super::residual::When;
use crate::series::{Calendar, Slot};
use crate::units::{Step, Time};
use serde::{Deserialize, Serialize};

/// Days a profile looks back.
pub const PROFILE_DAYS: usize = 14;

/// One expert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expert {
    /// The level of the last 2 minutes.
    Persistence,
    /// The level of the last 15 minutes.
    SlowPersistence,
    /// The largest load of the last window.
    RecentMaximum,
    /// The largest load of the last hour.
    HourMaximum,
    /// The same window yesterday.
    NaiveDay,
    /// The same window yesterday, smoothed.
    SmoothDay,
    /// The same window a week ago, smoothed.
    SmoothWeek,
    /// Yesterday's change from this time of day to the target's, added to the level now.
    DayNowcast,
    /// The usual load at this local time.
    Profile,
    /// The usual load at this local time, shifted by how far the load is from usual now.
    ProfileNowcast,
    /// Online additive Holt-Winters, slow level.
    HoltWinters,
    /// Online additive Holt-Winters, quick level.
    QuickHoltWinters,
    /// Ridge regression, 5 days of memory, on the features that an elastic net keeps.
    Ridge,
    /// Ridge regression, 1 day of memory.
    QuickRidge,
    /// The same minute of the last hours.
    HourPhase,
    /// The same minute of the last half hours.
    HalfHourPhase,
    /// The largest load at this time of the last day.
    DayMaximum,
    /// The largest load at this time of the last 3 days.
    ThreeDayMaximum,
    /// The largest load at this time of the last 7 days.
    WeekMaximum,
    /// The load of the last days, whatever the time: protects spiky workloads.
    Unconditional,
    /// MSTL and a damped trend, shifted to the level of now.
    Decomposition,
    /// Intermittent load: whether there is any, and how much.
    TwoPart,
}

impl Expert {
    /// Its name in metrics and in JSON.
    pub fn name(self) -> String {
        serde_json::to_value(self).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// It repeats what others say with other means: measured, its early mistakes cost more than it gives.
    pub fn joins_late(self) -> bool {
        matches!(self, Expert::Decomposition)
    }

    /// All, in the order of their numbers.
    pub const ALL: [Expert; 22] = [
        Expert::Persistence,
        Expert::SlowPersistence,
        Expert::RecentMaximum,
        Expert::HourMaximum,
        Expert::NaiveDay,
        Expert::SmoothDay,
        Expert::SmoothWeek,
        Expert::DayNowcast,
        Expert::Profile,
        Expert::ProfileNowcast,
        Expert::HoltWinters,
        Expert::QuickHoltWinters,
        Expert::Ridge,
        Expert::QuickRidge,
        Expert::HourPhase,
        Expert::HalfHourPhase,
        Expert::DayMaximum,
        Expert::ThreeDayMaximum,
        Expert::WeekMaximum,
        Expert::Unconditional,
        Expert::Decomposition,
        Expert::TwoPart,
    ];
}

/// Number of experts.
pub const EXPERTS: usize = Expert::ALL.len();

/// The points of all experts for one window; NaN where an expert sleeps.
pub type Points = [f32; EXPERTS];

/// One window to be forecast, and where it lies in local time.
#[derive(Debug, Clone, Copy)]
pub struct Ahead {
    /// Number of the window's first step.
    pub start: usize,
    /// Slot of the local day.
    pub slot: Slot,
    /// The same as shares, for scales.
    pub when: When,
    /// Steps back to the same local time 1, 2, ... days before.
    pub lags: [usize; PROFILE_DAYS],
    /// Days back to the newest day of the same kind: 7, or on a holiday those to the last Sunday.
    pub alike: usize,
}

impl Ahead {
    /// The window that starts at `at`, step `start`.
    pub fn new(calendar: &mut Calendar, at: Time, start: usize) -> Ahead {
        let slot = calendar.slot(at);
        let hour = at.secs().rem_euclid(3600) as f32 / 3600.0;
        let day = slot.of_day as f32 / calendar.slots() as f32;
        let mut lags = [0; PROFILE_DAYS];
        for (i, lag) in lags.iter_mut().enumerate() {
            *lag = calendar.lag(at, i + 1);
        }
        let alike = if slot.holiday { usize::from(slot.weekday) + 1 } else { 7 };
        Ahead { start, slot, when: When { day, hour }, lags, alike }
    }

    /// The largest load of the same window `days` days before, from 1, moved by `shift` steps.
    pub fn before(&self, past: &Past, days: usize, shift: isize) -> Option<f32> {
        let start = self.start.checked_sub(*self.lags.get(days - 1)?)?.checked_add_signed(shift);
        past.top(start)
    }
}

/// What the experts say about one window.
#[derive(Debug, Clone, Copy)]
pub struct Draft {
    /// Their points.
    pub points: Points,
    /// The features for ridge.
    pub features: [f32; FEATURES],
    /// What ridge's target is measured from.
    pub base: f32,
    /// For [`Nowcast::learn`]: distance from usual now, usual then, yesterday's change, level now.
    pub gaps: [f32; 4],
    /// For intermittent load.
    pub idle: Option<Idle>,
}

/// The experts of one workload that learn step by step, whatever the horizon.
#[derive(Debug, Clone)]
pub struct Bank {
    levels: Levels,
    slow: HoltWinters,
    quick: HoltWinters,
    rest: Rest,
    decomposition: Decomposition,
}

/// What all horizons share at one origin.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Profile of the newest elapsed window.
    pub profile: f32,
    /// The newest elapsed window.
    pub ahead: Ahead,
}

impl Bank {
    /// Nothing learned.
    pub fn new(step: Step, slots: usize) -> Self {
        Bank {
            levels: Levels::new(step),
            slow: HoltWinters::new(slots, step, 0.05, 0.2),
            quick: HoltWinters::new(slots, step, 0.3, 0.3),
            rest: Rest::new(step.per_day(), step.secs()),
            decomposition: Decomposition::new(step),
        }
    }

    /// The best guess of the next step where there is no sample.
    pub fn bridge(&self, slot: usize) -> f32 {
        self.slow.point(slot)
    }

    /// Learns the newest step. Only a Valid sample teaches; levels, which forget within minutes, follow `declared`, the
    /// level of a declared occasion, too.
    pub fn learn(&mut self, past: &Past, slot: usize, declared: Option<f32>) {
        let (z, valid) = (past.z(0).unwrap_or(0.0), past.now_valid());
        self.levels.learn(declared.unwrap_or(z), valid, declared.is_some());
        if valid {
            self.slow.learn(z, slot);
            self.quick.learn(z, slot);
            self.rest.learn(if past.is_zero(z) { 0.0 } else { 1.0 });
        }
        self.decomposition.advance(past);
    }

    /// The expert that learns off the tick.
    pub fn decomposition(&mut self) -> &mut Decomposition {
        &mut self.decomposition
    }

    /// Carries all levels over to a new floor.
    pub fn refloor(&mut self, moved: Refloor) {
        self.levels.refloor(moved);
        self.slow.refloor(moved);
        self.quick.refloor(moved);
        self.decomposition.forget();
    }

    /// What all horizons share.
    pub fn now(&mut self, past: &Past, ahead: Ahead) -> Now {
        if !self.levels.declared {
            self.levels.learn_top(past.recent_top(past.window()));
        }
        Now { profile: seasonal::profile(past, &ahead), ahead }
    }

    /// How far the newest window is from usual and from yesterday, whichever is nearer, 0 where it lies between: the
    /// logarithm of how many times. None: it is not known, or the load or the usual one rests, below the floor: of that
    /// nothing is a multiple.
    pub fn gap(&self, past: &Past, now: &Now) -> Option<f32> {
        if !past.recent_valid(past.window()) || self.levels.declared {
            return None;
        }
        let above = |z: f32| Some(past.to_load(z) as f32).filter(|load| !z.is_nan() && *load > past.floor());
        let load = above(past.recent_top(past.window()))?;
        let usual = (load / above(now.profile)?).ln();
        let yesterday = now.ahead.start.checked_sub(now.ahead.lags[0]).filter(|start| past.is_clean(*start));
        let Some(before) = past.top(yesterday).and_then(above) else { return Some(usual) };
        let since = (load / before).ln();
        Some(if usual * since <= 0.0 { 0.0 } else { usual.abs().min(since.abs()).copysign(usual) })
    }

    /// The load has shifted for good, `by` in log load.
    pub fn relevel(&mut self, by: f32) {
        self.levels.week += by;
    }

    /// The points of all experts but ridge, and the features that ridge regresses on.
    pub fn points(&self, past: &Past, now: &Now, ahead: &Ahead, phi: &Nowcast, slots: usize) -> Draft {
        let mut p = [f32::NAN; EXPERTS];
        let mut set = |expert: Expert, value: Option<f32>| p[expert as usize] = value.unwrap_or(f32::NAN);
        let levels = &self.levels;
        let profile = seasonal::profile(past, ahead);
        let slow = self.slow.top(ahead.slot.of_day, past.window(), slots);
        let quick = self.quick.top(ahead.slot.of_day, past.window(), slots);
        let hour = phase::same_minute(past, ahead, 3600, slots);
        let half = phase::same_minute(past, ahead, 1800, slots);
        let smooth_day = seasonal::smooth(past, ahead, 1);
        let day_change = smooth_day.zip(seasonal::smooth(past, &now.ahead, 1)).map(|(then, here)| then - here);
        set(Expert::Persistence, Some(levels.quick));
        set(Expert::SlowPersistence, Some(levels.slow));
        set(Expert::RecentMaximum, Some(past.recent_top(past.window())));
        set(Expert::HourMaximum, Some(past.recent_top(levels.hour_steps)));
        set(Expert::NaiveDay, ahead.before(past, 1, 0));
        set(Expert::SmoothDay, smooth_day);
        set(Expert::SmoothWeek, seasonal::smooth(past, ahead, ahead.alike));
        set(Expert::DayNowcast, day_change.map(|c| levels.top + phi.day * c));
        set(Expert::Profile, Some(profile));
        set(Expert::ProfileNowcast, Some(profile + phi.profile * (levels.top - now.profile)));
        set(Expert::HoltWinters, slow);
        set(Expert::QuickHoltWinters, quick);
        set(Expert::HourPhase, hour);
        set(Expert::HalfHourPhase, half);
        set(Expert::DayMaximum, seasonal::maximum(past, ahead, 1));
        set(Expert::ThreeDayMaximum, seasonal::maximum(past, ahead, 3));
        set(Expert::WeekMaximum, seasonal::maximum(past, ahead, 7));
        set(Expert::Unconditional, Some(levels.week));
        let path = |start: usize| self.decomposition.point(start);
        let shift = path(now.ahead.start).map(|here| phi.profile * (levels.top - here));
        set(Expert::Decomposition, path(ahead.start).zip(shift).map(|(then, shift)| then + shift));
        let (features, base) = ridge::features(past, now, ahead, levels, &p, profile);
        let gaps = [levels.top - now.profile, profile, day_change.unwrap_or(f32::NAN), levels.top];
        Draft { points: p, features, base, gaps, idle: self.rest.idle(ahead.when.day) }
    }
}

/// How much of today's distance from usual will last until the target, learned per horizon.
#[derive(Debug, Clone, Copy)]
pub struct Nowcast {
    /// For the profile, 0..1.
    pub profile: f32,
    /// For yesterday's change, 0..1.
    pub day: f32,
    sums: [f32; 4],
    keep: f32,
}

impl Nowcast {
    /// `per_day` feedbacks a day, 3 days of memory.
    pub fn new(per_day: usize) -> Self {
        Nowcast { profile: 0.8, day: 0.8, sums: [0.0; 4], keep: 0.5f32.powf(1.0 / (3.0 * per_day as f32)) }
    }

    /// Discounted least squares through the origin of (target - profile) on (now - profile now), and of the change of the
    /// load on yesterday's change.
    pub fn learn(&mut self, gap: f32, gap_then: f32, change_day: f32, change: f32) {
        if ![gap, gap_then, change_day, change].iter().all(|v| v.is_finite()) {
            return;
        }
        let new = [gap * gap_then, gap * gap, change_day * change, change_day * change_day];
        for (sum, new) in self.sums.iter_mut().zip(new) {
            *sum = *sum * self.keep + new;
        }
        self.profile = ((self.sums[0] + 0.08) / (self.sums[1] + 0.1)).clamp(0.0, 1.0);
        self.day = ((self.sums[2] + 0.08) / (self.sums[3] + 0.1)).clamp(0.0, 1.0);
    }
}
