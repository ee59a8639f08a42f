//! One horizon: the experts' points made quantiles, mixed, corrected, and judged when the window has elapsed.
#![allow(
    clippy::indexing_slicing,
    reason = "levels, members and rings have fixed lengths, and each index is taken modulo or from a range over them"
)]

use super::calibrate::Calibration;
use super::combine::Mixture;
use super::experts::{Ahead, Draft, EXPERTS, Expert, FEATURES, Gram, Nowcast, Points, Ridge, TwoPart};
use super::flat::{self, Half};
use super::members::{K, MEMBERS, Spread, TWO_PART};
use super::past::Past;
use super::residual::{Residuals, Scale, Slow, When};
use super::score::{Ratings, Score};
use super::track::Tracker;
use super::{LEVELS, Task};
use crate::units::Brief;

const Q: usize = LEVELS.len();

/// What was said at one origin, kept until its window has elapsed; the members' quantiles are worked out again from it.
/// Loads are in the unit known then, about the mean load.
#[derive(Debug, Clone)]
struct Said {
    /// [`NEVER`]: nothing that could be judged.
    origin: usize,
    when: When,
    points: Points,
    scales: [Brief; K],
    features: [Half; FEATURES],
    base: f32,
    mixed: [f32; Q],
    /// Corrected, not yet in order: each tracker answers for its own.
    corrected: [f32; Q],
    /// What was given out: calibrated and in order.
    given: [f32; Q],
    unit: f32,
    gaps: [f32; 4],
    /// The least and the most of a value in log space, and the most of a load.
    bounds: [f32; 3],
    /// Of each level, whether its correction would lift it above the largest load of the week, and is cut.
    cut: [bool; Q],
    /// Experts that join late are only tried.
    young: bool,
    /// Quantiles of the member that gives its own.
    own: Option<[Half; Q]>,
}

/// Points and quantiles of members are at most so many times the largest load of the week: one that is far out widens what
/// the mixture holds for possible, and it learns the more slowly.
const MOST: f64 = 2.0;
/// No origin.
const NEVER: usize = usize::MAX;

/// Quantiles of the members, level by level.
type Fan = [f32; K * Q];

impl Said {
    /// The members' quantiles, NaN where one sleeps. `spreads`: of each member, standardised residuals at all levels.
    fn fan(&self, floor: f32, mut spreads: impl FnMut(usize) -> [f32; Q]) -> Fan {
        let mut fan = [0.0; K * Q];
        let [least, most, top] = self.bounds;
        let mut loads = [(0.0, [0.0; Q]); K];
        for (k, member) in MEMBERS.iter().enumerate() {
            let (point, scale, spread) = (self.points[member.expert as usize], self.scales[k].get(), spreads(k));
            let additive = member.spread == Spread::Additive;
            for l in 0..Q {
                fan[l * K + k] = if additive { point } else { (point + scale * spread[l]).clamp(least, most) };
            }
            if additive {
                loads[k] = (scale, spread);
            }
        }
        flat::wide(
            #[inline(always)]
            || {
                for value in &mut fan {
                    let load = flat::exp(*value) - floor;
                    *value = if load < 0.0 { 0.0 } else { load };
                }
            },
        );
        for (k, (scale, spread)) in loads.iter().enumerate() {
            if MEMBERS[k].spread == Spread::Additive {
                for l in 0..Q {
                    fan[l * K + k] = (fan[l * K + k] + scale * spread[l]).clamp(0.0, top);
                }
            }
        }
        let per_unit = 1.0 / self.unit;
        fan.iter_mut().for_each(|value| *value *= per_unit);
        for (k, member) in MEMBERS.iter().enumerate() {
            if self.young && member.expert.joins_late() {
                (0..Q).for_each(|l| fan[l * K + k] = f32::NAN);
            }
        }
        if let Some(own) = &self.own {
            own.iter().enumerate().for_each(|(l, load)| fan[l * K + TWO_PART] = load.get());
        }
        fan
    }
}

/// The ring of standardised residuals that members said with: those that were worked out anew at each origin.
#[derive(Debug, Clone)]
struct Spreads {
    /// Row by row, `K / TURNS` members a row, rounded up.
    rows: Vec<[[Half; Q]; ROW]>,
}

/// Members that are worked out anew at one origin at most.
const ROW: usize = K.div_ceil(TURNS);

impl Spreads {
    fn row(&self, origin: usize) -> usize {
        origin % self.rows.len()
    }

    fn of(&self, origin: usize, k: usize) -> [f32; Q] {
        // worked out at the newest origin at or before this one whose turn it was; at the very first ones not yet
        let turn = origin.saturating_sub((origin + k) % TURNS);
        self.rows[self.row(turn)][k / TURNS].map(Half::get)
    }
}

