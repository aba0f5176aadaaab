//! The main job, from top to bottom: look, judge, mend, launch, prove, let the clients in.
//!
//! This is the look process' side. The supervisor, which this process splits off first of all, starts and ends the daemon
//! for it, and stays.

mod ahead;
mod detach;
mod drill;
mod prepare;
mod prove;
mod prover;
mod rootless;
mod stage;
mod sudo;

use std::path::{Path, PathBuf};

use super::look::{Look, Surroundings};
use super::output::Sink;
use super::verify::asked;
use super::{Misuse, output, pass_on};
use crate::check::cause;
use crate::cli::{Format, OutputArgs, RunArgs};
use crate::configuration::{is_for_daemon, is_question};
use crate::engine::{log, preload};
use crate::exit;
use crate::fact::Root;
use crate::facts::engine::Engine;
use crate::facts::places::Places;
use crate::facts::rootless::{VARIABLE, is_outside};
use crate::finding::{Finding, Outcome as Outcomes};
use crate::foreign;
use crate::process::{self, level::Level};
use crate::report::{Failure, Launch, Report, digest};
use crate::state::{self, State};
use crate::supervisor::message::{JobOrder, Phase, Verdict};
use crate::supervisor::split::{Settings, Split, split};
use crate::supervisor::tell::STATUS_FILE;
use crate::verification::{Options, Verification};
use prepare::Start;
use prove::Outcome;
use prover::Ask;
pub(super) use prover::serve as prover;
use stage::Stage;

/// Where the daemon's log is put when something failed, below what lives as long as the daemon: for `docker exec`.
const KEPT_LOG: &str = "daemon.log";
/// What a job is told, with --report-only, of what failed: a line for each.
const FAILED_VARIABLE: &str = "DINDCHECK_FAILED";
/// How often a daemon that died of a cause that is known to pass is started again.
const RESTARTS: u32 = 2;

/// Does the main job: only the look process returns.
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
    if !args.job && is_question(&args.for_daemon()) {
        match pass_on::exec_daemon(&args.for_daemon())? {}
    }
    sudo::exec_if_allowed(args)?;
    if args.detach && !args.detached {
        return detach::start(args);
    }
    // First of all, while no descriptor of ours can have that number.
    let ready = args.ready_fd.map(process::inherited).transpose();
    let status = Path::new(Places::of(&Root::new("/")).run()).join(STATUS_FILE);
    let halves = split(Settings {
        grace: args.stop_grace,
        drain: args.drain.unwrap_or_default(),
        patience: stage::LOOK,
        quiet: args.look.output.quiet,
        ready: ready.map_err(|error| Misuse(format!("--ready-fd: {error}")))?,
        status: status.display().to_string(),
    })?;
    let supervised = match halves {
        Split::Look(supervised) => supervised,
        Split::Over(status) => return Ok(status),
    };
    let mut stage = Stage::new(args, supervised);
    let decided = if is_outside() { rootless::perform(args, &mut stage) } else { perform(args, &mut stage) };
    match decided {
        Ok(()) => Ok(exit::OK),
        Err(error) => {
            let (status, reason) = (super::status_of(&error), format!("{error:#}"));
            let job = job(args, None, Some(&reason)).filter(|_| args.report_only);
            stage.verdict(Verdict { status, reason, job, ..Verdict::default() })?;
            Err(error)
        }
    }
}

