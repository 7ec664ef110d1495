//! Answers of the proxy itself, and how a client's connection ends in order.

use std::{io, time::Duration};

use bytes::Buf;
use tokio::io::AsyncWriteExt;
use weft_model::outcome::ResponseFlag;

use super::{
    Wire,
    record::Record,
    serve::{HEAD_READ_BYTES, Hop, Next, Reply},
};
use crate::dataplane::{
    Shared,
    http1::{BodyLength, BodyReader, HeadError, HeaderEdits, LocalReply, Persistence, RequestHead},
};

/// How long and how much is read from a client that was refused, so that the answer is not lost in a
/// reset (RFC 9112 section 9.6).
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 256 * 1024;

/// Answers a request here. The connection goes on when all that is to come of the request's body, as `rest` knows it, is here
/// already.
pub async fn answer<H: Hop>(
    downstream: &mut Wire,
    hop: &H,
    head: &RequestHead,
    record: &mut Record,
    reply: &Reply,
    mut rest: BodyReader,
    shared: &Shared,
) -> Next {
    record.add_reply(reply.status, reply.body.len());
    let whole = match rest.advance(&downstream.buffer) {
        Ok(progress) if progress.complete => {
            downstream.buffer.advance(progress.taken);
            true
        }
        _ => false,
    };
    let keep = whole && head.keep_alive() && head.body() != BodyLength::Tunnel && !shared.drain.is_retiring();
    let persistence = Persistence::for_client(head.version(), keep);
    let sent = write_reply(downstream, hop, reply, persistence, head.method() == "HEAD").await;
    match sent {
        Ok(()) if keep => Next::Request,
        Ok(()) => Next::Close,
        Err(_gone) => Next::Reset,
    }
}

/// Refuses a request whose body is malformed.
pub(super) async fn bad_body<H: Hop>(
    downstream: &mut Wire,
    hop: &H,
    head: &RequestHead,
    record: &mut Record,
    shared: &Shared,
) -> Next {
    record.flags.push(ResponseFlag::DownstreamProtocolError);
    "http1.codec_error".clone_into(&mut record.details);
    let reply = Reply { status: 400, body: String::new() };
    answer(downstream, hop, head, record, &reply, BodyReader::new(BodyLength::UntilClose), shared).await
}

/// Refuses what is no request, and ends the connection.
pub(super) async fn refuse_head<H: Hop>(mut downstream: Wire, hop: &mut H, error: HeadError) {
    let mut record = Record::refused(error);
    let reply = Reply { status: error.status(), body: String::new() };
    record.add_reply(reply.status, 0);
    let sent = write_reply(&mut downstream, hop, &reply, Persistence::Close, false).await;
    hop.report(record);
    if sent.is_ok() {
        close(downstream).await;
    }
}

async fn write_reply<H: Hop>(
    downstream: &mut Wire,
    hop: &H,
    reply: &Reply,
    persistence: Persistence,
    is_head: bool,
) -> io::Result<()> {
    let mut headers = HeaderEdits::default();
    let date = crate::dataplane::http_date::now();
    // Our own names and values are valid.
    let _ = headers.set("date", date);
    let _ = headers.set("server", hop.server_name());
    let reply =
        LocalReply { status: reply.status, body: reply.body.as_bytes(), headers: &headers, persistence, is_head };
    let mut out = Vec::new();
    reply.write(&mut out);
    downstream.stream.write_all(&out).await?;
    downstream.stream.flush().await
}

/// Ends a connection whose client may still be sending: says so, then reads for a moment, since
/// closing with unread bytes would reset the connection and destroy the answer on its way.
pub(super) async fn close(mut downstream: Wire) {
    if downstream.stream.shutdown().await.is_err() {
        return;
    }
    let draining = async {
        let mut seen = 0;
        while seen < LINGER_BYTES_MAX {
            downstream.buffer.clear();
            match downstream.fill(HEAD_READ_BYTES).await {
                Ok(read @ 1..) => seen += read,
                _ => return,
            }
        }
    };
    let _ = tokio::time::timeout(LINGER, draining).await;
}

/// Ends a connection on which no request is being served. Its client is told in order (`close_notify` under TLS): a
/// request that it is sending at this moment has not been seen, and may be sent again.
pub(super) async fn leave(mut downstream: Wire) {
    // Who does not take even that has left.
    let _ = tokio::time::timeout(LINGER, downstream.stream.shutdown()).await;
}
