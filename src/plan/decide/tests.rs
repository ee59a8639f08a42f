use super::*;
use proptest::prelude::*;

const BOUNDS: Bounds = Bounds { min: 2, max: 40 };

fn at(minute: i64) -> Time {
    Time::from_secs(86_400 + 60 * minute)
}

fn evidence(reactive: Replicas, forecast: Replicas) -> Evidence {
    Evidence {
        parts: Parts { reactive: Some(reactive), forecast: Some(forecast), schedule: None, hold: None },
        asked: None,
        standing: Standing::Fresh,
        unlearned: false,
        usual_high: None,
        usual_low: None,
        surge: None,
        outage: false,
        gain: Gain::Unquestioned,
        reacting: Reason::Reactive,
    }
}

fn stale() -> Evidence {
    let mut e = evidence(0, 0);
    e.parts = Parts::default();
    e.standing = Standing::Stale;
    e
}

fn seen(replicas: Replicas, autoscaled: bool) -> Observation {
    Observation {
        at: at(0),
        replicas,
        ready: replicas,
        autoscaled,
        floor: None,
        rollout: false,
        blocked: None,
        stopped: false,
        unhealthy: false,
        room: None,
    }
}

#[test]
fn after_the_kill_switch_growth_counts_from_what_runs() {
    let mut memory = PlanMemory::default();
    let stopped = Observation { stopped: true, ..seen(3, true) };
    // the load needs 30 and everybody says so, but nothing is written for an hour
    for minute in 0..60 {
        decide(at(minute), BOUNDS, &evidence(30, 30), &stopped, &mut memory);
    }
    let plan = decide(at(60), BOUNDS, &evidence(3, 30), &seen(3, true), &mut memory);
    assert_eq!((plan.replicas, plan.reason), (12, Reason::RiseLimited), "four times the three that run");
}

#[test]
fn a_surge_that_a_quota_kept_back_is_not_caught_up_with_on_old_load() {
    let mut memory = PlanMemory::default();
    let surge = Evidence { surge: Some(40), ..evidence(5, 5) };
    let blocked = Observation { blocked: Some("quota".into()), floor: Some(5), ..seen(5, true) };
    for minute in 0..12 {
        assert_eq!(decide(at(minute), BOUNDS, &surge, &blocked, &mut memory).replicas, 5);
    }
    let free = Observation { blocked: None, ..blocked };
    let old = Evidence { surge: Some(40), ..stale() };
    let plan = decide(at(12), BOUNDS, &old, &free, &mut memory.clone());
    assert_eq!((plan.replicas, plan.reason), (20, Reason::RiseLimited), "four times the five there are");
    assert_eq!(decide(at(12), BOUNDS, &surge, &free, &mut memory).replicas, 40, "load that is there is served at once");
}

#[test]
fn half_of_yesterday_stands_however_long_the_load_is_unknown() {
    let mut memory = PlanMemory::default();
    let mut current = Observation { floor: Some(30), ..seen(30, true) };
    let mut run = |minutes: std::ops::Range<i64>, evidence: Evidence| {
        for minute in minutes {
            let plan = decide(at(minute), BOUNDS, &evidence, &current, &mut memory);
            current = Observation { floor: Some(plan.replicas), ..seen(plan.replicas, true) };
        }
        current.replicas
    };
    assert_eq!(run(0..1380, evidence(30, 30)), 30, "23 hours of 30");
    let unknown = Evidence { usual_high: Some(2), ..stale() };
    assert_eq!(run(1380..1440, unknown), 30, "held for an hour");
    assert_eq!(run(1440..2000, unknown), 15, "then half of the 30 that this hour had, not the 2 that are usual");
}

#[test]
fn what_could_not_be_created_is_not_caught_up_with_while_the_load_is_unknown() {
    let mut memory = PlanMemory::default();
    let stands = Observation { floor: Some(30), ..seen(30, true) };
    decide(at(0), BOUNDS, &evidence(30, 30), &stands, &mut memory);
    decide(at(1), BOUNDS, &stale(), &stands, &mut memory);
    // the floor is taken away, pods cannot be created, and the HPA goes its own way
    let blocked = |running| Observation { blocked: Some("quota".into()), ..seen(running, true) };
    for minute in 2..20 {
        decide(at(minute), BOUNDS, &stale(), &blocked(12), &mut memory);
    }
    let plan = decide(at(20), BOUNDS, &stale(), &seen(12, true), &mut memory);
    assert!(plan.replicas <= 12, "{plan:?}");
}

