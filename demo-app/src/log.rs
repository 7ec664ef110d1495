//! Log lines on stderr: free text, and one access line per request in the form Werkzeug prints it.
//!
//! Called by every server of this crate. A closed stderr is not a reason to stop serving, so write errors are ignored.

use std::fmt::Display;
use std::io::Write;
use std::net::SocketAddr;

use http::{Method, StatusCode, Version};
use time::OffsetDateTime;
use time::macros::format_description;

/// Writes one line to stderr.
pub fn line(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Writes the access line of one answered request: `peer - - [time] "GET / HTTP/1.1" 200 -`.
pub fn access(peer: SocketAddr, method: &Method, target: impl Display, version: Version, status: StatusCode) {
    let stamp = format_description!("[day]/[month repr:short]/[year] [hour]:[minute]:[second]");
    let now = OffsetDateTime::now_utc().format(&stamp).unwrap_or_default();
    line(format_args!(
        "{} - - [{now}] \"{method} {target} {version:?}\" {} -",
        peer.ip().to_canonical(),
        status.as_u16()
    ));
}
