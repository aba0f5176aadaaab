//! Reads a log of any size in bounded memory and remembers what fits.
//!
//! A filter finds the few lines that contain a text some pattern needs; only those are read and matched. A pattern that
//! has matched is done with, so that a daemon that repeats its error a million times costs no more than a silent one.

use std::io::Read;
use std::ops::Range;

use memchr::{memchr, memchr_iter, memrchr};

use super::own::{self, Own};
use super::rank::{self, Diagnosis};
use super::reader::{Entry, Level, printable};
use super::signature::{Library, Role, Signature, Tables, Unexplained};
use super::{DiagnosisError, Options, looks};
use crate::version::EngineVersion;

/// How much is read at a time: small enough to stay in the second-level cache.
const CHUNK: usize = 256 * 1024;
/// A line longer than this is looked at in pieces.
const LONGEST_LINE: usize = 64 * 1024;
/// How much of two pieces overlaps, so that what lies on the seam is found.
const OVERLAP: usize = 1024;
/// How much of a line before and after a text is read for its patterns; more than two pieces overlap, or nothing would
/// be gained by a piece.
const REACH: usize = 4 * 1024;
/// Lines kept before and after a match, to show, and to join messages that are broken over lines.
const CONTEXT: usize = 4;
/// How much of a line is shown.
const SHOWN: usize = 4 * 1024;
/// How many lines are kept whose signatures may turn out not to hold.
const MOST_COVERED: usize = 16;
/// How many unexplained lines are compared with signatures that have matched before.
const REPETITIONS: u32 = 1000;

/// A line that fitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) line: u64,
    pub(super) text: String,
    pub(super) before: Vec<String>,
    pub(super) after: Vec<String>,
    /// Where the match ends in the line's text. An error's root cause stands at its end.
    pub(super) end: usize,
}

/// A line that looks like an error and fits signatures, whose conditions the rest of the log decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Covered {
    pub(super) kind: Unexplained,
    pub(super) hit: Hit,
    pub(super) signatures: Vec<usize>,
}

/// What was found so far.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// By signature.
    pub(super) hits: Vec<Option<Hit>>,
    /// By note: the first line that fits.
    pub(super) notes: Vec<Option<u64>>,
    /// By ambiguous line.
    pub(super) ambiguous: Vec<Option<Hit>>,
    /// By kind.
    pub(super) unexplained: [Option<Hit>; Unexplained::COUNT],
    /// The first lines that look like errors and fit signatures.
    pub(super) covered: Vec<Covered>,
    /// By place: whether a line gave it away.
    pub(super) places: Vec<bool>,
    /// The version of the engine, where a line tells it.
    pub(super) engine: Option<EngineVersion>,
    /// Checks that failed, and a cause that was named, in a report of ours in the log.
    pub(super) own: Own,
}

/// Diagnoses a log that arrives piece by piece.
#[derive(Debug, Clone)]
pub struct Scanner {
    library: &'static Library,
    options: Options,
    tables: &'static Tables,
    /// The filter still looks for errors of any kind.
    curious: bool,
    buffer: Vec<u8>,
    /// Up to here the buffer has been looked at; what lies before is context.
    done: usize,
    /// The number of the line that starts at, or holds, `counted`.
    line: u64,
    counted: usize,
    found: Found,
    /// How many unexplained lines may still be compared with what has matched before.
    repetitions: u32,
}

impl Scanner {
    /// A scanner that has seen nothing yet.
    ///
    /// # Errors
    /// The embedded diagnoses are broken.
    pub fn new(options: Options) -> Result<Self, DiagnosisError> {
        let library = Library::embedded().map_err(DiagnosisError::Library)?;
        Ok(Self::with_library(library, options))
    }

