//! The mesh's settings, as far as control needs them: for which trust domain it signs.

use std::{pin::pin, sync::Arc};

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    runtime::{WatchStreamExt, watcher},
};
use tokio::sync::watch;
use weft_model::mesh::MeshConfig;

use super::backoff::WatchBackoff;
use crate::{
    discovery::{convert::mesh_config, findings::Findings},
    kubernetes::{MESH_CONFIG_MAP, SYSTEM_NAMESPACE},
};

/// Follows ConfigMap `istio` until nobody listens any more. Without one the defaults are in force, as for agents.
pub async fn follow_trust_domain(client: Client, trust_domain: watch::Sender<Option<Arc<str>>>) {
    let maps: Api<ConfigMap> = Api::namespaced(client, SYSTEM_NAMESPACE);
    let mut changes = pin!(watcher::watch_object(maps, MESH_CONFIG_MAP).backoff(WatchBackoff::default()));
    while let Some(seen) = changes.next().await {
        match seen {
            Ok(map) => {
                let now = trust_domain_of(map.as_ref());
                trust_domain.send_if_modified(|last| {
                    let is_new = last.as_ref() != Some(&now);
                    if is_new {
                        tracing::info!(trust_domain = &*now, "certificates are signed for this trust domain");
                        *last = Some(now);
                    }
                    is_new
                });
            }
            Err(error) => tracing::warn!(%error, "cannot follow ConfigMap {SYSTEM_NAMESPACE}/{MESH_CONFIG_MAP} now"),
        }
        if trust_domain.is_closed() {
            return;
        }
    }
}

fn trust_domain_of(map: Option<&ConfigMap>) -> Arc<str> {
    let defaults = MeshConfig::default();
    let Some(map) = map else { return defaults.trust_domain };
    // What is wrong elsewhere in it is for the agents to report.
    mesh_config::convert(map, &defaults.cluster_domain, &mut Findings::default()).trust_domain
}
