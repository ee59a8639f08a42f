//! One horizon: the experts' points made quantiles, mixed, corrected, and judged when the window has elapsed.

use super::combine::Boa;
use super::experts::{Ahead, EXPERTS, Expert, FEATURES, Nowcast, Points, Ridge};
use super::past::Past;
use super::residual::{Residuals, Scale, Slow, When};
use super::track::Tracker;
use super::{LEVELS, Task};

const Q: usize = LEVELS.len();

/// What an expert offers to the mixture: its point with one way to measure how far it may be off.
#[derive(Debug, Clone, Copy)]
struct Member {
    expert: Expert,
    spread: Spread,
}

/// In which unit residuals are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spread {
    /// Their usual size recently and at this time of day.
    Local,
    /// The same, with a factor for the minute of the hour.
    Phased,
    /// Their usual size over days.
    Flat,
    /// The same, in load and not in log load.
    Additive,
}

const MEMBERS: [Member; 34] = {
    use Expert::*;
    use Spread::*;
    const fn m(expert: Expert, spread: Spread) -> Member {
        Member { expert, spread }
    }
    [
        m(Persistence, Local),
        m(SlowPersistence, Local),
        m(RecentMaximum, Local),
        m(HourMaximum, Local),
        m(NaiveDay, Local),
        m(SmoothDay, Local),
        m(SmoothWeek, Local),
        m(DayNowcast, Local),
        m(Profile, Local),
        m(ProfileNowcast, Local),
        m(HoltWinters, Local),
        m(QuickHoltWinters, Local),
        m(Ridge, Local),
        m(QuickRidge, Local),
        m(HourPhase, Local),
        m(HalfHourPhase, Local),
        m(DayMaximum, Local),
        m(ThreeDayMaximum, Local),
        m(WeekMaximum, Local),
        m(Unconditional, Flat),
        m(Persistence, Phased),
        m(ProfileNowcast, Phased),
        m(HoltWinters, Phased),
        m(QuickHoltWinters, Phased),
        m(Ridge, Phased),
        m(QuickRidge, Phased),
        m(Persistence, Flat),
        m(Profile, Flat),
        m(Ridge, Flat),
        m(HourPhase, Flat),
        m(NaiveDay, Additive),
        m(SmoothWeek, Additive),
        m(Ridge, Additive),
        m(Persistence, Additive),
    ]
};
const K: usize = MEMBERS.len();

/// What was said at one origin, kept until its window has elapsed.
#[derive(Debug, Clone)]
struct Said {
    origin: Option<usize>,
    when: When,
    points: Points,
    scales: [f32; K],
    features: [f32; FEATURES],
    base: f32,
    /// Quantiles of the members in load, level by level.
    quantiles: Vec<f32>,
    mixed: [f32; Q],
    final_: [f32; Q],
    scale: f32,
    unit: f32,
    valid: bool,
    gaps: [f32; 4],
}

/// Everything that is learned about one horizon.
#[derive(Debug, Clone)]
pub struct Window {
    horizon: usize,
    window: usize,
    said: Vec<Said>,
    scales: Vec<Scale>,
    flat: Vec<[Slow; 2]>,
    residuals: Vec<Residuals>,
    boa: Vec<Boa>,
    trackers: [Tracker; Q],
    track_rate: f32,
    own_scale: Scale,
    ridge: Ridge,
    quick_ridge: Ridge,
    nowcast: Nowcast,
}

impl Window {
    /// Nothing learned.
    pub fn new(task: &Task, horizon: usize) -> Self {
        let day = task.step.per_day().max(1) as f64;
        let secs = task.step.secs();
        let said = Said {
            origin: None,
            when: When { day: 0.0, hour: 0.0 },
            points: [f32::NAN; EXPERTS],
            scales: [1.0; K],
            features: [0.0; FEATURES],
            base: 0.0,
            quantiles: vec![0.0; K * Q],
            mixed: [0.0; Q],
            final_: [0.0; Q],
            scale: 1.0,
            unit: 1.0,
            valid: false,
            gaps: [0.0; 4],
        };
        let minutes = (horizon * secs as usize) as f32 / 60.0;
        let refit = (day / 96.0).round().max(1.0) as usize;
        Window {
            horizon,
            window: task.window,
            said: vec![said; horizon + task.window],
            scales: vec![Scale::new(secs); EXPERTS],
            flat: vec![[Slow::new(5.0 * day); 2]; EXPERTS],
            residuals: MEMBERS.iter().map(|_| Residuals::new(3.0 * day)).collect(),
            boa: LEVELS.iter().map(|_| Boa::new(K, 3.0 * day, 0.002)).collect(),
            trackers: [Tracker::default(); Q],
            track_rate: 0.03 * (30.0 / minutes).min(1.0),
            own_scale: Scale::new(secs),
            ridge: Ridge::new(5.0 * day, 10.0, refit),
            quick_ridge: Ridge::new(day, 10.0, refit),
            nowcast: Nowcast::new(task.step.per_day()),
        }
    }

    /// Steps from the origin to the window.
    pub fn horizon(&self) -> usize {
        self.horizon
    }

    /// How long today's distance from usual lasts.
    pub fn nowcast(&self) -> &Nowcast {
        &self.nowcast
    }

