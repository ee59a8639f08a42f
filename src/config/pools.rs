//! `[pools.<name>]`: warm pools.

use super::keys;
use super::settings::{Entry, Settings, Value};
use crate::error::Problem;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a pool may be made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackendChoice {
    /// CapacityBuffers where the cluster has them and acts on them, else placeholders.
    Auto,
    /// CapacityBuffers only.
    CapacityBuffer,
    /// Placeholders only.
    Placeholders,
}

/// Pods that arrive in gangs and belong to no workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueConfig {
    /// The query for the gangs that arrived in a step.
    pub arrivals: String,
    /// The source that is asked. Empty: none could be found, which is a problem by itself.
    pub source: String,
    /// Namespace and name of the PodTemplate that its pods look like.
    pub template: (String, String),
    /// Where the source is named, or would be.
    pub at: String,
}

/// One warm pool.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolConfig {
    /// Labels that its workloads carry. Empty: it has none but those that name it, or that select its NodePool.
    pub selector: BTreeMap<String, String>,
    /// A queue of gangs in place of workloads.
    pub queue: Option<QueueConfig>,
    /// Only workloads of this namespace.
    pub namespace: Option<String>,
    /// The NodePool whose nodes it holds ready.
    pub node_pool: Option<String>,
    /// From asking for a node to a pod that runs on it.
    pub lead_time: Duration,
    /// It is given for this pool, so it is not learned.
    pub lead_time_given: bool,
    /// Share of the time in which it is to be enough, in (0, 1).
    pub objective: f64,
    /// The cost cap.
    pub max_slots: u32,
    /// Windows in slots, in the form of the annotation `schedule`, and where they are given.
    pub windows: Option<(String, String)>,
    /// Zones that it is spread over. Empty: wherever there is room.
    pub zones: Vec<String>,
    /// So many more slots that the loss of a zone leaves enough.
    pub lost_zone_reserve: bool,
    /// Pods that start together; 1: each alone.
    pub gang_size: u32,
    /// Topology key of the domain that a gang shares.
    pub gang_topology: Option<String>,
    /// What it may be made of.
    pub backend: BackendChoice,
    /// Where its objects live. None: the lease's namespace.
    pub slot_namespace: Option<String>,
    /// What runs in a placeholder.
    pub image: Option<String>,
    /// The application's own image runs in a placeholder, asleep, so that nodes have it.
    pub prepull: bool,
}

/// Takes the defaults `pools.NAME.*` out of the settings.
pub(super) fn take_defaults(settings: &mut Settings) -> BTreeMap<String, Value> {
    let all = std::mem::take(&mut settings.entries);
    let (defaults, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|(path, _)| key_of(path, "NAME").is_some());
    settings.entries = rest.into_iter().collect();
    defaults.into_iter().filter_map(|(path, entry)| Some((key_of(&path, "NAME")?.clone(), entry.value))).collect()
}

/// The key of `pools.<name>.<key>`. None: it is another path.
fn key_of<'p>(path: &'p [String], name: &str) -> Option<&'p String> {
    match path {
        [table, own, key] if table == "pools" && own == name => Some(key),
        _ => None,
    }
}

/// Every pool that the settings name.
pub(super) fn pools(settings: &mut Settings, defaults: &BTreeMap<String, Value>) -> BTreeMap<String, PoolConfig> {
    let mut names: Vec<String> = settings
        .entries
        .keys()
        .chain(settings.tables.keys())
        .filter_map(|path| match path.as_slice() {
            [table, name, ..] if table == "pools" => Some(name.clone()),
            _ => None,
        })
        .collect();
    names.sort();
    names.dedup();
    names.into_iter().map(|name| (name.clone(), pool(settings, defaults, &name))).collect()
}

/// Longest name: it goes into names and labels of objects.
const NAME_MAX: usize = 30;

