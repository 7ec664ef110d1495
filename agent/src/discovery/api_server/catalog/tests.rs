use serde_json::json;

use super::*;

fn groups(items: serde_json::Value) -> APIGroupDiscoveryList {
    serde_json::from_value(json!({ "items": items })).unwrap()
}

fn version(version: &str, kinds: &[(&str, &str)]) -> serde_json::Value {
    let verbs = ["get", "list", "watch"];
    let resource =
        |(kind, plural): &(&str, &str)| json!({ "resource": plural, "responseKind": { "kind": kind }, "verbs": verbs });
    json!({ "version": version, "resources": kinds.iter().map(resource).collect::<Vec<_>>() })
}

#[test]
fn the_preferred_version_that_weft_reads_is_chosen() {
    let served = served(&groups(json!([
        { "metadata": { "name": "networking.istio.io" }, "versions": [
            version("v2", &[("VirtualService", "virtualservices")]),
            version("v1beta1", &[("VirtualService", "virtualservices"), ("Sidecar", "sidecars")]),
            version("v1alpha3", &[("VirtualService", "virtualservices"), ("EnvoyFilter", "envoyfilters")]),
        ] },
        { "metadata": { "name": "apps" }, "versions": [version("v1", &[("Deployment", "deployments")])] },
        { "metadata": { "name": "discovery.k8s.io" }, "versions": [version("v1", &[("EndpointSlice", "endpointslices")])] },
    ])));
    let told: Vec<_> =
        served.iter().map(|one| format!("{} {} {:?}", one.api_version(), one.plural, one.purpose)).collect();
    assert_eq!(
        told,
        [
            "networking.istio.io/v1beta1 virtualservices Acted(VirtualService)",
            "networking.istio.io/v1beta1 sidecars Warned",
            "networking.istio.io/v1alpha3 envoyfilters Warned",
        ]
    );
}

#[test]
fn kinds_to_warn_about_are_bounded_and_do_not_crowd_out_the_others() {
    let kinds: Vec<(String, String)> = (0..200).map(|n| (format!("Kind{n}"), format!("kind{n}s"))).collect();
    let kinds: Vec<(&str, &str)> = kinds.iter().map(|(kind, plural)| (&**kind, &**plural)).collect();
    let served = served(&groups(json!([
        { "metadata": { "name": "extensions.istio.io" }, "versions": [version("v1", &kinds)] },
        { "metadata": { "name": "security.istio.io" },
          "versions": [version("v1", &[("AuthorizationPolicy", "authorizationpolicies")])] },
    ])));
    assert_eq!(served.len(), MAX_WARNED + 1);
    assert_eq!(&*served[MAX_WARNED].kind, "AuthorizationPolicy");
}

#[test]
fn requests_ask_for_no_more_than_is_used() {
    let path = |kind: &str| {
        let all = core();
        let resource = all.iter().find(|one| &*one.kind == kind).unwrap();
        let request = resource.watch(Some("7"), 200).unwrap();
        let accept = request.headers().get("accept").map(|value| value.to_str().unwrap().to_owned());
        (request.uri().to_string(), accept)
    };
    let (pods, accept) = path("Pod");
    assert!(pods.starts_with("/api/v1/pods?"), "{pods}");
    assert!(pods.contains("fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed"), "{pods}");
    assert!(pods.contains("allowWatchBookmarks=true") && pods.ends_with("resourceVersion=7"), "{pods}");
    assert_eq!(accept, None);
    let (nodes, accept) = path("Node");
    assert!(nodes.starts_with("/api/v1/nodes?"));
    assert!(accept.unwrap().contains("as=PartialObjectMetadata"), "of nodes only labels are used");
    let (mesh, _) = path("ConfigMap");
    assert!(mesh.starts_with("/api/v1/namespaces/istio-system/configmaps?"), "{mesh}");
    assert!(mesh.contains("fieldSelector=metadata.name%3Distio"), "{mesh}");
    assert!(path("EndpointSlice").0.starts_with("/apis/discovery.k8s.io/v1/endpointslices?"));
}

#[test]
fn the_rights_are_those_of_all_requests() {
    let own = core().into_iter().map(|one| (one.group, one.plural.to_string()));
    let plural = |id: &Id| format!("{}s", id.kind.to_lowercase()).replace("ys", "ies");
    let mesh = wanted().into_iter().map(|id| (id.group.clone(), plural(&id)));
    for (group, plural) in own.chain(mesh) {
        let granted = RIGHTS
            .iter()
            .any(|(of, plurals)| **of == *group && (plurals.contains(&&*plural) || plurals.contains(&"*")));
        assert!(granted, "{group} {plural}");
    }
}

#[test]
fn the_manifest_grants_the_rights() {
    let text = include_str!("../../../../../deploy/kustomize/agent.yaml");
    let manifests = crate::discovery::document::split(text);
    let manifests = manifests.iter().map(|one| serde_yaml_ng::from_str::<serde_json::Value>(one.text).unwrap());
    let rules: Vec<serde_json::Value> =
        manifests.filter_map(|one| one["rules"].as_array().cloned()).flatten().collect();
    let holds = |rule: &serde_json::Value, list: &str, what: &str| {
        rule[list].as_array().is_some_and(|all| all.iter().any(|one| one == what))
    };
    for (group, plurals) in RIGHTS {
        for (plural, verb) in plurals.iter().flat_map(|plural| ["get", "list", "watch"].map(|verb| (plural, verb))) {
            let grants = |rule: &serde_json::Value| {
                holds(rule, "apiGroups", group) && holds(rule, "resources", plural) && holds(rule, "verbs", verb)
            };
            assert!(rules.iter().any(grants), "{verb} {plural} of {group:?}");
        }
    }
}
