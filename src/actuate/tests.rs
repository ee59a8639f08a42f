use super::*;
use crate::plan::Parts;

const NOW: Time = Time::from_secs(1_000_000);

fn plan(replicas: Replicas) -> Plan {
    Plan {
        replicas,
        reason: Reason::Forecast,
        parts: Parts::default(),
        valid_until: NOW + Duration::from_secs(900),
        wake: NOW,
    }
}

fn view(floor: Option<Replicas>, replicas: Replicas, ledger: Option<Ledger>) -> TargetView {
    TargetView { target: Target::Hpa { name: "web".into() }, floor, max_replicas: 20, replicas, ledger }
}

fn ledger(original: Option<Replicas>, floor: Replicas) -> Ledger {
    Ledger { floor, ..Ledger::new(original, NOW + Duration::from_secs(900)) }
}

#[test]
fn a_raise_remembers_the_original_and_scales_at_once() {
    let a = actions(NOW, &plan(8), &view(Some(2), 2, None));
    assert_eq!(a.outcome, Outcome::Raised);
    assert_eq!(a.writes, [Write::Floor { replicas: 8, ledger: ledger(Some(2), 8) }, Write::Scale { replicas: 8 }]);
}

#[test]
fn a_floor_that_is_there_is_written_again_only_to_renew_it() {
    let fresh = view(Some(8), 9, Some(ledger(Some(2), 8)));
    assert_eq!(actions(NOW, &plan(8), &fresh), Actions { writes: vec![], outcome: Outcome::Kept });
    let mut old = ledger(Some(2), 8);
    old.expires = NOW + Duration::from_secs(60);
    let a = actions(NOW, &plan(8), &view(Some(8), 9, Some(old)));
    assert_eq!(a.writes, [Write::Floor { replicas: 8, ledger: ledger(Some(2), 8) }]);
}

#[test]
fn the_users_value_returns_when_the_floor_is_no_longer_needed() {
    let a = actions(NOW, &plan(1), &view(Some(8), 8, Some(ledger(None, 8))));
    assert_eq!(
        a,
        Actions { writes: vec![Write::Restore { original: None }], outcome: Outcome::Released },
        "1 is the API's default"
    );
    let a = actions(NOW, &plan(2), &view(Some(8), 8, Some(ledger(Some(2), 8))));
    assert_eq!(a, Actions { writes: vec![Write::Restore { original: Some(2) }], outcome: Outcome::Released });
    assert_eq!(actions(NOW, &plan(2), &view(Some(2), 8, None)).writes, []);
}

#[test]
fn a_floor_never_exceeds_the_users_maximum() {
    let a = actions(NOW, &plan(90), &view(Some(2), 2, None));
    assert!(a.writes.contains(&Write::Scale { replicas: 20 }));
}

#[test]
fn an_edit_by_hand_wins_and_is_remembered() {
    let a = actions(NOW, &plan(8), &view(Some(5), 8, Some(ledger(Some(2), 8))));
    assert_eq!(a.outcome, Outcome::Yielded);
    let [Write::Ledger { ledger: noted }] = &a.writes[..] else { panic!("{a:?}") };
    assert_eq!((noted.original, noted.floor), (Some(5), 5));
    let yielded = view(Some(5), 8, Some(noted.clone()));
    assert_eq!(actions(NOW, &plan(8), &yielded).writes, []);
    let later = NOW + YIELD;
    assert_eq!(actions(later, &plan(8), &yielded).outcome, Outcome::Raised, "after the window the floor is ours again");
}

#[test]
fn three_reversals_within_an_hour_stop_us() {
    let mut current = ledger(Some(2), 8);
    for (minute, expected) in [(0, Outcome::Raised), (1, Outcome::Raised), (2, Outcome::Contested)] {
        let now = NOW + Duration::from_secs(60 * minute);
        let a = actions(now, &plan(8), &view(Some(2), 8, Some(current.clone())));
        assert_eq!(a.outcome, expected, "minute {minute}");
        match &a.writes[..] {
            [Write::Floor { ledger, .. } | Write::Ledger { ledger }, ..] => current = ledger.clone(),
            other => panic!("{other:?}"),
        }
    }
    let stopped = view(Some(2), 8, Some(current));
    assert_eq!(actions(NOW + Duration::from_secs(180), &plan(8), &stopped).writes, []);
}

#[test]
fn yielding_ends_where_the_users_own_value_is_none() {
    // an operator that owns all of a ScaledObject's spec takes minReplicaCount away
    let mut fought = ledger(None, 8);
    fought.reversals = vec![NOW, NOW];
    let mut seen = view(None, 8, Some(fought));
    seen.target = Target::ScaledObject { name: "web".into() };
    let a = actions(NOW, &plan(8), &seen);
    let [Write::Ledger { ledger }] = &a.writes[..] else { panic!("{:?}", a.writes) };
    assert_eq!(a.outcome, Outcome::Contested);
    seen.ledger = Some(ledger.clone());
    let a = actions(NOW + Duration::from_secs(60), &plan(8), &seen);
    assert_eq!(a, Actions { writes: vec![], outcome: Outcome::Contested }, "nobody has touched it since");
    let a = actions(NOW + YIELD, &plan(8), &seen);
    assert!(matches!(a.writes[0], Write::Floor { replicas: 8, .. }), "{:?}", a.writes);
}

