//! Load → replicas needed for it.

mod lead_in_force;
mod lead_time;

pub use lead_in_force::{LEAD_LEVEL, LeadInForce, learned_lead};
pub use lead_time::{Estimate, LeadLine, LeadTimes, Phase, Start, StartPath, Took};

use crate::forecast::{LEVELS, WindowForecast};
use crate::units::{Replicas, replicas_for};
use serde::{Deserialize, Serialize};

/// Replicas needed in one window, per level of [`LEVELS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    /// Steps from the origin to the first step of the window.
    pub horizon: usize,
    /// Replicas that cover the window's largest load with the probability of the level; not falling.
    pub replicas: [Replicas; LEVELS.len()],
}

/// Replicas needed for a forecast at `capacity` load units per replica (positive).
pub fn demand(forecast: &WindowForecast, capacity: f64) -> Demand {
    Demand { horizon: forecast.horizon, replicas: forecast.values.map(|load| replicas_for(load, capacity)) }
}
