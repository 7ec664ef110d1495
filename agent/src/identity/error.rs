//! Why a workload has no certificate.
//!
//! [`super::WorkloadIdentity`] and [`super::Identities`] return it; refusals of a *peer* are [`super::PeerError`].

use std::time::Duration;

use weft_model::identity::SpiffeId;

use super::authority::CaError;

/// How long one answer of the authority may take.
pub(super) const SIGN_TIMEOUT: Duration = Duration::from_secs(10);

/// Why an identity has no certificate now.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// No pod of this node has it, so this node must not have its key.
    #[error("{0} is not an identity of this node: no enrolled pod here runs as that service account")]
    NotOnThisNode(
        /// The identity.
        SpiffeId,
    ),
    /// The authority did not sign.
    #[error("no certificate for {id}")]
    Authority {
        /// The identity.
        id: SpiffeId,
        /// Its reason.
        #[source]
        source: CaError,
    },
    /// The authority did not answer in time.
    #[error("no certificate for {0}: the certificate authority did not answer within {SIGN_TIMEOUT:?}")]
    Timeout(
        /// The identity.
        SpiffeId,
    ),
    /// What the authority signed does not hold.
    #[error("certificate signed for {id} is unusable: {reason}")]
    Unusable {
        /// The identity.
        id: SpiffeId,
        /// The failed check.
        reason: String,
    },
    /// An attempt failed a moment ago; the authority is not asked for every connection.
    #[error("no certificate for {id}: {last_error} (attempt {attempts}; the next one comes in {retry_in:?})")]
    Retrying {
        /// The identity.
        id: SpiffeId,
        /// Why the last attempt failed.
        last_error: String,
        /// Attempts in a row that failed.
        attempts: u32,
        /// Time to the next one.
        retry_in: Duration,
    },
}
