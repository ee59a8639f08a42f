//! Warm pools: once a step the workloads' plans become sizes; a task of its own brings them about.

mod keep;
mod queues;
mod sizing;

pub(super) use keep::{Hands, keep};
pub(super) use queues::{Ears, listen};

use super::ahead::RampsAhead;
use super::events::{Events, Kind};
use super::lease::Right;
use super::polling::Sources;
use super::statez::PoolState;
use super::telling::{Told, regarding};
use super::tended::Tended;
use crate::actuate::Executor;
use crate::actuate::pool::{Backend, Kept, Standing};
use crate::clock::Clock;
use crate::config::{Config, Mode, PoolConfig};
use crate::demand::LeadLine;
use crate::error::Problem;
use crate::observe::{Cluster, Karpenter};
use crate::plan::feasibility::{Rise, infeasible};
use crate::plan::pool::{PoolReason, PoolTask};
use crate::policy::{Workload, schedule};
use crate::series::Series;
use crate::units::{MAX_REPLICAS, QuantileLevel, Time, replicas_for};
use keep::{Before, Wanted};
use queues::SeenQueues;
use sizing::{Around, Pool, Queued, learned_lead};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// The step of the history that teaches a pool at the start.
pub(super) const PAST_STEP: Duration = Duration::from_secs(300);
/// Such steps of a day.
const PAST_STEPS_A_DAY: usize = 288;

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

/// The pools of a checked config.
fn configured(config: &Config) -> BTreeMap<String, Pool> {
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
        let (shared, before, ramps) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        let queued = of.queue.is_some().then(|| Queued::new(&task));
        let config = of.clone();
        Some((name.clone(), Pool { config, task, shared, queued, before, ramps, state, empty_since: None }))
    });
    pools.collect()
}

/// All pools.
pub(super) struct Pools {
    pools: BTreeMap<String, Pool>,
    namespace: String,
    wanted: watch::Sender<Option<Wanted>>,
    /// Every workload there is has been looked at; until then nothing is wanted, or slots of those that were not would go.
    pub complete: bool,
    kept: Arc<Mutex<BTreeMap<String, Kept>>>,
    /// Told once by the task that writes; until then nothing is wanted.
    before: Arc<Mutex<Option<Before>>>,
    inherited: bool,
    nudges: Arc<Mutex<u64>>,
    queues: SeenQueues,
    nodes: Arc<Karpenter>,
    cluster: Arc<Cluster>,
    said: BTreeMap<String, Vec<String>>,
}

impl Pools {
    /// The pools of a checked config, and what their task needs.
    pub fn new(
        config: &Config,
        (client, sources, nodes, cluster): (kube::Client, Arc<Sources>, Arc<Karpenter>, Arc<Cluster>),
        executor: Arc<Executor>,
        right: Right,
        clock: Arc<dyn Clock>,
    ) -> (Pools, Hands, Ears) {
        let (pools, wanted) = Pools::of_config(config, &nodes, &cluster);
        let inherits = config.mode == Mode::Act && !config.pools.is_empty();
        let seen = pools.queues.clone();
        let ears = Ears { client: client.clone(), sources, clock: clock.clone(), config: config.clone(), seen };
        let (kept, before, nudges) = (pools.kept.clone(), pools.before.clone(), pools.nudges.clone());
        (pools, Hands { client, executor, nodes, cluster, right, clock, wanted, kept, inherits, before, nudges }, ears)
    }

    fn of_config(
        config: &Config,
        nodes: &Arc<Karpenter>,
        cluster: &Arc<Cluster>,
    ) -> (Pools, watch::Receiver<Option<Wanted>>) {
        let (wanted, received) = watch::channel(None);
        let pools = Pools {
            pools: configured(config),
            namespace: config.lease.namespace.clone(),
            wanted,
            complete: false,
            kept: Arc::default(),
            before: Arc::default(),
            inherited: false,
            nudges: Arc::default(),
            queues: SeenQueues::default(),
            nodes: nodes.clone(),
            cluster: cluster.clone(),
            said: BTreeMap::new(),
        };
        (pools, received)
    }

    /// The pool of a workload, and the others that claim it too.
    fn of(&self, tended: &Tended) -> (Option<&String>, Vec<&String>) {
        if let Some(named) = tended.sight.view.annotations.get("forescale.dev/pool") {
            let named = self.pools.get_key_value(named).filter(|(_, pool)| pool.config.is_for(tended));
            return (named.map(|(name, _)| name), Vec::new());
        }
        let mut claim: Vec<&String> =
            self.pools.iter().filter(|(_, p)| p.config.claims(tended)).map(|(name, _)| name).collect();
        if claim.is_empty() {
            return (None, claim);
        }
        let first = claim.remove(0);
        (Some(first), claim)
    }

