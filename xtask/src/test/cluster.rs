//! The cluster tier: a real Kubernetes is brought up, weft installed on it as a user would, everything asked of it, and nothing left.
//!
//! Owns the order of things. The cluster is `crate::cluster`'s, images are `crate::image`'s, scenarios are in `tests/cluster`.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};

use super::build_programs;
use crate::cluster::layout::Layout;
use crate::cluster::{down, store, up};
use crate::run::{Cmd, Steps};
use crate::setup;

/// The tier's own cluster: a developer's stays untouched.
const NAME: &str = "weft-test";

/// One beside another is enough to tell near from far.
const NODES: u8 = 2;

/// Scenarios at a time: they mostly wait, and each starts about five pods.
const PARALLEL: &str = "4";

/// The scenarios, in this order: the rig without a mesh, then everything that can run beside each other, then what disturbs the
/// whole cluster, one at a time, and at last the end of the mesh.
const BEFORE: [Part; 1] = [Part { name: "the rig without a mesh", tests: &["rig"], threads: PARALLEL }];
const AFTER: [Part; 3] = [
    Part { name: "exercises, pods, probes and services", tests: &["exercises", "kubernetes"], threads: PARALLEL },
    Part { name: "life of agents, nodes and control planes", tests: &["lifecycle"], threads: "1" },
    Part { name: "weft uninstall", tests: &["uninstall"], threads: "1" },
];

/// Test programs that run together.
struct Part {
    name: &'static str,
    tests: &'static [&'static str],
    threads: &'static str,
}

/// Runs the tier; the cluster is taken down however that ends, unless it is to be kept.
pub fn run(filter: Option<&str>, keep: bool, steps: &mut Steps) -> Result<()> {
    ensure!(
        setup::is_root(),
        "the cluster tier makes nodes out of namespaces and needs root: \
         `sudo -E env PATH=\"$PATH\" cargo xtask test cluster`"
    );
    // Ctrl-C ends what runs; this process goes on to the end and cleans up.
    ignore_interrupts()?;
    steps.step("scenarios of the cluster tier", || scenarios(&["--no-run"]).run())?;
    if !keep {
        remove_left_over(steps)?;
    }
    let found = store::find(NAME)?.is_some();
    let cluster = up::run(NAME, &up::Args::with_nodes(NODES), steps);
    let passed = cluster.and_then(|layout| {
        let run = Run { layout: &layout, weft: build_programs(false)?.weft, filter, keep, found };
        run.all(steps)
    });
    if keep {
        eprintln!("cluster {NAME} stays: cargo xtask cluster --name {NAME} shell, and later: down");
        return passed;
    }
    let removed = steps.step("cluster down", || down::run(NAME).map(|_layout| ()));
    passed?;
    removed
}

/// Of a run that was killed, or kept.
fn remove_left_over(steps: &mut Steps) -> Result<()> {
    if store::find(NAME)?.is_none() {
        return Ok(());
    }
    steps.step("cluster of an earlier run", || down::run(NAME).map(|_layout| ()))
}

/// One run on a cluster that is up.
struct Run<'a> {
    layout: &'a Layout,
    weft: PathBuf,
    filter: Option<&'a str>,
    keep: bool,
    /// Whether an earlier run left the cluster.
    found: bool,
}

impl Run<'_> {
    /// Every part runs, also after one that failed: one look shows everything that is broken.
    fn all(&self, steps: &mut Steps) -> Result<()> {
        let mut failed = Vec::new();
        let mut run = |part: &'static Part, steps: &mut Steps| {
            if let Err(error) = steps.step(part.name, || self.part(part)) {
                eprintln!("error: {error:#}");
                failed.push(part.name);
            }
        };
        BEFORE.iter().for_each(|part| run(part, steps));
        steps.step("weft install", || self.install())?;
        // On a cluster that is kept, the mesh has to be there for the next look.
        let parts = AFTER.iter().filter(|part| !(self.keep && part.tests == ["uninstall"]));
        parts.for_each(|part| run(part, steps));
        if failed.is_empty() {
            return Ok(());
        }
        bail!("failed on the cluster: {}", failed.join(", "))
    }

    fn install(&self) -> Result<()> {
        let run = |cmd: Cmd| cmd.env("KUBECONFIG", self.layout.kubeconfig()).run();
        run(Cmd::new(&self.weft).args(["install", "--image-pull-policy", "Always"]))?;
        if self.found {
            // It runs what was pushed before under the same name.
            for workload in ["deployment/weft-control", "daemonset/weft-agent"] {
                let kubectl =
                    || Cmd::new(self.layout.path("bin/kubectl")).args(["--namespace=istio-system", "rollout"]);
                run(kubectl().args(["restart", workload]))?;
                run(kubectl().args(["status", workload, "--timeout=180s"]))?;
            }
        }
        run(Cmd::new(&self.weft).args(["status"])).context("weft is installed and does not say how it is")
    }

    fn part(&self, part: &Part) -> Result<()> {
        let tests = part.tests.iter().flat_map(|test| ["--test", test]);
        let xtask = std::env::current_exe().context("cannot find this executable")?;
        scenarios(&["--no-fail-fast"])
            .args(tests)
            .args(self.filter)
            // Figures are part of the result.
            .args(["--", "--show-output", "--test-threads", part.threads])
            .env("KUBECONFIG", self.layout.kubeconfig())
            .env("WEFT_KUBECTL", self.layout.path("bin/kubectl"))
            .env("WEFT_CLUSTER", NAME)
            .env("WEFT_XTASK", xtask)
            .env("WEFT_BIN", &self.weft)
            .run()
    }
}

fn scenarios(args: &[&str]) -> Cmd {
    Cmd::cargo().args(["test", "--package", "weft-cluster-tests"]).args(args)
}

/// Not by ignoring them, which programs that are started would inherit: a handler is theirs no longer.
fn ignore_interrupts() -> Result<()> {
    use nix::sys::signal::{SigHandler, Signal, signal};

    extern "C" fn nothing(_signal: i32) {}

    // SAFETY: the handler does nothing, which is allowed at any moment.
    unsafe { signal(Signal::SIGINT, SigHandler::Handler(nothing)) }.context("cannot handle SIGINT").map(|_before| ())
}
