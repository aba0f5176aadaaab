//! The main job of a user: the way into a user namespace of its own, where the main job goes on. Out here, we stay as
//! PID 1: signals go in, the status comes out.

use std::os::unix::fs::DirBuilderExt as _;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::Context as _;
use nix::unistd::Pid;

use super::stage::Stage;
use super::{fail, say_what_blocks};
use crate::cli::RunArgs;
use crate::command::Misuse;
use crate::command::look::{Look, Surroundings};
use crate::engine::rootless::{self, Environment};
use crate::exit;
use crate::facts::places::Places;
use crate::facts::rootless::VARIABLE;
use crate::facts::{FactError, Root};
use crate::finding::Finding;
use crate::init::teardown::{self, Plan};
use crate::init::{Event, Sources, to_stderr};
use crate::report::Report;
use crate::system;

/// How long what is left inside may take to end by itself, once the main job has.
const SETTLE: Duration = Duration::from_millis(500);

/// Looks at what is seen only out here, goes in, and stays.
pub(super) fn run(args: &RunArgs) -> anyhow::Result<u8> {
    if args.ready_fd.is_some() {
        let text = "--ready-fd: RootlessKit hands no descriptor on; sd_notify and `dindcheck health` tell the same";
        return Err(Misuse(text.to_owned()).into());
    }
    // Before any thread exists.
    let mut stage = Stage::new(args)?;
    let root = Root::new("/");
    let around = Surroundings::read(root.clone())?;
    around.guard(args.mend.force)?;
    make_directories(&root);
    let mut look = Look::glance(&args.look, around, &args.for_daemon(), None)?;
    // What else there is may be mended inside, and is tried there, where it has to work.
    let is_of_user = |(finding, _): &(Finding, _)| finding.id.starts_with("rootless.");
    if look.findings.iter().any(|found| is_of_user(found) && found.0.blocks(args.look.strict)) {
        look.complete()?;
        let mut report = Report::new(&look.facts, &look.profile, look.only_findings(), Vec::new());
        report.strict = args.look.strict;
        let reason = say_what_blocks(args, &mut stage, &report);
        stage.tell.because(reason);
        let status = fail(args, &mut stage, &mut report, exit::BLOCKED);
        stage.tell.ended();
        return status;
    }
    let way = look.facts.rootless.as_ref().map_err(FactError::clone)?.as_ref().context("there is no user to be")?;
    let places = Places::of(&root);
    let listens = look.facts.configuration.as_ref().map_err(FactError::clone)?;
    let words = rootless::command(way, &Environment::read(), places.run(), listens);
    let (program, options) = words.split_first().context("RootlessKit has no name")?;
    let names = [env::var("DOCKER_TLS_SAN").unwrap_or_default(), rootless::names_outside()].join(",");
    let mut command = Command::new(program);
    // /proc/self/exe would be RootlessKit's own there.
    command.args(options).arg(env::current_exe()?).args(env::args_os().skip(1));
    command
        .env("XDG_RUNTIME_DIR", places.run())
        .env("DOCKER_TLS_SAN", names)
        .env(VARIABLE, serde_json::to_string(way)?);
    system::clean_signals(&mut command);
    system::dies_with_us(&mut command);
    stage.progress.say(&format!("going on in a user namespace, by {}", words.join(" ")));
    let child = command.spawn().with_context(|| format!("cannot run {program}"))?;
    drop((look, words));
    let status = stay(&mut stage, Pid::from_raw(i32::try_from(child.id())?))?;
    // Whoever is left has lost its network with RootlessKit.
    for what in teardown::clear(&mut stage.init, &Plan::default(), Instant::now() + SETTLE)? {
        stage.progress.say(&what);
    }
    Ok(status)
}

/// Passes signals on and reaps, until RootlessKit ends, which does so with the status of what it runs.
fn stay(stage: &mut Stage, child: Pid) -> anyhow::Result<u8> {
    stage.init.watch(child);
    system::shed_memory();
    loop {
        match stage.init.wait(Sources::default(), to_stderr)? {
            Event::Ended(pid, status) if pid == child => return Ok(status),
            Event::Signal(signal) => system::send_signal(child, signal),
            _ => {}
        }
    }
}

/// The directories that the image or the runtime did not make, as the official entrypoint does. Whether they can be
/// used is for a check to say.
fn make_directories(root: &Root) {
    let places = Places::of(root);
    for path in [places.run(), &places.translate("/var/lib/docker")] {
        let _ = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    }
}
