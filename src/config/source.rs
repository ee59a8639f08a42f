//! The sources of history that are configured.

use super::keys;
use super::settings::{Entry, Settings, Value};
use crate::error::{Problem, did_you_mean};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// A source of history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceConfig {
    /// Longest time that one request may take.
    pub timeout: Duration,
    /// Whether an annotation may name a query for this source.
    pub allow_annotation_queries: bool,
    /// What answers there.
    pub kind: SourceKind,
}

/// What answers at a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceKind {
    /// The Prometheus HTTP API.
    Prometheus(PrometheusConfig),
    /// Amazon CloudWatch.
    Cloudwatch(CloudwatchConfig),
}

/// How a Prometheus HTTP API is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrometheusConfig {
    /// Base URL, no trailing slash, no credentials.
    pub url: String,
    /// Whether a query from an annotation sees only the workload's namespace.
    pub enforce_namespace: bool,
    /// File with a bearer token; read again when it changes.
    pub bearer_token_file: Option<PathBuf>,
    /// Basic authentication. Never together with a bearer token.
    pub basic_auth: Option<BasicAuth>,
    /// Headers sent with every request.
    pub headers: BTreeMap<String, String>,
    /// PEM file with certificates to trust besides the system's.
    pub ca_file: Option<PathBuf>,
}

/// Basic authentication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BasicAuth {
    /// User.
    pub user: String,
    /// File with the password.
    pub password_file: PathBuf,
}

/// How CloudWatch is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudwatchConfig {
    /// Region. None: from the environment or the profile.
    pub region: Option<String>,
    /// Role to assume first.
    pub role_arn: Option<String>,
    /// Endpoint in place of the region's public one.
    pub endpoint_url: Option<String>,
    /// Most metrics asked for in an hour.
    pub max_metrics_per_hour: u64,
}

/// The defaults of every source, by the key's path below `sources.NAME`.
pub(super) type Defaults = BTreeMap<Vec<String>, Value>;

/// Takes the defaults `sources.NAME.*` out of the settings.
pub(super) fn take_defaults(settings: &mut Settings) -> Defaults {
    let all = std::mem::take(&mut settings.entries);
    let (defaults, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|(path, _)| key_of(path, "NAME").is_some());
    settings.entries = rest.into_iter().collect();
    settings.tables.clear();
    defaults.into_iter().filter_map(|(path, entry)| Some((key_of(&path, "NAME")?.to_vec(), entry.value))).collect()
}

/// The key below `sources.<name>`, which has one part or more. None: it is another path.
fn key_of<'p>(path: &'p [String], name: &str) -> Option<&'p [String]> {
    match path {
        [table, own, key @ ..] if table == "sources" && own == name && !key.is_empty() => Some(key),
        _ => None,
    }
}

/// A source that isn't configured, with those that are.
pub(crate) fn unknown<'a>(at: &str, name: &str, configured: impl Iterator<Item = &'a String>) -> Problem {
    let known: Vec<&str> = configured.map(String::as_str).collect();
    let help = match did_you_mean(name, known.iter().copied()) {
        Some(near) => format!("did you mean {near}?"),
        None if known.is_empty() => "no source is configured: add [sources.<name>] to the config".into(),
        None => format!("configured: {}", known.join(", ")),
    };
    Problem::new(at, "the name of a configured source", name).help(help)
}

/// Every source that the settings name.
pub(super) fn sources(settings: &mut Settings, defaults: &Defaults) -> BTreeMap<String, SourceConfig> {
    let mut names: Vec<String> = settings
        .entries
        .keys()
        .chain(settings.tables.keys())
        .filter_map(|path| match path.as_slice() {
            [table, name, ..] if table == "sources" => Some(name.clone()),
            _ => None,
        })
        .collect();
    names.sort();
    names.dedup();
    names.into_iter().filter_map(|name| Some((name.clone(), Table::new(settings, defaults, name).source()?))).collect()
}

/// The keys of one source.
struct Table<'a> {
    settings: &'a mut Settings,
    defaults: &'a Defaults,
    name: String,
    given: BTreeMap<String, Entry>,
}

impl<'a> Table<'a> {
    fn new(settings: &'a mut Settings, defaults: &'a Defaults, name: String) -> Self {
        let given = settings
            .entries
            .iter()
            .filter_map(|(path, entry)| Some((key_of(path, &name)?.join("."), entry.clone())))
            .collect();
        Table { settings, defaults, name, given }
    }

