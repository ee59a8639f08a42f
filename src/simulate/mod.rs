//! A discrete-time cluster from a seed: pods with start delays, an HPA, a trace of load, and books.
//!
//! Forescale runs in it through the very same `tick` and `actuate::actions` as in a real cluster ([`Operator`]); only
//! the ends are simulated. [`Comparison`] plays one trace to several clusters side by side; [`run_trial`] lets many workloads
//! live under drawn faults and checks every invariant on every step.

mod adversary;
mod books;
mod cluster;
mod comparison;
mod faults;
mod fleet;
pub mod hpa;
mod life;
mod mind;
mod nodes;
mod objects;
mod operator;
mod oracle;
mod ordeal;
mod pods;
mod source;
mod warm;
mod witness;

pub use books::{Books, Row};
pub use cluster::{Cluster, WorkloadSpec};
pub use comparison::{Comparison, Contestant, Frame, Scenario, WorldView};
pub use faults::{Episode, Fault};
pub use fleet::{Forecaster, Trial, Verdict, run as run_trial};
pub use nodes::{NodeSpec, Nodes};
pub use objects::HpaObject;
pub use operator::{Operator, OptIn, Turn};
pub use oracle::Oracle;
pub use ordeal::{Ordeal, Scaler, Trouble, ordeals};
pub use pods::{Deployment, StartDelay};
pub use witness::Violation;