    pub(super) fn with_library(library: &'static Library, options: Options) -> Self {
        Self {
            library,
            options,
            tables: library.tables(true),
            curious: true,
            buffer: Vec::new(),
            done: 0,
            line: 1,
            counted: 0,
            found: Found {
                hits: vec![None; library.signatures.len()],
                notes: vec![None; library.notes],
                ambiguous: vec![None; library.ambiguous.len()],
                unexplained: [const { None }; Unexplained::COUNT],
                covered: Vec::new(),
                places: vec![false; library.places.len()],
                engine: None,
                own: Own::default(),
            },
            repetitions: REPETITIONS,
        }
    }

    /// Takes the next piece of the log, of any size.
    pub fn feed(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(CHUNK) {
            self.buffer.extend_from_slice(piece);
            self.advance(false);
        }
    }

    /// Reads the next piece; 0 at the end.
    pub(super) fn read_from(&mut self, reader: &mut impl Read) -> std::io::Result<usize> {
        let filled = self.buffer.len();
        self.buffer.resize(filled + CHUNK, 0);
        let read = loop {
            match reader.read(&mut self.buffer[filled..]) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer.truncate(filled + read.as_ref().map_or(0, |read| *read));
        self.advance(false);
        read
    }

    /// What the log so far says, as if it ended here.
    pub fn so_far(&mut self) -> Diagnosis {
        // The lines that wait for what follows them are looked at, and then again when it has come.
        let (line, counted, curious, repetitions) = (self.line, self.counted, self.curious, self.repetitions);
        let found = self.found.clone();
        self.look_at(self.done..self.buffer.len());
        let answer = rank::diagnose(self.library, &self.found, &self.options);
        self.found = found;
        (self.line, self.counted, self.curious, self.repetitions) = (line, counted, curious, repetitions);
        self.tables = self.library.tables(curious);
        answer
    }

    /// What the log says.
    pub fn finish(mut self) -> Diagnosis {
        self.advance(true);
        rank::diagnose(self.library, &self.found, &self.options)
    }

    /// Looks at all lines that are complete and have the lines after them in the buffer, or at all at the end.
    fn advance(&mut self, last: bool) {
        let mut end = self.buffer.len();
        if !last {
            // The newest lines wait, so that what follows a match can be shown and joined with it.
            let mut complete = end;
            for _ in 0..=CONTEXT {
                match memrchr(b'\n', &self.buffer[self.done..complete]) {
                    Some(at) => complete = self.done + at,
                    None => {
                        complete = self.done;
                        break;
                    }
                }
            }
            let complete = if complete > self.done { complete + 1 } else { complete };
            if end - complete <= LONGEST_LINE * (CONTEXT + 1) {
                end = complete;
            }
        }
        self.look_at(self.done..end);
        // A piece of a line: its end is looked at again, together with what comes.
        let seam = !last && end > self.done && self.buffer[end - 1] != b'\n';
        self.done = if seam { end.saturating_sub(OVERLAP).max(self.done) } else { end };
        self.forget();
    }

    fn look_at(&mut self, range: Range<usize>) {
        let mut from = range.start;
        // Where the line that holds `from` may begin at the earliest.
        let mut floor = from;
        while let Some((text, at)) = self.tables.filter.find(&self.buffer, from..range.end) {
            if self.tables.wanted[text].iter().all(|rule| self.settled(*rule)) {
                from = at + 1;
                continue;
            }
            let start = memrchr(b'\n', &self.buffer[floor..at]).map_or(floor, |newline| floor + newline + 1);
            let end = memchr(b'\n', &self.buffer[at..range.end]).map_or(range.end, |newline| at + newline);
            let piece = start.max(at.saturating_sub(REACH))..end.min(at + REACH);
            self.count_to(piece.start);
            self.judge(piece.clone());
            // On the seam to the next piece, a text may begin in this one.
            from = if piece.end == end { end } else { piece.end.saturating_sub(OVERLAP).max(at + 1) };
            floor = from;
        }
    }

    /// Matches a line, or a piece of one, against the patterns whose texts it contains.
    fn judge(&mut self, line: Range<usize>) {
        let mut rules: Vec<usize> = Vec::new();
        // With the line break: it ends a text that is the whole line.
        let all = line.start..(line.end + 1).min(self.buffer.len());
        self.tables.filter.find_all(&self.buffer[all], |text| {
            rules.extend(self.tables.wanted[text].iter().filter(|rule| !self.settled(**rule)));
        });
        if rules.is_empty() {
            return;
        }
        rules.sort_unstable();
        rules.dedup();
        rules.retain(|rule| self.library.rules[*rule].may_fit(&self.buffer[line.clone()]));
        if rules.is_empty() {
            return;
        }
        // Most lines with a word of an error are told at a level that says it is none.
        let curious = rules.iter().all(|rule| matches!(self.library.rules[*rule].role, Role::Unexplained(_)));
        if curious && looks::is_quiet(&self.buffer[line.clone()]) {
            return;
        }
        // What dindcheck itself wrote into the log is no error; what it found is used.
        if self.is_own(&line) {
            return;
        }
        let entry = Entry::read(&self.buffer[line.clone()]);
        let mut explained = Vec::new();
        let mut ambiguous = false;
        let mut unexplained = None;
        for number in rules {
            let rule = &self.library.rules[number];
            let found = rule.pattern.find(entry.text.as_bytes());
            match rule.role {
                Role::Signature(signature) => {
                    let text = &self.library.signatures[signature];
                    let fits = text.after.is_none_or(|note| self.found.notes[note].is_some()) && {
                        let text = &text.text;
                        entry.level.is_none_or(|level| text.allows(level))
                            && text.module.as_ref().is_none_or(|module| entry.field("module") == Some(module))
                    };
                    if !fits {
                        continue;
                    }
                    let hit = match found {
                        Some(_) if excluded(text, &entry) => None,
                        Some(found) => Some(self.hit(&line, found.end)),
                        None if text.text.across => self.joined(&line, &rule.pattern),
                        None => None,
                    };
                    if hit.is_some() {
                        explained.push(signature);
                        self.found.hits[signature] = hit;
                    }
                }
                Role::Note(note) if found.is_some() => self.note(note),
                Role::Ambiguous(index) => {
                    if let Some(found) = found {
                        ambiguous = true;
                        self.found.ambiguous[index] = Some(self.hit(&line, found.end));
                    }
                }
                Role::Place(place) => self.found.places[place] |= found.is_some(),
                Role::Version => {
                    let version = rule.pattern.capture(entry.text.as_bytes()).and_then(|text| text.parse().ok());
                    self.found.engine = self.found.engine.take().or(version);
                }
                Role::Unexplained(kind) => {
                    let fits = match kind {
                        Unexplained::Looks | Unexplained::End => true,
                        _ if !rule.pattern.as_str().is_empty() => found.is_some(),
                        Unexplained::Death => entry.level >= Some(Level::Fatal),
                        _ => entry.level == Some(Level::Error),
                    };
                    if fits {
                        unexplained = unexplained.max(Some(kind));
                    }
                }
                Role::Note(_) | Role::Report => {}
            }
        }
        if let Some(kind) = unexplained.filter(|_| !ambiguous) {
            self.unexplained(kind, &line, &entry, explained);
        }
    }

    /// Remembers the first line of its kind that looks like an error and fits no signature; or none but `explained`,
    /// whose conditions on the rest of the log may turn out not to hold.
    fn unexplained(&mut self, kind: Unexplained, line: &Range<usize>, entry: &Entry, mut explained: Vec<usize>) {
        let text = entry.text.as_bytes();
        let kind = match looks::kind(entry.level, text) {
            Some(Unexplained::End) => Unexplained::End,
            Some(_) => kind,
            // What the daemon calls its end, or an answer to a client, is one in any words.
            None if kind >= Unexplained::Answer => kind,
            None => return,
        };
        if self.found.unexplained[kind as usize].is_some() || self.library.is_harmless(text) {
            return;
        }
        // A cause that was named before is named again by the line that ends the daemon.
        if explained.is_empty() && self.repetitions > 0 {
            explained = self.known(line, entry);
            self.repetitions -= u32::from(!explained.is_empty());
        }
        if !explained.is_empty() {
            if self.found.covered.len() < MOST_COVERED {
                let hit = self.hit(line, 0);
                self.found.covered.push(Covered { kind, hit, signatures: explained });
            }
            return;
        }
        self.found.unexplained[kind as usize] = Some(self.hit(line, 0));
        self.settle();
    }

    /// The signatures that have matched an earlier line and fit this one too.
    fn known(&self, line: &Range<usize>, entry: &Entry) -> Vec<usize> {
        let mut rules: Vec<usize> = Vec::new();
        self.tables.filter.find_all(&self.buffer[line.clone()], |text| rules.extend(&self.tables.wanted[text]));
        rules.sort_unstable();
        rules.dedup();
        let fits = |number: usize| {
            let rule = &self.library.rules[number];
            let Role::Signature(signature) = rule.role else { return None };
            let known = &self.library.signatures[signature];
            let fits = self.found.hits[signature].is_some()
                && entry.level.is_none_or(|level| known.text.allows(level))
                && rule.pattern.find(entry.text.as_bytes()).is_some()
                && !excluded(known, entry);
            fits.then_some(signature)
        };
        rules.into_iter().filter_map(fits).collect()
    }

    /// Whether dindcheck wrote this line: a row of its report, what hangs under one, or a line about its progress.
    fn is_own(&mut self, line: &Range<usize>) -> bool {
        let raw = |range: &Range<usize>| printable(&self.buffer[range.start..range.end.min(range.start + SHOWN)]);
        let (text, is_json) = own::unwrapped(raw(line));
        if !is_json && !own::may_be(&text) {
            return false;
        }
        let row = match own::read(&text) {
            Some(row) => row,
            None if is_json => {
                if own::hangs(&text) {
                    own::Row::Under
                } else {
                    own::Row::Other
                }
            }
            // Under a row of ours, as long as all lines between are indented.
            None if own::hangs(&text) => {
                let mut start = line.start;
                let mut reached = false;
                for _ in 0..own::LONGEST_ROW {
                    let Some(end) = start.checked_sub(1) else { break };
                    start = memrchr(b'\n', &self.buffer[..end]).map_or(0, |newline| newline + 1);
                    let above = raw(&(start..end));
                    reached = own::read(&above).is_some();
                    if reached || !own::hangs(&above) {
                        break;
                    }
                }
                if !reached {
                    return false;
                }
                own::Row::Under
            }
            None => return false,
        };
        let hit = self.hit(line, 0);
        self.found.own.take(&row, &text, hit);
        true
    }

    /// Whether a match of this rule would tell nothing new.
    fn settled(&self, rule: usize) -> bool {
        match self.library.rules[rule].role {
            Role::Signature(signature) => self.found.hits[signature].is_some(),
            // A line that takes matches back is worth a look as long as there is a match to take.
            Role::Note(note) => {
                self.found.notes[note].is_some()
                    && self.library.refuted[note].iter().all(|signature| self.found.hits[*signature].is_none())
            }
            Role::Ambiguous(index) => self.found.ambiguous[index].is_some(),
            Role::Unexplained(Unexplained::Looks) => [Unexplained::Looks, Unexplained::End]
                .iter()
                .all(|kind| self.found.unexplained[*kind as usize].is_some()),
            Role::Unexplained(kind) => self.found.unexplained[kind as usize].is_some(),
            Role::Place(place) => self.found.places[place],
            Role::Version => self.found.engine.is_some(),
            Role::Report => self.found.own.cause.is_some(),
        }
    }

    /// Stops looking for errors of any kind once there is one of each worth naming.
    fn settle(&mut self) {
        if self.curious && self.found.unexplained.iter().all(Option::is_some) {
            self.curious = false;
            self.tables = self.library.tables(false);
        }
    }

    fn note(&mut self, note: usize) {
        self.found.notes[note].get_or_insert(self.line);
        for signature in &self.library.refuted[note] {
            self.found.hits[*signature].take_if(|hit| hit.line < self.line);
        }
    }

    fn hit(&self, line: &Range<usize>, end: usize) -> Hit {
        let shown = |range: Range<usize>| {
            printable(&self.buffer[range.start..range.end.min(range.start + SHOWN)]).trim_end().to_owned()
        };
        Hit {
            line: self.line,
            text: shown(line.clone()).trim_start().to_owned(),
            before: self.lines_before(line.start).into_iter().map(shown).collect(),
            after: self.lines_after(line.end).into_iter().map(shown).collect(),
            end,
        }
    }

    /// Matches a message that is broken over lines. The line that the match begins on is the hit.
    fn joined(&self, line: &Range<usize>, pattern: &super::signature::Pattern) -> Option<Hit> {
        let before = self.lines_before(line.start);
        let mut text = String::new();
        let mut starts = Vec::new();
        // A message that is broken over lines has its level once: the words of a line with another are not the end of it.
        let level = |range: &Range<usize>| Entry::read(&self.buffer[range.clone()]).level;
        let own = level(line);
        let goes_on = |range: &Range<usize>| level(range).is_none_or(|level| own == Some(level));
        let after = self.lines_after(line.end).into_iter().take_while(goes_on);
        let lines = before.iter().chain([line]).cloned().chain(after);
        for range in lines.clone() {
            starts.push(text.len());
            text.push_str(&Entry::read(&self.buffer[range]).text);
            text.push(' ');
        }
        let found = pattern.find(text.as_bytes())?;
        let index = starts.iter().rposition(|start| *start <= found.start)?;
        let range = lines.clone().nth(index)?;
        let mut hit = self.hit(&range, found.end - found.start);
        hit.line = (self.line + index as u64).saturating_sub(before.len() as u64);
        Some(hit)
    }

    fn lines_before(&self, start: usize) -> Vec<Range<usize>> {
        let mut lines = Vec::new();
        let mut end = start;
        while lines.len() < CONTEXT && end > 0 && self.buffer[end - 1] == b'\n' {
            let begin = memrchr(b'\n', &self.buffer[..end - 1]).map_or(0, |newline| newline + 1);
            lines.push(begin.max((end - 1).saturating_sub(SHOWN))..end - 1);
            end = begin;
        }
        lines.reverse();
        lines
    }

    fn lines_after(&self, end: usize) -> Vec<Range<usize>> {
        let mut lines = Vec::new();
        let mut start = end + 1;
        while lines.len() < CONTEXT && start < self.buffer.len() {
            let end = memchr(b'\n', &self.buffer[start..]).map_or(self.buffer.len(), |newline| start + newline);
            lines.push(start..end.min(start + SHOWN));
            start = end + 1;
        }
        lines
    }

    fn count_to(&mut self, place: usize) {
        let newlines = |range: Range<usize>| memchr_iter(b'\n', &self.buffer[range]).count() as u64;
        if place >= self.counted {
            self.line += newlines(self.counted..place);
        } else {
            self.line -= newlines(place..self.counted);
        }
        self.counted = place;
    }

    /// Drops what was looked at, but for the lines that serve as context.
    fn forget(&mut self) {
        if self.done < CHUNK / 2 {
            return;
        }
        let mut keep = self.done;
        for _ in 0..=CONTEXT {
            keep = memrchr(b'\n', &self.buffer[..keep]).unwrap_or(0);
        }
        let keep = if keep == 0 { 0 } else { keep + 1 }.max(self.done.saturating_sub(LONGEST_LINE));
        self.count_to(keep.max(self.counted));
        self.buffer.drain(..keep);
        self.done -= keep;
        self.counted -= keep;
    }
}

/// Whether a line fits what a signature's line may not.
fn excluded(signature: &Signature, entry: &Entry) -> bool {
    signature.unless.as_ref().is_some_and(|unless| unless.find(entry.text.as_bytes()).is_some())
}
