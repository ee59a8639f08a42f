//! The Prometheus source against servers: a real Prometheus for what a real one does (`real`), and a server that plays
//! faults which a real one can't be asked for (`faults`, `rules`).
#![cfg(feature = "daemon")]
#![allow(clippy::unwrap_used)]

mod faults;
mod query;
mod real;
mod rules;
mod server;
