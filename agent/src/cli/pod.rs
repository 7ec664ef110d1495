//! How people spell pods: `a`, `pod/a`, `namespace/a`, with `-n namespace`.

use clap::Args;

const DEFAULT_NAMESPACE: &str = "default";

/// A namespace given apart.
#[derive(Clone, Debug, Args)]
pub struct Namespace {
    /// Namespace of what is named [default: the context's, else default]
    #[arg(short, long, value_name = "NAMESPACE", env = "WEFT_NAMESPACE")]
    pub namespace: Option<String>,
}

/// The pod as agents spell it: `namespace/name`; `usual` is the namespace where nobody says which.
///
/// # Errors
/// When two namespaces are named, or what is named is no pod.
pub(super) fn qualify(text: &str, namespace: Option<&str>, usual: Option<&str>) -> anyhow::Result<String> {
    let wrong = || anyhow::anyhow!("{text:?} is no pod: write a name, pod/name or namespace/name");
    let text = ["pod/", "pods/", "po/"].iter().find_map(|kind| text.strip_prefix(kind)).unwrap_or(text);
    let (own, name) = match text.split_once('/') {
        Some((own, name)) => (Some(own), name),
        None => (None, text),
    };
    if name.is_empty() || name.contains('/') || own == Some("") {
        return Err(wrong());
    }
    match (own, namespace) {
        (Some(own), Some(other)) if own != other => {
            anyhow::bail!("pod {text} is in namespace {own}, but --namespace says {other}: leave one out")
        }
        (own, other) => Ok(format!("{}/{name}", own.or(other).or(usual).unwrap_or(DEFAULT_NAMESPACE))),
    }
}
