//! A workload as the cluster shows it, and the configuration → its policy.
//!
//! The metric that the workload already scales on is the load, and its target is the capacity of one replica.
//! Annotations override. What cannot be used is skipped with a note while something usable is left, and a problem
//! otherwise; a mistake in an annotation is always a problem, and then nothing is done.

use super::annotations::{Annotations, PREFIX, own_floor};
use super::{AutoscalerView, Mode, Policy, WorkloadKind, WorkloadView};
use crate::config::Config;
use crate::error::Problem;
use crate::occasion::{OCCASIONS_MAX, Occasion};
use crate::units::{MAX_REPLICAS, Replicas};
use std::fmt;

mod metric;

/// A policy, and what was left out on the way.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// How the workload is to be scaled.
    pub policy: Policy,
    /// True: the annotation says the lead time, so that none is learned.
    pub lead_time_given: bool,
    /// What was skipped or limited, with the reason; for events and `explain`.
    pub notes: Vec<Note>,
}

/// Something that was skipped or limited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Object and field.
    pub at: String,
    /// What and why.
    pub text: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.text)
    }
}

/// KEDA's default of `spec.maxReplicaCount`.
const KEDA_MAX: Replicas = 100;

/// The policy of a workload. `Ok(None)`: not opted in. `Err`: every problem; nothing of the workload may be changed.
pub fn resolve(view: &WorkloadView, config: &Config) -> Result<Option<Resolved>, Vec<Problem>> {
    let kind = match view.workload.kind {
        WorkloadKind::Deployment => "Deployment",
        WorkloadKind::StatefulSet => "StatefulSet",
    };
    let at = format!("{kind} {}", view.workload);
    let Some(annotations) = Annotations::parse(&at, &view.annotations)? else { return Ok(None) };
    let resolver = Resolver { view, config, annotations: &annotations, at, problems: Vec::new(), notes: Vec::new() };
    resolver.resolve().map(Some)
}

/// Works on one workload; problems and notes gather here.
struct Resolver<'a> {
    view: &'a WorkloadView,
    config: &'a Config,
    annotations: &'a Annotations,
    at: String,
    problems: Vec<Problem>,
    notes: Vec<Note>,
}

impl<'a> Resolver<'a> {
    fn resolve(mut self) -> Result<Resolved, Vec<Problem>> {
        let autoscaler = self.autoscaler();
        let bounds = self.bounds(autoscaler);
        if let Some((min, max)) = bounds {
            self.check_windows(min, max);
        }
        let (metrics, slots) = self.metrics(autoscaler);
        let mode = self.mode(autoscaler);
        let Some((min_replicas, max_replicas)) = bounds.filter(|_| self.problems.is_empty()) else {
            return Err(self.problems);
        };
        if let Some(hold) = self.annotations.hold.filter(|hold| hold.at_least > max_replicas) {
            let text = format!("{} replicas are wished, but the upper bound is {max_replicas}", hold.at_least);
            self.note(self.annotation("hold"), text);
        }
        let (annotations, defaults) = (self.annotations, &self.config.workloads);
        let occasions = self.occasions();
        let policy = Policy {
            mode,
            metrics,
            min_replicas,
            max_replicas,
            lead_time: annotations.lead_time.unwrap_or(defaults.lead_time),
            unserved_budget: annotations.unserved_budget.unwrap_or(defaults.unserved_budget),
            miss_cost: annotations.miss_cost,
            time_zone: annotations.time_zone.clone().unwrap_or_else(|| defaults.time_zone.clone()),
            schedules: annotations.schedule.clone(),
            occasions,
            hold: annotations.hold,
            pods_per_second: Some(f64::from(defaults.pods_per_second)),
            slots,
        };
        Ok(Resolved { policy, lead_time_given: annotations.lead_time.is_some(), notes: self.notes })
    }

    /// The workload's own occasions, and those of the calendars it keeps: all, or those it names.
    fn occasions(&mut self) -> Vec<Occasion> {
        let own = self.annotations.exclude.iter().chain(&self.annotations.events).cloned();
        let kept = |name: &str| self.annotations.calendars.as_ref().is_none_or(|names| names.iter().any(|n| n == name));
        let shared =
            self.config.calendars.iter().filter(|(name, _)| kept(name)).flat_map(|(_, all)| all.iter().cloned());
        let mut occasions: Vec<Occasion> = shared.chain(own).collect();
        if occasions.len() > OCCASIONS_MAX {
            let text = format!("{} occasions, of which the last {OCCASIONS_MAX} are kept", occasions.len());
            occasions.drain(..occasions.len() - OCCASIONS_MAX);
            self.note(self.annotation("calendars"), text);
        }
        let unknown = self.annotations.calendars.iter().flatten().find(|n| !self.config.calendars.contains_key(*n));
        if let Some(name) = unknown {
            let text = format!("the config has no calendar {name}");
            self.note(self.annotation("calendars"), text);
        }
        occasions
    }

    fn note(&mut self, at: impl Into<String>, text: impl Into<String>) {
        self.notes.push(Note { at: at.into(), text: text.into() });
    }

