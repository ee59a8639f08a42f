use super::*;
use crate::actuate::{Call, DECISION_AGE_MAX, WriteError};
use crate::daemon::learning::Lesson;
use crate::error::Problem;
use crate::plan::nodes::Placement;
use crate::policy::{Workload, WorkloadKind, WorkloadView};
use crate::series::Series;
use crate::tick::MetricMemory;
use crate::units::Step;

const CONFIG: &str = r#"
mode = "act"
[sources.main]
kind = "prometheus"
url = "http://prometheus:9090/"
"#;

fn config() -> Config {
    Config::assemble(Some(("forescale.toml", CONFIG)), [], &[]).unwrap()
}

fn at(minute: i64) -> Time {
    Time::from_secs(60 * minute)
}

/// As it is seen at a minute: no autoscaler, `floor` of ours until `expires`.
fn sight(minute: i64, replicas: Replicas, floor: Option<(Replicas, Time)>) -> Sight {
    let workload = Workload { namespace: "shop".into(), name: "web".into(), kind: WorkloadKind::Deployment };
    let annotations =
        [("mode", "act"), ("load-query", "sum(rps)"), ("capacity-per-replica", "10"), ("max-replicas", "40")];
    let annotations = annotations.map(|(k, v)| (format!("forescale.dev/{k}"), v.to_owned())).into();
    let ledger = floor.map(|(floor, expires)| Ledger {
        original: Some(2),
        floor,
        reason: crate::plan::Reason::Forecast,
        expires,
        reversals: Vec::new(),
        yielded_until: None,
    });
    let target = TargetView { target: Target::Scale, floor: None, max_replicas: 40, replicas, ledger };
    Sight {
        view: WorkloadView {
            workload,
            annotations,
            containers: Vec::new(),
            pod: Default::default(),
            replicas,
            autoscalers: Vec::new(),
        },
        uid: "1".into(),
        placement: Placement::default(),
        slot: Arc::default(),
        observation: Observation {
            at: at(minute),
            replicas,
            ready: replicas,
            autoscaled: false,
            floor: target.our_floor(),
            rollout: false,
            blocked: None,
            stopped: false,
            unhealthy: false,
            room: None,
        },
        target: Ok(target),
        stopped: None,
    }
}

const ROOM: Room = Room { fall: 10, rise: 40 };

/// Looked at, and learning.
fn learning(sight: Sight, now: Time) -> Tended {
    let mut tended = Tended::new(sight.clone());
    assert!(tended.look(sight, &config(), now), "{:?}", tended.problems);
    assert!(tended.lesson(now).is_some());
    tended
}

#[test]
fn a_decision_that_grew_too_old_is_made_again_at_once_and_no_other() {
    let mut tended = learning(sight(0, 3, None), at(0));
    let fenced = || Some(WriteError::Fenced("the decision is 30 s old".into()));
    let mut wrote = |error, age| {
        tended.begin_write();
        assert!(!tended.may_write(), "one write at a time");
        let again = tended.wrote_after(error, age);
        (again, tended.may_write())
    };
    assert_eq!(wrote(fenced(), DECISION_AGE_MAX), (true, true));
    assert_eq!(
        wrote(fenced(), Duration::from_secs(3)),
        (false, false),
        "lease or switch: that would go round in circles"
    );
    let call = Call { verb: "patch", resource: "deployments".into(), object: "shop/web".into() };
    assert_eq!(wrote(Some(WriteError::Forbidden { call }), DECISION_AGE_MAX), (false, false));
}

#[test]
fn a_floor_is_renewed_while_its_workload_still_learns() {
    let mut tended = learning(sight(0, 12, Some((12, at(15)))), at(0));
    assert_eq!(tended.tick(at(5), ROOM), None, "there is time");
    assert_eq!(tended.wake(), Some(at(10)), "whatever the step");
    let tick = tended.tick(at(11), ROOM).unwrap();
    let plan = tended.decision.clone().unwrap().plan;
    assert_eq!((plan.replicas, plan.reason), (12, crate::plan::Reason::HoldStale), "what stands is held");
    let actions = tended.actions(at(11)).unwrap();
    assert_eq!(actions.outcome, Outcome::Kept);
    let [Write::Ledger { ledger } | Write::Floor { ledger, .. }] = actions.writes.as_slice() else {
        panic!("{:?}", actions.writes)
    };
    assert_eq!((ledger.floor, ledger.original, ledger.expires), (12, Some(2), at(26)));
    assert!(tended.tick(at(12), ROOM).is_some(), "and from then on every minute");
    // a replay begins with nothing learned as well
    let mut replay = crate::tick::Replay::default();
    replay.line(&tended.policy_record().unwrap().to_line()).unwrap();
    replay.line(&tick.to_line()).unwrap();
    assert_eq!(replay.same, 1);
    let mut foreign = learning(sight(0, 12, None), at(0));
    assert_eq!(foreign.tick(at(60), ROOM), None, "nothing of ours stands");
}

