//! Where options go.

use serde_json::json;

use super::{Options, without_tag};

#[test]
fn options_change_our_containers_and_nobody_elses() {
    let options = Options {
        image: Some("registry:5000/weft:dev".to_owned()),
        image_pull_policy: Some("Always".to_owned()),
        log_level: Some("debug".to_owned()),
        control_replicas: Some(3),
        cni_conf_dir: Some("/conf".to_owned()),
        cni_bin_dir: None,
    };
    let mut object = json!({"kind": "Deployment", "spec": {"replicas": 2, "template": {"spec": {
        "initContainers": [{"image": "ghcr.io/weft-mesh/weft:old"}],
        "containers": [
            {"image": "ghcr.io/weft-mesh/weft", "env": [{"name": "WEFT_LOG_LEVEL", "value": "info"}],
                "volumeMounts": [{"name": "cni-conf", "mountPath": "/etc/cni/net.d"}]},
            {"image": "ghcr.io/weft-mesh/weft-demo", "imagePullPolicy": "Never"},
        ],
        "volumes": [
            {"name": "cni-conf", "hostPath": {"path": "/etc/cni/net.d"}},
            {"name": "cni-bin", "hostPath": {"path": "/opt/cni/bin"}},
        ],
    }}}});
    options.apply(&mut object);
    let env = json!([{"name": "WEFT_LOG_LEVEL", "value": "debug"}]);
    assert_eq!(
        object,
        json!({"kind": "Deployment", "spec": {"replicas": 3, "template": {"spec": {
            "initContainers": [{"image": "registry:5000/weft:dev", "imagePullPolicy": "Always", "env": env}],
            "containers": [
                {"image": "registry:5000/weft:dev", "imagePullPolicy": "Always",
                    "env": [env[0], {"name": "WEFT_CNI_CONF_DIR", "value": "/conf"}],
                    "volumeMounts": [{"name": "cni-conf", "mountPath": "/conf"}]},
                {"image": "ghcr.io/weft-mesh/weft-demo", "imagePullPolicy": "Never"},
            ],
            "volumes": [
                {"name": "cni-conf", "hostPath": {"path": "/conf"}},
                {"name": "cni-bin", "hostPath": {"path": "/opt/cni/bin"}},
            ],
        }}}})
    );
}

#[test]
fn without_options_only_the_version_is_filled_in() {
    let pod =
        |image: &str| json!({"kind": "DaemonSet", "spec": {"template": {"spec": {"containers": [{"image": image}]}}}});
    let mut object = pod("ghcr.io/weft-mesh/weft");
    Options::default().apply(&mut object);
    assert_eq!(object, pod(concat!("ghcr.io/weft-mesh/weft:", env!("CARGO_PKG_VERSION"))));
    let mut role = json!({"kind": "ClusterRole", "rules": []});
    Options::default().apply(&mut role);
    assert_eq!(role, json!({"kind": "ClusterRole", "rules": []}));
}

#[test]
fn a_registrys_port_is_no_tag() {
    for (image, name) in [
        ("a/b", "a/b"),
        ("a/b:1", "a/b"),
        ("r:5000/b", "r:5000/b"),
        ("r:5000/b:1", "r:5000/b"),
        ("a/b@sha256:12", "a/b"),
    ] {
        assert_eq!(without_tag(image), name);
    }
}
