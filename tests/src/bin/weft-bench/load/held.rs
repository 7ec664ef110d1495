//! Connections that are held: each carries one request and is then left alone, or made busy together with all others.
//!
//! No load generator does that: they open connections and use them at the same time, so that handshakes would be measured, too.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use weft_testbed::Place;

use crate::system::BODY_BYTES;

/// How long one connection may take for its request.
const PATIENCE: Duration = Duration::from_secs(10);

/// Open connections; closed on drop.
pub struct Held {
    streams: Vec<TcpStream>,
    request: String,
}

/// Opens `count` connections from inside of `client` to `host:port`, one after the other.
///
/// # Errors
/// Which connection was refused or not answered.
pub fn hold(client: &Place, (host, port): (&str, u16), count: usize) -> Result<Held> {
    let address = client.addresses_of(host).into_iter().next();
    let address = SocketAddr::new(address.with_context(|| format!("no address is known for {host}"))?, port);
    let request = format!("GET / HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n");
    let opened = client.netns().run(|| {
        let open =
            |number| open(address, &request).with_context(|| format!("connection {number} of {count} to {address}"));
        (1..=count).map(open).collect::<Result<Vec<TcpStream>>>()
    })?;
    Ok(Held { streams: opened?, request })
}

fn open(address: SocketAddr, request: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    read_answer(&mut stream)?;
    Ok(stream)
}

fn read_answer(stream: &mut TcpStream) -> Result<()> {
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    while !is_whole(&answer) {
        let bytes = stream.read(&mut piece)?;
        ensure!(bytes > 0, "closed before the answer was complete: {:?}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&piece[..bytes]);
    }
    ensure!(answer.starts_with(b"HTTP/1.1 200"), "answered with {:?}", String::from_utf8_lossy(&answer));
    Ok(())
}

/// Is a body of the usual length there, behind a head?
fn is_whole(answer: &[u8]) -> bool {
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n");
    head.is_some_and(|head| answer.len() >= head + 4 + BODY_BYTES)
}

impl Held {
    /// How many are still open.
    ///
    /// # Errors
    /// When the kernel refuses to look.
    pub fn open(&self) -> Result<usize> {
        let mut open = 0;
        for stream in &self.streams {
            stream.set_nonblocking(true)?;
            // Nothing to read is what an idle connection has; anything else is an end.
            if matches!(stream.peek(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock) {
                open += 1;
            }
        }
        Ok(open)
    }

    /// Sends a request on every connection before the first answer is read, again and again for `length`; at least once.
    ///
    /// # Errors
    /// When one of them is not answered.
    pub fn make_busy(&mut self, length: Duration) -> Result<()> {
        self.streams.iter().try_for_each(|stream| stream.set_nonblocking(false))?;
        let started = Instant::now();
        loop {
            for stream in &mut self.streams {
                stream.write_all(self.request.as_bytes())?;
            }
            for (at, stream) in self.streams.iter_mut().enumerate() {
                read_answer(stream).with_context(|| format!("held connection {}", at + 1))?;
            }
            if started.elapsed() >= length {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_with_its_body() {
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1024\r\n\r\n".to_vec();
        assert!(!is_whole(&head[..20]));
        assert!(!is_whole(&[head.clone(), vec![b'x'; BODY_BYTES - 1]].concat()));
        assert!(is_whole(&[head, vec![b'x'; BODY_BYTES]].concat()));
    }
}
