//! What the load of a workload is expected to need one node lead from now.

use crate::forecast::QuantileForecast;
use crate::units::Step;
use std::time::Duration;

/// Pods expected to be needed one `lead` from now: the need of now, grown as the median of the load grows from now on.
/// The need of now where the forecast abstains or does not reach so far.
pub fn expected(need: u32, load: f64, forecast: Option<&QuantileForecast>, step: Step, lead: Duration) -> f32 {
    /// The forecast may not say more than this factor, up or down: the residuals carry the rest.
    const GROWTH_MAX: f64 = 3.0;
    let grown = forecast
        .filter(|f| f.abstains.is_none() && load > 0.0)
        .and_then(|f| median(f, lead.as_secs_f64() / f64::from(step.secs())))
        .map_or(1.0, |then| (then / load).clamp(1.0 / GROWTH_MAX, GROWTH_MAX));
    (f64::from(need) * grown) as f32
}

/// Pods that were expected `ahead` steps after the step `at` of recorded needs (NaN: not known): the need of then, grown as
/// the median of up to seven days before grew from the same time of day on; the lower one of two. So what each day brings is
/// no surprise. The need of then where no day before is known.
pub fn expected_of_past(needs: &[f32], at: usize, ahead: usize, per_day: usize) -> f32 {
    /// As live.
    const GROWTH_MAX: f32 = 3.0;
    let growth = |day: usize| {
        let then = at.checked_sub(day * per_day)?;
        let (from, to) = (*needs.get(then)?, *needs.get(then + ahead)?);
        (from > 0.0 && to.is_finite()).then_some(to / from)
    };
    let mut grew: Vec<f32> = (1..=7).filter_map(growth).collect();
    grew.sort_by(f32::total_cmp);
    let median = grew.get(grew.len().saturating_sub(1) / 2).copied().unwrap_or(1.0);
    needs.get(at).copied().unwrap_or(f32::NAN) * median.clamp(1.0 / GROWTH_MAX, GROWTH_MAX)
}

/// The median of the largest load of the window at a horizon in steps: linear between the horizons there are, the
/// nearest outside of them.
fn median(forecast: &QuantileForecast, horizon: f64) -> Option<f64> {
    let points = || forecast.windows.iter().map(|w| (w.horizon as f64, w.values[0]));
    let below = points().filter(|(h, _)| *h <= horizon).max_by(|a, b| a.0.total_cmp(&b.0));
    let above = points().filter(|(h, _)| *h >= horizon).min_by(|a, b| a.0.total_cmp(&b.0));
    match (below, above) {
        (Some(below), Some(above)) if above.0 > below.0 => {
            Some(below.1 + (above.1 - below.1) * (horizon - below.0) / (above.0 - below.0))
        }
        (below, above) => below.or(above).map(|(_, value)| value),
    }
}
