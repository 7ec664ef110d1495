//! String matching as Istio's APIs define it.

use regex::Regex;

/// `StringMatch` of a VirtualService: exact, prefix or regex (full match, RE2 syntax).
#[derive(Clone, Debug)]
pub enum StringMatch {
    /// Equal.
    Exact(String),
    /// Begins with.
    Prefix(String),
    /// The whole string matches (compiled anchored; `source` is as written).
    Regex {
        /// As the user wrote it.
        source: String,
        /// Compiled with both ends anchored.
        compiled: Regex,
    },
    /// Present with any value (`{}` in a header match).
    Present,
}

impl PartialEq for StringMatch {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(a), Self::Exact(b)) | (Self::Prefix(a), Self::Prefix(b)) => a == b,
            (Self::Regex { source: a, .. }, Self::Regex { source: b, .. }) => a == b,
            (Self::Present, Self::Present) => true,
            _ => false,
        }
    }
}

impl StringMatch {
    /// Compiles a full-match regular expression.
    ///
    /// # Errors
    /// The `regex` crate's message when the expression is not valid RE2 syntax.
    pub fn regex(source: &str) -> Result<Self, regex::Error> {
        let compiled = Regex::new(&format!("^(?:{source})$"))?;
        Ok(Self::Regex { source: source.to_owned(), compiled })
    }

    /// Does `value` match? `ignore_case` is `ignoreUriCase` (exact and prefix only, as in Istio).
    pub fn matches(&self, value: &str, ignore_case: bool) -> bool {
        match self {
            Self::Exact(want) if ignore_case => want.eq_ignore_ascii_case(value),
            Self::Exact(want) => want == value,
            Self::Prefix(want) if ignore_case => {
                value.as_bytes().get(..want.len()).is_some_and(|head| head.eq_ignore_ascii_case(want.as_bytes()))
            }
            Self::Prefix(want) => value.starts_with(want.as_str()),
            Self::Regex { compiled, .. } => compiled.is_match(value),
            Self::Present => true,
        }
    }
}

/// A value of an AuthorizationPolicy: `abc` exact, `abc*` prefix, `*abc` suffix, `*` present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Equal.
    Exact(String),
    /// `abc*`.
    Prefix(String),
    /// `*abc`.
    Suffix(String),
    /// `*`: any non-empty value.
    Present,
}

impl Pattern {
    /// Reads the pattern as the API spells it.
    pub fn parse(text: &str) -> Self {
        match (text.strip_prefix('*'), text.strip_suffix('*')) {
            _ if text == "*" => Self::Present,
            (Some(tail), _) => Self::Suffix(tail.to_owned()),
            (_, Some(head)) => Self::Prefix(head.to_owned()),
            _ => Self::Exact(text.to_owned()),
        }
    }

    /// Does `value` match?
    pub fn matches(&self, value: &str) -> bool {
        match self {
            Self::Exact(want) => want == value,
            Self::Prefix(head) => value.starts_with(head.as_str()),
            Self::Suffix(tail) => value.ends_with(tail.as_str()),
            Self::Present => !value.is_empty(),
        }
    }
}
