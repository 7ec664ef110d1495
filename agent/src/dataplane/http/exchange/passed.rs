//! What came of an exchange: what was passed, and how it failed.

use std::{io, time::Instant};

use crate::dataplane::http1::{BodyError, BodyLength, BodyReader, HeadError};

/// How an exchange failed, and by whose fault.
#[derive(Debug)]
pub enum Failure {
    /// The client went away or its body is malformed.
    Downstream(Option<BodyError>),
    /// The upstream ended or failed before a byte of its response.
    BeforeResponse {
        /// How.
        error: io::Error,
        /// It certainly has not seen the request.
        is_unseen: bool,
    },
    /// The upstream's response head is not HTTP.
    BadResponse(HeadError),
    /// The upstream ended or failed in the middle of its response; some of it was passed on.
    MidResponse(String),
}

/// What was passed.
#[derive(Clone, Debug, Default)]
pub struct Passed {
    /// Status of the final response, 0 before there is one.
    pub status: u16,
    /// All of the request's body was taken from the client's connection.
    pub is_request_read: bool,
    /// Body bytes from the client, as on the wire.
    pub request_body: u64,
    /// Head bytes to the client.
    pub response_head: u64,
    /// Body bytes to the client, as on the wire.
    pub response_body: u64,
    /// When the response's head was complete.
    pub response_at: Option<Instant>,
    /// The upstream connection may carry another exchange.
    pub upstream_reusable: bool,
    /// The client's connection may carry another exchange.
    pub downstream_reusable: bool,
    /// Both connections now carry another protocol.
    pub tunnel: bool,
}

impl Passed {
    /// What is left on the client's connection of the request's body: nothing, or nobody knows where it ends.
    pub fn request_rest(&self) -> BodyReader {
        BodyReader::new(if self.is_request_read { BodyLength::Empty } else { BodyLength::UntilClose })
    }
}
