//! The state machine of the main job: what follows on what. It touches nothing, so that every order of events can be
//! driven through it without a process.
//!
//! ```text
//! phase      event                          what follows
//! ---------  -----------------------------  -----------------------------------------------------------
//! Looking    the look process wants a start start the daemon; the look process is told how that went
//!            … wants the daemon withdrawn   Ending, then back to Looking
//!            … has a verdict                open: open the doors → Serving; else → Reporting
//!            the look process ends          a bug or a kill: Ending with status 6
//!            the daemon ends                the look process is told; it knows why
//!            asked to stop                  Ending with 128+N; the look process reports meanwhile
//!            its time is up                 Ending with status 6
//! Reporting  the look process ends, or late Holding (--hold-on-failure) or Ending
//!            asked to stop                  Ending with the verdict's status
//! Serving    the report is written, or late start the job, if there is one → Working
//!            the daemon ends                Ending with its status
//!            asked to stop                  Ending with the daemon's status; with --drain first Draining
//! Draining   all work is done               Ending with the daemon's status
//!            its time is up, asked again    the same
//!            the daemon ends                Ending with its status
//! Working    the job ends                   Ending with its status
//!            asked to stop                  pass it on; the job has a part of the time, then it is killed
//! Holding    asked to stop                  Ending with the verdict's status
//! Ending     Stopping: a helper stops the containers through the API, until 65 % of the time
//!            Terminating: SIGTERM, until 80 %
//!            Killing: SIGKILL
//!            Clearing: a helper removes what is left behind; then Over, or back to Looking
//!            Telling: the look process, which still has something to report, has a moment more; then Over
//! ```
//! Signals that do not ask to stop are the job's, else the daemon's, in every phase.

use std::time::{Duration, Instant};

use super::message::{JobOrder, Phase as Told, Reply, Request, Verdict};
use crate::exit;
use crate::process::level::Level;

/// How long the look process may take to write its report once it has a verdict.
const REPORT: Duration = Duration::from_secs(10);
/// How long it may take where there is nothing else to wait for, and we are asked to end.
const HURRY: Duration = Duration::from_secs(3);
/// How long a killed process may take to be gone: one that the kernel does not let go is left to it.
const KILL: Duration = Duration::from_millis(400);
/// How long clearing may take, beyond its share of the time, when there is nothing left of that.
const CLEAR: Duration = Duration::from_millis(1500);
/// When to try again to start a helper: where processes are limited, there is room once the daemon is gone.
const AGAIN: Duration = Duration::from_millis(50);
/// Of the time for stopping, how much a job may take, in percent, where a daemon needs its time too.
const JOB_PERCENT: u32 = 25;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// The look process asks for something.
    Asked(Request),
    /// The look process has ended, with this exit status (128+N for signal N).
    LookEnded(u8),
    /// The daemon was started, under this number, or could not be.
    Launched(Result<i32, String>),
    /// The doors were opened, or could not be.
    Opened(Result<(), String>),
    /// The daemon has ended, likewise.
    DaemonEnded(u8),
    /// The job was started, or could not be: the exit status of a shell for that, and why.
    JobStarted(Result<(), (u8, String)>),
    /// The job has ended, likewise.
    JobEnded(u8),
    /// The helper that stops the containers has done so.
    ContainersStopped,
    /// The helper has ended, or could not be started.
    HelperEnded(Result<u8, String>),
    /// Someone sent us a signal that is not about children.
    Signal(i32),
    /// The deadline has come.
    TimedOut,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Start the daemon as the look process has ordered.
    Launch,
    /// Open the doors.
    Open,
    /// Close the doors again: clients that are connected stay.
    Close,
    /// Start the helper that waits until all work is done, for this time.
    Drain(Duration),
    /// Start a job.
    StartJob(JobOrder),
    /// Start the helper that stops the containers through the API, in this time.
    StopContainers(Duration),
    /// Start the helper that removes what an ended daemon leaves behind, in this time.
    Clear(Duration),
    /// Send a signal to the daemon.
    SignalDaemon(i32),
    /// Send a signal to the job.
    SignalJob(i32),
    /// Kill the look process and all that it started.
    KillLook,
    /// Kill the helper.
    KillHelper,
    /// Tell the look process.
    Reply(Reply),
    /// Report a line on standard error.
    Say(Level, String),
    /// Tell others how far we are.
    Tell(Told),
    /// Tell others that the report of the daemon that is served is written.
    Reported,
    /// Keep the reason of a failure for the last message.
    Because(String),
    /// End, with this exit status.
    Exit(u8),
}

/// Where the main job is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    Looking,
    Reporting,
    Serving,
    Draining,
    Working { asked: bool },
    Holding,
    Ending { stage: Stage, then: Then, start: Instant },
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Stopping,
    Terminating,
    Killing,
    Clearing,
    Telling,
}

/// What follows on the end of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Exit(u8),
    /// The daemon's own exit status.
    ExitAsDaemon,
    /// The look process goes on.
    Look,
}

/// The daemon, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Daemon {
    None,
    Runs,
    Ended(u8),
}

/// The state of the main job.
#[derive(Debug)]
pub(super) struct Machine {
    phase: Phase,
    grace: Duration,
    drain: Duration,
    helper: bool,
    /// Whether the look process is there, and was not killed.
    looks: bool,
    daemon: Daemon,
    /// Whether the API has answered, so that there can be containers.
    answered: bool,
    verdict: Option<Verdict>,
    deadline: Option<Instant>,
    waits_for: &'static str,
    /// Until when what the daemon left behind is cleared, once that has begun.
    clear_until: Option<Instant>,
}

impl Machine {
    /// The look process has just been started; `grace` is how long stopping may take in all, after
    /// `drain` for those who are at work.
    pub(super) fn new(grace: Duration, drain: Duration, patience: Duration, now: Instant) -> Self {
        Self {
            phase: Phase::Looking,
            grace,
            drain,
            helper: false,
            looks: true,
            daemon: Daemon::None,
            answered: false,
            verdict: None,
            deadline: Some(now + patience),
            waits_for: "looking at the container",
            clear_until: None,
        }
    }

