//! Online aggregation: which expert to believe, per horizon and quantile level.
//!
//! Bernstein online aggregation (Wintenberger, "Optimal learning with Bernstein online aggregation", Machine Learning
//! 2017) on the pinball loss linearised at the aggregate, in the form of the R package `opera` (Gaillard and Goude), with
//! sleeping experts (Freund et al., 1997), exponential forgetting, and fixed share (Herbster and Warmuth, 1998).

/// Weights of the members at one horizon and one level.
#[derive(Debug, Clone)]
pub struct Boa {
    /// Regret against each member, with the second-order correction.
    regret: Vec<f32>,
    /// Sum of squared instantaneous regrets.
    square: Vec<f32>,
    /// Largest of them.
    most: Vec<f32>,
    weights: Vec<f32>,
    keep: f32,
    share: f32,
}

impl Boa {
    /// Equal weights. The past's influence halves in `half_life` rounds; `share` of the weight is spread evenly each round.
    pub fn new(members: usize, half_life: f64, share: f32) -> Self {
        Boa {
            regret: vec![0.0; members],
            square: vec![0.0; members],
            most: vec![0.0; members],
            weights: vec![1.0 / members.max(1) as f32; members],
            keep: 0.5f64.powf(1.0 / half_life.max(1.0)) as f32,
            share,
        }
    }

    /// The weights: not negative, of sum 1.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// The aggregate of the members that are awake (finite); `fallback` if none is.
    pub fn mix(&self, values: &[f32], fallback: f32) -> f32 {
        let (mut sum, mut mass) = (0.0, 0.0);
        for (w, v) in self.weights.iter().zip(values) {
            if v.is_finite() {
                sum += w * v;
                mass += w;
            }
        }
        if mass > 1e-12 { sum / mass } else { fallback }
    }

    /// Feeds back one outcome: `values` are the members' quantiles at the time, `mixed` the aggregate of them, all in the
    /// same unit of about 1.
    pub fn learn(&mut self, values: &[f32], mixed: f32, target: f32, level: f32) {
        let gradient = if target < mixed { 1.0 - level } else { -level };
        let members = self.weights.len();
        let log_members = (members as f32).ln();
        let mut total = 0.0;
        let mut best = f32::NEG_INFINITY;
        for k in 0..members {
            self.regret[k] *= self.keep;
            self.square[k] *= self.keep;
            self.most[k] *= self.keep;
            let r = if values[k].is_finite() { (gradient * (mixed - values[k])).clamp(-20.0, 20.0) } else { 0.0 };
            let size = r.abs();
            self.most[k] = self.most[k].max(size);
            self.square[k] += r * r;
            let rate = rate(self.most[k], self.square[k], log_members);
            let big = if rate * r > 0.5 { self.most[k] } else { 0.0 };
            self.regret[k] += 0.5 * (r - rate * r * r + big);
            let log_weight = rate.max(1e-20).ln() + rate * self.regret[k];
            self.weights[k] = log_weight;
            best = best.max(log_weight);
        }
        for w in &mut self.weights {
            *w = (*w - best).exp();
            total += *w;
        }
        let even = self.share / members as f32;
        for w in &mut self.weights {
            *w = *w / total * (1.0 - self.share) + even;
        }
    }
}

fn rate(most: f32, square: f32, log_members: f32) -> f32 {
    if most <= 0.0 {
        return 1.0;
    }
    (0.5 / most).min((log_members / square.max(1e-20)).sqrt())
}
