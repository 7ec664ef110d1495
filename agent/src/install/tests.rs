//! Installing onto a server in memory: the order, what stays as it was, what is refused, and what waiting says.

use std::{collections::BTreeSet, path::Path, time::Duration};

use http::Method;
use serde_json::{Value, json};

use super::{
    Setup,
    fixture::{FakeServer, Written, refusal},
    install_these,
    manifests::{FILES, IMAGE, Manifest, PART_OF, Part, documents, manifests},
    options::Options,
};
use crate::{discovery::api_server::catalog, kubernetes::MESH_CONFIG_MAP};

const SYSTEM: &str = "/api/v1/namespaces/istio-system";

/// One object of each part.
fn sample() -> Vec<Manifest> {
    let text = "
{apiVersion: v1, kind: Namespace, metadata: {name: istio-system}}
---
{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: gateways.networking.istio.io},
 spec: {group: networking.istio.io, names: {kind: Gateway, plural: gateways}, scope: Namespaced,
        versions: [{name: v1, served: true, storage: true}]}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: istio, namespace: istio-system}, data: {mesh: ours, more: ours}}
---
{apiVersion: v1, kind: Service, metadata: {name: istiod, namespace: istio-system}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: weft-control, namespace: istio-system},
 spec: {replicas: 2, selector: {matchLabels: {app: istiod}}, template: {}}}
---
{apiVersion: admissionregistration.k8s.io/v1, kind: MutatingWebhookConfiguration, metadata: {name: weft}}
---
{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: weft-agent, namespace: istio-system},
 spec: {selector: {matchLabels: {app: weft-agent}}, template: {}}}
";
    let parts =
        [Part::Namespace, Part::Crds, Part::MeshConfig, Part::Control, Part::Control, Part::Webhooks, Part::Agents];
    let objects = documents(text).unwrap();
    let label = |mut object: Value| {
        object["metadata"]["labels"] = json!({PART_OF.0: PART_OF.1});
        object
    };
    parts.into_iter().zip(objects).map(|(part, object)| Manifest { part, object: label(object) }).collect()
}

fn setup(seconds: u64) -> Setup {
    Setup { options: Options::default(), force: false, wait: true, timeout: Duration::from_secs(seconds) }
}

async fn run(server: &FakeServer, setup: &Setup) -> (Result<(), String>, String) {
    let written = Written::default();
    let result = install_these(&server.client(), setup, &sample(), &mut written.progress()).await;
    (result.map_err(|error| format!("{error:#}")), written.text())
}

fn node(server: &FakeServer, name: &str, ready: &str) {
    let status = json!({"conditions": [{"type": "Ready", "status": ready}]});
    server.put(&format!("/api/v1/nodes/{name}"), json!({"status": status}));
}

/// What controllers would write once all pods run.
fn all_ready(server: &FakeServer) {
    server.put(
        "/apis/apps/v1/namespaces/istio-system/deployments/weft-control",
        json!({"metadata": {"labels": {PART_OF.0: PART_OF.1}}, "status": {"updatedReplicas": 2, "availableReplicas": 2}}),
    );
    server.put(
        "/apis/apps/v1/namespaces/istio-system/daemonsets/weft-agent",
        json!({"metadata": {"labels": {PART_OF.0: PART_OF.1}}, "status": {"desiredNumberScheduled": 2,
            "updatedNumberScheduled": 2, "numberAvailable": 2, "currentNumberScheduled": 2, "numberMisscheduled": 0,
            "numberReady": 2}}),
    );
}

#[test]
fn kustomize_names_the_same_files_and_makes_the_same_changes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kustomize");
    let text = std::fs::read_to_string(folder.join("kustomization.yaml")).unwrap();
    let kustomization = documents(&text).unwrap().remove(0);
    let files: Vec<&str> = FILES.iter().map(|(_, file, _)| *file).collect();
    assert_eq!(kustomization["resources"], json!(files));
    assert_eq!(kustomization["labels"], json!([{"pairs": {PART_OF.0: PART_OF.1}}]));
    assert_eq!(kustomization["images"], json!([{"name": IMAGE, "newTag": env!("CARGO_PKG_VERSION")}]));
    let known = ["apiVersion", "kind", "resources", "labels", "images"];
    let keys: Vec<&String> = kustomization.as_object().unwrap().keys().collect();
    assert!(keys.iter().all(|key| known.contains(&key.as_str())), "a change that install does not make: {keys:?}");
    let on_disk: BTreeSet<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let named = files.iter().chain(&["kustomization.yaml"]).map(|name| (*name).into()).collect();
    assert_eq!(on_disk, named, "a file that nobody applies");
}

