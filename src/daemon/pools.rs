//! Warm pools: once a step the workloads' plans become sizes; a task of its own brings them about.

use super::ahead::RampsAhead;
use super::events::{Events, Kind};
use super::lease::Right;
use super::statez::PoolState;
use super::telling::{Told, regarding};
use super::tended::Tended;
use crate::actuate::pool::{self, Backend, Keeper, Kept, PAUSE_IMAGE, PodShape, SlotSet, Standing};
use crate::clock::Clock;
use crate::config::{Config, Mode, PoolConfig};
use crate::error::Problem;
use crate::observe::{Capability, Cluster, Karpenter};
use crate::plan::Standing as Known;
use crate::plan::feasibility::{Rise, infeasible};
use crate::plan::pool::{Bounds, Member, PerZone, PoolReason, PoolSizer, PoolTask, Sizing, expected, gangs, per_zone};
use crate::policy::{Workload, schedule};
use crate::series::Series;
use crate::units::{MAX_REPLICAS, QuantileLevel, Time, replicas_for};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How often pools are looked at, changed or not: placeholders are to be seen within a moment.
const ROUND: Duration = Duration::from_secs(5);
/// How often objects of pools that nobody answers for are looked for.
const SWEEP: Duration = Duration::from_secs(60);
/// How long no slot may be ready, at least, before it is said.
const EMPTY_FOR: Duration = Duration::from_secs(300);
/// The step of the history that teaches a pool at the start.
pub(super) const PAST_STEP: Duration = Duration::from_secs(300);

/// Checks what the config says of pools beyond its form. Gives every problem.
pub fn check(config: &Config) -> Vec<Problem> {
    let windows = config.pools.values().filter_map(|p| p.windows.as_ref());
    let mut problems: Vec<Problem> = windows
        .filter_map(|(at, text)| Some(Problem::new(at, schedule::parse(text).err()?.join(", and "), text.as_str())))
        .collect();
    for (name, pool) in &config.pools {
        for (other, of) in config.pools.range(name.clone()..).skip(1) {
            let same = !pool.selector.is_empty() && pool.selector == of.selector;
            if same && (pool.namespace == of.namespace || pool.namespace.is_none() || of.namespace.is_none()) {
                let expected = format!("other workloads than those of pools.{name}");
                problems.push(Problem::new(format!("pools.{other}.selector"), expected, "the same labels"));
            }
        }
    }
    problems
}

/// Pods of one placement within a pool: they share slots.
struct Shared {
    sizer: PoolSizer<Workload>,
    taught: BTreeSet<Workload>,
    sizing: Option<Sizing>,
}

/// One pool.
struct Pool {
    config: PoolConfig,
    task: PoolTask,
    shared: BTreeMap<String, Shared>,
    state: PoolState,
    /// Since when slots are wanted and none is ready.
    empty_since: Option<Time>,
}

/// All pools.
pub(super) struct Pools {
    pools: BTreeMap<String, Pool>,
    namespace: String,
    wanted: watch::Sender<Option<Vec<Standing>>>,
    kept: Arc<Mutex<BTreeMap<String, Kept>>>,
    nudges: Arc<Mutex<u64>>,
    nodes: Arc<Karpenter>,
    said: BTreeMap<String, Vec<String>>,
}

/// What the task that writes is given.
pub(super) struct Hands {
    pub client: kube::Client,
    pub nodes: Arc<Karpenter>,
    pub cluster: Arc<Cluster>,
    pub right: Right,
    pub clock: Arc<dyn Clock>,
    wanted: watch::Receiver<Option<Vec<Standing>>>,
    kept: Arc<Mutex<BTreeMap<String, Kept>>>,
    nudges: Arc<Mutex<u64>>,
}

