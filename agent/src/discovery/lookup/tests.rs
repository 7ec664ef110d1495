use k8s_openapi::api::core::v1::{Namespace, Pod};
use serde_json::{Value, json};
use weft_model::workload::Enrolment;

use super::of;

fn enrolled(namespace: Value, pod: Value) -> bool {
    let namespace: Namespace = serde_json::from_value(json!({ "metadata": { "labels": namespace } })).unwrap();
    let pod: Pod = serde_json::from_value(pod).unwrap();
    of("default", &namespace, &pod) == Enrolment::Enrolled
}

#[test]
fn a_pod_is_judged_as_the_watch_would() {
    let on = json!({"istio-injection": "enabled"});
    assert!(enrolled(on.clone(), json!({})));
    assert!(!enrolled(json!({}), json!({})));
    assert!(enrolled(json!({}), json!({"metadata": {"labels": {"sidecar.istio.io/inject": "true"}}})));
    assert!(!enrolled(on.clone(), json!({"metadata": {"annotations": {"sidecar.istio.io/inject": "false"}}})));
    assert!(!enrolled(on, json!({"spec": {"hostNetwork": true, "containers": []}})));
}
