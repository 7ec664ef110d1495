//! A certificate authority in a directory, for meshes without a control plane and for operators' own `cacerts`.
//!
//! `app` opens it in directory mode; every emulated node's agent shares the directory. [`files`] finds or creates the
//! material, this file judges it and signs. Requests are trusted for nothing but their public key.

mod files;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rcgen::{
    CertificateParams, CertificateSigningRequestParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
};
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer, UnixTime};
use time::OffsetDateTime;
use weft_model::identity::SpiffeId;

use super::{
    authority::{CaError, CertificateAuthority, MAX_TTL, SignedChain, TrustBundle},
    peer::{self, rfc3339},
    request::KeyRequest,
    verify::{ServerVerifier, Trust, TrustDomains},
};
use files::Material;

/// How far `notBefore` lies in the past, for nodes whose clocks are behind (Istio's grace period).
const CLOCK_SKEW: Duration = Duration::from_secs(120);

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
    /// A file does not hold what it should.
    #[error("{path} is not usable: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Certificate and key are no pair.
    #[error("{key} is not the private key of {certificate}; put a matching pair there")]
    KeyMismatch {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
    },
    /// The authority's certificate is not valid now.
    #[error("{path} is valid from {not_before} to {not_after} only; replace it, or check this node's clock")]
    NotValidNow {
        /// The certificate file.
        path: PathBuf,
        /// Begin, RFC 3339.
        not_before: String,
        /// End, RFC 3339.
        not_after: String,
    },
    /// What the authority signs would not be believed by anyone who has its roots.
    #[error("certificates signed by {path} do not verify: {reason}; check cert-chain.pem and root-cert.pem beside it")]
    Unverifiable {
        /// The certificate file.
        path: PathBuf,
        /// The failed check.
        reason: String,
    },
}

/// Signs with a key from a directory.
pub struct LocalCa {
    directory: PathBuf,
    trust_domain: String,
    issuer: Issuer<'static, KeyPair>,
    intermediates: Vec<CertificateDer<'static>>,
    roots: TrustBundle,
    not_after: OffsetDateTime,
}

impl LocalCa {
    /// Opens the authority in `directory`, creating it when there is none. Agents may do so at the same time: all end
    /// with the same root. It signs only for identities of `trust_domain`.
    ///
    /// # Errors
    /// [`LocalCaError`] names the file and what to do about it.
    pub fn open_or_create(directory: &Path, trust_domain: &str) -> Result<Self, LocalCaError> {
        files::ensure(directory, trust_domain)?;
        let Material { certificate, key, intermediates, roots } = files::load(directory)?;
        let path = directory.join(files::CERTIFICATE);
        let malformed = |reason: String| LocalCaError::Malformed { path: path.clone(), reason };
        let parsed = peer::parse(&certificate).map_err(|error| malformed(error.to_string()))?;
        if parsed.public_key().raw != key.subject_public_key_info().as_slice() {
            return Err(LocalCaError::KeyMismatch { certificate: path, key: directory.join(files::KEY) });
        }
        if !parsed.is_ca() {
            return Err(malformed("it is no CA certificate (basicConstraints CA:TRUE is missing)".to_owned()));
        }
        let (not_before, not_after) =
            (parsed.validity().not_before.to_datetime(), parsed.validity().not_after.to_datetime());
        if !(not_before..=not_after).contains(&OffsetDateTime::now_utc()) {
            let (not_before, not_after) = (rfc3339(not_before), rfc3339(not_after));
            return Err(LocalCaError::NotValidNow { path, not_before, not_after });
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|error| malformed(error.to_string()))?;
        let roots = TrustBundle::new(roots).map_err(|error| malformed(error.to_string()))?;
        let directory = directory.to_owned();
        let ca = Self { directory, trust_domain: trust_domain.to_owned(), issuer, intermediates, roots, not_after };
        ca.verify_own_work().map_err(|reason| LocalCaError::Unverifiable { path, reason })?;
        Ok(ca)
    }

    /// The roots that peers judge by.
    pub fn roots(&self) -> &TrustBundle {
        &self.roots
    }

