//! gRPC through both sides of the mesh: each call is routed, judged and reported on its own, and what the mesh itself has to say
//! is said as gRPC understands it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use weft_testbed::{
    APPLIES, Cluster, Http2Answer, Http2Request, Pod, Server, ask, eventually, http2, read_body, send_body,
};

const PORT: u16 = 50051;

struct Mesh {
    cluster: Cluster,
    client: Pod,
    server: Pod,
}

impl Mesh {
    fn new(title: &str) -> Result<Self> {
        let cluster = Cluster::mesh(title)?;
        cluster.service("greeter").named_port("grpc", 50051, PORT).apply()?;
        let server = cluster.workload("v1").node("b").label("app", "greeter").label("version", "v1").start()?;
        let client = cluster.workload("client").node("a").service_account("client").start()?;
        server.wait_captured(true)?;
        client.wait_captured(true)?;
        Ok(Self { cluster, client, server })
    }
}

/// A server that answers each message of a call by one, and ends it when the client has.
fn serve(pod: &Pod) -> Result<Server> {
    let name = pod.name().to_owned();
    pod.serve_http2(PORT, move |call| answer(name.clone(), call))
}

async fn answer(name: String, (request, mut respond): Http2Request) -> Result<()> {
    let (parts, mut body) = request.into_parts();
    let fails = parts.uri.path().ends_with("/Fail");
    let timeout = parts.headers.get("grpc-timeout").cloned();
    let response = Response::builder().header("content-type", "application/grpc").header("x-served-by", name);
    let mut sink = respond.send_response(response.body(())?, false)?;
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        send_body(&mut sink, piece, false).await?;
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", if fails { "5" } else { "0" }.parse()?);
    if let Some(timeout) = timeout {
        trailers.insert("x-timeout", timeout);
    }
    Ok(sink.send_trailers(trailers)?)
}

fn call(path: &str) -> Request<()> {
    let request = Request::post(format!("http://greeter:50051/hello.Greeter/{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", "17S");
    request.body(()).expect("a valid request")
}

/// One message as gRPC frames it.
fn message(text: &str) -> Vec<u8> {
    let mut framed = vec![0];
    framed.extend_from_slice(&(text.len() as u32).to_be_bytes());
    framed.extend_from_slice(text.as_bytes());
    framed
}

fn told(answer: &Http2Answer) -> &str {
    answer.head.headers().get("grpc-message").and_then(|value| value.to_str().ok()).unwrap_or_default()
}

const CANARY: &str = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: greeter}
spec:
  host: greeter
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: greeter}
spec:
  hosts: [greeter]
  http:
  - match: [{uri: {exact: /hello.Greeter/Old}}]
    route: [{destination: {host: greeter, subset: v1}}]
  - route:
    - {destination: {host: greeter, subset: v1}, weight: 80}
    - {destination: {host: greeter, subset: v2}, weight: 20}
";

#[test]
fn each_call_of_one_connection_is_weighed_and_counted_with_its_status() -> Result<()> {
    let mesh = Mesh::new("grpc-canary")?;
    let v2 = mesh.cluster.workload("v2").node("b").label("app", "greeter").label("version", "v2").start()?;
    v2.wait_captured(true)?;
    let _servers = [serve(&mesh.server)?, serve(&v2)?];
    mesh.cluster.apply(CANARY)?;
    http2(async {
        let sender = mesh.client.connect_http2("greeter:50051").await?;
        let ask = async |path: &str| -> Result<(bool, Http2Answer)> {
            let answer = ask(&sender, call(path), &message("hello")).await?;
            ensure!(answer.body == message("hello"), "{answer:?}");
            let trailers = answer.trailers.as_ref().context("no trailers")?;
            ensure!(trailers["x-timeout"] == "17S", "{trailers:?}");
            Ok((answer.head.headers()["x-served-by"].to_str()?.starts_with("v2"), answer))
        };
        loop {
            // The weights have arrived when both have been asked.
            if ask("New").await?.0 {
                break;
            }
        }
        let mut canary = 0;
        for _ in 0..500 {
            let (is_v2, answer) = ask("New").await?;
            ensure!(answer.grpc_status() == Some("0"), "{answer:?}");
            canary += usize::from(is_v2);
        }
        // Five sigma around a fifth.
        ensure!((55..=145).contains(&canary), "{canary} of 500 calls went to v2");
        for _ in 0..50 {
            ensure!(!ask("Old").await?.0, "the route by path was not taken");
        }
        ensure!(ask("Fail").await?.1.grpc_status() == Some("5"));
        Ok(())
    })?;
    eventually(APPLIES, || {
        let metrics = mesh.client.mesh_metrics()?;
        let of = |status: &str| {
            let labels = [("request_protocol", "grpc"), ("response_code", "200"), ("grpc_response_status", status)];
            metrics.requests(&[&labels[..], &[("reporter", "source")]].concat())
        };
        ensure!(of("0") >= 550.0 && of("5") == 1.0, "{} succeeded, {} failed", of("0"), of("5"));
        Ok(())
    });
    Ok(())
}

