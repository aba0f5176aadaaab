//! What the main job looks after from its beginning to its end, and the one place where it waits.

use std::io;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::cli::RunArgs;
use crate::command::Misuse;
use crate::command::progress::Progress;
use crate::diagnosis;
use crate::engine::launch::Daemon;
use crate::init::teardown::{self, Ended, Plan};
use crate::init::tell::{Phase, Tell};
use crate::init::worker::Worker;
use crate::init::{Event, Init, Sources, asks_to_stop, to_stderr};
use crate::system;

/// Signals, the daemon, and who is told of it all.
pub(super) struct Stage {
    pub(super) init: Init,
    pub(super) progress: Progress,
    pub(super) tell: Tell,
    /// The daemon, once it is started.
    pub(super) daemon: Option<Daemon>,
    /// What it may leave behind.
    pub(super) plan: Plan,
    /// What a diagnosis of its log has to know.
    pub(super) beside_log: diagnosis::Options,
}

impl Stage {
    /// Takes over the signals: before any thread exists.
    pub(super) fn new(args: &RunArgs) -> anyhow::Result<Self> {
        // First of all, while no descriptor of ours can have that number.
        let ready = args.ready_fd.map(system::inherited).transpose();
        let ready = ready.map_err(|error| Misuse(format!("--ready-fd: {error}")))?;
        Ok(Self {
            init: Init::new().context("cannot take over the signals")?,
            progress: Progress::new(args.look.output.quiet),
            tell: Tell::new(ready),
            daemon: None,
            plan: Plan::default(),
            beside_log: diagnosis::Options::default(),
        })
    }

    /// Puts the started daemon under our eyes.
    pub(super) fn watch(&mut self, daemon: Daemon) {
        self.init.watch(daemon.pid);
        self.daemon = Some(daemon);
    }

    /// The next event that matters; the daemon's log is passed on and the moving line moves meanwhile.
    pub(super) fn next<T: Send + 'static>(
        &mut self,
        worker: Option<&Worker<T>>,
        deadline: Option<Instant>,
    ) -> io::Result<Event> {
        loop {
            let sources = Sources {
                daemon: self.daemon.as_mut(),
                message: worker.map(|worker| worker.as_fd()),
                deadline: [deadline, self.progress.next_beat()].into_iter().flatten().min(),
                orphans: false,
            };
            let progress = &self.progress;
            let event = self.init.wait(sources, |bytes| {
                progress.clear();
                to_stderr(bytes);
            })?;
            match event {
                Event::TimedOut if deadline.is_none_or(|deadline| deadline > Instant::now()) => self.progress.beat(),
                event => {
                    if !matches!(event, Event::Message) {
                        self.progress.done();
                    }
                    return Ok(event);
                }
            }
        }
    }

    /// The daemon is proved: what was only needed until now is let go, and whoever waits is told.
    pub(super) fn serve_from_here(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            daemon.log.release();
        }
        self.progress.say("the daemon runs; staying as its supervisor");
        self.tell.phase(Phase::Serving);
        system::shed_memory();
    }

    /// Waits for a request to end.
    pub(super) fn hold(&mut self) -> io::Result<()> {
        loop {
            match self.next::<()>(None, None)? {
                Event::Signal(signal) if asks_to_stop(signal) => return Ok(()),
                Event::Signal(signal) => self.signal_daemon(signal),
                _ => {}
            }
        }
    }

    /// The daemon's API answers; gives how long that has taken, the first time.
    pub(super) fn answered(&mut self) -> Option<Duration> {
        let daemon = self.daemon.as_mut()?;
        Some(*daemon.answered.get_or_insert_with(|| daemon.started.elapsed()))
    }

    /// Whether the daemon's API has answered, so that it can have containers.
    pub(super) fn answers(&self) -> bool {
        self.daemon.as_ref().is_some_and(|daemon| daemon.answered.is_some())
    }

    /// Whether this is the daemon's number.
    pub(super) fn is_daemon(&self, pid: nix::unistd::Pid) -> bool {
        self.daemon.as_ref().is_some_and(|daemon| daemon.pid == pid)
    }

    /// Passes a signal on to the daemon.
    pub(super) fn signal_daemon(&self, signal: i32) {
        send(self.daemon.as_ref(), signal);
    }

    /// A request to end that has come while nobody waited; other signals are the daemon's.
    pub(super) fn asked_to_stop(&mut self) -> io::Result<Option<i32>> {
        self.init.asked_to_stop(|signal| send(self.daemon.as_ref(), signal))
    }

    /// Ends it all in order and in time, and says what had to be forced; gives the daemon's exit status.
    pub(super) fn stop(&mut self) -> io::Result<u8> {
        let Some(daemon) = self.daemon.as_mut() else { return Ok(crate::exit::OK) };
        self.tell.phase(Phase::Stopping);
        if daemon.ended.is_none() {
            self.progress.say("stopping the inner containers, then the daemon");
        }
        let Ended { status, forced } =
            teardown::end(&mut self.init, daemon, &self.plan, &mut |bytes| to_stderr(bytes))?;
        for what in forced {
            self.progress.say(&what);
        }
        Ok(status)
    }

    /// Takes back a daemon that was started before it was known what speaks against it.
    pub(super) fn withdraw(&mut self, reason: &str) -> io::Result<()> {
        let Some(mut daemon) = self.daemon.take() else { return Ok(()) };
        let what = if daemon.ended.is_none() { "stopping the daemon again" } else { "the daemon has ended" };
        self.progress.say(&format!("{what}, found meanwhile: {reason}"));
        let ended = teardown::end(&mut self.init, &mut daemon, &self.plan, &mut |bytes| to_stderr(bytes))?;
        for what in ended.forced {
            self.progress.say(&what);
        }
        Ok(())
    }

    /// Clears what a daemon that has ended left behind, so that the next one can start.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        for what in teardown::clear(&mut self.init, &self.plan, Instant::now())? {
            self.progress.say(&what);
        }
        Ok(())
    }
}

/// One that has ended, or that there is not yet, misses it.
fn send(daemon: Option<&Daemon>, signal: i32) {
    if let Some(daemon) = daemon.filter(|daemon| daemon.ended.is_none()) {
        system::send_signal(daemon.pid, signal);
    }
}
