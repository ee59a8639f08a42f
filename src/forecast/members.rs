//! What the experts offer to the mixture: each point with one or more ways to measure how far it may be off.

use super::experts::Expert;
use serde::{Deserialize, Serialize};

/// An expert with one kind of spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Whose point.
    pub expert: Expert,
    /// In which unit its residuals are counted.
    pub spread: Spread,
}

/// In which unit residuals are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spread {
    /// Their usual size recently and at this time of day.
    Local,
    /// The same, with a factor for the minute of the hour.
    Phased,
    /// Their usual size over days.
    Flat,
    /// Their usual size over days, in load and not in log load.
    Additive,
    /// None: the expert gives quantiles of its own.
    Own,
}

/// All members. Every expert has a local spread; the steadier ones are also offered with others, since the right spread is as
/// hard to know beforehand as the right point.
pub const MEMBERS: [Member; 36] = {
    use Expert::*;
    use Spread::*;
    const fn m(expert: Expert, spread: Spread) -> Member {
        Member { expert, spread }
    }
    [
        m(Persistence, Local),
        m(SlowPersistence, Local),
        m(RecentMaximum, Local),
        m(HourMaximum, Local),
        m(NaiveDay, Local),
        m(SmoothDay, Local),
        m(SmoothWeek, Local),
        m(DayNowcast, Local),
        m(Profile, Local),
        m(ProfileNowcast, Local),
        m(HoltWinters, Local),
        m(QuickHoltWinters, Local),
        m(Ridge, Local),
        m(QuickRidge, Local),
        m(HourPhase, Local),
        m(HalfHourPhase, Local),
        m(DayMaximum, Local),
        m(ThreeDayMaximum, Local),
        m(WeekMaximum, Local),
        m(Unconditional, Flat),
        m(Persistence, Phased),
        m(ProfileNowcast, Phased),
        m(HoltWinters, Phased),
        m(QuickHoltWinters, Phased),
        m(Ridge, Phased),
        m(QuickRidge, Phased),
        m(Persistence, Flat),
        m(Profile, Flat),
        m(Ridge, Flat),
        m(HourPhase, Flat),
        m(NaiveDay, Additive),
        m(SmoothWeek, Additive),
        m(Ridge, Additive),
        m(Persistence, Additive),
        m(Decomposition, Local),
        m(TwoPart, Own),
    ]
};

/// Number of members.
pub const K: usize = MEMBERS.len();

/// The member that stands for seasonal naive with its own errors, the yardstick of the gate.
pub const SEASONAL_NAIVE: usize = 30;
/// The member whose quantiles are its own.
pub const TWO_PART: usize = 35;
/// The member that stands for reacting to the load of now.
pub const REACTIVE: usize = 0;
