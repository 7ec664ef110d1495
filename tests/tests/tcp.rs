//! Bytes that are not HTTP: they arrive as they were sent, end as they were ended, and nobody waits for them in vain.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use socket2::SockRef;
use weft_testbed::{Cluster, Place, Pod, Program};

/// The declared TCP port of Service `server`; its other ports say nothing of what they speak.
const TCP: u16 = 9000;
/// A port without a declaration.
const UNDECLARED: u16 = 9001;
const MEGABYTE: usize = 1024 * 1024;

struct Mesh {
    cluster: Cluster,
    client: Pod,
    server: Pod,
}

impl Mesh {
    fn new(name: &str) -> Result<Self> {
        let cluster = Cluster::mesh(name)?;
        let service = cluster.service("server").named_port("tcp", TCP, TCP).named_port("any", UNDECLARED, UNDECLARED);
        service.named_port("mysql-db", 33060, 33060).named_port("mail", 25, 25).apply()?;
        let server = cluster.workload("server").node("b").start()?;
        let client = cluster.workload("client").node("a").start()?;
        server.wait_captured(true)?;
        client.wait_captured(true)?;
        Ok(Self { cluster, client, server })
    }
}

fn outsider(cluster: &Cluster, name: &str) -> Result<Pod> {
    cluster.workload(name).node("a").label("sidecar.istio.io/inject", "false").start()
}

fn peer_authentication(mode: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {{name: default}}\nspec: {{mtls: {{mode: {mode}}}}}\n"
    )
}

/// What a client sees when its connection is reset, now or at its next word.
fn is_reset(stream: &mut TcpStream) -> Result<()> {
    let mut byte = [0];
    match stream.read(&mut byte) {
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(()),
        other => anyhow::bail!("not reset: {other:?}"),
    }
}

#[test]
fn bytes_arrive_whole_and_each_side_ends_for_itself() -> Result<()> {
    let mesh = Mesh::new("bytes")?;
    let _server = mesh.server.serve(TCP, |stream, _| {
        let copy = || -> io::Result<()> {
            let mut mode = [0];
            (&stream).read_exact(&mut mode)?;
            if mode[0] == b'e' {
                // Echo until the client has ended, and end then.
                io::copy(&mut &stream, &mut &stream)?;
                return stream.shutdown(Shutdown::Write);
            }
            // Say something and end; what the client says after that is still heard.
            (&stream).write_all(b"the end")?;
            stream.shutdown(Shutdown::Write)?;
            let mut rest = String::new();
            (&stream).read_to_string(&mut rest)?;
            HEARD.lock().map_err(|_| io::ErrorKind::Other)?.push(rest);
            Ok(())
        };
        let _ = copy();
    })?;
    for address in
        [format!("server:{TCP}"), format!("{}:{TCP}", mesh.server.ip()), format!("[{}]:{TCP}", mesh.server.ip6())]
    {
        let mut stream = mesh.client.connect(&address)?;
        stream.write_all(b"e\0")?;
        let mut byte = [9];
        stream.read_exact(&mut byte)?;
        assert_eq!(byte, [0], "{address}: one byte, there and back");
        stream.shutdown(Shutdown::Write)?;
        assert_eq!(stream.read(&mut byte)?, 0, "{address}: the client ended first");
    }
    let mut stream = mesh.client.connect(&format!("server:{TCP}"))?;
    stream.write_all(b"s")?;
    let mut said = String::new();
    stream.read_to_string(&mut said)?;
    assert_eq!(said, "the end", "the server ended first");
    stream.write_all(b"one more word")?;
    drop(stream);
    weft_testbed::eventually(Duration::from_secs(10), || {
        ensure!(HEARD.lock().expect("no panic").contains(&"one more word".to_owned()), "it was not heard");
        Ok(())
    });
    // 100 MB each way at once; a byte that is lost or changes place changes the sum.
    let stream = mesh.client.connect(&format!("server:{TCP}"))?;
    let mut writer = stream.try_clone()?;
    let started = Instant::now();
    let sending = std::thread::spawn(move || -> io::Result<u64> {
        writer.write_all(b"e")?;
        let (mut sum, mut block) = (0, vec![0_u8; MEGABYTE]);
        for number in 0..100_u64 {
            block.iter_mut().enumerate().for_each(|(place, byte)| *byte = (place as u64 * 31 + number) as u8);
            sum = block.iter().fold(sum, |sum, byte| mix(sum, *byte));
            writer.write_all(&block)?;
        }
        writer.shutdown(Shutdown::Write)?;
        Ok(sum)
    });
    let (mut count, mut sum, mut block, mut reader) = (0, 0, vec![0; MEGABYTE], stream);
    loop {
        let read = reader.read(&mut block)?;
        if read == 0 {
            break;
        }
        count += read;
        sum = block[..read].iter().fold(sum, |sum, byte| mix(sum, *byte));
    }
    assert_eq!((count, sum), (100 * MEGABYTE, sending.join().expect("no panic")?));
    println!("100 MB there and back in {:?}", started.elapsed());
    Ok(())
}