#[test]
fn a_clock_set_back_puts_off_neither_learning_nor_samples() {
    let mut tended = learning(sight(100, 3, None), at(100));
    tended.postpone(at(100));
    tended.set_back(at(40), Step::MINUTE);
    assert!(tended.lesson(at(40)).is_some(), "it was to wait for minute 100");
    tended.learning = Learning::Done;
    tended.feeds = vec![Feed::new(at(43), SourceState::Fresh)];
    tended.set_back(at(40), Step::MINUTE);
    assert!(tended.lesson(at(40)).is_none(), "a correction");
    tended.feeds = vec![Feed::new(at(101), SourceState::Fresh)];
    tended.set_back(at(40), Step::MINUTE);
    assert_eq!(tended.feeds[0].source, SourceState::Stale, "nobody knows how old the newest sample is");
    // what learning that began before brings is of a time to come, too
    let edition = tended.edition().0;
    let history = Series::new(at(101), Step::MINUTE, 1);
    let memory = MetricMemory::learn(&history, tended.policy.as_ref().unwrap(), 10.0);
    let lessons = Ok(vec![Lesson { memory, history, next: at(101) }]);
    let learned = Learned { workload: tended.sight.workload().clone(), edition, lessons, incomplete: None };
    assert!(tended.lesson(at(40)).is_some());
    assert_eq!(tended.learned(learned, at(41), false, false), None);
    assert!(tended.lesson(at(41)).is_some(), "once more");
}

#[test]
fn a_part_of_the_history_is_decided_with_and_the_rest_is_asked_for_again() {
    let mut tended = learning(sight(0, 3, None), at(0));
    let learned = |tended: &mut Tended, now, incomplete: Option<&str>| {
        let history = Series::of(at(now - 60), Step::MINUTE, vec![crate::series::Sample::Valid(7.0); 60]);
        let memory = MetricMemory::learn(&history, tended.policy.as_ref().unwrap(), 10.0);
        let lessons = Ok(vec![Lesson { memory, history, next: at(now) }]);
        let (workload, edition) = (tended.sight.workload().clone(), tended.edition().0);
        let incomplete = incomplete.map(str::to_owned);
        tended.learned(Learned { workload, edition, lessons, incomplete }, at(now), false, false);
    };
    learned(&mut tended, 1, Some("503"));
    assert!(tended.feeding() && tended.lesson(at(1)).is_none(), "it goes on with what it has");
    assert!(tended.look(sight(2, 3, None), &config(), at(2)));
    assert!(tended.feeding() && tended.incomplete.as_ref().is_some_and(|why| why.ends_with("503")));
    let mut edited = sight(3, 3, None);
    edited.view.annotations.insert("forescale.dev/schedule".into(), "0 8 * * * 1h UTC min=3".into());
    assert!(tended.look(edited.clone(), &config(), at(3)));
    assert!(tended.feeding(), "{:?}", tended.problems);
    assert!(tended.lesson(at(10)).is_none() && tended.lesson(at(11)).is_some(), "and asks again");
    assert!(tended.feeding());
    for (now, more) in [(11, true), (80, true), (500, false)] {
        learned(&mut tended, now, Some("503"));
        assert_eq!(tended.lesson(at(now + 400)).is_some(), more, "after minute {now}");
        assert!(tended.feeding() && tended.incomplete.is_some());
    }
    tended.learning = Learning::Due(at(0));
    assert!(tended.lesson(at(1000)).is_some());
    learned(&mut tended, 1001, None);
    assert_eq!((tended.incomplete.clone(), tended.lesson(at(9000)).is_some()), (None, false));
}

#[test]
fn a_workload_that_comes_back_gets_nothing_that_was_meant_for_the_one_before() {
    let (before, after) = (learning(sight(0, 3, None), at(0)), learning(sight(0, 3, None), at(0)));
    assert_ne!(before.edition().0, after.edition().0);
}

#[test]
fn what_waits_to_be_written_is_dropped_when_an_autoscaler_appears() {
    let mut tended = learning(sight(0, 3, None), at(0));
    let (edition, newest) = tended.edition();
    let mut scaled = sight(1, 3, None);
    assert!(tended.look(scaled.clone(), &config(), at(1)));
    assert_eq!(newest.load(Ordering::SeqCst), edition, "nothing has changed");
    scaled.target.as_mut().unwrap().target = Target::Hpa { name: "web".into() };
    assert!(tended.look(scaled.clone(), &config(), at(2)));
    let hpa = newest.load(Ordering::SeqCst);
    assert_ne!(hpa, edition);
    scaled.target = Err(Problem::new("HorizontalPodAutoscaler shop/web", "autoscaling/v2", "something else"));
    assert!(tended.look(scaled, &config(), at(3)));
    assert_ne!(newest.load(Ordering::SeqCst), hpa);
}
