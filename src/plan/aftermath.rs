//! What follows an outage: load that fell because something downstream is down comes back, and often more of it than
//! before, with everybody trying again at once.

use crate::series::Sample;
use crate::units::{Step, Time};
use std::collections::VecDeque;
use std::time::Duration;

/// So long nothing is lowered after an outage, or after a fall out of nowhere.
const HELD: Duration = Duration::from_secs(3600);
/// Doubted samples in a row that were an outage.
const OUTAGE: usize = 3;
/// A fall to less than this part of all that was there for [`SUDDEN`], and of the least that this time of day had on each of
/// the last days, comes out of nowhere.
const FALL: f64 = 0.5;
/// See [`FALL`].
const SUDDEN: Duration = Duration::from_secs(600);

/// Watches the samples of one metric.
#[derive(Debug, Clone)]
pub struct Aftermath {
    recent: VecDeque<f64>,
    kept: usize,
    doubted: usize,
    until: Option<Time>,
}

impl Aftermath {
    /// Nothing seen.
    pub fn new(step: Step) -> Aftermath {
        Aftermath { recent: VecDeque::new(), kept: step.cover(SUDDEN), doubted: 0, until: None }
    }

    /// Takes the sample of `at`. `low`: the least load that this time of day had on each of the last days. None: not known.
    /// `unhealthy`: many replicas are broken, so that a fall may be theirs.
    pub fn advance(&mut self, at: Time, sample: Sample, low: Option<f64>, unhealthy: bool) {
        if unhealthy {
            self.until = Some(at + HELD);
        }
        if let Sample::Suspect(_) = sample {
            self.doubted += 1;
        }
        let Some(load) = sample.measured() else { return };
        // a burst that ends is no fall
        let level = self.recent.iter().copied().reduce(f64::min).unwrap_or(0.0);
        let sudden = load < FALL * level && low.is_some_and(|low| load < FALL * low);
        if sudden || self.doubted >= OUTAGE {
            self.until = Some(at + HELD);
        }
        self.doubted = 0;
        self.recent.push_back(load);
        let excess = self.recent.len().saturating_sub(self.kept);
        self.recent.drain(..excess);
    }

    /// True while nothing is to be lowered.
    pub fn holds(&self, now: Time) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Time {
        Time::from_secs(60 * minute)
    }

    /// Minutes in which it holds, of samples a minute.
    fn held(samples: &[Sample], low: Option<f64>) -> Vec<usize> {
        let mut aftermath = Aftermath::new(Step::MINUTE);
        let mut held = Vec::new();
        for (i, sample) in samples.iter().enumerate() {
            aftermath.advance(at(i as i64), *sample, low, false);
            if aftermath.holds(at(i as i64)) {
                held.push(i);
            }
        }
        held
    }

    #[test]
    fn an_hour_after_an_outage_nothing_falls() {
        let mut samples = vec![Sample::Valid(100.0); 10];
        samples.extend([Sample::Suspect(1.0); 5]);
        samples.extend([Sample::Valid(130.0); 100]);
        assert_eq!(held(&samples, Some(90.0)), (15..75).collect::<Vec<_>>());
        let mut lost = vec![Sample::Valid(100.0); 10];
        lost.extend([Sample::Suspect(1.0), Sample::Valid(100.0), Sample::Valid(100.0)]);
        assert!(held(&lost, Some(90.0)).is_empty(), "one lost sample is no outage");
    }

    #[test]
    fn an_hour_after_replicas_were_broken_nothing_falls() {
        let mut aftermath = Aftermath::new(Step::MINUTE);
        for minute in 0..10 {
            aftermath.advance(at(minute), Sample::Valid(100.0), None, minute < 5);
        }
        assert_eq!([63, 64].map(|minute| aftermath.holds(at(minute))), [true, false]);
    }

    #[test]
    fn a_fall_out_of_nowhere_is_held_from_its_beginning_and_a_usual_one_is_not() {
        // cpu from 80 to 20 % while as much arrives as ever
        let mut samples = vec![Sample::Valid(80.0); 20];
        samples.extend([Sample::Valid(20.0); 100]);
        assert_eq!(held(&samples, Some(70.0)), (20..80).collect::<Vec<_>>());
        let mut burst = vec![Sample::Valid(20.0); 20];
        burst.extend([Sample::Valid(80.0); 3]);
        burst.extend([Sample::Valid(20.0); 9]);
        assert!(held(&burst, Some(70.0)).is_empty(), "it was low within the ten minutes");
        assert!(held(&samples, Some(25.0)).is_empty(), "this time of day had 25 before");
        assert!(held(&samples, None).is_empty(), "nothing is known of it");
    }
}
