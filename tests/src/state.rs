//! What a cluster is at one moment, and how it is shown: manifests for agents, rules for nodes, names for pods.
//!
//! Guarded by one mutex in [`Inner`]; changed by the public handles and by `controller`. [`State::publish`] makes the outside follow.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::endpoints::{self, Service};
use crate::hosts::{self, Hosts};
use crate::kubelet::{Record, Site};
use crate::manifest::{Folder, Key, selects, strings, text};
use crate::node::{Fabric, Node};
use crate::process::Process;
use crate::{kubeproxy, link, netpolicy};

/// What all handles of one cluster share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) name: String,
    pub(crate) site: Site,
    pub(crate) state: Mutex<State>,
    /// Wakes the controller.
    pub(crate) changed: Condvar,
    pub(crate) stopping: AtomicBool,
}

impl Inner {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Namespace and name of a pod.
pub(crate) type PodName = (String, String);

/// Everything that changes.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) fabric: Fabric,
    pub(crate) nodes: Vec<Node>,
    pub(crate) objects: crate::objects::Objects,
    pub(crate) pods: BTreeMap<PodName, Record>,
    pub(crate) agents: BTreeMap<String, Arc<Process>>,
    /// Programs that stand for servers of the world.
    pub(crate) outside: Vec<Process>,
    /// Names of the world outside, for the hosts files.
    pub(crate) external: BTreeMap<String, Vec<IpAddr>>,
    /// Why a pod could not be created, and when to try again.
    pub(crate) troubles: BTreeMap<Key, (String, Instant)>,
    pub(crate) folder: Folder,
    /// Instead of the binary that was built next to this program.
    pub(crate) agent_binary: Option<PathBuf>,
    pub(crate) agent_args: Vec<String>,
    pub(crate) agent_env: Vec<(String, String)>,
    scheduled: usize,
    last_host: BTreeMap<u8, u8>,
    rules: BTreeMap<String, String>,
    host_texts: BTreeMap<PodName, String>,
}

impl State {
    pub(crate) fn new(fabric: Fabric, folder: Folder) -> Self {
        Self {
            fabric,
            folder,
            nodes: Vec::new(),
            objects: Default::default(),
            pods: BTreeMap::new(),
            agents: BTreeMap::new(),
            outside: Vec::new(),
            external: BTreeMap::new(),
            troubles: BTreeMap::new(),
            agent_binary: None,
            agent_args: Vec::new(),
            agent_env: Vec::new(),
            scheduled: 0,
            last_host: BTreeMap::new(),
            rules: BTreeMap::new(),
            host_texts: BTreeMap::new(),
        }
    }

    pub(crate) fn node(&self, name: &str) -> Result<&Node> {
        let known = || self.nodes.iter().map(Node::name).collect::<Vec<_>>().join(", ");
        self.nodes
            .iter()
            .find(|n| n.name() == name)
            .with_context(|| format!("no node {name:?}: there are [{}]", known()))
    }

    /// The Services with their ready endpoints.
    pub(crate) fn services(&self) -> Vec<Service> {
        let pods: Vec<Value> = self.pods.values().filter(|pod| pod.published).map(Record::object).collect();
        let pods: Vec<&Value> = pods.iter().collect();
        let slices: Vec<&Value> = self.objects.of_kind("EndpointSlice").collect();
        endpoints::join(self.objects.of_kind("Service"), &pods, &slices)
    }

    /// The names that pods of `namespace` can resolve.
    pub(crate) fn hosts(&self, namespace: &str) -> Hosts {
        Hosts::table(namespace, &self.services(), &self.external)
    }

    /// Stores one object and shows it. Namespaces that do not exist are made.
    pub(crate) fn apply(&mut self, object: Value) -> Result<()> {
        let key = Key::of(&object);
        let namespace = Key::new("Namespace", "", &key.namespace);
        if !key.namespace.is_empty() && self.objects.get(&namespace).is_none() {
            let labels = json!({"kubernetes.io/metadata.name": key.namespace});
            let made =
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": key.namespace, "labels": labels}});
            let made = self.objects.apply(made)?;
            self.folder.write(&made)?;
        }
        if key.kind == "Pod" {
            return self.apply_pod(&key, object);
        }
        let stored = self.objects.apply(object)?;
        self.troubles.remove(&key);
        // Agents make pods of Deployments themselves where nobody else does; here somebody does, and shows the pods.
        if key.kind == "Deployment" { Ok(()) } else { self.folder.write(&stored) }
    }

