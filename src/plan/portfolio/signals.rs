//! What candidates look at: a few numbers a step, each a load to be ready for one lead from now.
#![allow(
    clippy::indexing_slicing,
    reason = "rings are indexed modulo their lengths, signals have one place for each signal"
)]

use super::exact::Exact;
use super::loads::Loads;
use crate::forecast::{LEVELS, WindowForecast};
use crate::units::Step;
use std::fmt;
use std::time::Duration;

/// Days that the ring of loads goes back, and one window more.
pub(super) const DAYS: usize = 7;
/// Smoothing of the additive Holt-Winters: level and season; no trend. A day is its season.
const HW_LEVEL: f32 = 0.05;
/// See [`HW_LEVEL`].
const HW_SEASON: f32 = 0.2;
/// Holt-Winters never says more than this multiple of the largest load seen.
const HW_CAP: f32 = 3.0;
/// Days of the hourly forecast.
const HOURLY_DAYS: usize = 14;

/// A signal: its place in [`Signals::now`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Signal {
    /// None: always zero.
    None,
    /// The load of now.
    Load,
    /// Forecast quantiles of the window ahead, in the order of [`LEVELS`]. Zero while the forecast abstains.
    Quantile0,
    /// 0.7
    Quantile1,
    /// 0.8
    Quantile2,
    /// 0.9
    Quantile3,
    /// 0.95
    Quantile4,
    /// 0.98
    Quantile5,
    /// 0.99
    Quantile6,
    /// 0.995
    Quantile7,
    /// 0.999
    Quantile8,
    /// Largest load of the window ahead yesterday.
    Day1,
    /// … on the last 3 days.
    Day3,
    /// … on the last 7 days.
    Day7,
    /// Additive Holt-Winters with a day's season, largest of the window ahead.
    HoltWinters,
    /// Largest load of the half hour that follows this time last week.
    Week,
    /// Hourly means of the same hour of up to 14 days: the larger of this hour and the one at hand.
    HourlyMean,
    /// The same of hourly maxima.
    HourlyMax,
    /// Largest load of the last 15 minutes.
    Recent15,
    /// … 30 minutes.
    Recent30,
    /// … hour.
    Recent60,
    /// … 2 hours.
    Recent120,
    /// … 6 hours.
    Recent360,
    /// … day.
    Recent1440,
    /// Largest load at these minutes of the last 3 hours.
    Hour3,
    /// … of the last 8 hours.
    Hour8,
    /// … of the last 24 hours.
    Hour24,
    /// Largest load within half an hour of the window ahead yesterday.
    Around1,
    /// … on the last 3 days.
    Around3,
    /// … on the last 7 days.
    Around7,
    /// Largest load at these minutes of the last 4 half hours.
    Half4,
    /// … of the last 16 half hours.
    Half16,
    /// Holt-Winters, step by step up to the lead.
    Exact,
    /// … and 1.5 times its mean error lately.
    Exact2,
    /// … and 3 times.
    Exact3,
    /// … and 5 times.
    Exact5,
    /// Yesterday's load, step by step up to the lead, times how much higher the load is now than then.
    Ratio1,
    /// The mean of that over the last 3 days.
    Ratio3,
    /// … over the last 7 days.
    Ratio7,
    /// The load of now and 1.5 times how far it moved within a lead lately, on average.
    Steady2,
    /// … and 3 times.
    Steady3,
    /// … and 5 times.
    Steady5,
}

impl fmt::Display for Signal {
    /// In words, as reports show it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Signal::None => "nothing",
            Signal::Load => "load",
            Signal::Quantile0 => "forecast 50 %",
            Signal::Quantile1 => "forecast 70 %",
            Signal::Quantile2 => "forecast 80 %",
            Signal::Quantile3 => "forecast 90 %",
            Signal::Quantile4 => "forecast 95 %",
            Signal::Quantile5 => "forecast 98 %",
            Signal::Quantile6 => "forecast 99 %",
            Signal::Quantile7 => "forecast 99.5 %",
            Signal::Quantile8 => "forecast 99.9 %",
            Signal::Day1 => "the same time yesterday",
            Signal::Day3 => "the same time on 3 days",
            Signal::Day7 => "the same time on 7 days",
            Signal::HoltWinters => "Holt-Winters",
            Signal::Week => "the same time a week ago",
            Signal::HourlyMean => "hourly means of 14 days",
            Signal::HourlyMax => "hourly maxima of 14 days",
            Signal::Recent15 => "the last 15 minutes",
            Signal::Recent30 => "the last 30 minutes",
            Signal::Recent60 => "the last hour",
            Signal::Recent120 => "the last 2 hours",
            Signal::Recent360 => "the last 6 hours",
            Signal::Recent1440 => "the last day",
            Signal::Hour3 => "these minutes of 3 hours",
            Signal::Hour8 => "these minutes of 8 hours",
            Signal::Hour24 => "these minutes of 24 hours",
            Signal::Around1 => "around this time yesterday",
            Signal::Around3 => "around this time on 3 days",
            Signal::Around7 => "around this time on 7 days",
            Signal::Half4 => "these minutes of 4 half hours",
            Signal::Half16 => "these minutes of 16 half hours",
            Signal::Exact => "each minute's season",
            Signal::Exact2 => "each minute's season + 1.5 errors",
            Signal::Exact3 => "each minute's season + 3 errors",
            Signal::Exact5 => "each minute's season + 5 errors",
            Signal::Ratio1 => "each minute yesterday, at the level of now",
            Signal::Ratio3 => "each minute on 3 days, at the level of now",
            Signal::Ratio7 => "each minute on 7 days, at the level of now",
            Signal::Steady2 => "load + 1.5 moves",
            Signal::Steady3 => "load + 3 moves",
            Signal::Steady5 => "load + 5 moves",
        })
    }
}

