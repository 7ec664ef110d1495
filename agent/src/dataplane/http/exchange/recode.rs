//! What becomes of a body's framing between two hops.

use crate::dataplane::http1::BodyLength;

/// What becomes of a body's framing on its way.
#[derive(Clone, Copy)]
pub(super) enum Recode {
    /// The bytes pass as they are.
    Keep,
    /// Chunks are taken off: the client does not know them.
    Dechunk,
    /// The body comes without length, and goes on in chunks.
    Enchunk,
}

impl Recode {
    /// From how it comes and how it has to go on.
    pub(super) fn new(from: BodyLength, to: BodyLength) -> Self {
        match (from, to) {
            (BodyLength::Chunked, BodyLength::Chunked) => Self::Keep,
            (BodyLength::Chunked, _) => Self::Dechunk,
            (_, BodyLength::Chunked) => Self::Enchunk,
            _ => Self::Keep,
        }
    }
}
