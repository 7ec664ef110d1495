//! The cluster's image registry: Debian's docker-registry, plain HTTP on the bridge.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::layout::Layout;
use super::process;
use crate::paths;
use crate::run::Cmd;

/// Which part of the cluster it is.
pub const PART: &str = "registry";

/// How long it may take to listen.
const READY_TIMEOUT: Duration = Duration::from_secs(20);

/// Starts it if it does not run, and waits until it listens.
pub fn provide(layout: &Layout) -> Result<()> {
    let config = layout.path("registry.yaml");
    let text = serde_json::json!({
        "version": 0.1,
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": layout.path("registry")}, "delete": {"enabled": true}},
        "http": {"addr": layout.registry()},
    });
    fs::write(&config, text.to_string()).with_context(|| format!("cannot write {}", config.display()))?;
    if !process::is_running(layout, PART)? {
        let program = paths::find_program("docker-registry").context("there is no docker-registry(1)")?;
        let args = ["serve".to_owned(), config.to_string_lossy().into_owned()];
        process::start(layout, PART, &program, &args, &layout.log(PART))?;
    }
    let address = SocketAddr::from((layout.gateway(), 5000));
    let started = Instant::now();
    while TcpStream::connect(address).is_err() {
        if started.elapsed() > READY_TIMEOUT {
            bail!("no registry listens on {address}; {} may say why", layout.log(PART).display());
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Pushes the image layout `image` under its original name, such as `docker.io/library/nginx:latest`.
pub fn push(layout: &Layout, image: &Path, name: &str) -> Result<()> {
    // A mirror is asked for the path alone; which registry the name belongs to does not matter to it.
    let path = name.split_once('/').map_or(name, |(_host, path)| path);
    // What was pushed last; the registry's own folder is beside it and comes and goes with it.
    let record = layout.path("pushed").join(path.replace(['/', ':'], "_"));
    let index =
        fs::read_to_string(image.join("index.json")).with_context(|| format!("no image in {}", image.display()))?;
    if fs::read_to_string(&record).is_ok_and(|pushed| pushed == index) {
        return Ok(());
    }
    Cmd::new("skopeo")
        .args(["copy", "--quiet", "--dest-tls-verify=false"])
        .args([format!("oci:{}", image.display()), format!("docker://{}/{path}", layout.registry())])
        .read()?;
    fs::create_dir_all(layout.path("pushed")).context("cannot make a folder of the cluster")?;
    fs::write(&record, index).with_context(|| format!("cannot write {}", record.display()))
}
