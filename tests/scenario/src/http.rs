//! The client's half of HTTP/1, enough to observe a proxy: one request out, one response in, nothing repaired.
//!
//! Used by `request` over TCP and by the testbed's agents over a Unix socket. A library client would retry, pool and rename errors; a test wants
//! to see what the wire did.

use std::io::{self, Read, Write};
use std::time::Duration;

use httparse::Status;

/// Bytes of a response's head that are accepted before it counts as malformed.
const MAX_HEAD: usize = 256 * 1024;

/// A complete response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// The minor version: 0 or 1.
    pub version: u8,
    /// Header names as sent, with values.
    pub headers: Vec<(String, String)>,
    /// The body without transfer coding.
    pub body: Vec<u8>,
    /// From the beginning of the attempt (connect included, unless the connection was kept) to the last byte.
    pub elapsed: Duration,
}

impl Response {
    /// The body as text, bytes that are not UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The first header of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Whether the connection can carry another request.
    pub(crate) fn keeps_alive(&self) -> bool {
        let connection = self.header("connection").unwrap_or_default().to_ascii_lowercase();
        let framed = self.header("content-length").is_some() || self.header("transfer-encoding").is_some();
        let says = if self.version == 0 { connection.contains("keep-alive") } else { !connection.contains("close") };
        says && (framed || has_no_body(self.status))
    }
}

/// Writes one request. `Host`, `Content-Length` and `Connection` are added unless `headers` has them.
pub fn write_request(
    stream: &mut impl Write,
    method: &str,
    target: &str,
    host: &str,
    headers: &[(String, String)],
    body: &[u8],
    keep: bool,
) -> io::Result<()> {
    let has = |name: &str| headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    let mut text = format!("{method} {target} HTTP/1.1\r\n");
    if !has("host") {
        text += &format!("Host: {host}\r\n");
    }
    if !has("connection") && !keep {
        text += "Connection: close\r\n";
    }
    if !has("content-length") && !has("transfer-encoding") && (!body.is_empty() || method == "POST" || method == "PUT")
    {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += "\r\n";
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    stream.write_all(&bytes)
}

/// Reads one final response (1xx are skipped). `spare` holds bytes read too far, before and after.
pub fn read_response(stream: &mut impl Read, spare: &mut Vec<u8>, method: &str) -> io::Result<Response> {
    loop {
        let (mut response, length) = read_head(stream, spare)?;
        spare.drain(..length);
        if (100..200).contains(&response.status) && response.status != 101 {
            continue;
        }
        if method != "HEAD" && !has_no_body(response.status) {
            response.body = read_body(stream, spare, &response)?;
        }
        return Ok(response);
    }
}

fn has_no_body(status: u16) -> bool {
    matches!(status, 100..200 | 204 | 304)
}

fn read_head(stream: &mut impl Read, spare: &mut Vec<u8>) -> io::Result<(Response, usize)> {
    loop {
        if let Some(parsed) = parse_head(spare)? {
            return Ok(parsed);
        }
        if spare.len() > MAX_HEAD {
            return Err(malformed("the response's head has no end"));
        }
        if fill(stream, spare)? == 0 {
            let what = if spare.is_empty() { "closed before a response" } else { "closed within the response's head" };
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
        }
    }
}

fn parse_head(bytes: &[u8]) -> io::Result<Option<(Response, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 128];
    let mut head = httparse::Response::new(&mut headers);
    match head.parse(bytes) {
        Ok(Status::Partial) => Ok(None),
        Ok(Status::Complete(length)) => {
            let pair = |h: &httparse::Header<'_>| (h.name.to_owned(), String::from_utf8_lossy(h.value).into_owned());
            let response = Response {
                status: head.code.unwrap_or_default(),
                version: head.version.unwrap_or_default(),
                headers: head.headers.iter().map(pair).collect(),
                body: Vec::new(),
                elapsed: Duration::ZERO,
            };
            Ok(Some((response, length)))
        }
        Err(error) => Err(malformed(&format!("{error}: {:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(80)])))),
    }
}

fn read_body(stream: &mut impl Read, spare: &mut Vec<u8>, response: &Response) -> io::Result<Vec<u8>> {
    let coding = response.header("transfer-encoding").unwrap_or_default();
    if coding.to_ascii_lowercase().contains("chunked") {
        return read_chunks(stream, spare);
    }
    if let Some(length) = response.header("content-length") {
        let length = length.trim().parse().map_err(|_| malformed(&format!("Content-Length {length:?}")))?;
        return take(stream, spare, length);
    }
    while fill(stream, spare)? > 0 {}
    Ok(std::mem::take(spare))
}

fn read_chunks(stream: &mut impl Read, spare: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(stream, spare)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| malformed(&format!("chunk size {line:?}")))?;
        if size == 0 {
            // Trailers end with an empty line.
            while !read_line(stream, spare)?.is_empty() {}
            return Ok(body);
        }
        body.extend(take(stream, spare, size)?);
        if !read_line(stream, spare)?.is_empty() {
            return Err(malformed("a chunk is longer than its size"));
        }
    }
}

fn read_line(stream: &mut impl Read, spare: &mut Vec<u8>) -> io::Result<String> {
    loop {
        if let Some(end) = spare.windows(2).position(|pair| pair == b"\r\n") {
            let line = spare.drain(..end + 2).take(end).collect();
            return String::from_utf8(line).map_err(|_| malformed("a chunk line is not text"));
        }
        must_fill(stream, spare)?;
    }
}

fn take(stream: &mut impl Read, spare: &mut Vec<u8>, length: usize) -> io::Result<Vec<u8>> {
    while spare.len() < length {
        must_fill(stream, spare)?;
    }
    Ok(spare.drain(..length).collect())
}

fn must_fill(stream: &mut impl Read, spare: &mut Vec<u8>) -> io::Result<()> {
    if fill(stream, spare)? == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed within the response's body"));
    }
    Ok(())
}

fn fill(stream: &mut impl Read, spare: &mut Vec<u8>) -> io::Result<usize> {
    let mut chunk = [0; 16 * 1024];
    let count = stream.read(&mut chunk)?;
    spare.extend_from_slice(&chunk[..count]);
    Ok(count)
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("malformed response: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> io::Result<Response> {
        read_response(&mut &*bytes, &mut Vec::new(), "GET")
    }

    #[test]
    fn bodies_end_by_length_by_chunks_and_by_close() {
        assert_eq!(read(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhello").unwrap().body, b"he");
        let chunked =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n";
        assert_eq!(read(chunked).unwrap().body, b"abcde");
        let closed = read(b"HTTP/1.0 404 Not Found\r\n\r\nrest").unwrap();
        assert_eq!((closed.status, closed.body.as_slice(), closed.keeps_alive()), (404, &b"rest"[..], false));
    }

    #[test]
    fn a_cut_response_is_an_error_and_not_a_short_body() {
        for cut in [&b""[..], b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"] {
            assert_eq!(read(cut).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        }
        let cut = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
        assert_eq!(read(cut).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
