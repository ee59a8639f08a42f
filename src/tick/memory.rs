//! What a workload's ticks remember.

use crate::demand::{Demand, Serving, demand};
use crate::forecast::{Done, Fitted, Homework, QuantileForecast, Task, Trust, WindowForecast, fit};
use crate::plan::{
    Aftermath, COLLAPSE, Gain, GainCheck, Observation, PlanMemory, PlanTask, Planner, Proposal, Standing, believed,
    creation, looked_at, ramp, usual_high, usual_low, usual_most,
};
use crate::policy::Policy;
use crate::series::{Evidence, OddTimes, Quality, Sample, Series, Turn};
use crate::units::{Replicas, Step, Time};
use std::collections::VecDeque;
use std::time::Duration;

use super::{COMMITMENT, MetricInputs, SourceState};

/// Steps of lead at most, whatever the policy says.
const MAX_LEAD: usize = 1440;
/// A source that is silent for more steps than this leaves nothing usual behind.
const LATER_MAX: usize = 100_000;
/// A sample older than this many steps says nothing of now.
const STALE_STEPS: usize = 3;
/// A miss lasts so long: no scale-in.
const SURGE: Duration = Duration::from_secs(30 * 60);
/// Misses in a row that begin a surge.
const SURGE_MISSES: usize = 2;
/// Steps up to this long show whether load follows its replicas.
const GAIN_STEP: Duration = Duration::from_secs(60);
/// Replicas that have been broken for so long are what there is: their load is believed.
const SICK: Duration = Duration::from_secs(2 * 3600);
/// More load that people have declared is covered at this level: 0.99.
const DECLARED: usize = 6;
/// A surge is extrapolated to this multiple of the load at most.
pub(super) const SURGE_CAP: f64 = 2.0;

/// What one metric has taught so far.
#[derive(Debug, Clone)]
pub struct MetricMemory {
    /// The newest samples: a day and what is looked at around it. What they taught is kept for longer.
    series: Series,
    /// Steps taken so far, and the newest that was measured.
    taken: usize,
    newest: Option<(Time, f64)>,
    lessons: Lessons,
    odd: OddTimes,
    /// What would be known if the odd time under way had been an ordinary one. None: the time is ordinary.
    aside: Option<Box<Lessons>>,
    lead: usize,
    /// None: never known, so nothing can be said in replicas.
    serving: Option<Serving>,
    /// Work slots of a replica, where headroom follows square-root staffing.
    slots: Option<f64>,
    latest: Option<Latest>,
    surge: Surge,
    gain: (GainCheck, Gain),
    aftermath: Aftermath,
    /// Steps in a row in which many replicas were broken.
    sick: usize,
}

/// All that is learned from samples.
#[derive(Debug, Clone)]
struct Lessons {
    /// What may teach the forecaster; what reacts to the load of now sees all that is believed.
    quality: Quality,
    forecaster: Fitted,
    planner: Planner,
}

impl Lessons {
    /// Observes, predicts, proposes. No capacity: nothing can be said in replicas.
    fn advance(
        &mut self,
        at: Time,
        sample: Sample,
        evidence: Evidence,
        lead: usize,
        serving: Option<Serving>,
    ) -> Latest {
        let lesson = match sample.valid() {
            Some(load) => self.quality.judge(at, Some(load), evidence).0,
            None => sample,
        };
        // what is no lesson still has to be planned for, but no candidate is judged by it
        let sample = match lesson {
            Sample::Valid(_) => sample,
            _ => sample.valid().map_or(sample, Sample::Censored),
        };
        self.forecaster.observe(at, lesson);
        let forecast = self.forecaster.predict();
        let window = forecast.window(lead).filter(|_| forecast.abstains.is_none());
        let Some(serving) = serving else {
            let proposal = Proposal { replicas: 0, reactive: None };
            return Latest { forecast, demand: None, proposal };
        };
        let demand = window.map(|w| demand(w, serving));
        let mut proposal = match serving.slots {
            None => self.planner.advance(at, sample, window, serving.capacity),
            Some(_) => {
                let window = window.map(|w| WindowForecast { values: w.values.map(|v| serving.staffed(v)), ..*w });
                self.planner.advance(at, sample.map(|v| serving.staffed(v)), window.as_ref(), serving.capacity)
            }
        };
        if self.forecaster.declared(lead) > 1.0
            && let Some(declared) = forecast.window(lead)
        {
            // people know more than any candidate, and than a forecast that is not trusted by itself
            let need = crate::demand::demand(declared, serving).replicas[DECLARED];
            proposal.replicas = proposal.replicas.max(need);
        }
        Latest { demand, proposal, forecast }
    }
}