fn perform(args: &RunArgs, stage: &mut Stage) -> anyhow::Result<()> {
    stage.phase(Phase::Checking)?;
    let root = Root::new("/");
    let around = Surroundings::read(root.clone())?;
    around.guard(args.mend.force)?;
    let no_state = State::open(Path::new(state::DIRECTORY)).err();
    prepare::choose_iptables(stage);
    prepare::leave_the_users_run();
    let images = preload::files(&args.preload).map_err(|error| Misuse(format!("--preload: {error}")))?;
    let given = args.for_daemon();

    let mut look = Look::quick(&args.look, around, &given, Engine::claimed(&root))?;
    if let Ok(configuration) = look.configuration() {
        stage.log_like(configuration)?;
    }
    if let Some(error) = no_state {
        stage.progress.say(Level::Warning, &format!("no state is kept: {error}"));
    }
    look.allow_host_changes(args.mend.allow_host_changes || args.mend.force);
    let mut applied = Vec::new();
    let start = ahead::start(args, stage, &mut look, &mut applied)?;
    let mut report = Report::new(&look.facts, &look.profile, look.only_findings(), applied);
    report.strict = args.look.strict;
    if let Some(signal) = stage.asked()? {
        return fail(args, stage, &mut report, exit::of_signal(signal), String::new());
    }
    let refused = (super::fix::status(&report, args.look.strict), what_blocks(&report.findings, args.look.strict));
    if refused.0 != exit::OK && !args.report_only {
        return fail(args, stage, &mut report, refused.0, refused.1);
    }
    let start = start.map_or_else(|| prepare::start(args, stage, &look), Ok)?;

    stage.beside_log = look.beside_log();
    let version = look.profile.version.to_string();
    let mut outcome = launch_and_prove(args, stage, &start, &version, &images)?;
    if let Some(proof) = outcome.proof.as_mut().filter(|proof| args.drill && proof.passed()) {
        let drilled = drill::perform(args, stage, &start, &version)?;
        outcome.broken = drilled.broken;
        outcome.asked = drilled.asked;
        outcome.launch.failure = drilled.launch.failure;
        proof.extend(drilled.proof.unwrap_or_default());
    }
    outcome.not_loaded.iter().for_each(|text| stage.progress.say(Level::Error, text));
    let Start { line, addresses, .. } = start;
    let failure = outcome.launch.failure.as_mut().filter(|failure| outcome.asked.is_none() && failure.cause.is_none());
    if let Some((failure, left_out)) = failure.and_then(|failure| Some((failure, look.left_out()?))) {
        failure.explain_by(&left_out);
    }
    report.launch = Some(Launch { command: line.words, socket: line.socket.clone(), addresses, ..outcome.launch });
    report.verification = outcome.proof;
    let failure = report.launch.as_ref().and_then(|launch| launch.failure.as_ref());
    let failed = result(failure, outcome.asked, outcome.broken, report.verification.as_ref(), &outcome.not_loaded);
    if failed.0 != exit::OK {
        keep_log(stage);
    }
    let has_daemon = stage.ended().is_none() && stage.daemon.is_some();
    let goes_on = args.report_only && outcome.asked.is_none() && (has_daemon || args.job);
    if failed.0 != exit::OK && !goes_on {
        return fail(args, stage, &mut report, failed.0, failed.1);
    }
    // The first of both says why.
    let (status, reason) = if refused.0 == exit::OK { failed } else { refused };
    report.exit_status = status;
    let socket = has_daemon.then_some(line.socket.as_str());
    let job = job(args, socket, Some(&reason).filter(|_| status != exit::OK).map(String::as_str));
    let open = !args.exit && has_daemon;
    if let Some(reason) = open.then(|| rootless::publish(&look).err()).flatten() {
        return fail(args, stage, &mut report, exit::LAUNCH_FAILED, reason);
    }
    // Clients wait for the doors, and the report can take as long as its reader.
    let lines = digest::start_lines(&report);
    stage.verdict(Verdict { open, job, lines, ..Verdict::default() })?;
    // One line tells that all is well; more is for who has asked for it.
    let OutputArgs { format, verbose, output, .. } = &args.look.output;
    if status != exit::OK || args.exit || *verbose || output.is_some() || *format != Format::Table {
        emit(args, stage, &report);
    }
    Ok(())
}