#[test]
fn gitops_that_looks_every_ten_minutes_is_not_fought() {
    let at = |minute: u64| NOW + Duration::from_secs(60 * minute);
    let renewed = |minute| Plan { valid_until: at(minute + 15), ..plan(8) };
    let mut seen = view(Some(8), 8, Some(ledger(Some(2), 8)));
    let mut contested = Vec::new();
    for minute in 1..=90 {
        if minute % 10 == 0 {
            seen.floor = Some(2);
        }
        let a = actions(at(minute), &renewed(minute), &seen);
        match &a.writes[..] {
            [Write::Floor { replicas, ledger }, ..] => {
                (seen.floor, seen.ledger) = (Some(*replicas), Some(ledger.clone()))
            }
            [Write::Ledger { ledger }] => seen.ledger = Some(ledger.clone()),
            [] => {}
            other => panic!("{other:?}"),
        }
        contested.extend((a.outcome == Outcome::Contested && !a.writes.is_empty()).then_some(minute));
        assert!(seen.ledger.as_ref().unwrap().expires > at(minute + 1), "minute {minute}: nobody may sweep it away");
    }
    // between two of them the floor is tried once more
    assert_eq!(contested, [30, 50, 70, 90]);
}

#[test]
fn a_new_value_of_the_user_ends_the_count_of_reversals_of_the_old_one() {
    let mut fought = ledger(Some(2), 8);
    fought.reversals = vec![NOW, NOW];
    let a = actions(NOW, &plan(8), &view(Some(4), 8, Some(fought)));
    let [Write::Ledger { ledger: noted }] = &a.writes[..] else { panic!("{a:?}") };
    assert_eq!((a.outcome, &noted.reversals[..]), (Outcome::Yielded, &[][..]));
}

#[test]
fn release_puts_back_what_is_ours_and_leaves_what_is_not() {
    assert_eq!(release(&view(Some(8), 8, Some(ledger(Some(2), 8)))), [Write::Restore { original: Some(2) }]);
    assert_eq!(release(&view(Some(5), 8, Some(ledger(Some(2), 8)))), [Write::Restore { original: Some(5) }]);
    assert_eq!(release(&view(Some(5), 8, None)), []);
}

#[test]
fn what_was_renewed_meanwhile_is_not_released_for_being_over() {
    let stands = view(Some(8), 8, Some(ledger(Some(2), 8)));
    assert_eq!(release_expired(NOW + Duration::from_secs(899), &stands), []);
    assert_eq!(release_expired(NOW + Duration::from_secs(900), &stands), [Write::Restore { original: Some(2) }]);
    assert_eq!(release_expired(NOW, &view(Some(8), 8, None)), []);
}

fn scale(replicas: Replicas, ledger: Option<Ledger>) -> TargetView {
    TargetView { target: Target::Scale, floor: None, max_replicas: 20, replicas, ledger }
}

#[test]
fn without_an_autoscaler_the_plan_is_the_decision_but_zero_stays_zero() {
    let a = actions(NOW, &plan(8), &scale(10, None));
    assert_eq!(a.outcome, Outcome::Lowered);
    let taken = ledger(Some(10), 8);
    assert_eq!(a.writes, [Write::Floor { replicas: 8, ledger: taken.clone() }]);
    assert_eq!(actions(NOW, &plan(8), &scale(0, None)).writes, []);
    assert_eq!(actions(NOW, &plan(8), &scale(8, Some(taken))).writes, []);
    assert_eq!(actions(NOW, &plan(10), &scale(10, None)).writes, [], "nothing to do is nothing to remember");
}

#[test]
fn a_zero_of_ours_is_raised_again_and_kept_while_it_is_wanted() {
    let rests = ledger(Some(10), 0);
    let a = actions(NOW, &plan(4), &scale(0, Some(rests.clone())));
    assert_eq!((a.outcome, a.writes.len()), (Outcome::Raised, 1), "{a:?}");
    assert_eq!(actions(NOW, &plan(0), &scale(0, Some(rests))).outcome, Outcome::Kept);
    let by_hand = actions(NOW, &plan(4), &scale(0, Some(ledger(Some(10), 8))));
    assert_eq!(by_hand.writes, [], "somebody switched it off");
}

#[test]
fn a_scaled_object_that_rests_at_zero_may_be_wanted_at_one_and_an_hpa_is_there_anyway() {
    let wanted = |target| actions(NOW, &plan(1), &TargetView { target, ..view(None, 0, None) }).writes.len();
    assert_eq!(wanted(Target::ScaledObject { name: "web".into() }), 1);
    assert_eq!(wanted(Target::Hpa { name: "web".into() }), 0);
}

#[test]
fn without_an_autoscaler_an_edit_by_hand_wins_too() {
    let a = actions(NOW, &plan(8), &scale(15, Some(ledger(Some(10), 8))));
    assert_eq!(a.outcome, Outcome::Yielded);
    let [Write::Ledger { ledger: noted }] = &a.writes[..] else { panic!("{a:?}") };
    assert_eq!((noted.original, noted.floor), (Some(15), 15));
}

#[test]
fn without_an_autoscaler_a_release_never_takes_replicas_away() {
    assert_eq!(release(&scale(8, Some(ledger(Some(10), 8)))), [Write::Restore { original: Some(10) }]);
    assert_eq!(release(&scale(18, Some(ledger(Some(10), 18)))), [Write::Restore { original: Some(18) }]);
    assert_eq!(
        release(&scale(4, Some(ledger(Some(10), 18)))),
        [Write::Restore { original: Some(4) }],
        "a third party's"
    );
}

#[test]
fn a_ledger_survives_its_text() {
    let l = ledger(Some(2), 8);
    assert_eq!(Ledger::parse(&l.to_text()), Ok(l));
    assert!(Ledger::parse("{}").unwrap_err().to_string().contains("forescale.dev/ledger"));
}
