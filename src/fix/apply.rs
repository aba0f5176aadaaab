//! Carrying out fixes: each as a whole or not at all, recorded before it is done.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::journal::{Entry, Journal, Read};
use super::step::Step;
use super::system::{Found, StepError, System};
use super::{Fix, Scope};

/// What became of one fix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Result {
    /// All steps were done.
    Done,
    /// It touches the host, and that was not allowed.
    NotAllowed,
    /// A step failed; what had been done was taken back.
    TakenBack {
        /// What went wrong.
        error: String,
    },
    /// A step failed, and not all could be taken back.
    Stuck {
        /// What went wrong.
        error: String,
        /// What could not be undone, and why.
        left: Vec<String>,
    },
}

/// One fix and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// The fix.
    pub fix: Fix,
    /// What became of it.
    pub result: Result,
    /// What was refused on the way without costing the rest: a controller that the kernel does not give.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,
}

impl Applied {
    fn new(fix: Fix, result: Result) -> Self {
        Self { fix, result, refused: Vec::new() }
    }
}

/// Carries out one fix.
pub fn apply(fix: Fix, allow_host: bool, system: &mut dyn System, journal: &Journal) -> Applied {
    if fix.scope == Scope::Host && !allow_host {
        return Applied::new(fix, Result::NotAllowed);
    }
    let before = match journal.entries() {
        Ok(entries) => entries.len(),
        Err(error) => {
            let error = format!("cannot read the journal {}: {error}", journal.path().display());
            return Applied::new(fix, Result::TakenBack { error });
        }
    };
    let mut refused = Vec::new();
    for (index, step) in fix.steps.iter().enumerate() {
        let entry = Entry { check: fix.check.to_owned(), step: step.clone() };
        let recorded = journal
            .record(&entry)
            .map_err(|error| format!("cannot write the journal {}: {error}", journal.path().display()));
        let was_recorded = recorded.is_ok();
        let done = recorded.and_then(|()| system.perform(step).map_err(|error| error.to_string()));
        if let Err(error) = done {
            // Only the kernel's refusal costs no more than the step.
            if was_recorded && step.may_be_refused() {
                refused.push(error);
                continue;
            }
            let mut left = Vec::new();
            if was_recorded && step.may_be_half_done() {
                left.extend(take_back_half(step, system).err().map(|error| error.to_string()));
            }
            left.extend(take_back(&fix, index, system));
            let result = if left.is_empty() {
                // The entries of this fix are void now; one that stays would undo twice what is undone.
                match journal.keep(before) {
                    Ok(()) => Result::TakenBack { error },
                    Err(failure) => Result::Stuck { error, left: vec![format!("the journal: {failure}")] },
                }
            } else {
                Result::Stuck { error, left }
            };
            return Applied::new(fix, result);
        }
    }
    Applied { fix, result: Result::Done, refused }
}

/// Takes back the first `done` steps, newest first; gives what could not be undone.
fn take_back(fix: &Fix, done: usize, system: &mut dyn System) -> Vec<String> {
    fix.steps[..done]
        .iter()
        .rev()
        .filter_map(|step| system.perform(&step.inverse()).err().map(|error| error.to_string()))
        .collect()
}

/// Takes back what a step that failed may have done.
fn take_back_half(step: &Step, system: &mut dyn System) -> std::result::Result<(), StepError> {
    match system.found(step)? {
        Found::AsLeft => system.perform(&step.inverse()),
        Found::Gone(_) | Found::Replaced(_) => Ok(()),
    }
}

/// What undoing took back, and what it could not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Undone {
    /// The shell lines of what was done to take it back, in order.
    pub done: Vec<String>,
    /// Files that were left, because someone has stored in them since.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<String>,
    /// What was left because someone has replaced it since: the shell line that was not run, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<String>,
    /// Lines of the journal that are no entries.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub broken: Vec<String>,
    /// What failed, if anything: then the rest of the journal stays.
    pub failed: Option<String>,
}

