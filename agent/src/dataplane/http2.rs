//! HTTP/2 through the mesh, request by request: each stream is routed, balanced, judged and reported like a request of HTTP/1.
//!
//! [`serve`] takes streams from a client's connection and asks the same hops as [`super::http`] where each goes; [`exchange`]
//! passes one request and its response, whichever version either leg speaks; [`connections`] keeps what leads upstream.
//! Frames, HPACK and flow control are the `h2` crate's; this module bounds them, and gives a sender room only as the
//! receiver on the other leg takes what was sent.

mod answer;
mod body;
mod call;
pub mod connections;
mod exchange;
mod from_http1;
mod head;
mod http1_leg;
mod mirror;
mod serve;
mod to_http1;
mod transport;

use std::time::Duration;

pub use connections::{Call, Connections, Peer};
pub use from_http1::{Http1Request, from_http1};
pub use serve::serve;

use super::http1::MAX_HEAD_BYTES;

/// Requests at once on one connection of a client (Envoy's recommendation for its edges is 100; pods of a mesh ask more).
const STREAMS_MAX: u32 = 1024;

/// What a stream may send before its receiver takes something.
const STREAM_WINDOW_BYTES: u32 = 128 * 1024;

/// What all streams of a connection together may: enough that 32 receivers which stopped reading stop nobody else.
const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// 1xx before a response; another one is a violation. They need no room from their receiver.
const INTERIMS_MAX: usize = 32;

/// Bytes of a stream that wait for its connection to be written to.
const SEND_BUFFER_BYTES: usize = 128 * 1024;

/// A head beyond it is answered with 431, or ends the stream.
const HEADER_LIST_BYTES_MAX: u32 = MAX_HEAD_BYTES as u32;

/// Streams that we have reset and whose late frames are ignored. Those of others count as their sender's errors, so a client
/// that gives up many calls at once needs as many.
const RESET_STREAMS_MAX: usize = 1024;

/// For how long that is.
const RESET_STREAM_MEMORY: Duration = Duration::from_secs(1);

/// Streams that the peer opened and reset before anybody took them (rapid reset, CVE-2023-44487); one more ends the
/// connection with `ENHANCE_YOUR_CALM`.
const UNTAKEN_RESETS_MAX: usize = 64;

/// Streams that the peer's own errors made us reset in the whole life of a connection (`MadeYouReset`, CVE-2025-8671); one more
/// ends it.
const ERROR_RESETS_MAX: usize = 1024;

/// The same upstream, where many clients pay for the end of a connection and a reset queued costs some hundred bytes.
const UPSTREAM_ERROR_RESETS_MAX: usize = 10_000;

fn server_builder() -> h2::server::Builder {
    let mut builder = h2::server::Builder::new();
    builder
        .max_concurrent_streams(STREAMS_MAX)
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buffer_size(SEND_BUFFER_BYTES)
        .max_header_list_size(HEADER_LIST_BYTES_MAX)
        .max_concurrent_reset_streams(RESET_STREAMS_MAX)
        .reset_stream_duration(RESET_STREAM_MEMORY)
        .max_pending_accept_reset_streams(UNTAKEN_RESETS_MAX)
        .max_local_error_reset_streams(Some(ERROR_RESETS_MAX))
        .enable_connect_protocol();
    builder
}

fn client_builder() -> h2::client::Builder {
    let mut builder = h2::client::Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buffer_size(SEND_BUFFER_BYTES)
        .max_header_list_size(HEADER_LIST_BYTES_MAX)
        .max_concurrent_reset_streams(RESET_STREAMS_MAX)
        .reset_stream_duration(RESET_STREAM_MEMORY)
        .max_pending_accept_reset_streams(UNTAKEN_RESETS_MAX)
        .max_local_error_reset_streams(Some(UPSTREAM_ERROR_RESETS_MAX));
    builder
}