    fn annotation(&self, name: &str) -> String {
        format!("{}: annotation {PREFIX}{name}", self.at)
    }

    /// The autoscaler of the workload. Two are a problem: they undo each other's work, and would undo ours.
    fn autoscaler(&mut self) -> Option<&'a AutoscalerView> {
        let all = &self.view.autoscalers;
        if all.len() > 1 {
            let names: Vec<String> = all.iter().map(title).collect();
            let problem = Problem::new(&self.at, "at most one autoscaler", names.join(" and "))
                .help("they work against each other: remove all but one");
            self.problems.push(problem);
        }
        all.first()
    }

    /// The user's own bounds: the autoscaler's, narrowed by annotations.
    fn bounds(&mut self, autoscaler: Option<&AutoscalerView>) -> Option<(Replicas, Replicas)> {
        let (annotated_min, annotated_max) = (self.annotations.min_replicas, self.annotations.max_replicas);
        let Some(autoscaler) = autoscaler else {
            let Some(max) = annotated_max else {
                let problem =
                    Problem::new(&self.at, format!("{PREFIX}max-replicas, as no autoscaler gives one"), "none")
                        .help(format!("for example {PREFIX}max-replicas: \"20\""));
                self.problems.push(problem);
                return None;
            };
            if annotated_min.is_none() && self.annotations.load_query.is_none() {
                let problem = Problem::new(
                    &self.at,
                    format!("{PREFIX}min-replicas, as nothing else says how many there are outside the schedule"),
                    "none",
                )
                .help(format!("for example {PREFIX}min-replicas: \"2\""));
                self.problems.push(problem);
                return None;
            }
            return self.ordered(self.annotation("min-replicas"), annotated_min.unwrap_or(1), max);
        };
        let at = format!("{} of {}", title(autoscaler), self.at);
        let (annotations, current, default, max) = match autoscaler {
            AutoscalerView::HorizontalPodAutoscaler(hpa) => (&hpa.annotations, hpa.min_replicas, 1, hpa.max_replicas),
            AutoscalerView::ScaledObject(keda) => {
                (&keda.annotations, keda.min_replicas, 0, keda.max_replicas.unwrap_or(KEDA_MAX))
            }
        };
        let min = match own_floor(&at, annotations, current) {
            Ok(min) => min.unwrap_or(default),
            Err(problem) => {
                self.problems.push(problem);
                return None;
            }
        };
        if max > MAX_REPLICAS {
            let expected = format!("an upper bound of at most {MAX_REPLICAS} replicas");
            self.problems.push(Problem::new(&at, expected, max.to_string()));
            return None;
        }
        let (min, max) = self.ordered(at.clone(), min, max)?;
        for (name, given) in [("min-replicas", annotated_min), ("max-replicas", annotated_max)] {
            if let Some(given) = given.filter(|n| *n < min || *n > max) {
                let expected = format!("within {min} and {max}, the bounds of {}", title(autoscaler));
                let problem = Problem::new(self.annotation(name), expected, given.to_string())
                    .help("change one of the two: neither may silently win");
                self.problems.push(problem);
            }
        }
        Some((annotated_min.unwrap_or(min), annotated_max.unwrap_or(max)))
    }

    fn ordered(&mut self, at: String, min: Replicas, max: Replicas) -> Option<(Replicas, Replicas)> {
        if min <= max {
            return Some((min, max));
        }
        self.problems.push(Problem::new(
            at,
            format!("a lower bound of at most the upper, which is {max}"),
            min.to_string(),
        ));
        None
    }

    /// A window whose bounds can never hold is a mistake.
    fn check_windows(&mut self, min: Replicas, max: Replicas) {
        for window in &self.annotations.schedule {
            let problem = match (window.min, window.max) {
                (Some(own), _) if own > max => format!("a window whose min is at most the upper bound, which is {max}"),
                (_, Some(own)) if own < min => {
                    format!("a window whose max is at least the lower bound, which is {min}")
                }
                _ => continue,
            };
            self.problems.push(Problem::new(self.annotation("schedule"), problem, window.to_string()));
        }
    }

    /// What may be done: the annotation's wish under the config's ceiling.
    fn mode(&mut self, autoscaler: Option<&AutoscalerView>) -> Mode {
        let wish = self.annotations.mode;
        if wish > self.config.mode {
            self.note(self.annotation("mode"), "act is wished, but the config's mode is observe: nothing is written");
        }
        match autoscaler {
            Some(AutoscalerView::ScaledObject(keda)) if keda.paused => {
                let at = format!("ScaledObject {} of {}", keda.name, self.at);
                self.note(at, "paused: nothing is written until it goes on");
                Mode::Observe
            }
            _ => wish.min(self.config.mode),
        }
    }
}

/// Kind and name, as `kubectl` users say it.
fn title(autoscaler: &AutoscalerView) -> String {
    match autoscaler {
        AutoscalerView::HorizontalPodAutoscaler(hpa) => format!("HorizontalPodAutoscaler {}", hpa.name),
        AutoscalerView::ScaledObject(keda) => format!("ScaledObject {}", keda.name),
    }
}

#[cfg(test)]
mod tests;
