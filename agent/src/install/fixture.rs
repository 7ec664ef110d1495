//! An API server of a few dozen lines: objects by path, applied, listed and deleted as the real one does it, with a
//! record of what was asked and answers that a test may prescribe.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io::{self, Write},
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use kube::{Client, client::Body};
use serde_json::{Value, json};

use super::progress::Progress;

/// The server. Clones are the same one.
#[derive(Clone, Default)]
pub(super) struct FakeServer(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    /// `METHOD path`, in order.
    requests: Vec<String>,
    /// (method, end of the path, status, body, times).
    prescribed: Vec<(Method, String, u16, Value, usize)>,
    versions: u64,
}

impl FakeServer {
    pub(super) fn client(&self) -> Client {
        Client::new(self.clone(), "default")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// An object that is there.
    pub(super) fn put(&self, path: &str, mut object: Value) {
        let name = path.rsplit('/').next().unwrap().to_owned();
        object["metadata"]["name"] = name.into();
        object["metadata"]["uid"] = path.into();
        if let Some((_, rest)) = path.split_once("/namespaces/")
            && let Some((namespace, _)) = rest.split_once('/')
        {
            object["metadata"]["namespace"] = namespace.into();
        }
        self.state().objects.insert(path.to_owned(), object);
    }

    /// The object at that path.
    pub(super) fn object(&self, path: &str) -> Option<Value> {
        self.state().objects.get(path).cloned()
    }

    /// The next `times` requests of that kind are answered so.
    pub(super) fn prescribe(&self, method: Method, path: &str, status: u16, body: Value, times: usize) {
        self.state().prescribed.push((method, path.to_owned(), status, body, times));
    }

    /// Requests that changed something, as `METHOD path`.
    pub(super) fn changes(&self) -> Vec<String> {
        self.state().requests.iter().filter(|one| !one.starts_with("GET")).cloned().collect()
    }
}

impl tower::Service<Request<Body>> for FakeServer {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let server = self.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            let (status, answer) = server.state().answer(&head.method, &head.uri, body);
            let answer = Response::builder().status(status).body(Full::from(answer.to_string())).unwrap();
            Ok(answer)
        })
    }
}

impl State {
    fn answer(&mut self, method: &Method, uri: &http::Uri, body: Value) -> (u16, Value) {
        let path = uri.path().to_owned();
        self.requests.push(format!("{method} {path}"));
        let prescribed = self
            .prescribed
            .iter_mut()
            .find(|(of, end, .., times)| of == method && path.ends_with(&**end) && *times > 0);
        if let Some((.., status, body, times)) = prescribed {
            *times -= 1;
            return (*status, body.clone());
        }
        match (method.as_str(), path.as_str()) {
            ("GET", "/version") => (200, version()),
            ("GET", "/api") => (200, core_kinds()),
            ("GET", "/apis") => (200, json!({"kind": "APIGroupDiscoveryList", "items": []})),
            ("GET", _) if is_collection(&path) => (200, self.list(&path, uri.query().unwrap_or_default())),
            ("GET", _) => self.objects.get(&path).map_or_else(|| absent(&path), |object| (200, object.clone())),
            ("PATCH", _) if path.ends_with("/status") => (200, self.patch(path.trim_end_matches("/status"), &body)),
            ("PATCH", _) => (200, self.apply(&path, body)),
            ("DELETE", _) => self.delete(&path),
            _ => (405, json!({})),
        }
    }

    fn apply(&mut self, path: &str, mut object: Value) -> Value {
        let before = self.objects.get(path);
        let old_version = before.map(|before| before["metadata"]["resourceVersion"].clone());
        let mut same = before.cloned().unwrap_or_default();
        merge(&mut same, &object);
        let version = match old_version {
            Some(version) if Some(&same) == before => version,
            _ => {
                self.versions += 1;
                self.versions.to_string().into()
            }
        };
        object = same;
        object["metadata"]["resourceVersion"] = version;
        object["metadata"]["uid"] = path.into();
        object["metadata"]["managedFields"] = json!([{"manager": "weft"}]);
        if object["kind"] == "CustomResourceDefinition" {
            object["status"] = json!({"conditions": [{"type": "Established", "status": "True", "reason": "", "message": "", "lastTransitionTime": null}]});
        }
        self.objects.insert(path.to_owned(), object.clone());
        object
    }

