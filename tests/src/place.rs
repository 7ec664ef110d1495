//! A point of view in the network: a pod, a node, or a client outside the cluster.
//!
//! Whatever is done here is done inside its network namespace, and for pods with its names, host name and marks. `Pod` derefs to it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use socket2::{Domain, Socket, Type};
use weft_scenario::{Answers, Failure, HttpConnection, Load, Origin, Request, Response, connect};

use crate::capture::Capture;
use crate::netns::Netns;
use crate::process::{CLUSTER_MARK, Output, POD_MARK, PodFiles, Process, Spec, run_to_end};
use crate::state::Inner;

/// How long connecting, and each read and write after that, may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a command may take.
const EXEC_TIMEOUT: Duration = Duration::from_secs(60);

/// Where requests come from and commands run.
#[derive(Clone, Debug)]
pub struct Place {
    inner: Arc<Inner>,
    name: String,
    namespace: String,
    netns: Netns,
    files: Option<PodFiles>,
}

impl Place {
    pub(crate) fn new(inner: &Arc<Inner>, name: &str, namespace: &str, netns: &Netns, files: Option<PodFiles>) -> Self {
        Self {
            inner: Arc::clone(inner),
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            netns: netns.clone(),
            files,
        }
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// The name of the pod or node, or `outside`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The Kubernetes namespace whose short names resolve here.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The network namespace.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// GET over a connection of its own.
    pub fn get(&self, url: &str) -> Result<Response, Failure> {
        self.request("GET", url).send()
    }

    /// Begins a request.
    pub fn request(&self, method: &str, url: &str) -> Request<'_> {
        Request::new(self, method, url)
    }

    /// GET `count` times over as many connections, `parallel` at a time.
    pub fn get_many(&self, url: &str, headers: &[(&str, &str)], count: usize, parallel: usize) -> Answers {
        let request =
            headers.iter().fold(self.request("GET", url), |request, (name, value)| request.header(name, value));
        request.send_many(count, parallel)
    }

    /// Sends GET `rate` times a second, each over a connection of its own, until the load is finished.
    pub fn load(&self, url: &str, headers: &[(&str, &str)], rate: u32) -> Load {
        let origin: Arc<dyn Origin> = Arc::new(self.clone());
        Load::start(&origin, url, headers, rate)
    }

    /// Opens a connection for several requests to the URL's host and port.
    pub fn connection(&self, url: &str) -> Result<HttpConnection, Failure> {
        HttpConnection::open(self, url, TIMEOUT)
    }

    /// Opens a TCP connection to `name:port` or `address:port`, for bytes of one's own. Reads and writes give up after 10 s.
    pub fn connect(&self, address: &str) -> io::Result<TcpStream> {
        let invalid = || io::Error::new(io::ErrorKind::InvalidInput, format!("{address:?} is not host:port"));
        let (host, port) = address.rsplit_once(':').ok_or_else(invalid)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let address = self.resolve(host, port.parse().map_err(|_| invalid())?)?;
        self.netns.run(|| connect(address, TIMEOUT)).map_err(io::Error::other)?
    }

    /// The same from source port `port`, as address translation may choose it.
    pub fn connect_from(&self, port: u16, address: SocketAddr) -> io::Result<TcpStream> {
        let connecting = || {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
            socket.set_reuse_address(true)?;
            let any: IpAddr =
                if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            socket.bind(&SocketAddr::new(any, port).into())?;
            socket.connect_timeout(&address.into(), TIMEOUT)?;
            let stream = TcpStream::from(socket);
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(TIMEOUT))?;
            stream.set_write_timeout(Some(TIMEOUT))?;
            Ok(stream)
        };
        self.netns.run(connecting).map_err(io::Error::other)?
    }

    /// Listens on `port` of all addresses here, IPv4 and IPv6; the test itself plays the server.
    pub fn listen(&self, port: u16) -> Result<TcpListener> {
        let listener = self.netns.run(|| TcpListener::bind(("::", port)))?;
        listener.with_context(|| format!("listening on port {port} of {}", self.name))
    }

    /// All addresses that `name` has from here.
    pub fn addresses_of(&self, name: &str) -> Vec<IpAddr> {
        self.inner.lock().hosts(&self.namespace).resolve(name)
    }

    /// Runs a command here to its end, as `kubectl exec` does; at most 60 s.
    pub fn exec(&self, program: &str, args: &[&str]) -> Result<Output> {
        run_to_end(&self.spec(program, args), EXEC_TIMEOUT)
            .with_context(|| format!("running {program} in {}", self.name))
    }

    /// Starts a command here and leaves it running; its output goes to `logs/<place>.exec.log`.
    pub fn spawn(&self, program: &str, args: &[&str]) -> Result<Process> {
        let log = self.inner.site.dir.join("logs").join(format!("{}.{}.exec.log", self.namespace, self.name));
        Process::spawn(&self.spec(program, args), &log).with_context(|| format!("starting {program} in {}", self.name))
    }

    /// Watches TCP and UDP packets on `device` (`eth0`, `lo`) with `port` at either end, from now on.
    pub fn capture(&self, device: &str, port: u16) -> Result<Capture> {
        Capture::start(&self.netns, device, port).with_context(|| format!("capturing on {device} of {}", self.name))
    }

    fn spec(&self, program: &str, args: &[&str]) -> Spec {
        let mut env = vec![(CLUSTER_MARK.to_owned(), self.inner.site.id.to_string())];
        if let Some(files) = &self.files {
            env.push((POD_MARK.to_owned(), self.netns.name().to_owned()));
            env.push(("HOSTNAME".to_owned(), files.hostname.clone()));
        }
        Spec {
            program: program.into(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            env,
            keep_env: false,
            netns: self.netns.clone(),
            files: self.files.clone(),
        }
    }
}

impl Origin for Place {
    /// An address, or a name of the cluster.
    fn resolve(&self, host: &str, port: u16) -> io::Result<SocketAddr> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(SocketAddr::new(address, port));
        }
        if host == "localhost" {
            return Ok(SocketAddr::from(([127, 0, 0, 1], port)));
        }
        let found = self.addresses_of(host);
        let what = || format!("no Service, headless pod or outside name {host:?} for namespace {:?}", self.namespace);
        let address = found.first().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, what()))?;
        Ok(SocketAddr::new(*address, port))
    }

    fn enter(&self) -> io::Result<()> {
        self.netns.enter().map_err(|error| io::Error::other(format!("{error:#}")))
    }
}
