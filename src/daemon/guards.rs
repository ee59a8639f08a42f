//! Guards around forecast ramps: which NodePools, when, and what came of it. A task of its own, so that a NodePool that
//! fails or waits holds up nothing else.

use super::Right;
use super::ahead::RampsAhead;
use super::board::Board;
use super::events::{Events, Kind, Regarding, Subject};
use super::statez::GuardState;
use crate::actuate::{Executor, WriteError};
use crate::clock::{Clock, Deadline};
use crate::config::{Config, Mode};
use crate::observe::{Cluster, Karpenter};
use crate::plan::guard::{
    GUARDS, GuardActions, GuardLedger, GuardOutcome, NodeMark, PoolState, Span, decide, merge, node_marks, waves,
};
use crate::plan::nodes::{NodePoolView, NodeView};
use crate::units::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Pause between two looks where nothing changes.
const LOOK: Duration = Duration::from_secs(30);
/// Changes within this time are looked at together.
const DEBOUNCE: Duration = Duration::from_secs(1);
/// Spans closer than this are one.
const GAP: Duration = Duration::from_secs(10 * 60);
/// First and longest pause after a failed write.
const PAUSE_FIRST: Duration = Duration::from_secs(10);
const PAUSE_MAX: Duration = Duration::from_secs(600);
/// Nodes marked in one look at most.
const MARKS_MAX: usize = 200;

/// All that the loop works with.
pub(super) struct Guards {
    pub config: Config,
    pub clock: Arc<dyn Clock>,
    pub cluster: Arc<Cluster>,
    pub karpenter: Arc<Karpenter>,
    pub executor: Arc<Executor>,
    pub events: Events,
    pub right: Right,
    pub board: Arc<Board>,
    pub ahead: watch::Receiver<Arc<Vec<RampsAhead>>>,
    pub told: BTreeMap<String, Told>,
}

/// What is remembered of a NodePool.
#[derive(Debug, Default)]
pub(super) struct Told {
    outcome: Option<GuardOutcome>,
    rehearsed: Vec<Span>,
    failures: u32,
    retry: Option<Deadline>,
    problem: Option<String>,
    waves: BTreeSet<(Time, usize)>,
}

/// What is wanted of one NodePool.
#[derive(Debug, Default)]
struct Wanted {
    /// For workloads whose decisions are written.
    act: Vec<Span>,
    /// For all.
    all: Vec<Span>,
    workloads: BTreeSet<String>,
}

