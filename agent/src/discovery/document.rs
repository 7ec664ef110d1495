//! Splits a file into YAML documents, each with the line it starts at.
//!
//! The split is by text, not by the YAML parser: a parser stops at the first syntax error, and one
//! broken document must not take the others of its file with it.

/// One document of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Document<'a> {
    /// Its text, without the separator.
    pub text: &'a str,
    /// Lines of the file before it.
    pub lines_before: usize,
}

/// The documents of a file that hold more than comments.
pub fn split(file: &str) -> Vec<Document<'_>> {
    let file = file.strip_prefix('\u{feff}').unwrap_or(file);
    let mut documents = Vec::new();
    let mut start = 0;
    let mut lines_before = 0;
    let mut offset = 0;
    for (number, line) in file.split_inclusive('\n').enumerate() {
        if let Some(marker) = marker_length(line) {
            documents.push(Document { text: &file[start..offset], lines_before });
            // What follows on the marker's line (`--- {kind: ...}`) belongs to the new document.
            start = offset + marker;
            lines_before = number;
        }
        offset += line.len();
    }
    documents.push(Document { text: &file[start..], lines_before });
    documents.retain(|document| document.text.lines().any(has_content));
    documents
}

/// Length of a document marker (`---` or `...`) at the start of a line: YAML allows it at the
/// very left only, followed by white space, even inside block scalars (YAML 1.2 section 9.1.2).
fn marker_length(line: &str) -> Option<usize> {
    let rest = line.strip_prefix("---").or_else(|| line.strip_prefix("..."))?;
    (rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n'])).then_some(3)
}

/// Does a line hold something besides comments, white space and directives (`%YAML 1.2`)?
fn has_content(line: &str) -> bool {
    let text = line.trim_start();
    !text.is_empty() && !text.starts_with('#') && !line.starts_with('%')
}

#[cfg(test)]
mod tests;
