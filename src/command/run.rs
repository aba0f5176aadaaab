//! The main job, from top to bottom: look, judge, mend, launch, prove, stay.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::fix::mend;
use super::look::Look;
use super::progress::Progress;
use super::{Misuse, output, pass_on};
use crate::cli::RunArgs;
use crate::engine::api::{self, Api};
use crate::engine::command::{command_line, daemon_args, is_for_daemon};
use crate::engine::launch::{self, Daemon};
use crate::engine::{log, socket};
use crate::facts::Root;
use crate::init::worker::{Sender, Worker};
use crate::init::{Event, Init, asks_to_stop, to_stderr};
use crate::profile::Profile;
use crate::report::{Failure, Launch, Report};
use crate::verification::{self, Verification};
use crate::{exit, system};

/// Where the daemon's log is put when something failed, for `docker exec` to look at.
const KEPT_LOG: &str = "/run/dindcheck/daemon.log";
/// How long inner containers may take to end by themselves. An outer `docker stop` kills us after 10 s, and the
/// daemon needs some of that.
const CONTAINER_GRACE_S: i32 = 5;
/// When the daemon itself is asked to end, whatever the containers do.
const CONTAINERS_DEADLINE: Duration = Duration::from_millis(6500);
/// When what still runs is killed: the last moment at which we can still do it ourselves.
const DAEMON_DEADLINE: Duration = Duration::from_millis(9300);

/// Does the main job.
///
/// # Errors
/// As [`super::dispatch`].
pub fn run(args: &RunArgs) -> anyhow::Result<u8> {
    if !is_for_daemon(&args.args) {
        match pass_on::exec(&args.args)? {}
    }
    // Before any thread exists: from here on signals wait until the loop below reads them.
    let mut init = Init::new().context("cannot take over the signals")?;
    let mut progress = Progress::new(args.look.output.quiet);

    let root = Root::new("/");
    let mut look = Look::new(&args.look, root.clone(), &args.args)?;
    look.guard(args.mend.force)?;
    let applied = if args.fix { mend(&mut look, &args.mend) } else { Vec::new() };
    let mut report = Report::new(&look.facts, &look.profile, look.only_findings(), applied);
    let refused = super::fix::status(&report, args.look.strict);
    if refused != exit::OK {
        let ids: Vec<&str> = report.blocking(args.look.strict).map(|finding| finding.id).collect();
        if !ids.is_empty() {
            let skips: Vec<String> = ids.iter().map(|id| format!("--skip {id}")).collect();
            progress.say(&format!("not started: {} (go on all the same with {})", ids.join(", "), skips.join(" ")));
        }
        return fail(args, &mut report, refused, &mut init, &mut progress);
    }

    let line =
        command_line(&root, &look.profile, &daemon_args(&args.args)).map_err(|error| Misuse(error.to_string()))?;
    let described = line.words.join(" ");
    let mut daemon = match launch::start(&line) {
        Ok(daemon) => daemon,
        Err(error) => {
            let failure = Failure { summary: format!("cannot start {described}: {error}"), first_error: None };
            report.launch =
                Some(Launch { command: line.words, socket: line.socket, failure: Some(failure), ..Launch::default() });
            return fail(args, &mut report, exit::LAUNCH_FAILED, &mut init, &mut progress);
        }
    };
    progress.wait_for(&format!("started {described}, waiting for its API"));

    let (launched, proof) = prove(args, &look.profile, &mut init, &mut daemon, &mut progress)?;
    report.launch = Some(Launch { command: line.words, socket: line.socket, ..launched });
    report.verification = proof;
    let status = match (&report.launch, &report.verification) {
        (Some(Launch { failure: Some(_), .. }), _) => exit::LAUNCH_FAILED,
        (_, Some(verification)) if !verification.passed() => exit::VERIFICATION_FAILED,
        _ => exit::OK,
    };
    if status != exit::OK {
        keep_log(&daemon);
        if !args.hold_on_failure {
            stop(&mut init, &mut daemon, &mut progress)?;
        }
        return fail(args, &mut report, status, &mut init, &mut progress);
    }
    output::emit(&report, &args.look.output)?;
    if args.exit {
        stop(&mut init, &mut daemon, &mut progress)?;
        return Ok(exit::OK);
    }
    progress.say("the daemon runs; staying as its supervisor");
    serve(&mut init, &mut daemon, &mut progress)
}