#[test]
fn replicas_that_a_quota_refused_are_held_no_faster_than_anything_else_grows() {
    let mut memory = PlanMemory::default();
    let stands = |replicas| Observation { floor: Some(5), ..seen(replicas, true) };
    let blocked = Observation { blocked: Some("quota".into()), ..stands(40) };
    decide(at(0), BOUNDS, &evidence(5, 5), &stands(5), &mut memory);
    // an HPA asks for 40, which cannot be created, when the load gets lost
    for minute in 1..12 {
        assert_eq!(decide(at(minute), BOUNDS, &stale(), &blocked, &mut memory).replicas, 5);
    }
    // there is room again, and the HPA has come to other thoughts
    let plan = decide(at(12), BOUNDS, &stale(), &stands(6), &mut memory);
    assert_eq!((plan.replicas, plan.reason), (20, Reason::RiseLimited), "four times the five there are");
}

#[test]
fn what_somebody_sets_while_the_load_is_unknown_is_held_too() {
    let mut memory = PlanMemory::default();
    let bounds = Bounds { min: 1, max: 40 };
    decide(at(0), bounds, &evidence(1, 1), &seen(1, false), &mut memory);
    for minute in 1..5 {
        assert_eq!(decide(at(minute), bounds, &stale(), &seen(1, false), &mut memory).replicas, 1);
    }
    for minute in 5..10 {
        let plan = decide(at(minute), bounds, &stale(), &seen(2, false), &mut memory);
        assert_eq!(
            (plan.replicas, plan.reason),
            (2, Reason::HoldStale),
            "by hand: nothing confirms that one is enough"
        );
    }
}

#[test]
fn what_the_cluster_leaves_bounds_falls_and_forecast_rises_and_no_need() {
    let look =
        |replicas, fall, rise| Observation { room: Some(crate::plan::Room { fall, rise }), ..seen(replicas, false) };
    let settled = || {
        let mut memory = PlanMemory::default();
        for m in 0..20 {
            decide(at(m), BOUNDS, &evidence(20, 20), &seen(20, false), &mut memory);
        }
        memory
    };
    let plan =
        |evidence: Evidence, look: Observation| decide(at(30), BOUNDS, &evidence, &look, &mut settled()).replicas;
    let habit = Evidence { usual_low: Some(2), ..evidence(4, 4) };
    assert_eq!(plan(habit, look(20, 1, 0)), 19, "not even by habit");
    assert_eq!(plan(habit, seen(20, false)), 4);
    assert_eq!(plan(evidence(20, 39), look(20, 9, 5)), 25);
    assert_eq!(plan(evidence(38, 39), look(20, 9, 0)), 38, "what load needs is no question of shares");
}

/// A day in minutes, by hand: start, calm, ramp by forecast, surprise, outage, recovery, fall.
#[test]
fn a_hand_worked_day() {
    let mut memory = PlanMemory::default();
    let mut current = 10;
    let mut step = |minute, evidence: Evidence| {
        let plan = decide(at(minute), BOUNDS, &evidence, &seen(current, false), &mut memory);
        current = plan.replicas;
        (plan.replicas, plan.reason)
    };
    // after a start nothing falls until five minutes of load have been seen
    assert_eq!(step(0, evidence(5, 6)), (10, Reason::HoldRestart));
    assert_eq!(step(4, evidence(5, 6)), (10, Reason::HoldRestart));
    // then one a minute, of ten or fewer
    assert_eq!(step(5, evidence(5, 6)), (9, Reason::FallLimited));
    assert_eq!(step(6, evidence(5, 6)), (8, Reason::FallLimited));
    assert_eq!(step(7, evidence(5, 6)), (7, Reason::FallLimited));
    // the forecast raises ahead of the load, at once
    assert_eq!(step(8, evidence(5, 14)), (14, Reason::Forecast));
    // but not by more than four times the least of ten minutes
    assert_eq!(step(9, evidence(5, 39)), (28, Reason::RiseLimited));
    // load that is there is not limited
    assert_eq!(step(10, evidence(38, 14)), (38, Reason::Reactive));
    assert_eq!(step(11, evidence(55, 14)), (40, Reason::MaxReplicas));
    // the load is lost: everything stays
    assert_eq!(step(17, stale()), (40, Reason::HoldStale));
    assert_eq!(step(80, stale()), (40, Reason::HoldStale));
    // it returns, low: five minutes of evidence first
    assert_eq!(step(81, evidence(4, 4)), (40, Reason::HoldStale));
    assert_eq!(step(86, evidence(4, 4)), (28, Reason::FallLimited));
    // down to what this time of day needed yesterday it may fall at once
    let habit = Evidence { usual_low: Some(12), ..evidence(4, 4) };
    assert_eq!(step(87, habit), (12, Reason::FallLimited));
    assert_eq!(
        step(88, Evidence { usual_low: Some(1), ..evidence(1, 0) }),
        (4, Reason::Reactive),
        "held for five minutes"
    );
    assert_eq!(step(93, Evidence { usual_low: Some(1), ..evidence(1, 0) }), (2, Reason::MinReplicas));
}

