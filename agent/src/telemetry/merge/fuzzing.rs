//! Fuzz target: whatever an application's metrics page says, the pod's page stays one that Prometheus reads.

use std::collections::HashSet;

use super::*;

const MESH: &str =
    "# HELP istio_requests_total x\n# TYPE istio_requests_total counter\nistio_requests_total{a=\"b\"} 1\n";

/// An application's page.
pub fn page(data: &[u8]) {
    let app = String::from_utf8_lossy(data);
    let merged = merge(MESH, &app);
    assert!(merged.starts_with(MESH), "the mesh's series come first and whole");
    assert!(merged.ends_with('\n') && !merged.contains('\0'), "a page that ends early");
    // Each line of a comment may get `_total` twice, no other grows.
    assert!(merged.len() <= MESH.len() + app.len() + 16 * app.lines().count() + 128, "the page grew");
    let mut declared = HashSet::new();
    for line in merged.lines() {
        if let Some((kind, name, _)) = declaration(line) {
            assert!(declared.insert((kind, name.to_owned())), "{name} is declared twice");
        } else if !line.starts_with('#') {
            let sample = sample(line).unwrap_or_else(|| panic!("{line:?} is no sample"));
            assert!(sample.is_classic, "{line:?} is OpenMetrics");
        }
    }
    assert_eq!(merge(&merged, ""), merged);
}
