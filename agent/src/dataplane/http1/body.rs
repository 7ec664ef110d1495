//! Follows a body through the relay: how many of the received bytes belong to it, and whether it is complete.

use super::chunked::ChunkedDecoder;
use super::error::BodyError;
use super::framing::BodyLength;

/// How far a body got with the bytes of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// How many bytes of the input, from its beginning, belong to the body as it is on the wire. Forward exactly these.
    pub taken: usize,
    /// The body ends there; the rest of the input is the next message.
    pub complete: bool,
}

/// Follows one body, whatever marks its end.
#[derive(Debug, Clone)]
pub struct BodyReader {
    state: State,
    payload_bytes: u64,
}

#[derive(Debug, Clone)]
enum State {
    Length(u64),
    Chunked(ChunkedDecoder),
    UntilClose,
    Closed,
}

impl BodyReader {
    /// A reader for the body behind a head. A tunnel is followed like a body that ends with its connection.
    pub fn new(length: BodyLength) -> Self {
        let state = match length {
            BodyLength::Empty => State::Length(0),
            BodyLength::Length(length) => State::Length(length),
            BodyLength::Chunked => State::Chunked(ChunkedDecoder::default()),
            BodyLength::UntilClose | BodyLength::Tunnel => State::UntilClose,
        };
        Self { state, payload_bytes: 0 }
    }

    /// Reads the next bytes. Call it also with an empty input to learn whether there is a body at all.
    ///
    /// # Errors
    /// Only chunked bodies can be malformed; every later call says the same.
    pub fn advance(&mut self, input: &[u8]) -> Result<Progress, BodyError> {
        self.decode(input, |_| {})
    }

    /// As [`advance`](Self::advance), and hands every range of `input` that is payload to `on_payload`, in order.
    ///
    /// # Errors
    /// As [`advance`](Self::advance).
    pub fn decode(
        &mut self,
        input: &[u8],
        mut on_payload: impl FnMut(std::ops::Range<usize>),
    ) -> Result<Progress, BodyError> {
        let progress = match &mut self.state {
            State::Length(remaining) => {
                // At most `input.len()`, so it fits.
                let taken = (*remaining).min(input.len() as u64) as usize;
                *remaining -= taken as u64;
                Progress { taken, complete: *remaining == 0 }
            }
            State::Chunked(decoder) => {
                let payload_bytes = &mut self.payload_bytes;
                return decoder.decode(input, |range| {
                    *payload_bytes += range.len() as u64;
                    on_payload(range);
                });
            }
            State::UntilClose => Progress { taken: input.len(), complete: false },
            State::Closed => Progress { taken: 0, complete: true },
        };
        if progress.taken > 0 {
            self.payload_bytes += progress.taken as u64;
            on_payload(0..progress.taken);
        }
        Ok(progress)
    }

    /// The connection has ended: completes a body that ends with it.
    ///
    /// # Errors
    /// [`BodyError::Truncated`] when more was announced; the receiver must then see a broken connection too, not a shorter message.
    pub fn finish(&mut self) -> Result<(), BodyError> {
        if matches!(self.state, State::UntilClose) {
            self.state = State::Closed;
        }
        if self.is_complete() { Ok(()) } else { Err(BodyError::Truncated) }
    }

    /// Whether the body has been read to its end.
    pub fn is_complete(&self) -> bool {
        match &self.state {
            State::Length(remaining) => *remaining == 0,
            State::Chunked(decoder) => decoder.is_complete(),
            State::UntilClose => false,
            State::Closed => true,
        }
    }

    /// Payload bytes so far, without chunk lines and trailers.
    pub fn payload_bytes(&self) -> u64 {
        self.payload_bytes
    }
}
