//! Carries guards out: budgets of NodePools, and marks on nodes where budgets are taken back.

use super::executor::{Executor, Fence, TRIES, params};
use super::failure::{Call, WriteError};
use crate::plan::guard::{Budget, GUARDS, GuardActions, GuardLedger, GuardWrite, MARK, NodeMark, PoolState, release};
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, Patch};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

/// What to write, from a fresh look.
pub type DecideGuard<'a> = dyn Fn(&PoolState) -> GuardActions + Send + Sync + 'a;

/// Keeps a node from voluntary disruption where it is "true".
const DO_NOT_DISRUPT: &str = "karpenter.sh/do-not-disrupt";

/// karpenter.sh/v1 NodePool.
pub fn node_pool_resource() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("karpenter.sh", "v1", "NodePool"))
}

fn call(verb: &'static str, resource: &str, object: &str) -> Call {
    Call { verb, resource: resource.into(), object: object.into() }
}

impl Executor {
    /// Looks, decides, writes; again from the look when the NodePool has changed meanwhile. Gives what was decided last.
    pub async fn guard(
        &self,
        pool: &str,
        fence: &Fence<'_>,
        decide: &DecideGuard<'_>,
    ) -> Result<GuardActions, WriteError> {
        let mut last = WriteError::Conflict(call("patch", "nodepools", pool));
        for _ in 0..TRIES {
            fence().map_err(WriteError::Fenced)?;
            let (state, version) = self.pool_state(pool).await?;
            let actions = decide(&state);
            let Some(write) = &actions.write else { return Ok(actions) };
            match self.write_guards(pool, &version, write, fence).await {
                Ok(()) => return Ok(actions),
                Err(error @ WriteError::Conflict(_)) => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// Takes our entries and the ledger off a NodePool. False: there was nothing of ours.
    pub async fn release_guards(&self, pool: &str, fence: &Fence<'_>) -> Result<bool, WriteError> {
        let mut last = WriteError::Conflict(call("patch", "nodepools", pool));
        for _ in 0..TRIES {
            let (state, version) = self.pool_state(pool).await?;
            let Some(write) = release(&state) else { return Ok(false) };
            match self.write_guards(pool, &version, &write, fence).await {
                Ok(()) => return Ok(true),
                Err(error @ WriteError::Conflict(_)) => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// Sets or takes off a mark. A node that is gone is fine.
    pub async fn mark_node(&self, mark: &NodeMark, fence: &Fence<'_>) -> Result<(), WriteError> {
        self.turn(false, fence).await?;
        let nodes: Api<DynamicObject> =
            Api::all_with(self.client.clone(), &ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Node")));
        let keep = mark.until.map(|_| "true");
        let patch = json!({ "metadata": { "annotations": {
            DO_NOT_DISRUPT: keep, MARK: mark.until.map(|until| until.to_string()),
        } } });
        let what = call("patch", "nodes", &mark.node);
        match self.ask(&what, nodes.patch(&mark.node, &params(), &Patch::Merge(&patch))).await {
            Ok(_) if mark.until.is_none() => self.disown(&nodes, &mark.node, what).await,
            Ok(_) | Err(WriteError::Gone(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn node_pools(&self) -> Api<DynamicObject> {
        Api::all_with(self.client.clone(), &node_pool_resource())
    }

    /// The budgets as the API has them now, and the version they belong to.
    async fn pool_state(&self, pool: &str) -> Result<(PoolState, String), WriteError> {
        let get = call("get", "nodepools", pool);
        let object = self.ask(&get, self.node_pools().get(pool)).await?;
        let ledger = object.annotations().get(GUARDS).map(|text| GuardLedger::parse(text)).transpose()?;
        let budgets = match object.data.pointer("/spec/disruption/budgets") {
            None | Some(Value::Null) => None,
            Some(value) => {
                let read: Result<Vec<Budget>, _> = serde_json::from_value(value.clone());
                Some(read.map_err(|e| WriteError::Unexpected {
                    call: get,
                    expected: "spec.disruption.budgets of karpenter.sh/v1",
                    found: e.to_string(),
                })?)
            }
        };
        Ok((PoolState { budgets, ledger }, object.resource_version().unwrap_or_default()))
    }

    async fn write_guards(
        &self,
        pool: &str,
        version: &str,
        write: &GuardWrite,
        fence: &Fence<'_>,
    ) -> Result<(), WriteError> {
        self.turn(true, fence).await?;
        let what = call("patch", "nodepools", pool);
        let pools = self.node_pools();
        self.ask(&what, pools.patch(pool, &params(), &Patch::Merge(&patch(version, write)))).await?;
        match write.ledger {
            Some(_) => Ok(()),
            None => self.disown(&pools, pool, what).await,
        }
    }
}

/// List and ledger in one patch; null removes either. A merge patch replaces a list as a whole, and the version makes it
/// fail where anybody wrote since.
fn patch(version: &str, write: &GuardWrite) -> Value {
    let ledger = write.ledger.as_ref().map(GuardLedger::to_text);
    json!({
        "metadata": { "resourceVersion": version, "annotations": { GUARDS: ledger } },
        "spec": { "disruption": { "budgets": write.budgets } },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_carries_the_version_and_the_users_entries_verbatim() {
        let theirs: Budget = serde_json::from_value(json!({ "nodes": "10%", "later": { "field": 1 } })).unwrap();
        let empty: Budget = serde_json::from_value(json!({ "nodes": "0", "reasons": [] })).unwrap();
        let write = GuardWrite { budgets: Some(vec![theirs, empty]), ledger: None };
        let expected = json!({
            "metadata": { "resourceVersion": "7", "annotations": { "forescale.dev/guards": null } },
            "spec": { "disruption": { "budgets": [{ "nodes": "10%", "later": { "field": 1 } }, { "nodes": "0", "reasons": [] }] } },
        });
        assert_eq!(patch("7", &write), expected);
        assert_eq!(
            patch("7", &GuardWrite { budgets: None, ledger: None })["spec"]["disruption"]["budgets"],
            Value::Null
        );
        assert_eq!(
            patch("7", &GuardWrite { budgets: Some(Vec::new()), ledger: None })["spec"]["disruption"]["budgets"],
            json!([])
        );
    }
}
