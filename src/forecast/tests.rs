use super::*;
use crate::series::{Sample, Series};
use proptest::prelude::*;
use rand::Rng as _;
use std::f64::consts::TAU;

fn task(step_secs: u32, horizons: &[usize], window: usize) -> Task {
    let step = Step::from_secs(step_secs).unwrap();
    Task { step, horizons: horizons.to_vec(), window, time_zone: "UTC".into(), occasions: Vec::new() }
}

/// A daily wave with a spike at the same minute of every hour, and a little deterministic noise.
fn wave(i: usize, step_secs: usize) -> f64 {
    let share = (i * step_secs % 86_400) as f64 / 86_400.0;
    let noise = ((i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f64 / (1u64 << 24) as f64;
    let spike = if i * step_secs % 3600 < step_secs { 40.0 } else { 0.0 };
    100.0 + 60.0 * (TAU * share).sin() + 5.0 * noise + spike
}

fn walk(task: &Task, samples: &[Sample]) -> Vec<QuantileForecast> {
    let mut fitted = fit(&Series::new(Time::from_secs(0), task.step, 1), task);
    samples
        .iter()
        .enumerate()
        .map(|(i, sample)| {
            fitted.observe(Time::from_secs(0) + task.step.times(i), *sample);
            fitted.predict()
        })
        .collect()
}

fn honest(forecast: &QuantileForecast) -> bool {
    forecast.windows.iter().all(|w| {
        w.values.iter().all(|v| v.is_finite() && *v >= 0.0) && w.values.windows(2).all(|pair| pair[0] <= pair[1])
    })
}

#[test]
fn a_regular_load_is_forecast_well_and_honestly() {
    let task = task(300, &[1, 3, 12], 1);
    let loads: Vec<f64> = (0..288 * 12).map(|i| wave(i, 300)).collect();
    let samples: Vec<Sample> = loads.iter().map(|v| Sample::Valid(*v)).collect();
    let forecasts = walk(&task, &samples);
    for (w, horizon) in task.horizons.iter().enumerate() {
        let scored = 288 * 8..loads.len() - 12;
        let n = scored.len() as f64;
        let mut hits = 0.0;
        let mut error = 0.0;
        for i in scored {
            let target = loads[i + horizon];
            hits += f64::from(u8::from(target <= forecasts[i].windows[w].at(0.95)));
            error += (target - forecasts[i].windows[w].at(0.5)).abs() / n;
        }
        assert!((hits / n - 0.95).abs() < 0.02, "horizon {horizon}: coverage {}", hits / n);
        assert!(error < 4.0, "horizon {horizon}: mean error {error} of a noise of 1.25");
    }
    let explained = fit(&Series::of(Time::from_secs(0), task.step, samples), &task).explain();
    assert_eq!(
        explained.abstains,
        None,
        "{:?}",
        explained.horizons.iter().map(|h| (h.versus_seasonal_naive, h.versus_reactive)).collect::<Vec<_>>()
    );
}

#[test]
fn the_future_changes_nothing_said_before() {
    let task = task(300, &[1, 3, 12], 1);
    let samples: Vec<Sample> = (0..1500).map(|i| Sample::Valid(wave(i, 300))).collect();
    let mut corrupted = samples.clone();
    corrupted.iter_mut().enumerate().skip(1000).for_each(|(i, s)| *s = Sample::Valid((i % 3) as f64 * 1e6));
    let (a, b) = (walk(&task, &samples), walk(&task, &corrupted));
    assert_eq!(a[..1000], b[..1000]);
    assert_ne!(a[1200], b[1200]);
}

#[test]
fn only_valid_samples_teach() {
    let task = task(300, &[1, 12], 1);
    let good: Vec<Sample> = (0..288 * 4).map(|i| Sample::Valid(wave(i, 300))).collect();
    for bad in [Sample::Missing, Sample::Suspect(1e9), Sample::Censored(1e9), Sample::Event(1e9)] {
        let mut samples = good.clone();
        samples.extend(std::iter::repeat_n(bad, 48));
        let after = walk(&task, &samples).pop().unwrap();
        assert!(honest(&after) && after.windows[1].at(0.999) < 400.0, "{bad:?}: {:?}", after.windows[1]);
    }
}

#[test]
fn fitting_a_history_equals_observing_it() {
    let task = task(600, &[1, 6], 1);
    let samples: Vec<Sample> = (0..400).map(|i| Sample::Valid(wave(i, 600))).collect();
    let fitted = fit(&Series::of(Time::from_secs(0), task.step, samples.clone()), &task);
    assert_eq!(fitted.predict(), walk(&task, &samples).pop().unwrap());
}

#[test]
fn a_workload_that_has_not_begun_has_nothing_to_forget() {
    let task = task(300, &[1, 12], 1);
    let mut samples = vec![Sample::Valid(0.0); 288 * 3];
    samples.extend((0..288 * 3).map(|i| Sample::Valid(wave(i, 300))));
    let forecasts = walk(&task, &samples);
    assert!(forecasts.iter().all(honest));
    let last = forecasts.last().unwrap();
    assert!(last.windows[0].at(0.5) > 50.0 && last.windows[0].at(0.99) < 300.0, "{last:?}");
}

#[test]
fn an_explanation_adds_up() {
    let task = task(600, &[1, 6], 1);
    let samples: Vec<Sample> = (0..144 * 4).map(|i| Sample::Valid(wave(i, 600))).collect();
    let explained = fit(&Series::of(Time::from_secs(0), task.step, samples), &task).explain();
    for horizon in &explained.horizons {
        for l in 0..LEVELS.len() {
            let sum: f32 = horizon.members.iter().map(|m| m.weights[l]).sum();
            assert!((sum - 1.0).abs() < 1e-4, "{sum}");
        }
        assert!(horizon.versus_seasonal_naive.is_some() && horizon.coverage[4].worst_day.is_some());
    }
}

#[test]
fn homework_done_off_the_tick_changes_no_byte() {
    let task = task(3600, &[1, 3], 1);
    let samples: Vec<Sample> = (0..24 * 9).map(|i| Sample::Valid(wave(i, 3600))).collect();
    let mut diligent = fit(&Series::new(Time::from_secs(0), task.step, 1), &task);
    let mut done = 0;
    let forecasts: Vec<QuantileForecast> = samples
        .iter()
        .enumerate()
        .map(|(i, sample)| {
            diligent.observe(Time::from_secs(0) + task.step.times(i), *sample);
            if let Some(homework) = diligent.homework() {
                done += 1;
                diligent.hand_in(homework.work());
                assert!(diligent.homework().is_none(), "done once is enough");
            }
            diligent.predict()
        })
        .collect();
    assert!(done >= 9, "{done}");
    assert_eq!(forecasts, walk(&task, &samples));
}

#[test]
fn what_can_be_trusted_adds_up_and_names_few() {
    let task = task(600, &[1, 6], 1);
    let samples: Vec<Sample> = (0..144 * 3).map(|i| Sample::Valid(wave(i, 600))).collect();
    let fitted = fit(&Series::of(Time::from_secs(0), task.step, samples), &task);
    let trust = fitted.trust(6).unwrap();
    let sum: f32 = trust.experts.iter().map(|e| e.1).sum();
    assert!(trust.experts.len() == 5 && sum > 0.3 && sum <= 1.0001, "{trust:?}");
    assert!(trust.experts.windows(2).all(|e| e[0].1 >= e[1].1) && trust.coverage.len() == 2, "{trust:?}");
    assert_eq!(fitted.trust(2), None);
}

fn occasions(text: &str) -> Vec<crate::occasion::Occasion> {
    crate::occasion::parse(text, None).unwrap()
}

/// 100 by night and at weekends, 200 in the office hours of working days. 1970-01-01 was a Thursday.
fn office(i: usize) -> f64 {
    let (hour, day) = (i % 288 / 12, (i / 288 + 3) % 7);
    let noise = (i * 7919 % 101) as f64 / 50.0;
    noise + if (8..18).contains(&hour) && day < 5 { 200.0 } else { 100.0 }
}

/// Forecast, an hour ahead, of 11:00 on the day after `days` days; what was judged with the occasions is learned from.
fn noon(days: usize, text: &str, load: impl Fn(usize) -> f64) -> f64 {
    let mut task = task(300, &[12], 1);
    task.occasions = occasions(text);
    let mut quality = crate::series::Quality::new(task.step, "UTC").with(&task.occasions);
    let samples = (0..days * 288 + 10 * 12 + 1).map(|i| {
        let at = Time::from_secs(0) + task.step.times(i);
        quality.judge(at, Some(load(i)), Default::default()).0
    });
    let series = Series::of(Time::from_secs(0), task.step, samples.collect::<Vec<_>>());
    fit(&series, &task).predict().windows[0].at(0.5)
}

#[test]
fn a_declared_holiday_is_like_a_sunday_and_teaches_nothing_of_ordinary_days() {
    // day 11 is Monday 12 January, day 12 the Tuesday after
    let none = "1980-01-01 holiday";
    let holiday = "1970-01-12 holiday king's day";
    let quiet = |i: usize| if i / 288 == 11 { 100.0 + office(i) % 2.0 } else { office(i) };
    let monday = noon(11, holiday, quiet);
    assert!(monday < 125.0, "declared: {monday}");
    let (with, without) = (noon(12, holiday, quiet), noon(12, none, office));
    assert!((with / without - 1.0).abs() < 0.05, "the day after: {with}, without a holiday {without}");
}

#[test]
fn a_declared_factor_and_a_declared_example_hold_for_their_hours() {
    let usual = noon(8, "1980-01-01 x2", office);
    let triple = noon(8, "1970-01-09T10:30/1970-01-09T12:00 x3 launch", office);
    assert!((triple / usual - 3.0).abs() < 0.01, "{usual} {triple}");
    assert_eq!(noon(8, "1970-01-09T12:00/1970-01-09T13:00 x3", office), usual, "not before and not after");
    // like the day on which the load was 500 at 11:00
    let peak =
        |i: usize| if i / 288 == 5 && (120..150).contains(&(i % 288)) { 500.0 + office(i) % 5.0 } else { office(i) };
    let like = noon(8, "1970-01-06T10:00/1970-01-06T13:00 exclude; 1970-01-09 like=1970-01-07", office);
    assert!((like / usual - 1.0).abs() < 0.1, "{like}");
    let like = noon(8, "1970-01-09 like=1970-01-06", peak);
    assert!(like > 450.0, "{like}");
    // and that day was declared itself, and lies further back than two weeks
    let like = noon(22, "1970-01-06 exclude; 1970-01-23 like=1970-01-06", peak);
    assert!((490.0..520.0).contains(&like), "{like}");
}

#[test]
fn an_excluded_load_test_is_not_expected_tomorrow() {
    let test = |i: usize| if i / 288 == 7 && (120..150).contains(&(i % 288)) { 2000.0 } else { office(i) };
    let usual = noon(8, "1980-01-01 x2", office);
    let excluded = noon(8, "1970-01-08T10:00/1970-01-08T12:30 exclude", test);
    assert!((excluded / usual - 1.0).abs() < 0.05, "{excluded} {usual}");
}

/// The median an hour ahead, `minutes` after the load of `wave` is multiplied by `factor` on day 9 for `lasts` minutes, over
/// what comes an hour later.
fn after_a_shift(factor: f64, lasts: usize, minutes: usize) -> f64 {
    let task = task(300, &[12], 1);
    let begin = 288 * 9 + 100;
    let load = |i: usize| wave(i, 300) * if (begin..begin + lasts / 5).contains(&i) { factor } else { 1.0 };
    let last = begin + minutes / 5;
    let samples = (0..last).map(|i| Sample::Valid(load(i)));
    let fitted = fit(&Series::of(Time::from_secs(0), task.step, samples), &task);
    fitted.predict().windows[0].at(0.5) / load(last - 1 + 12)
}

#[test]
fn the_unit_of_load_does_not_matter() {
    let task = task(600, &[1, 6], 1);
    let at = |f: f64| (0..500).map(|i| Sample::Valid(f * wave(i, 600))).collect::<Vec<_>>();
    let one = walk(&task, &at(1.0));
    for factor in [1.0 / 1024.0, 64.0, 65536.0] {
        for (a, b) in one.iter().zip(&walk(&task, &at(factor))).skip(300) {
            let (a, b) = (a.windows[1].at(0.95) * factor, b.windows[1].at(0.95));
            assert!((a / b - 1.0).abs() < 0.05, "{a} {b}");
        }
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "long without optimization; the core is tested with it")]
fn a_level_that_has_shifted_is_learned_in_hours_and_a_crowd_is_not() {
    for factor in [2.0, 0.5] {
        for hours in [3, 12, 30] {
            let share = after_a_shift(factor, 100_000, 60 * hours);
            assert!((share - 1.0).abs() < 0.25, "x{factor}, {hours} hours after: {share}");
        }
    }
    for (lasts, minutes) in [(15, 90), (15, 1440), (60, 60 + 180), (60, 60 + 1440)] {
        let share = after_a_shift(3.0, lasts, minutes);
        assert!((share - 1.0).abs() < 0.25, "a crowd of {lasts} minutes, {minutes} minutes after it began: {share}");
    }
}

fn sample() -> impl Strategy<Value = Sample> {
    prop_oneof![
        4 => (0.0..1e3f64).prop_map(Sample::Valid),
        1 => Just(Sample::Valid(0.0)),
        1 => (0.0..1e30f64).prop_map(Sample::Valid),
        1 => (0.0..1e-30f64).prop_map(Sample::Valid),
        1 => Just(Sample::Missing),
        1 => (0.0..1e9f64).prop_map(Sample::Suspect),
        1 => (0.0..1e9f64).prop_map(Sample::Censored),
        1 => (0.0..1e9f64).prop_map(Sample::Event),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_samples_give_a_finite_rising_fan(
        samples in prop::collection::vec(sample(), 1..400), step in prop::sample::select(vec![10u32, 60, 300, 3600, 86_400]),
    ) {
        let step = Step::from_secs(step).unwrap();
        let mut horizons: Vec<usize> = [180, 900, 3600].map(|s| step.cover(std::time::Duration::from_secs(s))).to_vec();
        horizons.dedup();
        let window = step.cover(std::time::Duration::from_secs(300));
        let task = Task { step, horizons, window, time_zone: "Europe/Berlin".into(), occasions: Vec::new() };
        let forecasts = walk(&task, &samples);
        prop_assert!(forecasts.iter().all(honest));
        prop_assert_eq!(forecasts, walk(&task, &samples));
    }
}

#[test]
fn a_load_that_rests_for_days_does_not_wear_down_what_is_said_of_its_hours() {
    // ten hours of work a day, zero otherwise: misses of the upper quantile are counted in the hours of work alone
    let task = task(300, &[3], 1);
    let mut random = crate::rng::stream(7, "work");
    let mut load = |i: usize| {
        let noise: f64 = random.random();
        if (96..216).contains(&(i % 288)) { 100.0 + 40.0 * noise } else { 0.0 }
    };
    let loads: Vec<f64> = (0..288 * 21).map(&mut load).collect();
    let forecasts = walk(&task, &loads.iter().map(|load| Sample::Valid(*load)).collect::<Vec<_>>());
    let scored: Vec<usize> = (288 * 7..loads.len() - 3).filter(|i| loads[i + 3] > 0.0).collect();
    let hits = scored.iter().filter(|i| loads[**i + 3] <= forecasts[**i].windows[0].at(0.95)).count();
    let share = hits as f64 / scored.len() as f64;
    assert!((share - 0.95).abs() < 0.02, "{share}");
}

#[test]
fn after_days_without_any_load_losses_are_still_numbers_that_can_be_compared() {
    // a week of work, ten days of rest, and work again
    let task = task(300, &[3], 1);
    let load = |i: usize| if (7..17).contains(&(i / 288)) { 0.0 } else { wave(i, 300) };
    let samples: Vec<Sample> = (0..288 * 23).map(|i| Sample::Valid(load(i))).collect();
    let mut fitted = fit(&Series::new(Time::from_secs(0), task.step, 1), &task);
    let mut said = Vec::new();
    for (i, sample) in samples.iter().enumerate() {
        fitted.observe(Time::from_secs(0) + task.step.times(i), *sample);
        said.push(fitted.predict());
    }
    let back = 288 * 20..samples.len() - 3;
    let error = back.clone().map(|i| (load(i + 3) - said[i].windows[0].at(0.5)).abs()).sum::<f64>() / back.len() as f64;
    assert!(error < 8.0, "three days after work has begun again the median is off by {error}");
    assert!(said.last().unwrap().abstains.is_none(), "{:?}", said.last().unwrap().abstains);
}

#[test]
fn bursts_do_not_lift_what_is_said_beyond_twice_the_largest_load() {
    // 10 with a little noise, and an hour of 60 every other day at another time
    let task = task(300, &[1, 12], 1);
    let burst = |i: usize| (i / 288).is_multiple_of(2) && (i * 7 / 288 * 31 % 24) == i % 288 / 12;
    let load = |i: usize| if burst(i) { 60.0 } else { 10.0 + (i * 7919 % 101) as f64 / 100.0 };
    let samples: Vec<Sample> = (0..288 * 14).map(|i| Sample::Valid(load(i))).collect();
    let forecasts = walk(&task, &samples);
    let highest = forecasts[288 * 5..].iter().flat_map(|f| &f.windows).map(|w| w.highest()).fold(0.0, f64::max);
    assert!((55.0..=120.5).contains(&highest), "{highest}");
}
