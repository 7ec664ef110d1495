//! What answers: one nginx for each server pod.

use std::fs;

use anyhow::{Context as _, Result};
use weft_testbed::{Cluster, Program};

use crate::system::{BODY_BYTES, BODY_WORD};

/// Declared as HTTP to the mesh.
pub const HTTP_PORT: u16 = 80;
/// The same nginx, declared as TCP.
pub const TCP_PORT: u16 = 81;
/// Which server has answered, where there are several.
pub const SERVER_HEADER: &str = "x-server";

/// The program of a server pod; `dir` names its folder within the cluster's. With a `mark` its answers say so.
///
/// One worker with nginx's defaults, except that it keeps connections for as long as the load likes and logs nothing. The body is
/// a file: an answer from the configuration itself would cost half as much, and no real server is that cheap.
pub fn program(cluster: &Cluster, dir: &str, mark: Option<&str>) -> Result<Program> {
    let dir = cluster.dir().join(format!("nginx-{dir}"));
    fs::create_dir_all(dir.join("html")).with_context(|| format!("making {}", dir.display()))?;
    let body = BODY_WORD.repeat(BODY_BYTES / BODY_WORD.len());
    fs::write(dir.join("html/index.html"), body).with_context(|| format!("writing into {}", dir.display()))?;
    let place = dir.display();
    let temp =
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {place}/{kind};"));
    let mark = mark.map(|mark| format!("add_header {SERVER_HEADER} {mark};")).unwrap_or_default();
    let text = format!(
        "user root; daemon off; master_process off; error_log stderr; pid {place}/pid; worker_rlimit_nofile 65536;\n\
         events {{ worker_connections 16384; }}\n\
         http {{ access_log off; {} keepalive_requests 1000000000; server_tokens off; default_type text/plain; {mark}\n\
         server {{ listen {HTTP_PORT}; listen {TCP_PORT}; root {place}/html; }} }}\n",
        temp.join(" ")
    );
    let path = dir.join("nginx.conf");
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    let line = ["nginx", "-e", "stderr", "-c", &path.display().to_string()].map(str::to_owned).to_vec();
    Ok(Program::Command { line, port: Some(HTTP_PORT) })
}
