//! A certificate authority in a directory, for meshes without a control plane and for operators' own `cacerts`.
//!
//! `app` opens it in directory mode; every emulated node's agent shares the directory. [`files`] finds or creates the
//! material, [`super::Signer`] judges it and signs. Requests are trusted for nothing but their public key.

mod files;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rustls_pki_types::CertificateSigningRequestDer;
use weft_model::identity::SpiffeId;

use super::{
    authority::{CaError, CertificateAuthority, SignedChain, TrustBundle},
    material::CaFiles,
    signer::{Signer, SignerError},
    signing_request::SigningRequest,
};

/// Why a directory is no usable certificate authority.
#[derive(Debug, thiserror::Error)]
pub enum LocalCaError {
    /// A file could not be read.
    #[error("cannot read {path} of the certificate authority; check that it exists and that the agent may read it")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A new authority could not be written.
    #[error("cannot create {path} for a new certificate authority; check that the agent may write there")]
    Uncreatable {
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// Some files of an authority are there, but one that it needs is not.
    #[error(
        "{missing} is missing although {present} exists; add it, or empty the directory to have a new certificate authority made"
    )]
    Incomplete {
        /// What is there.
        present: PathBuf,
        /// What is not.
        missing: PathBuf,
    },
    /// The files are no authority.
    #[error("certificate authority in {directory} is not usable")]
    Unusable {
        /// The directory.
        directory: PathBuf,
        /// Which file, and why.
        #[source]
        source: SignerError,
    },
}

/// Signs with a key from a directory.
pub struct LocalCa {
    directory: PathBuf,
    signer: Signer,
}

impl LocalCa {
    /// Opens the authority in `directory`, creating it when there is none. Agents may do so at the same time: all end
    /// with the same root. It signs only for identities of `trust_domain`.
    ///
    /// # Errors
    /// [`LocalCaError`] names the file and what to do about it.
    pub fn open_or_create(directory: &Path, trust_domain: &str) -> Result<Self, LocalCaError> {
        files::ensure(directory, trust_domain)?;
        let texts = files::load(directory)?;
        let files = CaFiles {
            certificate: &texts.certificate,
            key: &texts.key,
            roots: texts.roots.as_deref(),
            chain: texts.chain.as_deref(),
        };
        let unusable = |source| LocalCaError::Unusable { directory: directory.to_owned(), source };
        let signer = Signer::new(files, trust_domain).map_err(unusable)?;
        Ok(Self { directory: directory.to_owned(), signer })
    }

    /// The roots that peers judge by.
    pub fn roots(&self) -> &TrustBundle {
        self.signer.roots()
    }
}

#[async_trait::async_trait]
impl CertificateAuthority for LocalCa {
    async fn sign(
        &self,
        csr: CertificateSigningRequestDer<'_>,
        id: &SpiffeId,
        ttl: Duration,
    ) -> Result<SignedChain, CaError> {
        let refused = |reason: String| CaError::Refused { id: id.clone(), reason };
        let request = SigningRequest::from_der(&csr).map_err(|error| refused(error.to_string()))?;
        // The agents of a directory all ask in the same way: another name is somebody's mistake.
        let names = request.names();
        if names != [format!("URI({id})")] {
            return Err(refused(format!("the signing request is for {names:?} and not for exactly this identity")));
        }
        self.signer.sign(&request, id, ttl, SystemTime::now())
    }
}

impl fmt::Debug for LocalCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalCa").field("directory", &self.directory).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
