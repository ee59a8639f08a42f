//! `spec.behavior`: how far a count may move, by direction.

use crate::units::Replicas;
use serde::Deserialize;
use std::time::Duration;

/// Both directions.
#[derive(Debug, Clone, PartialEq)]
pub struct Behaviour {
    /// Scaling up.
    pub up: Rules,
    /// Scaling down.
    pub down: Rules,
}

/// One direction.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// The most cautious recommendation of this long counts.
    pub window: Duration,
    /// Which policy counts.
    pub select: Select,
    /// At least one.
    pub policies: Vec<ScalingPolicy>,
}

/// Which of several policies counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Select {
    /// The one that allows the largest change.
    Max,
    /// The one that allows the smallest change.
    Min,
    /// None: no change in this direction.
    Disabled,
}

/// One limit on change within a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScalingPolicy {
    /// How much.
    pub amount: Amount,
    /// In how long.
    pub period: Duration,
}

/// A change of so much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// Pods.
    Pods(Replicas),
    /// Percent of the count at the start of the period.
    Percent(Replicas),
}

impl Behaviour {
    /// The API's defaults: up by the larger of +100 % and +4 in 15 s at once, down by -100 % in 15 s to the largest
    /// recommendation of 300 s.
    pub fn published() -> Behaviour {
        let period = Duration::from_secs(15);
        let policy = |amount| ScalingPolicy { amount, period };
        Behaviour {
            up: Rules {
                window: Duration::ZERO,
                select: Select::Max,
                policies: vec![policy(Amount::Percent(100)), policy(Amount::Pods(4))],
            },
            down: Rules {
                window: Duration::from_secs(300),
                select: Select::Max,
                policies: vec![policy(Amount::Percent(100))],
            },
        }
    }

    /// The longest time that recommendations and changes matter.
    pub fn memory(&self) -> Duration {
        let rules = [&self.up, &self.down];
        let periods = rules.iter().flat_map(|r| r.policies.iter().map(|p| p.period));
        rules.iter().map(|r| r.window).chain(periods).max().unwrap_or_default()
    }
}

impl Rules {
    /// The most replicas that scaling up may reach. `start(period)`: the count a period ago, as the controller
    /// reckons it from its own changes.
    pub fn up_limit(&self, current: Replicas, start: impl Fn(Duration) -> i64) -> i64 {
        let proposed = self.policies.iter().map(|p| match p.amount {
            Amount::Pods(n) => start(p.period) + i64::from(n),
            Amount::Percent(n) => (start(p.period) as f64 * (1.0 + f64::from(n) / 100.0)).ceil() as i64,
        });
        match self.select {
            Select::Max => proposed.max(),
            Select::Min => proposed.min(),
            Select::Disabled => None,
        }
        .unwrap_or(current.into())
    }

    /// The fewest replicas that scaling down may reach.
    pub fn down_limit(&self, current: Replicas, start: impl Fn(Duration) -> i64) -> i64 {
        let proposed = self.policies.iter().map(|p| match p.amount {
            Amount::Pods(n) => start(p.period) - i64::from(n),
            Amount::Percent(n) => (start(p.period) as f64 * (1.0 - f64::from(n) / 100.0)) as i64,
        });
        match self.select {
            Select::Max => proposed.min(),
            Select::Min => proposed.max(),
            Select::Disabled => None,
        }
        .unwrap_or(current.into())
    }
}
