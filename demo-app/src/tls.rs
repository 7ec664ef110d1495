//! TLS on both sides: verifying servers behind `https://` URLs, and serving httpbin-lite with a certificate.
//!
//! Called by [`crate::client`] and [`crate::httpbin`]. Trust comes from PEM bundles only: a file the user names, else
//! SSL_CERT_FILE, else the bundle of the distribution.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Where distributions keep their bundle of trusted roots (Debian and Alpine, Fedora, the BSD way).
const SYSTEM_BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// There is no bundle of trusted roots.
    #[error("no bundle of trusted CA certificates found: name one with SSL_CERT_FILE (or --cacert)")]
    NoBundle,
    /// A PEM file could not be read.
    #[error("cannot read {path}: {source}")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls_pki_types::pem::Error,
    },
    /// A PEM file holds nothing usable.
    #[error("{path} holds no usable certificate: expected PEM blocks `BEGIN CERTIFICATE`")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// rustls refused the material.
    #[error("TLS configuration refused: {0}")]
    Refused(#[from] rustls::Error),
}

/// A client configuration that trusts the roots in `bundle`, or in the usual places.
///
/// # Errors
/// [`TlsError`] when no bundle is found or it is not usable.
pub fn client_config(bundle: Option<&Path>) -> Result<Arc<ClientConfig>, TlsError> {
    let path = bundle
        .map(Path::to_owned)
        .or_else(|| std::env::var_os("SSL_CERT_FILE").map(PathBuf::from))
        .or_else(|| SYSTEM_BUNDLES.iter().map(PathBuf::from).find(|path| path.is_file()))
        .ok_or(TlsError::NoBundle)?;
    let mut roots = RootCertStore::empty();
    // System bundles hold the odd certificate rustls does not accept; one of them must not spoil the others.
    let (added, _refused) = roots.add_parsable_certificates(certificates(&path)?);
    if added == 0 {
        return Err(TlsError::Empty { path });
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// A server configuration with the chain and key in two PEM files.
///
/// # Errors
/// [`TlsError`] when a file is not usable or the key does not belong to the certificate.
pub fn server_config(chain: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let certificates = certificates(chain)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|source| TlsError::Pem { path: key.to_owned(), source })?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = |source| TlsError::Pem { path: path.to_owned(), source };
    let certificates: Vec<_> =
        CertificateDer::pem_file_iter(path).map_err(pem)?.collect::<Result<_, _>>().map_err(pem)?;
    if certificates.is_empty() { Err(TlsError::Empty { path: path.to_owned() }) } else { Ok(certificates) }
}
