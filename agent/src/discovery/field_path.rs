//! Where in an object something stands: `spec.http[0].route[1].weight`.
//!
//! Built while objects are read and converted, printed in every problem, and walked by
//! [`super::locate`] to find the line of the file.

use std::fmt;

/// One step down into a document.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// Field of a mapping.
    Key(String),
    /// Element of a sequence, counted from 0.
    Index(usize),
}

/// Path of a field inside a document; empty for the document itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldPath(Vec<Step>);

impl FieldPath {
    /// The document itself.
    pub fn root() -> Self {
        Self::default()
    }

    /// The path of nested fields of mappings.
    pub fn of(keys: &[&str]) -> Self {
        Self(keys.iter().map(|key| Step::Key((*key).to_owned())).collect())
    }

    /// The field `name` below this one.
    pub fn key(&self, name: impl Into<String>) -> Self {
        self.with(Step::Key(name.into()))
    }

    /// The element `index` of this sequence.
    pub fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    /// This path followed by `rest`.
    pub fn join(&self, rest: &FieldPath) -> Self {
        Self(self.0.iter().chain(&rest.0).cloned().collect())
    }

    /// The enclosing field.
    pub fn parent(&self) -> Self {
        Self(self.0.split_last().map_or_else(Vec::new, |(_, head)| head.to_vec()))
    }

    /// The steps from the root.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// The last key, when the path ends in one.
    pub fn last_key(&self) -> Option<&str> {
        match self.0.last() {
            Some(Step::Key(key)) => Some(key),
            _ => None,
        }
    }

    /// Does one of the keys on the way equal `name`?
    pub fn passes(&self, name: &str) -> bool {
        self.0.iter().any(|step| matches!(step, Step::Key(key) if key == name))
    }

    /// Is it the document itself?
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                // Label and annotation keys have dots and slashes of their own.
                Step::Key(key) if key.contains(['.', '/']) => write!(f, "[{key:?}]")?,
                Step::Key(key) if position == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}

impl From<&serde_path_to_error::Path> for FieldPath {
    fn from(path: &serde_path_to_error::Path) -> Self {
        use serde_path_to_error::Segment;
        let step = |segment: &Segment| match segment {
            Segment::Seq { index } => Some(Step::Index(*index)),
            Segment::Map { key } => Some(Step::Key(key.clone())),
            // A variant is the value of a field, not a field.
            Segment::Enum { .. } | Segment::Unknown => None,
        };
        Self(path.iter().filter_map(step).collect())
    }
}

impl From<&serde_ignored::Path<'_>> for FieldPath {
    fn from(path: &serde_ignored::Path<'_>) -> Self {
        use serde_ignored::Path;
        match path {
            Path::Root => Self::root(),
            Path::Seq { parent, index } => Self::from(*parent).index(*index),
            Path::Map { parent, key } => Self::from(*parent).key(key.clone()),
            Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => {
                Self::from(*parent)
            }
        }
    }
}
