//! Load → replicas needed for it.

mod capacity;
mod lead_in_force;
mod lead_time;
mod staffing;

pub use capacity::{Capacities, Capacity, Regression, Usage};
pub use lead_in_force::{LEAD_LEVEL, LeadInForce, learned_lead};
pub use lead_time::{Estimate, LeadLine, LeadTimes, Phase, Start, StartPath, Took};
pub use staffing::staffed;

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

/// What one replica serves, and how load is spread over several.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Serving {
    /// Load units per replica, positive and finite.
    pub capacity: f64,
    /// Work slots of a replica where headroom follows square-root staffing. None: capacity contains the headroom.
    pub slots: Option<f64>,
}

impl Serving {
    /// None where the capacity is no positive number: nothing can be said in replicas.
    pub fn new(capacity: f64, slots: Option<f64>) -> Option<Serving> {
        (capacity.is_finite() && capacity > 0.0).then_some(Serving { capacity, slots })
    }

    /// The load with its headroom, to be divided by capacity.
    pub fn staffed(self, load: f64) -> f64 {
        self.slots.map_or(load, |slots| staffed(load, self.capacity, slots))
    }

    /// Replicas needed for a load.
    pub fn replicas(self, load: f64) -> Replicas {
        replicas_for(self.staffed(load), self.capacity)
    }
}

/// Replicas needed for a forecast.
pub fn demand(forecast: &WindowForecast, serving: Serving) -> Demand {
    Demand { horizon: forecast.horizon, replicas: forecast.values.map(|load| serving.replicas(load)) }
}
