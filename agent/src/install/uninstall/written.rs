//! What the control plane wrote while it ran: the root certificate in every namespace, its keys, its lease.

use kube::{
    Api, ResourceExt,
    api::{ListParams, PartialObjectMeta},
    core::{ApiResource, DynamicObject, GroupVersionKind},
};

use super::{Remains, delete::Deleter, gone};
use crate::{
    install::progress::Progress,
    kubernetes::{FIELD_MANAGER, SYSTEM_NAMESPACE, failure},
};

/// ConfigMap with the root certificate, in every namespace.
const ROOT_CERT: &str = "istio-ca-root-cert";

/// Secret with the certificate authority's key. `cacerts`, which a user plugs in, is never touched.
const CA_SECRET: &str = "istio-ca-secret";

/// Leases of the control plane begin so.
const LEASES: &str = "weft-";

/// Removes it.
///
/// # Errors
/// What the server refuses.
pub(super) async fn remove(
    deleter: &Deleter<'_>,
    keep_ca: bool,
    remains: &mut Remains,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let params = ListParams::default().fields(&format!("metadata.name={ROOT_CERT}"));
    let maps = delete(deleter, &kind("", "ConfigMap"), None, &params, |_| true).await?;
    let params = ListParams::default().fields(&format!("metadata.name={CA_SECRET}"));
    if keep_ca {
        remains.kept.push(format!("Secret {SYSTEM_NAMESPACE}/{CA_SECRET}, as --keep-ca says"));
    } else {
        delete(deleter, &kind("", "Secret"), Some(SYSTEM_NAMESPACE), &params, |_| true).await?;
    }
    let all = ListParams::default();
    let is_ours = |name: &str| name.starts_with(LEASES);
    delete(deleter, &kind("coordination.k8s.io", "Lease"), Some(SYSTEM_NAMESPACE), &all, is_ours).await?;
    gone(progress, "certificates", format!("{ROOT_CERT} removed from {maps} namespaces"))
}

fn kind(group: &str, kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind))
}

async fn delete(
    deleter: &Deleter<'_>,
    kind: &ApiResource,
    namespace: Option<&str>,
    params: &ListParams,
    is_ours: impl Fn(&str) -> bool,
) -> anyhow::Result<usize> {
    let client = deleter.client.clone();
    let all = match namespace {
        Some(namespace) => Api::<DynamicObject>::namespaced_with(client, namespace, kind),
        None => Api::all_with(client, kind),
    };
    let list = all.list_metadata(params).await;
    let list = list.map_err(|error| anyhow::anyhow!("listing {}: {}", kind.plural, failure(&error)))?;
    let mut deleted = 0;
    for found in list.items.iter().filter(|found| is_ours(&found.name_any()) && is_written_by_weft(found)) {
        let namespace = found.namespace().unwrap_or_default();
        let api = Api::<DynamicObject>::namespaced_with(deleter.client.clone(), &namespace, kind);
        let title = format!("{} {namespace}/{}", kind.kind, found.name_any());
        deleter.exactly(&api, &found.name_any(), &title, found.uid()).await?;
        deleted += 1;
    }
    Ok(deleted)
}

/// Istio writes some of the same names: what it wrote it keeps.
fn is_written_by_weft(found: &PartialObjectMeta<DynamicObject>) -> bool {
    let writers = found.metadata.managed_fields.iter().flatten().filter_map(|entry| entry.manager.as_deref());
    writers.into_iter().any(|writer| writer.starts_with(FIELD_MANAGER))
}
