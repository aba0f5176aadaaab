//! The main job, from top to bottom: look, judge, mend, launch, prove, stay.

mod ahead;
mod drill;
mod prepare;
mod prove;
mod rootless;
mod serve;
mod stage;

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::look::{Look, Surroundings};
use super::verify::options;
use super::{Misuse, output, pass_on};
use crate::cli::RunArgs;
use crate::engine::command::{CommandLine, is_for_daemon};
use crate::engine::{launch, log, preload};
use crate::exit;
use crate::facts::Root;
use crate::facts::engine::Engine;
use crate::facts::places::Places;
use crate::facts::rootless::is_outside;
use crate::finding::Outcome as Outcomes;
use crate::init::tell::Phase;
use crate::profile::Profile;
use crate::report::{Failure, Launch, Report};
use prove::{Job, Outcome};
use stage::Stage;

/// Where the daemon's log is put when something failed, below what lives as long as the daemon: for `docker exec`.
const KEPT_LOG: &str = "dindcheck/daemon.log";
/// How often a daemon that died of a cause that is known to pass is started again.
const RESTARTS: u32 = 2;

/// Does the main job.
///
/// # Errors
/// As [`super::dispatch`].
pub fn run(args: &RunArgs) -> anyhow::Result<u8> {
    if args.job && args.args.is_empty() {
        return Err(Misuse("--job needs a command: dindcheck --job -- COMMAND...".to_owned()).into());
    }
    if !args.job && !is_for_daemon(&args.args) {
        match pass_on::exec(&args.args)? {}
    }
    if is_outside() {
        return rootless::run(args);
    }
    // Before any thread exists: from here on signals wait until they are asked for.
    let mut stage = Stage::new(args)?;
    let status = perform(args, &mut stage);
    if let Err(error) = &status {
        stage.tell.because(format!("{error:#}"));
        // Nothing of it may outlive us in disorder, whatever our own trouble is.
        let _ = stage.stop();
    }
    stage.tell.ended();
    status
}

fn perform(args: &RunArgs, stage: &mut Stage) -> anyhow::Result<u8> {
    let root = Root::new("/");
    let around = Surroundings::read(root.clone())?;
    around.guard(args.mend.force)?;
    prepare::choose_iptables(stage);
    prepare::leave_the_users_run();
    let images = preload::files(&args.preload).map_err(|error| Misuse(format!("--preload: {error}")))?;
    // A job's words are its own; its daemon is configured by daemon.json and the environment.
    let given = if args.job { &[][..] } else { &args.args };

    stage.tell.phase(Phase::Checking);
    let mut look = Look::glance(&args.look, around, given, Engine::claimed(&root))?;
    let mut applied = Vec::new();
    let (line, asked) = ahead::start(args, stage, &mut look, &mut applied)?;
    let mut report = Report::new(&look.facts, &look.profile, look.only_findings(), applied);
    report.strict = args.look.strict;
    if let Some(signal) = asked {
        return fail(args, stage, &mut report, exit::of_signal(signal));
    }
    let refused = super::fix::status(&report, args.look.strict);
    if refused != exit::OK {
        let reason = say_what_blocks(args, stage, &report);
        stage.tell.because(reason);
        return fail(args, stage, &mut report, refused);
    }

    let line = line.map_or_else(|| prepare::command_line(args, stage, &look), Ok)?;
    stage.beside_log = look.beside_log();
    // The facts are not needed any more, and PID 1 is to be small.
    let profile = look.into_profile();

    let mut outcome = launch_and_prove(args, stage, &line, &profile, &images)?;
    if let Some(proof) = outcome.proof.as_mut().filter(|proof| args.drill && proof.passed()) {
        let drilled = drill::perform(args, stage, &line, &profile)?;
        outcome.asked = drilled.asked;
        outcome.launch.failure = drilled.launch.failure;
        proof.extend(drilled.proof.unwrap_or_default());
    }
    drop(profile);
    let asked = outcome.asked;
    report.launch = Some(Launch { command: line.words, socket: line.socket, ..outcome.launch });
    report.verification = outcome.proof;
    let (status, reason) = result(&report, asked);
    if status != exit::OK {
        keep_log(stage);
        stage.tell.because(reason);
        return fail(args, stage, &mut report, status);
    }
    emit(args, stage, &report);
    drop(report);
    if args.exit {
        stage.stop()?;
        return Ok(exit::OK);
    }
    stage.serve_from_here();
    if args.job { serve::job(stage, &args.args) } else { serve::serve(stage) }
}

