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
use crate::fix::system::System;
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
    mend_by(look, args.allow_host_changes, &mut Linux, &Journal::at(journal::DEFAULT_PATH), applied);
}

fn mend_by(look: &mut Look, allow_host: bool, system: &mut dyn System, journal: &Journal, applied: &mut Vec<Applied>) {
    for _ in 0..ROUNDS {
        let checks: Vec<_> = open_fixes(look, applied).map(|fix| fix.check).collect();
        if checks.is_empty() {
            break;
        }
        let mut moved = false;
        for check in checks {
            if moved {
                // All that are left were planned for mounts that another one has replaced since.
                look.recheck();
            }
            let Some(fix) = open_fixes(look, applied).find(|fix| fix.check == check).cloned() else { continue };
            let one = apply::apply(fix, allow_host, system, journal);
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::command::look::tests::{captured, look};
    use crate::finding::{Finding, Severity, Verdict};
    use crate::fix::step::Step;
    use crate::fix::system::StepError;

    fn finding(id: &'static str, verdict: Verdict) -> Finding {
        Finding::new(id, "a title", verdict, None)
    }

    fn failed(id: &'static str, severity: Severity) -> Finding {
        finding(id, Verdict::fail(severity, "it is so"))
    }

    fn tried(check: &'static str, result: FixResult) -> Applied {
        Applied { fix: Fix::in_container(check, "mend it", Vec::new()), result, refused: Vec::new() }
    }

    #[test]
    fn a_failed_mend_of_what_blocks_comes_before_what_is_left() {
        let taken_back = || FixResult::TakenBack { error: "x".to_owned() };
        let stuck = || FixResult::Stuck { error: "x".to_owned(), left: Vec::new() };
        let machine = captured(&[]);
        let look = look(machine.path(), &[]);
        let ended = |findings: &[Finding], applied: &[Applied], strict: bool| {
            status(&Report::new(&look.facts, &look.profile, findings.to_vec(), applied.to_vec()), strict)
        };
        let (blocking, warning) = (failed("a.b", Severity::Blocking), failed("c.d", Severity::Warning));
        let both = [blocking.clone(), warning.clone()];
        for result in [taken_back(), stuck()] {
            assert!(has_failed(&tried("a.b", result.clone())));
            assert_eq!(ended(&both, &[tried("a.b", result.clone())], false), exit::FIX_FAILED);
            // Of a warning it counts where that blocks.
            assert_eq!(ended(&both, &[tried("c.d", result.clone())], false), exit::BLOCKED);
            assert_eq!(ended(&both, &[tried("c.d", result.clone())], true), exit::FIX_FAILED);
            assert_eq!(ended(std::slice::from_ref(&warning), &[tried("c.d", result)], false), exit::OK);
        }
        for result in [FixResult::Done, FixResult::NotAllowed] {
            assert!(!has_failed(&tried("a.b", result.clone())));
            assert_eq!(ended(&both, &[tried("a.b", result.clone())], false), exit::BLOCKED);
            assert_eq!(ended(std::slice::from_ref(&warning), &[tried("a.b", result)], false), exit::OK);
        }
        assert_eq!(ended(&[warning], &[], true), exit::BLOCKED);
    }

    #[test]
    fn only_a_failure_whose_mend_needs_trials_waits_for_them() {
        let machine = captured(&[]);
        let mut look = look(machine.path(), &[]);
        for (finding, wanted) in [
            (failed("network.nameservers", Severity::Warning), true),
            (finding("network.nameservers", Verdict::pass("it is so")), false),
            (finding("network.nameservers", Verdict::unknown("it is so")), false),
            (failed("leftovers.pidfile", Severity::Warning), false),
            // What nothing mends.
            (failed("privileges.capabilities", Severity::Blocking), false),
        ] {
            let told = format!("{}, {:?}", finding.id, finding.outcome);
            look.findings = vec![(finding, None)];
            assert_eq!(waits_for_trials(&look), wanted, "{told}");
        }
        look.findings.clear();
        assert!(!waits_for_trials(&look));
    }

    /// Files of a captured machine: removes them, and some before they are asked for.
    struct Files {
        root: PathBuf,
        /// What goes with the first mount.
        gone: Option<&'static str>,
    }

    impl System for Files {
        fn perform(&mut self, step: &Step) -> Result<(), StepError> {
            let gone = match step {
                Step::RemoveFile { path, .. } => Some(path.as_str()),
                step => self.gone.take_if(|_| step.replaces_mount().is_some()),
            };
            if let Some(path) = gone {
                fs::remove_file(self.root.join(path.trim_start_matches('/'))).unwrap();
            }
            Ok(())
        }
    }

    const PIDFILE: &str = "var/run/docker.pid";

    #[test]
    fn each_mend_is_tried_once_in_order_and_what_went_with_another_is_not() {
        const ONLY: [&str; 2] = ["--only", "cgroup.mounted,mounts.proc-sys,leftovers.pidfile"];
        const MOUNTS: &str = "27 1 254:0 / / rw - ext4 /dev/vda rw\n28 27 0:5 / /proc rw - proc proc rw\n\
                              29 28 0:5 /sys /proc/sys ro - proc proc rw\n";
        let with_mounts = [("proc/self/mountinfo", MOUNTS), (PIDFILE, "99999")];
        for (gone, wanted) in [
            (None, &["cgroup.mounted", "mounts.proc-sys", "leftovers.pidfile"][..]),
            (Some(PIDFILE), &["cgroup.mounted", "mounts.proc-sys"]),
        ] {
            let machine = captured(&with_mounts);
            let mut look = look(machine.path(), &ONLY);
            let planned: Vec<&str> = open_fixes(&look, &[]).map(|fix| fix.check).collect();
            assert_eq!(planned, ["cgroup.mounted", "mounts.proc-sys", "leftovers.pidfile"]);
            let kept = tempfile::tempdir().unwrap();
            let journal = Journal::at(kept.path().join("journal"));
            let mut system = Files { root: machine.path().to_owned(), gone };
            let mut applied = Vec::new();
            mend_by(&mut look, false, &mut system, &journal, &mut applied);
            let tried: Vec<&str> = applied.iter().map(|one| one.fix.check).collect();
            assert_eq!(tried, wanted);
            assert!(applied.iter().all(|one| one.result == FixResult::Done), "{applied:?}");
            // It has looked again: what was mended passes, and the rest is not open, since it was tried.
            assert!(!machine.path().join(PIDFILE).exists());
            let left: Vec<&str> = look
                .only_findings()
                .iter()
                .filter(|found| found.outcome != Outcome::Pass)
                .map(|found| found.id)
                .collect();
            assert_eq!(left, ["cgroup.mounted", "mounts.proc-sys"]);
            assert_eq!(open_fixes(&look, &applied).count(), 0);
            assert_eq!(open_fixes(&look, &applied[1..]).map(|fix| fix.check).collect::<Vec<_>>(), ["cgroup.mounted"]);
        }
    }
}
