//! One horizon: the experts' points made quantiles, mixed, corrected, and judged when the window has elapsed.

use super::combine::Mixture;
use super::experts::{Ahead, Draft, EXPERTS, Expert, FEATURES, Nowcast, Points, Ridge};
use super::members::{K, MEMBERS, Spread};
use super::past::Past;
use super::residual::{Residuals, Scale, Slow, When};
use super::score::Score;
use super::track::Tracker;
use super::{LEVELS, Task};

const Q: usize = LEVELS.len();

/// What was said at one origin, kept until its window has elapsed. Loads are in units of the mean load known then.
#[derive(Debug, Clone)]
struct Said {
    origin: Option<usize>,
    when: When,
    points: Points,
    scales: [f32; K],
    features: [f32; FEATURES],
    base: f32,
    /// Quantiles of the members, level by level.
    quantiles: Box<[f32]>,
    mixed: [f32; Q],
    /// Corrected, not yet in order: each tracker answers for its own.
    corrected: [f32; Q],
    values: [f32; Q],
    unit: f32,
    gaps: [f32; 4],
}

/// Everything that is learned about one horizon.
#[derive(Debug, Clone)]
pub struct Window {
    horizon: usize,
    window: usize,
    per_day: usize,
    said: Vec<Said>,
    scales: Vec<Scale>,
    flat: Vec<[Slow; 2]>,
    residuals: Vec<Residuals>,
    mixture: Mixture,
    trackers: [Tracker; Q],
    track_rate: f32,
    own_scale: Scale,
    ridge: Ridge,
    quick_ridge: Ridge,
    nowcast: Nowcast,
    benched_until: [usize; EXPERTS],
    score: Score,
}

