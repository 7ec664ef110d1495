//! `cargo xtask tidy`: the rules of this tree that rustc and clippy do not know.
//!
//! A rule is a function from the [`Tree`] to findings; one file per kind of rule below `tidy/`. Rules read text and
//! tokens, not types: quick, and good enough to catch what happens by accident.

mod document;
mod layers;
mod leftovers;
mod lexer;
mod owners;
mod purity;
mod size;
mod tree;

use anyhow::{Result, bail};

use crate::paths;
use tree::Tree;

/// One place that breaks a rule, or nearly does.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    /// Counted from 1, as editors do.
    line: usize,
    severity: Severity,
    /// The rule's short name.
    rule: &'static str,
    /// What is wrong here.
    problem: String,
    /// What to do.
    advice: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Severity {
    /// Worth a look; does not fail.
    Warning,
    /// Breaks the rule.
    Failure,
}

/// The task: prints every finding, fails if one of them is a failure.
pub fn run() -> Result<()> {
    let tree = Tree::read(paths::root())?;
    let findings = check(&tree);
    let (failures, warnings): (Vec<_>, Vec<_>) =
        findings.iter().partition(|finding| finding.severity == Severity::Failure);
    if !warnings.is_empty() {
        println!("warnings ({}):", warnings.len());
    }
    for warning in &warnings {
        println!("  {}:{}: {}: {}", warning.path, warning.line, warning.rule, warning.problem);
    }
    for failure in &failures {
        println!("{}:{}: {}: {}", failure.path, failure.line, failure.rule, failure.problem);
        println!("    {}", failure.advice);
    }
    println!("tidy: {} files, {} failures, {} warnings", tree.files().len(), failures.len(), warnings.len());
    if failures.is_empty() { Ok(()) } else { bail!("tidy found {} failures", failures.len()) }
}

/// Every rule on the whole tree, ordered by place.
fn check(tree: &Tree) -> Vec<Finding> {
    let rules = [layers::check, purity::check, document::check, size::check, leftovers::check, owners::check];
    let mut findings: Vec<Finding> = rules.iter().flat_map(|rule| rule(tree)).collect();
    findings.sort_by(|a, b| (&a.path, a.line, a.rule).cmp(&(&b.path, b.line, b.rule)));
    // A group in `use` names its prefix and each member: one finding, said several times.
    findings.dedup();
    findings
}

#[cfg(test)]
mod tests;
