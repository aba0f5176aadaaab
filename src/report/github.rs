//! The report for GitHub Actions: annotations as workflow commands, and the step's summary as Markdown; each root once,
//! with what follows from it.

use std::io::{self, Write};

use super::digest::groups;
use super::document::{Document, Item};
use crate::finding::{Outcome, Severity};

/// Writes an annotation for each root of what is not a pass. (GitHub shows ten of a level in a step, and drops the rest.)
///
/// # Errors
/// What the write gave.
pub fn write(document: &Document, out: &mut dyn Write) -> io::Result<()> {
    for suite in &document.suites {
        for group in groups(&suite.items) {
            let command = match (group.failed.is_empty(), group.severity) {
                (false, Severity::Blocking) => "error",
                (true, _) | (false, Severity::Warning) => "warning",
                (false, Severity::Info) => "notice",
            };
            let lines = [vec![group.summary().to_owned()], group.details()].concat().join("\n");
            let title = property(&format!("{} ({})", group.id, suite.name));
            writeln!(out, "::{command} title={title}::{}", data(&lines))?;
        }
    }
    Ok(())
}

/// Writes the summary of the step: a table of what is not a pass by its root, with the details folded.
///
/// # Errors
/// What the write gave.
pub fn write_summary(document: &Document, out: &mut dyn Write) -> io::Result<()> {
    let mark = if document.exit_status == 0 { "✅" } else { "❌" };
    writeln!(out, "### {mark} {}\n", cell(&document.title))?;
    for suite in &document.suites {
        let found: Vec<&Item> = suite.items.iter().filter(|item| !item.is_fine()).collect();
        if document.suites.len() > 1 {
            let passed = suite.items.iter().filter(|item| item.outcome == Outcome::Pass).count();
            writeln!(out, "**{}**: {} passed, {} not\n", cell(&suite.name), passed, found.len())?;
        }
        if found.is_empty() {
            continue;
        }
        writeln!(out, "| | id | what is the case |\n|---|---|---|")?;
        for group in groups(&suite.items) {
            let mut details = group.details();
            let untold = group.follows().filter(|item| item.outcome == Outcome::Unknown);
            details.extend(untold.map(|item| format!("unknown: {}: {}", item.id, item.summary)));
            let details = details.iter().map(|line| cell(line)).collect::<Vec<_>>().join("<br>");
            let folded = if details.is_empty() {
                String::new()
            } else {
                format!("<details><summary>more</summary>{details}</details>")
            };
            writeln!(out, "| {} | `{}` | {}{folded} |", group.word(), cell(&group.id), cell(group.summary()))?;
        }
        writeln!(out)?;
    }
    writeln!(out, "Exit status {}.\n", document.exit_status)
}

/// Escapes a message (actions/toolkit, packages/core/src/command.ts: escapeData).
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes a property (the same, escapeProperty).
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// Text in a cell of a Markdown table.
fn cell(text: &str) -> String {
    let text = super::markup::escaped(text).replace(['\n', '\t'], " ");
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if matches!(c, '|' | '\\' | '`' | '*' | '_' | '[' | ']') {
            out.push('\\');
        }
        out.push(c);
        out
    })
}
