//! The report for people: what is wrong by its root, what to do about all of it, the verdict; or all there is.

use std::io::{self, Write};

use tabled::builder::Builder;
use tabled::settings::object::{Cell, Columns};
use tabled::settings::{Color, Modify, Padding, Style};

use super::digest::{self, Digest, Group, HELD};
use super::document::{Document, Item, Suite};
use super::remedy;
use super::{Launch, Report};
use crate::exit;
use crate::finding::{Evidence, Finding, Outcome, Severity};
use crate::fix::apply::{Applied, Result as FixResult};
use crate::foreign;
use crate::process::level::Level;
use crate::profile::outers;
use crate::verification::Scenario;

/// How the table looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Whether escapes for colour are written.
    pub color: bool,
    /// Everything, with its evidence.
    pub verbose: bool,
    /// Only what is not a pass.
    pub quiet: bool,
    /// The width to wrap at, in columns.
    pub width: usize,
    /// Whether it goes to standard error, where each line has the mark of its level.
    pub is_aside: bool,
}

impl Layout {
    /// Writes lines of one level.
    fn put(self, level: Level, text: &str, out: &mut dyn Write) -> io::Result<()> {
        let mark = if self.is_aside { level.mark() } else { "" };
        text.split('\n').try_for_each(|line| writeln!(out, "{mark}{line}"))
    }
}

/// The least width that is still readable.
const MIN_WIDTH: usize = 60;
/// The width of the first column's words.
const MARK_WIDTH: usize = 4;
/// As wide as the words before evidence and remedy.
const HANGING: &str = "        ";

/// Writes the report: in short, or with `verbose` all of it; what to do about it, and the verdict last.
///
/// # Errors
/// What the write gave.
pub fn write(report: &Report, layout: Layout, out: &mut dyn Write) -> io::Result<()> {
    let document = Document::from(report).visible();
    let items = document.suites.first().map(|suite| suite.items.as_slice()).unwrap_or_default();
    let engines: Vec<String> = outers().into_iter().flatten().map(|outer| outer.title).collect();
    let digest = Digest::new(report, items, &engines);
    writeln!(out, "{}", foreign::text(&wrap_hanging(&document.title, layout.width.max(MIN_WIDTH))))?;
    if layout.verbose {
        write_all(report, layout, out)?
    } else {
        write_digest(&digest, layout, out)?
    }
    let blocks = digest.cure.blocks();
    if !blocks.is_empty() {
        writeln!(out)?;
    }
    remedy::write_blocks(&blocks, out)?;
    writeln!(out)?;
    let level = if report.exit_status == exit::OK { Level::Info } else { Level::Error };
    layout.put(level, &foreign::line(&digest.verdict), out)
}

/// How many of the failures of one root are shown.
const SHOWN: usize = 4;

