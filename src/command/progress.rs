//! What is being done, reported while it is done: a line each on standard error.

use std::io::{self, Write as _};

use crate::cli::OutputArgs;
use crate::foreign;

/// The lines.
pub(super) struct Progress {
    quiet: bool,
    verbose: bool,
}

impl Progress {
    pub(super) fn new(args: &OutputArgs) -> Self {
        Self { quiet: args.quiet, verbose: args.verbose }
    }

    /// Reports a step that is part of every start.
    pub(super) fn step(&self, text: &str) {
        if self.verbose {
            self.say(text);
        }
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
