//! Frames as bytes. Pure: no I/O, every input is either a frame, too short, or refused.

use bytes::{Buf, BufMut, BytesMut};

/// Length of a frame's header.
pub const HEADER_BYTES: usize = 8;

/// Longest payload: with its header it fills one TLS record (2^14 bytes, RFC 8446 section 5.1).
pub const PAYLOAD_BYTES_MAX: usize = (1 << 14) - HEADER_BYTES;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Bytes of a stream.
    Data = 0,
    /// The sender's half of a stream has ended.
    End = 1,
    /// The stream has ended in both directions, abruptly.
    Reset = 2,
    /// The receiver of this frame may send that many bytes more (u32).
    Window = 3,
    /// No new streams, please; stream number 0.
    GoAway = 4,
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What it is.
    pub kind: Kind,
    /// Which stream; 0 for frames about the connection.
    pub stream: u32,
    /// Bytes of payload that follow.
    pub length: usize,
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Unknown kind, or a reserved byte that is not zero.
    #[error("unknown frame kind {0}; is the peer a newer weft that ignores the agreed version?")]
    Kind(u8),
    /// The length is not one that the kind may have.
    #[error("a {0:?} frame of {1} bytes is not allowed")]
    Length(Kind, usize),
    /// The stream number is not one that the kind may have.
    #[error("a {0:?} frame for stream {1} is not allowed")]
    Stream(Kind, u32),
}

impl Header {
    /// Reads a header; `None` when there are too few bytes.
    ///
    /// # Errors
    /// [`FrameError`].
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, FrameError> {
        let Some(mut header) = bytes.get(..HEADER_BYTES) else { return Ok(None) };
        let length = usize::from(header.get_u16());
        let kind = header.get_u8();
        let reserved = header.get_u8();
        let stream = header.get_u32();
        let kind = match kind {
            0 => Kind::Data,
            1 => Kind::End,
            2 => Kind::Reset,
            3 => Kind::Window,
            4 => Kind::GoAway,
            other => return Err(FrameError::Kind(other)),
        };
        if reserved != 0 {
            return Err(FrameError::Kind(reserved));
        }
        let length_is_right = match kind {
            Kind::Data => (1..=PAYLOAD_BYTES_MAX).contains(&length),
            Kind::Window => length == 4,
            Kind::End | Kind::Reset | Kind::GoAway => length == 0,
        };
        if !length_is_right {
            return Err(FrameError::Length(kind, length));
        }
        if (kind == Kind::GoAway) != (stream == 0) {
            return Err(FrameError::Stream(kind, stream));
        }
        Ok(Some(Self { kind, stream, length }))
    }

    /// Appends the header.
    pub fn write(&self, out: &mut BytesMut) {
        out.put_u16(self.length as u16);
        out.put_u8(self.kind as u8);
        out.put_u8(0);
        out.put_u32(self.stream);
    }
}

/// Appends a frame without payload.
pub fn write_empty(out: &mut BytesMut, kind: Kind, stream: u32) {
    Header { kind, stream, length: 0 }.write(out);
}

/// Appends a WINDOW frame.
pub fn write_window(out: &mut BytesMut, stream: u32, credit: u32) {
    Header { kind: Kind::Window, stream, length: 4 }.write(out);
    out.put_u32(credit);
}