/// Reports a failure, and with --hold-on-failure keeps the container until it is stopped.
fn fail(
    args: &RunArgs,
    report: &mut Report,
    status: u8,
    init: &mut Init,
    progress: &mut Progress,
) -> anyhow::Result<u8> {
    report.exit_status = status;
    output::emit(report, &args.look.output)?;
    if args.hold_on_failure {
        progress.say("holding the container for `docker exec`; stop it to end");
        init.hold()?;
    }
    Ok(status)
}

/// What the worker tells while it proves the daemon.
enum Step {
    Ready { engine: String, api: String },
    Unreachable(String),
    Proved(Verification),
}

/// Waits for the daemon's API and runs the test container, with an eye on the daemon and the signals all the time.
fn prove(
    args: &RunArgs,
    profile: &Profile,
    init: &mut Init,
    daemon: &mut Daemon,
    progress: &mut Progress,
) -> anyhow::Result<(Launch, Option<Verification>)> {
    let mut launch = Launch::default();
    let deadline = daemon.started + args.timeout;
    let (socket, timeout) = (daemon.socket.clone(), args.timeout);
    let proof = (!args.no_verify).then(|| (profile.clone(), super::verify::options(&args.proof)));
    let worker = Worker::start(move |sender| work(sender, &socket, timeout, deadline, proof.as_ref()))?;
    loop {
        match next(init, daemon, progress, Some(&worker), Some(deadline).filter(|_| launch.ready_ms.is_none()))? {
            Event::DaemonEnded(status) => {
                let what = if launch.ready_ms.is_some() { "during verification" } else { "before its API answered" };
                let ended = describe_status(status);
                launch.failure = Some(failure(daemon, format!("the daemon ended {what}, with {ended}")));
                daemon.ended = true;
                return Ok((launch, None));
            }
            Event::TimedOut => {
                let waited = args.timeout.as_secs();
                launch.failure = Some(failure(daemon, format!("the daemon's API did not answer within {waited} s")));
                return Ok((launch, None));
            }
            Event::Signal(signal) if asks_to_stop(signal) => {
                let status = exit::SIGNAL_BASE.saturating_add(u8::try_from(signal).unwrap_or_default());
                let ended = describe_status(status);
                launch.failure = Some(failure(daemon, format!("asked to stop before the daemon was proved ({ended})")));
                return Ok((launch, None));
            }
            Event::Signal(signal) => system::send_signal(daemon.pid, signal),
            Event::Message => match worker.take() {
                Some(Step::Ready { engine, api }) => {
                    launch.ready_ms = u64::try_from(daemon.started.elapsed().as_millis()).ok();
                    launch.engine = Some(engine);
                    launch.api = Some(api);
                    if args.no_verify {
                        progress.done();
                        return Ok((launch, None));
                    }
                    progress.wait_for("the API answers, running the test container");
                }
                Some(Step::Unreachable(reason)) => {
                    launch.failure = Some(failure(daemon, reason));
                    return Ok((launch, None));
                }
                Some(Step::Proved(verification)) => {
                    progress.done();
                    return Ok((launch, Some(verification)));
                }
                None => {}
            },
        }
    }
}

/// The next event that matters; the moving line moves meanwhile.
fn next<T: Send + 'static>(
    init: &mut Init,
    daemon: &mut Daemon,
    progress: &mut Progress,
    worker: Option<&Worker<T>>,
    deadline: Option<Instant>,
) -> anyhow::Result<Event> {
    use std::os::fd::AsFd as _;
    loop {
        let beat = progress.next_beat();
        let until = [deadline, beat].into_iter().flatten().min();
        let event = init.wait(daemon, worker.map(|worker| worker.as_fd()), until, |bytes| {
            progress.clear();
            to_stderr(bytes);
        })?;
        match event {
            Event::TimedOut if deadline.is_none_or(|deadline| deadline > Instant::now()) => progress.beat(),
            event => {
                if !matches!(event, Event::Message) {
                    progress.done();
                }
                return Ok(event);
            }
        }
    }
}