    fn at(&self, key: &str) -> String {
        let table = vec!["sources".to_string(), self.name.clone()];
        let place = self.given.get(key).map(|entry| &entry.at);
        let place = place.or_else(|| self.settings.tables.get(&table)).or(self.given.values().next().map(|e| &e.at));
        let dotted = if key.is_empty() { String::new() } else { format!(".{key}") };
        format!("{}sources.{}{dotted}", place.map(|p| format!("{p}: ")).unwrap_or_default(), self.name)
    }

    fn value(&self, key: &str) -> Option<Value> {
        let path: Vec<String> = key.split('.').map(str::to_string).collect();
        self.given.get(key).map(|entry| entry.value.clone()).or_else(|| self.defaults.get(&path).cloned())
    }

    fn text(&self, key: &str) -> Option<String> {
        match self.value(key) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    fn switch(&self, key: &str) -> bool {
        matches!(self.value(key), Some(Value::Switch(true)))
    }

    fn require(&mut self, key: &str, what: &str) -> Option<String> {
        let value = self.text(key);
        if value.is_none() {
            let example = keys::find(&["sources", "NAME", key]).map(|k| k.example).unwrap_or_default();
            let problem = Problem::new(self.at(""), what, "none").help(format!("for example {key} = {example}"));
            self.settings.note(problem);
        }
        value
    }

    fn source(mut self) -> Option<SourceConfig> {
        if self.name.is_empty() || self.name.len() > 63 || self.name.contains(char::is_control) {
            let problem = Problem::new(self.at(""), "a name of 1 to 63 characters", self.name.clone());
            self.settings.note(problem);
        }
        let kind = self.require("kind", "a kind (prometheus or cloudwatch)")?;
        for key in self.given.keys().cloned().collect::<Vec<_>>() {
            let path: Vec<&str> = ["sources", "NAME"].into_iter().chain(key.split('.')).collect();
            if let Some(known) = keys::find(&path).filter(|known| !known.kind.is_empty() && known.kind != kind) {
                let found = format!("a key of kind {}", known.kind);
                let problem = Problem::new(self.at(&key), format!("a key of kind {kind}"), found).help("remove it");
                self.settings.note(problem);
            }
        }
        let kind = match kind.as_str() {
            "prometheus" => SourceKind::Prometheus(self.prometheus()?),
            _ => SourceKind::Cloudwatch(CloudwatchConfig {
                region: self.text("region"),
                role_arn: self.text("role_arn"),
                endpoint_url: self.text("endpoint_url"),
                max_metrics_per_hour: match self.value("max_metrics_per_hour") {
                    Some(Value::Count(n)) => n,
                    _ => 0,
                },
            }),
        };
        let timeout = match self.value("timeout") {
            Some(Value::Duration(d)) => d,
            _ => Duration::ZERO,
        };
        Some(SourceConfig { timeout, allow_annotation_queries: self.switch("allow_annotation_queries"), kind })
    }

    fn prometheus(&mut self) -> Option<PrometheusConfig> {
        let url = self.require("url", "a url")?;
        let bearer_token_file = self.text("bearer_token_file").map(PathBuf::from);
        let basic_auth = match (self.text("basic_auth.user"), self.text("basic_auth.password_file")) {
            (Some(user), Some(file)) => Some(BasicAuth { user, password_file: file.into() }),
            (None, None) => None,
            _ => {
                let problem = Problem::new(self.at("basic_auth"), "user and password_file", "one of them");
                self.settings.note(problem);
                None
            }
        };
        if bearer_token_file.is_some() && basic_auth.is_some() {
            let problem =
                Problem::new(self.at("bearer_token_file"), "one way to authenticate", "basic_auth besides it")
                    .help("remove one of them");
            self.settings.note(problem);
        }
        Some(PrometheusConfig {
            url,
            enforce_namespace: self.switch("enforce_namespace"),
            bearer_token_file,
            basic_auth,
            headers: match self.value("headers") {
                Some(Value::Texts(headers)) => headers,
                _ => BTreeMap::new(),
            },
            ca_file: self.text("ca_file").map(PathBuf::from),
        })
    }
}
