//! HTTP/1 through both sides of the mesh: every shape of message arrives as it was sent, or visibly broken, never shorter.
//!
//! Client and server are raw sockets: what a library would repair has to be seen.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use socket2::SockRef;
use weft_testbed::{Cluster, Pod, Server};

/// Where the application listens, behind port 80 of its Service.
const PORT: u16 = 5000;
const MEGABYTE: usize = 1024 * 1024;

/// A request as it came off the wire.
struct Head {
    line: String,
    fields: Vec<String>,
}

impl Head {
    fn read(from: &mut impl BufRead) -> io::Result<Self> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if from.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end().to_owned();
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        Ok(Self { line: lines.remove(0), fields: lines })
    }

    fn path(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }

    fn field(&self, name: &str) -> Option<&str> {
        let value = |field: &'_ String| {
            let (known, value) = field.split_once(':')?;
            known.eq_ignore_ascii_case(name).then(|| value.trim().len())
        };
        self.fields.iter().find_map(|field| value(field).map(|length| &field[field.len() - length..]))
    }

    /// Reads the body, raw: chunks stay chunks.
    fn body(&self, from: &mut impl BufRead) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        if let Some(length) = self.field("content-length") {
            let length = length.parse().map_err(io::Error::other)?;
            from.take(length).read_to_end(&mut body)?;
            if body.len() as u64 != length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        } else if self.field("transfer-encoding").is_some() {
            while !body.ends_with(b"\r\n0\r\n") && body != b"0\r\n" {
                if from.read_until(b'\n', &mut body)? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            loop {
                let before = body.len();
                if from.read_until(b'\n', &mut body)? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                if &body[before..] == b"\r\n" {
                    break;
                }
            }
        }
        Ok(body)
    }
}

/// A client and a server in the mesh on two nodes; the test plays the application.
struct Mesh {
    cluster: Cluster,
    client: Pod,
    server: Pod,
}

impl Mesh {
    fn new(name: &str) -> Result<Self> {
        let cluster = Cluster::mesh(name)?;
        cluster.service("server").port(80, PORT).apply()?;
        let server = cluster.workload("server").node("b").start()?;
        let client = cluster.workload("client").node("a").start()?;
        server.wait_captured(true)?;
        client.wait_captured(true)?;
        Ok(Self { cluster, client, server })
    }

    /// Answers each request by what `answer` writes; it says whether the connection goes on.
    fn application<F>(&self, answer: F) -> Result<Server>
    where
        F: Fn(&Head, &mut BufReader<TcpStream>) -> io::Result<bool> + Send + Sync + 'static,
    {
        self.server.serve(PORT, move |stream, _| {
            let mut stream = BufReader::new(stream);
            while let Ok(head) = Head::read(&mut stream) {
                if !answer(&head, &mut stream).unwrap_or(false) {
                    return;
                }
            }
        })
    }

    fn open(&self) -> Result<TcpStream> {
        Ok(self.client.connect("server:80")?)
    }

    /// Sends `bytes`, ends the sending side unless `open`, and returns all that comes back.
    fn ask(&self, bytes: impl AsRef<[u8]>) -> Result<String> {
        let mut stream = self.open()?;
        stream.write_all(bytes.as_ref())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).with_context(|| String::from_utf8_lossy(&answer).into_owned())?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    fn memory(&self) -> Result<u64> {
        Ok(self.cluster.agent("a")?.rss()? + self.cluster.agent("b")?.rss()?)
    }
}

