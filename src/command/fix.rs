//! `dindcheck fix`: check, mend, check again.

use std::io::Write as _;

use super::look::{Look, guard};
use super::output;
use crate::cli::{FixArgs, MendArgs};
use crate::exit;
use crate::facts::Root;
use crate::fix::apply::{self, Applied, Result as FixResult};
use crate::fix::journal::{self, Journal};
use crate::report::Report;
use crate::system::Linux;

/// A mend can bring to light what needs another one (a hierarchy mounted, then to be delegated); more rounds than
/// this mean that two of them fight.
const ROUNDS: usize = 3;

/// Mends and reports, or prints the plan.
///
/// # Errors
/// As [`super::dispatch`].
pub fn run(args: &FixArgs) -> anyhow::Result<u8> {
    let root = Root::new("/");
    if !args.dry_run {
        guard(&root, args.mend.force)?;
    }
    let mut look = Look::new(&args.look, root, &args.args)?;
    if args.dry_run {
        let mut out = output::open(args.look.output.output.as_deref())?;
        for fix in look.findings.iter().filter_map(|(_, fix)| fix.as_ref()) {
            writeln!(out, "# {}: {}", fix.check, fix.title)?;
            for step in &fix.steps {
                writeln!(out, "{}", step.shell())?;
            }
        }
        return Ok(exit::OK);
    }
    let applied = mend(&mut look, &args.mend);
    let mut report = Report::new(&look.facts, &look.profile, look.only_findings(), applied);
    report.strict = args.look.strict;
    report.exit_status = status(&report, args.look.strict);
    output::emit(&report, &args.look.output)?;
    Ok(report.exit_status)
}

/// Applies the fixes of all findings, looks again, and goes on while new ones turn up.
pub(super) fn mend(look: &mut Look, args: &MendArgs) -> Vec<Applied> {
    let journal = Journal::at(journal::DEFAULT_PATH);
    let mut all: Vec<Applied> = Vec::new();
    for _ in 0..ROUNDS {
        let tried = |check: &str| all.iter().any(|applied| applied.fix.check == check);
        let fixes: Vec<_> =
            look.findings.iter().filter_map(|(_, fix)| fix.clone()).filter(|fix| !tried(fix.check)).collect();
        if fixes.is_empty() {
            break;
        }
        for fix in fixes {
            all.push(apply::apply(fix, args.allow_host_changes, &mut Linux, &journal));
        }
        look.again();
    }
    all
}

/// The exit status after mending: a fix that failed, then a finding that is left.
pub(super) fn status(report: &Report, strict: bool) -> u8 {
    let failed = report
        .fixes
        .iter()
        .any(|applied| matches!(applied.result, FixResult::TakenBack { .. } | FixResult::Stuck { .. }));
    if failed {
        exit::FIX_FAILED
    } else if report.blocking(strict).next().is_some() {
        exit::BLOCKED
    } else {
        exit::OK
    }
}
