//! Rounds of writing against an API server that only notes what it is asked.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body_util::BodyExt;
use kube::{client::Body, runtime::watcher::Event};
use serde_json::Value;
use weft_model::testing::{TestWorld, destination_rule, fqdn};

use super::*;

/// Answers every request alike, and keeps it.
#[derive(Clone, Default)]
struct Server {
    requests: Arc<Mutex<Vec<Request<Body>>>>,
    /// With this code instead of the object.
    refuses: Option<u16>,
}

impl tower::Service<Request<Body>> for Server {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        let (code, answer) = match self.refuses {
            Some(code) => (
                code,
                json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": "no" }),
            ),
            None => (200, object("written", 1)),
        };
        let response = Response::builder().status(code).body(Body::from(answer.to_string().into_bytes()));
        ready(Ok(response.unwrap()))
    }
}

impl Server {
    fn client(&self) -> Client {
        Client::new(self.clone(), "default")
    }

    /// What was asked: method, path, body.
    async fn asked(&self) -> Vec<(String, String, Value)> {
        let requests: Vec<_> = std::mem::take(&mut *self.requests.lock().unwrap_or_else(PoisonError::into_inner));
        let mut asked = Vec::new();
        for request in requests {
            let (method, uri) = (request.method().to_string(), request.uri().to_string());
            let body = request.into_body().collect().await.unwrap().to_bytes();
            asked.push((method, uri, serde_json::from_slice(&body).unwrap()));
        }
        asked
    }
}

fn object(name: &str, generation: i64) -> Value {
    let route = json!({ "destination": { "host": "name", "subset": "v1" } });
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": { "name": name, "namespace": "default", "generation": generation, "resourceVersion": "7" },
        "spec": { "hosts": ["name"], "http": [{ "route": [route] }] },
    })
}

fn snapshot() -> Snapshot {
    let mut world = TestWorld::new();
    world.service("default", "name", "10.96.0.2", &[(5000, 5000)], &[("app", "name")]);
    world.destination_rules.push(destination_rule("name", &fqdn("default", "name"), &["v1"]));
    world.snapshot()
}

fn take(objects: &mut TrackedObjects, event: Event<Value>) {
    let typed = |value: Value| serde_json::from_value::<DynamicObject>(value).unwrap();
    let event = match event {
        Event::Apply(value) => Event::Apply(typed(value)),
        Event::Delete(value) => Event::Delete(typed(value)),
        Event::InitApply(value) => Event::InitApply(typed(value)),
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
    };
    objects.take(0, event, &"cluster.local".into());
}

#[tokio::test]
async fn a_status_is_written_once_for_the_version_that_was_read() {
    let server = Server::default();
    let mut objects = TrackedObjects::default();
    take(&mut objects, Event::Apply(object("r", 3)));
    assert_eq!(write(&server.client(), &kinds(), &Snapshot::default(), &mut objects).await, Round::Done);
    assert_eq!(server.asked().await, [], "a world that nobody has read yet says nothing");
    assert_eq!(write(&server.client(), &kinds(), &snapshot(), &mut objects).await, Round::Done);
    let asked = server.asked().await;
    let [(method, path, body)] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!(method, "PATCH");
    assert!(path.starts_with("/apis/networking.istio.io/v1/namespaces/default/virtualservices/r/status?"), "{path}");
    assert!(path.contains("fieldManager=weft-status") && path.contains("force=true"), "{path}");
    assert_eq!(body["metadata"], json!({ "name": "r", "namespace": "default", "resourceVersion": "7" }));
    assert_eq!(body["status"]["observedGeneration"], 3);
    assert_eq!(body["status"]["conditions"][0]["type"], "Accepted");
    // The watch shows what was written: nothing more to say.
    let mut written = object("r", 3);
    written["status"] = body["status"].clone();
    take(&mut objects, Event::Apply(written));
    assert_eq!(write(&server.client(), &kinds(), &snapshot(), &mut objects).await, Round::Done);
    assert_eq!(server.asked().await, []);
}

#[tokio::test]
async fn a_round_ends_at_its_limit_and_the_next_goes_on() {
    let server = Server::default();
    let mut objects = TrackedObjects::default();
    (0..=WRITES_MAX).for_each(|number| take(&mut objects, Event::Apply(object(&format!("r{number}"), 1))));
    assert_eq!(write(&server.client(), &kinds(), &snapshot(), &mut objects).await, Round::More);
    assert_eq!(server.asked().await.len(), WRITES_MAX);
}

#[tokio::test]
async fn a_version_that_is_gone_is_no_failure_and_a_refusal_is() {
    let mut objects = TrackedObjects::default();
    take(&mut objects, Event::Apply(object("r", 3)));
    for (code, expected) in [(409, Round::Done), (404, Round::Done), (403, Round::Failed)] {
        let server = Server { refuses: Some(code), ..Server::default() };
        assert_eq!(write(&server.client(), &kinds(), &snapshot(), &mut objects).await, expected, "{code}");
    }
}

#[test]
fn what_a_new_listing_does_not_show_is_gone() {
    let mut objects = TrackedObjects::default();
    let names = |objects: &mut TrackedObjects| objects.all().map(|(_, one)| one.name()).collect::<Vec<_>>();
    for event in [Event::Init, Event::InitApply(object("a", 1)), Event::InitApply(object("b", 1)), Event::InitDone] {
        take(&mut objects, event);
    }
    take(&mut objects, Event::Apply(object("c", 1)));
    take(&mut objects, Event::Delete(object("a", 1)));
    assert_eq!(names(&mut objects), ["default/b", "default/c"]);
    // Another kind's objects of the same name are its own.
    let other: DynamicObject = serde_json::from_value(object("b", 1)).unwrap();
    objects.take(1, Event::Apply(other), &"cluster.local".into());
    for event in [Event::Init, Event::InitApply(object("c", 1)), Event::InitDone] {
        take(&mut objects, event);
    }
    assert_eq!(names(&mut objects), ["default/c", "default/b"]);
}
