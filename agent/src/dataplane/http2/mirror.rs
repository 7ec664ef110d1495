//! Copies of requests for `mirror` destinations, of requests that pass through this module: as those of [`crate::dataplane::http::mirror`],
//! collected while the request passes, sent when it is whole, and their answers discarded.

use std::{io, rc::Rc};

use bytes::Bytes;
use http::{HeaderMap, uri::Authority};
use weft_model::decision::{Forward, speaks_http2};

use super::{
    body::{Broken, Piece, Sink, Source},
    connections::Connections,
    head::RequestHead,
    to_http1::write_whole,
};
use crate::dataplane::{
    http::{
        head::Head as _,
        mirror::{self, COPY_BYTES_MAX, COPY_TIMEOUT, Place, shadow},
    },
    http1::{AnswerTo, RequestEdits},
    pod::{PodContext, View},
    pool::PoolKey,
};

/// The copy of one request, being collected.
pub struct RequestCopy {
    pod: Rc<PodContext>,
    view: Rc<View>,
    mirrors: Vec<Forward>,
    head: RequestHead,
    edits: RequestEdits<'static>,
    pieces: Vec<Bytes>,
    bytes: usize,
}

impl RequestCopy {
    /// Begins the copy of a request that goes to `mirrors`, too. `None` for a tunnel, which nobody could talk to twice.
    pub(super) fn begin(
        (pod, view, mirrors): (&Rc<PodContext>, &Rc<View>, &[Forward]),
        head: &RequestHead,
        edits: &RequestEdits<'static>,
    ) -> Option<Self> {
        if head.protocol.is_some() {
            return None;
        }
        let mut head = head.clone();
        head.authority = Authority::try_from(shadow(head.authority())).ok()?;
        let (pod, view, edits) = (pod.clone(), view.clone(), edits.clone());
        Some(Self { pod, view, mirrors: mirrors.to_vec(), head, edits, pieces: Vec::new(), bytes: 0 })
    }

    /// Adds some of the body. False when it has become too large: drop it then.
    #[must_use]
    pub(super) fn push(&mut self, piece: &Bytes) -> bool {
        self.bytes += piece.len();
        self.pieces.push(piece.clone());
        self.bytes <= COPY_BYTES_MAX
    }

    /// Sends the whole request to every mirror, in the background.
    pub(super) fn send(self, trailers: Option<HeaderMap>) {
        let Self { pod, view, mirrors, head, edits, pieces, .. } = self;
        for forward in mirrors {
            if !(speaks_http2(&forward.cluster, true) || head.is_grpc()) {
                let bytes = write_whole(&head, &edits, &pieces);
                let answer = AnswerTo { is_head: head.method() == "HEAD", is_connect: false, wants_upgrade: false };
                mirror::RequestCopy::of(&pod, &view, vec![forward], answer, bytes).send();
                continue;
            }
            let Some(place) = Place::take(&pod) else {
                tracing::debug!(pod = %pod.name, "a request is not mirrored: too many copies are under way");
                return;
            };
            let (pod, view, trailers) = (pod.clone(), view.clone(), trailers.clone());
            let (head, edits, pieces) = (head.clone(), edits.clone(), pieces.clone());
            tokio::task::spawn_local(async move {
                let delivery = deliver(&pod, &view, &forward, (&head, &edits), pieces, trailers);
                let error = match tokio::time::timeout(COPY_TIMEOUT, delivery).await {
                    Ok(Ok(())) => None,
                    Ok(Err(error)) => Some(error.to_string()),
                    Err(_elapsed) => Some("no whole answer in time".to_owned()),
                };
                if let Some(error) = error {
                    tracing::debug!(pod = %pod.name, address = %forward.address, error, "a copy of a request failed");
                }
                drop(place);
            });
        }
    }
}

async fn deliver(
    pod: &PodContext,
    view: &View,
    forward: &Forward,
    (head, edits): (&RequestHead, &RequestEdits<'static>),
    pieces: Vec<Bytes>,
    trailers: Option<HeaderMap>,
) -> io::Result<()> {
    let key = PoolKey { source: pod.netns.cookie(), address: forward.address, tls: forward.tls.clone() };
    let call = Connections::call(pod, view, forward, &key).await.map_err(io::Error::other)?;
    let request = head.for_http2(edits).map_err(io::Error::other)?;
    let is_empty = pieces.is_empty() && trailers.is_none();
    let mut sender = call.sender.clone().ready().await.map_err(io::Error::other)?;
    let (response, mut sink) = sender.send_request(request, is_empty).map_err(io::Error::other)?;
    let count = pieces.len();
    for (number, mut piece) in pieces.into_iter().enumerate() {
        let last = number + 1 == count && trailers.is_none();
        while !piece.is_empty() {
            sink.send(&mut piece, last).await.map_err(broken)?;
        }
    }
    if let Some(trailers) = trailers {
        sink.trailers(trailers).await.map_err(broken)?;
    }
    let mut body = response.await.map_err(io::Error::other)?.into_body();
    while let Piece::Data { bytes, .. } = body.next().await.map_err(broken)? {
        body.taken(bytes.len());
    }
    Ok(())
}

fn broken(broken: Broken) -> io::Error {
    io::Error::other(format!("{broken:?}"))
}
