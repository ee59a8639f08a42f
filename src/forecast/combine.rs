//! Online aggregation: which member to believe, per horizon and quantile level.
//!
//! Bernstein online aggregation (Wintenberger, "Optimal learning with Bernstein online aggregation", Machine Learning
//! 2017) on the pinball loss linearised at the aggregate, in the form of the R package `opera` (Gaillard and Goude), with
//! sleeping experts (Freund et al., 1997), exponential forgetting, and fixed share (Herbster and Warmuth, 1998). Evidence
//! is pooled over neighbouring levels, since outcomes beyond the highest ones are rare (after Ziel, "Smoothed Bernstein
//! online aggregation", 2021).
#![allow(clippy::indexing_slicing, reason = "levels have a fixed length")]

use super::{LEVELS, flat};

const Q: usize = LEVELS.len();
/// Regrets count so many times what the theory's safe rate gives: measured, on outcomes as dependent as these. At the median,
/// and above it, where outcomes say less.
const PACE: [f32; 2] = [2.0, 4.0];
/// Share of the weight that is spread evenly.
const SHARE: f32 = 0.002;
/// Evidence of a level counts this much at the next one.
const POOL: f32 = 0.5;

/// Weights of the members at one horizon and all levels.
#[derive(Debug, Clone)]
pub struct Mixture {
    members: usize,
    levels: Vec<Boa>,
    /// Of each level, the share that its own evidence has.
    shares: [f32; Q],
    keep: f32,
}

/// Evidence at one level.
#[derive(Debug, Clone)]
struct Boa {
    /// Regret against each member, with the second-order correction.
    regret: Vec<f32>,
    /// Sum of squared instantaneous regrets.
    square: Vec<f32>,
    /// Largest of them.
    most: Vec<f32>,
    weights: Vec<f32>,
}

impl Mixture {
    /// Equal weights. The past's influence halves in `half_life` rounds.
    pub fn new(members: usize, half_life: f64) -> Self {
        let zero = vec![0.0; members];
        let boa = Boa {
            regret: zero.clone(),
            square: zero.clone(),
            most: zero,
            weights: vec![1.0 / members.max(1) as f32; members],
        };
        let mass = |l: usize| (0..Q).map(|j| POOL.powi(i32::try_from(l.abs_diff(j)).unwrap_or(99))).sum::<f32>();
        let shares = std::array::from_fn(|l| 1.0 / mass(l));
        Mixture { members, levels: vec![boa; Q], shares, keep: 0.5f64.powf(1.0 / half_life.max(1.0)) as f32 }
    }

    /// The weights at one level: not negative, of sum 1.
    pub fn weights(&self, level: usize) -> &[f32] {
        &self.levels[level].weights
    }

    /// The aggregate at one level of the members that are awake (finite); `fallback` if none is.
    pub fn mix(&self, level: usize, values: &[f32], fallback: f32) -> f32 {
        let (mut sum, mut mass) = (0.0, 0.0);
        for (w, v) in self.levels[level].weights.iter().zip(values) {
            if v.is_finite() {
                sum += w * v;
                mass += w;
            }
        }
        if mass > 1e-12 { sum / mass } else { fallback }
    }

    /// Feeds back one outcome, `target`: `values` are the members' quantiles at the time, level by level, `mixed` the
    /// aggregates of them, all in the same unit of about 1. Then sets the weights.
    pub fn learn(&mut self, values: &[f32], mixed: &[f32; Q], target: f32) {
        flat::wide(
            #[inline(always)]
            || self.learn_flat(values, mixed, target),
        );
    }

    #[inline(always)]
    fn learn_flat(&mut self, values: &[f32], mixed: &[f32; Q], target: f32) {
        let row = self.members.max(1);
        let mut logs = vec![0.0f32; row * Q];
        let rows = values.chunks_exact(row).zip(logs.chunks_exact_mut(row));
        for (l, (boa, (values, logs))) in self.levels.iter_mut().zip(rows).enumerate() {
            let level = LEVELS[l] as f32;
            let gradient = if target < mixed[l] { 1.0 - level } else { -level };
            let pace = if l == 0 { PACE[0] } else { PACE[1] };
            boa.learn(values, mixed[l], gradient, self.keep, pace, logs);
        }
        self.weigh(&logs);
    }

    /// Sets the weights from the evidence at all levels: geometric mean of own and neighbours' weights, then fixed share.
    #[inline(always)]
    fn weigh(&mut self, logs: &[f32]) {
        let even = SHARE / self.members as f32;
        self.pool(logs);
        for boa in &mut self.levels {
            let weights = &mut boa.weights;
            let best = weights.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            weights.iter_mut().for_each(|w| *w = flat::exp(*w - best));
            let total: f32 = weights.iter().sum();
            weights.iter_mut().for_each(|w| *w = *w / total * (1.0 - SHARE) + even);
        }
    }

