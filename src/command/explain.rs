//! `dindcheck explain`: what a check, or the cause of a diagnosis, is.

use std::io::{self, Write as _};

use super::Misuse;
use crate::cli::ExplainArgs;
use crate::{check, diagnosis, exit, gate};

/// Prints the docs.
///
/// # Errors
/// As [`super::dispatch`].
pub fn run(args: &ExplainArgs) -> anyhow::Result<u8> {
    let mut out = io::stdout().lock();
    let docs = check::find(&args.id).map(|check| check.docs).or_else(|| Some(gate::check::find(&args.id)?.docs));
    if let Some(docs) = docs {
        writeln!(out, "{}: {}\n", args.id, docs.title)?;
        for (name, text) in [("Why", docs.motivation), ("Looks at", docs.looks_at), ("Remedy", docs.remedy)] {
            writeln!(out, "{name}: {text}")?;
        }
        writeln!(out, "Engines: {}", docs.engines())?;
    } else if let Some(cause) = diagnosis::explain(&args.id) {
        writeln!(out, "{}: {}\n\nWhy: {}\nRemedy: {}", cause.id, cause.title, cause.why, cause.remedy)?;
        for (name, text) in [("Check", &cause.check), ("Fix", &cause.fix)] {
            if let Some(text) = text {
                writeln!(out, "{name}: {text}")?;
            }
        }
        writeln!(out, "Sources: {}", cause.sources.join(", "))?;
    } else {
        let ids = check::CHECKS.iter().map(|check| check.id).chain(gate::check::CHECKS.iter().map(|check| check.id));
        let ids: Vec<&str> = ids.collect();
        return Err(Misuse(format!(
            "there is no check and no cause `{}`; the checks are {}; `dindcheck diagnose` names causes",
            args.id,
            ids.join(", ")
        ))
        .into());
    }
    Ok(exit::OK)
}
