//! Which packages are asked for, and that nothing of the service guard stays behind.

use super::*;

fn packages(purpose: Purpose, present: &[&str]) -> Vec<&'static str> {
    missing(purpose, |command| present.contains(&command)).into_iter().map(|(_, package)| package).collect()
}

#[test]
fn building_needs_no_package() {
    assert!(packages(Purpose::Build, &[]).is_empty());
}

#[test]
fn only_what_is_missing_is_installed() {
    let present = ["/usr/lib/cni/ptp", "ip", "nft", "curl", "openssl", "wrk"];
    assert_eq!(packages(Purpose::Test, &present), ["nginx-light", "tcpdump"]);
    assert!(packages(Purpose::Test, &NODE.map(|(command, _)| command)).is_empty());
}

#[test]
fn only_the_benchmark_needs_what_measures() {
    let node = NODE.map(|(command, _)| command);
    assert!(packages(Purpose::Demo, &node).is_empty());
    assert_eq!(packages(Purpose::Bench, &node), ["iperf3"]);
}

#[test]
fn a_package_without_commands_is_known_by_a_file() {
    let needs = NODE.iter().chain(&CLUSTER).map(|(command, _)| *command);
    let present: Vec<&str> = needs.filter(|command| !command.starts_with('/')).collect();
    assert_eq!(packages(Purpose::Cluster, &present), ["containernetworking-plugins"]);
}

fn policy_path(test: &str) -> PathBuf {
    std::env::temp_dir().join(format!("weft-policy-{test}-{}", std::process::id()))
}

#[test]
fn the_guard_denies_while_it_lives_and_leaves_nothing() {
    let path = policy_path("fresh");
    let guard = NoServices::begin(&path).unwrap();
    let denied = Cmd::new(&path).args(["nginx", "start"]).read().unwrap_err().to_string();
    drop(guard);
    assert!(denied.contains("101"), "{denied}");
    assert!(!path.exists());
}

#[test]
fn a_policy_of_the_machine_stays() {
    let path = policy_path("own");
    fs::write(&path, "#!/bin/sh\nexit 0\n").unwrap();
    drop(NoServices::begin(&path).unwrap());
    let left = fs::read_to_string(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(left, "#!/bin/sh\nexit 0\n");
}

#[test]
fn a_leftover_of_an_interrupted_set_up_goes() {
    let path = policy_path("leftover");
    fs::write(&path, DENY_ALL).unwrap();
    drop(NoServices::begin(&path).unwrap());
    assert!(!path.exists());
}
