//! Reading one flat YAML file into a typed value: every problem at once, each with its line and column.
//!
//! serde stops at the first error. The files are flat, so what stands under one top-level key can be taken out and
//! the rest read again: so a file with three mistakes is reported with three, not one after the other.

use std::fmt;

use serde::de::DeserializeOwned;

/// One thing wrong in one profile file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as given.
    pub file: String,
    /// Line and column, from 1, where known.
    pub position: Option<(usize, usize)>,
    /// What is wrong and what was expected.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some((line, column)) => write!(f, "{}:{line}:{column}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

/// A top-level key of a file, and where what it holds begins and ends.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Section {
    key: String,
    /// The line of the key, from 1.
    line: usize,
    /// The line after the last.
    end: usize,
}

/// The text of one file and where its keys are.
#[derive(Debug, Clone)]
pub(crate) struct Document<'a> {
    file: &'a str,
    text: &'a str,
    sections: Vec<Section>,
}

impl<'a> Document<'a> {
    pub(crate) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, sections: sections(text) }
    }

    /// A problem with what `key` holds, or with the file as a whole if it has no such key.
    pub(crate) fn problem(&self, key: &str, message: impl Into<String>) -> Problem {
        let position = self.sections.iter().find(|section| section.key == key).map(|section| (section.line, 1));
        Problem { file: self.file.to_owned(), position, message: message.into() }
    }

    /// Reads the file, or says everything that is wrong with it.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, Vec<Problem>> {
        let mut lines: Vec<&str> = self.text.lines().collect();
        let mut problems = self.take_out_duplicates(&mut lines);
        loop {
            // A last line end, so that a file of nothing but taken-out lines is still read as one.
            let error = match serde_yaml::from_str(&(lines.join("\n") + "\n")) {
                Ok(parsed) if problems.is_empty() => return Ok(parsed),
                Ok(_) => break,
                Err(error) => error,
            };
            let position = error.location().map(|location| (location.line(), location.column()));
            let message = without_position(&error.to_string());
            let missing = message.starts_with("missing field");
            // What is missing from the file as a whole stands nowhere. And once something was taken out, a missing
            // field may only be what we took.
            if missing && !problems.is_empty() {
                break;
            }
            let section = position.and_then(|(line, _)| self.section_at(line));
            let position = if missing && !message.contains(": ") { None } else { position };
            problems.push(Problem { file: self.file.to_owned(), position, message });
            match section {
                Some(section) if !is_blank(&lines, section) => blank(&mut lines, section),
                _ => break,
            }
        }
        problems.sort_by_key(|problem| problem.position);
        Err(problems)
    }

    fn section_at(&self, line: usize) -> Option<&Section> {
        self.sections.iter().find(|section| (section.line..section.end).contains(&line))
    }

    /// The library gives no position for a key that stands twice, so they are looked for here.
    fn take_out_duplicates(&self, lines: &mut [&str]) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (index, section) in self.sections.iter().enumerate() {
            if let Some(first) = self.sections[..index].iter().find(|earlier| earlier.key == section.key) {
                let message = format!("`{}` is given twice; first in line {}", section.key, first.line);
                problems.push(Problem { file: self.file.to_owned(), position: Some((section.line, 1)), message });
                blank(lines, section);
            }
        }
        problems
    }
}

fn blank(lines: &mut [&str], section: &Section) {
    for line in lines.iter_mut().take(section.end - 1).skip(section.line - 1) {
        *line = "";
    }
}

fn is_blank(lines: &[&str], section: &Section) -> bool {
    lines.iter().take(section.end - 1).skip(section.line - 1).all(|line| line.is_empty())
}

/// Where the top-level keys are: lines that begin with a name and a colon. Text in quotes or blocks that spans lines
/// is indented, so it is never taken for one.
fn sections(text: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut count = 0;
    for (index, line) in text.lines().enumerate() {
        count = index + 1;
        let name = line.split_once(':').map(|(name, _)| name.trim_end().trim_matches(['"', '\'']));
        if let Some(name) = name.filter(|name| !name.is_empty() && !line.starts_with([' ', '\t', '#', '-'])) {
            if let Some(last) = sections.last_mut() {
                last.end = count;
            }
            sections.push(Section { key: name.to_owned(), line: count, end: count });
        }
    }
    if let Some(last) = sections.last_mut() {
        last.end = count + 1;
    }
    sections
}

