//! Workloads and Services put together in a line of a test; underneath they are the same objects that manifests apply.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::pod::Pod;
use crate::program::Program;

/// How long a workload may take to be ready.
const START_TIMEOUT: Duration = Duration::from_secs(15);

/// A Deployment being put together: see [`Cluster::workload`].
#[derive(Clone, Debug)]
#[must_use = "nothing runs before `start`"]
pub struct WorkloadBuilder<'a> {
    cluster: &'a Cluster,
    name: String,
    namespace: String,
    node: Option<String>,
    service_account: Option<String>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    replicas: usize,
    container: Value,
}

impl<'a> WorkloadBuilder<'a> {
    pub(crate) fn new(cluster: &'a Cluster, name: &str) -> Self {
        Self {
            cluster,
            name: name.to_owned(),
            namespace: "default".to_owned(),
            node: None,
            service_account: None,
            labels: BTreeMap::from([("app".to_owned(), name.to_owned())]),
            annotations: BTreeMap::new(),
            replicas: 1,
            container: Program::Sleep.container(),
        }
    }

    /// The Kubernetes namespace (`default`); it is made if it does not exist.
    pub fn namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    /// The node all its pods run on; without it pods go to the nodes in turn.
    pub fn node(mut self, node: &str) -> Self {
        self.node = Some(node.to_owned());
        self
    }

    /// The service account (`default`).
    pub fn service_account(mut self, name: &str) -> Self {
        self.service_account = Some(name.to_owned());
        self
    }

    /// Adds a label to its pods; `app` is the workload's name unless set.
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.labels.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Adds an annotation to its pods.
    pub fn annotation(mut self, name: &str, value: &str) -> Self {
        self.annotations.insert(name.to_owned(), value.to_owned());
        self
    }

    /// How many pods (1).
    pub fn replicas(mut self, replicas: usize) -> Self {
        self.replicas = replicas;
        self
    }

    /// What runs in it; without it nothing does, and it is a place to send requests from.
    pub fn program(mut self, program: Program) -> Self {
        let env = self.container["env"].take();
        self.container = program.container();
        if let (Some(own), Some(added)) = (self.container["env"].as_array_mut(), env.as_array()) {
            own.extend(added.iter().cloned());
        }
        self
    }

    /// Adds an environment variable to its program.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        if let Some(env) = self.container["env"].as_array_mut() {
            env.push(json!({"name": name, "value": value}));
        }
        self
    }

    /// Starts it, waits until it is ready and returns its first pod.
    pub fn start(self) -> Result<Pod> {
        let name = self.name.clone();
        self.start_all()?.into_iter().next().with_context(|| format!("workload {name} has no replicas"))
    }

    /// Starts it, waits until it is ready and returns all its pods.
    pub fn start_all(self) -> Result<Vec<Pod>> {
        let (cluster, namespace, name) = (self.cluster, self.namespace.clone(), self.name.clone());
        cluster.apply_objects(vec![self.deployment()])?;
        cluster.wait_for_deployment(&namespace, &name, START_TIMEOUT)
    }

    /// The Deployment itself, for tests that apply it changed.
    pub fn deployment(&self) -> Value {
        let mut spec = json!({"containers": [self.container]});
        if let Some(node) = &self.node {
            spec["nodeName"] = json!(node);
        }
        if let Some(account) = &self.service_account {
            spec["serviceAccountName"] = json!(account);
        }
        json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {"replicas": self.replicas, "selector": {"matchLabels": {"app": self.labels["app"]}},
                "template": {"metadata": {"labels": self.labels, "annotations": self.annotations}, "spec": spec}}})
    }
}

/// A Service being put together: see [`Cluster::service`].
#[derive(Clone, Debug)]
#[must_use = "nothing is applied before `apply`"]
pub struct ServiceBuilder<'a> {
    cluster: &'a Cluster,
    object: Value,
}

impl<'a> ServiceBuilder<'a> {
    pub(crate) fn new(cluster: &'a Cluster, name: &str) -> Self {
        let object = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
            "spec": {"selector": {"app": name}, "ports": []}});
        Self { cluster, object }
    }

    /// The Kubernetes namespace (`default`).
    pub fn namespace(mut self, namespace: &str) -> Self {
        self.object["metadata"]["namespace"] = json!(namespace);
        self
    }

    /// Selects pods by this label too; `app` is the Service's name unless set.
    pub fn selector(mut self, name: &str, value: &str) -> Self {
        self.object["spec"]["selector"][name] = json!(value);
        self
    }

    /// Adds a port named `http` (the next ones `http-<port>`), which the mesh reads as HTTP.
    pub fn port(self, port: u16, target: u16) -> Self {
        let first = self.object["spec"]["ports"].as_array().is_none_or(Vec::is_empty);
        let name = if first { "http".to_owned() } else { format!("http-{port}") };
        self.named_port(&name, port, target)
    }

    /// Adds a port with the name given: it tells the mesh the protocol (`tcp-x`, `grpc`, or nothing of the kind).
    pub fn named_port(mut self, name: &str, port: u16, target: u16) -> Self {
        let entry = json!({"name": name, "port": port, "targetPort": target, "protocol": "TCP"});
        if let Some(ports) = self.object["spec"]["ports"].as_array_mut() {
            ports.push(entry);
        }
        self
    }

    /// Makes it type NodePort.
    pub fn node_port(mut self) -> Self {
        self.object["spec"]["type"] = json!("NodePort");
        self
    }

    /// Gives it no address of its own.
    pub fn headless(mut self) -> Self {
        self.object["spec"]["clusterIP"] = json!("None");
        self
    }

    /// Gives it an IPv4 and an IPv6 address.
    pub fn dual_stack(mut self) -> Self {
        self.object["spec"]["ipFamilyPolicy"] = json!("PreferDualStack");
        self
    }

    /// Applies it; names and rules know it when this returns.
    pub fn apply(self) -> Result<()> {
        self.cluster.apply_objects(vec![self.object])
    }
}
