//! A forecaster that wishes us ill: safety must hold whatever it says.

use crate::demand::{Serving, demand};
use crate::forecast::{LEVELS, WindowForecast};
use crate::plan::{Evidence, Gain, Parts, Reason, Standing, believed};
use crate::rng::Rng;
use crate::series::{Sample, Series};
use crate::units::{MAX_REPLICAS, Replicas, Step, Time, replicas_for};
use rand::Rng as _;

/// Minutes for which it stays with one way of being wrong.
const MOOD_MINUTES: u64 = 60;

#[derive(Debug, Clone, Copy)]
enum Mood {
    Random,
    Nothing,
    Everything,
    Oscillating,
    NotANumber,
    Late,
    Silent,
}

/// Takes the place of forecaster and portfolio. What it knows of the load of now is the truth as it was told, since the
/// reactive side is not its own.
#[derive(Debug, Clone)]
pub struct Adversary {
    rng: Rng,
    mood: Mood,
    series: Series,
    told: Option<f64>,
    missing: u64,
    before: Replicas,
}

impl Adversary {
    /// One with its own randomness; the first sample will be that of `first`.
    pub fn new(rng: Rng, first: Time) -> Adversary {
        let series = Series::new(first, Step::MINUTE, 2 * 1440);
        Adversary { rng, mood: Mood::Random, series, told: None, missing: 0, before: 0 }
    }

    /// What the last step of a decision is given.
    pub fn evidence(&mut self, minute: u64, samples: &[Sample], failing: bool, capacity: f64) -> Evidence {
        let mut believable = false;
        for sample in samples {
            let sample = believed(*sample, &self.series);
            self.series.push(sample);
            believable = sample.measured().is_some();
            self.told = sample.measured().or(self.told);
        }
        self.missing = if believable { 0 } else { self.missing + 1 };
        let standing = match self.missing {
            0 if !failing => Standing::Fresh,
            1..=2 if !failing && matches!(samples.last(), Some(Sample::Missing)) => Standing::Gap,
            _ => Standing::Stale,
        };
        if minute.is_multiple_of(MOOD_MINUTES) {
            const MOODS: [Mood; 7] = [
                Mood::Random,
                Mood::Nothing,
                Mood::Everything,
                Mood::Oscillating,
                Mood::NotANumber,
                Mood::Late,
                Mood::Silent,
            ];
            let drawn = self.rng.random_range(0..MOODS.len());
            self.mood = MOODS.get(drawn).copied().unwrap_or(Mood::Random);
        }
        let said = self.said(minute, capacity);
        self.before = said.unwrap_or(0);
        let known = (standing != Standing::Stale).then_some(self.told).flatten();
        Evidence {
            parts: Parts {
                reactive: known.map(|load| replicas_for(load, capacity)),
                forecast: said,
                schedule: None,
                hold: None,
            },
            asked: None,
            standing,
            unlearned: false,
            usual_high: (standing == Standing::Stale).then(|| self.rng.random_range(0..200)),
            usual_low: None,
            surge: None,
            outage: false,
            gain: Gain::Unquestioned,
            reacting: Reason::Reactive,
        }
    }

    fn said(&mut self, minute: u64, capacity: f64) -> Option<Replicas> {
        match self.mood {
            Mood::Random => Some(self.rng.random_range(0..300)),
            Mood::Nothing => Some(0),
            Mood::Everything => Some(MAX_REPLICAS),
            Mood::Oscillating => Some(if minute.is_multiple_of(2) { 0 } else { Replicas::MAX }),
            Mood::NotANumber => {
                const VALUES: [f64; 5] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -1.0];
                let drawn = self.rng.random_range(0..VALUES.len());
                let value = VALUES.get(drawn).copied().unwrap_or(f64::NAN);
                let forecast = WindowForecast { horizon: 3, values: [value; LEVELS.len()] };
                demand(&forecast, Serving { capacity, slots: None }).replicas.last().copied()
            }
            Mood::Late => Some(self.before / 2 + self.rng.random_range(0..20)),
            Mood::Silent => None,
        }
    }
}
