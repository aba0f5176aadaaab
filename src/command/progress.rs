//! What is being done, reported while it is done: a line each on standard error.

use std::io::{self, Write as _};

use crate::foreign;

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
            let _ = writeln!(io::stderr(), "dindcheck: {}", shown(text));
        }
    }
}

/// What is told here has names and answers of others in it.
fn shown(text: &str) -> String {
    foreign::printable(&foreign::redacted_text(text))
}
