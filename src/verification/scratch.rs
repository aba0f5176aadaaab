//! Directories of the outer container that containers of ours use: gone when they are dropped, and those of a
//! verification that was killed when the next one starts.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::engine::ours::{Owner, VERIFICATION};
use crate::state::{self, State};

/// One directory.
pub(super) struct Scratch(pub(super) PathBuf);

impl Scratch {
    /// Makes one with these files.
    pub(super) fn new(name: &str, files: &[(&str, &str)]) -> io::Result<Self> {
        let usual = State::make(Path::new(state::DIRECTORY)).and_then(|state| state.make_below(name));
        let made = usual.or_else(|_| State::make_new(Path::new("/tmp"), name))?;
        for (name, content) in files {
            made.write(name, content.as_bytes(), false)?;
        }
        Ok(Self(made.path().to_owned()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is in the way of no one: its name is not used again.
        let _ = fs::remove_dir_all(&self.0);
        let _ = fs::remove_dir(state::DIRECTORY);
    }
}

/// Removes what verifications that were killed have left.
pub(super) fn remove_dead(here: &Owner) {
    let Ok(Some(state)) = State::open(Path::new(state::DIRECTORY)) else { return };
    for name in state.names().unwrap_or_default() {
        if VERIFICATION.maker_has_ended(&name, here) {
            drop(Scratch(state.path().join(name)));
        }
    }
}
