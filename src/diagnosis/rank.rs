//! Which of the lines that fitted is the first error that matters.
//!
//! Not the first line with the word "error": what names a cause comes before what hints at one, that before symptoms;
//! among equals the earliest line decides, and on one line the match that ends last, for an error chain ends with its
//! root. An end of the daemon that no one can explain is not explained by a warning before it.

use serde::{Deserialize, Serialize};

use super::Options;
use super::scan::{Found, Hit};
use super::signature::{Cause, Library, Signature, Unexplained, Weight};
use crate::foreign::Foreign;

/// What a log says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// Version of this form.
    pub schema: u32,
    /// The first error that matters; none where the log holds no error.
    pub first_error: Option<FirstError>,
    /// All causes that the log names, by their first line.
    pub diagnoses: Vec<Named>,
    /// What the log gives away of what is around the engine, with what was told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<Seen>,
    /// The engine's version, as told or as the log has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
}

/// Something around the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// Its id; that of `profiles/outer` where it is one of those.
    pub id: String,
    /// What it is, in words.
    pub title: String,
}

/// The first error that matters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstError {
    /// Its line, counted from 1.
    pub line: u64,
    /// The line as it stands in the log, without colours.
    pub text: Foreign,
    /// The id of its cause; none where the cause is not known.
    pub diagnosis: Option<String>,
    /// Who wrote the line, where that shows and the cause is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// The checks that could tell more, where the cause is not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<String>,
    /// What comes into question where the log alone cannot tell, and how to tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidates: Option<Candidates>,
    /// The lines before it.
    pub before: Vec<Foreign>,
    /// The lines after it.
    pub after: Vec<Foreign>,
}

/// Causes between which a log does not decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidates {
    /// Their ids.
    pub between: Vec<String>,
    /// What to look at.
    pub tell_apart: String,
}

/// A cause that the log names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// The cause's id, for `explain`.
    pub id: String,
    /// The first line that names it.
    pub line: u64,
    /// How much that line says.
    pub weight: Weight,
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
        self.cause().is_some_and(|cause| cause.weight != Weight::Symptom)
    }
}

/// A match whose conditions hold.
struct Match<'a> {
    weight: Weight,
    hit: &'a Hit,
    cause: &'a Cause,
    signature: &'a Signature,
}

/// What a log says, with all that decides between its matches.
struct Judge<'a> {
    library: &'a Library,
    found: &'a Found,
    options: &'a Options,
    /// By number of the place.
    places: Vec<bool>,
    matches: Vec<Match<'a>>,
}

pub(super) fn diagnose(library: &Library, found: &Found, options: &Options) -> Diagnosis {
    let places: Vec<bool> = library
        .places
        .iter()
        .zip(&found.places)
        .map(|(place, seen)| *seen || options.places.contains(&place.id))
        .collect();
    let mut judge = Judge { library, found, options, places, matches: Vec::new() };
    judge.matches = judge.matches();
    let engine = judge.engine().map(ToString::to_string);
    let there = library.places.iter().zip(&judge.places).filter(|(_, there)| **there);
    let places = there.map(|(place, _)| Seen { id: place.id.clone(), title: place.title.clone() }).collect();
    Diagnosis { schema: 1, first_error: judge.first_error(), diagnoses: judge.named(), places, engine }
}

