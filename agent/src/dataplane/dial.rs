//! Connections the agent makes from inside a pod: to other pods, and to the pod's own application.

use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    os::fd::AsRawFd,
    time::Duration,
};

use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use weft_ebpf_common::{Address, CAPTURE_MARK, ExemptKind, LocalKey};
use weft_model::decision::{Cluster, Forward, UpstreamTls};

use super::pod::{PodContext, View};
use crate::{
    identity::{self, IdentityError, Purpose},
    net::{
        socket::{self, APPLICATION_PORTS, MORE_APPLICATION_PORTS, PortUse},
        stream::Stream,
    },
};

/// Attempts when connecting fails (Istio's default: 2 retries on `connect-failure`).
const CONNECT_ATTEMPTS: usize = 3;

/// Pauses before further attempts at a pod that is in the mesh and does not speak its TLS: it is known to have joined a
/// moment before its agent has captured it, or to have left a moment after. Less than a second together.
const JOINING: [Duration; 5] = [
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
];

/// Source ports tried for one connection to an application before giving up.
const PORT_ATTEMPTS_MAX: usize = 32;

/// Why a connection could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// TCP failed.
    #[error("{0}")]
    Connect(#[source] io::Error),
    /// Nothing answered in time.
    #[error("connection timeout")]
    Timeout,
    /// The TLS handshake failed: the peer is not who it should be, or speaks no mesh TLS.
    #[error("TLS_error: {0}")]
    Tls(#[source] io::Error),
    /// The pod has no certificate (yet).
    #[error("{0}")]
    NoIdentity(#[source] IdentityError),
}

impl DialError {
    /// What Envoy prints as `%UPSTREAM_TRANSPORT_FAILURE_REASON%`.
    pub fn transport_failure(&self) -> String {
        match self {
            Self::Connect(error) => format!("delayed connect error: {}", error.raw_os_error().unwrap_or(0)),
            // Why a certificate was refused, in our own words.
            Self::Tls(error) if let Some(refusal) = identity::refusal(error) => format!("TLS_error: {refusal}"),
            other => other.to_string(),
        }
    }
}

/// Attempts at one connection. Each decides anew: endpoints and what they speak may have changed.
#[derive(Default)]
pub struct Attempts {
    connects: usize,
    pauses: usize,
}

impl Attempts {
    /// One of them has failed with `error`: waits for the moment of the next, or says that there is none. `in_mesh`: the
    /// endpoint is a pod that is in the mesh.
    pub async fn go_on(&mut self, error: &DialError, in_mesh: bool) -> bool {
        match error {
            DialError::Connect(_) | DialError::Timeout => {
                self.connects += 1;
                self.connects < CONNECT_ATTEMPTS
            }
            // Who has proved to be somebody else stays so.
            DialError::Tls(error) if in_mesh && identity::refusal(error).is_none() => {
                let Some(pause) = JOINING.get(self.pauses) else { return false };
                self.pauses += 1;
                tokio::time::sleep(*pause).await;
                true
            }
            DialError::Tls(_) | DialError::NoIdentity(_) => false,
        }
    }
}

impl PodContext {
    /// Connects to where a decision leads, secured as it says.
    ///
    /// # Errors
    /// Why not.
    pub async fn dial(&self, view: &View, forward: &Forward, purpose: Purpose) -> Result<Stream, DialError> {
        let limits = &self.worker.shared.limits;
        let tcp = within(limits.connect_timeout, self.connect_upstream(view, forward.address)).await?;
        let UpstreamTls::Mutual(expected) = &forward.tls else { return Ok(Stream::plain(tcp)) };
        let own = &view.workload.identity;
        let identity = self.worker.shared.identities.get(own).await.map_err(DialError::NoIdentity)?;
        let connector = TlsConnector::from(identity.client_config(purpose, expected));
        let handshake = connector.connect(server_name(forward), tcp);
        match tokio::time::timeout(limits.handshake_timeout, handshake).await {
            Ok(Ok(stream)) => Ok(Stream::Client(Box::new(stream))),
            Ok(Err(error)) => Err(DialError::Tls(error)),
            Err(_elapsed) => Err(DialError::Timeout),
        }
    }

    async fn connect_upstream(&self, view: &View, address: SocketAddr) -> io::Result<TcpStream> {
        if self.is_own_address(view, address.ip()) {
            // A pod that reaches itself: the connection must come to its own inbound side.
            return self.connect_inside(address.ip(), address, ExemptKind::Hairpin).await;
        }
        let socket = socket::upstream(&self.netns, address)?;
        self.exempt(&socket, ExemptKind::Upstream)?;
        socket::connect(socket, address).await
    }

    /// Connects to the pod's own application in the name of `client`: the application sees the
    /// client's address.
    ///
    /// # Errors
    /// Why not.
    pub async fn dial_application(&self, client: IpAddr, address: SocketAddr) -> Result<Stream, DialError> {
        let limits = &self.worker.shared.limits;
        let is_own = self.view().is_some_and(|view| self.is_own_address(&view, client));
        let kind = if is_own { ExemptKind::OwnApplication } else { ExemptKind::Application };
        let connecting = self.connect_inside(client, address, kind);
        within(limits.connect_timeout, connecting).await.map(Stream::plain)
    }

    /// A connection from `source`, inside the pod, to the pod itself. Its source port is chosen here,
    /// so that the connect hook can note the connection for the lookup hook.
    async fn connect_inside(&self, source: IpAddr, address: SocketAddr, kind: ExemptKind) -> io::Result<TcpStream> {
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for attempt in 0..PORT_ATTEMPTS_MAX {
            let (socket, port) = match self.bind_inside(source, attempt, kind == ExemptKind::Application) {
                Ok(bound) => bound,
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    last = error;
                    continue;
                }
                Err(error) => return Err(error),
            };
            self.exempt(&socket, kind)?;
            let _note = Note { pod: self, key: local_key(self.netns.cookie(), source, port, address.port()) };
            match socket::connect(socket, address).await {
                // The same four numbers are still in use: another port.
                Err(error) if matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable) => {
                    last = error;
                }
                result => return result,
            }
        }
        Err(last)
    }

    /// First a port that is nobody else's. Where there is none, one of the same beside others, and at last one of those that
    /// are a client's own, behind address translation.
    fn bind_inside(&self, source: IpAddr, attempt: usize, by_loopback: bool) -> io::Result<(socket2::Socket, u16)> {
        let bind = |ports: &mut dyn Iterator<Item = u16>, port_use| {
            socket::application(&self.netns, source, (ports, port_use), CAPTURE_MARK, by_loopback)
        };
        if attempt == 0
            && let Some(mut ports) = self.application_ports()
        {
            let bound = bind(&mut ports, PortUse::Alone);
            match &bound {
                Ok((_, port)) => self.took_application_port(*port),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => self.found_no_application_port(),
                Err(_) => {}
            }
            return bound;
        }
        let ports = if attempt < PORT_ATTEMPTS_MAX / 2 { APPLICATION_PORTS } else { MORE_APPLICATION_PORTS };
        bind(&mut std::iter::once(fastrand::u16(ports)), PortUse::Shared)
    }

    fn exempt(&self, socket: &dyn AsRawFd, kind: ExemptKind) -> io::Result<()> {
        self.worker.exempt.borrow_mut().exempt(socket, kind)
    }
}

