//! Certificates for the peers of the comparison, as a mesh would give them: one authority, SPIFFE names, ECDSA P-256.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

/// Files of one identity.
#[derive(Clone, Debug)]
pub struct Files {
    /// The authority's certificate.
    pub authority: PathBuf,
    /// The certificate chain.
    pub chain: PathBuf,
    /// The private key.
    pub key: PathBuf,
    /// The SPIFFE name.
    pub name: String,
}

/// Makes an authority and the identities of `accounts` (namespace, service account) below `dir`.
pub fn issue<const N: usize>(dir: &Path, accounts: [(&str, &str); N]) -> Result<[Files; N]> {
    fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    // Without names of their own the authority and what it signs would look like one self-signed certificate.
    params.distinguished_name.push(DnType::OrganizationName, "cluster.local");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let certificate = params.self_signed(&key)?;
    let authority = dir.join("authority.pem");
    write(&authority, &certificate.pem())?;
    let issuer = Issuer::new(params, key);
    let issued = accounts.map(|(namespace, account)| identity(dir, &authority, &issuer, namespace, account));
    let issued: Vec<Files> = issued.into_iter().collect::<Result<_>>()?;
    issued.try_into().map_err(|_| anyhow::anyhow!("as many identities as accounts"))
}

fn identity(
    dir: &Path,
    authority: &Path,
    issuer: &Issuer<'_, KeyPair>,
    namespace: &str,
    account: &str,
) -> Result<Files> {
    let name = format!("spiffe://cluster.local/ns/{namespace}/sa/{account}");
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![SanType::URI(name.as_str().try_into()?)];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = params.signed_by(&key, issuer)?;
    let [chain, private] = ["chain", "key"].map(|kind| dir.join(format!("{account}.{kind}.pem")));
    write(&chain, &certificate.pem())?;
    write(&private, &key.serialize_pem())?;
    Ok(Files { authority: authority.to_owned(), chain, key: private, name })
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}
