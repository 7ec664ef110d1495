//! By which roots the API server judges weft's webhooks: `caBundle` in their configurations, kept right by the leader.
//!
//! What the configurations say otherwise is installed (`deploy/kustomize/webhooks.yaml`); only that field is ours.

use std::{fmt::Debug, pin::pin, time::Duration};

use futures::StreamExt;
use k8s_openapi::{
    ByteString,
    api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{Patch, PatchParams},
    core::ClusterResourceScope,
    runtime::{WatchStreamExt, watcher},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use super::{
    backoff::WatchBackoff,
    ca::authority::Following,
    webhook::{MUTATING_CONFIGURATION, VALIDATING_CONFIGURATION},
};

/// Who owns the field, apart from who installed the rest.
const OWNER: &str = "weft-control";
/// How soon a failed write is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// A kind of webhook configuration.
trait Configuration {
    /// Name and bundle of each webhook.
    fn webhooks(&self) -> Vec<(&str, Option<&ByteString>)>;
}

impl Configuration for MutatingWebhookConfiguration {
    fn webhooks(&self) -> Vec<(&str, Option<&ByteString>)> {
        let hooks = self.webhooks.iter().flatten();
        hooks.map(|hook| (hook.name.as_str(), hook.client_config.ca_bundle.as_ref())).collect()
    }
}

impl Configuration for ValidatingWebhookConfiguration {
    fn webhooks(&self) -> Vec<(&str, Option<&ByteString>)> {
        let hooks = self.webhooks.iter().flatten();
        hooks.map(|hook| (hook.name.as_str(), hook.client_config.ca_bundle.as_ref())).collect()
    }
}

/// Keeps both configurations right for as long as it is polled.
pub async fn run(client: Client, authority: Following) {
    let injector =
        keep::<MutatingWebhookConfiguration>(Api::all(client.clone()), MUTATING_CONFIGURATION, authority.clone());
    let validator = keep::<ValidatingWebhookConfiguration>(Api::all(client), VALIDATING_CONFIGURATION, authority);
    tokio::join!(injector, validator);
}

async fn keep<K>(api: Api<K>, name: &'static str, mut authority: Following)
where
    K: Resource<Scope = ClusterResourceScope, DynamicType = ()>
        + Configuration
        + Clone
        + Debug
        + DeserializeOwned
        + Serialize
        + Send
        + 'static,
{
    let mut seen = None;
    let mut watch = pin!(watcher::watch_object(api.clone(), name).backoff(WatchBackoff::default()));
    loop {
        let bundle = authority.borrow_and_update().as_ref().map(|authority| authority.bundle.clone());
        let mut failed = false;
        if let (Some(bundle), Some(configuration)) = (bundle, &seen)
            && let Some(patch) = patch(configuration, &bundle)
        {
            let written = api.patch(name, &PatchParams::apply(OWNER).force(), &Patch::Apply(patch)).await;
            failed = written.is_err();
            match written {
                Ok(_) => tracing::info!(configuration = name, "the API server knows the mesh's roots"),
                Err(error) => tracing::warn!(configuration = name, %error, "cannot write caBundle; trying again"),
            }
        }
        let retry = async {
            match failed {
                true => tokio::time::sleep(RETRY).await,
                false => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(now) = watch.next() => match now {
                Ok(now) => seen = now,
                Err(error) => tracing::warn!(configuration = name, %error, "cannot follow it now"),
            },
            changed = authority.changed() => if changed.is_err() { return },
            () = retry => {}
        }
    }
}

/// What to apply; `None` when every webhook has the bundle.
fn patch<K: Configuration + Resource<DynamicType = ()>>(configuration: &K, bundle: &str) -> Option<serde_json::Value> {
    let wanted = ByteString(bundle.as_bytes().to_vec());
    let webhooks = configuration.webhooks();
    if webhooks.iter().all(|(_, present)| *present == Some(&wanted)) {
        return None;
    }
    let webhooks: Vec<_> =
        webhooks.iter().map(|(name, _)| json!({ "name": name, "clientConfig": { "caBundle": wanted } })).collect();
    Some(json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": { "name": configuration.name_any() },
        "webhooks": webhooks,
    }))
}

#[cfg(test)]
mod tests;
