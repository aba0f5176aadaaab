//! What is being done, reported while it is done: a line each on standard error.

use crate::cli::OutputArgs;
use crate::process::level::{self, Level};

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
            level::write(level, text);
        }
    }
}
