//! A network configuration as it was before our entry was put into it, kept on the node's disk, so that an uninstall leaves
//! the very file that was there. And how files are written, whole or not at all.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::conflist::NetworkFile;

/// Permissions of a configuration where nobody has set others: everybody may read it (libcni's default).
const MODE: u32 = 0o644;

/// What was there, and what was written in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Original {
    /// Name and text of the file before.
    name: String,
    text: String,
    /// Name and text that the installer gave it.
    written_name: String,
    written_text: String,
}

impl Original {
    /// Writes `text` in the place of `file`, and keeps what that was in `record`.
    ///
    /// # Errors
    /// The file system's, naming the file.
    pub fn replace(record: &Path, folder: &Path, file: &NetworkFile, text: &str) -> io::Result<()> {
        let (before, before_text) = match (file.without_entry(), read(record)) {
            (None, _) => (file.name.clone(), file.text.clone()),
            // Our own entry is renewed: what was there before it is known still.
            (Some(_), Some(kept)) if kept.written_text == file.text => (kept.name, kept.text),
            (Some(without), _) => (file.name.clone(), without),
        };
        let made =
            Self { name: before, text: before_text, written_name: file.list_name(), written_text: text.to_owned() };
        write(record, &serde_json::to_string_pretty(&made)?, MODE)?;
        let mode = mode_of(&folder.join(&file.name));
        write(&folder.join(&made.written_name), text, mode)?;
        if made.written_name != file.name {
            remove_if_there(&folder.join(&file.name))?;
        }
        Ok(())
    }

    /// Puts back what `record` holds, if the file is still as it was written; true when it was put back.
    ///
    /// # Errors
    /// The file system's, naming the file.
    pub fn restore(record: &Path, folder: &Path) -> io::Result<bool> {
        let Some(kept) = read(record) else { return Ok(false) };
        let written = folder.join(&kept.written_name);
        if !fs::read_to_string(&written).is_ok_and(|now| now == kept.written_text) {
            return Ok(false);
        }
        write(&folder.join(&kept.name), &kept.text, mode_of(&written))?;
        if kept.name != kept.written_name {
            remove_if_there(&written)?;
        }
        Ok(true)
    }
}

/// What is kept; `None` also when it cannot be read: then our entry is taken out of whatever is there.
fn read(record: &Path) -> Option<Original> {
    serde_json::from_slice(&fs::read(record).ok()?).ok()
}

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).map_or(MODE, |found| found.permissions().mode() & 0o7777)
}

/// Writes a file, whole or not at all, so that it is also there after the machine lost its power.
///
/// # Errors
/// The file system's, naming the file.
pub fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("cannot write {}: {error}", path.display()));
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(named)?;
    }
    let next = beside(path);
    let written = fs::File::create(&next).and_then(|mut file| {
        io::Write::write_all(&mut file, text.as_bytes())?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&next, path)).map_err(|error| {
        // Best effort: the first error is the one to tell.
        let _ = fs::remove_file(&next);
        named(error)
    })
}

/// A name in the same folder that no runtime takes for a configuration.
pub(super) fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.weft-{}", std::process::id()))
}

/// Removes a file; one that is not there is no error.
///
/// # Errors
/// The file system's, naming the file.
pub fn remove_if_there(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(io::Error::new(error.kind(), format!("cannot remove {}: {error}", path.display()))),
    }
}

#[cfg(test)]
mod tests;
