//! Times that are like no other: a load test, a retry storm, a fake day.
//!
//! While such a time lasts nobody can tell it from a new truth, so it is learned from like any other. When it is over and
//! the load is what it was before, it was an exception: what was learned from it is to be forgotten. One that lasts, or
//! one that comes again within a week, is the truth.

use super::Sample;
use crate::units::{Brief, Step};
use std::time::Duration;

/// Above this multiple of the largest load around this time of day on any day of the week before, load is odd.
const FACTOR: f32 = 3.0;
/// Days behind "like no other". Before so many are known nothing is odd.
const DAYS: usize = 7;
/// Loads of a time of day are compared by half hours.
const BUCKET: Duration = Duration::from_secs(30 * 60);
/// What is over sooner was a burst: that is a lesson.
const LEAST: Duration = Duration::from_secs(3600);
/// It is over when the load has been ordinary for so long.
const QUIET: Duration = Duration::from_secs(30 * 60);
/// What lasts for so long is the truth.
const LASTING: Duration = Duration::from_secs(36 * 3600);

/// What the load of a step makes of the time it is in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Turn {
    /// An ordinary time, also in hindsight: what was learned is worth keeping.
    Ordinary,
    /// A time that may turn out to be an exception. The sample is what this step would have been in an ordinary time.
    Odd(Sample),
    /// The exception is over: what was learned since it began is to be forgotten.
    Over,
}

/// Looks out for odd times in one series.
#[derive(Debug, Clone)]
pub struct OddTimes {
    day: usize,
    bucket: usize,
    least: usize,
    quiet: usize,
    lasting: usize,
    /// The last ordinary load of each step of the day.
    usual: Vec<Brief>,
    /// The largest ordinary load of each half hour of the last week, a ring.
    highs: Vec<f32>,
    /// The largest of the half hour under way, and of the week.
    high: Option<f32>,
    peak: f32,
    steps: usize,
    /// When the odd time under way began, and for how many steps it has been quiet since.
    odd: Option<(usize, usize)>,
    /// When the last one was over.
    over: Option<usize>,
}

impl OddTimes {
    /// Nothing seen.
    pub fn new(step: Step) -> OddTimes {
        let (day, bucket) = (step.per_day().max(1), step.cover(BUCKET).max(1));
        OddTimes {
            day,
            bucket,
            least: step.cover(LEAST),
            quiet: step.cover(QUIET),
            lasting: step.cover(LASTING),
            usual: vec![Brief::default(); day],
            highs: vec![0.0; DAYS * day.div_ceil(bucket)],
            high: None,
            peak: 0.0,
            steps: 0,
            odd: None,
            over: None,
        }
    }

    /// True where a load that has collapsed is only back at what was usual before an odd time.
    pub fn is_back(&self, load: f64, share: f64) -> bool {
        self.odd.is_some() && load >= share * f64::from(self.usual_now())
    }

    /// The last ordinary load at the next step's time of day.
    fn usual_now(&self) -> f32 {
        self.usual.get(self.steps % self.day).map_or(0.0, |usual| usual.get())
    }

    /// Takes the sample of the next step.
    pub fn advance(&mut self, sample: Sample) -> Turn {
        let load = sample.measured().map(|load| load as f32);
        let odd = load.is_some_and(|load| self.is_odd(load));
        let turn = self.turn(sample, odd);
        if let Some(load) = load.filter(|_| !matches!(turn, Turn::Odd(Sample::Event(_)))) {
            if let Some(usual) = self.usual.get_mut(self.steps % self.day) {
                *usual = Brief::new(load);
            }
            self.high = Some(self.high.map_or(load, |high| high.max(load)));
        }
        self.steps += 1;
        if self.steps.is_multiple_of(self.bucket) {
            self.close();
        }
        turn
    }

    fn turn(&mut self, sample: Sample, odd: bool) -> Turn {
        let usual = f64::from(self.usual_now());
        let instead = if odd { Sample::Event(usual) } else { sample };
        let Some((since, quiet)) = self.odd else {
            let again = self.over.is_some_and(|over| self.steps - over < DAYS * self.day);
            if !odd || again {
                return Turn::Ordinary;
            }
            self.odd = Some((self.steps, 0));
            return Turn::Odd(instead);
        };
        let quiet = if odd { 0 } else { quiet + 1 };
        self.odd = Some((since, quiet));
        let lasted = self.steps - since;
        if lasted >= self.lasting {
            (self.odd, self.over) = (None, Some(self.steps));
            return Turn::Ordinary;
        }
        if quiet < self.quiet {
            return Turn::Odd(instead);
        }
        self.odd = None;
        if lasted < self.least + quiet {
            return Turn::Ordinary;
        }
        self.over = Some(self.steps);
        Turn::Over
    }