/// The library repeats the position at the end of its message, and at times in the middle.
fn without_position(message: &str) -> String {
    let mut rest = message;
    let mut bare = String::new();
    while let Some((before, after)) = rest.split_once(" at line ") {
        bare.push_str(before);
        let after = after.trim_start_matches(|c: char| c.is_ascii_digit());
        rest =
            after.strip_prefix(" column ").map_or(after, |tail| tail.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    bare.push_str(rest);
    bare
}

#[cfg(test)]
mod tests {
    use super::super::schema::Layer;
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let Err(problems) = Document::new("x.yaml", text).parse::<Layer>() else { return Vec::new() };
        problems.iter().map(ToString::to_string).collect()
    }

    const HEAD: &str = "since: 1.0.0\nsummary: A test.\n";

    #[test]
    fn each_kind_of_mistake_has_its_position() {
        for (body, expected) in [
            ("cgroup.v3:\n  value: true\n  source: x\n", "x.yaml:3:1: unknown field `cgroup.v3`, expected one of"),
            ("cgroup.v2:\n  value: yes\n  source: x\n", "x.yaml:4:10: cgroup.v2.value: invalid type: string \"yes\""),
            (
                "storage.d_type:\n  value: fatl\n  source: x\n",
                "x.yaml:4:10: storage.d_type.value: unknown variant `fatl`",
            ),
            ("api.max:\n  value: one\n  source: x\n", "x.yaml:4:10: api.max.value: `one` is not an API version"),
            ("cgroup.v2:\n  value: true\n", "x.yaml:4:3: cgroup.v2: missing field `source`"),
            ("cgroup.v2:\n  value: true\n  source: x\n  why: y\n", "x.yaml:6:3: cgroup.v2: unknown field `why`"),
            (
                "cgroup.v2: true\n",
                "x.yaml:3:12: cgroup.v2: invalid type: boolean `true`, expected a value and its source",
            ),
            ("sockets:\n  value: /run/x\n  source: x\n", "x.yaml:4:10: sockets.value: invalid type: string"),
            (
                "sockets:\n  value: []\n  source: x\nsockets:\n  value: []\n  source: x\n",
                "x.yaml:6:1: `sockets` is given twice; first in line 3",
            ),
        ] {
            let found = problems(&format!("{HEAD}{body}"));
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].starts_with(expected), "{found:?} is not {expected}");
        }
    }

    #[test]
    fn a_bad_since_has_its_position() {
        let found = problems("summary: A test.\nsince: soon\n");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("x.yaml:2:8: since: `soon` is not an engine version"), "{found:?}");
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let body = "cgroup.v2:\n  value: 3\n  source: x\nnonsense: 1\nnetfilter.ipset:\n  value: maybe\n  source: x\n";
        let found = problems(&format!("{HEAD}{body}"));
        let lines: Vec<&str> = found.iter().map(|problem| &problem[..9]).collect();
        assert_eq!(lines, ["x.yaml:4:", "x.yaml:6:", "x.yaml:8:"], "{found:?}");
    }

    #[test]
    fn what_is_no_yaml_at_all_is_one_problem() {
        for text in ["", "[", "\t", "a: b: c", "- x", "\0", "since: [", "{{{{"] {
            assert!(!problems(text).is_empty(), "{text:?}");
        }
    }

    #[test]
    fn a_missing_field_of_the_file_has_no_position() {
        assert_eq!(problems("since: 1.0.0\n"), ["x.yaml: missing field `summary`"]);
    }

    proptest::proptest! {
        #[test]
        fn parsing_never_panics(text in "(since|summary|sockets|value|: |\\n|  |[\\[\\]{}x-]|\\PC){0,40}") {
            let _ = problems(&text);
        }
    }
}
