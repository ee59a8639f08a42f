//! Karpenter's disruption budgets, exactly as its own code reads them
//! (`sigs.k8s.io/karpenter/pkg/apis/v1/nodepool.go`, v1.14.1).

use crate::policy::cron::Cron;
use crate::units::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The reasons there are.
pub const REASONS: [&str; 3] = ["Underutilized", "Empty", "Drifted"];

/// One entry of `spec.disruption.budgets`, verbatim: a value that is read and written again is the same.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// "0", "10%", …
    pub nodes: String,
    /// None: every reason. An empty list: none, so the entry never applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasons: Option<Vec<String>>,
    /// Five cron fields or a macro, in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// Hours and minutes, such as 1h30m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// Fields of later versions.
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}

/// Why an entry cannot be used. One such entry stops every voluntary disruption of its pool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BudgetError {
    /// The schedule cannot be read.
    #[error("schedule {schedule:?}: expected {expected}")]
    Schedule {
        /// As it stands.
        schedule: String,
        /// What would do.
        expected: String,
    },
    /// The duration cannot be read.
    #[error("duration {0:?}: expected hours and minutes such as 1h30m")]
    Duration(String),
    /// The number of nodes cannot be read.
    #[error("nodes {0:?}: expected a number of nodes or a percentage such as 10%")]
    Nodes(String),
}

/// How many nodes may be disrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Allowed {
    /// At most so many at once.
    Nodes(u64),
    /// No budget is active.
    Unlimited,
}

/// When an entry is active.
#[derive(Debug, Clone)]
pub enum Windowed {
    /// It has no schedule.
    Always,
    /// Its date never comes, which Karpenter takes for active.
    ImpossibleDate,
    /// Within `duration` after a hit; the end does not belong to it.
    After(Cron, Duration),
    /// A schedule without a duration: never.
    Never,
}

/// Years that robfig/cron looks ahead for a hit before it gives up.
const HORIZON_YEARS: i16 = 5;

impl Windowed {
    /// Whether it is active at this instant.
    pub fn active(&self, now: Time) -> bool {
        let (cron, duration) = match self {
            Windowed::Always | Windowed::ImpossibleDate => return true,
            Windowed::Never => return false,
            Windowed::After(cron, duration) => (cron, *duration),
        };
        let from = (now - duration).secs();
        let year = |secs: i64| Time::from_secs(secs).timestamp().to_zoned(jiff::tz::TimeZone::UTC).year();
        match cron.next(from) {
            // a hit so far away counts as none, and none as active
            Some(hit) if year(hit) > year(from + 1).saturating_add(HORIZON_YEARS) => true,
            Some(hit) => hit <= now.secs(),
            None => true,
        }
    }
}

impl Budget {
    /// When it is active.
    pub fn window(&self) -> Result<Windowed, BudgetError> {
        let schedule = match (&self.schedule, &self.duration) {
            (None, None) => return Ok(Windowed::Always),
            (schedule, _) => schedule.as_deref().unwrap_or_default(),
        };
        let bad = |expected| BudgetError::Schedule { schedule: schedule.into(), expected };
        let cron = Cron::parse_even_if_never(schedule).map_err(bad)?;
        let duration = match &self.duration {
            Some(text) => Some(go_duration(text).ok_or_else(|| BudgetError::Duration(text.clone()))?),
            None => None,
        };
        Ok(match (cron, duration) {
            (None, _) => Windowed::ImpossibleDate,
            (Some(cron), Some(duration)) => Windowed::After(cron, duration),
            (Some(_), None) => Windowed::Never,
        })
    }

    /// Whether it is about this reason.
    pub fn about(&self, reason: &str) -> bool {
        self.reasons.as_ref().is_none_or(|reasons| reasons.iter().any(|r| r == reason))
    }

