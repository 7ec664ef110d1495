//! `h2spec` (github.com/summerwind/h2spec) against both sides of the mesh: neither fails where the application's own server does
//! not. It is no package of Debian's, so this runs where `WEFT_H2SPEC` names the program.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{Method, Response};
use weft_testbed::{Cluster, Http2Request, Place, read_body, send_body};

#[test]
#[ignore = "needs the program h2spec: WEFT_H2SPEC=<path> cargo test --test h2spec -- --ignored"]
fn neither_side_fails_where_the_application_does_not() -> Result<()> {
    let program = std::env::var("WEFT_H2SPEC").context("WEFT_H2SPEC names no program")?;
    let cluster = Cluster::mesh("h2spec")?;
    cluster.service("server").named_port("http2", 80, 5000).apply()?;
    let server = cluster.workload("server").node("b").start()?;
    let client = cluster.workload("client").node("a").start()?;
    let outsider = cluster.workload("outsider").node("b").label("sidecar.istio.io/inject", "false").start()?;
    server.wait_captured(true)?;
    client.wait_captured(true)?;
    let _server = server.serve_http2(5000, |(request, mut respond): Http2Request| async move {
        let is_head = request.method() == Method::HEAD;
        let bytes = read_body(&mut request.into_body()).await?;
        let mut sink = respond.send_response(Response::new(()), is_head)?;
        if !is_head {
            send_body(&mut sink, if bytes.is_empty() { Bytes::from_static(b"hello") } else { bytes }, true).await?;
        }
        Ok(())
    })?;
    let direct = failures(&program, &server, "127.0.0.1", "5000")?;
    let service = cluster.cluster_ip("default", "server")?.to_string();
    let outbound = failures(&program, &client, &service, "80")?;
    let inbound = failures(&program, &outsider, &server.ip().to_string(), "5000")?;
    let news = [&outbound - &direct, &inbound - &direct];
    ensure!(news.iter().all(BTreeSet::is_empty), "only through the mesh, outbound and inbound: {news:?}");
    Ok(())
}

/// The cases that fail.
fn failures(program: &str, from: &Place, host: &str, port: &str) -> Result<BTreeSet<String>> {
    let output = from.exec(program, &["-h", host, "-p", port, "-o", "1"])?;
    let text = output.stdout;
    let summary = text.lines().find(|line| line.contains(" tests, ")).with_context(|| format!("no summary: {text}"))?;
    eprintln!("{}: {}", from.name(), summary.trim());
    let failed = text.lines().filter_map(|line| line.split_once('×'));
    Ok(failed.map(|(_, case)| case.trim().to_owned()).collect())
}
