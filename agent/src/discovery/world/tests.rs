use weft_model::{
    service::{AppProtocol, Resolution},
    workload::Enrolment,
};

use crate::discovery::convert::protocol::protocol;
use crate::discovery::tests::{FakeAddresses, Read, read, read_with};

fn pod(name: &str, ip: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{ name: {name}, labels: {{ app: web }} }}\n\
         spec: {{ containers: [{{ name: c, ports: [{{ name: web, containerPort: 8080 }}] }}] }}\n\
         status: {{ podIP: {ip}{more} }}\n---\n"
    )
}

fn service(spec: &str) -> String {
    format!("apiVersion: v1\nkind: Service\nmetadata: {{ name: web }}\nspec: {{ {spec} }}\n---\n")
}

const PORTS: &str = "clusterIP: 10.96.0.9, ports: [{ name: http, port: 80, targetPort: web }]";
const SELECTOR: &str = "selector: { app: web }";

fn read_text(text: &str) -> Read {
    let read = read(&[("a.yaml", text)]);
    assert_eq!(read.errors, [] as [&str; 0]);
    read
}

#[test]
fn endpoints_are_the_ready_pods_with_their_named_ports() {
    let not_ready = ", conditions: [{ type: Ready, status: 'False' }]";
    let other_port = pod("c", "10.0.0.3", "").replace("8080", "9090");
    let pods = [pod("a", "10.0.0.1", ""), pod("b", "10.0.0.2", not_ready), other_port].concat();
    let world = read_text(&format!("{pods}{}", service(&format!("{PORTS}, {SELECTOR}"))));
    assert_eq!(world.endpoints("web", 80), ["10.0.0.1:8080", "10.0.0.3:9090"]);
    let all = &world.service("web").endpoints;
    assert_eq!(all.len(), 3, "one that is not ready is known all the same");
    assert_eq!(&*all[0].workload.as_ref().unwrap().pod.name, "a");

    let publish = service(&format!("{PORTS}, {SELECTOR}, publishNotReadyAddresses: true"));
    assert_eq!(read_text(&format!("{pods}{publish}")).endpoints("web", 80).len(), 3);
    let no_such_port = service(&format!("{}, {SELECTOR}", PORTS.replace("targetPort: web", "targetPort: nope")));
    let world = read_text(&format!("{pods}{no_such_port}"));
    assert!(world.service("web").endpoints.iter().all(|one| one.ports.is_empty()));
    let other_labels = service(&format!("{PORTS}, selector: {{ app: web, tier: x }}"));
    assert_eq!(read_text(&format!("{pods}{other_labels}")).service("web").endpoints, []);
    assert_eq!(read_text(&format!("{pods}{}", service(PORTS))).service("web").endpoints, [], "no selector");
}

#[test]
fn endpoint_slices_win_over_pods_and_are_merged() {
    let slice = |name: &str, port: u16, endpoints: &str| {
        format!(
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\n\
             metadata: {{ name: {name}, labels: {{ kubernetes.io/service-name: web }} }}\n\
             ports: [{{ name: http, port: {port} }}]\nendpoints: {endpoints}\n---\n"
        )
    };
    let text = [
        pod("a", "10.0.0.1", ""),
        pod("b", "10.0.0.2", ""),
        service(&format!("{PORTS}, {SELECTOR}")),
        slice("web-1", 8080, "[{ addresses: [10.0.0.1], targetRef: { kind: Pod, name: a } }]"),
        slice(
            "web-2",
            9000,
            "[{ addresses: [10.0.0.5] }, { addresses: [10.0.0.6], conditions: { ready: false } }, \
              { addresses: [10.0.0.7], conditions: { ready: false, serving: true, terminating: true } }]",
        ),
    ];
    let world = read_text(&text.concat());
    assert_eq!(world.endpoints("web", 80), ["10.0.0.1:8080", "10.0.0.5:9000"], "pod b is in no slice");
    let endpoints = &world.service("web").endpoints;
    assert_eq!(endpoints.len(), 4);
    assert_eq!(&*endpoints[0].workload.as_ref().unwrap().pod.name, "a");
    assert!(endpoints[1].workload.is_none());
    let foreign = text.concat().replace("kubernetes.io/service-name: web", "kubernetes.io/service-name: other");
    assert_eq!(read_text(&foreign).endpoints("web", 80), ["10.0.0.1:8080", "10.0.0.2:8080"]);
}