    /// A pod that runs takes new labels and annotations; anything else in it cannot change, as in Kubernetes.
    fn apply_pod(&mut self, key: &Key, object: Value) -> Result<()> {
        if let Some(record) = self.pods.get_mut(&(key.namespace.clone(), key.name.clone())) {
            let before = self.objects.get(key);
            if before.is_some_and(|before| before["spec"] != object["spec"]) {
                bail!("{key} runs and its spec cannot change: delete it first, or use a Deployment");
            }
            for field in ["labels", "annotations"] {
                record.manifest["metadata"][field] = object["metadata"][field].clone();
            }
            record.manifest["metadata"]["annotations"]["weft.dev/netns"] = json!(record.netns.name());
        }
        self.objects.apply(object).map(drop)
    }

    /// Creates a pod on the node its spec asks for, or on the next one in turn.
    pub(crate) fn create_pod(
        &mut self,
        site: &Site,
        manifest: Value,
        deployment: Option<(String, String)>,
    ) -> Result<()> {
        let node = self.choose_node(&manifest)?;
        let host = self.free_host(node.number())?;
        let name = (text(&manifest, "/metadata/namespace").to_owned(), text(&manifest, "/metadata/name").to_owned());
        let record = Record::create(site, manifest, &node, host, deployment)?;
        self.pods.insert(name, record);
        Ok(())
    }

    fn choose_node(&mut self, manifest: &Value) -> Result<Node> {
        let wanted = text(manifest, "/spec/nodeName");
        if !wanted.is_empty() {
            return self.node(wanted).cloned();
        }
        let selector = strings(manifest, "/spec/nodeSelector");
        let fitting: Vec<&Node> = self.nodes.iter().filter(|node| selects(&selector, node.labels())).collect();
        if fitting.is_empty() {
            bail!("no node fits nodeSelector {selector:?} (nodes: {})", self.nodes.len());
        }
        let node = fitting[self.scheduled % fitting.len()].clone();
        self.scheduled += 1;
        Ok(node)
    }

    /// The next address of the node's range that no pod has; just freed ones come last.
    fn free_host(&mut self, node: u8) -> Result<u8> {
        let taken: Vec<u8> = self.pods.values().filter(|pod| pod.node.number() == node).map(|pod| pod.host).collect();
        let last = self.last_host.entry(node).or_insert(1);
        for _ in 2..=254 {
            *last = if *last >= 254 { 2 } else { *last + 1 };
            if !taken.contains(last) {
                return Ok(*last);
            }
        }
        bail!("node {node} has no free pod address (253 pods at most)")
    }

    /// Makes files and rules follow the state; what is unchanged is not touched.
    pub(crate) fn publish(&mut self) -> Result<()> {
        let services = self.services();
        self.publish_pods()?;
        for (name, record) in self.pods.iter().filter(|(_, record)| !record.is_ending()) {
            let table = Hosts::table(&name.0, &services, &self.external);
            let text = table.text(&record.files.hostname, &record.addresses());
            if self.host_texts.get(name) != Some(&text) {
                hosts::rewrite(&record.files.hosts, &text)?;
                self.host_texts.insert(name.clone(), text);
            }
        }
        let policies: Vec<&Value> = self.objects.of_kind("NetworkPolicy").collect();
        let namespaces: Vec<&Value> = self.objects.of_kind("Namespace").collect();
        let pods: Vec<Value> = self.pods.values().map(Record::object).collect();
        for node in &self.nodes {
            let mut rules = kubeproxy::rules(node.name(), &services);
            rules.push_str(&netpolicy::rules(node.name(), &policies, &namespaces, &pods));
            if self.rules.get(node.name()) != Some(&rules) {
                kubeproxy::install(node.netns(), &rules)?;
                self.rules.insert(node.name().to_owned(), rules);
            }
        }
        Ok(())
    }

    /// Writes Pod objects, and forgets pods of which nothing is left.
    fn publish_pods(&mut self) -> Result<()> {
        for record in self.pods.values().filter(|record| record.published) {
            if record.phase == crate::kubelet::Phase::Gone {
                self.folder.remove(&Key::of(&record.manifest))?;
            } else {
                self.folder.write(&record.object())?;
            }
        }
        self.pods.retain(|_, record| record.phase != crate::kubelet::Phase::Gone);
        self.host_texts.retain(|name, _| self.pods.contains_key(name));
        Ok(())
    }

    /// Gives the first node the addresses of load balancers: requests from outside enter the cluster there.
    pub(crate) fn route_load_balancers(&self) -> Result<()> {
        let Some(node) = self.nodes.first() else { return Ok(()) };
        let services = self.objects.of_kind("Service");
        let addresses = services.map(|service| text(service, "/status/loadBalancer/ingress/0/ip"));
        let lines: String =
            addresses.filter(|ip| !ip.is_empty()).map(|ip| format!("addr replace {ip}/32 dev eth0\n")).collect();
        if lines.is_empty() { Ok(()) } else { link::batch(node.netns(), &lines) }
    }
}
