//! The known causes: the schema of `profiles/diagnoses/*.yaml`, and the library that is made of them.
//!
//! A cause has one or more signatures; a signature is a pattern over the text of a log line (see
//! [`super::reader::Entry::text`]) with optional conditions on its level, its module, the engine's version, and on
//! other lines of the same log.

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use memchr::memmem;
use regex::bytes::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use super::anchor::{self, AnyOf};
use super::filter::Filter;
use super::reader::Level;
use super::{errno, looks, own};
use crate::embedded;
use crate::version::EngineVersion;

/// How much a line that fits a signature says about what went wrong; the order is that of the ranking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// A consequence that has many causes ("Cannot connect to the Docker daemon").
    Symptom,
    /// A symptom that nearly always has this one cause.
    Likely,
    /// A warning, or a failed attempt with a fallback: it names a cause, and the daemon went on.
    Hint,
    /// The line names the cause of a failure.
    Cause,
}

/// A known cause, as `explain` prints it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cause {
    /// Stable id, such as `stale-docker-pid`.
    pub id: String,
    /// One line: what is the matter.
    pub title: String,
    /// Why it comes to this.
    pub why: String,
    /// What to do about it.
    pub remedy: String,
    /// The check that finds the same thing in a running container.
    #[serde(default)]
    pub check: Option<String>,
    /// The fix that mends it, where there is one.
    #[serde(default)]
    pub fix: Option<String>,
    /// Where this is known from: source files with their tag, issues, man pages.
    pub sources: Vec<String>,
    /// What to do in places where the remedy is another one; the first that fits is told.
    #[serde(default)]
    pub remedies: Vec<PlacedRemedy>,
    /// How its lines are recognised.
    pub signatures: Vec<SignatureText>,
}

/// What to do about a cause in certain places.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlacedRemedy {
    /// Ids of places, of which one has to be it.
    pub place: Vec<String>,
    /// What to do there.
    pub remedy: String,
}

/// Something around the daemon that a log gives away: an outer engine, a machine, a build step.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    /// Its id; that of `profiles/outer` where it is one of those.
    pub id: String,
    /// What it is, in words.
    pub title: String,
    /// Pattern over the text of any line of the log.
    #[serde(rename = "match")]
    pub pattern: String,
}

/// A program that writes into logs, and the checks that look at what it needs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Component {
    /// Its name.
    pub name: String,
    /// Pattern over the text of its lines, prefixes included.
    #[serde(rename = "match")]
    pub pattern: String,
    /// Ids of the checks that could tell more.
    #[serde(default)]
    pub checks: Vec<String>,
}

/// A line that tells the engine's version, in the pattern's first group.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct VersionLine {
    #[serde(rename = "match")]
    pattern: String,
}

/// A signature as written in the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignatureText {
    /// Pattern that the line's text must contain; `.` is any byte, letters count in their case unless `(?i)`. `%E`
    /// stands for an error of the system, in any program's words.
    #[serde(rename = "match")]
    pub pattern: String,
    /// The errors that may stand at `%E`, by their names in errno(3).
    #[serde(default)]
    pub errno: Vec<String>,
    /// Why any error may stand at `%E`, where none are listed.
    #[serde(default, rename = "any-errno")]
    pub any_errno: Option<String>,
    /// One of these places has to be what the log was written in.
    #[serde(default)]
    pub place: Vec<String>,
    /// None of these places may be it.
    #[serde(default, rename = "not-place")]
    pub not_place: Vec<String>,
    /// Why, where this line tells it better than the cause does in general.
    #[serde(default)]
    pub why: Option<String>,
    /// What to do, where this line tells it better than the cause does in general.
    #[serde(default)]
    pub remedy: Option<String>,
    /// What a match says; a cause unless given.
    #[serde(default = "Weight::cause")]
    pub weight: Weight,
    /// The line's level must be one of these; without a list, any but debug and trace, for what daemons try and give
    /// up is told there. A line whose level is not told fits.
    #[serde(default)]
    pub levels: Vec<Level>,
    /// The line's `module=` field must be this.
    #[serde(default)]
    pub module: Option<String>,
    /// Engines from this version on, where the version is known.
    #[serde(default)]
    pub since: Option<EngineVersion>,
    /// Engines up to this version, where the version is known.
    #[serde(default)]
    pub until: Option<EngineVersion>,
    /// The version has to be known: without one, the signature does not fit.
    #[serde(default)]
    pub versioned: bool,
    /// An earlier line must fit this.
    #[serde(default)]
    pub after: Option<String>,
    /// Some line of the log must fit this.
    #[serde(default)]
    pub with: Option<String>,
    /// No line of the log may fit this.
    #[serde(default)]
    pub without: Option<String>,
    /// The line itself may not fit this.
    #[serde(default)]
    pub unless: Option<String>,
    /// A later line that fits this takes the match back: the daemon got over it.
    #[serde(default)]
    pub refuted_by: Option<String>,
    /// The message may be broken over several lines.
    #[serde(default)]
    pub across: bool,
}

