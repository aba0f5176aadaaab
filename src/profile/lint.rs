//! Everything that is wrong with profile files, at once.
//!
//! Reading them finds what is no profile at all. This finds what can be read and still makes no sense: a change that
//! changes nothing, a source that is not given, a file that is not called what it says it is.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use super::document::{Document, Problem};
use super::load::{LoadError, Profiles, parse, read_directory, read_file};
use super::outer::{self, Outer, Remedy, outers};
use super::schema::{Entry, Layer, Profile};
use crate::embedded;

/// One file, read.
struct File {
    name: String,
    text: String,
    layer: Layer,
}

/// Checks `files`, or the embedded ones and those of `directory` if there are none. Files are read as they would be
/// with `--profile-dir`: over the embedded ones.
pub fn lint(files: &[PathBuf], directory: Option<&Path>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut own = Vec::new();
    for path in files {
        match read_file(path) {
            Ok(file) => own.push(file),
            Err(problem) => problems.push(problem),
        }
    }
    if let Some(directory) = directory {
        match read_directory(directory) {
            Ok(found) => own.extend(found),
            Err(problem) => problems.push(problem),
        }
    }
    let built_in = embedded::files(embedded::DOCKER);
    let judged = if files.is_empty() && directory.is_none() {
        problems.extend(lint_outers(&embedded::files(embedded::OUTER)));
        lint_layers(&built_in, &[])
    } else {
        let (outers, layers): (Vec<_>, Vec<_>) = own.into_iter().partition(|(name, _)| is_outer(name));
        problems.extend(lint_outers(&outers));
        lint_layers(&layers, &built_in)
    };
    problems.extend(judged);
    problems
}

/// The two kinds of profiles are told apart by their directories, as in the source.
fn is_outer(name: &str) -> bool {
    Path::new(name).parent().and_then(Path::file_name).is_some_and(|directory| directory == "outer")
}

/// Judges files that lie over `below`.
fn lint_layers(files: &[(String, String)], below: &[(String, String)]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut read = Vec::new();
    for (name, text) in files {
        match parse(name, text) {
            Ok(layer) => read.push(File { name: name.clone(), text: text.clone(), layer }),
            Err(found) => problems.extend(found),
        }
    }
    for (index, file) in read.iter().enumerate() {
        problems.extend(lint_alone(file));
        if let Some(twin) = read[..index].iter().find(|other| other.layer.since == file.layer.since) {
            let message = format!("since: {} is that of {} already", file.layer.since, twin.name);
            problems.push(file.problem("since", message));
        }
    }
    // What lies below with the same version is replaced key by key, and so is not what a file inherits from.
    let mut layers: Vec<(String, Layer)> = below
        .iter()
        .filter_map(|(name, text)| Some((name.clone(), parse(name, text).ok()?)))
        .filter(|(_, layer)| read.iter().all(|file| file.layer.since != layer.since))
        .collect();
    layers.extend(read.iter().map(|file| (file.name.clone(), file.layer.clone())));
    layers.sort_by(|(_, a), (_, b)| a.since.cmp(&b.since));
    problems.extend(read.iter().flat_map(|file| lint_change(file, &layers)));
    match Profiles::from_layers(layers) {
        Ok(profiles) => problems.extend(read.iter().flat_map(|file| lint_merged(file, &profiles))),
        Err(LoadError::Broken(found)) => problems.extend(found),
        Err(error @ LoadError::TooOld { .. }) => {
            problems.extend(read.first().map(|f| f.problem("since", error.to_string())))
        }
    }
    problems
}

impl File {
    fn problem(&self, key: &str, message: impl Into<String>) -> Problem {
        Document::new(&self.name, &self.text).problem(key, message)
    }

    fn entries(&self) -> Vec<Entry> {
        self.layer.entries(&self.name)
    }
}

/// Whether a text is a day as YEAR-MONTH-DAY.
fn is_day(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let digits = |part: &&str| part.bytes().all(|b| b.is_ascii_digit());
    parts.iter().map(|part| part.len()).eq([4, 2, 2]) && parts.iter().all(digits)
}

