//! Weighted least squares on sufficient statistics that forget.
#![allow(clippy::indexing_slicing, reason = "a triangle of N rows is indexed by rows below N")]

/// Discounted Gram matrix and right-hand side of a linear regression with `N` features.
#[derive(Debug, Clone)]
pub struct Gram<const N: usize> {
    /// Lower triangle, row by row. In single precision: its rounding is far below the ridge that is added.
    gram: Vec<f32>,
    right: Vec<f32>,
    weight: f64,
    growth: f64,
}

impl<const N: usize> Gram<N> {
    /// The weight of a row halves in `half_life` rows.
    pub fn new(half_life: f64) -> Self {
        Gram { gram: vec![0.0; N * (N + 1) / 2], right: vec![0.0; N], weight: 1.0, growth: 2f64.powf(1.0 / half_life) }
    }

    /// Adds one row.
    pub fn add(&mut self, x: &[f32; N], y: f32) {
        self.weight *= self.growth;
        let mut at = 0;
        for i in 0..N {
            let xi = self.weight as f32 * x[i];
            for (sum, xj) in self.gram[at..=at + i].iter_mut().zip(x) {
                *sum += xi * xj;
            }
            at += i + 1;
            self.right[i] += xi * y;
        }
        if self.weight > 1e9 {
            let shrink = (1.0 / self.weight) as f32;
            self.gram.iter_mut().chain(&mut self.right).for_each(|v| *v *= shrink);
            self.weight = 1.0;
        }
    }

    /// Minimises the discounted squared error + `ridge` newest-row weights x squared coefficients, with the features that
    /// are kept only; the others' coefficients are 0. None if the matrix is not positive definite.
    pub fn solve_kept(&self, ridge: f64, kept: &[bool; N]) -> Option<[f32; N]> {
        let (l, mut x) = self.cholesky(ridge * self.weight, kept)?;
        for i in (0..N).rev() {
            for k in i + 1..N {
                x[i] -= l[row(k) + i] * x[k];
            }
            x[i] /= l[row(i) + i];
        }
        let mut out = [0.0; N];
        for (out, x) in out.iter_mut().zip(&x) {
            *out = *x as f32;
        }
        out.iter().all(|v| v.is_finite()).then_some(out)
    }

    /// The lower triangular factor L of the Gram matrix, which is given `ridge` newest-row weights on its diagonal, and
    /// L⁻¹ times the right-hand side. None if it is not positive definite.
    pub fn factor(&self, ridge: f64) -> Option<(impl Fn(usize, usize) -> f64, Vec<f64>)> {
        let (l, right) = self.cholesky(ridge * self.weight, &[true; N])?;
        Some((move |i: usize, k: usize| l[row(i) + k], right))
    }

    fn cholesky(&self, ridge: f64, kept: &[bool; N]) -> Option<(Vec<f64>, Vec<f64>)> {
        let mut l: Vec<f64> = self.gram.iter().map(|v| f64::from(*v)).collect();
        let mut right: Vec<f64> = self.right.iter().map(|v| f64::from(*v)).collect();
        for i in 0..N {
            l[row(i) + i] += ridge;
            if !kept[i] {
                l[row(i)..row(i) + i].fill(0.0);
                (i + 1..N).for_each(|k| l[row(k) + i] = 0.0);
                (l[row(i) + i], right[i]) = (1.0, 0.0);
            }
        }
        for i in 0..N {
            for j in 0..=i {
                let sum = l[row(i) + j] - dot(&l[row(i)..row(i) + j], &l[row(j)..row(j) + j]);
                if i == j {
                    if !(sum > 0.0 && sum.is_finite()) {
                        return None;
                    }
                    l[row(i) + i] = sum.sqrt();
                } else {
                    l[row(i) + j] = sum / l[row(j) + j];
                }
            }
        }
        for i in 0..N {
            for k in 0..i {
                right[i] -= l[row(i) + k] * right[k];
            }
            right[i] /= l[row(i) + i];
        }
        Some((l, right))
    }
}

/// In four sums, so that it isn't one long chain of additions.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (whole, rest) = a.as_chunks::<4>();
    let (other, other_rest) = b.as_chunks::<4>();
    let mut sums = [0.0; 4];
    for (a, b) in whole.iter().zip(other) {
        for i in 0..4 {
            sums[i] += a[i] * b[i];
        }
    }
    let rest: f64 = rest.iter().zip(other_rest).map(|(a, b)| a * b).sum();
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
}

/// Where row `i` of a lower triangle begins.
fn row(i: usize) -> usize {
    i * (i + 1) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ridge_equals_the_direct_solution() {
        // rows (1,2)->3, (2,1)->3, (1,0)->2 without forgetting; (X'X + I) = [[7,4],[4,6]], X'y = [11,9]
        // inverse = [[6,-4],[-4,7]] / 26: b = [30, 19] / 26
        let mut gram = Gram::<2>::new(f64::INFINITY);
        for (x, y) in [([1.0, 2.0], 3.0), ([2.0, 1.0], 3.0), ([1.0, 0.0], 2.0)] {
            gram.add(&x, y);
        }
        let b = gram.solve_kept(1.0, &[true; 2]).unwrap();
        assert!((b[0] - 30.0 / 26.0).abs() < 1e-6 && (b[1] - 19.0 / 26.0).abs() < 1e-6, "{b:?}");
    }

    #[test]
    fn a_feature_that_is_not_kept_is_as_if_it_were_not_there() {
        let (mut two, mut one) = (Gram::<2>::new(50.0), Gram::<1>::new(50.0));
        for i in 0..40 {
            let (a, b) = ((i % 5) as f32, (i % 3) as f32);
            two.add(&[a, b], 2.0 * a - b);
            one.add(&[a], 2.0 * a - b);
        }
        let (kept, alone) = (two.solve_kept(0.5, &[true, false]).unwrap(), one.solve_kept(0.5, &[true]).unwrap());
        assert!((kept[0] - alone[0]).abs() < 1e-6 && kept[1] == 0.0, "{kept:?} {alone:?}");
        let (factor, _) = two.factor(0.0).unwrap();
        assert!((factor(1, 0) * factor(0, 0) - f64::from(two.gram[1])).abs() < 1e-3, "L L' is the Gram matrix");
    }

    #[test]
    fn old_rows_weigh_less() {
        let mut gram = Gram::<1>::new(1.0);
        gram.add(&[1.0], 0.0);
        gram.add(&[1.0], 3.0);
        // weights 1 and 1/2: mean 2
        assert!((gram.solve_kept(0.0, &[true]).unwrap()[0] - 2.0).abs() < 1e-6);
        assert_eq!(Gram::<2>::new(1.0).solve_kept(0.0, &[true; 2]), None);
    }
}
