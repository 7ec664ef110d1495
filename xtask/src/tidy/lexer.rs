//! Just enough of Rust's grammar to tell code from comments and strings, and to read paths.
//!
//! Called by `tree` once per file. Knows nested block comments, raw strings, byte and C strings, and that `'a` can be a
//! lifetime. Leaves macros unexpanded.

/// A piece of code; strings and characters count as [`Token::Literal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// An identifier or keyword; `r#type` is `type`.
    Ident(&'a str),
    /// `::`
    PathSep,
    /// Any other character of code.
    Punct(char),
    /// A string, a character, a number, a lifetime: nothing that a rule reads.
    Literal,
}

/// A token, and the line where it starts, counted from 1.
pub type Spot<'a> = (Token<'a>, usize);

/// What a file consists of.
pub struct Lexed<'a> {
    /// The code in order.
    pub code: Vec<Spot<'a>>,
    /// The comments with their markers, and the line where each starts.
    pub comments: Vec<(&'a str, usize)>,
}

/// Splits a file. Text that is not Rust comes out as tokens, too: reporting that is rustc's work.
pub fn lex(text: &str) -> Lexed<'_> {
    let mut lexed = Lexed { code: Vec::new(), comments: Vec::new() };
    let mut rest = text;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let (token, length) = next(rest, first);
        let (piece, after) = rest.split_at(length);
        match token {
            Piece::Code(token) => lexed.code.push((token, line)),
            Piece::Comment => lexed.comments.push((piece, line)),
            Piece::Space => {}
        }
        line += piece.matches('\n').count();
        rest = after;
    }
    lexed
}

enum Piece<'a> {
    Code(Token<'a>),
    Comment,
    Space,
}

/// The first piece of `rest`, which starts with `first`, and its length in bytes.
fn next(rest: &str, first: char) -> (Piece<'_>, usize) {
    if first.is_whitespace() {
        return (Piece::Space, first.len_utf8());
    }
    if rest.starts_with("//") {
        return (Piece::Comment, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (Piece::Comment, block_comment(rest));
    }
    if let Some(length) = string(rest).or_else(|| quote(rest)) {
        return (Piece::Code(Token::Literal), length);
    }
    if rest.starts_with("::") {
        return (Piece::Code(Token::PathSep), 2);
    }
    if first.is_ascii_digit() {
        return (Piece::Code(Token::Literal), word(rest));
    }
    if is_word(first) {
        let raw = if rest.starts_with("r#") { 2 } else { 0 };
        let length = raw + word(&rest[raw..]);
        return (Piece::Code(Token::Ident(&rest[raw..length])), length);
    }
    (Piece::Code(Token::Punct(first)), first.len_utf8())
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn word(rest: &str) -> usize {
    rest.find(|c| !is_word(c)).unwrap_or(rest.len())
}

/// Block comments nest.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        let here = &rest[at..];
        if here.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// `"..."`, `r#"..."#`, and both with the prefix `b` or `c`.
fn string(rest: &str) -> Option<usize> {
    let prefix = usize::from(rest.starts_with(['b', 'c']));
    let body = &rest[prefix..];
    if let Some(raw) = body.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let inner = raw[hashes..].strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        let length = inner.find(&end).map_or(inner.len(), |at| at + end.len());
        return Some(rest.len() - inner.len() + length);
    }
    let inner = body.strip_prefix('"')?;
    Some(rest.len() - inner.len() + until_quote(inner, '"'))
}

/// `'x'`, `b'x'`, `'\n'`, or a lifetime.
fn quote(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix("b'").or_else(|| rest.strip_prefix('\''))?;
    let before = rest.len() - inner.len();
    let mut chars = inner.chars();
    let first = chars.next()?;
    let is_char = first == '\\' || chars.next() == Some('\'');
    Some(before + if is_char { until_quote(inner, '\'') } else { word(inner) })
}

/// The length up to and with the closing quote; a backslash takes the next character with it.
fn until_quote(inner: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in inner.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    inner.len()
}

/// A path as written, with groups resolved: `use a::{b, c::d}` names `a`, `a::b` and `a::c::d`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path<'a> {
    /// Its parts; generic arguments end a path.
    pub parts: Vec<&'a str>,
    /// Where it is written, counted from 1.
    pub line: usize,
}

/// Every path of the code, also those of one part.
pub fn paths<'a>(code: &[Spot<'a>]) -> Vec<Path<'a>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < code.len() {
        at = match code[at].0 {
            Token::Ident(_) => path(code, at, &[], &mut found),
            _ => at + 1,
        };
    }
    found
}

/// Reads the path at `at` below `prefix`, and returns where the code goes on.
fn path<'a>(code: &[Spot<'a>], mut at: usize, prefix: &[&'a str], found: &mut Vec<Path<'a>>) -> usize {
    let mut parts = prefix.to_vec();
    let mut line = code[at].1;
    while let Some((Token::Ident(name), here)) = code.get(at) {
        parts.push(name);
        line = *here;
        at += 1;
        if !matches!(code.get(at), Some((Token::PathSep, _))) {
            break;
        }
        at += 1;
    }
    let group =
        at > 0 && matches!(code[at - 1].0, Token::PathSep) && matches!(code.get(at), Some((Token::Punct('{'), _)));
    found.push(Path { parts: parts.clone(), line });
    if group { group_of(code, at + 1, &parts, found) } else { at }
}

/// Reads `a, b::{c}, *}` after the opening brace.
fn group_of<'a>(code: &[Spot<'a>], mut at: usize, prefix: &[&'a str], found: &mut Vec<Path<'a>>) -> usize {
    while let Some((token, _)) = code.get(at) {
        at = match token {
            Token::Punct('}') => return at + 1,
            // The new name of `a as b` is no part of a path.
            Token::Ident("as") => at + 2,
            Token::Ident(_) => path(code, at, prefix, found),
            _ => at + 1,
        };
    }
    at
}

#[cfg(test)]
mod tests;
