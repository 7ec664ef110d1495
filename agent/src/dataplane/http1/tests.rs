//! Tests of the codec: what is refused, what is understood, what is written, and that pieces make no difference.

mod bench;
mod bodies;
mod properties;
mod refusals;
mod requests;
mod responses;
mod writing;

use super::*;

/// Parses one whole request head.
fn request(bytes: &[u8]) -> Result<RequestHead, HeadError> {
    match RequestParser::default().parse(bytes)? {
        Parse::Complete { head, consumed } => {
            assert!(bytes[..consumed].ends_with(b"\r\n\r\n"), "the head must end with its empty line");
            Ok(head)
        }
        Parse::Partial => panic!("incomplete: {:?}", bytes.escape_ascii().to_string()),
    }
}

/// Parses one whole response head.
fn response(bytes: &[u8], answer_to: AnswerTo) -> Result<ResponseHead, HeadError> {
    match ResponseParser::default().parse(bytes, answer_to)? {
        Parse::Complete { head, .. } => Ok(head),
        Parse::Partial => panic!("incomplete: {:?}", bytes.escape_ascii().to_string()),
    }
}

/// The head as it goes upstream.
fn forwarded(bytes: &[u8], edits: &RequestEdits<'_>) -> String {
    let mut out = Vec::new();
    write_request_head(&mut out, &request(bytes).expect("accepted"), edits);
    String::from_utf8(out).expect("text")
}

/// The head as it goes to the client.
fn returned(bytes: &[u8], answer_to: AnswerTo, edits: &ResponseEdits<'_>) -> String {
    let mut out = Vec::new();
    write_response_head(&mut out, &response(bytes, answer_to).expect("accepted"), edits);
    String::from_utf8(out).expect("text")
}
