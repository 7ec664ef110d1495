use std::process::Command;

use super::*;

/// A network namespace that is removed again, whatever happens.
struct Namespace(String);

impl Namespace {
    fn new() -> Self {
        let namespace = Self(format!("weft-addr-{}", std::process::id()));
        namespace.ip(&["netns", "add", &namespace.0]);
        namespace
    }

    fn ip(&self, arguments: &[&str]) {
        assert!(Command::new("ip").args(arguments).status().unwrap().success(), "ip {arguments:?}");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.0]).status();
    }
}

#[test]
fn a_namespace_that_does_not_exist_is_an_error() {
    let error = Kernel.addresses("weft-no-such-namespace").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert_eq!(path("a"), PathBuf::from("/run/netns/a"));
    assert_eq!(path("/proc/1/ns/net"), PathBuf::from("/proc/1/ns/net"));
}

#[test]
fn link_local_and_loopback_addresses_are_no_pod_addresses() {
    for (ip, expected) in
        [("10.0.0.1", true), ("fd00::1", true), ("169.254.1.1", false), ("fe80::1", false), ("::1", false)]
    {
        assert_eq!(is_global(ip.parse().unwrap()), expected, "{ip}");
    }
}

#[test]
fn the_kernel_tells_the_addresses_inside_a_namespace() {
    let has_ip = Command::new("ip").arg("-V").output().is_ok_and(|output| output.status.success());
    if !nix::unistd::geteuid().is_root() || !has_ip {
        eprintln!("skipped: needs root and the ip command");
        return;
    }
    let namespace = Namespace::new();
    let inside = |arguments: &[&str]| namespace.ip(&[&["-n", namespace.0.as_str()], arguments].concat());
    assert_eq!(Kernel.addresses(&namespace.0).unwrap(), [] as [IpAddr; 0]);
    inside(&["link", "set", "lo", "up"]);
    inside(&["link", "add", "eth0", "type", "veth", "peer", "name", "eth1"]);
    inside(&["link", "set", "eth0", "up"]);
    inside(&["address", "add", "10.244.9.7/24", "dev", "eth0"]);
    inside(&["address", "add", "fd00:9::7/64", "dev", "eth0", "nodad"]);
    let expected: Vec<IpAddr> = vec!["10.244.9.7".parse().unwrap(), "fd00:9::7".parse().unwrap()];
    assert_eq!(Kernel.addresses(&namespace.0).unwrap(), expected);
}