/// Everything that is learned about one horizon.
#[derive(Debug, Clone)]
pub struct Window {
    horizon: usize,
    window: usize,
    per_day: usize,
    said: Vec<Said>,
    spreads: Spreads,
    scales: Vec<Scale>,
    flat: Vec<[Slow; 2]>,
    residuals: Vec<Residuals>,
    mixture: Mixture,
    trackers: [Tracker; Q],
    track_rate: f32,
    calibration: Calibration,
    own_scale: Scale,
    ridge: Ridge,
    quick_ridge: Ridge,
    two_part: TwoPart,
    nowcast: Nowcast,
    benched_until: [usize; EXPERTS],
    score: Score,
    ratings: Option<Box<Ratings>>,
}

/// Experts of a second fit are tried for so many days of history before they are mixed.
const LATE_DAYS: usize = 8;
/// So much of the unit, said of a load that rests, is as good as nothing.
const REST: f32 = 0.01;
/// Standardised residuals are refreshed in so many turns, a part of the members each step.
const TURNS: usize = 4;

impl Window {
    /// Nothing learned.
    pub fn new(task: &Task, horizon: usize) -> Self {
        let day = task.step.per_day().max(1) as f64;
        let secs = task.step.secs();
        let said = Said {
            origin: NEVER,
            when: When { day: 0.0, hour: 0.0 },
            points: [f32::NAN; EXPERTS],
            scales: [Brief::default(); K],
            features: [Half::default(); FEATURES],
            base: 0.0,
            mixed: [0.0; Q],
            corrected: [0.0; Q],
            given: [0.0; Q],
            unit: 1.0,
            gaps: [0.0; 4],
            bounds: [0.0; 3],
            cut: [false; Q],
            young: false,
            own: None,
        };
        // outcomes of windows that overlap say the same, and what they say comes late
        let minutes = ((horizon + task.window) * secs as usize) as f32 / 60.0;
        let refit = (day / 96.0).round().max(1.0) as usize;
        Window {
            horizon,
            window: task.window,
            per_day: task.step.per_day().max(1),
            said: vec![said; horizon + task.window],
            spreads: Spreads { rows: vec![[[Half::default(); Q]; ROW]; horizon + task.window + TURNS] },
            scales: Expert::ALL
                .iter()
                .map(|e| if phased(*e) { Scale::phased(secs) } else { Scale::new(secs) })
                .collect(),
            flat: vec![[Slow::new(5.0 * day); 2]; EXPERTS],
            residuals: vec![Residuals::new(3.0 * day); K],
            mixture: Mixture::new(K, 3.0 * day),
            trackers: [Tracker::default(); Q],
            track_rate: 0.12 * (secs as f32 / 60.0).sqrt().clamp(0.1, 4.0) * (8.0 / minutes).powf(0.75).min(1.0),
            calibration: Calibration::new(task.step.per_day()),
            own_scale: Scale::phased(secs),
            ridge: Ridge::new(5.0 * day, 3.0, refit),
            quick_ridge: Ridge::new(day, 3.0, refit),
            two_part: TwoPart::new(3.0 * day, horizon + task.window),
            nowcast: Nowcast::new(task.step.per_day()),
            benched_until: [0; EXPERTS],
            score: Score::new(task.step.per_day()),
            ratings: None,
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

    /// From now on every member is followed.
    pub fn rate(&mut self) {
        self.ratings = Some(Box::new(Ratings::new()));
    }

    /// What following them has shown. None: they are not followed.
    pub fn ratings(&self) -> Option<&Ratings> {
        self.ratings.as_deref()
    }

    /// Weight of each member at level number `level` of [`LEVELS`].
    pub fn weights(&self, level: usize) -> &[f32] {
        self.mixture.weights(level)
    }

    /// What ridge's features can be screened by.
    pub fn gram(&self) -> &Gram<FEATURES> {
        self.ridge.gram()
    }

    /// Features that ridge needs, of all. None: not known yet.
    pub fn features_kept(&self) -> Option<usize> {
        self.ridge.kept()
    }

    /// From its next refit on ridge takes these features.
    pub fn keep(&mut self, kept: Option<[bool; FEATURES]>) {
        self.ridge.keep(kept);
    }

    /// Drops what has been said and not yet judged.
    pub fn forget_pending(&mut self) {
        self.said.iter_mut().for_each(|s| s.origin = NEVER);
    }

    /// Forecasts the window from step `origin`: loads per level, not falling.
    pub fn forecast(&mut self, past: &Past, origin: usize, ahead: &Ahead, draft: Draft) -> [f64; Q] {
        let place = origin % self.said.len();
        let (most, least) = (past.to_z(MOST * past.peak()), past.to_z(0.0));
        let points = self.admit(draft, origin, least, most);
        let unit = past.unit();
        let row = self.spreads.row(origin);
        let said = &mut self.said[place];
        said.points = points;
        said.unit = unit as f32;
        said.bounds = [least, most, (MOST * past.peak()) as f32];
        said.young = origin < LATE_DAYS * self.per_day;
        let own = self.two_part.say(origin, draft.idle);
        said.own = own.map(|own| own.map(|load| Half::new((f64::from(load).min(MOST * past.peak()) / unit) as f32)));
        for (k, member) in MEMBERS.iter().enumerate() {
            let e = member.expert as usize;
            let scale = match member.spread {
                Spread::Local => self.scales[e].plain(ahead.when),
                Spread::Phased => self.scales[e].plain(ahead.when) * self.scales[e].phase(ahead.when),
                Spread::Flat => self.flat[e][0].size(),
                Spread::Additive => self.flat[e][1].size(),
                Spread::Own => 1.0,
            };
            said.scales[k] = Brief::new(scale);
            if (origin + k).is_multiple_of(TURNS) {
                self.residuals[k].refresh();
                self.spreads.rows[row][k / TURNS] = self.residuals[k].quantiles().map(Half::new);
            }
        }
        let fan = said.fan(past.floor(), |k| *self.residuals[k].quantiles());
        let recent = (past.to_load(past.recent_top(self.window)) / unit) as f32;
        let scale = self.own_scale.plain(ahead.when) * self.own_scale.phase(ahead.when);
        let (mut corrected, mut ceiling) = ([0.0; Q], past.to_z(past.peak()));
        let mut ceilings = [0.0; Q];
        for l in 0..Q {
            said.mixed[l] = self.mixture.mix(l, &fan[l * K..(l + 1) * K], recent);
            let mixed = past.to_z(f64::from(said.mixed[l]) * unit);
            ceiling = ceiling.max(mixed.min(most));
            ceilings[l] = ceiling;
            let wanted = mixed + self.trackers[l].correction() * scale;
            said.cut[l] = wanted > ceiling && wanted > mixed;
            corrected[l] = wanted.clamp(least, ceiling);
            said.corrected[l] = (past.to_load(corrected[l]) / unit) as f32;
        }
        corrected.sort_unstable_by(f32::total_cmp);
        let calibrated = self.calibration.apply(&corrected);
        said.given = std::array::from_fn(|l| (past.to_load(calibrated[l].clamp(least, ceilings[l])) / unit) as f32);
        said.origin = if past.recent_valid(self.window) && past.peak() > 0.0 { origin } else { NEVER };
        said.when = ahead.when;
        said.features = draft.features.map(Half::new);
        said.base = draft.base;
        said.gaps = draft.gaps;
        said.given.map(|v| f64::from(v) * unit)
    }

    /// All points, clamped to [`MOST`] times the largest load of the week. An expert that overflows is benched for a day.
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
        if said.origin != origin {
            return;
        }
        let measured = past.to_load(top);
        self.two_part.learn(origin, if past.is_zero(top) { 0.0 } else { measured as f32 });
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
                self.residuals[k].add(off / said.scales[k].get());
            }
        }
        let rests = past.is_zero(top);
        let load = if rests { 0.0 } else { (measured / f64::from(said.unit)) as f32 };
        let corrected = said.corrected.map(|value| if rests && value <= REST { 0.0 } else { value });
        let fan = said.fan(past.floor(), |k| self.spreads.of(origin, k));
        // the median's errors hang together for hours: chasing them costs more than it mends
        for (l, level) in LEVELS.iter().enumerate().skip(1) {
            // a value that was hit exactly, as zero is by a load that rests, tells nothing; and a correction that no longer
            // lifts its quantile does not grow
            let missed = load > corrected[l];
            if load != corrected[l] && !(missed && said.cut[l]) {
                self.trackers[l].learn(missed, *level as f32, self.track_rate);
            }
        }
        self.mixture.learn(&fan, &said.mixed, load);
        self.calibration.learn(load, &sorted(corrected));
        self.score.learn(load, &said.given, &fan);
        if let Some(ratings) = &mut self.ratings {
            ratings.learn(load, &said.given, &fan, said.unit);
        }
        let median = past.to_z(f64::from(said.mixed[0]) * f64::from(said.unit));
        self.own_scale.add((top - median).abs(), said.when);
        let features = said.features.map(Half::get);
        self.ridge.learn(&features, top - said.base);
        self.quick_ridge.learn(&features, top - said.base);
        let [gap, profile, change, level] = said.gaps;
        self.nowcast.learn(gap, top - profile, change, top - level);
    }
}

/// Whether some member spreads this expert by the minute of the hour.
fn phased(expert: Expert) -> bool {
    MEMBERS.iter().any(|m| m.expert == expert && m.spread == Spread::Phased)
}

fn sorted(mut values: [f32; Q]) -> [f32; Q] {
    values.sort_unstable_by(f32::total_cmp);
    values
}
