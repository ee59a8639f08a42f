//! From a point to quantiles: how far an expert was off, in units of how far it is usually off here and now.
//!
//! Residuals are standardised by a local scale and counted in a histogram that forgets (the mechanism of Autopilot,
//! Rzadca et al., EuroSys 2020, and of the Kubernetes VPA); quantiles take the finite-sample rank of split conformal
//! prediction (Vovk et al., 2005).
#![allow(clippy::indexing_slicing, reason = "bins and slots are clamped to their fixed lengths")]

use super::LEVELS;
use super::flat::Half;
use std::sync::LazyLock;

const Q: usize = LEVELS.len();
/// Histograms go in equal steps of asinh, so many a unit, from 3.7 scale units below zero to 74 above. The least of
/// [`LEVELS`] is the median, which is never as low as that: what lies lower is only counted.
const FINE: f32 = 12.8;
const BELOW: usize = 26;
const BINS: usize = BELOW + 64;
/// Weight of the prior: a Laplace distribution of mean size 1.
const PRIOR: f32 = 20.0;

/// Standardised residuals, newer ones weighing more.
#[derive(Debug, Clone)]
pub struct Residuals {
    bins: Vec<f32>,
    total: f32,
    weight: f32,
    growth: f32,
    quantiles: [f32; Q],
}

impl Residuals {
    /// Half of the weight is forgotten in `half_life` residuals.
    pub fn new(half_life: f64) -> Self {
        let mut bins = vec![0.0; BINS];
        let mut total = 0.0;
        for (i, bin) in bins.iter_mut().enumerate() {
            let x = edge(i as f32 + 0.5);
            let width = edge(i as f32 + 1.0) - edge(i as f32);
            let lower = if i == 0 { EDGES[0].exp() } else { 0.0 };
            *bin = PRIOR * 0.5 * ((-x.abs()).exp() * width + lower);
            total += *bin;
        }
        let growth = 2f64.powf(1.0 / half_life.max(1.0)) as f32;
        let mut residuals = Residuals { bins, total, weight: 1.0, growth, quantiles: [0.0; Q] };
        residuals.refresh();
        residuals
    }

    /// Counts one residual, in scale units.
    pub fn add(&mut self, residual: f32) {
        if !residual.is_finite() {
            return;
        }
        let at = EDGES[1..BINS].partition_point(|edge| *edge <= residual);
        self.weight *= self.growth;
        self.bins[at] += self.weight;
        self.total += self.weight;
        if self.weight > 1e6 {
            let shrink = 1.0 / self.weight;
            self.bins.iter_mut().for_each(|b| *b *= shrink);
            self.total = self.bins.iter().sum();
            self.weight = 1.0;
        }
    }

    /// Quantiles at [`LEVELS`] as of the last refresh, in scale units.
    pub fn quantiles(&self) -> &[f32; Q] {
        &self.quantiles
    }

    /// Works out the quantiles anew.
    pub fn refresh(&mut self) {
        let edges = &*EDGES;
        let mut below = 0.0;
        let mut bin = 0;
        for (level, out) in LEVELS.iter().zip(&mut self.quantiles) {
            let mass = ((self.total + self.weight) * *level as f32).min(self.total);
            while bin < BINS - 1 && below + self.bins[bin] < mass {
                below += self.bins[bin];
                bin += 1;
            }
            let share = if self.bins[bin] > 0.0 { ((mass - below) / self.bins[bin]).clamp(0.0, 1.0) } else { 0.5 };
            *out = edges[bin] + share * (edges[bin + 1] - edges[bin]);
        }
    }
}

/// Where the bins begin, and where the last one ends.
static EDGES: LazyLock<[f32; BINS + 1]> = LazyLock::new(|| std::array::from_fn(|i| edge(i as f32)));

fn edge(position: f32) -> f32 {
    ((position - BELOW as f32) / FINE).sinh()
}

/// Time-of-day slots of a scale.
const SLOTS: usize = 96;
/// Slots of the hour.
const PHASES: usize = 60;

/// Where in day and hour a target lies, for scales.
#[derive(Debug, Clone, Copy)]
pub struct When {
    /// Share of the local day, 0..1.
    pub day: f32,
    /// Share of the hour, 0..1.
    pub hour: f32,
}

/// The usual size of one expert's residuals: recently, at this time of day, and at this minute of the hour.
#[derive(Debug, Clone)]
pub struct Scale {
    recent: f32,
    rate: f32,
    count: f32,
    /// Zero: not known.
    slots: Vec<Half>,
    /// Factors by the minute of the hour. Empty: it doesn't count.
    phases: Vec<Half>,
    slot_rate: f32,
    phase_rate: f32,
}

/// No scale is smaller: 0.1 % of the load.
const LEAST: f32 = 1e-3;
/// No part of one is smaller: a [`Half`] that is not zero.
const TINY: f32 = 1e-4;