impl Pools {
    /// The pools of a checked config, and what their task needs.
    pub fn new(
        config: &Config,
        client: kube::Client,
        nodes: Arc<Karpenter>,
        cluster: Arc<Cluster>,
        right: Right,
        clock: Arc<dyn Clock>,
    ) -> (Pools, Hands) {
        let (wanted, received) = watch::channel(None);
        let (kept, nudges) = (Arc::default(), Arc::default());
        let pools = config.pools.iter().filter_map(|(name, of)| {
            let windows = of.windows.as_ref().and_then(|(_, text)| schedule::parse(text).ok()).unwrap_or_default();
            let task = PoolTask {
                lead: of.lead_time,
                objective: QuantileLevel::new(of.objective)?,
                max_slots: of.max_slots,
                time_zone: config.workloads.time_zone.clone(),
                windows,
            };
            let state = PoolState { name: name.clone(), ..PoolState::default() };
            Some((name.clone(), Pool { config: of.clone(), task, shared: BTreeMap::new(), state, empty_since: None }))
        });
        let pools = Pools {
            pools: pools.collect(),
            namespace: config.lease.namespace.clone(),
            wanted,
            kept: Arc::clone(&kept),
            nudges: Arc::clone(&nudges),
            nodes: nodes.clone(),
            said: BTreeMap::new(),
        };
        (pools, Hands { client, nodes, cluster, right, clock, wanted: received, kept, nudges })
    }

    /// The pool of a workload, and the others that claim it too.
    fn of(&self, tended: &Tended) -> (Option<&String>, Vec<&String>) {
        if let Some(named) = tended.sight.view.annotations.get("forescale.dev/pool") {
            return (self.pools.get_key_value(named).map(|(name, _)| name), Vec::new());
        }
        let mut claim: Vec<&String> =
            self.pools.iter().filter(|(_, p)| p.config.claims(tended)).map(|(name, _)| name).collect();
        if claim.is_empty() {
            return (None, claim);
        }
        let first = claim.remove(0);
        (Some(first), claim)
    }

    /// Sizes every pool from the plans of this step.
    pub fn step(&mut self, now: Time, tended: &mut BTreeMap<Workload, (Tended, Told)>, config: &Config) {
        if self.pools.is_empty() {
            self.wanted.send_replace((config.mode == Mode::Act).then(Vec::new));
            return;
        }
        let mut members: BTreeMap<String, BTreeMap<String, Vec<Workload>>> = BTreeMap::new();
        let mut problems: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (workload, (t, _)) in tended.iter() {
            let (pool, others) = self.of(t);
            if let Some(pool) = pool.filter(|_| t.policy.is_some()) {
                let shapes = members.entry(pool.clone()).or_default();
                shapes.entry(t.sight.slot.shape.key()).or_default().push(workload.clone());
                for other in others {
                    let words = format!("pools {pool} and {other} both claim {workload}: it counts for {pool} alone");
                    problems.entry(pool.clone()).or_default().push(words.clone());
                    problems.entry(other.clone()).or_default().push(words);
                }
            }
            if let (None, Some(named)) = (pool, t.sight.view.annotations.get("forescale.dev/pool")) {
                let words = format!("{workload} names the pool {named}, which the config does not have");
                problems.entry(String::new()).or_default().push(words);
            }
        }
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let settled = self.nodes.claims().iter().all(|c| c.initialized.is_some());
        let mut standings = Vec::new();
        for (name, pool) in &mut self.pools {
            let shapes = members.remove(name).unwrap_or_default();
            let sets = pool.size(now, name, &shapes, tended, config, &self.namespace);
            let mut own = problems.remove(name).unwrap_or_default();
            own.extend(pool.fits(&self.nodes));
            if let Some(kept) = kept.get(name) {
                own.extend(kept.problems.iter().cloned());
                own.extend(kept.why.clone());
                pool.state.backend = kept.backend.as_ref().map(Backend::name).map(str::to_owned);
                pool.state.ready = kept.ready;
                own.extend(pool.stays_empty(now));
            }
            pool.state.problems = own;
            standings.push(Standing {
                pool: name.clone(),
                namespace: pool.config.slot_namespace.clone().unwrap_or_else(|| self.namespace.clone()),
                sets,
                reason: pool.state.reason.unwrap_or(PoolReason::HoldStale),
                choice: pool.config.backend,
                nodes_settled: settled,
            });
        }
        self.wanted.send_replace((config.mode == Mode::Act).then_some(standings));
    }

