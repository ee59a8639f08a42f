//! The counterfactual policy portfolio.
//!
//! Load is exogenous, so what any policy would have cost and left unserved can be computed exactly from the load so
//! far. Candidates keep such books, step by step: of the last hours, of the last day, and of each hour of the day over
//! the last days, because a policy that is best at noon is seldom best at night. A price of a miss, moved by how much
//! of the budget we ourselves used, ranks them; the decision is the soft mean of the best. Nothing here looks at the
//! future, and nothing is tuned per workload.
#![allow(
    clippy::indexing_slicing,
    reason = "one entry for each candidate, and rings that are indexed modulo their lengths"
)]

mod books;
mod candidates;
mod exact;
mod loads;
mod signals;

pub use candidates::{Candidate, candidates};
pub use signals::Signals;

use super::PlanTask;
use crate::forecast::WindowForecast;
use crate::units::{MAX_REPLICAS, Replicas, Time};
use books::{Books, HourBooks};
use signals::{SIGNALS, Signal};

/// Candidates that are mixed.
const BEST: usize = 10;
/// How fast a weight falls with the loss: a candidate 5 % worse than the best has a weight of 1/e.
const SHARPNESS: f32 = 20.0;
/// Half-life of the books of the last hours, in hours.
const FAST_HOURS: f32 = 6.0;
/// Half-life of the books of the last day, in hours. A miss counts as the larger of both shares.
const SLOW_HOURS: f32 = 24.0;
/// Half-life of the books of one hour of the day, in days.
const HOUR_DAYS: f32 = 5.0;
/// The books of the last hours count like so many hours of the hour at hand's own: an hour seen only once or twice, or
/// one that is like no other day's, tells little by itself.
const LATELY_HOURS: f32 = 8.0;
/// Weight of the hours before and after the hour at hand in its books.
const NEAR_WEIGHT: f32 = 0.5;
/// Share of the budget that is aimed at: a miss comes in bursts.
const AIM: f32 = 0.35;
/// The price of missing one budget, in replicas per replica of load, at the start.
const PRICE: f32 = 2.0;
/// The price never leaves these.
const PRICES: (f32, f32) = (0.05, 300.0);
/// How fast the price follows what was used, per hour.
const PRICE_RATE: f32 = 0.02;
/// One hour's use counts as this many times the aim at most.
const USE_CAP: f32 = 20.0;
/// Hours of load by which candidates are believed to behave as their margins say, before their books speak.
const PRIOR_HOURS: f32 = 6.0;
/// What the mean is rounded with: half a replica to the nearest.
const ROUNDING: f32 = 0.5;

/// What the load of a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// Measured at an ordinary time: candidates are judged by it, and it is remembered.
    Lesson,
    /// Measured at a time that says nothing of others: planned for now, and that is all.
    Exception,
    /// The newest that was known, as nothing is: no candidate is judged by it.
    Nothing,
}

/// The candidates of one metric, their books, and the price of a miss.
#[derive(Debug, Clone)]
pub struct Portfolio {
    task: PlanTask,
    candidates: &'static [Candidate],
    signals: Signals,
    /// Signals of the last `window` steps, a ring: what held candidates look at.
    recent: Vec<[f32; SIGNALS]>,
    /// Replicas decided by each candidate at the last `lead` steps, a ring of rows; ready is the least of a column.
    decided: Vec<f32>,
    ready: Vec<f32>,
    /// The mixture's own decisions of the last `lead` steps, a ring.
    own: Vec<f32>,
    steps: usize,
    /// The hour under way, since the epoch.
    hour: Option<i64>,
    /// The hour for which the mixture was made.
    served: Option<i64>,
    /// The books have changed since.
    settled: bool,
    block: Books,
    fast: Books,
    /// Hours in the fast books, counted like their sums.
    fast_hours: f32,
    slow: Books,
    hours: Vec<HourBooks>,
    own_missed: f32,
    price: f32,
    mixture: Vec<(usize, f32)>,
    fallback: usize,
}

