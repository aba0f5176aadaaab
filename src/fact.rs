//! A fact, or why it is not known, and the tree that facts are read from.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::foreign::{self, Foreign};
use crate::state;

/// Why a fact is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("cannot {verb} {}: {}", foreign::line(.path), .reason.text())]
pub struct FactError {
    /// What could not be done: `read`, `parse`, `run`, `connect to`.
    pub verb: String,
    /// On what.
    pub path: String,
    /// The system's error.
    pub reason: Foreign,
}

impl FactError {
    /// A failure of an operation on a path.
    pub fn new(verb: &str, path: impl Into<String>, reason: impl ToString) -> Self {
        Self { verb: verb.to_owned(), path: path.into(), reason: reason.to_string().into() }
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

/// Files larger than this, in bytes, are not facts but data. 100,000 mounts are 16 MiB of mountinfo.
const MAX_FILE_BYTES: usize = 32 << 20;

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

    /// The content of a regular file; bytes that are no UTF-8 are replaced. A FIFO is not waited for, and what is larger
    /// than 32 MiB is not known, since a part of it would be another fact.
    ///
    /// # Errors
    /// `FactError` with the path on the judged machine.
    pub fn read(&self, absolute: &str) -> Fact<String> {
        let bytes = state::open_regular(&self.path(absolute))
            .and_then(|file| state::limited(file, MAX_FILE_BYTES))
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

    /// The inode number of this process's namespace of a kind; `None` if it is not known. In a captured machine the
    /// link's text, `pid:[4026531836]`, is a file's content.
    pub fn namespace(&self, kind: &str) -> Option<u64> {
        let path = format!("/proc/self/ns/{kind}");
        let link = fs::read_link(self.path(&path)).map(|link| link.to_string_lossy().into_owned());
        let text = link.or_else(|_| self.read_trimmed(&path)).ok()?;
        text.strip_prefix(kind)?.strip_prefix(":[")?.strip_suffix(']')?.parse().ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_that_is_too_large_or_no_file_is_not_known() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::new(directory.path());
        let most = u64::try_from(MAX_FILE_BYTES).unwrap();
        let large = fs::File::create(directory.path().join("large")).unwrap();
        large.set_len(most).unwrap();
        assert_eq!(root.read("/large").unwrap().len(), MAX_FILE_BYTES);
        large.set_len(most + 1).unwrap();
        assert!(root.read("/large").unwrap_err().reason.raw().contains("larger than"));
        nix::unistd::mkfifo(&directory.path().join("fifo"), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        assert!(root.read("/fifo").unwrap_err().reason.raw().contains("no regular file"));
        std::os::unix::fs::symlink("/dev/zero", directory.path().join("endless")).unwrap();
        assert!(root.read("/endless").is_err());
    }
}
