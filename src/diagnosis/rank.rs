//! Which of the lines that fitted is the first error that matters.
//!
//! Not the first line with the word "error": what names a cause comes before what hints at one, that before symptoms;
//! among equals the earliest line decides, and on one line the match that ends last, for an error chain ends with its
//! root. An end of the daemon that nobody can explain is not explained by a warning before it.

use serde::Serialize;

use super::scan::{Found, Hit};
use super::signature::{Cause, Library, Unexplained, Weight};

/// What a log says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// Version of this form.
    pub schema: u32,
    /// The first error that matters; none where the log holds no error.
    pub first_error: Option<FirstError>,
    /// All causes that the log names, by their first line.
    pub diagnoses: Vec<Named>,
}

/// The first error that matters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FirstError {
    /// Its line, counted from 1.
    pub line: u64,
    /// The line as it stands in the log, without colours.
    pub text: String,
    /// The id of its cause; none where the cause is not known.
    pub diagnosis: Option<String>,
    /// What comes into question where the log alone cannot tell, and how to tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidates: Option<Candidates>,
    /// The lines before it.
    pub before: Vec<String>,
    /// The lines after it.
    pub after: Vec<String>,
}

/// Causes between which a log does not decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Candidates {
    /// Their ids.
    pub between: Vec<String>,
    /// What to look at.
    pub tell_apart: String,
}

/// A cause that the log names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Named {
    /// The cause's id, for `explain`.
    pub id: String,
    /// The first line that names it.
    pub line: u64,
    /// How much that line says: `cause`, `hint`, `likely` or `symptom`.
    pub weight: &'static str,
    /// What is the matter.
    pub title: String,
    /// Why.
    pub why: String,
    /// What to do.
    pub remedy: String,
    /// The check that finds the same in a running container.
    pub check: Option<String>,
    /// The fix that mends it.
    pub fix: Option<String>,
    /// Where this is known from.
    pub sources: Vec<String>,
}

impl Diagnosis {
    /// The cause of the first error, where it is named.
    pub fn cause(&self) -> Option<&Named> {
        let id = self.first_error.as_ref()?.diagnosis.as_deref()?;
        self.diagnoses.iter().find(|named| named.id == id)
    }

    /// Whether the log names a cause, and not just a symptom.
    pub fn names_a_cause(&self) -> bool {
        self.cause().is_some_and(|cause| cause.weight != Weight::Symptom.as_str())
    }
}

/// A match whose conditions hold.
struct Match<'a> {
    weight: Weight,
    hit: &'a Hit,
    cause: &'a Cause,
}

pub(super) fn diagnose(library: &Library, found: &Found) -> Diagnosis {
    let matches: Vec<Match<'_>> = found
        .hits
        .iter()
        .zip(&library.signatures)
        .filter_map(|(hit, signature)| {
            let seen = |note: Option<usize>| note.map(|note| found.notes[note].is_some());
            let holds = seen(signature.with) != Some(false) && seen(signature.without) != Some(true);
            let hit = hit.as_ref().filter(|_| holds)?;
            Some(Match { weight: signature.text.weight, hit, cause: &library.causes[signature.cause] })
        })
        .collect();
    Diagnosis { schema: 1, first_error: first_error(library, found, &matches), diagnoses: named(&matches) }
}

fn first_error(library: &Library, found: &Found, matches: &[Match<'_>]) -> Option<FirstError> {
    let of = |weight: Weight| {
        matches
            .iter()
            .filter(|m| m.weight == weight)
            .min_by_key(|m| (m.hit.line, std::cmp::Reverse(m.hit.end)))
            .map(|m| known(m, matches))
    };
    let unexplained = |kind: Unexplained| found.unexplained[kind as usize].as_ref().map(|hit| plain(hit, None, None));
    let ambiguous = || {
        let (hit, text) = found
            .ambiguous
            .iter()
            .zip(&library.ambiguous)
            .filter_map(|(hit, text)| hit.as_ref().map(|hit| (hit, text)))
            .min_by_key(|(hit, _)| hit.line)?;
        let candidates = Candidates { between: text.between.clone(), tell_apart: text.tell_apart.clone() };
        Some(plain(hit, None, Some(candidates)))
    };
    of(Weight::Cause)
        .or_else(|| unexplained(Unexplained::Death))
        .or_else(ambiguous)
        .or_else(|| of(Weight::Hint))
        .or_else(|| of(Weight::Likely))
        .or_else(|| unexplained(Unexplained::Answer))
        .or_else(|| of(Weight::Symptom))
        .or_else(|| unexplained(Unexplained::Error))
}

/// The first line of a match's cause: a warning may have named it before the error did.
fn known(chosen: &Match<'_>, matches: &[Match<'_>]) -> FirstError {
    let same = |m: &&Match<'_>| m.cause.id == chosen.cause.id && m.weight >= chosen.weight.min(Weight::Hint);
    let first = matches.iter().filter(same).min_by_key(|m| m.hit.line).unwrap_or(chosen);
    plain(first.hit, Some(chosen.cause.id.clone()), None)
}

fn plain(hit: &Hit, diagnosis: Option<String>, candidates: Option<Candidates>) -> FirstError {
    FirstError {
        line: hit.line,
        text: hit.text.clone(),
        diagnosis,
        candidates,
        before: hit.before.clone(),
        after: hit.after.clone(),
    }
}

fn named(matches: &[Match<'_>]) -> Vec<Named> {
    let mut all: Vec<&Match<'_>> = matches.iter().collect();
    all.sort_by_key(|m| (m.hit.line, std::cmp::Reverse(m.weight), std::cmp::Reverse(m.hit.end)));
    let mut named: Vec<Named> = Vec::new();
    for Match { weight, hit, cause } in all {
        if named.iter().any(|known| known.id == cause.id) {
            continue;
        }
        let strongest = matches.iter().filter(|m| m.cause.id == cause.id).map(|m| m.weight).max().unwrap_or(*weight);
        named.push(Named {
            id: cause.id.clone(),
            line: hit.line,
            weight: strongest.as_str(),
            title: cause.title.clone(),
            why: cause.why.clone(),
            remedy: cause.remedy.clone(),
            check: cause.check.clone(),
            fix: cause.fix.clone(),
            sources: cause.sources.clone(),
        });
    }
    named
}
