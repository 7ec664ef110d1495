//! Where a message ends (RFC 9112 section 6.3), whether its connection stays, and which fields end at this hop.
//!
//! The head parsers feed every special field to [`Facts`] as it is read and ask for the decision when the head is complete.

use super::chars::{is_token, list};
use super::error::HeadError;
use super::headers::{Field, Kind, MAX_HEADERS};
use super::scan::Version;

/// The most fields a `Connection` header may name for dropping, as in Envoy (`MAX_ALLOWED_NOMINATED_HEADERS`).
pub const MAX_NOMINATED: usize = 10;

/// How the end of a message body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BodyLength {
    /// There is no body, and nothing on the wire says how long it is.
    Empty,
    /// That many bytes.
    Length(u64),
    /// Chunked transfer coding.
    Chunked,
    /// Everything until the connection closes; only responses.
    UntilClose,
    /// Not a body: from here on both directions carry another protocol (101, or 2xx to CONNECT).
    Tunnel,
}

impl BodyLength {
    /// Whether the message is complete with its head.
    pub fn is_empty(self) -> bool {
        matches!(self, Self::Empty | Self::Length(0))
    }
}

/// Which of the two heads is read; they differ in a few rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Request,
    Response,
}

/// What a response answers; without it the end of a response cannot be known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AnswerTo {
    /// The request was HEAD: the answer has no body, whatever it says.
    pub is_head: bool,
    /// The request was CONNECT: a 2xx answer opens a tunnel.
    pub is_connect: bool,
    /// The request that was sent upstream asked to switch protocols: only then is 101 accepted.
    pub wants_upgrade: bool,
}

/// Collects header lines; shared by requests and responses.
#[derive(Debug, Default)]
pub(super) struct FieldReader {
    pub(super) fields: Vec<Field>,
    pub(super) facts: Facts,
}

impl FieldReader {
    pub(super) fn read(&mut self, side: Side, line: &[u8], start: usize) -> Result<(), HeadError> {
        if self.fields.len() == MAX_HEADERS {
            return Err(HeadError::TooManyHeaders);
        }
        let (field, value) = Field::parse(line, start)?;
        self.facts.note(side, field.kind, value, self.fields.len())?;
        if self.fields.is_empty() {
            self.fields.reserve(16);
        }
        self.fields.push(field);
        Ok(())
    }
}

/// What the special fields of one head say, gathered line by line.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) content_length: Option<u64>,
    pub(super) chunked: bool,
    /// Indices into the fields of the head.
    pub(super) host: Option<u8>,
    pub(super) expect_continue: bool,
    pub(super) te_trailers: bool,
    upgrade: Option<u8>,
    upgrade_is_refused: bool,
    close: bool,
    keep_alive: bool,
    connection_upgrade: bool,
    nominates: bool,
}

impl Facts {
    /// Takes note of one field; refuses what must not be there at all or not a second time.
    pub(super) fn note(&mut self, side: Side, kind: Kind, value: &[u8], index: usize) -> Result<(), HeadError> {
        match kind {
            // `index` is below `MAX_HEADERS`, so it fits.
            Kind::Host if side == Side::Request => once(&mut self.host, index as u8, HeadError::DuplicateHost)?,
            Kind::ContentLength => {
                once(&mut self.content_length, content_length(value)?, HeadError::DuplicateContentLength)?;
            }
            Kind::TransferEncoding => self.transfer_encoding(value)?,
            Kind::Connection => self.connection(value)?,
            Kind::Upgrade => {
                // Cleartext HTTP/2 behind the proxy's back would escape every rule; RFC 9113 has retired it as well.
                let speaks_h2c = list(value).any(|protocol| protocol.eq_ignore_ascii_case(b"h2c"));
                self.upgrade_is_refused |= speaks_h2c || value.is_empty();
                self.upgrade_is_refused |= self.upgrade.replace(index as u8).is_some();
            }
            Kind::Expect => self.expect_continue |= value.eq_ignore_ascii_case(b"100-continue"),
            Kind::Te => self.te_trailers |= list(value).any(|coding| coding.eq_ignore_ascii_case(b"trailers")),
            _ => {}
        }
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), HeadError> {
        if self.chunked {
            return Err(HeadError::InvalidTransferEncoding);
        }
        if !value.eq_ignore_ascii_case(b"chunked") {
            // `gzip` and `gzip, chunked` are well-formed but not spoken here; `chunked, gzip`, `chunked, chunked` and an empty
            // value leave open where the message ends.
            let count = list(value).count();
            let chunked = list(value).position(|coding| coding.eq_ignore_ascii_case(b"chunked"));
            return Err(match chunked {
                None if count > 0 => HeadError::UnsupportedTransferEncoding,
                Some(position) if position > 0 && position + 1 == count => HeadError::UnsupportedTransferEncoding,
                _ => HeadError::InvalidTransferEncoding,
            });
        }
        self.chunked = true;
        Ok(())
    }

    fn connection(&mut self, value: &[u8]) -> Result<(), HeadError> {
        for option in list(value) {
            match standard_option(option) {
                Some(ConnectionOption::Close) => self.close = true,
                Some(ConnectionOption::KeepAlive) => self.keep_alive = true,
                Some(ConnectionOption::Upgrade) => self.connection_upgrade = true,
                Some(ConnectionOption::Managed) => {}
                None if is_token(option) => self.nominates = true,
                None => return Err(HeadError::InvalidConnection),
            }
        }
        Ok(())
    }

