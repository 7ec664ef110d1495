use serde_json::{Value, json};

use super::*;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
}

fn enabled() -> Labels {
    labels(&[("istio-injection", "enabled")])
}

fn request(metadata: &Value, spec: &Value) -> AdmissionRequest<Pod> {
    let kind = json!({ "group": "", "version": "v1", "kind": "Pod" });
    let resource = json!({ "group": "", "version": "v1", "resource": "pods" });
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec });
    serde_json::from_value(json!({
        "uid": "u1", "kind": kind, "resource": resource, "namespace": "shop", "operation": "CREATE", "userInfo": {},
        "object": pod, "oldObject": null,
    }))
    .unwrap()
}

/// Metadata of the pod after the patch; `None` when there was none.
fn patched(metadata: &Value, namespace: &Labels, mesh: &MeshConfig) -> Option<Value> {
    let response = mutate_pod(&request(metadata, &json!({ "containers": [] })), namespace, mesh);
    assert!(response.allowed);
    let operations: Vec<Value> = serde_json::from_slice(&response.patch?).unwrap();
    let mut pod = json!({ "metadata": metadata });
    operations.iter().for_each(|operation| apply(&mut pod, operation));
    Some(pod["metadata"].clone())
}

/// One operation of a JSON Patch: as strict as the API server, which refuses to remove what is not there.
fn apply(object: &mut Value, operation: &Value) {
    let path = operation["path"].as_str().unwrap();
    let (parent, key) = path.rsplit_once('/').unwrap();
    let parent =
        object.pointer_mut(parent).and_then(Value::as_object_mut).unwrap_or_else(|| panic!("{path}: no parent"));
    let key = key.replace("~1", "/").replace("~0", "~");
    match operation["op"].as_str().unwrap() {
        "add" => drop(parent.insert(key, operation["value"].clone())),
        "remove" => drop(parent.remove(&key).unwrap_or_else(|| panic!("{path} is not there"))),
        other => panic!("operation {other}"),
    }
}

/// A pod of a Deployment, with these annotations.
fn metadata(annotations: Value) -> Value {
    json!({
        "generateName": "name-v1-5d4f-",
        "labels": { "app": "sentences", "version": "v1", "pod-template-hash": "5d4f" },
        "annotations": annotations,
        "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "name-v1-5d4f", "uid": "u", "controller": true }],
    })
}

#[test]
fn the_metrics_of_an_enrolled_pod_are_on_the_agent_s_page() {
    let mesh = MeshConfig::default();
    let before =
        json!({ "prometheus.io/scrape": "true", "prometheus.io/port": "8000", "prometheus.io/path": "/metrics" });
    let after = patched(&metadata(before), &enabled(), &mesh).unwrap();
    assert_eq!(
        after["annotations"],
        json!({
            "ambient.istio.io/redirection": "enabled",
            "prometheus.io/path": "/stats/prometheus",
            "prometheus.io/port": "15020",
            "prometheus.io/scrape": "true",
            "prometheus.weft.dev/path": "/metrics",
            "prometheus.weft.dev/port": "8000",
            "prometheus.weft.dev/scrape": "true",
        })
    );
    assert_eq!(
        after["labels"],
        json!({
            "app": "sentences", "version": "v1", "pod-template-hash": "5d4f",
            "security.istio.io/tlsMode": "istio",
            "service.istio.io/canonical-name": "sentences",
            "service.istio.io/canonical-revision": "v1",
        })
    );
    // What discovery makes of it: the application is still where it was.
    let annotations: BTreeMap<String, String> = serde_json::from_value(after["annotations"].clone()).unwrap();
    let application = Written::of(Some(&annotations)).application().unwrap();
    assert_eq!((application.port, application.path, application.merge), (8000, "/metrics", true));
    assert_eq!(patched(&after, &enabled(), &mesh), None, "once is enough");
}

