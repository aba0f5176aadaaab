//! Making a user namespace as a user, and having its ids mapped, as RootlessKit does.

use std::io;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sched::CloneFlags;
use serde::{Deserialize, Serialize};

use super::background::Background;
use super::child;
use super::{Attempt, tried};
use crate::process;

/// Its name on the hidden command line.
pub(super) const NAME: &str = "rootless";
/// The name of the process that has the namespace: it reads what is written to it, and there is nothing.
pub(super) const WAIT: &str = "rootless-wait";
/// What is tried first; the rest are the programs' names.
pub const MAKE: &str = "make a user namespace";
/// How long a program may take to write a map.
const DEADLINE: Duration = Duration::from_secs(2);

/// A map to be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Map {
    /// By which program.
    pub program: String,
    /// The user's own id, which becomes root's.
    pub own: u32,
    /// What ids from 1 on become.
    pub range: (u32, u32),
}

/// Starts trying.
pub fn start(maps: &Vec<Map>) -> Background<Vec<Attempt>> {
    child::start(NAME, maps, CloneFlags::empty())
}

/// What runs in the child. The namespace ends with its only process.
pub(super) fn run(maps: &[Map]) -> io::Result<Vec<Attempt>> {
    let mut command = Command::new("/proc/self/exe");
    command.args([child::COMMAND, WAIT]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    process::in_namespaces(&mut command, CloneFlags::CLONE_NEWUSER);
    let mut owner = match command.spawn() {
        Ok(owner) => owner,
        Err(error) => return Ok(vec![tried(MAKE, Err::<(), _>(error))]),
    };
    let mut attempts = vec![tried(MAKE, Ok::<_, io::Error>(()))];
    attempts.extend(maps.iter().map(|map| {
        let (first, count) = map.range;
        let words = [owner.id(), 0, map.own, 1, 1, first, count].map(|number| number.to_string());
        tried(&map.program, write(Command::new(&map.program).args(words)))
    }));
    // With the pipe's end comes its own.
    drop(owner.stdin.take());
    owner.wait()?;
    Ok(attempts)
}

fn write(command: &mut Command) -> io::Result<()> {
    let output = process::output_until(command, None, Instant::now() + DEADLINE)?;
    if output.status.success() { Ok(()) } else { Err(io::Error::other(output.stderr.text())) }
}
