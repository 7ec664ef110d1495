//! The public face: a cluster, what is applied to it, what runs in it.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::cleanup::{self, CLUSTERS_DIR};
use crate::controller::{self};
use crate::id::ClusterId;
use crate::kubelet::Site;
use crate::manifest::{self, Folder, Key, list, text};
use crate::node::{Fabric, MAX_NODES, Node};
use crate::place::Place;
use crate::state::{Inner, State};
use crate::workload::{ServiceBuilder, WorkloadBuilder};
use crate::{deployment, program};

/// Lines of each log that [`Cluster::snapshot_of_logs`] shows.
const LOG_TAIL: usize = 25;

/// An emulated cluster; all of it is removed on drop.
#[derive(Debug)]
pub struct Cluster {
    pub(crate) inner: Arc<Inner>,
    controller: Option<JoinHandle<()>>,
}

impl Cluster {
    /// A cluster without nodes. `name` is for messages; what is on the machine is named by [`Cluster::id`].
    ///
    /// Removes what dead processes have left, and makes SIGINT and SIGTERM of this process remove its clusters first.
    pub fn new(name: &str) -> Result<Self> {
        cleanup::cleanup_leftovers();
        let id = ClusterId::next()?;
        cleanup::register(&id);
        let made = Self::create(name, &id);
        if made.is_err() {
            cleanup::remove_cluster(&id);
        }
        made.with_context(|| format!("making cluster {name}"))
    }

