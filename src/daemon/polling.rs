//! Asking the sources: one batched request a source and step, for all workloads that use it.

use crate::error::shorten;
use crate::history::{Answer, HistorySource, Query, Request, SourceError};
use crate::plan::SourceState;
use crate::policy::{LoadMetric, Workload};
use crate::series::Sample;
use crate::units::{Step, Time};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Steps that one increment reaches back at most; what is older stays missing.
const CATCH_UP_STEPS: usize = 360;
/// Warnings of one answer that are passed on.
const WARNINGS: usize = 3;
/// A question for so many steps more is not longer by much.
const LEVEL_STEPS: usize = 5;
/// A newest sample older than so many steps is stale.
const STALE_STEPS: usize = 3;

/// The sources by their names in the config.
pub type Sources = BTreeMap<String, Arc<dyn HistorySource>>;

/// One metric of one workload, and the first instant it has no sample for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Whose.
    pub workload: Workload,
    /// Which of its metrics.
    pub metric: usize,
    /// What to ask.
    pub query: String,
    /// From when on.
    pub from: Time,
}

/// What came back for one [`Wanted`].
#[derive(Debug, Clone)]
pub struct Fed {
    /// Whose.
    pub workload: Workload,
    /// Which of its metrics.
    pub metric: usize,
    /// What was asked.
    pub query: String,
    /// One sample a step from `from` on; empty when the source failed: what is missing now may be there later.
    pub samples: Vec<Sample>,
    /// The instant of the first of them.
    pub from: Time,
    /// What the source said.
    pub source: SourceState,
    /// How late the source's samples are.
    pub settling: Duration,
    /// What it had to say besides: that the answer is partial, for example.
    pub warnings: Vec<String>,
}

/// The last instant of the grid at or before `now`.
pub fn last_step(now: Time, step: Step) -> Time {
    let secs = i64::from(step.secs());
    Time::from_secs(now.secs().div_euclid(secs) * secs)
}

/// The query of a metric as it is sent: a tenant's sees only its own namespace.
pub fn query(metric: &LoadMetric) -> Result<String, crate::error::Problem> {
    match &metric.tenant {
        Some(namespace) => crate::history::prometheus::enforce_namespace(&metric.query, namespace),
        None => Ok(metric.query.clone()),
    }
}

/// Level with the newest or nearly so, and those behind: a catch-up makes no question of the others longer.
pub fn apart(wanted: Vec<Wanted>, step: Step) -> [Vec<Wanted>; 2] {
    let newest = wanted.iter().map(|w| w.from).max();
    let (level, behind) =
        wanted.into_iter().partition(|w| newest.is_some_and(|n| w.from + step.times(LEVEL_STEPS) >= n));
    [level, behind]
}

/// Asks one source for everything wanted of it, up to `to`. Always one answer per wanted, in order.
pub async fn poll(
    source: &dyn HistorySource,
    mut wanted: Vec<Wanted>,
    to: Time,
    step: Step,
    deadline: Duration,
) -> Vec<Fed> {
    let oldest = to - step.times(CATCH_UP_STEPS);
    for w in &mut wanted {
        w.from = w.from.max(oldest);
    }
    let from = wanted.iter().map(|w| w.from).min().unwrap_or(to).min(to);
    let queries = wanted.iter().enumerate().map(|(i, w)| Query { id: i.to_string(), text: w.query.clone() }).collect();
    let request = Request { queries, from, to, step };
    match tokio::time::timeout(deadline, source.fetch(&request)).await {
        Ok(answers) => {
            let late = |w: &Wanted| source.settling(&w.query);
            wanted
                .into_iter()
                .zip(answers)
                .map(|(w, a)| (late(&w), w, a))
                .map(|(l, w, a)| feed(w, a, to, step, l))
                .collect()
        }
        Err(_) => {
            let error = format!("source {}: no answer within {} s", source.name(), deadline.as_secs());
            let failing = SourceState::Failing { error };
            wanted.into_iter().map(|w| w.fed(Vec::new(), failing.clone())).collect()
        }
    }
}

impl Wanted {
    fn fed(self, samples: Vec<Sample>, source: SourceState) -> Fed {
        let settling = Duration::ZERO;
        let Wanted { workload, metric, query, from } = self;
        Fed { workload, metric, query, from, samples, source, settling, warnings: Vec::new() }
    }
}

/// `settling`: how late the source is. What may still come is not missing yet: it is asked for again.
fn feed(wanted: Wanted, answer: Answer, to: Time, step: Step, settling: Duration) -> Fed {
    let warnings = answer.warnings.iter().take(WARNINGS).map(|text| shorten(text)).collect();
    let points = match answer.points {
        Ok(points) => points,
        Err(SourceError::Unavailable(p) | SourceError::Refused(p) | SourceError::Malformed(p)) => {
            let error = shorten(&p.to_string());
            return wanted.fed(Vec::new(), SourceState::Failing { error });
        }
    };
    let newest = points.iter().map(|p| p.0).filter(|t| *t <= to).max();
    let fresh = newest.is_some_and(|t| to.since(t) < step.times(STALE_STEPS) + settling);
    let source = if fresh { SourceState::Fresh } else { SourceState::Stale };
    let samples = steps(&points, wanted.from, settled(newest, to, step, settling), step);
    Fed { settling, warnings, ..wanted.fed(samples, source) }
}

