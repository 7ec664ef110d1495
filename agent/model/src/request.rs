//! An HTTP request as decisions see it: borrowed, never owned.

#[cfg(test)]
mod tests;

/// The parts of a request that rules may look at.
pub struct Request<'a> {
    /// Method, upper case as sent.
    pub method: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Host header or authority as sent, port included when sent.
    pub authority: &'a str,
    /// Path with query, as sent.
    pub target: &'a str,
    /// Header access.
    pub headers: &'a dyn Headers,
}

impl Request<'_> {
    /// The path without query and fragment.
    ///
    /// A client may also send the absolute form, `http://host/path` (RFC 9112 section 3.2.2); its path begins after
    /// the authority, else a policy about `/path` could be walked around by spelling out the host.
    pub fn path(&self) -> &str {
        let target = self.target.split(['?', '#']).next().unwrap_or("");
        if target.starts_with('/') {
            return target;
        }
        match target.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("/", |start| &rest[start..]),
            None => target,
        }
    }

    /// The query without its `?`.
    pub fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }
}

/// Header look-up by lower-case name.
pub trait Headers {
    /// All values of that header joined by `,` as Envoy does, or `None` when absent.
    fn value(&self, lower_case_name: &str) -> Option<std::borrow::Cow<'_, str>>;
}

/// A plain list serves tests and `weft explain`.
impl Headers for [(String, String)] {
    fn value(&self, lower_case_name: &str) -> Option<std::borrow::Cow<'_, str>> {
        let mut found = self.iter().filter(|(name, _)| name.eq_ignore_ascii_case(lower_case_name));
        let first = found.next()?;
        let joined = found
            .fold(None::<String>, |all, (_, value)| Some(format!("{},{value}", all.as_deref().unwrap_or(&first.1))));
        Some(joined.map_or_else(|| first.1.as_str().into(), Into::into))
    }
}

/// As a slice; a slice itself cannot stand behind `&dyn Headers`.
impl Headers for Vec<(String, String)> {
    fn value(&self, lower_case_name: &str) -> Option<std::borrow::Cow<'_, str>> {
        self.as_slice().value(lower_case_name)
    }
}
