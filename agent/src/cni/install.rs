//! Keeps the CNI plugin in its place on the node: the binary, and the entry in the network configuration that the node
//! uses.
//!
//! Installers of networks write their configuration when they start, and again when they are updated: then the entry is
//! gone, and comes back as soon as the kernel says that the folder changed. Both stay when the agent ends, so that no pod
//! starts unnoticed while there is none, also after a reboot; [`remove`] takes them away.

pub mod binary;
pub mod conflist;
pub mod original;
mod watch;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use conflist::NetworkFile;
use original::{Original, remove_if_there};
use serde_json::{Value, json};
use tokio::{sync::watch as channel, task::spawn_blocking, time::timeout};
use watch::Watch;

use super::plugin::NAME;

/// A writer that pauses this long has finished.
const QUIET: Duration = Duration::from_millis(30);

/// Shortest time between two repairs: others may want to have their way, too.
const REPAIR: Duration = Duration::from_millis(200);

/// How often the folders are looked at without being told.
const POLL: Duration = Duration::from_secs(5);

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
    state: channel::Sender<Installed>,
}

impl Config {
    /// Our entry in a network configuration.
    pub fn entry(&self) -> Value {
        json!({
            "type": NAME,
            "socket": self.socket,
            "state": self.state,
            "agentNamespace": self.agent_namespace,
        })
    }

    /// Where the configuration is kept as it was before.
    fn record(&self) -> PathBuf {
        self.state.with_file_name("cni-original.json")
    }
}

impl Installer {
    /// An installer, and what becomes of it.
    pub fn new(config: Config) -> (Self, channel::Receiver<Installed>) {
        let reason = "the agent has just started".to_owned();
        let (state, seen) = channel::channel(Installed::Waiting { reason });
        (Self { config, watch: Watch::new(), tried: None, state }, seen)
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
            self.publish(now);
            tokio::time::sleep(REPAIR).await;
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
            Ok(installed) => installed,
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

/// What tells one version of a file from another.
fn looks(path: &Path) -> Option<(u64, u64, Option<SystemTime>)> {
    let found = fs::metadata(path).ok()?;
    Some((std::os::unix::fs::MetadataExt::ino(&found), found.len(), found.modified().ok()))
}

/// Puts our entry into the configuration that the node uses.
fn entry(config: &Config) -> Installed {
    let folder = &config.conf_dir;
    let next_step = "mount the node's folder of network configurations there, or name it with --cni-conf-dir";
    let files = match files(folder) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Installed::Waiting { reason: format!("there is no {}; {next_step}", folder.display()) };
        }
        Err(error) => {
            return Installed::Failed { reason: format!("cannot read {}: {error}; {next_step}", folder.display()) };
        }
    };
    let (active, passed_over) = conflist::active(&files);
    let Some(file) = active else {
        let others = if passed_over.is_empty() { String::new() } else { format!(" ({})", passed_over.join(", ")) };
        let reason = format!("no network configuration in {} yet{others}", folder.display());
        return Installed::Waiting { reason };
    };
    let written = match file.with_entry(&config.entry()) {
        Ok(None) => return Installed::Yes { file: file.name.clone() },
        Ok(Some(text)) => Original::replace(&config.record(), folder, file, &text).map_err(|error| error.to_string()),
        Err(reason) => Err(reason),
    };
    match written {
        Ok(()) => {
            tracing::info!(file = file.name, "put the CNI plugin into a network configuration");
            Installed::Yes { file: file.list_name() }
        }
        Err(reason) => Installed::Failed { reason: format!("network configuration {}: {reason}", file.name) },
    }
}

/// The network configurations of a folder.
fn files(folder: &Path) -> io::Result<Vec<NetworkFile>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|name| NetworkFile::is_one(name))
        else {
            continue;
        };
        // One that has gone again, or that nobody may read, is none for the runtime, either.
        if let Ok(text) = fs::read_to_string(&path) {
            files.push(NetworkFile { name: name.to_owned(), text });
        }
    }
    Ok(files)
}

/// Takes entry, binary and what was kept off the node again. Returns what was removed.
///
/// # Errors
/// The file system's, naming the file; what was removed before stays removed.
pub fn remove(config: &Config) -> io::Result<Vec<String>> {
    let mut removed = Vec::new();
    // The entry first: a configuration that names a plugin which is not there lets no pod start.
    if Original::restore(&config.record(), &config.conf_dir)? {
        removed.push(format!("entry of {NAME} in {}: as it was before", config.conf_dir.display()));
    }
    let found = match files(&config.conf_dir) {
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