impl Portfolio {
    /// A portfolio that has seen nothing.
    pub fn new(task: PlanTask) -> Portfolio {
        let candidates = candidates();
        let n = candidates.len();
        let rows = task.lead.max(1);
        let cautious = |c: &Candidate| c.signal == Signal::None && c.reactive >= 1.3;
        Portfolio {
            signals: Signals::new(task.step, rows, task.window.max(1)),
            recent: vec![[0.0; SIGNALS]; task.window.max(1)],
            decided: vec![0.0; n * rows],
            ready: vec![0.0; n],
            own: vec![0.0; rows],
            steps: 0,
            hour: None,
            served: None,
            settled: false,
            block: Books::new(n),
            fast: Books::new(n),
            fast_hours: PRIOR_HOURS,
            slow: Books::new(n),
            hours: vec![HourBooks::new(n); 24],
            own_missed: 0.0,
            price: task.miss_cost.map_or(PRICE, |cost| cost as f32 * task.unserved_budget as f32),
            mixture: Vec::with_capacity(BEST),
            fallback: candidates.iter().position(cautious).unwrap_or(0),
            candidates,
            task,
        }
    }

    /// One step at `at`: the load of now and what it is, the forecast made from it, and the
    /// load one replica serves. Returns the replicas to ask for now, ready one lead later.
    pub fn advance(
        &mut self,
        at: Time,
        load: f64,
        heard: Heard,
        ahead: Option<&WindowForecast>,
        capacity: f64,
    ) -> Replicas {
        let hour = at.secs().div_euclid(3600);
        if self.hour.is_some_and(|h| h != hour) {
            self.settle();
        }
        self.hour = Some(hour);
        // what is decided now serves one lead later
        let served = (at + self.task.step.times(self.own.len())).secs().div_euclid(3600);
        if self.served != Some(served) || self.settled {
            (self.served, self.settled) = (Some(served), false);
            self.mix(served.rem_euclid(24) as usize);
        }
        if heard == Heard::Lesson && self.steps >= self.own.len() {
            self.book((load / capacity).min(f64::from(MAX_REPLICAS)) as f32);
        }
        self.signals.advance(load, heard != Heard::Exception, ahead);
        let slot = self.steps % self.recent.len();
        self.recent[slot] = self.signals.now;
        let row = self.steps % self.own.len();
        self.decide(row, capacity as f32);
        let decided = self.row(row);
        let mean = match self.mixture.as_slice() {
            [] => decided[self.fallback],
            mixture => mixture.iter().map(|(k, weight)| decided[*k] * weight).sum(),
        };
        let (low, high) = self.bounds();
        let own = (mean - ROUNDING).ceil().clamp(low, high);
        self.own[row] = own;
        self.steps += 1;
        own as Replicas
    }

    fn bounds(&self) -> (f32, f32) {
        let high = self.task.max_replicas.min(MAX_REPLICAS) as f32;
        ((self.task.min_replicas as f32).min(high), high)
    }

    fn row(&self, row: usize) -> &[f32] {
        let n = self.candidates.len();
        &self.decided[row * n..(row + 1) * n]
    }

    /// What every candidate wants now.
    fn decide(&mut self, row: usize, capacity: f32) {
        /// Replicas; keeps float noise from asking for one more.
        const NOISE: f32 = 1e-5;
        let n = self.candidates.len();
        let (low, high) = self.bounds();
        let now = self.signals.now;
        let held = self.recent.iter().fold([0.0; SIGNALS], |mut largest: [f32; SIGNALS], signals| {
            for (a, b) in largest.iter_mut().zip(signals) {
                *a = a.max(*b);
            }
            largest
        });
        for (replicas, candidate) in self.decided[row * n..(row + 1) * n].iter_mut().zip(self.candidates) {
            let load = candidate.load(if candidate.held { &held } else { &now });
            *replicas = (load / capacity - NOISE).ceil().clamp(low, high);
        }
    }