    /// Drops what has been said and not yet judged.
    pub fn forget_pending(&mut self) {
        self.said.iter_mut().for_each(|s| s.origin = None);
    }

    /// Forecasts the window from step `origin`.
    pub fn forecast(&mut self, past: &Past, origin: usize, ahead: &Ahead, drafted: super::experts::Draft) -> [f64; Q] {
        let place = origin % self.said.len();
        let mut points = drafted.points;
        points[Expert::Ridge as usize] = self.ridge.point(&drafted.features, drafted.base);
        points[Expert::QuickRidge as usize] = self.quick_ridge.point(&drafted.features, drafted.base);
        let peak = past.peak();
        let (most, least) = (past.to_z(3.0 * peak), past.to_z(0.0));
        for p in &mut points {
            *p = if p.is_finite() { p.clamp(least, most) } else { f32::NAN };
        }
        let said = &mut self.said[place];
        let unit = past.mean().max(1e-12);
        let mut z = [0.0f32; Q];
        for (k, member) in MEMBERS.iter().enumerate() {
            let e = member.expert as usize;
            let scale = match member.spread {
                Spread::Local => self.scales[e].plain(ahead.when),
                Spread::Phased => self.scales[e].plain(ahead.when) * self.scales[e].phase(ahead.when),
                Spread::Flat => self.flat[e][0].size(),
                Spread::Additive => self.flat[e][1].size(),
            };
            said.scales[k] = scale;
            if points[e].is_nan() {
                said.quantiles[k * Q..(k + 1) * Q].fill(f32::NAN);
                continue;
            }
            self.residuals[k].quantiles(&LEVELS, &mut z);
            let row = &mut said.quantiles[k * Q..(k + 1) * Q];
            if member.spread == Spread::Additive {
                let point = (past.to_load(points[e]) / unit) as f32;
                let most = (3.0 * peak / unit) as f32;
                row.iter_mut().zip(z).for_each(|(q, z)| *q = (point + scale * z).clamp(0.0, most));
            } else {
                row.iter_mut().zip(z).for_each(|(q, z)| {
                    *q = (past.to_load((points[e] + scale * z).clamp(least, most)) / unit) as f32;
                });
            }
        }
        let mut column = [0.0f32; K];
        let recent = (past.to_load(past.recent_top(self.window)) / unit) as f32;
        for (l, boa) in self.boa.iter().enumerate() {
            for (k, c) in column.iter_mut().enumerate() {
                *c = said.quantiles[k * Q + l];
            }
            said.mixed[l] = boa.mix(&column, recent);
        }
        let scale = self.own_scale.plain(ahead.when) * self.own_scale.phase(ahead.when);
        for l in 0..Q {
            let z = past.to_z(f64::from(said.mixed[l]) * unit) + self.trackers[l].correction() * scale;
            said.final_[l] = (past.to_load(z.clamp(least, most)) / unit) as f32;
        }
        let mut values = said.final_.map(|v| f64::from(v) * unit);
        values.sort_unstable_by(f64::total_cmp);
        said.origin = Some(origin);
        said.when = ahead.when;
        said.points = points;
        said.features = drafted.features;
        said.base = drafted.base;
        said.scale = scale;
        said.unit = unit as f32;
        said.gaps = drafted.gaps;
        said.valid = past.recent_valid(self.window);
        values
    }

    /// Learns from the window that starts at step `start` and has just elapsed with `top` as its largest value.
    pub fn learn(&mut self, past: &Past, start: usize, top: f32) {
        let Some(origin) = start.checked_sub(self.horizon) else { return };
        let place = origin % self.said.len();
        let said = &self.said[place];
        if said.origin != Some(origin) || !said.valid {
            return;
        }
        let load = past.to_load(top) as f32 / said.unit;
        for (e, scale) in self.scales.iter_mut().enumerate() {
            if said.points[e].is_finite() {
                scale.add((top - said.points[e]).abs(), said.when);
                self.flat[e][0].add((top - said.points[e]).abs());
                self.flat[e][1].add((load - (past.to_load(said.points[e]) as f32 / said.unit)).abs());
            }
        }
        for (k, member) in MEMBERS.iter().enumerate() {
            let point = said.points[member.expert as usize];
            if point.is_finite() {
                let off = match member.spread {
                    Spread::Additive => load - past.to_load(point) as f32 / said.unit,
                    _ => top - point,
                };
                self.residuals[k].add(off / said.scales[k]);
            }
        }
        let mut column = [0.0f32; K];
        for (l, boa) in self.boa.iter_mut().enumerate() {
            for (k, c) in column.iter_mut().enumerate() {
                *c = said.quantiles[k * Q + l];
            }
            boa.learn(&column, said.mixed[l], load, LEVELS[l] as f32);
            self.trackers[l].learn(load > said.final_[l], LEVELS[l] as f32, self.track_rate);
        }
        let median = past.to_z(f64::from(said.mixed[0] * said.unit));
        self.own_scale.add((top - median).abs(), said.when);
        self.ridge.learn(&said.features, top - said.base);
        self.quick_ridge.learn(&said.features, top - said.base);
        let [gap, profile, change, level] = said.gaps;
        self.nowcast.learn(gap, top - profile, change, top - level);
    }
}
