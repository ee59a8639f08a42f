//! How many slots the ResourceQuotas of a namespace leave room for.

use crate::plan::quota::QuotaView;
use crate::units::{Quantity, Replicas};
use serde_json::Value;
use std::collections::BTreeMap;

/// Scopes that a slot, or a pod that serves, is in; a quota with others, or with a selector, is not about it.
const OWN_SCOPES: [&str; 2] = ["NotBestEffort", "NotTerminating"];

/// A ResourceQuota from its `spec` and `status`. None: it is about other pods than slots and pods that serve.
pub fn quota(name: &str, object: &Value) -> Option<QuotaView> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let scopes = spec["scopes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let own = spec["scopeSelector"].is_null() && scopes.iter().all(|s| OWN_SCOPES.iter().any(|own| s == own));
    let amounts = |of: &Value| {
        let each = of.as_object().into_iter().flatten();
        each.filter_map(|(entry, amount)| Some((entry.clone(), Quantity::parse(amount.as_str()?).ok()?.0))).collect()
    };
    own.then(|| QuotaView { name: name.to_owned(), hard: amounts(&status["hard"]), used: amounts(&status["used"]) })
}

/// Slots that the quotas admit, those that `stand` included. `requests`: of one slot, in base units. None: no quota is about
/// them.
pub fn room(quotas: &[QuotaView], requests: &BTreeMap<String, f64>, stand: Replicas) -> Option<Replicas> {
    let more = quotas.iter().filter_map(|q| q.leaves(requests)).map(|(n, _)| n).min()?;
    Some(stand.saturating_add(more))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_tightest_quota_counts() {
        let requests = BTreeMap::from([("cpu".to_owned(), 0.5)]);
        let of =
            |hard: Value, used: Value| quota("q", &json!({ "spec": {}, "status": { "hard": hard, "used": used } }));
        let cpu = of(json!({ "requests.cpu": "10", "limits.cpu": "1" }), json!({ "requests.cpu": "8200m" })).unwrap();
        let pods = of(json!({ "pods": "20" }), json!({ "pods": "18" })).unwrap();
        assert_eq!(room(std::slice::from_ref(&cpu), &requests, 4), Some(7), "1.8 cores for slots of half a core");
        assert_eq!(room(&[cpu, pods], &requests, 4), Some(6));
        assert_eq!(room(&[], &requests, 4), None);
    }

    #[test]
    fn a_quota_for_other_pods_is_left_out() {
        let of = |spec: Value| quota("q", &json!({ "spec": spec, "status": { "hard": { "pods": "1" }, "used": {} } }));
        assert_eq!(of(json!({ "scopes": ["Terminating"] })), None);
        assert_eq!(of(json!({ "scopeSelector": { "matchExpressions": [] } })), None);
        assert_eq!(room(&[of(json!({ "scopes": ["NotTerminating"] })).unwrap()], &BTreeMap::new(), 0), Some(1));
    }
}
