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
    time::SystemTime,
};

use super::{
    super::material::{self, CA_CERT, CA_KEY, CERT_CHAIN, ROOT_CERT},
    LocalCaError,
};

const KEY_MODE: u32 = 0o600;
const CERTIFICATE_MODE: u32 = 0o644;

/// The files' texts.
pub(super) struct Texts {
    pub(super) certificate: Vec<u8>,
    pub(super) key: Vec<u8>,
    pub(super) roots: Option<Vec<u8>>,
    pub(super) chain: Option<Vec<u8>>,
}

/// Makes sure that `directory` holds an authority.
pub(super) fn ensure(directory: &Path, trust_domain: &str) -> Result<(), LocalCaError> {
    let (certificate, key) = (directory.join(CA_CERT), directory.join(CA_KEY));
    // The certificate is looked for first: it is written last, so where it is, the key must be.
    if exists(&certificate)? {
        return if exists(&key)? {
            Ok(())
        } else {
            Err(LocalCaError::Incomplete { present: certificate, missing: key })
        };
    }
    for plugged_in in [ROOT_CERT, CERT_CHAIN].map(|name| directory.join(name)) {
        if exists(&plugged_in)? {
            return Err(LocalCaError::Incomplete { present: plugged_in, missing: certificate });
        }
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|source| LocalCaError::Uncreatable { path: directory.to_owned(), source })?;
    let failed = |source| LocalCaError::Unusable { directory: directory.to_owned(), source };
    if !exists(&key)? {
        let fresh = material::new_key().map_err(|error| failed(material::ungenerated(CA_KEY, &error)))?;
        publish(&key, fresh.serialize_pem().as_bytes(), KEY_MODE)?;
    }
    let key = material::read_key(&read(&key)?).map_err(failed)?;
    let root = material::root_certificate(&key, trust_domain, SystemTime::now())
        .map_err(|error| failed(material::ungenerated(CA_CERT, &error)))?;
    publish(&certificate, root.as_bytes(), CERTIFICATE_MODE)
}

/// Reads the files of the authority in `directory`.
pub(super) fn load(directory: &Path) -> Result<Texts, LocalCaError> {
    let path = directory.join(CA_KEY);
    let key = read(&path)?;
    // Not an error: a mounted Kubernetes secret looks like this, and only its pod sees it.
    if fs::metadata(&path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0) {
        tracing::warn!(path = %path.display(), "others may read the key of the certificate authority; chmod 600 is enough");
    }
    let certificate = read(&directory.join(CA_CERT))?;
    let (roots, chain) = (optional(&directory.join(ROOT_CERT))?, optional(&directory.join(CERT_CHAIN))?);
    Ok(Texts { certificate, key, roots, chain })
}

fn exists(path: &Path) -> Result<bool, LocalCaError> {
    path.try_exists().map_err(|source| LocalCaError::Unreadable { path: path.to_owned(), source })
}

fn read(path: &Path) -> Result<Vec<u8>, LocalCaError> {
    fs::read(path).map_err(|source| LocalCaError::Unreadable { path: path.to_owned(), source })
}

fn optional(path: &Path) -> Result<Option<Vec<u8>>, LocalCaError> {
    if exists(path)? { read(path).map(Some) } else { Ok(None) }
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
