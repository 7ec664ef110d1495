//! Copies of requests for `mirror` destinations.
//!
//! A copy is collected while its request passes ([`super::serve`] and [`super::exchange`] hand in the bytes), sent in a
//! task of its own when the request is whole, and its answer is discarded: whatever becomes of it, the client's request
//! is neither slower nor different. As in Envoy the copy's host ends in `-shadow`, and the client's side reports nothing
//! of it, while the server's side reports it like any request.

use std::{io, rc::Rc, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncWriteExt as _;
use weft_model::decision::Forward;

use super::Wire;
use crate::dataplane::{
    http1::{AnswerTo, BodyReader, Parse, RequestEdits, RequestHead, ResponseParser, write_request_head},
    pod::{PodContext, View},
    pool::PoolKey,
    shared_connections::SharedConnections,
};

/// The largest request that is copied, head and body; larger ones are passed on without a copy.
pub(in crate::dataplane) const COPY_BYTES_MAX: usize = 1024 * 1024;

/// Copies of one pod's requests on one worker that are under way at once; further ones are left out.
pub const COPIES_MAX: usize = 1024;

/// How long a copy may take, its answer included.
pub(in crate::dataplane) const COPY_TIMEOUT: Duration = Duration::from_secs(15);

/// Bytes of an answer that are read at once, to be discarded.
const DISCARD_BYTES: usize = 64 * 1024;

/// What Envoy appends to the host of a copy.
const SUFFIX: &str = "-shadow";

/// The copy of one request, being collected.
pub struct RequestCopy {
    pod: Rc<PodContext>,
    view: Rc<View>,
    mirrors: Vec<Forward>,
    answer_to: AnswerTo,
    bytes: BytesMut,
}

impl RequestCopy {
    /// Begins the copy of a request that goes to `mirrors`, too, with its head. `None` when there are none, or when the
    /// request asks for another protocol, which nobody could talk to twice.
    pub fn begin(
        pod: &Rc<PodContext>,
        view: &Rc<View>,
        mirrors: &[Forward],
        head: &RequestHead,
        edits: &RequestEdits<'static>,
    ) -> Option<Self> {
        if mirrors.is_empty() || head.method() == "CONNECT" || head.upgrade().is_some() {
            return None;
        }
        let mut edits = edits.clone();
        edits.upgrade = false;
        // A valid authority stays one with letters in it.
        let _ = edits.set_authority(shadow(head.authority().unwrap_or_default()));
        let mut bytes = BytesMut::new();
        write_request_head(&mut bytes, head, &edits);
        let (pod, view) = (pod.clone(), view.clone());
        Some(Self { pod, view, mirrors: mirrors.to_vec(), answer_to: head.answer_to(false), bytes })
    }

    /// A whole request as it is on the wire.
    pub fn of(
        pod: &Rc<PodContext>,
        view: &Rc<View>,
        mirrors: Vec<Forward>,
        answer_to: AnswerTo,
        bytes: BytesMut,
    ) -> Self {
        Self { pod: pod.clone(), view: view.clone(), mirrors, answer_to, bytes }
    }

    /// Adds bytes of the body as they are on the wire. False when it has become too large: drop it then.
    #[must_use]
    pub fn push(&mut self, body: &[u8]) -> bool {
        let fits = self.bytes.len() + body.len() <= COPY_BYTES_MAX;
        if fits {
            self.bytes.extend_from_slice(body);
        }
        fits
    }

    /// Sends the whole request to every mirror, in the background.
    pub fn send(self) {
        let bytes = self.bytes.freeze();
        for forward in self.mirrors {
            let Some(place) = Place::take(&self.pod) else {
                tracing::debug!(pod = %self.pod.name, "a request is not mirrored: too many copies are under way");
                return;
            };
            let copy =
                Delivery { place, view: self.view.clone(), forward, bytes: bytes.clone(), answer: self.answer_to };
            tokio::task::spawn_local(async move {
                let delivered = tokio::time::timeout(COPY_TIMEOUT, copy.deliver()).await;
                let error = match delivered {
                    Ok(Ok(())) => return,
                    Ok(Err(error)) => error.to_string(),
                    Err(_elapsed) => "no whole answer in time".to_owned(),
                };
                tracing::debug!(pod = %copy.place.0.name, address = %copy.forward.address, error, "a copy of a request failed");
            });
        }
    }
}

/// `host-shadow`, before the port.
pub(in crate::dataplane) fn shadow(authority: &str) -> String {
    match authority.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit())) {
        Some((host, port)) => format!("{host}{SUFFIX}:{port}"),
        None => format!("{authority}{SUFFIX}"),
    }
}

