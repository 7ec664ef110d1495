//! Who signs this node's certificates: a directory, or a service of the mesh.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use tokio::sync::watch;
use weft_model::{identity::SpiffeId, snapshot::Snapshot};

use super::Config;
use crate::identity::{
    self, CertificateAuthority, Identities, LocalCa, Published, RemoteCa, RemoteCaConfig, RootFile, TrustDomains,
};

/// Who signs this node's certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CaSource {
    /// A directory in the state directory.
    Local,
    /// A service that speaks Istio's certificate protocol.
    Remote {
        /// `https://host:port`.
        address: String,
        /// File with the published roots.
        root: PathBuf,
        /// File with the token that proves who asks.
        token: PathBuf,
    },
}

/// The identities of this node, and the watch of the roots that the mesh publishes, if it does.
pub(super) fn open_identities(
    config: &Config,
    snapshot: &Snapshot,
    wanted: watch::Receiver<BTreeSet<SpiffeId>>,
) -> anyhow::Result<(Arc<Identities>, Option<RootFile>)> {
    let mesh = &snapshot.mesh;
    let domains = TrustDomains::new(&mesh.trust_domain, mesh.trust_domain_aliases.iter().map(|alias| &**alias));
    let jitter: identity::Jitter = Arc::new(fastrand::f64);
    let (authority, published, roots) = open_authority(config, &mesh.trust_domain)?;
    let identities =
        identity::Config { ttl: config.certificate_ttl, published, ..identity::Config::new(domains, jitter) };
    Ok((Identities::new(authority, wanted, identities), roots))
}

/// Who signs, and where its roots are published if they are.
type Authority = (Arc<dyn CertificateAuthority>, Option<watch::Receiver<Published>>, Option<RootFile>);

fn open_authority(config: &Config, trust_domain: &str) -> anyhow::Result<Authority> {
    match &config.ca {
        CaSource::Local => {
            let directory = config.state_dir.join("ca");
            let authority = LocalCa::open_or_create(&directory, trust_domain)
                .with_context(|| format!("cannot open the local certificate authority in {}", directory.display()))?;
            Ok((Arc::new(authority), None, None))
        }
        CaSource::Remote { address, root, token } => {
            let (published, roots) = RootFile::watch(root.clone());
            let remote =
                RemoteCaConfig { address: address.clone(), token: token.clone(), published: published.clone() };
            Ok((Arc::new(RemoteCa::new(remote)?), Some(published), Some(roots)))
        }
    }
}