fn pool(settings: &mut Settings, defaults: &BTreeMap<String, Value>, name: &str) -> PoolConfig {
    let given: BTreeMap<String, Entry> = settings
        .entries
        .iter()
        .filter_map(|(path, entry)| Some((key_of(path, name)?.clone(), entry.clone())))
        .collect();
    let table = settings.tables.get(&vec!["pools".to_owned(), name.to_owned()]).cloned();
    let at = |key: &str| {
        let place =
            given.get(key).map(|e| e.at.clone()).or(table.clone()).or(given.values().next().map(|e| e.at.clone()));
        let dotted = if key.is_empty() { String::new() } else { format!(".{key}") };
        format!("{}pools.{name}{dotted}", place.map(|p| format!("{p}: ")).unwrap_or_default())
    };
    let value = |key: &str| given.get(key).map(|e| e.value.clone()).or_else(|| defaults.get(key).cloned());
    let text = |key: &str| match value(key) {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    };
    let count = |key: &str| match value(key) {
        Some(Value::Count(n)) => Some(n),
        _ => None,
    };
    let switch = |key: &str| matches!(value(key), Some(Value::Switch(true)));
    let mut problems = Vec::new();
    let label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty()
        || name.len() > NAME_MAX
        || !name.chars().all(label)
        || name.starts_with('-')
        || name.ends_with('-')
    {
        let expected = format!("a name of 1 to {NAME_MAX} lower-case letters, digits and dashes");
        problems.push(Problem::new(at(""), expected, name));
    }
    let mut selector = BTreeMap::new();
    for pair in text("selector").iter().flat_map(|s| s.split(',')) {
        match pair.split_once('=').map(|(k, v)| (k.trim(), v.trim().trim_start_matches('='))) {
            Some((key, value)) if !key.is_empty() && !key.ends_with('!') => {
                selector.insert(key.to_owned(), value.to_owned());
            }
            _ => {
                let help = keys::find(&["pools", "NAME", "selector"]).map(|k| k.example).unwrap_or_default();
                let problem = Problem::new(at("selector"), "labels as key=value, separated by commas", pair);
                problems.push(problem.help(format!("for example selector = {help}")));
            }
        }
    }
    let objective = match (count("waiting_cost"), count("slot_cost")) {
        (None, None) => match value("objective") {
            Some(Value::Share(share)) => share,
            _ => 0.0,
        },
        (Some(waiting), Some(slot)) => {
            if given.contains_key("objective") {
                let found = "waiting_cost and slot_cost besides it";
                problems.push(Problem::new(at("objective"), "an objective or costs", found).help("remove one"));
            }
            waiting as f64 / (waiting + slot) as f64
        }
        _ => {
            problems.push(Problem::new(at("waiting_cost"), "waiting_cost and slot_cost together", "one of them"));
            0.0
        }
    };
    let zones = text("zones").unwrap_or_default();
    let zones: Vec<String> = zones.split(',').map(|z| z.trim().to_owned()).filter(|z| !z.is_empty()).collect();
    if switch("lost_zone_reserve") && zones.len() < 2 {
        problems.push(Problem::new(at("lost_zone_reserve"), "at least two zones", zones.len().to_string()));
    }
    let gang_size = count("gang_size").unwrap_or(1) as u32;
    if given.contains_key("gang_topology") && gang_size < 2 {
        problems.push(Problem::new(at("gang_topology"), "a gang_size of 2 or more", gang_size.to_string()));
    }
    let queue = match (text("arrivals"), text("pod_template")) {
        (None, None) => None,
        (Some(arrivals), Some(template)) => {
            let parts = template.split_once('/').filter(|(n, t)| !n.is_empty() && !t.is_empty() && !t.contains('/'));
            if parts.is_none() {
                let expected = "a PodTemplate as namespace/name";
                problems.push(Problem::new(at("pod_template"), expected, template.as_str()));
            }
            if !selector.is_empty() {
                problems.push(Problem::new(at("selector"), "a selector or arrivals", "both").help("make it two pools"));
            }
            let template = parts.map(|(n, t)| (n.to_owned(), t.to_owned())).unwrap_or_default();
            Some(QueueConfig { arrivals, source: text("source").unwrap_or_default(), template, at: at("source") })
        }
        (one, _) => {
            let (there, missing) =
                if one.is_some() { ("arrivals", "pod_template") } else { ("pod_template", "arrivals") };
            problems.push(Problem::new(at(there), format!("{missing} besides it"), "neither workloads nor a queue"));
            None
        }
    };
    let pool = PoolConfig {
        selector,
        queue,
        namespace: text("namespace"),
        node_pool: text("node_pool"),
        lead_time: match value("lead_time") {
            Some(Value::Duration(d)) => d,
            _ => Duration::ZERO,
        },
        lead_time_given: given.contains_key("lead_time"),
        objective,
        max_slots: count("max_slots").unwrap_or(0) as u32,
        windows: text("windows").map(|text| (at("windows"), text)),
        zones,
        lost_zone_reserve: switch("lost_zone_reserve"),
        gang_size,
        gang_topology: text("gang_topology"),
        backend: match text("backend").as_deref() {
            Some("capacity-buffer") => BackendChoice::CapacityBuffer,
            Some("placeholders") => BackendChoice::Placeholders,
            _ => BackendChoice::Auto,
        },
        slot_namespace: text("slot_namespace"),
        image: text("image"),
        prepull: switch("prepull"),
    };
    for problem in problems {
        settings.note(problem);
    }
    pool
}
