//! `http://` URLs, as far as a test client needs them. Used by `request`.

use std::io;

/// `http://host[:port]/path?query`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) authority: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) target: String,
}

impl Url {
    pub(crate) fn parse(url: &str) -> io::Result<Self> {
        let invalid = || io::Error::new(io::ErrorKind::InvalidInput, format!("{url:?} is no http:// URL"));
        let rest = url.strip_prefix("http://").ok_or_else(invalid)?;
        let cut = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(cut);
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        // An IPv6 address holds colons itself and stands in brackets.
        let after_address = authority.rfind(']').unwrap_or(0);
        let (host, port) = match authority[after_address..].rfind(':') {
            Some(colon) => {
                let colon = after_address + colon;
                (&authority[..colon], authority[colon + 1..].parse().map_err(|_| invalid())?)
            }
            None => (authority, 80),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(invalid());
        }
        Ok(Self { authority: authority.to_owned(), host, port, target })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let url = |text| Url::parse(text).map(|u| (u.host, u.port, u.target)).unwrap();
        assert_eq!(url("http://name:5000/a?b"), ("name".into(), 5000, "/a?b".into()));
        assert_eq!(url("http://name"), ("name".into(), 80, "/".into()));
        assert_eq!(url("http://[fd00::1]:81?x=1"), ("fd00::1".into(), 81, "/?x=1".into()));
        assert_eq!(url("http://[fd00::1]/"), ("fd00::1".into(), 80, "/".into()));
        assert!(Url::parse("https://name").is_err() && Url::parse("http://:80").is_err());
    }
}
