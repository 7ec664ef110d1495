//! What the relay changes in a head when it writes it for the other hop. Checked when it is added, so that no configured value can end a
//! line early or state a second length.

use std::borrow::Cow;

use super::chars::{is_authority, is_field_value, is_target, is_token};
use super::framing::BodyLength;
use super::headers::Kind;
use super::scan::Version;

/// Why a change was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEdit {
    /// The name is not a token.
    #[error("`{0}` is not a valid header name")]
    Name(String),
    /// The value has a control character.
    #[error("the value of header `{0}` contains a control character")]
    Value(String),
    /// The name belongs to the codec (framing and hop-by-hop fields, `Host`).
    #[error("header `{0}` is written by the proxy itself and cannot be changed by configuration")]
    Reserved(String),
    /// The method is not a token.
    #[error("`{0}` is not a valid method")]
    Method(String),
    /// Not `host[:port]`.
    #[error("`{0}` is not a valid authority; it must be `host` or `host:port`")]
    Authority(String),
    /// Not a path with an optional query.
    #[error("`{0}` is not a valid path; it must begin with `/` and have no space, fragment or non-ASCII character")]
    Path(String),
}

#[derive(Debug, Clone)]
pub(super) struct Change<'a> {
    pub(super) name: Cow<'a, str>,
    /// `None` only removes.
    pub(super) value: Option<Cow<'a, str>>,
    /// Whether the fields of that name in the received head go away.
    pub(super) replaces: bool,
}

/// Changes of header fields, in the order they were asked for.
#[derive(Debug, Clone, Default)]
pub struct HeaderEdits<'a> {
    changes: Vec<Change<'a>>,
}

impl<'a> HeaderEdits<'a> {
    /// Replaces every field `name` by one with `value`.
    ///
    /// # Errors
    /// The name or value is not valid, or the field is not open to change.
    pub fn set(&mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) -> Result<(), InvalidEdit> {
        self.add(name.into(), Some(value.into()), true)
    }

    /// Adds a field `name` with `value` behind those that are there.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn append(&mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) -> Result<(), InvalidEdit> {
        self.add(name.into(), Some(value.into()), false)
    }

    /// Removes every field `name`.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn remove(&mut self, name: impl Into<Cow<'a, str>>) -> Result<(), InvalidEdit> {
        self.add(name.into(), None, true)
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Each change: a name, what is added under it, and whether the received fields of that name go away. For heads that
    /// other codecs write.
    pub fn changes(&self) -> impl Iterator<Item = (&str, Option<&str>, bool)> {
        self.changes.iter().map(|change| (change.name.as_ref(), change.value.as_deref(), change.replaces))
    }

    /// Whether the received fields of this name are dropped.
    pub(super) fn replaces(&self, name: &[u8]) -> bool {
        self.changes.iter().any(|change| change.replaces && change.name.as_bytes().eq_ignore_ascii_case(name))
    }

    /// The fields to add.
    pub(super) fn added(&self) -> impl Iterator<Item = (&str, &str)> {
        self.changes.iter().filter_map(|change| Some((change.name.as_ref(), change.value.as_deref()?)))
    }

    fn add(&mut self, name: Cow<'a, str>, value: Option<Cow<'a, str>>, replaces: bool) -> Result<(), InvalidEdit> {
        if !is_token(name.as_bytes()) {
            return Err(InvalidEdit::Name(name.into_owned()));
        }
        if !matches!(Kind::of(name.as_bytes()), Kind::Other | Kind::Expect) {
            return Err(InvalidEdit::Reserved(name.into_owned()));
        }
        if value.as_ref().is_some_and(|value| !is_field_value(value.as_bytes())) {
            return Err(InvalidEdit::Value(name.into_owned()));
        }
        if replaces {
            self.changes.retain(|change| !change.name.eq_ignore_ascii_case(&name));
        }
        self.changes.push(Change { name, value, replaces });
        Ok(())
    }
}

/// What changes in a request on its way upstream. The default changes nothing but the hop-by-hop fields.
#[derive(Debug, Clone, Default)]
pub struct RequestEdits<'a> {
    /// Changes of fields.
    pub headers: HeaderEdits<'a>,
    /// Frames the body anew, if the relay sends it otherwise than it came. `UntilClose` and `Tunnel` mean no body for a request.
    pub body: Option<BodyLength>,
    /// Asks the upstream to close after its answer.
    pub close: bool,
    /// Passes on the client's offer to switch protocols, if it made one; else the offer is dropped.
    pub upgrade: bool,
    pub(super) method: Option<Cow<'a, str>>,
    pub(super) authority: Option<Cow<'a, str>>,
    pub(super) path: Option<Cow<'a, str>>,
}

impl<'a> RequestEdits<'a> {
    /// Sends another method. CONNECT changes the form of the whole request and is refused.
    ///
    /// # Errors
    /// [`InvalidEdit::Method`].
    pub fn set_method(&mut self, method: impl Into<Cow<'a, str>>) -> Result<(), InvalidEdit> {
        let method = method.into();
        if !is_token(method.as_bytes()) || method == "CONNECT" {
            return Err(InvalidEdit::Method(method.into_owned()));
        }
        self.method = Some(method);
        Ok(())
    }

    /// Sends another `Host`.
    ///
    /// # Errors
    /// [`InvalidEdit::Authority`].
    pub fn set_authority(&mut self, authority: impl Into<Cow<'a, str>>) -> Result<(), InvalidEdit> {
        let authority = authority.into();
        if !is_authority(authority.as_bytes(), false) {
            return Err(InvalidEdit::Authority(authority.into_owned()));
        }
        self.authority = Some(authority);
        Ok(())
    }

    /// Sends another path with query. Has no effect on CONNECT.
    ///
    /// # Errors
    /// [`InvalidEdit::Path`].
    pub fn set_path(&mut self, path: impl Into<Cow<'a, str>>) -> Result<(), InvalidEdit> {
        let path = path.into();
        if !path.starts_with('/') || !is_target(path.as_bytes()) {
            return Err(InvalidEdit::Path(path.into_owned()));
        }
        self.path = Some(path);
        Ok(())
    }
}

/// What a response says about its connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Persistence {
    /// The connection stays, as it does in HTTP/1.1 unless somebody says otherwise.
    #[default]
    Implied,
    /// The connection stays, and an HTTP/1.0 client must be told.
    KeepAlive,
    /// The connection closes after this message.
    Close,
}

impl Persistence {
    /// What to tell a client of `version`.
    pub fn for_client(version: Version, keep_alive: bool) -> Self {
        match (keep_alive, version) {
            (false, _) => Self::Close,
            (true, Version::Http10) => Self::KeepAlive,
            (true, Version::Http11) => Self::Implied,
        }
    }
}

/// What changes in a response on its way to the client. The default changes nothing but the hop-by-hop fields.
#[derive(Debug, Clone, Default)]
pub struct ResponseEdits<'a> {
    /// Changes of fields.
    pub headers: HeaderEdits<'a>,
    /// Frames the body anew, if the relay sends it otherwise than it came.
    pub body: Option<BodyLength>,
    /// What becomes of the client's connection. A body that ends with the connection closes it in any case.
    pub persistence: Persistence,
}
