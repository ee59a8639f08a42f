//! `docs/config.md` and the JSON schema, from the one description of the keys.

use super::keys::{Form, KEYS, Key, PLACEHOLDERS};
use crate::units::{BARE_BUDGET_MAX, duration};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::time::Duration;

/// The text of `docs/config.md`.
pub fn reference() -> String {
    let mut out = String::from(
        "# Configuration\n\n\
         One TOML file (`--config`), over it the environment (`FORESCALE__WORKLOADS__LEAD_TIME=5m`), over it flags\n\
         (`--set workloads.lead_time=5m`). Defaults: [config/default.toml](../config/default.toml). All mistakes are reported at\n\
         once, with file and line. This page is generated from the program's own description of its keys, like\n\
         [config/schema.json](../config/schema.json).\n",
    );
    let mut section = "";
    for key in KEYS {
        let own = section_of(key);
        if own != section || out.ends_with(".\n") {
            section = own;
            let title =
                if own.is_empty() { "Top level".to_string() } else { format!("`[{}]`", own.replace("NAME", "<name>")) };
            let _ =
                write!(out, "\n## {title}\n\n| key | form | default | example | meaning |\n|---|---|---|---|---|\n");
        }
        let name = key.path.strip_prefix(own).unwrap_or(key.path).trim_start_matches('.');
        let meaning = if key.kind.is_empty() { key.meaning.into() } else { format!("({}) {}", key.kind, key.meaning) };
        let _ = writeln!(
            out,
            "| `{name}` | {} | {} | `{}` | {} |",
            form(key.form),
            default(key).map(|d| format!("`{}`", d.replace('|', "\\|"))).unwrap_or_else(|| "–".into()),
            key.example.replace('|', "\\|"),
            meaning.replace('|', "\\|")
        );
    }
    out.push_str("\n## Placeholders of query templates\n\n| placeholder | stands for |\n|---|---|\n");
    for (name, meaning) in PLACEHOLDERS {
        let _ = writeln!(out, "| `{{{name}}}` | {} |", meaning.replace('|', "\\|"));
    }
    out
}

/// The table that a key is written in.
fn section_of(key: &Key) -> &'static str {
    let named = ["sources.NAME", "queries.metrics.NAME", "pools.NAME"];
    match named.iter().find_map(|section| key.path.strip_prefix(section)) {
        Some(rest) => &key.path[..key.path.len() - rest.len()],
        None => key.path.split_once('.').map_or("", |(section, _)| section),
    }
}

fn form(form: Form) -> String {
    let span = |low, high| {
        format!("{} to {}", duration::format(Duration::from_secs(low)), duration::format(Duration::from_secs(high)))
    };
    match form {
        Form::Choice(words) => words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(" or "),
        Form::Duration(low, high) => format!("duration, {}", span(low, high)),
        Form::Share => "share, 0 to 1".into(),
        Form::Budget => "share, 0 to 1; above 0.01 as a percentage".into(),
        Form::Zone => "IANA zone".into(),
        Form::Count(low, high) => format!("{low} to {high}"),
        Form::Bytes => "size".into(),
        Form::Switch => "true or false".into(),
        Form::Text => "text".into(),
        Form::Url => "URL".into(),
        Form::File => "file".into(),
        Form::Address => "IP address:port".into(),
        Form::Template => "query template".into(),
        Form::Texts => "table of texts".into(),
    }
}

/// The default as written in `config/default.toml`.
fn default(key: &Key) -> Option<String> {
    let table: toml::Table = super::DEFAULT.parse().ok()?;
    let mut value = &toml::Value::Table(table);
    for segment in key.path.split('.') {
        value = value.get(segment)?;
    }
    Some(value.to_string().trim_matches('\'').to_string())
}

/// The JSON schema of the file, draft 2020-12.
pub fn schema() -> String {
    let mut root = object();
    for key in KEYS {
        insert(&mut root, &key.path.split('.').collect::<Vec<_>>(), leaf(key));
    }
    root.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    root.insert("title".into(), json!("Forescale configuration"));
    let mut text = serde_json::to_string_pretty(&Value::Object(root)).unwrap_or_default();
    text.push('\n');
    text
}

fn object() -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("type".into(), json!("object"));
    map.insert("additionalProperties".into(), json!(false));
    map
}

fn insert(into: &mut Map<String, Value>, path: &[&str], leaf: Value) {
    let Some((first, rest)) = path.split_first() else { return };
    let slot = if *first == "NAME" {
        into.get_mut("additionalProperties")
    } else {
        let properties = into.entry("properties").or_insert_with(|| json!({}));
        properties.as_object_mut().map(|map| map.entry(*first).or_insert(Value::Bool(false)))
    };
    let Some(slot) = slot else { return };
    if rest.is_empty() {
        *slot = leaf;
        return;
    }
    if !slot.is_object() {
        *slot = Value::Object(object());
    }
    if let Some(map) = slot.as_object_mut() {
        insert(map, rest, leaf);
    }
}

fn leaf(key: &Key) -> Value {
    let form = match key.form {
        Form::Choice(words) => json!({ "enum": words }),
        Form::Share => json!({ "type": ["string", "number"] }),
        Form::Budget => json!({ "type": ["string", "number"], "maximum": BARE_BUDGET_MAX }),
        Form::Count(low, high) => json!({ "type": "integer", "minimum": low, "maximum": high }),
        Form::Switch => json!({ "type": "boolean" }),
        Form::Url => json!({ "type": "string", "pattern": "^https?://" }),
        Form::Texts => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        Form::Duration(..) | Form::Zone | Form::Bytes | Form::Text | Form::File | Form::Address | Form::Template => {
            json!({ "type": "string", "minLength": 1 })
        }
    };
    let mut value = match form {
        Value::Object(form) => form,
        _ => Map::new(),
    };
    value.insert("description".into(), json!(key.meaning));
    Value::Object(value)
}

#[cfg(test)]
mod tests {
    use super::super::settings::Settings;
    use super::*;

    /// `UPDATE=1 cargo test config` writes the files anew.
    #[test]
    fn committed_documents_are_current() {
        for (path, text) in [("docs/config.md", reference()), ("config/schema.json", schema())] {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
            if std::env::var_os("UPDATE").is_some() {
                std::fs::write(&path, &text).unwrap();
            }
            let committed = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(committed == text, "{} is stale: UPDATE=1 cargo test config", path.display());
        }
    }

    #[test]
    fn every_example_is_accepted() {
        for key in KEYS {
            let mut settings = Settings::default();
            settings.add_toml("example", &format!("{} = {}\n", key.path, key.example));
            assert_eq!(settings.problems, [], "{}", key.path);
        }
    }
}
