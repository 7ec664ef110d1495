//! What is written on pods and nodes of others: that they are in the mesh. Nobody is to rely on it when there is none.

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use weft_model::workload::Named;

use super::{Remains, delete::Deleter, gone};
use crate::{
    control::webhook::inject,
    install::progress::{Progress, State},
    kubernetes::{
        conditions::{Conditions, NODE, POD},
        failure, is_absent, kubelet_uid,
    },
};

const PART: &str = "pods";

/// Pods in one page of a list, and pods changed at once.
const PAGE: u32 = 500;
const CHANGED_MAX: usize = 8;

/// Attempts on a pod that others change meanwhile.
const ATTEMPTS_MAX: u32 = 3;

/// Takes it back. What cannot be is said: it does no harm while no other mesh comes.
///
/// # Errors
/// When pods or nodes cannot be listed.
pub(super) async fn remove(
    deleter: &Deleter<'_>,
    remains: &mut Remains,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let conditions = Conditions::new(deleter.client.clone());
    let (mut told, mut failed) = (0, Vec::new());
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = Api::<Pod>::all(deleter.client.clone()).list(&params).await;
        let page = page.map_err(|error| anyhow::anyhow!("listing pods: {}", failure(&error)))?;
        let marked = page.items.iter().filter(|pod| is_marked(pod));
        let results: Vec<_> = stream::iter(marked.map(|pod| unmark(deleter, &conditions, pod)))
            .buffer_unordered(CHANGED_MAX)
            .collect()
            .await;
        told += results.len();
        failed.extend(results.into_iter().filter_map(Result::err));
        progress.set(PART, State::Waiting, format!("{told} taken out of the mesh"), &[])?;
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => break,
        }
    }
    let nodes = Api::<Node>::all(deleter.client.clone()).list(&ListParams::default()).await;
    let nodes = nodes.map_err(|error| anyhow::anyhow!("listing nodes: {}", failure(&error)))?;
    for node in nodes.items.iter().filter(|node| has_condition(node)) {
        if let Err(error) = conditions.node(&node.name_any(), None).await {
            failed.push(format!("node {}: {}", node.name_any(), failure(&error)));
        }
    }
    if let Some(first) = failed.first() {
        let count = failed.len();
        remains
            .kept
            .push(format!("marks of the mesh on {count} pods and nodes, such as {first}; pods lose them with time"));
    }
    gone(progress, PART, format!("{} told that there is no mesh", told.saturating_sub(failed.len())))
}

fn is_marked(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == POD)
        || inject::undo(&pod.metadata).merge_patch(&pod.metadata).is_some()
}

fn has_condition(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == NODE)
}

async fn unmark(deleter: &Deleter<'_>, conditions: &Conditions, pod: &Pod) -> Result<(), String> {
    let name = Named::new(pod.namespace().unwrap_or_default(), pod.name_any());
    let said = |error: kube::Error| format!("pod {name}: {}", failure(&error));
    if let Some(uid) = kubelet_uid(pod) {
        conditions.pod(&name, uid, None).await.map_err(said)?;
    }
    let pods = Api::<Pod>::namespaced(deleter.client.clone(), &name.namespace);
    for attempt in 1.. {
        // Read again: the condition's removal has made another version of it.
        let now = match pods.get(&name.name).await {
            Ok(now) => now,
            Err(error) if is_absent(&error) => return Ok(()),
            Err(error) => return Err(said(error)),
        };
        let Some(patch) = inject::undo(&now.metadata).merge_patch(&now.metadata) else { return Ok(()) };
        match pods.patch_status(&name.name, &PatchParams::default(), &Patch::Merge(patch)).await {
            Ok(_) => return Ok(()),
            Err(error) if is_absent(&error) => return Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 && attempt < ATTEMPTS_MAX => {}
            Err(error) => return Err(said(error)),
        }
    }
    Ok(())
}
