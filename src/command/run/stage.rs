//! What the look process has in its hands: the supervisor, who starts and ends the daemon for it, and the prover, who
//! talks to the daemon.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use super::prover::{Ask, Prover, Told};
use crate::cli::RunArgs;
use crate::command::progress::Progress;
use crate::configuration::Configuration;
use crate::diagnosis;
use crate::engine::command::CommandLine;
use crate::engine::end::Plan;
use crate::process::level::Level;
use crate::supervisor::doors::Doors;
use crate::supervisor::message::{Order, Phase, Verdict, Wait};
use crate::supervisor::split::{Event, Supervised};

/// How long looking, and mending, may take. The longest that is tried or made is a file system, in a minute.
pub(super) const LOOK: Duration = Duration::from_secs(180);
/// How long the proof may take in all, with what is loaded before the doors open.
const PROOF: Duration = Duration::from_secs(900);

/// The daemon that was started last.
pub(super) struct Daemon {
    /// Its command line.
    pub(super) words: String,
    /// When it was started.
    pub(super) started: Instant,
    /// How long it took until its API answered, once it has: with the versions of engine and API.
    pub(super) answered: Option<Answer>,
    /// Whether the prover waits for that.
    pub(super) is_waited_for: bool,
}

/// The first answer.
#[derive(Clone)]
pub(super) struct Answer {
    pub(super) after: Duration,
    pub(super) engine: String,
    pub(super) api: String,
}

/// What is waited for.
pub(super) enum Heard {
    /// The prover has told something.
    Told(Told),
    /// The prover has ended: how.
    ProverEnded(String),
    /// The daemon has ended, with this exit status.
    DaemonEnded(u8),
    /// Someone asks us to end, by this signal.
    Asked(i32),
    /// The deadline has come.
    TimedOut,
}

/// The main job, as the look process sees it.
pub(super) struct Stage {
    supervised: Supervised,
    pub(super) progress: Progress,
    /// The listening sockets, which stay the same however often the daemon is started.
    pub(super) doors: Doors,
    /// The daemon, once it is started.
    pub(super) daemon: Option<Daemon>,
    /// What a diagnosis of its log has to know.
    pub(super) beside_log: diagnosis::Options,
    prover: Option<Prover>,
}

impl Stage {
    pub(super) fn new(args: &RunArgs, supervised: Supervised) -> Self {
        Self {
            supervised,
            progress: Progress::new(&args.look.output),
            doors: Doors::default(),
            daemon: None,
            beside_log: diagnosis::Options::default(),
            prover: None,
        }
    }

    /// Tells of a new phase.
    pub(super) fn phase(&mut self, phase: Phase) -> io::Result<()> {
        let (waits_for, within) = match phase {
            Phase::Verifying => (Wait::Proof, PROOF),
            Phase::Mending => (Wait::Mend, LOOK),
            _ => (Wait::Look, LOOK),
        };
        self.supervised.phase(phase, waits_for, within)
    }

    /// Our own lines look as the daemon's log does.
    pub(super) fn log_like(&mut self, configuration: &Configuration) -> io::Result<()> {
        if configuration.text("log-format") == Some("json") { self.supervised.log_json() } else { Ok(()) }
    }

    /// Has the daemon started; its API may take `patience` to answer, and then there is something to look at.
    pub(super) fn start(
        &mut self,
        line: &CommandLine,
        order: Order,
        plan: &Plan,
        patience: Duration,
    ) -> io::Result<()> {
        self.supervised.phase(Phase::Starting, Wait::Answer, patience + LOOK)?;
        let plan = serde_json::to_vec(plan)?;
        let started = Instant::now();
        self.supervised.start(order, &self.doors, &plan)?;
        let words = line.words.join(" ");
        self.progress.step(&format!("started {words}, waiting for its API"));
        self.daemon = Some(Daemon { words, started, answered: None, is_waited_for: false });
        Ok(())
    }

    /// Has the daemon stopped again, if it runs, and cleared up behind.
    pub(super) fn withdraw(&mut self, reason: &str) -> io::Result<()> {
        let what = match self.ended() {
            None => "stopping the daemon again",
            Some(_) => "the daemon has ended",
        };
        self.progress.say(Level::Warning, &format!("{what}, found meanwhile: {reason}"));
        self.clear()
    }

    /// The same, where the reason was told.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.daemon = None;
        // It may wait for an answer that does not come any more.
        self.prover = None;
        self.supervised.withdraw()
    }

    /// The signal that asked us to end, if one has by now.
    pub(super) fn asked(&mut self) -> io::Result<Option<i32>> {
        self.supervised.asked()
    }

    /// The exit status of the daemon that was started last, once it has ended.
    pub(super) fn ended(&self) -> Option<u8> {
        self.supervised.ended()
    }

    /// The mark of the daemon's processes, and the daemon's own number.
    pub(super) fn nest(&self) -> (String, i32) {
        self.supervised.nest()
    }

    /// The daemon's API has answered.
    pub(super) fn answered(&mut self, engine: String, api: String) -> io::Result<()> {
        if let Some(daemon) = self.daemon.as_mut().filter(|daemon| daemon.answered.is_none()) {
            daemon.answered = Some(Answer { after: daemon.started.elapsed(), engine, api });
        }
        self.supervised.answered()
    }

    /// The first answer of the daemon's API, once it has answered.
    pub(super) fn answer(&self) -> Option<&Answer> {
        self.daemon.as_ref()?.answered.as_ref()
    }

    /// What is kept of the daemon's log.
    pub(super) fn log(&self) -> String {
        self.supervised.log()
    }

    /// Tells what was decided.
    pub(super) fn verdict(&mut self, verdict: Verdict) -> io::Result<()> {
        self.prover = None;
        self.supervised.verdict(verdict)
    }

    /// Asks the prover, who is started if there is none.
    pub(super) fn ask(&mut self, args: &RunArgs, ask: &Ask) -> io::Result<()> {
        let prover = match &mut self.prover {
            Some(prover) => prover,
            none => none.insert(Prover::start(args)?),
        };
        prover.ask(ask)
    }

    /// Ends the prover, whatever it does.
    pub(super) fn drop_prover(&mut self) {
        self.prover = None;
        if let Some(daemon) = &mut self.daemon {
            daemon.is_waited_for = false;
        }
    }

    /// Waits for the prover, with an eye on the daemon.
    pub(super) fn hear(&mut self, deadline: Option<Instant>) -> io::Result<Heard> {
        loop {
            if let Some(told) = self.prover.as_mut().and_then(Prover::next) {
                return Ok(Heard::Told(told));
            }
            if let Some(signal) = self.asked()? {
                return Ok(Heard::Asked(signal));
            }
            if let Some(status) = self.ended() {
                return Ok(Heard::DaemonEnded(status));
            }
            let fd: Option<BorrowedFd> = self.prover.as_ref().map(Prover::as_fd);
            match self.supervised.wait(fd, deadline)? {
                Event::Ended(status) => return Ok(Heard::DaemonEnded(status)),
                Event::Asked(signal) => return Ok(Heard::Asked(signal)),
                Event::TimedOut => return Ok(Heard::TimedOut),
                Event::Readable => {
                    if let Some(prover) = &mut self.prover
                        && !prover.read()?
                    {
                        let how = prover.end();
                        self.prover = None;
                        return Ok(Heard::ProverEnded(how));
                    }
                }
            }
        }
    }
}
