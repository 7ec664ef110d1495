use crate::discovery::tests::{Read, read};

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: { name: web }\nspec:\n  clusterIP: 10.96.0.9\n  \
    ports: [{ name: http, port: 80 }, { name: admin, port: 81 }]\n---\n";

/// A slice of `web` with ports as name and number.
fn slice(name: &str, ports: &str, endpoints: &str) -> String {
    format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\n\
         metadata: {{ name: {name}, labels: {{ kubernetes.io/service-name: web }} }}\n\
         ports: [{ports}]\nendpoints: [{endpoints}]\n---\n"
    )
}

fn endpoint(ip: &str, conditions: &str) -> String {
    format!("{{ addresses: [{ip}], conditions: {{ {conditions} }} }}")
}

fn web(slices: &[String]) -> Read {
    let read = read(&[("a.yaml", &format!("{SERVICE}{}", slices.concat()))]);
    assert_eq!((&read.errors, &read.warnings), (&vec![], &vec![]));
    read
}

const HTTP: &str = "{ name: http, port: 8080 }";
const LEAVING: &str = "ready: false, serving: true, terminating: true";

#[test]
fn endpoints_that_end_are_used_when_nobody_else_is_ready() {
    let leaving = endpoint("10.0.0.1", LEAVING);
    let gone = endpoint("10.0.0.2", "ready: false, serving: false, terminating: true");
    let starting = endpoint("10.0.0.3", "ready: false, serving: false, terminating: false");
    let none_ready = slice("a", HTTP, &[&*leaving, &gone, &starting].join(", "));
    assert_eq!(web(std::slice::from_ref(&none_ready)).endpoints("web", 80), ["10.0.0.1:8080"]);
    let ready = slice("b", HTTP, &endpoint("10.0.0.4", "ready: true"));
    assert_eq!(web(&[none_ready, ready]).endpoints("web", 80), ["10.0.0.4:8080"], "in whichever slice it is");
}

#[test]
fn they_are_used_for_those_ports_only_that_nobody_serves() {
    let leaving = slice("a", &format!("{HTTP}, {{ name: admin, port: 9090 }}"), &endpoint("10.0.0.1", LEAVING));
    let ready = slice("b", HTTP, &endpoint("10.0.0.4", "ready: true"));
    let read = web(&[leaving, ready]);
    let ports: Vec<_> = read.service("web").endpoints.iter().map(|one| (one.ready, one.ports.clone())).collect();
    assert_eq!(ports, [(true, [(81, 9090)].into()), (true, [(80, 8080)].into())]);
}

#[test]
fn what_conditions_leave_out_is_as_the_api_says() {
    let plain = web(&[slice("a", HTTP, "{ addresses: [10.0.0.1] }")]);
    assert_eq!(plain.endpoints("web", 80), ["10.0.0.1:8080"], "ready");
    let leaving = web(&[slice("a", HTTP, &endpoint("10.0.0.1", "ready: false, terminating: true"))]);
    assert_eq!(leaving.endpoints("web", 80), ["10.0.0.1:8080"], "serving");
    let published = web(&[slice("a", HTTP, &endpoint("10.0.0.1", "ready: true, terminating: true"))]);
    assert_eq!(published.endpoints("web", 80), ["10.0.0.1:8080"], "publishNotReadyAddresses makes all ready");
}

#[test]
fn ports_of_other_protocols_and_names_are_not_the_services() {
    let ports = "{ name: http, port: 5353, protocol: UDP }, { name: other, port: 8081 }, { name: admin, port: 9090 }";
    let read = web(&[slice("a", ports, "{ addresses: [10.0.0.1] }")]);
    assert_eq!(read.service("web").endpoints[0].ports, [(81, 9090)].into());
}