const POLICY: &str = "
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default}
spec: {mtls: {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: greeter}
spec:
  selector: {matchLabels: {app: greeter}}
  action: ALLOW
  rules:
  - from: [{source: {principals: [cluster.local/ns/default/sa/client]}}]
    to: [{operation: {paths: [/hello.Greeter/Hello], methods: [POST]}}]
";

#[test]
fn what_the_mesh_refuses_is_a_status_of_grpc() -> Result<()> {
    let mesh = Mesh::new("grpc-policy")?;
    let server = serve(&mesh.server)?;
    mesh.cluster.apply(POLICY)?;
    http2(async {
        let sender = mesh.client.connect_http2("greeter:50051").await?;
        let refused = async {
            loop {
                let answer = ask(&sender, call("Secret"), &message("hello")).await?;
                if answer.grpc_status() != Some("0") {
                    return anyhow::Ok(answer);
                }
            }
        };
        let refused = tokio::time::timeout(APPLIES, refused).await??;
        ensure!(refused.head.status() == 200 && refused.body.is_empty() && refused.trailers.is_none(), "{refused:?}");
        ensure!(refused.grpc_status() == Some("7") && told(&refused) == "RBAC: access denied", "{refused:?}");
        ensure!(refused.head.headers()["content-type"] == "application/grpc", "{refused:?}");
        // Its neighbour on the same connection is none the worse.
        let allowed = ask(&sender, call("Hello"), &message("hello")).await?;
        ensure!(allowed.grpc_status() == Some("0"), "{allowed:?}");
        // Who does not speak gRPC is told in HTTP.
        let plain = ask(&sender, Request::get("http://greeter:50051/hello.Greeter/Secret").body(())?, b"").await?;
        ensure!(plain.head.status() == 403 && plain.text() == "RBAC: access denied", "{plain:?}");

        mesh.server.set_ready(false)?;
        let unavailable = async {
            loop {
                let answer = ask(&sender, call("Hello"), &message("hello")).await?;
                if answer.grpc_status() != Some("0") {
                    return anyhow::Ok(answer);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let unavailable = tokio::time::timeout(APPLIES, unavailable).await??;
        ensure!(
            unavailable.grpc_status() == Some("14") && told(&unavailable) == "no healthy upstream",
            "{unavailable:?}"
        );
        Ok(())
    })?;
    drop(server);
    eventually(APPLIES, || {
        let labels = [("request_protocol", "grpc"), ("grpc_response_status", "7"), ("response_code", "200")];
        let counted = mesh.server.mesh_metrics()?.requests(&[&labels[..], &[("reporter", "destination")]].concat());
        ensure!(counted >= 1.0, "no refusal was counted");
        Ok(())
    });
    Ok(())
}

#[test]
fn a_long_call_says_one_message_after_the_other() -> Result<()> {
    let mesh = Mesh::new("grpc-stream")?;
    let _server = serve(&mesh.server)?;
    http2(async {
        let sender = mesh.client.connect_http2("greeter:50051").await?;
        let (response, mut sink) = sender.clone().ready().await?.send_request(call("Chat"), false)?;
        let mut body = response.await?.into_body();
        for turn in 0..200 {
            let said = message(&format!("message {turn}"));
            send_body(&mut sink, Bytes::from(said.clone()), false).await?;
            let mut heard = Vec::new();
            while heard.len() < said.len() {
                let piece = body.data().await.context("the call has ended")??;
                body.flow_control().release_capacity(piece.len())?;
                heard.extend_from_slice(&piece);
            }
            ensure!(heard == said, "turn {turn}: {heard:?}");
        }
        sink.send_data(Bytes::new(), true)?;
        ensure!(read_body(&mut body).await?.is_empty());
        let trailers = body.trailers().await?.context("no trailers")?;
        ensure!(trailers["grpc-status"] == "0", "{trailers:?}");
        Ok(())
    })
}

const MIRROR: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: greeter}
spec:
  hosts: [greeter]
  http:
  - route: [{destination: {host: greeter}}]
    mirror: {host: shadow}
";

#[test]
fn a_copy_of_each_call_goes_to_the_mirror_and_its_answer_to_nobody() -> Result<()> {
    let mesh = Mesh::new("grpc-mirror")?;
    mesh.cluster.service("shadow").named_port("grpc", 50051, PORT).apply()?;
    let shadow = mesh.cluster.workload("shadow").node("b").start()?;
    shadow.wait_captured(true)?;
    let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let _servers = [
        serve(&mesh.server)?,
        shadow.serve_http2(PORT, move |(request, mut respond): Http2Request| {
            let heard = heard.clone();
            async move {
                let uri = request.uri().to_string();
                heard.send((uri, read_body(&mut request.into_body()).await?))?;
                respond.send_reset(h2::Reason::INTERNAL_ERROR);
                Ok(())
            }
        })?,
    ];
    mesh.cluster.apply(MIRROR)?;
    http2(async {
        let sender = mesh.client.connect_http2("greeter:50051").await?;
        let mut copies = 0;
        for turn in 0..100 {
            let answer = ask(&sender, call("Hello"), &message(&format!("turn {turn}"))).await?;
            ensure!(answer.grpc_status() == Some("0"), "{answer:?}");
            // The route may need a moment to arrive.
            let heard = tokio::time::timeout(Duration::from_millis(500), hears.recv()).await;
            let Ok(Some((uri, body))) = heard else { continue };
            ensure!(uri == "http://greeter-shadow:50051/hello.Greeter/Hello", "{uri}");
            ensure!(body == message(&format!("turn {turn}")), "{body:?}");
            copies += 1;
            if copies == 20 {
                return Ok(());
            }
        }
        anyhow::bail!("{copies} copies of 100 calls")
    })
}
