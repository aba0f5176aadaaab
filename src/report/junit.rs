//! The report for CI servers: JUnit XML, as Jenkins, GitLab and others read it.

use std::io::{self, Write};
use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::document::{Document, Item, Suite};
use crate::finding::Outcome;

/// Writes the report as JUnit XML: a suite for each place, a case for each item. What does not block is no failure;
/// it stands in the case's output. Nothing here is an `error`: that is for tests that could not be run.
///
/// # Errors
/// What the write gave.
pub fn write(document: &Document, out: &mut dyn Write) -> io::Result<()> {
    let mut report = Report::new("dindcheck");
    report.set_time(document.suites.iter().map(time_of).sum());
    report.add_test_suites(document.suites.iter().map(|suite| of_suite(suite, document.strict)));
    report.serialize(out).map_err(io::Error::other)
}

fn of_suite(suite: &Suite, strict: bool) -> TestSuite {
    let mut written = TestSuite::new(suite.name.as_str());
    written.set_time(time_of(suite));
    written.add_test_cases(suite.items.iter().map(|item| of_item(item, &suite.name, strict)));
    if !suite.log.is_empty() {
        written.set_system_err(suite.log.as_str());
    }
    written
}

fn of_item(item: &Item, suite: &str, strict: bool) -> TestCase {
    let mut status = match item.outcome {
        _ if item.blocks(strict) => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Outcome::Unknown | Outcome::NotApplicable => TestCaseStatus::skipped(),
        _ => TestCaseStatus::success(),
    };
    let passed = matches!(status, TestCaseStatus::Success { .. });
    if !passed {
        status.set_message(item.summary.as_str());
    }
    if item.blocks(strict) {
        status.set_type(item.word()).set_description(item.details().join("\n"));
    }
    let mut case = TestCase::new(item.id.as_str(), status);
    case.set_classname(suite).set_time(Duration::from_millis(item.ms.unwrap_or_default()));
    if passed && item.outcome == Outcome::Fail {
        let lines = [vec![format!("{}: {}", item.word(), item.summary)], item.details()].concat();
        case.set_system_out(lines.join("\n"));
    }
    case
}

fn time_of(suite: &Suite) -> Duration {
    Duration::from_millis(suite.items.iter().filter_map(|item| item.ms).sum())
}