/// Number of signals.
pub const SIGNALS: usize = Signal::Steady5 as usize + 1;

/// The rings and states behind the signals of one metric.
#[derive(Debug, Clone)]
pub struct Signals {
    lead: usize,
    window: usize,
    day: usize,
    hour: usize,
    loads: Loads,
    level: f32,
    season: Vec<f32>,
    top: f32,
    /// Mean and maximum of each past hour, a ring of 14 days; the forecast for this hour and the next.
    hours: Vec<[f32; 2]>,
    hour_sum: f32,
    hour_max: f32,
    hourly: [[f32; 2]; 2],
    exact: Exact,
    /// The signals of the newest step.
    pub(super) now: [f32; SIGNALS],
}

impl Signals {
    /// Signals that have seen nothing. `lead` and `window` in steps.
    pub fn new(step: Step, lead: usize, window: usize) -> Signals {
        let day = step.per_day();
        let hour = step.cover(Duration::from_secs(3600));
        let reach = (DAYS * day + hour + window).max(Exact::reach(step));
        Signals {
            lead,
            window,
            day,
            hour,
            loads: Loads::new(reach),
            level: 0.0,
            season: vec![0.0; day],
            top: 0.0,
            hours: vec![[0.0; 2]; HOURLY_DAYS * 24],
            hour_sum: 0.0,
            hour_max: 0.0,
            hourly: [[0.0; 2]; 2],
            exact: Exact::new(step, lead),
            now: [0.0; SIGNALS],
        }
    }

