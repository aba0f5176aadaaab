//! The main job becomes two processes: this one goes on as the supervisor, in a program image of its own, so that it
//! is small; its child looks, judges, and gives the orders.
#![expect(unsafe_code, reason = "fork(2)")]

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, IntoRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::socket::MsgFlags;
use nix::unistd::{ForkResult, Pid, dup2_stderr, execve, fork, pipe2, setpgid};
use serde::{Deserialize, Serialize};

use super::channel::Channel;
use super::doors::Doors;
use super::log::Kept;
use super::message::{Order, Phase, Reply, Request, Verdict, Wait};
use super::{VARIABLE, hold_back_signals};
use crate::process::{self, level};

/// What the supervisor is told at its start.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Handover {
    pub(super) look: i32,
    pub(super) channel: RawFd,
    pub(super) said: (RawFd, RawFd),
    pub(super) log: RawFd,
    pub(super) plan: RawFd,
    pub(super) ready: Option<RawFd>,
    pub(super) status: String,
    pub(super) nest: String,
    pub(super) quiet: bool,
    pub(super) grace_ms: u64,
    pub(super) drain_ms: u64,
    pub(super) patience_ms: u64,
}

/// What the supervisor needs to know of the command line.
#[derive(Debug)]
pub struct Settings {
    /// How long stopping may take in all.
    pub grace: Duration,
    /// How long those who are at work may take to end before that; zero: they are not waited for.
    pub drain: Duration,
    /// How long looking may take until the first message.
    pub patience: Duration,
    /// Whether only the daemon's log is written to standard error.
    pub quiet: bool,
    /// The descriptor of --ready-fd.
    pub ready: Option<OwnedFd>,
    /// The file that says how far we are.
    pub status: String,
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Which of the two processes this is.
#[derive(Debug)]
pub enum Split {
    /// The look process.
    Look(Supervised),
    /// The supervisor, where this program could not be exec'ed again; it is over, with this exit status.
    Over(u8),
}

/// Makes two processes of this one, which has one thread. The child is the look process. The parent becomes the
/// supervisor, in a program image of its own, and does not return.
///
/// # Errors
/// The kernel's error.
pub fn split(settings: Settings) -> io::Result<Split> {
    hold_back_signals();
    if std::process::id() != 1 {
        // Orphans of the daemon come to us then too, as they come to PID 1 anyway (PR_SET_CHILD_SUBREAPER(2const)).
        nix::sys::prctl::set_child_subreaper(true)?;
    }
    let (ours, theirs) = Channel::pair()?;
    let said = pipe2(OFlag::O_CLOEXEC)?;
    let kept = Kept::new()?;
    let plan = memfd_create(c"plan", MFdFlags::MFD_CLOEXEC)?;
    let started = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
    let nest = format!("{}-{started}", std::process::id());
    // SAFETY: there is one thread, so that no lock can be held by another one.
    match unsafe { fork() }? {
        ForkResult::Child => {
            setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
            nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
            SigSet::empty().thread_set_mask()?;
            dup2_stderr(&said.1)?;
            level::mark_lines();
            Ok(Split::Look(Supervised {
                channel: theirs,
                kept,
                plan: File::from(plan),
                nest,
                daemon: 0,
                ended: None,
                asked: None,
            }))
        }
        ForkResult::Parent { child } => {
            drop(theirs);
            // From here on they are the supervisor's, which knows them by their numbers.
            let handover = Handover {
                look: child.as_raw(),
                channel: ours.into_fd().into_raw_fd(),
                said: (said.0.into_raw_fd(), said.1.into_raw_fd()),
                log: kept.into_fd().into_raw_fd(),
                plan: plan.into_raw_fd(),
                ready: settings.ready.map(OwnedFd::into_raw_fd),
                status: settings.status.clone(),
                nest,
                quiet: settings.quiet,
                grace_ms: millis(settings.grace),
                drain_ms: millis(settings.drain),
                patience_ms: millis(settings.patience),
            };
            become_supervisor(&handover);
            // Where this program cannot be exec'ed again (no /proc), its image is only larger than it could be.
            super::run(&handover).map(Split::Over)
        }
    }
}

/// Execs this program as the supervisor; returns only where that cannot be done.
fn become_supervisor(handover: &Handover) {
    let Handover { channel, said, log, plan, ready, .. } = handover;
    for number in [*channel, said.0, said.1, *log, *plan].into_iter().chain(*ready) {
        // SAFETY: the descriptor is open, and stays so.
        let _ = fcntl(unsafe { BorrowedFd::borrow_raw(number) }, FcntlArg::F_SETFD(FdFlag::empty()));
    }
    let words: Vec<CString> = std::env::args_os().filter_map(|word| CString::new(word.into_vec()).ok()).collect();
    let Ok(value) = serde_json::to_string(handover) else { return };
    let variables = std::env::vars_os().filter(|(name, _)| name != VARIABLE);
    let variables = variables.chain([(OsString::from(VARIABLE), OsString::from(value))]);
    let environment: Vec<CString> = variables
        .filter_map(|(name, value)| CString::new([name.into_vec(), b"=".to_vec(), value.into_vec()].concat()).ok())
        .collect();
    let _ = execve(c"/proc/self/exe", &words, &environment);
}

/// What was handed over, if this process was started as the supervisor.
pub fn handed_over() -> Option<Handover> {
    serde_json::from_str(&std::env::var(VARIABLE).ok()?).ok()
}

/// The look process' side: what it orders, and what it is told.
#[derive(Debug)]
pub struct Supervised {
    channel: Channel,
    kept: Kept,
    plan: File,
    nest: String,
    /// The daemon that was started last.
    daemon: i32,
    /// The exit status of the daemon, if it has ended.
    ended: Option<u8>,
    /// The signal that asked us to end, if one did.
    asked: Option<i32>,
}

/// Something that a wait of the look process ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The daemon has ended, with this exit status (128+N for signal N).
    Ended(u8),
    /// Someone asks us to end, by this signal.
    Asked(i32),
    /// The descriptor is readable.
    Readable,
    /// The deadline has come.
    TimedOut,
}

