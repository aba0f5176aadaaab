//! What is being done, reported while it is done: a line each on standard error.

use std::io::{self, Write as _};

/// The lines.
pub(super) struct Progress {
    quiet: bool,
}

impl Progress {
    pub(super) fn new(quiet: bool) -> Self {
        Self { quiet }
    }

    /// Reports something.
    pub(super) fn say(&self, text: &str) {
        if !self.quiet {
            let _ = writeln!(io::stderr(), "dindcheck: {text}");
        }
    }
}