fn write_digest(digest: &Digest<'_>, layout: Layout, out: &mut dyn Write) -> io::Result<()> {
    let width = layout.width.max(MIN_WIDTH);
    let is_well = digest.groups.is_empty();
    let mut level = Level::Info;
    let mut lines: Vec<(Option<Mark>, String)> = vec![(None, String::new())];
    if layout.quiet {
        lines.clear();
    } else if is_well {
        let names = digest.passed.iter().map(|(family, _)| family.len()).max().unwrap_or_default();
        lines.extend(digest.passed.iter().map(|(family, count)| (None, format!("{family:names$}  {count} pass"))));
    } else if !digest.passed.is_empty() {
        let families: Vec<String> =
            digest.passed.iter().map(|(family, count)| format!("{family}{HELD}{count}")).collect();
        lines.push((Some(Mark::Pass), families.join(", ")));
    }
    lines.extend(
        digest
            .mended
            .iter()
            .map(|item| (Some(Mark::Fixed), format!("{}  {}", item.id.trim_start_matches("fix."), item.summary))),
    );
    if is_well && !layout.quiet {
        lines.extend(digest.notes.iter().map(|item| (Some(Mark::Info), format!("{}  {}", item.id, item.summary))));
    } else if !digest.notes.is_empty() && !layout.quiet {
        let ids: Vec<&str> = digest.notes.iter().map(|item| item.id.as_str()).collect();
        lines.push((Some(Mark::Info), format!("{} (-v tells more)", ids.join(", "))));
    }
    for (reason, items) in &digest.untold {
        lines.push((Some(Mark::Unknown), format!("cannot be told, {}: {reason}", digest::by_family(items))));
    }
    for group in &digest.groups {
        lines.push((None, String::new()));
        let head = format!("{}  {}", group.id, group.title);
        lines.push((Some(Mark::new(Outcome::Fail, group.severity)), head));
        lines.extend(group_lines(group, width).into_iter().map(|line| (None, format!("{INDENT}{line}"))));
    }
    for (mark, text) in lines {
        let word = mark.map(Mark::word).unwrap_or_default();
        let text = if word.is_empty() { text } else { format!("{word}  {text}") };
        let text = foreign::text(&wrap_hanging(&text, width));
        let rest = text.strip_prefix(word).unwrap_or(&text).trim_end();
        let painted = mark.filter(|_| layout.color).map(|mark| mark.color().colorize(word));
        // What hangs below a mark is as grave as it is.
        level = mark.map_or(level, Mark::level);
        layout.put(level, &format!("{}{rest}", painted.as_deref().unwrap_or(word)), out)?;
    }
    Ok(())
}

/// As wide as a mark and the blanks behind it.
const INDENT: &str = "      ";

/// What stands below the first line of a group.
fn group_lines(group: &Group<'_>, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let own = group.failed.first().filter(|item| item.id == group.id);
    if let Some(seen) = own.and_then(|item| item.evidence.first()) {
        let wanted = seen.wanted.as_ref().map(|wanted| format!(" (wanted: {wanted})")).unwrap_or_default();
        let seen = format!("saw  {}: {}{wanted}", seen.location, seen.value);
        // One line of what may be a page: -v has it.
        let room = 2 * width.saturating_sub(INDENT.len() + 1);
        let text = foreign::line(&seen);
        lines.push(if text.chars().count() > room {
            text.chars().take(room.saturating_sub(1)).collect::<String>() + "…"
        } else {
            text
        });
    }
    let others: Vec<&&Item> = group.failed.iter().filter(|item| item.id != group.id).collect();
    for item in others.iter().take(SHOWN) {
        let severity = match item.severity {
            Severity::Blocking => "",
            Severity::Warning => " (warning)",
            Severity::Info => " (note)",
        };
        lines.push(format!("- {}: {}{severity}", item.id, item.summary));
    }
    match others.get(SHOWN..).unwrap_or_default() {
        [] => {}
        [one] => lines.push(format!("- {}", one.id)),
        more => {
            let items: Vec<&Item> = more.iter().map(|item| **item).collect();
            lines.push(format!("- {} more: {}", items.len(), digest::by_family(&items)));
        }
    }
    if !group.untold.is_empty() {
        let count = group.untold.len();
        lines.push(format!("- {count} cannot be told because of it: {}", digest::by_family(&group.untold)));
    }
    lines.extend(group.why.iter().map(|why| format!("why  {}", foreign::line(why))));
    lines.extend(group.words.iter().take(1).map(|words| format!("do   {words}")));
    lines
}

/// Wraps a line; what follows hangs below the text behind its mark.
fn wrap_hanging(text: &str, width: usize) -> String {
    let indent = match text.len() - text.trim_start().len() {
        0 => INDENT.to_owned(),
        blanks if text.trim_start().starts_with("- ") => " ".repeat(blanks + 2),
        blanks => " ".repeat(blanks + 5),
    };
    textwrap::wrap(
        text,
        textwrap::Options::new(width)
            .subsequent_indent(&indent)
            .word_separator(textwrap::WordSeparator::AsciiSpace)
            .word_splitter(textwrap::WordSplitter::NoHyphenation),
    )
    .join("\n")
    .replace(HELD, " ")
}

