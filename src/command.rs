//! The subcommands, one file each; [`run`] is the main job.

pub mod arguments;
pub mod check;
pub mod diagnose;
pub mod explain;
pub mod facts;
pub mod fix;
pub mod gate;
pub mod health;
mod look;
mod manual;
mod output;
pub mod pages;
mod part;
mod pass_on;
pub mod profiles;
mod progress;
pub mod run;
pub mod undo;
pub mod verify;

use crate::cli::{Cli, Command};
use crate::profile::LoadError;
use crate::{exit, probe, verification};

/// What the user got wrong: the command line, a profile or an input file.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Misuse(pub String);

/// Does what the command line says; gives the exit status.
///
/// # Errors
/// [`Misuse`] or a profile's error for the user's mistakes, anything else for our own.
pub fn dispatch(cli: &Cli) -> anyhow::Result<u8> {
    match &cli.command {
        None => run::run(&cli.run),
        Some(Command::Check(args)) => check::run(args),
        Some(Command::Fix(args)) => fix::run(args),
        Some(Command::Undo(args)) => undo::run(args),
        Some(Command::Health(args)) => health::run(args),
        Some(Command::Verify(args)) => verify::run(args),
        Some(Command::Diagnose(args)) => {
            let mut out = output::open(args.output.as_deref(), output::plain(args.format))?;
            let options = diagnose::options(args)?;
            Ok(diagnose::run(&args.diagnose, options, args.format, &mut out)?)
        }
        Some(Command::Gate(args)) => gate::run(args),
        Some(Command::Explain(args)) => explain::run(args),
        Some(Command::Profiles(args)) => {
            let mut out = output::open(args.output.as_deref(), output::plain(args.format))?;
            profiles::run(&args.command, args.format, args.profile_dir.as_deref(), &mut out)
        }
        Some(Command::Facts(args)) => facts::run(args),
        Some(Command::Completions { shell }) => pages::completions(*shell),
        Some(Command::Man { html: Some(directory) }) => manual::write(directory),
        Some(Command::Man { html: None }) => pages::man(),
        Some(Command::Recipe { name }) => pages::recipe(name.as_deref()),
        Some(Command::Help { topic }) => pages::help(topic.as_deref()),
        Some(Command::Inside { words }) => Ok(verification::inside::run(words)?),
        Some(Command::Part { part }) => part::run(part),
        Some(Command::Probe { what }) => Ok(probe::child::serve(what)?),
    }
}

/// Which of the known words may have been meant, as the part of a sentence; empty if none is near.
fn near<'k>(known: impl Iterator<Item = &'k str>, word: &str) -> String {
    /// More of them are no help.
    const MOST: usize = 5;
    let last = |word: &'_ str| word.rsplit('.').next().unwrap_or_default().to_owned();
    let is_near = |known: &&str| {
        let typos = if known.len() < 6 { 1 } else { 2 };
        known.contains(word) || last(known) == last(word) || strsim::osa_distance(known, word) <= typos
    };
    let near: Vec<&str> = known.filter(|_| !word.is_empty()).filter(is_near).take(MOST).collect();
    if near.is_empty() { String::new() } else { format!("; near it: {}", near.join(", ")) }
}

/// The exit status of an error.
pub fn status_of(error: &anyhow::Error) -> u8 {
    // A reader that has seen enough is no error of ours, as with any tool in a pipe.
    let broken_pipe =
        error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe);
    if broken_pipe {
        exit::OK
    } else if let Some(error) = error.downcast_ref::<diagnose::DiagnoseError>() {
        error.status()
    } else if let Some(error) = error.downcast_ref::<pass_on::CannotRun>() {
        error.status()
    } else if error.is::<Misuse>() || error.is::<LoadError>() {
        exit::USAGE
    } else {
        exit::INTERNAL
    }
}
