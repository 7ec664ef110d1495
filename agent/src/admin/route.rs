//! From a path to an answer. Every answer is made at once from what is in memory.

use http::{Method, StatusCode};
use weft_model::workload::Named;

use super::{
    Admin, LogLines, ON_ANOTHER_NODE, config, describe,
    explain::{self, Question},
    pods,
    query::Query,
    summary,
};
use crate::telemetry::CONTENT_TYPE as METRICS;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// Said to other methods.
pub(super) const ONLY_GET: &str = "only GET: nothing here changes anything";

/// What is answered.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) media_type: &'static str,
    pub(super) body: String,
}

impl Reply {
    pub(super) fn text(status: StatusCode, text: impl Into<String>) -> Self {
        let mut body = text.into();
        if !body.ends_with('\n') {
            body.push('\n');
        }
        Self { status, media_type: TEXT, body }
    }

    fn metrics(body: String) -> Self {
        Self { status: StatusCode::OK, media_type: METRICS, body }
    }

    pub(super) fn json(value: &impl serde::Serialize) -> Self {
        match serde_json::to_string_pretty(value) {
            Ok(body) => Self { status: StatusCode::OK, media_type: JSON, body: body + "\n" },
            Err(error) => Self::text(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot be written as JSON: {error}")),
        }
    }
}

/// The answer to a request. An agent that is ending is not ready.
pub(super) fn answer(admin: &Admin, is_ending: bool, method: &Method, path: &str, query: &str) -> Reply {
    if method != Method::GET && method != Method::HEAD {
        return Reply::text(StatusCode::METHOD_NOT_ALLOWED, ONLY_GET);
    }
    let query = Query::parse(query);
    let found = match path {
        "/live" => Ok(Reply::text(StatusCode::OK, "live")),
        "/ready" => Ok(ready(admin, is_ending)),
        "/metrics" => Ok(metrics(admin, is_ending)),
        "/status" => Ok(Reply::json(&admin.status(is_ending))),
        "/trust" => Ok(Reply::json(&admin.trust())),
        "/snapshot" => Ok(Reply::json(&summary::of(&admin.snapshot.borrow().clone()))),
        "/explain" => explain(admin, &query),
        "/logs" => logs(admin, &query),
        "/stats" => pod_here(admin, &query).map(|pod| Reply::metrics(admin.telemetry.render(&pod))),
        "/config" => config(admin, &query),
        "/describe" => describe(admin, &query),
        _ => Err(Reply::text(
            StatusCode::NOT_FOUND,
            format!(
                "nothing at {path}; there is /live, /ready, /metrics, /status, /explain, /logs, /stats, /config, \
                 /describe, /trust, /snapshot"
            ),
        )),
    };
    found.unwrap_or_else(|refusal| refusal)
}

fn ready(admin: &Admin, is_ending: bool) -> Reply {
    let missing = admin.missing(is_ending);
    admin.set_gauges(missing.is_empty());
    if missing.is_empty() {
        Reply::text(StatusCode::OK, "ready")
    } else {
        Reply::text(StatusCode::SERVICE_UNAVAILABLE, missing.join("\n"))
    }
}

fn metrics(admin: &Admin, is_ending: bool) -> Reply {
    admin.set_gauges(admin.missing(is_ending).is_empty());
    match admin.metrics.render() {
        Ok(page) => Reply::metrics(page),
        Err(error) => Reply::text(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot render the metrics: {error}")),
    }
}

fn logs(admin: &Admin, query: &Query) -> Result<Reply, Reply> {
    let pod = pod_here(admin, query)?;
    let after = match query.value("after") {
        None => 0,
        Some(text) => text.parse().map_err(|_invalid| bad(format!("after={text} is no number of lines")))?,
    };
    let page = admin.telemetry.log(&pod, after);
    Ok(Reply::json(&LogLines { lines: page.lines, next: page.next }))
}

fn explain(admin: &Admin, query: &Query) -> Result<Reply, Reply> {
    let question = question(query).map_err(bad)?;
    let snapshot = admin.snapshot.borrow().clone();
    let mut explanation = explain::explain(&snapshot, &question)
        .map_err(|error| Reply::text(StatusCode::NOT_FOUND, error.to_string()))?;
    explanation.answered_by = admin.node.to_string();
    Ok(Reply::json(&explanation))
}

/// What is asked of `/explain`.
pub(super) fn question(query: &Query) -> Result<Question, String> {
    Ok(Question {
        from: pods::parse(query.needed("from")?)?,
        to: query.needed("to")?.to_owned(),
        method: query.value("method").unwrap_or("GET").to_owned(),
        headers: query.values("header").map(header).collect::<Result<_, _>>()?,
        tcp: query.value("tcp").is_some_and(|value| value != "false"),
    })
}

fn config(admin: &Admin, query: &Query) -> Result<Reply, Reply> {
    let pod = pod_here(admin, query)?;
    let snapshot = admin.snapshot.borrow().clone();
    let pod = pods::find(&snapshot, &pod).map_err(|message| Reply::text(StatusCode::NOT_FOUND, message))?;
    Ok(Reply::json(&config::of(&snapshot, pod)))
}

fn describe(admin: &Admin, query: &Query) -> Result<Reply, Reply> {
    let absent = |message| Reply::text(StatusCode::NOT_FOUND, message);
    let snapshot = admin.snapshot.borrow().clone();
    if let Some(service) = query.value("service") {
        let service = describe::find_service(&snapshot, &pods::parse(service).map_err(bad)?).map_err(absent)?;
        return Ok(Reply::json(&admin.describe_service(&snapshot, service)));
    }
    let pod = pod_here(admin, query)?;
    Ok(Reply::json(&admin.describe_pod(&snapshot, pods::find(&snapshot, &pod).map_err(absent)?)))
}

/// `name: value` of a header.
fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.trim().to_owned())),
        _ => Err(format!("{text:?} is no header of the form name: value")),
    }
}

/// The pod that is asked about, when it runs on this node.
fn pod_here(admin: &Admin, query: &Query) -> Result<Named, Reply> {
    let pod = pods::parse(query.needed("pod").map_err(bad)?).map_err(bad)?;
    let snapshot = admin.snapshot.borrow().clone();
    let workload = pods::find(&snapshot, &pod).map_err(|message| Reply::text(StatusCode::NOT_FOUND, message))?;
    if workload.node == admin.node {
        Ok(pod)
    } else {
        Err(Reply::text(ON_ANOTHER_NODE, format!("pod {pod} runs on node {}, this is {}", workload.node, admin.node)))
    }
}

fn bad(message: impl Into<String>) -> Reply {
    Reply::text(StatusCode::BAD_REQUEST, message)
}
