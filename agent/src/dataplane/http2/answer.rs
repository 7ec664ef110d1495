//! Answers of the proxy itself to HTTP/2 clients. A client of gRPC gets a status of gRPC, as from Envoy.

use std::fmt::Write as _;

use bytes::Bytes;
use h2::server::SendResponse;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, SERVER},
};

use super::head::bytes_of;
use crate::dataplane::{
    http::{exchange::Passed, record::Record, serve::Reply},
    http_date,
};

/// Answers a request here.
pub(super) fn answer(
    respond: &mut SendResponse<Bytes>,
    record: &mut Record,
    reply: &Reply,
    server: &'static str,
    is_head: bool,
) {
    let (response, body) = if record.is_grpc() { grpc(reply) } else { plain(reply) };
    record.grpc_status = super::body::grpc_status(response.headers());
    let mut response = response;
    let headers = response.headers_mut();
    headers.insert(SERVER, HeaderValue::from_static(server));
    if let Ok(date) = HeaderValue::from_str(&http_date::now()) {
        headers.insert(DATE, date);
    }
    let body = if is_head { Bytes::new() } else { body };
    record.add(&Passed { response_head: (":status200".len() + bytes_of(headers)) as u64, ..Passed::default() });
    record.add_reply(response.status().as_u16(), body.len());
    let Ok(mut sink) = respond.send_response(response, body.is_empty()) else { return };
    if !body.is_empty() {
        // Short: it waits in the stream's buffer until the client has room. Who has left misses nothing.
        let _ = sink.send_data(body, true);
    }
}

fn plain(reply: &Reply) -> (Response<()>, Bytes) {
    let body = Bytes::copy_from_slice(reply.body.as_bytes());
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    if !body.is_empty() {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    }
    (response, body)
}

/// A response of trailers only: its status is in the head, and there is no body.
fn grpc(reply: &Reply) -> (Response<()>, Bytes) {
    let mut response = Response::new(());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from(grpc_status(reply.status)));
    if !reply.body.is_empty()
        && let Ok(message) = HeaderValue::from_str(&encode(&reply.body))
    {
        headers.insert("grpc-message", message);
    }
    (response, Bytes::new())
}

/// The status of gRPC for one of HTTP, as Envoy and gRPC's own clients translate it.
fn grpc_status(status: u16) -> u16 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

/// The percent-encoding of `grpc-message`.
fn encode(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            // Writing to a String cannot fail.
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests;
