//! One warm pool: what its workloads' plans come to in slots, and how those are laid out.

use super::super::statez::PoolState;
use super::super::telling::Told;
use super::super::tended::Tended;
use super::queues::Seen;
use super::{PAST_STEP, PAST_STEPS_A_DAY};
use crate::actuate::pool::{self, PAUSE_IMAGE, PodShape, SlotSet};
use crate::config::{Config, PoolConfig};
use crate::demand::{LeadLine, StartPath};
use crate::observe::{Capability, Karpenter};
use crate::plan::Standing as Known;
use crate::plan::guard::{Span, pods_that_lose_their_node};
use crate::plan::nodes::NodeClaimView;
use crate::plan::pool::{
    Bounds, Member, PerZone, PoolSizer, PoolTask, Sizing, expected, expected_of_past, gangs, per_zone, queued,
};
use crate::policy::Workload;
use crate::units::{Step, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How long no slot may be ready, at least, before it is said.
const EMPTY_FOR: Duration = Duration::from_secs(120);

/// Pods of one placement within a pool: they share slots.
pub(super) struct Shared {
    sizer: PoolSizer<Workload>,
    taught: BTreeSet<Workload>,
    sizing: Option<Sizing>,
}

/// Pods of a queue of gangs.
pub(super) struct Queued {
    sizer: PoolSizer<()>,
    taught: bool,
}

impl Queued {
    pub fn new(task: &PoolTask) -> Queued {
        Queued { sizer: PoolSizer::new(task.clone()), taught: false }
    }
}

/// A queue whose newest step is older than so many says nothing of now.
const STALE_STEPS: usize = 3;

/// One pool.
pub(super) struct Pool {
    pub config: PoolConfig,
    pub task: PoolTask,
    pub shared: BTreeMap<String, Shared>,
    /// Set for a pool of a queue, which has no workloads.
    pub queued: Option<Queued>,
    /// Slots that stand from before a restart, by placement.
    pub before: BTreeMap<String, u32>,
    /// Ramps ahead of its workloads.
    pub ramps: Vec<Span>,
    pub state: PoolState,
    /// Since when slots are wanted and none is ready.
    pub empty_since: Option<Time>,
}

/// What a pool's size depends on besides its workloads.
pub(super) struct Around<'a> {
    /// Slots that quotas admit. None: no quota is about them.
    pub room: Option<u32>,
    pub claims: &'a [Arc<NodeClaimView>],
    /// Where slots live unless the pool says otherwise.
    pub namespace: &'a str,
}

/// From asking for a node to a pod that runs on it, as 95 % of the starts on new nodes took it at most. None: too few of
/// them were seen.
pub(super) fn learned_lead(lines: &[LeadLine]) -> Option<Duration> {
    let whole = lines.iter().find(|l| l.path == StartPath::NewNode && l.phase.is_none())?;
    (!whole.p95.prior).then_some(whole.p95.value)
}

impl Pool {
    /// The node lead in force: given for the pool, else learned, else the default. Small changes are not followed.
    pub fn follow(&mut self, learned: Option<Duration>) {
        let lead = learned.filter(|_| !self.config.lead_time_given).unwrap_or(self.config.lead_time);
        if lead.abs_diff(self.task.lead) * 5 > self.task.lead {
            self.task.lead = lead;
        }
        self.state.lead = self.task.lead;
    }

    /// Slots for the pods of nodes that expire within a ramp, from one node lead before: no budget holds expiry.
    fn expiring(&self, now: Time, claims: &[Arc<NodeClaimView>], shape: &PodShape) -> u32 {
        let own = claims.iter().map(Arc::as_ref).filter(|c| c.pool.is_some() && c.pool == self.config.node_pool);
        let soon = Span { from: now, to: now + self.task.lead };
        pods_that_lose_their_node(own, &self.ramps, soon, &shape.requests)
    }

