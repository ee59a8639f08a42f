//! The forecaster of one workload: experts → quantiles → mixture → calibration, one step at a time.

use super::ensemble::Window;
use super::experts::{Ahead, Bank};
use super::homework::Screening;
use super::like::Likes;
use super::past::Past;
use super::shift::Detector;
use super::{Abstention, QuantileForecast, Task, WindowForecast};
use crate::occasion::{Effect, since_1970};
use crate::series::{Calendar, Sample, Series};
use crate::units::Time;

/// A forecaster that has seen a history.
#[derive(Debug, Clone)]
pub struct Fitted {
    pub(super) task: Task,
    calendar: Calendar,
    slots: usize,
    pub(super) past: Past,
    pub(super) bank: Bank,
    pub(super) windows: Vec<Window>,
    pub(super) screening: Screening,
    shifts: Detector,
    likes: Likes,
    forecast: QuantileForecast,
    /// What occasions make of each horizon's window.
    declared: Vec<f64>,
}

/// Fits by walking through the history once.
pub fn fit(history: &Series, task: &Task) -> Fitted {
    let calendar = Calendar::new(&task.time_zone, task.step).with(&task.occasions);
    let slots = calendar.slots();
    let mut fitted = Fitted {
        calendar,
        slots,
        past: Past::new(task),
        bank: Bank::new(task.step, slots),
        windows: task.horizons.iter().map(|h| Window::new(task, *h)).collect(),
        screening: Screening::default(),
        shifts: Detector::new(task.step),
        likes: Likes::new(&task.occasions),
        forecast: QuantileForecast {
            origin: history.at(0),
            windows: task.horizons.iter().map(|h| WindowForecast { horizon: *h, ..Default::default() }).collect(),
            abstains: Some(Abstention::ColdStart),
        },
        declared: vec![1.0; task.horizons.len()],
        task: task.clone(),
    };
    for (at, sample) in history.iter() {
        fitted.observe(at, sample);
    }
    fitted
}

/// What the occasions of the window that `from` begins make of its usual load `median`: a factor, 1 where there is none.
/// Of several within the window the largest; one that lowers the load counts only where it holds all through.
fn factor(calendar: &mut Calendar, likes: &Likes, from: Time, task: &Task, median: f64) -> f64 {
    if task.occasions.is_empty() {
        return 1.0;
    }
    let mut most: f64 = 0.0;
    for step in [0, task.window / 2, task.window - 1] {
        let at = from + task.step.times(step);
        let factor = match calendar.occasion(at).map(|o| o.effect) {
            Some(Effect::Times(times)) => times,
            Some(Effect::Like(date)) => {
                let load = likes.load(calendar, since_1970(date), at);
                load.map_or(1.0, |load| if median > 0.0 { load / median } else { 1.0 })
            }
            Some(Effect::Holiday | Effect::Exclude) | None => 1.0,
        };
        most = most.max(factor);
    }
    most
}