/// The command of --job, with the daemon at `socket` if there is one, and with what failed, if something did.
fn job(args: &RunArgs, socket: Option<&str>, failed: Option<&str>) -> Option<JobOrder> {
    // A daemon in the environment would be another one than the one that was proved.
    let host = socket.map(|socket| ("DOCKER_HOST".to_owned(), format!("unix://{socket}")));
    let path = ("PATH".to_owned(), std::env::var("PATH").unwrap_or_default());
    let failed = failed.map(|reason| (FAILED_VARIABLE.to_owned(), foreign::text(reason)));
    let unset = ["DOCKER_HOST", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", FAILED_VARIABLE, VARIABLE];
    let mut order = JobOrder {
        words: args.args.clone(),
        set: host.into_iter().chain(failed).collect(),
        unset: unset.map(str::to_owned).to_vec(),
        identity: None,
    };
    match sudo::User::read() {
        Some(user) => {
            order.unset.extend(sudo::CHANGED.into_iter().chain(sudo::ADDED).chain([sudo::VARIABLE]).map(str::to_owned));
            order.set.extend(user.variables);
            order.identity = Some(user.identity);
        }
        None => order.set.push(path),
    }
    args.job.then_some(order)
}

/// What keeps the daemon from being started, for Kubernetes' termination message: each root once, the root first.
fn what_blocks(findings: &[Finding], strict: bool) -> String {
    let mut lines: Vec<String> = Vec::new();
    for finding in findings.iter().filter(|finding| finding.blocks(strict)) {
        let remedy = finding.remedy.first().map(|remedy| format!("; {remedy}")).unwrap_or_default();
        let line = match finding.because_of.map(|id| (id, cause::find(id))) {
            Some((_, Some(cause))) => format!("{}: {}; {}", cause.id, cause.title, cause.remedy),
            Some((id, None)) if findings.iter().any(|root| root.id == id && root.blocks(strict)) => continue,
            _ => format!("{}: {}{remedy}", finding.id, finding.summary),
        };
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines.join("\n")
}

/// Proves the daemon, which is started if it is not yet; again, if it died of what passes by itself.
fn launch_and_prove(
    args: &RunArgs,
    stage: &mut Stage,
    start: &Start,
    version: &str,
    images: &[PathBuf],
) -> anyhow::Result<Outcome> {
    let options =
        asked(args).map(|options| Options { without_rules: start.without_rules, ways: start.ways.clone(), ..options });
    let ask = options.map(|options| Ask::Prove { version: version.to_owned(), options });
    let mut restarts = 0;
    loop {
        if stage.daemon.is_none()
            && let Err(error) = stage.start(&start.line, start.order.clone(), &start.plan, args.timeout)
        {
            let failure = Failure::new(format!("cannot start {}: {error}", start.line.words.join(" ")));
            return Ok(Outcome {
                launch: Launch { failure: Some(failure), ..Launch::default() },
                ..Outcome::default()
            });
        }
        let outcome = prove::prove(args, stage, &start.api, ask.as_ref(), images)?;
        let died = stage.ended().is_some() && stage.answer().is_none();
        let cause = died.then(|| log::passing_cause(&stage.log())).flatten();
        let Some(cause) = cause.filter(|_| restarts < RESTARTS) else { return Ok(outcome) };
        restarts += 1;
        let text = format!("the daemon gave up: {cause}; it is restarted ({restarts} of {RESTARTS})");
        stage.progress.say(Level::Warning, &text);
        stage.clear()?;
    }
}

/// The exit status of what was launched and proved, and the reason if it failed.
fn result(
    failure: Option<&Failure>,
    asked: Option<i32>,
    broken: Option<String>,
    verification: Option<&Verification>,
    not_loaded: &[String],
) -> (u8, String) {
    match (failure, broken, verification) {
        (Some(failure), ..) => {
            let first = failure.first_error.as_ref().map(|line| format!(": {}", line.text.line())).unwrap_or_default();
            let status = asked.map_or(exit::LAUNCH_FAILED, exit::of_signal);
            (status, format!("{}{first}", failure.summary))
        }
        (None, Some(reason), _) => (exit::INTERNAL, reason),
        (None, None, Some(verification)) if !verification.passed() => {
            let failed = verification.scenarios.iter().filter(|scenario| scenario.outcome == Outcomes::Fail);
            (exit::VERIFICATION_FAILED, each_once(failed.map(|scenario| (scenario.id, scenario.summary.as_str()))))
        }
        // What was asked for is missing, which would show only much later.
        (None, None, _) if !not_loaded.is_empty() => (exit::VERIFICATION_FAILED, not_loaded.join("\n")),
        _ => (exit::OK, String::new()),
    }
}

/// What failed, a line for each reason: what is broken fails most claims alike, and Kubernetes shows 4096 bytes.
fn each_once<'s>(failed: impl Iterator<Item = (&'s str, &'s str)>) -> String {
    let mut reasons: Vec<(String, String, Vec<&str>)> = Vec::new();
    for (id, summary) in failed {
        let without_ids = without_ids(summary);
        match reasons.iter_mut().find(|(known, ..)| *known == without_ids) {
            Some((.., others)) => others.push(id),
            None => reasons.push((without_ids, format!("{id}: {summary}"), Vec::new())),
        }
    }
    let line = |(_, first, others): (String, String, Vec<&str>)| match others.as_slice() {
        [] => first,
        others => format!("{first}\nthe same: {}", others.join(", ")),
    };
    reasons.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A text without the names of containers: they are of 12 hexadecimal digits or more.
fn without_ids(text: &str) -> String {
    let is_id = |word: &&str| word.len() >= 12 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let words = text.split(|character: char| !character.is_ascii_alphanumeric());
    words.filter(|word| !is_id(word)).collect::<Vec<_>>().join(" ")
}

/// Tells the supervisor that it failed, and reports it; the supervisor ends what was started, and with
/// --hold-on-failure keeps the container until it is stopped.
fn fail(args: &RunArgs, stage: &mut Stage, report: &mut Report, status: u8, reason: String) -> anyhow::Result<()> {
    report.exit_status = status;
    report.reason = Some(reason.clone()).filter(|reason| !reason.is_empty() && !report.tells());
    stage.verdict(Verdict { status, reason, hold: args.hold_on_failure, ..Verdict::default() })?;
    emit(args, stage, report);
    Ok(())
}

/// Writes the report. A disk that is full, or a reader that is gone, keeps no daemon from its work.
fn emit(args: &RunArgs, stage: &mut Stage, report: &Report) {
    let sink = if args.exit { Sink::Stdout } else { Sink::Stderr };
    if let Err(error) = output::emit(report, &args.look.output, sink) {
        stage.progress.say(Level::Error, &format!("{error:#}"));
    }
}

fn describe_status(status: u8) -> String {
    match status.checked_sub(exit::SIGNAL_BASE) {
        Some(signal) if signal > 0 => format!("signal {signal}"),
        _ => format!("exit status {status}"),
    }
}

fn keep_log(stage: &Stage) {
    let directory = Path::new(Places::of(&Root::new("/")).run()).join("dindcheck");
    // It stands on standard error anyway.
    let _ = State::make(&directory).and_then(|state| state.write(KEPT_LOG, stage.log().as_bytes(), false));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{describe_status, each_once, result, what_blocks};
    use crate::exit;
    use crate::finding::{Finding, Severity, Verdict};
    use crate::report::Failure;
    use crate::verification::Verification;

    #[test]
    fn the_first_that_went_wrong_decides_the_end() {
        let scenario = |id: &str, outcome: &str| json!({"id": id, "outcome": outcome, "severity": "blocking", "summary": format!("{id} is so"), "evidence": [], "ms": 1});
        let verification = |outcome: &str| -> Verification {
            let scenarios = [scenario("commit", "pass"), scenario("network.dns", outcome)];
            serde_json::from_value(json!({"scenarios": scenarios, "storage_driver": "overlay2", "ms": 1})).unwrap()
        };
        let (bad, good) = (verification("fail"), verification("pass"));
        let failure = Failure::new("it died".to_owned());
        let broken = || Some("a mend broke".to_owned());
        let missing = ["a.tar: not loaded".to_owned(), "b.tar: not loaded".to_owned()];
        for (ended, status, text) in [
            (result(None, None, None, Some(&good), &[]), exit::OK, ""),
            (result(None, None, None, None, &[]), exit::OK, ""),
            (
                result(None, None, None, Some(&good), &missing),
                exit::VERIFICATION_FAILED,
                "a.tar: not loaded\nb.tar: not loaded",
            ),
            (
                result(None, None, None, Some(&bad), &missing),
                exit::VERIFICATION_FAILED,
                "network.dns: network.dns is so",
            ),
            (result(None, None, broken(), Some(&bad), &missing), exit::INTERNAL, "a mend broke"),
            (result(Some(&failure), None, broken(), Some(&bad), &[]), exit::LAUNCH_FAILED, "it died"),
            (result(Some(&failure), Some(15), None, None, &[]), 143, "it died"),
        ] {
            assert_eq!(ended, (status, text.to_owned()));
        }
    }

    #[test]
    fn a_status_above_that_of_shells_is_a_signal() {
        for (status, text) in [
            (0, "exit status 0"),
            (127, "exit status 127"),
            (128, "exit status 128"),
            (129, "signal 1"),
            (143, "signal 15"),
        ] {
            assert_eq!(describe_status(status), text);
        }
    }

    #[test]
    fn each_root_that_blocks_stands_once_with_its_remedy() {
        let finding = |id, severity, because_of| {
            let verdict = Verdict::fail(severity, "it is so").remedy("change it").remedy("or not");
            Finding { because_of, ..Finding::new(id, "a title", verdict, None) }
        };
        let findings = [
            finding("a.root", Severity::Blocking, None),
            finding("a.consequence", Severity::Blocking, Some("a.root")),
            finding("b.warning", Severity::Warning, None),
            finding("b.consequence", Severity::Blocking, Some("b.warning")),
            finding("c.one", Severity::Blocking, Some("not-privileged")),
            finding("c.other", Severity::Blocking, Some("not-privileged")),
            finding("d.info", Severity::Info, None),
        ];
        let lines = |strict| -> Vec<String> { what_blocks(&findings, strict).lines().map(str::to_owned).collect() };
        let (root, consequence) = ("a.root: it is so; change it", "b.consequence: it is so; change it");
        assert_eq!(lines(false)[..2], [root, consequence]);
        assert!(lines(false)[2].starts_with("not-privileged: "), "{:?}", lines(false));
        assert_eq!(lines(false).len(), 3);
        assert_eq!(lines(true)[..2], [root, "b.warning: it is so; change it"]);
        assert_eq!(lines(true).len(), 3);
    }

    #[test]
    fn each_reason_stands_once_with_those_that_failed_alike() {
        let refused = |id: &str| format!("container {id}: devices.allow: operation not permitted");
        let (one, two) = (refused("0123456789ab"), refused(&"c0ffee".repeat(6)));
        let failed = [("run", one.as_str()), ("dns", "no answer"), ("exec", two.as_str()), ("tty", one.as_str())];
        let text = each_once(failed.into_iter());
        assert_eq!(
            text,
            "run: container 0123456789ab: devices.allow: operation not permitted\nthe same: exec, tty\ndns: no answer"
        );
    }
}
