//! The objects in circulation → jobs.

use super::kubectl::{Calls, Scale};
use super::{Group, Job, Turns};
use crate::error::Problem;
use crate::policy::cron::Cron;
use crate::units::{MAX_REPLICAS, Replicas};
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_yaml_ng::Value;
use std::collections::BTreeMap;

/// Longest text that is read, in bytes.
const BYTES_MAX: usize = 8 << 20;
/// Brackets of one document that are open at once at most: the time that libyaml takes grows with their square.
const OPEN_MAX: usize = 1000;
/// `maxReplicaCount` of a ScaledObject that says none.
const KEDA_MOST: Replicas = 100;
/// Jobs and triggers of one text at most.
const JOBS_MAX: usize = 1000;
/// Merged maps within merged maps (`<<`), this deep at most.
const MERGES_MAX: usize = 4;
/// What is left to do where the calls of a CronJob are not understood.
const BY_HAND: &str = "left out: write its window by hand";
/// Annotations that keep KEDA from scaling.
const PAUSED: [&str; 2] = ["autoscaling.keda.sh/paused", "autoscaling.keda.sh/paused-replicas"];

/// Everything of the texts, each with its name, that schedules replicas, and how many objects don't.
pub(super) fn groups(texts: &[(&str, &str)], zone: &str) -> (Vec<Group>, Vec<Problem>, usize) {
    let (scaling, problems) = (BTreeMap::new(), Vec::new());
    let mut reader = Reader { name: "", zone, groups: Vec::new(), scaling, problems, jobs: 0, skipped: 0 };
    for &(name, text) in texts {
        reader.name = name;
        reader.jobs = 0;
        reader.documents(text);
    }
    for (names, group) in std::mem::take(&mut reader.scaling).into_values() {
        match group.turns.as_slice() {
            [_] => reader.groups.push(group),
            several => {
                let zones: Vec<&str> = several.iter().map(|turns| turns.zone.as_str()).collect();
                let expected =
                    format!("one time zone for all that scale {}, whose numbers follow each other", group.workload);
                let at = format!("{}: {}: spec.timeZone", names.join(", "), group.from);
                let problem = Problem::new(at, expected, zones.join(" and "));
                reader.problems.push(problem.help("name the same one in all; --time-zone is for those that name none"));
            }
        }
    }
    if reader.groups.is_empty() && reader.problems.is_empty() && !texts.is_empty() {
        let names: Vec<&str> = texts.iter().map(|(name, _)| *name).collect();
        let expected = "a CronHorizontalPodAutoscaler, CronHPA, ScaledObject with a cron trigger, or CronJob that runs kubectl scale";
        reader.problems.push(Problem::new(names.join(", "), expected, "none"));
    }
    (reader.groups, reader.problems, reader.skipped)
}

/// Whether more brackets are open at once than in any object, be they in a text or not.
fn too_deep(document: &str) -> bool {
    let mut open = 0usize;
    document.bytes().any(|byte| {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        open > OPEN_MAX
    })
}

struct Reader<'a> {
    /// Of the text that is read.
    name: &'a str,
    zone: &'a str,
    groups: Vec<Group>,
    /// CronJobs by the workload that they scale, with the names of their texts.
    scaling: BTreeMap<String, (Vec<&'a str>, Group)>,
    problems: Vec<Problem>,
    /// Of the text that is read.
    jobs: usize,
    /// Objects that schedule nothing.
    skipped: usize,
}

fn text<'v>(value: &'v Value, path: &[&str]) -> Option<&'v str> {
    path.iter().try_fold(value, |v, key| v.get(*key))?.as_str()
}

/// A whole number, also where it is quoted.
fn number(value: Option<&Value>) -> Option<Replicas> {
    let value = value?;
    let n = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())?;
    Replicas::try_from(n).ok().filter(|n| *n <= MAX_REPLICAS)
}

fn entries(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_sequence).map_or(&[], Vec::as_slice)
}

