//! HTTP/2 through both sides of the mesh: each stream is a request of its own, and arrives as what it was.

mod attacks;
mod connections;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use h2::Reason;
use http::{HeaderMap, Request, Response, Version};
use weft_testbed::{
    APPLIES, Cluster, Http2Request, Pod, Program, Server, ask, eventually, http2, read_answer, read_body, send_body,
};

/// Where the application listens, behind ports of its Service.
const PORT: u16 = 5000;
const MEGABYTE: usize = 1024 * 1024;

/// A client and a server in the mesh on two nodes; the test plays both.
struct Mesh {
    cluster: Cluster,
    client: Pod,
    server: Pod,
}

impl Mesh {
    /// The Service's port 80 is declared `name`.
    fn new(title: &str, name: &str) -> Result<Self> {
        let cluster = Cluster::mesh(title)?;
        cluster.service("server").named_port(name, 80, PORT).apply()?;
        let server = cluster.workload("server").node("b").start()?;
        let client = cluster.workload("client").node("a").start()?;
        server.wait_captured(true)?;
        client.wait_captured(true)?;
        Ok(Self { cluster, client, server })
    }

    fn memory(&self) -> Result<u64> {
        Ok(self.cluster.agent("a")?.rss()? + self.cluster.agent("b")?.rss()?)
    }
}

/// Says what it was asked.
fn reflect(pod: &Pod) -> Result<Server> {
    let name = pod.name().to_owned();
    pod.serve_http2(PORT, move |(request, respond)| reflected(name.clone(), request, respond))
}

async fn reflected(
    name: String,
    request: Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
) -> Result<()> {
    let (parts, mut body) = request.into_parts();
    let body = read_body(&mut body).await?;
    let told =
        format!("{name} {:?} {} {} {} bytes, {:?}", parts.version, parts.method, parts.uri, body.len(), parts.headers);
    let mut sink = respond.send_response(Response::builder().header("x-served-by", &name).body(())?, false)?;
    send_body(&mut sink, told.into(), true).await
}

fn get(path: &str) -> Request<()> {
    to("server", path)
}

fn to(host: &str, path: &str) -> Request<()> {
    let request = Request::builder().version(Version::HTTP_2).uri(format!("http://{host}{path}"));
    request.body(()).expect("a valid request")
}

fn post(path: &str) -> Request<()> {
    let (mut parts, ()) = get(path).into_parts();
    parts.method = http::Method::POST;
    Request::from_parts(parts, ())
}

#[test]
fn each_request_is_balanced_and_all_are_ciphertext() -> Result<()> {
    let mesh = Mesh::new("h2-balance", "http2")?;
    let other = mesh.cluster.workload("other").node("b").label("app", "server").start()?;
    other.wait_captured(true)?;
    let _servers = [reflect(&mesh.server)?, reflect(&other)?];
    let (eth0, lo) = (mesh.server.capture("eth0", PORT)?, mesh.server.capture("lo", PORT)?);
    http2(async {
        let sender = mesh.client.connect_http2("server:80").await?;
        let mut served = [0, 0];
        for turn in 0..100 {
            let answer = ask(&sender, get(&format!("/needle-{turn}")), b"").await?;
            let text = answer.text();
            ensure!(answer.head.status() == 200 && text.contains("HTTP/2.0 GET http://server"), "{answer:?}");
            ensure!(text.contains("x-forwarded-client-cert") && text.contains("spiffe://"), "{text}");
            ensure!(text.contains("x-request-id") && text.contains("x-b3-traceid"), "{text}");
            ensure!(answer.head.headers()["server"] == "envoy", "{answer:?}");
            served[usize::from(answer.head.headers()["x-served-by"].to_str()?.starts_with("other"))] += 1;
        }
        ensure!(served[0] > 20 && served[1] > 20, "served: {served:?}");
        Ok(())
    })?;
    ensure!(lo.contains("PRI * HTTP/2.0"), "the application is spoken to in HTTP/2");
    ensure!(!eth0.contains("PRI * HTTP/2.0") && !eth0.contains("needle"), "plain text on the wire");
    eventually(APPLIES, || {
        let labels = [("reporter", "destination"), ("request_protocol", "http"), ("response_code", "200")];
        let mut counted = 0.0;
        for pod in [&mesh.server, &other] {
            let mutual = [("connection_security_policy", "mutual_tls"), ("source_workload", "client")];
            counted += pod.mesh_metrics()?.requests(&[&labels[..], &mutual[..]].concat());
        }
        ensure!(counted == 100.0, "{counted} requests were counted");
        Ok(())
    });
    Ok(())
}

