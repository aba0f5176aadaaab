//! From the daemon's start to the proof: waits for its API, proves it, loads images.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::describe_status;
use super::prover::{Ask, Told};
use super::stage::{Heard, Stage};
use crate::cli::RunArgs;
use crate::diagnosis;
use crate::exit;
use crate::fact::Root;
use crate::facts::limits;
use crate::process::level::Level;
use crate::report::{Failure, Launch};
use crate::supervisor::message::Phase;
use crate::verification::Verification;

/// How long a daemon whose API cannot be reached any more may take to end by itself.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// The cause of a kill that the container's cgroup counts, and no log tells of.
const OUT_OF_MEMORY: &str = "memory-oom-killed";
/// A daemon that takes longer than this to answer is worth a line.
const SOON: Duration = Duration::from_secs(5);
/// How often a proof is begun again whose process has died: what kills it twice kills it always.
const ATTEMPTS: u32 = 2;

/// What came of it.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) launch: Launch,
    pub(super) proof: Option<Verification>,
    /// The images that were to be loaded and are not: why.
    pub(super) not_loaded: Vec<String>,
    /// Why there is no proof although the daemon runs: a fault of ours.
    pub(super) broken: Option<String>,
    /// The signal that asked us to end before it was done.
    pub(super) asked: Option<i32>,
}

impl Outcome {
    fn asked_to_stop(&mut self, stage: &Stage, signal: i32) {
        let ended = describe_status(exit::of_signal(signal));
        self.launch.failure = Some(failure(stage, format!("asked to stop before the daemon was proved ({ended})")));
        self.asked = Some(signal);
    }
}

/// Waits until the API answers, the daemon has ended, or the deadline has come.
pub(super) fn wait_for_answer(
    args: &RunArgs,
    stage: &mut Stage,
    socket: &str,
    deadline: Instant,
) -> anyhow::Result<()> {
    if stage.ended().is_some() || stage.answer().is_some() {
        return Ok(());
    }
    if let Some(daemon) = stage.daemon.as_mut().filter(|daemon| !daemon.is_waited_for) {
        daemon.is_waited_for = true;
        let within = args.timeout.saturating_sub(daemon.started.elapsed());
        stage.ask(args, &Ask::answer(args, socket, within))?;
    }
    loop {
        match stage.hear(Some(deadline))? {
            Heard::Told(Told::Ready { engine, api }) => {
                stage.answered(engine, api)?;
                return Ok(());
            }
            // Why no one can talk to the daemon is found by the next one who asks.
            Heard::Told(Told::Unreachable(_)) | Heard::ProverEnded(_) => {
                stage.drop_prover();
                let until = deadline.min(Instant::now() + LAST_WORDS);
                // A daemon that dies drops its connections first: its end says more than they do.
                while matches!(stage.hear(Some(until))?, Heard::Told(_) | Heard::ProverEnded(_)) {}
                return Ok(());
            }
            Heard::DaemonEnded(_) | Heard::Asked(_) | Heard::TimedOut => return Ok(()),
            Heard::Told(_) => {}
        }
    }
}

