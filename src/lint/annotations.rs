//! Forescale's own annotations, read by the reader that the daemon has.

use super::{Finding, Node, Object, Value, found};
use crate::actuate::pool::POOL_LEDGER;
use crate::policy::annotations::{Annotations, PREFIX};
use std::collections::BTreeMap;

const FIELD: &str = "metadata.annotations";

/// Checks those of a Deployment or StatefulSet; other kinds cannot opt in.
pub(super) fn check(object: &Object, findings: &mut Vec<Finding>) {
    let Some(at) = object.root.get(FIELD).filter(|_| matches!(object.kind.as_str(), "Deployment" | "StatefulSet"))
    else {
        return;
    };
    // the slots of a warm pool are no workload
    if at.entry(POOL_LEDGER).is_some() {
        return;
    }
    let own = || at.entries().iter().filter(|(key, _)| key.starts_with(PREFIX));
    for (key, value) in own().filter(|(_, v)| !matches!(v.value, Value::Text(_) | Value::Null)) {
        let message = format!("{key}: {} is no text; the API wants text", value.words());
        found(findings, "annotation", object, value, FIELD, message, format!("{key}: \"{}\"", value.words()));
    }
    let all: BTreeMap<String, String> = own().map(|(key, value)| (key.clone(), said(value))).collect();
    for problem in Annotations::parse("", &all).err().unwrap_or_default() {
        let key = problem.at.trim_start_matches(": annotation ").to_owned();
        let place = own().find(|(name, _)| *name == key).map_or(at, |(_, value)| value);
        // an example is shown as what to write instead; what is more than that belongs to the message
        let (help, instead) = match problem.help.strip_prefix("for example ") {
            Some(example) => (String::new(), format!("{key}: '{}'", example.replace('\'', "''"))),
            None if problem.help.is_empty() => (String::new(), String::new()),
            None => (format!("; {}", problem.help), String::new()),
        };
        let message = format!("{key}: expected {}; found {}{help}", problem.expected, problem.found);
        found(findings, "annotation", object, place, FIELD, message, instead);
    }
}

/// Its text as the API reads it: null is no text.
fn said(value: &Node) -> String {
    match value.value {
        Value::Null => String::new(),
        _ => value.words(),
    }
}
