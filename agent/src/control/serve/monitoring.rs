//! Port 15014: what probes, Prometheus and Kiali ask.
//!
//! | path | answer |
//! |---|---|
//! | `/live` | 200 while the process answers at all |
//! | `/ready` | 200 when certificates can be signed, else 503 and why not |
//! | `/metrics` | [`ControlMetrics`] |
//! | `/version` | in the form of istiod, by which Kiali and istioctl recognise a control plane |
//! | `/debug/syncz` | the nodes' agents, in the form of istiod's list of proxies |

use std::sync::Arc;

use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::json;
use tonic::body::Body;

use super::certificate::Certificate;
use crate::{
    control::{accounts::TrustedAccounts, ca::authority::Following, pods::Pods},
    telemetry::{CONTENT_TYPE as METRICS, control::ControlMetrics},
};

/// The Istio whose objects and protocols weft follows. Kiali takes the first three numbers that it finds for Istio's
/// version and compares them with what it supports; weft's own version is behind it.
const ISTIO_LEVEL: &str = "1.31.0";

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// What is asked.
pub struct Monitoring {
    /// Signs, or does not yet.
    pub authority: Following,
    /// What the servers show.
    pub certificate: Arc<Certificate>,
    /// Knows the agents.
    pub pods: Arc<Pods>,
    /// Who they are.
    pub accounts: TrustedAccounts,
    /// Counts.
    pub metrics: Arc<ControlMetrics>,
}

impl Monitoring {
    /// The answer.
    pub fn answer(&self, method: &Method, path: &str) -> Response<Body> {
        if method != Method::GET && method != Method::HEAD {
            return reply(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET: nothing here changes anything\n".to_owned());
        }
        match path {
            "/live" => reply(StatusCode::OK, TEXT, "live\n".to_owned()),
            "/ready" => self.ready(),
            "/metrics" => match self.metrics.render() {
                Ok(page) => reply(StatusCode::OK, METRICS, page),
                Err(error) => reply(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
            },
            "/version" => reply(StatusCode::OK, TEXT, version()),
            "/debug/syncz" => reply(StatusCode::OK, JSON, self.agents()),
            _ => {
                let there = "there is /live, /ready, /metrics, /version, /debug/syncz";
                reply(StatusCode::NOT_FOUND, TEXT, format!("nothing at {path}; {there}\n"))
            }
        }
    }

    fn ready(&self) -> Response<Body> {
        let missing = match (self.authority.borrow().is_some(), self.certificate.is_there()) {
            (false, _) => "there is no root yet that could sign: see the log\n",
            (true, false) => "the servers have no certificate yet\n",
            (true, true) => return reply(StatusCode::OK, TEXT, "ready\n".to_owned()),
        };
        reply(StatusCode::SERVICE_UNAVAILABLE, TEXT, missing.to_owned())
    }

    /// Agents read the API server by themselves, so nothing is said about what was sent to them.
    fn agents(&self) -> String {
        let agents = self.pods.agents(&self.accounts);
        let agents = agents.iter().map(|agent| {
            json!({
                "cluster_id": "Kubernetes",
                "proxy": format!("{}.{}", agent.name, agent.namespace),
                "proxy_type": "ztunnel",
                "istio_version": ISTIO_LEVEL,
            })
        });
        serde_json::Value::Array(agents.collect()).to_string()
    }
}

/// `<version>-<revision>-<state>`, as istioctl takes it apart.
fn version() -> String {
    format!("{ISTIO_LEVEL}-weft{}-Clean", env!("CARGO_PKG_VERSION"))
}

fn reply(status: StatusCode, media_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

#[cfg(test)]
mod tests;