fn ok(stream: &mut BufReader<TcpStream>, text: &str) -> io::Result<bool> {
    write!(stream.get_mut(), "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len())?;
    Ok(true)
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n")
}

fn body_of(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

#[test]
fn pipelined_requests_are_answered_in_order() -> Result<()> {
    let mesh = Mesh::new("pipeline")?;
    let _application = mesh.application(|head, stream| {
        // The first ones take longest.
        let number: u64 = head.path().trim_start_matches('/').parse().unwrap_or_default();
        std::thread::sleep(Duration::from_millis(50 * (5 - number.min(5))));
        head.body(stream)?;
        ok(stream, &format!("answer-{number};"))
    })?;
    let mut requests = String::new();
    for number in 1..=4 {
        requests += &format!("GET /{number} HTTP/1.1\r\nHost: server\r\n\r\n");
    }
    requests += &get("/5");
    let answer = mesh.ask(&requests)?;
    let places: Vec<_> = (1..=5).map(|number| answer.find(&format!("answer-{number};"))).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?} {answer}");
    // Byte by byte, and with a body in between.
    let mut stream = mesh.open()?;
    let slowly = "POST /1 HTTP/1.1\r\nHost: server\r\nContent-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n";
    for byte in slowly.bytes() {
        stream.write_all(&[byte])?;
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    assert!(answer.contains("answer-1;") && answer.ends_with("answer-2;"), "{answer}");
    Ok(())
}

#[test]
fn old_and_close_delimited_messages_keep_their_end() -> Result<()> {
    let mesh = Mesh::new("old")?;
    let _application = mesh.application(|head, stream| {
        let out = stream.get_mut();
        match head.path() {
            "/chunked" => {
                write!(
                    out,
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
                )?;
                Ok(true)
            }
            "/old" => {
                write!(out, "HTTP/1.0 200 OK\r\nServer: old\r\n\r\nhello world")?;
                Ok(false)
            }
            "/close" => {
                write!(out, "HTTP/1.1 200 OK\r\n\r\nhello world")?;
                Ok(false)
            }
            _ => ok(stream, "hello world"),
        }
    })?;
    for path in ["/chunked", "/old", "/close", "/"] {
        // HTTP/1.0: no chunks, the connection ends unless asked to stay.
        let answer = mesh.ask(format!("GET {path} HTTP/1.0\r\nHost: server\r\n\r\n"))?;
        assert_eq!(body_of(&answer), "hello world", "1.0 {path}: {answer}");
        assert!(!answer.to_ascii_lowercase().contains("transfer-encoding"), "1.0 {path}: {answer}");
        let answer = mesh.client.get(&format!("http://server{path}"))?;
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello world"), "1.1 {path}");
    }
    // A server that ends its connection does not end the client's.
    let mut kept = mesh.client.connection("http://server/")?;
    for path in ["/old", "/close", "/old"] {
        let answer = kept.get(&format!("http://server{path}"))?;
        assert_eq!((answer.text().as_str(), kept.is_open()), ("hello world", true), "kept {path}");
    }
    let mut stream = mesh.open()?;
    for _ in 0..2 {
        write!(stream, "GET / HTTP/1.0\r\nHost: server\r\nConnection: keep-alive\r\n\r\n")?;
        let head = Head::read(&mut BufReader::with_capacity(1, &stream))?;
        assert_eq!(
            head.field("connection").map(str::to_ascii_lowercase).as_deref(),
            Some("keep-alive"),
            "{:?}",
            head.fields
        );
        let mut body = [0; 11];
        stream.read_exact(&mut body)?;
        assert_eq!(&body, b"hello world");
    }
    Ok(())
}

#[test]
fn every_framing_arrives_as_it_was_meant() -> Result<()> {
    let mesh = Mesh::new("framing")?;
    let _application = mesh.application(|head, stream| {
        if head.field("expect").is_some() && head.path() == "/continue" {
            write!(stream.get_mut(), "HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        if head.path() == "/refuse" {
            write!(stream.get_mut(), "HTTP/1.1 417 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
            return Ok(false);
        }
        let body = head.body(stream)?;
        let out = stream.get_mut();
        match head.path() {
            "/204" => write!(out, "HTTP/1.1 204 None\r\n\r\n")?,
            "/304" => write!(out, "HTTP/1.1 304 Same\r\nContent-Length: 500\r\n\r\n")?,
            "/head" => write!(out, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")?,
            "/hints" => {
                write!(out, "HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?
            }
            "/trailers" => write!(
                out,
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n{:x}\r\n",
                body.len()
            )
            .and_then(|()| out.write_all(&body))
            .and_then(|()| write!(out, "\r\n0\r\nx-sum: 7\r\n\r\n"))?,
            _ => {
                write!(out, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())?;
                out.write_all(&body)?;
            }
        }
        Ok(true)
    })?;
    // All on one connection: a message whose end was misjudged spoils the next one.
    let chunked =
        "POST /echo HTTP/1.1\r\nHost: server\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-t: 1\r\n\r\n";
    let mut requests = format!("HEAD /head HTTP/1.1\r\nHost: server\r\n\r\n{chunked}");
    for path in ["/204", "/304", "/hints"] {
        requests += &format!("GET {path} HTTP/1.1\r\nHost: server\r\n\r\n");
    }
    requests +=
        "POST /trailers HTTP/1.1\r\nHost: server\r\nTE: trailers\r\nConnection: TE\r\nContent-Length: 4\r\n\r\nbody";
    requests += &get("/last");
    let answer = mesh.ask(&requests)?;
    let statuses: Vec<&str> =
        answer.split("HTTP/1.1 ").skip(1).map(|part| part.split(' ').next().unwrap_or_default()).collect();
    assert_eq!(statuses, ["200", "200", "204", "304", "103", "200", "200", "200"], "{answer}");
    assert!(answer.contains("hello"), "the chunked body: {answer}");
    assert!(answer.contains("\r\nbody\r\n0\r\nx-sum: 7\r\n\r\n"), "the trailer: {answer}");
    // The client of `Expect` waits for leave before it sends.
    let mut stream = mesh.open()?;
    write!(
        stream,
        "POST /continue HTTP/1.1\r\nHost: server\r\nExpect: 100-continue\r\nContent-Length: 4\r\nConnection: close\r\n\r\n"
    )?;
    let interim = Head::read(&mut BufReader::with_capacity(1, &stream))?;
    assert!(interim.line.starts_with("HTTP/1.1 100"), "{}", interim.line);
    stream.write_all(b"body")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("body"), "{answer}");
    let refused =
        mesh.ask("POST /refuse HTTP/1.1\r\nHost: server\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")?;
    assert!(refused.starts_with("HTTP/1.1 417"), "{refused}");
    Ok(())
}

#[test]
fn upgrades_become_a_stream_and_connect_is_refused() -> Result<()> {
    let mesh = Mesh::new("upgrade")?;
    let application = mesh.application(|head, stream| {
        let upgrade = head.field("upgrade").map(str::to_owned);
        let Some(protocol) = upgrade else { return ok(stream, "no upgrade") };
        write!(
            stream.get_mut(),
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n"
        )?;
        let mut out = stream.get_ref().try_clone()?;
        io::copy(stream, &mut out)?;
        out.shutdown(std::net::Shutdown::Write)?;
        Ok(false)
    })?;
    let mut stream = mesh.open()?;
    // The first bytes of the new protocol come with the request.
    write!(stream, "GET /chat HTTP/1.1\r\nHost: server\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n\x00first")?;
    let head = Head::read(&mut BufReader::with_capacity(1, &stream))?;
    assert!(
        head.line.starts_with("HTTP/1.1 101") && head.field("upgrade") == Some("echo"),
        "{} {:?}",
        head.line,
        head.fields
    );
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n")?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut echo = Vec::new();
    stream.read_to_end(&mut echo)?;
    assert_eq!(echo, b"\x00firstGET / HTTP/1.1\r\n\r\n");
    let before = application.accepted();
    let answer = mesh.ask("CONNECT server:80 HTTP/1.1\r\nHost: server:80\r\nConnection: close\r\n\r\n")?;
    assert!(answer.starts_with("HTTP/1.1 501"), "{answer}");
    assert_eq!(application.accepted(), before, "a tunnel past all rules must not reach the application");
    Ok(())
}

#[test]
fn large_bodies_stream_in_bounded_memory_to_slow_readers_too() -> Result<()> {
    const UPLOAD: usize = 200 * MEGABYTE;
    let mesh = Mesh::new("large")?;
    let _application = mesh.application(|head, stream| {
        if head.path() == "/download" {
            write!(stream.get_mut(), "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 64 * MEGABYTE)?;
            let block = vec![b'd'; MEGABYTE];
            (0..64).try_for_each(|_| stream.get_mut().write_all(&block))?;
            return Ok(true);
        }
        let length: u64 = head.field("content-length").and_then(|length| length.parse().ok()).unwrap_or_default();
        let read = io::copy(&mut Read::take(&mut *stream, length), &mut io::sink())?;
        ok(stream, &read.to_string())
    })?;
    assert!(mesh.ask(get("/"))?.ends_with('0'), "warm");
    let before = mesh.memory()?;
    let mut stream = mesh.open()?;
    let started = Instant::now();
    write!(stream, "POST /up HTTP/1.1\r\nHost: server\r\nConnection: close\r\nContent-Length: {UPLOAD}\r\n\r\n")?;
    let block = vec![b'u'; MEGABYTE];
    for _ in 0..UPLOAD / MEGABYTE {
        stream.write_all(&block)?;
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    assert_eq!(body_of(&answer), UPLOAD.to_string());
    println!("200 MB uploaded in {:?}", started.elapsed());
    // A reader that pauses holds up the sender, not the agents' memory.
    let mut stream = mesh.open()?;
    write!(stream, "{}", get("/download"))?;
    std::thread::sleep(Duration::from_secs(2));
    let during = mesh.memory()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    assert!(answer.len() > 64 * MEGABYTE, "{} bytes", answer.len());
    let after = mesh.memory()?;
    println!("memory of both agents: {before} before, {during} while a reader paused, {after} after");
    assert!(during.max(after) < before + 24 * MEGABYTE as u64, "{before} {during} {after}");
    // A writer that pauses after each byte is waited for.
    let mut stream = mesh.open()?;
    write!(stream, "POST /up HTTP/1.1\r\nHost: server\r\nConnection: close\r\nContent-Length: 20\r\n\r\n")?;
    for _ in 0..20 {
        stream.write_all(b"s")?;
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    assert_eq!(body_of(&answer), "20");
    Ok(())
}

#[test]
fn an_early_answer_reaches_a_client_that_is_still_sending() -> Result<()> {
    let mesh = Mesh::new("early")?;
    let _application = mesh.application(|head, stream| {
        let close = if head.path() == "/cut" { "Connection: close\r\n" } else { "" };
        write!(stream.get_mut(), "HTTP/1.1 413 Too Large\r\n{close}Content-Length: 5\r\n\r\nlarge")?;
        if close.is_empty() {
            head.body(stream)?;
        }
        Ok(close.is_empty())
    })?;
    for path in ["/read", "/cut"] {
        let mut stream = mesh.open()?;
        write!(stream, "POST {path} HTTP/1.1\r\nHost: server\r\nContent-Length: 1000000\r\n\r\nbegin")?;
        let mut reader = BufReader::with_capacity(1, stream.try_clone()?);
        let head = Head::read(&mut reader).with_context(|| format!("{path}: the answer before the body's end"))?;
        assert!(head.line.contains("413"), "{path}: {}", head.line);
        let mut body = [0; 5];
        reader.read_exact(&mut body)?;
        assert_eq!(&body, b"large", "{path}");
    }
    Ok(())
}

#[test]
fn a_message_that_was_cut_is_never_a_shorter_one() -> Result<()> {
    let mesh = Mesh::new("cut")?;
    let cut = Arc::new(AtomicUsize::new(0));
    let (whole, counter) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&cut));
    let bodies = Arc::clone(&whole);
    let _application = mesh.application(move |head, stream| {
        match head.body(stream) {
            Ok(body) if !body.is_empty() => bodies.fetch_add(1, Ordering::SeqCst),
            Ok(_) => 0,
            Err(_) => counter.fetch_add(1, Ordering::SeqCst),
        };
        let out = stream.get_mut();
        match head.path() {
            "/length" => write!(out, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")?,
            "/chunked" => write!(out, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n")?,
            "/reset" => {
                write!(out, "HTTP/1.1 200 OK\r\n\r\nshort")?;
                std::thread::sleep(Duration::from_millis(100));
                SockRef::from(&*out).set_linger(Some(Duration::ZERO))?;
            }
            "/head" => write!(out, "HTTP/1.1 200 OK\r\nContent-Le")?,
            _ => return ok(stream, "whole"),
        }
        Ok(false)
    })?;
    for path in ["/length", "/chunked", "/reset"] {
        for host in ["server".to_owned(), format!("{}:{PORT}", mesh.server.ip())] {
            let answer = mesh.client.get(&format!("http://{host}{path}"));
            assert!(answer.is_err(), "{path}: {answer:?}");
        }
    }
    let answer = mesh.client.get("http://server/head")?;
    assert!((500..600).contains(&answer.status), "{answer:?}");
    // A client that leaves in the middle of its body: the application must not take the part for the whole.
    for framing in ["Content-Length: 1000\r\n\r\npart", "Transfer-Encoding: chunked\r\n\r\n4\r\npart\r\n"] {
        let before = cut.load(Ordering::SeqCst);
        let mut stream = mesh.open()?;
        write!(stream, "POST /body HTTP/1.1\r\nHost: server\r\n{framing}")?;
        std::thread::sleep(Duration::from_millis(100));
        drop(stream);
        weft_testbed::eventually(Duration::from_secs(10), || {
            ensure!(cut.load(Ordering::SeqCst) > before, "{framing:?}: the application still waits");
            Ok(())
        });
    }
    assert_eq!(whole.load(Ordering::SeqCst), 0, "a part was taken for a whole body");
    assert_eq!(mesh.client.get("http://server/")?.text(), "whole", "and the next request is served");
    Ok(())
}