#[test]
fn a_floor_is_held_for_an_hour_without_load_and_is_then_what_is_usual() {
    let mut memory = PlanMemory::default();
    for minute in 0..10 {
        decide(at(minute), BOUNDS, &evidence(8, 20), &seen(12, true), &mut memory);
    }
    let mut lost = stale();
    lost.usual_high = Some(17);
    let mut step = |minute| decide(at(minute), BOUNDS, &lost, &seen(25, true), &mut memory).replicas;
    assert_eq!(step(10), 25, "what stood there when the load was lost");
    assert_eq!(step(69), 25);
    assert_eq!(step(70), 23, "falls limited in rate");
    assert_eq!([71, 72, 90, 110].map(&mut step), [21, 19, 17, 17]);
}

#[test]
fn the_first_decision_after_a_restart_keeps_the_floor_in_force() {
    let mut look = seen(9, true);
    look.floor = Some(9);
    let plan = decide(at(0), BOUNDS, &evidence(3, 4), &look, &mut PlanMemory::default());
    assert_eq!((plan.replicas, plan.reason), (9, Reason::HoldRestart));
    let plan = decide(at(0), BOUNDS, &evidence(3, 12), &look, &mut PlanMemory::default());
    assert_eq!((plan.replicas, plan.reason), (12, Reason::Forecast), "but it may raise");
}

#[test]
fn headroom_before_there_is_history_is_not_called_a_forecast() {
    let cold = Evidence { reacting: Reason::ColdStart, ..evidence(10, 13) };
    let plan = decide(at(0), BOUNDS, &cold, &seen(4, true), &mut PlanMemory::default());
    assert_eq!((plan.replicas, plan.reason), (13, Reason::ColdStart));
}

#[test]
fn a_rollout_a_surge_and_a_quota_hold() {
    let mut memory = PlanMemory::default();
    for minute in 0..10 {
        decide(at(minute), BOUNDS, &evidence(20, 20), &seen(20, true), &mut memory);
    }
    let mut look = seen(20, true);
    look.rollout = true;
    let plan = decide(at(10), BOUNDS, &evidence(5, 5), &look, &mut memory.clone());
    assert_eq!((plan.replicas, plan.reason), (20, Reason::HoldRollout));
    let surge = Evidence { surge: Some(30), ..evidence(25, 5) };
    let plan = decide(at(10), BOUNDS, &surge, &seen(20, true), &mut memory.clone());
    assert_eq!((plan.replicas, plan.reason), (30, Reason::Surge));
    look.rollout = false;
    look.blocked = Some("exceeded quota".into());
    let plan = decide(at(10), BOUNDS, &evidence(5, 35), &look, &mut memory.clone());
    assert_eq!((plan.replicas, plan.reason), (20, Reason::Blocked));
}

#[test]
fn a_schedule_and_an_operator_are_not_limited_in_rate() {
    let mut e = evidence(2, 2);
    (e.parts.schedule, e.asked) = (Some(33), Some(33));
    let plan = decide(at(0), BOUNDS, &e, &seen(2, true), &mut PlanMemory::default());
    assert_eq!((plan.replicas, plan.reason), (33, Reason::Schedule));
    e.parts.hold = Some(35);
    let plan = decide(at(0), BOUNDS, &e, &seen(2, true), &mut PlanMemory::default());
    assert_eq!((plan.replicas, plan.reason), (35, Reason::HoldOperator));
    // a multiple of what is forecast is
    let mut multiple = evidence(2, 22);
    multiple.parts.schedule = Some(33);
    let plan = decide(at(0), BOUNDS, &multiple, &seen(2, true), &mut PlanMemory::default());
    assert_eq!((plan.replicas, plan.reason), (8, Reason::RiseLimited));
}

