//! The files of a [`super::LocalCa`]: created once, whoever comes first, and read back by all.
//!
//! Names are those of Istio's `cacerts` secret: `ca-cert.pem` and `ca-key.pem` sign; `root-cert.pem` and
//! `cert-chain.pem` are there when an operator plugged in an intermediate.
//!
//! How several agents end with one root: a file appears complete or not at all (written under another name, then
//! hard-linked, which fails when the name is taken). The key comes first and decides; the certificate is made from
//! whatever key is there. An agent that dies in between leaves a key from which the next one goes on.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use time::OffsetDateTime;

use super::{LocalCaError, peer};

/// The signing certificate.
pub(super) const CERTIFICATE: &str = "ca-cert.pem";
/// Its private key.
pub(super) const KEY: &str = "ca-key.pem";
/// Roots, if the signing certificate is not one itself.
const ROOTS: &str = "root-cert.pem";
/// From the signing certificate up.
const CHAIN: &str = "cert-chain.pem";

/// Life of a root made here (Istio's self-signed default).
const ROOT_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// How far a new root begins in the past, for nodes whose clocks are behind.
const ROOT_SKEW: Duration = Duration::from_secs(60 * 60);
const KEY_MODE: u32 = 0o600;
const CERTIFICATE_MODE: u32 = 0o644;

/// Everything that the files hold.
pub(super) struct Material {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) key: KeyPair,
    /// Sent after each leaf: from the signing certificate up, without self-signed ones.
    pub(super) intermediates: Vec<CertificateDer<'static>>,
    pub(super) roots: Vec<CertificateDer<'static>>,
}

/// Makes sure that `directory` holds an authority.
pub(super) fn ensure(directory: &Path, trust_domain: &str) -> Result<(), LocalCaError> {
    let (certificate, key) = (directory.join(CERTIFICATE), directory.join(KEY));
    // The certificate is looked for first: it is written last, so where it is, the key must be.
    if exists(&certificate)? {
        return if exists(&key)? {
            Ok(())
        } else {
            Err(LocalCaError::Incomplete { present: certificate, missing: key })
        };
    }
    for plugged_in in [ROOTS, CHAIN].map(|name| directory.join(name)) {
        if exists(&plugged_in)? {
            return Err(LocalCaError::Incomplete { present: plugged_in, missing: certificate });
        }
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|source| LocalCaError::Uncreatable { path: directory.to_owned(), source })?;
    let malformed = |error: rcgen::Error| LocalCaError::Malformed { path: key.clone(), reason: error.to_string() };
    if !exists(&key)? {
        let fresh = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(malformed)?;
        publish(&key, fresh.serialize_pem().as_bytes(), KEY_MODE)?;
    }
    let root = root_params(trust_domain).self_signed(&read_key(&key)?).map_err(malformed)?;
    publish(&certificate, root.pem().as_bytes(), CERTIFICATE_MODE)
}

/// Reads the authority in `directory`.
pub(super) fn load(directory: &Path) -> Result<Material, LocalCaError> {
    let path = directory.join(KEY);
    let key = read_key(&path)?;
    // Not an error: a mounted Kubernetes secret looks like this, and only its pod sees it.
    if fs::metadata(&path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0) {
        tracing::warn!(path = %path.display(), "others may read the key of the certificate authority; chmod 600 is enough");
    }
    let path = directory.join(CERTIFICATE);
    let signing = read_certificates(&path)?;
    let Some(certificate) = signing.first().cloned() else {
        return Err(LocalCaError::Malformed { path, reason: "it holds no certificate".to_owned() });
    };
    let roots = match optional(&directory.join(ROOTS))? {
        Some(roots) => roots,
        None => vec![certificate.clone()],
    };
    let mut intermediates = optional(&directory.join(CHAIN))?.unwrap_or(signing);
    if intermediates.first() != Some(&certificate) {
        intermediates.insert(0, certificate.clone());
    }
    intermediates.retain(|link| !roots.contains(link) && !is_self_issued(link));
    Ok(Material { certificate, key, intermediates, roots })
}

fn is_self_issued(certificate: &CertificateDer<'_>) -> bool {
    peer::parse(certificate).is_ok_and(|certificate| certificate.subject() == certificate.issuer())
}

fn root_params(trust_domain: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, trust_domain);
    params.distinguished_name.push(DnType::CommonName, "weft root CA");
    let now = OffsetDateTime::from(SystemTime::now());
    params.not_before = now - ROOT_SKEW;
    params.not_after = now + ROOT_LIFE;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn exists(path: &Path) -> Result<bool, LocalCaError> {
    path.try_exists().map_err(|source| LocalCaError::Unreadable { path: path.to_owned(), source })
}

fn read(path: &Path) -> Result<Vec<u8>, LocalCaError> {
    fs::read(path).map_err(|source| LocalCaError::Unreadable { path: path.to_owned(), source })
}

fn read_key(path: &Path) -> Result<KeyPair, LocalCaError> {
    // The reason is ours: a parser's message could quote what it read.
    let malformed = |reason: &str| LocalCaError::Malformed { path: path.to_owned(), reason: reason.to_owned() };
    let der = PrivateKeyDer::from_pem_slice(&read(path)?)
        .map_err(|_| malformed("it holds no private key in PEM (PRIVATE KEY, EC PRIVATE KEY or RSA PRIVATE KEY)"))?;
    KeyPair::try_from(&der).map_err(|_| malformed("its private key is of a kind that cannot sign (use ECDSA or RSA)"))
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, LocalCaError> {
    CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<_, _>>()
        .map_err(|error| LocalCaError::Malformed { path: path.to_owned(), reason: format!("not PEM: {error}") })
}

fn optional(path: &Path) -> Result<Option<Vec<CertificateDer<'static>>>, LocalCaError> {
    if exists(path)? { read_certificates(path).map(Some) } else { Ok(None) }
}

/// Gives `path` this content unless it exists already; either way it exists, complete, afterwards.
fn publish(path: &Path, content: &[u8], mode: u32) -> Result<(), LocalCaError> {
    let failed = |source| LocalCaError::Uncreatable { path: path.to_owned(), source };
    let draft = Draft::write(path, content, mode).map_err(failed)?;
    match fs::hard_link(&draft.0, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed(error)),
        _ => Ok(()),
    }
}

/// A file under a temporary name, removed when dropped.
struct Draft(PathBuf);

impl Draft {
    fn write(target: &Path, content: &[u8], mode: u32) -> io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        loop {
            // Agents in other process namespaces may have our number: then the name is taken, and the next one is tried.
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let draft = target.with_extension(format!("{}.{count}.draft", process::id()));
            match OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft) {
                Ok(file) => {
                    let draft = Self(draft);
                    Self::fill(file, content)?;
                    return Ok(draft);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn fill(mut file: File, content: &[u8]) -> io::Result<()> {
        file.write_all(content)?;
        file.sync_all()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // A draft that stays is only untidy: no one reads it, and its mode is that of the target.
        let _ = fs::remove_file(&self.0);
    }
}