/// The last instant whose sample will not come any more if it isn't there: that of the newest sample, or the last one
/// that is older than the source is late.
pub fn settled(newest: Option<Time>, to: Time, step: Step, settling: Duration) -> Time {
    let late = to - step.times(usize::try_from(settling.as_secs().div_ceil(u64::from(step.secs()))).unwrap_or(0));
    newest.map_or(late, |newest| newest.max(late)).min(to)
}

/// Points on the grid from `from` to `to`, both included. What is not there, not finite or negative is Missing.
pub fn steps(points: &[(Time, f64)], from: Time, to: Time, step: Step) -> Vec<Sample> {
    if from > to {
        return Vec::new();
    }
    let place = |t: Time| usize::try_from(t.since(from).as_secs() / u64::from(step.secs())).unwrap_or(usize::MAX);
    let mut samples = vec![Sample::Missing; place(to) + 1];
    for (at, value) in points.iter().filter(|p| (from..=to).contains(&p.0)) {
        if let Some(sample) = samples.get_mut(place(*at))
            && value.is_finite()
            && *value >= 0.0
        {
            *sample = Sample::Valid(*value);
        }
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;
    use Sample::{Missing, Valid};

    fn t(minute: i64) -> Time {
        Time::from_secs(60 * minute)
    }

    #[test]
    fn points_become_steps_and_holes_stay_holes() {
        let points = [(t(1), 1.0), (t(3), f64::NAN), (t(4), 0.0), (t(9), 9.0)];
        assert_eq!(steps(&points, t(1), t(5), Step::MINUTE), [Valid(1.0), Missing, Missing, Valid(0.0), Missing]);
        assert_eq!(steps(&points, t(6), t(5), Step::MINUTE), []);
    }

    #[test]
    fn one_that_is_behind_makes_no_question_of_the_others_longer() {
        let wanted = |name: &str, from| Wanted {
            workload: Workload {
                namespace: "shop".into(),
                name: name.into(),
                kind: crate::policy::WorkloadKind::Deployment,
            },
            metric: 0,
            query: "x".into(),
            from: t(from),
        };
        let all = vec![wanted("level", 400), wanted("behind", 100), wanted("nearly", 396)];
        let apart = apart(all, Step::MINUTE);
        let names = apart.map(|part| part.into_iter().map(|w| w.workload.name).collect::<Vec<_>>());
        assert_eq!(names, [vec!["level", "nearly"], vec!["behind"]]);
    }

    #[test]
    fn an_old_newest_sample_is_stale_and_an_empty_answer_too() {
        let wanted = Wanted {
            workload: Workload {
                namespace: "shop".into(),
                name: "web".into(),
                kind: crate::policy::WorkloadKind::Deployment,
            },
            metric: 0,
            query: "x".into(),
            from: t(1),
        };
        let answer = |points| Answer { id: "0".into(), points: Ok(points), warnings: Vec::new() };
        let fed = |points| feed(wanted.clone(), answer(points), t(10), Step::MINUTE, Duration::ZERO).source;
        assert_eq!(fed(vec![(t(9), 1.0)]), SourceState::Fresh);
        assert_eq!(fed(vec![(t(7), 1.0)]), SourceState::Stale);
        assert_eq!(fed(vec![]), SourceState::Stale);
        let partial = Answer { warnings: vec!["partial".into()], ..answer(vec![(t(9), 1.0)]) };
        assert_eq!(feed(wanted.clone(), partial, t(10), Step::MINUTE, Duration::ZERO).warnings, ["partial"]);
    }

    #[test]
    fn what_a_late_source_still_withholds_is_not_missing_yet() {
        let wanted = Wanted {
            workload: Workload {
                namespace: "shop".into(),
                name: "web".into(),
                kind: crate::policy::WorkloadKind::Deployment,
            },
            metric: 0,
            query: "x".into(),
            from: t(5),
        };
        let fed = |points, late| {
            let answer = Answer { id: "0".into(), points: Ok(points), warnings: Vec::new() };
            feed(wanted.clone(), answer, t(10), Step::MINUTE, Duration::from_secs(late))
        };
        let late = fed(vec![(t(5), 1.0), (t(7), 1.0)], 150);
        assert_eq!((late.samples, late.source), (vec![Valid(1.0), Missing, Valid(1.0)], SourceState::Fresh));
        let gone = fed(vec![(t(5), 1.0)], 120);
        assert_eq!((gone.samples, gone.source), (vec![Valid(1.0), Missing, Missing, Missing], SourceState::Stale));
        assert_eq!(fed(vec![(t(5), 1.0)], 0).samples.len(), 6);
        assert_eq!(fed(Vec::new(), 3600).samples, [], "all of it may still come");
    }
}
