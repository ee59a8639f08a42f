//! The loads of the last days, one a step.
#![allow(clippy::indexing_slicing, reason = "ranges are cut to the length of the ring")]

use crate::units::Brief;

/// A ring of loads. Steps are counted back from the newest, which is 0 ago.
#[derive(Debug, Clone)]
pub(super) struct Loads {
    ring: Vec<Brief>,
    steps: usize,
}

impl Loads {
    /// Keeps the last `length` loads, at least one.
    pub(super) fn new(length: usize) -> Loads {
        Loads { ring: vec![Brief::default(); length.max(1)], steps: 0 }
    }

    /// Bytes of what is kept.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        2 * self.ring.len()
    }

    /// Takes the load of the next step.
    pub(super) fn push(&mut self, load: f32) {
        let at = self.steps % self.ring.len();
        self.ring[at] = Brief::new(load);
        self.steps += 1;
    }

    /// Steps taken so far.
    pub(super) fn steps(&self) -> usize {
        self.steps
    }

    /// The loads of the `count` steps of which the newest is `ago` ago, oldest first, as far as they are known: two runs.
    fn runs(&self, ago: usize, count: usize) -> [&[Brief]; 2] {
        let length = self.ring.len();
        let known = self.steps.min(length);
        let (newest, oldest) = (ago.min(known), ago.saturating_add(count).min(known));
        let first = (self.steps - oldest) % length;
        let count = oldest - newest;
        let end = (first + count).min(length);
        [&self.ring[first..end], &self.ring[..first + count - end]]
    }

    /// The largest load of the `count` steps of which the newest is `ago` ago. Zero where none is known.
    pub(super) fn largest(&self, ago: usize, count: usize) -> f32 {
        let [older, newer] = self.runs(ago, count).map(|run| run.iter().copied().max().unwrap_or_default());
        older.max(newer).get()
    }

    /// The load `ago` steps ago. None where it is not known any more, or not yet.
    pub(super) fn back(&self, ago: usize) -> Option<f32> {
        let [run, _] = self.runs(ago, 1);
        run.first().map(|load| load.get())
    }

    /// Mean load of the `count` steps of which the newest is `ago` ago. None where one of them is not known.
    pub(super) fn mean(&self, ago: usize, count: usize) -> Option<f32> {
        let runs = self.runs(ago, count);
        (runs[0].len() + runs[1].len() == count && count > 0)
            .then(|| runs.into_iter().flatten().rev().map(|load| load.get()).sum::<f32>() / count as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_a_ring_of_four() {
        let mut loads = Loads::new(4);
        assert_eq!((loads.largest(0, 9), loads.back(0), loads.mean(0, 1)), (0.0, None, None));
        [9.0, 1.0, 2.0, 8.0, 4.0, 3.0].into_iter().for_each(|load| loads.push(load));
        assert_eq!([0, 1, 2, 3].map(|ago| loads.back(ago)), [3.0, 4.0, 8.0, 2.0].map(Some));
        assert_eq!((loads.back(4), loads.back(usize::MAX)), (None, None), "forgotten, and never there");
        assert_eq!(
            [(0, 2), (1, 2), (3, 7), (4, 1)].map(|(ago, count)| loads.largest(ago, count)),
            [4.0, 8.0, 2.0, 0.0]
        );
        assert_eq!((loads.mean(0, 3), loads.mean(2, 3)), (Some(5.0), None));
        assert_eq!(loads.steps(), 6);
    }
}