#[test]
fn a_pod_that_says_nothing_is_scraped_for_the_mesh_s_series() {
    let after = patched(&json!({ "name": "alone" }), &enabled(), &MeshConfig::default()).unwrap();
    assert_eq!(
        after,
        json!({
            "name": "alone",
            "annotations": {
                "ambient.istio.io/redirection": "enabled",
                "prometheus.io/path": "/stats/prometheus",
                "prometheus.io/port": "15020",
                "prometheus.io/scrape": "true",
            },
            "labels": {
                "security.istio.io/tlsMode": "istio",
                "service.istio.io/canonical-name": "alone",
                "service.istio.io/canonical-revision": "latest",
            },
        })
    );
    let annotations: BTreeMap<String, String> = serde_json::from_value(after["annotations"].clone()).unwrap();
    assert_eq!(Written::of(Some(&annotations)).application(), None);
}

#[test]
fn who_wants_no_merge_keeps_the_annotations() {
    let mesh = MeshConfig::default();
    let prometheus = |annotations: Value, mesh: &MeshConfig| {
        let after = patched(&metadata(annotations), &enabled(), mesh).unwrap();
        let mut annotations = after["annotations"].clone();
        annotations.as_object_mut().unwrap().remove(REDIRECTION).unwrap();
        annotations
    };
    let apart = json!({ "prometheus.io/scrape": "true", "prometheus.io/port": "8000", "prometheus.istio.io/merge-metrics": "false" });
    assert_eq!(prometheus(apart.clone(), &mesh), apart);
    let hidden = json!({ "prometheus.io/scrape": "false" });
    assert_eq!(prometheus(hidden.clone(), &mesh), hidden);
    let off = MeshConfig { prometheus_merge: false, ..MeshConfig::default() };
    let plain = json!({ "prometheus.io/scrape": "true" });
    assert_eq!(prometheus(plain.clone(), &off), plain);
}

#[test]
fn other_spellings_give_way_to_the_standard_one() {
    let before = json!({ "prometheus.io.scrape": "true", "prometheus.io/port": "8000", "prometheus_io_path": "/m" });
    let after = patched(&metadata(before), &enabled(), &MeshConfig::default()).unwrap();
    let annotations = after["annotations"].as_object().unwrap();
    let keys: Vec<&str> = annotations.keys().map(String::as_str).filter(|key| key.starts_with("prometheus")).collect();
    assert_eq!(
        keys,
        [
            "prometheus.io/path",
            "prometheus.io/port",
            "prometheus.io/scrape",
            "prometheus.weft.dev/path",
            "prometheus.weft.dev/port",
            "prometheus.weft.dev/scrape",
        ]
    );
    assert_eq!(annotations["prometheus.weft.dev/path"], "/m");
}

#[test]
fn a_port_that_is_none_is_left_and_said() {
    let before = metadata(json!({ "prometheus.io/scrape": "true", "prometheus.io/port": "metrics" }));
    let response = mutate_pod(&request(&before, &json!({ "containers": [] })), &enabled(), &MeshConfig::default());
    let warnings = response.warnings.unwrap();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("prometheus.io/port: \"metrics\" is no port"), "{warnings:?}");
    let patch = String::from_utf8(response.patch.unwrap()).unwrap();
    assert!(!patch.contains("prometheus"), "{patch}");
}

#[test]
fn labels_that_are_there_stay() {
    let own = json!({
        "name": "p",
        "labels": { "app": "a", "security.istio.io/tlsMode": "disabled", "service.istio.io/canonical-name": "mine" },
    });
    let after = patched(&own, &enabled(), &MeshConfig::default()).unwrap();
    assert_eq!(after["labels"]["security.istio.io/tlsMode"], "disabled");
    assert_eq!(after["labels"]["service.istio.io/canonical-name"], "mine");
}

