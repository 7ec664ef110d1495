//! Asks the API server every few seconds whether it is there, and which mesh kinds it serves: one small request, which
//! costs the server a comparison while nothing has changed.

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, Request, StatusCode, header};
use kube::{
    client::Body,
    core::{
        Status,
        discovery::v2::{ACCEPT_AGGREGATED_DISCOVERY_V2, APIGroupDiscoveryList},
    },
};
use tokio::{sync::mpsc, time::timeout};

use super::{
    catalog::{self, Resource},
    clients::Clients,
    failure::Failure,
    message::Message,
    retry::Retry,
};

/// How often the server is asked.
pub const INTERVAL: Duration = Duration::from_secs(10);

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// An answer is no longer than this: some hundred definitions fit many times.
const MAX_ANSWER_BYTES: usize = 32 << 20;

/// Failures in a row after which the client is made anew.
const RENEW_AFTER: u32 = 3;

/// Asks until nobody wants to know any more.
pub async fn keep(clients: Arc<Clients>, out: mpsc::Sender<Message>) {
    let mut known = None;
    let mut retry = Retry::default();
    let mut failures = 0;
    loop {
        let answer = timeout(ANSWER, ask(&clients, &mut known)).await.unwrap_or(Err(Failure::Silent(ANSWER)));
        let wait = match &answer {
            Ok(_) => {
                if failures > 0 {
                    clients.has_returned();
                }
                retry.reset();
                failures = 0;
                // Spread, as retries are: agents started together need not ask together for ever.
                INTERVAL.mul_f64(0.8 + 0.2 * fastrand::f64())
            }
            Err(failure) => {
                failures += 1;
                if failure.is_unauthorized() || failures % RENEW_AFTER == 0 {
                    clients.renew().await;
                }
                retry.next(fastrand::f64()).min(INTERVAL)
            }
        };
        if out.send(Message::Contact(answer)).await.is_err() {
            return;
        }
        tokio::time::sleep(wait).await;
    }
}

/// The mesh kinds that are served, `None` when they are as before.
async fn ask(clients: &Clients, known: &mut Option<HeaderValue>) -> Result<Option<Vec<Resource>>, Failure> {
    let accept = HeaderValue::from_static(ACCEPT_AGGREGATED_DISCOVERY_V2);
    let mut request = Request::get("/apis").header(header::ACCEPT, accept);
    if let Some(tag) = known {
        request = request.header(header::IF_NONE_MATCH, &*tag);
    }
    let (status, tag, body) = send(clients, request).await?;
    if status == StatusCode::NOT_MODIFIED {
        return Ok(None);
    }
    let groups: APIGroupDiscoveryList = match read(&body)? {
        Listing::Aggregated(groups) => groups,
        Listing::Other => {
            let why = "it does not serve aggregated discovery: Kubernetes 1.26 or newer is needed";
            return Err(Failure::Unreadable(why.to_owned()));
        }
    };
    // While it starts, a server does not know all its kinds yet: policies that it seems to lack would be missed.
    send(clients, Request::get("/readyz")).await?;
    *known = tag;
    Ok(Some(catalog::served(&groups)))
}

async fn send(
    clients: &Clients,
    request: http::request::Builder,
) -> Result<(StatusCode, Option<HeaderValue>, Vec<u8>), Failure> {
    let request = request.body(Body::empty()).map_err(|error| Failure::Unreadable(error.to_string()))?;
    let response = clients.get().send(request).await?;
    let status = response.status();
    let tag = response.headers().get(header::ETAG).cloned();
    let body = http_body_util::Limited::new(response.into_body(), MAX_ANSWER_BYTES);
    let body = http_body_util::BodyExt::collect(body).await.map_err(|error| Failure::Unreachable(error.to_string()))?;
    let body = body.to_bytes();
    if status.is_client_error() || status.is_server_error() {
        let said: Status = serde_json::from_slice(&body)
            .unwrap_or_else(|_other| Status::failure(&String::from_utf8_lossy(&body), "").with_code(status.as_u16()));
        return Err((&said).into());
    }
    Ok((status, tag, body.into()))
}

enum Listing {
    Aggregated(APIGroupDiscoveryList),
    /// The list of groups that servers before 1.26 know only.
    Other,
}

fn read(body: &[u8]) -> Result<Listing, Failure> {
    #[derive(serde::Deserialize)]
    struct Kind {
        kind: String,
    }
    let unreadable = |error: serde_json::Error| Failure::Unreadable(error.to_string());
    let Kind { kind } = serde_json::from_slice(body).map_err(unreadable)?;
    match kind.as_str() {
        "APIGroupDiscoveryList" => serde_json::from_slice(body).map(Listing::Aggregated).map_err(unreadable),
        _ => Ok(Listing::Other),
    }
}