    /// When something is to happen even if nothing else does.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether it is all over.
    #[cfg(test)]
    fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// What follows on an event.
    pub(super) fn on(&mut self, event: Event, now: Instant) -> Vec<Action> {
        // What is true in every phase.
        match &event {
            Event::TimedOut => self.deadline = None,
            Event::DaemonEnded(status) => self.daemon = Daemon::Ended(*status),
            Event::HelperEnded(_) => self.helper = false,
            Event::LookEnded(_) => self.looks = false,
            Event::Launched(Ok(_)) => self.daemon = Daemon::Runs,
            _ => {}
        }
        match self.phase.clone() {
            Phase::Looking => self.looking(event, now),
            Phase::Reporting => self.reporting(event, now),
            Phase::Serving => self.serving(event, now),
            Phase::Draining => self.draining(event, now),
            Phase::Working { asked } => self.working(event, asked, now),
            Phase::Holding => self.holding(event, now),
            Phase::Ending { stage, then, start } => self.ending(event, stage, then, start, now),
            Phase::Over => Vec::new(),
        }
    }

    fn looking(&mut self, event: Event, now: Instant) -> Vec<Action> {
        match event {
            Event::Asked(Request::Phase { phase, within_ms, waits_for }) => {
                self.deadline = Some(now + Duration::from_millis(within_ms));
                self.waits_for = waits_for.text();
                vec![Action::Tell(phase)]
            }
            Event::Asked(Request::Start(_)) if self.daemon == Daemon::Runs => {
                vec![Action::Reply(Reply::NotStarted("there is a daemon already".to_owned()))]
            }
            Event::Asked(Request::Start(_)) => {
                self.answered = false;
                vec![Action::Launch]
            }
            Event::Launched(Ok(daemon)) => vec![Action::Reply(Reply::Started(daemon))],
            Event::Launched(Err(error)) => vec![Action::Reply(Reply::NotStarted(error))],
            Event::Asked(Request::Answered) => {
                self.answered = true;
                Vec::new()
            }
            Event::Asked(Request::Withdraw) => self.end(Then::Look, now),
            // A matter of what is written, and not of what is done.
            Event::Asked(Request::LogJson) => Vec::new(),
            Event::Asked(Request::Verdict(verdict)) => self.judged(verdict, now),
            Event::Opened(Ok(())) => {
                self.phase = Phase::Serving;
                self.deadline = Some(now + REPORT);
                vec![Action::Tell(Told::Serving)]
            }
            Event::Opened(Err(error)) => {
                let reason = format!("the daemon is proved, and clients cannot be let in: {error}");
                let mut actions =
                    vec![Action::Say(Level::Error, reason.clone()), Action::Because(reason), self.kill_look()];
                actions.extend(self.end(Then::Exit(exit::LAUNCH_FAILED), now));
                actions
            }
            Event::LookEnded(status) => {
                let reason = format!("the process that looks and judges ended {}", describe(status));
                let mut actions = vec![Action::Say(Level::Error, reason.clone()), Action::Because(reason)];
                actions.extend(self.end(Then::Exit(exit::INTERNAL), now));
                actions
            }
            Event::DaemonEnded(status) => vec![Action::Reply(Reply::Ended(status))],
            Event::Signal(signal) if asks_to_stop(signal) => {
                let mut actions = asked(signal);
                if self.daemon == Daemon::None {
                    // It has little to report, and then this is over.
                    self.verdict = Some(Verdict { status: exit::of_signal(signal), ..Verdict::default() });
                    self.phase = Phase::Reporting;
                    self.deadline = Some(now + HURRY);
                } else {
                    actions.extend(self.end(Then::Exit(exit::of_signal(signal)), now));
                }
                actions
            }
            Event::Signal(signal) => self.for_daemon(signal),
            Event::TimedOut => {
                let reason = format!("{} was not done in time and was given up", self.waits_for);
                let mut actions =
                    vec![Action::Say(Level::Error, reason.clone()), Action::Because(reason), self.kill_look()];
                actions.extend(self.end(Then::Exit(exit::INTERNAL), now));
                actions
            }
            Event::JobStarted(_) | Event::JobEnded(_) | Event::ContainersStopped | Event::HelperEnded(_) => Vec::new(),
        }
    }

    /// The look process has a verdict: it writes its report meanwhile.
    fn judged(&mut self, verdict: Verdict, now: Instant) -> Vec<Action> {
        self.deadline = Some(now + REPORT);
        let mut actions = Vec::new();
        if !verdict.reason.is_empty() {
            actions.push(Action::Because(verdict.reason.clone()));
        }
        // A daemon that has ended between the proof and now lets no one in.
        if verdict.open && !matches!(self.daemon, Daemon::Ended(_)) {
            actions.push(Action::Open);
        } else {
            self.phase = Phase::Reporting;
        }
        self.verdict = Some(verdict);
        actions
    }

    fn reporting(&mut self, event: Event, now: Instant) -> Vec<Action> {
        let (status, hold) = match &self.verdict {
            Some(verdict) if verdict.open => (exit::LAUNCH_FAILED, false),
            Some(verdict) => (verdict.status, verdict.hold),
            None => (exit::INTERNAL, false),
        };
        match event {
            Event::LookEnded(_) | Event::TimedOut if self.alone() => {
                self.deadline = None;
                self.phase = Phase::Working { asked: false };
                self.verdict.as_mut().and_then(|verdict| verdict.job.take()).map(Action::StartJob).into_iter().collect()
            }
            Event::LookEnded(_) | Event::TimedOut if hold => {
                self.phase = Phase::Holding;
                self.deadline = None;
                let text = "holding the container for `docker exec`; stop it to end";
                vec![Action::Tell(Told::Failed), Action::Say(Level::Info, text.to_owned())]
            }
            Event::LookEnded(_) => self.end(Then::Exit(status), now),
            Event::TimedOut => {
                let text = "the report was not written in time: is standard output read?".to_owned();
                let mut actions = vec![Action::Say(Level::Warning, text), self.kill_look()];
                actions.extend(self.end(Then::Exit(status), now));
                actions
            }
            Event::Signal(signal) if asks_to_stop(signal) => {
                let mut actions = vec![self.kill_look()];
                actions.extend(self.end(Then::Exit(status), now));
                actions
            }
            Event::Signal(signal) => self.for_daemon(signal),
            _ => Vec::new(),
        }
    }

