use super::*;
use crate::plan::guard::{Allowed, allowed};
use crate::plan::nodes::NodeView;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn at(text: &str) -> Time {
    Time::parse(&format!("2026-11-25T{text}:00Z")).unwrap()
}

fn span(from: &str, to: &str) -> Span {
    Span { from: at(from), to: at(to) }
}

fn user(nodes: &str) -> Budget {
    Budget { nodes: nodes.into(), ..Budget::default() }
}

/// Writes as an API server would.
fn apply(state: &mut PoolState, actions: &GuardActions) {
    if let Some(write) = &actions.write {
        *state = PoolState { budgets: write.budgets.clone(), ledger: write.ledger.clone() };
    }
}

fn step(now: &str, state: &mut PoolState, wanted: &[Span]) -> GuardOutcome {
    let actions = decide(at(now), state, wanted);
    apply(state, &actions);
    actions.outcome
}

fn pool(budgets: &[Budget]) -> PoolState {
    PoolState { budgets: Some(budgets.to_vec()), ledger: None }
}

#[test]
fn a_guard_is_written_once_an_hour_ahead_and_cleared_when_it_has_lapsed() {
    let mut state = pool(&[user("20%")]);
    let ramp = [span("08:45", "10:00")];
    assert_eq!(step("07:30", &mut state, &ramp), GuardOutcome::Kept);
    assert_eq!(state, pool(&[user("20%")]), "too early: nothing of ours is there");
    assert_eq!(step("07:45", &mut state, &ramp), GuardOutcome::Guarded);
    let list = state.budgets.clone().unwrap();
    assert_eq!(list.len(), 2);
    assert_eq!(list[0], user("20%"));
    assert_eq!(allowed(&list, at("08:45"), 10, "Empty"), Allowed::Nodes(0));
    assert_eq!(allowed(&list, at("08:44"), 10, "Empty"), Allowed::Nodes(2), "as the user has it before");
    let written = state.clone();
    // a forecast that moves by minutes moves nothing
    for now in ["07:46", "08:30", "09:00", "09:50"] {
        assert_eq!(step(now, &mut state, &[span("08:40", "10:08")]), GuardOutcome::Kept, "{now}");
        assert_eq!(state, written);
    }
    assert_eq!(step("10:01", &mut state, &[]), GuardOutcome::Kept, "lapsed a moment ago");
    assert_eq!(step("10:02", &mut state, &[]), GuardOutcome::Cleared);
    assert_eq!(state, pool(&[user("20%")]), "the ledger is gone, too");
}

#[test]
fn a_ramp_that_lasts_longer_prolongs_the_guard_in_place() {
    let mut state = pool(&[user("20%")]);
    step("08:00", &mut state, &[span("08:30", "09:30")]);
    for now in ["08:20", "09:00"] {
        assert_eq!(step(now, &mut state, &[span("08:30", "10:30")]), GuardOutcome::Kept, "not before it is due");
    }
    assert_eq!(step("09:15", &mut state, &[span("08:30", "10:30")]), GuardOutcome::Guarded);
    let list = state.budgets.unwrap();
    assert_eq!(list.len(), 2, "one entry of ours");
    assert_eq!(list[1].schedule.as_deref(), Some("30 8 25 11 *"));
    assert_eq!(list[1].duration.as_deref(), Some("2h"));
}

#[test]
fn a_guard_that_lasts_longer_than_a_day_has_no_hole() {
    let mut state = pool(&[user("20%")]);
    for minute in 0..30 * 60 {
        let now = at("08:00") + Duration::from_secs(60 * minute);
        let actions = decide(now, &state, &[Span { from: now, to: now + Duration::from_secs(6 * 3600) }]);
        apply(&mut state, &actions);
        let list = state.budgets.clone().unwrap();
        assert_eq!(allowed(&list, now, 10, "Empty"), Allowed::Nodes(0), "minute {minute}: {list:?}");
        assert!(list.len() <= 3, "minute {minute}: {list:?}");
    }
}

#[test]
fn a_surprise_is_guarded_from_now_on() {
    let mut state = pool(&[user("10%")]);
    assert_eq!(step("09:07", &mut state, &[span("09:00", "10:00")]), GuardOutcome::Guarded);
    assert_eq!(allowed(&state.budgets.unwrap(), at("09:07"), 10, "Underutilized"), Allowed::Nodes(0));
}

