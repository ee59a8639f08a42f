//! Checked newtypes for everything that has a unit.

mod brief;
mod quantity;
mod time;

pub use brief::Brief;
pub use quantity::{Quantity, QuantityError, of_pod, of_whole_pod};
pub use time::{APPEND_ZONE, LeadTime, Step, Time, TimeError, duration, parse_duration};

use serde::{Deserialize, Serialize};

/// A number of replicas.
pub type Replicas = u32;

/// The largest replica count the program handles; bounds above it are refused.
pub const MAX_REPLICAS: Replicas = 100_000;

/// A probability strictly between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct QuantileLevel(f64);

impl QuantileLevel {
    /// None unless `0 < level < 1`.
    pub fn new(level: f64) -> Option<Self> {
        (level > 0.0 && level < 1.0).then_some(QuantileLevel(level))
    }

    /// The probability.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for QuantileLevel {
    type Error = String;
    fn try_from(level: f64) -> Result<Self, String> {
        QuantileLevel::new(level).ok_or_else(|| format!("a quantile level lies between 0 and 1, not at {level}"))
    }
}

impl From<QuantileLevel> for f64 {
    fn from(level: QuantileLevel) -> f64 {
        level.0
    }
}

/// Replicas that serve `load` at `capacity` per replica, at least 0. Float noise never asks for one more replica.
/// `load` and `capacity` in the same unit; the caller has checked that capacity is positive.
pub fn replicas_for(load: f64, capacity: f64) -> Replicas {
    /// Replicas; keeps float noise from asking for one more.
    const ROUNDING: f64 = 1e-9;
    debug_assert!(capacity > 0.0);
    let need = (load / capacity - ROUNDING).ceil();
    if need.is_nan() || need <= 0.0 { 0 } else { need.min(f64::from(MAX_REPLICAS)) as Replicas }
}

/// Reads a share strictly between 0 and 1: "0.1%" or "0.001".
pub fn parse_share(text: &str) -> Result<f64, String> {
    let text = text.trim();
    let share = match text.strip_suffix('%') {
        Some(number) => number.trim().parse::<f64>().map(|v| v / 100.0),
        None => text.parse::<f64>(),
    };
    share.ok().filter(|v| *v > 0.0 && *v < 1.0).ok_or_else(|| {
        format!("expected a share between 0 and 1 such as 0.1% or 0.001; found {:?}", crate::error::shorten(text))
    })
}

/// The largest budget that may be written as a bare number: above it, a percentage without its sign is likelier.
pub const BARE_BUDGET_MAX: f64 = 0.01;

/// Reads a share that may go unserved: "0.1%", or "0.001". A bare "0.1" could be meant as 0.1 % and is refused.
pub fn parse_budget(text: &str) -> Result<f64, String> {
    let share = parse_share(text)?;
    if share <= BARE_BUDGET_MAX || text.contains('%') {
        return Ok(share);
    }
    let text = crate::error::shorten(text.trim());
    Err(format!(
        "expected a percent sign, or at most {BARE_BUDGET_MAX} without one; found {text:?}: {text}% or {}%?",
        share * 100.0
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_above_a_hundredth_need_their_sign() {
        for (text, share) in
            [("0.1%", 0.001), ("0.0323745%", 0.000_323_745), ("0.001", 0.001), ("0.01", 0.01), ("10 %", 0.1)]
        {
            assert!(parse_budget(text).is_ok_and(|v| (v - share).abs() < 1e-12), "{text}");
        }
        let told = parse_budget(" 0.1").unwrap_err();
        assert!(told.contains("found \"0.1\": 0.1% or 10%?"), "{told}");
        for bad in ["0.02", "0.5", "5", "", "0", "100%"] {
            assert!(parse_budget(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shares() {
        assert_eq!(parse_share("0.1%"), Ok(0.001));
        assert_eq!(parse_share(" 0.5 "), Ok(0.5));
        for bad in ["", "%", "0", "0%", "1", "100%", "-1%", "NaN", "inf%"] {
            assert!(parse_share(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn replicas_round_up_but_not_on_noise() {
        assert_eq!(replicas_for(100.0, 10.0), 10);
        assert_eq!(replicas_for(100.000_000_000_1, 10.0), 10);
        assert_eq!(replicas_for(100.1, 10.0), 11);
        assert_eq!(replicas_for(0.0, 10.0), 0);
        assert_eq!(replicas_for(f64::NAN, 10.0), 0);
        assert_eq!(replicas_for(1e300, 10.0), MAX_REPLICAS);
    }
}
