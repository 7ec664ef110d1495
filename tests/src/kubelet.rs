//! Kubelet stand-in: one [`Record`] per pod, from network namespace to readiness, restart and end.
//!
//! `controller` creates records and calls [`Record::tick`]; `state` publishes what a record says of itself. A pod starts when its
//! processes run and its first container port is listened on; the Pod object appears only then. What a real kubelet does and this one
//! does not: images, volumes, init containers, probes by HTTP (a port that is listened on counts as healthy).

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::container::{self, Container};
use crate::hosts;
use crate::id::ClusterId;
use crate::link::{join_pod, part_pod, pod_v4, pod_v6};
use crate::manifest::{list, text};
use crate::netns::{self, NETNS_DIR, Netns};
use crate::node::Node;
use crate::process::{CLUSTER_MARK, POD_MARK, PodFiles, Spec, has_mark, kill_where, run_to_end};
use crate::program;

/// The environment variable of each pod that names the cluster's folder; `$(WEFT_TESTBED_DIR)` in arguments is replaced.
const DIR_VARIABLE: &str = "WEFT_TESTBED_DIR";
/// How long a pod may take after SIGTERM unless it says so; shorter than Kubernetes' 30 s, tests wait for it.
const GRACE: Duration = Duration::from_secs(5);
/// Between the end of being an endpoint and SIGTERM, so that nobody is sent to a pod that no longer listens.
const FAREWELL: Duration = Duration::from_millis(100);
/// How often an exec readiness probe runs.
const PROBE_PERIOD: Duration = Duration::from_millis(500);

/// What is the same for all pods of a cluster.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) id: ClusterId,
    pub(crate) dir: PathBuf,
}

/// Where a pod is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Its program does not serve (yet, or again).
    Starting,
    /// It serves.
    Running,
    /// It was asked to end, at that time.
    Ending(Instant),
    /// Nothing of it is left.
    Gone,
}

/// A pod of this machine.
#[derive(Debug)]
pub(crate) struct Record {
    /// Metadata and spec; the status is added by [`Record::object`].
    pub(crate) manifest: Value,
    pub(crate) node: Node,
    pub(crate) host: u8,
    pub(crate) netns: Netns,
    pub(crate) files: PodFiles,
    pub(crate) phase: Phase,
    /// What `Pod::set_ready` said; it wins over what the kubelet sees.
    pub(crate) ready_by_hand: Option<bool>,
    /// Name and template hash, for pods of a Deployment.
    pub(crate) deployment: Option<(String, String)>,
    /// Whether the pod served once: from then on its object exists.
    pub(crate) published: bool,
    terminated: bool,
    private: PathBuf,
    log: PathBuf,
    containers: Vec<Container>,
    probed: Option<(Instant, bool)>,
}

impl Record {
    /// Gives the pod its namespace, link and files; its programs start with the first tick.
    pub(crate) fn create(
        site: &Site,
        mut manifest: Value,
        node: &Node,
        host: u8,
        deployment: Option<(String, String)>,
    ) -> Result<Self> {
        let (namespace, name) = (text(&manifest, "/metadata/namespace"), text(&manifest, "/metadata/name"));
        let netns = Netns::create(&format!("{}-{namespace}-{name}", site.id))?;
        if let Err(error) = join_pod(node.netns(), &netns, node.number(), host) {
            netns::remove(&Path::new(NETNS_DIR).join(netns.name()));
            return Err(error);
        }
        let private = site.dir.join("pods").join(format!("{namespace}.{name}"));
        let tmp = private.join("tmp");
        fs::create_dir_all(&tmp).with_context(|| format!("creating {}", tmp.display()))?;
        let containers: Vec<Container> = list(&manifest, "/spec/containers").iter().map(Container::new).collect();
        let own_tmp = containers.iter().any(|c| c.probe().is_some());
        let files = PodFiles {
            hosts: private.join("hosts"),
            resolv: private.join("resolv.conf"),
            hostname: name.chars().take(63).collect(),
            tmp: own_tmp.then_some(tmp),
        };
        fs::write(&files.resolv, hosts::resolv_conf(namespace))?;
        fs::write(&files.hosts, "")?;
        let log = site.dir.join("logs").join(format!("{namespace}.{name}.log"));
        manifest["spec"]["nodeName"] = json!(node.name());
        if !manifest["metadata"]["annotations"].is_object() {
            manifest["metadata"]["annotations"] = json!({});
        }
        manifest["metadata"]["annotations"]["weft.dev/netns"] = json!(netns.name());
        manifest["metadata"]["uid"] = json!(netns.name());
        if text(&manifest, "/spec/serviceAccountName").is_empty() {
            let given = text(&manifest, "/spec/serviceAccount");
            manifest["spec"]["serviceAccountName"] = json!(if given.is_empty() { "default" } else { given });
        }
        Ok(Self {
            manifest,
            node: node.clone(),
            host,
            netns,
            files,
            phase: Phase::Starting,
            ready_by_hand: None,
            deployment,
            published: false,
            terminated: false,
            private,
            log,
            containers,
            probed: None,
        })
    }

    /// IPv4 and IPv6 address.
    pub(crate) fn addresses(&self) -> [IpAddr; 2] {
        [pod_v4(self.node.number(), self.host).into(), pod_v6(self.node.number(), self.host).into()]
    }

    pub(crate) fn is_ready(&self) -> bool {
        match self.phase {
            Phase::Starting | Phase::Running => self.ready_by_hand.unwrap_or(self.phase == Phase::Running),
            Phase::Ending(_) | Phase::Gone => false,
        }
    }

