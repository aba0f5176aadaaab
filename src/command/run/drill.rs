//! `--drill`: kills the daemon, its containerd, or all that runs below us, while a container runs, and starts it again
//! with /run as the dead left it.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::prepare::Start;
use super::prove::{Outcome, prove};
use super::prover::Ask;
use super::stage::{Heard, Stage};
use crate::cli::RunArgs;
use crate::engine::nest::{self, Process};
use crate::finding::{Severity, Verdict};
use crate::process;
use crate::verification::drill;

/// How long killed processes may take to be gone.
const KILL: Duration = Duration::from_secs(5);

/// Who is killed in a round.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Struck {
    Daemon,
    Containerd,
    All,
}

const ROUNDS: [(&str, Struck); 3] =
    [("drill.daemon", Struck::Daemon), ("drill.containerd", Struck::Containerd), ("drill.all", Struck::All)];

impl Struck {
    fn has(self, process: &Process, daemon: i32) -> bool {
        match self {
            Self::Daemon => process.pid == daemon,
            Self::Containerd => process.pid == daemon || is_containerd(process.name.raw()),
            Self::All => true,
        }
    }
}

/// containerd of any era, and no shim of its: up to 18.06 its name begins with `docker-`, and the kernel keeps 15 bytes.
fn is_containerd(name: &str) -> bool {
    (name.starts_with("containerd") && !name.contains("shim")) || name == "docker-containe"
}

/// Does it, round by round, until one fails; gives what was proved. The daemon that runs afterwards is the last one.
///
/// # Errors
/// The supervisor is gone, or what starting gave.
pub(super) fn perform(args: &RunArgs, stage: &mut Stage, start: &Start, version: &str) -> anyhow::Result<Outcome> {
    let mut all = Outcome::default();
    for (claim, struck) in ROUNDS {
        let began = Instant::now();
        let outcome = round(args, stage, start, version, claim, struck)?;
        if outcome.broken.is_some() || outcome.asked.is_some() {
            return Ok(Outcome { proof: all.proof, ..outcome });
        }
        let proof = match (outcome.proof, outcome.launch.failure) {
            (_, Some(failure)) => {
                let mut verdict = Verdict::fail(Severity::Blocking, format!("started again, {}", failure.summary))
                    .remedy("dindcheck diagnose names the cause; a recreated outer container starts clean");
                if let Some(first) = failure.first_error {
                    verdict = verdict.saw(format!("the daemon's log, line {}", first.line), first.text.text());
                }
                drill::failed(claim, verdict, began.elapsed())
            }
            (proof, None) => proof.unwrap_or_default(),
        };
        let passed = proof.passed();
        all.proof.get_or_insert_default().extend(proof);
        if !passed {
            break;
        }
    }
    Ok(all)
}

fn round(
    args: &RunArgs,
    stage: &mut Stage,
    start: &Start,
    version: &str,
    claim: &'static str,
    struck: Struck,
) -> anyhow::Result<Outcome> {
    let (version, claim) = (version.to_owned(), claim.to_owned());
    let ask = Ask::Plant { version: version.clone(), claim: claim.clone() };
    let planted = prove(args, stage, &start.api, Some(&ask), &[])?;
    if planted.broken.is_some()
        || planted.asked.is_some()
        || planted.launch.failure.is_some()
        || planted.proof.is_some()
    {
        return Ok(planted);
    }
    strike(stage, struck)?;
    stage.start(&start.line, start.order.clone(), &start.plan, args.timeout)?;
    prove(args, stage, &start.api, Some(&Ask::Resume { version, claim }), &[])
}

/// Kills those who are struck, and waits for the daemon's end.
fn strike(stage: &mut Stage, struck: Struck) -> anyhow::Result<()> {
    let (nest, daemon) = stage.nest();
    let kill = || {
        let struck: Vec<Process> =
            nest::processes(&nest).into_iter().filter(|process| struck.has(process, daemon)).collect();
        for process in &struck {
            process::send_signal(Pid::from_raw(process.pid), Signal::SIGKILL as i32);
        }
        !struck.is_empty()
    };
    kill();
    let until = Instant::now() + KILL;
    while !matches!(stage.hear(Some(until))?, Heard::DaemonEnded(_) | Heard::Asked(_) | Heard::TimedOut) {}
    // Killing one brings its children to light, which are the supervisor's then.
    while struck == Struck::All && kill() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