#[test]
fn an_edit_of_the_user_is_kept_and_an_old_one_never_comes_back() {
    let mut state = pool(&[user("20%")]);
    let ramp = [span("08:30", "09:30")];
    step("08:00", &mut state, &ramp);
    // he edits his entry beside ours
    state.budgets.as_mut().unwrap()[0] = user("5");
    assert_eq!(step("08:10", &mut state, &ramp), GuardOutcome::Kept);
    // he applies a list without ours
    state.budgets = Some(vec![user("7"), user("50%")]);
    assert_eq!(step("08:20", &mut state, &ramp), GuardOutcome::Guarded);
    assert_eq!(state.budgets.as_ref().unwrap()[..2], [user("7"), user("50%")]);
    assert!(state.ledger.as_ref().unwrap().reversals.is_empty(), "an edit is no reversal");
    step("09:40", &mut state, &[]);
    assert_eq!(state, pool(&[user("7"), user("50%")]));
}

#[test]
fn an_empty_list_stays_empty_and_an_absent_one_absent() {
    let ramp = [span("08:30", "09:30")];
    let mut empty = pool(&[]);
    step("08:00", &mut empty, &ramp);
    assert_eq!(empty.budgets.as_ref().unwrap().len(), 1);
    step("09:40", &mut empty, &[]);
    assert_eq!(empty, pool(&[]));
    let mut absent = PoolState::default();
    step("08:00", &mut absent, &ramp);
    assert_eq!(absent.budgets.as_ref().unwrap().len(), 1);
    assert_eq!(release(&absent), Some(GuardWrite { budgets: None, ledger: None }));
    step("09:40", &mut absent, &[]);
    assert_eq!(absent, PoolState::default());
}

#[test]
fn reversals_are_not_fought() {
    let original = vec![user("20%")];
    let mut state = pool(&original);
    let ramp = [span("08:30", "12:00")];
    step("08:00", &mut state, &ramp);
    let revert = |state: &mut PoolState| state.budgets = Some(original.clone());
    revert(&mut state);
    assert_eq!(step("08:05", &mut state, &ramp), GuardOutcome::Reverted);
    assert_eq!(state.budgets.as_ref().unwrap().len(), 2, "written again");
    revert(&mut state);
    assert_eq!(step("08:10", &mut state, &ramp), GuardOutcome::Reverted);
    revert(&mut state);
    assert_eq!(step("08:15", &mut state, &ramp), GuardOutcome::Contested);
    assert_eq!(state.budgets.as_ref().unwrap(), &original, "and left as it is");
    let told = state.clone();
    assert_eq!(step("08:20", &mut state, &ramp), GuardOutcome::Contested);
    assert_eq!(state, told, "nothing is written any more");
    assert_eq!(step("14:20", &mut state, &[]), GuardOutcome::Kept, "six hours later it is forgotten");
    assert_eq!(state, pool(&original));
}

#[test]
fn reversals_far_apart_are_each_answered() {
    let original = vec![user("20%")];
    let mut state = pool(&original);
    let ramp = [span("08:30", "18:00")];
    step("08:00", &mut state, &ramp);
    for now in ["08:31", "09:10", "09:50", "10:30"] {
        state.budgets = Some(original.clone());
        assert_eq!(step(now, &mut state, &ramp), GuardOutcome::Reverted, "{now}");
    }
}

#[test]
fn a_full_list_and_one_that_cannot_be_read_are_left_alone() {
    let ramp = [span("08:30", "09:30")];
    let mut full = pool(&vec![user("20%"); BUDGETS_MAX]);
    let before = full.clone();
    assert_eq!(step("08:00", &mut full, &ramp), GuardOutcome::Full);
    assert_eq!(full, before);
    let bad = Budget { schedule: Some("0 19-7 * * *".into()), duration: Some("12h".into()), ..user("1") };
    let mut frozen = pool(&[bad]);
    let before = frozen.clone();
    assert_eq!(step("08:00", &mut frozen, &ramp), GuardOutcome::Frozen);
    assert_eq!(frozen, before);
}

#[test]
fn the_room_that_is_left_goes_to_the_next_ramps() {
    let mut state = pool(&vec![user("20%"); BUDGETS_MAX - 1]);
    let ramps = [span("08:10", "08:20"), span("08:40", "08:50")];
    assert_eq!(step("08:00", &mut state, &ramps), GuardOutcome::Full);
    let list = state.budgets.as_ref().unwrap();
    assert_eq!(list.len(), BUDGETS_MAX);
    assert_eq!(list.last().unwrap().schedule.as_deref(), Some("10 8 25 11 *"));
}

