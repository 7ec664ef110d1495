//! Starts the real binary on loopback ports chosen by the kernel, and speaks plain HTTP to it.
//!
//! Used by the integration tests of this folder. Every process ends with its handle, also after a failed assertion.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// How long a process may take to listen or to end, and an answer to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// The program under test.
pub fn demo_app() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo-app"));
    command.env("LISTEN", "127.0.0.1").env("SVC_PORT", "0").env("SVC_METRICS_PORT", "0");
    command
}

/// A running server.
pub struct Server {
    child: Child,
    addresses: Vec<SocketAddr>,
    log: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Starts the command and waits until it says where it listens.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let (announce, announced) = mpsc::channel();
        let lines = log.clone();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if line.contains("listens on ") {
                    let _ = announce.send(line.clone());
                }
                lines.lock().unwrap().push(line);
            }
        });
        let mut server = Self { child, addresses: Vec::new(), log };
        let line = announced.recv_timeout(PATIENCE).expect("the server says where it listens");
        server.addresses = line.split([' ', ',']).filter_map(|word| word.parse().ok()).collect();
        server
    }

    /// Starts a role of the sentences application.
    pub fn role(mode: &str, variables: &[(&str, &str)]) -> Self {
        Self::start(demo_app().arg("sentences").env("SENTENCE_MODE", mode).envs(variables.iter().copied()))
    }

    /// Starts a helper with these arguments and a port of the kernel's choice.
    pub fn helper(arguments: &[&str]) -> Self {
        Self::start(demo_app().args(arguments).args(["--port", "0"]))
    }

    /// The (first) listening address.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// The URL of a path on the first address.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// The value of `sentence_requests_total{type=role}` on the metrics port.
    pub fn counted(&self, role: &str) -> f64 {
        let exposition = get(self.addresses[1], "/metrics").body;
        let series = format!("sentence_requests_total{{type=\"{role}\"}} ");
        exposition.lines().find_map(|line| line.strip_prefix(&series)).map_or(0.0, |value| value.parse().unwrap())
    }

    /// Waits until a log line satisfies the condition.
    pub fn wait_for_log(&self, condition: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !self.log.lock().unwrap().iter().any(|line| condition(line)) {
            assert!(Instant::now() < deadline, "no such line in {:#?}", self.log.lock().unwrap());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends SIGTERM and waits for the end.
    pub fn terminate(&mut self) -> ExitStatus {
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the process ignores SIGTERM");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A response: everything up to the empty line, and everything behind it.
#[derive(Debug)]
pub struct Answer {
    pub head: String,
    pub body: String,
}

impl Answer {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

/// Sends raw bytes on a new connection and reads until the server closes.
pub fn exchange(address: SocketAddr, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").expect("a response head");
    Answer { head: head.to_owned(), body: body.to_owned() }
}

/// GETs a path with `Connection: close`.
pub fn get(address: SocketAddr, path: &str) -> Answer {
    get_with(address, path, "")
}

/// GETs a path with more header lines, each ending in CRLF.
pub fn get_with(address: SocketAddr, path: &str, lines: &str) -> Answer {
    exchange(address, format!("GET {path} HTTP/1.1\r\nHost: h\r\n{lines}Connection: close\r\n\r\n").as_bytes())
}
