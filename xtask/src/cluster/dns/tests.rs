//! Questions and answers on the wire.

use super::*;

#[test]
fn a_question_is_as_the_standard_writes_it() {
    let expected = b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\x01a\x02bc\0\0\x01\0\x01";
    assert_eq!(question("a.bc"), expected);
}

#[test]
fn only_a_good_answer_counts() {
    let address = std::net::Ipv4Addr::new(10, 96, 0, 1);
    let answer = |flags: u8| [&[0, 1, 0x84, flags, 0, 1][..], &[10, 96, 0, 1]].concat();
    assert!(ends_with_address(&answer(0x80), address));
    assert!(!ends_with_address(&answer(0x83), address), "no such name");
    assert!(!ends_with_address(&answer(0)[..9], address));
}
