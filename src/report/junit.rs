//! The report for CI servers: JUnit XML, as Jenkins, GitLab and others read it.

use std::io::{self, Write};

use super::digest::{Group, groups};
use super::document::{Document, Item, Suite};
use super::markup::escaped;
use crate::finding::Outcome;

/// Writes the report as JUnit XML: a suite for each place, a case for each item. What does not block is no failure;
/// it stands in the case's output.
///
/// # Errors
/// What the write gave.
pub fn write(document: &Document, out: &mut dyn Write) -> io::Result<()> {
    let strict = document.strict;
    writeln!(out, r#"<?xml version="1.0" encoding="UTF-8"?>"#)?;
    let all = || document.suites.iter().flat_map(|suite| &suite.items);
    writeln!(out, r#"<testsuites name="dindcheck" {}>"#, counts(&all().collect::<Vec<_>>(), strict))?;
    for suite in &document.suites {
        write_suite(suite, strict, out)?;
    }
    writeln!(out, "</testsuites>")
}

fn write_suite(suite: &Suite, strict: bool, out: &mut dyn Write) -> io::Result<()> {
    let counts = counts(&suite.items.iter().collect::<Vec<_>>(), strict);
    writeln!(out, r#"  <testsuite name="{}" {counts}>"#, escaped(&suite.name))?;
    let groups = groups(&suite.items);
    for item in &suite.items {
        let group =
            groups.iter().find(|group| group.failed.iter().chain(&group.untold).any(|own| std::ptr::eq(*own, item)));
        let (class, id) = (escaped(&suite.name), escaped(&item.id));
        write!(out, r#"    <testcase classname="{class}" name="{id}" time="{}""#, seconds(item.ms))?;
        let summary = escaped(&summary(item, group));
        if item.blocks(strict) {
            let details = escaped(&details(item, group).join("\n"));
            let word = item.word();
            writeln!(
                out,
                ">\n      <failure message=\"{summary}\" type=\"{word}\">{details}</failure>\n    </testcase>"
            )?;
        } else if matches!(item.outcome, Outcome::Unknown | Outcome::NotApplicable) {
            writeln!(out, ">\n      <skipped message=\"{summary}\"/>\n    </testcase>")?;
        } else if item.outcome == Outcome::Fail {
            let lines = [vec![format!("{}: {}", item.word(), item.summary)], details(item, group)].concat();
            writeln!(out, ">\n      <system-out>{}</system-out>\n    </testcase>", escaped(&lines.join("\n")))?;
        } else {
            writeln!(out, "/>")?;
        }
    }
    if !suite.log.is_empty() {
        writeln!(out, "    <system-err>{}</system-err>", escaped(&suite.log))?;
    }
    writeln!(out, "  </testsuite>")
}

/// What is the case, and which root that is a consequence of.
fn summary(item: &Item, group: Option<&Group<'_>>) -> String {
    match group.filter(|group| item.because_of.is_some() && group.id != item.id) {
        Some(group) => format!("{} (because of {})", item.summary, group.id),
        None => item.summary.clone(),
    }
}

/// All of it in the first case of a root; in those that follow from it, the root and what was seen.
fn details(item: &Item, group: Option<&Group<'_>>) -> Vec<String> {
    let Some(group) = group else { return item.details() };
    let is_first = group.failed.first().or(group.untold.first()).is_some_and(|first| std::ptr::eq(*first, item));
    if is_first && item.id == group.id {
        group.details()
    } else if item.because_of.is_none() {
        item.details()
    } else {
        let root = format!("because of: {}: {}", group.id, group.summary());
        let more = if is_first { group.details() } else { Vec::new() };
        [vec![root], item.seen(), more].concat()
    }
}

/// The counting attributes. Nothing here is an `error`: that is for tests that could not be run.
fn counts(items: &[&Item], strict: bool) -> String {
    let failures = items.iter().filter(|item| item.blocks(strict)).count();
    let skipped = items
        .iter()
        .filter(|item| !item.blocks(strict) && matches!(item.outcome, Outcome::Unknown | Outcome::NotApplicable))
        .count();
    let ms: u64 = items.iter().filter_map(|item| item.ms).sum();
    let (tests, time) = (items.len(), seconds(Some(ms)));
    format!(r#"tests="{tests}" failures="{failures}" errors="0" skipped="{skipped}" time="{time}""#)
}

fn seconds(ms: Option<u64>) -> String {
    let ms = ms.unwrap_or_default();
    format!("{}.{:03}", ms / 1000, ms % 1000)
}
