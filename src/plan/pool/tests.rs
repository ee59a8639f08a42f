use super::*;
use crate::units::Time;
use proptest::prelude::*;

const FRESH: Bounds = Bounds { quota: None, fresh: true };

fn task(lead_minutes: u64, objective: f64) -> PoolTask {
    PoolTask {
        lead: Duration::from_secs(60 * lead_minutes),
        objective: QuantileLevel::new(objective).unwrap(),
        max_slots: 100,
        time_zone: "UTC".into(),
        windows: Vec::new(),
    }
}

fn at(minute: u64) -> Time {
    Time::from_secs(60 * minute as i64)
}

fn member(need: f32, pods: f32) -> Member {
    Member { need, pods, expected: need }
}

/// Needs of a workload whose load jumps by `height` for 20 minutes at the same minute of every third hour.
fn jumping(minute: u64, height: f32) -> Member {
    let need = if minute % 180 < 20 { 10.0 + height } else { 10.0 };
    member(need, need)
}

#[test]
fn the_joint_quantile_by_hand() {
    // four instants, two workloads: what they lack together is 0+3, 1+0 (one has two to spare), 2+2, 0+0
    let mut s = scenarios::Scenarios::new("UTC");
    for (k, residuals) in [[0.0, 3.0], [1.0, -2.0], [2.0, 2.0], [-1.0, 0.0]].iter().enumerate() {
        s.record(at(5 * k as u64), residuals);
    }
    let quantile = |s: &mut scenarios::Scenarios, level| s.joint(at(20), at(20), level, &[0.0, 0.0]).quantile;
    assert_eq!([0.25, 0.5, 0.75, 1.0].map(|level| quantile(&mut s, level)), [0.0, 1.0, 3.0, 4.0]);
    // the first is expected to lack one more, the second has two to spare: 1+1, 2+0, 3+0, 0+0
    assert_eq!(s.joint(at(20), at(20), 1.0, &[1.0, -2.0]).quantile, 3.0);
    // a workload that is not there any more
    assert_eq!(s.joint(at(20), at(20), 1.0, &[f32::NAN, 0.0]).quantile, 3.0);
}

#[test]
fn the_same_local_time_of_day_counts_as_much_as_the_whole_rest() {
    let mut s = scenarios::Scenarios::new("Europe/Berlin");
    let first = Time::parse("2026-03-22T00:00:00Z").unwrap();
    for step in 0..7 * 288u32 {
        let morning = (step % 288) / 12 == 8;
        s.record(first + step * Duration::from_secs(300), &[if morning { 5.0 } else { 0.0 }]);
    }
    let now = first + Duration::from_secs(7 * 86_400);
    let mut high = |hour: f64| s.joint(now, now + Duration::from_secs_f64(hour * 3600.0), 0.8, &[0.0]).quantile;
    // 84 of the 157 that count in full are a morning's, so 27 % of all weight
    assert_eq!(high(7.5), 5.0, "the clocks went forward in the night: 7:30 UTC is what 8:30 UTC was");
    assert_eq!(high(8.8), 0.0);
    assert_eq!(high(6.0), 0.0);
}

#[test]
fn a_cold_pool_holds_a_share_of_the_pods_and_no_data_changes_nothing() {
    let mut pool = PoolSizer::new(task(5, 0.99));
    let first = pool.advance(at(0), &[("a", member(20.0, 25.0)), ("b", member(5.0, 6.0))], FRESH);
    assert_eq!((first.slots, first.reason), (4, PoolReason::ColdStart), "a tenth of 31");
    let held = pool.advance(at(1), &[], Bounds { quota: None, fresh: false });
    assert_eq!((held.slots, held.reason), (4, PoolReason::HoldStale));
}

#[test]
fn surprises_that_never_come_together_need_one_pool_not_two() {
    let mut pool = PoolSizer::new(task(8, 0.99));
    let mut slots = Vec::new();
    for minute in 0..3 * 1440 {
        let members = [("a", jumping(minute, 10.0)), ("b", jumping(minute + 90, 10.0))];
        slots.push(pool.advance(at(minute), &members, FRESH).slots);
    }
    let last_day = &slots[2 * 1440..];
    assert!(last_day.iter().all(|s| *s <= 12), "one jump of 10, not two: {:?}", last_day.iter().max());
    assert!(pool.advance(at(3 * 1440), &[("a", member(10.0, 10.0))], FRESH).hit_rate.unwrap() > 0.98);
}