/// The newest step's results.
#[derive(Debug, Clone)]
pub(super) struct Latest {
    pub(super) forecast: QuantileForecast,
    pub(super) demand: Option<Demand>,
    pub(super) proposal: Proposal,
}

/// Load above everything that was thought possible, and above what we were ready for.
#[derive(Debug, Clone, Default)]
struct Surge {
    /// Of the last `lead` steps: upper quantile of the load, and replicas proposed.
    expected: VecDeque<(f64, Replicas)>,
    misses: usize,
    previous: Option<f64>,
    until: Option<Time>,
    load: f64,
}

impl Surge {
    fn advance(&mut self, at: Time, sample: Sample, serving: Serving, lead: usize) {
        if let Some(load) = sample.measured() {
            let expected = if self.expected.len() >= lead { self.expected.front() } else { None };
            let missed = expected.is_some_and(|(upper, ready)| load > *upper && serving.replicas(load) > *ready);
            self.misses = if missed { self.misses + 1 } else { 0 };
            let slope = self.previous.map_or(0.0, |p| (load - p).max(0.0));
            self.load = (load + slope * lead as f64).min(SURGE_CAP * load);
            self.previous = Some(load);
            if self.misses >= SURGE_MISSES {
                self.until = Some(at + SURGE);
            }
        }
        if self.until.is_some_and(|until| until <= at) {
            self.until = None;
        }
    }

    fn expect(&mut self, upper: f64, ready: Replicas, lead: usize) {
        self.expected.push_back((upper, ready));
        while self.expected.len() > lead {
            self.expected.pop_front();
        }
    }
}

impl MetricMemory {
    /// Learns from a history, off the tick: the very steps that live ticks would have taken.
    pub fn learn(history: &Series, policy: &Policy, capacity: f64) -> MetricMemory {
        let step = history.step();
        let lead = step.cover(policy.lead_time.0).min(MAX_LEAD);
        let window = step.cover(COMMITMENT);
        let task = Task {
            step,
            horizons: horizons(step, lead, policy),
            window,
            time_zone: policy.time_zone.clone(),
            occasions: policy.occasions.clone(),
        };
        let plan_task = PlanTask {
            step,
            lead,
            window,
            unserved_budget: policy.unserved_budget,
            miss_cost: policy.miss_cost,
            min_replicas: policy.min_replicas,
            max_replicas: policy.max_replicas,
        };
        let mut memory = MetricMemory {
            series: Series::new(history.at(0), step, looked_at(step)),
            taken: 0,
            newest: None,
            lessons: Lessons {
                quality: Quality::new(step, &policy.time_zone).with(&policy.occasions),
                forecaster: fit(&Series::new(history.at(0), step, 1), &task),
                planner: Planner::new(plan_task),
            },
            odd: OddTimes::new(step),
            aside: None,
            lead,
            serving: Serving::new(capacity, policy.slots),
            slots: policy.slots,
            latest: None,
            surge: Surge::default(),
            gain: Default::default(),
            aftermath: Aftermath::new(step),
            sick: 0,
        };
        for (_, sample) in history.iter() {
            memory.advance(sample, false);
        }
        memory
    }

