//! Removing from a server in memory: the order, and what stays.

use std::time::Duration;

use serde_json::json;

use super::{Remains, Removal, nodes, uninstall_these};
use crate::install::{
    fixture::{FakeServer, Written},
    manifests::{Manifest, PART_OF, Part, documents},
};

const SYSTEM: &str = "/api/v1/namespaces/istio-system";
const CRD: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/gateways.networking.istio.io";
const AGENTS: &str = "/apis/apps/v1/namespaces/istio-system/daemonsets/weft-agent";

/// What is installed: a namespace, a CRD, settings, control plane, webhook, agents.
fn installed(server: &FakeServer) -> Vec<Manifest> {
    let labels = json!({PART_OF.0: PART_OF.1});
    let mut manifests = Vec::new();
    let mut add = |part, path: &str, text: &str| {
        let mut object = documents(text).unwrap().remove(0);
        object["metadata"]["labels"] = labels.clone();
        server.put(path, object.clone());
        manifests.push(Manifest { part, object });
    };
    add(Part::Namespace, SYSTEM, "{apiVersion: v1, kind: Namespace, metadata: {name: istio-system}}");
    add(
        Part::Crds,
        CRD,
        "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: gateways.networking.istio.io},
          spec: {group: networking.istio.io, names: {kind: Gateway, plural: gateways}, scope: Namespaced,
                 versions: [{name: v1, served: true, storage: true}]}}",
    );
    add(
        Part::MeshConfig,
        &format!("{SYSTEM}/configmaps/istio"),
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: istio, namespace: istio-system}}",
    );
    add(
        Part::Control,
        "/apis/apps/v1/namespaces/istio-system/deployments/weft-control",
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: weft-control, namespace: istio-system}}",
    );
    add(
        Part::Webhooks,
        "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/weft",
        "{apiVersion: admissionregistration.k8s.io/v1, kind: MutatingWebhookConfiguration, metadata: {name: weft}}",
    );
    add(
        Part::Agents,
        AGENTS,
        "{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: weft-agent, namespace: istio-system},
          spec: {selector: {}, template: {spec: {containers: [{name: agent, image: 'r/weft:7', imagePullPolicy: Always}],
                 volumes: [{name: cni-bin, hostPath: {path: /bin}}, {name: run, hostPath: {path: /elsewhere}}]}}}}",
    );
    let ours = json!([{"manager": "weft-control"}]);
    for path in
        ["/api/v1/namespaces/default/configmaps/istio-ca-root-cert", &format!("{SYSTEM}/secrets/istio-ca-secret")]
    {
        server.put(path, json!({"metadata": {"managedFields": ours}}));
    }
    server.put(&format!("{SYSTEM}/configmaps/kube-root-ca.crt"), json!({"metadata": {}}));
    manifests
}

async fn run(server: &FakeServer, manifests: &[Manifest], removal: &Removal) -> (anyhow::Result<Remains>, String) {
    let written = Written::default();
    let remains = uninstall_these(&server.client(), removal, manifests, &mut written.progress()).await;
    (remains, written.text())
}

fn removal() -> Removal {
    Removal { keep_ca: false, purge: false, skip_nodes: false, timeout: Duration::from_secs(5) }
}

#[tokio::test]
async fn everything_goes_webhooks_first_and_agents_before_what_they_leave_is_cleaned() {
    let server = FakeServer::default();
    let manifests = installed(&server);
    let (remains, text) = run(&server, &manifests, &removal()).await;
    assert_eq!(remains.unwrap(), Remains::default(), "{text}");
    let changes: Vec<String> = server
        .changes()
        .iter()
        .map(|one| {
            let (method, path) = one.split_once(' ').unwrap();
            format!("{method} {}", path.rsplit('/').next().unwrap())
        })
        .collect();
    assert_eq!(
        changes,
        [
            "DELETE weft",
            "PATCH weft-release",
            "DELETE weft-agent",
            "DELETE weft-release",
            "PATCH weft-cleanup",
            "DELETE weft-cleanup",
            "DELETE weft-control",
            "DELETE istio-ca-root-cert",
            "DELETE istio-ca-secret",
            "DELETE istio",
            "DELETE gateways.networking.istio.io",
            "DELETE istio-system",
        ]
    );
    let (remains, text) = run(&server, &manifests, &removal()).await;
    assert_eq!((remains.unwrap(), &*text), (Remains::default(), "nothing of weft's is installed here\n"));
}

#[tokio::test]
async fn what_users_have_made_stays_unless_they_say_otherwise() {
    let server = FakeServer::default();
    let manifests = installed(&server);
    server.put("/apis/networking.istio.io/v1/namespaces/default/gateways/mine", json!({"metadata": {}}));
    server.put(&format!("{SYSTEM}/services/kiali"), json!({"metadata": {}}));
    let of_istio = "/api/v1/namespaces/other/configmaps/istio-ca-root-cert";
    server.put(of_istio, json!({"metadata": {"managedFields": [{"manager": "pilot-discovery"}]}}));
    let (remains, _) = run(&server, &manifests, &Removal { keep_ca: true, ..removal() }).await;
    assert_eq!(
        remains.unwrap().kept,
        [
            "Secret istio-system/istio-ca-secret, as --keep-ca says",
            "CRD gateways.networking.istio.io, because Gateway default/mine exists: `weft uninstall --purge` removes both",
            "namespace istio-system, because of Service/kiali",
        ]
    );
    assert!(server.object(CRD).is_some() && server.object(of_istio).is_some());
    assert!(server.object(&format!("{SYSTEM}/secrets/istio-ca-secret")).is_some());
    let (remains, _) = run(&server, &manifests, &Removal { purge: true, ..removal() }).await;
    assert_eq!(remains.unwrap().kept, ["namespace istio-system, because of Service/kiali"]);
    assert!(server.object(CRD).is_none());
}