static HEARD: std::sync::Mutex<Vec<String>> = std::sync::Mutex::new(Vec::new());

fn mix(sum: u64, byte: u8) -> u64 {
    (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
}

#[test]
fn a_reset_of_either_side_arrives_as_a_reset() -> Result<()> {
    let mesh = Mesh::new("reset")?;
    let (sender, seen) = channel();
    let _server = mesh.server.serve(TCP, move |mut stream, _| {
        let mut word = [0; 4];
        if stream.read_exact(&mut word).is_ok() && &word == b"rst!" {
            let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            return;
        }
        let _ = sender.send(stream.read(&mut word).map_err(|error| error.kind()));
    })?;
    let address = format!("server:{TCP}");
    let mut stream = mesh.client.connect(&address)?;
    stream.write_all(b"rst!")?;
    is_reset(&mut stream).context("the server's reset")?;
    let mut stream = mesh.client.connect(&address)?;
    stream.write_all(b"wait")?;
    std::thread::sleep(Duration::from_millis(500));
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    drop(stream);
    let ended = seen.recv_timeout(Duration::from_secs(10)).context("the server waits for ever")?;
    assert_eq!(ended, Err(ErrorKind::ConnectionReset), "the client's reset");
    // An end is no reset.
    let mut stream = mesh.client.connect(&address)?;
    stream.write_all(b"wait")?;
    stream.shutdown(Shutdown::Write)?;
    assert_eq!(seen.recv_timeout(Duration::from_secs(10))?, Ok(0), "the client's end");
    // Nobody listens: the connect cannot fail any more, so the client sees a reset, and soon.
    let started = Instant::now();
    let mut stream = mesh.client.connect("server:33060")?;
    match stream.write_all(b"x") {
        Ok(()) => is_reset(&mut stream).context("nobody listens")?,
        // It came before the byte left; the error is told once.
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "nobody listens"),
    }
    assert!(started.elapsed() < Duration::from_secs(2), "known only after {:?}", started.elapsed());
    Ok(())
}

#[test]
fn servers_that_speak_first_are_heard_at_once() -> Result<()> {
    let mesh = Mesh::new("greeting")?;
    let greet = |mut stream: TcpStream, _| {
        let _ = stream.write_all(b"220 welcome\r\n");
        let mut word = [0; 4];
        if stream.read_exact(&mut word).is_ok() {
            let _ = stream.write_all(&word);
        }
    };
    let _servers = [UNDECLARED, 25, 33060, 9999].map(|port| mesh.server.serve(port, greet));
    let stranger = outsider(&mesh.cluster, "stranger")?;
    for (client, way) in [(&mesh.client, "mesh"), (&stranger, "plain")] {
        for (port, what) in [(UNDECLARED, "undeclared"), (25, "known"), (33060, "declared"), (9999, "no Service")] {
            let address = if port == 9999 { format!("{}:{port}", mesh.server.ip()) } else { format!("server:{port}") };
            // The best of three: a busy machine has hiccups, a stall is there each time.
            let waits = (0..3).map(|_| greeted(client, &address)).collect::<Result<Vec<_>>>();
            let waited = waits.with_context(|| format!("{way}, {what}"))?.into_iter().min().unwrap_or_default();
            println!("{way}, {what}: greeted after {waited:?}");
            assert!(waited < Duration::from_secs(1), "{way}, {what}: greeted after {waited:?}");
        }
    }
    Ok(())
}

