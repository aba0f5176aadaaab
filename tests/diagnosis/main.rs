//! `diagnose` against recorded logs of real engines, lines made from format strings, and broken input.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its fixtures has failed")]

mod broken;
mod generated;
mod lint;
mod recorded;
mod shapes;
mod whole;

use dindcheck::diagnosis::{Diagnosis, Options, diagnose};

/// What a log says, read from memory.
fn diagnosed(log: &[u8]) -> Diagnosis {
    diagnose(log, Options::default()).unwrap()
}

/// The cause of the first error and its line.
fn first(answer: &Diagnosis) -> (Option<&str>, Option<u64>) {
    let first = answer.first_error.as_ref();
    (first.and_then(|first| first.diagnosis.as_deref()), first.map(|first| first.line))
}

/// `tests/synthetic/lines.tsv`: cause and log.
fn synthetic() -> Vec<(&'static str, String)> {
    include_str!("../synthetic/lines.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_once('\t').unwrap_or_else(|| panic!("no tab in {line:?}")))
        .map(|(cause, log)| (cause, log.replace('⏎', "\n")))
        .collect()
}
