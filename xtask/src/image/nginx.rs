//! The layer that makes a web server of Debian's nginx: its configuration, and how the multitool starts it.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use anyhow::{Context as _, Result};

/// Both images read this; sites are below `conf.d`, as in the official image.
const CONFIG: &str = "\
user www-data;
worker_processes 1;
pid /run/nginx.pid;
error_log /dev/stderr notice;
events { worker_connections 1024; }
http {
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    access_log /dev/stdout;
    keepalive_timeout 65;
    include /etc/nginx/conf.d/*.conf;
}
";

/// The official image's default: the page \"Welcome to nginx!\".
const SITE: &str = "server { listen 80; listen [::]:80; root /usr/share/nginx/html; index index.html; }\n";

/// The multitool answers with its own name and address, by which the exercises tell its pods apart.
const MULTITOOL: &str = r#"#!/bin/sh
# Starts nginx as the network-multitool does: one line about who answers, on port HTTP_PORT (80).
echo "WBITT Network MultiTool (with NGINX) - $(hostname) - $(hostname -I | cut -d' ' -f1) - HTTP: ${HTTP_PORT:-80}" \
    >/usr/share/nginx/html/index.html
echo "server { listen ${HTTP_PORT:-80}; listen [::]:${HTTP_PORT:-80}; root /usr/share/nginx/html; index index.html; }" >/etc/nginx/conf.d/default.conf
exec nginx -g 'daemon off;'
"#;

/// Puts the files into the layer's root.
pub fn fill(root: &Path) -> Result<()> {
    put(root, "etc/nginx/nginx.conf", CONFIG)?;
    put(root, "etc/nginx/conf.d/default.conf", SITE)?;
    put(root, "usr/local/bin/multitool", MULTITOOL)?;
    let multitool = root.join("usr/local/bin/multitool");
    fs::set_permissions(&multitool, fs::Permissions::from_mode(0o755))
        .context("cannot make the multitool executable")?;
    // Debian's page has its own name; the exercises look for "Welcome to nginx!" under the usual one.
    let page = root.join("usr/share/nginx/html");
    fs::create_dir_all(&page).with_context(|| format!("cannot make {}", page.display()))?;
    let nginx_modules = root.join("etc/nginx/modules-enabled");
    fs::create_dir_all(&nginx_modules).with_context(|| format!("cannot make {}", nginx_modules.display()))?;
    let logs = root.join("var/log/nginx");
    fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
    for (name, device) in [("access.log", "/dev/stdout"), ("error.log", "/dev/stderr")] {
        symlink(device, logs.join(name)).context("cannot make a log's link")?;
    }
    Ok(())
}

fn put(root: &Path, file: &str, text: &str) -> Result<()> {
    let path = root.join(file);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}
