//! What a container runtime does for a pod's network, as far as CNI plugins can tell: a sandbox, and the plugins of the
//! node's first network configuration called one after the other, as libcni calls them.
//!
//! The testbed's own pods get their network from `kubelet`; this is for tests of `weft-cni`, behind Debian's plugins.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::netns::Netns;
use crate::place::Place;

/// Where Debian's containernetworking-plugins are.
const DEBIAN_PLUGINS: &str = "/usr/lib/cni";

/// A runtime on one node, with folders of its own for plugins and configurations.
#[derive(Debug)]
pub struct CniRuntime {
    node: Place,
    id: String,
    dir: PathBuf,
}

/// A pod's sandbox.
#[derive(Debug)]
pub struct Sandbox {
    /// Its network namespace, without any interface until plugins were called.
    pub netns: Netns,
    namespace: String,
    pod: String,
    container: String,
}

/// A plugin's refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Type of the plugin.
    pub plugin: String,
    /// `code` of its error.
    pub code: u64,
    /// `msg`.
    pub message: String,
    /// How long it took.
    pub elapsed: Duration,
}

impl CniRuntime {
    /// A runtime on `node`, with Debian's `ptp` in its configuration `10-net.conflist`, pods in 10.99.0.0/24.
    pub fn new(cluster: &Cluster, node: &str) -> Result<Self> {
        ensure!(
            Path::new(DEBIAN_PLUGINS).join("ptp").exists(),
            "no {DEBIAN_PLUGINS}/ptp: `cargo xtask setup` installs it"
        );
        let dir = cluster.dir().join(format!("cni-{node}"));
        let made = Self { node: cluster.on_node(node)?, id: cluster.id().to_string(), dir };
        for folder in [made.bin_dir(), made.conf_dir()] {
            fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        }
        fs::write(made.conf_dir().join("10-net.conflist"), made.original())?;
        Ok(made)
    }

    /// The configuration as whoever installed the network wrote it.
    pub fn original(&self) -> String {
        let data = self.dir.join("ipam");
        format!(
            "{{ \"cniVersion\": \"1.0.0\", \"name\": \"net\",\n  \"plugins\": [ {{ \"type\": \"ptp\", \"ipam\": {{ \"type\": \"host-local\", \
             \"dataDir\": {:?}, \"ranges\": [[{{ \"subnet\": \"10.99.0.0/24\" }}]],\n \"routes\": [{{ \"dst\": \"0.0.0.0/0\" }}] }} }} ]\n}}\n",
            data.display().to_string()
        )
    }

    /// Folder of plugins, before Debian's.
    pub fn bin_dir(&self) -> PathBuf {
        self.dir.join("bin")
    }

    /// Folder of configurations.
    pub fn conf_dir(&self) -> PathBuf {
        self.dir.join("net.d")
    }

    /// A file of the runtime's node below its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Makes a sandbox for a pod.
    pub fn sandbox(&self, namespace: &str, pod: &str) -> Result<Sandbox> {
        static COUNTER: AtomicU32 = AtomicU32::new(1);
        let container = format!("sandbox{}", COUNTER.fetch_add(1, Ordering::Relaxed));
        let netns = Netns::create(&format!("{}-{container}", self.id))?;
        Ok(Sandbox { netns, namespace: namespace.to_owned(), pod: pod.to_owned(), container })
    }

    /// Calls the plugins with `ADD`; the inner error is a plugin's.
    pub fn add(&self, sandbox: &Sandbox) -> Result<Result<Value, Refusal>> {
        let list = self.list()?;
        let mut result = None;
        for plugin in plugins(&list) {
            match self.call("ADD", sandbox, &list, plugin, result.as_ref())? {
                Ok(text) => result = Some(serde_json::from_str(&text).with_context(|| format!("{plugin}: {text:?}"))?),
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
        Ok(Ok(result.context("the configuration has no plugins")?))
    }

    /// Calls the plugins with `DEL`, the last one first.
    pub fn delete(&self, sandbox: &Sandbox) -> Result<Result<(), Refusal>> {
        let list = self.list()?;
        for plugin in plugins(&list).iter().rev() {
            if let Err(refusal) = self.call("DEL", sandbox, &list, plugin, None)? {
                return Ok(Err(refusal));
            }
        }
        Ok(Ok(()))
    }

    /// Calls the last plugin with another command.
    pub fn call_last(&self, command: &str, sandbox: &Sandbox) -> Result<Result<String, Refusal>> {
        let list = self.list()?;
        self.call(command, sandbox, &list, plugins(&list).last().context("no plugins")?, None)
    }

    /// The first configuration by name.
    fn list(&self) -> Result<Value> {
        let entries = fs::read_dir(self.conf_dir())?.flatten().map(|entry| entry.path());
        let lists = entries.filter(|path| path.extension().is_some_and(|extension| extension == "conflist"));
        let first = lists.min().context("no network configuration")?;
        serde_json::from_slice(&fs::read(&first)?).with_context(|| format!("reading {}", first.display()))
    }

    fn call(
        &self,
        command: &str,
        sandbox: &Sandbox,
        list: &Value,
        plugin: &Value,
        result: Option<&Value>,
    ) -> Result<Result<String, Refusal>> {
        let kind = plugin["type"].as_str().context("a plugin without type")?;
        let mut input = plugin.clone();
        input["cniVersion"] = list["cniVersion"].clone();
        input["name"] = list["name"].clone();
        if let Some(result) = result {
            input["prevResult"] = result.clone();
        }
        let file = self.dir.join(format!("input-{}", sandbox.container));
        fs::write(&file, input.to_string())?;
        let folders = [self.bin_dir(), DEBIAN_PLUGINS.into()];
        let found = folders.iter().map(|folder| folder.join(kind)).find(|path| path.exists());
        let found = found.with_context(|| format!("no plugin {kind}"))?;
        let Sandbox { namespace, pod, container, netns } = sandbox;
        let args = [
            "-i".to_owned(),
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
            format!("CNI_COMMAND={command}"),
            format!("CNI_CONTAINERID={container}"),
            format!("CNI_NETNS=/var/run/netns/{}", netns.name()),
            "CNI_IFNAME=eth0".to_owned(),
            format!("CNI_PATH={}:{DEBIAN_PLUGINS}", self.bin_dir().display()),
            format!(
                "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE={namespace};K8S_POD_NAME={pod};\
                 K8S_POD_INFRA_CONTAINER_ID={container};K8S_POD_UID=uid-of-{pod}"
            ),
            "sh".to_owned(),
            "-c".to_owned(),
            "exec \"$0\" <\"$1\"".to_owned(),
            found.display().to_string(),
            file.display().to_string(),
        ];
        let started = Instant::now();
        let output = self.node.exec("env", &args.each_ref().map(String::as_str))?;
        if output.code() == 0 {
            return Ok(Ok(output.stdout));
        }
        let error: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|_| json!({}));
        Ok(Err(Refusal {
            plugin: kind.to_owned(),
            code: error["code"].as_u64().unwrap_or_default(),
            message: error["msg"].as_str().map_or(output.stdout + &output.stderr, str::to_owned),
            elapsed: started.elapsed(),
        }))
    }
}

fn plugins(list: &Value) -> &[Value] {
    list["plugins"].as_array().map(Vec::as_slice).unwrap_or_default()
}