#[test]
fn bodies_and_trailers_pass_both_ways() -> Result<()> {
    let mesh = Mesh::new("h2-trailers", "http2")?;
    let _server = mesh.server.serve_http2(PORT, |(request, mut respond): Http2Request| async move {
        let (parts, mut body) = request.into_parts();
        ensure!(parts.headers["te"] == "trailers", "{parts:?}");
        let bytes = read_body(&mut body).await?;
        let trailers = body.trailers().await?.unwrap_or_default();
        let mut sink = respond.send_response(Response::new(()), false)?;
        send_body(&mut sink, bytes, false).await?;
        Ok(sink.send_trailers(trailers)?)
    })?;
    http2(async {
        let sender = mesh.client.connect_http2("server:80").await?;
        let body: Bytes = (0..8 * MEGABYTE).map(|at| (at % 251) as u8).collect::<Vec<_>>().into();
        let mut request = post("/");
        request.headers_mut().insert("te", "trailers".parse()?);
        let (response, mut sink) = sender.clone().ready().await?.send_request(request, false)?;
        send_body(&mut sink, body.clone(), false).await?;
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", "17".parse()?);
        sink.send_trailers(trailers.clone())?;
        let answer = read_answer(response.await?).await?;
        ensure!(answer.body == body, "{} bytes came back", answer.body.len());
        ensure!(answer.trailers == Some(trailers), "{:?}", answer.trailers);
        Ok(())
    })
}

