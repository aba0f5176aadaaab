//! `dindcheck explain`: what any id in a report means. Without one, all ids by family.

use std::io::{self, Write as _};

use serde::Serialize;

use super::{Misuse, near};
use crate::check::{self, Docs, cause};
use crate::cli::{ExplainArgs, PlainFormat};
use crate::diagnosis::{self, Library};
use crate::verification::scenario;
use crate::{exit, gate};

/// What is known of an id.
#[derive(Debug, Default, Serialize)]
pub(super) struct Explained {
    pub(super) id: String,
    pub(super) title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    why: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    looks_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    engines: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sources: Vec<String>,
}

/// What reports have beside checks and claims: id, title, why, remedy.
const STEPS: &[(&str, &str, &str, &str)] = &[
    (
        "launch",
        "the daemon starts and its API answers",
        "It fails when the daemon ends before it is proved, or does not answer within --timeout. The first error of its log \
         that matters is reported, with its cause where that is known.",
        "See the cause that is named. `dindcheck diagnose` reads a whole log; --hold-on-failure keeps the container.",
    ),
    (
        "gate.cell",
        "a cell of the gate is run to its end",
        "The cell was not run to its end through no fault of the image: the outer engine did not answer, or the time was up.",
        "Look at the outer engine, and run the gate again.",
    ),
    (
        "gate.busy",
        "the machine is quick enough for a verdict",
        "The machine was so busy that a failure says nothing about the image.",
        "Run fewer cells at a time (--jobs 1), or on another machine.",
    ),
    (
        "gate.stop",
        "a container ends in time when it is stopped",
        "docker stop kills what has not ended after 10 s, and inner containers lose what they have not written.",
        "Let dindcheck be the image's entrypoint, or pass SIGTERM on.",
    ),
    (
        "gate.leftovers",
        "a container leaves nothing in the outer engine",
        "What is left takes space, and may keep the next run from starting.",
        "Remove what is named.",
    ),
    (
        "gate.status",
        "the container ends with the status that its report has",
        "Something in the image has stopped dindcheck, or ended it.",
        "Look at the log of that cell.",
    ),
    (
        "gate.seal",
        "the report of a cell is the one that the gate asked for",
        "Something in the image has written a report of its own, or into the one of dindcheck.",
        "Do not trust the image, and look for what it runs. A cell has given it the host.",
    ),
    (
        "gate.expectation",
        "a cell that is to fail fails",
        "The matrix expects a failure of this cell, and everything passed.",
        "Remove `expect: fail` of that cell, or find out why the fault is gone.",
    ),
    (
        "baseline.expired",
        "an accepted finding is within its time",
        "The entry of the baseline has expired, and the finding counts again.",
        "Mend the cause, or give the entry a later day.",
    ),
    (
        "baseline.unused",
        "an accepted finding is still reported",
        "The baseline has more than is needed.",
        "Remove the entry.",
    ),
];

/// Prints what is known.
///
/// # Errors
/// As [`super::dispatch`].
pub fn run(args: &ExplainArgs) -> anyhow::Result<u8> {
    let mut out = io::stdout().lock();
    match (&args.id, args.format) {
        (None, PlainFormat::Json) => {
            let all: Vec<Explained> = ids().iter().filter_map(|(_, id)| explain(id)).collect();
            serde_json::to_writer_pretty(&mut out, &all)?;
            writeln!(out)?;
        }
        (None, PlainFormat::Table) => {
            let mut last = String::new();
            for (family, id) in ids() {
                if family != last {
                    writeln!(out, "{}{family}", if last.is_empty() { "" } else { "\n" })?;
                    last.clone_from(&family);
                }
                let title = explain(&id).map(|known| known.title).unwrap_or_default();
                writeln!(out, "  {id}  {title}")?;
            }
        }
        (Some(id), format) => {
            let Some(known) = explain(id) else {
                let near = near(ids().iter().map(|(_, known)| known.as_str()), id);
                return Err(Misuse(format!("unknown id `{id}`{near}; `dindcheck explain` lists all")).into());
            };
            match format {
                PlainFormat::Json => {
                    serde_json::to_writer_pretty(&mut out, &known)?;
                    writeln!(out)?;
                }
                PlainFormat::Table => write(&known, &mut out)?,
            }
        }
    }
    Ok(exit::OK)
}

