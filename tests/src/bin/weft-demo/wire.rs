//! Packets, captured in the server's pod on both its devices: ciphertext on `eth0`, plaintext only on `lo`.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};
use weft_testbed::{Capture, Packet, Pod};

use crate::canary::{URL, V2};
use crate::show::Show;
use crate::town::{Town, label};

/// The application's port.
const PORT: u16 = 5000;
/// Bytes in a line of an extract.
const LINE: usize = 16;
/// Lines of an extract.
const LINES: usize = 4;
/// First byte of a TLS record with application data (RFC 8446, section 5.1).
const APPLICATION_DATA: u8 = 23;
/// Requests to look at; each is for either version.
const REQUESTS: usize = 40;

/// The step.
pub fn run(town: &Town, show: &mut Show) -> Result<String> {
    let (server, client) = (town.pod("name-v2")?, town.pod("sentences")?);
    let (wire, inside) = (server.capture("eth0", PORT)?, server.capture("lo", PORT)?);
    let name = name_of_v2(&town.client)?;
    let nodes = if server.node() == client.node() { "the same node" } else { "another node" };
    show.fact(
        "captured in",
        &format!("pod of {} (node {}), asked by {} on {nodes}", label(&server), server.node(), label(&client)),
    );
    let encrypted = record(&wire, &server).context("no TLS record left the server's pod")?;
    show.fact("on eth0", &format!("{} > {}", encrypted.source, encrypted.destination));
    extract(show, &encrypted.payload, 0);
    show.promise(!wire.contains(&name), &format!("what eth0 carried does not contain \"{name}\""));
    let in_place = encrypted.source.ip() == server.ip()
        && encrypted.source.port() == PORT
        && encrypted.destination.ip() == client.ip();
    show.promise(in_place, "on the original port, from pod to pod: no tunnel, no node address");
    let plain = inside.packets().into_iter().find_map(|packet| Some((find(&packet.payload, name.as_bytes())?, packet)));
    let (at, plain) = plain.with_context(|| format!("lo never carried \"{name}\""))?;
    show.fact("on lo", &format!("{} > {}", plain.source, plain.destination));
    extract(show, &plain.payload, at);
    show.promise(inside.contains(&name), &format!("lo, inside the pod, carried \"{name}\" in the clear"));
    let (eth0, lo) = (wire.packets().len(), inside.packets().len());
    Ok(format!("\"{name}\": absent from {eth0} packets on eth0, in the clear on lo ({lo} packets)"))
}

/// Asks until a sentence has a name of version 2, and returns the name.
fn name_of_v2(client: &Pod) -> Result<String> {
    for _ in 0..REQUESTS {
        let answer = client.get(URL)?;
        let text = answer.text();
        ensure!(answer.status == 200, "{URL}: status {} {text}", answer.status);
        if let Some((name, _)) = text.split_once(" is ").filter(|(name, _)| name.contains(V2)) {
            return Ok(name.to_owned());
        }
    }
    anyhow::bail!("version 2 of `name` answered none of {REQUESTS} requests")
}

/// A packet that carries encrypted application data out of the pod.
fn record(capture: &Capture, server: &Pod) -> Option<Packet> {
    let from_server = |packet: &Packet| packet.source.ip() == server.ip();
    let data =
        |packet: &Packet| packet.payload.first() == Some(&APPLICATION_DATA) && packet.payload.len() >= LINE * LINES;
    // The last is the answer; before it come handshake messages, which TLS 1.3 encrypts, too.
    capture.packets().into_iter().rfind(|packet| from_server(packet) && data(packet))
}

/// Where `needle` begins.
fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}

/// A few lines in hex and ASCII that include offset `at`.
fn extract(show: &Show, bytes: &[u8], at: usize) {
    let first = (at / LINE).saturating_sub(LINES / 2);
    for (number, line) in bytes.chunks(LINE).enumerate().skip(first).take(LINES) {
        let mut hex = String::new();
        line.iter().for_each(|byte| {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x} ");
        });
        let ascii: String = line
            .iter()
            .map(|byte| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' })
            .collect();
        let text = format!("     {:04x}  {hex:48} {ascii}", number * LINE);
        show.line(&show.paint(&text, "2"));
    }
}