    /// Books a load, in replicas, against what each candidate and we ourselves have ready for it.
    fn book(&mut self, load: f32) {
        let n = self.candidates.len();
        self.ready.fill(f32::INFINITY);
        for row in self.decided.chunks_exact(n) {
            for (ready, decided) in self.ready.iter_mut().zip(row) {
                *ready = ready.min(*decided);
            }
        }
        self.block.book(load, &self.ready);
        let own = self.own.iter().copied().fold(f32::INFINITY, f32::min);
        self.own_missed += (load - own).max(0.0);
    }

    /// An hour is over: its block goes into the books, and the price moves.
    fn settle(&mut self) {
        let block = &self.block;
        if block.load > 0.0 {
            let budget = self.task.unserved_budget as f32;
            if self.fast.load <= 0.0 {
                // before the first hour: as if this one had gone on for a while, with the misses that margins suggest
                for books in [&mut self.fast, &mut self.slow] {
                    books.load = PRIOR_HOURS * block.load;
                    for (k, candidate) in self.candidates.iter().enumerate() {
                        books.ready[k] = PRIOR_HOURS * block.ready[k];
                        books.missed[k] = books.load * budget * candidate.prior_miss();
                    }
                }
            }
            let keep = 0.5f32.powf(1.0 / FAST_HOURS);
            self.fast.absorb(block, keep);
            self.fast_hours = self.fast_hours * keep + 1.0;
            self.slow.absorb(block, 0.5f32.powf(1.0 / SLOW_HOURS));
            let over = self.hour.unwrap_or(0).rem_euclid(24) as usize;
            self.hours[over].absorb(block, 0.5f32.powf(1.0 / HOUR_DAYS));
            if self.task.miss_cost.is_none() {
                let used = (self.own_missed / block.load / (AIM * budget)).min(USE_CAP);
                self.price = (self.price * (PRICE_RATE * (used - 1.0)).exp()).clamp(PRICES.0, PRICES.1);
            }
            self.block.clear();
            self.own_missed = 0.0;
        }
        self.settled = true;
    }

    /// What a candidate loses: its cost, and its misses at the present price.
    fn loss(&self, k: usize, hour: usize) -> f32 {
        let price = self.price / self.task.unserved_budget as f32;
        let lately = self.fast.cost(k) + price * self.fast.miss(k).max(self.slow.miss(k));
        let (mut load, mut ready, mut missed) = (0.0, 0.0, 0.0);
        for (offset, weight) in [(23, NEAR_WEIGHT), (0, 1.0), (1, NEAR_WEIGHT)] {
            let books = &self.hours[(hour + offset) % 24];
            load += weight * books.load;
            ready += weight * books.ready(k);
            missed += weight * books.missed(k);
        }
        let known = LATELY_HOURS * self.fast.load / self.fast_hours;
        (known * lately + ready + price * missed) / (known + load)
    }

    /// The best candidates for an hour of the day, and their weights.
    fn mix(&mut self, hour: usize) {
        if self.fast.load <= 0.0 {
            return;
        }
        let mut losses: Vec<(usize, f32)> = (0..self.candidates.len()).map(|k| (k, self.loss(k, hour))).collect();
        losses.sort_by(|a, b| a.1.total_cmp(&b.1));
        losses.truncate(BEST);
        let least = losses.first().map_or(1.0, |l| l.1).max(f32::MIN_POSITIVE);
        let weigh = |loss: f32| (-SHARPNESS * (loss / least - 1.0)).exp();
        let total: f32 = losses.iter().map(|(_, loss)| weigh(*loss)).sum();
        self.mixture.clear();
        self.mixture.extend(losses.iter().map(|(k, loss)| (*k, weigh(*loss) / total)));
    }

    /// The candidates that decide now with their weights, which sum to 1, the heaviest first. Empty in the first hour.
    pub fn mixture(&self) -> impl Iterator<Item = (&Candidate, f32)> {
        self.mixture.iter().map(|(k, weight)| (&self.candidates[*k], *weight))
    }

    /// The price of missing one budget: so many replicas per replica of load.
    pub fn price(&self) -> f32 {
        self.price
    }
}

#[cfg(test)]
mod tests;
