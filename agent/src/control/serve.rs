//! Listening and accepting: plain for probes and scrapers, with TLS for agents and the API server.
//!
//! What is answered is given as a function. Connections have a greatest age, so that agents spread over the replicas again
//! after one of them was away, and a greatest number.

pub mod certificate;
pub mod monitoring;

use std::{convert::Infallible, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use http::{Request, Response};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_rustls::TlsAcceptor;
use tonic::body::Body;

use crate::lifecycle::Drain;

/// Connections served at once, per listener; further ones wait. An agent has one.
const MAX_CONNECTIONS: usize = 4096;
/// Requests at a time on one connection.
const MAX_STREAMS: u32 = 64;
/// How long a client may take for the handshake, and to say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);
/// Age at which a connection is ended when its requests are done (istiod's), and by how much it varies.
const MAX_AGE: Duration = Duration::from_secs(30 * 60);
/// How often a silent connection is tried, and how long the answer may take.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(20));
/// Wait after a failed accept: when descriptors run out, trying at once would only burn the processor.
const PAUSE: Duration = Duration::from_millis(50);

/// A listener that is bound.
pub struct Door {
    name: &'static str,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
}

impl Door {
    /// Binds `address`.
    ///
    /// # Errors
    /// The system's.
    pub async fn open(name: &'static str, address: SocketAddr, tls: Option<Arc<ServerConfig>>) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self { name, listener, tls: tls.map(TlsAcceptor::from) })
    }

    /// The address with its real port.
    ///
    /// # Errors
    /// The system's.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until draining begins; then no new connections, and the open ones end with their requests.
    pub async fn serve<F, A>(self, answer: F, drain: Drain)
    where
        F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
        A: Future<Output = Response<Body>> + Send + 'static,
    {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut stop = drain.clone();
        loop {
            let accepted = async {
                let place = places.clone().acquire_owned().await;
                (place, self.listener.accept().await)
            };
            let (place, accepted) = tokio::select! {
                accepted = accepted => accepted,
                () = stop.begun() => return,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let (name, tls, answer, drain) = (self.name, self.tls.clone(), answer.clone(), drain.clone());
                    tokio::spawn(async move {
                        let _place = place;
                        if let Err(error) = connection(stream, tls, answer, drain).await {
                            tracing::debug!(door = name, %peer, %error, "a connection ended early");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(door = self.name, %error, "cannot accept a connection");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

async fn connection<F, A>(stream: TcpStream, tls: Option<TlsAcceptor>, answer: F, drain: Drain) -> Result<(), BoxError>
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Response<Body>> + Send + 'static,
{
    stream.set_nodelay(true)?;
    match tls {
        None => requests(stream, answer, drain).await,
        Some(tls) => requests(tokio::time::timeout(PATIENCE, tls.accept(stream)).await??, answer, drain).await,
    }
}

async fn requests<F, A>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    answer: F,
    mut drain: Drain,
) -> Result<(), BoxError>
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Response<Body>> + Send + 'static,
{
    let service = service_fn(move |request| {
        let answer = answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .keep_alive_interval(KEEP_ALIVE.0)
        .keep_alive_timeout(KEEP_ALIVE.1);
    let _busy = drain.hold();
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let age = MAX_AGE.mul_f64(0.9 + 0.2 * fastrand::f64());
    tokio::select! {
        done = serving.as_mut() => return done,
        () = drain.begun() => {}
        () = tokio::time::sleep(age) => {}
    }
    serving.as_mut().graceful_shutdown();
    serving.await
}
