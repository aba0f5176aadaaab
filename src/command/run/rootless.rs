//! The main job of a user: the way into a user namespace of its own, where the main job goes on. Out here, the
//! supervisor stays as PID 1: signals go in, the status comes out.

use std::os::unix::fs::DirBuilderExt as _;
use std::{env, fs};

use anyhow::Context as _;

use super::stage::Stage;
use super::{emit, fail, job, what_blocks};
use crate::cli::RunArgs;
use crate::command::Misuse;
use crate::command::look::{Look, Surroundings};
use crate::engine::rootless::{self, Environment};
use crate::exit;
use crate::fact::{FactError, Root};
use crate::facts;
use crate::facts::places::Places;
use crate::facts::rootless::{Rootless, VARIABLE};
use crate::finding::Finding;
use crate::report::Report;
use crate::supervisor::message::{JobOrder, Phase, Verdict};

/// Looks at what is seen only out here, and has the supervisor go in.
pub(super) fn perform(args: &RunArgs, stage: &mut Stage) -> anyhow::Result<()> {
    if args.ready_fd.is_some() {
        let text = "--ready-fd: RootlessKit hands no descriptor on; sd_notify and `dindcheck health` tell the same";
        return Err(Misuse(text.to_owned()).into());
    }
    stage.phase(Phase::Checking)?;
    let root = Root::new("/");
    let around = Surroundings::read(root.clone())?;
    around.guard(args.mend.force)?;
    make_directories(&root);
    let mut look = Look::quick(&args.look, around, &args.for_daemon(), None)?;
    // What else there is may be mended inside, and is tried there, where it has to work.
    let is_of_user = |(finding, _): &(Finding, _)| finding.id.starts_with("rootless.");
    if look.findings.iter().any(|found| is_of_user(found) && found.0.blocks(args.look.strict)) {
        look.full()?;
        let mut report = Report::new(&look.facts, &look.profile, look.only_findings(), Vec::new());
        report.strict = args.look.strict;
        let reason = what_blocks(&report.findings, args.look.strict);
        if !args.report_only {
            return fail(args, stage, &mut report, exit::BLOCKED, reason);
        }
        if let Some(job) = job(args, None, Some(&reason)) {
            report.exit_status = exit::BLOCKED;
            stage.verdict(Verdict { job: Some(job), ..Verdict::default() })?;
            emit(args, stage, &report);
            return Ok(());
        }
    }
    let way = look.facts.rootless.as_ref().map_err(FactError::clone)?.as_ref().context("there is no user to be")?;
    let places = Places::of(&root);
    let configuration = look.configuration()?;
    let environment = Environment::read();
    // One that is taken is found now, and not when the daemon is proved.
    for port in rootless::ports(way, &environment, configuration) {
        port.probe().map_err(Misuse)?;
    }
    let mut words = rootless::command(way, &environment, places.run());
    let names = [env::var("DOCKER_TLS_SAN").unwrap_or_default(), rootless::names_outside()].join(",");
    stage.progress.step(&format!("going on in a user namespace, by {}", words.join(" ")));
    // /proc/self/exe would be RootlessKit's own there.
    words.push(env::current_exe()?.display().to_string());
    words.extend(env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()));
    let supervisor = u32::try_from(nix::unistd::getppid().as_raw())?;
    let set = vec![
        ("XDG_RUNTIME_DIR".to_owned(), places.run().to_owned()),
        ("DOCKER_TLS_SAN".to_owned(), names),
        // The supervisor stays out here; this process ends.
        (VARIABLE.to_owned(), serde_json::to_string(&Rootless { outside: supervisor, ..way.clone() })?),
    ];
    let job = JobOrder { words, set, ..JobOrder::default() };
    stage.verdict(Verdict { job: Some(job), ..Verdict::default() })?;
    Ok(())
}

/// Opens the way from outside to the daemon's TCP addresses, where this process is inside. Until then no one gets there.
///
/// # Errors
/// What RootlessKit answered.
pub(super) fn publish(look: &Look) -> Result<(), String> {
    let Some(Ok(way)) = facts::rootless::from_outside() else { return Ok(()) };
    let configuration = look.configuration().map_err(|error| error.to_string())?;
    rootless::ports(&way, &Environment::read(), configuration).iter().try_for_each(rootless::Port::publish)
}

/// The directories that the image or the runtime did not make, as the official entrypoint does. Whether they can be
/// used is for a check to say.
fn make_directories(root: &Root) {
    let places = Places::of(root);
    for path in [places.run(), &places.translate("/var/lib/docker")] {
        let _ = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    }
}
