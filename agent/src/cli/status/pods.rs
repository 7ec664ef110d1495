//! Pods one by one, from all nodes.

use anyhow::bail;

use super::{
    super::{output::ListForm, table::Table},
    node::{capture, expiry, name, reasons, section, short_identity, yes},
};
use crate::admin::status::{PodStatus, Status};

/// Which pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Selection {
    All,
    Namespace(String),
    /// `namespace/name`.
    Pod(String),
}

impl Selection {
    fn includes(&self, pod: &PodStatus) -> bool {
        match self {
            Self::All => true,
            Self::Namespace(namespace) => pod.namespace == *namespace,
            Self::Pod(wanted) => name(pod) == *wanted,
        }
    }
}

/// The list.
///
/// # Errors
/// When one pod is asked for, and no agent knows it.
pub(super) fn report(statuses: &[Status], selection: &Selection, form: ListForm) -> anyhow::Result<String> {
    let mut pods: Vec<(&Status, &PodStatus)> = statuses
        .iter()
        .flat_map(|status| status.pods.iter().map(move |pod| (status, pod)))
        .filter(|(_, pod)| selection.includes(pod))
        .collect();
    pods.sort_by_key(|(_, pod)| (&pod.namespace, &pod.name));
    if let (Selection::Pod(wanted), true) = (selection, pods.is_empty()) {
        bail!("no agent that answered has a pod {wanted}; `weft status -A` lists those that there are");
    }
    let data: Vec<_> = pods.iter().map(|(status, pod)| OfNode { node: &status.node, pod }).collect();
    if let Some(data) = form.data(&data)? {
        return Ok(data);
    }
    let mut headings = vec!["POD", "NODE", "ENROLLED", "CAPTURE", "CERT EXPIRES IN"];
    headings.extend((form == ListForm::Wide).then_some("IDENTITY"));
    let mut table = Table::new(&headings);
    for (status, pod) in &pods {
        let certificate = pod.certificate.as_ref().map_or_else(|| "-".to_owned(), expiry);
        let mut row = vec![name(pod), status.node.clone(), yes(pod.enrolled), capture(pod), certificate];
        row.extend((form == ListForm::Wide).then(|| short_identity(&pod.identity, &status.trust_domain)));
        table.add(row);
    }
    let mut text = table.render();
    section(&mut text, "", pods.iter().flat_map(|(_, pod)| reasons(pod)).collect());
    Ok(text)
}

/// A pod and where it is.
#[derive(serde::Serialize)]
struct OfNode<'a> {
    node: &'a str,
    #[serde(flatten)]
    pod: &'a PodStatus,
}
