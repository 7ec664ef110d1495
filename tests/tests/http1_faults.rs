//! Requests under bad conditions: servers that close, refuse or stay silent, hostile bytes, a world that changes all the time.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use socket2::{Domain, Socket, Type};
use weft_testbed::{Cluster, Pod, Program, Server};

/// Where the application listens, behind port 80 of its Service.
const PORT: u16 = 5000;

fn pair(name: &str) -> Result<(Cluster, Pod, Pod)> {
    let cluster = Cluster::mesh(name)?;
    cluster.service("server").port(80, PORT).apply()?;
    let server = cluster.workload("server").node("b").start()?;
    let client = cluster.workload("client").node("a").start()?;
    server.wait_captured(true)?;
    client.wait_captured(true)?;
    Ok((cluster, client, server))
}

fn outsider(cluster: &Cluster, name: &str) -> Result<Pod> {
    cluster.workload(name).node("b").label("sidecar.istio.io/inject", "false").start()
}

/// Reads up to the end of a request's head; `None` when the client has ended.
fn head(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        bytes.push(byte[0]);
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn ok(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
}

/// Says that connections stay, and closes each after some requests, at once or after a pause.
fn fickle(server: &Pod) -> Result<Server> {
    let count = AtomicUsize::new(0);
    server.serve(PORT, move |mut stream, _| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        for _ in 0..=number % 4 {
            if head(&mut stream).is_none() || ok(&mut stream).is_err() {
                return;
            }
        }
        std::thread::sleep(Duration::from_millis((number % 3) as u64 * 7));
    })
}

#[test]
fn a_server_that_closes_idle_connections_fails_no_request() -> Result<()> {
    let (cluster, client, server) = pair("fickle")?;
    let application = fickle(&server)?;
    let direct = outsider(&cluster, "direct")?;
    let _other = fickle(&direct)?;
    let mut kept = client.connection("http://server/")?;
    for number in 0..200_u64 {
        let answer = kept.get("http://server/").with_context(|| format!("request {number}"))?;
        ensure!(answer.status == 200, "request {number}: {answer:?}");
        // Some pauses are as long as the server's, so that its FIN crosses the request.
        std::thread::sleep(Duration::from_millis(number % 5 * 4));
    }
    ensure!(application.accepted() > 50, "{} connections", application.accepted());
    // An application outside the mesh is reached over the client's own pool.
    let url = format!("http://{}:{PORT}/", direct.ip());
    let mut kept = client.connection(&url)?;
    for number in 0..100_u64 {
        let answer = kept.get(&url).with_context(|| format!("request {number}"))?;
        ensure!(answer.status == 200, "request {number}: {answer:?}");
        std::thread::sleep(Duration::from_millis(number % 5 * 4));
    }
    Ok(())
}

/// The mesh answers in the name of a server that ended: the body it has passed on is behind it, and what follows is the next request.
#[test]
fn the_request_behind_a_failed_one_is_read_from_its_beginning() -> Result<()> {
    let (cluster, client, _server) = pair("failed-pipeline")?;
    let direct = outsider(&cluster, "direct")?;
    let _application = direct.serve(PORT, |mut stream, _| {
        while let Some(head) = head(&mut stream) {
            if head.starts_with("POST") || ok(&mut stream).is_err() {
                // Taken, and never answered.
                let _ = stream.read(&mut [0; 64]);
                return;
            }
        }
    })?;
    let address = format!("{}:{PORT}", direct.ip());
    let mut stream = client.connect(&address)?;
    let first = format!("POST / HTTP/1.1\r\nHost: {address}\r\nContent-Length: 20\r\n\r\n{}", "x".repeat(20));
    let second = format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all((first + &second).as_bytes())?;
    let mut answers = String::new();
    stream.read_to_string(&mut answers)?;
    let statuses: Vec<_> = answers.match_indices("HTTP/1.1 ").map(|(at, _)| &answers[at + 9..at + 12]).collect();
    ensure!(statuses == ["503", "200"], "{answers}");
    Ok(())
}

#[test]
fn unreachable_applications_are_named() -> Result<()> {
    let (cluster, client, server) = pair("refused")?;
    for url in ["http://server/".to_owned(), format!("http://[{}]:{PORT}/", server.ip6())] {
        let answer = client.get(&url)?;
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.text().contains("delayed connect error: 111"), "{url}: {}", answer.text());
        assert!(answer.elapsed < Duration::from_secs(2), "{url}: known only after {:?}", answer.elapsed);
    }
    let outside = outsider(&cluster, "outside")?;
    let answer = client.get(&format!("http://{}:4444/", outside.ip()))?;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.text().contains("delayed connect error: 111"), "{}", answer.text());
    // Its queue is full: nothing answers the SYN.
    let (address, backlog) = (std::net::SocketAddr::new(outside.ip(), 4445), 0);
    let silent = outside.netns().run(|| -> std::io::Result<Socket> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&address.into())?;
        socket.listen(backlog)?;
        Ok(socket)
    })??;
    let node = cluster.on_node("b")?;
    let _filling = node.connect(&address.to_string())?;
    let started = Instant::now();
    let answer = client.request("GET", &format!("http://{address}/")).timeout(Duration::from_secs(60)).send()?;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.text().contains("timeout"), "{}", answer.text());
    println!("an endpoint that never answers is given up after {:?}", started.elapsed());
    drop((silent, server));
    Ok(())
}

