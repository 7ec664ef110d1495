//! A pod, as far as control reads it: the rest of a pod is most of it, and need not be kept or even parsed.

use std::borrow::Cow;

use k8s_openapi::{Resource as _, api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::core::NamespaceResourceScope;
use serde::Deserialize;

/// Metadata, node and service account of a pod.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct SlimPod {
    #[serde(default)]
    pub(super) metadata: ObjectMeta,
    #[serde(default)]
    pub(super) spec: SlimSpec,
}

/// Of its spec.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct SlimSpec {
    pub(super) node_name: String,
    pub(super) service_account_name: String,
}

impl kube::Resource for SlimPod {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind(_: &()) -> Cow<'_, str> {
        Pod::KIND.into()
    }

    fn group(_: &()) -> Cow<'_, str> {
        Pod::GROUP.into()
    }

    fn version(_: &()) -> Cow<'_, str> {
        Pod::VERSION.into()
    }

    fn plural(_: &()) -> Cow<'_, str> {
        Pod::URL_PATH_SEGMENT.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