    /// Says what is new about pools, on the first of their workloads.
    pub fn tell(&mut self, tended: &BTreeMap<Workload, (Tended, Told)>, events: &Events, now: Time) {
        for (name, pool) in &self.pools {
            let said = self.said.entry(name.clone()).or_default();
            if *said == pool.state.problems {
                continue;
            }
            let about = tended.iter().find(|(w, _)| pool.state.members.contains(&w.to_string()));
            if let Some((_, (about, _))) = about {
                for problem in pool.state.problems.iter().filter(|p| !said.contains(p)) {
                    events.say(&regarding(about), Kind::WarmPool, format!("warm pool {name}: {problem}"), now);
                }
                *said = pool.state.problems.clone();
            }
        }
    }

    /// Says of each workload, once per change, what the hours ahead will want and not get.
    pub fn foresee(
        &self,
        ahead: &[RampsAhead],
        tended: &mut BTreeMap<Workload, (Tended, Told)>,
        events: Option<&Events>,
        now: Time,
    ) {
        let pools: Vec<_> = self.nodes.pools().iter().map(|p| p.as_ref().clone()).collect();
        for look in ahead {
            let Some((t, _)) = tended.get_mut(&look.workload) else { continue };
            let max_replicas = t.policy.as_ref().map_or(MAX_REPLICAS, |p| p.max_replicas);
            let slot = t.sight.slot.clone();
            let found = look.ramps.iter().flat_map(|ramp| {
                let at = ramp.span.from;
                let (requests, placement) = (&slot.shape.requests, &look.placement);
                infeasible(&Rise { at, low: ramp.low, high: ramp.high, max_replicas, requests, placement }, &pools)
            });
            let words: Vec<String> = found.map(|f| f.to_string()).collect();
            for word in words.iter().filter(|w| !t.unfit.contains(w)) {
                if let Some(events) = events {
                    events.say(&regarding(t), Kind::Infeasible, word.clone(), now);
                }
            }
            t.unfit = words;
        }
    }

    /// For `/statez`.
    pub fn states(&self) -> Vec<PoolState> {
        let nudges = *self.nudges.lock().unwrap_or_else(PoisonError::into_inner);
        self.pools.values().map(|p| PoolState { nudges, ..p.state.clone() }).collect()
    }
}

impl PoolConfig {
    fn claims(&self, tended: &Tended) -> bool {
        let slot = &tended.sight.slot;
        let here = self.namespace.as_ref().is_none_or(|n| *n == tended.sight.workload().namespace);
        let labelled = !self.selector.is_empty() && self.selector.iter().all(|(k, v)| slot.labels.get(k) == Some(v));
        let selects = tended.sight.placement.node_selector.get(crate::plan::nodes::NODE_POOL_LABEL);
        let nodes = self.selector.is_empty() && self.node_pool.is_some() && self.node_pool.as_ref() == selects;
        here && (labelled || nodes)
    }
}

