//! The report for GitHub Actions: annotations as workflow commands, and the step's summary as Markdown.

use std::io::{self, Write};

use super::document::{Document, Item};
use crate::finding::{Outcome, Severity};

/// Writes an annotation for each item that is not a pass.
///
/// # Errors
/// What the write gave.
pub fn write(document: &Document, out: &mut dyn Write) -> io::Result<()> {
    for suite in &document.suites {
        for item in suite.items.iter().filter(|item| !item.is_fine()) {
            let command = match (item.outcome, item.severity) {
                (Outcome::Fail, Severity::Blocking) => "error",
                (Outcome::Fail, Severity::Warning) | (Outcome::Unknown, _) => "warning",
                _ => "notice",
            };
            let lines = [vec![item.summary.clone()], item.details()].concat().join("\n");
            let title = property(&format!("{} ({})", item.id, suite.name));
            writeln!(out, "::{command} title={title}::{}", data(&lines))?;
        }
    }
    Ok(())
}

/// Writes the summary of the step: a table of what is not a pass, with the details folded.
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
        for item in found {
            let details = item.details().iter().map(|line| cell(line)).collect::<Vec<_>>().join("<br>");
            let folded = if details.is_empty() {
                String::new()
            } else {
                format!("<details><summary>more</summary>{details}</details>")
            };
            writeln!(out, "| {} | `{}` | {}{folded} |", item.word(), cell(&item.id), cell(&item.summary))?;
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