#[test]
fn what_each_day_brings_was_no_surprise() {
    // days of four steps; from the second step of a day to its third the need doubles, once it tripled
    let needs = [10.0, 10.0, 20.0, 10.0, 10.0, 10.0, 30.0, f32::NAN, 10.0, 12.0, 24.0, 10.0, 10.0, 8.0, 16.0];
    let expected = |at, ahead| expected_of_past(&needs, at, ahead, 4);
    assert_eq!(expected(1, 1), 10.0, "no day before");
    assert_eq!(expected(5, 1), 20.0, "as the one day before");
    assert_eq!(expected(9, 1), 24.0, "the lower of 2 and 3");
    assert_eq!(expected(13, 1), 16.0, "the median of 2, 3 and 2");
    assert_eq!(expected(10, 1), 12.0, "halved as the first day, the second is not known");
    assert!(expected(7, 1).is_nan());
}

#[test]
fn what_is_enough_too_often_lowers_the_level_and_misses_add_spreads() {
    let mut tracker = tracker::Tracker::default();
    assert_eq!((tracker.level(0.99), tracker.spreads()), (0.99, 0.0));
    // 1,000 minutes of hits, each a hundredth of a tenth: the share that may miss is e times as large
    (0..1000).for_each(|minute| tracker.judge(at(minute), true, 0.99, 1.0, true));
    assert!((tracker.level(0.99) - (1.0 - 0.01 * 1f64.exp())).abs() < 1e-3, "{}", tracker.level(0.99));
    (1000..9000).for_each(|minute| tracker.judge(at(minute), true, 0.99, 1.0, true));
    assert!(tracker.level(0.99) < 1e-6, "none at all, and no further: {}", tracker.level(0.99));
    // 4.605 to come back, 0.099 a miss: the 47th adds to the quantile
    (9000..9047).for_each(|minute| tracker.judge(at(minute), false, 0.99, 1.0, true));
    assert_eq!(tracker.level(0.99), 0.99);
    assert!((tracker.spreads() - (47.0 * 0.099 - 100f32.ln())).abs() < 1e-3, "{}", tracker.spreads());
}

#[test]
fn the_tracker_finds_the_objective_of_a_noise_that_it_knows() {
    // needs jump by a hash each minute, plans stay: the shortfall is spread evenly over 0..=19
    for objective in [0.8, 0.95] {
        let mut pool = PoolSizer::new(task(1, objective));
        let mut last = None;
        for minute in 0..5 * 1440u64 {
            let noise = ((minute.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) % 20) as f32;
            let members = [((), Member { need: 10.0 + noise, pods: 10.0, expected: 10.0 })];
            last = Some(pool.advance(at(minute), &members, FRESH));
        }
        let reached = last.and_then(|l| l.hit_rate).unwrap();
        assert!((reached - objective).abs() < 0.03, "{reached} for {objective}");
    }
}

#[test]
fn up_and_down_every_five_minutes_and_what_pods_take_is_not_bought_twice() {
    let mut held = resize::Held::default();
    assert_eq!(held.resize(at(0), 10, 0), 10);
    assert_eq!(held.resize(at(1), 11, 0), 10, "a tenth more waits for its turn");
    assert_eq!(held.resize(at(2), 20, 0), 10, "and so do twice as many");
    assert_eq!(held.resize(at(5), 20, 0), 20);
    assert_eq!(held.resize(at(6), 5, 0), 20, "a fall waits");
    assert_eq!(held.resize(at(7), 5, 6), 14, "but not what real pods took in this step");
    assert_eq!(held.resize(at(8), 14, 6), 14, "unless it is wanted again");
    assert_eq!(held.resize(at(23), 5, 0), 14, "14 was right at minute 8, a quarter of an hour ago");
    assert_eq!(held.resize(at(24), 5, 0), 5);
}

#[test]
fn slots_from_before_a_restart_stand_until_they_were_wrong_for_a_quarter_of_an_hour() {
    let mut pool = PoolSizer::new(task(5, 0.99));
    pool.inherit(at(0), 30);
    let size = |pool: &mut PoolSizer<&str>, minute, fresh| {
        pool.advance(at(minute), &[("a", member(20.0, 20.0))], Bounds { quota: None, fresh }).slots
    };
    assert_eq!(size(&mut pool, 0, false), 30, "no data yet");
    assert_eq!(size(&mut pool, 15, true), 30);
    assert_eq!(size(&mut pool, 16, true), 2, "a tenth of 20");
    pool.inherit(at(17), 1);
    assert_eq!(size(&mut pool, 17, true), 2, "fewer than there are");
    pool.follow(Duration::from_secs(60), 1);
    assert_eq!(size(&mut pool, 18, true), 1, "another cap");
}

