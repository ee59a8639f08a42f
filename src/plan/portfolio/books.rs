//! What candidates would have cost and left unserved: sums over past steps, in replicas.
#![allow(clippy::indexing_slicing, reason = "one entry for each candidate")]

use crate::units::Brief;

/// Sums over some steps, one entry per candidate. All in replicas x steps, so that neither the unit of load nor a
/// change of capacity matters.
#[derive(Debug, Clone)]
pub(super) struct Books {
    /// Load.
    pub(super) load: f32,
    /// Ready replicas.
    pub(super) ready: Vec<f32>,
    /// Load that met no ready replica.
    pub(super) missed: Vec<f32>,
}

impl Books {
    pub(super) fn new(candidates: usize) -> Books {
        Books { load: 0.0, ready: vec![0.0; candidates], missed: vec![0.0; candidates] }
    }

    /// Books one step: the load, and what each candidate had ready.
    pub(super) fn book(&mut self, load: f32, ready: &[f32]) {
        self.load += load;
        for ((sum, missed), ready) in self.ready.iter_mut().zip(&mut self.missed).zip(ready) {
            *sum += ready;
            *missed += (load - ready).max(0.0);
        }
    }

    /// Forgets by the factor `keep`, then adds `weight` times a block.
    pub(super) fn absorb(&mut self, block: &Books, keep: f32) {
        self.load = self.load * keep + block.load;
        for (sum, new) in self.ready.iter_mut().zip(&block.ready) {
            *sum = *sum * keep + new;
        }
        for (sum, new) in self.missed.iter_mut().zip(&block.missed) {
            *sum = *sum * keep + new;
        }
    }

    pub(super) fn clear(&mut self) {
        self.load = 0.0;
        self.ready.fill(0.0);
        self.missed.fill(0.0);
    }

    /// Share of the load that candidate `k` missed.
    pub(super) fn miss(&self, k: usize) -> f32 {
        self.missed[k] / self.load
    }

    /// Ready replicas of candidate `k` per replica of load.
    pub(super) fn cost(&self, k: usize) -> f32 {
        self.ready[k] / self.load
    }
}

/// The books of one hour of the day, which are asked and changed once a day.
#[derive(Debug, Clone)]
pub(super) struct HourBooks {
    /// Load.
    pub(super) load: f32,
    /// Ready replicas, and load that met none, of each candidate.
    sums: Vec<[Brief; 2]>,
}

impl HourBooks {
    pub(super) fn new(candidates: usize) -> HourBooks {
        HourBooks { load: 0.0, sums: vec![[Brief::default(); 2]; candidates] }
    }

    /// Forgets by the factor `keep`, then adds a block.
    pub(super) fn absorb(&mut self, block: &Books, keep: f32) {
        self.load = self.load * keep + block.load;
        for (sums, new) in self.sums.iter_mut().zip(block.ready.iter().zip(&block.missed)) {
            let [ready, missed] = sums.map(Brief::get);
            *sums = [Brief::new(ready * keep + new.0), Brief::new(missed * keep + new.1)];
        }
    }

    /// Ready replicas of candidate `k`.
    pub(super) fn ready(&self, k: usize) -> f32 {
        self.sums[k][0].get()
    }

    /// Load that met no ready replica of candidate `k`.
    pub(super) fn missed(&self, k: usize) -> f32 {
        self.sums[k][1].get()
    }
}