impl SignatureText {
    /// Whether a line of this level can fit.
    pub(super) fn allows(&self, level: Level) -> bool {
        if self.levels.is_empty() { level > Level::Debug } else { self.levels.contains(&level) }
    }
}

impl Weight {
    const fn cause() -> Self {
        Self::Cause
    }

    /// The word for it in output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Symptom => "symptom",
            Self::Likely => "likely",
            Self::Hint => "hint",
            Self::Cause => "cause",
        }
    }
}

/// A line that two or more causes write in the same words, so that the log alone cannot tell.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ambiguous {
    /// Pattern over the line's text.
    #[serde(rename = "match")]
    pub pattern: String,
    /// The causes that come into question.
    pub between: Vec<String>,
    /// How to tell them apart.
    pub tell_apart: String,
}

/// A line that healthy daemons write too.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Harmless {
    #[serde(rename = "match")]
    pattern: String,
    #[expect(dead_code, reason = "for the reader of the file; the schema asks for it")]
    why: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: u32,
    #[serde(default)]
    causes: Vec<Cause>,
    #[serde(default)]
    ambiguous: Vec<Ambiguous>,
    #[serde(default)]
    harmless: Vec<Harmless>,
    #[serde(default)]
    places: Vec<Place>,
    #[serde(default)]
    components: Vec<Component>,
    #[serde(default)]
    versions: Vec<VersionLine>,
}

/// What is wrong in files of diagnoses: all of it, each problem with its file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.join("\n"))]
pub struct LibraryError {
    /// The problems, each with the file's name in front.
    pub problems: Vec<String>,
}

/// A pattern that is compiled when it is first needed: of some hundreds, a log needs a few.
pub(super) struct Pattern {
    text: String,
    regex: OnceLock<Option<Regex>>,
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Pattern {
    fn new(text: &str) -> Self {
        Self { text: text.to_owned(), regex: OnceLock::new() }
    }

    /// The pattern's own text.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// What the first group of the pattern holds.
    pub(super) fn capture(&self, text: &[u8]) -> Option<String> {
        let regex = self.regex.get_or_init(|| compile(&self.text).ok());
        let group = regex.as_ref()?.captures(text)?.get(1)?;
        Some(String::from_utf8_lossy(group.as_bytes()).into_owned())
    }

    /// Where the text fits, as a byte range.
    pub(super) fn find(&self, text: &[u8]) -> Option<std::ops::Range<usize>> {
        // The patterns were parsed when the library was read, so compiling fails for size at most.
        let regex = self.regex.get_or_init(|| compile(&self.text).ok());
        regex.as_ref()?.find(text).map(|found| found.range())
    }
}

fn compile(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).unicode(false).dot_matches_new_line(true).build()
}

/// What a rule is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The n-th signature.
    Signature(usize),
    /// The n-th condition, which signatures refer to.
    Note(usize),
    /// The n-th ambiguous line.
    Ambiguous(usize),
    /// An error that no signature explains.
    Unexplained(Unexplained),
    /// The n-th place.
    Place(usize),
    /// A line that tells the engine's version.
    Version,
    /// A line of a report of ours that names a cause: no word in it need be one of an error.
    Report,
}

/// The kinds of errors that are worth naming even when their cause is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unexplained {
    /// A job's or a script's last word, which only says that something failed.
    End,
    /// Looks like an error, in some program's words.
    Looks,
    /// Logged as an error; the daemon may have gone on.
    Error,
    /// The answer that a client got.
    Answer,
    /// The end of a daemon.
    Death,
}

impl Unexplained {
    /// How many kinds there are.
    pub(super) const COUNT: usize = 5;
}