    /// Puts the pooled evidence of each level where its weights will be: shares that fall by [`POOL`] from level to level
    /// are one sweep up and one down.
    #[inline(always)]
    fn pool(&mut self, logs: &[f32]) {
        let row = self.members.max(1);
        let mut carried = vec![0.0f32; row];
        for (boa, logs) in self.levels.iter_mut().zip(logs.chunks_exact(row)) {
            for ((carry, pooled), log) in carried.iter_mut().zip(&mut boa.weights).zip(logs) {
                *carry = POOL * *carry + log;
                *pooled = *carry;
            }
        }
        carried.fill(0.0);
        let levels = self.levels.iter_mut().zip(logs.chunks_exact(row)).zip(self.shares);
        for ((boa, logs), share) in levels.rev() {
            for ((carry, pooled), log) in carried.iter_mut().zip(&mut boa.weights).zip(logs) {
                *pooled = (*pooled + *carry) * share;
                *carry = POOL * (*carry + log);
            }
        }
    }
}

impl Boa {
    /// Takes the members' values, the aggregate and the gradient of the loss there; puts the logarithm of each member's
    /// weight by this evidence, up to a common term, into `logs`.
    #[inline(always)]
    fn learn(&mut self, values: &[f32], mixed: f32, gradient: f32, keep: f32, pace: f32, logs: &mut [f32]) {
        let log_members = (values.len() as f32).ln();
        let state = self.regret.iter_mut().zip(&mut self.square).zip(&mut self.most).zip(logs);
        for ((((regret, square), most), log), value) in state.zip(values) {
            *regret *= keep;
            *square *= keep;
            *most *= keep;
            let r = if value.is_finite() { (gradient * (mixed - value)).clamp(-20.0, 20.0) } else { 0.0 };
            *most = most.max(r.abs());
            *square += r * r;
            let rate = if *most <= 0.0 { 1.0 } else { (0.5 / *most).min((log_members / square.max(1e-20)).sqrt()) };
            let big = if rate * r > 0.5 { *most } else { 0.0 };
            *regret += 0.5 * (r - rate * r * r + big);
            *log = flat::ln(rate.max(1e-20)) + pace * rate * *regret;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_round_by_hand() {
        // level 0.5, two members at 1 and 3, aggregate 2, outcome 1: gradient 0.5, regrets 0.5 and -0.5
        let mut mixture = Mixture::new(2, f64::INFINITY);
        let mut logs = [0.0; 2];
        mixture.levels[0].learn(&[1.0, 3.0], 2.0, 0.5, 1.0, PACE[0], &mut logs);
        let boa = &mixture.levels[0];
        assert_eq!((boa.most[0], boa.square[0]), (0.5, 0.25));
        // rate = min(0.5 / 0.5, sqrt(ln 2 / 0.25)) = 1; regret = (0.5 - 0.25) / 2 and (-0.5 - 0.25) / 2
        assert_eq!((boa.regret[0], boa.regret[1]), (0.125, -0.375));
        assert_eq!(logs, [0.25, -0.75]);
        // pooled over 9 levels of which the others know nothing, the first has share 1 / (1 + 1/2 + ... + 1/256)
        let mut all = [0.0; 2 * Q];
        all[..2].copy_from_slice(&logs);
        mixture.weigh(&all);
        let share = 1.0 / (2.0 - 1.0 / 256.0);
        let odds = (share * 1.0f32).exp();
        let expected = odds / (1.0 + odds) * (1.0 - SHARE) + SHARE / 2.0;
        assert!((mixture.weights(0)[0] - expected).abs() < 1e-6, "{} {expected}", mixture.weights(0)[0]);
    }

    #[test]
    fn sleepers_keep_their_evidence_and_are_left_out() {
        let mut mixture = Mixture::new(2, 100.0);
        mixture.learn(&[1.0, f32::NAN].repeat(Q), &[1.5; Q], 1.0);
        assert_eq!(mixture.levels[0].regret[1], 0.0);
        assert_eq!(mixture.mix(0, &[f32::NAN, 4.0], 9.0), 4.0);
        assert_eq!(mixture.mix(0, &[f32::NAN, f32::NAN], 9.0), 9.0);
    }

    #[test]
    fn the_better_member_wins() {
        let mut mixture = Mixture::new(3, 1000.0);
        for i in 0..500 {
            let target = 1.0 + 0.1 * (i % 7) as f32;
            let values = [1.6, 3.0, 0.2];
            let mixed = std::array::from_fn(|l| mixture.mix(l, &values, 0.0));
            mixture.learn(&values.repeat(Q), &mixed, target);
        }
        assert!(mixture.weights(5)[0] > 0.9, "{:?}", mixture.weights(5));
    }
}
