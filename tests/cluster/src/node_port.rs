//! A node port of a Service, asked from this machine: what the exercises' loop asks.

use std::ffi::OsStr;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use weft_scenario::{Answers, Failure, Load, Machine, Origin, PATIENCE, Request, Response, try_eventually};

use crate::command;
use crate::curl::{Curl, REPORT, parse};
use crate::namespace::Namespace;
use crate::node::{Node, nodes};

/// Requests at a time.
const PARALLEL: usize = 4;
/// How long one attempt to connect may take: on the same machine, or lost.
const CONNECT: Duration = Duration::from_millis(500);
/// How long a curl on this machine may take.
const CURL: Duration = Duration::from_secs(60);

/// `http://<node>:<node port>`.
#[derive(Clone, Debug)]
pub struct NodePort {
    address: IpAddr,
    port: u16,
}

impl Namespace {
    /// The node port behind `port` of a Service, on the first node; waits until connections to it are accepted.
    pub fn node_port(&self, service: &str, port: u16) -> Result<NodePort> {
        let object = self.object(&["get", "service", service])?;
        let ports = object["spec"]["ports"].as_array().cloned().unwrap_or_default();
        let found = ports.iter().find(|entry| entry["port"] == port).and_then(|entry| entry["nodePort"].as_u64());
        let found = found.and_then(|port| u16::try_from(port).ok());
        let first = nodes()?.into_iter().next().context("the cluster has no node")?;
        let port = found.with_context(|| format!("Service {service} has no node port for {port}"))?;
        let node_port = NodePort { address: first.address, port };
        // Without the mesh's doing: kube-proxy learns of endpoints in its own time, and a SYN that came too early is lost for good.
        try_eventually(PATIENCE, || {
            let address = SocketAddr::new(node_port.address, port);
            TcpStream::connect_timeout(&address, CONNECT).with_context(|| format!("node port {address} of {service}"))
        })?;
        Ok(node_port)
    }
}

impl NodePort {
    /// The same port on another node.
    pub fn on(&self, node: &Node) -> Self {
        Self { address: node.address, port: self.port }
    }

    /// Its URL, with `/` at the end.
    pub fn url(&self) -> String {
        format!("http://{}:{}/", self.address, self.port)
    }

    /// GET `/` over a connection of its own.
    pub fn get(&self) -> Result<Response, Failure> {
        self.get_with(&[])
    }

    /// GET `/` with these headers.
    pub fn get_with(&self, headers: &[(&str, &str)]) -> Result<Response, Failure> {
        self.request(&self.url(), headers).send()
    }

    /// GET `/` `count` times over as many connections.
    pub fn get_many(&self, headers: &[(&str, &str)], count: usize) -> Answers {
        self.request(&self.url(), headers).send_many(count, PARALLEL)
    }

    /// GET `/` `rate` times a second, until the load is finished.
    pub fn load(&self, rate: u32) -> Load {
        let origin: Arc<dyn Origin> = Arc::new(Machine);
        Load::start(&origin, &self.url(), &[], rate)
    }

    fn request(&self, url: &str, headers: &[(&str, &str)]) -> Request<'static> {
        headers.iter().fold(Request::new(&Machine, "GET", url), |request, (name, value)| request.header(name, value))
    }
}

/// curl on this machine, as the exercises' scripts call it.
pub fn curl_here(args: &[&str]) -> Result<Curl> {
    let args = [&["-s", "-m", "10", "-w", REPORT], args].concat();
    let output = command::run(OsStr::new("curl"), &args, "", CURL)?;
    let mut found = parse(&output.stdout)?;
    found.pop().with_context(|| format!("curl reported nothing: {}", output.stderr))
}
