//! What is being waited for, said while it is waited for: on standard error, as a line that moves on a terminal and as
//! plain lines elsewhere.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use crate::foreign;

/// How often the moving line moves.
const BEAT: Duration = Duration::from_millis(120);
const FRAMES: [char; 8] = ['⣾', '⣽', '⣻', '⢿', '⡿', '⣟', '⣯', '⣷'];

/// The line.
pub(super) struct Progress {
    quiet: bool,
    terminal: bool,
    waiting: Option<(String, Instant)>,
    frame: usize,
}

impl Progress {
    pub(super) fn new(quiet: bool) -> Self {
        Self { quiet, terminal: io::stderr().is_terminal(), waiting: None, frame: 0 }
    }

    /// Says something once.
    pub(super) fn say(&mut self, text: &str) {
        self.clear();
        if !self.quiet {
            let _ = writeln!(io::stderr(), "dindcheck: {}", shown(text));
        }
    }

    /// Says what is being waited for from now on.
    pub(super) fn wait_for(&mut self, text: &str) {
        if self.terminal {
            self.waiting = Some((shown(text), Instant::now()));
            self.beat();
        } else {
            self.say(text);
        }
    }

    /// Ends the wait.
    pub(super) fn done(&mut self) {
        self.clear();
        self.waiting = None;
    }

    /// When the line wants to move again, if it does.
    pub(super) fn next_beat(&self) -> Option<Instant> {
        (self.waiting.is_some() && !self.quiet).then(|| Instant::now() + BEAT)
    }

    /// Moves the line.
    pub(super) fn beat(&mut self) {
        if let (Some((text, since)), false) = (&self.waiting, self.quiet) {
            self.frame = (self.frame + 1) % FRAMES.len();
            let _ = write!(io::stderr(), "\r\x1b[K{} {text} ({} s)", FRAMES[self.frame], since.elapsed().as_secs());
        }
    }

    /// Makes room for other output.
    pub(super) fn clear(&self) {
        if self.waiting.is_some() && !self.quiet {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

/// What is told here has names and answers of others in it.
fn shown(text: &str) -> String {
    foreign::printable(&foreign::redacted_text(text))
}
