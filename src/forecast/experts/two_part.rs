//! Intermittent load: is there any, and if so, how much.
//!
//! P(active in the window | time of day, time since the last activity) times a quantile of the size of active windows.
//! The histogram of idle times is that of Shahrad et al., "Serverless in the wild" (USENIX ATC 2020); a mean demand rate
//! (Croston) is the wrong target for a quantile. Gives its own quantiles and needs no residuals; sleeps unless at least
//! three in ten minutes of the last days were idle.
#![allow(
    clippy::indexing_slicing,
    reason = "buckets and bins are clamped to their fixed lengths, a ring is indexed modulo its own"
)]

use crate::forecast::LEVELS;

const Q: usize = LEVELS.len();
/// Buckets of the time since the last activity: powers of two of a minute.
const SINCE: usize = 14;
/// Buckets of the local day.
const HOURS: usize = 24;
/// Bins of sizes: four an octave, from 2^-8 to 2^8 times the first size.
const BINS: usize = 64;
/// Weight of what holds at all times, in windows, when a bucket is asked.
const SHRINK: f32 = 20.0;
/// Share of idle steps from which on a workload is intermittent.
const IDLE: f32 = 0.3;

/// How idle a workload is now.
#[derive(Debug, Clone, Copy)]
pub struct Idle {
    since: u8,
    hour: u8,
}

/// Follows the idleness of one workload, step by step.
#[derive(Debug, Clone)]
pub struct Rest {
    share: f32,
    since: u32,
    rate: f32,
    seen: f32,
    secs: u32,
}

impl Rest {
    /// Nothing seen; `per_day` steps a day, 3 days of memory.
    pub fn new(per_day: usize, secs: u32) -> Self {
        let rate = 1.0 - 0.5f32.powf(1.0 / (3.0 * per_day.max(1) as f32));
        Rest { share: 0.0, since: 0, rate, seen: 0.0, secs }
    }

    /// The next Valid step.
    pub fn learn(&mut self, load: f64) {
        let idle = load <= 0.0;
        self.seen += 1.0;
        self.share += self.rate.max(1.0 / self.seen) * (f32::from(u8::from(idle)) - self.share);
        self.since = if idle { self.since.saturating_add(1) } else { 0 };
    }

    /// None: the workload is not intermittent. `day`: share of the local day of the target, 0..1.
    pub fn idle(&self, day: f32) -> Option<Idle> {
        let minutes = u64::from(self.since) * u64::from(self.secs) / 60;
        let since = (u64::BITS - minutes.leading_zeros()).min(SINCE as u32 - 1);
        let hour = ((day * HOURS as f32) as u8).min(HOURS as u8 - 1);
        (self.share > IDLE && self.share < 1.0).then_some(Idle { since: since as u8, hour })
    }
}

/// Outcomes that forget: active ones and all.
type Counts = [f32; 2];

/// The model of one horizon.
#[derive(Debug, Clone)]
pub struct TwoPart {
    all: Counts,
    since: [Counts; SINCE],
    hours: [Counts; HOURS],
    sizes: [f32; BINS],
    anchor: f32,
    keep: f32,
    /// What was known at the origins whose windows have not elapsed, `pending` of them. Empty: nothing ever was.
    said: Vec<Option<(usize, Idle)>>,
    pending: usize,
}

impl TwoPart {
    /// Nothing learned; `pending` origins wait for their outcome at most, half of the weight is forgotten in `half_life`.
    pub fn new(half_life: f64, pending: usize) -> Self {
        let keep = 0.5f64.powf(1.0 / half_life.max(1.0)) as f32;
        TwoPart {
            all: [0.0; 2],
            since: [[0.0; 2]; SINCE],
            hours: [[0.0; 2]; HOURS],
            sizes: [0.0; BINS],
            anchor: 0.0,
            keep,
            said: Vec::new(),
            pending: pending.max(1),
        }
    }

    /// Loads at [`LEVELS`] for the window from step `origin`. None: it sleeps.
    pub fn say(&mut self, origin: usize, idle: Option<Idle>) -> Option<[f32; Q]> {
        if idle.is_some() && self.said.is_empty() {
            self.said = vec![None; self.pending];
        }
        if let Some(said) = self.said.get_mut(origin % self.pending) {
            *said = idle.map(|idle| (origin, idle));
        }
        let active = self.probability(idle?)?;
        Some(LEVELS.map(|level| {
            let rest = 1.0 - level as f32;
            if rest >= active { 0.0 } else { self.size(1.0 - rest / active) }
        }))
    }