    /// Sizes every pool from the plans of this step. `lines`: lead times of all workloads together.
    pub fn step(
        &mut self,
        now: Time,
        tended: &mut BTreeMap<Workload, (Tended, Told)>,
        config: &Config,
        lines: &[LeadLine],
    ) {
        if self.pools.is_empty() {
            self.wanted.send_replace((config.mode == Mode::Act).then(Wanted::default));
            return;
        }
        if !self.complete {
            return;
        }
        let mut members: BTreeMap<String, BTreeMap<String, Vec<Workload>>> = BTreeMap::new();
        let mut problems: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (workload, (t, _)) in tended.iter() {
            let (pool, others) = self.of(t);
            // wrong annotations change nothing as long as its last plan is valid
            let counts = t.policy.is_some() || t.decision.as_ref().is_some_and(|d| d.plan.valid_until > now);
            if let Some(pool) = pool.filter(|_| counts) {
                let shapes = members.entry(pool.clone()).or_default();
                shapes.entry(t.sight.slot.shape.key()).or_default().push(workload.clone());
                for other in others {
                    let words = format!("pools {pool} and {other} both claim {workload}: it counts for {pool} alone");
                    problems.entry(pool.clone()).or_default().push(words.clone());
                    problems.entry(other.clone()).or_default().push(words);
                }
            }
            if let (None, Some(named)) = (pool, t.sight.view.annotations.get("forescale.dev/pool")) {
                let words =
                    format!("{workload} names the pool {named}, which the config does not have for its namespace");
                problems.entry(String::new()).or_default().push(words);
            }
        }
        if let Some(before) = self.before.lock().unwrap_or_else(PoisonError::into_inner).take() {
            self.inherited = true;
            for ((pool, placement), slots) in before {
                if let Some(pool) = self.pools.get_mut(&pool) {
                    pool.before.insert(placement, slots);
                }
            }
        }
        let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let claims = self.nodes.claims();
        let settled = claims.iter().all(|c| c.initialized.is_some());
        let learned = learned_lead(lines);
        let mut wanted = Wanted::default();
        for (name, pool) in &mut self.pools {
            let shapes = members.remove(name).unwrap_or_default();
            pool.follow(learned);
            let around =
                Around { room: kept.get(name).and_then(|k| k.room), claims: &claims, namespace: &self.namespace };
            let mut own = problems.remove(name).unwrap_or_default();
            let sets = match (&pool.queued, queues.get(name)) {
                (None, _) => Some(pool.size(now, name, &shapes, tended, config, &around)),
                (Some(_), None) => None,
                (Some(_), Some(seen)) => {
                    own.extend(seen.problems.iter().cloned());
                    pool.size_queue(now, name, seen, config.workloads.step, &around)
                }
            };
            own.extend(pool.fits(&self.nodes));
            if let Some(kept) = kept.get(name) {
                own.extend(kept.problems.iter().cloned());
                own.extend(kept.why.clone());
                pool.state.backend = kept.backend.as_ref().map(Backend::name).map(str::to_owned);
                pool.state.ready = kept.ready;
                own.extend(pool.stays_empty(now));
            }
            pool.state.problems = own;
            let Some(sets) = sets else {
                wanted.unknown.insert(name.clone());
                continue;
            };
            wanted.standings.push(Standing {
                pool: name.clone(),
                namespace: pool.config.slot_namespace.clone().unwrap_or_else(|| self.namespace.clone()),
                sets,
                reason: pool.state.reason.unwrap_or(PoolReason::HoldStale),
                choice: pool.config.backend,
                nodes_settled: settled,
            });
        }
        self.wanted.send_replace((config.mode == Mode::Act && self.inherited).then_some(wanted));
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
            } else if pool.queued.is_some() {
                pool.state
                    .problems
                    .iter()
                    .filter(|p| !said.contains(p))
                    .for_each(|p| tracing::warn!("warm pool {name}: {p}"));
                *said = pool.state.problems.clone();
            }
        }
    }

    /// Says of each workload, once per change, what the hours ahead will want and not get.
    pub fn foresee(
        &mut self,
        ahead: &[RampsAhead],
        tended: &mut BTreeMap<Workload, (Tended, Told)>,
        events: Option<&Events>,
        now: Time,
    ) {
        let pools: Vec<_> = self.nodes.pools().iter().map(|p| p.as_ref().clone()).collect();
        for pool in self.pools.values_mut() {
            let own = ahead.iter().filter(|look| pool.state.members.contains(&look.workload.to_string()));
            pool.ramps = own.flat_map(|look| look.ramps.iter().map(|ramp| ramp.span)).collect();
        }
        for look in ahead {
            let Some((t, _)) = tended.get_mut(&look.workload) else { continue };
            let max_replicas = t.policy.as_ref().map_or(MAX_REPLICAS, |p| p.max_replicas);
            let slot = t.sight.slot.clone();
            let running = t.sight.observation.replicas;
            let quotas = self.cluster.quotas(&look.workload.namespace);
            let found = look.ramps.iter().flat_map(|ramp| {
                let at = ramp.span.from;
                let (requests, placement) = (&slot.shape.requests, &look.placement);
                infeasible(
                    &Rise { at, now: running, low: ramp.low, high: ramp.high, max_replicas, requests, placement },
                    &pools,
                    &quotas,
                )
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
    /// Whether workloads of its namespace may have slots of it.
    fn is_for(&self, tended: &Tended) -> bool {
        self.namespace.as_ref().is_none_or(|n| *n == tended.sight.workload().namespace)
    }

    fn claims(&self, tended: &Tended) -> bool {
        let slot = &tended.sight.slot;
        let labelled = !self.selector.is_empty() && self.selector.iter().all(|(k, v)| slot.labels.get(k) == Some(v));
        let selects = tended.sight.placement.node_selector.get(crate::plan::nodes::NODE_POOL_LABEL);
        let nodes = self.selector.is_empty() && self.node_pool.is_some() && self.node_pool.as_ref() == selects;
        self.is_for(tended) && (labelled || nodes)
    }
}

/// Replicas that a recorded load needed, every five minutes of two weeks; NaN where it is not known.
pub(super) fn past_needs(history: &Series, capacity: f64) -> Option<(Time, Vec<f32>)> {
    /// Two weeks.
    const KEPT: usize = 14 * PAST_STEPS_A_DAY;
    let stride = PAST_STEP;
    let every = (stride.as_secs() / u64::from(history.step().secs())).max(1) as usize;
    let first = history.len().saturating_sub(KEPT * every);
    // the same instants for every workload
    let first = (first..history.len()).find(|i| history.at(*i).secs() % stride.as_secs() as i64 == 0)?;
    let need = |i: usize| history.get(i).measured().map_or(f32::NAN, |load| replicas_for(load, capacity) as f32);
    let usable = capacity.is_finite() && capacity > 0.0;
    usable.then(|| (history.at(first), (first..history.len()).step_by(every).map(need).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actuate::pool::PodShape;
    use queues::Seen;

    const CONFIG: &str = r#"
mode = "act"
[sources.main]
kind = "prometheus"
url = "http://prometheus:9090/"
[pools.web]
selector = "team=shop"
[pools.gpu]
arrivals = "sum(x)"
pod_template = "batch/gpu-worker"
"#;

    #[test]
    fn slots_are_wanted_only_where_what_they_are_for_is_known() {
        let config = Config::assemble(Some(("forescale.toml", CONFIG)), [], &[]).unwrap();
        let (mut pools, wanted) = Pools::of_config(&config, &Arc::default(), &Arc::default());
        let step = |pools: &mut Pools| {
            pools.step(Time::from_secs(60), &mut BTreeMap::new(), &config, &[]);
            let wanted = wanted.borrow().clone()?;
            let known: Vec<String> = wanted.standings.iter().map(|s| s.pool.clone()).collect();
            Some((known, wanted.unknown.into_iter().collect::<Vec<_>>()))
        };
        *pools.before.lock().unwrap() = Some(Before::new());
        assert_eq!(step(&mut pools), None, "workloads have not been listed: none of them is no reason to delete slots");
        pools.complete = true;
        let (web, gpu) = (vec!["web".to_owned()], vec!["gpu".to_owned()]);
        assert_eq!(step(&mut pools), Some((web.clone(), gpu.clone())), "the queue has not been asked for");
        let seen = Seen { problems: vec!["PodTemplate batch/gpu-worker: 503".into()], ..Seen::default() };
        pools.queues.lock().unwrap().insert("gpu".into(), seen.clone());
        assert_eq!(step(&mut pools), Some((web, gpu)), "what its pods look like is not known");
        assert_eq!(pools.states()[0].problems, seen.problems);
        pools.queues.lock().unwrap().insert("gpu".into(), Seen { shape: Some(PodShape::default()), ..seen });
        assert_eq!(step(&mut pools), Some((vec!["gpu".into(), "web".into()], Vec::new())));
    }
}