/// Waits for the greeting, answers it, and returns how long it took to come.
fn greeted(client: &Place, address: &str) -> Result<Duration> {
    let mut stream = BufReader::new(client.connect(address)?);
    let started = Instant::now();
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let waited = started.elapsed();
    ensure!(line == "220 welcome\r\n", "{line:?}");
    stream.get_mut().write_all(b"HELO")?;
    let mut word = [0; 4];
    stream.read_exact(&mut word)?;
    ensure!(&word == b"HELO", "{word:?}");
    Ok(waited)
}

#[test]
fn a_client_that_thinks_before_it_speaks_http_is_routed() -> Result<()> {
    let mesh = Mesh::new("late-http")?;
    for name in ["web", "other"] {
        mesh.cluster.service(name).named_port("any", 9001, 9001).apply()?;
        let pod = mesh.cluster.workload(name).node("b").program(Program::Echo { port: 9001 }).start()?;
        pod.wait_captured(true)?;
    }
    mesh.cluster.apply(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: web}\nspec:\n  hosts: [web]\n  http:\n  \
         - match: [{headers: {x-user: {exact: tester}}}]\n    route: [{destination: {host: other}}]\n  - route: [{destination: {host: web}}]\n",
    )?;
    std::thread::sleep(Duration::from_millis(500));
    for (silence, user, expected) in [(2000, "tester", "other-"), (2000, "nobody", "web-"), (0, "tester", "other-")] {
        let mut stream = mesh.client.connect("web:9001")?;
        std::thread::sleep(Duration::from_millis(silence));
        write!(stream, "GET / HTTP/1.1\r\nHost: web:9001\r\nX-User: {user}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        assert!(answer.contains(&format!("\"hostname\":\"{expected}")), "{silence} ms, {user}: {answer}");
        assert!(answer.contains("x-forwarded-client-cert"), "{silence} ms, {user}: {answer}");
    }
    Ok(())
}

#[test]
fn http2_passes_untouched_on_a_port_declared_tcp() -> Result<()> {
    let mesh = Mesh::new("h2")?;
    mesh.cluster.service("web").named_port("tcp-web", 80, 7000).selector("app", "server").apply()?;
    let _server = mesh.server.serve(7000, |stream, _| {
        let _ = io::copy(&mut &stream, &mut &stream);
    })?;
    // HTTP/2 with prior knowledge: the preface and an empty SETTINGS frame.
    let bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
    let mut stream = mesh.client.connect("web:80")?;
    stream.write_all(bytes)?;
    let mut echo = vec![0; bytes.len()];
    stream.read_exact(&mut echo)?;
    assert_eq!(echo, bytes);
    Ok(())
}

/// An `openssl s_server` that echoes what clients say, reversed.
fn tls_server(server: &Pod, directory: &Path) -> Result<weft_testbed::Process> {
    let (key, cert) = (directory.join("key.pem"), directory.join("cert.pem"));
    let (key, cert) = (key.display().to_string(), cert.display().to_string());
    let made = server.exec(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            &key,
            "-out",
            &cert,
            "-subj",
            "/CN=own.example",
            "-days",
            "2",
        ],
    )?;
    ensure!(made.code() == 0, "{made:?}");
    let process = server.spawn(
        "openssl",
        &["s_server", "-accept", "8443", "-key", &key, "-cert", &cert, "-alpn", "h2,http/1.1", "-rev", "-quiet"],
    )?;
    weft_testbed::eventually(Duration::from_secs(10), || {
        server.connect("127.0.0.1:8443")?;
        Ok(())
    });
    Ok(process)
}

