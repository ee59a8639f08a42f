//! Samples in little memory: nine bytes each, where an enum with a number takes sixteen. Written and read as the list
//! of samples that they are.

use super::Sample;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::VecDeque;

/// The room that grows at a time when more is needed.
const GROWTH: usize = 128;

/// A queue of samples.
#[derive(Debug, Clone, Default)]
pub(super) struct Samples {
    values: VecDeque<f64>,
    kinds: VecDeque<Kind>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Valid,
    Missing,
    Suspect,
    Censored,
    Event,
}

fn part(sample: Sample) -> (Kind, f64) {
    match sample {
        Sample::Valid(v) => (Kind::Valid, v),
        Sample::Missing => (Kind::Missing, 0.0),
        Sample::Suspect(v) => (Kind::Suspect, v),
        Sample::Censored(v) => (Kind::Censored, v),
        Sample::Event(v) => (Kind::Event, v),
    }
}

fn join((kind, value): (&Kind, &f64)) -> Sample {
    match kind {
        Kind::Valid => Sample::Valid(*value),
        Kind::Missing => Sample::Missing,
        Kind::Suspect => Sample::Suspect(*value),
        Kind::Censored => Sample::Censored(*value),
        Kind::Event => Sample::Event(*value),
    }
}

impl Samples {
    pub(super) fn push_back(&mut self, sample: Sample) {
        // not by doubling: two weeks of minutes would take room for three
        if self.values.len() == self.values.capacity() {
            let more = GROWTH.max(self.values.len() / 8);
            self.values.reserve_exact(more);
            self.kinds.reserve_exact(more);
        }
        let (kind, value) = part(sample);
        self.values.push_back(value);
        self.kinds.push_back(kind);
    }

    pub(super) fn pop_front(&mut self) {
        self.values.pop_front();
        self.kinds.pop_front();
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn get(&self, i: usize) -> Option<Sample> {
        self.kinds.get(i).zip(self.values.get(i)).map(join)
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = Sample> + ExactSizeIterator + '_ {
        self.kinds.iter().zip(&self.values).map(join)
    }
}

impl FromIterator<Sample> for Samples {
    fn from_iter<I: IntoIterator<Item = Sample>>(samples: I) -> Self {
        let (kinds, values) = samples.into_iter().map(part).unzip();
        Samples { values, kinds }
    }
}

impl PartialEq for Samples {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Serialize for Samples {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Samples {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(Vec::<Sample>::deserialize(d)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Sample::{Censored, Event, Missing, Suspect, Valid};

    #[test]
    fn every_kind_comes_back_and_the_text_is_that_of_a_list() {
        let list = vec![Valid(1.5), Missing, Suspect(0.0), Censored(3.0), Event(4.0), Valid(0.1 + 0.2)];
        let mut samples: Samples = list.iter().copied().collect();
        assert_eq!(samples.iter().collect::<Vec<_>>(), list);
        let text = serde_json::to_string(&samples).unwrap();
        assert_eq!(text, serde_json::to_string(&list).unwrap());
        assert_eq!(serde_json::from_str::<Samples>(&text).unwrap(), samples);
        samples.pop_front();
        samples.push_back(Missing);
        assert_eq!((samples.len(), samples.get(5), samples.get(6)), (6, Some(Missing), None));
    }
}
