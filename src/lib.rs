//! Forescale turns recorded load into replica floors that are in place one lead time *before* the load is.
//!
//! ```text
//! history ──▶ series ──▶ forecast ──▶ demand ──▶ plan ──▶ actuate
//! (I/O)       └────────────── pure ───────────────┘       (I/O)
//!                      chained only in tick()
//! ```
//!
//! Every way to run the program is a pair of ends on that same middle; `docs/architecture.md` lists
//! the invariants, and `tests/architecture.rs` holds the code to them. Modules below stand in pipeline order: a
//! module may use those above it, never one below.

pub mod error;
pub mod units;

pub mod clock;
pub mod rng;

pub mod occasion;

pub mod config;

pub mod policy;

pub mod history;
pub mod series;

pub mod forecast;

pub mod demand;

pub mod plan;

pub mod tick;

pub mod actuate;

pub mod simulate;

pub mod backtest;

pub mod train;

pub mod lint;

pub mod report;

pub mod telemetry;

#[cfg(feature = "daemon")]
pub mod observe;

#[cfg(feature = "daemon")]
pub mod daemon;

pub mod cli;