    /// How many of `nodes` nodes it lets go at once at this instant, for the reasons it is about.
    pub fn allows(&self, now: Time, nodes: u64) -> Result<Allowed, BudgetError> {
        if !self.window()?.active(now) {
            return Ok(Allowed::Unlimited);
        }
        let bad = || BudgetError::Nodes(self.nodes.clone());
        let count = match self.nodes.strip_suffix('%') {
            // rounded up: 10 % of one node is one node
            Some(percent) => whole(percent).and_then(|p| p.checked_mul(nodes)).ok_or_else(bad)?.div_ceil(100),
            None => wrapped(&self.nodes).ok_or_else(bad)?,
        };
        Ok(Allowed::Nodes(count))
    }
}

/// How many of `nodes` nodes may go at once for this reason: the least of all entries that are active and about it. An
/// entry that cannot be read allows none, whatever reason it is about.
pub fn allowed(budgets: &[Budget], now: Time, nodes: u64, reason: &str) -> Allowed {
    let mut least = Allowed::Unlimited;
    for budget in budgets {
        match budget.allows(now, nodes) {
            Err(_) => return Allowed::Nodes(0),
            Ok(allowed) if budget.about(reason) => least = least.min(allowed),
            Ok(_) => {}
        }
    }
    least
}

/// Karpenter keeps the number in 32 bits: one beyond them wraps around, and less than none is none.
fn wrapped(text: &str) -> Option<u64> {
    let number = i64::try_from(whole(text)?).ok()?;
    u64::try_from(number as i32).ok().or(Some(0))
}

