//! `dindcheck facts`: what is, as JSON.

use std::io::Write as _;

use super::look::Look;
use super::output;
use crate::cli::FactsArgs;
use crate::exit;
use crate::fact::Root;
use crate::foreign::Form;

/// Prints the facts.
///
/// # Errors
/// As [`super::dispatch`].
pub fn run(args: &FactsArgs) -> anyhow::Result<u8> {
    let look = Look::new(&args.look, Root::new("/"), &args.args)?;
    let mut out = output::open(args.look.output.output.as_deref(), Form::Json)?;
    serde_json::to_writer_pretty(&mut out, &look.facts).map_err(std::io::Error::from)?;
    writeln!(out)?;
    out.flush()?;
    Ok(exit::OK)
}