#[test]
fn a_reader_that_stops_costs_bounded_memory_and_delays_nobody() -> Result<()> {
    let mesh = Mesh::new("h2-flow", "http2")?;
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = sent.clone();
    let _server = mesh.server.serve_http2(PORT, move |(request, mut respond): Http2Request| {
        let counter = counter.clone();
        async move {
            if request.uri().path() == "/small" {
                respond.send_response(Response::new(()), true)?;
                return Ok(());
            }
            let mut sink = respond.send_response(Response::new(()), false)?;
            for _ in 0..256 {
                send_body(&mut sink, vec![7; MEGABYTE].into(), false).await?;
                counter.fetch_add(MEGABYTE, Ordering::SeqCst);
            }
            Ok(sink.send_data(Bytes::new(), true)?)
        }
    })?;
    http2(async {
        let sender = mesh.client.connect_http2("server:80").await?;
        ask(&sender, get("/small"), b"").await?;
        let before = mesh.memory()?;
        let mut stopped = Vec::new();
        for _ in 0..4 {
            let (response, _) = sender.clone().ready().await?.send_request(get("/endless"), true)?;
            stopped.push(response.await?);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let held = sent.load(Ordering::SeqCst);
        ensure!(held < 24 * MEGABYTE, "{held} bytes were taken of those that nobody reads");
        for _ in 0..50 {
            let asked = tokio::time::timeout(Duration::from_secs(2), ask(&sender, get("/small"), b"")).await;
            ensure!(asked.context("beside readers that stopped")??.head.status() == 200);
        }
        let grown = mesh.memory()?.saturating_sub(before);
        ensure!(grown < 24 * MEGABYTE as u64, "memory grew by {grown} bytes");
        // A reader that goes on gets all of it.
        let whole = read_body(stopped.remove(0).body_mut()).await?.len();
        ensure!(whole == 256 * MEGABYTE, "{whole} bytes");
        Ok(())
    })
}

#[test]
fn a_reset_arrives_as_what_it_was() -> Result<()> {
    let mesh = Mesh::new("h2-reset", "http2")?;
    let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let _server = mesh.server.serve_http2(PORT, move |(request, mut respond): Http2Request| {
        let heard = heard.clone();
        async move {
            match request.uri().path() {
                "/refuse" => respond.send_reset(Reason::INADEQUATE_SECURITY),
                "/break" => {
                    let mut sink = respond.send_response(Response::new(()), false)?;
                    send_body(&mut sink, vec![7; 1000].into(), false).await?;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    sink.send_reset(Reason::ENHANCE_YOUR_CALM);
                }
                "/hold" => heard.send(std::future::poll_fn(|cx| respond.poll_reset(cx)).await?)?,
                _ => {
                    let mut sink = respond.send_response(Response::new(()), false)?;
                    heard.send(std::future::poll_fn(|cx| sink.poll_reset(cx)).await?)?;
                }
            }
            Ok(())
        }
    })?;
    http2(async {
        let sender = mesh.client.connect_http2("server:80").await?;
        let (response, _) = sender.clone().ready().await?.send_request(get("/refuse"), true)?;
        let error = response.await.err().context("an answer")?;
        ensure!(error.reason() == Some(Reason::INADEQUATE_SECURITY), "{error}");

        let (response, _) = sender.clone().ready().await?.send_request(get("/break"), true)?;
        let mut body = response.await?.into_body();
        ensure!(body.data().await.context("no data")??.len() == 1000);
        let error = body.data().await.context("the body ended in order")?.err().context("more data")?;
        ensure!(error.reason() == Some(Reason::ENHANCE_YOUR_CALM), "{error}");

        for path in ["/hold", "/held-open"] {
            let (response, mut sink) = sender.clone().ready().await?.send_request(post(path), false)?;
            tokio::time::sleep(Duration::from_millis(200)).await;
            sink.send_reset(Reason::STREAM_CLOSED);
            let told = tokio::time::timeout(Duration::from_secs(5), hears.recv()).await?;
            let told = told.context("the application has ended")?;
            ensure!(told == Reason::STREAM_CLOSED, "{path}: {told}");
            drop(response);
        }
        Ok(())
    })
}

#[test]
fn each_leg_speaks_what_it_is_declared_to() -> Result<()> {
    let mesh = Mesh::new("h2-legs", "http2")?;
    mesh.cluster.service("plain").selector("app", "plain").named_port("http", 80, PORT).apply()?;
    let plain = mesh.cluster.workload("plain").node("b").program(Program::Echo { port: PORT }).start()?;
    plain.wait_captured(true)?;
    let _server = reflect(&mesh.server)?;
    // A client of HTTP/1.1 reaches a port declared HTTP/2 in HTTP/2.
    let answer = mesh.client.get("http://server/up?grade")?;
    let text = answer.text();
    ensure!(answer.status == 200 && text.contains("HTTP/2.0 GET http://server/up?grade"), "{answer:?}");
    let answer = mesh.client.request("POST", "http://server/post").body(vec![1; MEGABYTE]).send()?;
    ensure!(answer.text().contains(&format!("{MEGABYTE} bytes")), "{answer:?}");
    // A client of HTTP/2 reaches a port declared HTTP in HTTP/1.1, and several of its requests one connection after the other.
    http2(async {
        let sender = mesh.client.connect_http2("plain:80").await?;
        for _ in 0..3 {
            let mut request = to("plain", "/down?grade");
            *request.method_mut() = http::Method::POST;
            request.headers_mut().append("cookie", "a=1".parse()?);
            request.headers_mut().append("cookie", "b=2".parse()?);
            let answer = ask(&sender, request, &vec![b'x'; MEGABYTE]).await?;
            let text = answer.text();
            ensure!(answer.head.status() == 200 && text.contains("HTTP/1.1"), "{text}");
            ensure!(text.contains("/down?grade") && text.contains("a=1; b=2"), "{text}");
        }
        let mut request = to("plain", "/");
        *request.method_mut() = http::Method::HEAD;
        let answer = ask(&sender, request, b"").await?;
        ensure!(answer.head.status() == 200 && answer.body.is_empty(), "{answer:?}");
        Ok(())
    })
}

#[test]
fn a_websocket_over_http2_is_a_tunnel_as_long_as_it_is_allowed() -> Result<()> {
    let mesh = Mesh::new("h2-connect", "http2")?;
    let _server = mesh.server.serve_http2(PORT, |(request, mut respond): Http2Request| async move {
        let protocol = request.extensions().get::<h2::ext::Protocol>().context("no tunnel")?;
        ensure!(protocol.as_str() == "websocket" && request.uri().path() == "/chat", "{request:?}");
        let mut body = request.into_body();
        let mut sink = respond.send_response(Response::new(()), false)?;
        while let Some(piece) = body.data().await {
            let piece = piece?;
            body.flow_control().release_capacity(piece.len())?;
            send_body(&mut sink, piece, false).await?;
        }
        Ok(sink.send_data(Bytes::new(), true)?)
    })?;
    http2(async {
        let sender = mesh.client.connect_http2("server:80").await?;
        ask(&sender, get("/nothing"), b"").await.err().context("an answer")?;
        let mut request = get("/chat");
        *request.method_mut() = http::Method::CONNECT;
        request.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
        let (response, mut sink) = sender.clone().ready().await?.send_request(request, false)?;
        let response = response.await?;
        ensure!(response.status() == 200, "{response:?}");
        let mut body = response.into_body();
        for text in ["one", "two"] {
            send_body(&mut sink, text.into(), false).await?;
            let piece = body.data().await.context("the tunnel has ended")??;
            body.flow_control().release_capacity(piece.len())?;
            ensure!(piece == text, "{piece:?}");
        }
        mesh.cluster.apply(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: server}\nspec:\n  selector: {matchLabels: {app: server}}\n  \
             action: DENY\n  rules: [{to: [{operation: {paths: [/chat]}}]}]\n",
        )?;
        let ended = tokio::time::timeout(APPLIES, body.data()).await.context("the tunnel lives on")?;
        ensure!(!matches!(ended, Some(Ok(_))), "{ended:?}");
        Ok(())
    })
}
