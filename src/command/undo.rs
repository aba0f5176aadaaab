//! `dindcheck undo`: undoes what fix did in this container, newest first.

use std::io::Write as _;

use anyhow::Context as _;

use super::{Misuse, output};
use crate::cli::{Format, OutputArgs};
use crate::exit;
use crate::fact::Root;
use crate::facts::leftovers;
use crate::fix::apply;
use crate::fix::journal::{self, Journal};
use crate::fix::linux::Linux;
use crate::foreign::Form;

/// Takes back what the journal records.
///
/// # Errors
/// As [`super::dispatch`].
pub fn run(args: &OutputArgs) -> anyhow::Result<u8> {
    let journal = Journal::at(journal::DEFAULT_PATH);
    if let Some(daemon) = leftovers::running_engine(&Root::new("/")) {
        return Err(Misuse(format!(
            "{} runs (process {}), and what was mended is what it stands on: stop it first",
            daemon.name, daemon.pid
        ))
        .into());
    }
    let undone = apply::undo(&mut Linux, &journal)
        .with_context(|| format!("cannot undo what is recorded in {}", journal.path().display()))?;
    let form = if args.format == Format::Json { Form::Json } else { Form::Text };
    let mut out = output::open(args.output.as_deref(), form)?;
    match args.format {
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, &undone).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
        // It is no report: the other forms have nothing to say here.
        _ => {
            for line in &undone.done {
                writeln!(out, "{line}")?;
            }
            for path in &undone.kept {
                writeln!(out, "kept {path}: it holds what has been stored there since; `rm {path}` takes that away")?;
            }
            for line in &undone.replaced {
                writeln!(out, "left: {line}")?;
            }
            for line in &undone.broken {
                writeln!(out, "not an entry of {}: {line}", journal.path().display())?;
            }
            if undone.replaced.is_empty() && undone.done.is_empty() && undone.kept.is_empty() && undone.failed.is_none()
            {
                writeln!(out, "there is nothing to undo")?;
            }
            if let Some(failed) = &undone.failed {
                writeln!(out, "stopped: {failed}; what is older stays, in {}", journal.path().display())?;
            }
        }
    }
    Ok(if undone.failed.is_some() { exit::FIX_FAILED } else { exit::OK })
}
