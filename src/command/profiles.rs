//! `dindcheck profiles`: what is known of the engine versions.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};
use tabled::builder::Builder;
use tabled::settings::object::Columns;
use tabled::settings::{Alignment, Modify, Padding, Style};

use crate::cli::{PlainFormat, ProfilesCommand, Shown};
use crate::profile::{Entry, Profile, Profiles, lint, outers};
use crate::{exit, version::EngineVersion};

/// The width of a table that goes to no terminal. What is to be searched is better asked for as JSON.
const DEFAULT_WIDTH: usize = 160;
/// No column becomes narrower than this, however narrow the terminal is.
const NARROWEST: usize = 8;

/// Does it; gives the exit status.
///
/// # Errors
/// A profile's error for the user's mistakes, and what writing to `out` gives.
pub fn run(
    command: &ProfilesCommand,
    format: PlainFormat,
    profile_dir: Option<&Path>,
    out: &mut dyn Write,
) -> anyhow::Result<u8> {
    match command {
        ProfilesCommand::List => list(&Profiles::load(profile_dir)?, format, out)?,
        ProfilesCommand::Show { of: Shown::Outer(id) } => show_outer(id, format, out)?,
        ProfilesCommand::Show { of: Shown::Version(version) } => {
            let profiles = Profiles::load(profile_dir)?;
            show(&profiles.resolve(version)?, note(&profiles, version).as_deref(), format, out)?;
        }
        ProfilesCommand::Diff { from, to } => {
            let profiles = Profiles::load(profile_dir)?;
            let notes: Vec<String> = [from, to].iter().filter_map(|version| note(&profiles, version)).collect();
            diff(&profiles.resolve(from)?, &profiles.resolve(to)?, &notes, format, out)?;
        }
        ProfilesCommand::Lint { files } => return Ok(report_problems(files, profile_dir, format, out)?),
    }
    Ok(exit::OK)
}

/// What to say of a version for which another one's profile stands in.
fn note(profiles: &Profiles, version: &EngineVersion) -> Option<String> {
    let newest = profiles.newest();
    profiles
        .is_beyond(version)
        .then(|| format!("{version} is newer than the newest profile, so this is what is known of {newest}"))
}

fn list(profiles: &Profiles, format: PlainFormat, out: &mut dyn Write) -> io::Result<()> {
    let rows = profiles.layers().map(|(file, layer)| {
        let keys: Vec<&str> = layer.entries(file).iter().map(|entry| entry.key).collect();
        (file, layer, keys)
    });
    match format {
        PlainFormat::Json => {
            let list: Vec<Json> = rows
                .map(|(file, layer, keys)| {
                    json!({
                        "since": layer.since, "file": file, "summary": layer.summary, "checked": layer.checked, "keys": keys
                    })
                })
                .collect();
            write_json(&Json::Array(list), out)
        }
        PlainFormat::Table => {
            let rows = rows.map(|(_, layer, keys)| {
                let checked = layer.checked.clone().unwrap_or_default();
                [layer.since.to_string(), keys.len().to_string(), checked, layer.summary.clone()]
            });
            write_table(["since", "keys", "checked", "what changed"], rows, out)
        }
    }
}

fn show(profile: &Profile, note: Option<&str>, format: PlainFormat, out: &mut dyn Write) -> io::Result<()> {
    match format {
        PlainFormat::Json => {
            let mut json = serde_json::to_value(profile)?;
            if let (Some(note), Json::Object(map)) = (note, &mut json) {
                map.insert("note".to_owned(), note.into());
            }
            write_json(&json, out)
        }
        PlainFormat::Table => {
            writeln!(out, "Docker {}, by {}", profile.version, profile.profile)?;
            if let Some(note) = note {
                writeln!(out, "note: {note}")?;
            }
            writeln!(out)?;
            let rows = profile
                .entries()
                .into_iter()
                .map(|entry| [entry.key.to_owned(), human(&entry.value), short(&entry.from).to_owned(), entry.source]);
            write_table(["key", "value", "from", "source"], rows, out)
        }
    }
}

/// The profile of an outer engine, as its file has it.
fn show_outer(id: &str, format: PlainFormat, out: &mut dyn Write) -> anyhow::Result<()> {
    let outer = outers()?.into_iter().find(|outer| outer.id == id);
    let outer = outer.ok_or_else(|| anyhow::anyhow!("there is no outer engine {id}"))?;
    if format == PlainFormat::Json {
        return Ok(write_json(&serde_json::to_value(outer)?, out)?);
    }
    writeln!(out, "{}\n", outer.title)?;
    let mut rows = Vec::new();
    if let Json::Object(gives) = serde_json::to_value(&outer.gives)? {
        let values = gives.iter().filter(|(name, _)| *name != "source");
        rows.extend(values.map(|(name, value)| [format!("gives.{name}"), human(value), outer.gives.source.clone()]));
    }
    rows.push(["seen.run".to_owned(), outer.seen.run, outer.seen.source]);
    rows.extend(outer.marks.into_iter().map(|mark| {
        let conditions: Vec<String> = mark.all.iter().map(ToString::to_string).collect();
        ["mark".to_owned(), conditions.join("\n"), mark.source]
    }));
    rows.extend(outer.remedies.into_iter().map(|remedy| {
        let about = remedy.check.clone().or_else(|| remedy.subject.map(|subject| subject.name())).unwrap_or_default();
        [format!("remedy of {about}"), remedy.change, String::new()]
    }));
    Ok(write_table(["key", "value", "source"], rows.into_iter(), out)?)
}