impl Guards {
    /// Runs until told to stop. Guards that stand then lapse by themselves.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        if self.config.guards.mode.is_none() {
            return;
        }
        loop {
            tokio::select! {
                () = super::told_to_stop(&mut stop) => return,
                () = self.karpenter.changed() => tokio::time::sleep(DEBOUNCE).await,
                Ok(()) = self.ahead.changed() => tokio::time::sleep(DEBOUNCE).await,
                () = tokio::time::sleep(LOOK) => {}
            }
            if self.karpenter.synced() {
                tokio::select! {
                    () = super::told_to_stop(&mut stop) => return,
                    () = self.round() => {}
                }
            }
        }
    }

    /// One look at every NodePool.
    async fn round(&mut self) {
        let now = self.clock.now();
        let pools = self.karpenter.pools();
        let ahead = self.ahead.borrow_and_update().clone();
        let wanted = wanted(&pools, &ahead, self.config.guards.before);
        let nodes = self.karpenter.nodes();
        let claims = self.karpenter.claims();
        let claims: Vec<_> = claims.iter().map(Arc::as_ref).collect();
        let spans: BTreeMap<String, Vec<Span>> = wanted.iter().map(|(p, w)| (p.clone(), w.all.clone())).collect();
        let coming = waves(&claims, &spans, now);
        let known: BTreeSet<&String> = pools.iter().map(|p| &p.name).collect();
        self.told.retain(|name, _| known.contains(name));
        let mut shown = Vec::new();
        let mut kept_nodes = BTreeSet::new();
        for pool in &pools {
            let none = Wanted::default();
            let wanted = wanted.get(&pool.name).unwrap_or(&none);
            let mut state = self.pool(pool, wanted, now).await;
            state.waves = coming.iter().filter(|w| w.pool == pool.name).cloned().collect();
            self.tell_waves(pool, &state, now);
            let own: Vec<&NodeView> = nodes.iter().map(Arc::as_ref).filter(|n| n.pool() == Some(&pool.name)).collect();
            let marks = node_marks(now, &own, unguarded(&state, wanted));
            state.marked_nodes = self.mark(pool, marks, &own, now).await;
            kept_nodes.extend(own.iter().map(|n| n.name.clone()));
            if !state.wanted.is_empty()
                || !state.standing.is_empty()
                || state.marked_nodes > 0
                || state.problem.is_some()
            {
                shown.push(state);
            }
        }
        // nodes whose pool is gone
        let others: Vec<&NodeView> = nodes.iter().map(Arc::as_ref).filter(|n| !kept_nodes.contains(&n.name)).collect();
        for mark in node_marks(now, &others, &[]) {
            self.write_mark(&mark).await;
        }
        self.board.show_guards(shown);
    }

    /// True where this copy writes now.
    fn writes(&self) -> bool {
        self.config.mode == Mode::Act && self.right.held() && self.cluster.stopped("").is_none()
    }

    async fn pool(&mut self, pool: &NodePoolView, wanted: &Wanted, now: Time) -> GuardState {
        let mut shown = GuardState {
            pool: pool.name.clone(),
            mode: self.config.guards.mode.unwrap_or(Mode::Observe).min(self.config.mode),
            wanted: wanted.all.clone(),
            workloads: wanted.workloads.iter().cloned().collect(),
            standing: Vec::new(),
            outcome: GuardOutcome::Kept,
            marked_nodes: 0,
            waves: Vec::new(),
            problem: None,
        };
        let ledger = match pool.annotations.get(GUARDS).map(|text| GuardLedger::parse(text)).transpose() {
            Ok(ledger) => ledger,
            Err(error) => {
                self.refused(pool, &error.to_string(), now);
                shown.problem = Some(error.to_string());
                return shown;
            }
        };
        let state = PoolState { budgets: pool.budgets.clone(), ledger };
        let acting = shown.mode == Mode::Act;
        // without the right to guard, what stands is cleared away in its time and nothing is added
        let spans = if acting { wanted.act.clone() } else { Vec::new() };
        let seen = decide(now, &state, &spans);
        shown.outcome = seen.outcome;
        shown.standing = seen.standing.clone();
        if seen.write.is_some() && self.writes() {
            match self.write(pool, &spans).await {
                Some(Ok(actions)) => {
                    shown.outcome = actions.outcome;
                    shown.standing = actions.standing.clone();
                    self.tell(pool, &actions, wanted, now);
                }
                Some(Err(error)) => self.failed(pool, error, now),
                None => {}
            }
        } else if acting && self.writes() {
            self.tell(pool, &seen, wanted, now);
        } else if !acting {
            self.rehearse(pool, &state, wanted, now);
        }
        shown.problem = self.told.get(&pool.name).and_then(|t| t.problem.clone());
        shown
    }

    /// None: the last failure is not long enough ago.
    async fn write(&mut self, pool: &NodePoolView, spans: &[Span]) -> Option<Result<GuardActions, WriteError>> {
        let told = self.told.entry(pool.name.clone()).or_default();
        if told.retry.is_some_and(|retry| !retry.passed()) {
            return None;
        }
        let (right, cluster, clock) = (self.right.clone(), self.cluster.clone(), self.clock.clone());
        let fence = move || right.check().and_then(|()| cluster.unstopped(""));
        let decide = move |state: &PoolState| decide(clock.now(), state, spans);
        Some(self.executor.guard(&pool.name, &fence, &decide).await)
    }

    fn failed(&mut self, pool: &NodePoolView, error: WriteError, now: Time) {
        self.board.metrics.write_failed(error.kind());
        let told = self.told.entry(pool.name.clone()).or_default();
        told.failures = told.failures.saturating_add(1);
        let pause = PAUSE_FIRST.saturating_mul(1 << told.failures.saturating_sub(1).min(10)).min(PAUSE_MAX);
        told.retry = Some(Deadline::after(pause));
        told.problem = Some(error.to_string());
        tracing::warn!(node_pool = pool.name, %error, "guard");
        if !matches!(error, WriteError::Fenced(_) | WriteError::Conflict(_) | WriteError::Gone(_)) {
            self.events.say(&regarding(pool), Kind::WriteFailed, error.to_string(), now);
        }
    }

    fn refused(&mut self, pool: &NodePoolView, why: &str, now: Time) {
        let told = self.told.entry(pool.name.clone()).or_default();
        if told.problem.as_deref() != Some(why) {
            told.problem = Some(why.to_owned());
            if self.right.held() {
                self.events.say(&regarding(pool), Kind::GuardRefused, why, now);
            }
        }
    }

    /// Says what is new, once.
    fn tell(&mut self, pool: &NodePoolView, actions: &GuardActions, wanted: &Wanted, now: Time) {
        if actions.write.is_some() {
            self.board.metrics.guards.wrote(actions.outcome);
        }
        let about = regarding(pool);
        let news = {
            let told = self.told.entry(pool.name.clone()).or_default();
            (told.failures, told.retry) = (0, None);
            let news = told.outcome != Some(actions.outcome) || actions.write.is_some();
            told.outcome = Some(actions.outcome);
            if !matches!(actions.outcome, GuardOutcome::Full | GuardOutcome::Frozen) {
                told.problem = None;
            }
            news
        };
        let workloads: Vec<&str> = wanted.workloads.iter().take(5).map(String::as_str).collect();
        let (spans, workloads) = (words(&actions.standing), workloads.join(", "));
        match actions.outcome {
            GuardOutcome::Guarded if news => {
                let note = format!("no consolidation {spans}: a forecast ramp of {workloads}");
                self.events.say(&about, Kind::Guarded, note, now);
            }
            GuardOutcome::Reverted if news => {
                let note = format!("somebody took the guard away; written again ({spans})");
                self.events.say(&about, Kind::GuardContested, note, now);
            }
            GuardOutcome::Contested if news => {
                let note = "somebody took the guard away three times in 30 minutes: budgets are left alone for 6 hours; nodes get karpenter.sh/do-not-disrupt during ramps instead. Ignore spec.disruption.budgets in Git (docs/guards.md)";
                self.events.say(&about, Kind::GuardContested, note, now);
            }
            GuardOutcome::Cleared if news => {
                self.events.say(&about, Kind::GuardCleared, "the ramp is over: the guard is cleared away", now);
                self.events.over(&about, Kind::Guarded);
            }
            GuardOutcome::Full => self.refused(
                pool,
                "spec.disruption.budgets has no room for every guard beside yours (the API takes 50 entries): remove some",
                now,
            ),
            GuardOutcome::Frozen => {
                let bad = pool.budgets.iter().flatten().find_map(|b| b.allows(now, 1).err());
                let why = bad.map_or_else(String::new, |error| format!(": {error}"));
                let note = format!(
                    "an entry of spec.disruption.budgets cannot be read{why}; Karpenter disrupts nothing of this pool until it is put right, and no guard is written"
                );
                self.refused(pool, &note, now);
            }
            _ => {}
        }
    }

    /// Observe mode: what would be guarded.
    fn rehearse(&mut self, pool: &NodePoolView, state: &PoolState, wanted: &Wanted, now: Time) {
        let would = decide(now, &PoolState { budgets: state.budgets.clone(), ledger: None }, &wanted.all);
        let told = self.told.entry(pool.name.clone()).or_default();
        told.rehearsed.retain(|span| span.to > now);
        let standing = told.rehearsed.clone();
        let new: Vec<Span> = would
            .standing
            .into_iter()
            .filter(|span| !standing.iter().any(|old| old.from < span.to && span.from < old.to))
            .collect();
        if new.is_empty() {
            return;
        }
        told.rehearsed.extend(&new);
        if self.right.held() {
            let note = format!("would allow no consolidation {}; not written: guards.mode says observe", words(&new));
            self.events.say(&regarding(pool), Kind::Guarded, note, now);
        }
    }

    fn tell_waves(&mut self, pool: &NodePoolView, state: &GuardState, now: Time) {
        let told = self.told.entry(pool.name.clone()).or_default();
        told.waves.retain(|(first, _)| *first > now);
        for wave in &state.waves {
            if told.waves.insert((wave.first, wave.claims.len())) && self.right.held() {
                self.events.say(&regarding(pool), Kind::ExpiryAhead, wave.to_string(), now);
            }
        }
    }

    /// Sets and takes off marks; gives how many nodes carry one.
    async fn mark(&self, pool: &NodePoolView, marks: Vec<NodeMark>, nodes: &[&NodeView], now: Time) -> usize {
        let old = nodes.iter().filter(|n| n.annotations.contains_key(crate::plan::guard::MARK)).count();
        let mut count = old;
        for mark in marks.iter().take(MARKS_MAX) {
            if !self.write_mark(mark).await {
                let note = format!("node {} cannot be marked: this ramp is not guarded", mark.node);
                self.events.say(&regarding(pool), Kind::GuardRefused, note, now);
                break;
            }
            match mark.until {
                Some(_) => count = (count + 1).min(nodes.len()),
                None => count = count.saturating_sub(1),
            }
        }
        count
    }

    /// True when it was written, or is not ours to write.
    async fn write_mark(&self, mark: &NodeMark) -> bool {
        if !self.writes() {
            return true;
        }
        // a turn to write may take half a minute to come
        let fence = || self.right.check().and_then(|()| self.cluster.unstopped(""));
        match self.executor.mark_node(mark, &fence).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(node = mark.node, %error, "mark");
                matches!(error, WriteError::Fenced(_) | WriteError::Conflict(_) | WriteError::Unreachable { .. })
            }
        }
    }
}

