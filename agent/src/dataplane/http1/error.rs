//! Why a message was refused. Made by the parsers of this folder, turned into an answer and a log detail by the relay.

/// Why a head was refused. The connection cannot be used any further: where the next message begins is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum HeadError {
    /// The first byte cannot begin a start line: another protocol, for example a TLS hello on a plaintext port.
    #[error("not HTTP/1: the first byte cannot begin a start line; does the peer speak TLS or another protocol?")]
    NotHttp,
    /// RFC 9112 section 2.2 lets a server skip one empty line before a request; more is a sign of lost framing.
    #[error("more than one empty line before the start line")]
    LeadingEmptyLines,
    /// A line ended by LF alone: some parsers end the line there and some do not.
    #[error("a line ends in a bare LF; lines end in CRLF")]
    BareLineFeed,
    /// The head is longer than [`MAX_HEAD_BYTES`](super::MAX_HEAD_BYTES).
    #[error("the head exceeds 60 KiB")]
    HeadTooLarge,
    /// The head has more fields than [`MAX_HEADERS`](super::MAX_HEADERS).
    #[error("the head has more than 100 header fields")]
    TooManyHeaders,
    /// Not `method SP target SP version`; also the one-line request of HTTP/0.9.
    #[error("the request line is not `method target version` separated by single spaces")]
    InvalidRequestLine,
    /// Not `version SP status [SP reason]`.
    #[error("the status line is not `version status reason`")]
    InvalidStatusLine,
    /// The method is not a token.
    #[error("the method contains a character that no method may have")]
    InvalidMethod,
    /// A well-formed version other than 1.0 and 1.1.
    #[error("only HTTP/1.0 and HTTP/1.1 are spoken here")]
    UnsupportedVersion,
    /// The target has a fragment, white space, a control or a non-ASCII byte, or is of a form its method does not allow.
    #[error("the request target is not valid for its method (RFC 9112 section 3.2)")]
    InvalidTarget,
    /// A continuation line (RFC 9112 section 5.2).
    #[error("a header line begins with white space (obsolete line folding)")]
    ObsoleteFold,
    /// White space between field name and colon (RFC 9112 section 5.1 demands refusal).
    #[error("white space between a header name and its colon")]
    SpaceBeforeColon,
    /// An empty name, a character no name may have, or a line without a colon.
    #[error("a header name is empty, has a character that no name may have, or no colon follows it")]
    InvalidHeaderName,
    /// NUL, CR or another control character in a value.
    #[error("a header value contains a control character")]
    InvalidHeaderValue,
    /// `Content_Length` or `Transfer_Encoding`, which gateways of the CGI family read as the real fields.
    #[error("a header imitates a framing header with an underscore")]
    FramingLookalike,
    /// An HTTP/1.1 request names no host.
    #[error("the request has no Host header")]
    MissingHost,
    /// More than one `Host` line.
    #[error("the request has more than one Host header")]
    DuplicateHost,
    /// `Host` is not `host [":" port]`.
    #[error("the Host header is not `host` or `host:port`")]
    InvalidHost,
    /// Not 1 to 19 digits below 2^63: a sign, a list, white space inside, or too large.
    #[error("content-length is not a plain decimal number")]
    InvalidContentLength,
    /// More than one `Content-Length` line, even when they agree.
    #[error("more than one content-length header")]
    DuplicateContentLength,
    /// The classic of request smuggling (RFC 9112 section 6.3, rule 3).
    #[error("both content-length and transfer-encoding are present")]
    ContentLengthAndTransferEncoding,
    /// Several `Transfer-Encoding` lines, an empty one, or `chunked` that is not the only coding.
    #[error("transfer-encoding is repeated, empty, or does not end in a single `chunked`")]
    InvalidTransferEncoding,
    /// A transfer coding other than `chunked`.
    #[error("a transfer coding other than `chunked` is not supported")]
    UnsupportedTransferEncoding,
    /// `Transfer-Encoding` where none may be: HTTP/1.0, CONNECT, a 1xx or 204 response.
    #[error("transfer-encoding is not allowed in this message")]
    TransferEncodingNotAllowed,
    /// A non-zero `Content-Length` where no body may be: CONNECT, a 1xx or 204 response.
    #[error("content-length is not allowed in this message")]
    ContentLengthNotAllowed,
    /// `Connection` is not a list of tokens, is too long, or names a field that is not the connection's to drop.
    #[error("the Connection header is malformed or names a header that may not be dropped")]
    InvalidConnection,
    /// A 101 response that no request asked for.
    #[error("the response switches protocols although the request did not ask for it")]
    UnexpectedUpgrade,
}

