//! A decision log: what a workload's ticks were given and what they decided, one JSON record a line, and its replay.

use super::{Decision, Inputs, Memory, MetricMemory, tick};
use crate::policy::{Policy, Workload};
use crate::series::Series;
use crate::units::Time;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Workloads that one replay follows at most.
const MAX_WORKLOADS: usize = 10_000;

/// One line of a decision log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case")]
pub enum Record {
    /// A workload's memory is made: at the start, and whenever its policy changes.
    Start {
        /// Whose.
        workload: Workload,
        /// Version of the program.
        build: String,
        /// The policy from here on.
        policy: Policy,
        /// What each metric had learned from, with the load one replica served.
        metrics: Vec<(Series, f64)>,
        /// True: the plans so far are remembered, only what metrics learned is made anew.
        continued: bool,
    },
    /// The policy changes in what needs no learning: mode, schedules, hold.
    Policy {
        /// Whose.
        workload: Workload,
        /// The policy from here on.
        policy: Policy,
    },
    /// One tick.
    Tick {
        /// Whose.
        workload: Workload,
        /// When.
        now: Time,
        /// What it was given.
        inputs: Inputs,
        /// What it decided.
        decision: Decision,
    },
}

impl Record {
    /// The line, without the line break.
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The first place where a replay parts from the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize)]
#[error("line {line}, {workload} at {at}: {field} was {recorded} and is {replayed} now")]
pub struct Difference {
    /// Line of the log, from 1.
    pub line: usize,
    /// Whose decision.
    pub workload: String,
    /// When it was made.
    pub at: Time,
    /// Path of the first field that differs, such as `decision.plan.replicas`.
    pub field: String,
    /// The value in the log.
    pub recorded: String,
    /// The value now.
    pub replayed: String,
}

/// Runs a log's ticks again, line after line.
#[derive(Debug, Default)]
pub struct Replay {
    memories: BTreeMap<Workload, (Policy, Memory)>,
    line: usize,
    /// Decisions that were the same bytes.
    pub same: usize,
}

/// A line that cannot be replayed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// It is not a record.
    #[error("line {0}: expected a record of a decision log; found {1}")]
    Unreadable(usize, String),
    /// A tick of a workload whose start isn't in the log.
    #[error("line {0}: expected a start record of {1} before its first tick; found none")]
    NoStart(usize, String),
    /// More workloads than one replay follows.
    #[error("line {0}: expected at most {MAX_WORKLOADS} workloads; found more")]
    TooMany(usize),
    /// The decision is another one now.
    #[error("{0}")]
    Differs(Box<Difference>),
}

impl Replay {
    /// Runs one line. An error leaves the replay where it was.
    pub fn line(&mut self, text: &str) -> Result<(), ReplayError> {
        self.line += 1;
        let text = text.trim_end();
        if text.is_empty() {
            return Ok(());
        }
        let record = serde_json::from_str(text).map_err(|e| ReplayError::Unreadable(self.line, e.to_string()))?;
        match record {
            Record::Start { workload, policy, metrics, continued, build: _ } => {
                let learned = metrics.iter().map(|(history, c)| MetricMemory::learn(history, &policy, *c)).collect();
                let mut memory = Memory::new(learned);
                if let (true, Some((_, before))) = (continued, self.memories.get(&workload)) {
                    memory.plan = before.plan.clone();
                }
                if self.memories.len() >= MAX_WORKLOADS && !self.memories.contains_key(&workload) {
                    return Err(ReplayError::TooMany(self.line));
                }
                self.memories.insert(workload, (policy, memory));
            }
            Record::Policy { workload, policy } => {
                let (known, _) = self
                    .memories
                    .get_mut(&workload)
                    .ok_or_else(|| ReplayError::NoStart(self.line, workload.to_string()))?;
                *known = policy;
            }
            Record::Tick { workload, now, inputs, decision: recorded } => {
                let (policy, memory) = self
                    .memories
                    .get_mut(&workload)
                    .ok_or_else(|| ReplayError::NoStart(self.line, workload.to_string()))?;
                let decision = tick(now, policy, &inputs, memory);
                let name = workload.to_string();
                let replayed = Record::Tick { workload, now, inputs, decision };
                let line = replayed.to_line();
                if line != text {
                    let (field, recorded, replayed) = first_difference(text, &line)
                        .unwrap_or_else(|| ("bytes".into(), format!("{recorded:?}"), format!("{replayed:?}")));
                    let at = now;
                    let difference = Difference { line: self.line, workload: name, at, field, recorded, replayed };
                    return Err(ReplayError::Differs(Box::new(difference)));
                }
                self.same += 1;
            }
        }
        Ok(())
    }
}

/// Path and both values of the first difference of two JSON texts.
fn first_difference(a: &str, b: &str) -> Option<(String, String, String)> {
    let (a, b): (Value, Value) = (serde_json::from_str(a).ok()?, serde_json::from_str(b).ok()?);
    let mut path = String::new();
    let (a, b) = descend(&a, &b, &mut path)?;
    Some((path, a, b))
}

fn descend(a: &Value, b: &Value, path: &mut String) -> Option<(String, String)> {
    let shown = |v: Option<&Value>| v.map_or("absent".to_owned(), |v| crate::error::shorten(&v.to_string()));
    let length = path.len();
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            let keys = x.keys().chain(y.keys().filter(|k| !x.contains_key(*k)));
            for key in keys {
                path.push_str(if path.is_empty() { "" } else { "." });
                path.push_str(key);
                let found = match (x.get(key), y.get(key)) {
                    (Some(v), Some(w)) => descend(v, w, path),
                    (v, w) => Some((shown(v), shown(w))),
                };
                if found.is_some() {
                    return found;
                }
                path.truncate(length);
            }
            None
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            for (i, (v, w)) in x.iter().zip(y).enumerate() {
                path.push_str(&format!("[{i}]"));
                let found = descend(v, w, path);
                if found.is_some() {
                    return found;
                }
                path.truncate(length);
            }
            None
        }
        _ if a == b => None,
        _ => Some((shown(Some(a)), shown(Some(b)))),
    }
}
