//! A database that cannot be reached is not a finding, and the other way round.

use anyhow::anyhow;

use super::*;

#[test]
fn only_a_failed_fetch_is_unreachable() {
    let fetch = anyhow!("`cargo deny check` failed (exit status: 1):\n    [ERROR] failed to fetch advisory database x");
    let finding = anyhow!("`cargo deny check` failed (exit status: 1):\n    error[vulnerability]: a use after free");
    assert!(is_unreachable(&fetch));
    assert!(!is_unreachable(&finding));
}
