//! Answers a signing request: who asks, may they, is it one, sign, count.
//!
//! The gRPC method of [`crate::identity::ca_protocol`]. Refusals say what was asked for and what was missing: whoever reads
//! them in an agent's status should not need this log, too. Tokens and keys are never in them.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{Request, Response};
use hyper::body::Incoming;
use rustls_pki_types::CertificateDer;
use tonic::{Status, body::Body};
use tonic_prost::ProstCodec;
use weft_model::identity::SpiffeId;

use super::{
    authority::{Authority, Following},
    authorize::{self, Denied, Grant},
    caller::{Caller, Reviewer, Unknown},
};
use crate::{
    control::{accounts::TrustedAccounts, pods::NodePods},
    identity::{
        CaError, MAX_TTL, SignedChain, SigningRequest,
        ca_protocol::{CREATE_CERTIFICATE, CertificateRequest, CertificateResponse, MAX_MESSAGE},
        material::certificate_pem,
    },
    telemetry::control::ControlMetrics,
};

/// How long a request may take, questions to the API server included. Agents wait no longer.
const DEADLINE: Duration = Duration::from_secs(8);
/// How long one question whose token this is may take.
const REVIEW: Duration = Duration::from_secs(5);

/// Signs for who may ask.
pub struct CertificateService {
    /// Signs.
    pub authority: Following,
    /// Knows whose tokens these are.
    pub reviewer: Arc<dyn Reviewer>,
    /// Knows who runs where.
    pub pods: Arc<dyn NodePods>,
    /// May ask for others.
    pub accounts: TrustedAccounts,
    /// Audiences of tokens that are meant for us.
    pub audiences: Vec<String>,
    /// Counts.
    pub metrics: Arc<ControlMetrics>,
}

impl CertificateService {
    /// Answers an HTTP/2 request.
    pub async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        if request.uri().path() != CREATE_CERTIFICATE {
            return Status::unimplemented(format!("there is {CREATE_CERTIFICATE} only")).into_http();
        }
        let codec = ProstCodec::<CertificateResponse, CertificateRequest>::default();
        let mut grpc = tonic::server::Grpc::new(codec).max_decoding_message_size(MAX_MESSAGE);
        let method = tower::service_fn(|request: tonic::Request<CertificateRequest>| {
            let service = self.clone();
            async move { service.create(request).await.map(tonic::Response::new) }
        });
        grpc.unary(method, request).await
    }

    async fn create(&self, request: tonic::Request<CertificateRequest>) -> Result<CertificateResponse, Status> {
        self.metrics.requests.inc();
        let answer = tokio::time::timeout(DEADLINE, self.answer(&request)).await;
        let answer =
            answer.unwrap_or_else(|_elapsed| Err(Status::deadline_exceeded(format!("it took more than {DEADLINE:?}"))));
        if let Err(status) = &answer {
            let asked = request.get_ref().impersonated();
            tracing::warn!(asked, code = ?status.code(), reason = status.message(), "no certificate");
        }
        answer
    }

    async fn answer(&self, request: &tonic::Request<CertificateRequest>) -> Result<CertificateResponse, Status> {
        let authority = self.authority.borrow().clone();
        let authority = authority.ok_or_else(|| {
            self.metrics.sign_error("CA_NOT_READY");
            Status::unavailable("there is no root yet that could sign; see the log of weft control")
        })?;
        let caller = self.caller(request).await?;
        let trust_domain = authority.signer.trust_domain();
        let message = request.get_ref();
        let grant = authorize::decide(&caller, message.impersonated(), trust_domain, &self.accounts);
        let id = match grant.map_err(|denied| self.denied(&denied))? {
            Grant::Own(id) => id,
            Grant::IfOnNode(id) => self.on_node(&caller, id).await?,
        };
        let signed = self.sign(&authority, message, &id)?;
        self.metrics.signed.inc();
        tracing::debug!(%caller, %id, "signed");
        Ok(response(&signed, authority.signer.certificate()))
    }

    /// Who asks?
    async fn caller(&self, request: &tonic::Request<CertificateRequest>) -> Result<Caller, Status> {
        let reviewed = async {
            let token = bearer(request).ok_or(Unknown::NoToken)?;
            let review = tokio::time::timeout(REVIEW, self.reviewer.review(token, &self.audiences)).await;
            let status = review.map_err(|_elapsed| Unknown::Unavailable(format!("no answer within {REVIEW:?}")))??;
            Caller::read(status, &self.audiences)
        };
        reviewed.await.map_err(|unknown| match unknown {
            Unknown::Unavailable(_) => Status::unavailable(unknown.to_string()),
            _ => {
                self.metrics.unauthenticated.inc();
                Status::unauthenticated(unknown.to_string())
            }
        })
    }

    /// Is a pod of `id` where the caller is?
    async fn on_node(&self, caller: &Caller, id: SpiffeId) -> Result<SpiffeId, Status> {
        let unavailable = |error: String| Status::unavailable(format!("the API server cannot be asked: {error}"));
        // Decided before: without a pod there is no such grant.
        let pod = caller.pod.as_ref().ok_or_else(|| Status::internal("a grant for no node"))?;
        // Not from the token: the API server accepts one for some seconds after its pod is gone.
        let node = self.pods.node_of(&caller.namespace, &caller.account, pod).await.map_err(unavailable)?;
        let Some(node) = node else {
            return Err(self.denied(&Denied::NoPod { caller: caller.to_string(), pod: pod.name.clone() }));
        };
        if self.pods.has(&authorize::needed(&id, &node)).await.map_err(unavailable)? {
            return Ok(id);
        }
        Err(self.denied(&Denied::NotOnNode { caller: caller.to_string(), id, node: node.to_string() }))
    }

    fn sign(&self, authority: &Authority, message: &CertificateRequest, id: &SpiffeId) -> Result<SignedChain, Status> {
        // What the request says about names is not looked at, as in istiod: the identity was decided above.
        let request = SigningRequest::from_pem(&message.csr).map_err(|error| {
            self.metrics.unreadable.inc();
            Status::invalid_argument(error.to_string())
        })?;
        let ttl = message.ttl().unwrap_or(MAX_TTL);
        authority.signer.sign(&request, id, ttl, SystemTime::now()).map_err(|error| {
            self.metrics.sign_error("CERT_GENERATION_ERROR");
            match error {
                CaError::Refused { .. } => Status::failed_precondition(error.to_string()),
                _ => Status::internal(error.to_string()),
            }
        })
    }

    fn denied(&self, denied: &Denied) -> Status {
        match denied {
            Denied::NoIdentity(_) => {
                self.metrics.no_identity.inc();
                Status::invalid_argument(denied.to_string())
            }
            _ => {
                self.metrics.unauthenticated.inc();
                Status::permission_denied(denied.to_string())
            }
        }
    }
}

fn bearer<T>(request: &tonic::Request<T>) -> Option<&str> {
    let values = request.metadata().get_all("authorization").iter();
    let mut tokens = values.filter_map(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    tokens.next().map(str::trim).filter(|token| !token.is_empty())
}

/// One certificate in each text, roots last: what ztunnel expects, and sidecars understand. Those take the last one for
/// the root, so while there are several it is the one that signs.
fn response(signed: &SignedChain, signer: &CertificateDer<'_>) -> CertificateResponse {
    let (signs, others): (Vec<_>, Vec<_>) = signed.roots.roots().iter().partition(|root| *root == signer);
    let all = signed.chain.iter().chain(others).chain(signs);
    CertificateResponse { cert_chain: all.map(certificate_pem).collect() }
}

#[cfg(test)]
mod tests;
