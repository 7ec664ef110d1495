//! The border to whatever signs certificates: a directory ([`super::LocalCa`]) or a service over gRPC.
//!
//! [`super::Identities`] calls it; it leaves keys to the agent (only a signing request crosses this border) and
//! leaves checking of the answer to [`super::WorkloadIdentity`], which trusts no authority blindly.

use std::{
    error::Error,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer};
use weft_model::identity::SpiffeId;

/// The longest life of a workload certificate, from `notBefore` to `notAfter` (Istio's `DEFAULT_WORKLOAD_CERT_TTL`).
pub const MAX_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// Signs certificates for identities of this node.
#[async_trait::async_trait]
pub trait CertificateAuthority: fmt::Debug + Send + Sync {
    /// Signs the public key of `csr` (PKCS#10, DER) for `id`, to live for `ttl` at most (never above [`MAX_TTL`]).
    ///
    /// # Errors
    /// [`CaError::Refused`] when the request or the identity is not acceptable, [`CaError::Unavailable`] when
    /// the authority cannot answer now.
    async fn sign(
        &self,
        csr: CertificateSigningRequestDer<'_>,
        id: &SpiffeId,
        ttl: Duration,
    ) -> Result<SignedChain, CaError>;
}

/// What an authority answers.
#[derive(Clone, Debug)]
pub struct SignedChain {
    /// The leaf first, then intermediates; the root is not part of it.
    pub chain: Vec<CertificateDer<'static>>,
    /// The roots by which peers are to be judged.
    pub roots: TrustBundle,
    /// End of the leaf's life.
    pub not_after: SystemTime,
}

/// Root certificates of a mesh; never empty, cheap to clone. Several during a change of the root.
#[derive(Clone, PartialEq, Eq)]
pub struct TrustBundle(Arc<[CertificateDer<'static>]>);

impl TrustBundle {
    /// A bundle of `roots`.
    ///
    /// # Errors
    /// [`CaError::BadBundle`] when there is none: nothing could be verified by it.
    pub fn new(roots: Vec<CertificateDer<'static>>) -> Result<Self, CaError> {
        if roots.is_empty() {
            return Err(CaError::BadBundle("it holds no certificate".to_owned()));
        }
        Ok(Self(roots.into()))
    }

    /// The certificates (DER).
    pub fn roots(&self) -> &[CertificateDer<'static>] {
        &self.0
    }

    /// SHA-256 of each root, hexadecimal: what people compare, and what an agent reports it trusts.
    pub fn fingerprints(&self) -> Vec<String> {
        self.0.iter().map(|root| super::xfcc::sha256_hex(root)).collect()
    }

    /// When the first of them ends; `None` when one cannot be read.
    pub fn first_end(&self) -> Option<SystemTime> {
        let end = |root| super::peer::parse(root).ok().map(|root| root.validity().not_after.to_datetime().into());
        self.0.iter().map(end).min().flatten()
    }

    /// The bundle in the form that rustls verifies with.
    pub(super) fn root_store(&self) -> Result<Arc<RootCertStore>, CaError> {
        let mut store = RootCertStore::empty();
        for root in self.0.iter() {
            store.add(root.clone()).map_err(|error| CaError::BadBundle(error.to_string()))?;
        }
        Ok(Arc::new(store))
    }
}

impl fmt::Debug for TrustBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrustBundle({} roots)", self.0.len())
    }
}

/// Why no certificate was signed.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// The authority will not sign this, however often it is asked.
    #[error("certificate authority refuses to sign for {id}: {reason}")]
    Refused {
        /// The identity that was asked for.
        id: SpiffeId,
        /// What is wrong with the request.
        reason: String,
    },
    /// The authority cannot answer now; asking again may help.
    #[error("certificate authority {authority} cannot sign now")]
    Unavailable {
        /// Which authority (an address, a directory).
        authority: String,
        /// What failed.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The roots are unusable.
    #[error("trust bundle is unusable: {0}; check root-cert.pem (or ca-cert.pem) of the certificate authority")]
    BadBundle(String),
}
