//! The API server's questions over HTTP: `POST /validate` and `POST /inject`, an `AdmissionReview` each way.
//!
//! Whoever terminates TLS hands each request to [`Webhooks::answer`]. A question that cannot be answered gets an error
//! status, never a refusal: what follows from that is said by the `failurePolicy` of the configuration.

use std::{fmt::Display, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Body;
use k8s_openapi::api::core::v1::Pod;
use kube::core::{
    DynamicObject, Resource,
    admission::{AdmissionRequest, AdmissionResponse, AdmissionReview},
};
use serde::de::DeserializeOwned;
use tokio::{sync::watch, time::Instant};
use weft_model::snapshot::Snapshot;

use super::{INJECT_PATH, VALIDATE_PATH, inject::mutate_pod, namespaces::Namespaces, validate::Question};

/// Largest review that is read: two objects of etcd's limit (1.5 MiB), and room.
const REVIEW_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How long a reference may take to appear in the snapshot before it is warned about: `kubectl apply -f` creates the
/// DestinationRule and, a few milliseconds later, the VirtualService that needs it.
const SETTLING_TIME: Duration = Duration::from_millis(400);

/// How long the labels of a namespace may take: well below the `timeoutSeconds` of the configuration.
const NAMESPACE_TIMEOUT: Duration = Duration::from_secs(3);

/// What is needed to answer.
#[derive(Clone)]
pub struct Webhooks {
    /// The world as discovery sees it.
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
    /// Who knows the labels of namespaces.
    pub namespaces: Arc<dyn Namespaces>,
}

/// A question without an answer.
struct Failure {
    status: StatusCode,
    message: String,
}

impl Webhooks {
    /// Answers one request.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match self.reviewed(request).await {
            Ok(review) => respond(StatusCode::OK, "application/json", review),
            Err(Failure { status, message }) => {
                tracing::warn!(%status, why = message, "cannot answer an admission review");
                respond(status, "text/plain; charset=utf-8", message + "\n")
            }
        }
    }

    async fn reviewed<B>(&self, request: Request<B>) -> Result<String, Failure>
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let path = request.uri().path().to_owned();
        if path != VALIDATE_PATH && path != INJECT_PATH {
            let message = format!("nothing is at {path}; use {VALIDATE_PATH} or {INJECT_PATH}");
            return Err(Failure { status: StatusCode::NOT_FOUND, message });
        }
        if request.method() != Method::POST {
            let message = "send an AdmissionReview with POST".to_owned();
            return Err(Failure { status: StatusCode::METHOD_NOT_ALLOWED, message });
        }
        let body = read(request.into_body()).await?;
        let response = match path.as_str() {
            VALIDATE_PATH => self.validated(&question(&body)?).await,
            _ => self.injected(&question(&body)?).await?,
        };
        serde_json::to_string(&response.into_review()).map_err(|error| Failure::internal(&error))
    }

    /// Waits a little for what the object refers to: it may have been created a moment ago.
    async fn validated(&self, request: &AdmissionRequest<DynamicObject>) -> AdmissionResponse {
        let mut snapshots = self.snapshot.clone();
        let snapshot = snapshots.borrow_and_update().clone();
        let question = Question::new(request, &snapshot);
        let mut missing = question.missing(&snapshot);
        let deadline = Instant::now() + SETTLING_TIME;
        while !missing.is_empty() {
            let Ok(Ok(())) = tokio::time::timeout_at(deadline, snapshots.changed()).await else { break };
            let snapshot = snapshots.borrow_and_update().clone();
            missing = question.missing(&snapshot);
        }
        let response = question.answer(&missing);
        if !response.allowed {
            let (kind, namespace, name) = (&request.kind.kind, request.namespace.as_deref(), &request.name);
            tracing::info!(kind, namespace, name, why = response.result.message, "refused an object");
        }
        response
    }

    async fn injected(&self, request: &AdmissionRequest<Pod>) -> Result<AdmissionResponse, Failure> {
        let namespace = request.namespace.as_deref().unwrap_or("default");
        let asked = tokio::time::timeout(NAMESPACE_TIMEOUT, self.namespaces.labels(namespace)).await;
        let labels = match asked {
            Ok(labels) => labels.map_err(|error| Failure::internal(&error))?,
            Err(_elapsed) => {
                let message = format!("the API server did not tell the labels of namespace {namespace} in time");
                return Err(Failure { status: StatusCode::INTERNAL_SERVER_ERROR, message });
            }
        };
        Ok(mutate_pod(request, &labels, &self.snapshot.borrow().mesh))
    }
}

impl Failure {
    fn internal(error: &dyn Display) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, message: error.to_string() }
    }

    fn bad_request(error: &dyn Display) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: format!("not an AdmissionReview: {error}") }
    }
}

async fn read<B>(body: B) -> Result<Bytes, Failure>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match Limited::new(body, REVIEW_BYTES_MAX).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let message = format!("an AdmissionReview has at most {REVIEW_BYTES_MAX} bytes");
            Err(Failure { status: StatusCode::PAYLOAD_TOO_LARGE, message })
        }
        Err(error) => Err(Failure::bad_request(&error)),
    }
}

fn question<T: Resource + DeserializeOwned>(body: &[u8]) -> Result<AdmissionRequest<T>, Failure> {
    let review: AdmissionReview<T> = serde_json::from_slice(body).map_err(|error| Failure::bad_request(&error))?;
    review.try_into().map_err(|error: kube::core::admission::ConvertAdmissionReviewError| Failure::bad_request(&error))
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests;