impl Pool {
    /// The slots of each placement, laid out over zones and gangs.
    fn size(
        &mut self,
        now: Time,
        name: &str,
        shapes: &BTreeMap<String, Vec<Workload>>,
        tended: &mut BTreeMap<Workload, (Tended, Told)>,
        config: &Config,
        namespace: &str,
    ) -> Vec<SlotSet> {
        // a placement that is not there any more takes its slots with it
        self.shared.retain(|key, _| shapes.contains_key(key));
        let mut sets = Vec::new();
        self.state.members = shapes.values().flatten().map(ToString::to_string).collect();
        let mut cap = self.task.max_slots;
        for (key, workloads) in shapes {
            let shared = self.shared.entry(key.clone()).or_insert_with(|| Shared {
                sizer: PoolSizer::new(self.task.clone()),
                taught: BTreeSet::new(),
                sizing: None,
            });
            shared.teach(workloads, tended);
            let mut shape: Option<PodShape> = None;
            let (mut members, mut fresh) = (Vec::new(), true);
            for workload in workloads {
                let Some((t, _)) = tended.get(workload) else { continue };
                let own = &t.sight.slot.shape;
                shape.get_or_insert_with(|| own.clone()).cover(own);
                let Some(decision) = &t.decision else { continue };
                fresh &= decision.evidence.standing != Known::Stale;
                // a load that is not known is not zero: the pool waits for it; a workload of schedules alone has none
                let (Some(need), Some(load)) = (decision.plan.parts.reactive, t.newest_load()) else {
                    fresh &= t.policy.as_ref().is_some_and(|p| p.metrics.is_empty());
                    continue;
                };
                let forecast = decision.forecasts.first().and_then(Option::as_ref);
                let ahead = expected(need, load, forecast, config.workloads.step, self.task.lead);
                let member = Member { need: need as f32, pods: decision.plan.replicas as f32, expected: ahead };
                members.push((workload.clone(), member));
            }
            let quota = Some(cap);
            let sizing = shared.sizer.advance(now, &members, Bounds { quota, fresh: fresh && !members.is_empty() });
            cap = cap.saturating_sub(sizing.slots);
            if let Some(shape) = shape {
                sets.extend(self.config.lay_out(name, sizing.slots, &shape, namespace));
            }
            shared.sizing = Some(sizing);
        }
        let sizings = || self.shared.values().filter_map(|s| s.sizing.as_ref());
        self.state.slots = sets.iter().map(|s| s.slots).sum();
        self.state.reason = sizings().max_by_key(|s| s.slots).map(|s| s.reason);
        self.state.hit_rate = sizings().filter_map(|s| s.hit_rate).reduce(f64::min);
        self.state.scenarios = sizings().map(|s| s.scenarios).min().unwrap_or(0);
        self.state.shortfall = sizings().map(|s| s.shortfall).sum();
        sets
    }

    /// Slots are wanted, and for three lead times (five minutes at least) none has become ready.
    fn stays_empty(&mut self, now: Time) -> Option<String> {
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
    fn fits(&self, nodes: &Karpenter) -> Option<String> {
        let wanted = self.config.node_pool.as_ref()?;
        let known = matches!(nodes.karpenter(), Capability::Served(_)) && nodes.synced();
        let there = nodes.pools().iter().any(|p| p.name == *wanted);
        (known && !there).then(|| format!("the NodePool {wanted} is not there: slots of it stay Pending"))
    }
}

impl PoolConfig {
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
        for k in 0..steps as u32 {
            let at = first + PAST_STEP * k;
            let members: Vec<(Workload, Member)> = past
                .iter()
                .filter_map(|(workload, begins, needs)| {
                    let i = (at.since(*begins).as_secs() / PAST_STEP.as_secs()) as usize;
                    let need = *needs.get(i).filter(|n| at >= *begins && n.is_finite())?;
                    Some((workload.clone(), Member { need, pods: need, expected: need }))
                })
                .collect();
            self.sizer.learn(at, &members);
        }
    }
}

