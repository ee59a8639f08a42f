use super::*;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn a_kill_switch_that_cannot_be_watched_for_two_minutes_is_on() {
    let mut seen = Seen::default();
    let start = Deadline::now();
    assert!(seen.stopped("shop", start).is_some(), "not read so far");
    for watched in Watched::STOPS {
        seen.watches.insert(watched, WatchState { synced: true, failing: None });
    }
    seen.watches.entry(Watched::StopMap).or_default().fails(Time::from_secs(0), "forbidden".into());
    for second in [0, 30, 60, 90, 119] {
        seen.fails(Watched::StopMap, start.later(seconds(second)));
        assert_eq!(seen.stopped("shop", start.later(seconds(second))), None, "second {second}");
    }
    let stop = seen.stopped("shop", start.later(seconds(120))).unwrap().to_string();
    assert!(stop.contains("configmaps") && stop.contains("forbidden"), "{stop}");
    assert_eq!(seen.stopped("shop", start.later(seconds(119 + 90))), None, "no newer failure: it is watched again");
    seen.fails(Watched::StopMap, start.later(seconds(300)));
    assert_eq!(seen.stopped("shop", start.later(seconds(310))), None, "another failure begins anew");
    seen.fails(Watched::Deployments, start);
    seen.fails(Watched::Deployments, start.later(seconds(80)));
    assert_eq!(seen.stopped("shop", start.later(seconds(130))), None, "nothing is switched by a Deployment");
}

#[test]
fn a_watch_that_works_again_ends_the_blindness_at_once() {
    let cluster = Cluster::default();
    Watched::STOPS.into_iter().for_each(|watched| cluster.done(watched));
    cluster.failing(Watched::Namespaces, Time::from_secs(0), "gone".into());
    assert!(cluster.read().blind.contains_key(&Watched::Namespaces));
    cluster.healthy(Watched::Namespaces);
    assert!(cluster.read().blind.is_empty());
    cluster.failing(Watched::Namespaces, Time::from_secs(0), "gone".into());
    cluster.done(Watched::Namespaces);
    assert!(cluster.read().blind.is_empty());
}