#[test]
fn services_resolve_in_their_three_ways() {
    let kind = |spec: &str| read_text(&service(spec)).service("web").resolution.clone();
    assert_eq!(kind(PORTS), Resolution::ClusterIp);
    assert_eq!(kind("clusterIP: None, ports: [{ port: 80 }]"), Resolution::Headless);
    let external = kind("type: ExternalName, externalName: example.com");
    assert_eq!(external, Resolution::ExternalName("example.com".into()));

    let dual = "clusterIP: 10.96.0.9, clusterIPs: [10.96.0.9, 'fd00::9'], ports: [{ port: 80 }, ";
    let dual = format!("{dual} {{ port: 53, name: dns, protocol: UDP }}], {SELECTOR}")
        .replace("{ port: 80 }", "{ port: 80, name: a }");
    let both = pod("a", "10.0.0.1", ", podIPs: [{ ip: 10.0.0.1 }, { ip: 'fd00::1' }]");
    let world = read_text(&format!("{both}{}", service(&dual)));
    assert_eq!(world.service("web").vips.len(), 2);
    assert_eq!(world.service("web").ports.len(), 1, "UDP is not the mesh's");
    assert_eq!(world.endpoints("web", 80), ["10.0.0.1:80", "fd00::1:80"]);
    let single = service(&format!("{PORTS}, {SELECTOR}"));
    assert_eq!(read_text(&format!("{both}{single}")).endpoints("web", 80), ["10.0.0.1:8080"]);
}

#[test]
fn a_service_without_address_gets_one_that_follows_from_its_name() {
    let free = service(&format!("ports: [{{ port: 80 }}], {SELECTOR}"));
    let world = read_text(&free);
    assert_eq!(world.warnings, [""; 0]);
    let given = world.service("web").vips.clone();
    assert_eq!(given.len(), 1, "{given:?}");
    let other = free.replace("name: web", "name: another");
    assert_eq!(read_text(&format!("{other}---\n{free}")).service("web").vips, given, "others change nothing");
    let squatter = other.replace("ports:", &format!("clusterIP: {}, ports:", given[0]));
    let second = read_text(&format!("{squatter}---\n{free}")).service("web").vips.clone();
    assert!(second.len() == 1 && second != given, "a written address stays with its owner: {second:?}");
}

#[test]
fn protocols_are_declared_by_field_then_name_then_number() {
    use AppProtocol::{Grpc, Http, Http2, ServerFirst, Tcp, Tls, Undeclared};
    let table = [
        (Some("http"), Some("tcp"), 80, Http),
        (Some("kubernetes.io/h2c"), None, 80, Http2),
        (Some("grpc-web"), None, 80, Grpc),
        (Some("kubernetes.io/wss"), None, 80, Tls),
        (Some("unheard-of"), Some("http"), 80, Undeclared),
        (None, Some("http-metrics"), 80, Http),
        (None, Some("HTTP2"), 80, Http2),
        (None, Some("https"), 443, Tls),
        (None, Some("httpx"), 80, Undeclared),
        (None, Some("redis"), 6379, Tcp),
        (None, Some("mysql"), 1, ServerFirst),
        (None, Some("tcp-mail"), 25, ServerFirst),
        (None, Some("api"), 5000, Undeclared),
        (None, None, 3306, ServerFirst),
        (None, None, 27017, Tcp),
        (None, None, 80, Undeclared),
    ];
    for (app, name, number, expected) in table {
        assert_eq!(protocol(app, name, number), expected, "{app:?} {name:?} {number}");
    }
}

const DEPLOYMENT: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: web, namespace: shop }\nspec:\n  \
    selector: { matchLabels: { app: web } }\n  template:\n    metadata: { labels: { app: web }, ANNOTATIONS }\n    \
    spec: { containers: [] }\n";

#[test]
fn a_deployment_has_a_pod_per_namespace_and_scales() {
    let annotated = DEPLOYMENT.replace("ANNOTATIONS", "annotations: { weft.dev/netns: 'a, b@n2', weft.dev/node: n3 }");
    let addresses = FakeAddresses([("a", "10.0.0.1"), ("b", "10.0.0.2")].into());
    let names = |text: &str| -> Vec<String> {
        let read = read_with(&[("a.yaml", text)], &addresses);
        let tell = |one: &std::sync::Arc<weft_model::workload::Workload>| {
            format!("{}@{} {} {:?}", one.pod, one.node, one.canonical.workload, one.addresses)
        };
        read.world.workloads.iter().map(tell).collect()
    };
    let first = "shop/web-0@n3 web [10.0.0.1]";
    assert_eq!(names(&annotated), [first, "shop/web-1@n2 web [10.0.0.2]"]);
    assert_eq!(names(&annotated.replace("spec:\n  sel", "spec:\n  replicas: 1\n  sel")), [first]);
    assert_eq!(names(&annotated.replace("spec:\n  sel", "spec:\n  replicas: 0\n  sel")), [] as [&str; 0]);
}

#[test]
fn a_deployment_without_pods_is_warned_about_unless_its_pods_are_there() {
    let bare = DEPLOYMENT.replace("ANNOTATIONS", "");
    let warnings = read(&[("a.yaml", &bare)]).warnings;
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].starts_with("a.yaml:1: Deployment shop/web: has fewer network namespaces"), "{warnings:?}");
    let dump = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web-5d4f-x\n  namespace: shop\n  \
        labels: { app: web, pod-template-hash: 5d4f }\n  \
        ownerReferences: [{ apiVersion: apps/v1, kind: ReplicaSet, name: web-5d4f, uid: u, controller: true }]\n\
        status: { podIP: 10.0.0.1 }\n";
    let dumped = read(&[("a.yaml", &bare), ("b.yaml", dump)]);
    assert_eq!(dumped.warnings, [] as [&str; 0]);
    assert_eq!(&*dumped.pod("shop", "web-5d4f-x").canonical.workload, "web");
}

