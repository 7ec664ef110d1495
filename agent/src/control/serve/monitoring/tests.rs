//! The version, as those who ask for it take it apart.

use super::*;

#[test]
fn kiali_and_istioctl_find_a_version() {
    let version = version();
    // Kiali takes the first match of these for a snapshot, a release candidate or a development version.
    for other in [
        r"istio-release-[0-9]+\.[0-9]+-[0-9]{8}",
        r"\d+\.\d+.\d+-(?:alpha|beta|rc|RC)\.\d+",
        r"\d+\.\d+-(?:alpha\.|dev-)[[:alnum:]]+-",
    ] {
        assert!(!regex::Regex::new(other).unwrap().is_match(&version), "{other} matches {version}");
    }
    let release = regex::Regex::new(r"([0-9]+\.[0-9]+\.[0-9]+)").unwrap();
    assert_eq!(release.captures(&version).unwrap()[1], *ISTIO_LEVEL);
    assert!(version.split('-').count() >= 3, "istioctl wants three parts: {version}");
}
