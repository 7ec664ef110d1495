//! Which bytes may stand where in an HTTP/1.x message. Used by every parser of this folder and by the checks on edits.

/// The `tchar` set of RFC 9110 section 5.6.2.
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut index = 0;
    while index < 256 {
        let byte = index as u8;
        table[index] = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            );
        index += 1;
    }
    table
};

/// Whether `byte` may stand in a token: a method, a field name, a `Connection` option.
pub(super) fn is_token_byte(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

/// Whether `bytes` is a token (RFC 9110 section 5.6.2), so not empty.
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_token_byte(byte))
}

/// Whether `byte` may stand in a field value or reason phrase: visible ASCII, space, tab, and obs-text (RFC 9110 section 5.5).
pub(super) fn is_field_byte(byte: u8) -> bool {
    (byte >= 0x20 && byte != 0x7f) || byte == b'\t'
}

/// Whether every byte may stand in a field value. Does not stop early, so that the compiler can use vector instructions.
pub(super) fn is_field_value(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |valid, &byte| valid & is_field_byte(byte))
}

/// Whether every byte may stand in a request target: visible ASCII without the fragment mark.
///
/// Wider than RFC 3986 (`{`, `|`, `"` are sent in practice and cannot be mistaken for a border of anything); narrower than most proxies
/// in refusing bytes above 0x7f.
pub(super) fn is_target(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().fold(true, |valid, &byte| valid & matches!(byte, 0x21..=0x7e) & (byte != b'#'))
}

/// Whether `bytes` is `host [ ":" port ]` as an authority or a `Host` value may have it.
///
/// Narrower than RFC 3986: no user information, no percent-encoding, no comma and no zone identifiers, because the next hop may
/// normalise those differently and route or authorize another host than we did.
pub fn is_authority(bytes: &[u8], needs_port: bool) -> bool {
    let (host_is_valid, rest) = match bytes.strip_prefix(b"[") {
        Some(literal) => match literal.iter().position(|&byte| byte == b']') {
            Some(end) => (is_ipv6(&literal[..end]), &literal[end + 1..]),
            None => return false,
        },
        None => {
            let end = bytes.iter().position(|&byte| byte == b':').unwrap_or(bytes.len());
            (end > 0 && bytes[..end].iter().all(|&byte| is_host_byte(byte)), &bytes[end..])
        }
    };
    host_is_valid
        && match rest.split_first() {
            None => !needs_port,
            Some((b':', port)) => is_port(port) || (port.is_empty() && !needs_port),
            Some(_) => false,
        }
}

/// `bytes` without the optional white space (RFC 9110 section 5.6.3) at both ends.
pub(super) fn trim_whitespace(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The elements of a comma-separated list (RFC 9110 section 5.6.1), without white space and without empty elements.
pub(super) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim_whitespace).filter(|element| !element.is_empty())
}

/// Text of bytes that a parser has already held to ASCII.
pub(super) fn ascii(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b';' | b'='
        )
}

fn is_ipv6(bytes: &[u8]) -> bool {
    ascii(bytes).parse::<std::net::Ipv6Addr>().is_ok()
}

fn is_port(bytes: &[u8]) -> bool {
    bytes.len() <= 5 && bytes.iter().all(u8::is_ascii_digit) && ascii(bytes).parse::<u16>().is_ok()
}