    pub(crate) fn is_ending(&self) -> bool {
        matches!(self.phase, Phase::Ending(_) | Phase::Gone)
    }

    /// Why it does not run, if that is known.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.containers.iter().find_map(Container::trouble)
    }

    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// The pid of the first container's program, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.containers.first()?.pid()
    }

    /// The Pod object as the API server would show it now.
    pub(crate) fn object(&self) -> Value {
        let mut pod = self.manifest.clone();
        let [v4, v6] = self.addresses().map(|address| address.to_string());
        let ready = if self.is_ready() { "True" } else { "False" };
        pod["status"] = json!({"phase": "Running", "podIP": v4, "podIPs": [{"ip": v4}, {"ip": v6}],
            "hostIP": self.node.address().to_string(),
            "conditions": [{"type": "Ready", "status": ready}, {"type": "ContainersReady", "status": ready}]});
        if self.is_ending() {
            // The time itself interests nobody here; that there is one does.
            pod["metadata"]["deletionTimestamp"] = json!("2000-01-01T00:00:00Z");
        }
        pod
    }

    /// Stops being an endpoint; the rest happens in ticks.
    pub(crate) fn end(&mut self) {
        if !self.is_ending() {
            self.phase = Phase::Ending(Instant::now());
        }
    }

    fn terminate(&mut self) {
        if std::mem::replace(&mut self.terminated, true) {
            return;
        }
        self.containers.iter().for_each(Container::terminate);
    }

    /// Moves on in life; says whether something changed that others see.
    pub(crate) fn tick(&mut self, site: &Site) -> bool {
        let before = (self.phase, self.is_ready());
        match self.phase {
            Phase::Starting | Phase::Running => {
                self.start_containers(site);
                let serves = self.containers.iter().all(Container::runs) && self.listens() && self.probe(site);
                self.phase = if serves { Phase::Running } else { Phase::Starting };
                self.published |= serves || (self.has_probe() && self.containers.iter().all(Container::runs));
            }
            Phase::Ending(since) if since.elapsed() < FAREWELL && self.published => {}
            Phase::Ending(since) => {
                self.terminate();
                let grace = self.manifest.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_u64);
                let grace = grace.map_or(GRACE, Duration::from_secs);
                let runs = self.containers.iter().any(Container::runs);
                if !runs || since.elapsed() >= grace {
                    self.tear_down();
                }
            }
            Phase::Gone => {}
        }
        before != (self.phase, self.is_ready())
    }

    fn tear_down(&mut self) {
        self.containers.clear();
        kill_where(|pid| has_mark(pid, POD_MARK, self.netns.name()));
        // The link may have gone with its namespace.
        let _ = part_pod(self.node.netns(), self.host);
        netns::remove(&Path::new(NETNS_DIR).join(self.netns.name()));
        let _ = fs::remove_dir_all(&self.private);
        self.phase = Phase::Gone;
    }

    fn start_containers(&mut self, site: &Site) {
        // Taken out for the moment, so that a container's program may depend on the rest of the pod.
        let mut containers = std::mem::take(&mut self.containers);
        for container in &mut containers {
            container.keep_running(|value| self.spec(site, value), &self.log);
        }
        self.containers = containers;
    }

    fn spec(&self, site: &Site, container: &Value) -> Result<Spec> {
        let line = program::line(container, &self.private)?;
        let mut env = self.marks(site);
        env.extend(container::environment(container, &self.object())?);
        let args = line.args.iter().map(|arg| container::expand(arg, &env)).collect();
        Ok(self.spec_of(line.program, args, env))
    }

    fn spec_of(&self, program: PathBuf, args: Vec<String>, env: Vec<(String, String)>) -> Spec {
        let (netns, files) = (self.netns.clone(), Some(self.files.clone()));
        Spec { program, args, env, keep_env: false, netns, files }
    }

    fn marks(&self, site: &Site) -> Vec<(String, String)> {
        vec![
            (CLUSTER_MARK.into(), site.id.to_string()),
            (POD_MARK.into(), self.netns.name().to_owned()),
            (DIR_VARIABLE.into(), site.dir.display().to_string()),
            ("HOSTNAME".into(), self.files.hostname.clone()),
        ]
    }

    /// Whether the first container port is listened on. Asked until it is: reading the kernel's tables again and again would cost
    /// benchmarks more than it tells.
    fn listens(&self) -> bool {
        let Some(port) = self.containers.iter().find_map(Container::first_port) else { return true };
        self.phase == Phase::Running || self.pid().is_some_and(|pid| container::listens(pid, port))
    }

    fn has_probe(&self) -> bool {
        self.containers.iter().any(|container| container.probe().is_some())
    }

    /// Runs exec readiness probes when their time has come.
    fn probe(&mut self, site: &Site) -> bool {
        if let Some((_, verdict)) = self.probed.filter(|(at, _)| at.elapsed() < PROBE_PERIOD) {
            return verdict;
        }
        let mut verdict = true;
        for probe in self.containers.iter().filter_map(Container::probe) {
            let mut words = probe.into_iter();
            let Some(program) = words.next() else { continue };
            let spec = self.spec_of(program.into(), words.collect(), self.marks(site));
            verdict &= run_to_end(&spec, Duration::from_secs(1)).is_ok_and(|output| output.status.success());
        }
        if self.has_probe() {
            self.probed = Some((Instant::now(), verdict));
        }
        verdict
    }
}
