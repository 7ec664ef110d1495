//! The four forms of a request target (RFC 9112 section 3.2). Used by the request parser; path normalisation is the model's.

use std::ops::Range;

use super::chars::{is_authority, is_target};
use super::error::HeadError;

/// The form in which the sender wrote the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TargetForm {
    /// `/path?query`, the usual one.
    Origin,
    /// `http://host/path?query`, as sent to proxies; its authority wins over `Host`.
    Absolute,
    /// `host:port`, only with CONNECT.
    Authority,
    /// `*`, only with OPTIONS.
    Asterisk,
}

/// A validated target; ranges are relative to its first byte.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) form: TargetForm,
    pub(super) scheme: Option<Range<usize>>,
    pub(super) authority: Option<Range<usize>>,
    pub(super) path: Path,
}

/// Where the path of a target is found.
#[derive(Debug)]
pub(super) enum Path {
    /// In the target as it was sent.
    Written(Range<usize>),
    /// The target is absolute and has no path: this text, then what is left of the target (a query or nothing).
    Implied(&'static str, Range<usize>),
}

impl Target {
    /// Holds `target` to the forms that `method` allows.
    ///
    /// # Errors
    /// [`HeadError::InvalidTarget`].
    pub(super) fn parse(method: &[u8], target: &[u8]) -> Result<Self, HeadError> {
        if !is_target(target) {
            return Err(HeadError::InvalidTarget);
        }
        let whole = 0..target.len();
        if method == b"CONNECT" {
            return match is_authority(target, true) {
                true => Ok(Self {
                    form: TargetForm::Authority,
                    scheme: None,
                    authority: Some(whole.clone()),
                    path: Path::Written(whole),
                }),
                false => Err(HeadError::InvalidTarget),
            };
        }
        match target {
            [b'/', ..] => {
                Ok(Self { form: TargetForm::Origin, scheme: None, authority: None, path: Path::Written(whole) })
            }
            b"*" if method == b"OPTIONS" => {
                Ok(Self { form: TargetForm::Asterisk, scheme: None, authority: None, path: Path::Written(whole) })
            }
            _ => Self::absolute(method, target),
        }
    }

    fn absolute(method: &[u8], target: &[u8]) -> Result<Self, HeadError> {
        let scheme = target.iter().position(|&byte| byte == b':').unwrap_or_default();
        let is_http = target[..scheme].eq_ignore_ascii_case(b"http") || target[..scheme].eq_ignore_ascii_case(b"https");
        if !is_http || !target[scheme..].starts_with(b"://") {
            return Err(HeadError::InvalidTarget);
        }
        let start = scheme + 3;
        let end = target[start..].iter().position(|&b| b == b'/' || b == b'?').map_or(target.len(), |at| start + at);
        if !is_authority(&target[start..end], false) {
            return Err(HeadError::InvalidTarget);
        }
        let rest = end..target.len();
        let path = match target.get(end) {
            Some(b'/') => Path::Written(rest),
            // RFC 9112 section 3.2.4: OPTIONS for a whole server.
            None if method == b"OPTIONS" => Path::Implied("*", rest),
            _ => Path::Implied("/", rest),
        };
        Ok(Self { form: TargetForm::Absolute, scheme: Some(0..scheme), authority: Some(start..end), path })
    }
}