/// Takes back all that the journal records, newest first.
///
/// # Errors
/// What reading or writing the journal gave.
pub fn undo(system: &mut dyn System, journal: &Journal) -> std::io::Result<Undone> {
    let Read { entries, broken } = journal.read()?;
    system.sweep();
    if entries.is_empty() {
        // A fix that was killed before its first record leaves a file without any.
        journal.keep(0)?;
    }
    let mut undone = Undone { broken, ..Undone::default() };
    for (index, entry) in entries.iter().enumerate().rev() {
        let inverse = entry.step.inverse();
        if keeps(&inverse, &mut undone.kept, system) {
            journal.keep(index)?;
            continue;
        }
        let taken_back = match system.found(&entry.step) {
            Ok(Found::AsLeft) => system.perform(&inverse).map(|()| undone.done.push(inverse.shell())),
            // The newest was recorded before it was done, and a crash may have come between; and what was refused.
            Ok(Found::Gone(_)) if index + 1 == entries.len() || entry.step.may_be_refused() => Ok(()),
            Ok(Found::Gone(why) | Found::Replaced(why)) => {
                undone.replaced.push(format!("{}: {why}", inverse.shell()));
                Ok(())
            }
            Err(error) => Err(error),
        };
        if let Err(error) = taken_back {
            undone.failed = Some(error.to_string());
            return Ok(undone);
        }
        journal.keep(index)?;
    }
    Ok(undone)
}

