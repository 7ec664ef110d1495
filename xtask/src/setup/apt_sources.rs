//! Reads from a machine's apt sources which Debian mirror it uses.
//!
//! Called by `rust_src`, which asks that mirror for suites that the machine itself does not use. Knows both forms of
//! sources.list(5): one line each, and deb822 stanzas.

use std::fs;
use std::path::{Path, PathBuf};

/// The first Debian mirror in the sources below `etc_apt`.
pub fn debian_mirror(etc_apt: &Path) -> Option<String> {
    let files = source_files(etc_apt);
    files.iter().find_map(|path| {
        let text = fs::read_to_string(path).ok()?;
        let deb822 = path.extension().is_some_and(|extension| extension == "sources");
        if deb822 { mirror_in_stanzas(&text) } else { mirror_in_lines(&text) }
    })
}

fn source_files(etc_apt: &Path) -> Vec<PathBuf> {
    let parts = fs::read_dir(etc_apt.join("sources.list.d")).into_iter().flatten();
    let mut files: Vec<PathBuf> = parts.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "list" || extension == "sources"));
    files.sort();
    files.insert(0, etc_apt.join("sources.list"));
    files
}

/// `deb [options] URI suite component...`
fn mirror_in_lines(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let rest = line.split('#').next()?.trim().strip_prefix("deb ")?.trim_start();
        let rest = match rest.strip_prefix('[') {
            Some(options) => options.split_once(']')?.1,
            None => rest,
        };
        debian_uri(rest.split_whitespace().next()?)
    })
}

/// Stanzas of `Field: values`, separated by empty lines.
fn mirror_in_stanzas(text: &str) -> Option<String> {
    let text: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).map(str::trim_end).collect();
    text.split(|line| line.is_empty()).find_map(|stanza| {
        let field = |name: &str| {
            let value = |line: &&str| {
                let (field, value) = line.split_once(':')?;
                field.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            };
            stanza.iter().find_map(value)
        };
        let enabled = field("Enabled").is_none_or(|value| value != "no");
        let binary = field("Types")?.split_whitespace().any(|kind| kind == "deb");
        if !(enabled && binary) {
            return None;
        }
        field("URIs")?.split_whitespace().find_map(debian_uri)
    })
}

/// The archive itself, not its security or ports siblings: every mirror keeps it in a folder of this name.
fn debian_uri(uri: &str) -> Option<String> {
    let uri = uri.trim_end_matches('/');
    let remote = uri.starts_with("http://") || uri.starts_with("https://");
    (remote && uri.ends_with("/debian")).then(|| uri.to_owned())
}

#[cfg(test)]
mod tests;
