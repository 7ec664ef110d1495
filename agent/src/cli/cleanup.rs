//! `weft cleanup`: undoes what an agent left that was killed, or that kept its pods captured.

mod node;

use std::{
    collections::BTreeSet,
    fmt::Write,
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use super::{
    StateDir,
    agent::{BPF_ROOT, bpf_dir, node_name},
    cni::CniFiles,
    output,
};
use crate::{
    admin::{self, SOCKET_SUFFIX, socket_path},
    cni::install,
    ebpf::{kernel, leftovers},
    handover::{DESK_SUFFIX, Files, KEEPER_SUFFIX, Keeper, LOCK_SUFFIX, Ownership},
};

/// How long a keeper that is about to be ended may go on without an agent, if it cannot be.
const KEEPER_PATIENCE: Duration = Duration::from_secs(1);

/// Arguments of `weft cleanup`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Clean up after the agent of this node only [default: all that left something]
    #[arg(long, value_name = "NAME", env = "WEFT_NODE", value_parser = node_name)]
    pub node: Option<String>,
    /// The agent's folder for pins [default: /sys/fs/bpf/weft/<node>]
    #[arg(long, value_name = "DIR", env = "WEFT_BPF_DIR")]
    pub bpf_dir: Option<PathBuf>,
    /// Clean up even after an agent that is running: its pods' traffic then passes it by
    #[arg(long)]
    pub force: bool,
    /// Also take the CNI plugin and its entry in the network configuration off this node
    #[arg(long)]
    pub cni: bool,
    /// Also take everything else off this node: the CNI plugin, the agents' folders and their pins
    #[arg(long, conflicts_with = "force")]
    pub all: bool,
    /// Note that the next end of the node's agent is for good, and clean nothing (used by `weft uninstall`)
    #[arg(long, hide = true, conflicts_with_all = ["all", "force", "cni"])]
    pub announce: bool,
    /// Afterwards wait to be ended (used by `weft uninstall`)
    #[arg(long, hide = true)]
    pub stay: bool,
    /// Folder of what agents keep across restarts of the node
    #[arg(long, value_name = "DIR", env = "WEFT_DATA_DIR", default_value = "/var/lib/weft")]
    pub data_dir: PathBuf,
    #[command(flatten)]
    pub(super) state: StateDir,
    #[command(flatten)]
    pub(super) cni_files: CniFiles,
}

/// What was done, and what could not be.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) removed: Vec<String>,
    pub(super) failed: Vec<String>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let code = if args.announce { node::announce(args).map(|()| ExitCode::SUCCESS) } else { clean_and_tell(args) }?;
    if args.stay && code == ExitCode::SUCCESS {
        node::stay(args)?;
    }
    Ok(code)
}

