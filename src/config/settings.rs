//! TOML, environment and flags → checked values by key, every mistake noted with its place.

use super::keys::{self, Form, Key, PLACEHOLDERS};
use crate::error::{Problem, did_you_mean, without_credentials};
use crate::units::{Quantity, duration, parse_budget, parse_duration, parse_share};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;
use toml::de::{DeTable, DeValue};

/// Prefix of the environment's settings; segments of the key follow, joined by two underscores.
pub(super) const ENV_PREFIX: &str = "FORESCALE__";

/// Most problems that one configuration reports.
const MAX_PROBLEMS: usize = 100;

/// A value that has its key's form.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Duration(Duration),
    Share(f64),
    Count(u64),
    Switch(bool),
    Address(SocketAddr),
    Texts(BTreeMap<String, String>),
}

/// A value and where it was given.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub at: String,
    pub value: Value,
}

/// What was found before it is checked.
enum Raw<'a> {
    Text(&'a str),
    /// From environment or flag: text that may stand for a number or a switch.
    Loose(&'a str),
    Integer(i64),
    Float(f64),
    Bool(bool),
    Table(&'a DeTable<'a>),
    Other(&'static str),
}

/// All that has been set, later layers over earlier ones.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub entries: BTreeMap<Vec<String>, Entry>,
    /// Places where a named table begins: `sources.main` → file:line.
    pub tables: BTreeMap<Vec<String>, String>,
    pub problems: Vec<Problem>,
}

impl Settings {
    /// Takes a TOML text; `name` is how problems call it.
    pub fn add_toml(&mut self, name: &str, text: &str) {
        let (table, errors) = DeTable::parse_recoverable(text);
        let lines = Lines { name, text };
        let mut broken = BTreeSet::new();
        for error in errors {
            let at = lines.at(error.span().map_or(0, |span| span.start));
            self.note(Problem::new(&at, "TOML", error.message()).help("see https://toml.io"));
            broken.insert(at);
        }
        let before = self.problems.len();
        self.walk(&lines, &mut Vec::new(), table.get_ref());
        // what was made of a line that is not TOML is no second mistake
        let found = self.problems.split_off(before);
        self.problems
            .extend(found.into_iter().filter(|p| !broken.iter().any(|at| p.at.starts_with(&format!("{at}:")))));
    }

    fn walk(&mut self, lines: &Lines<'_>, path: &mut Vec<String>, table: &DeTable<'_>) {
        let mut in_order: Vec<_> = table.iter().collect();
        in_order.sort_by_key(|(name, _)| name.span().start);
        for (name, value) in in_order {
            let at = lines.at(name.span().start);
            path.push(name.get_ref().to_string());
            let found = path.iter().map(String::as_str).collect::<Vec<_>>();
            match (keys::find(&found), value.get_ref()) {
                (Some(key), value) => self.set(key, path.clone(), at, raw(value)),
                (None, DeValue::Table(inner)) if !keys::names_below(&found).is_empty() => {
                    self.tables.entry(path.clone()).or_insert(at);
                    self.walk(lines, path, inner);
                }
                (None, value) => self.unknown(&found, at, value.type_str()),
            }
            path.pop();
        }
    }

    /// Takes the settings of an environment.
    pub fn add_env(&mut self, env: impl IntoIterator<Item = (String, String)>) {
        for (name, value) in env {
            if let Some(rest) = name.strip_prefix(ENV_PREFIX) {
                let path = rest.to_ascii_lowercase().split("__").map(str::to_string).collect();
                self.add_loose(path, format!("environment {name}"), &value);
            }
        }
    }

    /// Takes flags of the form `key=value`.
    pub fn add_flags(&mut self, flags: &[String]) {
        for flag in flags {
            match flag.split_once('=') {
                Some((key, value)) => {
                    let path = key.trim().split('.').map(str::to_string).collect();
                    self.add_loose(path, format!("--set {}", key.trim()), value);
                }
                None => self.note(Problem::new("--set", "KEY=VALUE", flag.as_str())),
            }
        }
    }

    fn add_loose(&mut self, path: Vec<String>, at: String, value: &str) {
        let found = path.iter().map(String::as_str).collect::<Vec<_>>();
        match keys::find(&found) {
            Some(key) => self.set(key, path, at, Raw::Loose(value)),
            None => self.unknown(&found, at, "text"),
        }
    }

    fn set(&mut self, key: &Key, path: Vec<String>, at: String, raw: Raw<'_>) {
        let dotted = path.join(".");
        match check(key.form, &raw) {
            Ok(value) => {
                self.entries.insert(path, Entry { at, value });
            }
            Err(expected) => {
                let help = format!("for example {dotted} = {}", key.example);
                let found = match (key.form, &raw) {
                    (Form::Url, Raw::Text(text) | Raw::Loose(text)) => format!("{:?}", without_credentials(text)),
                    _ => show(&raw),
                };
                self.note(Problem::new(format!("{at}: {dotted}"), expected, found).help(help));
            }
        }
    }

    /// An unknown key, with the known one that is nearest.
    fn unknown(&mut self, path: &[&str], at: String, found: &str) {
        let known = (0..path.len())
            .rev()
            .filter_map(|n| path.get(..n))
            .find(|p| !keys::names_below(p).is_empty())
            .unwrap_or(&[]);
        let names = keys::names_below(known);
        let wrong = path.get(known.len()).copied().unwrap_or_default();
        let help = match did_you_mean(wrong, names.iter().copied()) {
            Some(near) if near != "NAME" && near != wrong => {
                format!("did you mean {}?", [known, &[near]].concat().join("."))
            }
            _ => format!("known here: {}", names.join(", ")),
        };
        let dotted = path.join(".");
        let is_section = !keys::names_below(path).is_empty();
        let (expected, found) = if is_section {
            ("a table".to_string(), found.to_string())
        } else {
            ("a known key".to_string(), dotted.clone())
        };
        self.note(Problem::new(format!("{at}: {dotted}"), expected, found).help(help));
    }

    /// Notes a problem, up to a bound.
    pub fn note(&mut self, problem: Problem) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        }
    }
}

