//! HTTP/1 read straight off the socket, for the two servers that must see or speak the bytes themselves.
//!
//! [`crate::echo`] reports header names exactly as they came (hyper lower-cases them) and [`crate::http10`] answers in a
//! form hyper's server does not offer. This file owns parsing a request head (RFC 9112 sections 2 to 5, through
//! httparse) and counting a body away (sections 6 and 7); responses are written by the callers.

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The largest request head we read, the limit Envoy has too (60 KiB, `max_request_headers_kb`).
const MAX_HEAD_BYTES: usize = 60 * 1024;

/// The most header lines in one head.
const MAX_HEADERS: usize = 200;

/// The longest chunk-size line, extensions included.
const MAX_CHUNK_LINE_BYTES: usize = 4096;

/// Why a request could not be read.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The socket failed.
    #[error("reading the request failed: {0}")]
    Io(#[from] std::io::Error),
    /// The peer went away in the middle of a request.
    #[error("the connection ended inside a request")]
    Truncated,
    /// The bytes are not an HTTP/1 request head.
    #[error("not an HTTP/1 request: {0}")]
    Head(#[from] httparse::Error),
    /// The head is larger than we read.
    #[error("the request head is larger than {MAX_HEAD_BYTES} bytes")]
    HeadTooLarge,
    /// The body's framing makes no sense.
    #[error("bad body framing: {0}")]
    Framing(&'static str),
}

/// One request head as received.
#[derive(Debug)]
pub struct Head {
    /// The method token.
    pub method: String,
    /// The request target (path, or a full URL when the client took us for a proxy).
    pub target: String,
    /// 0 for HTTP/1.0, 1 for HTTP/1.1.
    pub minor_version: u8,
    /// Header lines in order, names spelled as received.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Head {
    /// The first value of header `name` (any case), if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }

    /// Whether the comma-separated header `name` holds `token` (any case).
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.headers
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .filter_map(|(_, value)| std::str::from_utf8(value).ok())
            .flat_map(|value| value.split(','))
            .any(|part| part.trim().eq_ignore_ascii_case(token))
    }

    /// Whether the client wants to reuse the connection (RFC 9112 section 9.3).
    pub fn keeps_alive(&self) -> bool {
        match self.minor_version {
            0 => self.has_token("connection", "keep-alive"),
            _ => !self.has_token("connection", "close"),
        }
    }
}

/// A connection and the bytes already read from it.
pub struct Reader<S> {
    stream: S,
    buffer: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Reader<S> {
    /// Starts reading requests from `stream`.
    pub fn new(stream: S) -> Self {
        Self { stream, buffer: BytesMut::with_capacity(8 * 1024) }
    }

    /// The stream, to write the response to.
    pub fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    /// The next request head; `None` when the peer closed the connection between requests.
    ///
    /// # Errors
    /// [`WireError`] when the socket fails or the bytes are not a request.
    pub async fn head(&mut self) -> Result<Option<Head>, WireError> {
        loop {
            if let Some((head, length)) = parse(&self.buffer)? {
                self.buffer.advance(length);
                return Ok(Some(head));
            }
            if self.buffer.len() > MAX_HEAD_BYTES {
                return Err(WireError::HeadTooLarge);
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(WireError::Truncated) };
            }
        }
    }

    /// Reads the body that belongs to `head` and throws it away, in constant memory. Returns its length in bytes.
    ///
    /// # Errors
    /// [`WireError`] when the socket fails or the framing is invalid.
    pub async fn drain_body(&mut self, head: &Head) -> Result<u64, WireError> {
        if head.has_token("expect", "100-continue") {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        if head.has_token("transfer-encoding", "chunked") {
            return self.drain_chunks().await;
        }
        let Some(length) = head.header("content-length") else { return Ok(0) };
        let length = length.trim().parse().map_err(|_| WireError::Framing("content-length is not a number"))?;
        self.skip(length).await?;
        Ok(length)
    }

    async fn drain_chunks(&mut self) -> Result<u64, WireError> {
        let mut total = 0;
        loop {
            let size = self.chunk_size().await?;
            if size == 0 {
                // Trailer lines, if any, end with an empty line.
                while self.line_length().await? > 0 {}
                return Ok(total);
            }
            self.skip(size).await?;
            if self.line_length().await? != 0 {
                return Err(WireError::Framing("a chunk is longer than its size line says"));
            }
            total += size;
        }
    }

    async fn chunk_size(&mut self) -> Result<u64, WireError> {
        loop {
            match httparse::parse_chunk_size(&self.buffer) {
                Ok(httparse::Status::Complete((length, size))) => {
                    self.buffer.advance(length);
                    return Ok(size);
                }
                Ok(httparse::Status::Partial) => self.fill_line().await?,
                Err(_) => return Err(WireError::Framing("a chunk size is not a hexadecimal number")),
            }
        }
    }

    /// Consumes one line and returns its length without the line end.
    async fn line_length(&mut self) -> Result<usize, WireError> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                self.buffer.advance(end + 2);
                return Ok(end);
            }
            self.fill_line().await?;
        }
    }

    async fn fill_line(&mut self) -> Result<(), WireError> {
        if self.buffer.len() > MAX_CHUNK_LINE_BYTES {
            return Err(WireError::Framing("a line inside the chunked body is too long"));
        }
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(WireError::Truncated),
            _ => Ok(()),
        }
    }

    async fn skip(&mut self, mut length: u64) -> Result<(), WireError> {
        loop {
            let here = self.buffer.len().min(usize::try_from(length).unwrap_or(usize::MAX));
            self.buffer.advance(here);
            length -= here as u64;
            if length == 0 {
                return Ok(());
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(WireError::Truncated);
            }
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, WireError> {
    let mut lines = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut lines);
    let httparse::Status::Complete(length) = request.parse(bytes)? else { return Ok(None) };
    let head = Head {
        method: request.method.unwrap_or_default().to_owned(),
        target: request.path.unwrap_or_default().to_owned(),
        minor_version: request.version.unwrap_or_default(),
        headers: request.headers.iter().map(|line| (line.name.to_owned(), line.value.to_vec())).collect(),
    };
    Ok(Some((head, length)))
}

#[cfg(test)]
mod tests;
