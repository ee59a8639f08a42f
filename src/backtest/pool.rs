//! A warm pool shared by several recorded workloads: their histories go through the same ticks as live, what the ticks
//! want goes through the same sizing, and an independent count says how often the pool was enough and what it held.
#![allow(
    clippy::indexing_slicing,
    reason = "every row has one entry for each step of the group, whose histories are cut to one length"
)]

use super::{Scores, Setting, capacity_for_peak, run, score};
use crate::plan::pool::{Bounds, Member, PoolSizer, PoolTask, expected};
use crate::rng;
use crate::series::Series;
use crate::tick::Record;
use crate::units::{LeadTime, Replicas, Step, Time, replicas_for};
use rand::Rng as _;
use rayon::prelude::*;
use serde::Serialize;
use std::time::Duration;

/// What is tested.
#[derive(Debug, Clone)]
pub struct PoolSetting {
    /// Of each workload: bounds, budget, zone, and the lead of a pod that finds its room. Its capacity is not used.
    pub workload: Setting,
    /// Load one replica serves. None: so that this many replicas serve 99.9 % of the scored samples.
    pub capacity: Result<f64, Replicas>,
    /// The pool: its lead is a node's.
    pub pool: PoolTask,
    /// Pods that fit on a node.
    pub pods_per_node: u32,
}

/// Workloads of one pool on the same instants.
#[derive(Debug, Clone)]
pub struct Group {
    /// One history a workload: same first instant, step and length.
    pub histories: Vec<Series>,
    /// Whole weeks that histories were moved by so that they overlap. All 0: they did.
    pub moved_weeks: Vec<i64>,
}

/// Why histories make no group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// Their steps differ.
    #[error("histories of one step")]
    Steps,
    /// Less than three days in common.
    #[error("at least three days that all histories cover")]
    TooShort,
}

/// Histories that overlap less than this are moved by whole weeks.
const OVERLAP: Duration = Duration::from_secs(3 * 86_400);
const WEEK_SECS: i64 = 7 * 86_400;

impl Group {
    /// Cuts histories to what they have in common. Where that is too little, because they were recorded in different
    /// years, each is first moved by whole weeks: time of day and day of the week stay.
    pub fn align(histories: &[Series]) -> Result<Group, GroupError> {
        let Some(step) = histories.first().map(Series::step) else { return Err(GroupError::TooShort) };
        if histories.iter().any(|h| h.step() != step) {
            return Err(GroupError::Steps);
        }
        let mut moved_weeks = vec![0; histories.len()];
        if cut(histories, &moved_weeks, step).is_none() {
            let to = histories.iter().map(|h| h.at(0).secs()).max().unwrap_or(0);
            for (weeks, history) in moved_weeks.iter_mut().zip(histories) {
                *weeks = (to - history.at(0).secs()).div_euclid(WEEK_SECS);
            }
        }
        let histories = cut(histories, &moved_weeks, step).ok_or(GroupError::TooShort)?;
        Ok(Group { histories, moved_weeks })
    }
}

fn cut(histories: &[Series], moved_weeks: &[i64], step: Step) -> Option<Vec<Series>> {
    let secs = i64::from(step.secs());
    let begins = |h: &Series, weeks: i64| (h.at(0).secs() + weeks * WEEK_SECS).div_euclid(secs);
    let each = || histories.iter().zip(moved_weeks);
    let first = each().map(|(h, w)| begins(h, *w)).max()?;
    let last = each().map(|(h, w)| begins(h, *w) + h.len() as i64).min()?;
    let length = usize::try_from(last - first).ok()?;
    if length < step.cover(OVERLAP) {
        return None;
    }
    let part = |h: &Series, w: i64| {
        let skip = usize::try_from(first - begins(h, w)).unwrap_or(0);
        Series::of(Time::from_secs(first * secs), step, (skip..skip + length).map(|i| h.get(i)))
    };
    Some(each().map(|(h, w)| part(h, *w)).collect())
}

/// What one workload's plan wants at each step.
#[derive(Debug, Clone)]
struct Wanted {
    need: Vec<Replicas>,
    pods: Vec<Replicas>,
    expected: Vec<f32>,
}

impl Wanted {
    fn member(&self, i: usize) -> Member {
        Member { need: self.need[i] as f32, pods: self.pods[i] as f32, expected: self.expected[i] }
    }
}

/// A way to plan each workload.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlanBy {
    /// The decision layer, as live.
    Decision,
    /// A fixed quantile of the forecast for each workload.
    Quantile(f64),
}

