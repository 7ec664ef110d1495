//! Arithmetic with bundles of roots in PEM.

use crate::identity::TrustBundle;

/// `roots` without the certificates in `gone`; `roots` as they are when that would leave none, or they cannot be read.
pub(super) fn without(roots: &[u8], gone: &[u8]) -> Vec<u8> {
    let (Ok(all), Ok(gone)) = (TrustBundle::from_pem(roots), TrustBundle::from_pem(gone)) else {
        return roots.to_vec();
    };
    let kept = all.roots().iter().filter(|root| !gone.roots().contains(root)).cloned().collect();
    TrustBundle::new(kept).map_or_else(|_none| roots.to_vec(), |kept| kept.to_pem().into_bytes())
}
