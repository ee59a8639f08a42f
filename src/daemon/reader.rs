//! The load of this very moment, every few seconds between the steps: what outruns the plan raises it at once.
//!
//! One batched question a source; each source has a task of its own, so that a slow one holds up nobody. What is read
//! teaches nothing and lowers nothing.

use super::polling::{Sources, Wanted, last_step, poll};
use crate::clock::Clock;
use crate::history::HistorySource;
use crate::policy::Workload;
use crate::units::{Step, Time};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// No source is waited for longer than this.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What is to be read, by the names of the sources.
pub type ToRead = Arc<BTreeMap<String, Vec<Wanted>>>;

/// One metric of one workload at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Whose.
    pub workload: Workload,
    /// Which of its metrics.
    pub metric: usize,
    /// Source and query: the load of something else may be asked for by now.
    pub origin: (String, String),
    /// When.
    pub at: Time,
    /// The load.
    pub load: f64,
}

/// Whether a source has figures of a moment at all: one that only has minutes says nothing new within one.
pub fn is_quick(source: &dyn HistorySource, interval: Step) -> bool {
    source.resolution() <= interval.duration()
}

/// Reads until nobody listens.
pub async fn read(
    sources: Arc<Sources>,
    clock: Arc<dyn Clock>,
    interval: Step,
    to_read: watch::Receiver<ToRead>,
    readings: mpsc::Sender<Vec<Reading>>,
) {
    let quick = sources.iter().filter(|(_, source)| is_quick(source.as_ref(), interval));
    let tasks = quick.map(|(name, source)| {
        let (to_read, readings) = (to_read.clone(), readings.clone());
        one(name.clone(), source.clone(), clock.clone(), interval, to_read, readings)
    });
    futures::future::join_all(tasks).await;
}

async fn one(
    name: String,
    source: Arc<dyn HistorySource>,
    clock: Arc<dyn Clock>,
    interval: Step,
    to_read: watch::Receiver<ToRead>,
    readings: mpsc::Sender<Vec<Reading>>,
) {
    loop {
        tokio::time::sleep(interval.duration()).await;
        let at = last_step(clock.now(), interval);
        let wanted = to_read.borrow().get(&name).cloned().unwrap_or_default();
        let wanted: Vec<Wanted> = wanted.into_iter().map(|w| Wanted { from: at, ..w }).collect();
        let told = match wanted.is_empty() {
            true => Vec::new(),
            false => poll(source.as_ref(), wanted, at, interval, TIMEOUT).await,
        };
        let read = told.into_iter().filter_map(|fed| {
            let load = fed.samples.last()?.measured()?;
            Some(Reading { workload: fed.workload, metric: fed.metric, origin: (name.clone(), fed.query), at, load })
        });
        let read: Vec<Reading> = read.collect();
        if readings.is_closed() || !read.is_empty() && readings.send(read).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Answer, Request};
    use crate::policy::WorkloadKind;
    use futures::future::BoxFuture;
    use std::sync::Mutex;

    /// Says how many queries it was asked at once, and answers each with its number.
    struct Counting(Mutex<Vec<usize>>, Duration);

    impl HistorySource for Counting {
        fn name(&self) -> &str {
            "counting"
        }

        fn fetch<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Vec<Answer>> {
            self.0.lock().unwrap().push(request.queries.len());
            let answer = |(i, q): (usize, &crate::history::Query)| Answer {
                id: q.id.clone(),
                points: Ok(vec![(request.to, i as f64)]),
                warnings: Vec::new(),
            };
            let answers = request.queries.iter().enumerate().map(answer).collect();
            Box::pin(async move { answers })
        }

        fn resolution(&self) -> Duration {
            self.1
        }
    }

    fn wanted(n: usize) -> Vec<Wanted> {
        let of = |i: usize| Wanted {
            workload: Workload { namespace: "shop".into(), name: format!("w{i}"), kind: WorkloadKind::Deployment },
            metric: 0,
            query: "q".into(),
            from: Time::from_secs(0),
        };
        (0..n).map(of).collect()
    }

    #[tokio::test]
    async fn all_workloads_of_a_source_are_read_with_one_question_and_minutes_are_not_read() {
        let quick = Arc::new(Counting(Mutex::default(), Duration::ZERO));
        let slow = Arc::new(Counting(Mutex::default(), Duration::from_secs(60)));
        let sources: Sources = BTreeMap::from([
            ("quick".to_owned(), quick.clone() as Arc<dyn HistorySource>),
            ("slow".to_owned(), slow.clone() as Arc<dyn HistorySource>),
        ]);
        let to_read = BTreeMap::from([("quick".to_owned(), wanted(40)), ("slow".to_owned(), wanted(3))]);
        let (_keep, look) = watch::channel(Arc::new(to_read));
        let (send, mut receive) = mpsc::channel(4);
        let clock = Arc::new(crate::clock::SystemClock);
        tokio::spawn(read(Arc::new(sources), clock, Step::from_secs(1).unwrap(), look, send));
        let first = receive.recv().await.unwrap();
        assert_eq!((first.len(), first[7].load, first[7].workload.name.as_str()), (40, 7.0, "w7"));
        receive.recv().await.unwrap();
        assert_eq!(*quick.0.lock().unwrap(), [40, 40]);
        assert!(slow.0.lock().unwrap().is_empty());
    }
}