/// Whether a step stays undone, because it would remove what is not ours: images and containers in a file system
/// that we made, or the directory that such a file is kept in.
fn keeps(step: &Step, kept: &mut Vec<String>, system: &mut dyn System) -> bool {
    match step {
        Step::RemoveImage { path, .. } if system.holds_data(path) => {
            kept.push(path.clone());
            true
        }
        Step::RemoveDirectory { path } => kept.iter().any(|file| Path::new(file).starts_with(path)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records what is asked of it, and fails on purpose at the given calls (from 0).
    #[derive(Default)]
    struct Recorder {
        calls: Vec<Step>,
        fail_at: Vec<usize>,
        /// The image in which someone has stored something.
        full: Option<&'static str>,
    }

    impl System for Recorder {
        fn perform(&mut self, step: &Step) -> std::result::Result<(), StepError> {
            let number = self.calls.len();
            self.calls.push(step.clone());
            if self.fail_at.contains(&number) {
                return Err(StepError { verb: "do", path: "/x".to_owned(), reason: "on purpose".to_owned() });
            }
            Ok(())
        }

        fn holds_data(&mut self, image: &str) -> bool {
            self.full == Some(image)
        }
    }

    fn directory(path: &str) -> Step {
        Step::MakeDirectory { path: path.to_owned() }
    }

    fn three_steps() -> Fix {
        Fix::in_container("x.y", "make three directories", ["/a", "/b", "/c"].map(directory).to_vec())
    }

    #[test]
    fn a_refused_controller_costs_no_other_and_is_asked_for_once() {
        let enable = |name: &str| Step::EnableController { group: "/g".to_owned(), controller: name.to_owned() };
        let steps = vec![directory("/g/init"), enable("cpu"), enable("memory")];
        let (_directory, journal) = journal();
        let mut system = Recorder { fail_at: vec![1], ..Recorder::default() };
        let applied = apply(Fix::in_container("x.y", "delegate", steps.clone()), false, &mut system, &journal);
        assert_eq!(applied.result, Result::Done);
        assert_eq!(applied.refused, ["cannot do /x: on purpose"]);
        assert_eq!(system.calls, steps);
    }

    fn journal() -> (tempfile::TempDir, Journal) {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::at(directory.path().join("journal"));
        (directory, journal)
    }

    #[test]
    fn a_failed_fix_is_taken_back_at_every_step() {
        for fail_at in 0..3 {
            let (_directory, journal) = journal();
            let mut system = Recorder { fail_at: vec![fail_at], ..Recorder::default() };
            let applied = apply(three_steps(), false, &mut system, &journal);
            assert_eq!(applied.result, Result::TakenBack { error: "cannot do /x: on purpose".to_owned() });
            let inverses: Vec<Step> = three_steps().steps[..fail_at].iter().rev().map(Step::inverse).collect();
            assert_eq!(system.calls[fail_at + 1..], inverses);
            assert_eq!(journal.entries().unwrap(), []);
        }
    }

    #[test]
    fn what_cannot_be_undone_is_reported_and_stays_in_the_journal() {
        let (_directory, journal) = journal();
        let mut system = Recorder { fail_at: vec![2, 3], ..Recorder::default() };
        let applied = apply(three_steps(), false, &mut system, &journal);
        assert!(matches!(applied.result, Result::Stuck { left, .. } if left.len() == 1));
        assert_eq!(journal.entries().unwrap().len(), 3);
    }

    #[test]
    fn the_host_is_not_touched_unasked() {
        let (_directory, journal) = journal();
        let mut system = Recorder::default();
        let fix = Fix { scope: Scope::Host, ..three_steps() };
        assert_eq!(apply(fix.clone(), false, &mut system, &journal).result, Result::NotAllowed);
        assert_eq!(system.calls, []);
        assert_eq!(apply(fix, true, &mut system, &journal).result, Result::Done);
    }

    #[test]
    fn undo_takes_back_newest_first_and_twice_does_nothing() {
        let (_directory, journal) = journal();
        let mut system = Recorder::default();
        apply(three_steps(), false, &mut system, &journal);
        system.calls.clear();
        let undone = undo(&mut system, &journal).unwrap();
        assert_eq!(undone.done, ["rmdir /c", "rmdir /b", "rmdir /a"]);
        assert_eq!(undo(&mut system, &journal).unwrap(), Undone::default());
    }

    #[test]
    fn a_journal_without_entries_goes_too() {
        for content in ["", "{\"check\":"] {
            let (directory, journal) = journal();
            std::fs::write(directory.path().join("journal"), content).unwrap();
            let undone = undo(&mut Recorder::default(), &journal).unwrap();
            assert_eq!(undone.broken.is_empty(), content.is_empty());
            assert!(!journal.path().exists());
        }
    }

    #[test]
    fn what_was_replaced_since_is_left_and_reported() {
        struct Changed(Recorder);
        impl System for Changed {
            fn perform(&mut self, step: &Step) -> std::result::Result<(), StepError> {
                self.0.perform(step)
            }

            fn found(&mut self, step: &Step) -> std::result::Result<Found, StepError> {
                let why = "it is another one now".to_owned();
                Ok(if *step == directory("/b") { Found::Replaced(why) } else { Found::AsLeft })
            }
        }
        let (_directory, journal) = journal();
        let mut system = Changed(Recorder::default());
        apply(three_steps(), false, &mut system, &journal);
        let undone = undo(&mut system, &journal).unwrap();
        assert_eq!(undone.done, ["rmdir /c", "rmdir /a"]);
        assert_eq!(undone.replaced, ["rmdir /b: it is another one now"]);
        assert_eq!(journal.entries().unwrap(), []);
    }

    #[test]
    fn undo_keeps_an_image_that_holds_data_and_its_directory_and_nothing_else() {
        let image = |path: &str| Step::MakeImage { path: path.to_owned(), bytes: 1 << 30 };
        for (full, done, kept) in [
            (Some("/d/full"), vec!["rm /e/empty", "rmdir /e"], vec!["/d/full"]),
            (None, vec!["rm /e/empty", "rmdir /e", "rm /d/full", "rmdir /d"], vec![]),
        ] {
            let (_directory, journal) = journal();
            let steps = vec![directory("/d"), image("/d/full"), directory("/e"), image("/e/empty")];
            let mut system = Recorder { full, ..Recorder::default() };
            apply(Fix::in_container("x.y", "make two file systems", steps), false, &mut system, &journal);
            let undone = undo(&mut system, &journal).unwrap();
            assert_eq!(
                (undone.done, undone.kept),
                (done.into_iter().map(str::to_owned).collect(), kept.into_iter().map(str::to_owned).collect())
            );
        }
    }

    /// A system in which one directory is found so.
    struct Looked(Recorder, &'static str, std::result::Result<Found, StepError>);

    impl System for Looked {
        fn perform(&mut self, step: &Step) -> std::result::Result<(), StepError> {
            self.0.perform(step)
        }

        fn found(&mut self, step: &Step) -> std::result::Result<Found, StepError> {
            if *step == directory(self.1) { self.2.clone() } else { Ok(Found::AsLeft) }
        }
    }

    #[test]
    fn a_crash_between_record_and_act_does_not_block_undo() {
        let (_directory, journal) = journal();
        let mut system = Looked(Recorder::default(), "/never-made", Ok(Found::Gone("it is gone".to_owned())));
        for path in ["/a", "/never-made"] {
            journal.record(&Entry { check: "x.y".to_owned(), step: directory(path) }).unwrap();
        }
        let undone = undo(&mut system, &journal).unwrap();
        assert_eq!(undone, Undone { done: vec!["rmdir /a".to_owned()], ..Undone::default() });
    }

    #[test]
    fn what_cannot_be_taken_back_or_looked_at_stays_recorded_the_newest_too() {
        let error = StepError { verb: "look at", path: "/c".to_owned(), reason: "on purpose".to_owned() };
        for (fail_at, found) in [(vec![3], Ok(Found::AsLeft)), (vec![], Err(error))] {
            let (_directory, journal) = journal();
            let mut system = Looked(Recorder { fail_at, ..Recorder::default() }, "/c", found);
            apply(three_steps(), false, &mut system, &journal);
            let undone = undo(&mut system, &journal).unwrap();
            assert!(undone.failed.is_some_and(|error| error.ends_with("on purpose")));
            assert_eq!(journal.entries().unwrap().len(), 3);
        }
    }

    #[test]
    fn what_a_failed_step_has_half_done_is_taken_back_if_it_is_there() {
        /// A system that finds nothing of any step.
        struct Empty(Recorder);
        impl System for Empty {
            fn perform(&mut self, step: &Step) -> std::result::Result<(), StepError> {
                self.0.perform(step)
            }

            fn found(&mut self, _step: &Step) -> std::result::Result<Found, StepError> {
                Ok(Found::Gone("it is gone".to_owned()))
            }
        }
        let up = Step::SetLink { name: "lo".to_owned(), up: true };
        let steps = vec![directory("/a"), up.clone()];
        let fix = || Fix::in_container("x.y", "make two things", steps.clone());
        let recorder = || Recorder { fail_at: vec![1], ..Recorder::default() };
        let (_directory, journal) = journal();
        let error = "cannot do /x: on purpose".to_owned();
        let mut system = recorder();
        let applied = apply(fix(), false, &mut system, &journal);
        assert_eq!(applied.result, Result::TakenBack { error: error.clone() });
        assert_eq!(system.calls[2..], [up.inverse(), directory("/a").inverse()]);
        let mut system = Empty(recorder());
        assert_eq!(apply(fix(), false, &mut system, &journal).result, Result::TakenBack { error });
        assert_eq!(system.0.calls[2..], [directory("/a").inverse()]);
    }

    #[test]
    fn an_image_is_taken_back_where_no_system_knows_of_data_in_it() {
        let image = Step::MakeImage { path: "/d/image".to_owned(), bytes: 1 << 30 };
        let (_directory, journal) = journal();
        let mut system = Looked(Recorder::default(), "/none", Ok(Found::AsLeft));
        apply(Fix::in_container("x.y", "make a file system", vec![image]), false, &mut system, &journal);
        let undone = undo(&mut system, &journal).unwrap();
        assert_eq!(undone, Undone { done: vec!["rm /d/image".to_owned()], ..Undone::default() });
    }
}
