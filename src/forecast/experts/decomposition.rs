//! MSTL and a damped trend, refitted every hour, off the tick.
//!
//! Multiple seasonal-trend decomposition by loess (Bandara, Hyndman and Bergmeir, "MSTL: a seasonal-trend decomposition
//! algorithm for time series with multiple seasonal patterns", 2021) of the window maxima on a grid of 5 minutes, the rest
//! carried on by exponential smoothing with a damped additive trend (Gardner and McKenzie, Management Science 1985); both
//! from `augurs`. Only the point is taken: its intervals are far too narrow (measured).
//!
//! A fit knows the past up to its step and is used from [`LATER`] steps of the grid on, whether it was made in between
//! (by [`Homework::work`], off the tick) or is made only then: the same bytes either way. Its cost is bounded by the number
//! of points, since nothing in the middle may read a clock: at most [`POINTS_MAX`], a few milliseconds.

use crate::forecast::past::Past;
use crate::units::Step;
use augurs::ets::AutoETS;
use augurs::mstl::{FittedTrendModel, MSTLModel, TrendModel};
use augurs::{Fit, Predict};
use std::borrow::Cow;

/// Seconds of the grid.
const GRID: u32 = 300;
/// Days that are fitted at most. Fourteen were no better (measured), and take twice the time.
const DAYS_MAX: usize = 7;
/// Points that are fitted at most.
pub const POINTS_MAX: usize = 2016;
/// Points that a fit looks ahead: 3 hours.
const AHEAD: usize = 36;
/// Points after which a fit is used: 15 minutes.
const LATER: usize = 3;
/// Points between two fits: an hour.
const EVERY: usize = 12;
/// Days of history before the first fit. Two are enough for the method; with fewer than a week it did harm (measured).
const FROM_DAYS: usize = 7;
/// Points that the trend is fitted to: half a day. Two days were no better (measured), and take four times the time.
const TREND: usize = 144;

/// What one fit expects of the points after its last one, in log space.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    from: usize,
    grid: usize,
    values: Vec<f32>,
}

impl Path {
    /// The value at step `start`, linear between points.
    fn at(&self, start: usize) -> Option<f32> {
        let after = start.checked_sub(self.from)?;
        let (i, rest) = (after / self.grid, (after % self.grid) as f32 / self.grid as f32);
        let (a, b) = (self.values.get(i)?, self.values.get(i + usize::from(rest > 0.0))?);
        Some(a + rest * (b - a))
    }
}

/// A fit to be made.
#[derive(Debug, Clone)]
pub struct Homework {
    values: Vec<f64>,
    period: usize,
    /// Step of the newest point.
    newest: usize,
    grid: usize,
}

impl Homework {
    /// Makes the fit. None: the library gave an error, no number, or panicked.
    pub fn work(&self) -> Option<Path> {
        let values = std::panic::catch_unwind(|| decompose(&self.values, self.period)).ok().flatten()?;
        Some(Path { from: self.newest + self.grid, grid: self.grid, values })
    }
}

fn decompose(values: &[f64], period: usize) -> Option<Vec<f32>> {
    if values.len() < 2 * period + 2 || values.len() > POINTS_MAX || !values.iter().all(|v| v.is_finite()) {
        return None;
    }
    let trend = Recent(AutoETS::new(1, "AAN").ok()?.damped(true).ok()?.into_trend_model());
    let fitted = MSTLModel::new(vec![period], trend).fit(values).ok()?;
    let forecast = fitted.predict(AHEAD, None).ok()?;
    let path: Vec<f32> = forecast.point.iter().map(|v| *v as f32).collect();
    (path.len() == AHEAD && path.iter().all(|v| v.is_finite())).then_some(path)
}

/// A trend model that is shown the newest points only: older ones cost time and say nothing of the trend of now.
#[derive(Debug)]
struct Recent<T>(T);

type Failed = Box<dyn std::error::Error + Send + Sync + 'static>;

impl<T: TrendModel> TrendModel for Recent<T> {
    fn name(&self) -> Cow<'_, str> {
        self.0.name()
    }

    fn fit(&self, y: &[f64]) -> Result<Box<dyn FittedTrendModel + Sync + Send>, Failed> {
        self.0.fit(y.get(y.len().saturating_sub(TREND)..).unwrap_or(y))
    }
}

/// The expert of one workload. Sleeps until there is a week of history, and where the step does not divide 5 minutes.
#[derive(Debug, Clone)]
pub struct Decomposition {
    grid: usize,
    period: usize,
    path: Option<Path>,
    /// Step of the newest point of the fit that is due.
    wanted: Option<usize>,
    made: Option<Option<Path>>,
    benched_until: usize,
}

