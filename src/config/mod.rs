//! `config/default.toml` is the only source of defaults; file, environment and flags on top of it → a validated
//! configuration, all problems at once.

mod calendar;
mod document;
mod keys;
mod pools;
mod settings;
mod source;
mod template;

pub(crate) use calendar::read as read_calendar;
pub use document::{reference, schema};
pub use pools::{BackendChoice, PoolConfig, QueueConfig};
pub(crate) use source::unknown as unknown_source;
pub use source::{BasicAuth, CloudwatchConfig, PrometheusConfig, SourceConfig, SourceKind};
pub use template::{Template, pod_names, version_names};

use crate::error::Problem;
use crate::occasion::Occasion;
use crate::units::{LeadTime, Step};
use serde::{Deserialize, Serialize};
use settings::{Entry, Settings, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The defaults, as they are shipped.
pub const DEFAULT: &str = include_str!("../../config/default.toml");

/// Longest config file that is read, in bytes.
const MAX_BYTES: usize = 1 << 20;

/// Whether decisions are written to the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Decide, log, show; write nothing.
    Observe,
    /// Decide and write.
    Act,
}

/// A validated configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The most any workload may do.
    pub mode: Mode,
    /// What holds for a workload whose annotations don't say otherwise.
    pub workloads: WorkloadDefaults,
    /// Sources by name.
    pub sources: BTreeMap<String, SourceConfig>,
    /// Warm pools by name.
    pub pools: BTreeMap<String, PoolConfig>,
    /// Query templates.
    pub queries: Queries,
    /// Holidays and events of iCalendar files, by the calendar's name.
    pub calendars: BTreeMap<String, Vec<Occasion>>,
    /// Where page, JSON, metrics and health are served.
    pub listen: SocketAddr,
    /// How the writer is elected.
    pub lease: Lease,
    /// What lead times are measured against.
    pub objectives: Objectives,
    /// The kill switch.
    pub stop: StopSwitch,
    /// Disruption guards.
    pub guards: Guards,
    /// Named maxima.
    pub limits: Limits,
    /// How often the load is read between the steps.
    pub reactive_interval: Step,
    /// The folder in which history is kept. None: it is not.
    pub store: Option<PathBuf>,
    /// Where decisions are kept.
    pub decision_log: DecisionLog,
}

/// What holds for a workload whose annotations don't say otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkloadDefaults {
    /// Decision to serving.
    pub lead_time: LeadTime,
    /// Whether it is learned from starts where no annotation says it.
    pub learn_lead_time: bool,
    /// Pods that the control plane creates in a second, until it is learned.
    pub pods_per_second: u32,
    /// Share of the load that may go unserved, in (0, 1).
    pub unserved_budget: f64,
    /// IANA zone; known to be one.
    pub time_zone: String,
    /// Spacing of samples.
    pub step: Step,
    /// How far back history is fetched at start.
    pub history: Duration,
    /// The source of metrics that name none. Where one source is configured it is this one. None: it must be named.
    pub source: Option<String>,
}

/// Query templates for the metrics that workloads scale on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queries {
    /// Total cores used by a workload's pods.
    pub cpu: Template,
    /// How many pods a workload has.
    pub pods: Template,
    /// By the name of a Pods, Object or External metric.
    pub metrics: BTreeMap<String, MetricTemplate>,
}

/// The query for one metric name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricTemplate {
    /// The query.
    pub query: Template,
    /// The source it is for. None: the workload's.
    pub source: Option<String>,
}

/// The Lease that elects the writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// How long the writer may be silent before another takes over.
    pub duration: Duration,
}

/// What the P95 of the lead time is to be at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Objectives {
    /// Where a running node had room.
    pub warm_node: Duration,
    /// Where a node had to be bought.
    pub new_node: Duration,
}

/// The kill switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopSwitch {
    /// Name of the ConfigMap, in the Lease's namespace, that stops every write by being there.
    pub config_map: String,
}

/// Disruption guards of NodePools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guards {
    /// The most they may do. None: they are off.
    pub mode: Option<Mode>,
    /// How long before a ramp's replicas are wanted its nodes are kept.
    pub before: Duration,
}

/// Named maxima.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Workloads handled.
    pub workloads: usize,
    /// Requests to one source at the same time.
    pub queries_in_flight: usize,
    /// Writes to the cluster in a second.
    pub writes_per_second: u32,
}

/// Where decisions are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionLog {
    /// The file. None: none is kept.
    pub path: Option<PathBuf>,
    /// Bytes at which it starts again, one old file kept.
    pub size_max: u64,
}

