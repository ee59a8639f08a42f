//! What to write to a NodePool, and to its nodes where its budgets are taken back.

use super::ledger::{CONTEST_FOR, CONTEST_LIMIT};
use super::windows::{parts, uncovered};
use super::{Budget, Guard, GuardLedger, Span, entry, merge, user_hash};
use crate::plan::nodes::NodeView;
use crate::units::Time;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Entries a NodePool takes.
pub const BUDGETS_MAX: usize = 50;
/// On a node that is kept by annotation: until when, so that anybody can clear it away.
pub const MARK: &str = "forescale.dev/guarded-until";
/// A guard is written so long before it begins: far enough that commands under way are over, near enough to be sure of.
const AHEAD: Duration = Duration::from_secs(3600);
/// So much of a span may lie open before a guard is written again.
const TOLERANCE: Duration = Duration::from_secs(10 * 60);
/// A guard is prolonged when so much of it is left.
const PROLONG: Duration = Duration::from_secs(15 * 60);
/// What is over sooner than this is not worth a write.
const WORTH: Duration = Duration::from_secs(5 * 60);
/// A guard that has lapsed is taken away after this time.
const LAPSED: Duration = Duration::from_secs(2 * 60);
/// Nodes are marked so long before a guarded span begins.
const MARK_AHEAD: Duration = Duration::from_secs(5 * 60);

/// The budgets of a NodePool as they stand.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PoolState {
    /// `spec.disruption.budgets`. None: the field is not there.
    pub budgets: Option<Vec<Budget>>,
    /// Our ledger.
    pub ledger: Option<GuardLedger>,
}

/// One write: list and ledger in one patch.
#[derive(Debug, Clone, PartialEq)]
pub struct GuardWrite {
    /// The whole list: the user's entries verbatim, then ours. None: the field is removed.
    pub budgets: Option<Vec<Budget>>,
    /// The ledger that goes with it. None: it is removed, and the ownership given back.
    pub ledger: Option<GuardLedger>,
}

/// What to do, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct GuardActions {
    /// None: all is as it should be.
    pub write: Option<GuardWrite>,
    /// What this amounts to.
    pub outcome: GuardOutcome,
    /// Guards that stand afterwards.
    pub standing: Vec<Span>,
}

/// What actions amount to; shown under this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GuardOutcome {
    /// All is as it should be.
    Kept,
    /// A guard is new, or longer.
    Guarded,
    /// A guard has lapsed and is taken away.
    Cleared,
    /// A third party took ours away: written again.
    Reverted,
    /// It did so three times in half an hour: no more guards for six hours, nodes are marked instead.
    Contested,
    /// The list has no room beside the user's entries.
    Full,
    /// An entry of the user's cannot be read, so Karpenter disrupts nothing anyway.
    Frozen,
}

/// Splits the list: the user's entries in their order, and those of ours that are there. An entry that occurs twice is
/// ours at its last place: ours are appended.
fn split(state: &PoolState) -> (Vec<Budget>, Vec<Guard>) {
    let mut theirs = state.budgets.clone().unwrap_or_default();
    let mut found = Vec::new();
    for guard in state.ledger.iter().flat_map(|l| l.guards.iter().rev()) {
        if let Some(place) = theirs.iter().rposition(|b| *b == guard.budget) {
            theirs.remove(place);
            found.insert(0, guard.clone());
        }
    }
    (theirs, found)
}

