//! Reading an authority's answer: which of its certificates is what.
//!
//! The answer is a list of PEM texts: the leaf, then the links above it, then the roots. istiod puts the whole of its
//! `cert-chain.pem` before the whole of its `root-cert.pem`, so a root may come twice, and older ones put several
//! certificates into one text. Whether the chain holds is checked by the caller, as for every authority.

use rustls_pki_types::{CertificateDer, pem::PemObject};

use super::super::{
    authority::{SignedChain, TrustBundle},
    ca_protocol::CertificateResponse,
    peer,
};

/// Certificates in an answer; a chain has three or four, a bundle of roots some more.
const MAX_CERTIFICATES: usize = 64;

/// Sorts an answer. The reason when it is none.
pub(super) fn read(answer: &CertificateResponse) -> Result<SignedChain, String> {
    let texts = answer.cert_chain.iter().flat_map(|text| CertificateDer::pem_slice_iter(text.as_bytes()));
    let all: Vec<_> = texts.collect::<Result<_, _>>().map_err(|error| format!("it is not PEM: {error}"))?;
    if all.len() > MAX_CERTIFICATES {
        return Err(format!("it holds {} certificates, more than {MAX_CERTIFICATES}", all.len()));
    }
    let Some((leaf, above)) = all.split_first() else { return Err("it holds no certificate".to_owned()) };
    let Some(last) = above.last() else { return Err("it holds no root".to_owned()) };
    // The last one is a root by its place, self-signed or not: whoever runs the authority may anchor trust below the top.
    let is_root = |certificate: &CertificateDer<'_>| certificate == last || peer::is_self_issued(certificate);
    let mut roots: Vec<CertificateDer<'static>> = Vec::new();
    let mut chain = vec![leaf.clone()];
    for certificate in above {
        let list = if is_root(certificate) { &mut roots } else { &mut chain };
        if !list.contains(certificate) {
            list.push(certificate.clone());
        }
    }
    let parsed = peer::parse(leaf).map_err(|error| error.to_string())?;
    let not_after = parsed.validity().not_after.to_datetime().into();
    let roots = TrustBundle::new(roots).map_err(|error| error.to_string())?;
    Ok(SignedChain { chain, roots, not_after })
}
