//! gRPC's own interop client and server (grpc-go's, google.golang.org/grpc/interop/{client,server}) through both sides of the mesh:
//! all cases that need no cloud and no server that names itself (`pick_first_unary`: grpc-go's does not). They are no packages of Debian's, so this runs where `WEFT_GRPC_INTEROP` names their folder.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use weft_testbed::{Cluster, eventually};

const CASES: [&str; 14] = [
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "timeout_on_sleeping_server",
    "cancel_after_begin",
    "cancel_after_first_response",
    "status_code_and_message",
    "special_status_message",
    "custom_metadata",
    "unimplemented_method",
    "unimplemented_service",
];

#[test]
#[ignore = "needs grpc-go's interop programs: WEFT_GRPC_INTEROP=<folder> cargo test --test grpc_interop -- --ignored"]
fn every_case_passes_with_the_port_declared_or_not() -> Result<()> {
    let folder = std::env::var("WEFT_GRPC_INTEROP").context("WEFT_GRPC_INTEROP names no folder")?;
    let cluster = Cluster::mesh("interop")?;
    let server = cluster.workload("server").node("b").start()?;
    let client = cluster.workload("client").node("a").start()?;
    for (name, port) in [("grpc", 50051), ("sniffed", 50052), ("http", 50053)] {
        cluster.service(&format!("{name}-server")).selector("app", "server").named_port(name, 80, port).apply()?;
    }
    server.wait_captured(true)?;
    client.wait_captured(true)?;
    let mut failed = Vec::new();
    for (name, port) in [("grpc", 50051), ("sniffed", 50052), ("http", 50053)] {
        let port = port.to_string();
        let _program = server.spawn(&format!("{folder}/server"), &["--port", &port, "--use_tls=false"])?;
        let service = cluster.cluster_ip("default", &format!("{name}-server"))?.to_string();
        let run = |case: &str| {
            let arguments = ["--server_host", &service, "--server_port", "80", "--use_tls=false", "--test_case", case];
            client.exec(&format!("{folder}/client"), &arguments)
        };
        eventually(Duration::from_secs(10), || {
            ensure!(run("empty_unary")?.code() == 0, "the server does not answer yet");
            Ok(())
        });
        for case in CASES {
            let output = run(case)?;
            if output.code() != 0 {
                failed.push(format!("{case} of {name}: {}", output.stderr));
            }
        }
    }
    ensure!(failed.is_empty(), "{} cases failed: {failed:#?}", failed.len());
    Ok(())
}