/// What can be seen in one file.
fn lint_alone(file: &File) -> Vec<Problem> {
    let mut problems = Vec::new();
    let since = file.layer.since.to_string();
    let stem = Path::new(&file.name).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    if stem != since && since.strip_suffix(".0") != Some(stem) {
        let short = since.strip_suffix(".0").unwrap_or(&since);
        problems
            .push(file.problem("since", format!("since: a file of {since} is called {short}.yaml, not {stem}.yaml")));
    }
    if file.layer.summary.trim().is_empty() {
        problems.push(file.problem("summary", "summary: is empty; describe what changed, in a sentence"));
    }
    if let Some(day) = file.layer.checked.as_ref().filter(|day| !is_day(day)) {
        problems.push(file.problem("checked", format!("checked: `{day}` is no day such as 2026-11-28")));
    }
    let entries = file.entries();
    if entries.is_empty() {
        problems.push(file.problem("since", "changes nothing: no key is set"));
    }
    for entry in entries {
        if entry.source.trim().is_empty() {
            problems.push(file.problem(entry.key, format!("{}: the source is empty", entry.key)));
        }
        if let Json::Array(items) = &entry.value {
            for (index, item) in items.iter().enumerate() {
                if items[..index].contains(item) {
                    problems.push(file.problem(entry.key, format!("{}: {item} is in the list twice", entry.key)));
                }
                if item.as_str().is_some_and(|text| text.trim().is_empty()) {
                    problems.push(file.problem(entry.key, format!("{}: an empty text in the list", entry.key)));
                }
            }
        }
        if matches!(
            entry.key,
            "directories.required"
                | "directories.wanted"
                | "pidfiles"
                | "sockets"
                | "storage.directories"
                | "launch.config_files"
        ) {
            for path in entry.value.as_array().into_iter().flatten().filter_map(Json::as_str) {
                if !path.starts_with('/') {
                    problems.push(file.problem(entry.key, format!("{}: `{path}` is not an absolute path", entry.key)));
                }
            }
        }
    }
    problems
}

/// Values that are what they would be without the file.
fn lint_change(file: &File, layers: &[(String, Layer)]) -> Vec<Problem> {
    let earlier: Vec<Vec<Entry>> = layers
        .iter()
        .filter(|(_, layer)| layer.since < file.layer.since)
        .map(|(name, layer)| layer.entries(name))
        .collect();
    let mut problems = Vec::new();
    for entry in file.entries() {
        let inherited = earlier.iter().rev().find_map(|layer| layer.iter().find(|other| other.key == entry.key));
        if let Some(inherited) = inherited.filter(|inherited| inherited.value == entry.value) {
            let message = format!("{}: changes nothing: {} says the same already", entry.key, inherited.from);
            problems.push(file.problem(entry.key, message));
        }
    }
    problems
}

/// What only the whole profile shows.
fn lint_merged(file: &File, profiles: &Profiles) -> Vec<Problem> {
    let Ok(profile) = profiles.resolve(&file.layer.since) else { return Vec::new() };
    let mut problems = Vec::new();
    let mut wrong = |key: &str, message: String| problems.push(file.problem(key, format!("{key}: {message}")));
    if profile.api_min.value > profile.api_max.value {
        wrong("api.min", format!("{} is above api.max, {}", profile.api_min.value, profile.api_max.value));
    }
    let tables = &profile.netfilter_tables.value;
    for chain in &profile.netfilter_chains.value {
        if !chain.split_once('/').is_some_and(|(table, _)| tables.iter().any(|known| known == table)) {
            wrong("netfilter.chains", format!("`{chain}` is not one of netfilter.tables, a slash and a name"));
        }
    }
    for rule in &profile.netfilter_rules.value {
        let table = rule.strip_prefix("-t ").and_then(|rest| rest.split(' ').next());
        if !table.is_some_and(|table| tables.iter().any(|known| known == table)) {
            wrong("netfilter.rules", format!("`{rule}` does not begin with -t and one of netfilter.tables"));
        }
    }
    for driver in &profile.storage_priority.value {
        if !profile.storage_drivers.value.contains(driver) {
            wrong("storage.priority", format!("`{driver}` is not one of storage.drivers"));
        }
    }
    lint_pairings(&profile, &mut wrong);
    problems
}

fn lint_pairings(profile: &Profile, wrong: &mut impl FnMut(&str, String)) {
    let known = outers().unwrap_or_default();
    for pairing in &profile.runtime_bad_pairings.value {
        for id in &pairing.outer {
            if !known.iter().any(|outer| outer.id == *id) {
                wrong("runtime.bad_pairings", format!("`{id}` is no outer engine of profiles/outer"));
            }
        }
        if let (Some(from), Some(before)) = (&pairing.from, &pairing.before)
            && from >= before
        {
            wrong("runtime.bad_pairings", format!("from {from} to before {before} holds for no {}", pairing.program));
        }
    }
}

/// Judges files of outer engines.
fn lint_outers(files: &[(String, String)]) -> Vec<Problem> {
    let known: Vec<String> = outers().unwrap_or_default().into_iter().map(|outer| outer.id).collect();
    let mut problems = Vec::new();
    for (name, text) in files {
        match outer::parse(name, text) {
            Ok(outer) => problems.extend(lint_outer(&Document::new(name, text), name, &outer, &known)),
            Err(found) => problems.extend(found),
        }
    }
    problems
}