/// Proves the daemon: asks, and waits for the answer with an eye on the daemon all the time. `None`: only waits for its
/// API.
pub(super) fn prove(
    args: &RunArgs,
    stage: &mut Stage,
    socket: &str,
    ask: Option<&Ask>,
    images: &[PathBuf],
) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let Some(started) = stage.daemon.as_ref().map(|daemon| daemon.started) else { return Ok(outcome) };
    // One that has been waited for, and is late, still has the rest of its time.
    let deadline = started + args.timeout;
    wait_for_answer(args, stage, socket, deadline.min(started + SOON))?;
    if let Some(daemon) = stage.daemon.as_ref().filter(|daemon| daemon.answered.is_none())
        && stage.ended().is_none()
    {
        stage.progress.say(Level::Warning, &format!("started {}, still waiting for its API", daemon.words));
    }
    while stage.answer().is_none() {
        if let Some(status) = stage.ended() {
            outcome.launch.failure = Some(end_of_daemon(stage, status));
            return Ok(outcome);
        }
        if Instant::now() >= deadline {
            let waited = args.timeout.as_secs();
            outcome.launch.failure = Some(failure(stage, format!("the daemon's API did not answer within {waited} s")));
            return Ok(outcome);
        }
        wait_for_answer(args, stage, socket, deadline)?;
        if let Some(signal) = stage.asked()? {
            outcome.asked_to_stop(stage, signal);
            return Ok(outcome);
        }
    }
    if let Some(answer) = stage.answer() {
        outcome.launch.ready_ms = u64::try_from(answer.after.as_millis()).ok();
        outcome.launch.engine = Some(answer.engine.clone());
        outcome.launch.api = Some(answer.api.clone());
    }
    stage.phase(Phase::Verifying)?;
    if let Some(ask) = ask {
        stage.progress.step(match ask {
            Ask::Plant { .. } => "restart drill: starting a container",
            Ask::Resume { .. } => "restart drill: the daemon answers again",
            _ => "the API answers, running the test container",
        });
        match answer(args, stage, socket, ask, &mut outcome)? {
            Some(Told::Proved(proof)) => outcome.proof = proof,
            _ => return Ok(outcome),
        }
    }
    if !images.is_empty() && outcome.proof.as_ref().is_none_or(Verification::passed) {
        let ask = Ask::Load(images.to_vec());
        if let Some(Told::Loaded(failed)) = answer(args, stage, socket, &ask, &mut outcome)? {
            outcome.not_loaded = failed;
        }
    }
    Ok(outcome)
}

/// The prover's answer; `None` where there is none, and `outcome` says why.
fn answer(
    args: &RunArgs,
    stage: &mut Stage,
    socket: &str,
    ask: &Ask,
    outcome: &mut Outcome,
) -> anyhow::Result<Option<Told>> {
    let mut attempts = 1;
    stage.ask(args, ask)?;
    // Why no one can talk to the daemon, and when to believe that it lives on nevertheless.
    let mut unreachable: Option<(String, Instant)> = None;
    loop {
        match stage.hear(unreachable.as_ref().map(|(_, until)| *until))? {
            Heard::DaemonEnded(status) => {
                outcome.launch.failure = Some(end_of_daemon(stage, status));
                return Ok(None);
            }
            Heard::Asked(signal) => {
                outcome.asked_to_stop(stage, signal);
                return Ok(None);
            }
            Heard::TimedOut => {
                let reason = unreachable.map(|(reason, _)| reason).unwrap_or_default();
                outcome.launch.failure = Some(failure(stage, reason));
                return Ok(None);
            }
            Heard::Told(Told::Said(text)) => stage.progress.say(Level::Info, &text),
            Heard::Told(Told::Ready { .. }) => stage.ask(args, ask)?,
            Heard::Told(Told::Unreachable(reason)) => {
                stage.drop_prover();
                unreachable = Some((reason, Instant::now() + LAST_WORDS));
            }
            Heard::Told(told) => return Ok(Some(told)),
            Heard::ProverEnded(how) if attempts < ATTEMPTS => {
                attempts += 1;
                let text = format!("the process that proves the daemon ended ({how}) and is started again");
                stage.progress.say(Level::Warning, &text);
                stage.ask(args, &Ask::answer(args, socket, args.timeout))?;
            }
            Heard::ProverEnded(how) => {
                outcome.broken = Some(format!("the process that proves the daemon ended again ({how})"));
                return Ok(None);
            }
        }
    }
}

fn end_of_daemon(stage: &Stage, status: u8) -> Failure {
    let what = if stage.answer().is_some() { "before it was proved" } else { "before its API answered" };
    let is_killed = status == exit::of_signal(libc::SIGKILL);
    if is_killed && limits::oom_kills(&Root::new("/")).is_some_and(|count| count > 0) {
        let mut failure = failure(stage, format!("the kernel killed the daemon {what}: out of memory"));
        failure.cause = diagnosis::named(OUT_OF_MEMORY);
        return failure;
    }
    failure(stage, format!("the daemon ended {what}, with {}", describe_status(status)))
}

fn failure(stage: &Stage, summary: String) -> Failure {
    // A log that cannot be diagnosed tells nothing more, and stands on standard error anyway.
    match diagnosis::diagnose(stage.log().as_bytes(), stage.beside_log.clone()) {
        Ok(diagnosis) => Failure::diagnosed(summary, diagnosis),
        Err(_) => Failure::new(summary),
    }
}
