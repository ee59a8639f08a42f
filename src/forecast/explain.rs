//! What a forecaster would say for itself: whom it believes, how often it was right, whether it earns its keep.

use super::members::{MEMBERS, Member};
use super::score::Coverage;
use super::{Abstention, Fitted, LEVELS};
use crate::units::Time;
use serde::{Deserialize, Serialize};

/// One member's weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Weight {
    /// Expert and spread.
    #[serde(flatten)]
    pub member: Member,
    /// One weight per level of [`LEVELS`], 0..1; the members' weights at one level sum to 1.
    pub weights: Vec<f32>,
}

/// One horizon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HorizonExplanation {
    /// Steps from the origin to the window.
    pub horizon: usize,
    /// The members, heaviest at level 0.95 first.
    pub members: Vec<Weight>,
    /// Coverage at every level.
    pub coverage: Vec<Coverage>,
    /// Pinball loss of the last days over seasonal naive's with its own conformal errors; below 1 is better.
    pub versus_seasonal_naive: Option<f32>,
    /// The same over persistence's.
    pub versus_reactive: Option<f32>,
}

/// The forecaster of one workload, explained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The last step observed.
    pub origin: Time,
    /// The quantile levels.
    pub levels: Vec<f64>,
    /// Why it abstains, if it does.
    pub abstains: Option<Abstention>,
    /// One per horizon.
    pub horizons: Vec<HorizonExplanation>,
}

impl Fitted {
    /// Explains itself. Off the tick: this allocates.
    pub fn explain(&self) -> Explanation {
        let horizons = self.windows().iter().map(|window| {
            let mut members: Vec<Weight> = MEMBERS
                .iter()
                .enumerate()
                .map(|(k, member)| Weight {
                    member: *member,
                    weights: (0..LEVELS.len()).map(|l| window.weights(l)[k]).collect(),
                })
                .collect();
            members.sort_by(|a, b| b.weights[4].total_cmp(&a.weights[4]));
            let relative = window.score().relative();
            HorizonExplanation {
                horizon: window.horizon(),
                members,
                coverage: window.score().coverage().to_vec(),
                versus_seasonal_naive: relative.map(|r| r.0),
                versus_reactive: relative.map(|r| r.1),
            }
        });
        let forecast = self.predict();
        Explanation {
            origin: forecast.origin,
            levels: LEVELS.to_vec(),
            abstains: forecast.abstains,
            horizons: horizons.collect(),
        }
    }
}
