//! The four views as tables.

use serde_json::json;

use super::{View, narrow, render};
use crate::admin::config::PodConfig;

fn config() -> PodConfig {
    let route = |host: &str, from: &str| json!({"host": host, "matches": "everything", "to": format!("{host} subset v1"), "from": from});
    let cluster = |host: &str| {
        json!({"host": host, "port": 5000, "subset": "", "protocol": "HTTP, by declaration", "tls": "auto",
            "load_balancer": "ROUND_ROBIN", "destination_rule": "", "ready": 1, "endpoints": 2})
    };
    let name = "name.default.svc.cluster.local";
    serde_json::from_value(json!({
        "pod": "default/a", "node": "node-a", "snapshot_version": 1,
        "listeners": [{"direction": "inbound", "port": "5000", "protocol": "HTTP, by declaration", "mtls": "STRICT",
            "what": "Service default/a"}],
        "routes": [route(name, "VirtualService default/name http[0]"), route("age.default.svc.cluster.local", "")],
        "clusters": [cluster(name), cluster("age.default.svc.cluster.local")],
        "endpoints": [{"cluster": format!("{name}:5000"), "subsets": ["v1"], "address": "10.1.0.2:5000",
            "pod": "default/name-v1", "node": "node-a", "ready": true, "in_mesh": false}],
    }))
    .unwrap()
}

#[test]
fn all_views_come_under_their_names_and_one_alone() {
    let text = render(&config(), None, false);
    assert_eq!(
        text,
        "\
default/a (node node-a)

LISTENERS
DIRECTION   PORT   MTLS     WHAT                PROTOCOL
inbound     5000   STRICT   Service default/a   HTTP, by declaration

ROUTES
HOST           MATCH        TO                       FROM
name.default   everything   name.default subset v1   VirtualService default/name http[0]
age.default    everything   age.default subset v1    -

CLUSTERS
HOST           PORT   SUBSET   READY   TLS    DESTINATIONRULE
name.default   5000   -        1/2     auto   -
age.default    5000   -        1/2     auto   -

ENDPOINTS
CLUSTER             ADDRESS         READY   MESH   POD
name.default:5000   10.1.0.2:5000   yes     no     default/name-v1
"
    );
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    let mut config = config();
    narrow(&mut config, "age");
    assert_eq!(
        render(&config, Some(View::Clusters), true),
        "\
HOST                            PORT   SUBSET   READY   TLS    DESTINATIONRULE   LOAD BALANCER   PROTOCOL
age.default.svc.cluster.local   5000   -        1/2     auto   -                 ROUND_ROBIN     HTTP, by declaration
"
    );
    assert!(config.endpoints.is_empty());
}
