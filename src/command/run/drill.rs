//! `--drill`: kills the daemon, its containerd, or all that runs below us, while a container runs, and starts it again
//! with /run as the dead left it.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::prove::{Job, Outcome, prove};
use super::stage::Stage;
use crate::cli::RunArgs;
use crate::engine::command::CommandLine;
use crate::engine::launch;
use crate::finding::{Severity, Verdict};
use crate::init::processes::{self, Process};
use crate::init::teardown;
use crate::process as system;
use crate::profile::Profile;
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
    fn has(self, process: &Process, stage: &Stage) -> bool {
        match self {
            Self::Daemon => stage.is_daemon(process.pid),
            Self::Containerd => stage.is_daemon(process.pid) || is_containerd(&process.name),
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
/// What the kernel said about waiting or starting.
pub(super) fn perform(
    args: &RunArgs,
    stage: &mut Stage,
    line: &CommandLine,
    profile: &Profile,
) -> anyhow::Result<Outcome> {
    let mut all = Outcome::default();
    for (claim, struck) in ROUNDS {
        let start = Instant::now();
        let outcome = round(args, stage, line, profile, claim, struck)?;
        if outcome.asked.is_some() {
            return Ok(Outcome { proof: all.proof, ..outcome });
        }
        let proof = match (outcome.proof, outcome.launch.failure) {
            (_, Some(failure)) => {
                let mut verdict = Verdict::fail(Severity::Blocking, format!("started again, {}", failure.summary))
                    .remedy("dindcheck diagnose names the cause; an outer container that is made anew starts clean");
                if let Some(first) = failure.first_error {
                    verdict = verdict.saw(format!("the daemon's log, line {}", first.line), first.text);
                }
                drill::failed(claim, verdict, start.elapsed())
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
    line: &CommandLine,
    profile: &Profile,
    claim: &'static str,
    struck: Struck,
) -> anyhow::Result<Outcome> {
    let planted = prove(args, stage, Job::Plant(profile.clone(), claim), &[])?;
    if planted.asked.is_some() || planted.launch.failure.is_some() || planted.proof.is_some() {
        return Ok(planted);
    }
    for process in processes::below_us().iter().filter(|process| struck.has(process, stage)) {
        system::send_signal(process.pid, Signal::SIGKILL as i32);
    }
    if let Some(daemon) = &mut stage.daemon {
        teardown::wait_for_end(&mut stage.init, daemon, Instant::now() + KILL, &mut |_| {})?;
    }
    if struck == Struck::All {
        // Killing one brings its children to light, which are ours then.
        teardown::kill(&mut stage.init, Instant::now() + KILL)?;
    }
    stage.watch(launch::start(line)?);
    prove(args, stage, Job::Resume(profile.clone(), claim), &[])
}
