//! Directories of the outer container that containers of ours use: gone when they are dropped, and those of a
//! verification that was killed when the next one starts.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::owner::Owner;

const ALL: &str = "/run/dindcheck";
/// What the names of everything of ours begin with.
pub(super) const PREFIX: &str = "dindcheck-";

/// One directory.
pub(super) struct Scratch(pub(super) PathBuf);

impl Scratch {
    /// Makes one.
    pub(super) fn new(name: &str) -> io::Result<Self> {
        let path = Path::new(ALL).join(name);
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is in the way of nobody: its name is not used again.
        let _ = fs::remove_dir_all(&self.0);
        let _ = fs::remove_dir(ALL);
    }
}

/// Removes what verifications that were killed have left.
pub(super) fn remove_dead() {
    for entry in fs::read_dir(ALL).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| Owner::parse(name.strip_prefix(PREFIX)?));
        if owner.is_some_and(|owner| !owner.is_alive()) {
            drop(Scratch(entry.path()));
        }
    }
}