fn whole(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

/// A duration of Go's, as Karpenter's fields have it: whole hours, minutes and seconds, such as 1h30m or 720h. None: it
/// is none, or longer than Go's longest (292 years).
pub fn go_duration(text: &str) -> Option<Duration> {
    const LONGEST_S: u64 = i64::MAX as u64 / 1_000_000_000;
    let mut rest = text;
    let mut total = 0u64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, tail) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let scale = match tail.as_bytes().first()? {
            b'h' => 3600,
            b'm' => 60,
            b's' => 1,
            _ => return None,
        };
        total = number.parse::<u64>().ok()?.checked_mul(scale)?.checked_add(total)?;
        rest = tail.get(1..)?;
    }
    (total <= LONGEST_S).then(|| Duration::from_secs(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        Time::parse(text).unwrap()
    }

    fn budget(nodes: &str, schedule: &str, duration: &str) -> Budget {
        Budget {
            nodes: nodes.into(),
            schedule: Some(schedule.into()),
            duration: Some(duration.into()),
            ..Budget::default()
        }
    }

    #[test]
    fn a_window_begins_with_its_hit_and_does_not_have_its_end() {
        let guard = budget("0", "0 9 * * *", "30m");
        let active = |time: &str| guard.allows(at(time), 10) == Ok(Allowed::Nodes(0));
        assert!(!active("2026-11-25T08:59:59Z"));
        assert!(active("2026-11-25T09:00:00Z"));
        assert!(active("2026-11-25T09:29:59Z"));
        assert!(!active("2026-11-25T09:30:00Z"));
    }

    #[test]
    fn recurrences_shorter_than_the_duration_merge() {
        let guard = budget("0", "*/10 * * * *", "15m");
        for minute in 0..60 {
            let now = at("2026-11-25T09:00:00Z") + Duration::from_secs(60 * minute);
            assert_eq!(guard.allows(now, 1), Ok(Allowed::Nodes(0)));
        }
    }

    #[test]
    fn percentages_round_up() {
        let ten = Budget { nodes: "10%".into(), ..Budget::default() };
        let of = |nodes| ten.allows(at("2026-11-25T09:00:00Z"), nodes).unwrap();
        assert_eq!(of(0), Allowed::Nodes(0));
        assert_eq!(of(1), Allowed::Nodes(1));
        assert_eq!(of(10), Allowed::Nodes(1));
        assert_eq!(of(11), Allowed::Nodes(2));
    }

    #[test]
    fn the_least_of_the_active_ones_counts_and_none_is_unlimited() {
        let now = at("2026-11-25T09:10:00Z");
        let some = Budget { nodes: "20%".into(), ..Budget::default() };
        let guard = Budget { reasons: Some(vec!["Empty".into()]), ..budget("0", "0 9 * * *", "30m") };
        let both = [some, guard];
        assert_eq!(allowed(&both, now, 10, "Empty"), Allowed::Nodes(0));
        assert_eq!(allowed(&both, now, 10, "Drifted"), Allowed::Nodes(2));
        assert_eq!(allowed(&both, now + Duration::from_secs(3600), 10, "Empty"), Allowed::Nodes(2));
        assert_eq!(allowed(&[], now, 10, "Empty"), Allowed::Unlimited);
    }

    #[test]
    fn no_reasons_are_all_and_an_empty_list_is_none() {
        let now = at("2026-11-25T09:10:00Z");
        let all = Budget { nodes: "0".into(), ..Budget::default() };
        let none = Budget { reasons: Some(Vec::new()), ..all.clone() };
        assert_eq!(allowed(std::slice::from_ref(&all), now, 5, "Drifted"), Allowed::Nodes(0));
        assert_eq!(allowed(std::slice::from_ref(&none), now, 5, "Drifted"), Allowed::Unlimited);
        let text = serde_json::to_string(&[all, none]).unwrap();
        assert_eq!(text, r#"[{"nodes":"0"},{"nodes":"0","reasons":[]}]"#, "and so they are written");
    }

    #[test]
    fn a_number_beyond_32_bits_wraps_around() {
        let of = |nodes: &str| Budget { nodes: nodes.into(), ..Budget::default() }.allows(Time::from_secs(0), 5);
        assert_eq!(of("4294967296"), Ok(Allowed::Nodes(0)));
        assert_eq!(of("4294967301"), Ok(Allowed::Nodes(5)));
        assert_eq!(of("2147483648"), Ok(Allowed::Nodes(0)), "less than none");
        assert!(of("9223372036854775808").is_err());
    }

    #[test]
    fn one_entry_that_cannot_be_read_stops_everything() {
        let now = at("2026-11-25T12:00:00Z");
        let all = Budget { nodes: "100%".into(), ..Budget::default() };
        for schedule in
            ["0 19-7 * * *", "CRON_TZ=UTC 0 9 * * *", "0 0 * * 7", "0 25 * * *", "@daily junk", "0 0 9 * * *"]
        {
            let bad = Budget { reasons: Some(vec!["Drifted".into()]), ..budget("0", schedule, "12h") };
            assert_eq!(allowed(&[all.clone(), bad], now, 5, "Empty"), Allowed::Nodes(0), "{schedule}");
        }
    }

    #[test]
    fn a_date_that_never_comes_is_active_for_ever() {
        let guard = budget("0", "0 0 31 2 *", "1h");
        assert_eq!(guard.allows(at("2026-11-25T12:00:00Z"), 5), Ok(Allowed::Nodes(0)));
        // 2100 has no 29 February: after 2096 robfig gives up looking
        let leap = budget("0", "0 0 29 2 *", "1h");
        assert_eq!(leap.allows(at("2097-01-01T00:00:00Z"), 5), Ok(Allowed::Nodes(0)));
        assert_eq!(leap.allows(at("2090-01-01T00:00:00Z"), 5), Ok(Allowed::Unlimited));
    }

    #[test]
    fn half_of_a_window_is_none() {
        let now = at("2026-11-25T09:00:00Z");
        let no_duration = Budget { duration: None, ..budget("0", "0 9 * * *", "") };
        assert_eq!(no_duration.allows(now, 5), Ok(Allowed::Unlimited));
        let no_schedule = Budget { schedule: None, ..budget("0", "", "1h") };
        assert!(no_schedule.allows(now, 5).is_err());
    }

    #[test]
    fn durations_of_go() {
        let hours = |h: u64| Some(Duration::from_secs(3600 * h));
        assert_eq!(go_duration("720h"), hours(720));
        assert_eq!(go_duration("12h0m0s"), hours(12));
        assert_eq!(go_duration("1h30m"), Some(Duration::from_secs(5400)));
        for bad in ["", "1d", "1.5h", "h", "-1h", "99999999999h", "5", "1h5"] {
            assert_eq!(go_duration(bad), None, "{bad}");
        }
    }
}
