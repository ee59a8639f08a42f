//! Which features a regression needs: an elastic net (Zou and Hastie, JRSS B 2005) on the sufficient statistics of ridge.
//!
//! A Gram matrix `X'X = L L'` and a right side `X'y` are those of the small data set `(L', L⁻¹ X'y)`, so that coordinate
//! descent (`linfa-elasticnet`) needs as many rows as there are features, and none of the rows that were seen.

use super::linear::Gram;
use linfa::Dataset;
use linfa::traits::Fit;
use linfa_elasticnet::ElasticNet;
use ndarray::{Array1, Array2};

/// Penalty, as a share of the one that leaves no feature.
const PENALTY: f64 = 0.003;
/// Share of the penalty that is absolute, not squared.
const ABSOLUTE: f64 = 0.9;

/// The features that are kept, the first always. None: it could not be told.
pub fn keep<const N: usize>(gram: &Gram<N>) -> Option<[bool; N]> {
    let (factor, right) = gram.factor(1e-6)?;
    let mut rows = Array2::<f64>::zeros((N, N));
    let mut scales = [0.0; N];
    for (i, scale) in scales.iter_mut().enumerate() {
        *scale = (0..=i).map(|k| factor(i, k).powi(2)).sum::<f64>().sqrt();
        for k in 0..=i {
            rows[[k, i]] = factor(i, k) / scale.max(1e-12);
        }
    }
    let target = Array1::from(right);
    // of columns of length 1 the largest product with the target is the penalty that leaves nothing
    let most = rows.t().dot(&target).iter().fold(0.0f64, |m, v| m.max(v.abs()));
    if !(most.is_finite() && most > 0.0) {
        return None;
    }
    let net = ElasticNet::params()
        .with_intercept(false)
        .penalty(PENALTY * most / N as f64)
        .l1_ratio(ABSOLUTE)
        .max_iterations(300)
        .tolerance(1e-4);
    let fitted = net.fit(&Dataset::new(rows, target)).ok()?;
    let mut kept = [false; N];
    for (kept, weight) in kept.iter_mut().zip(fitted.hyperplane()) {
        *kept = weight.is_finite() && *weight != 0.0;
    }
    kept[0] = true;
    Some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_matter_is_left_out() {
        let mut gram = Gram::<4>::new(f64::INFINITY);
        for i in 0..500u32 {
            let noise = |k: u32| ((i.wrapping_mul(2_654_435_761).wrapping_add(k * 97)) >> 16) as f32 / 65_536.0 - 0.5;
            let x = [1.0, noise(1), (i % 7) as f32 / 7.0, noise(3)];
            gram.add(&x, 2.0 + 3.0 * x[2]);
        }
        assert_eq!(keep(&gram), Some([true, false, true, false]));
    }

    #[test]
    fn no_data_keeps_no_opinion() {
        assert_eq!(keep(&Gram::<3>::new(10.0)), None);
    }
}