#[test]
fn where_nothing_is_usual_the_autoscaler_is_left_alone_after_an_hour() {
    let mut memory = PlanMemory::default();
    let never = |minute, memory: &mut PlanMemory| {
        let look = Observation { floor: memory.last(), ..seen(30, true) };
        decide(at(minute), BOUNDS, &stale(), &look, memory).replicas
    };
    let unlearned = Evidence { unlearned: true, ..stale() };
    let look = Observation { floor: Some(30), ..seen(30, true) };
    let mut learning = PlanMemory::default();
    assert!(
        (0..120).all(|minute| decide(at(minute), BOUNDS, &unlearned, &look, &mut learning).replicas == 30),
        "not yet"
    );
    assert!((0..60).all(|minute| never(minute, &mut memory) == 30), "held for an hour");
    assert!(
        (60..120).map(|minute| never(minute, &mut memory)).min() == Some(2),
        "then down, in steps, to the user's own"
    );
}

#[test]
fn a_copy_that_finds_a_floor_lowers_it_after_a_quarter_of_an_hour() {
    let mut memory = PlanMemory::default();
    let look = Observation { floor: Some(20), ..seen(20, true) };
    let plans: Vec<_> = (0..=15).map(|m| decide(at(m), BOUNDS, &evidence(3, 3), &look, &mut memory).replicas).collect();
    assert_eq!((plans[14], plans[15]), (20, 18));
}

#[test]
fn a_clock_that_is_set_neither_hurries_a_fall_nor_ends_a_hold() {
    let mut memory = PlanMemory::default();
    let look = Observation { floor: Some(20), ..seen(20, true) };
    for minute in 0..=15 {
        decide(at(minute), BOUNDS, &evidence(3, 3), &look, &mut memory);
    }
    for set in [70, -50] {
        let plan = decide(at(15 + set), BOUNDS, &evidence(3, 3), &look, &mut memory.clone());
        assert_eq!((plan.replicas, plan.reason), (18, Reason::FallLimited), "clock set by {set} minutes");
    }
    decide(at(16), BOUNDS, &stale(), &look, &mut memory);
    let lost = Evidence { usual_high: Some(3), ..stale() };
    assert_eq!(decide(at(90), BOUNDS, &lost, &look, &mut memory).replicas, 20, "an hour has not passed");
}

#[test]
fn after_a_pause_in_which_the_floor_expired_growth_counts_from_what_runs() {
    let mut memory = PlanMemory::default();
    decide(at(0), BOUNDS, &evidence(30, 30), &seen(30, true), &mut memory);
    let plan = decide(at(40), BOUNDS, &evidence(2, 40), &seen(4, true), &mut memory);
    assert_eq!((plan.replicas, plan.reason), (16, Reason::RiseLimited));
}

#[test]
fn a_clock_set_ahead_by_ten_minutes_and_seconds_gives_no_more_room_to_grow() {
    let mut memory = PlanMemory::default();
    let bounds = Bounds { min: 2, max: 400 };
    decide(at(0), bounds, &evidence(30, 30), &seen(39, true), &mut memory);
    let later = at(10) + Duration::from_secs(6);
    let plan = decide(later, bounds, &evidence(30, 400), &seen(39, true), &mut memory);
    assert_eq!((plan.replicas, plan.reason), (120, Reason::RiseLimited), "four times 30, not what runs");
}

#[test]
fn after_eleven_minutes_growth_counts_from_what_runs() {
    let mut memory = PlanMemory::default();
    let bounds = Bounds { min: 2, max: 400 };
    decide(at(0), bounds, &evidence(30, 30), &seen(30, true), &mut memory);
    let plan = decide(at(11), bounds, &evidence(9, 400), &seen(9, true), &mut memory);
    assert_eq!((plan.replicas, plan.reason), (36, Reason::RiseLimited), "four times 9, not 30");
}

fn any_evidence() -> impl Strategy<Value = Evidence> {
    let part = || prop::option::weighted(0.7, 0..200u32);
    let standing = prop_oneof![5 => Just(Standing::Fresh), 1 => Just(Standing::Gap), 1 => Just(Standing::Stale)];
    (
        part(),
        part(),
        prop::option::weighted(0.1, 0..200u32),
        standing,
        part(),
        part(),
        prop::option::weighted(0.05, 0..200u32),
    )
        .prop_map(|(reactive, forecast, schedule, standing, usual_high, usual_low, surge)| Evidence {
            parts: Parts { reactive, forecast, schedule, hold: None },
            asked: schedule,
            standing,
            unlearned: false,
            usual_high,
            usual_low,
            surge,
            outage: false,
            gain: Gain::Unquestioned,
            reacting: Reason::Reactive,
        })
}

