use serde_json::{Value, json};
use weft_model::{
    testing::{TestWorld, destination_rule, fqdn},
    workload::Labels,
};

use super::*;
use crate::control::webhook::namespaces::NamespaceError;

/// Knows one namespace.
struct OneNamespace;

#[async_trait::async_trait]
impl Namespaces for OneNamespace {
    async fn labels(&self, name: &str) -> Result<Labels, NamespaceError> {
        match name {
            "shop" => Ok([("istio-injection".into(), "enabled".into())].into()),
            "unreachable" => {
                let source = Box::new(kube::Error::TlsRequired);
                Err(NamespaceError { name: name.to_owned(), source })
            }
            _ => Ok(Labels::new()),
        }
    }
}

fn world() -> TestWorld {
    let mut world = TestWorld::new();
    world.pod("default", "name-v1", "10.1.0.1", &[("app", "name"), ("version", "v1")]);
    world.service("default", "name", "10.96.0.2", &[(5000, 5000)], &[("app", "name")]);
    world
}

fn webhooks(world: &TestWorld) -> (watch::Sender<Arc<Snapshot>>, Webhooks) {
    let (sender, snapshot) = watch::channel(Arc::new(world.snapshot()));
    (sender, Webhooks { snapshot, namespaces: Arc::new(OneNamespace) })
}

fn review(group: &str, kind: &str, namespace: &str, object: Value) -> String {
    let request = json!({
        "uid": "u1", "kind": { "group": group, "version": "v1", "kind": kind },
        "resource": { "group": group, "version": "v1", "resource": "x" },
        "namespace": namespace, "operation": "CREATE", "userInfo": {}, "object": object, "oldObject": null,
    });
    json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request }).to_string()
}

fn pod(namespace: &str) -> String {
    review("", "Pod", namespace, json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p" } }))
}

fn virtual_service(spec: Value) -> String {
    let metadata = json!({ "name": "name", "namespace": "default" });
    let object = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": metadata, "spec": spec,
    });
    review("networking.istio.io", "VirtualService", "default", object)
}

fn to_subset(subset: &str) -> Value {
    json!({ "hosts": ["name"], "http": [{ "route": [{ "destination": { "host": "name", "subset": subset } }] }] })
}

async fn ask(webhooks: &Webhooks, method: Method, path: &str, body: String) -> (StatusCode, Value) {
    let request = Request::builder().method(method).uri(path).body(Full::new(Bytes::from(body))).unwrap();
    let response = webhooks.answer(request).await;
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

#[tokio::test]
async fn a_pod_gets_a_patch_when_its_namespace_is_enrolled() {
    let (_sender, webhooks) = webhooks(&world());
    let (status, answer) = ask(&webhooks, Method::POST, "/inject?timeout=5s", pod("shop")).await;
    assert_eq!((status, answer["kind"].as_str()), (StatusCode::OK, Some("AdmissionReview")));
    assert_eq!(answer["response"]["uid"], "u1");
    assert_eq!((&answer["response"]["allowed"], &answer["response"]["patchType"]), (&json!(true), &json!("JSONPatch")));
    // A list of bytes, which Go reads where it writes base64.
    let patch: Vec<u8> = serde_json::from_value(answer["response"]["patch"].clone()).unwrap();
    let patch: Value = serde_json::from_slice(&patch).unwrap();
    assert_eq!(patch[0]["path"], "/metadata/labels");
    let (_, answer) = ask(&webhooks, Method::POST, "/inject", pod("elsewhere")).await;
    assert_eq!((&answer["response"]["allowed"], &answer["response"]["patch"]), (&json!(true), &Value::Null));
}

#[tokio::test]
async fn objects_are_judged() {
    let (_sender, webhooks) = webhooks(&world());
    let (status, answer) =
        ask(&webhooks, Method::POST, "/validate", virtual_service(json!({ "hosts": ["name"], "http": [{}] }))).await;
    assert_eq!((status, &answer["response"]["allowed"]), (StatusCode::OK, &json!(false)));
    let message = answer["response"]["status"]["message"].as_str().unwrap();
    assert!(message.starts_with("spec.http[0]: leads nowhere"), "{message}");
}

#[tokio::test]
async fn a_subset_that_was_defined_a_moment_ago_is_not_missed() {
    let (sender, webhooks) = webhooks(&world());
    let (_, answer) = ask(&webhooks, Method::POST, "/validate", virtual_service(to_subset("v1"))).await;
    assert!(answer["response"]["warnings"][0].as_str().unwrap().contains("defines the subset v1"), "{answer:#}");
    let mut later = world();
    later.destination_rules.push(destination_rule("name", &fqdn("default", "name"), &["v1"]));
    let later = Arc::new(later.snapshot());
    let change = async {
        // The question is being asked by now, and waits.
        tokio::task::yield_now().await;
        sender.send_replace(later);
    };
    let ((_, answer), ()) =
        tokio::join!(ask(&webhooks, Method::POST, "/validate", virtual_service(to_subset("v1"))), change);
    assert_eq!(answer["response"]["warnings"], Value::Null, "{answer:#}");
}

#[tokio::test]
async fn what_is_no_question_gets_an_error() {
    let (_sender, webhooks) = webhooks(&world());
    let questions = [
        (Method::POST, "/metrics", pod("shop"), StatusCode::NOT_FOUND),
        (Method::GET, "/inject", String::new(), StatusCode::METHOD_NOT_ALLOWED),
        (Method::POST, "/inject", "{}".to_owned(), StatusCode::BAD_REQUEST),
        (Method::POST, "/validate", "nonsense".to_owned(), StatusCode::BAD_REQUEST),
        (Method::POST, "/validate", " ".repeat(REVIEW_BYTES_MAX + 1), StatusCode::PAYLOAD_TOO_LARGE),
    ];
    for (method, path, body, expected) in questions {
        assert_eq!(ask(&webhooks, method, path, body).await.0, expected, "{path}");
    }
    // Not a refusal: the configuration says that such a pod passes.
    let (status, answer) = ask(&webhooks, Method::POST, "/inject", pod("unreachable")).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(answer.as_str().unwrap().contains("labels of namespace unreachable"), "{answer}");
}
