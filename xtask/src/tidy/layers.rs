//! Inside the agent, every arrow points down.
//!
//! `agent/src/lib.rs` declares its modules from the lowest layer to the highest; a module names only itself and modules
//! declared above it. Between crates cargo forbids circles, inside one nothing else does. `main.rs` may name everything.

use super::lexer::{Spot, Token, paths};
use super::tree::{Source, Tree};
use super::{Finding, Severity};

const ROOT: &str = "agent/src/";
const RULE: &str = "layers";

/// Checks every file of the agent's library.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let Some(lib) = tree.file("agent/src/lib.rs") else {
        return Vec::new();
    };
    let layers = modules(&lib.lex().code);
    let mut findings = Vec::new();
    for file in tree.below(ROOT) {
        let Some(module) = module_of(&file.path) else { continue };
        match layers.iter().position(|layer| layer == module) {
            Some(own) => check_file(file, &layers, own, &mut findings),
            None => findings.push(undeclared(file, module)),
        }
    }
    findings
}

/// The modules that `lib.rs` declares, in order.
fn modules(code: &[Spot<'_>]) -> Vec<String> {
    let mut depth = 0_usize;
    let mut found = Vec::new();
    for pair in code.windows(2) {
        match (pair[0].0, pair[1].0) {
            (Token::Punct('{'), _) => depth += 1,
            (Token::Punct('}'), _) => depth = depth.saturating_sub(1),
            (Token::Ident("mod"), Token::Ident(name)) if depth == 0 => found.push(name.to_owned()),
            _ => {}
        }
    }
    found
}

/// The top module that a file belongs to; `None` for the roots of the library and of the binaries.
fn module_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix(ROOT)?;
    let module = inside.split_once('/').map_or_else(|| inside.strip_suffix(".rs"), |(folder, _)| Some(folder))?;
    (!["lib", "main", "bin"].contains(&module)).then_some(module)
}

fn check_file(file: &Source, layers: &[String], own: usize, findings: &mut Vec<Finding>) {
    for path in paths(&file.lex().code) {
        let ["crate", named, ..] = path.parts[..] else { continue };
        let (problem, advice) = match layers.iter().position(|layer| layer == named) {
            Some(layer) if layer <= own => continue,
            Some(_) => (
                format!("`{}` names `{named}`, which lib.rs declares below it, in a higher layer", layers[own]),
                "move the shared part down, let the lower module own a trait that the higher implements, or pass a value",
            ),
            None => (
                format!("`crate::{named}` is no module that lib.rs declares"),
                "name the module that owns the item: an item at the crate's root has no layer",
            ),
        };
        findings.push(failure(file, path.line, problem, advice));
    }
}

fn undeclared(file: &Source, module: &str) -> Finding {
    let problem = format!("`{module}` is no module that lib.rs declares, so it has no layer");
    failure(file, 1, problem, "declare it in agent/src/lib.rs at the place of its layer, or delete the file")
}

fn failure(file: &Source, line: usize, problem: String, advice: &'static str) -> Finding {
    Finding { path: file.path.clone(), line, severity: Severity::Failure, rule: RULE, problem, advice }
}
