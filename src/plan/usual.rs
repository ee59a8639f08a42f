//! What is usual at this time of day, read from what was measured on the days before.

use crate::series::{Sample, Series};
use crate::units::Step;
use std::time::Duration;

/// On either side of a time of day, this still counts as the same time.
const AROUND: Duration = Duration::from_secs(30 * 60);
/// A zero, or nearly, is doubted for so long; then it is believed to be the new truth.
const DOUBT: Duration = Duration::from_secs(3600);
/// No workload has more load than this, in whatever unit: above is an error of the source.
const MAX_LOAD: f64 = 1e18;
/// A rise of now is no older than this.
const RISE: Duration = Duration::from_secs(2 * 3600);
/// A collapse is doubted below this share of the smallest load of a day.
pub const COLLAPSE: f64 = 0.2;

/// Samples that [`believed`] and [`usual_low`] look at: so many steps are to be kept.
pub fn looked_at(step: Step) -> usize {
    step.per_day() + step.cover(AROUND) + 1
}

/// The smallest load measured within half an hour of this time of day, that of the series' newest sample, yesterday. None
/// where yesterday is not known.
pub fn usual_low(series: &Series) -> Option<f64> {
    let half = series.step().cover(AROUND);
    let middle = series.len().checked_sub(1 + series.step().per_day())?;
    (middle.saturating_sub(half)..=middle + half).filter_map(|i| series.get(i).measured()).reduce(f64::min)
}

/// The largest load of the last day, the last [`RISE`] left out. None where nothing older is known.
pub fn usual_most(series: &Series) -> Option<f64> {
    let end = series.len().checked_sub(series.step().cover(RISE))?;
    (0..end).filter_map(|i| series.get(i).measured()).reduce(f64::max)
}

/// The 95th percentile of loads. None where there is none.
pub fn usual_high(loads: impl Iterator<Item = f64>) -> Option<f64> {
    let mut loads: Vec<f64> = loads.collect();
    let rank = (loads.len() * 95).div_ceil(100).checked_sub(1)?;
    (rank < loads.len()).then(|| *loads.select_nth_unstable_by(rank, f64::total_cmp).1)
}

/// The sample that follows `series`, with what is not credible marked: numbers that are no load are Missing; a
/// collapse below a fifth of the smallest load of the last day is Suspect for an hour, since a source that breaks
/// looks just like it. Where such loads have been common, they are believed.
pub fn believed(sample: Sample, series: &Series) -> Sample {
    let load = match sample {
        Sample::Valid(v) | Sample::Suspect(v) | Sample::Censored(v) | Sample::Event(v) => v,
        Sample::Missing => return sample,
    };
    if !(0.0..=MAX_LOAD).contains(&load) {
        return Sample::Missing;
    }
    let Sample::Valid(load) = sample else { return sample };
    let step = series.step();
    let day = step.per_day();
    let doubt = step.cover(DOUBT);
    let (mut smallest, mut doubted, mut known) = (f64::INFINITY, 0, 0);
    for i in (series.len().saturating_sub(day)..series.len()).rev() {
        match series.get(i) {
            // doubt of something higher, at another time of the day, says nothing of this one
            Sample::Suspect(v) => doubted += usize::from(load >= COLLAPSE * v),
            other => {
                if let Some(v) = other.measured() {
                    known += 1;
                    smallest = smallest.min(v);
                    if load >= COLLAPSE * smallest {
                        return sample;
                    }
                }
            }
        }
        if doubted >= doubt {
            return sample;
        }
    }
    if known > doubt { Sample::Suspect(load) } else { sample }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Time;

    fn days(n: usize, load: impl Fn(usize) -> Sample) -> Series {
        Series::of(Time::from_secs(0), Step::from_secs(600).unwrap(), (0..n * 144).map(load))
    }

    #[test]
    fn yesterday_around_now_is_what_is_usual() {
        // a day of 0..144, then the same again up to slot 60
        let series = Series::of(
            Time::from_secs(0),
            Step::from_secs(600).unwrap(),
            (0..144 + 61).map(|i| Sample::Valid((i % 144) as f64)),
        );
        assert_eq!(usual_low(&series), Some(57.0), "slots 57 to 63");
        assert_eq!(usual_high((1..=100).rev().map(f64::from)), Some(95.0));
        assert_eq!(usual_high(std::iter::empty()), None);
        assert_eq!(usual_low(&days(1, |_| Sample::Valid(1.0))), None);
    }

    #[test]
    fn an_hour_of_doubt_about_something_higher_is_no_credit() {
        let mut series = days(1, |i| if (60..66).contains(&i) { Sample::Suspect(40.0) } else { Sample::Valid(100.0) });
        assert_eq!(believed(Sample::Valid(0.0), &series), Sample::Suspect(0.0), "the hour was about 40");
        (0..6).for_each(|_| series.push(Sample::Suspect(0.0)));
        assert_eq!(believed(Sample::Valid(0.0), &series), Sample::Valid(0.0), "this hour was about zero");
    }

    #[test]
    fn a_zero_out_of_nowhere_is_doubted_for_an_hour() {
        let mut series = days(1, |_| Sample::Valid(10.0));
        let mut kinds = vec![];
        for _ in 0..8 {
            let sample = believed(Sample::Valid(0.0), &series);
            kinds.push(sample == Sample::Suspect(0.0));
            series.push(sample);
        }
        assert_eq!(kinds, [true, true, true, true, true, true, false, false]);
        assert_eq!(believed(Sample::Valid(2.0), &days(1, |_| Sample::Valid(10.0))), Sample::Valid(2.0));
        let common = days(1, |i| Sample::Valid(if i % 50 == 0 { 0.0 } else { 10.0 }));
        assert_eq!(believed(Sample::Valid(0.0), &common), Sample::Valid(0.0));
    }

    #[test]
    fn what_is_no_number_is_missing() {
        let series = days(1, |_| Sample::Valid(10.0));
        for v in [f64::NAN, f64::INFINITY, -1.0, 1e30] {
            assert_eq!(believed(Sample::Valid(v), &series), Sample::Missing);
            assert_eq!(believed(Sample::Event(v), &series), Sample::Missing);
        }
    }
}