    /// As a merge patch (RFC 7396); a strategic one differs in lists, which no test looks at.
    fn patch(&mut self, path: &str, patch: &Value) -> Value {
        let object = self.objects.entry(path.to_owned()).or_insert_with(|| json!({}));
        merge(object, patch);
        remove_nulls(object);
        object.clone()
    }

    fn delete(&mut self, path: &str) -> (u16, Value) {
        match self.objects.remove(path) {
            None => absent(path),
            Some(object) => {
                let inside = format!("{path}/");
                let is_namespace = path.starts_with("/api/v1/namespaces/") && path.matches('/').count() == 4;
                self.objects.retain(|other, _| !(is_namespace && other.contains(&inside)));
                (200, object)
            }
        }
    }

    fn list(&self, path: &str, query: &str) -> Value {
        let (root, plural) = path.rsplit_once('/').unwrap();
        let is_in = |at: &str| {
            let Some((above, _name)) = at.rsplit_once('/') else { return false };
            above == path
                || (!root.contains("/namespaces/") && above.starts_with(root) && above.ends_with(&format!("/{plural}")))
        };
        let wanted: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let fits = |object: &Value| {
            wanted.iter().all(|(key, selector)| {
                selector.split(',').filter_map(|one| one.split_once('=')).all(|(name, value)| match &**key {
                    "labelSelector" => object["metadata"]["labels"][name] == value,
                    "fieldSelector" => {
                        object.pointer(&format!("/{}", name.replace('.', "/"))).and_then(Value::as_str) == Some(value)
                    }
                    _ => true,
                })
            })
        };
        let items = self.objects.iter().filter(|(at, object)| is_in(at) && fits(object)).map(|(_, object)| object);
        json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items.collect::<Vec<_>>()})
    }
}

/// As server-side apply, but for lists, which are replaced.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

fn remove_nulls(object: &mut Value) {
    if let Value::Object(fields) = object {
        fields.retain(|_, value| !value.is_null());
        fields.values_mut().for_each(remove_nulls);
    }
}

fn is_collection(path: &str) -> bool {
    let skip = if path.starts_with("/api/") { 2 } else { 3 };
    path.trim_start_matches('/').split('/').skip(skip).count() % 2 == 1
}

fn absent(path: &str) -> (u16, Value) {
    (404, refusal(404, "NotFound", &format!("{path} not found")))
}

/// What the server says when it refuses.
pub(super) fn refusal(code: u16, reason: &str, message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason, "code": code})
}

fn version() -> Value {
    json!({"major": "1", "minor": "35", "gitVersion": "v1.35.4", "gitCommit": "", "gitTreeState": "", "buildDate": "",
        "goVersion": "", "compiler": "", "platform": ""})
}

/// As aggregated discovery tells it.
fn core_kinds() -> Value {
    let one = |name: &str, kind: &str| {
        let kind = json!({"group": "", "version": "v1", "kind": kind});
        json!({"resource": name, "responseKind": kind, "scope": "Namespaced", "singularResource": "", "verbs": ["get", "list"]})
    };
    let resources =
        [one("configmaps", "ConfigMap"), one("serviceaccounts", "ServiceAccount"), one("services", "Service")];
    json!({"kind": "APIGroupDiscoveryList", "items": [
        {"versions": [{"version": "v1", "freshness": "Current", "resources": resources}]}]})
}

/// What was written as progress.
#[derive(Clone, Default)]
pub(super) struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    pub(super) fn progress(&self) -> Progress {
        Progress::new(Box::new(self.clone()), None)
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
