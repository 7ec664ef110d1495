//! Requests from a place, with the exact way they fail.
//!
//! Names resolve as the place says, and the socket is opened where it is ([`Origin`]).

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::answers::Answers;
use crate::http::{Response, read_response, write_request};
use crate::origin::{Origin, at};
use crate::url::Url;

/// How long a request may take unless it says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// How a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureKind {
    /// The name or URL means nothing here.
    NotFound,
    /// ECONNREFUSED.
    Refused,
    /// ECONNRESET or EPIPE.
    Reset,
    /// Nothing came in time.
    Timeout,
    /// EPERM or EACCES: the kernel side refused the connection.
    NotPermitted,
    /// EHOSTUNREACH or ENETUNREACH.
    Unreachable,
    /// An orderly end before the response was complete.
    Closed,
    /// What came is not HTTP.
    Malformed,
    /// Anything else.
    Other,
}

/// The step that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Looking up the name.
    Resolve,
    /// Opening the connection.
    Connect,
    /// Sending the request.
    Send,
    /// Waiting for and reading the response.
    Receive,
}

/// A request without a response.
#[derive(Debug)]
pub struct Failure {
    /// How it failed.
    pub kind: FailureKind,
    /// Where it failed.
    pub step: Step,
    /// What the system said.
    pub source: io::Error,
    /// After how long.
    pub elapsed: Duration,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {:?} after {:?}: {}", self.kind, self.step, self.elapsed, self.source)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl Failure {
    fn new(step: Step, started: Instant, source: io::Error) -> Self {
        Self { kind: kind_of(&source), step, source, elapsed: started.elapsed() }
    }
}

/// Sorts an error of the system into the kinds that tests tell apart.
pub(crate) fn kind_of(error: &io::Error) -> FailureKind {
    match (error.raw_os_error(), error.kind()) {
        (Some(libc::ECONNREFUSED), _) => FailureKind::Refused,
        (Some(libc::ECONNRESET | libc::EPIPE), _) => FailureKind::Reset,
        (Some(libc::ETIMEDOUT | libc::EAGAIN | libc::EINPROGRESS), _) | (_, io::ErrorKind::TimedOut) => {
            FailureKind::Timeout
        }
        (Some(libc::EPERM | libc::EACCES), _) => FailureKind::NotPermitted,
        (Some(libc::EHOSTUNREACH | libc::ENETUNREACH), _) => FailureKind::Unreachable,
        (_, io::ErrorKind::UnexpectedEof) => FailureKind::Closed,
        (_, io::ErrorKind::InvalidData) => FailureKind::Malformed,
        (_, io::ErrorKind::NotFound | io::ErrorKind::InvalidInput) => FailureKind::NotFound,
        _ => FailureKind::Other,
    }
}

/// A request being put together.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    origin: &'a dyn Origin,
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    timeout: Duration,
}

impl<'a> Request<'a> {
    /// A request that begins at `origin`.
    pub fn new(origin: &'a dyn Origin, method: &str, url: &str) -> Self {
        let (method, url) = (method.to_owned(), url.to_owned());
        Self { origin, method, url, headers: Vec::new(), body: Vec::new(), timeout: DEFAULT_TIMEOUT }
    }

    /// Adds a header; a `Host` replaces the URL's.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets how long connecting may take, and how long the server may be silent after that (10 s).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sends it over a connection of its own.
    pub fn send(&self) -> Result<Response, Failure> {
        let started = Instant::now();
        at(self.origin, || self.send_from_here(started))
            .unwrap_or_else(|error| Err(Failure::new(Step::Connect, started, error)))
    }

    /// Sends it from where the calling thread is.
    fn send_from_here(&self, started: Instant) -> Result<Response, Failure> {
        let mut connection = HttpConnection::open_here(self.origin, &self.url, self.timeout, started)?;
        connection.exchange(&self.method, &self.url, &self.headers, &self.body, false, started)
    }

    /// Sends it `count` times over as many connections, `parallel` at a time.
    pub fn send_many(&self, count: usize, parallel: usize) -> Answers {
        let next = AtomicUsize::new(0);
        let results = Mutex::new(Vec::with_capacity(count));
        let started = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..parallel.max(1) {
                scope.spawn(|| {
                    let entered = self.origin.enter();
                    while next.fetch_add(1, Ordering::Relaxed) < count {
                        let begun = Instant::now();
                        let result = match &entered {
                            Ok(()) => self.send_from_here(begun),
                            Err(error) => Err(Failure::new(Step::Connect, begun, io::Error::other(error.to_string()))),
                        };
                        results.lock().unwrap_or_else(PoisonError::into_inner).push(result);
                    }
                });
            }
        });
        Answers { results: results.into_inner().unwrap_or_else(PoisonError::into_inner), elapsed: started.elapsed() }
    }
}

/// A connection that stays open between requests.
#[derive(Debug)]
pub struct HttpConnection {
    stream: TcpStream,
    spare: Vec<u8>,
    open: bool,
}

impl HttpConnection {
    /// Connects from `origin` to the URL's host and port; `timeout` also bounds each later read and write.
    pub fn open(origin: &dyn Origin, url: &str, timeout: Duration) -> Result<Self, Failure> {
        let started = Instant::now();
        at(origin, || Self::open_here(origin, url, timeout, started))
            .unwrap_or_else(|error| Err(Failure::new(Step::Connect, started, error)))
    }

    fn open_here(origin: &dyn Origin, url: &str, timeout: Duration, started: Instant) -> Result<Self, Failure> {
        let url = Url::parse(url).map_err(|error| Failure::new(Step::Resolve, started, error))?;
        let address =
            origin.resolve(&url.host, url.port).map_err(|error| Failure::new(Step::Resolve, started, error))?;
        let stream = connect(address, timeout).map_err(|error| Failure::new(Step::Connect, started, error))?;
        Ok(Self { stream, spare: Vec::new(), open: true })
    }

    /// Sends a request on the open connection. Of the URL only authority and path count.
    pub fn request(
        &mut self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Response, Failure> {
        let headers: Vec<(String, String)> = headers.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        self.exchange(method, url, &headers, body, true, Instant::now())
    }

    /// GET without further headers.
    pub fn get(&mut self, url: &str) -> Result<Response, Failure> {
        self.request("GET", url, &[], &[])
    }

    /// Whether the last response left the connection usable.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// The connection itself.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    fn exchange(
        &mut self,
        method: &str,
        url: &str,
        headers: &[(String, String)],
        body: &[u8],
        keep: bool,
        started: Instant,
    ) -> Result<Response, Failure> {
        let url = Url::parse(url).map_err(|error| Failure::new(Step::Resolve, started, error))?;
        let written = write_request(&mut self.stream, method, &url.target, &url.authority, headers, body, keep);
        written.map_err(|error| Failure::new(Step::Send, started, error))?;
        let response = read_response(&mut self.stream, &mut self.spare, method);
        let mut response = response.map_err(|error| Failure::new(Step::Receive, started, error))?;
        response.elapsed = started.elapsed();
        self.open = keep && response.keeps_alive();
        Ok(response)
    }
}

/// Connects from where the calling thread is; `timeout` also bounds each later read and write.
pub fn connect(address: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    Ok(stream)
}