    /// One step: observe, predict, propose. An odd time is learned from, and forgotten when it turns out to have been an
    /// exception.
    fn advance(&mut self, sample: Sample, unhealthy: bool) {
        let at = self.series.next_at();
        self.sick = if unhealthy { self.sick + 1 } else { 0 };
        let unhealthy = unhealthy && self.sick <= self.series.step().cover(SICK);
        let evidence = Evidence { unhealthy, ..Evidence::default() };
        let sample = self.believed(sample);
        self.series.push(sample);
        self.taken += 1;
        self.newest = sample.measured().map(|load| (at, load)).or(self.newest);
        self.aftermath.advance(at, sample, self.lessons.quality.low(at), unhealthy);
        let (lead, serving) = (self.lead, self.serving);
        match self.odd.advance(sample) {
            Turn::Ordinary => self.aside = None,
            Turn::Odd(instead) => {
                let aside = self.aside.get_or_insert_with(|| Box::new(self.lessons.clone()));
                aside.advance(at, instead, evidence, lead, serving);
            }
            Turn::Over => {
                if let Some(aside) = self.aside.take() {
                    self.lessons = *aside;
                }
            }
        }
        let latest = self.lessons.advance(at, sample, evidence, lead, serving);
        if let Some(serving) = serving {
            self.surge.advance(at, sample, serving, lead);
            let upper = latest.demand.and(latest.forecast.window(lead)).map_or(f64::INFINITY, |w| w.highest());
            self.surge.expect(upper, latest.proposal.replicas, lead);
        }
        self.latest = Some(latest);
    }

    /// The next sample with what is not credible marked. What is only back at what it was before an odd time is.
    fn believed(&self, sample: Sample) -> Sample {
        match (believed(sample, &self.series), sample) {
            (Sample::Suspect(_), Sample::Valid(load)) if self.odd.is_back(load, COLLAPSE) => sample,
            (believed, _) => believed,
        }
    }

    /// Takes what a tick is given, and how the workload was seen.
    pub(super) fn take(&mut self, new: &MetricInputs, seen: &Observation) {
        self.serving = Serving::new(new.capacity_per_replica, self.slots).or(self.serving);
        for sample in &new.samples {
            self.advance(*sample, seen.unhealthy);
        }
        // within a coarse step nobody can tell what came first
        let fine = self.series.step().duration() <= GAIN_STEP;
        if let Some(load) =
            new.samples.last().filter(|_| fine).and_then(|_| self.series.get(self.series.len() - 1).measured())
        {
            let (check, gain) = &mut self.gain;
            *gain = check.advance(load, seen.ready, || usual_most(&self.series));
        }
    }

    /// How well the load of `now` is known.
    pub(super) fn standing(&self, now: Time, new: &MetricInputs) -> Standing {
        let Some(newest) = self.series.len().checked_sub(1) else { return Standing::Stale };
        let first = self.series.len().saturating_sub(STALE_STEPS);
        let Some(measured) = (first..=newest).rev().find(|i| self.series.get(*i).measured().is_some()) else {
            return Standing::Stale;
        };
        let old = now.since(self.series.at(measured)) > self.series.step().times(STALE_STEPS) + new.settling;
        match (&new.source, self.series.get(newest)) {
            _ if self.serving.is_none() => Standing::Stale,
            (SourceState::Fresh, _) if old => Standing::Stale,
            (SourceState::Fresh, Sample::Missing) => Standing::Gap,
            (SourceState::Fresh, Sample::Valid(_) | Sample::Censored(_) | Sample::Event(_)) => Standing::Fresh,
            (SourceState::Fresh, Sample::Suspect(_)) | (SourceState::Stale | SourceState::Failing { .. }, _) => {
                Standing::Stale
            }
        }
    }

    /// What is wanted ahead of the load: the proposal, begun earlier where creating the pods takes long, and no more than
    /// can be created. None: no sample so far.
    pub(super) fn ahead(&self, running: Replicas, pods_per_second: Option<f64>) -> Option<Replicas> {
        let latest = self.latest.as_ref()?;
        let wanted = latest.proposal.replicas;
        let Some(rate) = pods_per_second else { return Some(wanted) };
        let per_step = rate * f64::from(self.series.step().secs());
        // later needs at the confidence with which the proposal covers the need at the lead
        let level = latest.demand.map(|d| d.replicas.iter().filter(|r| **r <= wanted).count().saturating_sub(1));
        let later = latest.forecast.windows.iter().filter_map(|window| {
            let need = demand(window, self.serving?).replicas.get(level?).copied()?;
            Some((window.horizon.checked_sub(self.lead)?, need))
        });
        Some(ramp(running, wanted, later, per_step))
    }