    fn serving(&mut self, event: Event, now: Instant) -> Vec<Action> {
        match event {
            Event::LookEnded(_) | Event::TimedOut => {
                self.deadline = None;
                let mut actions = self.served();
                match self.verdict.as_mut().and_then(|verdict| verdict.job.take()) {
                    Some(job) => {
                        self.phase = Phase::Working { asked: false };
                        actions.push(Action::StartJob(job));
                        actions
                    }
                    None => actions,
                }
            }
            Event::DaemonEnded(status) => {
                let mut actions = self.served();
                actions.push(Action::Say(Level::Error, format!("the daemon ended {}", describe(status))));
                actions.extend(self.end(Then::ExitAsDaemon, now));
                actions
            }
            Event::Signal(signal) if asks_to_stop(signal) => {
                let mut actions = self.served();
                let has_job = self.verdict.as_ref().is_some_and(|verdict| verdict.job.is_some());
                if self.drain.is_zero() || has_job {
                    actions.extend(self.end(Then::ExitAsDaemon, now));
                } else {
                    self.phase = Phase::Draining;
                    self.deadline = Some(now + self.drain);
                    self.helper = true;
                    actions.extend([Action::Tell(Told::Stopping), Action::Close, Action::Drain(self.drain)]);
                }
                actions
            }
            Event::Signal(signal) => self.for_daemon(signal),
            _ => Vec::new(),
        }
    }

    fn draining(&mut self, event: Event, now: Instant) -> Vec<Action> {
        let ended = match event {
            Event::HelperEnded(_) => None,
            Event::DaemonEnded(status) => {
                Some(Action::Say(Level::Error, format!("the daemon ended {}", describe(status))))
            }
            Event::TimedOut => {
                Some(Action::Say(Level::Warning, "not all clients and containers were done in time".to_owned()))
            }
            Event::Signal(signal) if asks_to_stop(signal) => {
                Some(Action::Say(Level::Info, "asked to stop again: no longer waiting".to_owned()))
            }
            Event::Signal(signal) => return self.for_daemon(signal),
            _ => return Vec::new(),
        };
        let mut actions: Vec<Action> = ended.into_iter().collect();
        if std::mem::take(&mut self.helper) {
            actions.push(Action::KillHelper);
        }
        actions.extend(self.end(Then::ExitAsDaemon, now));
        actions
    }

    /// Reports that clients are let in, once: after the report, or before what ends it sooner.
    fn served(&mut self) -> Vec<Action> {
        let lines = self.verdict.as_mut().map(|verdict| std::mem::take(&mut verdict.lines)).unwrap_or_default();
        let lines = lines.into_iter().map(|(level, line)| Action::Say(level, line));
        lines.chain([Action::Reported]).collect()
    }

    fn working(&mut self, event: Event, asked: bool, now: Instant) -> Vec<Action> {
        match event {
            Event::JobStarted(Err((status, reason))) => {
                let mut actions = vec![Action::Say(Level::Error, reason)];
                actions.extend(self.end(Then::Exit(status), now));
                actions
            }
            Event::JobEnded(status) => self.end(Then::Exit(status), now),
            // What the job does without a daemon is its own matter.
            Event::DaemonEnded(status) => {
                vec![Action::Say(Level::Error, format!("the daemon ended under the job, {}", describe(status)))]
            }
            Event::Signal(signal) => {
                if asks_to_stop(signal) && !asked {
                    let part = match self.daemon {
                        Daemon::None => self.grace,
                        _ if self.drain.is_zero() => self.grace * JOB_PERCENT / 100,
                        _ => Duration::ZERO,
                    };
                    self.phase = Phase::Working { asked: true };
                    self.deadline = Some(now + self.drain + part);
                    // What is left is the daemon's.
                    self.grace -= part;
                }
                vec![Action::SignalJob(signal)]
            }
            Event::TimedOut if asked => {
                self.deadline = Some(now + KILL);
                self.phase = Phase::Working { asked: false };
                let text = "the job did not end in time and was killed".to_owned();
                vec![Action::Say(Level::Warning, text), Action::SignalJob(KILLED)]
            }
            // Not even that ended it: the kernel does not let it go.
            Event::TimedOut => self.end(Then::Exit(exit::SIGNAL_BASE + KILLED_STATUS), now),
            _ => Vec::new(),
        }
    }

    fn holding(&mut self, event: Event, now: Instant) -> Vec<Action> {
        match event {
            Event::Signal(signal) if asks_to_stop(signal) => {
                let status = self.verdict.as_ref().map_or(exit::INTERNAL, |verdict| verdict.status);
                self.end(Then::Exit(status), now)
            }
            Event::Signal(signal) => self.for_daemon(signal),
            _ => Vec::new(),
        }
    }