fn clean_and_tell(args: &Args) -> anyhow::Result<ExitCode> {
    let report = clean(args)?;
    let mut text = String::new();
    for line in &report.removed {
        let _ = writeln!(text, "removed {line}");
    }
    if report.removed.is_empty() && report.failed.is_empty() {
        text.push_str("nothing to remove\n");
    }
    if args.node.is_none() && args.bpf_dir.is_none() && !args.all {
        // Their agents may be running with another --state-dir: not ours to remove unasked.
        let others = names(Path::new(BPF_ROOT));
        if !others.is_empty() {
            let _ = writeln!(text, "left alone: pins in {BPF_ROOT} of {}; --node removes them", others.join(", "));
        }
    }
    output::print(&text)?;
    for line in &report.failed {
        eprintln!("weft: cannot remove {line}");
    }
    Ok(if report.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Cleans up, pins first: when no program steers traffic any more, the routes are free to go.
pub(super) fn clean(args: &Args) -> anyhow::Result<Report> {
    let state_dir = &args.state.state_dir;
    let nodes = match &args.node {
        Some(node) => BTreeSet::from([node.clone()]),
        // Everything is to go, also of an agent that has left nothing but pins.
        None if args.all => nodes(state_dir).into_iter().chain(names(Path::new(BPF_ROOT))).collect(),
        None => nodes(state_dir),
    };
    // Held until the end, so that no agent starts in between.
    let mut owned = Vec::new();
    for node in &nodes {
        owned.push(claim(state_dir, node, args.force)?);
    }
    let mut report = Report::default();
    let pins = match &args.bpf_dir {
        Some(directory) => vec![directory.clone()],
        None => nodes.iter().map(|node| bpf_dir(node)).collect(),
    };
    for directory in pins {
        report.pins(&directory);
    }
    for node in &nodes {
        report.routes(&leftovers::path(state_dir, node));
        let files = Files::of(state_dir, node);
        report.keeper(&files.keeper);
        report.file("socket", &socket_path(state_dir, node));
        report.file("socket", &files.desk);
    }
    for ownership in owned.into_iter().flatten() {
        // A lock that nobody has says nothing: it is not worth a line of the report.
        let _ = ownership.end();
    }
    if args.cni || args.all {
        report.cni(&args.cni_files.installed());
    }
    // What could not be undone is written down in these folders: it stays for the next attempt.
    if args.all && report.failed.is_empty() {
        report.folder(state_dir);
        report.folder(&args.data_dir);
        if args.bpf_dir.is_none() {
            // Not empty while another node of this machine has pins: then it stays.
            let _ = fs::remove_dir(BPF_ROOT);
        }
    }
    Ok(report)
}

/// Makes sure that no agent of the node is running.
fn claim(state_dir: &Path, node: &str, force: bool) -> anyhow::Result<Option<Ownership>> {
    let socket = socket_path(state_dir, node);
    // A folder that is not there holds no lock.
    let ownership = Ownership::claim(&Files::of(state_dir, node).lock);
    let is_running = matches!(ownership, Ok(None)) || admin::answers(&socket);
    if is_running && !force {
        anyhow::bail!(
            "the agent of node {node} is running ({}): end it first; --node cleans up after another one, --force all \
             the same",
            socket.display()
        );
    }
    Ok(ownership.ok().flatten())
}

/// Nodes whose agents left a socket or a list of pods.
fn nodes(state_dir: &Path) -> BTreeSet<String> {
    const SUFFIXES: [&str; 5] = [SOCKET_SUFFIX, leftovers::SUFFIX, LOCK_SUFFIX, DESK_SUFFIX, KEEPER_SUFFIX];
    let of_state = |name: &String| SUFFIXES.iter().find_map(|suffix| Some(name.strip_suffix(suffix)?.to_owned()));
    names(state_dir).iter().filter_map(of_state).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

impl Report {
    fn pins(&mut self, directory: &Path) {
        if !directory.exists() {
            return;
        }
        let what = format!("pins in {}", directory.display());
        self.note(what, kernel::remove_pins(directory).map(|()| true));
    }

    fn routes(&mut self, list: &Path) {
        let pods = match leftovers::read(list) {
            Ok(pods) => pods,
            Err(error) => return self.note(format!("what {} lists", list.display()), Err(error)),
        };
        let failures = self.failed.len();
        for pod in &pods {
            let what = format!("capture rule and routes in {}", pod.netns.display());
            self.note(what, leftovers::remove_routes(pod));
        }
        // What could not be undone stays on the list for the next attempt.
        if self.failed.len() == failures {
            self.file("list", list);
        }
    }

    fn cni(&mut self, installed: &install::Config) {
        match install::remove(installed) {
            Ok(removed) => self.removed.extend(removed),
            Err(error) => self.failed.push(format!("the CNI plugin: {error}")),
        }
    }

    /// Ends a keeper: what waits in the listeners that it holds is reset.
    fn keeper(&mut self, path: &Path) {
        let ended = match Keeper::find(path, KEEPER_PATIENCE) {
            Ok(None) => return self.file("socket", path),
            Ok(Some(keeper)) => keeper.stop().map_err(io::Error::other),
            Err(error) => Err(io::Error::other(error)),
        };
        self.note(format!("keeper at {}", path.display()), ended.map(|()| true));
    }

    fn file(&mut self, kind: &str, path: &Path) {
        let removed = match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            result => result.map(|()| true),
        };
        self.note(format!("{kind} {}", path.display()), removed);
    }

    /// False: there was nothing.
    fn note(&mut self, what: String, result: io::Result<bool>) {
        match result {
            Ok(true) => self.removed.push(what),
            Ok(false) => {}
            Err(error) => self.failed.push(format!("{what}: {error}")),
        }
    }
}
