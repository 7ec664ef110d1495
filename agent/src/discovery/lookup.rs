//! One pod, asked of the API server directly: for who cannot wait for the watch.

use k8s_openapi::{
    api::core::v1::{Namespace, Pod},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Api, Client};
use weft_model::workload::{Enrolment, Labels, Named};

use super::world::enrolment::{Facts, enrolment};
use crate::kubernetes::kubelet_uid;

/// Asks about single pods.
#[derive(Clone)]
pub struct Lookup {
    client: Client,
}

impl Lookup {
    /// Asks by `client`.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Is that pod enrolled? `None` when there is no pod of that name, or it has another uid; an empty `uid` means any.
    /// Needs `get` on pods and namespaces.
    ///
    /// # Errors
    /// The API server's.
    pub async fn enrolment(&self, name: &Named, uid: &str) -> Result<Option<Enrolment>, kube::Error> {
        let pods = Api::<Pod>::namespaced(self.client.clone(), &name.namespace);
        let Some(pod) = pods.get_opt(&name.name).await? else { return Ok(None) };
        if !uid.is_empty() && kubelet_uid(&pod) != Some(uid) {
            return Ok(None);
        }
        let namespace = Api::<Namespace>::all(self.client.clone()).get_opt(&name.namespace).await?.unwrap_or_default();
        Ok(Some(of(&name.namespace, &namespace, &pod)))
    }
}

fn of(name: &str, namespace: &Namespace, pod: &Pod) -> Enrolment {
    let annotations = pod.metadata.annotations.as_ref();
    enrolment(&Facts {
        namespace: name,
        namespace_labels: &labels(&namespace.metadata),
        pod_labels: &labels(&pod.metadata),
        inject_annotation: annotations.and_then(|all| all.get("sidecar.istio.io/inject")).map(String::as_str),
        host_network: pod.spec.as_ref().and_then(|spec| spec.host_network).unwrap_or(false),
    })
}

fn labels(meta: &ObjectMeta) -> Labels {
    meta.labels.iter().flatten().map(|(name, value)| (name.as_str().into(), value.as_str().into())).collect()
}

#[cfg(test)]
mod tests;