/// All rows.
fn write_all(report: &Report, layout: Layout, out: &mut dyn Write) -> io::Result<()> {
    let mut rows: Vec<Row> = Vec::new();
    for finding in &report.findings {
        rows.push(Row { mark: Mark::of(finding), name: finding.id.to_owned(), text: finding_text(finding) });
    }
    rows.extend(report.fixes.iter().map(fix_row));
    rows.extend(report.launch.iter().map(launch_row));
    let scenarios = report.verification.iter().flat_map(|verification| &verification.scenarios);
    rows.extend(scenarios.map(scenario_row));
    write_rows(&rows, layout, out)
}

/// Writes a document of several suites: what is in the first one, the matrix of the others, and what is behind it.
///
/// # Errors
/// What the write gave.
pub fn write_document(document: &Document, layout: Layout, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", foreign::defused(&document.title))?;
    let shown = |item: &&Item| !(item.is_fine() && layout.quiet);
    let first = document.suites.first().map(|suite| suite.items.as_slice()).unwrap_or_default();
    write_rows(
        &first.iter().filter(shown).map(|item| item_row(item, layout.verbose)).collect::<Vec<_>>(),
        layout,
        out,
    )?;
    let cells = document.suites.get(1..).unwrap_or_default();
    if !cells.is_empty() {
        write_matrix(document, cells, layout, out)?;
        let mut rows: Vec<Row> = Vec::new();
        for suite in cells {
            for item in suite.items.iter().filter(|item| !item.is_fine()) {
                let row = item_row(item, layout.verbose);
                // What is the same in several cells is reported once.
                if !rows.iter().any(|other| other.name == row.name && other.text == row.text) {
                    rows.push(row);
                }
            }
        }
        write_rows(&rows, layout, out)?;
    }
    writeln!(out, "{}", foreign::line(&document.verdict))
}

/// Rows: what is not a pass somewhere, and the time. Columns: the cells.
fn write_matrix(document: &Document, cells: &[Suite], layout: Layout, out: &mut dyn Write) -> io::Result<()> {
    let mut builder = Builder::default();
    builder.push_record(std::iter::once("").chain(cells.iter().map(|cell| cell.name.as_str())));
    let in_cells =
        |id: &&str| cells.iter().any(|cell| cell.items.iter().any(|item| item.id == **id && !item.is_fine()));
    let notable: Vec<&str> = document.notable().into_iter().filter(in_cells).collect();
    for id in &notable {
        let words = cells.iter().map(|cell| {
            cell.items
                .iter()
                .find(|item| item.id == **id)
                .map_or("", |item| Mark::new(item.outcome, item.severity).word())
        });
        builder.push_record(std::iter::once(*id).chain(words));
    }
    let verdicts: Vec<Mark> = cells
        .iter()
        .map(|cell| if cell.items.iter().any(|item| item.blocks(document.strict)) { Mark::Block } else { Mark::Pass })
        .collect();
    builder.push_record(std::iter::once("verdict").chain(verdicts.iter().map(|mark| mark.word())));
    let times: Vec<String> = cells
        .iter()
        .map(|cell| cell.spans.iter().map(|span| span.from_ms + span.ms).max().unwrap_or_default())
        .zip(cells.iter().map(|cell| cell.spans.iter().map(|span| span.from_ms).min().unwrap_or_default()))
        .map(|(end, begin)| {
            format!("{:.1} s", std::time::Duration::from_millis(end.saturating_sub(begin)).as_secs_f32())
        })
        .collect();
    builder.push_record(std::iter::once("time").chain(times.iter().map(String::as_str)));
    let mut table = builder.build();
    table.with(Style::empty()).with(Modify::new(Columns::new(0..)).with(Padding::new(1, 1, 0, 0)));
    if layout.color {
        for (column, mark) in verdicts.iter().enumerate() {
            table.with(Modify::new(Cell::new(notable.len() + 1, column + 1)).with(mark.color()));
        }
    }
    for line in table.to_string().lines() {
        writeln!(out, "{}", foreign::defused(line.trim_end()))?;
    }
    Ok(())
}

