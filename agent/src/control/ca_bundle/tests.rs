//! What is applied, and when nothing is.

use super::*;

fn configuration(bundles: &[Option<&str>]) -> ValidatingWebhookConfiguration {
    let webhooks: Vec<_> = bundles
        .iter()
        .enumerate()
        .map(|(number, bundle)| {
            let bundle = bundle.map(|bundle| ByteString(bundle.as_bytes().to_vec()));
            json!({
                "name": format!("hook-{number}.weft.dev"),
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "clientConfig": { "service": { "name": "istiod", "namespace": "istio-system" }, "caBundle": bundle },
            })
        })
        .collect();
    let written = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": { "name": VALIDATING_CONFIGURATION },
        "webhooks": webhooks,
    });
    serde_json::from_value(written).unwrap()
}

#[test]
fn the_bundle_alone_is_applied_to_every_webhook() {
    let patch = patch(&configuration(&[Some("new"), Some("old"), None]), "new").unwrap();
    let hook =
        |number: u8| json!({ "name": format!("hook-{number}.weft.dev"), "clientConfig": { "caBundle": "bmV3" } });
    assert_eq!(
        patch,
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": { "name": VALIDATING_CONFIGURATION },
            "webhooks": [hook(0), hook(1), hook(2)],
        })
    );
}

#[test]
fn what_is_right_is_left_alone() {
    assert_eq!(patch(&configuration(&[Some("new"), Some("new")]), "new"), None);
    assert_eq!(patch(&configuration(&[]), "new"), None);
}
