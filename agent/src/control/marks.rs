//! Pods that come into the mesh or leave it while they run are told so, as new ones are by [`super::webhook::inject`].
//!
//! A namespace is labelled, and its running pods are captured at once; no admission ever saw them. The same goes for pods
//! that were created while no webhook answered. The leader looks for pods whose labels do not fit to whether they are in the
//! mesh. It writes through the `status` subresource: that can change labels and annotations, and not what a pod runs.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use tokio::sync::watch;
use weft_model::{
    mesh::MeshConfig,
    snapshot::Snapshot,
    workload::{Named, Workload},
};

use super::webhook::{
    inject,
    namespaces::{NamespaceError, Namespaces},
};

/// From a change of the world to a look at its pods: admission has told new ones, and the watch may be behind.
const SETTLING_TIME: Duration = Duration::from_secs(1);

/// Before what could not be written is tried again.
const RETRY: Duration = Duration::from_secs(10);

/// Pods looked at in one round; the rest has its turn in the next.
const PODS_MAX: usize = 100;

/// Why a pod was not told.
#[derive(Debug, thiserror::Error)]
enum MarkError {
    /// Nobody knows whether it is in the mesh.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// The API server refuses.
    #[error("{0}; control needs the right to get pods and to patch pods/status")]
    Api(#[from] Box<kube::Error>),
}

/// Tells pods until it is dropped, or whoever publishes the world is gone.
pub async fn run(client: Client, namespaces: Arc<dyn Namespaces>, mut snapshots: watch::Receiver<Arc<Snapshot>>) {
    let mut marks = Marks { client, namespaces, settled: BTreeMap::new() };
    loop {
        let snapshot = snapshots.borrow_and_update().clone();
        if marks.look(&snapshot).await {
            tokio::select! {
                changed = snapshots.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(RETRY) => {}
            }
        } else if snapshots.changed().await.is_err() {
            return;
        }
        tokio::time::sleep(SETTLING_TIME).await;
    }
}

struct Marks {
    client: Client,
    namespaces: Arc<dyn Namespaces>,
    /// Pods that were looked at and are as they should be in spite of their labels (another mesh's sidecars), as they
    /// were then.
    settled: BTreeMap<Named, Arc<Workload>>,
}

impl Marks {
    /// One round; true when there is more to do.
    async fn look(&mut self, snapshot: &Snapshot) -> bool {
        self.settled.retain(|name, seen| snapshot.workloads.get(name) == Some(seen));
        let is_new = |name: &Named| !self.settled.contains_key(name);
        let doubtful = snapshot.workloads.iter().filter(|(name, one)| {
            !one.host_network && inject::is_doubtful(one.is_enrolled(), &one.labels) && is_new(name)
        });
        let doubtful: Vec<(Named, Arc<Workload>)> =
            doubtful.map(|(name, one)| (name.clone(), one.clone())).take(PODS_MAX + 1).collect();
        let mut is_unfinished = doubtful.len() > PODS_MAX;
        for (name, workload) in doubtful.into_iter().take(PODS_MAX) {
            match self.tell(&name, &snapshot.mesh).await {
                Ok(()) => drop(self.settled.insert(name, workload)),
                Err(error) => {
                    is_unfinished = true;
                    tracing::warn!(pod = %name, %error, "cannot tell a running pod that it came into the mesh or left it");
                }
            }
        }
        is_unfinished
    }

    /// Brings one pod up to date. A pod that changed or went meanwhile shows up again.
    async fn tell(&self, name: &Named, mesh: &MeshConfig) -> Result<(), MarkError> {
        let pods = Api::<Pod>::namespaced(self.client.clone(), &name.namespace);
        let Some(pod) = pods.get_opt(&name.name).await.map_err(Box::new)? else { return Ok(()) };
        let namespace = self.namespaces.labels(&name.namespace).await?;
        let changes = match inject::is_enrolled(&pod, &name.namespace, &namespace) {
            true => inject::changes(&pod, &name.namespace, &namespace, mesh),
            false => inject::undo(&pod.metadata),
        };
        let Some(patch) = changes.merge_patch(&pod.metadata) else { return Ok(()) };
        match pods.patch_status(&name.name, &PatchParams::default(), &Patch::Merge(patch)).await {
            Ok(_) => {
                tracing::info!(pod = %name, "told a running pod that it came into the mesh or left it");
                Ok(())
            }
            Err(kube::Error::Api(error)) if matches!(error.code, 404 | 409) => Ok(()),
            Err(error) => Err(Box::new(error).into()),
        }
    }
}

#[cfg(test)]
mod tests;