fn item_row(item: &Item, verbose: bool) -> Row {
    let mut lines = vec![item.summary.clone()];
    if verbose || !item.is_fine() {
        lines.extend(detail_lines(&item.evidence, item.cause.as_ref(), &item.remedy));
        lines.extend(item.source.iter().map(|source| format!("source  {source}")));
    }
    Row { mark: Mark::new(item.outcome, item.severity), name: item.id.clone(), text: lines.join("\n") }
}

fn detail_lines(evidence: &[Evidence], cause: Option<&String>, remedy: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = evidence.iter().flat_map(evidence_lines).collect();
    lines.extend(cause.iter().map(|cause| format!("why     {cause}")));
    lines.extend(remedy.iter().map(|remedy| format!("do      {remedy}")));
    lines
}

pub(super) fn headline(report: &Report) -> String {
    let kernel = report.host.kernel.as_deref().unwrap_or("unknown");
    let around = match (&report.outer.engine, report.outer.in_container) {
        (Some(engine), _) => format!("in a {engine} container"),
        (None, true) => "in a container".to_owned(),
        (None, false) => "outside of any container".to_owned(),
    };
    format!("dindcheck {}: Docker {} {around}, kernel {kernel}", report.dindcheck.version, report.inner.version)
}

struct Row {
    mark: Mark,
    name: String,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Pass,
    Block,
    Warn,
    Info,
    Unknown,
    Nothing,
    Fixed,
}

impl Mark {
    fn of(finding: &Finding) -> Self {
        Self::new(finding.outcome, finding.severity)
    }

    const fn new(outcome: Outcome, severity: Severity) -> Self {
        match (outcome, severity) {
            (Outcome::Pass, _) => Self::Pass,
            (Outcome::Fail, Severity::Blocking) => Self::Block,
            (Outcome::Fail, Severity::Warning) => Self::Warn,
            (Outcome::Fail, Severity::Info) => Self::Info,
            (Outcome::Unknown, _) => Self::Unknown,
            (Outcome::NotApplicable, _) => Self::Nothing,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Block => "FAIL",
            Self::Warn => "warn",
            Self::Info => "note",
            Self::Unknown => "????",
            Self::Nothing => "-",
            Self::Fixed => "mend",
        }
    }

    const fn level(self) -> Level {
        match self {
            Self::Block => Level::Error,
            Self::Warn | Self::Unknown => Level::Warning,
            Self::Pass | Self::Info | Self::Nothing | Self::Fixed => Level::Info,
        }
    }

    const fn color(self) -> Color {
        match self {
            Self::Pass | Self::Fixed => Color::FG_GREEN,
            Self::Block => Color::FG_RED,
            Self::Warn | Self::Unknown => Color::FG_YELLOW,
            Self::Info => Color::FG_CYAN,
            Self::Nothing => Color::FG_BRIGHT_BLACK,
        }
    }
}

fn finding_text(finding: &Finding) -> String {
    let mut lines = vec![foreign::line(&finding.summary)];
    lines.extend(finding.because_of.iter().map(|root| format!("because of {root}")));
    lines.extend(detail_lines(&finding.evidence, finding.cause.as_ref(), &finding.remedy));
    lines.extend(finding.fix.iter().map(|fix| format!("--fix   {fix}")));
    lines.extend(finding.source.iter().map(|source| format!("source  {source}")));
    lines.join("\n")
}

fn evidence_lines(evidence: &Evidence) -> Vec<String> {
    let mut lines = vec![format!("saw     {}: {}", foreign::line(&evidence.location), evidence.value)];
    lines.extend(evidence.wanted.iter().map(|wanted| format!("wanted  {wanted}")));
    lines
}

fn fix_row(applied: &Applied) -> Row {
    let (mark, text) = match &applied.result {
        FixResult::Done => {
            let refused = applied.refused.iter().map(|error| format!("\nrefused {error}")).collect::<String>();
            (Mark::Fixed, format!("{}{refused}", applied.fix.title))
        }
        FixResult::NotAllowed => (
            Mark::Warn,
            format!("not done: {} touches the host; allow it with --allow-host-changes", applied.fix.title),
        ),
        FixResult::TakenBack { error } => {
            (Mark::Block, format!("{}: {error}\nwhat it had done was undone", applied.fix.title))
        }
        FixResult::Stuck { error, left } => {
            (Mark::Block, format!("{}: {error}\nand could not be undone: {}", applied.fix.title, left.join("; ")))
        }
    };
    Row { mark, name: applied.fix.check.to_owned(), text }
}

