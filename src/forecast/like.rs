//! The loads of dates that occasions liken their days to.

use crate::occasion::{Effect, Occasion, since_1970};
use crate::series::{Calendar, Sample};
use crate::units::Time;

/// Slots of a day.
const SLOTS: usize = 96;

/// What was measured on these dates, whatever was declared of them, for as long as the forecaster lives.
#[derive(Debug, Clone)]
pub struct Likes {
    /// Days since 1970-01-01, with the largest load of each quarter of an hour of the local day; NaN: not measured.
    days: Vec<(i64, Box<[f32; SLOTS]>)>,
}

impl Likes {
    /// Nothing measured.
    pub fn new(occasions: &[Occasion]) -> Likes {
        let dates = occasions.iter().filter_map(|o| if let Effect::Like(date) = o.effect { Some(date) } else { None });
        let mut days: Vec<i64> = dates.map(since_1970).collect();
        days.sort_unstable();
        days.dedup();
        Likes { days: days.into_iter().map(|day| (day, Box::new([f32::NAN; SLOTS]))).collect() }
    }

    /// Takes the sample at `at`.
    pub fn learn(&mut self, calendar: &mut Calendar, at: Time, sample: Sample) {
        if self.days.is_empty() {
            return;
        }
        let (day, place) = (calendar.day(at), place(calendar, at));
        let slots = self.days.iter_mut().find(|(known, _)| *known == day);
        let slot = slots.and_then(|(_, slots)| slots.get_mut(place));
        if let (Some(slot), Some(load)) = (slot, sample.measured()) {
            *slot = slot.max(load as f32);
        }
    }

    /// The load of the day `day`, days since 1970-01-01, at the local time of `at`. None: it was not measured.
    pub fn load(&self, calendar: &mut Calendar, day: i64, at: Time) -> Option<f64> {
        let place = place(calendar, at);
        let slots = self.days.iter().find(|(known, _)| *known == day);
        slots.and_then(|(_, slots)| slots.get(place)).filter(|load| !load.is_nan()).map(|load| f64::from(*load))
    }
}

fn place(calendar: &mut Calendar, at: Time) -> usize {
    calendar.slot(at).of_day * SLOTS / calendar.slots()
}