impl Fitted {
    /// Takes the sample of the next step, learns from the windows that end with it, and forecasts.
    pub fn observe(&mut self, at: Time, sample: Sample) {
        let slot = self.calendar.slot(at).of_day;
        let bridge = self.bank.bridge(slot);
        if let Some(moved) = self.past.push(sample, bridge) {
            self.bank.refloor(moved);
            self.windows.iter_mut().for_each(Window::forget_pending);
        }
        self.likes.learn(&mut self.calendar, at, sample);
        let declared = self.level(at, sample);
        self.bank.learn(&self.past, slot, declared);
        self.screen();
        let newest = self.past.newest_top();
        if let Some(start) = newest
            && self.past.is_clean(start)
            && self.past.peak() > 0.0
        {
            let top = self.past.recent_top(self.past.window());
            self.windows.iter_mut().for_each(|w| w.learn(&self.past, start, top));
        }
        let first = newest.unwrap_or(0);
        let behind = (self.past.seen() - 1).saturating_sub(first);
        let ahead = Ahead::new(&mut self.calendar, at - self.task.step.times(behind), first);
        let mut now = self.bank.now(&self.past, ahead);
        if let Some(shift) = self.shifts.learn(self.bank.gap(&self.past, &now)) {
            self.past.relevel(shift.steps, shift.by);
            self.bank.relevel(shift.by);
            now = self.bank.now(&self.past, ahead);
        }
        let origin = self.past.seen() - 1;
        let fans = self.windows.iter_mut().zip(&mut self.forecast.windows).zip(&mut self.declared);
        for ((window, forecast), declared) in fans {
            let from = at + self.task.step.times(window.horizon());
            let ahead = Ahead::new(&mut self.calendar, from, origin + window.horizon());
            let drafted = self.bank.points(&self.past, &now, &ahead, window.nowcast(), self.slots);
            forecast.values = window.forecast(&self.past, origin, &ahead, drafted);
            let times = factor(&mut self.calendar, &self.likes, from, &self.task, forecast.values[0]);
            forecast.values.iter_mut().for_each(|v| *v = (*v * times).min(f64::MAX / 1e10));
            *declared = times;
        }
        self.forecast.origin = at;
        let cold = self.past.valid_seen() < self.task.step.cover(super::COLD_START);
        self.forecast.abstains = if cold { Some(Abstention::ColdStart) } else { self.gate() };
    }

    /// The level that a sample of a declared occasion shows, in log space: it is no lesson of the season, but it does say
    /// where the load is today. None: it says nothing, or it is an ordinary sample.
    fn level(&mut self, at: Time, sample: Sample) -> Option<f32> {
        let Sample::Event(load) = sample else { return None };
        match self.calendar.occasion(at)?.effect {
            Effect::Holiday => Some(self.past.to_z(load)),
            Effect::Times(times) if times > 0.0 => Some(self.past.to_z(load / times)),
            Effect::Times(_) | Effect::Like(_) | Effect::Exclude => None,
        }
    }

    /// Abstains while the last days' forecasts lost by more than 10 % to seasonal naive or to reacting, on average over the
    /// horizons; comes back when they lose by less than 2 %.
    fn gate(&self) -> Option<Abstention> {
        let scores: Vec<(f32, f32)> = self.windows.iter().filter_map(|w| w.score().relative()).collect();
        if scores.is_empty() {
            return None;
        }
        let mean = |logs: f32| (logs / scores.len() as f32).exp();
        let naive = mean(scores.iter().map(|s| s.0.ln()).sum());
        let reactive = mean(scores.iter().map(|s| s.1.ln()).sum());
        let limit = |why: Abstention| if self.forecast.abstains == Some(why) { 1.02 } else { 1.1 };
        if naive > limit(Abstention::LosesToSeasonalNaive) {
            Some(Abstention::LosesToSeasonalNaive)
        } else if reactive > limit(Abstention::LosesToReactive) {
            Some(Abstention::LosesToReactive)
        } else {
            None
        }
    }

    /// Largest loads of the windows that began within half an hour of the time of day that is `later` steps after the newest
    /// step, on each of the last 14 days; only those that were measured and believed throughout.
    pub fn around(&self, later: usize) -> impl Iterator<Item = f64> + '_ {
        self.past.around(later, self.task.step.cover(std::time::Duration::from_secs(30 * 60)))
    }

    /// From now on the loss of every member is followed, for [`Fitted::explain`]. It takes 5 kB a horizon.
    pub fn rate(&mut self) {
        self.windows.iter_mut().for_each(Window::rate);
    }

    /// The horizons' forecasters.
    pub(super) fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// How many times the usual load occasions say there will be in the window `horizon` steps from the last observed step.
    /// It is in the fan already.
    pub fn declared(&self, horizon: usize) -> f64 {
        let of = |(times, window): (&f64, &Window)| (window.horizon() == horizon).then_some(*times);
        self.declared.iter().zip(&self.windows).find_map(of).unwrap_or(1.0)
    }

    /// The fan from the last observed step.
    pub fn predict(&self) -> QuantileForecast {
        self.forecast.clone()
    }
}