#[test]
fn windows_cap_and_quota_bind_in_their_order() {
    let windows = crate::policy::schedule::parse("0 8 * * * 1h UTC min=30; 0 12 * * * 1h UTC max=1").unwrap();
    let mut pool = PoolSizer::new(PoolTask { windows, max_slots: 40, ..task(10, 0.99) });
    let mut size = |minute, pods, quota| {
        let sizing = pool.advance(at(minute), &[("a", member(pods, pods))], Bounds { quota, fresh: true });
        (sizing.slots, sizing.reason)
    };
    assert_eq!(size(0, 100.0, None), (10, PoolReason::ColdStart));
    assert_eq!(size(8 * 60 - 11, 100.0, None), (10, PoolReason::ColdStart));
    assert_eq!(size(8 * 60 - 10, 100.0, None), (30, PoolReason::WindowMin), "a node lead before it begins");
    assert_eq!(size(8 * 60 - 9, 100.0, Some(7)), (7, PoolReason::Quota));
    assert_eq!(size(8 * 60 - 8, 100.0, Some(7)), (7, PoolReason::Quota), "as long as it binds");
    assert_eq!(size(10 * 60, 1000.0, None), (40, PoolReason::MaxSlots));
    assert_eq!(size(12 * 60, 1000.0, None), (1, PoolReason::WindowMax));
}

#[test]
fn a_clock_that_was_set_back_holds_up_no_resize() {
    let mut pool = PoolSizer::new(task(10, 0.99));
    let mut size = |minute, pods| pool.advance(at(minute), &[("a", member(pods, pods))], FRESH).slots;
    assert_eq!(size(1000, 100.0), 10);
    assert_eq!(size(900, 200.0), 10, "the minutes of a resize begin anew");
    assert_eq!(size(905, 200.0), 20);
}

#[test]
fn what_people_have_set_holds_whatever_is_known() {
    let windows = crate::policy::schedule::parse("0 8 * * * 1h UTC min=30; 0 12 * * * 1h UTC max=1").unwrap();
    let mut pool = PoolSizer::new(PoolTask { windows, max_slots: 40, ..task(10, 0.99) });
    let mut size = |minute, quota| pool.advance(at(minute), &[] as &[(&str, Member)], Bounds { quota, fresh: false });
    assert_eq!([0, 8 * 60, 9 * 60 + 1].map(|minute| size(minute, None).slots), [0, 30, 30]);
    assert_eq!(size(10 * 60, Some(7)).slots, 7);
    assert_eq!(size(12 * 60, None).slots, 1);
}

#[test]
fn zones_and_gangs_by_hand() {
    assert_eq!(per_zone(7, 3, false), PerZone(vec![3, 2, 2]));
    assert_eq!(per_zone(7, 3, true), PerZone(vec![4, 4, 4]), "any two zones hold 7");
    assert_eq!(per_zone(7, 1, true), PerZone(vec![7]));
    assert_eq!(per_zone(0, 0, true), PerZone(vec![0]));
    assert_eq!([gangs(0, 8), gangs(1, 8), gangs(9, 8), gangs(9, 0)], [0, 1, 2, 9]);
}

proptest! {
    /// Whatever the numbers: within the cap, and with a zone gone the rest still holds the slots.
    #[test]
    fn sizes_stay_within_their_bounds(
        steps in prop::collection::vec((0u32..500, 0u32..500, any::<bool>(), prop::option::of(0u32..50)), 1..60),
        zones in 1usize..6,
    ) {
        let mut pool = PoolSizer::new(task(3, 0.9));
        for (minute, (need, pods, fresh, quota)) in steps.into_iter().enumerate() {
            let before = pool.slots();
            let members = [(1, member(need as f32, need.max(pods) as f32))];
            let sizing = pool.advance(at(minute as u64), &members, Bounds { quota, fresh });
            prop_assert!(sizing.slots <= 100);
            prop_assert!(quota.is_none_or(|q| sizing.slots <= q));
            prop_assert!(fresh || sizing.slots == before.min(quota.unwrap_or(before)).min(pool.task().max_slots));
            let PerZone(each) = per_zone(sizing.slots, zones, true);
            let all: u32 = each.iter().sum();
            let worst = if zones > 1 { all - each.iter().max().unwrap() } else { all };
            prop_assert!(worst >= sizing.slots);
        }
    }
}
