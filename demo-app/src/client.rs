//! A small HTTP/1.1 client: parse a URL, connect, send GETs, collect the answers.
//!
//! Used by the sentences roles (one new connection per call, as the original does) and by `get` (which may keep a
//! connection). It follows no redirect, keeps no pool and sets no time limit: callers wrap it in a timeout.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::header::{HOST, HeaderMap, HeaderValue, USER_AGENT};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::tls::{self, TlsError};

/// The largest response body we keep.
const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL is not one we can ask.
    #[error("bad URL {url:?}: {reason} (expected http://host[:port]/path or https://...)")]
    Url {
        /// The URL as given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No TCP connection.
    #[error("cannot connect to {host}:{port}: {source}")]
    Connect {
        /// Host of the URL.
        host: String,
        /// Port of the URL.
        port: u16,
        /// The error of the resolver or of connect.
        source: std::io::Error,
    },
    /// The TLS handshake failed.
    #[error("TLS handshake with {host} failed: {source}")]
    Handshake {
        /// Host of the URL.
        host: String,
        /// What rustls said.
        source: std::io::Error,
    },
    /// No TLS configuration.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The connection broke before the answer was complete.
    #[error("no complete answer: {}", with_causes(.0))]
    Exchange(#[from] hyper::Error),
    /// The body is larger than we keep.
    #[error("the answer is larger than {MAX_BODY_BYTES} bytes")]
    TooLarge,
}

/// hyper names the phase, its sources the reason ("connection closed before message completed", "reset by peer").
fn with_causes(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    text
}

/// A parsed URL.
#[derive(Debug, Clone)]
pub struct Target {
    host: String,
    port: u16,
    secure: bool,
    authority: HeaderValue,
    origin_form: Uri,
}

impl Target {
    /// Parses an absolute `http` or `https` URL.
    ///
    /// # Errors
    /// [`ClientError::Url`], naming the URL and what is wrong with it.
    pub fn parse(url: &str) -> Result<Self, ClientError> {
        let bad = |reason: String| ClientError::Url { url: url.to_owned(), reason };
        let uri: Uri = url.parse().map_err(|error: http::uri::InvalidUri| bad(error.to_string()))?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(other) => return Err(bad(format!("scheme {other} is not known"))),
            None => return Err(bad("the scheme is missing".to_owned())),
        };
        let authority = uri.authority().ok_or_else(|| bad("the host is missing".to_owned()))?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(if secure { 443 } else { 80 }),
            secure,
            authority: HeaderValue::from_str(authority.as_str()).map_err(|error| bad(error.to_string()))?,
            origin_form: path.parse().map_err(|error: http::uri::InvalidUri| bad(error.to_string()))?,
        })
    }
}

/// One complete answer.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The body, decoded from its transfer coding.
    pub body: Bytes,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// An open connection to one server.
pub struct Connection {
    sender: SendRequest<Empty<Bytes>>,
}

impl Connection {
    /// Whether another request can be sent on it.
    pub async fn is_usable(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    /// Sends one GET and collects the answer. A `Host` among `headers` replaces the one of the URL.
    ///
    /// # Errors
    /// [`ClientError::Exchange`] when the connection breaks, [`ClientError::TooLarge`] for bodies over 64 MiB.
    pub async fn get(&mut self, target: &Target, headers: &HeaderMap) -> Result<Reply, ClientError> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = target.origin_form.clone();
        let sent = request.headers_mut();
        sent.insert(HOST, target.authority.clone());
        sent.insert(USER_AGENT, HeaderValue::from_static(concat!("demo-app/", env!("CARGO_PKG_VERSION"))));
        sent.insert(http::header::ACCEPT, HeaderValue::from_static("*/*"));
        for name in headers.keys() {
            sent.remove(name);
        }
        sent.extend(headers.clone());
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        match Limited::new(response.into_body(), MAX_BODY_BYTES).collect().await {
            Ok(body) => Ok(Reply { status, body: body.to_bytes() }),
            Err(error) if error.is::<LengthLimitError>() => Err(ClientError::TooLarge),
            Err(error) => match error.downcast::<hyper::Error>() {
                Ok(error) => Err(ClientError::Exchange(*error)),
                Err(_) => Err(ClientError::TooLarge),
            },
        }
    }
}

/// Opens connections; clones share the TLS configuration, which is read from disk at the first `https` URL.
#[derive(Debug, Clone, Default)]
pub struct Client {
    bundle: Option<PathBuf>,
    tls: Arc<OnceLock<Arc<rustls::ClientConfig>>>,
}

impl Client {
    /// A client that trusts the CA certificates in `bundle` (`None`: those of the system).
    pub fn new(bundle: Option<PathBuf>) -> Self {
        Self { bundle, tls: Arc::default() }
    }

    /// Opens a new connection to the server of `target`.
    ///
    /// # Errors
    /// [`ClientError`] naming the host when it cannot be resolved, reached or trusted.
    pub async fn connect(&self, target: &Target) -> Result<Connection, ClientError> {
        let stream = TcpStream::connect((target.host.as_str(), target.port))
            .await
            .map_err(|source| ClientError::Connect { host: target.host.clone(), port: target.port, source })?;
        // A request is one write; waiting to coalesce it with more only adds latency. Failing costs only time.
        let _ = stream.set_nodelay(true);
        let stream: Box<dyn Stream> =
            if target.secure { Box::new(self.secure(stream, target).await?) } else { Box::new(stream) };
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Errors of the connection also reach the waiting request, which reports them.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(Connection { sender })
    }

    /// Opens a new connection, sends one GET, and closes the connection.
    ///
    /// # Errors
    /// As [`Client::connect`] and [`Connection::get`].
    pub async fn get_once(&self, target: &Target, headers: &HeaderMap) -> Result<Reply, ClientError> {
        self.connect(target).await?.get(target, headers).await
    }

    async fn secure(
        &self,
        stream: TcpStream,
        target: &Target,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>, ClientError> {
        let config = match self.tls.get() {
            Some(config) => config.clone(),
            None => {
                let config = tls::client_config(self.bundle.as_deref())?;
                self.tls.get_or_init(|| config).clone()
            }
        };
        let name = ServerName::try_from(target.host.clone())
            .map_err(|error| ClientError::Url { url: target.host.clone(), reason: error.to_string() })?;
        TlsConnector::from(config)
            .connect(name, stream)
            .await
            .map_err(|source| ClientError::Handshake { host: target.host.clone(), source })
    }
}

#[cfg(test)]
mod tests;