impl Config {
    /// Defaults, then the file if there is one, then the environment (`FORESCALE__SECTION__KEY`), then `key=value`
    /// flags. Gives every problem there is, each with file and line.
    pub fn load(
        file: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
        flags: &[String],
    ) -> Result<Config, Vec<Problem>> {
        let text = file.map(read).transpose().map_err(|problem| vec![problem])?;
        let name = file.map(|path| path.display().to_string()).unwrap_or_default();
        Config::assemble(text.as_deref().map(|text| (name.as_str(), text)), env, flags)
    }

    /// The same from the text of a file and its name.
    pub fn assemble(
        file: Option<(&str, &str)>,
        env: impl IntoIterator<Item = (String, String)>,
        flags: &[String],
    ) -> Result<Config, Vec<Problem>> {
        let mut settings = Settings::default();
        settings.add_toml("config/default.toml", DEFAULT);
        let defaults = source::take_defaults(&mut settings);
        let pool_defaults = pools::take_defaults(&mut settings);
        if let Some((name, text)) = file {
            settings.add_toml(name, text);
        }
        settings.add_env(env);
        settings.add_flags(flags);
        let config = Reader { settings: &mut settings }.config(&defaults, &pool_defaults);
        if settings.problems.is_empty() { Ok(config) } else { Err(settings.problems) }
    }
}

fn read(path: &Path) -> Result<String, Problem> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path)
        .map_err(|e| Problem::new(&name, "a readable TOML file", e.to_string()).help("check --config"))?;
    if bytes.len() > MAX_BYTES {
        let expected = format!("at most {MAX_BYTES} bytes");
        return Err(Problem::new(&name, expected, format!("{} bytes", bytes.len())));
    }
    String::from_utf8(bytes).map_err(|e| {
        let line = 1 + e.as_bytes().iter().take(e.utf8_error().valid_up_to()).filter(|b| **b == b'\n').count();
        Problem::new(format!("{name}:{line}"), "UTF-8", "bytes that are not")
    })
}

/// Takes typed values out of the settings. A value that is missing is noted and a stand-in returned, which never
/// leaves [`Config::assemble`].
struct Reader<'a> {
    settings: &'a mut Settings,
}