#[tokio::test]
async fn pods_and_nodes_are_no_longer_said_to_be_in_the_mesh() {
    let server = FakeServer::default();
    let manifests = installed(&server);
    let condition = |kind: &str| json!({"conditions": [{"type": kind, "status": "True"}]});
    let marked = |more: &str| {
        json!({"metadata": {
            "labels": {"security.istio.io/tlsMode": "istio", "app": "a"},
            "annotations": {"ambient.istio.io/redirection": "enabled", more: "x"},
        }, "spec": {"containers": []}, "status": condition("weft.dev/Captured")})
    };
    server.put("/api/v1/namespaces/default/pods/ours", marked("note"));
    server.put("/api/v1/namespaces/default/pods/with-sidecar", marked("sidecar.istio.io/status"));
    server.put("/api/v1/namespaces/default/pods/other", json!({"metadata": {}, "spec": {"containers": []}}));
    server.put("/api/v1/nodes/a", json!({"metadata": {}, "status": condition("WeftReady")}));
    let (remains, text) = run(&server, &manifests, &Removal { skip_nodes: true, ..removal() }).await;
    assert_eq!(remains.unwrap().kept, [""; 0], "{text}");
    let pod = |name: &str| server.object(&format!("/api/v1/namespaces/default/pods/{name}")).unwrap();
    assert_eq!(pod("ours")["metadata"]["labels"], json!({"app": "a"}));
    assert_eq!(pod("ours")["metadata"]["annotations"], json!({"note": "x"}));
    assert_eq!(pod("with-sidecar")["metadata"]["labels"]["security.istio.io/tlsMode"], "istio");
    let statuses: Vec<String> = server.changes().into_iter().filter(|one| one.ends_with("/status")).collect();
    let condition_of = |name: &str| format!("PATCH /api/v1/namespaces/default/pods/{name}/status");
    assert!(statuses.contains(&condition_of("ours")) && statuses.contains(&condition_of("with-sidecar")));
    assert!(statuses.contains(&"PATCH /api/v1/nodes/a/status".to_owned()), "{statuses:?}");
    assert!(!statuses.contains(&condition_of("other")), "{statuses:?}");
}

#[tokio::test]
async fn what_does_not_carry_our_label_is_not_ours() {
    let server = FakeServer::default();
    let manifests = installed(&server);
    server.put(SYSTEM, json!({"metadata": {}}));
    server.put(CRD, json!({"metadata": {"labels": {"app": "istio"}}}));
    let (remains, _) = run(&server, &manifests, &removal()).await;
    assert_eq!(remains.unwrap().kept, ["namespace istio-system, which was there before weft"]);
    assert!(server.object(CRD).is_some() && server.object(SYSTEM).is_some());
}

#[test]
fn the_nodes_pods_use_the_agents_image_and_cni_folders() {
    let server = FakeServer::default();
    installed(&server);
    let agents = serde_json::from_value(server.object(AGENTS).unwrap()).unwrap();
    let round = nodes::round("weft-cleanup", "--all", Some(&agents)).unwrap();
    let pod = &round.object["spec"]["template"]["spec"];
    let (work, stay) = (&pod["initContainers"][0], &pod["containers"][0]);
    assert_eq!((&work["image"], &work["imagePullPolicy"]), (&json!("r/weft:7"), &json!("Always")));
    assert_eq!((&work["args"], &stay["args"]), (&json!(["--all"]), &json!(["--all", "--stay"])));
    let path = |name: &str| {
        let volumes = pod["volumes"].as_array().unwrap();
        volumes.iter().find(|volume| volume["name"] == name).unwrap()["hostPath"]["path"].clone()
    };
    assert_eq!(
        (path("cni-bin"), path("cni-conf"), path("run")),
        (json!("/bin"), json!("/etc/cni/net.d"), json!("/run"))
    );
    let mounts = stay["volumeMounts"].as_array().unwrap();
    assert!(mounts.contains(&json!({"name": "cni-bin", "mountPath": "/bin"})), "{mounts:?}");
    assert!(work["env"].as_array().unwrap().contains(&json!({"name": "WEFT_CNI_BIN_DIR", "value": "/bin"})));
    assert_eq!(round.object["spec"]["selector"]["matchLabels"], pod_labels(&round));
}

fn pod_labels(manifest: &Manifest) -> serde_json::Value {
    let mut labels = manifest.object["spec"]["template"]["metadata"]["labels"].clone();
    labels.as_object_mut().unwrap().remove("sidecar.istio.io/inject");
    labels
}
