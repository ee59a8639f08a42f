use super::*;
use crate::units::Step;
use proptest::prelude::*;

fn task(lead: usize) -> PlanTask {
    PlanTask {
        step: Step::MINUTE,
        lead,
        window: 5,
        unserved_budget: 0.001,
        miss_cost: None,
        min_replicas: 1,
        max_replicas: 400,
    }
}

fn minute(i: usize) -> Time {
    Time::from_secs(60 * i as i64)
}

fn reacting(portfolio: &Portfolio, reactive: f32) -> usize {
    let this = |c: &Candidate| c.signal == Signal::None && c.reactive == reactive;
    portfolio.candidates.iter().position(this).unwrap()
}

#[test]
fn books_of_a_policy_that_reacts_by_hand() {
    let mut portfolio = Portfolio::new(task(2));
    let k = reacting(&portfolio, 1.0);
    // load in replicas at a capacity of 10; what "load x 1, held 5 min" decides: 2 2 6 6 6 6 6 1
    for (i, load) in [2.0, 2.0, 6.0, 1.0, 1.0, 1.0, 1.0, 1.0].into_iter().enumerate() {
        portfolio.advance(minute(i), 10.0 * load, Heard::Lesson, None, 10.0);
    }
    // booked from step 2 on: ready is the least of the two decisions before each step: 2 2 6 6 6 6
    assert_eq!(portfolio.block.load, 11.0);
    assert_eq!(portfolio.block.ready[k], 28.0);
    assert_eq!(portfolio.block.missed[k], 4.0, "six on two at the third step");
}

#[test]
fn loads_that_are_not_believed_are_not_booked() {
    let mut portfolio = Portfolio::new(task(2));
    for i in 0..10 {
        portfolio.advance(minute(i), 50.0, if i < 5 { Heard::Lesson } else { Heard::Nothing }, None, 10.0);
    }
    assert_eq!(portfolio.block.load, 15.0);
}

#[test]
fn a_spike_at_the_same_minute_of_every_hour_is_met_after_a_day() {
    let load = |i: usize| if (20..26).contains(&(i % 60)) { 300.0 } else { 50.0 };
    let mut portfolio = Portfolio::new(task(3));
    let decided: Vec<Replicas> =
        (0..4 * 1440).map(|i| portfolio.advance(minute(i), load(i), Heard::Lesson, None, 10.0)).collect();
    let (mut missed, mut ready_sum, mut total) = (0.0, 0.0, 0.0);
    for i in 1440..4 * 1440 {
        let ready = f64::from(*decided[i - 3..i].iter().min().unwrap());
        missed += (load(i) / 10.0 - ready).max(0.0);
        ready_sum += ready;
        total += load(i) / 10.0;
    }
    assert!(missed / total < 0.001, "missed {:.4} of the load", missed / total);
    assert!(ready_sum / total < 2.0, "static would cost 4; cost {:.2}", ready_sum / total);
}

#[test]
fn what_is_known_of_no_hour_is_decided_with_a_margin() {
    let mut portfolio = Portfolio::new(task(3));
    assert_eq!(portfolio.advance(minute(0), 100.0, Heard::Lesson, None, 10.0), 13);
    assert_eq!(portfolio.mixture().count(), 0);
    for i in 1..=60 {
        portfolio.advance(minute(i), 100.0, Heard::Lesson, None, 10.0);
    }
    let weights: f32 = portfolio.mixture().map(|(_, weight)| weight).sum();
    assert!((weights - 1.0).abs() < 1e-5);
}

#[test]
fn given_costs_the_price_of_a_miss_stays_and_dearer_misses_are_fewer() {
    let load = |i: usize| 100.0 + if i * 7919 % 97 < 6 { 200.0 } else { 0.0 };
    let run = |cost: f64| {
        let mut portfolio = Portfolio::new(PlanTask { miss_cost: Some(cost), ..task(3) });
        let decided: Vec<Replicas> =
            (0..3 * 1440).map(|i| portfolio.advance(minute(i), load(i), Heard::Lesson, None, 10.0)).collect();
        assert!((f64::from(portfolio.price()) / 0.001 - cost).abs() < 1e-3 * cost, "{}", portfolio.price());
        let (mut missed, mut ready) = (0.0, 0.0);
        for i in 1440..3 * 1440 {
            let there = f64::from(*decided[i - 3..i].iter().min().unwrap());
            missed += (load(i) / 10.0 - there).max(0.0);
            ready += there;
        }
        (missed, ready)
    };
    let (cheap, dear) = (run(1.0), run(1000.0));
    assert!(dear.0 < 0.2 * cheap.0 && dear.1 > 1.5 * cheap.1, "{cheap:?} {dear:?}");
}

#[test]
fn there_are_no_more_candidates_than_a_tick_has_time_for() {
    let all = candidates();
    assert!(all.len() <= 260, "{}", all.len());
    for (i, a) in all.iter().enumerate() {
        assert!(!all[..i].contains(a), "{a} twice");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_loads_give_a_number_within_the_bounds(
        loads in prop::collection::vec(prop_oneof![0.0..1e4f64, Just(0.0), Just(1e18)], 1..400),
        capacity in prop_oneof![Just(1e-6), Just(10.0), Just(1e9)],
        step in prop_oneof![Just(1u32), Just(60), Just(420), Just(3600), Just(86_400)],
        lead in 1..30usize,
    ) {
        let step = Step::from_secs(step).unwrap();
        let task = PlanTask { step, lead, window: step.cover(std::time::Duration::from_secs(300)), ..task(lead) };
        let (mut a, mut b) = (Portfolio::new(task.clone()), Portfolio::new(task));
        for (i, load) in loads.iter().enumerate() {
            let at = Time::from_secs(i as i64 * i64::from(step.secs()));
            let decided = a.advance(at, *load, Heard::Lesson, None, capacity);
            prop_assert!((1..=400).contains(&decided));
            prop_assert_eq!(decided, b.advance(at, *load, Heard::Lesson, None, capacity));
        }
        prop_assert!(a.price().is_finite());
        prop_assert!(a.mixture().all(|(_, weight)| weight.is_finite()));
    }
}

#[test]
fn a_workload_takes_less_than_150_kb() {
    let portfolio = Portfolio::new(task(8));
    let books = portfolio.candidates.len() * (2 * 3 + portfolio.hours.len());
    let rings = portfolio.decided.len() + portfolio.ready.len() + portfolio.recent.len() * SIGNALS;
    let bytes = 4 * (books + rings) + portfolio.signals.bytes();
    assert!(bytes < 150_000, "{bytes}");
}