impl<'a> Judge<'a> {
    fn engine(&self) -> Option<&'a crate::version::EngineVersion> {
        self.options.engine.as_ref().or(self.found.engine.as_ref())
    }

    fn matches(&self) -> Vec<Match<'a>> {
        let (found, library) = (self.found, self.library);
        let matches = found.hits.iter().zip(&library.signatures).filter_map(|(hit, signature)| {
            let hit = hit.as_ref().filter(|_| self.holds(signature))?;
            Some(Match { weight: signature.text.weight, hit, cause: &library.causes[signature.cause], signature })
        });
        matches.collect()
    }

    /// Whether what a signature asks of the rest of the log, of the place and of the version is so. Without a version,
    /// every one fits.
    fn holds(&self, signature: &Signature) -> bool {
        let seen = |note: Option<usize>| note.map(|note| self.found.notes[note].is_some());
        let there = |place: &usize| self.places[*place];
        let text = &signature.text;
        seen(signature.with) != Some(false)
            && seen(signature.without) != Some(true)
            && (signature.place.is_empty() || signature.place.iter().any(there))
            && !signature.not_place.iter().any(there)
            && self.engine().map_or(!text.versioned, |engine| {
                text.since.as_ref().is_none_or(|since| engine >= since)
                    && text.until.as_ref().is_none_or(|until| engine <= until)
            })
    }

    fn first_error(&self) -> Option<FirstError> {
        let of = |weight: Weight| {
            self.matches
                .iter()
                .filter(|m| m.weight == weight)
                .min_by_key(|m| (m.hit.line, std::cmp::Reverse(m.hit.end)))
                .map(|m| self.known(m))
        };
        let unexplained = |kind: Unexplained| self.unexplained(kind).map(|hit| self.unknown(hit));
        of(Weight::Cause)
            .or_else(|| unexplained(Unexplained::Death))
            .or_else(|| self.ambiguous())
            .or_else(|| of(Weight::Hint))
            .or_else(|| of(Weight::Likely))
            .or_else(|| unexplained(Unexplained::Answer))
            .or_else(|| of(Weight::Symptom))
            .or_else(|| unexplained(Unexplained::Error))
            .or_else(|| unexplained(Unexplained::Looks))
            .or_else(|| self.own())
            .or_else(|| unexplained(Unexplained::End))
    }

    /// The first line of a kind that fits no signature, or only such as do not hold.
    fn unexplained(&self, kind: Unexplained) -> Option<&'a Hit> {
        let left = |covered: &&super::scan::Covered| {
            covered.kind == kind && !covered.signatures.iter().any(|one| self.holds(&self.library.signatures[*one]))
        };
        let covered = self.found.covered.iter().filter(left).map(|covered| &covered.hit);
        self.found.unexplained[kind as usize].iter().chain(covered).min_by_key(|hit| hit.line)
    }

    /// A line between whose causes the log does not decide. Where the check of one of them failed, and of no other, it
    /// is that one.
    fn ambiguous(&self) -> Option<FirstError> {
        let (hit, text) = self
            .found
            .ambiguous
            .iter()
            .zip(&self.library.ambiguous)
            .filter_map(|(hit, text)| hit.as_ref().map(|hit| (hit, text)))
            .min_by_key(|(hit, _)| hit.line)?;
        let failed: Vec<&String> = text.between.iter().filter(|id| self.failed(id)).collect();
        if let [only] = failed.as_slice() {
            return Some(plain(hit, Some((*only).clone())));
        }
        let between = if failed.is_empty() { text.between.clone() } else { failed.into_iter().cloned().collect() };
        Some(FirstError {
            candidates: Some(Candidates { between, tell_apart: text.tell_apart.clone() }),
            ..plain(hit, None)
        })
    }

    /// Whether the check that finds a cause in a running container failed there.
    fn failed(&self, cause: &str) -> bool {
        let check = self.library.cause(cause).and_then(|cause| cause.check.as_ref());
        check.is_some_and(|check| self.options.failed.contains(check) || self.found.own.failed.contains(check))
    }

    /// A failure that a report of ours in the log tells, where nothing else is there.
    fn own(&self) -> Option<FirstError> {
        let hit = self.found.own.failure.as_ref()?;
        let cause = self.found.own.cause.clone().filter(|id| self.library.cause(id).is_some());
        Some(FirstError { component: Some("dindcheck".to_owned()), ..plain(hit, cause) })
    }

    /// The first line of a match's cause: a warning may have named it before the error did.
    fn known(&self, chosen: &Match<'_>) -> FirstError {
        let same = |m: &&Match<'_>| m.cause.id == chosen.cause.id && m.weight >= chosen.weight.min(Weight::Hint);
        let first = self.matches.iter().filter(same).min_by_key(|m| m.hit.line).unwrap_or(chosen);
        plain(first.hit, Some(chosen.cause.id.clone()))
    }

    fn unknown(&self, hit: &Hit) -> FirstError {
        let component = self.library.component(hit.text.as_bytes());
        let mut checks: Vec<String> = component.map(|component| component.checks.clone()).unwrap_or_default();
        // What failed in the container goes first.
        checks.sort_by_key(|check| !self.options.failed.contains(check) && !self.found.own.failed.contains(check));
        FirstError { component: component.map(|component| component.name.clone()), checks, ..plain(hit, None) }
    }

    fn named(&self) -> Vec<Named> {
        let mut all: Vec<&Match<'_>> = self.matches.iter().collect();
        all.sort_by_key(|m| (m.hit.line, std::cmp::Reverse(m.weight), std::cmp::Reverse(m.hit.end)));
        let mut named: Vec<Named> = Vec::new();
        for Match { weight, hit, cause, .. } in all {
            if named.iter().any(|known| known.id == cause.id) {
                continue;
            }
            let of_cause = || self.matches.iter().filter(|m| m.cause.id == cause.id);
            let strongest = of_cause().map(|m| m.weight).max().unwrap_or(*weight);
            // What a line tells of its own is told where that line is among the strongest.
            let telling = of_cause().filter(|m| m.weight == strongest).min_by_key(|m| m.hit.line);
            named.push(Named {
                id: cause.id.clone(),
                line: hit.line,
                weight: strongest,
                title: cause.title.clone(),
                why: telling.and_then(|m| m.signature.text.why.clone()).unwrap_or_else(|| cause.why.clone()),
                remedy: self.remedy(cause, telling),
                check: cause.check.clone(),
                fix: cause.fix.clone(),
                sources: cause.sources.clone(),
            });
        }
        if let Some(cause) = self.found.own.cause.as_deref().and_then(|id| self.library.cause(id))
            && let Some(hit) =
                self.found.own.failure.as_ref().filter(|_| !named.iter().any(|known| known.id == cause.id))
        {
            named.push(self.by_check(cause, hit));
        }
        if let Some(id) = self.ambiguous().and_then(|first| first.diagnosis)
            && let Some(cause) = self.library.cause(&id).filter(|_| !named.iter().any(|known| known.id == id))
            && let Some(hit) = self.found.ambiguous.iter().flatten().min_by_key(|hit| hit.line)
        {
            named.push(self.by_check(cause, hit));
        }
        named
    }

    /// A cause that a check named, and no line of its own.
    fn by_check(&self, cause: &Cause, hit: &Hit) -> Named {
        Named {
            id: cause.id.clone(),
            line: hit.line,
            weight: Weight::Likely,
            title: cause.title.clone(),
            why: cause.why.clone(),
            remedy: self.remedy(cause, None),
            check: cause.check.clone(),
            fix: cause.fix.clone(),
            sources: cause.sources.clone(),
        }
    }

    /// What to do in the place that the log is from.
    fn remedy(&self, cause: &Cause, telling: Option<&Match<'_>>) -> String {
        let there = |id: &String| self.library.place(id).is_some_and(|place| self.places[place]);
        let placed = cause.remedies.iter().find(|remedy| remedy.place.iter().any(there));
        telling
            .and_then(|m| m.signature.text.remedy.clone())
            .or_else(|| placed.map(|placed| placed.remedy.clone()))
            .unwrap_or_else(|| cause.remedy.clone())
    }
}

fn plain(hit: &Hit, diagnosis: Option<String>) -> FirstError {
    FirstError {
        line: hit.line,
        text: hit.text.as_str().into(),
        diagnosis,
        component: None,
        checks: Vec::new(),
        candidates: None,
        before: hit.before.iter().map(|line| line.as_str().into()).collect(),
        after: hit.after.iter().map(|line| line.as_str().into()).collect(),
    }
}
