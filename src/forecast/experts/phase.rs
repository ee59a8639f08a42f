//! Phase-locked load: jobs at the same minute of every hour or half hour (cron, batch exports, cache refreshes).

use super::Ahead;
use crate::forecast::past::Past;

/// Periods looked at.
const BACK: usize = 5;

/// Median of the same window of the last 5 periods of `period_secs` that have elapsed.
pub fn same_minute(past: &Past, ahead: &Ahead, period_secs: usize, slots: usize) -> Option<f32> {
    let period = period_secs * slots / 86_400;
    if period <= past.window() {
        return None;
    }
    let first = (ahead.start.saturating_sub(past.newest_top()?)).div_ceil(period).max(1);
    let mut values = [0.0f32; BACK];
    for (i, value) in values.iter_mut().enumerate() {
        *value = past.top(ahead.start.checked_sub((first + i) * period))?;
    }
    values.sort_unstable_by(f32::total_cmp);
    Some(values[BACK / 2])
}
