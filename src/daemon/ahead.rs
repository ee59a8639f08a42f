//! What a workload is expected to want over the next hours: from the day ahead, its schedules and its last plan.

use super::tended::Tended;
use crate::config::Config;
use crate::demand::Serving;
use crate::forecast::{SLOT, day_ahead, quarters};
use crate::plan::guard::{Expected, Ramp, SETTLE, Span, ramps};
use crate::plan::nodes::Placement;
use crate::policy::{Policy, Workload, schedule};
use crate::series::{Calendar, Evidence, Quality, Sample, Series};
use crate::units::{MAX_REPLICAS, Replicas, Step, Time};
use std::time::Duration;

/// How far is looked ahead, slots of a quarter of an hour: six hours.
const SLOTS_AHEAD: usize = 24;
/// The day ahead is forecast anew after this time.
const RENEW: Duration = Duration::from_secs(15 * 60);
/// The level of the day's forecast that nodes are kept for.
const LEVEL: f64 = 0.9;
/// The grid of the tops that the day is forecast from.
const QUARTER: Step = Step::QUARTER;
/// Quarters of an hour of two weeks.
const QUARTERS: usize = 14 * 96;
/// The least rise that is one: replicas, and a tenth of what is there.
const LEAST: Replicas = 2;

/// One workload's ramps.
#[derive(Debug, Clone, PartialEq)]
pub struct RampsAhead {
    /// Which one.
    pub workload: Workload,
    /// What its pods ask of nodes.
    pub placement: Placement,
    /// Its decisions are written to the cluster.
    pub acts: bool,
    /// From its decision to serving.
    pub lead: Duration,
    /// Ramps of the hours ahead, soonest first, in terms of load.
    pub ramps: Vec<Ramp>,
}

/// The largest load of each quarter of an hour of one metric, for two weeks.
#[derive(Debug)]
struct Tops {
    /// Which samples are to be believed.
    quality: Quality,
    step: Step,
    /// Closed quarters.
    series: Series,
    /// The open one: its number since 1970, and its largest believed load.
    open: Option<(i64, Option<f64>)>,
}

impl Tops {
    fn new(step: Step, policy: &Policy) -> Tops {
        Tops {
            quality: Quality::new(step, &policy.time_zone).with(&policy.occasions),
            step,
            series: Series::new(Time::from_millis(0), QUARTER, QUARTERS),
            open: None,
        }
    }

    fn take(&mut self, at: Time, sample: Sample) {
        let judged = match sample.valid() {
            Some(load) => self.quality.judge(at, Some(load), Evidence::default()).0,
            None => sample,
        };
        let (first, last) = quarters(at, self.step);
        (first..=last).for_each(|number| self.believe(number, judged));
    }

    fn believe(&mut self, number: i64, sample: Sample) {
        match &mut self.open {
            Some((open, top)) if *open == number => {
                *top = [*top, sample.valid()].into_iter().flatten().reduce(f64::max)
            }
            Some((open, top)) if *open < number => {
                if self.series.is_empty() {
                    let first = Time::from_secs(*open * i64::from(QUARTER.secs()));
                    self.series = Series::new(first, QUARTER, QUARTERS);
                }
                self.series.push(top.map_or(Sample::Missing, Sample::Valid));
                let skipped = usize::try_from(number - *open - 1).unwrap_or(0).min(QUARTERS);
                (0..skipped).for_each(|_| self.series.push(Sample::Missing));
                self.open = Some((number, sample.valid()));
            }
            Some(_) => {}
            None => self.open = Some((number, sample.valid())),
        }
    }
}

/// The day ahead, kept until it is old.
#[derive(Debug, Default)]
pub struct Days {
    made: Option<Time>,
    /// Of each metric.
    tops: Vec<Tops>,
    /// What each metric asks for in each slot of the day ahead, which begins at that time.
    slots: Vec<(Time, Replicas)>,
    /// What was seen ahead at the last look.
    ramps: Vec<Ramp>,
}

