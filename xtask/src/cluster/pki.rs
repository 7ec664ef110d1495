//! The cluster's certificates and the kubeconfigs that carry them, made by openssl(1).
//!
//! One authority signs everything: the API server's certificate, and one client certificate for each user that the
//! API server tells apart. What exists is kept, so that a cluster keeps its authority as long as its folder.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::layout::{API_SERVICE, Layout};
use crate::run::Cmd;

/// Longer than anybody keeps a test cluster.
const DAYS: &str = "3650";

/// A user of the API server: the files' name and the subject that the API server reads.
struct User {
    name: String,
    subject: String,
}

/// Makes what is missing.
pub fn provide(layout: &Layout) -> Result<()> {
    let folder = layout.path("pki");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    authority(layout)?;
    service_account_keys(layout)?;
    certificate(layout, "apiserver", "/CN=kube-apiserver", "serverAuth", &names_of_api_server(layout))?;
    for user in users(layout) {
        certificate(layout, &user.name, &user.subject, "clientAuth", "")?;
        write_kubeconfig(layout, &user.name)?;
    }
    Ok(())
}

/// The kubeconfig of one of the cluster's own users, such as `kube-scheduler` or `node-1`.
pub fn kubeconfig(layout: &Layout, user: &str) -> std::path::PathBuf {
    layout.pki(&format!("{user}.conf"))
}

/// The name by which kube-proxy, the same on every node, is known.
pub const KUBE_PROXY: &str = "kube-proxy";

/// The user who may do everything.
pub const ADMIN: &str = "admin";

fn users(layout: &Layout) -> Vec<User> {
    let user = |name: &str, subject: &str| User { name: name.to_owned(), subject: subject.to_owned() };
    let mut users = vec![
        user(ADMIN, "/O=system:masters/CN=admin"),
        user("kube-controller-manager", "/CN=system:kube-controller-manager"),
        user("kube-scheduler", "/CN=system:kube-scheduler"),
        user(KUBE_PROXY, "/CN=system:kube-proxy"),
    ];
    let nodes = layout.all_nodes().map(|node| node.name());
    users.extend(nodes.map(|name| user(&name, &format!("/O=system:nodes/CN=system:node:{name}"))));
    users
}

fn names_of_api_server(layout: &Layout) -> String {
    let names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"];
    let names = names.map(|name| format!("DNS:{name}")).join(",");
    format!("{names},IP:{API_SERVICE},IP:{},IP:127.0.0.1", layout.gateway())
}

fn authority(layout: &Layout) -> Result<()> {
    made(&layout.pki("ca.crt"), |file| {
        openssl(&["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", DAYS])
            .args(["-subj", &format!("/CN=weft cluster {}", layout.name)])
            .args(["-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"])
            .args(["-keyout".as_ref(), layout.pki("ca.key").as_os_str(), "-out".as_ref(), file.as_os_str()])
            .read()
    })
}

/// RSA, because the tokens' most widely understood signature is RS256.
fn service_account_keys(layout: &Layout) -> Result<()> {
    let key = layout.pki("service-accounts.key");
    made(&key, |file| openssl(&["genrsa", "-out"]).args([file, "2048".as_ref()]).read())?;
    made(&layout.pki("service-accounts.pub"), |file| {
        openssl(&["rsa", "-pubout", "-in"]).args([key.as_os_str(), "-out".as_ref(), file.as_os_str()]).read()
    })
}

fn certificate(layout: &Layout, name: &str, subject: &str, usage: &str, alternatives: &str) -> Result<()> {
    let file = |suffix: &str| layout.pki(&format!("{name}.{suffix}"));
    made(&file("crt"), |certificate| {
        openssl(&["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", subject])
            .args(["-keyout".as_ref(), file("key").as_os_str(), "-out".as_ref(), file("csr").as_os_str()])
            .read()?;
        let names = if alternatives.is_empty() { String::new() } else { format!("subjectAltName={alternatives}\n") };
        let extensions = format!("keyUsage=digitalSignature,keyEncipherment\nextendedKeyUsage={usage}\n{names}");
        fs::write(file("ext"), extensions).with_context(|| format!("cannot write {}", file("ext").display()))?;
        let signed = openssl(&["x509", "-req", "-days", DAYS, "-in"])
            .args([file("csr").as_os_str(), "-extfile".as_ref(), file("ext").as_os_str()])
            .args(["-CA".as_ref(), layout.pki("ca.crt").as_os_str()])
            .args(["-CAkey".as_ref(), layout.pki("ca.key").as_os_str()])
            .args(["-CAcreateserial".as_ref(), "-out".as_ref(), certificate.as_os_str()])
            .read()?;
        for scratch in ["csr", "ext"] {
            fs::remove_file(file(scratch)).with_context(|| format!("cannot remove {}", file(scratch).display()))?;
        }
        Ok(signed)
    })
}

fn openssl(args: &[&str]) -> Cmd {
    Cmd::new("openssl").args(args)
}

/// Runs `make` where `file` is missing. It writes beside and is then moved, so that an interrupted one counts as missing.
fn made(file: &Path, make: impl FnOnce(&Path) -> Result<String>) -> Result<()> {
    if file.exists() {
        return Ok(());
    }
    let unfinished = file.with_extension("unfinished");
    make(&unfinished)?;
    fs::rename(&unfinished, file).with_context(|| format!("cannot move {} to its place", unfinished.display()))
}

fn write_kubeconfig(layout: &Layout, user: &str) -> Result<()> {
    // JSON is YAML: every reader of kubeconfigs takes it.
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": layout.name,
        "clusters": [{"name": layout.name, "cluster": {
            "server": layout.api_server(), "certificate-authority": layout.pki("ca.crt")}}],
        "users": [{"name": user, "user": {
            "client-certificate": layout.pki(&format!("{user}.crt")), "client-key": layout.pki(&format!("{user}.key"))}}],
        "contexts": [{"name": layout.name, "context": {"cluster": layout.name, "user": user}}],
    });
    let file = kubeconfig(layout, user);
    fs::write(&file, config.to_string()).with_context(|| format!("cannot write {}", file.display()))
}
