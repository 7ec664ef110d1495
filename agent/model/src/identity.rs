//! Who a workload is: SPIFFE names of Kubernetes service accounts.

use std::{fmt, str::FromStr, sync::Arc};

/// `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`, the only identity of the mesh
/// (SPIFFE-ID specification; the path layout is Istio's).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpiffeId {
    /// Trust domain, for example `cluster.local`.
    pub trust_domain: Arc<str>,
    /// Kubernetes namespace.
    pub namespace: Arc<str>,
    /// Kubernetes service account.
    pub service_account: Arc<str>,
}

/// Why a string is no [`SpiffeId`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not of the form spiffe://<trust domain>/ns/<namespace>/sa/<service account>")]
pub struct InvalidSpiffeId(pub String);

impl SpiffeId {
    /// The name without its scheme, as `source.principals` of an AuthorizationPolicy spells it.
    pub fn principal(&self) -> String {
        format!("{}/ns/{}/sa/{}", self.trust_domain, self.namespace, self.service_account)
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}/ns/{}/sa/{}", self.trust_domain, self.namespace, self.service_account)
    }
}

impl FromStr for SpiffeId {
    type Err = InvalidSpiffeId;

    fn from_str(text: &str) -> Result<Self, InvalidSpiffeId> {
        let invalid = || InvalidSpiffeId(text.to_owned());
        let mut parts = text.strip_prefix("spiffe://").ok_or_else(invalid)?.split('/');
        let mut next = || parts.next().filter(|part| !part.is_empty()).ok_or_else(invalid);
        let trust_domain = next()?;
        let (ns, namespace, sa, service_account) = (next()?, next()?, next()?, next()?);
        if ns != "ns" || sa != "sa" || parts.next().is_some() {
            return Err(invalid());
        }
        Ok(Self {
            trust_domain: trust_domain.into(),
            namespace: namespace.into(),
            service_account: service_account.into(),
        })
    }
}
