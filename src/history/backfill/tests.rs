//! The source here is a table in memory, as plain as a source can be: what is tested is what is asked of it.

use super::*;
use crate::history::Answer;
use futures::FutureExt;
use futures::future::BoxFuture;
use proptest::prelude::*;
use std::sync::Mutex;

#[derive(Default)]
struct Table {
    /// Values by query and second.
    rows: Mutex<BTreeMap<(String, i64), f64>>,
    /// Queries that fail.
    broken: Vec<String>,
    asked: Mutex<Vec<(usize, i64, i64)>>,
}

impl HistorySource for Table {
    fn name(&self) -> &str {
        "table"
    }

    fn fetch<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Vec<Answer>> {
        let (from, to) = (request.from.secs(), request.to.secs());
        self.asked.lock().unwrap().push((request.queries.len(), from, to));
        let rows = self.rows.lock().unwrap();
        let answer = |q: &Query| Answer {
            id: q.id.clone(),
            points: if self.broken.contains(&q.text) {
                Err(SourceError::Refused(crate::error::Problem::new("table", "a good query", &q.text)))
            } else {
                let range = (q.text.clone(), from)..=(q.text.clone(), to);
                Ok(rows.range(range).map(|((_, t), v)| (Time::from_secs(*t), *v)).collect())
            },
            warnings: Vec::new(),
        };
        let answers = request.queries.iter().map(answer).collect();
        futures::future::ready(answers).boxed()
    }
}

fn track(text: &str, days: u64) -> Track {
    let query = Query { id: text.into(), text: text.into() };
    Track::new(query, Step::MINUTE, Duration::from_secs(days * 86_400))
}

fn run(source: &Table, tracks: &mut [Track], now: i64, rounds: usize) -> (Vec<Filled>, Vec<Progress>) {
    let mut seen = Vec::new();
    let filled = fill(source, tracks, Time::from_secs(now), rounds, &mut |p| seen.push(p)).now_or_never().unwrap();
    (filled, seen)
}

const DAY: i64 = 86_400;

#[test]
fn newest_first_then_increments_only() {
    let source = Table::default();
    let put = |t: i64, v: f64| source.rows.lock().unwrap().insert(("a".into(), t), v);
    for t in (0..10 * DAY).step_by(60) {
        put(t, 1.0);
    }
    let mut tracks = [track("a", 5)];
    let now = 10 * DAY - 1;
    let (_, seen) = run(&source, &mut tracks, now, 100);
    let last = 10 * DAY - 60;
    let asked = std::mem::take(&mut *source.asked.lock().unwrap());
    assert_eq!(
        asked,
        [(1, last - 2879 * 60, last), (1, last - 5759 * 60, last - 2880 * 60), (1, last - 5 * DAY, last - 5760 * 60)]
    );
    assert_eq!(seen.last().map(|p| p.done == p.total), Some(true));
    assert!(seen.is_sorted_by_key(|p| p.done));
    assert_eq!(tracks[0].points().len(), 5 * 1440 + 1);

    put(last - 120, 7.0);
    put(last + 60, 2.0);
    run(&source, &mut tracks, now + 60, 100);
    assert_eq!(*source.asked.lock().unwrap(), [(1, last - 4 * 60, last + 60)]);
    let got = tracks[0].points();
    assert_eq!(got.len(), 5 * 1440 + 1, "the oldest point is dropped");
    assert_eq!(got[got.len() - 4..].iter().map(|p| p.1).collect::<Vec<_>>(), [7.0, 1.0, 1.0, 2.0]);
    run(&source, &mut tracks, now + 60, 100);
    assert_eq!(source.asked.lock().unwrap().len(), 1, "nothing new, nothing asked");
}

#[test]
fn a_bad_query_does_not_stop_the_others() {
    let source = Table { broken: vec!["b".into()], ..Table::default() };
    source.rows.lock().unwrap().insert(("a".into(), 0), 0.0);
    let mut tracks = [track("b", 4), track("a", 4)];
    let (filled, _) = run(&source, &mut tracks, 60, 100);
    assert!(filled[0].error.is_some() && filled[1].error.is_none());
    assert_eq!(tracks[1].points(), &[(Time::from_secs(0), 0.0)]);
    assert!(tracks[0].points().is_empty() && !tracks[0].is_complete(Time::from_secs(60)));
    assert_eq!(source.asked.lock().unwrap()[0].0, 2, "same stretch, one request");
}

#[test]
fn late_points_are_caught_up_with_and_a_long_silence_starts_at_the_newest() {
    let source = Table::default();
    source.rows.lock().unwrap().insert(("a".into(), DAY), 1.0);
    let mut tracks = [track("a", 6)];
    run(&source, &mut tracks, DAY, 100);
    source.asked.lock().unwrap().clear();
    run(&source, &mut tracks, DAY + 1800, 1);
    run(&source, &mut tracks, DAY + 7200, 1);
    run(&source, &mut tracks, DAY + 7260, 1);
    let asked = std::mem::take(&mut *source.asked.lock().unwrap());
    assert_eq!(asked[0], (1, DAY - 240, DAY + 1800));
    assert_eq!(asked[1], (1, DAY - 240, DAY + 7200));
    assert_eq!(asked[2], (1, DAY + 3600, DAY + 7260), "an hour back at most");
    run(&source, &mut tracks, 5 * DAY, 100);
    let asked = source.asked.lock().unwrap();
    assert_eq!(asked[0], (1, 5 * DAY - 2879 * 60, 5 * DAY), "the newest first");
    assert_eq!(asked.last().map(|a| a.1), Some(-DAY));
    assert_eq!(tracks[0].points().len(), 1);
}

proptest! {
    /// However the past came in, the same points are known.
    #[test]
    fn any_history_of_calls_knows_the_same(
        rows in proptest::collection::btree_map(0i64..20_000, 0.0f64..9.0, 0..200),
        calls in proptest::collection::vec((0i64..20_000, 1usize..4), 0..12),
    ) {
        let source = Table::default();
        for (minute, value) in &rows {
            source.rows.lock().unwrap().insert(("a".into(), minute * 60), *value);
        }
        let mut tracks = [track("a", 3)];
        let mut now = 0;
        for (minute, rounds) in calls {
            now = now.max(minute * 60);
            run(&source, &mut tracks, now, rounds);
        }
        let end = 20_000 * 60;
        run(&source, &mut tracks, end, 100);
        let expected: Points = rows.iter().map(|(m, v)| (Time::from_secs(m * 60), *v))
            .filter(|(t, _)| t.secs() >= end - 3 * DAY).collect();
        prop_assert_eq!(tracks[0].points(), &expected);
        prop_assert!(tracks[0].is_complete(Time::from_secs(end)));
    }
}
