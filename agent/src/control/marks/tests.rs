//! Rounds against an API server with one pod.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
};

use http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};
use weft_model::{
    testing::TestWorld,
    workload::{Enrolment, Labels},
};

use super::*;

/// Has one pod, and keeps what is written about it.
#[derive(Clone)]
struct Server {
    pod: Value,
    asked: Arc<Mutex<Vec<Request<Body>>>>,
    /// Code of the answer to a patch.
    patched: u16,
}

impl tower::Service<Request<Body>> for Server {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let code = if request.method() == Method::GET { 200 } else { self.patched };
        let answer = match code {
            200 => self.pod.clone(),
            code => json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": "no" }),
        };
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        let response = Response::builder().status(code).body(Body::from(answer.to_string().into_bytes()));
        ready(Ok(response.unwrap()))
    }
}

impl Server {
    fn new(labels: Value, annotations: Value) -> Self {
        let metadata = json!({
            "name": "name", "namespace": "default", "resourceVersion": "7", "labels": labels, "annotations": annotations,
        });
        let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": { "containers": [] } });
        Self { pod, asked: Arc::default(), patched: 200 }
    }

    /// How often it was asked, and the patches.
    async fn asked(&self) -> (usize, Vec<Value>) {
        let asked = std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner));
        let (count, mut patches) = (asked.len(), Vec::new());
        for request in asked {
            if request.method() == Method::PATCH {
                assert!(request.uri().path().ends_with("/namespaces/default/pods/name/status"), "{}", request.uri());
                let body = request.into_body().collect().await.unwrap().to_bytes();
                patches.push(serde_json::from_slice(&body).unwrap());
            }
        }
        (count, patches)
    }

    fn marks(&self, namespace: &[(&str, &str)]) -> Marks {
        let namespaces = Arc::new(Fixed(weft_model::testing::labels(namespace)));
        Marks { client: Client::new(self.clone(), "default"), namespaces, settled: BTreeMap::new() }
    }
}

struct Fixed(Labels);

#[async_trait::async_trait]
impl Namespaces for Fixed {
    async fn labels(&self, _: &str) -> Result<Labels, NamespaceError> {
        Ok(self.0.clone())
    }
}

const ENABLED: &[(&str, &str)] = &[("istio-injection", "enabled")];

fn snapshot(labels: &[(&str, &str)], enrolment: Enrolment) -> Snapshot {
    let mut world = TestWorld::new();
    world.pod("default", "name", "10.1.0.1", labels).enrolment = enrolment;
    world.snapshot()
}

#[tokio::test]
async fn a_running_pod_that_comes_into_the_mesh_is_told_once() {
    let server =
        Server::new(json!({ "app": "name" }), json!({ "prometheus.io/scrape": "true", "prometheus.io/port": "8000" }));
    let mut marks = server.marks(ENABLED);
    let world = snapshot(&[("app", "name")], Enrolment::Enrolled);
    assert!(!marks.look(&world).await);
    let (_, patches) = server.asked().await;
    let [patch] = &patches[..] else { panic!("{patches:?}") };
    assert_eq!(patch["metadata"]["resourceVersion"], "7");
    assert_eq!(patch["metadata"]["labels"]["security.istio.io/tlsMode"], "istio");
    assert_eq!(patch["metadata"]["annotations"]["prometheus.io/port"], "15020");
    assert_eq!(patch["metadata"]["annotations"]["prometheus.weft.dev/port"], "8000");
    assert_eq!(patch.as_object().unwrap().len(), 1, "metadata and nothing else");
    assert!(!marks.look(&world).await);
    assert_eq!(server.asked().await.0, 0, "the world does not show it yet, and it is not asked about again");
}

#[tokio::test]
async fn a_running_pod_that_leaves_the_mesh_is_told_too() {
    let annotations = json!({
        "ambient.istio.io/redirection": "enabled", "prometheus.io/scrape": "true", "prometheus.io/port": "15020",
        "prometheus.io/path": "/stats/prometheus", "prometheus.weft.dev/port": "8000",
    });
    let server = Server::new(json!({ "app": "name", "security.istio.io/tlsMode": "istio" }), annotations);
    let labels = [("app", "name"), ("security.istio.io/tlsMode", "istio")];
    let left = snapshot(&labels, Enrolment::NotEnrolled("namespace is not labelled"));
    assert!(!server.marks(&[]).look(&left).await);
    let (_, patches) = server.asked().await;
    assert_eq!(patches[0]["metadata"]["labels"], json!({ "security.istio.io/tlsMode": null }));
    assert_eq!(
        patches[0]["metadata"]["annotations"],
        json!({
            "ambient.istio.io/redirection": null, "prometheus.io/path": null, "prometheus.io/port": "8000",
            "prometheus.io/scrape": null, "prometheus.weft.dev/port": null,
        })
    );
}

#[tokio::test]
async fn pods_of_another_mesh_and_pods_that_know_are_left_alone() {
    let server =
        Server::new(json!({ "security.istio.io/tlsMode": "istio" }), json!({ "sidecar.istio.io/status": "{}" }));
    let mut marks = server.marks(&[]);
    let labels = [("security.istio.io/tlsMode", "istio")];
    let world = snapshot(&labels, Enrolment::NotEnrolled("no"));
    assert!(!marks.look(&world).await);
    assert_eq!(server.asked().await, (1, vec![]));
    assert!(!marks.look(&world).await);
    assert_eq!(server.asked().await.0, 0, "looked at once");
    assert!(!marks.look(&snapshot(&labels, Enrolment::Enrolled)).await);
    assert_eq!(server.asked().await.0, 0, "admission has told it");
}

#[tokio::test]
async fn what_cannot_be_written_is_tried_again() {
    let world = snapshot(&[], Enrolment::Enrolled);
    for (code, unfinished) in [(409, false), (404, false), (403, true)] {
        let server = Server { patched: code, ..Server::new(json!({}), json!({})) };
        assert_eq!(server.marks(ENABLED).look(&world).await, unfinished, "{code}");
    }
}
