//! Which images there are: their names as manifests write them, what they are made of, what they run.
//!
//! The names are those of the exercises and their tools. Behind them are this tree's own programs and Debian's; each
//! behaves like the original as far as the exercises use it.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::layer::Layer;
use super::oci::Config;
use super::{cached, debian, nginx, programs};

/// An image and everything it is called.
#[derive(Clone, Debug)]
pub struct Image {
    /// With registry and tag.
    pub names: Vec<String>,
    /// Names by digest that manifests use: no image of ours can have that digest, so nodes are told the name instead.
    pub digests: Vec<&'static str>,
    /// Lowest first.
    pub layers: Vec<Layer>,
    /// What it runs.
    pub config: Config,
    /// Where it is written to.
    pub folder: PathBuf,
}

impl Image {
    /// The image with these names, written to a folder of its own below `parent`.
    pub fn new(parent: &Path, names: &[&str], layers: &[&Layer], config: Config) -> Self {
        Self {
            names: names.iter().map(|&name| name.to_owned()).collect(),
            digests: Vec::new(),
            layers: layers.iter().map(|&layer| layer.clone()).collect(),
            config,
            // No two images have the same first name.
            folder: parent.join(names.first().unwrap_or(&"unnamed").replace(['/', ':'], "_")),
        }
    }

    /// The digest under which registries and nodes know it, once it is written.
    pub fn manifest_digest(&self) -> Result<String> {
        let index = self.folder.join("index.json");
        let text = fs::read(&index).with_context(|| format!("cannot read {}", index.display()))?;
        let index: serde_json::Value = serde_json::from_slice(&text).context("an index of an image is no JSON")?;
        let digest = index["manifests"][0]["digest"].as_str().context("an index of an image names no digest")?;
        Ok(digest.to_owned())
    }
}

/// The tools that people expect where they debug: K14, K16 and K07 use curl, tcpdump and bash.
const TOOLS: [&str; 20] = [
    "bash",
    "bind9-dnsutils",
    "busybox",
    "ca-certificates",
    "coreutils",
    "curl",
    "dash",
    "findutils",
    "grep",
    "hostname",
    "iproute2",
    "iputils-ping",
    "jq",
    "netcat-openbsd",
    "nginx-light",
    "openssl",
    "procps",
    "sed",
    "tcpdump",
    "wget",
];

/// The sentences application of the exercises (their manifests name it by digest, too).
const SENTENCES: [&str; 4] = [
    "docker.io/michaelvl/sentences:latest",
    "docker.io/michaelvl/sentences:v1",
    "ghcr.io/michaelvl/istio-katas:latest",
    "ghcr.io/michaelvl/istio-katas:v1",
];

/// The digests in the exercises' manifests, now and before.
const SENTENCES_DIGESTS: [&str; 2] = [
    "ghcr.io/michaelvl/istio-katas@sha256:9ec280c27e4cfc88cef63866a35652e1e6238b3cbbbf4a46246343392310a31f",
    "ghcr.io/michaelvl/istio-katas@sha256:430d3a01a502c2b13af2619ad41f2247e6e46282e1c100db4f27c917b2867555",
];

/// The training edition's, whose sentences end with a full stop.
const SENTENCES_WITH_FULL_STOP: [&str; 2] =
    ["docker.io/praqma/istio-sentences:v1", "docker.io/praqma/istio-sentences:latest"];

const MULTITOOL: [&str; 3] = [
    "docker.io/praqma/network-multitool:latest",
    "docker.io/wbitt/network-multitool:latest",
    "ghcr.io/eficode-academy/network-multitool:latest",
];

/// Counts up when something else than the list makes another layer.
const EDITION: u32 = 2;

/// Changes with the list, so that a new list gets a new layer.
fn key(packages: &[&str]) -> String {
    let mut hasher = DefaultHasher::new();
    (packages, EDITION).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// The image of weft itself.
pub fn weft(built: &Path, weft: &Path) -> Result<Image> {
    let layer = programs::alone(&built.join("layer-weft"), weft, "weft")?;
    let names = [env!("CARGO_PKG_VERSION"), "latest"].map(|tag| format!("ghcr.io/weft-mesh/weft:{tag}"));
    let config = Config { entrypoint: vec!["/usr/local/bin/weft"], ..Config::default() };
    Ok(Image::new(built, &names.each_ref().map(String::as_str), &[&layer], config))
}

/// The applications of the exercises, and the tools that they use.
pub fn applications(built: &Path, demo_app: &Path) -> Result<Vec<Image>> {
    let tools = cached(&format!("debian-{}", key(&TOOLS)), |root, scratch| debian::unpack(&TOOLS, root, scratch))?;
    let nginx = Layer::pack(&built.join("layer-nginx"), nginx::fill)?;
    let app = programs::on_base(&built.join("layer-demo-app"), demo_app, "demo-app")?;
    let sentences = Config { entrypoint: vec!["/usr/local/bin/demo-app", "sentences"], ..Config::default() };
    let full_stop = Config { environment: vec!["SENTENCE_FULL_STOP=true"], ..sentences.clone() };
    let httpbin = |port| Config {
        entrypoint: vec!["/usr/local/bin/demo-app", "httpbin-lite"],
        environment: vec![port],
        ..Config::default()
    };
    let image = |names: &[&str], layers: &[&Layer], config| Image::new(built, names, layers, config);
    let command = |command: &[&'static str]| Config { command: command.to_vec(), ..Config::default() };
    let entrypoint = |entrypoint: &[&'static str]| Config { entrypoint: entrypoint.to_vec(), ..Config::default() };
    Ok(vec![
        Image { digests: SENTENCES_DIGESTS.to_vec(), ..image(&SENTENCES, &[&tools, &app], sentences) },
        image(&SENTENCES_WITH_FULL_STOP, &[&tools, &app], full_stop),
        image(&["docker.io/kennethreitz/httpbin:latest"], &[&tools, &app], httpbin("PORT=80")),
        image(&["docker.io/mccutchen/go-httpbin:latest"], &[&tools, &app], httpbin("PORT=8080")),
        image(&["ghcr.io/weft-mesh/demo-app:latest"], &[&tools, &app], entrypoint(&["/usr/local/bin/demo-app"])),
        image(&["docker.io/library/nginx:latest"], &[&tools, &nginx], command(&["nginx", "-g", "daemon off;"])),
        image(&MULTITOOL, &[&tools, &nginx], command(&["/usr/local/bin/multitool"])),
        image(&["docker.io/library/busybox:latest"], &[&tools, &nginx], command(&["sh"])),
        image(&["docker.io/library/debian:stable-slim"], &[&tools], command(&["bash"])),
        image(&["docker.io/curlimages/curl:latest"], &[&tools], entrypoint(&["curl"])),
    ])
}
