//! What sources tell, kept on disk: gathered in memory, written once an hour and at the end.

use crate::history::Points;
use crate::history::store::{SeriesId, Store};
use crate::series::Sample;
use crate::units::{Step, Time};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often it is written.
const EVERY: Duration = Duration::from_secs(3600);
/// Points that wait at most, of all queries; with more, the next ones wait for their source to be asked again.
const WAITING_MAX: usize = 4_000_000;

/// History on disk, and what is still to be written.
#[derive(Debug)]
pub struct Archive {
    store: Store,
    span: Duration,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    points: BTreeMap<(SeriesId, Step), Points>,
    count: usize,
}

impl Archive {
    /// Keeps the last `span` in `store`.
    pub fn new(store: Store, span: Duration) -> Archive {
        Archive { store, span, waiting: Mutex::default() }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes samples of a query, as its source gave them, one a step from `from` on.
    pub fn keep(&self, source: &str, query: &str, from: Time, step: Step, samples: &[Sample]) {
        let mut waiting = self.waiting();
        if waiting.count > WAITING_MAX {
            return;
        }
        let known = samples.iter().enumerate().filter_map(|(i, s)| Some((from + step.times(i), s.measured()?)));
        let id = SeriesId::of(source, query, step);
        let points = waiting.points.entry((id, step)).or_default();
        let before = points.len();
        points.extend(known);
        waiting.count += points.len() - before;
    }

    /// What is known of a query up to `now` and not in `told`, which wins.
    pub fn recall(&self, source: &str, query: &str, step: Step, now: Time, told: &Points) -> Points {
        let id = SeriesId::of(source, query, step);
        let known = self.store.points(id, step, now - self.span).unwrap_or_else(|error| {
            tracing::warn!(path = %self.store.path().display(), %error, "history on disk cannot be read");
            Points::new()
        });
        known.into_iter().filter(|p| told.binary_search_by_key(&p.0, |t| t.0).is_err()).collect()
    }

    /// Writes what waits. What cannot be written is dropped: its source still has it.
    pub fn write(&self, now: Time) {
        let waiting = std::mem::take(&mut *self.waiting());
        let news: Vec<(SeriesId, Step, Points)> =
            waiting.points.into_iter().map(|((id, step), points)| (id, step, points)).collect();
        let put = || self.store.put(&news, now - self.span);
        // one that was damaged has been begun anew
        if let Err(error) = put().or_else(|error| put().map_err(|_| error)) {
            tracing::warn!(path = %self.store.path().display(), %error, "history cannot be written to disk");
        }
    }
}

/// Writes every hour until it is aborted.
pub async fn write_hourly(archive: Arc<Archive>, clock: Arc<dyn crate::clock::Clock>) {
    loop {
        tokio::time::sleep(EVERY).await;
        let (archive, now) = (archive.clone(), clock.now());
        let _ = tokio::task::spawn_blocking(move || archive.write(now)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn t(minute: i64) -> Time {
        Time::from_secs(60 * minute)
    }

    #[test]
    fn what_a_source_has_forgotten_is_recalled_and_what_it_says_now_wins() {
        let folder = tempfile::tempdir().unwrap();
        let archive =
            |folder: &std::path::Path| Archive::new(Store::open(folder).unwrap().0, Duration::from_secs(2 * 86_400));
        let first = archive(folder.path());
        first.keep("main", "q", t(10), Step::MINUTE, &[Sample::Valid(1.0), Sample::Missing, Sample::Valid(3.0)]);
        first.write(t(20));
        first.keep("main", "q", t(13), Step::MINUTE, &[Sample::Valid(4.0)]);
        first.write(t(20));
        drop(first);
        let again = archive(folder.path());
        let recalled = again.recall("main", "q", Step::MINUTE, t(20), &vec![(t(12), 9.0)]);
        assert_eq!(recalled, [(t(10), 1.0), (t(13), 4.0)]);
        assert_eq!(again.recall("other", "q", Step::MINUTE, t(20), &Points::new()), []);
        again.write(t(4 * 1440 + 20));
        assert_eq!(again.recall("main", "q", Step::MINUTE, t(20), &Points::new()), [], "older than is kept");
    }
}