#[test]
fn every_object_is_labelled_and_every_image_is_this_versions() {
    let all = manifests(&Options::default()).unwrap();
    let titles: BTreeSet<String> = all.iter().map(Manifest::title).collect();
    assert_eq!(titles.len(), all.len(), "two of one name");
    for manifest in &all {
        assert_eq!(manifest.object["metadata"]["labels"][PART_OF.0], PART_OF.1, "{}", manifest.title());
        let text = manifest.object.to_string();
        let wanted = format!("{IMAGE}:{}\"", env!("CARGO_PKG_VERSION"));
        assert_eq!(text.matches(&format!("\"{IMAGE}")).count(), text.matches(&format!("\"{wanted}")).count(), "{text}");
        assert!(manifest.namespace().is_none_or(|namespace| namespace == "istio-system"), "{}", manifest.title());
    }
    assert!(titles.contains("DaemonSet istio-system/weft-agent"), "{titles:?}");
}

/// What discovery watches and what conditions need is all that the agent may do in the cluster.
#[test]
fn agents_may_do_what_they_need_and_nothing_else() {
    let all = manifests(&Options::default()).unwrap();
    let rights = |kind: &str| -> BTreeSet<(String, String, String, String)> {
        let role = all.iter().find(|one| one.kind() == kind && one.name() == "weft-agent").unwrap();
        let rules: Vec<k8s_openapi::api::rbac::v1::PolicyRule> =
            serde_json::from_value(role.object["rules"].clone()).unwrap();
        let mut rights = BTreeSet::new();
        for rule in rules {
            for group in rule.api_groups.iter().flatten() {
                for resource in rule.resources.iter().flatten() {
                    let names = rule.resource_names.clone().unwrap_or_default().join(",");
                    let verbs = rule.verbs.join(",");
                    assert!(
                        rights.insert((group.clone(), resource.clone(), names, verbs)),
                        "twice: {group} {resource}"
                    );
                }
            }
        }
        rights
    };
    let right = |group: &str, resource: &str, name: &str, verbs: &str| {
        (group.to_owned(), resource.to_owned(), name.to_owned(), verbs.to_owned())
    };
    const READ: &str = "get,list,watch";
    let watched = catalog::RIGHTS.iter().flat_map(|(group, resources)| resources.iter().map(move |one| (*group, *one)));
    let mut wanted: BTreeSet<_> = watched
        .filter(|(_, resource)| *resource != "configmaps")
        .map(|(group, resource)| right(group, resource, "", READ))
        .collect();
    wanted.extend(["nodes/status", "pods/status"].map(|resource| right("", resource, "", "patch")));
    assert_eq!(rights("ClusterRole"), wanted);
    assert_eq!(rights("Role"), BTreeSet::from([right("", "configmaps", MESH_CONFIG_MAP, READ)]));
}

#[tokio::test]
async fn parts_come_in_order_and_a_second_run_changes_nothing() {
    let server = FakeServer::default();
    node(&server, "a", "True");
    all_ready(&server);
    let (result, text) = run(&server, &setup(5)).await;
    assert_eq!(result, Ok(()), "{text}");
    let order: Vec<String> =
        server.changes().iter().map(|change| change.rsplit('/').next().unwrap().to_owned()).collect();
    assert_eq!(
        order,
        ["istio-system", "gateways.networking.istio.io", "istio", "istiod", "weft-control", "weft", "weft-agent"]
    );
    assert!(text.contains("  ok      control       2 of 2 replicas available\n"), "{text}");
    assert!(text.ends_with("  ok      agents        ready on 2 of 2 nodes\n"), "{text}");
    let (result, text) = run(&server, &setup(5)).await;
    assert_eq!(result, Ok(()));
    assert!(text.contains("  ok      namespace     Namespace istio-system, unchanged\n"), "{text}");
    assert!(text.contains("2 objects, 0 changed"), "{text}");
}

#[tokio::test]
async fn without_nodes_there_is_nothing_to_wait_for() {
    let server = FakeServer::default();
    let (result, text) = run(&server, &setup(5)).await;
    assert_eq!(result, Ok(()));
    assert!(text.ends_with("the cluster has no nodes: control plane and agents start with the first one\n"), "{text}");
    assert!(server.object("/apis/apps/v1/namespaces/istio-system/daemonsets/weft-agent").is_some());
}

#[tokio::test]
async fn settings_that_are_there_stay_and_missing_keys_come() {
    let server = FakeServer::default();
    server.put(
        &format!("{SYSTEM}/configmaps/istio"),
        json!({"metadata": {"labels": {PART_OF.0: PART_OF.1}}, "data": {"mesh": "edited"}}),
    );
    let (result, text) = run(&server, &setup(5)).await;
    assert_eq!(result, Ok(()));
    let data = server.object(&format!("{SYSTEM}/configmaps/istio")).unwrap()["data"].clone();
    assert_eq!(data, json!({"mesh": "edited", "more": "ours"}));
    assert!(text.contains("key mesh was edited and stays as it is"), "{text}");
}

