//! PID 1: signals, children, reaping, the doors, and the end in order and in time. Nothing else is done in this process:
//! it holds one thread, speaks no HTTP, makes no certificate, and reads nothing but its children's short messages.
//!
//! What follows on what is in [`machine`]. What takes time or can fail is done by children of the same binary: the look
//! process, which looks, judges, mends, and orders the daemon's start ([`message`]), and short helpers for the end. Each
//! may die of anything.
//!
//! There is one wait. In each round signals come first, at most one buffer of each log is read, and the deadline is
//! compared with the clock; standard error is never waited for ([`output`]).

mod channel;
pub mod doors;
mod log;
mod machine;
pub mod message;
mod output;
pub mod own;
mod spawn;
pub mod split;
pub mod tell;

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::MsgFlags;
use nix::unistd::{Pid, pipe2};

use crate::exit;
use crate::fact::Root;
use crate::facts::limits;
use crate::process::{self, level::Level, memory};
use channel::Channel;
use log::Kept;
use machine::{Action, Event, Machine};
use message::{CONTAINERS_STOPPED, JobOrder, Order, Reply, Request};
use output::Output;
use own::Own;
use spawn::Program;
use split::Handover;
use tell::Tell;

/// The variable that hands a supervisor over what it starts with; no child gets it.
pub const VARIABLE: &str = "_DINDCHECK_SUPERVISOR";
/// The variable by which what the daemon leaves running is known to be the daemon's: containerd and its shims inherit it,
/// containers and what `docker exec` starts in the outer container do not.
pub const NEST: &str = "_DINDCHECK_NEST";
/// How much is read of a log in one round, in bytes.
const PIECE: usize = 16 << 10;
/// How many pieces are read at most of what a process has left in its pipe when it ended.
const LAST_PIECES: usize = 64;
/// How long the end waits for the reader of standard error.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Signals that come from a fault of our own, from a pipe of ours, or from the terminal's job control: they are not for
/// the daemon.
const OURS: [Signal; 10] = [
    Signal::SIGABRT,
    Signal::SIGBUS,
    Signal::SIGFPE,
    Signal::SIGILL,
    Signal::SIGPIPE,
    Signal::SIGSEGV,
    Signal::SIGSYS,
    Signal::SIGTRAP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
];

/// All signals but our own.
fn theirs() -> SigSet {
    let mut set = SigSet::all();
    for signal in OURS {
        set.remove(signal);
    }
    set
}

/// Blocks the signals that are read later, so that none is lost before.
pub fn hold_back_signals() {
    // It fails only for a bad argument.
    let _ = sigprocmask(SigmaskHow::SIG_BLOCK, Some(&theirs()), None);
}

/// A child, by what it is for.
#[derive(Default)]
struct Children {
    look: Option<Pid>,
    daemon: Option<Pid>,
    job: Option<Pid>,
    helper: Option<Pid>,
    refresh: Option<Pid>,
}

/// The process.
struct Supervisor {
    machine: Machine,
    children: Children,
    signals: SignalFd,
    output: Output,
    own: Own,
    quiet: bool,
    tell: Tell,
    /// The way to the look process.
    channel: Option<Channel>,
    /// What the look process and the helpers write to standard error, and the end that helpers get.
    said: (OwnedFd, OwnedFd),
    /// What the daemon writes, while there is a writer.
    log: Option<OwnedFd>,
    /// What is kept of it until it is proved.
    kept: Option<Kept>,
    /// What the helper for the containers tells.
    helper: Option<OwnedFd>,
    /// What the daemon may leave behind, for the helpers.
    plan: OwnedFd,
    order: Order,
    sockets: Vec<OwnedFd>,
    is_open: bool,
    /// Whether what only the start needed has been given back.
    is_settled: bool,
    /// Whether the doors may have to be closed again.
    drains: bool,
    /// The value of [`NEST`].
    nest: String,
    /// How often the kernel had killed something in this container for want of memory, when last counted.
    oom_kills: Option<u64>,
    events: VecDeque<Event>,
}