/// How a plan served and what it cost, all workloads together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Served {
    /// Share of the steps in which every needed pod found its room.
    pub hit_rate: f64,
    /// Share of the needed pods that had no room.
    pub lacking_fraction: f64,
    /// Share of the load that met no ready replica.
    pub unserved_fraction: f64,
    /// Hours of pods.
    pub replica_hours: f64,
    /// Hours of slots. 0: without a pool.
    pub slot_hours: f64,
}

impl Served {
    /// Hours of room that are paid for.
    pub fn hours(&self) -> f64 {
        self.replica_hours + self.slot_hours
    }
}

/// How often a pool was enough.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct HitRate {
    /// Share of the scored steps in which every pod found its room.
    pub steps: f64,
    /// 95 % interval from whole days drawn with replacement.
    pub interval: (f64, f64),
    /// The worst day.
    pub worst_day: f64,
    /// Of the pods that needed a slot, the share that found one.
    pub pods: f64,
}

/// A constant pool of (peak - baseline) x factor, known with hindsight.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct FactorRule {
    /// Largest minus smallest sum of pods.
    pub swing: f64,
    /// The factor that gives the pool's own hit-rate.
    pub factor: f64,
    /// Hours of slots at that factor.
    pub slot_hours: f64,
}

/// What came out.
#[derive(Debug, Clone, Serialize)]
pub struct PoolBacktest {
    /// First scored instant.
    pub score_from: Time,
    /// Days that are scored.
    pub days: f64,
    /// The share that is aimed at.
    pub objective: f64,
    /// How often it was enough.
    pub hit_rate: HitRate,
    /// Hours of slots.
    pub slot_hours: f64,
    /// Hours of nodes that hold nothing else, at the pods per node.
    pub node_hours: f64,
    /// Changes of the size an hour.
    pub changes_per_hour: f64,
    /// The rule that teams use, at equal hit-rate.
    pub factor_rule: FactorRule,
    /// Each way to plan a workload, one node lead further ahead, with and without a pool.
    pub plans: Vec<PlanRow>,
}

/// One way to plan each workload, with and without a pool.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PlanRow {
    /// How each workload is planned.
    pub by: PlanBy,
    /// With a pool.
    pub with: Served,
    /// Without.
    pub without: Served,
    /// Hours of pods that plans by quantiles without a pool need to leave as many pods without room as this one with a
    /// pool: between the quantiles by interpolation. None: no quantile is that good, or that bad.
    pub as_good_hours: Option<f64>,
}

/// Ways to plan that are compared.
const PLANS: [PlanBy; 4] = [PlanBy::Decision, PlanBy::Quantile(0.5), PlanBy::Quantile(0.95), PlanBy::Quantile(0.99)];
/// Draws of the bootstrap.
const DRAWS: usize = 2000;