/// Brings about what is wanted until told to stop.
pub(super) async fn keep(mut hands: Hands, mut stop: watch::Receiver<bool>) {
    let mut keeper = Keeper::new(hands.client.clone());
    let mut swept: Option<Time> = None;
    loop {
        tokio::select! {
            () = super::told_to_stop(&mut stop) => return,
            changed = tokio::time::timeout(ROUND, hands.wanted.changed()) => {
                if matches!(changed, Ok(Err(_))) {
                    return;
                }
            }
        }
        let wanted = hands.wanted.borrow_and_update().clone();
        let (Some(mut standings), true) = (wanted, hands.right.held()) else { continue };
        let Some(served) = served(&hands.nodes) else { continue };
        let now = hands.clock.now();
        if swept.is_none_or(|t| now.since(t) >= SWEEP) {
            match pool::ours(&hands.client, &served).await {
                Ok(found) => standings.extend(left_over(&standings, found)),
                Err(error) => tracing::warn!(%error, "warm pools cannot be listed"),
            }
            swept = Some(now);
        }
        let mut kept = BTreeMap::new();
        for standing in &standings {
            let fence = || {
                hands.right.check()?;
                match hands.cluster.stopped(&standing.namespace) {
                    Some(stop) => Err(format!("stopped by {stop}")),
                    None => Ok(()),
                }
            };
            let result = keeper.keep(now, standing, &served, &fence).await;
            if result.writes > 0 {
                let slots: u32 = standing.sets.iter().map(|s| s.slots).sum();
                tracing::info!(pool = %standing.pool, slots, backend = ?result.backend, "warm pool written");
            }
            kept.insert(standing.pool.clone(), result);
        }
        let placeholders = |s: &&Standing| {
            kept.get(&s.pool).is_some_and(|k: &Kept| k.backend == Some(Backend::Placeholders) && k.ready > 0)
        };
        let namespaces: BTreeSet<String> = standings.iter().filter(placeholders).map(|s| s.namespace.clone()).collect();
        if !namespaces.is_empty() {
            match keeper.nudge(now, &namespaces, &|| hands.right.check()).await {
                Ok(n) => *hands.nudges.lock().unwrap_or_else(PoisonError::into_inner) += n,
                Err(error) => tracing::warn!(%error, "stuck pods cannot be looked for"),
            }
        }
        *hands.kept.lock().unwrap_or_else(PoisonError::into_inner) = kept;
    }
}

/// Replicas that a recorded load needed, every five minutes of two weeks; NaN where it is not known.
pub(super) fn past_needs(history: &Series, capacity: f64) -> Option<(Time, Vec<f32>)> {
    /// Two weeks.
    const KEPT: usize = 14 * 288;
    let stride = PAST_STEP;
    let every = (stride.as_secs() / u64::from(history.step().secs())).max(1) as usize;
    let first = history.len().saturating_sub(KEPT * every);
    // the same instants for every workload
    let first = (first..history.len()).find(|i| history.at(*i).secs() % stride.as_secs() as i64 == 0)?;
    let need = |i: usize| history.get(i).measured().map_or(f32::NAN, |load| replicas_for(load, capacity) as f32);
    let usable = capacity.is_finite() && capacity > 0.0;
    usable.then(|| (history.at(first), (first..history.len()).step_by(every).map(need).collect()))
}

/// Versions of CapacityBuffer there are. None: not known so far.
fn served(nodes: &Karpenter) -> Option<Vec<String>> {
    match nodes.buffers() {
        Capability::Served(versions) => Some(versions),
        Capability::Absent => Some(Vec::new()),
        Capability::Unknown => None,
    }
}

/// Pools that are there and that nobody wants any more: everything of them goes.
fn left_over(standings: &[Standing], found: Vec<(String, String, pool::PoolLedger)>) -> Vec<Standing> {
    let known = |namespace: &str, pool: &str| standings.iter().any(|s| s.pool == pool && s.namespace == namespace);
    let gone: BTreeSet<(String, String)> =
        found.into_iter().map(|(n, p, _)| (n, p)).filter(|(n, p)| !known(n, p)).collect();
    let gone = gone.into_iter().map(|(namespace, pool)| Standing {
        pool,
        namespace,
        sets: Vec::new(),
        reason: PoolReason::Settled,
        choice: crate::config::BackendChoice::Auto,
        nodes_settled: false,
    });
    gone.collect()
}
