//! The connection to the authority: TCP, then TLS judged by the mesh's published roots, then HTTP/2.
//!
//! The roots are looked at when a connection is made, so a change needs no restart. The agent shows no certificate here:
//! its token says who it is, and it needs this connection to get its first certificate.

use std::{fmt, io, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, version::TLS13};
use rustls_pki_types::ServerName;
use tokio::{net::TcpStream, sync::watch};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::{Channel, Endpoint};

use super::{
    super::{authority::TrustBundle, tls},
    InvalidAddress, Published,
};

/// How long connecting may take, with TLS. Short of an attempt's time, so that its own message is heard.
const CONNECT: Duration = Duration::from_secs(4);
/// How often a connection with an open request is tried, and how long the answer may take.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));
/// Requests that wait for the connection: more than [`super::super::rotation`] and new pods ask for at a time.
const MAX_WAITING: usize = 256;

/// By which roots the authority is recognised: the published ones, and those that it named itself over a connection that
/// held. The latter matter while the root changes and the file is late.
#[derive(Clone)]
pub(super) struct Recognised {
    pub(super) published: watch::Receiver<Published>,
    pub(super) answered: Arc<ArcSwapOption<TrustBundle>>,
}

/// A validated address.
#[derive(Clone, Debug)]
pub(super) struct Address {
    uri: Uri,
    host: String,
    port: u16,
    name: ServerName<'static>,
}

impl Address {
    pub(super) fn parse(text: &str) -> Result<Self, InvalidAddress> {
        let invalid = |reason: &str| InvalidAddress { address: text.to_owned(), reason: reason.to_owned() };
        let written = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
        let uri: Uri = written.parse().map_err(|error: http::uri::InvalidUri| invalid(&error.to_string()))?;
        if uri.scheme_str() != Some("https") {
            return Err(invalid("tokens travel over TLS only"));
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(invalid("it has a path"));
        }
        let host = uri.host().ok_or_else(|| invalid("it names no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().ok_or_else(|| invalid("it names no port"))?;
        let name = ServerName::try_from(host.clone()).map_err(|error| invalid(&error.to_string()))?;
        Ok(Self { uri, host, port, name })
    }

    /// A channel that connects with its first request, and again after a connection ended.
    pub(super) fn channel(&self, recognised: &Recognised) -> Channel {
        let (address, recognised) = (self.clone(), recognised.clone());
        let connector = tower::service_fn(move |_uri| {
            let (address, recognised) = (address.clone(), recognised.clone());
            async move { address.connect(&recognised).await.map(TokioIo::new) }
        });
        Endpoint::from(self.uri.clone())
            .buffer_size(MAX_WAITING)
            .http2_keep_alive_interval(KEEP_ALIVE.0)
            .keep_alive_timeout(KEEP_ALIVE.1)
            .connect_with_connector_lazy(connector)
    }

    async fn connect(&self, recognised: &Recognised) -> io::Result<TlsStream<TcpStream>> {
        let config = client_config(&recognised.roots()?)?;
        let connecting = async {
            // The resolver's addresses are tried one after the other.
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
            stream.set_nodelay(true)?;
            TlsConnector::from(config).connect(self.name.clone(), stream).await
        };
        let connected = tokio::time::timeout(CONNECT, connecting).await;
        connected.unwrap_or_else(|_elapsed| Err(io::Error::new(io::ErrorKind::TimedOut, "it did not connect in time")))
    }
}

impl Recognised {
    fn roots(&self) -> io::Result<TrustBundle> {
        let mut roots = match &*self.published.borrow() {
            Published::Roots(bundle) => bundle.roots().to_vec(),
            Published::Nothing(why) => {
                return Err(io::Error::other(format!("nothing says how to recognise it: {why}")));
            }
        };
        roots.extend(self.answered.load().iter().flat_map(|bundle| bundle.roots()).cloned());
        TrustBundle::new(roots).map_err(io::Error::other)
    }
}

fn client_config(roots: &TrustBundle) -> io::Result<Arc<ClientConfig>> {
    let roots = roots.root_store().map_err(io::Error::other)?;
    let mut config = ClientConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.uri.authority().map_or("", |authority| authority.as_str()))
    }
}
