//! The exercises' application on the testbed alone, un-enrolled: manifests as published, requests through the node port.

use std::io::{BufRead, BufReader, Write};
use std::time::Duration;

use anyhow::Result;
use weft_testbed::{Cluster, Program};

fn manifest(mode: &str, service_type: &str) -> String {
    let service = if mode == "sentence" { "sentences" } else { mode };
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {service}}}\nspec:\n  selector: {{matchLabels: {{mode: {mode}}}}}\n  \
         template:\n    metadata: {{labels: {{app: sentences, mode: {mode}}}}}\n    spec:\n      containers:\n      - name: {mode}\n        \
         image: michaelvl/sentences:latest\n        ports: [{{containerPort: 5000, name: api}}, {{containerPort: 8000, name: metrics}}]\n        \
         env: [{{name: SENTENCE_MODE, value: {mode}}}]\n---\n\
         apiVersion: v1\nkind: Service\nmetadata: {{name: {service}}}\nspec:\n  type: {service_type}\n  selector: {{app: sentences, mode: {mode}}}\n  \
         ports: [{{name: api, port: 5000, targetPort: api}}, {{name: metrics, port: 8000, targetPort: metrics}}]\n"
    )
}

#[test]
fn sentences_flow_through_the_node_port() -> Result<()> {
    let cluster = Cluster::new("sentences")?.node("a")?.node("b")?;
    let yaml =
        [manifest("sentence", "NodePort"), manifest("age", "ClusterIP"), manifest("name", "ClusterIP")].join("---\n");
    cluster.apply(&yaml)?;
    cluster.wait_ready(Duration::from_secs(15))?;
    let (node, port) = (cluster.node_named("a")?, cluster.node_port("default", "sentences", 5000)?);
    let url = format!("http://{}:{port}/", node.address());
    let answers = cluster.outside().get_many(&url, &[], 100, 4);
    let whole = |text: String| {
        ["Peter is ", "Ray is ", "Egon is "].iter().any(|name| text.starts_with(name)) && text.contains(" years")
    };
    assert_eq!(
        answers.count(|r| r.status == 200 && whole(r.text())),
        100,
        "{:?}\n{:?}",
        answers.summary(),
        answers.bodies()
    );
    let client = cluster.workload("client").start()?;
    let metrics = client.get("http://name:8000/metrics")?.text();
    let count = metrics.lines().find_map(|line| line.strip_prefix("sentence_requests_total{type=\"name\"} "));
    assert_eq!(count.and_then(|count| count.parse::<f64>().ok()), Some(100.0), "{metrics}");
    Ok(())
}

#[test]
fn the_other_programs_of_the_demo_application_answer() -> Result<()> {
    let cluster = Cluster::new("programs")?.node("a")?;
    let echo = cluster.workload("echo").program(Program::Echo { port: 7070 }).start()?;
    let httpbin = cluster.workload("httpbin").program(Program::Httpbin { port: 8000 }).start()?;
    let bytes = cluster.workload("bytes").program(Program::TcpEcho { port: 7000, server_first: true }).start()?;
    cluster.apply(
        "kind: Pod\nmetadata: {name: web}\nspec:\n  containers: [{name: h, image: kennethreitz/httpbin, ports: [{containerPort: 80}]}]\n",
    )?;
    cluster.wait_ready(Duration::from_secs(15))?;
    let client = cluster.workload("client").start()?;
    let answer = client.request("POST", &format!("http://{}:7070/x", echo.ip())).body("hello").send()?;
    assert!(answer.text().contains(echo.name()) && answer.text().contains("/x"), "{}", answer.text());
    assert_eq!(client.get(&format!("http://{}:8000/status/418", httpbin.ip()))?.status, 418);
    assert_eq!(client.get(&format!("http://{}/status/204", cluster.pod("default", "web")?.ip()))?.status, 204);
    let mut stream = BufReader::new(client.connect(&format!("{}:7000", bytes.ip()))?);
    let mut line = String::new();
    stream.read_line(&mut line)?;
    assert_eq!(line.trim(), format!("220 {} ready", bytes.name()));
    stream.get_mut().write_all(b"\0odd\n")?;
    line.clear();
    stream.read_line(&mut line)?;
    assert_eq!(line, "\0odd\n");
    Ok(())
}