    /// More than the whole week had, and far more than this time of day had on any day of it.
    fn is_odd(&self, load: f32) -> bool {
        let per_day = self.highs.len() / DAYS;
        if self.steps < DAYS * self.day || load <= self.peak.max(self.high.unwrap_or(0.0)) && self.odd.is_none() {
            return false;
        }
        let now = self.steps / self.bucket;
        let around = (1..=DAYS).flat_map(|day| [1, 0, -1].map(|off: isize| (day * per_day).saturating_add_signed(off)));
        let high = around.filter_map(|ago| self.ended(now, ago)).fold(0.0, f32::max);
        high > 0.0 && load > FACTOR * high
    }

    /// The largest load of the half hour that is `ago` before the one numbered `now`.
    fn ended(&self, now: usize, ago: usize) -> Option<f32> {
        let length = self.highs.len();
        let slot = (1..=length.min(now)).contains(&ago).then(|| (now - ago) % length)?;
        self.highs.get(slot).copied()
    }

    /// A half hour is over. One without an ordinary load had what yesterday's had.
    fn close(&mut self) {
        let now = self.steps / self.bucket - 1;
        let high = self.high.take().or_else(|| self.ended(now, self.highs.len() / DAYS)).unwrap_or(0.0);
        let slot = now % self.highs.len();
        if let Some(kept) = self.highs.get_mut(slot) {
            *kept = high;
        }
        self.peak = self.highs.iter().copied().fold(0.0, f32::max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A day of 24 steps: an hour each, from 100 at midnight to 400 at noon.
    fn usual(hour: usize) -> f64 {
        100.0 + 25.0 * (12.0 - ((hour % 24) as f64 - 12.0).abs())
    }

    fn turns(hours: usize, load: impl Fn(usize) -> f64) -> Vec<Turn> {
        let mut odd = OddTimes::new(Step::from_secs(3600).unwrap());
        (0..hours).map(|hour| odd.advance(Sample::Valid(load(hour)))).collect()
    }

    fn fake(hour: usize, days: &[usize]) -> f64 {
        if days.contains(&(hour / 24)) { 10.0 * usual(hour) } else { usual(hour) }
    }

    #[test]
    fn a_fake_day_is_odd_and_forgotten_when_it_is_over() {
        let turns = turns(10 * 24, |hour| fake(hour, &[7]));
        let first = 7 * 24;
        assert!(turns[..first].iter().all(|t| *t == Turn::Ordinary));
        for (hour, turn) in turns.iter().enumerate().skip(first).take(24) {
            assert_eq!(*turn, Turn::Odd(Sample::Event(usual(hour))), "hour {hour}: what the day before had");
        }
        assert_eq!(turns[first + 24], Turn::Over, "one quiet step of an hour");
        assert!(turns[first + 25..].iter().all(|t| *t == Turn::Ordinary));
    }

    #[test]
    fn what_comes_again_within_a_week_or_lasts_is_the_truth() {
        let again = turns(12 * 24, |hour| fake(hour, &[7, 9]));
        assert!(again[9 * 24..].iter().all(|t| *t == Turn::Ordinary));
        let lasts = turns(12 * 24, |hour| fake(hour, &[7, 8, 9, 10, 11]));
        let odd = lasts.iter().filter(|t| matches!(t, Turn::Odd(_))).count();
        assert_eq!(odd, 36);
        assert!(!lasts.iter().any(|t| matches!(t, Turn::Over)), "never forgotten");
    }

    #[test]
    fn growth_and_bursts_are_lessons() {
        let grows = turns(9 * 24, |hour| if hour >= 7 * 24 { 2.5 * usual(hour) } else { usual(hour) });
        assert!(grows.iter().all(|t| *t == Turn::Ordinary), "not three times what was");
        let burst = turns(9 * 24, |hour| if hour == 7 * 24 + 12 { 9.0 * usual(hour) } else { usual(hour) });
        assert_eq!(burst[7 * 24 + 12], Turn::Odd(Sample::Event(400.0)));
        assert_eq!(burst[7 * 24 + 13], Turn::Ordinary, "it took an hour and no longer");
        let young = turns(7 * 24, |hour| fake(hour, &[5]));
        assert!(young.iter().all(|t| *t == Turn::Ordinary), "a week is not known yet");
    }

    #[test]
    fn what_falls_back_to_usual_has_not_collapsed() {
        let mut odd = OddTimes::new(Step::from_secs(3600).unwrap());
        (0..8 * 24).for_each(|hour| {
            odd.advance(Sample::Valid(fake(hour, &[7])));
        });
        assert!(odd.is_back(100.0, 0.2) && !odd.is_back(10.0, 0.2));
        odd.advance(Sample::Valid(100.0));
        assert!(!odd.is_back(100.0, 0.2), "it is over");
    }
}
