//! PID 1: signals, reaping, and the daemon's log, in one synchronous loop. Nothing here polls: each wait ends with an
//! event of the kernel's or at a deadline.

pub mod worker;

use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::engine::launch::Daemon;
use crate::exit;
use crate::system;

/// Signals that come from a fault of our own, or from the terminal's job control: they are not for the daemon.
const OURS: [Signal; 9] = [
    Signal::SIGABRT,
    Signal::SIGBUS,
    Signal::SIGFPE,
    Signal::SIGILL,
    Signal::SIGSEGV,
    Signal::SIGSYS,
    Signal::SIGTRAP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
];

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The daemon has ended, with this exit status (128+N for signal N).
    DaemonEnded(u8),
    /// Somebody sent us a signal that is not about children.
    Signal(i32),
    /// The worker has something to say.
    Message,
    /// The deadline has come.
    TimedOut,
}

/// The supervisor of one daemon.
pub struct Init {
    signals: SignalFd,
    log_is_open: bool,
    ended: Option<u8>,
}

impl Init {
    /// Blocks all signals for this thread and those it will start; from here on they are read, not taken.
    /// Call this before any thread exists.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn new() -> io::Result<Self> {
        let mut set = SigSet::all();
        for signal in OURS {
            set.remove(signal);
        }
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None)?;
        if std::process::id() != 1 {
            // Orphans of the daemon come to us then too, as they come to PID 1 anyway (PR_SET_CHILD_SUBREAPER(2const)).
            nix::sys::prctl::set_child_subreaper(true)?;
        }
        let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self { signals, log_is_open: true, ended: None })
    }

    /// Waits for the next event. The daemon's log is passed on to `sink` meanwhile, children are reaped.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn wait(
        &mut self,
        daemon: &mut Daemon,
        message: Option<BorrowedFd<'_>>,
        deadline: Option<Instant>,
        mut sink: impl FnMut(&[u8]),
    ) -> io::Result<Event> {
        loop {
            if let Some(status) = self.ended.take() {
                // What it wrote last is still in the pipe.
                daemon.read_log(&mut sink)?;
                return Ok(Event::DaemonEnded(status));
            }
            let (signal_ready, log_ready, message_ready) = {
                let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
                if self.log_is_open {
                    fds.push(PollFd::new(daemon.as_fd(), PollFlags::POLLIN));
                }
                if let Some(message) = message {
                    fds.push(PollFd::new(message, PollFlags::POLLIN));
                }
                let timeout = deadline.map_or(PollTimeout::NONE, system::timeout);
                match poll(&mut fds, timeout) {
                    Ok(0) if deadline.is_some_and(|deadline| deadline <= Instant::now()) => return Ok(Event::TimedOut),
                    Ok(_) | Err(Errno::EINTR) => {}
                    Err(error) => return Err(error.into()),
                }
                let mut ready = fds.iter().map(|fd| fd.any().unwrap_or(false));
                let signal = ready.next().unwrap_or(false);
                let log = self.log_is_open && ready.next().unwrap_or(false);
                (signal, log, message.is_some() && ready.next().unwrap_or(false))
            };
            if log_ready {
                self.log_is_open = daemon.read_log(&mut sink)?;
            }
            if signal_ready && let Some(signal) = self.read_signal(daemon)? {
                return Ok(Event::Signal(signal));
            }
            if message_ready && self.ended.is_none() {
                return Ok(Event::Message);
            }
        }
    }

    /// Takes one signal; the news of a child's end is dealt with here.
    fn read_signal(&mut self, daemon: &Daemon) -> io::Result<Option<i32>> {
        while let Some(info) = self.signals.read_signal()? {
            let number = i32::try_from(info.ssi_signo).unwrap_or_default();
            if number != Signal::SIGCHLD as i32 {
                return Ok(Some(number));
            }
            self.reap(daemon.pid)?;
        }
        Ok(None)
    }

    /// Reaps every child that has ended: one SIGCHLD can stand for many.
    fn reap(&mut self, daemon: Pid) -> io::Result<()> {
        loop {
            match waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, status)) if pid == daemon => {
                    self.ended = Some(u8::try_from(status & 0xff).unwrap_or(u8::MAX));
                }
                Ok(WaitStatus::Signaled(pid, signal, _)) if pid == daemon => {
                    self.ended = Some(exit::SIGNAL_BASE + u8::try_from(signal as i32).unwrap_or_default());
                }
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(()),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits for a signal that asks us to end, with no daemon to look after.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn hold(&mut self) -> io::Result<i32> {
        loop {
            poll(&mut [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE)?;
            while let Some(info) = self.signals.read_signal()? {
                let number = i32::try_from(info.ssi_signo).unwrap_or_default();
                if asks_to_stop(number) {
                    return Ok(number);
                }
                while !matches!(waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)), Ok(WaitStatus::StillAlive) | Err(_)) {
                }
            }
        }
    }
}

/// Whether a signal asks for an orderly end.
pub fn asks_to_stop(signal: i32) -> bool {
    [Signal::SIGTERM, Signal::SIGINT].iter().any(|stop| *stop as i32 == signal)
}

/// Writes what the daemon logs to our own standard error; one that nobody reads is no error of the daemon's.
pub fn to_stderr(bytes: &[u8]) {
    let _ = io::stderr().lock().write_all(bytes);
}