/// Runs the group.
pub fn run_pool(group: &Group, setting: &PoolSetting) -> PoolBacktest {
    let histories = &group.histories;
    let step = histories.first().map_or(Step::MINUTE, Series::step);
    let lead = step.cover(setting.pool.lead);
    let settings: Vec<Setting> = histories
        .iter()
        .map(|history| {
            let capacity = match setting.capacity {
                Ok(capacity) => capacity,
                Err(peak) => capacity_for_peak(history, &setting.workload, peak),
            };
            Setting { capacity_per_replica: capacity, ..setting.workload.clone() }
        })
        .collect();
    let total_lead = LeadTime(setting.workload.lead_time.0 + setting.pool.lead);
    let jobs: Vec<(usize, bool)> = (0..histories.len()).flat_map(|i| [(i, true), (i, false)]).collect();
    let walked: Vec<Vec<Wanted>> = jobs
        .par_iter()
        .map(|(i, pooled)| {
            let lead_time = if *pooled { settings[*i].lead_time } else { total_lead };
            walk(&histories[*i], &Setting { lead_time, ..settings[*i].clone() }, setting.pool.lead)
        })
        .collect();
    let score_from = settings.first().map_or(Time::from_secs(0), |s| super::score_from(&histories[0], s));
    let from = (0..histories[0].len()).find(|i| histories[0].at(*i) >= score_from).unwrap_or(0);
    let sum_load: f64 = histories.iter().zip(&settings).map(|(h, s)| replicas_of_load(h, s, from)).sum();
    let scores = |pods: &[Vec<Replicas>], lead_time: LeadTime| -> (f64, f64) {
        let each = histories.iter().zip(&settings).zip(pods);
        let each: Vec<Scores> =
            each.map(|((h, s), p)| score(h, &Setting { lead_time, ..s.clone() }, score_from, p)).collect();
        let missed = histories.iter().zip(&settings).zip(&each);
        let missed: f64 = missed.map(|((h, s), e)| e.unserved_fraction * replicas_of_load(h, s, from)).sum();
        (missed / sum_load.max(f64::MIN_POSITIVE), each.iter().map(|e| e.replica_hours).sum())
    };
    let pods_of = |wanted: &[&Wanted]| -> Vec<Vec<Replicas>> { wanted.iter().map(|w| w.pods.clone()).collect() };
    let mut plans = Vec::new();
    let mut live: Option<(Tally, Vec<Vec<Replicas>>)> = None;
    for (p, by) in PLANS.iter().enumerate() {
        let near: Vec<&Wanted> = walked.iter().step_by(2).map(|w| &w[p]).collect();
        let far: Vec<&Wanted> = walked.iter().skip(1).step_by(2).map(|w| &w[p]).collect();
        let serve = |wanted: &[&Wanted], slots: Vec<u32>, lead_time: LeadTime| {
            let tally = Tally::count(wanted, &slots, lead, from);
            let (unserved_fraction, replica_hours) = scores(&placed(wanted, &tally, lead), lead_time);
            let served = Served {
                hit_rate: tally.hit_rate(step).steps,
                lacking_fraction: tally.lacking(wanted),
                unserved_fraction,
                replica_hours,
                slot_hours: tally.slot_hours(step),
            };
            (served, tally)
        };
        if *by == PlanBy::Decision {
            let tally = serve(&near, size(&histories[0], &near, setting), setting.workload.lead_time).1;
            live = Some((tally, pods_of(&near)));
        }
        let with = serve(&far, size(&histories[0], &far, setting), total_lead).0;
        let without = serve(&far, vec![0; histories[0].len()], total_lead).0;
        plans.push(PlanRow { by: *by, with, without, as_good_hours: None });
    }
    let without: Vec<Served> = plans.iter().filter(|p| p.by != PlanBy::Decision).map(|p| p.without).collect();
    for row in &mut plans {
        row.as_good_hours = as_good(&without, row.with.lacking_fraction);
    }
    let (tally, pods) = live.unwrap_or_default();
    let hours = tally.slots.len() as f64 * f64::from(step.secs()) / 3600.0;
    let nodes: u64 = tally.slots.iter().map(|s| u64::from(s.div_ceil(setting.pods_per_node.max(1)))).sum();
    let changes = tally.slots.windows(2).filter(|w| w[0] != w[1]).count();
    PoolBacktest {
        score_from,
        days: hours / 24.0,
        objective: setting.pool.objective.get(),
        hit_rate: tally.hit_rate(step),
        slot_hours: tally.slot_hours(step),
        node_hours: nodes as f64 * f64::from(step.secs()) / 3600.0,
        changes_per_hour: changes as f64 / hours.max(f64::MIN_POSITIVE),
        factor_rule: factor_rule(&pods, &tally, step, from),
        plans,
    }
}

/// Hours of pods at which plans by rising quantiles leave this share of the pods without room: linear in its logarithm.
fn as_good(without: &[Served], lacking: f64) -> Option<f64> {
    let pairs = without.windows(2).find(|w| w[0].lacking_fraction >= lacking && lacking >= w[1].lacking_fraction)?;
    let (worse, better) = (&pairs[0], &pairs[1]);
    let span = (worse.lacking_fraction / better.lacking_fraction).ln();
    let share = if span > 0.0 { (worse.lacking_fraction / lacking).ln() / span } else { 0.0 };
    let hours = worse.replica_hours + share * (better.replica_hours - worse.replica_hours);
    hours.is_finite().then_some(hours)
}

/// The scored load in replicas times steps.
fn replicas_of_load(history: &Series, setting: &Setting, from: usize) -> f64 {
    let loads = history.iter().skip(from).filter_map(|(_, s)| s.valid());
    loads.sum::<f64>() / setting.capacity_per_replica
}

