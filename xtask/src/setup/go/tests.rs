//! Reading Go's version.

use super::*;

#[test]
fn a_version_has_two_numbers_that_count() {
    assert_eq!(release("go1.26.8\n"), Some((1, 26)));
    assert_eq!(release("go1.19"), Some((1, 19)));
    assert_eq!(release("go1.27rc1"), Some((1, 27)));
    assert_eq!(release("devel +abc"), None);
}
