use kube::CustomResourceExt;

use super::*;

#[test]
fn the_istio_types_are_in_the_shape_of_crds() {
    let crds = [
        virtual_service::VirtualService::crd(),
        destination_rule::DestinationRule::crd(),
        peer_authentication::PeerAuthentication::crd(),
        authorization_policy::AuthorizationPolicy::crd(),
    ];
    let short: Vec<_> = crds.iter().flat_map(|crd| crd.spec.names.short_names.clone().unwrap()).collect();
    assert_eq!(short, ["vs", "dr", "pa", "ap"]);
    let schema = serde_json::to_value(&crds[0].spec.versions[0].schema).unwrap();
    let spec = &schema["openAPIV3Schema"]["properties"]["spec"]["properties"];
    let http = &spec["http"]["items"]["properties"];
    assert_eq!(http["fault"]["properties"]["delay"]["properties"]["percent"]["type"], "integer", "{http:#}");
    assert_eq!(spec["tls"]["items"]["properties"]["match"]["items"]["properties"]["sni_hosts"]["type"], "array");
    let schema = serde_json::to_value(&crds[1].spec.versions[0].schema).unwrap();
    let policy = &schema["openAPIV3Schema"]["properties"]["spec"]["properties"]["trafficPolicy"]["properties"];
    assert_eq!(policy["outlierDetection"]["properties"]["consecutiveErrors"]["type"], "integer");
    assert!(policy["outlierDetection"]["properties"]["consecutive5xxErrors"].is_object());
}

#[test]
fn durations_are_read_as_istio_writes_them() {
    use std::time::Duration;
    let read = |text: &str| common::Span::try_from(text.to_owned()).map(|span| span.0);
    assert_eq!(read("850ms"), Ok(Duration::from_millis(850)));
    assert_eq!(read("0.5s"), Ok(Duration::from_millis(500)));
    assert_eq!(read("1h30m"), Ok(Duration::from_secs(5400)));
    assert_eq!(read("0s"), Ok(Duration::ZERO));
    for wrong in ["", "5", "s", "1.2.3s", "-1s", "5 s", "1d", "1e400s"] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}
