//! Every file tells its story at the door: the first line is `//!`. A `tests.rs` beside a module has the
//! module's story.

use super::tree::Tree;
use super::{Finding, Severity};

/// Checks every file.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let silent = tree.files().iter().filter(|file| {
        let beside_its_module = file.path.contains("/src/") && file.path.ends_with("/tests.rs");
        !beside_its_module && !file.text.starts_with("//!")
    });
    silent
        .map(|file| Finding {
            path: file.path.clone(),
            line: 1,
            severity: Severity::Failure,
            rule: "door",
            problem: "the file does not open with `//!`".to_owned(),
            advice: "begin with what the file owns, who calls it, and what it leaves to others",
        })
        .collect()
}
