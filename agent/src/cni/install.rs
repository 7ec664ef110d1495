//! Keeps the CNI plugin in its place on the node: the binary, and the entry in the network configuration that the node
//! uses ([`copy`]).
//!
//! Others write into the same folders: what they change is put right as soon as the kernel says so. Binary and entry stay
//! when the agent ends, so that no pod starts unnoticed while there is none, also after a reboot; [`remove`] takes them
//! away.

pub mod binary;
pub mod conflist;
pub mod copy;
pub mod entry;
pub mod original;
mod watch;

use std::{
    collections::VecDeque,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use copy::Plan;
use entry::Entry;
use original::{Original, remove_if_there};
use tokio::{sync::watch as channel, task::spawn_blocking, time::timeout};
use watch::Watch;

use super::plugin::NAME;

/// A writer that pauses this long has finished.
const QUIET: Duration = Duration::from_millis(30);

/// Shortest time between two repairs: others may want to have their way, too.
const REPAIR: Duration = Duration::from_millis(200);

/// How often the folders are looked at without being told.
const POLL: Duration = Duration::from_secs(5);

/// More repairs than these in that time are a contest: then it goes on at the pace of [`POLL`], and says so.
const REPAIRS_MAX: usize = 10;
const REPAIRS_IN: Duration = Duration::from_secs(60);

/// Where things are, for the agent and, under the same paths, for the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What becomes the plugin: this program ([`binary::SELF`]).
    pub program: PathBuf,
    /// Folder of plugins.
    pub bin_dir: PathBuf,
    /// Folder of network configurations.
    pub conf_dir: PathBuf,
    /// The agent's socket.
    pub socket: PathBuf,
    /// What the plugin knows without an agent.
    pub state: PathBuf,
    /// Namespace of weft's own pods.
    pub agent_namespace: String,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Installed {
    /// The node's runtime calls the plugin.
    Yes {
        /// The network configuration.
        file: String,
    },
    /// Not yet, and it is nobody's fault.
    Waiting {
        /// For what.
        reason: String,
    },
    /// Not: new pods start without waiting for their capture.
    Failed {
        /// Why, with the next step.
        reason: String,
    },
}

/// Keeps binary and entry.
pub struct Installer {
    config: Config,
    watch: Watch,
    /// What the binary in place was when it was last compared, and ran: changed, it is looked at again.
    tried: Option<(u64, u64, Option<SystemTime>)>,
    /// When the last repairs were made.
    repairs: VecDeque<Instant>,
    state: channel::Sender<Installed>,
}

impl Config {
    /// Our entry in a network configuration.
    fn entry(&self) -> Entry {
        Entry {
            socket: self.socket.clone(),
            state: self.state.clone(),
            agent_namespace: self.agent_namespace.clone(),
            ..Entry::default()
        }
    }

    /// Where a configuration is kept as it was before.
    fn record(&self) -> PathBuf {
        self.state.with_file_name("cni-original.json")
    }
}

impl Installer {
    /// An installer, and what becomes of it.
    pub fn new(config: Config) -> (Self, channel::Receiver<Installed>) {
        let reason = "the agent has just started".to_owned();
        let (state, seen) = channel::channel(Installed::Waiting { reason });
        (Self { config, watch: Watch::new(), tried: None, repairs: VecDeque::new(), state }, seen)
    }

    /// Keeps them in place, for ever.
    pub async fn run(mut self) {
        self.keep().await;
    }

    /// Keeps them in place until the caller drops this; it can be called again.
    pub async fn keep(&mut self) {
        loop {
            // Watch first, read second: what changes in between is read again.
            self.watch.ensure([&*self.config.bin_dir, &*self.config.conf_dir]);
            let now = self.step().await;
            let now = if self.is_contested() { contested(&now) } else { now };
            let pause = if self.is_contested() { POLL } else { REPAIR };
            self.publish(now);
            tokio::time::sleep(pause).await;
            if timeout(POLL, self.watch.woken()).await.is_ok() {
                while timeout(QUIET, self.watch.woken()).await.is_ok() {}
            }
        }
    }

    /// Puts in place what is not.
    async fn step(&mut self) -> Installed {
        if let Err(reason) = self.binary().await {
            return Installed::Failed { reason };
        }
        let config = self.config.clone();
        match spawn_blocking(move || entry(&config)).await {
            Ok((installed, is_repaired)) => {
                self.repairs.extend(is_repaired.then(Instant::now));
                installed
            }
            Err(error) => Installed::Failed { reason: format!("the installer of the CNI plugin panicked: {error}") },
        }
    }

    async fn binary(&mut self) -> Result<(), String> {
        let folder = self.config.bin_dir.clone();
        if self.tried.is_some() && self.tried == looks(&binary::path(&folder)) {
            return Ok(());
        }
        self.tried = None;
        let installed = spawn_blocking({
            let (program, folder) = (self.config.program.clone(), folder.clone());
            move || binary::install(&program, &folder)
        });
        let is_new = installed.await.map_err(|error| error.to_string())?.map_err(|error| {
            format!("{error}; mount the node's folder of CNI plugins there, or name it with --cni-bin-dir")
        })?;
        binary::try_on_node(&folder).await?;
        if is_new {
            tracing::info!(path = %binary::path(&folder).display(), "installed the CNI plugin");
        }
        self.tried = looks(&binary::path(&folder));
        Ok(())
    }

    fn is_contested(&mut self) -> bool {
        self.repairs.retain(|at| at.elapsed() < REPAIRS_IN);
        self.repairs.len() > REPAIRS_MAX
    }

    fn publish(&self, now: Installed) {
        self.state.send_if_modified(|before| {
            if *before == now {
                return false;
            }
            match &now {
                Installed::Yes { file } => {
                    tracing::info!(file, "the CNI plugin is in the node's network configuration")
                }
                Installed::Waiting { reason } => tracing::info!(reason, "the CNI plugin is not installed yet"),
                Installed::Failed { reason } => tracing::error!(reason, "the CNI plugin is not installed"),
            }
            *before = now;
            true
        });
    }
}

/// What is said when others want it otherwise, again and again.
fn contested(now: &Installed) -> Installed {
    let Installed::Yes { file } = now else { return now.clone() };
    let reason = format!(
        "another program removes or rewrites {file} again and again: let it leave the files of others alone (Cilium: \
         cni.exclusive=false)"
    );
    Installed::Failed { reason }
}

/// What tells one version of a file from another.
fn looks(path: &Path) -> Option<(u64, u64, Option<SystemTime>)> {
    let found = fs::metadata(path).ok()?;
    Some((std::os::unix::fs::MetadataExt::ino(&found), found.len(), found.modified().ok()))
}

/// Puts our entry into the configuration that the node uses. Also, whether it was not there.
fn entry(config: &Config) -> (Installed, bool) {
    let folder = &config.conf_dir;
    let next_step = "mount the node's folder of network configurations there, or name it with --cni-conf-dir";
    let waiting = |reason| (Installed::Waiting { reason }, false);
    if !config.state.exists() {
        // Without it the plugin holds every pod while the agent is away.
        return waiting(format!("{} is not written yet", config.state.display()));
    }
    let files = match copy::files(folder) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return waiting(format!("there is no {}; {next_step}", folder.display()));
        }
        Err(error) => {
            let reason = format!("cannot read {}: {error}; {next_step}", folder.display());
            return (Installed::Failed { reason }, false);
        }
    };
    let has_copy = files.iter().any(|file| file.name == copy::NAME);
    let written = match copy::plan(&files, folder, &config.entry()) {
        Err(reason) => return (Installed::Failed { reason }, false),
        Ok((None, _)) if has_copy => return (Installed::Yes { file: copy::NAME.to_owned() }, false),
        Ok((None, passed_over)) => {
            let others = if passed_over.is_empty() { String::new() } else { format!(" ({})", passed_over.join(", ")) };
            return waiting(format!("no network configuration in {} yet{others}", folder.display()));
        }
        Ok((Some(plan), _)) => put(config, plan, has_copy),
    };
    written.unwrap_or_else(|error| (Installed::Failed { reason: error.to_string() }, false))
}

