//! What makes a process the kubelet.

use super::*;

fn named(comm: &str, cmdline: &[&str], name: &str) -> bool {
    is_named(comm, &cmdline.join("\0"), &[name.to_owned()])
}

#[test]
fn kubelets_are_known_by_name() {
    assert!(named("kubelet\n", &["/usr/bin/kubelet", "--config=x"], "kubelet"));
    assert!(named("hyperkube\n", &["/hyperkube", "kubelet", "--config=x"], "kubelet"));
    assert!(named("k3s-server\n", &["/usr/local/bin/k3s server"], "k3s-server"));
    assert!(!named("kube-proxy\n", &["/usr/bin/kube-proxy", "--config=kubelet"], "kubelet"));
    assert!(!named("less\n", &["less", "kubelet"], "kubelet"));
    assert!(!named("", &[], "kubelet"));
}

#[test]
fn only_roots_processes_outside_of_pods_count() {
    assert!(is_root("Name:\tkubelet\nUid:\t0\t0\t0\t0\n"));
    assert!(!is_root("Uid:\t0\t1000\t0\t0\n") && !is_root("Uid:\t1000\t0\t0\t0\n") && !is_root(""));
    assert!(is_outside_of_pods("0::/system.slice/kubelet.service\n"));
    assert!(!is_outside_of_pods("3:cpu:/\n0::/kubepods/burstable/pod1/c\n"));
    assert!(!is_outside_of_pods("0::/kubepods.slice/kubepods-pod1.slice/cri-1.scope\n"));
    assert!(!is_outside_of_pods(""), "what cannot be read proves nothing");
}

#[test]
fn a_process_is_itself_as_long_as_it_began_then() {
    let own = std::process::id();
    let began = start_time(own).unwrap();
    assert!(began > 0 && start_time(own) == Some(began));
    if !nix::unistd::geteuid().is_root() {
        // Namespaces are for root to look into.
        return;
    }
    let host = Netns::open("/proc/self/ns/net").unwrap();
    let name = fs::read_to_string("/proc/self/comm").unwrap().trim().to_owned();
    assert_eq!(find(&[name], &host).get(&own).copied(), Some(began));
    assert!(find(&["no process has that name".to_owned()], &host).is_empty());
}
