//! Online additive Holt-Winters without trend (Winters, "Forecasting sales by exponentially weighted moving averages",
//! Management Science 1960), on log load, with one season: the local day.

use crate::forecast::flat::Half;
use crate::forecast::past::Refloor;
use crate::units::Step;

/// Level and season of one workload.
#[derive(Debug, Clone)]
pub struct HoltWinters {
    level: f32,
    season: Vec<Half>,
    alpha: f32,
    gamma: f32,
    seen: usize,
}

impl HoltWinters {
    /// `alpha`: share of the surprise that moves the level each minute. `gamma`: share that moves the season each day.
    pub fn new(slots: usize, step: Step, alpha: f32, gamma: f32) -> Self {
        let alpha = 1.0 - (1.0 - alpha).powf(step.secs() as f32 / 60.0);
        HoltWinters { level: 0.0, season: vec![Half::default(); slots], alpha: alpha.min(0.9), gamma, seen: 0 }
    }

    /// The forecast of one step in `slot`.
    pub fn point(&self, slot: usize) -> f32 {
        self.level + self.season.get(slot).map_or(0.0, |season| season.get())
    }

    /// The largest forecast of `window` steps from `slot` on. None until a day has been seen.
    pub fn top(&self, slot: usize, window: usize, slots: usize) -> Option<f32> {
        let most = (slot..slot + window).map(|s| self.point(s % slots)).fold(f32::NEG_INFINITY, f32::max);
        (self.seen > slots && most.is_finite()).then_some(most)
    }

    /// Learns one Valid step.
    pub fn learn(&mut self, z: f32, slot: usize) {
        let slots = self.season.len();
        let Some(season) = self.season.get_mut(slot) else { return };
        self.seen += 1;
        if self.seen == 1 {
            self.level = z;
        }
        let first_day = self.seen <= slots;
        let before = self.level;
        let known = season.get();
        let surprise = z - before - known;
        self.level += self.alpha * surprise;
        // the first day's season is what the level has not taken
        let gamma = if first_day { 1.0 } else { self.gamma };
        *season = Half::new(known + gamma * (z - self.level - known));
    }

    /// Carries the state over to a new floor.
    pub fn refloor(&mut self, moved: Refloor) {
        let level = moved.carry(self.level);
        for season in &mut self.season {
            *season = Half::new(moved.carry(self.level + season.get()) - level);
        }
        self.level = level;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_days_by_hand() {
        // two slots a day, steps of a minute so that alpha is 0.5 as given; gamma 0.2
        let mut hw = HoltWinters::new(2, Step::MINUTE, 0.5, 0.2);
        hw.learn(4.0, 0); // level 4, season 0
        hw.learn(6.0, 1); // surprise 2: level 5; on the first day the season takes the rest: 1
        assert_eq!((hw.level, hw.season[0].get(), hw.season[1].get()), (5.0, 0.0, 1.0));
        assert_eq!(hw.top(0, 2, 2), None, "no day has passed yet");
        hw.learn(5.0, 0); // no surprise: level 5, season 0 + 0.2 (5 - 5 - 0)
        hw.learn(8.0, 1); // surprise 8 - 5 - 1 = 2: level 6; season 1 + 0.2 (8 - 6 - 1) = 1.2
        assert!((hw.level - 6.0).abs() < 1e-6 && (hw.season[1].get() - 1.2).abs() < 1.2 / 2048.0, "{hw:?}");
        assert!((hw.top(0, 2, 2).unwrap() - 7.2).abs() < 1e-3, "a season is kept in 11 bits");
    }
}
