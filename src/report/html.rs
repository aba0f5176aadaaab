//! The report as one page that needs nothing else: its script, for copying and searching, and its style are in it, and
//! without the script all of it can be read. It is well-formed XML too, so that anything can read it.

mod causes;
mod times;

use std::io::{self, Write};

use causes::Cards;

use super::document::{Document, Item, Suite};
pub use super::markup::escaped;
use crate::finding::Outcome;

const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");

/// Writes the page: the verdict, what is wrong by its root, what to paste, the matrix of what is not a pass, the time line
/// of each place, and then each place.
///
/// # Errors
/// What the write gave.
pub fn write(document: &Document, out: &mut dyn Write) -> io::Result<()> {
    let title = escaped(&document.title);
    let class = if document.exit_status == 0 { "pass" } else { "blocking" };
    writeln!(out, "{}<body>\n<main>\n<h1>{title}</h1>", head(&title))?;
    let sentence = match document.verdict.as_str() {
        "" => format!("exit status {}", document.exit_status),
        sentence => sentence.trim_start_matches("dindcheck: ").to_owned(),
    };
    writeln!(out, "<p class=\"verdict {class}\">{}</p>", escaped(&sentence))?;
    let cards = Cards::of(document);
    cards.write("What is wrong, and why", false, out)?;
    if !document.cure.is_empty() {
        writeln!(out, "<h2>What to do</h2>")?;
    }
    for (place, lines) in &document.cure {
        writeln!(out, "<h3>{}</h3>", escaped(place))?;
        write_paste(&lines.join("\n"), out)?;
    }
    cards.write("Worth knowing", true, out)?;
    if document.suites.len() > 1 {
        write_matrix(document, out)?;
    }
    times::write(document, out)?;
    writeln!(out, "<h2>All that was looked at</h2>")?;
    for suite in &document.suites {
        write_suite(suite, out)?;
    }
    writeln!(out, "</main>\n<script>\n//<![CDATA[\n{SCRIPT}//]]>\n</script>\n</body>\n</html>")
}

/// What a page in our style begins with, up to its body; `title` is escaped already.
pub fn head(title: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<title>{title}</title>\n<style>\n{STYLE}</style>\n\
         </head>\n"
    )
}

/// Lines that the script gives a button to copy.
fn write_paste(lines: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<div class=\"paste\"><pre tabindex=\"0\">{}</pre></div>", escaped(lines))
}

/// Rows: what is not a pass somewhere. Columns: the places.
fn write_matrix(document: &Document, out: &mut dyn Write) -> io::Result<()> {
    let mut head = String::new();
    for suite in &document.suites {
        head += &format!("<th scope=\"col\" title=\"{}\">{}</th>", escaped(&suite.title), escaped(&suite.name));
    }
    writeln!(
        out,
        "<h2>Matrix</h2>\n<div class=\"wide\" tabindex=\"0\"><table id=\"matrix\">\n\
         <thead><tr><td></td>{head}</tr></thead>\n<tbody>"
    )?;
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
    writeln!(out, "</tbody>\n</table></div>")
}

fn write_suite(suite: &Suite, out: &mut dyn Write) -> io::Result<()> {
    let passed = suite.items.iter().filter(|item| item.outcome == Outcome::Pass).count();
    let not = suite.items.iter().filter(|item| !item.is_fine()).count();
    let open = if not > 0 { " open=\"\"" } else { "" };
    writeln!(
        out,
        "<details{open} class=\"suite\"><summary><b>{}</b>: {passed} passed, {not} not</summary>",
        escaped(&suite.name)
    )?;
    writeln!(out, "<p>{}</p>\n<table>", escaped(&suite.title))?;
    // What is wrong comes first.
    let (fine, wrong): (Vec<&Item>, Vec<&Item>) = suite.items.iter().partition(|item| item.is_fine());
    for item in wrong.into_iter().chain(fine) {
        let details = item.details();
        let mut text = escaped(&item.summary);
        if !details.is_empty() {
            let details = escaped(&details.join("\n"));
            text += &format!("<details><summary>details</summary><pre tabindex=\"0\">{details}</pre></details>");
        }
        let (class, word, id) = (class(item), item.word(), escaped(&item.id));
        writeln!(out, "<tr><td class=\"{class}\">{word}</td><th scope=\"row\">{id}</th><td>{text}</td></tr>")?;
    }
    writeln!(out, "</table>")?;
    if !suite.log.is_empty() {
        let log = escaped(&suite.log);
        writeln!(
            out,
            "<details class=\"log\"><summary>log of {}</summary><pre tabindex=\"0\">{log}</pre></details>",
            escaped(&suite.name)
        )?;
    }
    writeln!(out, "</details>")
}

fn class(item: &Item) -> &'static str {
    match item.word() {
        "-" => "none",
        word => word,
    }
}