/// One of the pod's [`COPIES_MAX`] places; free again when dropped.
pub(in crate::dataplane) struct Place(Rc<PodContext>);

impl Place {
    /// One of them; `None` when all are taken.
    pub(in crate::dataplane) fn take(pod: &Rc<PodContext>) -> Option<Self> {
        let taken = pod.copies.get();
        (taken < COPIES_MAX).then(|| {
            pod.copies.set(taken + 1);
            Self(pod.clone())
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.copies.set(self.0.copies.get() - 1);
    }
}

/// A copy on its way to one mirror.
struct Delivery {
    place: Place,
    view: Rc<View>,
    forward: Forward,
    bytes: Bytes,
    answer: AnswerTo,
}

impl Delivery {
    async fn deliver(&self) -> io::Result<()> {
        let pod = &self.place.0;
        let key = PoolKey { source: pod.netns.cookie(), address: self.forward.address, tls: self.forward.tls.clone() };
        if let Some(mut pooled) = pod.worker.pool.take(&key) {
            // It may turn out to be closed: then a fresh one, for nothing was answered.
            if let Ok(reusable) = self.exchange(&mut pooled).await {
                self.keep(key, pooled, reusable);
                return Ok(());
            }
        }
        let stream = SharedConnections::stream(pod, &self.view, &self.forward, &key).await;
        let (stream, _) = stream.map_err(io::Error::other)?;
        let mut wire = Wire::new(stream, BytesMut::new());
        let reusable = self.exchange(&mut wire).await?;
        self.keep(key, wire, reusable);
        Ok(())
    }

    fn keep(&self, key: PoolKey, mut wire: Wire, reusable: bool) {
        if reusable {
            let worker = &self.place.0.worker;
            wire.reused = true;
            wire.shed();
            worker.pool.put(key, wire, worker.shared.limits.pool_idle_max);
        }
    }

    /// Sends the copy and reads its answer to the end. True: the connection may carry another exchange.
    async fn exchange(&self, wire: &mut Wire) -> io::Result<bool> {
        wire.stream.write_all(&self.bytes).await?;
        wire.stream.flush().await?;
        let mut parser = ResponseParser::default();
        let head = loop {
            match parser.parse(&wire.buffer, self.answer).map_err(io::Error::other)? {
                Parse::Complete { head, consumed } => {
                    wire.buffer.advance(consumed);
                    if !head.is_interim() {
                        break head;
                    }
                }
                Parse::Partial => {
                    if wire.fill(DISCARD_BYTES).await? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
            }
        };
        let mut body = BodyReader::new(head.body());
        loop {
            let progress = body.advance(&wire.buffer).map_err(io::Error::other)?;
            wire.buffer.advance(progress.taken);
            if progress.complete {
                return Ok(head.keep_alive() && wire.buffer.is_empty());
            }
            if wire.fill(DISCARD_BYTES).await? == 0 {
                return Ok(false);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::shadow;

    #[test]
    fn the_host_of_a_copy_says_so_before_its_port() {
        assert_eq!(shadow("name:5000"), "name-shadow:5000");
        assert_eq!(shadow("name.default.svc.cluster.local"), "name.default.svc.cluster.local-shadow");
    }
}
