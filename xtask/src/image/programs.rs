//! Layers with the programs of this tree and the libraries that they load.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::layer::Layer;
use crate::run::Cmd;

/// The layer with `program` as `/usr/local/bin/<name>`, for an image that has a C library already.
pub fn on_base(folder: &Path, program: &Path, name: &str) -> Result<Layer> {
    pack(folder, program, |root| place(program, name, root))
}

/// The layer with `program` as `/usr/local/bin/<name>` and with its libraries: an image by itself.
pub fn alone(folder: &Path, program: &Path, name: &str) -> Result<Layer> {
    pack(folder, program, |root| {
        place(program, name, root)?;
        for folder in ["tmp", "etc", "run"] {
            let folder = root.join(folder);
            fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        libraries(program)?.iter().try_for_each(|library| copy_library(library, root))
    })
}

/// Packs the layer again only if the program is another than last time.
fn pack(folder: &Path, program: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<Layer> {
    let look = || format!("cannot look at {}", program.display());
    let metadata = fs::metadata(program).with_context(look)?;
    let source = format!("{} {} {:?}", program.display(), metadata.len(), metadata.modified().with_context(look)?);
    let record = folder.join("source");
    if let Some(layer) = Layer::packed(folder)
        && fs::read_to_string(&record).is_ok_and(|packed| packed == source)
    {
        return Ok(layer);
    }
    let layer = Layer::pack(folder, fill)?;
    fs::write(&record, source).with_context(|| format!("cannot write {}", record.display()))?;
    Ok(layer)
}

fn place(program: &Path, name: &str, root: &Path) -> Result<()> {
    let folder = root.join("usr/local/bin");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    // Debug information is most of a development build; back traces keep the functions' names.
    Cmd::new("strip")
        .args(["--strip-debug".as_ref(), "-o".as_ref(), folder.join(name).as_os_str(), program.as_os_str()])
        .read()
        .map(|_said| ())
        .context("strip(1) comes with the linker that builds Rust programs (Debian: binutils)")
}

/// The dynamic linker and the libraries of a program; none if it is static.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    match Cmd::new("ldd").args([program]).read() {
        Ok(said) => parse(&said),
        Err(error) if error.to_string().contains("not a dynamic executable") => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn parse(said: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for line in said.lines().map(str::trim).filter(|line| !line.contains("statically linked")) {
        if line.ends_with("not found") {
            bail!("a library is missing on this machine: {line}");
        }
        let place = line.split_once(" => ").map_or(line, |(_name, place)| place);
        let path = place.split(" (").next().unwrap_or(place);
        // The kernel's own has no file.
        if path.starts_with('/') {
            found.push(PathBuf::from(path));
        }
    }
    Ok(found)
}

/// Puts a library where the dynamic linker's built-in search finds it, also in a root whose `/lib` is a link to `/usr/lib`.
fn copy_library(library: &Path, root: &Path) -> Result<()> {
    let is_linker = library.parent() == Some(Path::new("/lib64"));
    let inside = library.strip_prefix("/").unwrap_or(library);
    let inside = if is_linker || inside.starts_with("usr") { inside.to_owned() } else { Path::new("usr").join(inside) };
    let target = root.join(inside);
    let folder = target.parent().unwrap_or(root);
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::copy(library, &target).with_context(|| format!("cannot copy {}", library.display())).map(|_length| ())
}

#[cfg(test)]
mod tests;