fn lint_outer(document: &Document<'_>, name: &str, outer: &Outer, known: &[String]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let stem = Path::new(name).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    if stem != outer.id {
        problems.push(document.problem("id", format!("id: `{}` is not the file's name, {stem}", outer.id)));
    }
    for id in &outer.beats {
        if !known.contains(id) {
            problems.push(document.problem("beats", format!("beats: `{id}` is no outer engine")));
        }
    }
    if outer.marks.is_empty() || outer.marks.iter().any(|mark| mark.all.is_empty()) {
        problems.push(document.problem("marks", "marks: at least one, and each with a condition"));
    }
    if outer.marks.iter().any(|mark| mark.source.trim().is_empty()) || outer.gives.source.trim().is_empty() {
        problems.push(document.problem("marks", "marks, gives: a source is empty"));
    }
    if !outer.seen.is_well_formed() || outer.seen.source.trim().is_empty() {
        problems
            .push(document.problem("seen", "seen: run is `never` or a month (2026-11), and its source is not empty"));
    }
    for (index, remedy) in outer.remedies.iter().enumerate() {
        let about = |remedy: &Remedy| (remedy.subject, remedy.check.clone());
        if outer.remedies[..index].iter().any(|other| about(other) == about(remedy)) {
            problems.push(document.problem("remedies", format!("remedies: {:?} is there twice", about(remedy))));
        }
        if remedy.subject.is_some() == remedy.check.is_some() {
            problems.push(document.problem("remedies", "remedies: each is about a subject or about a check"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, text: &str) -> Vec<String> {
        let files = [(name.to_owned(), text.to_owned())];
        lint_layers(&files, &embedded::files(embedded::DOCKER)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn our_own_files_are_clean() {
        let problems: Vec<String> = lint(&[], None).iter().map(ToString::to_string).collect();
        assert_eq!(problems, Vec::<String>::new());
    }

    #[test]
    fn a_new_engine_is_clean() {
        let text = "since: 30.0.0\nsummary: Made up.\napi.min:\n  value: \"1.44\"\n  source: a test\n";
        assert_eq!(found("30.0.yaml", text), Vec::<String>::new());
    }

    #[test]
    fn what_makes_no_sense_is_found_all_at_once() {
        let text = "\
since: 30.0.0
summary: ' '
api.max:
  value: \"1.55\"
  source: a test
api.min:
  value: \"1.60\"
  source: ''
sockets:
  value: [run/x, run/x]
  source: a test
netfilter.chains:
  value: [mangle/X]
  source: a test
storage.priority:
  value: [zfs2]
  source: a test
";
        assert_eq!(
            found("thirty.yaml", text),
            [
                "thirty.yaml:1:1: since: a file of 30.0.0 is called 30.0.yaml, not thirty.yaml",
                "thirty.yaml:2:1: summary: is empty; describe what changed, in a sentence",
                "thirty.yaml:6:1: api.min: the source is empty",
                "thirty.yaml:9:1: sockets: \"run/x\" is in the list twice",
                "thirty.yaml:9:1: sockets: `run/x` is not an absolute path",
                "thirty.yaml:9:1: sockets: `run/x` is not an absolute path",
                "thirty.yaml:3:1: api.max: changes nothing: profiles/docker/29.6.yaml says the same already",
                "thirty.yaml:6:1: api.min: 1.60 is above api.max, 1.55",
                "thirty.yaml:12:1: netfilter.chains: `mangle/X` is not one of netfilter.tables, a slash and a name",
                "thirty.yaml:15:1: storage.priority: `zfs2` is not one of storage.drivers",
            ]
        );
    }

    #[test]
    fn a_pairing_has_outer_engines_that_are_known_and_versions_in_their_order() {
        let pairing = |outer: &str, from: &str| {
            let text = format!(
                "since: 30.0.0\nsummary: Made up.\nruntime.bad_pairings:\n  value:\n    - program: runc\n      from: \"{from}\"\n      \
                 before: \"1.3.0\"\n      outer: [{outer}]\n      effect: it fails\n      remedy: another one\n  source: a test\n"
            );
            found("30.0.yaml", &text)
        };
        assert_eq!(pairing("lxc, gvisor", "1.2.8"), [""; 0]);
        assert_eq!(
            pairing("lxc, odd", "1.2.8"),
            ["30.0.yaml:3:1: runtime.bad_pairings: `odd` is no outer engine of profiles/outer"]
        );
        for from in ["1.3.0", "1.4.0"] {
            let problem = format!("30.0.yaml:3:1: runtime.bad_pairings: from {from} to before 1.3.0 holds for no runc");
            assert_eq!(pairing("lxc", from), [problem]);
        }
    }

    #[test]
    fn two_files_of_one_version_are_found() {
        let text = "since: 30.0.0\nsummary: Made up.\napi.min:\n  value: \"1.44\"\n  source: a test\n".to_owned();
        let files = [("a/30.0.yaml".to_owned(), text.clone()), ("b/30.0.yaml".to_owned(), text)];
        let problems = lint_layers(&files, &embedded::files(embedded::DOCKER));
        assert_eq!(
            problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["b/30.0.yaml:1:1: since: 30.0.0 is that of a/30.0.yaml already",]
        );
    }

    #[test]
    fn a_file_that_is_not_there_is_a_problem() {
        let problems = lint(&[PathBuf::from("/nowhere/30.0.yaml")], None);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].to_string().starts_with("/nowhere/30.0.yaml: cannot be read: "), "{problems:?}");
    }
}