fn put(config: &Config, plan: Plan, has_copy: bool) -> io::Result<(Installed, bool)> {
    let folder = &config.conf_dir;
    match plan {
        Plan::Copy { from, text } => {
            let is_repaired = copy::put(folder, &text)?;
            if is_repaired {
                tracing::info!(from, file = copy::NAME, "copied the network configuration, with the CNI plugin in it");
            }
            Ok((Installed::Yes { file: copy::NAME.to_owned() }, is_repaired))
        }
        Plan::InPlace { file, text } => {
            let is_repaired = text != file.text;
            if is_repaired {
                Original::replace(&config.record(), folder, &file, &text)?;
                tracing::info!(file = file.name, "put the CNI plugin into a network configuration");
            }
            if has_copy {
                remove_if_there(&folder.join(copy::NAME))?;
            }
            Ok((Installed::Yes { file: file.list_name() }, is_repaired))
        }
    }
}

/// Takes entry, binary and what was kept off the node again. Returns what was removed.
///
/// # Errors
/// The file system's, naming the file; what was removed before stays removed.
pub fn remove(config: &Config) -> io::Result<Vec<String>> {
    let mut removed = Vec::new();
    // The entry first: a configuration that names a plugin which is not there lets no pod start.
    let copy = config.conf_dir.join(copy::NAME);
    if remove_if_there(&copy)? {
        removed.push(copy.display().to_string());
    }
    if Original::restore(&config.record(), &config.conf_dir)? {
        removed.push(format!("entry of {NAME} in {}: as it was before", config.conf_dir.display()));
    }
    let found = match copy::files(&config.conf_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        found => found?,
    };
    for file in found {
        if let Some(text) = file.without_entry() {
            let path = config.conf_dir.join(&file.name);
            let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path)?.permissions()) & 0o7777;
            original::write(&path, &text, mode)?;
            removed.push(format!("entry of {NAME} in {}", path.display()));
        }
    }
    for path in [binary::path(&config.bin_dir), config.state.clone(), config.record()] {
        if remove_if_there(&path)? {
            removed.push(path.display().to_string());
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests;