    /// Begins the end of the daemon, if there is one.
    fn end(&mut self, then: Then, now: Instant) -> Vec<Action> {
        let is_withdrawn = then == Then::Look;
        let mut actions = Vec::new();
        if !is_withdrawn {
            actions.push(Action::Tell(Told::Stopping));
        }
        let stage = match self.daemon {
            Daemon::None if !matches!(self.phase, Phase::Working { .. }) => {
                actions.extend(self.ended(then, now));
                return actions;
            }
            Daemon::None | Daemon::Ended(_) => {
                self.phase = Phase::Ending { stage: Stage::Clearing, then, start: now };
                actions.extend(self.clear(now, now));
                return actions;
            }
            Daemon::Runs if self.answered => {
                if !is_withdrawn {
                    actions.push(Action::Say(Level::Info, "stopping the inner containers, then the daemon".to_owned()));
                }
                self.helper = true;
                self.deadline = Some(now + self.part(65));
                actions.push(Action::StopContainers(self.part(65)));
                Stage::Stopping
            }
            Daemon::Runs => {
                self.deadline = Some(now + self.part(80));
                actions.push(Action::SignalDaemon(TERMINATE));
                Stage::Terminating
            }
        };
        self.phase = Phase::Ending { stage, then, start: now };
        actions
    }

    fn ending(&mut self, event: Event, stage: Stage, then: Then, start: Instant, now: Instant) -> Vec<Action> {
        let go = |machine: &mut Self, stage| machine.phase = Phase::Ending { stage, then, start };
        match (stage, event) {
            // A request to stop while a daemon is withdrawn; in an end that is asked for already it is the same request.
            (_, Event::Signal(signal)) if asks_to_stop(signal) => match then {
                Then::Look => {
                    self.phase = Phase::Ending { stage, then: Then::Exit(exit::of_signal(signal)), start };
                    asked(signal)
                }
                Then::Exit(_) | Then::ExitAsDaemon => Vec::new(),
            },
            (_, Event::Signal(signal)) => self.for_daemon(signal),
            (_, Event::LookEnded(status)) if then == Then::Look => {
                self.phase = Phase::Ending { stage, then: Then::Exit(exit::INTERNAL), start };
                let reason = format!("the process that looks and judges ended {}", describe(status));
                vec![Action::Say(Level::Error, reason.clone()), Action::Because(reason)]
            }
            (Stage::Stopping, Event::ContainersStopped | Event::HelperEnded(_) | Event::TimedOut) => {
                go(self, Stage::Terminating);
                self.deadline = Some(start + self.part(80));
                vec![Action::SignalDaemon(TERMINATE)]
            }
            (Stage::Stopping | Stage::Terminating, Event::DaemonEnded(_)) if self.helper => {
                // What outlives it still has to end, which the helper sees to.
                go(self, Stage::Terminating);
                self.deadline = Some(start + self.part(80));
                Vec::new()
            }
            (Stage::Terminating, Event::HelperEnded(_)) if self.daemon == Daemon::Runs => Vec::new(),
            (Stage::Terminating, Event::TimedOut) if self.daemon == Daemon::Runs => {
                go(self, Stage::Killing);
                self.deadline = Some(now + KILL);
                let text = "the daemon did not end in time and was killed".to_owned();
                vec![Action::Say(Level::Warning, text), Action::SignalDaemon(KILLED)]
            }
            (Stage::Stopping | Stage::Terminating | Stage::Killing, Event::DaemonEnded(_))
            | (Stage::Terminating, Event::HelperEnded(_))
            | (Stage::Terminating | Stage::Killing, Event::TimedOut) => {
                go(self, Stage::Clearing);
                self.clear(start, now)
            }
            (Stage::Clearing, Event::HelperEnded(Err(reason))) => {
                if self.clear_until.is_some_and(|until| now + AGAIN < until) {
                    self.deadline = Some(now + AGAIN);
                    self.waits_for = RETRY;
                    // Where processes are limited, one that has nothing more to do makes room.
                    return if then == Then::Look { Vec::new() } else { vec![self.kill_look()] };
                }
                let mut actions =
                    vec![Action::Say(Level::Warning, format!("cannot clear what the daemon left behind: {reason}"))];
                actions.extend(self.ended(then, now));
                actions
            }
            (Stage::Clearing, Event::TimedOut) if self.waits_for == RETRY => {
                self.waits_for = "";
                self.clear(start, now)
            }
            (Stage::Clearing, Event::HelperEnded(Ok(_))) => self.ended(then, now),
            (Stage::Telling, Event::LookEnded(_) | Event::TimedOut) => match then {
                Then::Exit(status) => self.over(status),
                // It is told of with its status alone (see `ended`).
                Then::ExitAsDaemon | Then::Look => self.ended(then, now),
            },
            (Stage::Clearing, Event::TimedOut) => {
                let mut actions = vec![Action::KillHelper];
                actions.push(Action::Say(
                    Level::Warning,
                    "what the daemon left behind was not cleared in time".to_owned(),
                ));
                actions.extend(self.ended(then, now));
                actions
            }
            _ => Vec::new(),
        }
    }

    /// Removes what is left behind: until 90 % of the time, or a little longer where that has passed.
    fn clear(&mut self, start: Instant, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.helper {
            actions.push(Action::KillHelper);
        }
        self.helper = true;
        let until = (start + self.part(90)).min(now + CLEAR).max(now + CLEAR / 2);
        let until = *self.clear_until.get_or_insert(until);
        self.deadline = Some(until);
        actions.push(Action::Clear(until.saturating_duration_since(now)));
        actions
    }

    /// The daemon has ended, and all of it is gone.
    fn ended(&mut self, then: Then, now: Instant) -> Vec<Action> {
        self.clear_until = None;
        let status = match then {
            // It was killed, and the kernel has not let it go: another one would not start beside it.
            Then::Look if self.daemon == Daemon::Runs => exit::INTERNAL,
            Then::Look => {
                self.daemon = Daemon::None;
                self.answered = false;
                self.phase = Phase::Looking;
                self.waits_for = "looking at the container";
                self.deadline = Some(now + LOOK_AGAIN);
                return vec![Action::Reply(Reply::Withdrawn)];
            }
            Then::Exit(status) => status,
            Then::ExitAsDaemon => match self.daemon {
                Daemon::Ended(status) => status,
                // It was killed, and the kernel has not let it go.
                Daemon::Runs => exit::SIGNAL_BASE + KILLED_STATUS,
                Daemon::None => exit::OK,
            },
        };
        let start = if let Phase::Ending { start, .. } = self.phase { start } else { now };
        let until = (now + HURRY).min(start + self.grace);
        if self.looks && now < until {
            // A daemon that was only just started is gone before the report of that is written.
            self.phase = Phase::Ending { stage: Stage::Telling, then: Then::Exit(status), start };
            self.deadline = Some(until);
            return Vec::new();
        }
        self.over(status)
    }