/// What two parsers could read as different messages, each with a second request inside.
fn smuggling() -> Vec<(&'static str, Vec<u8>)> {
    let inner = "GET /smuggled HTTP/1.1\r\nHost: server\r\n\r\n";
    let post =
        |fields: &str, body: &str| format!("POST / HTTP/1.1\r\nHost: server\r\n{fields}\r\n\r\n{body}").into_bytes();
    let chunked = format!("0\r\n\r\n{inner}");
    let length = inner.len();
    vec![
        (
            "length and chunked",
            post(&format!("Content-Length: {}\r\nTransfer-Encoding: chunked", chunked.len()), &chunked),
        ),
        ("chunked and length", post("Transfer-Encoding: chunked\r\nContent-Length: 4", &chunked)),
        ("two lengths", post(&format!("Content-Length: 0\r\nContent-Length: {length}"), inner)),
        ("a list of lengths", post(&format!("Content-Length: 0, {length}"), inner)),
        ("a signed length", post("Content-Length: +0", inner)),
        ("a hexadecimal length", post("Content-Length: 0x0", inner)),
        ("bare line feeds", format!("POST / HTTP/1.1\nHost: server\nContent-Length: 0\n\n{inner}").into_bytes()),
        ("a bare line feed in a field", post("X: a\nContent-Length: 0", inner)),
        ("a bare carriage return", post("X: a\rTransfer-Encoding: chunked", &chunked)),
        ("a folded line", post("X: a\r\n Transfer-Encoding: chunked\r\nContent-Length: 0", inner)),
        ("a space before the colon", post("Transfer-Encoding : chunked", &chunked)),
        ("an unknown coding", post("Transfer-Encoding: xchunked", &chunked)),
        ("chunked not last", post("Transfer-Encoding: chunked, identity", &chunked)),
        ("chunked twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", &chunked)),
        ("a vertical tab", post("Transfer-Encoding: \u{b}chunked", &chunked)),
        ("no field name", post(": x\r\nContent-Length: 0", inner)),
        ("a null", post("X: a\0b\r\nContent-Length: 0", inner)),
        ("a chunk that is too long", post("Transfer-Encoding: chunked", &format!("1\r\nab\r\n0\r\n\r\n{inner}"))),
        ("a chunk size that overflows", post("Transfer-Encoding: chunked", &format!("10000000000000000\r\n{inner}"))),
        ("a chunk with a bare line feed", post("Transfer-Encoding: chunked", &format!("0\n\n{inner}"))),
        ("chunks in HTTP/1.0", format!("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}").into_bytes()),
    ]
}

#[test]
fn nothing_is_smuggled_past_either_side() -> Result<()> {
    let (cluster, client, server) = pair("smuggle")?;
    let stranger = outsider(&cluster, "stranger")?;
    let seen = Arc::new(std::sync::Mutex::new(Vec::<String>::new()));
    let log = Arc::clone(&seen);
    let _application = server.serve(PORT, move |mut stream, _| {
        let mut text = Vec::new();
        let _ = stream.set_read_timeout(Some(Duration::from_millis(300)));
        let mut block = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut block) {
            text.extend_from_slice(&block[..count]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
        log.lock().expect("no panic").push(String::from_utf8_lossy(&text).into_owned());
    })?;
    let ways = [("out", &client, "server:80".to_owned()), ("in", &stranger, format!("{}:{PORT}", server.ip()))];
    for (way, place, address) in &ways {
        for (what, bytes) in smuggling() {
            let mut stream = place.connect(address)?;
            stream.write_all(&bytes)?;
            let mut answer = Vec::new();
            // A reset after the answer is the end, too.
            let _ = stream.read_to_end(&mut answer);
            let answer = String::from_utf8_lossy(&answer).into_owned();
            let statuses: Vec<&str> = answer.lines().filter(|line| line.starts_with("HTTP/1.")).collect();
            assert!(statuses.len() <= 1, "{way}, {what}: {statuses:?}");
            let refused = statuses.first().is_none_or(|line| [" 400", " 501", " 505"].iter().any(|s| line.contains(s)));
            assert!(refused, "{way}, {what}: {answer}");
            assert!(!statuses.is_empty() || what.contains("chunk"), "{way}, {what}: refused without a word");
        }
    }
    let good = client.get("http://server/")?;
    assert_eq!(good.status, 200, "a good request still passes");
    std::thread::sleep(Duration::from_millis(400));
    for text in seen.lock().expect("no panic").iter() {
        assert!(!text.contains("/smuggled"), "the application saw {text:?}");
    }
    Ok(())
}

#[test]
fn heads_have_limits() -> Result<()> {
    let (_cluster, client, server) = pair("limits")?;
    let application =
        server.serve(PORT, |mut stream, _| while head(&mut stream).is_some() && ok(&mut stream).is_ok() {})?;
    let fields = |count: usize| (0..count).map(|number| format!("X-{number}: v\r\n")).collect::<String>();
    let ask = |extra: &str| -> Result<String> {
        let mut stream = client.connect("server:80")?;
        // The end of the head may come after the answer.
        let _ = write!(stream, "GET / HTTP/1.1\r\nHost: server\r\nConnection: close\r\n{extra}\r\n");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    assert!(ask(&fields(50))?.starts_with("HTTP/1.1 200"));
    assert!(ask(&format!("X: {}\r\n", "v".repeat(16_000)))?.starts_with("HTTP/1.1 200"));
    let before = application.accepted();
    for extra in [fields(2000), format!("X: {}\r\n", "v".repeat(200_000))] {
        let answer = ask(&extra)?;
        assert!(answer.starts_with("HTTP/1.1 431"), "{}", &answer[..answer.len().min(100)]);
    }
    assert_eq!(application.accepted(), before);
    Ok(())
}

const CANARY: &str = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: web}\nspec:\n  host: web\n  \
    subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]\n---\n";

