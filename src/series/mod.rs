//! Regular samples on wall-clock time. Missing, stale and zero are three values from here to the decision.

mod calendar;
mod grid;
mod odd;
mod quality;
mod samples;

pub use calendar::{Calendar, Slot};
pub use grid::{GridError, MAX_SAMPLES, detect_step, grid};
pub use odd::{OddTimes, Turn};
pub use quality::{Doubt, Evidence, Quality};

use crate::units::{Step, Time};
use samples::Samples;
use serde::{Deserialize, Serialize};

/// One measurement of load on the grid, in load units.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Sample {
    /// Measured and believed: the only kind that teaches.
    Valid(f64),
    /// Not measured.
    Missing,
    /// Measured but not believed: outage, retry storm, frozen gauge.
    Suspect(f64),
    /// A lower bound: the workload was saturated.
    Censored(f64),
    /// Measured during a declared event or exclusion: real, but not a lesson.
    Event(f64),
}

impl Sample {
    /// The value if it may teach.
    pub fn valid(self) -> Option<f64> {
        match self {
            Sample::Valid(v) => Some(v),
            _ => None,
        }
    }

    /// The same kind of sample of another number.
    pub fn map(self, of: impl Fn(f64) -> f64) -> Sample {
        match self {
            Sample::Valid(v) => Sample::Valid(of(v)),
            Sample::Missing => Sample::Missing,
            Sample::Suspect(v) => Sample::Suspect(of(v)),
            Sample::Censored(v) => Sample::Censored(of(v)),
            Sample::Event(v) => Sample::Event(of(v)),
        }
    }

    /// The load that was there, believed or not, for the reactive side: everything but Missing and Suspect.
    pub fn measured(self) -> Option<f64> {
        match self {
            Sample::Valid(v) | Sample::Censored(v) | Sample::Event(v) => Some(v),
            Sample::Missing | Sample::Suspect(_) => None,
        }
    }
}

/// A bounded run of samples, one a step. `at(i) = first + i * step`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    first: Time,
    step: Step,
    max_len: usize,
    samples: Samples,
}

impl Series {
    /// An empty series whose next sample is at `first`; keeps the newest `max_len`.
    pub fn new(first: Time, step: Step, max_len: usize) -> Self {
        Series { first, step, max_len: max_len.max(1), samples: Samples::default() }
    }

    /// A series of known samples.
    pub fn of(first: Time, step: Step, samples: impl IntoIterator<Item = Sample>) -> Self {
        let samples: Samples = samples.into_iter().collect();
        Series { first, step, max_len: samples.len().max(1), samples }
    }

    /// Appends the sample of the next step; drops the oldest when full.
    pub fn push(&mut self, sample: Sample) {
        if self.samples.len() == self.max_len {
            self.samples.pop_front();
            self.first = self.first + self.step.duration();
        }
        self.samples.push_back(sample);
    }

    /// The spacing.
    pub fn step(&self) -> Step {
        self.step
    }

    /// The instant of sample `i`.
    pub fn at(&self, i: usize) -> Time {
        self.first + self.step.times(i)
    }

    /// The instant the next pushed sample will have.
    pub fn next_at(&self) -> Time {
        self.at(self.samples.len())
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.samples.len() == 0
    }

    /// Sample `i`, Missing outside.
    pub fn get(&self, i: usize) -> Sample {
        self.samples.get(i).unwrap_or(Sample::Missing)
    }

    /// All samples with their instants, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Time, Sample)> + ExactSizeIterator + '_ {
        self.samples.iter().enumerate().map(|(i, s)| (self.at(i), s))
    }

    /// The newest sample that was measured, with its instant.
    pub fn last_measured(&self) -> Option<(Time, f64)> {
        self.iter().rev().find_map(|(t, s)| s.measured().map(|v| (t, v)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_series_forgets_the_oldest() {
        let mut s = Series::new(Time::from_secs(0), Step::MINUTE, 2);
        for v in [1.0, 2.0, 3.0] {
            s.push(Sample::Valid(v));
        }
        assert_eq!(s.len(), 2);
        assert_eq!(s.at(0), Time::from_secs(60));
        assert_eq!(s.next_at(), Time::from_secs(180));
        assert_eq!(s.last_measured(), Some((Time::from_secs(120), 3.0)));
    }
}