    pub(super) fn latest(&self) -> Option<&Latest> {
        self.latest.as_ref()
    }

    /// Replicas for the load a surge leads to. None: there is no surge.
    pub(super) fn surge(&self) -> Option<Replicas> {
        self.surge.until.and(self.serving).map(|serving| serving.replicas(self.surge.load))
    }

    /// Replicas for a load that was read just now. None: it is no load, or nothing can be said in replicas.
    pub fn need(&self, load: f64) -> Option<Replicas> {
        believed(Sample::Valid(load), &self.series)
            .valid()
            .zip(self.serving)
            .map(|(load, serving)| serving.replicas(load))
    }

    /// True while an outage was there within the hour, or what looks like one.
    pub(super) fn aftermath(&self, now: Time) -> bool {
        self.aftermath.holds(now)
    }

    /// Whether its load answers to more replicas.
    pub(super) fn gain(&self) -> Gain {
        self.gain.1
    }

    pub(super) fn usual_low(&self) -> Option<Replicas> {
        usual_low(&self.series).zip(self.serving).map(|(load, serving)| serving.replicas(load))
    }

    /// At this time of day, on the last 14 days.
    pub(super) fn usual_high(&self, now: Time) -> Option<Replicas> {
        let since = now.since(self.series.next_at()).as_secs() / u64::from(self.series.step().secs());
        let later = usize::try_from(since).unwrap_or(usize::MAX).saturating_add(1).min(LATER_MAX);
        usual_high(self.lessons.forecaster.around(later))
            .zip(self.serving)
            .map(|(load, serving)| serving.replicas(load))
    }

    /// Steps taken so far.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// The newest sample that was measured, with its instant.
    pub fn newest(&self) -> Option<(Time, f64)> {
        self.newest
    }

    /// The newest sample's value where it was measured but is not believed.
    pub fn doubted(&self) -> Option<f64> {
        match self.series.get(self.series.len().checked_sub(1)?) {
            Sample::Suspect(load) => Some(load),
            _ => None,
        }
    }

    /// The newest forecast.
    pub fn forecast(&self) -> Option<&QuantileForecast> {
        self.latest.as_ref().map(|l| &l.forecast)
    }

    /// How far the forecast at the lead can be trusted.
    pub fn trust(&self) -> Option<Trust> {
        self.lessons.forecaster.trust(self.lead)
    }

    /// Work of the forecaster that is to be done off the tick. None: nothing.
    pub fn homework(&mut self) -> Option<Homework> {
        self.lessons.forecaster.homework()
    }

    /// Takes work that was done.
    pub fn hand_in(&mut self, done: Done) {
        self.lessons.forecaster.hand_in(done);
    }

    /// The decision layer: its candidates and their books.
    pub fn planner(&self) -> &Planner {
        &self.lessons.planner
    }
}

/// The horizons that are forecast: the lead, the lead plus the time that creating as many pods as may be takes, and 3, 15
/// and 60 minutes for people and for scoring.
fn horizons(step: Step, lead: usize, policy: &Policy) -> Vec<usize> {
    let mut horizons: Vec<usize> = [180, 900, 3600].map(|s| step.cover(Duration::from_secs(s))).to_vec();
    horizons.push(lead);
    if let Some(rate) = policy.pods_per_second {
        let longest = creation(policy.max_replicas, rate);
        horizons.push(lead + (longest.as_secs() / u64::from(step.secs())).min(60) as usize);
    }
    horizons.sort_unstable();
    horizons.dedup();
    horizons
}

/// All that is remembered of one workload from tick to tick.
#[derive(Debug, Clone)]
pub struct Memory {
    /// One per metric of the policy.
    pub metrics: Vec<MetricMemory>,
    /// What its plans were.
    pub plan: PlanMemory,
}

impl Memory {
    /// The memory of a workload whose metrics have learned. Its first decision may only raise.
    pub fn new(metrics: Vec<MetricMemory>) -> Memory {
        Memory { metrics, plan: PlanMemory::default() }
    }
}