/// When nodes carry marks in place of guards that somebody takes away. Never where guards are only told of: what was contested
/// while they were written is remembered for hours, also in mode observe.
fn unguarded<'a>(state: &GuardState, wanted: &'a Wanted) -> &'a [Span] {
    if state.mode == Mode::Act && state.outcome == GuardOutcome::Contested { &wanted.act } else { &[] }
}

/// Which pools are wanted when: those that a ramp's pods may get nodes of, static ones left out.
fn wanted(pools: &[Arc<NodePoolView>], ahead: &[RampsAhead], before: Duration) -> BTreeMap<String, Wanted> {
    let mut found: BTreeMap<String, Wanted> = BTreeMap::new();
    for one in ahead.iter().filter(|o| !o.ramps.is_empty()) {
        for pool in pools.iter().filter(|p| p.replicas.is_none() && one.placement.fits(p)) {
            let wanted = found.entry(pool.name.clone()).or_default();
            wanted.all.extend(one.spans(before));
            if one.acts {
                wanted.act.extend(one.spans(before));
            }
            wanted.workloads.insert(one.workload.to_string());
        }
    }
    for wanted in found.values_mut() {
        wanted.all = merge(std::mem::take(&mut wanted.all), GAP);
        wanted.act = merge(std::mem::take(&mut wanted.act), GAP);
    }
    found
}

fn regarding(pool: &NodePoolView) -> Regarding {
    Regarding { subject: Subject::NodePool(pool.name.clone()), uid: pool.uid.clone() }
}

fn words(spans: &[Span]) -> String {
    let all: Vec<String> = spans.iter().map(|s| format!("from {} to {}", s.from, s.to)).collect();
    all.join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_marked_in_place_of_contested_guards_and_in_mode_observe_never() {
        let span = Span { from: Time::from_secs(0), to: Time::from_secs(3600) };
        let wanted = Wanted { act: vec![span], all: vec![span], workloads: BTreeSet::new() };
        let marked = |mode, outcome| {
            let state = GuardState {
                pool: "general".into(),
                mode,
                wanted: wanted.all.clone(),
                workloads: Vec::new(),
                standing: Vec::new(),
                outcome,
                marked_nodes: 0,
                waves: Vec::new(),
                problem: None,
            };
            unguarded(&state, &wanted).len()
        };
        assert_eq!(marked(Mode::Act, GuardOutcome::Contested), 1);
        assert_eq!(marked(Mode::Act, GuardOutcome::Guarded), 0);
        assert_eq!(marked(Mode::Observe, GuardOutcome::Contested), 0, "marks that are there are taken off");
    }
}
