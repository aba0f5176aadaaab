//! `dindcheck fix`: check, mend, check again.

use std::io::Write as _;

use super::look::{Look, Surroundings};
use super::output::{self, Sink};
use crate::check;
use crate::cli::{FixArgs, MendArgs};
use crate::exit;
use crate::fact::Root;
use crate::finding::Outcome;
use crate::fix::apply::{self, Applied, Result as FixResult};
use crate::fix::journal::{self, Journal};
use crate::fix::linux::Linux;
use crate::fix::{self, Fix};
use crate::foreign::Form;
use crate::report::Report;

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
        Surroundings::read(root.clone())?.guard(args.mend.force)?;
    }
    let mut look = Look::new(&args.look, root, &args.args)?;
    look.allow_host_changes(args.mend.allow_host_changes || args.mend.force);
    if args.dry_run {
        let mut out = output::open(args.look.output.output.as_deref(), Form::Text)?;
        for fix in fix::one_after_another(look.findings.iter().filter_map(|(_, fix)| fix.as_ref())) {
            writeln!(out, "# {}: {}", fix.check, fix.title)?;
            for step in &fix.steps {
                writeln!(out, "{}", step.shell())?;
            }
        }
        return Ok(exit::OK);
    }
    let mut applied = Vec::new();
    mend(&mut look, &args.mend, &mut applied);
    let mut report = Report::new(&look.facts, &look.profile, look.only_findings(), applied);
    report.strict = args.look.strict;
    // Asked to mend, and nothing else: whatever could not be mended counts.
    report.exit_status = match report.fixes.iter().any(has_failed) {
        true => exit::FIX_FAILED,
        false => status(&report, args.look.strict),
    };
    output::emit(&report, &args.look.output, Sink::Stdout)?;
    Ok(report.exit_status)
}

/// Applies the fixes of all findings, looks again, and goes on while new ones turn up. Nothing that was `applied` before
/// is tried again.
pub(super) fn mend(look: &mut Look, args: &MendArgs, applied: &mut Vec<Applied>) {
    let journal = Journal::at(journal::DEFAULT_PATH);
    for _ in 0..ROUNDS {
        let fixes: Vec<_> = open_fixes(look, applied).cloned().collect();
        if fixes.is_empty() {
            break;
        }
        let mut moved = false;
        for mut fix in fixes {
            if moved {
                // It was planned for mounts that another one has replaced since.
                look.recheck();
                match open_fixes(look, applied).find(|own| own.check == fix.check) {
                    Some(fresh) => fix = fresh.clone(),
                    None => continue,
                }
            }
            let one = apply::apply(fix, args.allow_host_changes, &mut Linux, &journal);
            moved = one.result == FixResult::Done && one.fix.steps.iter().any(|step| step.replaces_mount().is_some());
            applied.push(one);
        }
        look.recheck();
    }
}

/// Whether something has failed whose mend is only known once all was tried.
pub(super) fn waits_for_trials(look: &Look) -> bool {
    let needs_them = |id: &str| check::find(id).and_then(|check| check.mend).is_some_and(|mend| mend.needs_trials);
    look.findings.iter().any(|(finding, _)| finding.outcome == Outcome::Fail && needs_them(finding.id))
}

/// The fixes that were not tried yet.
pub(super) fn open_fixes<'l>(look: &'l Look, applied: &'l [Applied]) -> impl Iterator<Item = &'l Fix> {
    let fixes = look.findings.iter().filter_map(|(_, fix)| fix.as_ref());
    fixes.filter(|fix| !was_tried(fix.check, applied))
}

fn was_tried(check: &str, applied: &[Applied]) -> bool {
    applied.iter().any(|applied| applied.fix.check == check)
}

/// The exit status after mending: a fix that failed of what blocks, then a finding that is left. Without the mend of a
/// warning the daemon works as it did before.
pub(super) fn status(report: &Report, strict: bool) -> u8 {
    let blocking = |check: &str| report.blocking(strict).any(|finding| finding.id == check);
    if report.fixes.iter().any(|applied| has_failed(applied) && blocking(applied.fix.check)) {
        exit::FIX_FAILED
    } else if report.blocking(strict).next().is_some() {
        exit::BLOCKED
    } else {
        exit::OK
    }
}

/// Whether a fix failed.
fn has_failed(applied: &Applied) -> bool {
    matches!(applied.result, FixResult::TakenBack { .. } | FixResult::Stuck { .. })
}
