//! PID 1: signals, reaping, and the daemon's log, in one synchronous loop. Nothing here polls: each wait ends with an
//! event of the kernel's or at a deadline.

pub mod processes;
pub mod teardown;
pub mod tell;
pub mod worker;

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;

use crate::engine::launch::Daemon;
use crate::process as system;

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
    /// A child that is watched has ended, with this exit status (128+N for signal N).
    Ended(Pid, u8),
    /// Another child has ended, and was reaped; told only to who asks for it.
    Reaped,
    /// Somebody sent us a signal that is not about children.
    Signal(i32),
    /// The worker has something to say.
    Message,
    /// The deadline has come.
    TimedOut,
}

/// What a wait looks at, beside signals and children.
#[derive(Debug, Default)]
pub struct Sources<'a> {
    /// The daemon, whose log is passed on.
    pub daemon: Option<&'a mut Daemon>,
    /// The descriptor of a worker.
    pub message: Option<BorrowedFd<'a>>,
    /// When to stop waiting.
    pub deadline: Option<Instant>,
    /// Whether the end of children that are not watched matters too.
    pub orphans: bool,
}

/// The supervisor.
pub struct Init {
    signals: SignalFd,
    watched: Vec<Pid>,
    ended: VecDeque<(Pid, u8)>,
    reaped: bool,
}

impl Init {
    /// Blocks all signals for this thread and those it will start; from here on they are read, not taken.
    /// Call this before any thread exists.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn new() -> io::Result<Self> {
        let set = theirs();
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None)?;
        if std::process::id() != 1 {
            // Orphans of the daemon come to us then too, as they come to PID 1 anyway (PR_SET_CHILD_SUBREAPER(2const)).
            nix::sys::prctl::set_child_subreaper(true)?;
        }
        let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self { signals, watched: Vec::new(), ended: VecDeque::new(), reaped: false })
    }

    /// Tells of this child's end from here on.
    pub fn watch(&mut self, child: Pid) {
        self.watched.push(child);
    }

    /// Waits for the next event. The daemon's log is passed on to `sink` meanwhile, children are reaped.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn wait(&mut self, sources: Sources<'_>, mut sink: impl FnMut(&[u8])) -> io::Result<Event> {
        let Sources { mut daemon, message, deadline, orphans } = sources;
        self.reaped = false;
        loop {
            if let Some((pid, status)) = self.ended.pop_front() {
                if let Some(daemon) = daemon.as_deref_mut().filter(|daemon| daemon.pid == pid) {
                    // What it wrote last is still in the pipe.
                    daemon.read_log(&mut sink)?;
                    daemon.ended = Some(status);
                }
                return Ok(Event::Ended(pid, status));
            }
            if orphans && self.reaped {
                return Ok(Event::Reaped);
            }
            let log = daemon.as_deref().filter(|daemon| daemon.log_is_open);
            let (signal_ready, log_ready, message_ready) = {
                let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
                fds.extend(log.map(|daemon| PollFd::new(daemon.as_fd(), PollFlags::POLLIN)));
                fds.extend(message.map(|message| PollFd::new(message, PollFlags::POLLIN)));
                let timeout = deadline.map_or(PollTimeout::NONE, system::timeout);
                match poll(&mut fds, timeout) {
                    Ok(0) if deadline.is_some_and(|deadline| deadline <= Instant::now()) => return Ok(Event::TimedOut),
                    Ok(_) | Err(Errno::EINTR) => {}
                    Err(error) => return Err(error.into()),
                }
                let mut ready = fds.iter().map(|fd| fd.any().unwrap_or(false));
                let signal = ready.next().unwrap_or(false);
                let log = log.is_some() && ready.next().unwrap_or(false);
                (signal, log, message.is_some() && ready.next().unwrap_or(false))
            };
            if log_ready && let Some(daemon) = daemon.as_deref_mut() {
                daemon.read_log(&mut sink)?;
            }
            if signal_ready && let Some(signal) = self.read_signal()? {
                return Ok(Event::Signal(signal));
            }
            if message_ready && self.ended.is_empty() {
                return Ok(Event::Message);
            }
        }
    }

    /// A request to end that has come already, if there is one; other signals until then are passed on.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn asked_to_stop(&mut self, mut pass_on: impl FnMut(i32)) -> io::Result<Option<i32>> {
        while let Some(signal) = self.read_signal()? {
            if asks_to_stop(signal) {
                return Ok(Some(signal));
            }
            pass_on(signal);
        }
        Ok(None)
    }

    /// Takes one signal; the news of a child's end is dealt with here.
    fn read_signal(&mut self) -> io::Result<Option<i32>> {
        while let Some(info) = self.signals.read_signal()? {
            let number = i32::try_from(info.ssi_signo).unwrap_or_default();
            if number != Signal::SIGCHLD as i32 {
                return Ok(Some(number));
            }
            self.reap()?;
        }
        Ok(None)
    }

    /// Reaps every child that has ended: one SIGCHLD can stand for many.
    fn reap(&mut self) -> io::Result<()> {
        while let Some((pid, status)) = system::reap()? {
            self.reaped = true;
            if let Some(index) = self.watched.iter().position(|watched| *watched == pid) {
                self.watched.swap_remove(index);
                self.ended.push_back((pid, status));
            }
        }
        Ok(())
    }
}

/// All signals but our own.
fn theirs() -> SigSet {
    let mut set = SigSet::all();
    for signal in OURS {
        set.remove(signal);
    }
    set
}

/// Blocks the signals that [`Init`] will read, before it is there. Children that are no daemon get a clean mask too.
pub fn hold_back_signals() {
    // It fails only for a bad argument.
    let _ = sigprocmask(SigmaskHow::SIG_BLOCK, Some(&theirs()), None);
}

/// Whether a signal asks for an orderly end.
pub fn asks_to_stop(signal: i32) -> bool {
    [Signal::SIGTERM, Signal::SIGINT].iter().any(|stop| *stop as i32 == signal)
}

/// Writes what the daemon logs to our own standard error; one that nobody reads is no error of the daemon's.
pub fn to_stderr(bytes: &[u8]) {
    let _ = io::stderr().lock().write_all(bytes);
}