/// Speaks TLS to the server from `place`; returns what openssl says of it.
fn tls_client(place: &Place, server: &Pod) -> Result<String> {
    let line = format!(
        "(echo hello; sleep 3) | timeout 8 openssl s_client -connect {}:8443 -alpn h2,http/1.1 2>&1",
        server.ip()
    );
    Ok(place.exec("sh", &["-c", &line])?.stdout)
}

#[test]
fn tls_of_the_applications_own_passes_untouched_unless_mtls_is_required() -> Result<()> {
    let mesh = Mesh::new("own-tls")?;
    let stranger = outsider(&mesh.cluster, "stranger")?;
    let _serving = tls_server(&mesh.server, &mesh.cluster.dir())?;
    let wire = mesh.server.capture("eth0", 8443)?;
    for (place, way) in [(&stranger, "plain"), (&mesh.client, "mesh")] {
        weft_testbed::eventually(Duration::from_secs(20), || {
            let said = tls_client(place, &mesh.server)?;
            let whole = ["ALPN protocol: h2", "CN = own.example", "olleh"].iter().all(|part| said.contains(part));
            ensure!(whole, "{way}: {said}");
            Ok(())
        });
    }
    assert!(!wire.packets().is_empty());
    mesh.cluster.apply(&peer_authentication("STRICT"))?;
    weft_testbed::eventually(Duration::from_secs(10), || {
        let said = tls_client(&stranger, &mesh.server)?;
        ensure!(!said.contains("olleh") && !said.contains("own.example"), "STRICT let it pass: {said}");
        Ok(())
    });
    weft_testbed::eventually(Duration::from_secs(20), || {
        let said = tls_client(&mesh.client, &mesh.server)?;
        ensure!(said.contains("olleh"), "inside mesh mTLS it passes: {said}");
        Ok(())
    });
    Ok(())
}

/// Address translation (a NodePort, a load balancer) chooses source ports from 1024 on; the application is dialled in
/// the client's name with ports of the agent's choice. Neither may be taken for the other.
#[test]
fn clients_whose_ports_were_translated_are_nobody_else() -> Result<()> {
    let mesh = Mesh::new("translated")?;
    let _server = mesh.server.serve(TCP, |stream, client| {
        // The application names who it talks to, and goes on talking, for as long as the client does.
        let _ = stream.set_read_timeout(None);
        let mut reader = BufReader::new(&stream);
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|length| length > 0) {
            if (&stream).write_all(format!("{} {line}", client.ip()).as_bytes()).is_err() {
                break;
            }
            line.clear();
        }
    })?;
    let stranger = outsider(&mesh.cluster, "stranger")?;
    let address = std::net::SocketAddr::new(mesh.server.ip(), TCP);
    let says = |stream: &mut TcpStream, word: &str| -> Result<()> {
        writeln!(stream, "{word}")?;
        let mut line = String::new();
        BufReader::new(&*stream).read_line(&mut line)?;
        ensure!(line.trim_end() == format!("{} {word}", stranger.ip()), "{line:?} came back");
        Ok(())
    };
    // Nearly as many as fit into the ports below 1024, each held while the others come.
    let (mut held, started) = (Vec::new(), Instant::now());
    for port in (1024..32_000).step_by(32) {
        let mut stream = stranger.connect_from(port, address).with_context(|| format!("from port {port}"))?;
        says(&mut stream, "hello").with_context(|| format!("from port {port}"))?;
        held.push(stream);
    }
    println!("{} connections in {:?}", held.len(), started.elapsed());
    // None of the ports that are in use for them is taken from the pod's own servers.
    for port in 1..1024 {
        mesh.server.listen(port)?;
    }
    for stream in &mut held {
        says(stream, "still here")?;
    }
    println!("second words after {:?}", started.elapsed());
    Ok(())
}
