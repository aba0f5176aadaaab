//! Where a report goes, and how it looks there.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::path::Path;

use anyhow::Context as _;

use crate::cli::{ColorWhen, Format, OutputArgs};
use crate::command::Misuse;
use crate::report::table::Look;
use crate::report::{Report, json, table};

/// The width of a table that goes to no terminal.
const DEFAULT_WIDTH: usize = 120;

/// Opens what the report goes to: a file, or standard output.
pub(super) fn open(file: Option<&Path>) -> anyhow::Result<Box<dyn Write>> {
    Ok(match file {
        None => Box::new(io::stdout().lock()),
        Some(path) => {
            Box::new(File::create(path).map_err(|error| Misuse(format!("cannot write {}: {error}", path.display())))?)
        }
    })
}

/// Writes a report in the form that was asked for.
pub(super) fn emit(report: &Report, args: &OutputArgs) -> anyhow::Result<()> {
    let mut out = open(args.output.as_deref())?;
    match args.format {
        Format::Json => json::write(report, &mut out)?,
        Format::Table => table::write(report, look(args), &mut out)?,
    }
    out.flush().context("cannot write the report")
}

fn look(args: &OutputArgs) -> Look {
    let terminal = args.output.is_none() && io::stdout().is_terminal();
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    Look {
        color: match args.color {
            ColorWhen::Auto => terminal && !plain,
            ColorWhen::Always => true,
            ColorWhen::Never => false,
        },
        verbose: args.verbose,
        quiet: args.quiet,
        width: terminal_size::terminal_size()
            .filter(|_| terminal)
            .map_or(DEFAULT_WIDTH, |(width, _)| usize::from(width.0)),
    }
}