    /// The slots of each placement, laid out over zones and gangs.
    pub fn size(
        &mut self,
        now: Time,
        name: &str,
        shapes: &BTreeMap<String, Vec<Workload>>,
        tended: &mut BTreeMap<Workload, (Tended, Told)>,
        config: &Config,
        around: &Around<'_>,
    ) -> Vec<SlotSet> {
        // a placement that is not there any more takes its slots with it
        self.shared.retain(|key, _| shapes.contains_key(key));
        let mut sets = Vec::new();
        self.state.members = shapes.values().flatten().map(ToString::to_string).collect();
        let mut cap = self.task.max_slots;
        let mut room = around.room.map(|room| self.config.behind(room));
        self.state.expiring = 0;
        for (key, workloads) in shapes {
            let shared = self.shared.entry(key.clone()).or_insert_with(|| Shared {
                sizer: PoolSizer::new(self.task.clone()),
                taught: BTreeSet::new(),
                sizing: None,
            });
            if let Some(slots) = self.before.remove(key) {
                shared.sizer.inherit(now, self.config.behind(slots));
            }
            shared.sizer.follow(self.task.lead, cap);
            shared.teach(workloads, tended);
            let mut shape: Option<PodShape> = None;
            let (mut members, mut fresh) = (Vec::new(), true);
            for workload in workloads {
                let Some((t, _)) = tended.get(workload) else { continue };
                let own = &t.sight.slot.shape;
                shape.get_or_insert_with(|| own.clone()).cover(own);
                // what is still learned, or not known what to make of, is no workload without needs
                let Some(decision) = t.decision.as_ref().filter(|_| t.policy.is_some()) else {
                    fresh = false;
                    continue;
                };
                fresh &= decision.evidence.standing != Known::Stale;
                // a load that is not known is not zero: the pool waits for it; a workload of schedules alone has none
                let (Some(need), Some(load)) = (decision.plan.parts.reactive, t.newest_load()) else {
                    fresh &= t.policy.as_ref().is_some_and(|p| p.metrics.is_empty());
                    continue;
                };
                let forecast = decision.forecasts.first().and_then(Option::as_ref);
                let ahead = expected(need, load, forecast, config.workloads.step, self.task.lead);
                // a plan that nobody carries out buys no node
                let carried_out = t.acts(config) && t.sight.stopped.is_none() && !t.yields() && t.write_error.is_none();
                let pods = if carried_out { decision.plan.replicas } else { t.sight.observation.replicas.max(need) };
                let member = Member { need: need as f32, pods: pods as f32, expected: ahead };
                members.push((workload.clone(), member));
            }
            let fresh = fresh && !members.is_empty();
            let sizing = shared.sizer.advance(now, &members, Bounds { quota: room, fresh });
            let mut slots = sizing.slots;
            shared.sizing = Some(sizing);
            if let Some(shape) = shape {
                let most = cap.min(room.unwrap_or(cap)).max(slots);
                let expiring = self.expiring(now, around.claims, &shape).min(most - slots);
                self.state.expiring += expiring;
                slots += expiring;
                sets.extend(self.config.lay_out(name, slots, &shape, around.namespace));
            }
            cap = cap.saturating_sub(slots);
            room = room.map(|room| room.saturating_sub(slots));
        }
        let sizings = || self.shared.values().filter_map(|s| s.sizing.as_ref());
        self.state.slots = sets.iter().map(|s| s.slots).sum();
        self.state.reason = sizings().max_by_key(|s| s.slots).map(|s| s.reason);
        self.state.hit_rate = sizings().filter_map(|s| s.hit_rate).reduce(f64::min);
        self.state.scenarios = sizings().map(|s| s.scenarios).min().unwrap_or(0);
        self.state.shortfall = sizings().map(|s| s.shortfall).sum();
        sets
    }

    /// The slots of a queue, from what arrived in it and what is expected to, laid out over zones and gangs. None: what its pods
    /// look like is not known.
    pub fn size_queue(
        &mut self,
        now: Time,
        name: &str,
        seen: &Seen,
        step: Step,
        around: &Around<'_>,
    ) -> Option<Vec<SlotSet>> {
        let (of, shape) = self.queued.as_mut().zip(seen.shape.as_ref())?;
        let (lead, size) = (self.task.lead, self.config.gang_size);
        let standing = std::mem::take(&mut self.before).values().sum();
        of.sizer.inherit(now, self.config.behind(standing));
        // a part of a gang is of no use
        let whole = |slots: u32| slots / size.max(1) * size.max(1);
        of.sizer.follow(lead, whole(self.config.behind(self.task.max_slots)));
        let newest = seen.arrivals.as_ref().and_then(|arrivals| Some((arrivals, arrivals.len().checked_sub(1)?)));
        if let (Some((arrivals, newest)), false) = (newest, of.taught) {
            for at in 0..newest {
                let member = queued(arrivals, at, lead, size).map(|member| ((), member));
                of.sizer.learn(arrivals.at(at), member.as_slice());
            }
            of.taught = true;
        }
        let late = step.times(STALE_STEPS) + seen.settling;
        let fresh = newest.filter(|(arrivals, newest)| now.since(arrivals.at(*newest)) <= late);
        let member = fresh.and_then(|(arrivals, newest)| queued(arrivals, newest, lead, size)).map(|m| ((), m));
        let quota = around.room.map(|room| whole(self.config.behind(room)));
        let sizing = of.sizer.advance(now, member.as_slice(), Bounds { quota, fresh: member.is_some() });
        let sets = self.config.lay_out(name, sizing.slots, shape, around.namespace);
        self.state.slots = sets.iter().map(|s| s.slots).sum();
        self.state.reason = Some(sizing.reason);
        self.state.hit_rate = sizing.hit_rate;
        self.state.scenarios = sizing.scenarios;
        self.state.shortfall = sizing.shortfall;
        Some(sets)
    }

    /// Slots are wanted, and for three lead times (two minutes at least) none has become ready.
    pub fn stays_empty(&mut self, now: Time) -> Option<String> {
        if self.state.slots == 0 || self.state.ready > 0 {
            self.empty_since = None;
            return None;
        }
        let since = *self.empty_since.get_or_insert(now);
        let patience = (self.task.lead * 3).max(EMPTY_FOR);
        let words = "no slot has become ready in three lead times: is there a node, or an instance type, that holds such a pod?";
        (now.since(since) >= patience).then(|| words.to_owned())
    }

