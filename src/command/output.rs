//! Where a report goes, and how it looks there.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::path::Path;

use anyhow::Context as _;

use crate::cli::{ColorWhen, Format, OutputArgs, PlainFormat};
use crate::command::Misuse;
use crate::foreign::{Filtered, Form};
use crate::report::document::Document;
use crate::report::table::Layout;
use crate::report::{Report, github, html, json, junit, prometheus, sarif, table};

/// The width of a table that goes to no terminal.
const DEFAULT_WIDTH: usize = 80;

/// Opens what the answer goes to: a file, or standard output. What is foreign in it is filtered as its form wants it.
pub(super) fn open(file: Option<&Path>, form: Form) -> anyhow::Result<Box<dyn Write>> {
    Ok(match file {
        None => Box::new(Filtered::new(form, io::stdout().lock())),
        Some(path) => {
            let file = File::create(path);
            let file = file.map_err(|error| Misuse(format!("cannot write {}: {error}", path.display())))?;
            Box::new(Filtered::new(form, file))
        }
    })
}

/// The form of an answer that is plain text, or JSON.
pub(super) fn plain(format: PlainFormat) -> Form {
    if format == PlainFormat::Json { Form::Json } else { Form::Text }
}

/// The form of a report.
pub(super) fn form(format: Format) -> Form {
    if matches!(format, Format::Json | Format::Sarif) { Form::Json } else { Form::Own }
}

/// Where a report for people goes, if it is not for a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sink {
    /// It is what was asked for.
    Stdout,
    /// Standard output belongs to another program.
    Stderr,
}

/// Writes a report in the form that was asked for. What is for machines goes to standard output in any case.
pub(super) fn emit(report: &Report, args: &OutputArgs, sink: Sink) -> anyhow::Result<()> {
    if let (Some(seal), Format::Json) = (&args.seal, args.format) {
        let mut text = Vec::new();
        json::write(report, &mut Filtered::new(Form::Json, &mut text))?;
        let mut out = io::stdout().lock();
        out.write_all(seal.seal(&String::from_utf8_lossy(&text)).as_bytes())?;
        return out.flush().context("cannot write the report");
    }
    let is_aside = sink == Sink::Stderr && args.format == Format::Table && args.output.is_none();
    let mut out = if is_aside {
        Box::new(Filtered::new(Form::Own, io::stderr().lock()))
    } else {
        open(args.output.as_deref(), form(args.format))?
    };
    match args.format {
        Format::Json => json::write(report, &mut out)?,
        Format::Table => table::write(report, layout_of(args, is_aside), &mut out)?,
        format => write_document(&Document::from(report), format, &mut out)?,
    }
    out.flush().context("cannot write the report")
}

/// Writes a document in one of the forms that know no more than that.
pub(super) fn write_document(document: &Document, format: Format, out: &mut dyn Write) -> anyhow::Result<()> {
    let document = &document.visible();
    match format {
        Format::Table | Format::Json => {}
        Format::Junit => junit::write(document, out)?,
        Format::Sarif => sarif::write(document, out)?,
        Format::Prometheus => prometheus::write(document, out)?,
        Format::Html => html::write(document, out)?,
        Format::Github => {
            github::write(document, out)?;
            if let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) {
                let summary = File::options().append(true).create(true).open(&path);
                summary
                    .and_then(|file| {
                        let mut file = Filtered::new(Form::Own, file);
                        github::write_summary(document, &mut file)?;
                        file.flush()
                    })
                    .with_context(|| format!("cannot write {}", path.display()))?;
            }
        }
    }
    Ok(())
}

pub(super) fn layout(args: &OutputArgs) -> Layout {
    layout_of(args, false)
}

fn layout_of(args: &OutputArgs, is_aside: bool) -> Layout {
    let is_terminal = if is_aside { io::stderr().is_terminal() } else { io::stdout().is_terminal() };
    let terminal = args.output.is_none() && is_terminal;
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    Layout {
        color: match args.color {
            ColorWhen::Auto => terminal && !plain,
            ColorWhen::Always => true,
            ColorWhen::Never => false,
        },
        verbose: args.verbose,
        quiet: args.quiet,
        width: terminal_size::terminal_size()
            .filter(|_| terminal)
            .map_or(DEFAULT_WIDTH, |(width, _)| usize::from(width.0)),
        is_aside,
    }
}
