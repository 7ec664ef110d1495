//! A certificate authority in memory: signs for one trust domain with one key.
//!
//! [`super::LocalCa`] makes one from a directory, `weft control` from a Secret, and again when that changes. Who may ask
//! for what is theirs to decide; here is decided what a certificate looks like and how long it lives.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use rcgen::{
    CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData, SanType,
};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use time::OffsetDateTime;
use weft_model::identity::SpiffeId;

use super::{
    anchors::Anchors,
    authority::{CaError, MAX_TTL, SignedChain, TrustBundle},
    material::{self, CaFiles, Material},
    peer::{self, rfc3339},
    request::KeyRequest,
    signing_request::SigningRequest,
    tls,
    verify::{ServerVerifier, Trust, TrustDomains},
};

/// How far `notBefore` lies in the past, for nodes whose clocks are behind (Istio's grace period).
pub(super) const CLOCK_SKEW: Duration = Duration::from_secs(120);

/// Why the material of an authority cannot be used. Files are named as in Istio's `cacerts`; where they are is known to
/// the caller.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// A file does not hold what it should.
    #[error("{file} is not usable: {reason}")]
    Malformed {
        /// The file.
        file: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Certificate and key are no pair.
    #[error("ca-key.pem is not the private key of ca-cert.pem; put a matching pair there")]
    KeyMismatch,
    /// The authority's certificate is not valid now.
    #[error("ca-cert.pem is valid from {not_before} to {not_after} only; replace it, or check this node's clock")]
    NotValidNow {
        /// Begin, RFC 3339.
        not_before: String,
        /// End, RFC 3339.
        not_after: String,
    },
    /// What the authority signs would not be believed by anyone who has its roots.
    #[error("certificates signed by ca-cert.pem do not verify: {0}; check cert-chain.pem and root-cert.pem beside it")]
    Unverifiable(String),
}

/// Signs with a key in memory.
pub struct Signer {
    trust_domain: String,
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    intermediates: Vec<CertificateDer<'static>>,
    roots: TrustBundle,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
}

/// What a server shows to clients that know it by DNS names, and until when.
pub struct ServerKey {
    /// Chain and key.
    pub key: Arc<CertifiedKey>,
    /// End of the leaf's life.
    pub not_after: SystemTime,
}

impl Signer {
    /// Reads the files and proves that what they sign verifies. It signs only for identities of `trust_domain`.
    ///
    /// # Errors
    /// [`SignerError`] names the file and what to do about it.
    pub fn new(files: CaFiles<'_>, trust_domain: &str) -> Result<Self, SignerError> {
        let Material { certificate, key, intermediates, roots } = Material::read(files)?;
        let malformed = |reason: String| SignerError::Malformed { file: material::CA_CERT, reason };
        let parsed = peer::parse(&certificate).map_err(|error| malformed(error.to_string()))?;
        if parsed.public_key().raw != key.subject_public_key_info().as_slice() {
            return Err(SignerError::KeyMismatch);
        }
        if !parsed.is_ca() {
            return Err(malformed("it is no CA certificate (basicConstraints CA:TRUE is missing)".to_owned()));
        }
        let (not_before, not_after) =
            (parsed.validity().not_before.to_datetime(), parsed.validity().not_after.to_datetime());
        if !(not_before..=not_after).contains(&OffsetDateTime::now_utc()) {
            return Err(SignerError::NotValidNow { not_before: rfc3339(not_before), not_after: rfc3339(not_after) });
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|error| malformed(error.to_string()))?;
        let roots = TrustBundle::new(roots).map_err(|error| malformed(error.to_string()))?;
        let trust_domain = trust_domain.to_owned();
        let signer = Self { trust_domain, issuer, certificate, intermediates, roots, not_before, not_after };
        signer.verify_own_work().map_err(SignerError::Unverifiable)?;
        Ok(signer)
    }

    /// The roots that peers judge by.
    pub fn roots(&self) -> &TrustBundle {
        &self.roots
    }

