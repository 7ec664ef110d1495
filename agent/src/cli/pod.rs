//! How people spell pods and Services: `a`, `pod/a`, `svc/a`, `namespace/a`, with `-n namespace`.

use clap::Args;

const DEFAULT_NAMESPACE: &str = "default";

/// A namespace given apart.
#[derive(Clone, Debug, Args)]
pub struct Namespace {
    /// Namespace of what is named [default: the context's, else default]
    #[arg(short, long, value_name = "NAMESPACE", env = "WEFT_NAMESPACE")]
    pub namespace: Option<String>,
}

/// What may be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Pod,
    Service,
}

impl Kind {
    /// By kubectl's names for it.
    pub(super) fn of(text: &str) -> Option<Self> {
        match text {
            "pod" | "pods" | "po" => Some(Self::Pod),
            "service" | "services" | "svc" => Some(Self::Service),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Pod => "pod",
            Self::Service => "service",
        }
    }
}

/// The pod as agents spell it: `namespace/name`; `usual` is the namespace where nobody says which.
///
/// # Errors
/// When two namespaces are named, or what is named is no pod.
pub(super) fn qualify(text: &str, namespace: Option<&str>, usual: Option<&str>) -> anyhow::Result<String> {
    match kind_and_name(text, namespace, usual)? {
        (Kind::Pod, name) => Ok(name),
        (Kind::Service, name) => anyhow::bail!(
            "{name} is a Service, and a pod is wanted: `kubectl get endpointslices` lists those behind it"
        ),
    }
}

/// The pod or Service, `namespace/name`; without a kind it is a pod.
///
/// # Errors
/// As above.
pub(super) fn kind_and_name(
    text: &str,
    namespace: Option<&str>,
    usual: Option<&str>,
) -> anyhow::Result<(Kind, String)> {
    let (kind, rest) = match text.split_once('/').and_then(|(kind, rest)| Some((Kind::of(kind)?, rest))) {
        Some(found) => found,
        None => (Kind::Pod, text),
    };
    let (own, name) = match rest.split_once('/') {
        Some((own, name)) => (Some(own), name),
        None => (None, rest),
    };
    if name.is_empty() || name.contains('/') || own == Some("") {
        let kind = kind.name();
        anyhow::bail!("{text:?} is no {kind}: write a name, {kind}/name or namespace/name");
    }
    match (own, namespace) {
        (Some(own), Some(other)) if own != other => {
            anyhow::bail!("{} {rest} is in namespace {own}, but --namespace says {other}: leave one out", kind.name())
        }
        (own, other) => Ok((kind, format!("{}/{name}", own.or(other).or(usual).unwrap_or(DEFAULT_NAMESPACE)))),
    }
}
