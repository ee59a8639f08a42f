//! What the source of load says in a simulated life, truly or not.

use super::faults::{Episode, Fault};
use crate::plan::SourceState;
use crate::series::Sample;

/// Minutes of zeros that are not believed.
const DOUBTED_ZEROS: u64 = 55;
/// Minutes of load within a day, beyond which a collapse is noticed.
const KNOWN_MINUTES: usize = 60;
/// What a poisoned source multiplies the truth by.
const POISON: f64 = 10.0;

/// What the source says in one minute.
pub(super) struct Told {
    pub(super) samples: Vec<Sample>,
    pub(super) state: SourceState,
    /// A believable sample of now is among them.
    pub(super) informed: bool,
    /// A load of the minutes before, held back so far, is among them.
    pub(super) caught_up: bool,
    /// Everything in it is true.
    pub(super) truthful: bool,
}

/// The source of one workload.
#[derive(Debug, Default)]
pub(super) struct Source {
    backlog: Vec<Sample>,
    last_value: f64,
    zeros: u64,
}

impl Source {
    /// One that has measured `load` before.
    pub(super) fn new(load: f64) -> Source {
        Source { last_value: load, ..Source::default() }
    }

    /// What it says of this minute's `load`. `known`: minutes of load that we were told within a day.
    pub(super) fn tell(&mut self, load: f64, on: impl Fn(Fault) -> Option<Episode>, known: usize) -> Told {
        let is = |fault| on(fault).is_some();
        let truth = Sample::Valid(load);
        if is(Fault::SourceDown) || is(Fault::Late) {
            self.backlog.push(truth);
            let state = SourceState::Failing { error: "503 Service Unavailable".into() };
            return Told { samples: Vec::new(), state, informed: false, caught_up: false, truthful: false };
        }
        if is(Fault::Stale) {
            self.backlog.push(Sample::Missing);
            return Told {
                samples: Vec::new(),
                state: SourceState::Stale,
                informed: false,
                caught_up: false,
                truthful: false,
            };
        }
        let fresh = SourceState::Fresh;
        let mut told = Told { samples: Vec::new(), state: fresh, informed: true, caught_up: false, truthful: false };
        let sample = if is(Fault::Zeros) {
            // zeros from before a day was known are believed, and so are all that follow
            let given = self.backlog.iter().filter(|s| s.measured().is_some()).count();
            self.zeros += if known + given <= KNOWN_MINUTES { DOUBTED_ZEROS + 1 } else { 1 };
            told.informed = self.zeros > DOUBTED_ZEROS;
            Sample::Valid(0.0)
        } else if let Some(e) = on(Fault::NotANumber) {
            const VALUES: [f64; 5] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 1e30];
            told.informed = false;
            Sample::Valid(VALUES.get((e.degree * VALUES.len() as f64) as usize).copied().unwrap_or(f64::NAN))
        } else if is(Fault::Frozen) {
            Sample::Valid(self.last_value)
        } else if is(Fault::Doubled) {
            Sample::Valid(2.0 * load)
        } else if is(Fault::Poison) {
            Sample::Valid(POISON * load)
        } else {
            told.truthful = !is(Fault::ClockSkew) && !is(Fault::ClockRate);
            self.last_value = load;
            truth
        };
        if !is(Fault::Down) {
            told.samples = std::mem::take(&mut self.backlog);
            told.caught_up = told.samples.iter().any(|s| s.measured().is_some());
        }
        told.samples.push(sample);
        told
    }

    /// Nobody has listened: it will be asked for them later, in their order.
    pub(super) fn unheard(&mut self, samples: Vec<Sample>) {
        self.backlog.extend(samples);
    }
}