impl Reader<'_> {
    /// The documents of one text.
    fn documents(&mut self, text: &str) {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.len() > BYTES_MAX {
            let found = format!("{} bytes", text.len());
            return self.problems.push(Problem::new(self.name, format!("at most {BYTES_MAX} bytes"), found));
        }
        if text.split("\n---").any(too_deep) {
            let expected = format!("YAML with at most {OPEN_MAX} brackets open at once");
            return self.problems.push(Problem::new(self.name, expected, "more"));
        }
        for document in serde_yaml_ng::Deserializer::from_str(text) {
            let mut value = match Value::deserialize(document) {
                Ok(value) => value,
                Err(error) => {
                    let at = error.location().map_or(self.name.to_string(), |l| format!("{}:{}", self.name, l.line()));
                    self.problems.push(Problem::new(at, "YAML", error.to_string()));
                    break;
                }
            };
            // a map that is merged may name another one to merge
            if let Err(error) = (0..MERGES_MAX).try_for_each(|_| value.apply_merge()) {
                self.problems.push(Problem::new(self.name, "maps to merge (<<)", error.to_string()));
            } else if !value.is_null() {
                self.object(&value, "");
            }
        }
    }

    /// One object; `of_list` is the kind of a list's items that name none.
    fn object(&mut self, value: &Value, of_list: &str) {
        let kind = text(value, &["kind"]).unwrap_or(of_list);
        if let Some(of_list) = kind.strip_suffix("List").filter(|_| value.get("items").is_some()) {
            return entries(value.get("items")).iter().for_each(|item| self.object(item, of_list));
        }
        let namespace = text(value, &["metadata", "namespace"]).unwrap_or("default");
        let from = format!("{kind} {namespace}/{}", text(value, &["metadata", "name"]).unwrap_or_default());
        let before = (self.jobs, self.problems.len());
        match kind {
            "CronHorizontalPodAutoscaler" => self.cron_hpa(value, &from, namespace, Cron::parse_six),
            "CronHPA" => self.cron_hpa(value, &from, namespace, Cron::parse),
            "ScaledObject" => self.scaled_object(value, &from, namespace),
            "CronJob" => self.cron_job(value, &from, namespace),
            _ => {}
        }
        self.skipped += usize::from(before == (self.jobs, self.problems.len()));
    }

    fn at(&self, from: &str, field: &str) -> String {
        format!("{}: {from}: {field}", self.name)
    }

    fn room(&mut self) -> bool {
        self.jobs += 1;
        if self.jobs == JOBS_MAX + 1 {
            self.problems.push(Problem::new(self.name, format!("at most {JOBS_MAX} jobs"), "more"));
        }
        self.jobs <= JOBS_MAX
    }

    fn cron(&mut self, at: String, value: Option<&str>, parse: impl Fn(&str) -> Result<Cron, String>) -> Option<Cron> {
        match parse(value.unwrap_or_default()) {
            Ok(cron) => Some(cron),
            Err(expected) => {
                self.problems.push(Problem::new(at, expected, format!("{:?}", value.unwrap_or_default())));
                None
            }
        }
    }

    fn count(&mut self, at: String, value: Option<&Value>) -> Option<Replicas> {
        let count = number(value);
        if count.is_none() {
            let found = value.and_then(|v| serde_yaml_ng::to_string(v).ok()).unwrap_or("none".into());
            self.problems.push(Problem::new(
                at,
                format!("a number of replicas from 0 to {MAX_REPLICAS}"),
                found.trim(),
            ));
        }
        count
    }

    /// The zone of an object that may say one.
    fn zone_of(&mut self, at: String, said: Option<&str>, notes: &mut Vec<String>) -> Option<String> {
        let zone = said.unwrap_or(self.zone);
        if TimeZone::get(zone).is_err() {
            self.problems.push(Problem::new(at, "an IANA time zone such as Europe/Berlin", zone));
            return None;
        }
        let note = format!("says no time zone: {zone} is taken (--time-zone)");
        if said.is_none() && !notes.contains(&note) {
            notes.push(note);
        }
        Some(zone.to_string())
    }

    /// CronHPA in the shapes in circulation: `jobs` or `crons`, `targetSize` or `targetReplicas`, with `excludeDates`.
    fn cron_hpa(
        &mut self,
        value: &Value,
        from: &str,
        namespace: &str,
        parse: impl Fn(&str) -> Result<Cron, String> + Copy,
    ) {
        let Some(spec) = value.get("spec") else {
            self.problems.push(Problem::new(self.at(from, "spec"), "a spec", "none"));
            return;
        };
        let target_kind = text(spec, &["scaleTargetRef", "kind"]).unwrap_or("Deployment");
        let Some(target) = text(spec, &["scaleTargetRef", "name"]) else {
            self.problems.push(Problem::new(self.at(from, "spec.scaleTargetRef.name"), "a name", "none"));
            return;
        };
        let mut notes = Vec::new();
        if target_kind == "HorizontalPodAutoscaler" {
            notes.push("targets an HPA: put the annotations on the workload that the HPA scales".into());
        }
        let said = text(spec, &["timeZone"]).or(text(spec, &["timezone"]));
        let Some(zone) = self.zone_of(self.at(from, "spec.timeZone"), said, &mut notes) else { return };
        let (field, list) = match spec.get("jobs") {
            Some(jobs) => ("jobs", Some(jobs)),
            None => ("crons", spec.get("crons")),
        };
        let mut jobs = Vec::new();
        for (i, job) in entries(list).iter().enumerate() {
            let at = |key: &str| format!("spec.{field}[{i}].{key}");
            if !self.room() {
                return;
            }
            // such a job says a date where others say when they recur
            if job.get("runOnce").and_then(Value::as_bool) == Some(true) {
                notes.push(format!("{}: runs once; left out", at("runOnce")));
                continue;
            }
            let cron = self.cron(self.at(from, &at("schedule")), text(job, &["schedule"]), parse);
            let size = job.get("targetSize").or(job.get("targetReplicas"));
            let target = self.count(self.at(from, &at("targetSize")), size);
            if let (Some(cron), Some(target)) = (cron, target) {
                jobs.push(Job { cron, target });
            }
        }
        let mut exclude = Vec::new();
        for (i, date) in entries(spec.get("excludeDates")).iter().enumerate() {
            exclude.extend(self.cron(self.at(from, &format!("spec.excludeDates[{i}]")), date.as_str(), parse));
        }
        if jobs.is_empty() {
            self.problems.push(Problem::new(self.at(from, "spec.jobs"), "at least one job that recurs", "none"));
            return;
        }
        let workload = format!("{target_kind} {namespace}/{target}");
        let turns = vec![Turns { zone, jobs, exclude }];
        self.groups.push(Group { from: from.into(), workload, turns, base: None, most: None, notes });
    }

    /// The cron triggers of a ScaledObject hold at once, and the largest counts; outside them `idleReplicaCount` does,
    /// or else `minReplicaCount`.
    fn scaled_object(&mut self, value: &Value, from: &str, namespace: &str) {
        let Some(spec) = value.get("spec") else { return };
        let triggers = entries(spec.get("triggers"));
        let is_cron = |trigger: &Value| text(trigger, &["type"]) == Some("cron");
        if !triggers.iter().any(is_cron) {
            return;
        }
        let annotations = value.get("metadata").and_then(|metadata| metadata.get("annotations"));
        for name in PAUSED {
            let found = annotations.and_then(|all| all.get(name));
            if found.is_some_and(|v| v.as_bool() != Some(false) && v.as_str() != Some("false")) {
                let at = self.at(from, &format!("metadata.annotations[{name}]"));
                return self.problems.push(Problem::new(at, "a ScaledObject that runs", "paused").help("left out"));
            }
        }
        let kind = text(spec, &["scaleTargetRef", "kind"]).unwrap_or("Deployment");
        let workload = format!("{kind} {namespace}/{}", text(spec, &["scaleTargetRef", "name"]).unwrap_or_default());
        let least = number(spec.get("minReplicaCount")).unwrap_or(0);
        let most = number(spec.get("maxReplicaCount")).unwrap_or(KEDA_MOST);
        let (mut turns, mut notes) = (Vec::new(), Vec::new());
        let base = match number(spec.get("idleReplicaCount")) {
            // another trigger may be active outside the windows
            Some(idle) if !triggers.iter().all(is_cron) => {
                let why = format!("not every trigger is cron: minReplicaCount {least} is taken");
                notes.push(format!("spec.idleReplicaCount: {idle} is not taken over, as {why}"));
                least
            }
            idle => idle.unwrap_or(least),
        };
        for (i, trigger) in triggers.iter().enumerate() {
            if !is_cron(trigger) || !self.room() {
                continue;
            }
            let at = |key: &str| format!("spec.triggers[{i}].metadata.{key}");
            let metadata = trigger.get("metadata").unwrap_or(&Value::Null);
            let zone = self.zone_of(self.at(from, &at("timezone")), text(metadata, &["timezone"]), &mut notes);
            let start = self.cron(self.at(from, &at("start")), text(metadata, &["start"]), Cron::parse);
            let end = self.cron(self.at(from, &at("end")), text(metadata, &["end"]), Cron::parse);
            let target = self.count(self.at(from, &at("desiredReplicas")), metadata.get("desiredReplicas"));
            let (Some(zone), Some(start), Some(end), Some(target)) = (zone, start, end, target) else { continue };
            if target > most {
                notes.push(format!("{}: {target} is above maxReplicaCount {most}, which holds", at("desiredReplicas")));
            }
            let jobs = vec![Job { cron: start, target: target.min(most).max(least) }, Job { cron: end, target: base }];
            turns.push(Turns { zone, jobs, exclude: Vec::new() });
        }
        if !turns.is_empty() {
            let (base, most) = (Some(base), Some(most));
            self.groups.push(Group { from: from.into(), workload, turns, base, most, notes });
        }
    }

    /// CronJobs that scale the same workload set its number in turn.
    fn cron_job(&mut self, value: &Value, from: &str, namespace: &str) {
        let Some(spec) = value.get("spec") else { return };
        let pod = ["jobTemplate", "spec", "template", "spec"].iter().try_fold(spec, |v, key| v.get(*key));
        let list = |key: &str| entries(pod.and_then(|p| p.get(key))).iter();
        let mut calls = Calls::default();
        for container in list("initContainers").chain(list("containers")) {
            let words = |key: &str| entries(container.get(key)).iter().filter_map(Value::as_str).collect::<Vec<_>>();
            calls.read(text(container, &["image"]).unwrap_or_default(), &words("command"), &words("args"));
        }
        if calls.is_empty() {
            return;
        }
        if spec.get("suspend").and_then(Value::as_bool) == Some(true) {
            self.problems
                .push(Problem::new(self.at(from, "spec.suspend"), "a CronJob that runs", "suspended").help("left out"));
            return;
        }
        // where kubectl is understood, other words are not what scales
        let others = if calls.scales.is_empty() && calls.unclear.is_empty() { calls.others } else { Vec::new() };
        for found in calls.unclear.into_iter().chain(others) {
            let expected = "kubectl scale of Deployments or StatefulSets by name, with a number of replicas";
            let problem = Problem::new(self.at(from, "spec.jobTemplate"), expected, found);
            self.problems.push(problem.help(BY_HAND));
        }
        let mut called: BTreeMap<String, Vec<Scale>> = BTreeMap::new();
        for scale in calls.scales {
            let namespace = scale.namespace.as_deref().unwrap_or(namespace);
            called.entry(format!("{} {namespace}/{}", scale.kind, scale.name)).or_default().push(scale);
        }
        let mut targets = Vec::new();
        for (workload, scales) in called {
            let mut numbers: Vec<Replicas> = scales.iter().map(|scale| scale.replicas).collect();
            numbers.dedup();
            match numbers.as_slice() {
                [target] if scales.iter().all(|scale| scale.certain) => targets.push((workload, *target)),
                _ => {
                    let expected = format!("one number for {workload} at every run, without a condition or a sleep");
                    let found: Vec<&str> = scales.iter().map(|scale| scale.call.as_str()).collect();
                    let problem = Problem::new(self.at(from, "spec.jobTemplate"), expected, found.join("; "));
                    self.problems.push(problem.help(BY_HAND));
                }
            }
        }
        let mut notes = Vec::new();
        let zone = self.zone_of(self.at(from, "spec.timeZone"), text(spec, &["timeZone"]), &mut notes);
        let cron = self.cron(self.at(from, "spec.schedule"), text(spec, &["schedule"]), Cron::parse);
        let (Some(zone), Some(cron)) = (zone, cron) else { return };
        for (workload, target) in targets {
            if self.room() {
                self.turn(from, workload, &zone, Job { cron: cron.clone(), target }, &notes);
            }
        }
    }

    /// Adds a job to those that set the number of a workload in turn.
    fn turn(&mut self, from: &str, workload: String, zone: &str, job: Job, notes: &[String]) {
        let (names, group) = self.scaling.entry(workload.clone()).or_insert_with(|| {
            let (from, turns, notes) = (String::new(), Vec::new(), Vec::new());
            (Vec::new(), Group { from, workload, turns, base: None, most: None, notes })
        });
        if !names.contains(&self.name) {
            names.push(self.name);
        }
        group.from = if group.from.is_empty() { from.into() } else { format!("{}, {from}", group.from) };
        for note in notes {
            if !group.notes.contains(note) {
                group.notes.push(note.clone());
            }
        }
        match group.turns.iter_mut().find(|turns| turns.zone == zone) {
            Some(turns) => turns.jobs.push(job),
            None => group.turns.push(Turns { zone: zone.into(), jobs: vec![job], exclude: Vec::new() }),
        }
    }
}
