//! Nothing is left open in the code: open work is an issue, not a comment.

use super::lexer::Token;
use super::tree::{Source, Tree};
use super::{Finding, Severity};

/// Words in comments that announce work.
const WORDS: [&str; 2] = ["TODO", "FIXME"];
/// Macros that stand for missing code.
const MACROS: [&str; 2] = ["todo", "unimplemented"];

/// Checks every file.
pub fn check(tree: &Tree) -> Vec<Finding> {
    tree.files().iter().flat_map(leftovers).collect()
}

fn leftovers(file: &Source) -> Vec<Finding> {
    let lexed = file.lex();
    let lines = lexed.comments.iter().flat_map(|(text, first)| text.lines().zip(*first..));
    let words = lines.flat_map(|(text, line)| {
        WORDS.into_iter().filter(|word| text.contains(word)).map(move |word| (line, word.to_owned()))
    });
    let macros = lexed.code.windows(2).filter_map(|pair| match pair {
        [(Token::Ident(name), line), (Token::Punct('!'), _)] if MACROS.contains(name) => {
            Some((*line, format!("{name}!")))
        }
        _ => None,
    });
    let finding = |(line, what): (usize, String)| Finding {
        path: file.path.clone(),
        line,
        severity: Severity::Failure,
        rule: "leftover",
        problem: format!("`{what}` is left in the code"),
        advice: "finish it, or take it out and say in the issue what is missing",
    };
    words.chain(macros).map(finding).collect()
}