    /// The certificate whose key signs.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The trust domain that it signs for.
    pub fn trust_domain(&self) -> &str {
        &self.trust_domain
    }

    /// Begin and end of the signing certificate's life.
    pub fn life(&self) -> (SystemTime, SystemTime) {
        (self.not_before.into(), self.not_after.into())
    }

    /// Signs the key of `request` for `id`, to live for `ttl` from `now` on, [`MAX_TTL`] at most.
    ///
    /// # Errors
    /// [`CaError::Refused`] for an identity or a life that cannot be signed.
    pub fn sign(
        &self,
        request: &SigningRequest,
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
        let name = id.to_string().try_into().map_err(|error: rcgen::Error| refused(error.to_string()))?;
        self.sign_names(request.key(), vec![SanType::URI(name)], ttl, now).map_err(refused)
    }

    /// Makes a key for a server and signs it for DNS names, by which clients that are not in the mesh know it (the API
    /// server that calls a webhook, agents that have no identity yet).
    ///
    /// # Errors
    /// What is wrong with a name, or with the life.
    pub fn server_key(&self, names: &[String], ttl: Duration, now: SystemTime) -> Result<ServerKey, String> {
        let names: Result<_, rcgen::Error> =
            names.iter().map(|name| name.as_str().try_into().map(SanType::DnsName)).collect();
        let key = material::new_key().map_err(|error| error.to_string())?;
        let signed = self.sign_names(&key, names.map_err(|error| error.to_string())?, ttl, now)?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let key = tls::provider().key_provider.load_private_key(key).map_err(|error| error.to_string())?;
        Ok(ServerKey { key: Arc::new(CertifiedKey::new(signed.chain, key)), not_after: signed.not_after })
    }

    fn sign_names(
        &self,
        key: &impl PublicKeyData,
        names: Vec<SanType>,
        ttl: Duration,
        now: SystemTime,
    ) -> Result<SignedChain, String> {
        let (not_before, not_after) = self.leaf_life(ttl, now)?;
        let leaf = leaf_params(names, not_before, not_after).signed_by(key, &self.issuer);
        let mut chain = vec![leaf.map_err(|error| error.to_string())?.der().clone()];
        chain.extend(self.intermediates.iter().cloned());
        Ok(SignedChain { chain, roots: self.roots.clone(), not_after: not_after.into() })
    }

    /// Begin and end of a leaf: from a little before now, for [`MAX_TTL`] in all, never beyond the authority's own end.
    fn leaf_life(&self, ttl: Duration, now: SystemTime) -> Result<(OffsetDateTime, OffsetDateTime), String> {
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

    /// Signs for a throw-away key and verifies that as a peer would, so that a broken chain shows at start and not
    /// in every handshake.
    fn verify_own_work(&self) -> Result<(), String> {
        let id = SpiffeId {
            trust_domain: self.trust_domain.as_str().into(),
            namespace: "weft".into(),
            service_account: "probe".into(),
        };
        let request = KeyRequest::generate(&id).map_err(|error| error.to_string())?;
        let request = SigningRequest::from_der(&request.csr).map_err(|error| error.to_string())?;
        let signed = self.sign(&request, &id, CLOCK_SKEW, SystemTime::now()).map_err(|error| error.to_string())?;
        let anchors = Anchors::of(signed.roots).map_err(|error| error.to_string())?;
        let trust = Trust::new(anchors, TrustDomains::new(&self.trust_domain, []));
        let (leaf, intermediates) = signed.chain.split_first().ok_or("nothing was signed")?;
        ServerVerifier { trust, expected: id }
            .check(leaf, intermediates, UnixTime::now())
            .map_err(|error| error.to_string())
    }
}

/// What a leaf says; nothing of it comes from the request.
fn leaf_params(names: Vec<SanType>, not_before: OffsetDateTime, not_after: OffsetDateTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    // Without a subject the name is the only one there is (and marked critical, RFC 5280 section 4.1.2.6).
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = names;
    params.not_before = not_before;
    params.not_after = not_after;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    params
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("trust_domain", &self.trust_domain).finish_non_exhaustive()
    }
}
