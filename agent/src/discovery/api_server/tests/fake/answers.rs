//! What the server answers: lists, watches, discovery, refusals.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::Arc,
};

use bytes::Bytes;
use futures::stream;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Shared, State};

type Body = BoxBody<Bytes, Infallible>;

impl Shared {
    /// The answer to a request.
    pub(super) fn respond(self: &Arc<Self>, request: &Request<Incoming>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let query: BTreeMap<String, String> =
            form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).into_owned().collect();
        let mut state = self.state.lock().unwrap();
        state.requests.push(request.uri().to_string());
        if path == "/readyz" {
            let status = if state.is_starting { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
            return answer(status, "readyz".into());
        }
        if path == "/apis" {
            return discovery(&state, request);
        }
        let plural = path.rsplit('/').next().unwrap_or_default().to_owned();
        if let Some(status) = state.refused.get(&plural) {
            return refusal(*status, &format!("{plural} is refused for the test"));
        }
        let is_served = state.kinds.get(&plural).is_some_and(|(group, version, _)| {
            let root = if group.is_empty() { "/api".to_owned() } else { format!("/apis/{group}") };
            path.starts_with(&format!("{root}/{version}/"))
        });
        if !is_served {
            return refusal(StatusCode::NOT_FOUND, "the server could not find the requested resource");
        }
        let version = query.get("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0);
        match (query.contains_key("watch"), query.contains_key("sendInitialEvents")) {
            (true, true) if state.refuses_streamed_lists => {
                refusal(StatusCode::UNPROCESSABLE_ENTITY, "sendInitialEvents is forbidden")
            }
            (true, is_list) => {
                let first = is_list.then(|| state.of(&plural));
                self.watch(plural, version, first, state.version)
            }
            (false, _) => list(&state, &plural, &query),
        }
    }

    /// A watch from `version` on, or of `first` and then from `now` on.
    fn watch(self: &Arc<Self>, plural: String, version: u64, first: Option<Vec<Value>>, now: u64) -> Response<Body> {
        let mut lines: Vec<String> = Vec::new();
        let mut position = version;
        if let Some(first) = first {
            lines.extend(first.into_iter().map(|object| line("ADDED", &object)));
            let end = json!({ "kind": "Bookmark", "apiVersion": "v1", "metadata": {
                "resourceVersion": now.to_string(), "annotations": { "k8s.io/initial-events-end": "true" } } });
            lines.push(line("BOOKMARK", &end));
            position = now;
        }
        let told =
            Told { shared: self.clone(), changed: self.changed.subscribe(), plural, position, lines, ended: false };
        let frames = stream::unfold(told, |mut told| async move {
            let text = told.next().await?;
            Some((Ok::<_, Infallible>(Frame::data(Bytes::from(text))), told))
        });
        Response::new(BodyExt::boxed(StreamBody::new(frames)))
    }
}

/// A watch on its way.
struct Told {
    shared: Arc<Shared>,
    changed: watch::Receiver<u64>,
    plural: String,
    position: u64,
    lines: Vec<String>,
    ended: bool,
}

impl Told {
    async fn next(&mut self) -> Option<String> {
        loop {
            if !self.lines.is_empty() {
                return Some(std::mem::take(&mut self.lines).concat());
            }
            if self.ended {
                return None;
            }
            self.changed.borrow_and_update();
            let is_gone = {
                let state = self.shared.state.lock().unwrap();
                let news = state
                    .history
                    .iter()
                    .filter(|(version, name, ..)| *version > self.position && name.0 == self.plural);
                self.lines = news.map(|(_, _, sort, object)| line(sort, object)).collect();
                let is_gone = self.position < state.compacted;
                self.position = state.version;
                is_gone
            };
            if is_gone {
                let gone = json!({ "kind": "Status", "status": "Failure", "reason": "Expired", "code": 410,
                    "message": "too old resource version" });
                self.lines = vec![line("ERROR", &gone)];
                self.ended = true;
            }
            if self.lines.is_empty() && self.changed.changed().await.is_err() {
                return None;
            }
        }
    }
}

fn line(sort: &str, object: &Value) -> String {
    // The order of keys is the API server's.
    format!("{{\"type\":\"{sort}\",\"object\":{object}}}\n")
}

fn list(state: &State, plural: &str, query: &BTreeMap<String, String>) -> Response<Body> {
    let from: usize = query.get("continue").and_then(|token| token.parse().ok()).unwrap_or(0);
    let all = state.of(plural);
    let mut items: Vec<Value> = all.iter().skip(from).take(state.page).cloned().collect();
    // Items of a list do not say what they are.
    for item in items.iter_mut().filter_map(Value::as_object_mut) {
        item.remove("kind");
        item.remove("apiVersion");
    }
    let next = if from + items.len() < all.len() { (from + items.len()).to_string() } else { String::new() };
    let metadata = json!({ "resourceVersion": state.version.to_string(), "continue": next });
    answer(StatusCode::OK, json!({ "kind": "List", "metadata": metadata, "items": items }).to_string())
}

fn discovery(state: &State, request: &Request<Incoming>) -> Response<Body> {
    let mut groups: BTreeMap<&str, BTreeSet<(&str, &str, &str)>> = BTreeMap::new();
    for (plural, (group, version, kind)) in state.kinds.iter().filter(|(_, (group, ..))| !group.is_empty()) {
        groups.entry(group).or_default().insert((version, kind, plural));
    }
    let resource = |(version, kind, plural): &(&str, &str, &str)| {
        let resources =
            json!([{ "resource": plural, "responseKind": { "kind": kind }, "verbs": ["get", "list", "watch"] }]);
        json!({ "version": version, "resources": resources })
    };
    let items: Vec<Value> = groups
        .iter()
        .map(|(group, kinds)| json!({ "metadata": { "name": group }, "versions": kinds.iter().map(resource).collect::<Vec<_>>() }))
        .collect();
    let tag = format!("\"{:?}\"", state.kinds.keys().collect::<Vec<_>>()).replace('"', "'");
    if request.headers().get("if-none-match").is_some_and(|known| known == tag.as_str()) {
        return answer(StatusCode::NOT_MODIFIED, String::new());
    }
    let body = json!({ "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": items });
    let mut answer = answer(StatusCode::OK, body.to_string());
    answer.headers_mut().insert("etag", tag.parse().unwrap());
    answer
}

fn refusal(status: StatusCode, message: &str) -> Response<Body> {
    let body = json!({ "kind": "Status", "status": "Failure", "message": message, "code": status.as_u16() });
    answer(status, body.to_string())
}

fn answer(status: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(BodyExt::boxed(Full::from(body)));
    *response.status_mut() = status;
    response
}
