//! `istio-ca-root-cert` in every namespace: the roots of the mesh, for agents, gateways and sidecars to mount.
//!
//! Written by the leader, and put right again when somebody changes or deletes it.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{
    Api, Client, ResourceExt,
    api::{PartialObjectMeta, Patch, PatchParams},
    runtime::{
        controller::{self, Action, Controller},
        reflector::ObjectRef,
        watcher,
    },
};
use tokio_stream::wrappers::WatchStream;

use super::{backoff::WatchBackoff, ca::authority::Following};
use crate::kubernetes::FIELD_MANAGER;

/// Name of the ConfigMap (Istio's).
pub const CONFIG_MAP: &str = "istio-ca-root-cert";
/// Its key.
pub const KEY: &str = "root-cert.pem";

/// Namespaces written at a time.
const CONCURRENCY: u16 = 8;
/// How soon a failed write is tried again.
const RETRY: Duration = Duration::from_secs(5);
/// How often each namespace is looked at without need.
const RESYNC: Duration = Duration::from_secs(60 * 60);

struct Context {
    client: Client,
    authority: Following,
}

/// Keeps the ConfigMaps right for as long as it is polled.
pub async fn run(client: Client, authority: Following) {
    let changes = WatchStream::from_changes(authority.clone()).map(drop);
    let spaces: Api<PartialObjectMeta<Namespace>> = Api::all(client.clone());
    let maps: Api<PartialObjectMeta<ConfigMap>> = Api::all(client.clone());
    let named = watcher::Config::default().fields(&format!("metadata.name={CONFIG_MAP}"));
    let context = Arc::new(Context { client, authority });
    Controller::new(spaces, watcher::Config::default())
        .watches(maps, named, |map| map.namespace().map(|namespace| ObjectRef::new(&namespace)))
        .reconcile_all_on(changes)
        .trigger_backoff(WatchBackoff::default())
        .with_config(controller::Config::default().concurrency(CONCURRENCY))
        .run(reconcile, retry, context)
        .for_each(|done| async {
            if let Err(error) = done {
                tracing::debug!(%error, "a namespace waits for another attempt");
            }
        })
        .await;
}

async fn reconcile(space: Arc<PartialObjectMeta<Namespace>>, context: Arc<Context>) -> Result<Action, kube::Error> {
    let authority = context.authority.borrow().clone();
    let (Some(authority), None) = (authority, &space.metadata.deletion_timestamp) else {
        return Ok(Action::await_change());
    };
    let namespace = space.name_any();
    let maps: Api<ConfigMap> = Api::namespaced(context.client.clone(), &namespace);
    let present = maps.get_opt(CONFIG_MAP).await?;
    let has = |map: &ConfigMap| map.data.as_ref().and_then(|data| data.get(KEY)) == Some(&authority.bundle);
    if !present.as_ref().is_some_and(has) {
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        maps.patch(CONFIG_MAP, &parameters, &Patch::Apply(&wanted(&namespace, &authority.bundle))).await?;
        tracing::debug!(namespace, "wrote {CONFIG_MAP}");
    }
    Ok(Action::requeue(RESYNC))
}

fn wanted(namespace: &str, bundle: &str) -> ConfigMap {
    let mut map = ConfigMap::default();
    map.metadata.name = Some(CONFIG_MAP.to_owned());
    map.metadata.namespace = Some(namespace.to_owned());
    let labels = [("istio.io/config", "true"), ("app.kubernetes.io/managed-by", FIELD_MANAGER)];
    map.metadata.labels = Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    map.data = Some([(KEY.to_owned(), bundle.to_owned())].into());
    map
}

fn retry(space: Arc<PartialObjectMeta<Namespace>>, error: &kube::Error, _context: Arc<Context>) -> Action {
    let namespace = space.name_any();
    match error {
        // It began to end in the meantime, and takes nothing new.
        kube::Error::Api(status) if status.is_not_found() || status.is_forbidden() && is_ending(&status.message) => {
            Action::await_change()
        }
        _ => {
            tracing::warn!(namespace, %error, "cannot write {CONFIG_MAP}; trying again");
            Action::requeue(RETRY)
        }
    }
}

fn is_ending(message: &str) -> bool {
    message.contains("because it is being terminated")
}
