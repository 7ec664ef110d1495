use weft_model::workload::Named;

use super::*;

fn convert_text(spec: &str) -> (VirtualService, Findings) {
    let meta = Meta { name: Named::new("shop", "r"), created: 0, annotations: Default::default() };
    let mut findings = Findings::default();
    let spec = serde_yaml_ng::from_str(spec).unwrap();
    (convert(&meta, &spec, "cluster.local", &mut findings), findings)
}

#[test]
fn hosts_are_resolved_by_the_namespace_of_the_rule() {
    let cases = [
        ("name", "name.shop.svc.cluster.local"),
        ("Name", "name.shop.svc.cluster.local"),
        ("name.other.svc", "name.other.svc.cluster.local"),
        ("name.other.svc.cluster.local", "name.other.svc.cluster.local"),
        ("name.other", "name.other"),
        ("httpbin.org", "httpbin.org"),
        ("10.0.0.1", "10.0.0.1"),
        ("*", "*"),
        ("*.example.com", "*.example.com"),
    ];
    for (written, expected) in cases {
        assert_eq!(&*host::fully_qualified(written, "shop", "cluster.local"), expected);
    }
    let known: host::KnownServices = [("name".into(), "other".into())].into();
    let resolved = |host| host::qualified_by_registry(host, &known, "cluster.local");
    assert_eq!(resolved("name.other").as_deref(), Some("name.other.svc.cluster.local"));
    assert_eq!((resolved("httpbin.org"), resolved("name.other.svc"), resolved("name")), (None, None, None));
}

#[test]
fn gateways_and_visibility_are_resolved() {
    let route = "http: [{route: [{destination: {host: a}}], match: [{gateways: [mesh, egress]}]}]";
    let (rule, _) = convert_text(&format!("{{hosts: [a], gateways: [mesh, gw, ./gw2, b/gw3], {route}}}"));
    let names: Vec<_> = rule.gateways.iter().map(|one| &**one).collect();
    assert_eq!(names, ["mesh", "shop/gw", "shop/gw2", "b/gw3"]);
    let names: Vec<_> = rule.http[0].matches[0].gateways.iter().map(|one| &**one).collect();
    assert_eq!(names, ["mesh", "shop/egress"]);
    let exported = |list: &str| convert_text(&format!("{{hosts: [a], exportTo: {list}, {route}}}")).0.export_to;
    assert_eq!(exported("[]"), Visibility::Everywhere);
    assert_eq!(exported("['.', '*']"), Visibility::Everywhere);
    assert_eq!(exported("['.', b]"), Visibility::Namespaces(vec!["shop".into(), "b".into()]));
    assert_eq!(exported("['~']"), Visibility::Namespaces(vec![]));
}

#[test]
fn a_tcp_match_that_cannot_be_checked_narrows_and_never_widens() {
    let tcp = |matches: &str| {
        let (rule, findings) = convert_text(&format!(
            "{{hosts: [a], tcp: [{{match: {matches}, route: [{{destination: {{host: a}}}}]}}]}}"
        ));
        assert_eq!(findings.errors, []);
        (rule.tcp.iter().map(|one| one.ports.clone()).collect::<Vec<_>>(), findings.warnings.len())
    };
    assert_eq!(tcp("null"), (vec![vec![]], 0));
    assert_eq!(tcp("[{port: 80}, {port: 81}]"), (vec![vec![80, 81]], 0));
    assert_eq!(tcp("[{port: 80}, {}]"), (vec![vec![]], 0), "an empty block matches everything");
    assert_eq!(tcp("[{port: 80, sourceLabels: {a: b}}, {port: 81}]"), (vec![vec![81]], 1));
    assert_eq!(tcp("[{port: 80, sourceLabels: {a: b}}]"), (vec![], 1), "nothing is left of the route");
}

#[test]
fn weights_that_are_all_zero_are_refused() {
    let route = "{destination: {host: a}, weight: 0}";
    let (_, findings) = convert_text(&format!("{{hosts: [a], http: [{{route: [{route}, {route}]}}]}}"));
    assert_eq!(findings.errors[0].path.to_string(), "spec.http[0].route");
    let (_, findings) = convert_text(&format!("{{hosts: [a], http: [{{route: [{route}]}}]}}"));
    assert_eq!(findings.errors, [], "alone, the weight says nothing");
}

use weft_model::route::Visibility;
