//! What a forecaster would say for itself: whom it believes, how often it was right, whether it earns its keep.

use super::experts::{EXPERTS, Expert};
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
    /// Loss of the forecast over that of this member alone, per level, of the outcomes since [`Fitted::rate`]; below 1 the
    /// forecast is better. Empty: it was not asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versus: Vec<Option<f64>>,
}

/// One horizon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HorizonExplanation {
    /// Steps from the origin to the window.
    pub horizon: usize,
    /// The members, heaviest at level 0.95 first.
    pub members: Vec<Weight>,
    /// Features, of 36, that a screening by elastic net leaves to ridge. None: a day has not passed.
    pub features_kept: Option<usize>,
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

/// Experts that are named; the others are summed up by whoever shows them.
const NAMED: usize = 5;

/// In short, how far a forecaster can be trusted at one horizon: for metrics and for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trust {
    /// The heaviest experts at level 0.95 and their shares, all spreads of one together; at most five.
    pub experts: Vec<(Expert, f32)>,
    /// Coverage at 0.95 and 0.99.
    pub coverage: Vec<Coverage>,
    /// Pinball loss of the last days over seasonal naive's with its own errors; below 1 is better. None: less than a day.
    pub versus_seasonal_naive: Option<f32>,
    /// The same over reacting's.
    pub versus_reactive: Option<f32>,
}

impl Fitted {
    /// How far the forecasts `horizon` steps ahead can be trusted. None: that horizon is not forecast.
    pub fn trust(&self, horizon: usize) -> Option<Trust> {
        let window = self.windows().iter().find(|w| w.horizon() == horizon)?;
        let mut shares = [0.0f32; EXPERTS];
        for (member, weight) in MEMBERS.iter().zip(window.weights(4)) {
            shares.iter_mut().skip(member.expert as usize).take(1).for_each(|share| *share += weight);
        }
        let mut experts: Vec<(Expert, f32)> = Expert::ALL.into_iter().zip(shares).collect();
        experts.sort_by(|a, b| b.1.total_cmp(&a.1));
        experts.truncate(NAMED);
        let relative = window.score().relative();
        let coverage = window.score().coverage();
        Some(Trust {
            experts,
            coverage: coverage.into_iter().filter(|c| [0.95, 0.99].contains(&c.level)).collect(),
            versus_seasonal_naive: relative.map(|r| r.0),
            versus_reactive: relative.map(|r| r.1),
        })
    }

    /// Explains itself. Off the tick: this allocates.
    pub fn explain(&self) -> Explanation {
        let horizons = self.windows().iter().map(|window| {
            let mut members: Vec<Weight> = MEMBERS
                .iter()
                .enumerate()
                .map(|(k, member)| Weight {
                    member: *member,
                    weights: (0..LEVELS.len()).filter_map(|l| window.weights(l).get(k).copied()).collect(),
                    versus: window.ratings().map_or_else(Vec::new, |r| r.versus(k)),
                })
                .collect();
            let heaviest = |member: &Weight| member.weights.get(4).copied().unwrap_or(0.0);
            members.sort_by(|a, b| heaviest(b).total_cmp(&heaviest(a)));
            let relative = window.score().relative();
            HorizonExplanation {
                horizon: window.horizon(),
                members,
                features_kept: window.features_kept(),
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