    /// Marks the fields that `Connection` names, so that the writer drops them.
    ///
    /// Refuses names whose loss would change framing, routing or the claimed origin of the request; dropping those on demand of the sender
    /// is an attack on the next hop.
    pub(super) fn mark_nominated(&self, fields: &mut [Field], bytes: &[u8]) -> Result<(), HeadError> {
        if !self.nominates {
            return Ok(());
        }
        let mut count = 0;
        for index in 0..fields.len() {
            let connection = fields[index];
            if connection.kind != Kind::Connection {
                continue;
            }
            for name in list(connection.value(bytes)).filter(|option| standard_option(option).is_none()) {
                count += 1;
                if count > MAX_NOMINATED || is_protected(name) {
                    return Err(HeadError::InvalidConnection);
                }
                for field in fields.iter_mut().filter(|field| field.name(bytes).eq_ignore_ascii_case(name)) {
                    field.nominated = true;
                }
            }
        }
        Ok(())
    }

    /// The body of a request (RFC 9112 section 6.3; CONNECT by RFC 9110 section 9.3.6).
    pub(super) fn request_body(&self, version: Version, is_connect: bool) -> Result<BodyLength, HeadError> {
        if self.chunked && (version == Version::Http10 || is_connect) {
            return Err(HeadError::TransferEncodingNotAllowed);
        }
        if is_connect && self.content_length.is_some_and(|length| length > 0) {
            return Err(HeadError::ContentLengthNotAllowed);
        }
        match (self.chunked, self.content_length) {
            (true, Some(_)) => Err(HeadError::ContentLengthAndTransferEncoding),
            (true, None) => Ok(BodyLength::Chunked),
            (false, Some(length)) => Ok(BodyLength::Length(length)),
            (false, None) => Ok(BodyLength::Empty),
        }
    }

    /// The body of a response, which also depends on what was asked.
    pub(super) fn response_body(
        &self,
        version: Version,
        status: u16,
        answer_to: AnswerTo,
    ) -> Result<BodyLength, HeadError> {
        if self.chunked && self.content_length.is_some() {
            return Err(HeadError::ContentLengthAndTransferEncoding);
        }
        let never_has_body = status < 200 || status == 204;
        if self.chunked && (version == Version::Http10 || never_has_body) {
            return Err(HeadError::TransferEncodingNotAllowed);
        }
        if never_has_body && self.content_length.is_some_and(|length| length > 0) {
            return Err(HeadError::ContentLengthNotAllowed);
        }
        if status == 101 {
            return match answer_to.wants_upgrade {
                true => Ok(BodyLength::Tunnel),
                false => Err(HeadError::UnexpectedUpgrade),
            };
        }
        if answer_to.is_connect && (200..300).contains(&status) {
            return Ok(BodyLength::Tunnel);
        }
        Ok(if never_has_body || status == 304 || answer_to.is_head {
            BodyLength::Empty
        } else if self.chunked {
            BodyLength::Chunked
        } else {
            self.content_length.map_or(BodyLength::UntilClose, BodyLength::Length)
        })
    }

    /// Whether the sender keeps the connection after this message (RFC 9112 section 9.3). `close` wins over `keep-alive`.
    pub(super) fn keep_alive(&self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep_alive)
    }

    /// The index of the `Upgrade` field, when the message really offers or confirms one.
    ///
    /// Ignored, as RFC 9110 section 7.8 permits: upgrades over HTTP/1.0, to h2c, in several lines, or together with a body.
    pub(super) fn upgrade(&self, version: Version, body: BodyLength) -> Option<u8> {
        let may_upgrade = version == Version::Http11 && self.connection_upgrade && !self.upgrade_is_refused;
        self.upgrade.filter(|_| may_upgrade && (body.is_empty() || body == BodyLength::Tunnel))
    }
}

/// Fills `slot`; a second time is an error.
fn once<T>(slot: &mut Option<T>, value: T, repeated: HeadError) -> Result<(), HeadError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(repeated),
    }
}

enum ConnectionOption {
    Close,
    KeepAlive,
    Upgrade,
    /// Names a field that this hop drops or writes itself anyway.
    Managed,
}

fn standard_option(option: &[u8]) -> Option<ConnectionOption> {
    let candidates: [(&[u8], ConnectionOption); 6] = [
        (b"close", ConnectionOption::Close),
        (b"keep-alive", ConnectionOption::KeepAlive),
        (b"upgrade", ConnectionOption::Upgrade),
        (b"te", ConnectionOption::Managed),
        (b"http2-settings", ConnectionOption::Managed),
        (b"proxy-connection", ConnectionOption::Managed),
    ];
    candidates.into_iter().find(|(known, _)| option.eq_ignore_ascii_case(known)).map(|(_, option)| option)
}

/// Fields that `Connection` may not name; Envoy refuses the `x-forwarded-` ones, RFC 9110 section 7.6.1 speaks of the others.
fn is_protected(name: &[u8]) -> bool {
    let is_framing =
        matches!(Kind::of(name), Kind::Host | Kind::ContentLength | Kind::TransferEncoding | Kind::Connection);
    is_framing || name.get(..12).is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"x-forwarded-"))
}

/// Digits only (RFC 9110 section 8.6). Nineteen of them cannot overflow a `u64`; values of 2^63 and more are refused because the next
/// hop may count in signed numbers.
fn content_length(value: &[u8]) -> Result<u64, HeadError> {
    if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
        return Err(HeadError::InvalidContentLength);
    }
    let length = value.iter().fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0'));
    if length > i64::MAX as u64 { Err(HeadError::InvalidContentLength) } else { Ok(length) }
}
