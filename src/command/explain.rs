//! `dindcheck explain`: what a check is.

use std::io::{self, Write as _};

use crate::check;
use crate::cli::ExplainArgs;
use crate::exit;

/// Prints the docs of a check.
///
/// # Errors
/// As [`super::dispatch`].
pub fn run(args: &ExplainArgs) -> anyhow::Result<u8> {
    let Some(check) = check::find(&args.id) else { return Ok(exit::USAGE) };
    let docs = check.docs();
    let mut out = io::stdout().lock();
    writeln!(out, "{}: {}\n", check.id(), docs.title)?;
    for (name, text) in [("Why", docs.motivation), ("Looks at", docs.looks_at), ("Remedy", docs.remedy)] {
        writeln!(out, "{name}: {text}")?;
    }
    Ok(exit::OK)
}