/// One pattern with the literal texts that find its candidate lines.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) role: Role,
    pub(super) pattern: Pattern,
    /// A line that fits contains one of these,
    pub(super) anchors: AnyOf,
    /// and one of each of these, where the message is not broken over lines.
    pub(super) beside: Vec<AnyOf>,
}

impl Rule {
    /// Whether a raw line contains what the pattern needs beside its anchor.
    pub(super) fn may_fit(&self, line: &[u8]) -> bool {
        self.beside.iter().all(|texts| texts.iter().any(|text| memmem::find(line, text).is_some()))
    }
}

/// A signature with its conditions resolved to notes.
#[derive(Debug)]
pub(super) struct Signature {
    pub(super) cause: usize,
    pub(super) text: SignatureText,
    pub(super) after: Option<usize>,
    pub(super) with: Option<usize>,
    pub(super) without: Option<usize>,
    pub(super) refuted_by: Option<usize>,
    /// What the line itself may not fit.
    pub(super) unless: Option<Pattern>,
    /// Numbers of places.
    pub(super) place: Vec<usize>,
    /// Numbers of places.
    pub(super) not_place: Vec<usize>,
}

/// All that is known about logs.
#[derive(Debug)]
pub struct Library {
    pub(super) causes: Vec<Cause>,
    pub(super) signatures: Vec<Signature>,
    pub(super) ambiguous: Vec<Ambiguous>,
    pub(super) rules: Vec<Rule>,
    pub(super) notes: usize,
    /// By note: the signatures whose matches it takes back.
    pub(super) refuted: Vec<Vec<usize>>,
    pub(super) places: Vec<Place>,
    components: Vec<(Component, Pattern)>,
    harmless: Vec<Pattern>,
    /// Without and with the texts of errors of any kind.
    tables: [OnceLock<Tables>; 2],
}

/// What finds the candidate lines.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) filter: Filter,
    /// By text of the filter: the rules that ask for it.
    pub(super) wanted: Vec<Vec<usize>>,
}

impl Library {
    /// The causes that this binary knows.
    ///
    /// # Errors
    /// A file of `profiles/diagnoses` is wrong; a test sees to it that none is.
    pub fn embedded() -> Result<&'static Self, &'static LibraryError> {
        static LIBRARY: OnceLock<Result<Library, LibraryError>> = OnceLock::new();
        LIBRARY
            .get_or_init(|| {
                let files = embedded::files(embedded::DIAGNOSES);
                Library::from_files(files.iter().map(|(name, text)| (name.as_str(), text.as_str())))
            })
            .as_ref()
    }

    /// Reads files of the schema, given by name and text.
    ///
    /// # Errors
    /// All that is wrong in the files.
    pub fn from_files<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, LibraryError> {
        let mut library = Self {
            causes: Vec::new(),
            signatures: Vec::new(),
            ambiguous: Vec::new(),
            rules: Vec::new(),
            notes: 0,
            refuted: Vec::new(),
            places: Vec::new(),
            components: Vec::new(),
            harmless: Vec::new(),
            tables: [const { OnceLock::new() }; 2],
        };
        let rule = |(kind, pattern, words): &(Unexplained, &str, &[&str])| Rule {
            role: Role::Unexplained(*kind),
            pattern: Pattern::new(pattern),
            anchors: words.iter().map(|word| word.as_bytes().to_vec()).collect(),
            beside: Vec::new(),
        };
        library.rules.extend(looks::RULES.iter().map(rule));
        let (pattern, anchors) = (Pattern::new(""), vec![own::CAUSE.as_bytes().to_vec()]);
        library.rules.push(Rule { role: Role::Report, pattern, anchors, beside: Vec::new() });
        let mut builder =
            Builder { library, file: String::new(), notes: HashMap::new(), wanted: Vec::new(), problems: Vec::new() };
        for (name, text) in files {
            name.clone_into(&mut builder.file);
            builder.add(text);
        }
        builder.finish()
    }

