//! Work that is too long for a tick: an hourly MSTL fit, and once a day a look at which features a regression needs.
//!
//! Work is wanted at fixed steps and its results are used at fixed steps, 15 minutes later. Whoever runs ticks may do it in
//! between on another thread; what nobody has done is done when it is due. The forecasts are the same bytes either way.

use super::experts::{FEATURES, Fit, Gram, Path, keep};
use super::fitted::Fitted;

/// Seconds after which results are used.
const LATER: u64 = 900;

/// Work to be done, which needs nothing but itself.
#[derive(Debug, Clone)]
pub struct Homework {
    fit: Option<Fit>,
    screen: Option<(usize, Vec<Gram<FEATURES>>)>,
}

/// Features that are kept, one entry per horizon.
type Kept = Vec<Option<[bool; FEATURES]>>;

/// Work that has been done.
#[derive(Debug)]
pub struct Done {
    fit: Option<(Fit, Option<Path>)>,
    screen: Option<(usize, Kept)>,
}

impl Homework {
    /// Does it: a few milliseconds. A panic of a library is caught here and benches its expert for a day.
    pub fn work(self) -> Done {
        Done {
            fit: self.fit.map(|fit| {
                let path = fit.work();
                (fit, path)
            }),
            screen: self.screen.map(|(at, grams)| (at, screen(&grams))),
        }
    }
}

fn screen(grams: &[Gram<FEATURES>]) -> Kept {
    grams.iter().map(|gram| std::panic::catch_unwind(|| keep(gram)).ok().flatten()).collect()
}

/// The screening that is under way.
#[derive(Debug, Clone, Default)]
pub struct Screening {
    wanted: Option<(usize, Vec<Gram<FEATURES>>)>,
    made: Option<Kept>,
}

impl Fitted {
    /// What is to be done off the tick now. None: nothing.
    pub fn homework(&mut self) -> Option<Homework> {
        let fit = self.bank.decomposition().wants(&self.past);
        let screen = self.screening.wanted.clone().filter(|_| self.screening.made.is_none());
        (fit.is_some() || screen.is_some()).then_some(Homework { fit, screen })
    }

    /// Takes work that was done. What is no longer wanted is dropped.
    pub fn hand_in(&mut self, done: Done) {
        if let Some((fit, path)) = done.fit {
            self.bank.decomposition().take(&fit, path);
        }
        if let Some((at, kept)) = done.screen
            && self.screening.wanted.as_ref().is_some_and(|w| w.0 == at)
        {
            self.screening.made = Some(kept);
        }
    }

    /// Shifts the screening in time, once a step.
    pub(super) fn screen(&mut self) {
        let (seen, day) = (self.past.seen(), self.task.step.per_day().max(1));
        let later = self.task.step.cover(std::time::Duration::from_secs(LATER));
        let due = self.screening.wanted.as_ref().is_some_and(|(at, _)| at + later == seen);
        if let Some((_, grams)) = self.screening.wanted.take_if(|_| due) {
            let kept = self.screening.made.take().unwrap_or_else(|| screen(&grams));
            self.windows.iter_mut().zip(kept).for_each(|(window, kept)| window.keep(kept));
        }
        if seen.is_multiple_of(day) && day > 2 * later {
            let grams = self.windows.iter().map(|w| w.gram().clone()).collect();
            self.screening = Screening { wanted: Some((seen, grams)), made: None };
        }
    }
}
