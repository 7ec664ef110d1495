use super::{delay, number, reduce, text, wins};

#[test]
fn the_draw_has_101_faces() {
    let winning = |probability| (0..=100).filter(|percent| wins(*percent, probability)).count();
    assert_eq!(winning(0.0), 0);
    assert_eq!(winning(0.1), 10);
    assert_eq!(winning(0.2), 20);
    assert_eq!(winning(1.0), 100);
}

#[test]
fn a_delay_lies_between_its_bounds_and_none_is_not_slept() {
    assert_eq!(delay((0.0, 0.0), 0.7), None);
    assert_eq!(delay((0.2, 0.4), 0.5).unwrap().as_millis(), 300);
    assert_eq!(delay((-1.0, 0.0), 0.5), None);
}

#[test]
fn a_text_becomes_a_number_or_not() {
    assert_eq!(number("4711"), Some(4711));
    assert_eq!(number("7\n"), Some(7));
    assert_eq!(number("A"), Some(65));
    assert_eq!(number("ÿ"), Some(255));
    assert_eq!(number("\n"), Some(10));
    for bad in ["", "AB", "7up"] {
        assert_eq!(number(bad), None, "{bad:?}");
    }
}

#[test]
fn bytes_that_are_not_utf8_become_one_character_each() {
    assert_eq!(text("é".as_bytes()), "é");
    assert_eq!(text(&[0xff]), "ÿ");
}

#[test]
fn numbers_are_brought_into_the_range() {
    assert_eq!(reduce(0, 10, 12), 10);
    assert_eq!(reduce(5, 10, 12), 12);
    assert_eq!(reduce(6, 10, 12), 10);
    assert_eq!(reduce(1, -3, -3), -3);
    assert_eq!(reduce(u64::MAX, i64::MIN, i64::MAX), i64::MAX);
}
