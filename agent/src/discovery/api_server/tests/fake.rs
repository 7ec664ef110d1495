//! An API server in a few hundred lines: lists, watches with a history that can be compacted, discovery, and all the
//! ways of failing that a test asks for. It speaks HTTP on loopback.

mod answers;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use http::StatusCode;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use crate::{discovery::document, kubernetes::ApiServer};

/// Plural, namespace, name.
type Name = (String, String, String);

/// The server.
pub struct Fake {
    shared: Arc<Shared>,
    address: SocketAddr,
    accepting: Option<JoinHandle<()>>,
    folder: tempfile::TempDir,
}

struct Shared {
    state: Mutex<State>,
    /// Wakes watches; what happened is in the state.
    changed: watch::Sender<u64>,
    connections: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct State {
    version: u64,
    objects: BTreeMap<Name, Value>,
    history: Vec<(u64, Name, &'static str, Value)>,
    /// Changes up to this one are forgotten.
    compacted: u64,
    kinds: BTreeMap<String, (String, String, String)>,
    refused: BTreeMap<String, StatusCode>,
    requests: Vec<String>,
    is_starting: bool,
    refuses_streamed_lists: bool,
    page: usize,
}

const CORE: [(&str, &str, &str, &str); 7] = [
    ("", "v1", "ConfigMap", "configmaps"),
    ("", "v1", "Namespace", "namespaces"),
    ("", "v1", "Node", "nodes"),
    ("", "v1", "Pod", "pods"),
    ("", "v1", "Service", "services"),
    ("", "v1", "ServiceAccount", "serviceaccounts"),
    ("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
];

impl Fake {
    /// A server that listens, with the kinds of Kubernetes.
    pub async fn start() -> Self {
        let mut fake = Self::absent().await;
        fake.listen().await;
        fake
    }

    /// A server that does not listen yet.
    pub async fn absent() -> Self {
        let shared = Shared {
            state: Mutex::new(State { page: 500, ..State::default() }),
            changed: watch::channel(0).0,
            connections: Mutex::default(),
        };
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let fake = Self { shared: Arc::new(shared), address, accepting: None, folder };
        for (group, version, kind, plural) in CORE {
            fake.define(group, version, kind, plural);
        }
        fake
    }

    /// How to reach it.
    pub fn server(&self) -> ApiServer {
        let path = self.folder.path().join("kubeconfig");
        let text = format!(
            "{{apiVersion: v1, kind: Config, current-context: x, users: [{{name: u, user: {{}}}}],\n\
             clusters: [{{name: c, cluster: {{server: 'http://{}'}}}}],\n\
             contexts: [{{name: x, context: {{cluster: c, user: u}}}}]}}",
            self.address
        );
        std::fs::write(&path, text).unwrap();
        ApiServer { kubeconfig: Some(path), context: None }
    }

    /// Begins to listen.
    pub async fn listen(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        let shared = self.shared.clone();
        self.accepting = Some(tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let served = shared.clone();
                let connection = tokio::spawn(async move {
                    let service = service_fn(|request| {
                        let shared = served.clone();
                        async move { Ok::<_, Infallible>(shared.respond(&request)) }
                    });
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
                shared.connections.lock().unwrap().push(connection);
            }
        }));
    }

    /// Ends: nobody listens, and all connections break.
    pub async fn stop(&mut self) {
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
            let _ = accepting.await;
        }
        let connections = std::mem::take(&mut *self.shared.connections.lock().unwrap());
        for connection in connections {
            connection.abort();
            let _ = connection.await;
        }
    }

    /// Serves a kind.
    pub fn define(&self, group: &str, version: &str, kind: &str, plural: &str) {
        let kind = (group.to_owned(), version.to_owned(), kind.to_owned());
        self.shared.state.lock().unwrap().kinds.insert(plural.to_owned(), kind);
    }

    /// Serves the mesh kinds that weft acts on, in the version that Istio prefers.
    pub fn define_mesh_kinds(&self) {
        self.define("networking.istio.io", "v1", "DestinationRule", "destinationrules");
        self.define("networking.istio.io", "v1", "VirtualService", "virtualservices");
        self.define("security.istio.io", "v1", "AuthorizationPolicy", "authorizationpolicies");
        self.define("security.istio.io", "v1", "PeerAuthentication", "peerauthentications");
    }

    /// Takes objects as `kubectl apply` does. Kinds that are not served are left out.
    pub fn apply(&self, text: &str) {
        for document in document::split(text) {
            let value: Value = serde_yaml_ng::from_str(document.text).unwrap();
            self.apply_one(value);
        }
    }

    fn apply_one(&self, mut object: Value) {
        let mut state = self.shared.state.lock().unwrap();
        let Some(plural) = state.plural(object["kind"].as_str().unwrap()) else { return };
        let namespace = match plural.as_str() {
            "nodes" | "namespaces" => String::new(),
            _ => object["metadata"]["namespace"].as_str().unwrap_or("default").to_owned(),
        };
        if !namespace.is_empty() {
            object["metadata"]["namespace"] = namespace.clone().into();
        }
        let name = (plural, namespace, object["metadata"]["name"].as_str().unwrap().to_owned());
        object["metadata"]["managedFields"] = json!([{ "manager": "test" }]);
        state.change(name, Some(object));
        drop(state);
        self.wake();
    }

    /// Removes an object.
    pub fn delete(&self, plural: &str, namespace: &str, name: &str) {
        let name = (plural.to_owned(), namespace.to_owned(), name.to_owned());
        self.shared.state.lock().unwrap().change(name, None);
        self.wake();
    }

    /// Sends a bookmark to all watches.
    pub fn bookmark(&self) {
        let mut state = self.shared.state.lock().unwrap();
        state.version += 1;
        let version = state.version;
        let plurals: Vec<String> = state.kinds.keys().cloned().collect();
        for plural in plurals {
            let object = json!({ "kind": "Bookmark", "apiVersion": "v1",
                "metadata": { "resourceVersion": version.to_string() } });
            state.history.push((version, (plural, String::new(), String::new()), "BOOKMARK", object));
        }
        drop(state);
        self.wake();
    }

    /// Forgets what has changed up to now: watches that begin before it are refused with 410.
    pub fn compact(&self) {
        let mut state = self.shared.state.lock().unwrap();
        state.compacted = state.version + 1;
        state.version += 1;
    }

    /// Refuses requests for a resource; `None` allows them again.
    pub fn refuse(&self, plural: &str, status: Option<StatusCode>) {
        let mut state = self.shared.state.lock().unwrap();
        match status {
            Some(status) => state.refused.insert(plural.to_owned(), status),
            None => state.refused.remove(plural),
        };
    }

    /// Says that it is not ready.
    pub fn is_starting(&self, is_starting: bool) {
        self.shared.state.lock().unwrap().is_starting = is_starting;
    }

    /// Serves lists page by page only.
    pub fn pages_of(&self, page: usize) {
        let mut state = self.shared.state.lock().unwrap();
        state.refuses_streamed_lists = true;
        state.page = page;
    }

    /// Requests for a path and query that contain `part`, so far.
    pub fn requests(&self, part: &str) -> Vec<String> {
        let state = self.shared.state.lock().unwrap();
        state.requests.iter().filter(|request| request.contains(part)).cloned().collect()
    }

    fn wake(&self) {
        self.shared.changed.send_modify(|count| *count += 1);
    }
}

impl State {
    fn plural(&self, kind: &str) -> Option<String> {
        self.kinds.iter().find(|(_, (_, _, known))| known == kind).map(|(plural, _)| plural.clone())
    }

    fn change(&mut self, name: Name, object: Option<Value>) {
        self.version += 1;
        let version = self.version;
        let before = self.objects.remove(&name);
        let sort = match (&before, &object) {
            (_, None) => "DELETED",
            (None, Some(_)) => "ADDED",
            (Some(_), Some(_)) => "MODIFIED",
        };
        let Some(mut told) = object.clone().or(before) else { return };
        told["metadata"]["resourceVersion"] = version.to_string().into();
        if object.is_some() {
            self.objects.insert(name.clone(), told.clone());
        }
        self.history.push((version, name, sort, told));
    }

    fn of(&self, plural: &str) -> Vec<Value> {
        self.objects.iter().filter(|(name, _)| name.0 == plural).map(|(_, object)| object.clone()).collect()
    }
}