/// Decides what to write so that `wanted` is guarded, none of it before its time. The user's part is what the list has
/// besides ours now, whatever it had before.
pub fn decide(now: Time, state: &PoolState, wanted: &[Span]) -> GuardActions {
    let (theirs, found) = split(state);
    let mut ledger = state.ledger.clone().unwrap_or_else(|| GuardLedger {
        user: user_hash(&theirs),
        absent: state.budgets.is_none(),
        ..GuardLedger::default()
    });
    ledger.forget_before(now);
    let missing = ledger.guards.iter().filter(|g| g.span.to > now && !found.contains(g)).count();
    // a list that changed besides is the user's edit, which just did not have ours
    let reverted = missing > 0 && ledger.user == user_hash(&theirs);
    let mut outcome = GuardOutcome::Kept;
    if reverted && ledger.contested_until.is_none() {
        ledger.reversals.push(now);
        outcome = GuardOutcome::Reverted;
        if ledger.reversals.len() >= CONTEST_LIMIT {
            ledger.contested_until = Some(now + CONTEST_FOR);
        }
    }
    let keep: Vec<Span> = found.iter().map(|g| g.span).filter(|s| s.to + LAPSED > now).collect();
    let mut spans = keep.clone();
    let cannot = theirs.iter().any(|b| b.allows(now, 1).is_err() || b.window().is_err());
    if ledger.contested_until.is_some() {
        outcome = GuardOutcome::Contested;
    } else if cannot {
        outcome = GuardOutcome::Frozen;
    } else {
        let due = wanted.iter().filter(|w| w.from <= now + AHEAD && w.to > now + WORTH);
        let due: Vec<Span> = due.map(|w| Span { from: w.from.max(now), to: w.to }).collect();
        let new: Vec<Span> = due.into_iter().filter(|w| urgent(now, *w, &keep)).collect();
        if !new.is_empty() && outcome == GuardOutcome::Kept {
            outcome = GuardOutcome::Guarded;
        }
        spans.extend(new.iter().map(Span::whole_minutes));
        spans = merge(spans, TOLERANCE).into_iter().flat_map(parts).collect();
        let room = BUDGETS_MAX.saturating_sub(theirs.len());
        if spans.len() > room {
            outcome = GuardOutcome::Full;
            spans.truncate(room);
        }
    }
    // what stands is left as it was written
    let old = |span: &Span| found.iter().find(|g| g.span == *span).map(|g| g.budget.clone());
    ledger.guards = spans.iter().map(|s| Guard { span: *s, budget: old(s).unwrap_or_else(|| entry(*s)) }).collect();
    let standing = spans.into_iter().filter(|s| s.to > now).collect();
    if outcome == GuardOutcome::Kept && ledger.guards.len() < found.len() {
        outcome = GuardOutcome::Cleared;
    }
    GuardActions { write: write(state, theirs, ledger), outcome, standing }
}

/// Whether a span is to be written: none of ours stands there, or a good part of it lies open, soon. What moves later by
/// minutes, or far from now, waits, so that a list is not written again at every look.
fn urgent(now: Time, wanted: Span, standing: &[Span]) -> bool {
    let open = uncovered(wanted, standing);
    let much = TOLERANCE.min(wanted.to.since(wanted.from) / 2);
    let soon = open.iter().any(|part| part.from <= now + PROLONG && part.to.since(part.from) > much);
    let untouched = open == [wanted];
    untouched || soon
}

/// What puts everything back: our entries go, the user's stay as they are.
pub fn release(state: &PoolState) -> Option<GuardWrite> {
    let ledger = state.ledger.as_ref()?;
    let (theirs, _) = split(state);
    let absent = ledger.absent && theirs.is_empty();
    Some(GuardWrite { budgets: (!absent).then_some(theirs), ledger: None })
}

fn write(state: &PoolState, theirs: Vec<Budget>, mut ledger: GuardLedger) -> Option<GuardWrite> {
    let idle = ledger.guards.is_empty() && ledger.reversals.is_empty() && ledger.contested_until.is_none();
    if idle {
        return release(state);
    }
    ledger.user = user_hash(&theirs);
    let mut list = theirs;
    list.extend(ledger.guards.iter().map(|g| g.budget.clone()));
    let absent = ledger.absent && list.is_empty();
    let budgets = (!absent).then_some(list);
    let same = budgets == state.budgets;
    // the user's edit alone is no reason to write: the hash is put right with the next one
    let told = state.ledger.as_ref().is_some_and(|old| {
        old.guards == ledger.guards
            && old.reversals == ledger.reversals
            && old.contested_until == ledger.contested_until
    });
    (!same || !told).then_some(GuardWrite { budgets, ledger: Some(ledger) })
}

/// A mark on a node: `karpenter.sh/do-not-disrupt` and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeMark {
    /// The node.
    pub node: String,
    /// None: the mark goes.
    pub until: Option<Time>,
}

/// Which nodes of a pool to mark, and which marks to take off. `wanted`: spans that budgets cannot guard; empty where they
/// do. A node that the user marked himself is left alone.
pub fn node_marks(now: Time, nodes: &[&NodeView], wanted: &[Span]) -> Vec<NodeMark> {
    let active = wanted.iter().filter(|s| s.from <= now + MARK_AHEAD && s.to > now);
    let until = active.map(|s| s.to).max();
    let mark = |node: &&NodeView| {
        let ours = node.annotations.get(MARK).map(|text| Time::parse(text).ok());
        let of = |until| Some(NodeMark { node: node.name.clone(), until });
        match (ours, until) {
            // not ours, or on its way out
            (None, _) if node.do_not_disrupt || node.deleting.is_some() => None,
            (None, Some(until)) => of(Some(until)),
            (None, None) => None,
            (Some(_), None) => of(None),
            (Some(Some(old)), Some(until)) if old + TOLERANCE >= until => None,
            (Some(_), Some(until)) => of(Some(until)),
        }
    };
    nodes.iter().filter_map(mark).collect()
}

#[cfg(test)]
mod tests;