impl Days {
    /// From what each metric has learned from.
    pub fn of<'a>(histories: impl Iterator<Item = &'a Series>, policy: &Policy) -> Days {
        let tops = histories.map(|history| {
            let mut tops = Tops::new(history.step(), policy);
            history.iter().for_each(|(at, sample)| tops.take(at, sample));
            tops
        });
        Days { made: None, tops: tops.collect(), slots: Vec::new(), ramps: Vec::new() }
    }

    /// Takes new samples of a metric, `step` apart.
    pub fn take(&mut self, metric: usize, from: Time, step: Step, samples: &[Sample]) {
        let Some(tops) = self.tops.get_mut(metric) else { return };
        for (i, sample) in samples.iter().enumerate() {
            tops.take(from + step.times(i), *sample);
        }
    }

    fn renew(&mut self, now: Time, policy: &Policy) {
        if self.made.is_some_and(|at| now.since(at) < RENEW) {
            return;
        }
        self.made = Some(now);
        let servings = policy.metrics.iter().map(|metric| Serving::new(metric.capacity_per_replica, policy.slots));
        self.look(&Calendar::new(&policy.time_zone, QUARTER).with(&policy.occasions), servings);
    }

    fn look(&mut self, calendar: &Calendar, servings: impl Iterator<Item = Option<Serving>>) {
        let asked = self.tops.iter().zip(servings).filter_map(|(tops, serving)| {
            // a capacity that is still to be learned says nothing
            let (serving, day) = (serving?, day_ahead(&tops.series, calendar)?);
            Some(day.slots.into_iter().map(move |slot| (slot.from, serving.replicas(slot.at(LEVEL)))))
        });
        self.slots = asked.flatten().collect();
    }

    /// Ramps that were seen ahead and have begun last until they have settled, though what is ahead now begins behind them.
    fn under_way(&mut self, mut ahead: Vec<Ramp>, now: Time) -> Vec<Ramp> {
        let begun = std::mem::take(&mut self.ramps).into_iter().filter(|r| r.span.holds(now));
        let begun: Vec<Ramp> = begun.filter(|r| ahead.iter().all(|a| a.span.from > r.span.from)).collect();
        ahead.extend(begun);
        self.ramps.clone_from(&ahead);
        ahead
    }

    /// Replicas at the top of the day ahead. None: no day is forecast.
    pub fn peak(&self) -> Option<Replicas> {
        self.slots.iter().map(|(_, replicas)| *replicas).max()
    }

    /// Replicas that the forecast asks for in the slot that begins at `from`. None: it says nothing of it.
    fn replicas(&self, from: Time) -> Option<Replicas> {
        self.slots.iter().filter(|(begin, _)| *begin == from).map(|(_, replicas)| *replicas).max()
    }
}

/// Looks ahead. None: there is no policy to look with.
pub fn ramps_ahead(tended: &mut Tended, config: &Config, now: Time) -> Option<RampsAhead> {
    let policy = tended.policy.clone()?;
    tended.days.renew(now, &policy);
    let lead = policy.lead_time.0;
    let expected = expected(&policy, &tended.days, now);
    let mut ramps = tended.days.under_way(ramps(&expected, SLOT), now);
    ramps.extend(rising(tended, now, lead));
    ramps.sort_by_key(|r| r.span);
    let workload = tended.sight.workload().clone();
    Some(RampsAhead { workload, placement: tended.sight.placement.clone(), acts: tended.acts(config), lead, ramps })
}

fn expected(policy: &Policy, days: &Days, now: Time) -> Vec<Expected> {
    let slot = SLOT.as_secs().cast_signed();
    let first = now.secs().div_euclid(slot);
    let at = |i: usize| {
        let from = Time::from_secs((first + i as i64) * slot);
        let forecast = days.replicas(from);
        let within = SLOT.saturating_sub(Duration::from_secs(1));
        let asked = schedule::floor(&policy.schedules, from, within);
        let times = schedule::times(&policy.schedules, from, within).unwrap_or(1.0);
        let forecast = forecast.map(|n| (f64::from(n) * times).ceil() as Replicas);
        let most = policy.max_replicas.min(MAX_REPLICAS);
        let replicas = forecast.max(asked).unwrap_or(0).clamp(policy.min_replicas.min(most), most);
        Expected { from, replicas }
    };
    (0..=SLOTS_AHEAD).map(at).collect()
}

/// The last plan wants clearly more than is there: a ramp that is under way.
fn rising(tended: &Tended, now: Time, lead: Duration) -> Option<Ramp> {
    let (low, high) = (tended.sight.observation.ready, tended.decision.as_ref()?.plan.replicas);
    let rise = high.checked_sub(low)?;
    let clear = rise >= LEAST && f64::from(rise) >= 0.1 * f64::from(low);
    clear.then_some(Ramp { span: Span { from: now, to: now + lead + SETTLE }, low, high })
}

