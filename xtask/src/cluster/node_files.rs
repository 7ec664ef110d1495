//! What a node's daemons are told: configuration files and command lines.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::layout::{DNS_SERVICE, Family, Node};
use super::node_init::Daemon;
use super::pki;
use crate::image::base;

/// The CNI plugins that pods' networks are made of, from Debian's package.
const PLUGINS: [&str; 4] = ["loopback", "ptp", "host-local", "portmap"];

/// Where Debian's package puts them.
const PLUGINS_FOLDER: &str = "/usr/lib/cni";

/// Where containerd listens.
const CONTAINERD: &str = "/run/containerd/containerd.sock";

/// Writes all files; called inside the node, where `/etc` is its own.
pub fn write(node: Node<'_>) -> Result<()> {
    put("/etc/cni/net.d/10-pods.conflist", &cni(node))?;
    put("/etc/containerd/config.toml", &containerd())?;
    put("/etc/containerd/certs.d/_default/hosts.toml", &mirror(node))?;
    put("/run/kubelet.json", &kubelet(node))?;
    // Pods with the node's own DNS find no server: there is none.
    put("/run/resolv.conf", "")?;
    for plugin in PLUGINS {
        let (source, target) = (Path::new(PLUGINS_FOLDER).join(plugin), Path::new("/opt/cni/bin").join(plugin));
        fs::create_dir_all("/opt/cni/bin").context("cannot make /opt/cni/bin")?;
        if !target.exists() {
            fs::copy(&source, &target).with_context(|| format!("cannot copy {} to the node", source.display()))?;
        }
    }
    Ok(())
}

/// In the order in which they are started.
pub fn daemons(node: Node<'_>) -> [Daemon; 3] {
    let kube = node.cluster.kube().to_string_lossy().into_owned();
    let kubeconfig = |user: &str| format!("--kubeconfig={}", pki::kubeconfig(node.cluster, user).display());
    let (name, number) = (node.name(), node.number);
    let labels = format!("topology.kubernetes.io/region=region-1,topology.kubernetes.io/zone=zone-{number}");
    let kubelet = vec![
        kube.clone(),
        "kubelet".to_owned(),
        "--config=/run/kubelet.json".to_owned(),
        kubeconfig(&name),
        format!("--node-ip={}", Family::list(node.cluster, |family| family.node(node).to_string())),
        format!("--hostname-override={name}"),
        format!("--node-labels={labels}"),
    ];
    let proxy = vec![
        kube,
        "kube-proxy".to_owned(),
        kubeconfig(pki::KUBE_PROXY),
        format!("--hostname-override={name}"),
        format!("--cluster-cidr={}", Family::list(node.cluster, |family| family.pods(node.cluster))),
        "--proxy-mode=iptables".to_owned(),
        // The connection table's limits are the machine's, not the node's.
        "--conntrack-max-per-core=0".to_owned(),
        "--conntrack-tcp-timeout-established=0".to_owned(),
        "--conntrack-tcp-timeout-close-wait=0".to_owned(),
    ];
    [
        Daemon { name: "containerd", command: vec!["containerd".to_owned()], after: None },
        Daemon { name: "kubelet", command: kubelet, after: Some(CONTAINERD) },
        Daemon { name: "kube-proxy", command: proxy, after: None },
    ]
}

/// A point-to-point cable for each pod rather than a bridge: all pod traffic, also inside a node, crosses the node's
/// forward hook, where NetworkPolicies are enforced.
fn cni(node: Node<'_>) -> String {
    let families = Family::of(node.cluster);
    let ranges: Vec<_> = families.iter().map(|family| json!([{"subnet": family.pods_of(node)}])).collect();
    let routes: Vec<_> = families.iter().map(|family| json!({"dst": family.everything()})).collect();
    json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {"type": "ptp", "ipMasq": false, "ipam": {
                "type": "host-local", "dataDir": "/run/cni-addresses",
                "ranges": ranges, "routes": routes}},
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
    .to_string()
}

fn containerd() -> String {
    format!(
        r#"version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{}"
  # Without CAP_SYS_RESOURCE nobody may lower it.
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "/etc/containerd/certs.d"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
"#,
        base::PAUSE
    )
}

/// The cluster's registry answers for every other: manifests keep the images' original names.
fn mirror(node: Node<'_>) -> String {
    format!("[host.\"http://{}\"]\n  capabilities = [\"pull\", \"resolve\"]\n", node.cluster.registry())
}

fn kubelet(node: Node<'_>) -> String {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": node.cluster.pki("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": false,
        "failSwapOn": false,
        "clusterDNS": [DNS_SERVICE],
        "clusterDomain": "cluster.local",
        "resolvConf": "/run/resolv.conf",
        "containerRuntimeEndpoint": format!("unix://{CONTAINERD}"),
        // The disk is the whole machine's: how full it is must evict nobody.
        "evictionHard": {
            "memory.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%"},
        "imageGCHighThresholdPercent": 100,
        "serializeImagePulls": false,
        "localStorageCapacityIsolation": false,
        // Names by digest are put into the node from outside: it must not insist on having pulled them itself.
        "imagePullCredentialsVerificationPolicy": "NeverVerify",
        "makeIPTablesUtilChains": true,
    })
    .to_string()
}

fn put(path: &str, text: &str) -> Result<()> {
    if let Some(folder) = Path::new(path).parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {path}"))
}