#[test]
fn canonical_names_fit_into_a_label() {
    let name = |metadata: Value| {
        let after = patched(&metadata, &enabled(), &MeshConfig::default()).unwrap();
        after["labels"]["service.istio.io/canonical-name"].as_str().unwrap().to_owned()
    };
    let owner = |kind: &str, name: &str| json!([{ "apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "u", "controller": true }]);
    assert_eq!(name(json!({ "name": "p", "labels": { "app": "a", "app.kubernetes.io/name": "b" } })), "b");
    assert_eq!(name(json!({ "generateName": "db-", "ownerReferences": owner("StatefulSet", "db") })), "db");
    assert_eq!(name(json!({ "generateName": "alone-" })), "alone");
    let long = format!("{}.{}", "a".repeat(62), "b".repeat(20));
    assert_eq!(name(json!({ "name": "p", "ownerReferences": owner("StatefulSet", &long) })), "a".repeat(62));
}

#[test]
fn pods_outside_of_the_mesh_are_not_touched() {
    let mesh = MeshConfig::default();
    let annotated = metadata(json!({ "prometheus.io/scrape": "true" }));
    assert_eq!(patched(&annotated, &labels(&[]), &mesh), None);
    assert_eq!(patched(&annotated, &labels(&[("istio-injection", "disabled")]), &mesh), None);
    let opted_out = metadata(json!({ "sidecar.istio.io/inject": "false", "prometheus.io/scrape": "true" }));
    assert_eq!(patched(&opted_out, &enabled(), &mesh), None);
    let by_label = json!({ "name": "p", "labels": { "sidecar.istio.io/inject": "false" } });
    assert_eq!(patched(&by_label, &enabled(), &mesh), None);
    let opted_in = json!({ "name": "p", "labels": { "sidecar.istio.io/inject": "true" } });
    assert!(patched(&opted_in, &labels(&[]), &mesh).is_some());
    let on_the_node = request(&metadata(json!({})), &json!({ "containers": [], "hostNetwork": true }));
    assert!(mutate_pod(&on_the_node, &enabled(), &mesh).patch.is_none());
}

#[test]
fn a_pod_that_leaves_the_mesh_is_as_it_was() {
    let mesh = MeshConfig::default();
    let meta = |value: &Value| serde_json::from_value::<ObjectMeta>(value.clone()).unwrap();
    let undone = |value: &Value| {
        let mut pod = json!({ "metadata": value });
        undo(&meta(value)).operations(&meta(value)).iter().for_each(|operation| apply(&mut pod, operation));
        pod["metadata"].clone()
    };
    let before = metadata(json!({ "prometheus.io/scrape": "true", "prometheus.io/port": "8000", "a": "b" }));
    let inside = patched(&before, &enabled(), &mesh).unwrap();
    let outside = undone(&inside);
    assert_eq!(outside["annotations"], before["annotations"]);
    assert_eq!(outside["labels"].get(TLS_MODE), None);
    assert_eq!(undone(&outside), outside, "once is enough");
    let silent = undone(&patched(&json!({ "name": "alone" }), &enabled(), &mesh).unwrap());
    assert_eq!(silent["annotations"], json!({}));
    // Not ours: a sidecar of Istio's, or a pod of its ambient mode.
    let sidecar = json!({
        "name": "p", "labels": { TLS_MODE: "istio" },
        "annotations": { "sidecar.istio.io/status": "{}", REDIRECTION: "enabled", "prometheus.io/port": "15020" },
    });
    assert_eq!(undone(&sidecar), sidecar);
    let ambient = json!({ "name": "p", "annotations": { REDIRECTION: "enabled" } });
    assert_eq!(undone(&ambient), ambient);
}

#[test]
fn doubt_is_about_the_label_that_peers_rely_on() {
    assert!(is_doubtful(true, &labels(&[])));
    assert!(!is_doubtful(true, &labels(&[(TLS_MODE, "istio")])));
    assert!(!is_doubtful(true, &labels(&[(TLS_MODE, "disabled")])), "somebody's will");
    assert!(is_doubtful(false, &labels(&[(TLS_MODE, "istio")])));
    assert!(!is_doubtful(false, &labels(&[])));
}