/// Turns offsets into file:line.
struct Lines<'a> {
    name: &'a str,
    text: &'a str,
}

impl Lines<'_> {
    fn at(&self, offset: usize) -> String {
        let before = self.text.as_bytes().iter().take(offset).filter(|b| **b == b'\n').count();
        format!("{}:{}", self.name, before + 1)
    }
}

fn raw<'a>(value: &'a DeValue<'a>) -> Raw<'a> {
    match value {
        DeValue::String(text) => Raw::Text(text),
        DeValue::Integer(n) => match i64::from_str_radix(&n.as_str().replace('_', ""), n.radix()) {
            Ok(n) => Raw::Integer(n),
            Err(_) => Raw::Other("an integer beyond 64 bits"),
        },
        DeValue::Float(x) => x.as_str().replace('_', "").parse().map_or(Raw::Other("a float"), Raw::Float),
        DeValue::Boolean(b) => Raw::Bool(*b),
        DeValue::Datetime(_) => Raw::Other("a date"),
        DeValue::Array(_) => Raw::Other("a list"),
        DeValue::Table(table) => Raw::Table(table),
    }
}

fn show(raw: &Raw<'_>) -> String {
    match raw {
        Raw::Text(text) | Raw::Loose(text) => format!("{text:?}"),
        Raw::Integer(n) => n.to_string(),
        Raw::Float(x) => x.to_string(),
        Raw::Bool(b) => b.to_string(),
        Raw::Table(_) => "a table".into(),
        Raw::Other(what) => (*what).into(),
    }
}

