//! `cluster crowd`: pods that nobody runs on nodes that do not exist, to see what a big cluster costs weft.
//!
//! Everybody who reads the API server sees a big cluster: pods with addresses, Services, endpoints. What the agents and
//! the control plane use before and after is printed; [`crowd_costs`](super::crowd_costs) reads that from the machine.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::crowd_costs;
use super::kubectl::Kubectl;
use super::layout::Layout;
use crate::run::Steps;

/// Pods of a namespace, of a node, and of a Service.
const OF_NAMESPACE: usize = 500;
const OF_NODE: usize = 100;
const OF_SERVICE: usize = 10;

/// Addresses are made of the pod's number below 10.200.0.0: two bytes.
const PODS_MAX: usize = 60_000;

/// Several kubectls at once: each sends fifty requests a second at most.
const PARALLEL: usize = 4;

/// How long all of one kind may take.
const PATIENCE: Duration = Duration::from_secs(1800);

/// Fills the cluster up to `pods` of these.
pub fn run(layout: &Layout, pods: usize, steps: &mut Steps) -> Result<()> {
    ensure!(pods <= PODS_MAX, "{pods} pods: their addresses end at {PODS_MAX}");
    let crowd = Crowd { kubectl: Kubectl::new(layout), folder: layout.path("crowd"), pods };
    fs::create_dir_all(&crowd.folder).with_context(|| format!("cannot make {}", crowd.folder.display()))?;
    let before = crowd_costs::settled(layout)?;
    steps.step("nodes and namespaces", || crowd.places())?;
    steps.step("services", || {
        crowd.apply("services", &[], |number| (number % OF_SERVICE == 0).then(|| service(number)))
    })?;
    let began = Instant::now();
    steps.step("pods", || crowd.apply("pods", &[], |number| Some(pod(number))))?;
    steps.step("pods run, as they say", || {
        crowd.apply("status", &["--subresource=status"], |number| Some(status(number)))
    })?;
    let filled = began.elapsed();
    let after = steps.step("weft settles", || crowd_costs::settled(layout))?;
    print!("{}", crowd_costs::page(&before, &after, pods, filled));
    Ok(())
}

struct Crowd {
    kubectl: Kubectl,
    folder: PathBuf,
    pods: usize,
}

impl Crowd {
    fn places(&self) -> Result<()> {
        let mut text = String::new();
        for number in 0..self.pods.div_ceil(OF_NODE) {
            let _ = write!(text, "apiVersion: v1\nkind: Node\nmetadata: {{name: {}}}\n---\n", node(number * OF_NODE));
        }
        let namespaces: Vec<String> = (0..self.pods).step_by(OF_NAMESPACE).map(namespace).collect();
        for name in &namespaces {
            let _ = write!(
                text,
                "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{istio-injection: enabled}}}}\n---\n"
            );
        }
        self.send("places", &text, &[])?;
        // Pods are refused until their account is there.
        for name in &namespaces {
            let wait = ["--namespace", name, "wait", "--for=create", "--timeout=60s", "serviceaccount/default"];
            self.kubectl.args(wait).read()?;
        }
        Ok(())
    }

    /// Applies what `object` makes of each pod's number, by several kubectls.
    fn apply(&self, what: &str, more: &[&str], object: impl Fn(usize) -> Option<String>) -> Result<()> {
        let objects: Vec<String> = (0..self.pods).filter_map(object).collect();
        let shares = objects.chunks(objects.len().div_ceil(PARALLEL).max(1));
        std::thread::scope(|scope| {
            let shares = shares.enumerate().map(|(share, objects)| {
                let text = objects.join("---\n");
                scope.spawn(move || self.send(&format!("{what}-{share}"), &text, more))
            });
            let shares: Vec<_> = shares.collect();
            shares.into_iter().try_for_each(|share| share.join().ok().context("a thread panicked")?)
        })
    }

    fn send(&self, name: &str, text: &str, more: &[&str]) -> Result<()> {
        let file = self.folder.join(format!("{name}.yaml"));
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        let file = file.to_string_lossy().into_owned();
        let args = ["apply", "--server-side", "--force-conflicts", "--validate=false", "--filename", &file];
        self.kubectl.args(args).args(more).deadline(PATIENCE).read().map(drop)
    }
}

fn namespace(pod: usize) -> String {
    format!("crowd-{}", pod / OF_NAMESPACE)
}

fn node(pod: usize) -> String {
    format!("crowd-node-{}", pod / OF_NODE)
}

fn service(pod: usize) -> String {
    let (name, namespace) = (pod / OF_SERVICE, namespace(pod));
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: s-{name}, namespace: {namespace}}}\n\
         spec:\n  selector: {{app: s-{name}}}\n  ports: [{{name: http, port: 80, targetPort: 8080}}]\n"
    )
}

fn pod(pod: usize) -> String {
    let (app, namespace, node) = (pod / OF_SERVICE, namespace(pod), node(pod));
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p-{pod}\n  namespace: {namespace}\n  labels: {{app: s-{app}, version: v1}}\n\
         spec:\n  nodeName: {node}\n  terminationGracePeriodSeconds: 0\n  tolerations: [{{operator: Exists}}]\n\
         \x20 containers: [{{name: server, image: nobody-runs-it}}]\n"
    )
}

fn status(pod: usize) -> String {
    let (namespace, address) = (namespace(pod), format!("10.200.{}.{}", pod / 250, pod % 250 + 1));
    let conditions = ["PodScheduled", "Initialized", "ContainersReady", "Ready"]
        .map(|condition| format!("{{type: {condition}, status: \"True\"}}"));
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: p-{pod}, namespace: {namespace}}}\nstatus:\n  phase: Running\n  podIP: {address}\n\
         \x20 podIPs: [{{ip: {address}}}]\n  conditions: [{}]\n",
        conditions.join(", ")
    )
}