fn diff(from: &Profile, to: &Profile, notes: &[String], format: PlainFormat, out: &mut dyn Write) -> io::Result<()> {
    let changes: Vec<(Entry, Entry)> =
        from.entries().into_iter().zip(to.entries()).filter(|(old, new)| old.value != new.value).collect();
    match format {
        PlainFormat::Json => {
            let changes: BTreeMap<&str, Json> =
                changes.iter().map(|(old, new)| (old.key, json!({ "from": side(old), "to": side(new) }))).collect();
            let mut json = json!({ "from": from.version, "to": to.version, "changes": changes });
            if let (false, Json::Object(map)) = (notes.is_empty(), &mut json) {
                map.insert("notes".to_owned(), json!(notes));
            }
            write_json(&json, out)
        }
        PlainFormat::Table => {
            for note in notes {
                writeln!(out, "note: {note}")?;
            }
            if changes.is_empty() {
                return writeln!(out, "Nothing changes for nesting from {} to {}.", from.version, to.version);
            }
            let rows = changes
                .into_iter()
                .map(|(old, new)| [old.key.to_owned(), human(&old.value), human(&new.value), new.source]);
            let (old, new) = (from.version.to_string(), to.version.to_string());
            write_table(["key", &old, &new, "source"], rows, out)
        }
    }
}

fn side(entry: &Entry) -> Json {
    json!({ "value": entry.value, "from": entry.from, "source": entry.source })
}

/// A list of files is judged as a whole, so broken ones are problems to print, not an error.
fn report_problems(
    files: &[PathBuf],
    profile_dir: Option<&Path>,
    format: PlainFormat,
    out: &mut dyn Write,
) -> io::Result<u8> {
    let problems = lint(files, profile_dir);
    match format {
        PlainFormat::Json => {
            let list: Vec<Json> = problems
                .iter()
                .map(|problem| {
                    let (line, column) = problem.position.unzip();
                    json!({ "file": problem.file, "line": line, "column": column, "message": problem.message })
                })
                .collect();
            write_json(&json!({ "problems": list }), out)?;
        }
        PlainFormat::Table => {
            for problem in &problems {
                writeln!(out, "{problem}")?;
            }
            match problems.len() {
                0 => writeln!(out, "No problems.")?,
                1 => writeln!(out, "1 problem.")?,
                count => writeln!(out, "{count} problems.")?,
            }
        }
    }
    Ok(if problems.is_empty() { exit::OK } else { exit::USAGE })
}

/// A value for people: lists without brackets, one structure a line.
fn human(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Array(items) if items.is_empty() => "(none)".to_owned(),
        Json::Array(items) => {
            // What contains spaces would run together on one line.
            let items: Vec<String> = items.iter().map(human).collect();
            let separator = if items.iter().any(|item| item.contains(' ')) { "\n" } else { ", " };
            items.join(separator)
        }
        Json::Object(fields) => {
            fields.iter().map(|(name, value)| format!("{name}: {}", human(value))).collect::<Vec<_>>().join("; ")
        }
        other => other.to_string(),
    }
}

/// The file's name without what all share.
fn short(file: &str) -> &str {
    file.strip_prefix("profiles/docker/").unwrap_or(file)
}

fn write_json(json: &Json, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, json)?;
    writeln!(out)
}

fn write_table<const N: usize>(
    head: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut rows: Vec<[String; N]> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
    let width = terminal_size::terminal_size().map_or(DEFAULT_WIDTH, |(width, _)| usize::from(width.0));
    let widths = widths(&rows, width);
    for row in &mut rows {
        for (cell, width) in row.iter_mut().zip(widths) {
            *cell = wrapped(cell, width);
        }
    }
    let mut table = Builder::from_iter(rows).build();
    table
        .with(Style::blank())
        .with(Alignment::left())
        .with(Modify::new(Columns::first()).with(Padding::new(0, 1, 0, 0)));
    for line in table.to_string().lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// The widths of columns that fit into a line together: the widest give way first.
fn widths<const N: usize>(rows: &[[String; N]], width: usize) -> [usize; N] {
    let natural = |column: usize| {
        let cells = rows.iter().flat_map(|row| row[column].lines());
        cells.map(textwrap::core::display_width).max().unwrap_or_default()
    };
    let mut widths = std::array::from_fn(natural);
    // Between two columns are two spaces, and one is before the second.
    let room = width.saturating_sub(2 * N).max(NARROWEST * N);
    while widths.iter().sum::<usize>() > room
        && let Some(widest) = widths.iter_mut().max()
    {
        *widest -= 1;
    }
    widths
}

/// A cell in lines of a width; what its own lines are broken into is indented, where there are several.
fn wrapped(cell: &str, width: usize) -> String {
    let indent = if cell.contains('\n') { "  " } else { "" };
    let options = textwrap::Options::new(width.max(NARROWEST))
        .subsequent_indent(indent)
        .word_separator(textwrap::WordSeparator::AsciiSpace)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    cell.lines().map(|line| textwrap::fill(line, &options)).collect::<Vec<_>>().join("\n")
}