impl HeadError {
    /// The status that answers a refused *request*. A refused response is answered with 502, whatever the reason.
    pub fn status(self) -> u16 {
        match self {
            Self::HeadTooLarge | Self::TooManyHeaders => 431,
            Self::UnsupportedVersion => 505,
            Self::UnsupportedTransferEncoding => 501,
            _ => 400,
        }
    }

    /// The response code detail for the access log, in Envoy's words where Envoy has one
    /// (`source/common/http/http1/codec_impl.h` and `envoy/http/codes.h`), so that existing log queries keep working.
    pub fn detail(self) -> &'static str {
        match self {
            Self::HeadTooLarge => "http1.headers_too_large",
            Self::TooManyHeaders => "http1.too_many_headers",
            Self::InvalidTarget => "http1.invalid_url",
            Self::InvalidHeaderValue | Self::InvalidMethod => "http1.invalid_characters",
            Self::FramingLookalike => "http1.unexpected_underscore",
            Self::MissingHost => "missing_host_header",
            Self::DuplicateHost | Self::InvalidHost => "http1.invalid_host",
            Self::InvalidContentLength => "http1.invalid_content_length",
            Self::DuplicateContentLength => "http1.duplicate_content_length",
            Self::ContentLengthAndTransferEncoding => "http1.content_length_and_chunked_not_allowed",
            Self::InvalidTransferEncoding | Self::UnsupportedTransferEncoding => "http1.invalid_transfer_encoding",
            Self::TransferEncodingNotAllowed => "http1.transfer_encoding_not_allowed",
            Self::ContentLengthNotAllowed => "http1.content_length_not_allowed",
            Self::InvalidConnection => "http1.connection_header_rejected",
            Self::UnsupportedVersion => "http1.unsupported_version",
            Self::UnexpectedUpgrade => "http1.unexpected_upgrade",
            Self::NotHttp
            | Self::LeadingEmptyLines
            | Self::BareLineFeed
            | Self::InvalidRequestLine
            | Self::InvalidStatusLine
            | Self::ObsoleteFold
            | Self::SpaceBeforeColon
            | Self::InvalidHeaderName => "http1.codec_error",
        }
    }
}

/// Why a body was refused. The connection cannot be used any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum BodyError {
    /// No digit, a character that is not hexadecimal, more than 16 digits, or 2^63 and above.
    #[error("a chunk size is not a hexadecimal number")]
    InvalidChunkSize,
    /// A control character, a bare CR or LF, or a byte above 0x7e in a chunk extension.
    #[error("a chunk extension contains a character that is not allowed")]
    InvalidChunkExtension,
    /// CR without LF at the end of a chunk-size line.
    #[error("a chunk-size line does not end in CRLF")]
    InvalidChunkLine,
    /// The data of a chunk goes on after its announced size.
    #[error("chunk data is not followed by CRLF")]
    InvalidChunkEnd,
    /// Extensions and tiny chunks cost more bytes than the payload they carry.
    #[error("chunked coding carries too much that is not payload")]
    TooMuchChunkOverhead,
    /// A trailer line with a malformed name, a control character, or a bad line end.
    #[error("a trailer field is malformed")]
    InvalidTrailer,
    /// A trailer that would change framing, routing or identity (RFC 9110 section 6.5.1).
    #[error("a trailer field has a name that is only allowed in the head")]
    ForbiddenTrailer,
    /// More than [`MAX_TRAILER_BYTES`](super::MAX_TRAILER_BYTES) or [`MAX_TRAILERS`](super::MAX_TRAILERS).
    #[error("the trailer section is too large")]
    TrailersTooLarge,
    /// The connection ended before the body did.
    #[error("the connection ended before the body was complete")]
    Truncated,
}

impl BodyError {
    /// The status that answers a request whose body is refused before an answer was sent. A refused response body is a 502.
    pub fn status(self) -> u16 {
        match self {
            Self::TrailersTooLarge => 431,
            _ => 400,
        }
    }

    /// The response code detail for the access log.
    pub fn detail(self) -> &'static str {
        match self {
            Self::TrailersTooLarge => "http1.trailers_too_large",
            Self::Truncated => "http1.body_truncated",
            _ => "http1.codec_error",
        }
    }
}