proptest! {
    #[test]
    fn the_invariants_hold_on_any_day(
        steps in prop::collection::vec((any_evidence(), 1..400i64, any::<bool>(), any::<bool>()), 1..120),
        bounds in (0..50u32, 0..150u32),
        autoscaled in any::<bool>(),
    ) {
        let bounds = Bounds { min: bounds.0, max: bounds.0 + bounds.1 };
        let (mut memory, mut now, mut current) = (PlanMemory::default(), at(0), 10u32);
        let mut stale_since = None;
        for (evidence, seconds, rollout, blocked) in steps {
            now = now + Duration::from_secs(seconds as u64);
            let before = memory.last();
            let mut look = seen(current, autoscaled);
            look.rollout = rollout;
            look.blocked = blocked.then(|| "quota".to_owned());
            let reference = memory.clone();
            let plan = decide(now, bounds, &evidence, &look, &mut memory);
            prop_assert_eq!(&plan, &decide(now, bounds, &evidence, &look, &mut reference.clone()), "deterministic");
            prop_assert!(bounds.min <= plan.replicas && plan.replicas <= bounds.max, "I1");
            if evidence.standing == Standing::Stale { stale_since.get_or_insert(now); } else { stale_since = None; }
            let reach = |n: Option<u32>| n.unwrap_or(0).min(bounds.max);
            if !blocked {
                prop_assert!(plan.replicas >= reach(evidence.parts.reactive), "I2");
                prop_assert!(plan.replicas >= reach(evidence.parts.schedule), "schedule");
            }
            if let Some(before) = before {
                let hour = stale_since.is_some_and(|t| now.since(t) >= HOLD);
                if plan.replicas < before.min(bounds.max) {
                    prop_assert!(evidence.standing == Standing::Fresh || (hour && autoscaled), "I3: {:?}", plan);
                    prop_assert!(hour || !rollout, "no fall in a rollout");
                    prop_assert!(hour || evidence.surge.is_none(), "no fall in a surge");
                    if evidence.usual_low.is_none_or(|u| plan.replicas < u) {
                        prop_assert!(plan.replicas >= reference.pace.least(now).min(bounds.max), "I4");
                    }
                }
                if blocked {
                    prop_assert!(plan.replicas <= before.max(bounds.min), "blocked");
                } else if plan.replicas > before.max(bounds.min).max(current) && plan.reason == Reason::Forecast {
                    // a schedule that asks for as many justifies it, and what runs already is no growth
                    let justified = reach(evidence.parts.schedule);
                    prop_assert!(plan.replicas <= reference.pace.most(now, look.replicas).max(justified), "I5");
                }
            }
            current = if autoscaled { current.max(plan.replicas) } else { plan.replicas };
        }
    }
}

#[test]
fn a_clock_set_back_after_our_floor_expired_brings_no_old_plan_back() {
    let mut memory = PlanMemory::default();
    let stood = Observation { floor: Some(30), ..seen(30, true) };
    decide(at(20), BOUNDS, &evidence(30, 30), &stood, &mut memory);
    // the floor is gone, four run, and our clock is an hour behind
    let plan = decide(at(-40), BOUNDS, &evidence(2, 0), &seen(4, true), &mut memory);
    assert!(plan.replicas <= 16, "four times what runs: {}", plan.replicas);
}

#[test]
fn a_quota_lowers_nothing_that_runs() {
    let mut memory = PlanMemory::default();
    // without an autoscaler; our writes are refused, so twenty go on running
    for minute in 0..20 {
        decide(at(minute), BOUNDS, &evidence(3, 3), &seen(20, false), &mut memory);
    }
    assert!(memory.last().is_some_and(|plan| plan < 20));
    let blocked = Observation { blocked: Some("quota".into()), ..seen(20, false) };
    let plan = decide(at(20), BOUNDS, &evidence(3, 40), &blocked, &mut memory);
    assert_eq!((plan.replicas, plan.reason), (20, Reason::Blocked));
}

#[test]
fn where_more_replicas_are_no_help_only_people_raise() {
    let mut memory = PlanMemory::default();
    let mut e = evidence(20, 20);
    e.gain = Gain::Missing;
    let plan = decide(at(0), BOUNDS, &e, &seen(8, false), &mut memory);
    assert_eq!((plan.replicas, plan.reason), (8, Reason::NoGain));
    (e.parts.schedule, e.asked) = (Some(12), Some(12));
    let plan = decide(at(1), BOUNDS, &e, &seen(8, false), &mut memory);
    assert_eq!((plan.replicas, plan.reason), (12, Reason::NoGain), "a schedule asks for 12");
    e.gain = Gain::Unquestioned;
    assert_eq!(decide(at(2), BOUNDS, &e, &seen(12, false), &mut memory).replicas, 20);
}