/// Says how to go on all the same; gives what Kubernetes shows of it.
fn say_what_blocks(args: &RunArgs, stage: &mut Stage, report: &Report) -> String {
    let blocking: Vec<_> = report.blocking(args.look.strict).collect();
    if !blocking.is_empty() {
        let ids: Vec<&str> = blocking.iter().map(|finding| finding.id).collect();
        let skips: Vec<String> = ids.iter().map(|id| format!("--skip {id}")).collect();
        stage.progress.say(&format!("not started: {} (go on all the same with {})", ids.join(", "), skips.join(" ")));
    }
    let lines = blocking.iter().map(|finding| {
        let remedy = finding.remedy.first().map(|remedy| format!("; {remedy}")).unwrap_or_default();
        format!("{}: {}{remedy}", finding.id, finding.summary)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Starts the daemon.
fn launch(stage: &mut Stage, line: &CommandLine) -> io::Result<()> {
    stage.tell.socket(&line.socket);
    stage.tell.phase(Phase::Starting);
    stage.watch(launch::start(line)?);
    stage.progress.wait_for(&format!("started {}, waiting for its API", line.words.join(" ")));
    Ok(())
}

/// Proves the daemon, which is started if it is not yet; again, if it died of what passes by itself.
fn launch_and_prove(
    args: &RunArgs,
    stage: &mut Stage,
    line: &CommandLine,
    profile: &Profile,
    images: &[PathBuf],
) -> anyhow::Result<Outcome> {
    let mut restarts = 0;
    loop {
        if stage.daemon.is_none()
            && let Err(error) = launch(stage, line)
        {
            let failure = Failure::new(format!("cannot start {}: {error}", line.words.join(" ")));
            let launch = Launch { failure: Some(failure), ..Launch::default() };
            return Ok(Outcome { launch, proof: None, asked: None });
        }
        let job = if args.no_verify { Job::Answer } else { Job::Prove(profile.clone(), options(&args.proof)) };
        let outcome = prove::prove(args, stage, job, images)?;
        let died = stage.daemon.as_ref().filter(|daemon| daemon.ended.is_some() && daemon.answered.is_none());
        let cause = died.and_then(|daemon| log::passing_cause(&daemon.log.text()));
        let Some(cause) = cause.filter(|_| restarts < RESTARTS) else { return Ok(outcome) };
        restarts += 1;
        stage.progress.say(&format!("the daemon gave up: {cause}; starting it again ({restarts} of {RESTARTS})"));
        stage.daemon = None;
        stage.clear()?;
    }
}

/// The exit status of what was launched and proved, and the reason if it failed.
fn result(report: &Report, asked: Option<i32>) -> (u8, String) {
    let failure = report.launch.as_ref().and_then(|launch| launch.failure.as_ref());
    match (failure, &report.verification) {
        (Some(failure), _) => {
            let first = failure.first_error.as_ref().map(|line| format!(": {}", line.text)).unwrap_or_default();
            let status = asked.map_or(exit::LAUNCH_FAILED, exit::of_signal);
            (status, format!("{}{first}", failure.summary))
        }
        (None, Some(verification)) if !verification.passed() => {
            let failed = verification.scenarios.iter().filter(|scenario| scenario.outcome == Outcomes::Fail);
            let lines: Vec<String> = failed.map(|scenario| format!("{}: {}", scenario.id, scenario.summary)).collect();
            (exit::VERIFICATION_FAILED, lines.join("\n"))
        }
        _ => (exit::OK, String::new()),
    }
}

/// Reports a failure, ends what was started, and with --hold-on-failure keeps the container until it is stopped.
fn fail(args: &RunArgs, stage: &mut Stage, report: &mut Report, status: u8) -> anyhow::Result<u8> {
    report.exit_status = status;
    // First of all: whatever happens while it is being stopped, this has been said.
    emit(args, stage, report);
    if args.hold_on_failure && status < exit::SIGNAL_BASE {
        stage.tell.phase(Phase::Failed);
        stage.progress.say("holding the container for `docker exec`; stop it to end");
        stage.hold()?;
    }
    stage.stop()?;
    Ok(status)
}

/// Writes the report. A disk that is full, or a reader that is gone, keeps no daemon from its work.
fn emit(args: &RunArgs, stage: &mut Stage, report: &Report) {
    if let Err(error) = output::emit(report, &args.look.output) {
        stage.progress.say(&format!("{error:#}"));
    }
}

fn describe_status(status: u8) -> String {
    match status.checked_sub(exit::SIGNAL_BASE) {
        Some(signal) if signal > 0 => format!("signal {signal}"),
        _ => format!("exit status {status}"),
    }
}

fn keep_log(stage: &Stage) {
    let Some(daemon) = &stage.daemon else { return };
    let file = Path::new(Places::of(&Root::new("/")).run()).join(KEPT_LOG);
    // It stands on standard error anyway.
    let _ = file.parent().map(fs::create_dir_all);
    let _ = fs::write(file, daemon.log.text());
}