impl Decomposition {
    /// Nothing learned.
    pub fn new(step: Step) -> Self {
        let fits = step.secs() >= GRID || GRID.is_multiple_of(step.secs());
        let grid = if fits { (GRID / step.secs()).max(1) as usize } else { 0 };
        let period = step.per_day().checked_div(grid).unwrap_or(0);
        Decomposition { grid, period, path: None, wanted: None, made: None, benched_until: 0 }
    }

    /// Shifts the fits in time. To be called once a step.
    pub fn advance(&mut self, past: &Past) {
        let (Some(newest), true) = (past.newest_top(), self.grid > 0 && self.period >= 4) else { return };
        if let Some(wanted) = self.wanted.filter(|w| w + LATER * self.grid == newest) {
            let made = self.made.take().unwrap_or_else(|| self.homework(past, wanted)?.work());
            if made.is_none() {
                self.benched_until = newest + self.period * self.grid;
            }
            (self.path, self.wanted) = (made, None);
        }
        let known = newest >= FROM_DAYS * self.period * self.grid;
        if known && newest.is_multiple_of(EVERY * self.grid) && newest >= self.benched_until {
            (self.wanted, self.made) = (Some(newest), None);
        }
    }

    /// The fit that is wanted and not yet made.
    pub fn wants(&self, past: &Past) -> Option<Homework> {
        self.wanted.filter(|_| self.made.is_none()).and_then(|wanted| self.homework(past, wanted))
    }

    /// Takes a fit that was made off the tick. One that isn't the wanted one is dropped.
    pub fn take(&mut self, homework: &Homework, made: Option<Path>) {
        if self.wanted == Some(homework.newest) {
            self.made = Some(made);
        }
    }

    fn homework(&self, past: &Past, newest: usize) -> Option<Homework> {
        let points = (newest / self.grid + 1).min(DAYS_MAX * self.period).min(POINTS_MAX);
        if points < 2 * self.period + 2 {
            return None;
        }
        let oldest = newest - (points - 1) * self.grid;
        // steps without a Valid sample have been bridged in the past: no hole comes here
        let values: Option<Vec<f64>> =
            (0..points).map(|i| past.top(Some(oldest + i * self.grid)).map(f64::from)).collect();
        Some(Homework { values: values?, period: self.period, newest, grid: self.grid })
    }

    /// What is expected of the window that starts at step `start`.
    pub fn point(&self, start: usize) -> Option<f32> {
        self.path.as_ref()?.at(start)
    }

    /// Forgets all fits: they were made in another space.
    pub fn forget(&mut self) {
        (self.path, self.wanted, self.made) = (None, None, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    fn wave(i: usize) -> f64 {
        3.0 + (TAU * i as f64 / 288.0).sin() + 0.01 * (i * 7919 % 101) as f64 / 101.0
    }

    #[test]
    fn a_wave_goes_on() {
        let values: Vec<f64> = (0..288 * 4).map(wave).collect();
        let path = Homework { values, period: 288, newest: 1000, grid: 5 }.work().unwrap();
        for i in 0..AHEAD {
            let got = path.at(1005 + 5 * i).unwrap();
            assert!((f64::from(got) - wave(288 * 4 + i)).abs() < 0.05, "{i}: {got}");
        }
        assert_eq!(path.at(1004), None);
        assert_eq!(path.at(1005 + 5 * AHEAD), None);
        let (a, b) = (path.at(1005).unwrap(), path.at(1010).unwrap());
        assert!((path.at(1007).unwrap() - (a + 0.4 * (b - a))).abs() < 1e-6);
    }

    #[test]
    fn what_cannot_be_fitted_gives_nothing() {
        let try_it = |values: Vec<f64>| Homework { values, period: 288, newest: 0, grid: 5 }.work();
        assert_eq!(try_it((0..577).map(wave).collect()), None, "less than two periods and two points");
        assert_eq!(try_it(vec![f64::NAN; 1000]), None);
        assert_eq!(try_it(vec![1.0; POINTS_MAX + 1]), None);
        assert!(try_it(vec![1.0; 1000]).is_none_or(|p| p.values.iter().all(|v| (v - 1.0).abs() < 1e-3)));
    }

    #[test]
    fn a_step_that_does_not_divide_five_minutes_sleeps() {
        assert_eq!(Decomposition::new(Step::from_secs(7).unwrap()).grid, 0);
        assert_eq!(Decomposition::new(Step::MINUTE).grid, 5);
        assert_eq!(Decomposition::new(Step::from_secs(3600).unwrap()).period, 24);
    }
}
