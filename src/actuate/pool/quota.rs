//! How many slots the ResourceQuotas of a namespace leave room for.

use crate::units::Quantity;
use serde_json::Value;
use std::collections::BTreeMap;

/// Scopes that a placeholder is in; a quota with others, or with a selector, is not about it.
const OWN_SCOPES: [&str; 2] = ["NotBestEffort", "NotTerminating"];

/// Slots that the quotas admit, those that `stand` included. `requests`: of one slot, in base units. None: no quota is about
/// them. What a quota says of other resources, such as limits, is left out.
pub fn room(quotas: &[Value], requests: &BTreeMap<String, f64>, stand: u32) -> Option<u32> {
    let more = quotas.iter().filter(|q| own(&q["spec"])).flat_map(|q| left(&q["status"], requests)).min()?;
    Some(stand.saturating_add(more))
}

fn own(spec: &Value) -> bool {
    let scopes = spec["scopes"].as_array().map(Vec::as_slice).unwrap_or_default();
    spec["scopeSelector"].is_null() && scopes.iter().all(|s| OWN_SCOPES.iter().any(|own| s == own))
}

/// More slots that each entry of a quota admits.
fn left(status: &Value, requests: &BTreeMap<String, f64>) -> Vec<u32> {
    let amount = |value: &Value| Some(Quantity::parse(value.as_str()?).ok()?.0);
    let hard = status["hard"].as_object().into_iter().flatten();
    let entries = hard.filter_map(|(entry, hard)| {
        let resource = entry.strip_prefix("requests.").unwrap_or(entry);
        let each = match entry.as_str() {
            "pods" | "count/pods" => 1.0,
            _ => *requests.get(resource).filter(|each| **each > 0.0)?,
        };
        let used = status["used"].get(entry).and_then(amount).unwrap_or(0.0);
        // float noise is not worth a slot
        Some((((amount(hard)? - used) / each) + 1e-6).floor().clamp(0.0, f64::from(u32::MAX)) as u32)
    });
    entries.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_tightest_entry_of_any_quota_counts() {
        let requests = BTreeMap::from([("cpu".to_owned(), 0.5), ("nvidia.com/gpu".to_owned(), 1.0)]);
        let quota = |hard: Value, used: Value| json!({ "spec": {}, "status": { "hard": hard, "used": used } });
        let cpu = quota(json!({ "requests.cpu": "10", "limits.cpu": "1" }), json!({ "requests.cpu": "8200m" }));
        let pods = quota(json!({ "pods": "20" }), json!({ "pods": "18" }));
        let gpu = quota(json!({ "requests.nvidia.com/gpu": "4" }), json!({ "requests.nvidia.com/gpu": "6" }));
        assert_eq!(room(std::slice::from_ref(&cpu), &requests, 4), Some(7), "1.8 cores for slots of half a core");
        assert_eq!(room(&[cpu.clone(), pods], &requests, 4), Some(6));
        assert_eq!(room(&[cpu, gpu], &requests, 4), Some(4), "more is used than may be: none besides");
        let memory = quota(json!({ "requests.memory": "1Gi" }), json!({}));
        assert_eq!(room(&[memory], &requests, 4), None, "a slot asks for none");
        assert_eq!(room(&[], &requests, 4), None);
    }

    #[test]
    fn a_quota_for_other_pods_is_left_out() {
        let requests = BTreeMap::new();
        let of = |spec: Value| json!({ "spec": spec, "status": { "hard": { "pods": "1" }, "used": {} } });
        assert_eq!(room(&[of(json!({ "scopes": ["Terminating"] }))], &requests, 0), None);
        assert_eq!(room(&[of(json!({ "scopeSelector": { "matchExpressions": [] } }))], &requests, 0), None);
        assert_eq!(room(&[of(json!({ "scopes": ["NotTerminating"] }))], &requests, 0), Some(1));
    }
}
