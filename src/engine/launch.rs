//! Starting the daemon.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{Pid, pipe2, read};

use super::command::CommandLine;
use super::log::Kept;
use crate::system;

/// The running daemon.
#[derive(Debug)]
pub struct Daemon {
    /// Its process.
    pub pid: Pid,
    /// When it was started.
    pub started: Instant,
    /// Where its API will be.
    pub socket: String,
    output: OwnedFd,
    /// What is kept of its log.
    pub log: Kept,
    /// Whether it has ended.
    pub ended: bool,
}

/// Starts the daemon. Both of its output streams come to us, in their order; its signals are clean.
///
/// # Errors
/// What making the pipe or starting the program gave.
pub fn start(line: &CommandLine) -> io::Result<Daemon> {
    let Some((program, args)) = line.words.split_first() else {
        return Err(io::Error::other("the profile names no program"));
    };
    let (output, theirs) = pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&output, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(theirs.try_clone()?).stderr(theirs);
    system::clean_signals(&mut command);
    system::dies_with_us(&mut command);
    let started = Instant::now();
    let child = command.spawn()?;
    // The child is reaped with all others, by waitpid(-1), so the handle is not needed.
    let pid = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
    Ok(Daemon { pid, started, socket: line.socket.clone(), output, log: Kept::default(), ended: false })
}

impl Daemon {
    /// Takes what the daemon has written so far; gives false once all writers have closed.
    ///
    /// # Errors
    /// What the read gave.
    pub fn read_log(&mut self, mut sink: impl FnMut(&[u8])) -> io::Result<bool> {
        let mut buffer = [0; 16 << 10];
        loop {
            match read(&self.output, &mut buffer) {
                Ok(0) => return Ok(false),
                Ok(count) => {
                    self.log.feed(&buffer[..count]);
                    sink(&buffer[..count]);
                }
                Err(nix::errno::Errno::EAGAIN) => return Ok(true),
                Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Daemon {
    /// The descriptor that its log is read from.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.output.as_fd()
    }
}