impl RampsAhead {
    /// When nodes are wanted for its ramps: from `before` ahead of the decision until the ramp has settled.
    pub fn spans(&self, before: Duration) -> impl Iterator<Item = Span> {
        let ahead = self.lead + before;
        self.ramps.iter().map(move |ramp| Span { from: ramp.span.from - ahead, to: ramp.span.to })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::guard::ramps;

    /// A day with 40 at night and 400 from eight to six, a sample a minute.
    fn load(minute: i64) -> f64 {
        if (8 * 60..18 * 60).contains(&minute.rem_euclid(1440)) { 400.0 } else { 40.0 }
    }

    fn policy(occasions: &str) -> Policy {
        Policy {
            mode: crate::config::Mode::Act,
            metrics: Vec::new(),
            min_replicas: 1,
            max_replicas: 100,
            lead_time: crate::units::LeadTime(Duration::from_secs(180)),
            unserved_budget: 0.001,
            miss_cost: None,
            time_zone: "UTC".into(),
            schedules: Vec::new(),
            occasions: crate::occasion::parse(occasions, None).unwrap(),
            hold: None,
            pods_per_second: None,
            slots: None,
        }
    }

    #[test]
    fn at_steps_of_an_hour_what_is_declared_and_what_is_not_believed_teaches_nothing() {
        // ten days; on the last one 4,000 in a declared load test at noon, and an outage at three
        let load = |hour: i64| match hour {
            228 => 4000.0,
            231 | 232 => 0.0,
            _ => load(60 * hour),
        };
        let hour = Step::from_secs(3600).unwrap();
        let samples: Vec<Sample> = (0..240).map(|h| Sample::Valid(load(h))).collect();
        let history = Series::of(Time::from_secs(0), hour, samples);
        let policy = policy("1970-01-10T12:00/1970-01-10T13:00 exclude; 1970-01-11T09:00/1970-01-11T10:00 x2");
        let mut days = Days::of([&history].into_iter(), &policy);
        days.take(0, history.next_at(), hour, &[Sample::Valid(40.0)]);
        days.look(&Calendar::new("UTC", QUARTER).with(&policy.occasions), [Serving::new(10.0, None)].into_iter());
        let at = |quarter: i64| days.replicas(history.next_at() + QUARTER.times(quarter as usize));
        for (quarter, replicas) in
            [(4, 4), (27, 4), (32, 40), (36, 80), (39, 80), (40, 40), (48, 40), (60, 40), (72, 4)]
        {
            assert_eq!(at(quarter), Some(replicas), "quarter {quarter} of the day");
        }
    }

    #[test]
    fn the_morning_is_seen_from_before_it() {
        let samples: Vec<Sample> = (0..10 * 1440).map(|m| Sample::Valid(load(m))).collect();
        let history = Series::of(Time::from_secs(0), Step::MINUTE, samples);
        let mut days = Days::of([&history].into_iter(), &policy("1980-01-01 holiday"));
        let from = history.next_at();
        let night: Vec<Sample> = (0..5 * 60).map(|m| Sample::Valid(load(m))).collect();
        days.take(0, from, Step::MINUTE, &night);
        let now = from + Duration::from_secs(5 * 3600);
        days.look(&Calendar::new("UTC", QUARTER), [Serving::new(10.0, None)].into_iter());
        let at = |i: i64| Time::from_secs(now.secs() + 900 * i);
        assert!(days.peak().is_some_and(|peak| (38..60).contains(&peak)), "{:?}", days.peak());
        let expected: Vec<Expected> =
            (0..24).map(|i| Expected { from: at(i), replicas: days.replicas(at(i)).unwrap() }).collect();
        let found = ramps(&expected, SLOT);
        assert_eq!(found.len(), 1, "{expected:?}");
        assert_eq!(found[0].span.from, from + Duration::from_secs(8 * 3600));
        assert!(found[0].low <= 6 && found[0].high >= 38, "{found:?}");
        // from a look at which it has begun, nothing of it lies ahead any more
        let span = found[0].span;
        assert_eq!(days.under_way(found.clone(), span.from - Duration::from_secs(60)), found);
        let begun = span.from + Duration::from_secs(60);
        assert_eq!(days.under_way(Vec::new(), begun), found);
        assert_eq!(days.under_way(Vec::new(), begun), found, "as long as it lasts");
        assert_eq!(days.under_way(Vec::new(), span.to), []);
    }
}
