//! How grave a line of ours on standard error is, from where it is written to where it is shown.
//!
//! The processes of the main job write into a pipe of the supervisor. There each line begins with a mark, as with
//! sd-daemon(3), but for a control character, which no text of others has by then ([`write()`]). The supervisor
//! takes the mark away again.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use crate::foreign;

/// What our own messages begin with.
pub const PREFIX: &str = "dindcheck: ";

/// How grave a line is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something is wrong, and it goes on.
    Warning,
    /// Everything else.
    #[default]
    Info,
}

/// What a mark begins with; the level's letter follows.
const MARK: u8 = 1;

/// Whether standard error is the supervisor's pipe.
static IS_MARKED: AtomicBool = AtomicBool::new(false);

/// From here on standard error of this process is the supervisor's pipe.
pub fn mark_lines() {
    IS_MARKED.store(true, Ordering::Relaxed);
}

impl Level {
    /// The word for it, as logrus has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }

    /// What a line of this level begins with on standard error: nothing, unless that is the supervisor's pipe.
    pub fn mark(self) -> &'static str {
        match self {
            _ if !IS_MARKED.load(Ordering::Relaxed) => "",
            Self::Error => "\u{1}e",
            Self::Warning => "\u{1}w",
            Self::Info => "",
        }
    }

    fn of_letter(letter: u8) -> Self {
        match letter {
            b'e' => Self::Error,
            b'w' => Self::Warning,
            _ => Self::Info,
        }
    }
}

/// Writes a message of ours to standard error. What is foreign in it, names and answers, is filtered.
pub fn write(level: Level, text: &str) {
    let text = format!("{PREFIX}{}", foreign::text(text));
    let lines: String = text.lines().map(|line| format!("{}{line}\n", level.mark())).collect();
    // There is no other place to tell of a standard error that cannot be written.
    let _ = io::stderr().write_all(lines.as_bytes());
}

/// Takes marks away from lines that come in pieces.
#[derive(Debug, Default)]
pub struct Marks {
    place: Place,
    level: Level,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Start,
    Letter,
    Line,
}

impl Marks {
    /// The next byte of the text, with the level of its line; `None` if it belongs to a mark.
    pub fn take(&mut self, byte: u8) -> Option<(u8, Level)> {
        match (self.place, byte) {
            (Place::Start, MARK) => {
                self.place = Place::Letter;
                return None;
            }
            (Place::Letter, letter) => {
                self.place = Place::Line;
                self.level = Level::of_letter(letter);
                return None;
            }
            _ => {}
        }
        let level = self.level;
        if byte == b'\n' {
            *self = Self::default();
        } else {
            self.place = Place::Line;
        }
        Some((byte, level))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::alone;

    #[test]
    fn marks_are_taken_away_at_the_beginning_of_lines_only() {
        let mut marks = Marks::default();
        let text = "\u{1}ea\u{1}wb\nc\n\u{1}w\n\u{1}xd";
        let taken: Vec<(u8, Level)> = text.bytes().filter_map(|byte| marks.take(byte)).collect();
        let line = |text: &'static str, level| text.bytes().map(move |byte| (byte, level));
        let wanted = line("a\u{1}wb\n", Level::Error).chain(line("c\n", Level::Info)).chain(line("\n", Level::Warning));
        assert_eq!(taken, wanted.chain(line("d", Level::Info)).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_is_marked_but_for_the_supervisor() {
        assert_eq!((Level::Error.mark(), Level::Warning.mark(), Level::Info.mark()), ("", "", ""));
    }

    #[test]
    fn each_line_is_marked_for_the_supervisor() {
        let mut command = alone::command(|| {
            mark_lines();
            assert_eq!([Level::Error, Level::Warning, Level::Info].map(Level::mark), ["\u{1}e", "\u{1}w", ""]);
            write(Level::Warning, "one\ntwo");
            write(Level::Info, "three");
        });
        let file = tempfile::NamedTempFile::new().unwrap();
        alone::passes(command.stderr(file.reopen().unwrap()));
        let written = std::fs::read_to_string(file.path()).unwrap();
        assert_eq!(written, "\u{1}wdindcheck: one\n\u{1}wtwo\ndindcheck: three\n");
    }
}
