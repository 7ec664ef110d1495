//! The texts, from recorded answers.

use serde_json::json;

use super::{pod, service};

fn rules() -> serde_json::Value {
    json!({"host": "name.default.svc.cluster.local",
        "routes": [{"host": "name", "matches": "header x-test exact \"use-v2\"", "to": "name subset v2",
            "from": "VirtualService default/name http[0]"}],
        "destination_rule": "default/name", "tls": "auto", "load_balancer": "ROUND_ROBIN",
        "subsets": [{"name": "v2", "labels": ["version=v2"], "ready": 1}]})
}

#[test]
fn a_pods_description_reads_from_who_it_is_to_what_is_wrong() {
    let it = serde_json::from_value(json!({
        "status": {"namespace": "default", "name": "name-v1", "enrolled": true, "not_enrolled_because": null,
            "capture": {"state": "proven", "seconds_ago": 12.0}, "identity": "spiffe://cluster.local/ns/default/sa/name",
            "certificate": {"expires_in_seconds": 3600.0, "failures": 0, "last_error": null}},
        "node": "node-a", "addresses": ["10.1.0.2"], "ready": true,
        "ports": [{"number": 5000, "protocol": "HTTP, by declaration", "mtls": "STRICT", "services": ["default/name"]},
            {"number": null, "protocol": "not declared; the first bytes tell", "mtls": "PERMISSIVE", "services": []}],
        "peer_authentications": ["default/name"],
        "authorization_policies": [{"name": "default/only", "action": "ALLOW", "rules": 1, "dry_run": false}],
        "services": [rules()],
        "problems": [{"severity": "warning", "file": "", "line": null, "object": "DestinationRule default/name",
            "field": null, "message": "is not enforced yet", "next_step": ""}],
    }));
    assert_eq!(
        pod(&it.unwrap()),
        "\
Pod default/name-v1
  node       node-a, 10.1.0.2, ready
  identity   spiffe://cluster.local/ns/default/sa/name
  enrolled   yes
  capture    proven 12s ago
  cert ends  1h0m

WHAT ARRIVES
  PORT     MTLS         SERVICES       PROTOCOL
  5000     STRICT       default/name   HTTP, by declaration
  others   PERMISSIVE   -              not declared; the first bytes tell
  PeerAuthentication default/name
  AuthorizationPolicy default/only ALLOW (1 rule)

Service name.default.svc.cluster.local
  route      VirtualService default/name http[0]: header x-test exact \"use-v2\" -> name subset v2
  policy     DestinationRule default/name: TLS auto, ROUND_ROBIN
  subset     v2 (version=v2): 1 ready

PROBLEMS
warning: DestinationRule default/name: is not enforced yet
"
    );
}

#[test]
fn a_services_description_lists_its_endpoints() {
    let it = serde_json::from_value(json!({
        "rules": rules(), "resolution": "cluster IP", "addresses": ["10.96.0.10"],
        "ports": ["5000 http -> 5000: HTTP, by declaration"],
        "endpoints": [{"address": "10.1.0.2", "pod": "default/name-v1", "node": "node-a", "ready": true, "in_mesh": true,
            "mtls": ["STRICT"], "authorization_policies": ["default/only"]}],
        "problems": [],
    }));
    let text = service(&it.unwrap());
    assert!(
        text.ends_with(
            "\
  name       cluster IP 10.96.0.10
  port       5000 http -> 5000: HTTP, by declaration

ENDPOINTS
  ADDRESS    READY   MESH   MTLS     POD               POLICIES
  10.1.0.2   yes     yes    STRICT   default/name-v1   default/only
"
        ),
        "{text}"
    );
}
