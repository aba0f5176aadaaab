//! A fact, or why it is not known, and the tree that facts are read from.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Why a fact is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("cannot {verb} {path}: {reason}")]
pub struct FactError {
    /// What could not be done: `read`, `parse`, `run`, `connect to`.
    pub verb: String,
    /// On what.
    pub path: String,
    /// What the system said.
    pub reason: String,
}

impl FactError {
    /// A failure of an operation on a path.
    pub fn new(verb: &str, path: impl Into<String>, reason: impl ToString) -> Self {
        Self { verb: verb.to_owned(), path: path.into(), reason: reason.to_string() }
    }

    /// Something cannot be tried.
    pub(crate) fn captured(what: &str) -> Self {
        Self::new("try", what, "this is a captured machine")
    }

    /// A failed read.
    pub fn read(path: impl Into<String>, error: &io::Error) -> Self {
        Self::new("read", path, error)
    }
}

/// A fact, or why it is not known.
pub type Fact<T> = Result<T, FactError>;

/// Files larger than this are not facts but data.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// A directory that stands for `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root(PathBuf);

impl Root {
    /// Reads below `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Whether this is the running system, so that programs can be run and sockets tried.
    pub fn is_live(&self) -> bool {
        self.0 == Path::new("/")
    }

    /// Where an absolute path of the judged machine lies for us.
    pub fn path(&self, absolute: impl AsRef<Path>) -> PathBuf {
        let absolute = absolute.as_ref();
        self.0.join(absolute.strip_prefix("/").unwrap_or(absolute))
    }

    /// The content of a file; bytes that are no UTF-8 are replaced.
    ///
    /// # Errors
    /// `FactError` with the path on the judged machine.
    pub fn read(&self, absolute: &str) -> Fact<String> {
        use std::io::Read as _;
        let mut bytes = Vec::new();
        fs::File::open(self.path(absolute))
            .and_then(|file| file.take(MAX_FILE_BYTES).read_to_end(&mut bytes))
            .map_err(|error| FactError::read(absolute, &error))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The content of a file without white space at its ends.
    ///
    /// # Errors
    /// As [`Root::read`].
    pub fn read_trimmed(&self, absolute: &str) -> Fact<String> {
        self.read(absolute).map(|text| text.trim().to_owned())
    }

    /// The names in a directory, sorted.
    ///
    /// # Errors
    /// `FactError` with the path on the judged machine.
    pub fn list(&self, absolute: &str) -> Fact<Vec<String>> {
        let error = |error: io::Error| FactError::new("list", absolute, error);
        let mut names = Vec::new();
        for entry in fs::read_dir(self.path(absolute)).map_err(error)? {
            names.push(entry.map_err(error)?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    /// Whether anything is at the path.
    pub fn exists(&self, absolute: &str) -> bool {
        fs::symlink_metadata(self.path(absolute)).is_ok()
    }
}
