//! Request id and B3 trace headers: given to requests that have none, passed on as they are otherwise.
//!
//! Applications of the exercises forward B3 and not W3C headers, so B3 is what keeps a trace together
//! (multi-header form, 128-bit ids, as Istio's Zipkin tracer generates them). Spans come later.

use std::fmt::Write as _;

use super::head::Head;
use crate::dataplane::http1::{HeaderEdits, InvalidEdit};

/// Share of requests marked as sampled when the client did not decide, in percent
/// (Istio: `meshConfig.defaultConfig.tracing.sampling`, default 1).
pub const SAMPLING_PERCENT: u8 = 1;

/// Adds what is missing. Returns the request id, the client's or the new one.
///
/// # Errors
/// Never in practice: names and values are our own.
pub fn complete(head: &impl Head, edits: &mut HeaderEdits<'_>) -> Result<String, InvalidEdit> {
    let id = match head.text("x-request-id") {
        Some(id) if !id.is_empty() => id.to_owned(),
        _ => {
            let id = new_request_id();
            edits.set("x-request-id", id.clone())?;
            id
        }
    };
    let has_trace = head.value("x-b3-traceid").is_some() || head.value("b3").is_some();
    if !has_trace {
        edits.set("x-b3-traceid", hex(fastrand::u128(1..)))?;
        edits.set("x-b3-spanid", format!("{:016x}", fastrand::u64(1..)))?;
        if head.value("x-b3-sampled").is_none() {
            let sampled = fastrand::u8(..100) < SAMPLING_PERCENT;
            edits.set("x-b3-sampled", if sampled { "1" } else { "0" })?;
        }
    }
    Ok(id)
}

/// A random UUID (RFC 9562 version 4), as Envoy makes them.
fn new_request_id() -> String {
    let random = fastrand::u128(..);
    let random = (random & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let digits = hex(random);
    let mut id = String::with_capacity(36);
    for part in [0..8, 8..12, 12..16, 16..20, 20..32] {
        if part.start > 0 {
            id.push('-');
        }
        id.push_str(&digits[part]);
    }
    id
}

fn hex(number: u128) -> String {
    let mut text = String::with_capacity(32);
    // Writing to a String cannot fail.
    let _ = write!(text, "{number:032x}");
    text
}

#[cfg(test)]
mod tests;