/// Does the work of PID 1 until all is over; gives the exit status.
///
/// # Errors
/// The kernel's error about what was handed over, or about waiting.
pub fn run(handover: &Handover) -> io::Result<u8> {
    let mut supervisor = Supervisor::new(handover)?;
    let status = loop {
        if let Some(status) = supervisor.react() {
            break status;
        }
        supervisor.wait()?;
    };
    supervisor.last_words();
    Ok(status)
}

impl Supervisor {
    fn new(handover: &Handover) -> io::Result<Self> {
        hold_back_signals();
        // It was exec'ed by a link to its file, and would be called by the link's name.
        nix::sys::prctl::set_name(c"dindcheck")?;
        let signals = SignalFd::with_flags(&theirs(), SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        let said = (doors::take(handover.said.0)?, doors::take(handover.said.1)?);
        fcntl(&said.0, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let now = Instant::now();
        let patience = Duration::from_millis(handover.patience_ms);
        Ok(Self {
            machine: Machine::new(
                Duration::from_millis(handover.grace_ms),
                Duration::from_millis(handover.drain_ms),
                patience,
                now,
            ),
            children: Children { look: Some(Pid::from_raw(handover.look)), ..Children::default() },
            signals,
            output: Output::stderr(),
            own: Own::default(),
            quiet: handover.quiet,
            tell: Tell::new(handover.ready.map(doors::take).transpose()?, handover.status.clone().into()),
            channel: Some(Channel::from_fd(doors::take(handover.channel)?)),
            said,
            log: None,
            kept: Some(Kept::from_fd(doors::take(handover.log)?)),
            helper: None,
            plan: doors::take(handover.plan)?,
            order: Order::default(),
            sockets: Vec::new(),
            is_open: false,
            is_settled: false,
            drains: handover.drain_ms > 0,
            nest: handover.nest.clone(),
            oom_kills: limits::oom_kills(&Root::new("/")),
            events: VecDeque::new(),
        })
    }

    /// Deals with what has happened; gives the exit status once it is over.
    fn react(&mut self) -> Option<u8> {
        loop {
            let now = Instant::now();
            let event = match self.events.pop_front() {
                Some(event) => event,
                None if self.machine.deadline().is_some_and(|deadline| deadline <= now) => Event::TimedOut,
                None => return None,
            };
            for action in self.machine.on(event, now) {
                if let Action::Exit(status) = action {
                    return Some(status);
                }
                self.perform(action);
            }
        }
    }

    /// Waits until something happens, and notes what.
    fn wait(&mut self) -> io::Result<()> {
        let now = Instant::now();
        let is_full = self.output.is_full(now);
        let log = self.log.as_ref().filter(|_| !is_full);
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        let sources: [Option<BorrowedFd>; 4] = [
            self.channel.as_ref().map(|channel| channel.as_fd()),
            self.helper.as_ref().map(|helper| helper.as_fd()),
            Some(self.said.0.as_fd()),
            log.map(|log| log.as_fd()),
        ];
        fds.extend(sources.iter().flatten().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)));
        let waits = self.output.waits();
        fds.extend(waits.map(|fd| PollFd::new(fd, PollFlags::POLLOUT)));
        let deadline = [self.machine.deadline(), self.output.deadline(now)].into_iter().flatten().min();
        // All that a start needs has been done.
        if deadline.is_none() && self.is_open && !self.is_settled {
            memory::release();
            self.is_settled = true;
        }
        match poll(&mut fds, deadline.map_or(PollTimeout::NONE, process::timeout)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut ready = fds.iter().map(|fd| fd.any().unwrap_or(false));
        let signals = ready.next().unwrap_or(false);
        let [channel, helper, said, log] = sources.map(|fd| fd.is_some() && ready.next().unwrap_or(false));
        let output = waits.is_some() && ready.next().unwrap_or(false);
        if output {
            self.output.flush(Instant::now());
        }
        if signals {
            self.read_signals()?;
            if !self.events.is_empty() {
                return Ok(());
            }
        }
        if channel {
            self.read_channel();
        }
        if helper {
            self.read_helper();
        }
        if said {
            // How it is to look was told first.
            self.read_channel();
            self.read_said();
        }
        if log {
            self.read_log();
        }
        Ok(())
    }

    /// Takes the signals that have come; the news of a child's end is dealt with here.
    fn read_signals(&mut self) -> io::Result<()> {
        while let Some(info) = self.signals.read_signal()? {
            let number = i32::try_from(info.ssi_signo).unwrap_or_default();
            if number == Signal::SIGCHLD as i32 {
                self.reap()?;
            } else {
                self.events.push_back(Event::Signal(number));
            }
        }
        Ok(())
    }

    /// Why a process of ours was killed by no one that it knows: the kernel counts its own kills.
    fn blame_memory(&mut self, pid: Pid, status: u8) {
        let Children { look, daemon, job, helper, refresh: _ } = self.children;
        if status != exit::of_signal(Signal::SIGKILL as i32) || ![look, daemon, job, helper].contains(&Some(pid)) {
            return;
        }
        let count = limits::oom_kills(&Root::new("/"));
        let new = count.zip(self.oom_kills).map_or(0, |(count, before)| count.saturating_sub(before));
        if new > 0 {
            self.oom_kills = count;
            let text = format!(
                "out of memory: the kernel has killed {new} of this container's processes (oom_kill of its memory \
                 cgroup), and one of ours ended with signal 9; give the container more memory"
            );
            self.say(Level::Error, &text);
        }
    }

    /// Reaps every child that has ended: one SIGCHLD can stand for many.
    fn reap(&mut self) -> io::Result<()> {
        while let Some((pid, status)) = process::reap()? {
            self.blame_memory(pid, status);
            let is = |child: Option<Pid>| child == Some(pid);
            if is(self.children.look) {
                self.children.look = None;
                // What it said last comes before its end.
                while self.read_channel() {}
                self.channel = None;
                for _ in 0..LAST_PIECES {
                    if !self.read_said() {
                        break;
                    }
                }
                self.events.push_back(Event::LookEnded(status));
            } else if is(self.children.daemon) {
                self.children.daemon = None;
                // No one else listens: who dials is refused.
                self.sockets = Vec::new();
                for _ in 0..LAST_PIECES {
                    if !self.read_log() {
                        break;
                    }
                }
                self.events.push_back(Event::DaemonEnded(status));
            } else if is(self.children.job) {
                self.children.job = None;
                process::foreground(nix::unistd::getpgrp());
                self.events.push_back(Event::JobEnded(status));
            } else if is(self.children.refresh) {
                self.children.refresh = None;
                // Where the copy could not be written, the daemon says what it makes of the old one.
                signal_child(self.children.daemon, Signal::SIGHUP as i32);
            } else if is(self.children.helper) {
                self.children.helper = None;
                while self.read_helper() {}
                self.helper = None;
                self.read_said();
                self.events.push_back(Event::HelperEnded(Ok(status)));
            }
        }
        Ok(())
    }

    /// Takes one message of the look process; whether there was one.
    fn read_channel(&mut self) -> bool {
        let Some(channel) = &self.channel else { return false };
        match channel.receive::<Request>(MsgFlags::MSG_DONTWAIT) {
            Ok(Some((request, sockets))) => {
                match &request {
                    Request::LogJson => {
                        self.own.as_json();
                        return true;
                    }
                    Request::Start(order) => {
                        self.order = (**order).clone();
                        self.sockets = sockets;
                    }
                    _ => {}
                }
                self.events.push_back(Event::Asked(request));
                true
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            // It has closed its end, or says what no one understands: its own end follows, or its time is up.
            Ok(None) | Err(_) => {
                self.channel = None;
                false
            }
        }
    }

    /// Takes the helper's message; whether there was one.
    fn read_helper(&mut self) -> bool {
        let Some(helper) = &self.helper else { return false };
        let mut buffer = [0; 64];
        match nix::unistd::read(helper, &mut buffer) {
            Ok(count) if buffer[..count] == *CONTAINERS_STOPPED => {
                self.events.push_back(Event::ContainersStopped);
                true
            }
            Ok(0) | Err(_) => {
                self.helper = None;
                false
            }
            Ok(_) => true,
        }
    }

    /// Passes a piece of what the look process or a helper reports on; whether there was one.
    fn read_said(&mut self) -> bool {
        let mut buffer = [0; PIECE];
        match nix::unistd::read(&self.said.0, &mut buffer) {
            Ok(count) if count > 0 => {
                let text = self.own.feed(&buffer[..count]);
                self.output.write(&text, Instant::now());
                true
            }
            _ => false,
        }
    }

    /// Passes a piece of the daemon's log on, and keeps it; whether there was one.
    fn read_log(&mut self) -> bool {
        let Some(log) = &self.log else { return false };
        let mut buffer = [0; PIECE];
        match nix::unistd::read(log, &mut buffer) {
            Ok(count) if count > 0 => {
                if let Some(kept) = &mut self.kept {
                    kept.feed(&buffer[..count]);
                }
                self.output.write(&buffer[..count], Instant::now());
                true
            }
            Err(Errno::EAGAIN | Errno::EINTR) => false,
            // All writers have closed it.
            Ok(_) | Err(_) => {
                self.log = None;
                false
            }
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Launch => {
                let launched = self.launch().map_err(|error| error.to_string());
                self.events.push_front(Event::Launched(launched));
            }
            Action::Open => {
                let opened = doors::open(&self.order.doors, &self.sockets);
                if opened.is_ok() {
                    self.is_open = true;
                    // The daemon has its own; what is kept of the log was for a failure.
                    if !self.drains {
                        self.sockets = Vec::new();
                    }
                    self.kept = None;
                }
                self.events.push_front(Event::Opened(opened));
            }
            Action::Close => {
                for error in doors::close(&self.order.doors, &self.sockets) {
                    self.say(Level::Warning, &error);
                }
                self.sockets = Vec::new();
                self.is_open = false;
            }
            Action::Drain(within) => self.start_helper("drain", within),
            Action::StartJob(order) => {
                let started = self.start_job(&order);
                self.events.push_front(Event::JobStarted(started));
            }
            Action::StopContainers(within) => self.start_helper("end", within),
            Action::Clear(within) => self.start_helper("clear", within),
            Action::SignalDaemon(signal) if signal == Signal::SIGHUP as i32 && self.refresh() => {}
            Action::SignalDaemon(signal) => signal_child(self.children.daemon, signal),
            Action::SignalJob(signal) => signal_child(self.children.job, signal),
            Action::KillLook => {
                // It leads a process group, with all that it runs.
                if let Some(look) = self.children.look {
                    process::send_signal(Pid::from_raw(-look.as_raw()), Signal::SIGKILL as i32);
                }
            }
            Action::KillHelper => signal_child(self.children.helper.take(), Signal::SIGKILL as i32),
            Action::Reply(reply) => self.reply(&reply),
            Action::Say(level, text) => self.say(level, &text),
            Action::Tell(phase) => self.tell.phase(phase),
            Action::Reported => self.tell.reported(),
            Action::Because(reason) => self.tell.because(reason),
            Action::Exit(_) => {}
        }
    }

    fn launch(&mut self) -> io::Result<i32> {
        let (ours, theirs) = pipe2(OFlag::O_CLOEXEC)?;
        fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        if let Some(kept) = &mut self.kept {
            kept.clear();
        }
        let mut set = self.order.set.clone();
        set.push((NEST.to_owned(), self.nest.clone()));
        let namespace = self.order.cgroup_namespace.as_ref().map(File::open).transpose()?;
        let sockets: Vec<BorrowedFd> = self.sockets.iter().map(|fd| fd.as_fd()).collect();
        let pid = spawn::spawn(&Program {
            file: self.order.program.clone().into(),
            words: &self.order.words,
            set: &set,
            unset: &self.order.unset,
            soft_limits: &self.order.soft_limits,
            cgroup_namespace: namespace.as_ref().map(AsFd::as_fd),
            stdout: Some(theirs.as_fd()),
            stderr: Some(theirs.as_fd()),
            sockets: &sockets,
            dies_with_us: Some(Signal::SIGTERM),
            ..Program::default()
        })?;
        self.children.daemon = Some(pid);
        self.log = Some(ours);
        self.tell.socket(&self.order.socket);
        Ok(pid.as_raw())
    }

    fn start_job(&mut self, order: &JobOrder) -> Result<(), (u8, String)> {
        let program = order.words.first().map(String::as_str).unwrap_or_default();
        let failed = |error: io::Error| {
            // As a shell: there is no such program, or it cannot be run.
            let status = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
            (status, format!("cannot run {program}: {error}"))
        };
        let mut set = order.set.clone();
        set.push((NEST.to_owned(), if self.children.daemon.is_some() { String::new() } else { self.nest.clone() }));
        let stdin = std::io::stdin();
        let mut identity = order.identity.clone();
        // Who has started the daemon may use it.
        if let (Some(identity), Ok(socket)) = (&mut identity, std::fs::metadata(&self.order.socket)) {
            identity.groups.push(socket.gid());
        }
        let pid = spawn::spawn(&Program {
            file: spawn::file(program, &set).map_err(failed)?,
            identity: identity.as_ref(),
            words: &order.words,
            set: &set,
            unset: &order.unset,
            stdin: Some(stdin.as_fd()),
            dies_with_us: Some(Signal::SIGTERM),
            takes_terminal: true,
            ..Program::default()
        })
        .map_err(failed)?;
        self.children.job = Some(pid);
        Ok(())
    }

    fn start_helper(&mut self, part: &str, within: Duration) {
        let words = ["dindcheck", "part", part, &within.as_millis().to_string(), &self.nest].map(str::to_owned);
        match self.start_part(&words) {
            Ok((pid, ours)) => {
                self.children.helper = Some(pid);
                self.helper = Some(ours);
            }
            Err(error) => self.events.push_back(Event::HelperEnded(Err(error.to_string()))),
        }
    }

    /// Has the copy of the configuration written again, which the daemon is about to read; whether it is being written.
    fn refresh(&mut self) -> bool {
        let Some(refresh) = &self.order.refresh else { return false };
        if self.children.refresh.is_none() {
            let words = ["dindcheck", "part", "refresh", &refresh.source, &refresh.copy].map(str::to_owned);
            let words: Vec<String> = words.into_iter().chain(refresh.without.iter().cloned()).collect();
            self.children.refresh = self.start_part(&words).ok().map(|(pid, _)| pid);
        }
        self.children.refresh.is_some()
    }

    /// Starts a process of this binary; gives what it tells on standard output.
    fn start_part(&self, words: &[String]) -> io::Result<(Pid, OwnedFd)> {
        let (ours, theirs) = pipe2(OFlag::O_CLOEXEC)?;
        fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let pid = spawn::spawn(&Program {
            file: "/proc/self/exe".into(),
            words,
            stdin: Some(self.plan.as_fd()),
            stdout: Some(theirs.as_fd()),
            stderr: Some(self.said.1.as_fd()),
            dies_with_us: Some(Signal::SIGKILL),
            ..Program::default()
        })?;
        Ok((pid, ours))
    }

    /// One that does not read is dead, or its time will be up.
    fn reply(&mut self, reply: &Reply) {
        if let Some(channel) = &self.channel {
            let _ = channel.send(reply, &[], MsgFlags::MSG_DONTWAIT);
        }
    }

    fn say(&mut self, level: Level, text: &str) {
        if !self.quiet {
            let line = self.own.line(level, text);
            self.output.write(&line, Instant::now());
        }
    }

    /// The end: what waits to be written, and what others are told.
    fn last_words(&mut self) {
        if !self.is_open {
            doors::remove(&self.order.doors);
        }
        while self.read_said() {}
        let rest = self.own.end();
        self.output.write(&rest, Instant::now());
        let until = Instant::now() + LAST_WORDS;
        while let Some(fd) = self.output.waits() {
            let ready = poll(&mut [PollFd::new(fd, PollFlags::POLLOUT)], process::timeout(until));
            if !matches!(ready, Ok(1..) | Err(Errno::EINTR)) || Instant::now() >= until {
                break;
            }
            self.output.flush(Instant::now());
        }
        self.tell.ended();
    }
}

fn signal_child(child: Option<Pid>, signal: i32) {
    if let Some(pid) = child {
        process::send_signal(pid, signal);
    }
}
