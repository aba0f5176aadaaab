//! What runs inside the test containers: the hidden subcommand `inside WHAT…` of this very binary, as the images have
//! no shell. It tells what it saw, one JSON line a subject, and judges nothing that it cannot know.

mod files;
mod identity;
mod limits;
mod network;
mod work;

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::STATUS;
use crate::finding::Evidence;
use crate::foreign::Foreign;

pub(super) use files::seed;
pub(super) use identity::CLONE3;
pub(super) use limits::{CPU_LOCATION, Order as LimitsOrder, STARVED};
pub(super) use network::{NO_ANSWER, Order as PeerOrder};
pub(super) use work::{ENDED, GREETING, PORT, READY, SIGNALLED};

/// The hidden subcommand that the test containers run.
pub const COMMAND: &str = "inside";
/// What it says on standard output when nothing else is asked for.
pub const STDOUT: &str = "dindcheck: out";
/// What it says on standard error then.
pub const STDERR: &str = "dindcheck: err";

/// The user and the group of what does not run as root: ones that no image has a name for.
pub(super) const USER: &str = "1234:2345";
/// What holds of it.
pub(super) const IS_USER: &str = "a container ran as user 1234 without capabilities";

/// How long a process stays whose last words an old engine would lose.
const LINGER: Duration = Duration::from_millis(300);

/// What was seen of one subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    /// The subject.
    pub(super) subject: String,
    /// What was seen, and what should have been where that is known inside.
    pub(super) evidence: Vec<Evidence>,
    /// How long looking took, in milliseconds.
    pub(super) ms: u64,
}

impl Told {
    /// The value at a location.
    pub(super) fn value(&self, location: &str) -> Option<&str> {
        self.evidence.iter().find(|one| one.location == location).map(|one| one.value.as_str())
    }
}

/// Finds what was told of a subject in a container's output.
pub(super) fn told(output: &Foreign, subject: &str) -> Option<Told> {
    output.raw().lines().filter_map(|line| serde_json::from_str::<Told>(line).ok()).find(|told| told.subject == subject)
}

/// Does what the words say; gives the exit status.
///
/// # Errors
/// What could not be done at all.
pub fn run(words: &[String]) -> io::Result<u8> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => {
            writeln!(io::stdout(), "{STDOUT}")?;
            writeln!(io::stderr(), "{STDERR}")?;
        }
        ["work"] => work::run()?,
        ["stay"] => work::stay()?,
        ["cat", path] => io::stdout().write_all(&std::fs::read(path)?)?,
        ["tty", rest @ ..] => {
            // The size is set when the terminal is there, which this shows.
            writeln!(io::stdout(), "{READY}")?;
            tell("tty", identity::terminal)?;
            if rest == ["linger"] {
                std::thread::sleep(LINGER);
            }
        }
        ["user"] => tell("user", identity::user)?,
        ["as-root", order] => {
            writeln!(io::stdout(), "{STDOUT}")?;
            writeln!(io::stderr(), "{STDERR}")?;
            tell("layers", files::change)?;
            tell("threads", identity::threads)?;
            network::run(&serde_json::from_str(order)?)?;
        }
        ["as-user", order] => {
            tell("user", identity::user)?;
            tell("original", files::original)?;
            limits::run(&serde_json::from_str(order)?)?;
        }
        ["privileged"] => tell("privileged", identity::privileged)?,
        ["kept"] => tell("kept", files::kept)?,
        ["build", path] => writeln!(io::stdout(), "{}", std::fs::read_to_string(path)?)?,
        ["peer", order] => {
            tell("original", files::original)?;
            network::run(&serde_json::from_str(order)?)?;
        }
        ["limits", order] => limits::run(&serde_json::from_str(order)?)?,
        ["busy", socket] => super::busy::leave(socket)?,
        ["hog", bytes] => limits::hog(bytes.parse().map_err(io::Error::other)?),
        other => return Err(io::Error::other(format!("there is nothing called {}", other.join(" ")))),
    }
    // A step of a build has to end with 0; all others show that it was really us who ran.
    Ok(if words.first() == Some(&"build") { 0 } else { STATUS })
}

/// Looks at one subject and tells what was seen.
fn tell(subject: &str, look: impl FnOnce() -> Vec<Evidence>) -> io::Result<()> {
    let start = Instant::now();
    let evidence = look();
    let ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    let line = serde_json::to_string(&Told { subject: subject.to_owned(), evidence, ms })?;
    // In one piece: others tell at the same time.
    io::stdout().lock().write_all(format!("{line}\n").as_bytes())
}

/// What was seen.
fn saw(location: &str, value: impl ToString) -> Evidence {
    Evidence { location: location.to_owned(), value: value.to_string(), wanted: None }
}

/// What was seen, and what should have been.
fn want(location: &str, value: impl ToString, wanted: impl ToString) -> Evidence {
    Evidence { location: location.to_owned(), value: value.to_string(), wanted: Some(wanted.to_string()) }
}

/// `done`, or the error.
fn done<T>(result: io::Result<T>) -> String {
    match result {
        Ok(_) => "done".to_owned(),
        Err(error) => error.to_string(),
    }
}