/// What the connect hook notes of a connection; removed when the attempt ends, however it ends.
struct Note<'a> {
    pod: &'a PodContext,
    key: LocalKey,
}

impl Drop for Note<'_> {
    fn drop(&mut self) {
        self.pod.worker.exempt.borrow_mut().forget(&self.key);
    }
}

fn local_key(cookie: u64, source: IpAddr, source_port: u16, destination_port: u16) -> LocalKey {
    let octets = match source {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    };
    LocalKey {
        cookie,
        source: Address::from_octets(octets),
        source_port: source_port.into(),
        destination_port: destination_port.into(),
    }
}

async fn within(
    limit: Duration,
    connecting: impl Future<Output = io::Result<TcpStream>>,
) -> Result<TcpStream, DialError> {
    match tokio::time::timeout(limit, connecting).await {
        Ok(result) => result.map_err(DialError::Connect),
        Err(_elapsed) => Err(DialError::Timeout),
    }
}

/// The server name of a mesh handshake: Istio's `outbound_.<port>_.<subset>_.<host>`, by which its
/// gateways route; sessions are resumed per name, so pods dialled by address are named by it.
pub fn server_name(forward: &Forward) -> ServerName<'static> {
    let by_address = || ServerName::IpAddress(forward.address.ip().into());
    match &forward.cluster {
        Cluster::Service { service, port, subset } => {
            let subset = subset.as_deref().unwrap_or_default();
            let name = format!("outbound_.{port}_.{subset}_.{}", service.host);
            ServerName::try_from(name).unwrap_or_else(|_invalid| by_address())
        }
        _ => by_address(),
    }
}
