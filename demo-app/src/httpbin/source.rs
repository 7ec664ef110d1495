//! A response body of any length in constant memory.
//!
//! Used by /bytes (length announced) and /stream-bytes (no length, so hyper sends it chunked). The bytes are one random
//! block per response, repeated: random enough for the exercises, cheap enough to measure a network with.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// Size of the block, and of the chunks on the wire.
const BLOCK_BYTES: usize = 64 * 1024;

/// The bytes still to send.
pub struct ByteSource {
    block: Bytes,
    left: u64,
    announce: bool,
}

impl ByteSource {
    /// A body of `length` bytes, with or without announcing that length.
    pub fn new(length: u64, announce: bool) -> Self {
        let size = usize::try_from(length).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES);
        let mut block = vec![0; size];
        fastrand::fill(&mut block);
        Self { block: block.into(), left: length, announce }
    }
}

impl Body for ByteSource {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let size = usize::try_from(self.left).unwrap_or(usize::MAX).min(self.block.len());
        self.left -= size as u64;
        Poll::Ready(Some(Ok(Frame::data(self.block.slice(..size)))))
    }

    fn is_end_stream(&self) -> bool {
        self.announce && self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        if self.announce { SizeHint::with_exact(self.left) } else { SizeHint::default() }
    }
}
