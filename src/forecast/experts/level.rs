//! Levels: persistence and its slower relatives. At 5 minutes ahead persistence is hard to beat (Christofidis et al., "Is
//! machine learning necessary for cloud resource usage forecasting?", SoCC 2023).

use crate::forecast::past::Refloor;
use crate::units::Step;

/// Exponentially forgetting means of `z`.
#[derive(Debug, Clone)]
pub struct Levels {
    /// 2 minutes.
    pub quick: f32,
    /// 15 minutes.
    pub slow: f32,
    /// 60 minutes.
    pub hour: f32,
    /// 7 days: the point of the unconditional quantile.
    pub week: f32,
    /// The newest window maxima, smoothed over about 5 minutes; set by the caller.
    pub top: f32,
    /// Steps in an hour.
    pub hour_steps: usize,
    /// The newest step was one of a declared occasion.
    pub declared: bool,
    rates: [f32; 5],
    count: f32,
}

impl Levels {
    /// Nothing seen.
    pub fn new(step: Step) -> Self {
        let rate = |minutes: f32| 1.0 - 0.5f32.powf(step.secs() as f32 / 60.0 / minutes);
        Levels {
            quick: 0.0,
            slow: 0.0,
            hour: 0.0,
            week: 0.0,
            top: 0.0,
            hour_steps: step.cover(std::time::Duration::from_secs(3600)),
            rates: [rate(1.0), rate(10.0), rate(40.0), rate(3.5 * 1440.0), rate(3.0)],
            count: 0.0,
            declared: false,
        }
    }

    /// The next step; the week takes no `declared` one.
    pub fn learn(&mut self, z: f32, valid: bool, declared: bool) {
        self.declared = declared;
        if declared {
            let [quick, slow, hour, _, top] = self.rates;
            let levels =
                [(&mut self.quick, quick), (&mut self.slow, slow), (&mut self.hour, hour), (&mut self.top, top)];
            for (level, rate) in levels {
                *level += rate * (z - *level);
            }
        }
        if !valid {
            return;
        }
        self.count += 1.0;
        let least = 1.0 / self.count;
        self.quick += self.rates[0].max(least) * (z - self.quick);
        self.slow += self.rates[1].max(least) * (z - self.slow);
        self.hour += self.rates[2].max(least) * (z - self.hour);
        self.week += self.rates[3].max(least) * (z - self.week);
    }

    /// The newest window maximum.
    pub fn learn_top(&mut self, top: f32) {
        self.top += self.rates[4].max(1.0 / self.count.max(1.0)) * (top - self.top);
    }

    /// Carries the levels over to a new floor.
    pub fn refloor(&mut self, moved: Refloor) {
        for level in [&mut self.quick, &mut self.slow, &mut self.hour, &mut self.week, &mut self.top] {
            *level = moved.carry(*level);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_level_is_followed_by_what_forgets_and_not_by_the_week() {
        let mut levels = Levels::new(Step::MINUTE);
        (0..5000).for_each(|_| levels.learn(1.0, true, false));
        levels.learn(3.0, false, true);
        assert!((levels.quick - 2.0).abs() < 1e-6, "half of the way in a minute: {}", levels.quick);
        (0..600).for_each(|_| levels.learn(3.0, false, true));
        assert!(levels.hour > 2.9 && levels.week < 1.001, "{levels:?}");
        levels.learn(9.0, false, false);
        assert!(levels.quick < 3.1, "what is neither Valid nor declared says nothing");
    }
}
