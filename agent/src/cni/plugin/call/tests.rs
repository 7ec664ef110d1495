use std::net::IpAddr;

use super::{Call, Command, Settings};

const INPUT: &str = r#"{"cniVersion":"1.0.0","name":"net","type":"weft-cni","socket":"/run/weft/cni.sock",
    "state":"/var/lib/weft/cni-state.json","agentNamespace":"istio-system",
    "prevResult":{"cniVersion":"1.0.0","ips":[{"address":"10.244.1.5/24","interface":2},{"address":"fd00::5/64"},{"address":"?"}]}}"#;

fn call(arguments: &str) -> Call {
    let variable = |name: &str| match name {
        "CNI_CONTAINERID" => Some("c1".to_owned()),
        "CNI_NETNS" => Some("/var/run/netns/cni-1".to_owned()),
        "CNI_ARGS" => Some(arguments.to_owned()),
        _ => None,
    };
    Call::of(&variable).unwrap()
}

#[test]
fn a_kubelets_pod_is_read_from_the_arguments() {
    let settings = Settings::read(INPUT.as_bytes()).unwrap();
    let call =
        call("IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=a-1;K8S_POD_INFRA_CONTAINER_ID=c1;K8S_POD_UID=u1");
    let sandbox = call.sandbox(&settings).unwrap();
    assert_eq!((&*sandbox.namespace, &*sandbox.name, &*sandbox.uid), ("default", "a-1", "u1"));
    assert_eq!((&*sandbox.container, sandbox.netns.to_str()), ("c1", Some("/var/run/netns/cni-1")));
    assert_eq!(sandbox.addresses, ["10.244.1.5".parse::<IpAddr>().unwrap(), "fd00::5".parse().unwrap()]);
}

#[test]
fn a_container_that_is_nobodys_pod_is_told_from_one() {
    let settings = Settings::read(INPUT.as_bytes()).unwrap();
    for arguments in ["", "IgnoreUnknown=1", "K8S_POD_NAMESPACE=default;K8S_POD_NAME=", "nonsense;;=x"] {
        assert_eq!(call(arguments).sandbox(&settings), None, "{arguments}");
    }
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let none = |_: &str| None;
    assert!(Command::of(&none).unwrap_err().to_string().contains("container runtimes call it"));
    assert!(Command::of(&|_: &str| Some("add".to_owned())).unwrap_err().to_string().contains("\"add\""));
    assert!(Call::of(&none).unwrap_err().to_string().contains("CNI_CONTAINERID"));
    assert!(Settings::read(b"{").unwrap_err().to_string().contains("standard input cannot be read"));
    let relative = INPUT.replace("/run/weft/cni.sock", "cni.sock");
    assert!(Settings::read(relative.as_bytes()).unwrap_err().to_string().contains("\"socket\""));
    assert!(Settings::read(b"{}").unwrap_err().to_string().contains("no absolute path"));
}
