//! The kill switch: one ConfigMap stops everything, an annotation on a namespace stops that namespace.
//!
//! Being there is what counts, whatever is in it: a typo must not keep a switch from working.

use super::PREFIX;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::core::PartialObjectMeta;
use std::fmt;

/// Longest reason that is shown, in characters.
const REASON_MAX: usize = 200;

/// A switch that is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// The object that is the switch.
    pub by: String,
    /// What whoever switched it on wrote beside it. Empty: nothing.
    pub reason: String,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.by)?;
        if self.reason.is_empty() { Ok(()) } else { write!(f, ": {}", self.reason) }
    }
}

fn short(text: &str) -> String {
    text.trim().chars().take(REASON_MAX).collect()
}

/// What the ConfigMap of the switch says: it is there, so it is on.
pub fn of_config_map(object: &ConfigMap) -> Stop {
    let namespace = object.namespace().unwrap_or_default();
    let reason = object.data.as_ref().and_then(|d| d.get("reason")).map(|r| short(r)).unwrap_or_default();
    Stop { by: format!("ConfigMap {namespace}/{}", object.name_any()), reason }
}

/// What a namespace's annotation says. None: it has none, or it says `false`.
pub fn of_namespace<K>(object: &PartialObjectMeta<K>) -> Option<Stop> {
    let key = format!("{PREFIX}stop");
    let text = object.metadata.annotations.as_ref()?.get(&key)?;
    let name = object.metadata.name.as_deref().unwrap_or_default();
    (text.trim() != "false").then(|| Stop { by: format!("annotation {key} of namespace {name}"), reason: short(text) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Namespace;
    use serde_json::json;

    #[test]
    fn a_switch_is_on_by_being_there() {
        let namespace = |annotations| -> PartialObjectMeta<Namespace> {
            serde_json::from_value(json!({ "metadata": { "name": "shop", "annotations": annotations } })).unwrap()
        };
        let said = |annotations| of_namespace(&namespace(annotations)).map(|s| s.to_string());
        let by = "annotation forescale.dev/stop of namespace shop";
        assert_eq!(said(json!({})), None);
        assert_eq!(said(json!({ "forescale.dev/stop": "false" })), None);
        assert_eq!(said(json!({ "forescale.dev/stop": "" })), Some(by.into()));
        assert_eq!(said(json!({ "forescale.dev/stop": "flase" })), Some(format!("{by}: flase")), "a typo stops");
        let map = |data| -> ConfigMap {
            serde_json::from_value(json!({ "metadata": { "namespace": "f", "name": "forescale-stop" }, "data": data }))
                .unwrap()
        };
        assert_eq!(of_config_map(&map(json!(null))).to_string(), "ConfigMap f/forescale-stop");
        assert_eq!(of_config_map(&map(json!({ "reason": " x " }))).to_string(), "ConfigMap f/forescale-stop: x");
    }
}