impl Reader<'_> {
    fn entry(&mut self, path: &str) -> Option<Entry> {
        let segments: Vec<String> = path.split('.').map(str::to_string).collect();
        self.settings.entries.get(&segments).cloned()
    }

    fn required(&mut self, path: &str) -> Option<Value> {
        let value = self.entry(path).map(|entry| entry.value);
        if value.is_none() && self.settings.problems.is_empty() {
            self.settings.note(Problem::new(path, "a value", "none"));
        }
        value
    }

    fn text(&mut self, path: &str) -> String {
        match self.required(path) {
            Some(Value::Text(text)) => text,
            _ => String::new(),
        }
    }

    fn duration(&mut self, path: &str) -> Duration {
        match self.required(path) {
            Some(Value::Duration(d)) => d,
            _ => Duration::ZERO,
        }
    }

    fn switch(&mut self, path: &str) -> bool {
        matches!(self.required(path), Some(Value::Switch(true)))
    }

    fn step(&mut self, path: &str) -> Step {
        let secs = self.duration(path).as_secs();
        u32::try_from(secs).ok().and_then(Step::from_secs).unwrap_or(Step::MINUTE)
    }

    fn count(&mut self, path: &str) -> u64 {
        match self.required(path) {
            Some(Value::Count(n)) => n,
            _ => 0,
        }
    }

    fn config(&mut self, source_defaults: &source::Defaults, pool_defaults: &BTreeMap<String, Value>) -> Config {
        let sources = source::sources(self.settings, source_defaults);
        let workloads = WorkloadDefaults {
            lead_time: LeadTime(self.duration("workloads.lead_time")),
            learn_lead_time: self.switch("workloads.learn_lead_time"),
            pods_per_second: self.count("workloads.pods_per_second") as u32,
            unserved_budget: match self.required("workloads.unserved_budget") {
                Some(Value::Share(share)) => share,
                _ => 0.0,
            },
            time_zone: self.text("workloads.time_zone"),
            step: self.step("workloads.step"),
            history: self.duration("workloads.history"),
            source: self.default_source(&sources),
        };
        let mut pools = pools::pools(self.settings, pool_defaults);
        for queue in pools.values_mut().filter_map(|pool| pool.queue.as_mut()) {
            self.queue_source(queue, workloads.source.as_deref(), &sources);
        }
        Config {
            mode: if self.text("mode") == "act" { Mode::Act } else { Mode::Observe },
            workloads,
            pools,
            queries: self.queries(&sources),
            calendars: calendar::calendars(self.settings),
            sources,
            listen: match self.required("server.listen") {
                Some(Value::Address(address)) => address,
                _ => SocketAddr::from(([127, 0, 0, 1], 0)),
            },
            lease: Lease {
                namespace: self.text("lease.namespace"),
                name: self.text("lease.name"),
                duration: self.duration("lease.duration"),
            },
            objectives: Objectives {
                warm_node: self.duration("objectives.warm_node"),
                new_node: self.duration("objectives.new_node"),
            },
            stop: StopSwitch { config_map: self.text("stop.config_map") },
            guards: Guards {
                mode: match self.text("guards.mode").as_str() {
                    "act" => Some(Mode::Act),
                    "off" => None,
                    _ => Some(Mode::Observe),
                },
                before: self.duration("guards.before"),
            },
            reactive_interval: self.step("reactive.interval"),
            limits: Limits {
                workloads: self.count("limits.workloads") as usize,
                queries_in_flight: self.count("limits.queries_in_flight") as usize,
                writes_per_second: self.count("limits.writes_per_second") as u32,
            },
            store: self.entry("store.path").map(|_| PathBuf::from(self.text("store.path"))),
            decision_log: DecisionLog {
                path: self.entry("decision_log.path").map(|_| PathBuf::from(self.text("decision_log.path"))),
                size_max: self.count("decision_log.size_max"),
            },
        }
    }

    fn default_source(&mut self, sources: &BTreeMap<String, SourceConfig>) -> Option<String> {
        match self.entry("workloads.source") {
            Some(Entry { at, value: Value::Text(name) }) => {
                self.known_source(&format!("{at}: workloads.source"), &name, sources);
                Some(name)
            }
            _ if sources.len() == 1 => sources.keys().next().cloned(),
            _ => None,
        }
    }

    /// A queue asks the source that it names, or the default one.
    fn queue_source(
        &mut self,
        queue: &mut QueueConfig,
        default: Option<&str>,
        sources: &BTreeMap<String, SourceConfig>,
    ) {
        match (queue.source.is_empty(), default) {
            (false, _) => self.known_source(&queue.at, &queue.source, sources),
            (true, Some(default)) => default.clone_into(&mut queue.source),
            (true, None) => {
                let found = format!("{} of them", sources.len());
                self.settings.note(Problem::new(queue.at.as_str(), "the name of a source", found));
            }
        }
    }

    fn known_source(&mut self, at: &str, name: &str, sources: &BTreeMap<String, SourceConfig>) {
        let tables = self.settings.tables.keys().filter_map(|path| match path.as_slice() {
            [table, name] if table == "sources" => Some(name),
            _ => None,
        });
        let known: BTreeSet<&String> = tables.chain(sources.keys()).collect();
        if !known.contains(&name.to_string()) {
            let problem = source::unknown(at, name, known.into_iter());
            self.settings.note(problem);
        }
    }

    fn queries(&mut self, sources: &BTreeMap<String, SourceConfig>) -> Queries {
        let named: Vec<(String, String, Entry)> = self
            .settings
            .entries
            .iter()
            .filter_map(|(path, entry)| match path.as_slice() {
                [table, kind, name, key] if table == "queries" && kind == "metrics" => {
                    Some((name.clone(), key.clone(), entry.clone()))
                }
                _ => None,
            })
            .collect();
        let mut metrics = BTreeMap::new();
        for (name, key, entry) in &named {
            let Value::Text(text) = &entry.value else { continue };
            let source_of = |entries: &BTreeMap<Vec<String>, Entry>| {
                let path = ["queries", "metrics", name, "source"].map(str::to_string).to_vec();
                entries.get(&path).cloned()
            };
            match key.as_str() {
                "query" => {
                    let source = source_of(&self.settings.entries).and_then(|entry| match entry.value {
                        Value::Text(source) => Some(source),
                        _ => None,
                    });
                    metrics.insert(name.clone(), MetricTemplate { query: Template::new(text), source });
                }
                _ => {
                    self.known_source(&format!("{}: queries.metrics.{name}.source", entry.at), text, sources);
                    let query = ["queries", "metrics", name, "query"].map(str::to_string).to_vec();
                    if !self.settings.entries.contains_key(&query) {
                        let at = format!("{}: queries.metrics.{name}", entry.at);
                        self.settings.note(Problem::new(at, "a query", "a source alone"));
                    }
                }
            }
        }
        let mut template = |path: &str| Template::new(&self.text(path));
        Queries { cpu: template("queries.cpu"), pods: template("queries.pods"), metrics }
    }
}

#[cfg(test)]
mod tests;
