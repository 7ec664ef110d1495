//! The element as Envoy writes it.

use rustls_pki_types::CertificateDer;

use super::*;

#[test]
fn the_element_has_envoys_form() {
    let by = "spiffe://cluster.local/ns/a/sa/web".parse().unwrap();
    let peer = "spiffe://cluster.local/ns/b/sa/caller".parse().unwrap();
    // SHA-256("abc") is the first example of FIPS 180-4.
    assert_eq!(
        xfcc(&by, &CertificateDer::from_slice(b"abc"), &peer),
        "By=spiffe://cluster.local/ns/a/sa/web;\
         Hash=ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad;\
         Subject=\"\";\
         URI=spiffe://cluster.local/ns/b/sa/caller"
    );
}
