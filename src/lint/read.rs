//! YAML and JSON → objects whose every value knows its line and column.

use crate::error::{Problem, shorten};
use saphyr::{LoadableYamlNode, MarkedYaml, Marker, Scalar, YamlData};
use saphyr_parser::{Event, Parser};
use std::collections::BTreeSet;
use std::fmt;

/// Longest text that is read, bytes.
const BYTES_MAX: usize = 16 << 20;
/// Deepest nesting of what is looked at.
const DEPTH_MAX: usize = 64;
/// Deepest nesting that is read: what reads it calls itself for each level.
const NESTED_MAX: usize = 250;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// What it is.
    pub value: Value,
}

/// A YAML value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// true or false.
    Bool(bool),
    /// A number, not quoted.
    Number(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in its order.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// The value under a path such as `spec.template`. None: it is not there, or null.
    pub fn get(&self, path: &str) -> Option<&Node> {
        let mut node = self;
        for key in path.split('.') {
            node = node.entry(key)?;
        }
        Some(node)
    }

    /// The value of one key, which may have dots.
    pub fn entry(&self, key: &str) -> Option<&Node> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|(k, _)| k == key).map(|(_, v)| v).filter(|v| v.value != Value::Null)
    }

    /// Its text. None: it is none.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Its text, or the text of its number.
    pub fn words(&self) -> String {
        match &self.value {
            Value::Text(text) => text.clone(),
            Value::Number(n) => n.to_string(),
            Value::Bool(b) => b.to_string(),
            Value::Null => "null".into(),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a mapping".into(),
        }
    }

    /// Its number. None: it is none.
    pub fn number(&self) -> Option<f64> {
        match self.value {
            Value::Number(n) => Some(n),
            _ => None,
        }
    }

    /// Its amount as a Kubernetes quantity.
    pub fn quantity(&self) -> Option<f64> {
        crate::units::Quantity::parse(&self.words()).ok().map(|q| q.0)
    }

    /// Its items; none where it is no list.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// Its entries; none where it is no mapping.
    pub fn entries(&self) -> &[(String, Node)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }
}

/// One Kubernetes object.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Where it was read from.
    pub file: String,
    /// It is what a cluster has, not what somebody wrote.
    pub live: bool,
    /// `apiVersion`; that of its list where it has none.
    pub api_version: String,
    /// `kind`; that of its list where it has none, else empty.
    pub kind: String,
    /// `metadata.namespace`, "default" where it has none: see `is_placed`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// All of it.
    pub root: Node,
}

impl Object {
    /// Whether `[NAMESPACE/]NAME` means what bears this name in its namespace; where that is not written it may be any.
    pub fn is_meant(&self, text: &str, name: &str) -> bool {
        match text.split_once('/') {
            Some((namespace, bare)) => bare == name && (namespace == self.namespace || !self.is_placed()),
            None => text == name,
        }
    }

