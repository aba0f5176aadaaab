//! Directories of the outer container that containers of ours use: gone when they are dropped, and those of a
//! verification that was killed when the next one starts.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::engine::ours::{Owner, VERIFICATION};

const ALL: &str = "/run/dindcheck";

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
pub(super) fn remove_dead(here: &Owner) {
    for entry in fs::read_dir(ALL).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| VERIFICATION.maker_has_ended(name, here)) {
            drop(Scratch(entry.path()));
        }
    }
}
