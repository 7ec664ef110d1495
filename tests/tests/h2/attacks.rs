//! Clients that mean harm in HTTP/2: each is sent away, and a neighbour's requests go on.

use std::io::{Read, Write};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use h2::Reason;
use weft_testbed::{ask, http2};

use super::{MEGABYTE, Mesh, PORT, get, reflect};

/// A frame (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The preface and empty settings.
fn hello() -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, b"")].concat()
}

/// `GET http://server/`, all of it from HPACK's static table but the host.
const GET: &[u8] = b"\x82\x86\x84\x41\x06server";

/// What a client says that means harm, and the code it is sent away with, if it has to be.
fn attacks() -> Vec<(&'static str, Vec<u8>, Option<Reason>)> {
    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    const SETTINGS: u8 = 4;
    const PING: u8 = 6;
    const CONTINUATION: u8 = 9;
    let odd = |count: u32| (0..count).map(|turn| 2 * turn + 1);
    let repeat = |count: usize, frame: Vec<u8>| frame.repeat(count);
    let rapid = odd(50_000).map(|id| [frame(HEADERS, 5, id, GET), frame(RST_STREAM, 0, id, &[0, 0, 0, 8])].concat());
    // A window beyond 2^31 - 1 is an error of the stream, for which the server has to reset it.
    let made = odd(20_000).map(|id| [frame(HEADERS, 5, id, GET), frame(8, 0, id, &[0x7f, 0xff, 0xff, 0xff])].concat());
    let endless = [
        frame(HEADERS, 1, 1, GET),
        repeat(10_000, frame(CONTINUATION, 0, 1, &[b"\x00\x01a\x7f\x00".as_slice(), &[b'a'; 127]].concat())),
    ];
    let bomb =
        [b"\x82\x86\x84\x41\x06server\x40\x01a\x7f\xa1\x1e".to_vec(), vec![b'b'; 4000], vec![0xbe; 12_000]].concat();
    vec![
        ("rapid reset", rapid.flatten().collect(), Some(Reason::ENHANCE_YOUR_CALM)),
        ("MadeYouReset", made.flatten().collect(), Some(Reason::ENHANCE_YOUR_CALM)),
        ("CONTINUATION without end", endless.concat(), Some(Reason::ENHANCE_YOUR_CALM)),
        ("SETTINGS", repeat(100_000, frame(SETTINGS, 0, 0, b"")), None),
        ("PING", repeat(100_000, frame(PING, 0, 0, &[7; 8])), None),
        ("an HPACK bomb", frame(HEADERS, 5, 1, &bomb), None),
    ]
}

/// The code of the GOAWAY that an attacker hears, while it never stops to write.
fn attack(stream: std::net::TcpStream, bytes: Vec<u8>) -> Result<Option<u32>> {
    let reader = stream.try_clone()?;
    let writer = std::thread::spawn(move || {
        // Who is cut off cannot say all of it.
        let _ = (&stream).write_all(&hello()).and_then(|()| (&stream).write_all(&bytes));
        let _ = stream.shutdown(std::net::Shutdown::Write);
    });
    let mut heard = Vec::new();
    // A reset ends it, too.
    let _ = (&reader).read_to_end(&mut heard);
    let _ = writer.join();
    let (mut at, mut code) = (0, None);
    while let Some(head) = heard.get(at..at + 9) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        if head[3] == 7
            && let Some(&[a, b, c, d]) = heard.get(at + 13..at + 17)
        {
            code = Some(u32::from_be_bytes([a, b, c, d]));
        }
        at += 9 + length;
    }
    Ok(code)
}

#[test]
fn who_means_harm_is_sent_away_and_nobody_else_suffers() -> Result<()> {
    let mesh = Mesh::new("h2-attacks", "http2")?;
    let _server = reflect(&mesh.server)?;
    let outsider = mesh.cluster.workload("outsider").node("b").label("sidecar.istio.io/inject", "false").start()?;
    let inbound = format!("{}:{PORT}", mesh.server.ip());
    http2(async {
        let neighbour = mesh.client.connect_http2("server:80").await?;
        ask(&neighbour, get("/"), b"").await?;
        let before = mesh.memory()?;
        for (name, bytes, sent_away) in attacks() {
            for (from, address) in [(&mesh.client, "server:80"), (&outsider, &*inbound)] {
                let (stream, bytes) = (from.connect(address)?, bytes.clone());
                let attacker = tokio::task::spawn_blocking(move || attack(stream, bytes));
                while !attacker.is_finished() {
                    let asked = tokio::time::timeout(Duration::from_secs(5), ask(&neighbour, get("/"), b"")).await;
                    let answer = asked.with_context(|| format!("beside {name} of {address}"))??;
                    ensure!(answer.head.status() == 200, "beside {name} of {address}: {answer:?}");
                }
                let code = attacker.await??.map(Reason::from);
                ensure!(sent_away.is_none() || code == sent_away, "{name} of {address} ended with {code:?}");
                let grown = mesh.memory()?.saturating_sub(before);
                ensure!(grown < 32 * MEGABYTE as u64, "{name} of {address}: memory grew by {grown} bytes");
            }
        }
        Ok(())
    })
}