    /// P(active), from odds: those of the time since times those of the hour, over those of all times.
    fn probability(&self, idle: Idle) -> Option<f32> {
        if self.all[1] < SHRINK {
            return None;
        }
        let share = |c: Counts, to: f32| ((c[0] + SHRINK * to) / (c[1] + SHRINK)).clamp(1e-4, 1.0 - 1e-4);
        let odds = |p: f32| p / (1.0 - p);
        let all = share(self.all, self.all[0] / self.all[1]);
        let (since, hour) = (self.since[usize::from(idle.since)], self.hours[usize::from(idle.hour)]);
        let joint = odds(share(since, all)) * odds(share(hour, all)) / odds(all);
        Some(joint / (1.0 + joint))
    }

    /// Quantile of the size of active windows.
    fn size(&self, level: f32) -> f32 {
        let total: f32 = self.sizes.iter().sum();
        let mut below = 0.0;
        for (i, bin) in self.sizes.iter().enumerate() {
            if below + bin >= level * total && *bin > 0.0 {
                let share = ((level * total - below) / bin).clamp(0.0, 1.0);
                return self.anchor * 2f32.powf((i as f32 + share) / 4.0 - 8.0);
            }
            below += bin;
        }
        0.0
    }

    /// The window from step `origin` had `load` as its largest.
    pub fn learn(&mut self, origin: usize, load: f32) {
        let said = self.said.get_mut(origin % self.pending).and_then(Option::take);
        let Some((_, idle)) = said.filter(|s| s.0 == origin) else { return };
        let active = f32::from(u8::from(load > 0.0));
        let keep = self.keep;
        for counts in [&mut self.all, &mut self.since[usize::from(idle.since)], &mut self.hours[usize::from(idle.hour)]]
        {
            *counts = [counts[0] * keep + active, counts[1] * keep + 1.0];
        }
        if active > 0.0 {
            if self.anchor <= 0.0 {
                self.anchor = load;
            }
            let bin = ((load / self.anchor).log2() + 8.0) * 4.0;
            self.sizes.iter_mut().for_each(|bin| *bin *= keep);
            self.sizes[(bin.max(0.0) as usize).min(BINS - 1)] += 1.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idle(since: u8, hour: u8) -> Option<Idle> {
        Some(Idle { since, hour })
    }

    #[test]
    fn probability_and_size_by_hand() {
        let mut model = TwoPart::new(f64::INFINITY, 4);
        // 100 windows, every fourth active with load 8: always in the same buckets
        for i in 0..100 {
            assert!(i < 20 || model.say(i, idle(3, 7)).is_some());
            model.say(i, idle(3, 7));
            model.learn(i, if i % 4 == 0 { 8.0 } else { 0.0 });
        }
        // shares of 25 % everywhere: odds 1/3 x 1/3 / (1/3)
        assert!((model.probability(Idle { since: 3, hour: 7 }).unwrap() - 0.25).abs() < 1e-4);
        // an hour never seen: what holds at all times
        assert!((model.probability(Idle { since: 3, hour: 9 }).unwrap() - 0.25).abs() < 1e-4);
        let said = model.say(100, idle(3, 7)).unwrap();
        assert_eq!(&said[..2], &[0.0, 0.0], "half and seven tenths of the windows are idle");
        // level 0.9: 1 - 0.1 / 0.25 = 0.6 of the one bin of a quarter octave from 8 on
        assert!((said[3] - 8.0 * 2f32.powf(0.6 / 4.0)).abs() < 0.01, "{said:?}");
    }

    #[test]
    fn only_what_rests_often_is_intermittent() {
        let mut rest = Rest::new(1440, 60);
        (0..100).for_each(|i| rest.learn(f64::from(u8::from(i % 5 != 0))));
        assert!(rest.idle(0.5).is_none(), "a fifth of idle minutes is not enough");
        (0..200).for_each(|_| rest.learn(0.0));
        let now = rest.idle(0.5).unwrap();
        assert_eq!((now.since, now.hour), (8, 12), "200 minutes: from 128 to 255");
        (0..100_000).for_each(|_| rest.learn(0.0));
        assert!(rest.idle(0.5).is_none_or(|i| usize::from(i.since) < SINCE));
    }

    #[test]
    fn an_outcome_of_another_origin_teaches_nothing() {
        let mut model = TwoPart::new(100.0, 4);
        model.say(1, idle(0, 0));
        model.learn(5, 3.0);
        assert_eq!(model.all, [0.0; 2]);
        assert_eq!(model.say(9, None), None);
    }
}