    fn over(&mut self, status: u8) -> Vec<Action> {
        self.phase = Phase::Over;
        self.deadline = None;
        vec![Action::KillLook, Action::Exit(status)]
    }

    /// Kills the look process, which has nothing more to report that is waited for.
    fn kill_look(&mut self) -> Action {
        self.looks = false;
        Action::KillLook
    }

    /// Whether there is a job, and no daemon beside it: the way into a user namespace, where the main job goes on.
    fn alone(&self) -> bool {
        self.verdict.as_ref().is_some_and(|verdict| !verdict.open && verdict.job.is_some())
    }

    fn for_daemon(&self, signal: i32) -> Vec<Action> {
        match self.daemon {
            Daemon::Runs => vec![Action::SignalDaemon(signal)],
            // One that has ended, or that there is not yet, misses it.
            Daemon::None | Daemon::Ended(_) => Vec::new(),
        }
    }

    fn part(&self, percent: u32) -> Duration {
        self.grace * percent / 100
    }
}

const TERMINATE: i32 = nix::sys::signal::Signal::SIGTERM as i32;
const KILLED: i32 = nix::sys::signal::Signal::SIGKILL as i32;
const KILLED_STATUS: u8 = 9;
const RETRY: &str = "a process for clearing";
/// How long the look process may take to say how it goes on, once a daemon is withdrawn.
const LOOK_AGAIN: Duration = Duration::from_secs(180);

/// A request to end before the daemon is proved: the look process reports how far it is, if it can.
fn asked(signal: i32) -> Vec<Action> {
    let reason = format!("asked to stop before the daemon was proved (signal {signal})");
    vec![Action::Reply(Reply::Asked(signal)), Action::Say(Level::Info, reason.clone()), Action::Because(reason)]
}

/// Whether a signal asks for an orderly end.
pub(super) fn asks_to_stop(signal: i32) -> bool {
    signal == TERMINATE || signal == nix::sys::signal::Signal::SIGINT as i32
}

