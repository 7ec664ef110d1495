//! What a cloud and a bigger CNI would bring and this machine cannot have: LoadBalancer addresses and NetworkPolicies.
//!
//! One process for each cluster looks once a second at what is wished for and makes it so. It asks the API server through
//! `kubectl proxy` on a Unix socket, so that xtask needs no Kubernetes client. A policy or an address therefore takes up to a
//! second to act; everything else about them behaves as Kubernetes documents it.

mod api;
mod load_balancer;
mod network_policy;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

use self::api::Api;
use super::layout::Layout;
use super::{network, pki, process};
use crate::run::Cmd;

/// Which part of the cluster this is.
pub const PART: &str = "stand-ins";

/// Which part of the cluster carries the questions.
pub const PROXY: &str = "api-proxy";

/// How often is looked.
const INTERVAL: Duration = Duration::from_secs(1);

/// Starts both processes if they do not run.
pub fn provide(layout: &Layout) -> Result<()> {
    if !process::is_running(layout, PROXY)? {
        let socket = api::socket(layout);
        let _ = std::fs::remove_file(&socket);
        let args = [
            "kubectl".to_owned(),
            "proxy".to_owned(),
            format!("--kubeconfig={}", pki::kubeconfig(layout, pki::ADMIN).display()),
            format!("--unix-socket={}", socket.display()),
        ];
        process::start(layout, PROXY, &layout.kube(), &args, &layout.log(PROXY))?;
    }
    if !process::is_running(layout, PART)? {
        let xtask = std::env::current_exe().context("cannot find this executable")?;
        let args = ["cluster", "stand-ins", &layout.folder.to_string_lossy()].map(str::to_owned);
        process::start(layout, PART, &xtask, &args, &layout.log(PART))?;
    }
    Ok(())
}

/// Does not return: what goes wrong is logged and tried again.
pub fn run(layout: &Layout) -> Result<()> {
    let mut stand_ins = StandIns { layout, api: Api::new(layout), routes: None, rules: BTreeMap::new() };
    let mut last = String::new();
    loop {
        let said = stand_ins.step().err().map(|error| format!("{error:#}")).unwrap_or_default();
        // The API server may be away for a while on purpose: one line is enough.
        if said != last {
            eprintln!("{}", if said.is_empty() { "works again" } else { said.as_str() });
            last = said;
        }
        thread::sleep(INTERVAL);
    }
}

struct StandIns<'a> {
    layout: &'a Layout,
    api: Api,
    /// The routes that were made, address by address; `None`: nobody knows.
    routes: Option<BTreeMap<Ipv4Addr, u8>>,
    /// For each node the namespace and the rules in it.
    rules: BTreeMap<u8, (u64, String)>,
}

impl StandIns<'_> {
    fn step(&mut self) -> Result<()> {
        self.load_balancers()?;
        self.network_policies()
    }

    fn load_balancers(&mut self) -> Result<()> {
        let services = self.api.list("/api/v1/services")?;
        let plan = load_balancer::plan(self.layout.load_balancers(), &services);
        for change in &plan.changes {
            self.api.patch(&change.path(), &change.patch())?;
            eprintln!("{change}");
        }
        if plan.addresses.is_empty() && self.routes.as_ref().is_some_and(BTreeMap::is_empty) {
            return Ok(());
        }
        let nodes = self.api.list("/api/v1/nodes")?;
        let slices = if plan.needs_endpoints() {
            self.api.list("/apis/discovery.k8s.io/v1/endpointslices")?
        } else {
            Vec::new()
        };
        let wanted = load_balancer::routes(&plan, &nodes, &slices);
        if self.routes.as_ref() != Some(&wanted) {
            let [a, b, c] = self.layout.load_balancers();
            let network = format!("{a}.{b}.{c}.0/24");
            let via = |node: &u8| self.layout.node(*node).address();
            let targets: BTreeMap<Ipv4Addr, Ipv4Addr> = wanted.iter().map(|(to, node)| (*to, via(node))).collect();
            network::replace_routes(&network, &targets)?;
            self.routes = Some(wanted);
        }
        Ok(())
    }

    fn network_policies(&mut self) -> Result<()> {
        let policies = self.api.list("/apis/networking.k8s.io/v1/networkpolicies")?;
        let is_clean =
            self.rules.len() == usize::from(self.layout.nodes) && self.rules.values().all(|(_, text)| text.is_empty());
        if policies.is_empty() && is_clean && self.is_current()? {
            return Ok(());
        }
        let (pods, namespaces) = if policies.is_empty() {
            (Vec::new(), Vec::new())
        } else {
            (self.api.list("/api/v1/pods")?, self.api.list("/api/v1/namespaces")?)
        };
        let cluster = network_policy::Cluster::new(&policies, &pods, &namespaces);
        for node in self.layout.all_nodes() {
            let text = cluster.rules_of(&node.name());
            let state = (network::namespace_id(node)?, text);
            if self.rules.get(&node.number) == Some(&state) {
                continue;
            }
            let file = node.folder().join("network-policies.nft");
            let script = network_policy::script(&state.1);
            std::fs::write(&file, script).with_context(|| format!("cannot write {}", file.display()))?;
            let netns = format!("--net=/run/netns/{}", node.netns());
            Cmd::new("nsenter").args([&netns, "nft", "--file"]).args([&file]).read()?;
            eprintln!("{}: {} lines of NetworkPolicy rules", node.name(), state.1.lines().count());
            self.rules.insert(node.number, state);
        }
        Ok(())
    }

    /// Whether every node still has the namespace in which rules were last written.
    fn is_current(&self) -> Result<bool> {
        for node in self.layout.all_nodes() {
            let known = self.rules.get(&node.number).map(|(namespace, _)| *namespace);
            if known != Some(network::namespace_id(node)?) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
