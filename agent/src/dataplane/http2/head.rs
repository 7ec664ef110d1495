//! Heads of HTTP/2 messages: checked, looked at by the hops, and changed for the next leg.

use std::borrow::Cow;

use bytes::Bytes;
use h2::ext::Protocol;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri,
    header::{CONTENT_LENGTH, HOST, TE},
    request,
    uri::{Authority, PathAndQuery, Scheme},
};

use crate::dataplane::{
    event::HttpVersion,
    http::head::Head,
    http1::{HeaderEdits, MAX_HEADERS, RequestEdits, is_authority},
    shared_connections::SHARED_BODY_BYTES_MAX,
};

/// Fields that mean something to one connection only (RFC 9113 section 8.2.2).
const HOP_BY_HOP: [&str; 7] =
    ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "http2-settings", "te"];

/// Does it end at this hop?
pub(super) fn is_hop_by_hop(name: &str) -> bool {
    HOP_BY_HOP.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// A request's head, checked.
#[derive(Clone, Debug)]
pub(super) struct RequestHead {
    pub(super) method: Method,
    pub(super) target: PathAndQuery,
    /// `host[:port]`, from `:authority` or else from `Host`.
    pub(super) authority: Authority,
    pub(super) headers: HeaderMap,
    /// Extended CONNECT (RFC 8441).
    pub(super) protocol: Option<Protocol>,
}

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// Status of the answer.
    pub(super) status: u16,
    /// Envoy's details.
    pub(super) detail: &'static str,
}

impl RequestHead {
    /// Checks what the `h2` crate leaves to us: two peers must read the same destination.
    pub(super) fn check(parts: request::Parts) -> Result<Self, Refused> {
        let invalid = Refused { status: 400, detail: "http2.violation.of.messaging.rule" };
        let request::Parts { method, uri, mut headers, mut extensions, .. } = parts;
        if headers.len() > MAX_HEADERS {
            return Err(Refused { status: 431, detail: "http2.too_many_headers" });
        }
        let protocol = extensions.remove::<Protocol>();
        if method == Method::CONNECT && protocol.is_none() {
            return Err(Refused { status: 501, detail: "connect_not_supported" });
        }
        let uri = uri.into_parts();
        if headers.get_all(HOST).iter().count() > 1 {
            return Err(invalid);
        }
        // `:authority` counts where both are there (RFC 9113 section 8.3.1); one Host that says otherwise is not passed on.
        let host = headers.remove(HOST);
        let authority = match (uri.authority, host) {
            (Some(authority), _) => authority,
            (None, Some(host)) => Authority::try_from(host.as_bytes()).map_err(|_| invalid)?,
            (None, None) => return Err(invalid),
        };
        if !is_authority(authority.as_str().as_bytes(), false) {
            return Err(invalid);
        }
        let target = uri.path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/"));
        Ok(Self { method, target, authority, headers, protocol })
    }

    /// Names and values, as Envoy counts a head's bytes.
    pub(super) fn bytes(&self) -> usize {
        let pseudo = ":method:path:authority:scheme".len() + "http".len();
        let own = self.method.as_str().len() + self.target.as_str().len() + self.authority.as_str().len();
        pseudo + own + bytes_of(&self.headers)
    }

    /// The head for an HTTP/2 connection upstream.
    pub(super) fn for_http2(&self, edits: &RequestEdits<'static>) -> Result<Request<()>, http::Error> {
        let uri = Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(self.authority.clone())
            .path_and_query(self.target.clone())
            .build()?;
        let mut request = Request::new(());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = self.headers.clone();
        apply(&edits.headers, request.headers_mut());
        if let Some(protocol) = &self.protocol {
            request.extensions_mut().insert(protocol.clone());
        }
        Ok(request)
    }
}

impl Head for RequestHead {
    fn version(&self) -> HttpVersion {
        HttpVersion::Http2
    }

    fn method(&self) -> &str {
        self.method.as_str()
    }

    fn authority(&self) -> &str {
        self.authority.as_str()
    }

    fn target(&self) -> &str {
        self.target.as_str()
    }

    fn value(&self, lower_case_name: &str) -> Option<&[u8]> {
        self.headers.get(lower_case_name).map(HeaderValue::as_bytes)
    }

    fn joined(&self, lower_case_name: &str) -> Option<Cow<'_, [u8]>> {
        let mut values = self.headers.get_all(lower_case_name).iter();
        let mut joined = Cow::Borrowed(values.next()?.as_bytes());
        for value in values {
            let all = joined.to_mut();
            all.push(b',');
            all.extend_from_slice(value.as_bytes());
        }
        Some(joined)
    }

    fn needs_version(&self) -> Option<HttpVersion> {
        self.protocol.is_some().then_some(HttpVersion::Http2)
    }

    /// Those are refused before anybody is asked.
    fn is_plain_connect(&self) -> bool {
        false
    }

    fn wants_own_connection(&self) -> bool {
        let length = self.text(CONTENT_LENGTH.as_str()).and_then(|length| length.parse().ok());
        length.is_some_and(|bytes: u64| bytes > SHARED_BODY_BYTES_MAX)
    }
}

/// A response's head for an HTTP/2 client.
pub(super) fn response(mut response: Response<()>, edits: &HeaderEdits<'static>) -> Response<()> {
    *response.version_mut() = http::Version::HTTP_2;
    strip(response.headers_mut());
    apply(edits, response.headers_mut());
    response
}

/// Takes off what ends at this hop; `te` stays where it asks for trailers.
pub(super) fn strip(headers: &mut HeaderMap) {
    let trailers = headers.get(TE).is_some_and(|te| te.as_bytes().eq_ignore_ascii_case(b"trailers"));
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Names and values of fields.
pub(super) fn bytes_of(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

/// Carries out changes of fields.
pub(super) fn apply(edits: &HeaderEdits<'static>, headers: &mut HeaderMap) {
    for (name, value, replaces) in edits.changes() {
        // Both were checked when the change was asked for.
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { continue };
        if replaces {
            headers.remove(&name);
        }
        if let Some(Ok(value)) =
            value.map(|value| HeaderValue::from_maybe_shared(Bytes::copy_from_slice(value.as_bytes())))
        {
            headers.append(name, value);
        }
    }
}

#[cfg(test)]
mod tests;
