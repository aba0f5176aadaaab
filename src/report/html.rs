//! The report as one page that needs nothing else: no script, no style sheet, no picture from elsewhere.
//! It is well-formed XML too, so that anything can read it.

use std::io::{self, Write};

use super::document::{Document, Item, Suite};
use super::markup::escaped;
use crate::finding::Outcome;

const STYLE: &str = include_str!("html.css");

/// Writes the page: the matrix of what differs or is not a pass, the time line of each place, and then each place.
///
/// # Errors
/// What the write gave.
pub fn write(document: &Document, out: &mut dyn Write) -> io::Result<()> {
    let title = escaped(&document.title);
    let verdict = if document.exit_status == 0 { "pass" } else { "blocking" };
    writeln!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width\"/>\n<title>{title}</title>\n<style>\n{STYLE}</style>\n\
         </head>\n<body>\n<h1>{title}</h1>"
    )?;
    let sentence = match document.verdict.as_str() {
        "" => format!("exit status {}", document.exit_status),
        sentence => sentence.trim_start_matches("dindcheck: ").to_owned(),
    };
    writeln!(out, "<p class=\"verdict {verdict}\">{}</p>", escaped(&sentence))?;
    for (place, lines) in &document.cure {
        writeln!(out, "<p>{}:</p>\n<pre class=\"cure\">{}</pre>", escaped(place), escaped(&lines.join("\n")))?;
    }
    if document.suites.len() > 1 {
        write_matrix(document, out)?;
    }
    write_times(document, out)?;
    for suite in &document.suites {
        write_suite(suite, out)?;
    }
    writeln!(out, "</body>\n</html>")
}

/// Rows: what is not a pass somewhere. Columns: the places.
fn write_matrix(document: &Document, out: &mut dyn Write) -> io::Result<()> {
    let mut head = String::new();
    for suite in &document.suites {
        head += &format!("<th scope=\"col\" title=\"{}\">{}</th>", escaped(&suite.title), escaped(&suite.name));
    }
    writeln!(out, "<h2>Matrix</h2>\n<table id=\"matrix\">\n<thead><tr><th></th>{head}</tr></thead>\n<tbody>")?;
    for id in document.notable() {
        let mut row = String::new();
        for suite in &document.suites {
            row += &match suite.items.iter().find(|item| item.id == id) {
                Some(item) => {
                    let (class, word) = (class(item), item.word());
                    format!("<td class=\"{class}\" title=\"{}\">{word}</td>", escaped(&item.summary))
                }
                None => "<td></td>".to_owned(),
            };
        }
        writeln!(out, "<tr><th scope=\"row\">{}</th>{row}</tr>", escaped(id))?;
    }
    writeln!(out, "</tbody>\n</table>")
}

/// A bar for each stretch of time, a row for each place, all to one scale.
fn write_times(document: &Document, out: &mut dyn Write) -> io::Result<()> {
    const WIDTH: u64 = 900;
    const NAMES: u64 = 180;
    const ROW: u64 = 24;
    const KEY: u64 = 150;
    const KINDS: usize = 4;
    let timed: Vec<&Suite> = document.suites.iter().filter(|suite| !suite.spans.is_empty()).collect();
    let end = timed.iter().flat_map(|suite| &suite.spans).map(|span| span.from_ms + span.ms).max().unwrap_or_default();
    if end == 0 {
        return Ok(());
    }
    let height = ROW * timed.len() as u64 + ROW;
    writeln!(
        out,
        "<h2>Time</h2>\n<svg id=\"times\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"Time\">"
    )?;
    let scale = |ms: u64| ms * (WIDTH - NAMES) / end;
    for (row, suite) in timed.iter().enumerate() {
        let y = row as u64 * ROW;
        writeln!(out, "<text x=\"0\" y=\"{}\">{}</text>", y + 16, escaped(&suite.name))?;
        for (index, span) in suite.spans.iter().enumerate() {
            let (x, width) = (NAMES + scale(span.from_ms), scale(span.ms).max(1));
            let name = format!("{}: {}.{:03} s", span.name, span.ms / 1000, span.ms % 1000);
            writeln!(
                out,
                "<rect class=\"span{}\" x=\"{x}\" y=\"{}\" width=\"{width}\" height=\"16\"><title>{}</title></rect>",
                index % KINDS,
                y + 4,
                escaped(&name)
            )?;
        }
    }
    let y = height - 6;
    // What the colours mean: the same stretches in each row.
    for (index, span) in timed.iter().flat_map(|suite| &suite.spans).take(KINDS).enumerate() {
        let x = NAMES + KEY * index as u64;
        writeln!(out, "<rect class=\"span{index}\" x=\"{x}\" y=\"{}\" width=\"12\" height=\"12\"/>", y - 11)?;
        writeln!(out, "<text x=\"{}\" y=\"{y}\">{}</text>", x + 16, escaped(&span.name))?;
    }
    writeln!(
        out,
        "<text x=\"{WIDTH}\" y=\"{y}\" text-anchor=\"end\">{}.{} s</text>\n</svg>",
        end / 1000,
        end % 1000 / 100
    )
}

fn write_suite(suite: &Suite, out: &mut dyn Write) -> io::Result<()> {
    let passed = suite.items.iter().filter(|item| item.outcome == Outcome::Pass).count();
    let not = suite.items.iter().filter(|item| !item.is_fine()).count();
    let open = if not > 0 { " open=\"\"" } else { "" };
    writeln!(
        out,
        "<details{open} class=\"suite\"><summary><b>{}</b> {passed} passed, {not} not</summary>",
        escaped(&suite.name)
    )?;
    writeln!(out, "<p>{}</p>\n<table>", escaped(&suite.title))?;
    for item in &suite.items {
        let details = item.details();
        let mut text = escaped(&item.summary);
        if !details.is_empty() {
            let open = if item.is_fine() { "" } else { " open=\"\"" };
            let details = escaped(&details.join("\n"));
            text += &format!("<details{open}><summary>details</summary><pre>{details}</pre></details>");
        }
        let (class, word, id) = (class(item), item.word(), escaped(&item.id));
        writeln!(out, "<tr><td class=\"{class}\">{word}</td><th scope=\"row\">{id}</th><td>{text}</td></tr>")?;
    }
    writeln!(out, "</table>")?;
    if !suite.log.is_empty() {
        writeln!(out, "<details><summary>log</summary><pre>{}</pre></details>", escaped(&suite.log))?;
    }
    writeln!(out, "</details>")
}

fn class(item: &Item) -> &'static str {
    match item.word() {
        "-" => "none",
        word => word,
    }
}
