//! Capture: real hooks, real namespaces, real TLS.

use std::time::Duration;

use anyhow::Result;
use weft_testbed::{Cluster, Program};

#[test]
fn first_captured_request() -> Result<()> {
    let cluster = Cluster::new("first")?.node("a")?.node("b")?;
    cluster.namespace("default", &[("istio-injection", "enabled")])?;
    cluster.service("echo").selector("app", "echo").port(80, 8080).apply()?;
    let server = cluster.workload("echo").node("b").label("app", "echo").program(Program::Echo { port: 8080 }).start()?;
    let client = cluster.workload("client").node("a").start()?;
    cluster.agent_env("RUST_LOG", "debug");
    cluster.start_agents()?;
    std::thread::sleep(Duration::from_secs(2));
    let capture = server.capture("eth0", 8080)?;
    let answer = client.get("http://echo/");
    println!("{answer:?}");
    if let Ok(answer) = &answer { println!("{}", answer.text()); }
    println!("contains: {}", capture.contains(b"GET /"));
    println!("{:?}", client.get(&format!("http://{}:15020/stats/prometheus", server.ip())).map(|r| r.text()));
    panic!("show logs");
}
