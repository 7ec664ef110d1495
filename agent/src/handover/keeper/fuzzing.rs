//! Fuzz target: records between agent and keeper, also of other versions of weft.

use super::message::{Answer, Ask, BYTES};

/// One record.
pub fn message(data: &[u8]) {
    let Some(record) = data.first_chunk::<BYTES>() else { return };
    if let Some(ask) = Ask::decode(record) {
        assert_eq!(Ask::decode(&ask.encode()), Some(ask), "an agent's question changes on its way");
    }
    if let Some(answer) = Answer::decode(record) {
        assert_eq!(Answer::decode(&answer.encode()), Some(answer), "the keeper's answer changes on its way");
    }
    assert!(Ask::decode(record).is_none() || Answer::decode(record).is_none());
}
