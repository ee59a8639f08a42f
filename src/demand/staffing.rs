//! Square-root staffing: the headroom that random arrivals need shrinks with size.
//!
//! Halfin and Whitt (1981): with `slots` servers and an offered load of `R` servers, `slots = R + beta sqrt(R)` keeps the
//! probability that an arrival waits at `1 / (1 + beta Phi(beta) / phi(beta))`, whatever the size.

/// The safety of square-root staffing: one arrival in 37 waits at all.
pub const BETA: f64 = 2.0;

/// The load to have replicas for, so that what arrives at random within a step seldom waits. `capacity`: load that one
/// fully used replica serves, positive; `slots`: how much of it a replica works on at a time, at least 1.
pub fn staffed(load: f64, capacity: f64, slots: f64) -> f64 {
    load + BETA * (load.max(0.0) * capacity / slots).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::replicas_for;

    /// The standard normal distribution, by Simpson's rule.
    fn normal(x: f64) -> f64 {
        let density = |t: f64| (-t * t / 2.0).exp() / std::f64::consts::TAU.sqrt();
        let n = 200;
        let h = x / f64::from(n);
        let inner = (1..n).map(|k| f64::from(if k % 2 == 0 { 2 } else { 4 }) * density(f64::from(k) * h)).sum::<f64>();
        0.5 + h / 3.0 * (density(0.0) + inner + density(x))
    }

    fn waits(beta: f64) -> f64 {
        let density = (-beta * beta / 2.0).exp() / std::f64::consts::TAU.sqrt();
        1.0 / (1.0 + beta * normal(beta) / density)
    }

    #[test]
    fn the_probability_to_wait_is_that_of_halfin_and_whitt() {
        for (beta, expected) in [(1.0, 0.223), (2.0, 0.027), (3.0, 0.0015)] {
            assert!((waits(beta) / expected - 1.0).abs() < 0.03, "{beta}: {}", waits(beta));
        }
        assert!((1.0 / waits(BETA) - 37.0).abs() < 1.0);
    }

    #[test]
    fn many_replicas_need_less_headroom_than_few() {
        // 5 replicas of 8 slots: R + 2 sqrt(R) = 40, R = 29.19, which is 73 %; of 100: R = 745.4, 93 %
        let most = |replicas: u32| {
            let loads = (0..8000).map(|i| f64::from(i) / 10.0);
            let fits = loads.filter(|load| replicas_for(staffed(*load, 8.0, 8.0), 8.0) <= replicas);
            fits.fold(0.0, f64::max) / (8.0 * f64::from(replicas))
        };
        assert!((most(5) - 0.730).abs() < 0.003, "{}", most(5));
        assert!((most(100) - 0.932).abs() < 0.003, "{}", most(100));
        assert_eq!(staffed(0.0, 8.0, 8.0), 0.0, "nothing needs nobody");
    }

    proptest::proptest! {
        #[test]
        fn more_load_never_needs_fewer(a in 0.0..1e9f64, more in 0.0..1e9f64, capacity in 0.1..1e6f64, slots in 1.0..64.0f64) {
            let (less, larger) = (staffed(a, capacity, slots), staffed(a + more, capacity, slots));
            proptest::prop_assert!(less >= a && larger >= less && larger.is_finite());
        }
    }
}