/// The worker: the socket, the first answer, the test container.
fn work(
    sender: &Sender<Step>,
    socket: &str,
    timeout: Duration,
    deadline: Instant,
    proof: Option<&(Profile, verification::Options)>,
) {
    if let Err(error) = socket::wait(socket, deadline) {
        // The loop has the same deadline and says more about it.
        if error.kind() != std::io::ErrorKind::TimedOut {
            sender.send(Step::Unreachable(format!("cannot watch for {socket}: {error}")));
        }
        return;
    }
    // On a line of its own; the line that moves comes back below it.
    let tell = |text: &str| to_stderr(format!("\r\x1b[Kdindcheck: {text}\n").as_bytes());
    let result = api::block_on(async {
        let api = match Api::connect(socket, timeout).await {
            Ok(api) => api,
            Err(error) => return sender.send(Step::Unreachable(error.to_string())),
        };
        sender.send(Step::Ready { engine: api.engine.clone(), api: api.version.clone() });
        if let Some((profile, options)) = proof {
            sender.send(Step::Proved(verification::verify(&api, profile, options, &tell).await));
        }
    });
    if let Err(error) = result {
        sender.send(Step::Unreachable(format!("cannot talk to the daemon: {error}")));
    }
}

/// Stays with the daemon: passes signals on, reaps, and ends with the daemon's own status.
fn serve(init: &mut Init, daemon: &mut Daemon, progress: &mut Progress) -> anyhow::Result<u8> {
    loop {
        match next::<()>(init, daemon, progress, None, None)? {
            Event::DaemonEnded(status) => return Ok(status),
            Event::Signal(signal) if asks_to_stop(signal) => return stop(init, daemon, progress),
            Event::Signal(signal) => system::send_signal(daemon.pid, signal),
            Event::Message | Event::TimedOut => {}
        }
    }
}

/// Ends it all in order and in time: the containers through the API, then the daemon, then what is left.
/// The daemon alone would give its containers more time than the outer engine gives us, and all would be killed.
fn stop(init: &mut Init, daemon: &mut Daemon, progress: &mut Progress) -> anyhow::Result<u8> {
    if daemon.ended {
        return Ok(exit::OK);
    }
    let start = Instant::now();
    progress.say("stopping the inner containers, then the daemon");
    let socket = daemon.socket.clone();
    let worker = Worker::start(move |sender: &Sender<()>| {
        let timeout = Duration::from_secs(u64::from(CONTAINER_GRACE_S.unsigned_abs()) + 1);
        // Whatever goes wrong here, the daemon is asked to end next, and it stops its containers too.
        let _ = api::block_on(api::stop_all(&socket, timeout, CONTAINER_GRACE_S));
        sender.send(());
    })?;
    let mut asked = false;
    let mut killed = false;
    loop {
        let deadline = start + if asked { DAEMON_DEADLINE } else { CONTAINERS_DEADLINE };
        let deadline = Some(deadline).filter(|_| !killed);
        let event = next(init, daemon, progress, Some(&worker).filter(|_| !asked), deadline)?;
        match event {
            Event::DaemonEnded(status) => {
                daemon.ended = true;
                if killed {
                    progress.say("the daemon did not end in time and was killed");
                }
                return Ok(status);
            }
            Event::Message | Event::TimedOut if !asked => {
                asked = true;
                system::send_signal(daemon.pid, nix::sys::signal::Signal::SIGTERM as i32);
            }
            Event::TimedOut => {
                killed = true;
                system::send_signal(daemon.pid, nix::sys::signal::Signal::SIGKILL as i32);
            }
            // A second request to stop is the same request; passed on, the third would make the daemon drop all.
            Event::Signal(signal) if asks_to_stop(signal) => {}
            Event::Signal(signal) => system::send_signal(daemon.pid, signal),
            Event::Message => {}
        }
    }
}

fn failure(daemon: &Daemon, summary: String) -> Failure {
    Failure { summary, first_error: log::fatal_line(&daemon.log.text()) }
}

fn describe_status(status: u8) -> String {
    match status.checked_sub(exit::SIGNAL_BASE) {
        Some(signal) if signal > 0 => format!("signal {signal}"),
        _ => format!("exit status {status}"),
    }
}

fn keep_log(daemon: &Daemon) {
    let written = fs::create_dir_all("/run/dindcheck").and_then(|()| fs::write(KEPT_LOG, daemon.log.text()));
    // It stands on standard error anyway.
    drop(written);
}