#[tokio::test]
async fn what_is_anothers_is_neither_taken_nor_claimed() {
    let server = FakeServer::default();
    server.put(SYSTEM, json!({"metadata": {}}));
    let crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/gateways.networking.istio.io";
    let spec = sample()[1].object["spec"].clone();
    let served = json!({"conditions": [{"type": "Established", "status": "True"}]});
    server.put(crd, json!({"metadata": {"labels": {"app": "istio"}}, "spec": spec, "status": served}));
    let (result, text) = run(&server, &setup(5)).await;
    assert_eq!(result, Ok(()), "{text}");
    assert!(text.contains("gateways.networking.istio.io is not weft's and stays as it is"), "{text}");
    assert_eq!(server.object(crd).unwrap()["metadata"]["labels"], json!({"app": "istio"}));
    let namespace = server.object(SYSTEM).unwrap();
    assert!(namespace["metadata"]["labels"][PART_OF.0].is_null(), "uninstalling is to leave it: {namespace}");

    server.put(&format!("{SYSTEM}/services/istiod"), json!({"metadata": {"labels": {"app": "istiod"}}}));
    let before = server.changes().len();
    let (result, _) = run(&server, &setup(5)).await;
    let refused = result.unwrap_err();
    assert!(refused.starts_with("Service istio-system/istiod: there already, and not weft's"), "{refused}");
    assert_eq!(server.changes().len(), before, "refused before anything is changed");
    let (result, _) = run(&server, &Setup { force: true, ..setup(5) }).await;
    assert_eq!(result, Ok(()));
    let taken = server.object(&format!("{SYSTEM}/services/istiod")).unwrap();
    assert_eq!(taken["metadata"]["labels"][PART_OF.0], PART_OF.1);
}

#[tokio::test]
async fn fields_of_others_are_named_with_their_owner() {
    let server = FakeServer::default();
    let mut body = refusal(409, "Conflict", "Apply failed with 1 conflict");
    body["details"] = json!({"causes": [{"reason": "FieldManagerConflict", "field": ".spec.replicas",
        "message": "conflict with \"kubectl\" using apps/v1"}]});
    server.prescribe(Method::PATCH, "/weft-control", 409, body, 1);
    let (result, text) = run(&server, &setup(5)).await;
    assert_eq!(
        result.unwrap_err(),
        "Deployment istio-system/weft-control: others have set .spec.replicas (conflict with \"kubectl\" using apps/v1); \
         undo that, or let weft have its way with --force"
    );
    assert!(text.ends_with("  FAILED  control       Deployment istio-system/weft-control\n"), "{text}");
}

#[tokio::test]
async fn a_server_that_is_away_for_a_moment_is_asked_again_and_a_refusal_is_not() {
    let server = FakeServer::default();
    server.prescribe(Method::PATCH, "/configmaps/istio", 503, refusal(503, "ServiceUnavailable", "restarting"), 1);
    assert_eq!(run(&server, &setup(5)).await.0, Ok(()));
    let server = FakeServer::default();
    server.prescribe(Method::PATCH, "/configmaps/istio", 403, refusal(403, "Forbidden", "you may not"), 9);
    let (result, _) = run(&server, &setup(5)).await;
    assert_eq!(result.unwrap_err(), "cannot apply ConfigMap istio-system/istio: you may not");
    assert_eq!(server.changes().iter().filter(|one| one.ends_with("/configmaps/istio")).count(), 1);
}

#[tokio::test]
async fn webhooks_wait_for_who_answers_them_and_the_reason_is_said() {
    let server = FakeServer::default();
    node(&server, "a", "True");
    let image = json!({"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image \"x\""}});
    server.put(
        &format!("{SYSTEM}/pods/weft-control-1"),
        json!({"metadata": {"labels": {"app": "istiod"}}, "spec": {"nodeName": "a", "containers": []},
            "status": {"phase": "Pending", "containerStatuses": [{"name": "control", "image": "x", "imageID": "",
                "ready": false, "restartCount": 0, "state": image}]}}),
    );
    let (result, text) = run(&server, &setup(1)).await;
    let error = result.unwrap_err();
    assert!(error.starts_with("Deployment istio-system/weft-control: 0 of 2 replicas available; what was applied"));
    assert!(
        text.ends_with(
            "  FAILED  control       0 of 2 replicas available\n                        weft-control-1 on a: \
             ImagePullBackOff: Back-off pulling image \"x\"\n"
        ),
        "{text}"
    );
    assert!(!server.changes().iter().any(|change| change.contains("webhook")), "{:?}", server.changes());
    all_ready(&server);
    assert_eq!(run(&server, &setup(5)).await.0, Ok(()), "the next run goes on");
    assert!(server.changes().iter().any(|change| change.contains("webhook")));
}

#[tokio::test]
async fn an_old_or_silent_server_is_said() {
    let server = FakeServer::default();
    let mut version = json!({"major": "1", "minor": "29+", "gitVersion": "v1.29.3", "gitCommit": "", "gitTreeState": "",
        "buildDate": "", "goVersion": "", "compiler": "", "platform": ""});
    server.prescribe(Method::GET, "/version", 200, version.clone(), 1);
    let (result, _) = run(&server, &setup(5)).await;
    assert_eq!(result.unwrap_err(), "Kubernetes v1.29.3 is too old: weft needs 1.30 or later");
    version["minor"] = "31+".into();
    server.prescribe(Method::GET, "/version", 200, version, 1);
    assert_eq!(run(&server, &setup(5)).await.0, Ok(()));
}