impl Scale {
    /// `step_secs` sets the pace of forgetting: 50 minutes for the recent part, days for the others.
    pub fn new(step_secs: u32) -> Self {
        let step = step_secs as f32;
        Scale {
            recent: 0.0,
            rate: (step / 3000.0).min(0.3),
            count: 0.0,
            slots: vec![Half::default(); SLOTS],
            phases: Vec::new(),
            slot_rate: (0.3 * step / 900.0).min(0.3),
            phase_rate: (0.3 * step / 3600.0 / 4.0 * 2.5).clamp(0.005, 0.2),
        }
    }

    /// The same, with a factor for the minute of the hour.
    pub fn phased(step_secs: u32) -> Self {
        Scale { phases: vec![Half::new(1.0); PHASES], ..Scale::new(step_secs) }
    }

    /// The scale for a target at `when`, without the minute of the hour.
    pub fn plain(&self, when: When) -> f32 {
        let slot = self.slots[index(when.day, SLOTS)].get();
        let daily = if slot > 0.0 { slot } else { self.recent };
        (0.5 * (self.recent + daily)).max(LEAST)
    }

    /// The factor of the minute of the hour.
    pub fn phase(&self, when: When) -> f32 {
        self.phases.get(index(when.hour, PHASES)).map_or(1.0, |phase| phase.get().clamp(0.1, 10.0))
    }

    /// Learns the size of one residual.
    pub fn add(&mut self, size: f32, when: When) {
        if !size.is_finite() {
            return;
        }
        let standard = size / self.plain(when);
        self.count += 1.0;
        self.recent += self.rate.max(1.0 / self.count) * (size - self.recent);
        let at = index(when.day, SLOTS);
        for (at, share) in [(at, 1.0), ((at + 1) % SLOTS, 0.5), ((at + SLOTS - 1) % SLOTS, 0.5)] {
            let known = self.slots[at].get();
            let slot = if known > 0.0 { known + self.slot_rate * share * (size - known) } else { size };
            self.slots[at] = Half::new(slot.max(TINY));
        }
        if self.count > 200.0
            && let Some(phase) = self.phases.get_mut(index(when.hour, PHASES))
        {
            *phase = Half::new(phase.get() + self.phase_rate * (standard.min(10.0) - phase.get()));
        }
    }
}

fn index(share: f32, slots: usize) -> usize {
    ((share * slots as f32) as usize).min(slots - 1)
}

/// The usual size of residuals over days.
#[derive(Debug, Clone, Copy)]
pub struct Slow {
    size: f32,
    count: f32,
    rate: f32,
}

impl Slow {
    /// Half of the weight is forgotten in `half_life` residuals.
    pub fn new(half_life: f64) -> Self {
        Slow { size: 0.0, count: 0.0, rate: (1.0 - 0.5f64.powf(1.0 / half_life.max(1.0))) as f32 }
    }

    /// The size.
    pub fn size(&self) -> f32 {
        self.size.max(1e-9)
    }

    /// Learns one.
    pub fn add(&mut self, size: f32) {
        if size.is_finite() {
            self.count += 1.0;
            self.size += self.rate.max(1.0 / self.count) * (size - self.size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_what_was_counted() {
        let mut residuals = Residuals::new(1e6);
        for i in 0..20_000 {
            residuals.add(i as f32 / 10_000.0 - 1.0); // even from -1 to 1
        }
        residuals.refresh();
        for (level, q) in LEVELS.iter().zip(residuals.quantiles()) {
            let exact = 2.0 * *level as f32 - 1.0;
            assert!((q - exact).abs() < 0.11, "{level}: {q}, not {exact}");
        }
    }

    #[test]
    fn old_residuals_are_forgotten() {
        let mut residuals = Residuals::new(100.0);
        (0..1000).for_each(|_| residuals.add(10.0));
        (0..1000).for_each(|_| residuals.add(-1.0));
        residuals.refresh();
        assert!(residuals.quantiles()[5] < 0.0, "2 % of the weight is far less than 2^-10");
        residuals.add(f32::NAN);
        assert!(residuals.total.is_finite());
    }

    #[test]
    fn a_scale_by_hand() {
        let when = When { day: 0.5, hour: 0.0 };
        let mut scale = Scale::new(60);
        scale.add(2.0, when); // first: recent 2, slot 2
        assert_eq!(scale.plain(when), 2.0);
        scale.add(4.0, when); // recent 2 + (4 - 2) / 2 = 3, slot 2 + 0.02 (4 - 2) = 2.04
        assert!((scale.plain(when) - 2.52).abs() < 2.04 / 2048.0, "{}: kept in 11 bits", scale.plain(when));
        // another time of day knows the recent part only
        assert_eq!(scale.plain(When { day: 0.0, hour: 0.0 }), 3.0);
    }
}
