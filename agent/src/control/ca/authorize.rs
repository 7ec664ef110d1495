//! Who may have a certificate for which identity: the whole decision, pure.
//!
//! A caller gets its own identity. The account of the nodes' agents may ask for those of others, and gets what has a pod on
//! its own node: an agent that is broken into gives away the identities of its node, which its memory holds anyway, and no
//! others. What must be looked up is part of the answer; [`super::service`] looks.

use weft_model::identity::SpiffeId;

use super::caller::Caller;
use crate::control::{accounts::TrustedAccounts, pods::NodeIdentity};

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// The identity, without further question.
    Own(SpiffeId),
    /// The identity, if one of its pods is on the caller's node.
    IfOnNode(SpiffeId),
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// What was asked for is no identity.
    #[error(
        "{0:?} is no identity of a mesh: it is not of the form spiffe://<trust domain>/ns/<namespace>/sa/<service account>"
    )]
    NoIdentity(String),
    /// It belongs to another mesh.
    #[error("{id} is not of this mesh, whose trust domain is {trust_domain}")]
    TrustDomain {
        /// What was asked for.
        id: SpiffeId,
        /// What is signed.
        trust_domain: String,
    },
    /// The caller is nobody's agent.
    #[error("{caller} may not ask for {id}: only trusted node accounts may ask for others ({accounts})")]
    NotTrusted {
        /// Who asks.
        caller: String,
        /// What was asked for.
        id: SpiffeId,
        /// Who might.
        accounts: String,
    },
    /// An agent whose token does not say where it runs.
    #[error(
        "{caller} may ask for the identities of its node, but its token is bound to no pod; project one into the pod"
    )]
    NoNode {
        /// Who asks.
        caller: String,
    },
    /// An agent whose pod is gone.
    #[error(
        "{caller} may ask for the identities of its node, but its token is of pod {pod}, which is gone or another by now"
    )]
    NoPod {
        /// Who asks.
        caller: String,
        /// The pod of the token.
        pod: String,
    },
    /// No pod of it is there.
    #[error("{id} has no pod on node {node}, from where {caller} asks")]
    NotOnNode {
        /// Who asks.
        caller: String,
        /// What was asked for.
        id: SpiffeId,
        /// The caller's node.
        node: String,
    },
}

/// Decides for `caller`, who asks for `impersonated`, or for itself.
///
/// # Errors
/// [`Denied`].
pub fn decide(
    caller: &Caller,
    impersonated: Option<&str>,
    trust_domain: &str,
    accounts: &TrustedAccounts,
) -> Result<Grant, Denied> {
    let own = SpiffeId {
        trust_domain: trust_domain.into(),
        namespace: caller.namespace.as_str().into(),
        service_account: caller.account.as_str().into(),
    };
    let Some(text) = impersonated else { return Ok(Grant::Own(own)) };
    let id: SpiffeId = text.parse().map_err(|_invalid| Denied::NoIdentity(text.to_owned()))?;
    if *id.trust_domain != *trust_domain {
        return Err(Denied::TrustDomain { id, trust_domain: trust_domain.to_owned() });
    }
    if id == own {
        return Ok(Grant::Own(own));
    }
    if !accounts.contains(&caller.namespace, &caller.account) {
        return Err(Denied::NotTrusted { caller: caller.to_string(), id, accounts: accounts.to_string() });
    }
    if caller.pod.is_none() {
        return Err(Denied::NoNode { caller: caller.to_string() });
    }
    Ok(Grant::IfOnNode(id))
}

/// What has to have a pod for `id` to be granted to somebody on `node`.
pub fn needed(id: &SpiffeId, node: &str) -> NodeIdentity {
    NodeIdentity { node: node.into(), namespace: id.namespace.clone(), service_account: id.service_account.clone() }
}

impl std::fmt::Display for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "service account {}/{}", self.namespace, self.account)
    }
}

#[cfg(test)]
mod tests;
