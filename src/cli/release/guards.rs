//! The part of `forescale release` that is about nodes: guards on NodePools, marks on nodes.

use crate::actuate::{Executor, chain, node_pool_resource};
use crate::plan::guard::{GUARDS, GuardLedger, MARK, NodeMark, decide};
use crate::units::Time;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, DynamicObject, ListParams};
use kube::{Client, ResourceExt};

/// Nodes of one page.
const PAGE: u32 = 500;
/// Pages read at most.
const PAGES_MAX: usize = 400;

/// What was done, a line each, and what failed.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub lines: Vec<String>,
    pub failures: Vec<String>,
}

/// Takes guards and marks off. `expired`: only those whose time is over.
pub(super) async fn release_guards(
    client: &Client,
    executor: &Executor,
    expired: bool,
    dry_run: bool,
    now: Time,
) -> Done {
    let mut done = Done::default();
    let pools: Api<DynamicObject> = Api::all_with(client.clone(), &node_pool_resource());
    let listed = match pools.list(&ListParams::default()).await {
        Ok(list) => list.items,
        // a cluster without Karpenter, or a role that has nothing to do with it
        Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404) => Vec::new(),
        Err(error) => {
            done.failures.push(format!("list nodepools: {}", chain(&error)));
            Vec::new()
        }
    };
    for pool in listed.iter().filter(|p| p.annotations().contains_key(GUARDS)) {
        let name = pool.name_any();
        let over = pool.annotations().get(GUARDS).and_then(|text| GuardLedger::parse(text).ok());
        if expired && over.is_some_and(|ledger| ledger.guards.iter().all(|g| g.span.to > now)) {
            continue;
        }
        if dry_run {
            done.lines.push(format!("NodePool {name}: our budgets would go"));
            continue;
        }
        let result = match expired {
            true => {
                executor.guard(&name, &|| Ok(()), &|state| decide(now, state, &[])).await.map(|a| a.write.is_some())
            }
            false => executor.release_guards(&name, &|| Ok(())).await,
        };
        match result {
            Ok(true) => done.lines.push(format!("NodePool {name}: your budgets stand alone again")),
            Ok(false) => {}
            Err(error) => done.failures.push(format!("NodePool {name}: {error}")),
        }
    }
    for (node, until) in marked(client, &mut done).await {
        if expired && until.is_some_and(|until| until > now) {
            continue;
        }
        if dry_run {
            done.lines.push(format!("Node {node}: our karpenter.sh/do-not-disrupt would go"));
            continue;
        }
        match executor.mark_node(&NodeMark { node: node.clone(), until: None }, &|| Ok(())).await {
            Ok(()) => done.lines.push(format!("Node {node}: our karpenter.sh/do-not-disrupt is gone")),
            Err(error) => done.failures.push(format!("Node {node}: {error}")),
        }
    }
    done
}

/// Nodes with a mark of ours, and until when it holds. None: it cannot be read.
async fn marked(client: &Client, done: &mut Done) -> Vec<(String, Option<Time>)> {
    let nodes: Api<Node> = Api::all(client.clone());
    let mut page = ListParams::default().limit(PAGE);
    let mut found = Vec::new();
    for _ in 0..PAGES_MAX {
        let list = match nodes.list_metadata(&page).await {
            Ok(list) => list,
            Err(kube::Error::Api(status)) if status.code == 403 => return found,
            Err(error) => {
                done.failures.push(format!("list nodes: {}", chain(&error)));
                return found;
            }
        };
        let own = list.items.iter().filter_map(|n| Some((n.name_any(), n.annotations().get(MARK)?)));
        found.extend(own.map(|(name, text)| (name, Time::parse(text).ok())));
        match list.metadata.continue_.filter(|c| !c.is_empty()) {
            Some(next) => page = page.continue_token(&next),
            None => break,
        }
    }
    found
}