    /// Bytes of what is kept.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.loads.bytes() + 4 * (self.season.len() + 2 * self.hours.len()) + self.exact.bytes()
    }

    /// The largest load of the last `steps` steps, rounded up to whole windows.
    fn recent(&self, steps: usize) -> f32 {
        self.loads.largest(0, steps.next_multiple_of(self.window))
    }

    /// The largest of the window ahead one, two, … `count` periods ago; periods too short for that are left out.
    fn phase(&self, period: usize, count: usize) -> f32 {
        let end = self.lead + self.window - 1;
        let windows = (1..=count).filter_map(|k| (k * period).checked_sub(end));
        windows.map(|ago| self.loads.largest(ago, self.window)).fold(0.0, f32::max)
    }

    /// Takes the load of the next step (`lasts`: it is of an ordinary time; of another, what was there a day before is remembered
    /// in its place) and the forecast made from it.
    pub fn advance(&mut self, load: f64, lasts: bool, ahead: Option<&WindowForecast>) {
        let load = load as f32;
        let usual = self.day.checked_sub(1).filter(|_| !lasts).and_then(|ago| self.loads.back(ago));
        let remembered = usual.unwrap_or(load);
        self.loads.push(remembered);
        let steps = self.loads.steps();
        self.top = self.top.max(remembered);
        self.advance_season(remembered);
        self.advance_hours(remembered);
        let half_hour = (self.hour / 2).max(1);
        let mut now = [0.0; SIGNALS];
        now[Signal::Load as usize] = load;
        if let Some(ahead) = ahead {
            for (k, value) in ahead.values.iter().enumerate().take(LEVELS.len()) {
                now[Signal::Quantile0 as usize + k] = *value as f32;
            }
        }
        now[Signal::Day1 as usize] = self.phase(self.day, 1);
        now[Signal::Day3 as usize] = self.phase(self.day, 3);
        now[Signal::Day7 as usize] = self.phase(self.day, 7);
        now[Signal::HoltWinters as usize] = self.holt_winters();
        let half_hour_up = half_hour.next_multiple_of(self.window);
        now[Signal::Week as usize] = self.loads.largest((7 * self.day + 1).saturating_sub(half_hour_up), half_hour_up);
        self.around(&mut now);
        let early = (self.hour / 12).max(self.lead);
        let next = usize::from(steps % self.hour + early >= self.hour);
        for (signal, kind) in [(Signal::HourlyMean, 0), (Signal::HourlyMax, 1)] {
            now[signal as usize] = self.hourly[0][kind].max(self.hourly[next][kind]);
        }
        for (signal, quarters) in [
            (Signal::Recent15, 1),
            (Signal::Recent30, 2),
            (Signal::Recent60, 4),
            (Signal::Recent120, 8),
            (Signal::Recent360, 24),
        ] {
            now[signal as usize] = self.recent((quarters * self.hour / 4).max(1));
        }
        // the day's maximum moves slowly: looked up anew every window
        now[Signal::Recent1440 as usize] = if steps.is_multiple_of(self.window) {
            self.recent(self.day)
        } else {
            self.now[Signal::Recent1440 as usize].max(load)
        };
        for (signal, period, count) in [
            (Signal::Hour3, self.hour, 3),
            (Signal::Hour8, self.hour, 8),
            (Signal::Hour24, self.hour, 24),
            (Signal::Half4, half_hour, 4),
            (Signal::Half16, half_hour, 16),
        ] {
            now[signal as usize] = self.phase(period, count);
        }
        self.exact(load, remembered, &mut now);
        self.now = now;
    }

    /// Largest load within half an hour of the window ahead, on the last days.
    fn around(&self, now: &mut [f32; SIGNALS]) {
        let reach = self.hour / 2;
        let mut largest = 0.0f32;
        for day in 1..=DAYS {
            let middle = (day * self.day).saturating_sub(self.lead + self.window - 1);
            let back = 2 * reach / self.window * self.window;
            let newest = (middle + reach).saturating_sub(back);
            largest = largest.max(self.loads.largest(newest, middle + reach + self.window - newest));
            for (signal, days) in [(Signal::Around1, 1), (Signal::Around3, 3), (Signal::Around7, 7)] {
                if day <= days {
                    now[signal as usize] = largest;
                }
            }
        }
    }

    /// What looks at single steps, and needs no hold: the least of a lead's decisions is ready, and each of them covers
    /// every step up to the lead.
    fn exact(&mut self, load: f32, remembered: f32, now: &mut [f32; SIGNALS]) {
        let steps = self.loads.steps();
        let seasonal = (steps > self.day).then(|| {
            let slot = |k: usize| self.level + self.season[(steps - 1 + k) % self.day];
            let largest = (1..=self.lead).map(slot).fold(f32::NEG_INFINITY, f32::max);
            [slot(self.lead), largest].map(|v| v.clamp(0.0, HW_CAP * self.top))
        });
        let [season, moved] = self.exact.advance(remembered, &self.loads, seasonal.map_or(0.0, |[last, _]| last));
        if let Some([_, largest]) = seasonal {
            for (signal, errors) in
                [(Signal::Exact, 0.0), (Signal::Exact2, 1.5), (Signal::Exact3, 3.0), (Signal::Exact5, 5.0)]
            {
                now[signal as usize] = largest + errors * season;
            }
        }
        for (signal, moves) in [(Signal::Steady2, 1.5), (Signal::Steady3, 3.0), (Signal::Steady5, 5.0)] {
            now[signal as usize] = load + moves * moved;
        }
        for (signal, days) in [(Signal::Ratio1, 1), (Signal::Ratio3, 3), (Signal::Ratio7, DAYS)] {
            now[signal as usize] = self.exact.ratio(days);
        }
    }

    fn advance_season(&mut self, load: f32) {
        let steps = self.loads.steps();
        let slot = (steps - 1) % self.day;
        if steps <= self.day {
            // the first day is the first season
            self.season[slot] = load;
            if steps == self.day {
                self.level = self.season.iter().sum::<f32>() / self.day as f32;
                for value in &mut self.season {
                    *value -= self.level;
                }
            }
            return;
        }
        self.level = HW_LEVEL * (load - self.season[slot]) + (1.0 - HW_LEVEL) * self.level;
        self.season[slot] = HW_SEASON * (load - self.level) + (1.0 - HW_SEASON) * self.season[slot];
    }

    fn holt_winters(&self) -> f32 {
        let steps = self.loads.steps();
        if steps <= self.day {
            return 0.0;
        }
        let slots = (self.lead..self.lead + self.window).map(|k| self.season[(steps - 1 + k) % self.day]);
        let largest = slots.fold(f32::NEG_INFINITY, f32::max);
        (self.level + largest).clamp(0.0, HW_CAP * self.top)
    }

    fn advance_hours(&mut self, load: f32) {
        self.hour_sum += load;
        self.hour_max = self.hour_max.max(load);
        let steps = self.loads.steps();
        if !steps.is_multiple_of(self.hour) {
            return;
        }
        let done = steps / self.hour - 1;
        let length = self.hours.len();
        self.hours[done % length] = [self.hour_sum / self.hour as f32, self.hour_max];
        (self.hour_sum, self.hour_max) = (0.0, 0.0);
        for next in 0..2 {
            self.hourly[next] = [0, 1].map(|kind| {
                let (mut sum, mut weights) = (0.0, 0.0);
                for day in 1..=HOURLY_DAYS {
                    let Some(hour) = (done + 1 + next).checked_sub(24 * day) else { break };
                    if hour > done {
                        continue;
                    }
                    let weight = if day % 7 == 0 { 2.0 } else { 1.0 } * 0.85f32.powi(day as i32 - 1);
                    sum += weight * self.hours[hour % length][kind];
                    weights += weight;
                }
                if weights > 0.0 { sum / weights } else { 0.0 }
            });
        }
    }
}