/// An exit status in words: `with signal 9`, `with exit status 1`.
pub(super) fn describe(status: u8) -> String {
    match status.checked_sub(exit::SIGNAL_BASE) {
        Some(signal) if signal > 0 => format!("with signal {signal}"),
        _ => format!("with exit status {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::message::Wait;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    const GRACE: Duration = Duration::from_secs(10);
    const PATIENCE: Duration = Duration::from_secs(180);
    const DRAIN: Duration = Duration::from_secs(30);
    /// What the kernel's own slowness may cost beyond the grace: the kill of a job and of a daemon, and clearing.
    const SLACK: Duration = Duration::from_secs(3);

    /// How the children behave.
    #[derive(Debug, Clone, Copy)]
    struct Nature {
        /// A daemon, or a job, that takes no notice of SIGTERM.
        stubborn: bool,
        /// Nothing that is killed is let go by the kernel.
        stuck: bool,
        /// No child can be started.
        full: bool,
        /// Helpers hang.
        hangs: bool,
        /// The doors do not open.
        jammed: bool,
        /// Those who are at work are waited for.
        drains: bool,
    }

    /// The processes around the machine.
    struct World {
        machine: Machine,
        nature: Nature,
        now: Instant,
        look: bool,
        daemon: bool,
        job: bool,
        helper: bool,
        pending: VecDeque<Event>,
        status: Option<u8>,
        open: u32,
        asked: bool,
    }

    impl World {
        fn new(nature: Nature) -> Self {
            let now = Instant::now();
            let drain = if nature.drains { DRAIN } else { Duration::ZERO };
            Self {
                machine: Machine::new(GRACE, drain, PATIENCE, now),
                nature,
                now,
                look: true,
                daemon: false,
                job: false,
                helper: false,
                pending: VecDeque::new(),
                status: None,
                open: 0,
                asked: false,
            }
        }

        fn happens(&mut self, event: Event) {
            self.pending.push_back(event);
            while let Some(event) = self.pending.pop_front() {
                if self.status.is_some() {
                    return;
                }
                if let Event::Signal(TERMINATE) = event {
                    self.asked = true;
                }
                for action in self.machine.on(event, self.now) {
                    self.does(action);
                }
            }
        }

        fn does(&mut self, action: Action) {
            assert!(self.status.is_none(), "{action:?} after the end");
            match action {
                Action::Launch => {
                    assert!(!self.daemon && !self.asked, "a second daemon, or one after the request to end");
                    self.daemon = !self.nature.full;
                    let launched = if self.daemon { Ok(7) } else { Err("no process".to_owned()) };
                    self.pending.push_front(Event::Launched(launched));
                }
                Action::Open => {
                    assert!(self.daemon && !self.asked, "opened without a daemon, or after the request to end");
                    self.open += 1;
                    let opened = if self.nature.jammed { Err("jammed".to_owned()) } else { Ok(()) };
                    self.pending.push_front(Event::Opened(opened));
                }
                Action::StartJob(_) => {
                    self.job = !self.nature.full;
                    let started = if self.job { Ok(()) } else { Err((126, "no process".to_owned())) };
                    self.pending.push_front(Event::JobStarted(started));
                }
                Action::StopContainers(_) | Action::Clear(_) | Action::Drain(_) => {
                    assert!(!self.helper, "two helpers");
                    self.helper = !self.nature.full;
                    if !self.helper {
                        self.pending.push_back(Event::HelperEnded(Err("no process".to_owned())));
                    } else if !self.nature.hangs {
                        self.helper = false;
                        self.pending.push_back(Event::HelperEnded(Ok(0)));
                    }
                }
                Action::SignalDaemon(signal) => {
                    assert!(self.daemon, "signal {signal} to no daemon");
                    if signal == KILLED && !self.nature.stuck || signal == TERMINATE && !self.nature.stubborn {
                        self.daemon = false;
                        self.pending.push_back(Event::DaemonEnded(0));
                    }
                }
                Action::SignalJob(signal) => {
                    if self.job
                        && (signal == KILLED && !self.nature.stuck || signal == TERMINATE && !self.nature.stubborn)
                    {
                        self.job = false;
                        self.pending.push_back(Event::JobEnded(0));
                    }
                }
                Action::KillLook => {
                    if std::mem::take(&mut self.look) && !self.nature.stuck {
                        self.pending.push_back(Event::LookEnded(137));
                    }
                }
                Action::KillHelper => self.helper = false,
                Action::Exit(status) => {
                    assert!(self.machine.is_over());
                    self.status = Some(status);
                }
                Action::Close => assert!(self.open > 0 && self.asked, "closed what was not open, or unasked"),
                Action::Reply(_) | Action::Say(..) | Action::Tell(_) | Action::Reported | Action::Because(_) => {}
            }
        }

        /// Lets time pass.
        fn passes(&mut self, time: Duration) {
            let until = self.now + time;
            let mut rounds = 0;
            while self.status.is_none()
                && let Some(deadline) = self.machine.deadline().filter(|deadline| *deadline <= until)
            {
                self.now = self.now.max(deadline);
                self.happens(Event::TimedOut);
                rounds += 1;
                assert!(rounds < 10_000, "it turns round");
            }
            self.now = self.now.max(until);
        }
    }

    /// Something that the world does of its own accord; what is not possible at the moment is left out.
    fn happen(world: &mut World, choice: u8, time: u16) {
        let verdict = |open, job: bool, hold| {
            let job = job.then(|| JobOrder { words: vec!["job".to_owned()], ..JobOrder::default() });
            Event::Asked(Request::Verdict(Verdict {
                open,
                job,
                hold,
                status: 1,
                reason: String::new(),
                ..Verdict::default()
            }))
        };
        let looks = world.look && world.machine.verdict.is_none();
        match choice % 16 {
            0 if looks => {
                let (phase, waits_for) = (Told::Starting, Wait::Answer);
                world.happens(Event::Asked(Request::Phase { phase, within_ms: 60_000, waits_for }));
            }
            // It waits for an answer, so it does nothing else until then.
            1 | 2 if looks && world.machine.phase == Phase::Looking => {
                world.happens(Event::Asked(Request::Start(Box::default())));
            }
            3 if looks && world.daemon => world.happens(Event::Asked(Request::Answered)),
            4 if looks && world.machine.phase == Phase::Looking => world.happens(Event::Asked(Request::Withdraw)),
            5 if looks && world.daemon && world.machine.phase == Phase::Looking => {
                world.happens(verdict(true, false, false))
            }
            6 if looks && world.daemon && world.machine.phase == Phase::Looking => {
                world.happens(verdict(true, true, false))
            }
            7 if looks && world.machine.phase == Phase::Looking => {
                world.happens(verdict(false, false, time.is_multiple_of(2)))
            }
            8 if looks && !world.daemon && world.machine.phase == Phase::Looking => {
                world.happens(verdict(false, true, false));
            }
            9 if std::mem::take(&mut world.look) => world.happens(Event::LookEnded(u8::try_from(time % 256).unwrap())),
            10 if std::mem::take(&mut world.daemon) => world.happens(Event::DaemonEnded(1)),
            11 if std::mem::take(&mut world.job) => world.happens(Event::JobEnded(3)),
            12 if world.helper => world.happens(Event::ContainersStopped),
            13 if std::mem::take(&mut world.helper) => world.happens(Event::HelperEnded(Ok(0))),
            14 => world.happens(Event::Signal(1)),
            _ => world.passes(Duration::from_millis(u64::from(time))),
        }
    }

    fn natures() -> impl Strategy<Value = Nature> {
        any::<[bool; 6]>().prop_map(|[stubborn, stuck, full, hangs, jammed, drains]| Nature {
            stubborn,
            stuck,
            full,
            hangs,
            jammed,
            drains,
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn it_ends_in_time_from_wherever_it_is_asked_to(nature in natures(), events in prop::collection::vec((any::<u8>(), any::<u16>()), 0..40)) {
            let mut world = World::new(nature);
            for (choice, time) in events {
                happen(&mut world, choice, time);
            }
            let start = world.now;
            world.happens(Event::Signal(TERMINATE));
            world.passes(if world.nature.drains { DRAIN } else { Duration::ZERO } + GRACE + SLACK);
            prop_assert!(world.status.is_some(), "not over {:?} after it was asked: {:?}", world.now - start, world.machine);
            prop_assert!(world.open <= 1);
        }

        #[test]
        fn a_look_process_that_does_nothing_more_is_given_up(nature in natures(), events in prop::collection::vec((any::<u8>(), any::<u16>()), 0..20)) {
            let mut world = World::new(nature);
            for (choice, time) in events {
                happen(&mut world, choice, time);
            }
            world.passes(PATIENCE + GRACE + SLACK + REPORT);
            let stays = matches!(world.machine.phase, Phase::Serving | Phase::Working { .. } | Phase::Holding);
            prop_assert!(world.status.is_some() || stays, "{:?}", world.machine);
        }
    }

    #[test]
    fn the_usual_life() {
        let mut world = World::new(Nature {
            stubborn: false,
            stuck: false,
            full: false,
            hangs: false,
            jammed: false,
            drains: false,
        });
        world.happens(Event::Asked(Request::Start(Box::default())));
        world.happens(Event::Asked(Request::Answered));
        world.happens(Event::Asked(Request::Verdict(Verdict { open: true, ..Verdict::default() })));
        assert_eq!((world.machine.phase.clone(), world.open), (Phase::Serving, 1));
        world.look = false;
        world.happens(Event::LookEnded(0));
        world.passes(Duration::from_secs(1_000_000));
        assert_eq!(world.machine.deadline(), None, "it sleeps");
        world.happens(Event::Signal(TERMINATE));
        assert_eq!(world.status, Some(0));
    }

    #[test]
    fn a_request_before_the_proof_ends_it_with_the_signals_status() {
        let mut world =
            World::new(Nature { stubborn: true, stuck: false, full: false, hangs: true, jammed: false, drains: false });
        world.happens(Event::Asked(Request::Start(Box::default())));
        world.happens(Event::Asked(Request::Withdraw));
        world.happens(Event::Signal(TERMINATE));
        world.passes(GRACE + SLACK);
        assert_eq!(world.status, Some(143));
    }

    #[test]
    fn the_report_of_a_start_that_was_cut_short_is_waited_for() {
        let quick = Nature { stubborn: false, stuck: false, full: false, hangs: false, jammed: false, drains: false };
        for reports in [true, false] {
            let mut world = World::new(quick);
            world.happens(Event::Asked(Request::Start(Box::default())));
            world.happens(Event::Signal(TERMINATE));
            assert_eq!((world.daemon, world.status), (false, None), "the daemon is gone at once");
            if reports {
                world.look = false;
                world.happens(Event::LookEnded(0));
            } else {
                world.passes(HURRY);
            }
            assert_eq!(world.status, Some(143));
        }
    }

    #[test]
    fn those_at_work_have_their_time_until_they_are_done_or_it_is_up_or_we_are_asked_again() {
        for (event, waited) in [
            (Some(Event::HelperEnded(Ok(0))), Duration::from_secs(5)),
            (Some(Event::Signal(TERMINATE)), Duration::from_secs(5)),
            (None, DRAIN),
        ] {
            let nature =
                Nature { stubborn: false, stuck: false, full: false, hangs: true, jammed: false, drains: true };
            let mut world = World::new(nature);
            world.happens(Event::Asked(Request::Start(Box::default())));
            world.happens(Event::Asked(Request::Answered));
            world.happens(Event::Asked(Request::Verdict(Verdict { open: true, ..Verdict::default() })));
            world.happens(Event::Signal(TERMINATE));
            world.passes(waited - Duration::from_millis(1));
            assert_eq!(world.machine.phase, Phase::Draining, "{event:?}");
            world.passes(Duration::from_millis(1));
            if let Some(event) = event {
                world.helper = false;
                world.happens(event);
            }
            let is_ending = matches!(world.machine.phase, Phase::Ending { then: Then::ExitAsDaemon, .. });
            assert!(is_ending, "{:?}", world.machine);
            world.passes(GRACE + SLACK);
            assert_eq!(world.status, Some(0));
        }
    }

    #[test]
    fn that_clients_are_let_in_is_reported_once_whatever_ends_it() {
        let ends = [Event::LookEnded(0), Event::Signal(TERMINATE), Event::DaemonEnded(1)];
        for (first, second) in ends.iter().flat_map(|first| ends.iter().map(move |second| (first, second))) {
            let now = Instant::now();
            let mut machine = Machine::new(GRACE, Duration::ZERO, PATIENCE, now);
            let verdict = Verdict { open: true, lines: vec![(Level::Info, "ready".to_owned())], ..Verdict::default() };
            let events = [Event::Launched(Ok(7)), Event::Asked(Request::Verdict(verdict)), Event::Opened(Ok(()))];
            let events = events.into_iter().chain([first.clone(), second.clone()]);
            let actions: Vec<Action> = events.flat_map(|event| machine.on(event, now)).collect();
            let count =
                actions.iter().filter(|action| **action == Action::Say(Level::Info, "ready".to_owned())).count();
            assert_eq!(count, 1, "{first:?}, {second:?}");
            let place = |wanted: &Action| actions.iter().position(|action| action == wanted);
            let ready = place(&Action::Say(Level::Info, "ready".to_owned()));
            assert!(ready < place(&Action::Reported), "{first:?}, {second:?}");
        }
    }

    /// The whole table, as a text: what each event leads to in each situation, and what is waited for then. Each situation is
    /// reached by its events one after another, a second each.
    #[test]
    fn the_table() {
        use Event::{
            Asked, DaemonEnded, HelperEnded, JobEnded, JobStarted, Launched, LookEnded, Opened, Signal, TimedOut,
        };
        let job = || Some(JobOrder { words: vec!["job".to_owned()], ..JobOrder::default() });
        let verdict = |open, job, hold| {
            let (lines, reason) = (vec![(Level::Info, "a line".to_owned())], "a reason".to_owned());
            Asked(Request::Verdict(Verdict { open, job, hold, status: 1, reason, lines }))
        };
        let phase = Request::Phase { phase: Told::Starting, within_ms: 60_000, waits_for: Wait::Answer };
        let started = || vec![Asked(Request::Start(Box::default())), Launched(Ok(7))];
        let then =
            |before: Vec<Event>, more: &[Event]| before.into_iter().chain(more.iter().cloned()).collect::<Vec<_>>();
        let answered = || then(started(), &[Asked(Request::Answered)]);
        let serving = |job| then(answered(), &[verdict(true, job, false), Opened(Ok(()))]);
        let stop = Signal(TERMINATE);
        let situations: Vec<(&str, bool, Vec<Event>)> = vec![
            ("looking", false, vec![]),
            ("looking, with a phase", false, vec![Asked(phase.clone())]),
            ("a daemon is started", false, started()),
            ("its API answers", false, answered()),
            ("it is withdrawn", false, then(started(), &[Asked(Request::Withdraw)])),
            ("it is withdrawn after its answer", false, then(answered(), &[Asked(Request::Withdraw)])),
            ("withdrawn, and asked to stop", false, then(started(), &[Asked(Request::Withdraw), stop.clone()])),
            ("asked to stop while looking", false, vec![stop.clone()]),
            ("not proved", false, then(answered(), &[verdict(false, None, false)])),
            ("not proved, the container is held", false, then(answered(), &[verdict(false, None, true)])),
            ("proved, and ended since", false, then(answered(), &[DaemonEnded(3), verdict(true, None, false)])),
            ("a job alone", false, vec![verdict(false, job(), false)]),
            ("the doors are open", false, serving(None)),
            ("open, the report is written", false, then(serving(None), &[LookEnded(0)])),
            ("open, and there is work", true, then(serving(None), &[LookEnded(0)])),
            ("open, a job waits for the report", false, serving(job())),
            ("draining", true, then(serving(None), &[LookEnded(0), stop.clone()])),
            ("a job works", false, then(serving(job()), &[LookEnded(0), JobStarted(Ok(()))])),
            ("a job works, and there is work", true, then(serving(job()), &[LookEnded(0), JobStarted(Ok(()))])),
            ("a job works, and is asked to stop", false, then(serving(job()), &[LookEnded(0), stop.clone()])),
            ("a job was killed", false, then(serving(job()), &[LookEnded(0), stop.clone(), TimedOut])),
            ("a job works alone", false, vec![verdict(false, job(), false), LookEnded(0)]),
            ("holding", false, then(answered(), &[verdict(false, None, true), LookEnded(0)])),
            ("the containers are stopped", false, then(serving(None), &[LookEnded(0), stop.clone()])),
            ("stopped before the report", false, then(serving(None), std::slice::from_ref(&stop))),
            (
                "the daemon is asked to end",
                false,
                then(serving(None), &[LookEnded(0), stop.clone(), HelperEnded(Ok(0))]),
            ),
            (
                "its helper still works",
                false,
                then(serving(None), &[LookEnded(0), stop.clone(), Event::ContainersStopped]),
            ),
            ("the daemon was killed", false, then(serving(None), &[LookEnded(0), stop.clone(), TimedOut, TimedOut])),
            (
                "it is cleared",
                false,
                then(serving(None), &[LookEnded(0), stop.clone(), DaemonEnded(3), HelperEnded(Ok(0))]),
            ),
            (
                "no process for clearing",
                false,
                then(
                    serving(None),
                    &[
                        LookEnded(0),
                        stop.clone(),
                        HelperEnded(Ok(0)),
                        DaemonEnded(3),
                        HelperEnded(Err("no".to_owned())),
                    ],
                ),
            ),
            ("a last report", false, then(started(), &[stop.clone(), DaemonEnded(3), HelperEnded(Ok(0))])),
            ("over", false, then(started(), &[LookEnded(5), DaemonEnded(3), HelperEnded(Ok(0))])),
        ];
        let events = [
            Asked(phase),
            Asked(Request::Start(Box::default())),
            Asked(Request::Answered),
            Asked(Request::Withdraw),
            verdict(true, None, false),
            verdict(false, None, false),
            LookEnded(0),
            LookEnded(137),
            Launched(Ok(7)),
            Launched(Err("no".to_owned())),
            Opened(Ok(())),
            Opened(Err("no".to_owned())),
            DaemonEnded(3),
            JobStarted(Err((126, "no".to_owned()))),
            JobEnded(3),
            Event::ContainersStopped,
            HelperEnded(Ok(0)),
            HelperEnded(Err("no".to_owned())),
            stop,
            Signal(2),
            Signal(1),
            TimedOut,
        ];
        let mut table = String::new();
        for (situation, drains, before) in situations {
            let reach = || {
                let mut now = Instant::now();
                let mut machine = Machine::new(GRACE, if drains { DRAIN } else { Duration::ZERO }, PATIENCE, now);
                for event in &before {
                    now += Duration::from_secs(1);
                    machine.on(event.clone(), now);
                }
                (machine, now + Duration::from_secs(1))
            };
            let state = |machine: &Machine, now| {
                let phase = match &machine.phase {
                    Phase::Ending { stage, then, .. } => format!("{stage:?}, then {then:?}"),
                    phase => format!("{phase:?}"),
                };
                let deadline = machine.deadline().map_or_else(String::new, |deadline| {
                    match deadline.checked_duration_since(now) {
                        Some(left) => format!(" within {left:?}"),
                        None => format!(" since {:?}", now - deadline),
                    }
                });
                let (verdict, clears) = (machine.verdict.is_some(), machine.clear_until.is_some());
                let known = [
                    ("a look", machine.looks),
                    ("a helper", machine.helper),
                    ("an answer", machine.answered),
                    ("a verdict", verdict),
                    ("clearing", clears),
                ];
                let known = known.iter().filter(|(_, holds)| *holds).map(|(name, _)| format!("; {name}"));
                format!("{phase}{deadline}; daemon: {:?}{}", machine.daemon, known.collect::<String>())
            };
            let (machine, now) = reach();
            let unchanged = state(&machine, now);
            table += &format!("{situation}: {unchanged}\n");
            for event in &events {
                let (mut machine, now) = reach();
                let actions = machine.on(event.clone(), now);
                let after = state(&machine, now);
                let actions: Vec<String> = actions.iter().map(|action| format!("{action:?}")).collect();
                if after != unchanged || !actions.is_empty() {
                    let event = match event {
                        Asked(Request::Start(_)) => "Asked(Start)".to_owned(),
                        Asked(Request::Phase { .. }) => "Asked(Phase)".to_owned(),
                        Asked(Request::Verdict(verdict)) => format!("Asked(Verdict, open: {})", verdict.open),
                        event => format!("{event:?}"),
                    };
                    table += &format!("    {event} -> {after}\n");
                    if !actions.is_empty() {
                        table += &format!("        {}\n", actions.join(", "));
                    }
                }
            }
        }
        insta::assert_snapshot!(table);
    }
}
