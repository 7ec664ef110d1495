//! A certificate authority over gRPC: `weft control`, or istiod, or whatever speaks Istio's protocol.
//!
//! `app` makes one in a mesh with a control plane. The agent shows its service account's token and names the identity that
//! it needs; the authority decides. The connection is kept, and made anew whenever a request over it fails: an authority
//! that moved, or a path that died silently, costs one attempt. Retries beyond that are [`super::Identities`]' plan.

mod answer;
mod channel;
#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing;

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::uri::PathAndQuery;
use rustls_pki_types::CertificateSigningRequestDer;
use tokio::sync::watch;
use tonic::{Code, Request, Status, metadata::AsciiMetadataValue, transport::Channel};
use tonic_prost::ProstCodec;
use weft_model::identity::SpiffeId;

use super::{
    authority::{CaError, CertificateAuthority, SignedChain},
    ca_protocol::{CREATE_CERTIFICATE, CertificateRequest, CertificateResponse, MAX_MESSAGE},
    root_file::Published,
};
use channel::{Address, Recognised};

/// How long one attempt may take, connecting included. Two of them fit into what `Identities` waits.
const ATTEMPT: Duration = Duration::from_millis(4500);

/// Where an authority is, and how the agent proves itself to it.
#[derive(Clone, Debug)]
pub struct RemoteCaConfig {
    /// `https://host:port`, or Istio's way to write it, `host:port`.
    pub address: String,
    /// File with the service account's token; read for each request, since the kubelet replaces it.
    pub token: PathBuf,
    /// Roots that the authority itself is judged by.
    pub published: watch::Receiver<Published>,
}

/// The address is none.
#[derive(Debug, thiserror::Error)]
#[error("{address:?} is no address of a certificate authority: {reason}; write https://host:port")]
pub struct InvalidAddress {
    pub(super) address: String,
    pub(super) reason: String,
}

/// Signs by asking.
pub struct RemoteCa {
    address: Address,
    token: PathBuf,
    recognised: Recognised,
    channel: Mutex<Channel>,
}

impl RemoteCa {
    /// Nothing is connected yet. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// [`InvalidAddress`].
    pub fn new(config: RemoteCaConfig) -> Result<Self, InvalidAddress> {
        let address = Address::parse(&config.address)?;
        let recognised = Recognised { published: config.published, answered: Arc::default() };
        let channel = Mutex::new(address.channel(&recognised));
        Ok(Self { address, token: config.token, recognised, channel })
    }

    async fn ask(&self, request: &CertificateRequest) -> Result<CertificateResponse, Status> {
        let channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut client = tonic::client::Grpc::new(channel).max_decoding_message_size(MAX_MESSAGE);
        let mut request = Request::new(request.clone());
        request.metadata_mut().insert("authorization", self.token()?);
        let attempt = async {
            client.ready().await.map_err(|error| Status::unavailable(with_causes(&error)))?;
            let path = PathAndQuery::from_static(CREATE_CERTIFICATE);
            client.unary(request, path, ProstCodec::<CertificateRequest, CertificateResponse>::default()).await
        };
        let answer = tokio::time::timeout(ATTEMPT, attempt).await;
        answer
            .map_err(|_elapsed| Status::deadline_exceeded(format!("no answer within {ATTEMPT:?}")))?
            .map(|answer| answer.into_inner())
    }

    fn token(&self) -> Result<AsciiMetadataValue, Status> {
        let path = self.token.display();
        let token = std::fs::read_to_string(&self.token)
            .map_err(|error| Status::aborted(format!("cannot read the token {path} that proves who asks: {error}")))?;
        let mut value = AsciiMetadataValue::try_from(format!("Bearer {}", token.trim()))
            .map_err(|_odd| Status::aborted(format!("{path} holds no token")))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// Forgets the connection, for the next attempt to make its own.
    fn reconnect(&self) {
        *self.channel.lock().unwrap_or_else(PoisonError::into_inner) = self.address.channel(&self.recognised);
    }
}

#[async_trait::async_trait]
impl CertificateAuthority for RemoteCa {
    async fn sign(
        &self,
        csr: CertificateSigningRequestDer<'_>,
        id: &SpiffeId,
        ttl: Duration,
    ) -> Result<SignedChain, CaError> {
        let csr = pem::encode(&pem::Pem::new("CERTIFICATE REQUEST", csr.to_vec()));
        let request = CertificateRequest::on_behalf_of(id, csr, ttl);
        let mut answer = self.ask(&request).await;
        if answer.as_ref().is_err_and(is_of_the_connection) {
            // Signing twice harms nobody, so the other replica gets its chance at once.
            self.reconnect();
            answer = self.ask(&request).await;
            if answer.as_ref().is_err_and(is_of_the_connection) {
                self.reconnect();
            }
        }
        let answer = answer.map_err(|status| self.error(id, &status))?;
        let signed = answer::read(&answer).map_err(|reason| CaError::Unavailable {
            authority: self.address.to_string(),
            source: format!("its answer is not usable: {reason}").into(),
        })?;
        self.recognised.answered.store(Some(Arc::new(signed.roots.clone())));
        Ok(signed)
    }
}

impl RemoteCa {
    fn error(&self, id: &SpiffeId, status: &Status) -> CaError {
        let message = with_causes(status);
        match status.code() {
            Code::PermissionDenied | Code::Unauthenticated | Code::InvalidArgument | Code::FailedPrecondition => {
                CaError::Refused { id: id.clone(), reason: format!("{} says {message}", self.address) }
            }
            _ => CaError::Unavailable { authority: self.address.to_string(), source: message.into() },
        }
    }
}

/// Whether another connection could do better.
fn is_of_the_connection(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown)
}

/// A status in words: what the other side wrote, or what went wrong below it.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = match error.downcast_ref::<Status>() {
        Some(status) if !status.message().is_empty() => status.message().to_owned(),
        Some(status) => status.code().to_string(),
        None => error.to_string(),
    };
    let causes = std::iter::successors(error.source(), |cause| cause.source()).map(ToString::to_string);
    for cause in causes.filter(|cause| !cause.is_empty()) {
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

impl fmt::Debug for RemoteCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteCa({})", self.address)
    }
}

#[cfg(test)]
mod tests;
