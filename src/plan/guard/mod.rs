//! Disruption guards: NodePools whose nodes are wanted during forecast ramps are kept from voluntary disruption.
//!
//! A guard is an entry of `spec.disruption.budgets` with `nodes: "0"` for the reasons Underutilized and Empty, dated to
//! the minute in UTC, so that it lapses by itself. Entries combine by their minimum: one more can only restrict, and the
//! user's are never changed.

mod budgets;
mod decide;
mod expiry;
mod ledger;
mod ramps;
mod windows;

pub use budgets::{Allowed, Budget, BudgetError, REASONS, Windowed, allowed, go_duration};
pub use decide::{
    BUDGETS_MAX, GuardActions, GuardOutcome, GuardWrite, MARK, NodeMark, PoolState, decide, node_marks, release,
};
pub use expiry::{Wave, expiring_within, pods_that_lose_their_node, waves};
pub use ledger::{GUARDS, Guard, GuardLedger, GuardLedgerError, user_hash};
pub use ramps::{Expected, Ramp, SETTLE, ramps};
pub use windows::{Span, entry, merge};