impl Supervised {
    /// Tells of a new phase; the next message comes within this time.
    ///
    /// # Errors
    /// The supervisor is gone.
    pub fn phase(&mut self, phase: Phase, waits_for: Wait, within: Duration) -> io::Result<()> {
        self.send(&Request::Phase { phase, within_ms: millis(within), waits_for }, &[])
    }

    /// Has the daemon started; `plan` is for those who clear what it leaves behind.
    ///
    /// # Errors
    /// What starting it gave, or the supervisor is gone.
    pub fn start(&mut self, order: Order, doors: &Doors, plan: &[u8]) -> io::Result<()> {
        self.plan.set_len(0)?;
        self.plan.write_all_at(plan, 0)?;
        self.send(&Request::Start(Box::new(order)), &doors.raw())?;
        loop {
            match self.answer()? {
                Reply::NotStarted(reason) => return Err(io::Error::other(reason)),
                Reply::Started(daemon) => {
                    self.daemon = daemon;
                    // What came before was the end of another one.
                    self.ended = None;
                    return Ok(());
                }
                Reply::Asked(_) => return Err(io::Error::other("asked to stop")),
                Reply::Ended(_) | Reply::Withdrawn => {}
            }
        }
    }

    /// Tells that the daemon's API has answered.
    ///
    /// # Errors
    /// The supervisor is gone.
    pub fn answered(&mut self) -> io::Result<()> {
        self.send(&Request::Answered, &[])
    }

    /// From here on our own lines are JSON, as the daemon's are.
    ///
    /// # Errors
    /// The supervisor is gone.
    pub fn log_json(&mut self) -> io::Result<()> {
        self.send(&Request::LogJson, &[])
    }

