//! The node's network configuration, copied into a file of weft's own that comes first by name, with our entry in it.
//!
//! Those who install networks write their file anew whenever they start, above all when the node has just booted: an entry
//! in it would be gone just when pods start before the agent. The copy is there, and theirs is never touched. When theirs
//! changes, the copy follows: the agent sees to it, and while there is none, the plugin itself ([`refresh`]), so that no
//! pod keeps a network that was replaced.
//!
//! Where the first plugin itself picks a file of the folder ([`NetworkFile::delegates`]), the entry is put into its file
//! instead: it would pick the copy, and call itself.

use std::{fs, io, path::Path};

use super::{
    conflist::{self, NetworkFile},
    entry::Entry,
    original::write,
};

/// The copy. It comes before all names in use (`00-`, `05-`, `10-` and so on).
pub const NAME: &str = "0-weft.conflist";

/// Permissions of the copy: everybody may read it (libcni's default), since others read it to learn about the network.
const MODE: u32 = 0o644;

/// How the entry gets into the node's network configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// The copy should be this.
    Copy {
        /// What it is made from.
        from: String,
        /// Its text.
        text: String,
    },
    /// The file itself should be this.
    InPlace {
        /// The file.
        file: NetworkFile,
        /// Its text with the entry in it.
        text: String,
    },
}

/// What should be done with these files; `None` when none of them is a network. Also why some are passed over.
///
/// # Errors
/// Why the network that the node uses cannot have our entry.
pub fn plan(files: &[NetworkFile], folder: &Path, entry: &Entry) -> Result<(Option<Plan>, Vec<String>), String> {
    let theirs: Vec<NetworkFile> = files.iter().filter(|file| file.name != NAME).cloned().collect();
    let (found, passed_over) = conflist::active(&theirs);
    let Some(file) = found else { return Ok((None, passed_over)) };
    let failed = |reason| format!("network configuration {}: {reason}", file.name);
    if file.delegates() {
        let text = file.with_entry(&entry.value()).map_err(failed)?;
        return Ok((Some(Plan::InPlace { file: file.clone(), text }), passed_over));
    }
    let entry = Entry { copied_in: Some(folder.to_owned()), copy_of: Some(file.name.clone()), ..entry.clone() };
    let text = file.with_entry(&entry.value()).map_err(failed)?;
    Ok((Some(Plan::Copy { from: file.name.clone(), text }), passed_over))
}

/// Makes the copy in `folder` what it should be. True when it was not. A folder without a network keeps the copy as it is:
/// whoever is about to write one is not here yet.
///
/// # Errors
/// The file system's, or why the network cannot have our entry.
pub fn refresh(folder: &Path, entry: &Entry) -> io::Result<bool> {
    match plan(&files(folder)?, folder, entry).map_err(io::Error::other)?.0 {
        Some(Plan::Copy { text, .. }) => put(folder, &text),
        Some(Plan::InPlace { .. }) | None => Ok(false),
    }
}

/// Writes the copy unless it says so already.
///
/// # Errors
/// The file system's.
pub(super) fn put(folder: &Path, text: &str) -> io::Result<bool> {
    let path = folder.join(NAME);
    if fs::read_to_string(&path).is_ok_and(|now| now == text) {
        return Ok(false);
    }
    write(&path, text, MODE).map(|()| true)
}

/// The network configurations of a folder.
///
/// # Errors
/// The file system's.
pub fn files(folder: &Path) -> io::Result<Vec<NetworkFile>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|name| NetworkFile::is_one(name))
        else {
            continue;
        };
        // One that has gone again, or that nobody may read, is none for the runtime, either.
        if let Ok(text) = fs::read_to_string(&path) {
            files.push(NetworkFile { name: name.to_owned(), text });
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests;
