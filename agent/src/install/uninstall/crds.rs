//! CRDs go only when nobody uses them: with a CRD go all objects of its kind, and those are the user's.

use anyhow::bail;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api,
    api::ListParams,
    core::{ApiResource, DynamicObject, GroupVersionKind},
};

use super::{Remains, delete::Deleter, gone};
use crate::{
    install::{manifests::Manifest, progress::Progress},
    kubernetes::{failure, is_absent},
};

const PART: &str = "CRDs";

/// Removes those without objects, or all of them.
///
/// # Errors
/// What the server refuses, or what does not go in time.
pub(super) async fn remove(
    deleter: &Deleter<'_>,
    crds: &[&Manifest],
    purge: bool,
    remains: &mut Remains,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let mut unused = Vec::new();
    for crd in crds {
        match if purge { None } else { object_of(deleter, crd.name()).await? } {
            None => unused.push(*crd),
            Some(object) => remains
                .kept
                .push(format!("CRD {}, because {object} exists: `weft uninstall --purge` removes both", crd.name())),
        }
    }
    for crd in &unused {
        deleter.one(&crd.api(deleter.client.clone()), crd.name(), &crd.title()).await?;
    }
    for crd in &unused {
        deleter.until_gone(&crd.api(deleter.client.clone()), crd.name(), &crd.title(), PART, progress).await?;
    }
    if crds.is_empty() {
        return Ok(());
    }
    gone(progress, PART, format!("removed {} of {}", unused.len(), crds.len()))
}

/// An object of the CRD's kind, if there is one.
async fn object_of(deleter: &Deleter<'_>, crd: &str) -> anyhow::Result<Option<String>> {
    let definition = Api::<CustomResourceDefinition>::all(deleter.client.clone()).get_opt(crd).await;
    let Some(definition) = definition.map_err(|error| anyhow::anyhow!("asking for CRD {crd}: {}", failure(&error)))?
    else {
        return Ok(None);
    };
    let Some(version) = definition.spec.versions.iter().find(|version| version.served) else { return Ok(None) };
    let names = definition.spec.names;
    let gvk = GroupVersionKind::gvk(&definition.spec.group, &version.name, &names.kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, &names.plural);
    let objects = Api::<DynamicObject>::all_with(deleter.client.clone(), &resource);
    let list = match objects.list_metadata(&ListParams::default().limit(1)).await {
        Ok(list) => list,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => bail!("listing {}: {}", names.plural, failure(&error)),
    };
    Ok(list.items.into_iter().next().map(|found| {
        let metadata = found.metadata;
        let namespace = metadata.namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default();
        format!("{} {namespace}{}", names.kind, metadata.name.unwrap_or_default())
    }))
}
