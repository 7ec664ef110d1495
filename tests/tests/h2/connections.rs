//! What becomes of streams when their connection ends, is replaced, or takes no more of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::Response;
use weft_testbed::{Http2Request, ask, http2, read_body, send_body};

use super::{Mesh, PORT, get, post};

/// Posts as often as `count` says, all before the first answer, and each is answered.
async fn all_at_once(sender: &h2::client::SendRequest<Bytes>, count: usize) -> Result<()> {
    let mut together = tokio::task::JoinSet::new();
    for _ in 0..count {
        let sender = sender.clone();
        together.spawn(async move { ask(&sender, post("/"), b"once").await });
    }
    while let Some(answer) = together.join_next().await {
        let answer = answer??;
        ensure!(answer.head.status() == 200, "{answer:?}");
    }
    Ok(())
}

#[test]
fn an_application_that_says_goaway_is_asked_by_another_connection() -> Result<()> {
    let mesh = Mesh::new("h2-goaway", "http2")?;
    let server = mesh.server.serve(PORT, |stream, _| {
        // Three requests, then GOAWAY, and the end when they are answered.
        let served = http2(async move {
            stream.set_nonblocking(true)?;
            let stream = tokio::net::TcpStream::from_std(stream)?;
            let mut connection = h2::server::handshake(stream).await?;
            let mut seen = 0;
            while let Some(accepted) = connection.accept().await {
                let (_, mut respond): Http2Request = accepted?;
                respond.send_response(Response::new(()), true).map(drop)?;
                seen += 1;
                if seen == 3 {
                    connection.graceful_shutdown();
                }
            }
            Ok(())
        });
        drop(served);
    })?;
    http2(async {
        let sender = mesh.client.connect_http2("server:80").await?;
        for turn in 0..60 {
            let answer = ask(&sender, get("/"), b"").await?;
            ensure!(answer.head.status() == 200, "request {turn}: {answer:?}");
        }
        all_at_once(&sender, 60).await
    })?;
    ensure!(server.accepted() >= 20, "{} connections", server.accepted());
    Ok(())
}

#[test]
fn streams_of_a_replaced_agent_come_to_their_end() -> Result<()> {
    let mesh = Mesh::new("h2-drain", "http2")?;
    let _server = mesh.server.serve_http2(PORT, |(request, mut respond): Http2Request| async move {
        let mut body = request.into_body();
        let mut sink = respond.send_response(Response::new(()), false)?;
        while let Some(piece) = body.data().await {
            let piece = piece?;
            body.flow_control().release_capacity(piece.len())?;
            send_body(&mut sink, piece, false).await?;
        }
        Ok(sink.send_data(Bytes::new(), true)?)
    })?;
    for node in ["a", "b"] {
        let agent = mesh.cluster.agent(node)?;
        http2(async {
            let sender = mesh.client.connect_http2("server:80").await?;
            let (response, mut sink) = sender.clone().ready().await?.send_request(post("/"), false)?;
            let mut body = response.await?.into_body();
            let mut say = async |text: &'static str| -> Result<()> {
                send_body(&mut sink, text.into(), false).await?;
                let piece = body.data().await.context("the stream has ended")??;
                body.flow_control().release_capacity(piece.len())?;
                ensure!(piece == text, "{piece:?}");
                Ok(())
            };
            say("before").await?;
            let before = agent.start_successor()?;
            agent.ready(Duration::from_secs(20))?;
            say("while").await?;
            // Other streams go on, by this connection or, when its GOAWAY is here, by another.
            let answer = ask(&mesh.client.connect_http2("server:80").await?, post("/"), b"new").await?;
            ensure!(answer.text() == "new", "{answer:?}");
            say("after").await?;
            if node == "a" {
                // The client has been told: it opens no more streams here, or would have been served.
                let refused = async {
                    while sender.clone().ready().await.is_ok() {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                };
                tokio::time::timeout(Duration::from_secs(5), refused).await.context("no GOAWAY")?;
            }
            sink.send_data(Bytes::new(), true)?;
            ensure!(read_body(&mut body).await?.is_empty());
            before.signal(nix::sys::signal::Signal::SIGTERM)?;
            let ended = before.wait(Duration::from_secs(10));
            ensure!(ended.is_some_and(|status| status.success()), "the agent before: {ended:?}");
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn a_peer_is_asked_no_more_at_once_than_it_takes() -> Result<()> {
    let mesh = Mesh::new("h2-limit", "http2")?;
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (now.clone(), most.clone());
    let server = mesh.server.serve(PORT, move |stream, _| {
        let (now, most) = counts.clone();
        let served = http2(async move {
            stream.set_nonblocking(true)?;
            let stream = tokio::net::TcpStream::from_std(stream)?;
            let mut connection = h2::server::Builder::new().max_concurrent_streams(4).handshake(stream).await?;
            while let Some(accepted) = connection.accept().await {
                let (_, mut respond): (_, h2::server::SendResponse<Bytes>) = accepted?;
                let (now, most) = (now.clone(), most.clone());
                tokio::spawn(async move {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    now.fetch_sub(1, Ordering::SeqCst);
                    respond.send_response(Response::new(()), true)
                });
            }
            Ok(())
        });
        drop(served);
    })?;
    http2(async {
        let sender = mesh.client.connect_http2("server:80").await?;
        ask(&sender, get("/"), b"").await?;
        all_at_once(&sender, 200).await
    })?;
    let (most, connections) = (most.load(Ordering::SeqCst), server.accepted());
    ensure!(connections <= 8 && most <= 4 * connections && most > 4, "{most} at once on {connections} connections");
    Ok(())
}
