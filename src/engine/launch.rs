//! Starting the daemon.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{Pid, pipe2, read};

use super::command::CommandLine;
use super::log::Kept;
use crate::facts::engine::search_path;
use crate::facts::rootless::VARIABLE;
use crate::process as system;

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
    /// Whether somebody can still write to its log.
    pub log_is_open: bool,
    /// How long it took until its API answered, once it has.
    pub answered: Option<Duration>,
    /// Its exit status (128+N for signal N), once it has ended.
    pub ended: Option<u8>,
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
    // A fix may have put programs in front of those of the image.
    command.env("PATH", search_path());
    command.args(args).stdin(Stdio::null()).stdout(theirs.try_clone()?).stderr(theirs);
    // It tells the service manager on its own as soon as it listens; that is for us to say, once it is proved.
    command.env_remove("NOTIFY_SOCKET");
    // Facts for us alone.
    command.env_remove(VARIABLE);
    // A terminal's signals go to its foreground group, ours; through us they reach the daemon once, and not twice.
    command.process_group(0);
    system::clean_signals(&mut command);
    system::dies_with_us(&mut command);
    system::with_soft_limits(&mut command, &line.soft_limits);
    let started = Instant::now();
    let child = command.spawn()?;
    // The child is reaped with all others, by waitpid(-1), so the handle is not needed.
    let pid = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
    Ok(Daemon {
        pid,
        started,
        socket: line.socket.clone(),
        output,
        log: Kept::default(),
        log_is_open: true,
        answered: None,
        ended: None,
    })
}

impl Daemon {
    /// Takes what the daemon has written so far, and notes when all writers have closed.
    ///
    /// # Errors
    /// What the read gave.
    pub fn read_log(&mut self, sink: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let mut buffer = [0; 16 << 10];
        while self.log_is_open {
            match read(&self.output, &mut buffer) {
                Ok(0) => self.log_is_open = false,
                Ok(count) => {
                    self.log.feed(&buffer[..count]);
                    sink(&buffer[..count]);
                }
                Err(nix::errno::Errno::EAGAIN) => break,
                Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

impl AsFd for Daemon {
    /// The descriptor that its log is read from.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.output.as_fd()
    }
}
