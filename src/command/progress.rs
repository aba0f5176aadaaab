//! What is being done, reported while it is done: a line each on standard error.

use std::io::{self, Write as _};

use crate::cli::OutputArgs;
use crate::foreign;
use crate::process::level::Level;

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
            self.say(Level::Info, text);
        }
    }

    /// Reports something.
    pub(super) fn say(&self, level: Level, text: &str) {
        if !self.quiet {
            write_line(level, text);
        }
    }
}

/// Writes a message of ours to standard error.
pub(super) fn write_line(level: Level, text: &str) {
    let text = format!("dindcheck: {}", shown(text));
    let lines: String = text.lines().map(|line| format!("{}{line}\n", level.mark())).collect();
    let _ = io::stderr().write_all(lines.as_bytes());
}

/// What is told here has names and answers of others in it.
fn shown(text: &str) -> String {
    foreign::printable(&foreign::redacted_text(text))
}
