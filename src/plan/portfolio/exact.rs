//! Looks at single steps from now to the lead, where other signals take the largest of a whole window.
#![allow(clippy::indexing_slicing, reason = "a ring is indexed modulo its length, days by their numbers")]

use super::loads::Loads;
use super::signals::DAYS;
use crate::units::Step;
use std::time::Duration;

/// Errors are averaged over so long.
const ERRORS: Duration = Duration::from_secs(6 * 3600);
/// The level of now, and of the same time of another day, is the mean of so long.
const LEVEL: Duration = Duration::from_secs(15 * 60);
/// A day is believed to be at most this many times, and at least this part of, another.
const RATIO: f32 = 4.0;

/// What the last days say of the steps to come, and how far two simple forecasts were off.
#[derive(Debug, Clone)]
pub(super) struct Exact {
    lead: usize,
    day: usize,
    level: usize,
    rate: f32,
    /// What the season and the load itself said at the last `lead` steps, a ring. Zero: nothing.
    said: Vec<[f32; 2]>,
    errors: [f32; 2],
    /// By the number of days that are averaged.
    ratios: [f32; DAYS],
}

impl Exact {
    pub(super) fn new(step: Step, lead: usize) -> Exact {
        let (day, level) = (step.per_day(), step.cover(LEVEL));
        Exact {
            lead,
            day,
            level,
            rate: 1.0 / step.cover(ERRORS) as f32,
            said: vec![[0.0; 2]; lead],
            errors: [0.0; 2],
            ratios: [0.0; DAYS],
        }
    }

    /// Bytes of what is kept.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        8 * self.said.len()
    }

    /// Steps of `loads` that are looked back at.
    pub(super) fn reach(step: Step) -> usize {
        DAYS * step.per_day() + step.cover(LEVEL) + 1
    }

    /// Takes the next step: its load, the loads up to it, and what the season says of the step one lead later (zero:
    /// nothing). Returns the mean errors of the season and of the load itself as forecasts one lead ahead.
    pub(super) fn advance(&mut self, load: f32, loads: &Loads, season: f32) -> [f32; 2] {
        let slot = loads.steps() % self.said.len();
        let rate = self.rate.max(1.0 / loads.steps() as f32);
        for (error, said) in self.errors.iter_mut().zip(self.said[slot]) {
            if said > 0.0 {
                *error += rate * ((load - said).abs() - *error);
            }
        }
        self.said[slot] = [season, load];
        self.ratios = self.ratios(loads);
        self.errors
    }

    /// The largest, over the steps up to the lead, of the mean of the same steps of the last days, each day brought to
    /// the level of now. By the number of days; zero where no day is known.
    fn ratios(&self, loads: &Loads) -> [f32; DAYS] {
        let mut ratios = [0.0; DAYS];
        let Some(level) = loads.mean(0, self.level) else { return ratios };
        let mut sums = vec![0.0f32; self.lead];
        for day in 1..=DAYS {
            let ago = day * self.day;
            let Some((then, first)) = loads.mean(ago, self.level).zip(ago.checked_sub(self.lead)) else { break };
            let ratio = if then > 0.0 { (level / then).clamp(1.0 / RATIO, RATIO) } else { 1.0 };
            for (k, sum) in sums.iter_mut().enumerate() {
                *sum += ratio * loads.back(first + k).unwrap_or(0.0);
            }
            ratios[day - 1] = sums.iter().copied().fold(0.0, f32::max) / day as f32;
        }
        ratios
    }

    /// Of the last `days` days, or of those that are known.
    pub(super) fn ratio(&self, days: usize) -> f32 {
        self.ratios.iter().take(days).rev().copied().find(|r| *r > 0.0).unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yesterday_at_half_the_level_is_doubled() {
        // hours of 10-minute steps; yesterday 10, with 30 at the two next steps; today 20
        let step = Step::from_secs(600).unwrap();
        let (mut exact, mut loads) = (Exact::new(step, 2), Loads::new(Exact::reach(step)));
        for i in 0..144 + 20 {
            let load = if i == 20 || i == 21 {
                30.0
            } else if i < 144 {
                10.0
            } else {
                20.0
            };
            loads.push(load);
            exact.advance(load, &loads, 0.0);
        }
        assert_eq!(exact.ratio(1), 60.0);
        assert_eq!(exact.ratio(7), 60.0, "one day is known");
    }

    #[test]
    fn errors_are_of_a_lead_ago() {
        let step = Step::from_secs(600).unwrap();
        let (mut exact, mut loads) = (Exact::new(step, 2), Loads::new(Exact::reach(step)));
        let errors = [1.0, 2.0, 4.0].map(|load| {
            loads.push(load);
            exact.advance(load, &loads, 9.0)
        });
        assert_eq!(errors[1], [0.0, 0.0], "nothing was said of the second step");
        // |4 - 9| and |4 - 1|, with a weight of a third
        assert_eq!(errors[2].map(|e| e * 3.0), [5.0, 3.0]);
    }
}