    fn create(name: &str, id: &ClusterId) -> Result<Self> {
        let dir = Path::new(CLUSTERS_DIR).join(id.to_string());
        for part in ["state", "logs", "pods"] {
            std::fs::create_dir_all(dir.join(part)).with_context(|| format!("creating {}/{part}", dir.display()))?;
        }
        let folder = Folder::create(&dir.join("manifests"), &dir.join("staging"))?;
        let state = State::new(Fabric::create(id)?, folder);
        let inner = Arc::new(Inner {
            name: name.to_owned(),
            site: Site { id: id.clone(), dir },
            state: Mutex::new(state),
            changed: Condvar::new(),
            stopping: AtomicBool::new(false),
        });
        let namespaces = ["default", "kube-system"].map(|name| {
            json!({"apiVersion": "v1", "kind": "Namespace",
                "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}})
        });
        namespaces.into_iter().try_for_each(|namespace| inner.lock().apply(namespace))?;
        let shared = Arc::clone(&inner);
        let controller = std::thread::spawn(move || controller::run(&shared));
        Ok(Self { inner, controller: Some(controller) })
    }

    /// Adds a node.
    pub fn node(self, name: &str) -> Result<Self> {
        self.node_with(name, &[])
    }

    /// Adds a node with the labels of its place in the world.
    pub fn node_in(self, name: &str, region: &str, zone: &str) -> Result<Self> {
        self.node_with(name, &[("topology.kubernetes.io/region", region), ("topology.kubernetes.io/zone", zone)])
    }

    /// Adds a node with labels. Pods on nodes present and future reach each other.
    pub fn node_with(self, name: &str, labels: &[(&str, &str)]) -> Result<Self> {
        let mut state = self.inner.lock();
        ensure!(state.nodes.iter().all(|node| node.name() != name), "there is a node {name} already");
        ensure!(state.nodes.len() < MAX_NODES, "a cluster has {MAX_NODES} nodes at most");
        let number = u8::try_from(state.nodes.len() + 1)?;
        let node = Node::create(&self.inner.site.id, name, number, labels, &state.fabric, &state.nodes)?;
        state.apply(node.object())?;
        state.nodes.push(node);
        state.publish()?;
        drop(state);
        self.inner.changed.notify_all();
        Ok(self)
    }

    /// What everything of this cluster on the machine is named by.
    pub fn id(&self) -> &ClusterId {
        &self.inner.site.id
    }

    /// The cluster's folder: `manifests/`, `state/`, `logs/`. Gone with the cluster.
    pub fn dir(&self) -> PathBuf {
        self.inner.site.dir.clone()
    }

    /// The nodes, in order of creation.
    pub fn nodes(&self) -> Vec<Node> {
        self.inner.lock().nodes.clone()
    }

    /// The node called `name`.
    pub fn node_named(&self, name: &str) -> Result<Node> {
        self.inner.lock().node(name).cloned()
    }

    /// A client on the node itself, as a host-network program would be.
    pub fn on_node(&self, name: &str) -> Result<Place> {
        let node = self.node_named(name)?;
        Ok(Place::new(&self.inner, name, "default", node.netns(), None))
    }

    /// Applies YAML of one or more documents, as `kubectl apply -f` does. Deployments and Pods are run; their readiness is waited
    /// for with [`Cluster::wait_ready`]. Unlike an API server it makes namespaces that do not exist, and checks no schema.
    pub fn apply(&self, yaml: &str) -> Result<()> {
        self.apply_objects(manifest::parse(yaml)?)
    }

    /// Applies objects that are not text.
    pub fn apply_objects(&self, objects: Vec<Value>) -> Result<()> {
        for object in &objects {
            check(object).with_context(|| format!("applying {}", Key::of(object)))?;
        }
        let mut state = self.inner.lock();
        for object in objects {
            let key = Key::of(&object);
            state.apply(object).with_context(|| format!("applying {key}"))?;
        }
        state.route_load_balancers()?;
        state.publish()?;
        drop(state);
        self.inner.changed.notify_all();
        Ok(())
    }

    /// Deletes an object, and with a namespace everything in it. Pods end in the background.
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) -> Result<()> {
        let key = Key::new(kind, namespace, name);
        if kind == "Pod"
            && let Ok(pod) = self.pod(namespace, name)
        {
            return pod.delete();
        }
        let mut state = self.inner.lock();
        ensure!(state.objects.remove(&key).is_some(), "there is no {key}");
        state.folder.remove(&key)?;
        if kind == "Namespace" {
            for inside in state.objects.keys_in(name) {
                state.objects.remove(&inside);
                state.folder.remove(&inside)?;
            }
        }
        state.publish()?;
        drop(state);
        self.inner.changed.notify_all();
        Ok(())
    }

    /// An object as it is stored, with what was filled in (ClusterIP, node ports).
    pub fn object(&self, kind: &str, namespace: &str, name: &str) -> Result<Value> {
        let key = Key::new(kind, namespace, name);
        self.inner.lock().objects.get(&key).cloned().with_context(|| format!("there is no {key}"))
    }

    /// The ClusterIP of a Service.
    pub fn cluster_ip(&self, namespace: &str, service: &str) -> Result<IpAddr> {
        let object = self.object("Service", namespace, service)?;
        let address = text(&object, "/spec/clusterIP");
        address.parse().with_context(|| format!("Service {namespace}/{service} has clusterIP {address:?}"))
    }

    /// The node port that stands for `port` of a Service.
    pub fn node_port(&self, namespace: &str, service: &str, port: u16) -> Result<u16> {
        let object = self.object("Service", namespace, service)?;
        let found = list(&object, "/spec/ports").iter().find(|entry| entry["port"] == port);
        let number = found.and_then(|entry| entry["nodePort"].as_u64());
        let number = number.with_context(|| format!("Service {namespace}/{service} has no node port for {port}"))?;
        Ok(u16::try_from(number)?)
    }

    /// Makes or changes a namespace with these labels (`istio-injection: enabled`).
    pub fn namespace(&self, name: &str, labels: &[(&str, &str)]) -> Result<()> {
        let mut object = json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}});
        for (label, value) in labels {
            object["metadata"]["labels"][*label] = json!(value);
        }
        self.apply_objects(vec![object])
    }

    /// Begins a workload; `start` runs it.
    pub fn workload(&self, name: &str) -> WorkloadBuilder<'_> {
        WorkloadBuilder::new(self, name)
    }

    /// Begins a Service; `apply` applies it.
    pub fn service(&self, name: &str) -> ServiceBuilder<'_> {
        ServiceBuilder::new(self, name)
    }

    /// The last lines of every log, for messages; printed when a cluster is dropped by a panic.
    pub fn snapshot_of_logs(&self) -> String {
        let mut snapshot = String::new();
        let entries = std::fs::read_dir(self.inner.site.dir.join("logs")).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            let log = String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()).into_owned();
            let lines: Vec<&str> = log.lines().collect();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let _ = writeln!(snapshot, "--- {name} ({} lines)", lines.len());
            lines[lines.len().saturating_sub(LOG_TAIL)..].iter().for_each(|line| {
                let _ = writeln!(snapshot, "{line}");
            });
        }
        snapshot
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("=== logs of cluster {} ===\n{}", self.inner.name, self.snapshot_of_logs());
        }
        self.inner.stopping.store(true, Ordering::SeqCst);
        self.inner.changed.notify_all();
        if let Some(controller) = self.controller.take() {
            // Had it panicked, there would still be everything to remove.
            let _ = controller.join();
        }
        let mut state = self.inner.lock();
        state.agents.clear();
        state.outside.clear();
        state.pods.clear();
        drop(state);
        cleanup::remove_cluster(&self.inner.site.id);
    }
}

/// Refuses what could never run, before anything of it is stored.
fn check(object: &Value) -> Result<()> {
    let containers = match text(object, "/kind") {
        "Deployment" => {
            deployment::check(object)?;
            "/spec/template/spec/containers"
        }
        "Pod" if list(object, "/spec/containers").is_empty() => bail!("spec.containers is empty"),
        "Pod" => "/spec/containers",
        "StatefulSet" | "DaemonSet" | "Job" | "CronJob" | "ReplicaSet" => {
            bail!("the testbed runs Deployments and Pods only: write it as one of them")
        }
        _ => return Ok(()),
    };
    list(object, containers).iter().try_for_each(program::check)
}