#[test]
fn a_namespace_that_cannot_be_asked_is_a_warning_and_a_pod_without_address() {
    let annotated = DEPLOYMENT.replace("ANNOTATIONS", "annotations: { weft.dev/netns: missing }");
    let read = read(&[("a.yaml", &annotated)]);
    assert_eq!(read.pod("shop", "web-0").addresses, [] as [std::net::IpAddr; 0]);
    let said = "a.yaml:1: Deployment shop/web: addresses of pod shop/web-0 in network namespace missing: entity not \
                found; create the namespace and its interface; it is looked for again";
    assert_eq!(read.warnings, [said]);
}

#[test]
fn capture_annotations_arrive() {
    let annotations = "traffic.sidecar.istio.io/excludeInboundPorts: '22, 9090', \
        traffic.sidecar.istio.io/excludeOutboundPorts: '3306', \
        traffic.sidecar.istio.io/excludeOutboundIPRanges: 169.254.169.254, \
        traffic.sidecar.istio.io/includeOutboundIPRanges: '10.0.0.0/8,fd00::/8', \
        traffic.sidecar.istio.io/includeInboundPorts: '*', weft.dev/netns: a@n2";
    let text = |annotations: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{ name: a, annotations: {{ {annotations} }} }}\nstatus: {{ podIP: 10.0.0.1 }}\n"
        )
    };
    let read_pod = read_text(&text(annotations));
    assert_eq!(read_pod.warnings, [] as [&str; 0]);
    let capture = &read_pod.pod("default", "a").capture;
    assert_eq!(capture.exclude_inbound_ports, [22, 9090]);
    assert_eq!(capture.exclude_outbound_ports, [3306]);
    assert_eq!(capture.exclude_outbound_nets, ["169.254.169.254/32".parse().unwrap()]);
    assert_eq!(capture.include_outbound_nets.len(), 2);
    assert_eq!((capture.netns.as_deref(), &*read_pod.pod("default", "a").node), (Some("a"), "n2"));

    let none = read_text(&text("traffic.sidecar.istio.io/includeOutboundIPRanges: ''"));
    let nets: Vec<_> = none.pod("default", "a").capture.exclude_outbound_nets.iter().map(ToString::to_string).collect();
    assert_eq!(nets, ["0.0.0.0/0", "::/0"], "an empty list captures nothing");
    let wrong = read(&[("a.yaml", &text("traffic.sidecar.istio.io/excludeInboundPorts: '80,http'"))]);
    let said = "a.yaml:3: Pod default/a: metadata.annotations[\"traffic.sidecar.istio.io/excludeInboundPorts\"]: \
                \"http\" is no port; write a comma list of ports from 1 to 65535; it does not act until then";
    assert_eq!(wrong.errors, [said]);
}

#[test]
fn pods_with_one_address_are_warned_about_and_ended_ones_are_not_there() {
    let world = read_text(&[pod("a", "10.0.0.1", ""), pod("b", "10.0.0.1", "")].concat());
    assert_eq!(world.warnings.len(), 1);
    assert!(
        world.warnings[0].contains("default/a and default/b have the same address 10.0.0.1"),
        "{:?}",
        world.warnings
    );
    let world = read_text(&[pod("a", "10.0.0.1", ", phase: Succeeded"), pod("b", "10.0.0.1", "")].concat());
    assert_eq!(world.warnings, [] as [&str; 0], "its address belongs to another by now");
    assert_eq!(world.world.workloads.len(), 1);
    assert!(matches!(world.pod("default", "b").enrolment, Enrolment::NotEnrolled(_)));
}

#[test]
fn the_mesh_is_configured_by_the_config_map() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: istio, namespace: istio-system }\ndata:\n  mesh: |-\n    \
        accessLogFile: \"\"\n    trustDomain: td.example\n    trustDomainAliases: [old.example]\n    \
        rootNamespace: root\n    enableAutoMtls: false\n    outboundTrafficPolicy:\n      mode: REGISTRY_ONLY\n    \
        defaultConfig:\n      tracing: {}\n";
    let world = read_text(&[&pod("a", "10.0.0.1", ""), text].concat());
    let mesh = &world.world.mesh;
    assert_eq!(mesh.outbound, weft_model::mesh::OutboundPolicy::RegistryOnly);
    assert_eq!((&*mesh.trust_domain, &*mesh.root_namespace), ("td.example", "root"));
    assert_eq!((mesh.access_log, mesh.auto_mtls, mesh.prometheus_merge), (false, false, true));
    assert_eq!(&*world.pod("default", "a").identity.trust_domain, "td.example");
    let said = "a.yaml:19: ConfigMap istio-system/istio: data.mesh.defaultConfig: is accepted and not enforced yet";
    assert_eq!(world.warnings, [said]);
}
