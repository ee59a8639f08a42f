//! Level shifts: a load that has left its usual level for good, and from when on.
//!
//! The distance from usual is looked at as it lasts: the least of the last 20 minutes, all of one sign. Days that are not
//! like others, weekends above all, leave the usual level too and come back, so that only a distance well beyond the largest
//! that has lasted in the week before is a shift. Flash crowds revert sooner; one that does not is taken back when it ends,
//! by the same rule.

use crate::units::Step;
use std::collections::VecDeque;
use std::time::Duration;

/// A shift is believed after this long: shorter ones are crowds.
pub const PERSISTENCE: Duration = Duration::from_secs(20 * 60);
/// What has lasted is remembered for so many days; before that nothing is called a shift.
const DAYS: usize = 7;
/// So many times the largest distance that has lasted in these days is a shift.
const BEYOND: f32 = 1.5;
/// At least this far, in log load.
const LEAST: f32 = 0.3;

/// A shift that has lasted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shift {
    /// Steps that it has lasted.
    pub steps: usize,
    /// How far, in log load: the mean over these steps.
    pub by: f32,
}

/// Watches the distance from usual of one workload.
#[derive(Debug, Clone)]
pub struct Detector {
    per_day: usize,
    seen: usize,
    /// The last 20 minutes of distances, all of one sign.
    recent: VecDeque<f32>,
    persistence: usize,
    /// The largest distance that lasted on each of the last days, the newest last.
    lasted: VecDeque<f32>,
}

impl Detector {
    /// Nothing seen.
    pub fn new(step: Step) -> Self {
        let persistence = step.cover(PERSISTENCE);
        let (recent, lasted) = (VecDeque::with_capacity(persistence + 1), VecDeque::with_capacity(DAYS + 1));
        Detector { per_day: step.per_day().max(1), seen: 0, recent, persistence, lasted }
    }

    /// The distance from usual at the next step, in log load. None: it is not known, and nothing that ran goes on.
    pub fn learn(&mut self, gap: Option<f32>) -> Option<Shift> {
        if self.seen.is_multiple_of(self.per_day) {
            self.lasted.push_back(0.0);
            if self.lasted.len() > DAYS + 1 {
                self.lasted.pop_front();
            }
        }
        self.seen += 1;
        let Some(gap) = gap.filter(|gap| gap.is_finite() && *gap != 0.0) else {
            self.recent.clear();
            return None;
        };
        if self.recent.back().is_some_and(|last| last.signum() != gap.signum()) {
            self.recent.clear();
        }
        self.recent.push_back(gap);
        if self.recent.len() > self.persistence {
            self.recent.pop_front();
        }
        if self.recent.len() < self.persistence {
            return None;
        }
        let lasts = self.recent.iter().fold(f32::INFINITY, |least, gap| least.min(gap.abs()));
        let usual = self.lasted.iter().copied().fold(0.0, f32::max);
        if self.lasted.len() > DAYS && lasts > (BEYOND * usual).max(LEAST) {
            let steps = self.recent.len();
            let by = self.recent.drain(..).sum::<f32>() / steps as f32;
            return Some(Shift { steps, by });
        }
        if let Some(today) = self.lasted.back_mut() {
            *today = today.max(lasts);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A detector at steps of 5 minutes that has seen a week in which 0.2 lasted on one day: 0.3 is the limit.
    fn learned() -> Detector {
        let mut detector = Detector::new(Step::from_secs(300).unwrap());
        for i in 0..DAYS * 288 {
            let gap = if i / 288 == 3 { 0.2 } else { 0.1 };
            assert_eq!(detector.learn(Some(if i % 288 < 144 { gap } else { -gap })), None);
        }
        assert_eq!(detector.lasted, [0.1, 0.1, 0.1, 0.2, 0.1, 0.1, 0.1]);
        detector
    }

    #[test]
    fn a_shift_is_believed_after_twenty_minutes_and_not_before() {
        for sign in [1.0, -1.0] {
            let mut detector = learned();
            assert_eq!(detector.learn(Some(0.7 * sign)), None);
            assert_eq!(detector.learn(Some(0.5 * sign)), None);
            assert_eq!(detector.learn(Some(0.9 * sign)), None);
            let shift = detector.learn(Some(0.7 * sign)).unwrap();
            assert_eq!(shift.steps, 4);
            assert!((shift.by - 0.7 * sign).abs() < 1e-6, "{shift:?}");
            assert_eq!(detector.learn(Some(0.7 * sign)), None, "it is told once");
        }
    }

    #[test]
    fn a_crowd_that_reverts_and_what_last_week_knew_are_none() {
        let mut detector = learned();
        for _ in 0..20 {
            for gap in [2.0, 2.0, 2.0, 0.1, 0.1] {
                assert_eq!(detector.learn(Some(gap)), None, "15 minutes");
            }
        }
        (0..20).for_each(|_| assert_eq!(detector.learn(Some(0.29)), None, "1.5 x 0.2 is the limit"));
        // 0.29 has lasted today: the limit is 0.435 now
        (0..20).for_each(|_| assert_eq!(detector.learn(Some(0.43)), None));
    }

    #[test]
    fn what_ends_is_found_as_what_began_was() {
        let mut detector = learned();
        let found: Vec<Shift> = (0..4).filter_map(|_| detector.learn(Some(1.0))).collect();
        assert_eq!(found.len(), 1);
        let back: Vec<Shift> = (0..4).filter_map(|_| detector.learn(Some(-1.0))).collect();
        assert_eq!(back, [Shift { steps: 4, by: -1.0 }], "the shift is no measure of what is usual");
    }

    #[test]
    fn what_is_not_known_breaks_a_run_and_a_young_workload_has_no_usual() {
        let mut detector = learned();
        (0..3).for_each(|_| assert_eq!(detector.learn(Some(0.7)), None));
        assert_eq!(detector.learn(None), None);
        (0..3).for_each(|_| assert_eq!(detector.learn(Some(0.7)), None));
        assert!(detector.learn(Some(0.7)).is_some());
        let mut young = Detector::new(Step::from_secs(300).unwrap());
        (0..DAYS * 288).for_each(|_| assert_eq!(young.learn(Some(5.0)), None));
    }
}
