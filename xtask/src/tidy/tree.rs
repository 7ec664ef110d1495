//! The Rust files of the repository, as the rules see them.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::lexer::{self, Lexed};

/// Libraries that are in the folder `tests` because tests use them.
const HARNESSES: [&str; 3] = ["tests/src/", "tests/scenario/src/", "tests/cluster/src/"];

/// One source file.
pub struct Source {
    /// From the root of the repository, with `/`.
    pub path: String,
    /// All of it.
    pub text: String,
}

impl Source {
    /// Its code and comments.
    pub fn lex(&self) -> Lexed<'_> {
        lexer::lex(&self.text)
    }

    /// Whether it holds tests only: a `tests.rs`, or anything in a folder `tests`. What tests are written with is a
    /// library like any other.
    pub fn is_test(&self) -> bool {
        let path = HARNESSES.iter().find_map(|harness| self.path.strip_prefix(harness)).unwrap_or(&self.path);
        path.split('/').any(|part| part == "tests" || part == "tests.rs")
    }
}

/// All of them, ordered by path.
pub struct Tree {
    files: Vec<Source>,
}

impl Tree {
    /// Reads every Rust file below `root`, without what is built and what is hidden.
    pub fn read(root: &Path) -> Result<Self> {
        let mut files = Vec::new();
        collect(root, "", &mut files)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { files })
    }

    /// All files.
    pub fn files(&self) -> &[Source] {
        &self.files
    }

    /// The files in this folder and below it; `folder` ends with `/`.
    pub fn below(&self, folder: &str) -> impl Iterator<Item = &Source> {
        self.files.iter().filter(move |file| file.path.starts_with(folder))
    }

    /// One file.
    pub fn file(&self, path: &str) -> Option<&Source> {
        self.files.iter().find(|file| file.path == path)
    }

    /// A tree that exists only in a test.
    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Self {
        let source = |(path, text): &(&str, &str)| Source { path: (*path).to_owned(), text: (*text).to_owned() };
        Self { files: files.iter().map(source).collect() }
    }
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<Source>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        // Links are not followed: what they lead to is in the tree already, or not part of it.
        let kind = entry.file_type().with_context(|| format!("cannot look at {path}"))?;
        if kind.is_dir() && name != "target" && !name.starts_with('.') {
            collect(&entry.path(), &format!("{path}/"), files)?;
        } else if kind.is_file() && name.ends_with(".rs") {
            let text = fs::read_to_string(entry.path()).with_context(|| format!("cannot read {path}"))?;
            files.push(Source { path, text });
        }
    }
    Ok(())
}