/// Standardised residuals are refreshed in so many turns, a part of the members each step.
const TURNS: usize = 4;

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
            quantiles: vec![f32::NAN; K * Q].into(),
            mixed: [0.0; Q],
            corrected: [0.0; Q],
            values: [0.0; Q],
            unit: 1.0,
            gaps: [0.0; 4],
        };
        let minutes = (horizon * secs as usize) as f32 / 60.0;
        let refit = (day / 96.0).round().max(1.0) as usize;
        Window {
            horizon,
            window: task.window,
            per_day: task.step.per_day().max(1),
            said: vec![said; horizon + task.window],
            scales: vec![Scale::new(secs); EXPERTS],
            flat: vec![[Slow::new(5.0 * day); 2]; EXPERTS],
            residuals: vec![Residuals::new(3.0 * day); K],
            mixture: Mixture::new(K, 3.0 * day),
            trackers: [Tracker::default(); Q],
            track_rate: 0.03 * (secs as f32 / 60.0).sqrt().clamp(0.5, 4.0) * (30.0 / minutes).min(1.0),
            own_scale: Scale::new(secs),
            ridge: Ridge::new(5.0 * day, 3.0, refit),
            quick_ridge: Ridge::new(day, 3.0, refit),
            nowcast: Nowcast::new(task.step.per_day()),
            benched_until: [0; EXPERTS],
            score: Score::new(task.step.per_day()),
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

    /// The books.
    pub fn score(&self) -> &Score {
        &self.score
    }

    /// Weight of each member at level number `level` of [`LEVELS`].
    pub fn weights(&self, level: usize) -> &[f32] {
        self.mixture.weights(level)
    }

    /// Drops what has been said and not yet judged.
    pub fn forget_pending(&mut self) {
        self.said.iter_mut().for_each(|s| s.origin = None);
    }

    /// Forecasts the window from step `origin`: loads per level, not falling.
    pub fn forecast(&mut self, past: &Past, origin: usize, ahead: &Ahead, draft: Draft) -> [f64; Q] {
        let place = origin % self.said.len();
        let (most, least) = (past.to_z(3.0 * past.peak()), past.to_z(0.0));
        let points = self.admit(draft, origin, least, most);
        let unit = past.mean().max(1e-12);
        let said = &mut self.said[place];
        for (k, member) in MEMBERS.iter().enumerate() {
            let e = member.expert as usize;
            let scale = match member.spread {
                Spread::Local => self.scales[e].plain(ahead.when),
                Spread::Phased => self.scales[e].plain(ahead.when) * self.scales[e].phase(ahead.when),
                Spread::Flat => self.flat[e][0].size(),
                Spread::Additive => self.flat[e][1].size(),
            };
            said.scales[k] = scale;
            if (origin + k).is_multiple_of(TURNS) {
                self.residuals[k].refresh();
            }
            let point = points[e];
            let load = past.to_load(point);
            for (l, z) in self.residuals[k].quantiles().iter().enumerate() {
                let value = match member.spread {
                    Spread::Additive => (load + f64::from(scale * z)).clamp(0.0, 3.0 * past.peak()),
                    _ => past.to_load_quick((point + scale * z).clamp(least, most)),
                };
                said.quantiles[l * K + k] = if point.is_nan() { f32::NAN } else { (value / unit) as f32 };
            }
        }
        let recent = (past.to_load(past.recent_top(self.window)) / unit) as f32;
        let scale = self.own_scale.plain(ahead.when) * self.own_scale.phase(ahead.when);
        for l in 0..Q {
            said.mixed[l] = self.mixture.mix(l, &said.quantiles[l * K..(l + 1) * K], recent);
            let z = past.to_z(f64::from(said.mixed[l]) * unit) + self.trackers[l].correction() * scale;
            said.corrected[l] = (past.to_load(z.clamp(least, most)) / unit) as f32;
        }
        said.values = said.corrected;
        said.values.sort_unstable_by(f32::total_cmp);
        said.origin = past.recent_valid(self.window).then_some(origin);
        said.when = ahead.when;
        said.points = points;
        said.features = draft.features;
        said.base = draft.base;
        said.unit = unit as f32;
        said.gaps = draft.gaps;
        said.values.map(|v| f64::from(v) * unit)
    }

    /// All points, clamped to 3 x the trailing maximum. An expert that overflows is benched for a day.
    fn admit(&mut self, draft: Draft, origin: usize, least: f32, most: f32) -> Points {
        /// Further than this above the clamp is an error and no forecast: a factor of 20.
        const ABSURD: f32 = 3.0;
        let mut points = draft.points;
        points[Expert::Ridge as usize] = self.ridge.point(&draft.features, draft.base);
        points[Expert::QuickRidge as usize] = self.quick_ridge.point(&draft.features, draft.base);
        for (p, until) in points.iter_mut().zip(&mut self.benched_until) {
            if p.is_infinite() || (p.abs() > most.abs() + ABSURD && *p > most + ABSURD) {
                *until = origin + self.per_day;
            }
            *p = if p.is_finite() && origin >= *until { p.clamp(least, most) } else { f32::NAN };
        }
        points
    }

    /// Learns from the window that starts at step `start` and has just elapsed with `top` as its largest value.
    pub fn learn(&mut self, past: &Past, start: usize, top: f32) {
        let Some(origin) = start.checked_sub(self.horizon) else { return };
        let place = origin % self.said.len();
        let said = &self.said[place];
        if said.origin != Some(origin) {
            return;
        }
        let measured = past.to_load(top);
        let mut loads = [0.0f64; EXPERTS];
        for (e, load) in loads.iter_mut().enumerate() {
            if said.points[e].is_finite() {
                *load = past.to_load(said.points[e]);
                self.scales[e].add((top - said.points[e]).abs(), said.when);
                self.flat[e][0].add((top - said.points[e]).abs());
                self.flat[e][1].add((measured - *load).abs() as f32);
            }
        }
        for (k, member) in MEMBERS.iter().enumerate() {
            let e = member.expert as usize;
            if said.points[e].is_finite() {
                let off = match member.spread {
                    Spread::Additive => (measured - loads[e]) as f32,
                    _ => top - said.points[e],
                };
                self.residuals[k].add(off / said.scales[k]);
            }
        }
        let load = (measured / f64::from(said.unit)) as f32;
        for (l, level) in LEVELS.iter().enumerate() {
            let level = *level as f32;
            self.mixture.learn(l, &said.quantiles[l * K..(l + 1) * K], said.mixed[l], load, level);
            // the median's errors hang together for hours: chasing them costs more than it mends
            let rate = if l == 0 { 0.3 * self.track_rate } else { self.track_rate };
            self.trackers[l].learn(load > said.corrected[l], level, rate);
        }
        self.mixture.weigh();
        self.score.learn(load, &said.values, &said.quantiles);
        let median = past.to_z(f64::from(said.mixed[0]) * f64::from(said.unit));
        self.own_scale.add((top - median).abs(), said.when);
        self.ridge.learn(&said.features, top - said.base);
        self.quick_ridge.learn(&said.features, top - said.base);
        let [gap, profile, change, level] = said.gaps;
        self.nowcast.learn(gap, top - profile, change, top - level);
    }
}
