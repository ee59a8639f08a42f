//! Disruption guards: NodePools whose nodes are wanted during forecast ramps are kept from voluntary disruption.

mod budgets;

pub use budgets::{Allowed, Budget, BudgetError, REASONS, Windowed, allowed, go_duration};