    /// The tables for all rules; those for errors of any kind only on demand.
    pub(super) fn tables(&self, curious: bool) -> &Tables {
        self.tables[usize::from(curious)].get_or_init(|| {
            let mut texts: Vec<(&[u8], usize)> = self
                .rules
                .iter()
                .enumerate()
                .filter(|(_, rule)| curious || !matches!(rule.role, Role::Unexplained(_)))
                .flat_map(|(number, rule)| rule.anchors.iter().map(move |anchor| (anchor.as_slice(), number)))
                .collect();
            texts.sort_unstable();
            let mut anchors: Vec<Vec<u8>> = Vec::new();
            let mut wanted: Vec<Vec<usize>> = Vec::new();
            for (text, rule) in texts {
                if anchors.last().is_none_or(|last| last != text) {
                    anchors.push(text.to_vec());
                    wanted.push(Vec::new());
                }
                if let Some(rules) = wanted.last_mut() {
                    rules.push(rule);
                }
            }
            Tables { filter: Filter::new(anchors), wanted }
        })
    }

    /// The cause with this id.
    pub fn cause(&self, id: &str) -> Option<&Cause> {
        self.causes.iter().find(|cause| cause.id == id)
    }

    /// All causes, in the order of their files.
    pub fn causes(&self) -> &[Cause] {
        &self.causes
    }

    /// The place with this id, by its number.
    pub(super) fn place(&self, id: &str) -> Option<usize> {
        self.places.iter().position(|place| place.id == id)
    }

    /// Who wrote a line, where that is known.
    pub(super) fn component(&self, text: &[u8]) -> Option<&Component> {
        let mut known = self.components.iter();
        known.find(|(_, pattern)| pattern.find(text).is_some()).map(|(component, _)| component)
    }

    /// Whether healthy daemons write such a line too.
    pub fn is_harmless(&self, text: &[u8]) -> bool {
        self.harmless.iter().any(|pattern| pattern.find(text).is_some())
    }
}

/// A library in the making.
struct Builder {
    library: Library,
    /// The file that is read.
    file: String,
    /// Conditions by their pattern: one that several signatures share is looked for once.
    notes: HashMap<String, usize>,
    /// Places that a signature or a remedy names, with the file: they may be in a later one.
    wanted: Vec<(String, String)>,
    problems: Vec<String>,
}

impl Builder {
    fn add(&mut self, text: &str) {
        let file: File = match serde_yaml::from_str(text) {
            Ok(file) => file,
            Err(error) => return self.problem(&error.to_string()),
        };
        if file.schema != 1 {
            self.problem(&format!("schema {} is not known, only 1", file.schema));
        }
        for cause in file.causes {
            self.cause(cause);
        }
        for ambiguous in file.ambiguous {
            self.rule(Role::Ambiguous(self.library.ambiguous.len()), &ambiguous.pattern);
            self.library.ambiguous.push(ambiguous);
        }
        for place in file.places {
            self.rule(Role::Place(self.library.places.len()), &place.pattern);
            self.library.places.push(place);
        }
        for component in file.components {
            let pattern = self.whole(&component.pattern);
            self.library.components.push((component, pattern));
        }
        for line in file.versions {
            self.rule(Role::Version, &line.pattern);
        }
        for harmless in file.harmless {
            let pattern = self.whole(&harmless.pattern);
            self.library.harmless.push(pattern);
        }
    }

    /// A pattern for lines that were found already: it needs no text of its own.
    fn whole(&mut self, text: &str) -> Pattern {
        if let Err(error) = compile(text) {
            self.problem(&format!("`{text}`: {error}"));
        }
        Pattern::new(text)
    }

    fn cause(&mut self, mut cause: Cause) {
        if self.library.cause(&cause.id).is_some() {
            self.problem(&format!("cause `{}` is there twice", cause.id));
        }
        for text in &mut cause.signatures {
            match errno::expand(&text.pattern, &text.errno) {
                Ok(pattern) => {
                    if pattern != text.pattern && text.errno.is_empty() && text.any_errno.is_none() {
                        self.problem(&format!("`{}`: takes any errno, and does not say why", text.pattern));
                    }
                    text.pattern = errno::in_any_case(&pattern);
                }
                Err(problem) => self.problem(&format!("`{}`: {problem}", text.pattern)),
            }
            let others = [&mut text.after, &mut text.with, &mut text.without, &mut text.unless, &mut text.refuted_by];
            for pattern in others.into_iter().flatten() {
                *pattern = errno::in_any_case(pattern);
            }
        }
        for place in cause.remedies.iter().flat_map(|remedy| &remedy.place) {
            self.wanted.push((self.file.clone(), place.clone()));
        }
        for text in &cause.signatures {
            for place in text.place.iter().chain(&text.not_place) {
                self.wanted.push((self.file.clone(), place.clone()));
            }
            let signature = Signature {
                unless: text.unless.as_deref().map(|pattern| self.whole(pattern)),
                place: Vec::new(),
                not_place: Vec::new(),
                cause: self.library.causes.len(),
                after: self.note(text.after.as_deref()),
                with: self.note(text.with.as_deref()),
                without: self.note(text.without.as_deref()),
                refuted_by: self.note(text.refuted_by.as_deref()),
                text: text.clone(),
            };
            self.rule(Role::Signature(self.library.signatures.len()), &text.pattern);
            if let Some(rule) = self.library.rules.last_mut().filter(|_| text.across) {
                rule.beside.clear();
            }
            if let Some(note) = signature.refuted_by {
                self.library.refuted[note].push(self.library.signatures.len());
            }
            self.library.signatures.push(signature);
        }
        self.library.causes.push(cause);
    }

