//! What an installation needs: permissions, nodes that can run an agent, no other control plane in the way.

use k8s_openapi::api::{
    authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec},
    core::v1::Node,
};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, PostParams},
};

use super::{super::machine, Row, State, first_and_all, row, row_of};
use crate::{
    install::{self, rollout::is_node_ready},
    kubernetes::{SYSTEM_NAMESPACE, failure},
};

/// What is created: group, resource, in our namespace or in the cluster.
const CREATED: [(&str, &str, bool); 11] = [
    ("", "namespaces", false),
    ("apiextensions.k8s.io", "customresourcedefinitions", false),
    ("rbac.authorization.k8s.io", "clusterroles", false),
    ("rbac.authorization.k8s.io", "clusterrolebindings", false),
    ("rbac.authorization.k8s.io", "roles", true),
    ("rbac.authorization.k8s.io", "rolebindings", true),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", false),
    ("", "serviceaccounts", true),
    ("", "configmaps", true),
    ("apps", "deployments", true),
    ("apps", "daemonsets", true),
];

pub(super) async fn rows(client: &Client, is_installed: bool) -> anyhow::Result<Vec<Row>> {
    let refused = refused(client).await?;
    let nodes = Api::<Node>::all(client.clone()).list(&ListParams::default()).await;
    let nodes = nodes.map_err(|error| anyhow::anyhow!("listing nodes: {}", failure(&error)))?.items;
    let mut rows = vec![
        row_of(
            "permissions",
            State::Missing,
            "installing",
            first_and_all(&refused, "all that an installation needs"),
            "sign in as a cluster administrator",
        ),
        kernels(&nodes),
        ready(&nodes),
    ];
    if !is_installed {
        rows.push(row(
            "no other mesh",
            State::Missing,
            "Istio's control plane has the same names",
            in_the_way(client).await?,
            "istioctl uninstall --purge; or weft install --force takes its objects over",
        ));
    }
    Ok(rows)
}

/// What this user may not create.
async fn refused(client: &Client) -> anyhow::Result<Vec<String>> {
    let reviews = Api::<SelfSubjectAccessReview>::all(client.clone());
    let mut refused = Vec::new();
    for (group, resource, is_namespaced) in CREATED {
        let attributes = ResourceAttributes {
            group: Some(group.to_owned()),
            resource: Some(resource.to_owned()),
            verb: Some("create".to_owned()),
            namespace: is_namespaced.then(|| SYSTEM_NAMESPACE.to_owned()),
            ..ResourceAttributes::default()
        };
        let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), non_resource_attributes: None };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let answer = reviews.create(&PostParams::default(), &review).await;
        let answer = answer.map_err(|error| anyhow::anyhow!("asking for permissions: {}", failure(&error)))?;
        if !answer.status.is_some_and(|status| status.allowed) {
            refused.push(format!("may not create {resource}"));
        }
    }
    Ok(refused)
}

/// Kernels as kubelets report them. What else an agent needs it finds out itself, and says so.
pub(super) fn kernels(nodes: &[Node]) -> Row {
    let mut oldest: Option<((u32, u32), &str)> = None;
    let mut wanting = Vec::new();
    for node in nodes {
        let info = node.status.as_ref().and_then(|status| status.node_info.as_ref());
        let Some(info) = info.filter(|info| info.operating_system == "linux") else { continue };
        let version = machine::version(&info.kernel_version).unwrap_or_default();
        if version < machine::KERNEL_FLOOR {
            wanting.push(format!("node {}: Linux {}", node.name_any(), info.kernel_version));
        }
        if oldest.is_none_or(|(least, _)| version < least) {
            oldest = Some((version, &info.kernel_version));
        }
    }
    let oldest = oldest.map_or("no Linux nodes", |(_, text)| text).to_owned();
    let found = first_and_all(&wanting, &format!("{oldest} and later"));
    let (major, minor) = machine::KERNEL_FLOOR;
    let row = row_of("kernels", State::Missing, "capture", found, "pods on these nodes stay out of the mesh");
    Row { what: format!("kernels from {major}.{minor}"), ..row }
}

/// A node without a pod network is not ready: there is nothing for weft's CNI plugin to follow.
pub(super) fn ready(nodes: &[Node]) -> Row {
    let reason = |node: &Node| {
        let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
        let ready = conditions.into_iter().flatten().find(|condition| condition.type_ == "Ready");
        let said = ready.and_then(|ready| ready.message.clone());
        format!("node {}: {}", node.name_any(), said.unwrap_or_else(|| "no kubelet has reported".to_owned()))
    };
    let dead: Vec<String> = nodes.iter().filter(|node| !is_node_ready(node)).map(reason).collect();
    let count = format!("{} ready, with a pod network", nodes.len());
    let next_step = "kubectl describe node; a CNI plugin has to be there before weft's can follow it";
    row_of("nodes", State::Warn, "agents", first_and_all(&dead, &count), next_step)
}

async fn in_the_way(client: &Client) -> anyhow::Result<Result<String, String>> {
    let foreign = install::foreign(client).await?;
    Ok(match &*foreign {
        [] => Ok("nothing in the way".to_owned()),
        [first, ..] => Err(format!("{first} is there, and not weft's")),
    })
}