fn launch_row(launch: &Launch) -> Row {
    let daemon = launch.daemon();
    match (&launch.failure, launch.ready_ms) {
        (Some(failure), _) => {
            let mut lines = vec![failure.summary.clone()];
            if let Some(first) = &failure.first_error {
                lines.push(format!("saw     line {} of its log: {}", first.line, first.text.line()));
            }
            if let Some(cause) = &failure.cause {
                lines.push(format!("why     {} [{}]: {}", cause.title, cause.id, cause.why));
                lines.push(format!("do      {}", cause.remedy));
            }
            lines.push(format!("daemon  {daemon}"));
            Row { mark: Mark::Block, name: "launch".to_owned(), text: lines.join("\n") }
        }
        (None, ready) => {
            let ready = ready.map_or_else(|| "not waited for".to_owned(), |ms| format!("answered after {ms} ms"));
            let api = launch.api.as_deref().map(|api| format!(", API {api}")).unwrap_or_default();
            Row { mark: Mark::Pass, name: "launch".to_owned(), text: format!("{daemon}: {ready}{api}") }
        }
    }
}

fn scenario_row(scenario: &Scenario) -> Row {
    let mut lines = vec![match scenario.outcome {
        Outcome::Pass | Outcome::Fail => format!("{} ({} ms)", scenario.summary, scenario.ms),
        Outcome::Unknown | Outcome::NotApplicable => scenario.summary.clone(),
    }];
    lines.extend(detail_lines(&scenario.evidence, scenario.cause.as_ref(), &scenario.remedy));
    let mark = Mark::new(scenario.outcome, scenario.severity);
    Row { mark, name: format!("verification.{}", scenario.id), text: lines.join("\n") }
}

fn write_rows(rows: &[Row], layout: Layout, out: &mut dyn Write) -> io::Result<()> {
    // The first two columns with their padding take this much; the text gets the rest.
    let names = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or_default();
    let width = layout.width.max(MIN_WIDTH).saturating_sub(names + MARK_WIDTH + 2 * 2).max(MIN_WIDTH / 2);
    let mut builder = Builder::default();
    let mut heights = Vec::new();
    for row in rows {
        let text = wrap(&foreign::text(&row.text.replace('\t', " ")), width);
        heights.push(text.lines().count().max(1));
        builder.push_record([row.mark.word(), &foreign::line(&row.name), &text]);
    }
    let mut table = builder.build();
    table.with(Style::empty()).with(Modify::new(Columns::new(0..)).with(Padding::new(1, 1, 0, 0)));
    if layout.color {
        for (index, row) in rows.iter().enumerate() {
            table.with(Modify::new(Cell::new(index, 0)).with(row.mark.color()));
        }
    }
    // A row is as many lines as its longest cell, which is the last one: the others are one line.
    let text = table.to_string();
    let mut lines = text.lines();
    for (row, cells) in rows.iter().zip(&heights) {
        for line in lines.by_ref().take(*cells) {
            // The table pads each line to its full width.
            layout.put(row.mark.level(), &foreign::defused(line.trim_end()), out)?;
        }
    }
    lines.try_for_each(|line| layout.put(Level::Info, &foreign::defused(line.trim_end()), out))
}

/// Wraps each line by itself. What follows the first line, evidence and remedy, hangs under its text.
fn wrap(text: &str, width: usize) -> String {
    let wrapped = text.lines().enumerate().flat_map(|(index, line)| {
        let indent = if index == 0 { "" } else { HANGING };
        textwrap::wrap(line, textwrap::Options::new(width).subsequent_indent(indent))
    });
    wrapped.collect::<Vec<_>>().join("\n")
}