    fn note(&mut self, pattern: Option<&str>) -> Option<usize> {
        let pattern = pattern?;
        if let Some(known) = self.notes.get(pattern) {
            return Some(*known);
        }
        let number = self.library.notes;
        self.rule(Role::Note(number), pattern);
        self.notes.insert(pattern.to_owned(), number);
        self.library.notes += 1;
        self.library.refuted.push(Vec::new());
        Some(number)
    }

    fn rule(&mut self, role: Role, text: &str) {
        match anchor::required(text) {
            Ok(mut all) => {
                let anchors = all.remove(0);
                self.library.rules.push(Rule { role, pattern: Pattern::new(text), anchors, beside: all });
            }
            Err(problem) => self.problem(&format!("`{text}`: {problem}")),
        }
    }

    fn problem(&mut self, problem: &str) {
        self.problems.push(format!("{}: {problem}", self.file));
    }

    fn finish(mut self) -> Result<Library, LibraryError> {
        for (file, id) in &self.wanted {
            if self.library.place(id).is_none() {
                self.problems.push(format!("{file}: there is no place `{id}`"));
            }
        }
        let places = |ids: &[String]| ids.iter().filter_map(|id| self.library.place(id)).collect::<Vec<_>>();
        let resolved: Vec<_> =
            self.library.signatures.iter().map(|s| (places(&s.text.place), places(&s.text.not_place))).collect();
        for (signature, (place, not_place)) in self.library.signatures.iter_mut().zip(resolved) {
            signature.place = place;
            signature.not_place = not_place;
        }
        for ambiguous in &self.library.ambiguous {
            for id in ambiguous.between.iter().filter(|id| self.library.cause(id).is_none()) {
                self.problems.push(format!("`{}`: there is no cause `{id}`", ambiguous.pattern));
            }
        }
        if self.problems.is_empty() { Ok(self.library) } else { Err(LibraryError { problems: self.problems }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_has_one_word_in_files_and_in_output() {
        for weight in [Weight::Symptom, Weight::Likely, Weight::Hint, Weight::Cause] {
            assert_eq!(serde_json::to_value(weight).unwrap(), weight.as_str());
        }
    }

    #[test]
    fn all_that_is_wrong_in_files_is_told_with_the_file() {
        let files = [
            ("a.yaml", "schema: 2"),
            ("b.yaml", "schema: 1\nharmless:\n  - match: '('\n    why: x"),
            ("c.yaml", "schema: 1\nambiguous:\n  - match: the frob is lost\n    between: [none]\n    tell_apart: x"),
            ("d.yaml", "schemata: 1"),
        ];
        let error = Library::from_files(files).unwrap_err();
        let [schema, pattern, unread, cause] = error.problems.as_slice() else { panic!("{error}") };
        assert_eq!(schema, "a.yaml: schema 2 is not known, only 1");
        assert!(pattern.starts_with("b.yaml: `(`: "), "{pattern}");
        assert!(unread.starts_with("d.yaml: ") && unread.contains("schemata"), "{unread}");
        assert_eq!(cause, "`the frob is lost`: there is no cause `none`");
        assert_eq!(error.to_string(), [schema.as_str(), pattern, unread, cause].join("\n"));
    }

    #[test]
    fn a_pattern_is_shown_by_its_text() {
        assert_eq!(format!("{:?}", Pattern::new("a|b")), "a|b");
    }
}