fn write(known: &Explained, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(out, "{}: {}\n", known.id, known.title)?;
    known.fields().iter().try_for_each(|(name, text)| writeln!(out, "{name}: {text}"))
}

impl Explained {
    /// What is known beside the title, under its names.
    pub(super) fn fields(&self) -> Vec<(&'static str, String)> {
        let sources = self.sources.join(", ");
        let fields = [
            ("Why", Some(&self.why)),
            ("Looks at", self.looks_at.as_ref()),
            ("Remedy", self.remedy.as_ref()),
            ("Check", self.check.as_ref()),
            ("Fix", self.fix.as_ref()),
            ("Engines", self.engines.as_ref()),
            ("Sources", Some(&sources)),
        ];
        let known = |(name, text): (_, Option<&String>)| Some((name, text.filter(|text| !text.is_empty())?.clone()));
        fields.into_iter().filter_map(known).collect()
    }
}

/// All ids with their families, in the order of reports.
pub(crate) fn ids() -> Vec<(String, String)> {
    let family = |id: &str| id.split('.').next().unwrap_or(id).to_owned();
    let checks = check::CHECKS.iter().map(|check| check.id).chain(gate::check::CHECKS.iter().map(|check| check.id));
    let mut ids: Vec<(String, String)> = checks.map(|id| (family(id), id.to_owned())).collect();
    let order: Vec<String> = ids.iter().map(|(family, _)| family.clone()).collect();
    // The checks run in another order than that of their families.
    ids.sort_by_key(|(family, _)| order.iter().position(|known| known == family));
    ids.extend(cause::CAUSES.iter().map(|cause| ("causes".to_owned(), cause.id.to_owned())));
    ids.extend(STEPS.iter().map(|(id, ..)| (family(id), (*id).to_owned())));
    let claims = scenario::CLAIMS.iter().map(|claim| format!("verification.{}", claim.id));
    ids.extend(claims.map(|id| ("verification".to_owned(), id)));
    let causes = Library::embedded().map(Library::causes).unwrap_or_default();
    ids.extend(causes.iter().map(|cause| ("diagnoses".to_owned(), cause.id.clone())));
    ids
}

/// What is known of an id.
pub(super) fn explain(id: &str) -> Option<Explained> {
    let of_docs = |docs: Docs, fix: Option<&str>| Explained {
        title: docs.title.to_owned(),
        why: docs.motivation.to_owned(),
        looks_at: Some(docs.looks_at.to_owned()),
        remedy: Some(docs.remedy.to_owned()),
        fix: fix.map(str::to_owned),
        engines: Some(docs.engines()),
        ..Explained::default()
    };
    // A mend is that of its check.
    let check = id.strip_prefix("fix.").unwrap_or(id);
    let known = if let Some(check) = check::find(check) {
        of_docs(check.docs, check.mend.map(|mend| mend.title))
    } else if let Some(check) = gate::check::find(id) {
        of_docs(check.docs, None)
    } else if let Some(cause) = cause::find(id) {
        Explained {
            title: cause.title.to_owned(),
            why: cause.why.to_owned(),
            remedy: Some(cause.remedy.to_owned()),
            ..Explained::default()
        }
    } else if let Some((_, title, why, remedy)) = STEPS.iter().find(|(known, ..)| *known == id) {
        Explained {
            title: (*title).to_owned(),
            why: (*why).to_owned(),
            remedy: Some((*remedy).to_owned()),
            ..Explained::default()
        }
    } else if let Some(claim) = id.strip_prefix("verification.").and_then(scenario::find) {
        let depth = if claim.quick { "the quick proof and the full one" } else { "the full proof" };
        let failure = if claim.required { "makes the proof fail: exit status 5" } else { "is a warning" };
        Explained {
            title: claim.title.to_owned(),
            why: format!("A claim that test containers prove on the running daemon. A failure {failure}."),
            looks_at: Some(format!("Part of {depth}; at most {} s.", claim.deadline.as_secs())),
            ..Explained::default()
        }
    } else {
        let cause = diagnosis::explain(id)?;
        Explained {
            title: cause.title.clone(),
            why: cause.why.clone(),
            remedy: Some(cause.remedy.clone()),
            check: cause.check.clone(),
            fix: cause.fix.clone(),
            sources: cause.sources.clone(),
            ..Explained::default()
        }
    };
    Some(Explained { id: id.to_owned(), ..known })
}