    /// Signs for a throw-away key and verifies that as a peer would, so that a broken chain shows at start and not
    /// in every handshake.
    fn verify_own_work(&self) -> Result<(), String> {
        let id = SpiffeId {
            trust_domain: self.trust_domain.as_str().into(),
            namespace: "weft".into(),
            service_account: "probe".into(),
        };
        let request = KeyRequest::generate(&id).map_err(|error| error.to_string())?;
        let signed =
            self.sign_at(&request.csr, &id, CLOCK_SKEW, SystemTime::now()).map_err(|error| error.to_string())?;
        let roots = self.roots.root_store().map_err(|error| error.to_string())?;
        let trust = Trust::new(roots, TrustDomains::new(&self.trust_domain, []));
        let (leaf, intermediates) = signed.chain.split_first().ok_or("nothing was signed")?;
        ServerVerifier { trust, expected: id }
            .check(leaf, intermediates, UnixTime::now())
            .map_err(|error| error.to_string())
    }

    fn sign_at(
        &self,
        csr: &CertificateSigningRequestDer<'_>,
        id: &SpiffeId,
        ttl: Duration,
        now: SystemTime,
    ) -> Result<SignedChain, CaError> {
        let refused = |reason: String| CaError::Refused { id: id.clone(), reason };
        if *id.trust_domain != *self.trust_domain {
            return Err(refused(format!("it signs for the trust domain {} only", self.trust_domain)));
        }
        if !peer::is_well_formed(id) {
            return Err(refused("the id has characters that SPIFFE does not allow".to_owned()));
        }
        // Parsing verifies the request's signature: whoever asks has the private key.
        let request = CertificateSigningRequestParams::from_der(csr)
            .map_err(|error| refused(format!("the signing request is not valid: {error}")))?;
        let name = SanType::URI(id.to_string().try_into().map_err(|error: rcgen::Error| refused(error.to_string()))?);
        if request.params.subject_alt_names != [name.clone()] {
            let names = &request.params.subject_alt_names;
            return Err(refused(format!("the signing request is for {names:?} and not for exactly this identity")));
        }
        let (not_before, not_after) = self.life(ttl, now).map_err(refused)?;
        let leaf =
            leaf_params(name, not_before, not_after).signed_by(&request.public_key, &self.issuer).map_err(|error| {
                CaError::Unavailable { authority: self.directory.display().to_string(), source: error.into() }
            })?;
        let mut chain = vec![leaf.der().clone()];
        chain.extend(self.intermediates.iter().cloned());
        Ok(SignedChain { chain, roots: self.roots.clone(), not_after: not_after.into() })
    }

    /// Begin and end of a leaf: from a little before now, for [`MAX_TTL`] in all, never beyond the authority's own end.
    fn life(&self, ttl: Duration, now: SystemTime) -> Result<(OffsetDateTime, OffsetDateTime), String> {
        let now = OffsetDateTime::from(now);
        // Certificates count whole seconds; cutting here keeps the span within the limit after encoding.
        let not_before = (now - CLOCK_SKEW).replace_nanosecond(0).map_err(|error| error.to_string())?;
        let wanted = (now + ttl.min(MAX_TTL)).replace_nanosecond(0).map_err(|error| error.to_string())?;
        let not_after = wanted.min(not_before + MAX_TTL).min(self.not_after);
        if not_after <= now {
            let end = rfc3339(self.not_after);
            return Err(format!("a life of {ttl:?} from now ends at once (the authority itself ends at {end})"));
        }
        Ok((not_before, not_after))
    }
}

/// What a leaf says; nothing of it comes from the request.
fn leaf_params(name: SanType, not_before: OffsetDateTime, not_after: OffsetDateTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    // Without a subject the URI is the only name there is (and marked critical, RFC 5280 section 4.1.2.6).
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![name];
    params.not_before = not_before;
    params.not_after = not_after;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    params
}

#[async_trait::async_trait]
impl CertificateAuthority for LocalCa {
    async fn sign(
        &self,
        csr: CertificateSigningRequestDer<'_>,
        id: &SpiffeId,
        ttl: Duration,
    ) -> Result<SignedChain, CaError> {
        self.sign_at(&csr, id, ttl, SystemTime::now())
    }
}

impl fmt::Debug for LocalCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalCa").field("directory", &self.directory).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