/// The value in its form, or what would have been right.
fn check(form: Form, raw: &Raw<'_>) -> Result<Value, String> {
    let text = match raw {
        Raw::Text(text) | Raw::Loose(text) => Some(text.trim()).filter(|t| !t.is_empty()),
        _ => None,
    };
    let whole = match raw {
        Raw::Integer(n) => u64::try_from(*n).ok(),
        Raw::Loose(text) => text.trim().parse().ok(),
        _ => None,
    };
    let between = |low: u64, high: u64, show: &dyn Fn(u64) -> String| format!("from {} to {}", show(low), show(high));
    match form {
        Form::Choice(words) => text
            .filter(|t| words.contains(t))
            .map(|t| Value::Text(t.into()))
            .ok_or_else(|| format!("one of {}", words.join(", "))),
        Form::Duration(low, high) => text
            .and_then(|t| parse_duration(t).ok())
            .filter(|d| (Duration::from_secs(low)..=Duration::from_secs(high)).contains(d))
            .map(Value::Duration)
            .ok_or_else(|| {
                let show = |s| duration::format(Duration::from_secs(s));
                format!("a duration such as \"3m\", {}", between(low, high, &show))
            }),
        Form::Share => match (text, raw) {
            (_, Raw::Float(x)) => Some(*x).filter(|x| *x > 0.0 && *x < 1.0),
            (Some(t), _) => parse_share(t).ok(),
            _ => None,
        }
        .map(Value::Share)
        .ok_or_else(|| "a share between 0 and 1, such as \"0.1%\" or 0.001".into()),
        Form::Budget => match (text, raw) {
            (_, Raw::Float(x)) => parse_budget(&x.to_string()).ok(),
            (Some(t), _) => parse_budget(t).ok(),
            _ => None,
        }
        .map(Value::Share)
        .ok_or_else(|| {
            "a share between 0 and 1, such as \"0.1%\" or 0.001, above 0.01 with its sign, such as \"10%\"".into()
        }),
        Form::Zone => text
            .filter(|t| jiff::tz::TimeZone::get(t).is_ok())
            .map(|t| Value::Text(t.into()))
            .ok_or_else(|| "an IANA time zone such as \"Europe/Berlin\"".into()),
        Form::Count(low, high) => whole
            .filter(|n| (low..=high).contains(n))
            .map(Value::Count)
            .ok_or_else(|| format!("a whole number {}", between(low, high, &|n: u64| n.to_string()))),
        Form::Bytes => text
            .and_then(|t| Quantity::parse(t).ok())
            .filter(|q| (65_536.0..=1e15).contains(&q.0))
            .map(|q| Value::Count(q.0 as u64))
            .ok_or_else(|| "a size such as \"256Mi\", at least 64Ki".into()),
        Form::Switch => match (raw, text) {
            (Raw::Bool(b), _) => Some(*b),
            (Raw::Loose(_), Some(t)) => t.parse().ok(),
            _ => None,
        }
        .map(Value::Switch)
        .ok_or_else(|| "true or false".into()),
        Form::Text | Form::File => text.map(|t| Value::Text(t.into())).ok_or_else(|| "a text that isn't empty".into()),
        Form::Url => url(text).map(Value::Text),
        Form::Address => text
            .and_then(|t| t.parse().ok())
            .map(Value::Address)
            .ok_or_else(|| "an IP address with a port, such as \"127.0.0.1:8080\"".into()),
        Form::Template => {
            let text = text.ok_or("a query")?;
            match placeholders(text).find(|name| !PLACEHOLDERS.iter().any(|(known, _)| known == name)) {
                Some(_) => {
                    let known: Vec<String> = PLACEHOLDERS.iter().map(|(name, _)| format!("{{{name}}}")).collect();
                    Err(format!("a query whose placeholders are among {}", known.join(" ")))
                }
                None => Ok(Value::Text(text.into())),
            }
        }
        Form::Texts => match raw {
            Raw::Table(table) => table
                .iter()
                .map(|(name, value)| Some((name.get_ref().to_string(), value.get_ref().as_str()?.to_string())))
                .collect::<Option<BTreeMap<_, _>>>()
                .map(Value::Texts)
                .ok_or_else(|| "a table whose values are texts".into()),
            _ => Err("a table of texts, in the file".into()),
        },
    }
}

/// A base URL as it is compared: scheme and host as given, no trailing slash.
fn url(text: Option<&str>) -> Result<String, String> {
    const EXPECTED: &str = "a URL that begins with http:// or https://";
    let text = text.ok_or(EXPECTED)?;
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")).ok_or(EXPECTED)?;
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match () {
        () if host.is_empty() || rest.contains(char::is_whitespace) => Err(EXPECTED.into()),
        () if host.contains('@') => Err("a URL without user and password: they belong in basic_auth".into()),
        () if rest.contains(['?', '#']) => Err("a URL without a query".into()),
        () => Ok(text.trim_end_matches('/').into()),
    }
}

/// The placeholders of a template: `{word}`. PromQL itself never has a lone word in braces.
pub(super) fn placeholders(template: &str) -> impl Iterator<Item = &str> {
    template.split('{').skip(1).filter_map(|rest| {
        let (word, _) = rest.split_once('}')?;
        (!word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')).then_some(word)
    })
}