    /// Has the daemon ended, if it runs, and cleared up behind.
    ///
    /// # Errors
    /// The supervisor is gone.
    pub fn withdraw(&mut self) -> io::Result<()> {
        self.send(&Request::Withdraw, &[])?;
        while !matches!(self.answer()?, Reply::Withdrawn | Reply::Asked(_)) {}
        self.ended = None;
        Ok(())
    }

    /// Tells what was decided. What is reported after this is reported meanwhile.
    ///
    /// # Errors
    /// The supervisor is gone.
    pub fn verdict(&mut self, verdict: Verdict) -> io::Result<()> {
        self.send(&Request::Verdict(verdict), &[])
    }

    /// The mark of the daemon's processes ([`super::NEST`]), and the daemon's own number.
    pub fn nest(&self) -> (String, i32) {
        (self.nest.clone(), self.daemon)
    }

    /// What is kept of the daemon's log.
    pub fn log(&self) -> String {
        self.kept.text().unwrap_or_default()
    }

    /// The exit status of the daemon, if it is known to have ended.
    pub fn ended(&self) -> Option<u8> {
        self.ended
    }

    /// The signal that asked us to end, if one has by now.
    ///
    /// # Errors
    /// The supervisor is gone.
    pub fn asked(&mut self) -> io::Result<Option<i32>> {
        while self.asked.is_none() {
            let mut fds = [PollFd::new(self.channel.as_fd(), PollFlags::POLLIN)];
            if poll(&mut fds, nix::poll::PollTimeout::ZERO)? == 0 {
                break;
            }
            self.answer()?;
        }
        Ok(self.asked)
    }

    /// Waits until the daemon has ended, we are asked to end, the descriptor is readable, or the deadline has come.
    ///
    /// # Errors
    /// The supervisor is gone.
    pub fn wait(&mut self, fd: Option<BorrowedFd>, deadline: Option<Instant>) -> io::Result<Event> {
        loop {
            if let Some(status) = self.ended.filter(|_| fd.is_none()) {
                return Ok(Event::Ended(status));
            }
            let mut fds = vec![PollFd::new(self.channel.as_fd(), PollFlags::POLLIN)];
            fds.extend(fd.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
            let count = match poll(&mut fds, deadline.map_or(nix::poll::PollTimeout::NONE, process::timeout)) {
                Err(nix::errno::Errno::EINTR) => continue,
                other => other?,
            };
            let ready = |index: usize| fds.get(index).is_some_and(|fd| fd.any().unwrap_or(false));
            // What someone has told before the daemon ended counts.
            let (told, readable) = (ready(0), ready(1));
            if readable {
                return Ok(Event::Readable);
            }
            if told {
                match self.answer()? {
                    Reply::Ended(status) => return Ok(Event::Ended(status)),
                    Reply::Asked(signal) => return Ok(Event::Asked(signal)),
                    Reply::Started(_) | Reply::NotStarted(_) | Reply::Withdrawn => {}
                }
            }
            if count == 0 && deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Ok(Event::TimedOut);
            }
        }
    }

    /// The next message of the supervisor's.
    fn answer(&mut self) -> io::Result<Reply> {
        let gone = || io::Error::new(io::ErrorKind::BrokenPipe, "the supervisor is gone");
        let (reply, _) = self.channel.receive::<Reply>(MsgFlags::empty())?.ok_or_else(gone)?;
        match reply {
            Reply::Ended(status) => self.ended = Some(status),
            Reply::Asked(signal) => self.asked = Some(signal),
            Reply::Started(_) | Reply::NotStarted(_) | Reply::Withdrawn => {}
        }
        Ok(reply)
    }

    fn send(&self, request: &Request, fds: &[RawFd]) -> io::Result<()> {
        self.channel.send(request, fds, MsgFlags::empty())
    }
}
