//! Reading what ctr(1) lists.

use super::*;

#[test]
fn a_name_means_one_digest() {
    let list = "REF TYPE DIGEST SIZE\n\
        ghcr.io/a@sha256:11   application/vnd.oci.image.manifest.v1+json sha256:22 1 MiB linux/amd64 -\n";
    assert!(means(list, "ghcr.io/a@sha256:11", "sha256:22"));
    assert!(!means(list, "ghcr.io/a@sha256:11", "sha256:33"));
    assert!(!means(list, "ghcr.io/a@sha256:1", "sha256:22"));
}
