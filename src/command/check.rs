//! `dindcheck check`: look and judge; changes nothing, leaves no trace.

use super::Misuse;
use super::look::Look;
use super::output::{self, Sink};
use crate::cli::CheckArgs;
use crate::exit;
use crate::fact::Root;
use crate::facts::{Facts, SCHEMA};
use crate::report::Report;
use crate::state;

/// Facts are no larger than this, in bytes.
const MAX_FACTS: usize = 64 << 20;

/// Looks, judges, reports.
///
/// # Errors
/// As [`super::dispatch`].
pub fn run(args: &CheckArgs) -> anyhow::Result<u8> {
    let look = match (&args.facts, &args.root) {
        (Some(path), _) => Look::of_facts(&args.look, read_facts(path)?)?,
        (None, Some(directory)) if !directory.join("proc").is_dir() => {
            return Err(Misuse(format!("{}: there is no proc/ in it", directory.display())).into());
        }
        (None, Some(directory)) => Look::new(&args.look, Root::new(directory), &args.args)?,
        (None, None) => Look::new(&args.look, Root::new("/"), &args.args)?,
    };
    let mut report = Report::new(&look.facts, &look.profile, look.only_findings(), Vec::new());
    report.strict = args.look.strict;
    let blocked = report.blocking(args.look.strict).next().is_some();
    report.exit_status = if blocked { exit::BLOCKED } else { exit::OK };
    output::emit(&report, &args.look.output, Sink::Stdout)?;
    Ok(report.exit_status)
}

/// Reads facts that `dindcheck facts` wrote.
///
/// # Errors
/// [`Misuse`]: the file cannot be read, or holds no facts of this schema.
pub(super) fn read_facts(path: &std::path::Path) -> Result<Facts, Misuse> {
    let name = path.display();
    let text = state::read_text(path, MAX_FACTS).map_err(|error| Misuse(format!("cannot read {name}: {error}")))?;
    let facts: Facts = serde_json::from_str(&text).map_err(|error| {
        Misuse(format!("{name}:{}:{}: these are no facts of `dindcheck facts`: {error}", error.line(), error.column()))
    })?;
    if facts.schema != SCHEMA {
        return Err(Misuse(format!("{name}: facts of schema {}, and this is for schema {SCHEMA}", facts.schema)));
    }
    Ok(facts)
}