    /// Whether its namespace is written.
    pub fn is_placed(&self) -> bool {
        self.root.get("metadata.namespace").is_some_and(|namespace| !namespace.words().is_empty())
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// The objects of a text; `List`s are opened. Documents that are no objects come with an empty kind.
pub fn objects(file: &str, text: &str) -> Result<Vec<Object>, Problem> {
    if text.len() > BYTES_MAX {
        return Err(Problem::new(file, format!("at most {BYTES_MAX} bytes"), format!("{} bytes", text.len())));
    }
    if let Some(at) = too_deep(text) {
        let place = format!("{file}:{}:{}", at.line(), at.col() + 1);
        return Err(Problem::new(place, format!("YAML nested at most {NESTED_MAX} deep"), "more"));
    }
    let documents = MarkedYaml::load_from_str(text).map_err(|e| {
        let place = format!("{file}:{}:{}", e.marker().line(), e.marker().col() + 1);
        let problem = Problem::new(place, "YAML or JSON of Kubernetes objects", shorten(&e.to_string()));
        match text.contains("{{") {
            true => problem.help("templates of Helm have to be rendered first: helm template … | forescale lint -"),
            false => problem,
        }
    })?;
    let mut all = Vec::new();
    for document in &documents {
        let node = convert(document, 0);
        if node.value != Value::Null {
            open(file, node, ("", ""), &mut all);
        }
    }
    Ok(all)
}

/// Where nesting gets deeper than it is in any object.
fn too_deep(text: &str) -> Option<Marker> {
    let mut depth = 0usize;
    for (event, span) in Parser::new_from_str(text).map_while(Result::ok) {
        match event {
            Event::SequenceStart(..) | Event::MappingStart(..) => depth += 1,
            Event::SequenceEnd | Event::MappingEnd => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > NESTED_MAX {
            return Some(span.start);
        }
    }
    None
}

/// Notes an object, or those of a list. `given`: the apiVersion and the kind of one that names none.
fn open(file: &str, node: Node, given: (&str, &str), all: &mut Vec<Object>) {
    let text = |path: &str, other: &str| {
        let own = node.get(path).map(Node::words).filter(|own| !own.is_empty());
        own.unwrap_or_else(|| other.to_owned())
    };
    let (api_version, kind) = (text("apiVersion", given.0), text("kind", given.1));
    if let Some(of) = kind.strip_suffix("List")
        && let Some(items) = node.get("items")
    {
        // a List by itself says nothing of its items, one of a kind says it for them
        let given = if of.is_empty() { ("", "") } else { (api_version.as_str(), of) };
        return items.items().iter().for_each(|item| open(file, item.clone(), given, all));
    }
    let (namespace, name) = (text("metadata.namespace", "default"), text("metadata.name", ""));
    all.push(Object { file: file.to_owned(), live: false, api_version, kind, namespace, name, root: node });
}

fn convert(yaml: &MarkedYaml<'_>, depth: usize) -> Node {
    let (line, column) = (yaml.span.start.line(), yaml.span.start.col() + 1);
    let value = match &yaml.data {
        _ if depth > DEPTH_MAX => Value::Null,
        YamlData::Value(Scalar::Null) => Value::Null,
        YamlData::Value(Scalar::Boolean(b)) => Value::Bool(*b),
        YamlData::Value(Scalar::Integer(n)) => Value::Number(*n as f64),
        YamlData::Value(Scalar::FloatingPoint(n)) => Value::Number(n.into_inner()),
        YamlData::Value(Scalar::String(text)) => Value::Text(text.to_string()),
        YamlData::Representation(text, ..) => Value::Text(text.to_string()),
        YamlData::Sequence(items) => Value::List(items.iter().map(|i| convert(i, depth + 1)).collect()),
        YamlData::Mapping(entries) => {
            let entry = |(key, value): (&MarkedYaml<'_>, &MarkedYaml<'_>)| {
                let key = convert(key, depth + 1);
                let mut value = convert(value, depth + 1);
                // a nested value is found by its key
                if matches!(value.value, Value::Map(_) | Value::List(_)) {
                    (value.line, value.column) = (key.line, key.column);
                }
                (key.words(), value)
            };
            Value::Map(merged(entries.iter().map(entry).collect()))
        }
        YamlData::Tagged(_, inner) => return convert(inner, depth + 1),
        YamlData::Alias(_) | YamlData::BadValue => Value::Null,
    };
    Node { line, column, value }
}

/// Entries with those that merge keys (`<<`) bring: own ones go first, then those of earlier mappings.
fn merged(entries: Vec<(String, Node)>) -> Vec<(String, Node)> {
    let (merges, mut all): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(key, _)| key == "<<");
    if merges.is_empty() {
        return all;
    }
    let mut known: BTreeSet<String> = all.iter().map(|(key, _)| key.clone()).collect();
    for (_, from) in merges {
        let mappings = match from.value {
            Value::List(items) => items,
            _ => vec![from],
        };
        for mapping in mappings {
            if let Value::Map(entries) = mapping.value {
                all.extend(entries.into_iter().filter(|(key, _)| known.insert(key.clone())));
            }
        }
    }
    all
}