/// One workload through its ticks: what each way to plan wants.
fn walk(history: &Series, setting: &Setting, node_lead: Duration) -> Vec<Wanted> {
    let step = history.step();
    let horizon = step.cover(setting.lead_time.0);
    let hold = step.cover(crate::plan::STABILIZATION);
    let mut wanted = vec![Wanted { need: Vec::new(), pods: Vec::new(), expected: Vec::new() }; PLANS.len()];
    let mut recent: Vec<Vec<Replicas>> = vec![Vec::new(); PLANS.len()];
    let mut take = |record: Record| {
        let Record::Tick { decision, inputs, .. } = record else { return };
        let load = inputs.metrics.first().and_then(|m| m.samples.last()).and_then(|s| s.measured()).unwrap_or(0.0);
        let need = decision.plan.parts.reactive.unwrap_or(0);
        let need = need.clamp(setting.min_replicas, setting.max_replicas);
        let forecast = decision.forecasts.first().and_then(Option::as_ref);
        for ((by, wanted), recent) in PLANS.iter().zip(&mut wanted).zip(&mut recent) {
            let pods = match by {
                PlanBy::Decision => decision.plan.replicas,
                PlanBy::Quantile(q) => {
                    let load = forecast.and_then(|f| f.window(horizon)).map_or(0.0, |w| w.at(*q));
                    let now = replicas_for(load, setting.capacity_per_replica);
                    recent.push(now.clamp(setting.min_replicas, setting.max_replicas).max(need));
                    // as an autoscaler holds a scale-down
                    recent.iter().rev().take(hold).copied().max().unwrap_or(setting.min_replicas)
                }
            };
            wanted.need.push(need);
            wanted.pods.push(pods.max(need));
            wanted.expected.push(expected(need, load, forecast, step, node_lead));
        }
    };
    run(history, setting, Some(&mut take));
    wanted
}

/// The slots held at each step.
fn size(grid: &Series, wanted: &[&Wanted], setting: &PoolSetting) -> Vec<u32> {
    let mut sizer: PoolSizer<usize> = PoolSizer::new(setting.pool.clone());
    let bounds = Bounds { quota: None, fresh: true };
    (0..grid.len())
        .map(|i| {
            let members: Vec<(usize, Member)> = wanted.iter().enumerate().map(|(k, w)| (k, w.member(i))).collect();
            sizer.advance(grid.at(i), &members, bounds).slots
        })
        .collect()
}

/// The count of what happened in the scored steps, made from pods and slots alone.
#[derive(Debug, Clone, Default)]
struct Tally {
    from: usize,
    slots: Vec<u32>,
    /// Pods above the room that was ordered one node lead ago.
    shortfall: Vec<u32>,
    /// Room that was there for them: slots, and what the plans' own pods left.
    there: Vec<u32>,
    /// What the plans' own pods alone left.
    spare: Vec<u32>,
}

impl Tally {
    /// Nodes for what was held, pods and slots, at the steps of the last node lead are there, as far as no later step held
    /// less: of each workload base(u) = min pods, in all room(u) = min (pods + slots), both over [u - lead, u - 1]. What
    /// needs beyond the bases is short, room beyond the bases is there.
    fn count(wanted: &[&Wanted], slots: &[u32], lead: usize, from: usize) -> Tally {
        let sum = |i: usize| -> u32 { wanted.iter().map(|w| w.pods[i]).sum() };
        let mut tally = Tally { from: from.max(1), ..Tally::default() };
        for u in from.max(1)..slots.len() {
            let lately = || u.saturating_sub(lead)..u;
            let base = |w: &Wanted| lately().map(|v| w.pods[v]).min().unwrap_or(0);
            let bases: u32 = wanted.iter().map(|w| base(w)).sum();
            let room = lately().map(|v| sum(v) + slots[v]).min().unwrap_or(0);
            tally.slots.push(slots[u]);
            tally.shortfall.push(wanted.iter().map(|w| w.need[u].saturating_sub(base(w))).sum());
            tally.there.push(room - bases);
            tally.spare.push(lately().map(sum).min().unwrap_or(0) - bases);
        }
        tally
    }

