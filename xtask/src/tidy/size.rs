//! One file, one noun; a function fits on a screen.

use super::lexer::{Spot, Token};
use super::tree::{Source, Tree};
use super::{Finding, Severity};

/// Lines of a file, all of them.
const FILE: Limit = Limit { warn: 300, fail: 400 };
/// Tests are read one at a time, so their files may be longer.
const TEST_FILE: Limit = Limit { warn: 600, fail: 600 };
/// Lines from `fn` to the closing brace.
const FUNCTION: Limit = Limit { warn: 70, fail: 100 };

/// Up to `warn` is fine, up to `fail` is a warning.
struct Limit {
    warn: usize,
    fail: usize,
}

impl Limit {
    fn severity(&self, lines: usize) -> Option<Severity> {
        match lines {
            _ if lines > self.fail => Some(Severity::Failure),
            _ if lines > self.warn => Some(Severity::Warning),
            _ => None,
        }
    }
}

/// Checks every file and every function.
pub fn check(tree: &Tree) -> Vec<Finding> {
    tree.files().iter().flat_map(|file| file_size(file).into_iter().chain(function_sizes(file))).collect()
}

fn file_size(file: &Source) -> Option<Finding> {
    let limit = if file.is_test() { TEST_FILE } else { FILE };
    let lines = file.text.lines().count();
    Some(Finding {
        path: file.path.clone(),
        line: 1,
        severity: limit.severity(lines)?,
        rule: "file size",
        problem: format!("{lines} lines; {} is the limit, {} the aim", limit.fail, limit.warn),
        advice: "split by noun: a type and what it can do go into a file of their own, tests into `name/tests.rs`",
    })
}

fn function_sizes(file: &Source) -> Vec<Finding> {
    let functions = functions(&file.lex().code).into_iter();
    functions
        .filter_map(|function| {
            Some(Finding {
                path: file.path.clone(),
                line: function.line,
                severity: FUNCTION.severity(function.lines)?,
                rule: "function size",
                problem: format!(
                    "`{}` has {} lines; {} is the limit, {} the aim",
                    function.name, function.lines, FUNCTION.fail, FUNCTION.warn
                ),
                advice: "keep the branching here and move straight-line work into helpers below",
            })
        })
        .collect()
}

struct Function {
    name: String,
    line: usize,
    lines: usize,
}

/// Every function with a body, nested ones also on their own.
fn functions(code: &[Spot<'_>]) -> Vec<Function> {
    let mut found = Vec::new();
    for (at, pair) in code.windows(2).enumerate() {
        let [(Token::Ident("fn"), line), (Token::Ident(name), _)] = pair else { continue };
        if let Some(end) = body_end(&code[at + 2..]) {
            found.push(Function { name: (*name).to_owned(), line: *line, lines: end - line + 1 });
        }
    }
    found
}

/// The line of the closing brace; `None` for a signature without a body.
fn body_end(code: &[Spot<'_>]) -> Option<usize> {
    // Parentheses and brackets of the signature can hold a `;` (`[u8; 4]`), and braces only in the body.
    let (mut brackets, mut braces) = (0_usize, 0_usize);
    for (token, line) in code {
        match token {
            Token::Punct('(' | '[') => brackets += 1,
            Token::Punct(')' | ']') => brackets = brackets.saturating_sub(1),
            Token::Punct(';') if brackets == 0 && braces == 0 => return None,
            Token::Punct('{') => braces += 1,
            Token::Punct('}') => {
                braces = braces.saturating_sub(1);
                if braces == 0 {
                    return Some(*line);
                }
            }
            _ => {}
        }
    }
    None
}