#[test]
fn a_user_entry_equal_to_ours_stays_his() {
    let ramp = [span("08:30", "09:30")];
    let his = entry(ramp[0]);
    let mut state = pool(&[his.clone(), user("20%")]);
    step("08:00", &mut state, &ramp);
    assert_eq!(state.budgets.as_ref().unwrap().len(), 3);
    step("09:40", &mut state, &[]);
    assert_eq!(state, pool(&[his, user("20%")]));
}

#[test]
fn a_ledger_survives_being_written_and_read() {
    let mut state = pool(&[user("20%")]);
    step("08:00", &mut state, &[span("08:30", "09:30")]);
    let ledger = state.ledger.unwrap();
    assert_eq!(GuardLedger::parse(&ledger.to_text()), Ok(ledger));
    assert!(GuardLedger::parse("{}").unwrap_err().to_string().contains("forescale.dev/guards"));
}

fn node(name: &str) -> NodeView {
    NodeView {
        name: name.into(),
        created: at("00:00"),
        ready: None,
        deleting: None,
        unschedulable: false,
        allocatable: BTreeMap::new(),
        labels: BTreeMap::new(),
        taints: Vec::new(),
        do_not_disrupt: false,
        annotations: BTreeMap::new(),
    }
}

fn marked(name: &str, until: &str) -> NodeView {
    let annotations = BTreeMap::from([(MARK.to_string(), at(until).to_string())]);
    NodeView { do_not_disrupt: true, annotations, ..node(name) }
}

#[test]
fn nodes_are_marked_while_a_span_lasts_and_never_the_users_own() {
    let own = NodeView { do_not_disrupt: true, ..node("own") };
    let (plain, old) = (node("plain"), marked("old", "09:30"));
    let nodes = [&own, &plain, &old];
    let ramp = [span("08:30", "09:30")];
    assert_eq!(
        node_marks(at("08:24"), &nodes, &ramp),
        [NodeMark { node: "old".into(), until: None }],
        "a mark without a span near by goes"
    );
    let now = node_marks(at("08:25"), &nodes, &ramp);
    assert_eq!(now, [NodeMark { node: "plain".into(), until: Some(at("09:30")) }]);
    assert_eq!(node_marks(at("09:30"), &nodes, &ramp), [NodeMark { node: "old".into(), until: None }]);
    let longer = node_marks(at("09:00"), &[&old], &[span("08:30", "10:00")]);
    assert_eq!(longer, [NodeMark { node: "old".into(), until: Some(at("10:00")) }]);
}

proptest! {
    /// Whatever is wanted and whenever we look: the user's entries stay in their order, the list stays within its bound,
    /// nothing is disrupted that was not before, and in the end all is as it was.
    #[test]
    fn the_users_part_is_untouched(
        nodes in proptest::collection::vec(0u32..60, 0..49),
        spans in proptest::collection::vec((0i64..300, 1i64..200), 0..12),
        looks in proptest::collection::vec(0i64..500, 1..20),
    ) {
        let theirs: Vec<Budget> = nodes.iter().map(|n| user(&n.to_string())).collect();
        let start = at("00:00");
        let minute = |m: i64| start + Duration::from_secs(60 * m.unsigned_abs());
        let wanted: Vec<Span> = spans.iter().map(|(f, l)| Span { from: minute(*f), to: minute(f + l) }).collect();
        let mut looks = looks;
        looks.sort_unstable();
        let mut state = PoolState { budgets: Some(theirs.clone()), ledger: None };
        for look in looks {
            let now = minute(look);
            let actions = decide(now, &state, &wanted);
            apply(&mut state, &actions);
            let list = state.budgets.clone().unwrap();
            prop_assert_eq!(&list[..theirs.len()], &theirs[..]);
            prop_assert!(list.len() <= BUDGETS_MAX);
            for reason in ["Empty", "Drifted"] {
                prop_assert!(allowed(&list, now, 30, reason) <= allowed(&theirs, now, 30, reason));
            }
            prop_assert_eq!(allowed(&list, now, 30, "Drifted"), allowed(&theirs, now, 30, "Drifted"));
            // a second look changes nothing
            prop_assert_eq!(decide(now, &state, &wanted).write, None);
        }
        let end = decide(minute(5000), &state, &[]);
        apply(&mut state, &end);
        prop_assert_eq!(state, PoolState { budgets: Some(theirs), ledger: None });
    }
}