    fn hits(&self) -> impl Iterator<Item = bool> + '_ {
        self.shortfall.iter().zip(&self.there).map(|(s, t)| s <= t)
    }

    fn lacking(&self, wanted: &[&Wanted]) -> f64 {
        let short = self.shortfall.iter().zip(&self.there).map(|(s, t)| f64::from(s.saturating_sub(*t))).sum::<f64>();
        let need: f64 = wanted.iter().flat_map(|w| w.need.iter().skip(self.from)).map(|n| f64::from(*n)).sum();
        short / need.max(1.0)
    }

    fn slot_hours(&self, step: Step) -> f64 {
        self.slots.iter().map(|s| f64::from(*s)).sum::<f64>() * f64::from(step.secs()) / 3600.0
    }

    fn hit_rate(&self, step: Step) -> HitRate {
        let hits: Vec<bool> = self.hits().collect();
        let day = |part: &[bool]| (part.iter().filter(|h| **h).count(), part.len());
        let days: Vec<(usize, usize)> = hits.chunks(step.per_day()).map(day).collect();
        let share = |days: &mut dyn Iterator<Item = (usize, usize)>| {
            let (hit, all) = days.fold((0, 0), |(h, a), d| (h + d.0, a + d.1));
            if all > 0 { hit as f64 / all as f64 } else { 1.0 }
        };
        let mut random = rng::stream(1, "bootstrap");
        let mut draws: Vec<f64> =
            (0..DRAWS).map(|_| share(&mut (0..days.len()).map(|_| days[random.random_range(0..days.len())]))).collect();
        draws.sort_by(f64::total_cmp);
        let at = |q: f64| draws.get((q * (DRAWS - 1) as f64) as usize).copied().unwrap_or(1.0);
        let wanted: u64 = self.shortfall.iter().map(|s| u64::from(*s)).sum();
        let found: u64 = self.shortfall.iter().zip(&self.there).map(|(s, t)| u64::from(*s.min(t))).sum();
        HitRate {
            steps: share(&mut days.iter().copied()),
            interval: (at(0.025), at(0.975)),
            worst_day: days.iter().map(|d| share(&mut [*d].into_iter())).fold(1.0, f64::min),
            pods: if wanted > 0 { found as f64 / wanted as f64 } else { 1.0 },
        }
    }
}

/// The constant pool that is enough as often as ours, counted alike, between whole slots by interpolation.
fn factor_rule(pods: &[Vec<Replicas>], tally: &Tally, step: Step, from: usize) -> FactorRule {
    let steps = tally.slots.len().max(1) as f64;
    let ours = tally.hits().filter(|h| *h).count() as f64 / steps;
    let lacking = || tally.shortfall.iter().zip(&tally.spare).map(|(short, spare)| short.saturating_sub(*spare));
    let rate = |slots: u32| lacking().filter(|lacks| *lacks <= slots).count() as f64 / steps;
    let most = lacking().max().unwrap_or(0);
    let enough = (0..=most).find(|s| rate(*s) >= ours).unwrap_or(most);
    let slots = match enough.checked_sub(1).map(rate) {
        Some(below) if rate(enough) > below => f64::from(enough - 1) + (ours - below) / (rate(enough) - below),
        _ => f64::from(enough),
    };
    let sums = || (from..from + tally.slots.len()).map(|i| pods.iter().map(|p| p[i]).sum::<u32>());
    let swing = f64::from(sums().max().unwrap_or(0) - sums().min().unwrap_or(0));
    let slot_hours = slots * steps * f64::from(step.secs()) / 3600.0;
    FactorRule { swing, factor: if swing > 0.0 { slots / swing } else { 0.0 }, slot_hours }
}

/// The pods that found a place: where slots were too few, what is short lacks, workload after workload.
fn placed(wanted: &[&Wanted], tally: &Tally, lead: usize) -> Vec<Vec<Replicas>> {
    let mut placed: Vec<Vec<Replicas>> = wanted.iter().map(|w| w.pods.clone()).collect();
    for (k, (short, there)) in tally.shortfall.iter().zip(&tally.there).enumerate() {
        let mut lacking = short.saturating_sub(*there);
        let u = tally.from + k;
        for (path, w) in placed.iter_mut().zip(wanted) {
            let base = (u.saturating_sub(lead)..u).map(|v| w.pods[v]).min().unwrap_or(0);
            let gives = w.need[u].saturating_sub(base).min(lacking);
            if gives > 0 {
                path[u] = w.need[u] - gives;
            }
            lacking -= gives;
        }
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_that_plans_leave_counts_for_the_constant_pool_too() {
        let of = |pods: [u32; 4], need: [u32; 4]| Wanted {
            need: need.to_vec(),
            pods: pods.to_vec(),
            expected: vec![0.0; 4],
        };
        // the second rises as the first falls: at step 2 it needs 4 beyond its own room, and the first has left 4
        let (a, b) = (of([4, 0, 0, 0], [0; 4]), of([0, 4, 4, 4], [0, 0, 4, 5]));
        let tally = Tally::count(&[&a, &b], &[0, 0, 1, 1], 2, 2);
        assert_eq!((tally.shortfall.as_slice(), tally.spare.as_slice()), ([4, 1].as_slice(), [4, 0].as_slice()));
        assert_eq!(tally.there, [4, 0], "at step 3 the slot was ordered too late");
        assert!(tally.hits().eq([true, false]));
        let rule = factor_rule(&[a.pods.clone(), b.pods.clone()], &tally, Step::MINUTE, 2);
        assert_eq!(rule.slot_hours, 0.0, "none at all is enough as often as that");
    }
}