fn shares(v1: u32) -> String {
    format!(
        "{CANARY}apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: web}}\nspec:\n  hosts: [web]\n  http:\n  \
         - route:\n    - {{destination: {{host: web, subset: v1}}, weight: {v1}}}\n    - {{destination: {{host: web, subset: v2}}, weight: {}}}\n",
        100 - v1
    )
}

/// wrk's script: counts the answers of each version, and those that are wrong.
const SCRIPT: &str = r#"
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init(args) v1 = 0 v2 = 0 bad = 0 end
function response(status, headers, body)
  if status ~= 200 then bad = bad + 1
  elseif string.find(body, '"hostname":"web-v1', 1, true) then v1 = v1 + 1
  elseif string.find(body, '"hostname":"web-v2', 1, true) then v2 = v2 + 1
  else bad = bad + 1 end
end
function done(summary, latency, requests)
  local a, b, c = 0, 0, 0
  for _, t in ipairs(threads) do a = a + t:get("v1") b = b + t:get("v2") c = c + t:get("bad") end
  local e = summary.errors
  print(string.format("RESULT %d %d %d %d", a, b, c, e.connect + e.read + e.write + e.timeout))
end
"#;

#[test]
fn a_canary_switched_every_second_fails_no_request() -> Result<()> {
    let cluster = Cluster::mesh("canary")?;
    cluster.service("web").port(80, PORT).apply()?;
    for (version, node) in [("v1", "b"), ("v2", "a")] {
        let workload =
            cluster.workload(&format!("web-{version}")).node(node).label("app", "web").label("version", version);
        workload.program(Program::Echo { port: PORT }).start()?.wait_captured(true)?;
    }
    cluster.apply(&shares(80))?;
    let client = cluster.workload("client").node("a").start()?;
    client.wait_captured(true)?;
    let script = cluster.dir().join("canary.lua");
    std::fs::write(&script, SCRIPT)?;
    weft_testbed::eventually(Duration::from_secs(10), || {
        ensure!(client.get("http://web/")?.status == 200);
        Ok(())
    });
    let (mut totals, started) = ([0_u64; 4], Instant::now());
    while totals[0] + totals[1] < 100_000 && started.elapsed() < Duration::from_secs(35) {
        let results = std::thread::scope(|scope| -> Result<String> {
            let load = scope.spawn(|| {
                let script = script.display().to_string();
                client.exec("wrk", &["-t2", "-c32", "-d8", "--timeout", "10", "-s", &script, "http://web/"])
            });
            let mut turn = 0;
            while !load.is_finished() {
                // The sum of the two is what counts: 80 % and 60 % in turn.
                cluster.apply(&shares(if turn % 2 == 0 { 60 } else { 80 }))?;
                turn += 1;
                std::thread::sleep(Duration::from_secs(1));
            }
            Ok(load.join().expect("no panic")?.stdout)
        })?;
        let line = results.lines().find_map(|line| line.strip_prefix("RESULT ")).with_context(|| results.clone())?;
        for (total, number) in totals.iter_mut().zip(line.split(' ')) {
            *total += number.parse::<u64>()?;
        }
    }
    let [v1, v2, bad, errors] = totals;
    println!("{} requests in {:?}, {v1} to v1", v1 + v2, started.elapsed());
    assert_eq!((bad, errors), (0, 0), "{totals:?}");
    let share = v1 as f64 / (v1 + v2) as f64;
    assert!((0.64..0.76).contains(&share), "v1 got {share}");
    Ok(())
}