    /// What is wrong around it.
    pub fn fits(&self, nodes: &Karpenter) -> Option<String> {
        let wanted = self.config.node_pool.as_ref()?;
        let known = matches!(nodes.karpenter(), Capability::Served(_)) && nodes.synced();
        (known && !nodes.has_pool(wanted))
            .then(|| format!("the NodePool {wanted} is not there: slots of it stay Pending"))
    }
}

impl PoolConfig {
    /// The slots that are meant by so many that stand: without the reserve for a lost zone.
    fn behind(&self, standing: u32) -> u32 {
        match (self.zones.len() as u32, self.lost_zone_reserve) {
            (zones @ 2.., true) => (u64::from(standing) * u64::from(zones - 1) / u64::from(zones)) as u32,
            _ => standing,
        }
    }

    fn lay_out(&self, pool: &str, slots: u32, shape: &PodShape, namespace: &str) -> Vec<SlotSet> {
        let zones: Vec<Option<&str>> = match self.zones.as_slice() {
            [] => vec![None],
            zones => zones.iter().map(|z| Some(z.as_str())).collect(),
        };
        let prepull = self.prepull && shape.image.is_some();
        let set = |zone: Option<&str>, gang: Option<u32>, slots: u32| SlotSet {
            name: pool::name(pool, shape, zone, gang),
            namespace: self.slot_namespace.clone().unwrap_or_else(|| namespace.to_owned()),
            pool: pool.to_owned(),
            slots,
            shape: shape.clone(),
            node_pool: self.node_pool.clone(),
            zone: zone.map(str::to_owned),
            together: gang.and(self.gang_topology.clone()),
            image: match (&shape.image, &self.image) {
                (Some(image), _) if prepull => image.clone(),
                (_, Some(image)) => image.clone(),
                _ => PAUSE_IMAGE.to_owned(),
            },
            prepull,
        };
        let PerZone(each) = per_zone(slots, zones.len(), self.lost_zone_reserve);
        let mut sets = Vec::new();
        for (zone, slots) in zones.into_iter().zip(each) {
            if self.gang_size > 1 {
                sets.extend((0..gangs(slots, self.gang_size)).map(|g| set(zone, Some(g), self.gang_size)));
            } else {
                sets.push(set(zone, None, slots));
            }
        }
        sets
    }
}

impl Shared {
    /// The history of members that have learned since, all at the same instants.
    fn teach(&mut self, workloads: &[Workload], tended: &mut BTreeMap<Workload, (Tended, Told)>) {
        let mut past: Vec<(Workload, Time, Vec<f32>)> = Vec::new();
        if !self.taught.is_empty() {
            return;
        }
        for workload in workloads {
            match tended.get_mut(workload).map(|(t, _)| (t.is_learning(), t)) {
                // all together: the same instants are what matters
                Some((true, _)) => return,
                Some((false, t)) => {
                    past.extend(t.past.clone().map(|(first, needs)| (workload.clone(), first, needs)));
                }
                None => {}
            }
        }
        self.taught.extend(workloads.iter().cloned());
        let Some(first) = past.iter().map(|p| p.1).min() else { return };
        let end = past.iter().map(|p| p.1 + PAST_STEP * p.2.len() as u32).max().unwrap_or(first);
        let steps = end.since(first).as_secs() / PAST_STEP.as_secs();
        let ahead = self.sizer.task().lead.as_secs().div_ceil(PAST_STEP.as_secs()).max(1) as usize;
        for k in 0..steps as u32 {
            let at = first + PAST_STEP * k;
            let members: Vec<(Workload, Member)> = past
                .iter()
                .filter_map(|(workload, begins, needs)| {
                    let i = (at.since(*begins).as_secs() / PAST_STEP.as_secs()) as usize;
                    let need = *needs.get(i).filter(|n| at >= *begins && n.is_finite())?;
                    let expected = expected_of_past(needs, i, ahead, PAST_STEPS_A_DAY);
                    Some((workload.clone(), Member { need, pods: need, expected }))
                })
                .collect();
            self.sizer.learn(at, &members);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demand::Estimate;

    #[test]
    fn the_lead_of_new_nodes_is_followed_once_enough_started() {
        let estimate = |secs, prior| Estimate { value: Duration::from_secs(secs), ended: 20, censored: 0, prior };
        let line = |path, prior| {
            let [p50, p95, p99] = [50, 95, 99].map(|s| estimate(s, prior));
            LeadLine { path, phase: None, p50, p95, p99 }
        };
        let warm = line(StartPath::WarmNode, false);
        assert_eq!(learned_lead(&[warm.clone(), line(StartPath::NewNode, true)]), None);
        assert_eq!(learned_lead(&[warm, line(StartPath::NewNode, false)]), Some(Duration::from_secs(95)));
    }
}
