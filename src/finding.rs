//! The answer of one check: outcome, evidence, cause and remedy.

use serde::{Deserialize, Serialize};

use crate::fact::FactError;

/// How much a failed check matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing breaks.
    Info,
    /// Something will be missing or slow, and the daemon still works.
    Warning,
    /// The daemon will not start, or its containers will not run.
    Blocking,
}

/// What a check found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// What the profile wants is there.
    Pass,
    /// It is not.
    Fail,
    /// What the check needs could not be read; never a pass.
    Unknown,
    /// The check has no meaning for this engine version or host.
    NotApplicable,
}

impl Outcome {
    /// Whether this stops what goes on: a blocking failure, or with `strict` also a warning or what cannot be told.
    pub fn blocks(self, severity: Severity, strict: bool) -> bool {
        match self {
            Self::Fail => severity == Severity::Blocking || (strict && severity == Severity::Warning),
            Self::Unknown => strict,
            Self::Pass | Self::NotApplicable => false,
        }
    }
}

/// What becomes of the daemon as it is, without us: the worst that is foretold of it, and the worst that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// Its containers run.
    Works,
    /// They run, and their layers are copied whole or go through FUSE.
    FallsBack,
    /// Its API answers, and no container runs.
    EveryContainerFails,
    /// It ends, or its API does not answer.
    Dies,
}

/// What was read, where, and what was wanted instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Evidence {
    /// A path, with `:LINE` where there is a line, or the command that was tried.
    pub location: String,
    /// What stood there.
    pub value: String,
    /// What this engine version needs there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<String>,
}

/// What one check says before it gets its name: the part that a check writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Pass, fail, unknown or not applicable.
    pub outcome: Outcome,
    /// Meaningful with `Fail` and `Unknown`.
    pub severity: Severity,
    /// One line: what is the case.
    pub summary: String,
    /// What the verdict rests on.
    pub evidence: Vec<Evidence>,
    /// Why it is so, and what follows from it.
    pub cause: Option<String>,
    /// What to change, most useful first: an option of the outer `docker run`, a host command.
    pub remedy: Vec<String>,
    /// Where the wanted value comes from: a commit, a path at a tag, a kernel document.
    pub source: Vec<String>,
    /// What becomes of the daemon with this, where the severity does not say it ([`Finding::foretells`]).
    pub fate: Option<Fate>,
}

impl Verdict {
    /// All is well.
    pub fn pass(summary: impl Into<String>) -> Self {
        Self::new(Outcome::Pass, Severity::Info, summary.into())
    }

    /// Something is wrong.
    pub fn fail(severity: Severity, summary: impl Into<String>) -> Self {
        Self::new(Outcome::Fail, severity, summary.into())
    }

    /// It cannot be told.
    pub fn unknown(summary: impl Into<String>) -> Self {
        Self::new(Outcome::Unknown, Severity::Warning, summary.into())
    }

    /// The question does not arise.
    pub fn not_applicable(summary: impl Into<String>) -> Self {
        Self::new(Outcome::NotApplicable, Severity::Info, summary.into())
    }

    fn new(outcome: Outcome, severity: Severity, summary: String) -> Self {
        Self {
            outcome,
            severity,
            summary,
            evidence: Vec::new(),
            cause: None,
            remedy: Vec::new(),
            source: Vec::new(),
            fate: None,
        }
    }

    /// Adds what was read.
    #[must_use]
    pub fn saw(mut self, location: impl Into<String>, value: impl Into<String>) -> Self {
        self.evidence.push(Evidence { location: location.into(), value: value.into(), wanted: None });
        self
    }

    /// Adds what was read and what was wanted there.
    #[must_use]
    pub fn saw_wanted(
        mut self,
        location: impl Into<String>,
        value: impl Into<String>,
        wanted: impl Into<String>,
    ) -> Self {
        self.evidence.push(Evidence { location: location.into(), value: value.into(), wanted: Some(wanted.into()) });
        self
    }

    /// Adds pieces of evidence.
    #[must_use]
    pub fn evidence(mut self, evidence: impl IntoIterator<Item = Evidence>) -> Self {
        self.evidence.extend(evidence);
        self
    }

    /// Says why it is so.
    #[must_use]
    pub fn because(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy.push(remedy.into());
        self
    }

    /// Says what becomes of the daemon, where that is not what the severity says: a blocking failure is its end, and with
    /// any other its containers run.
    #[must_use]
    pub fn foretells(mut self, fate: Fate) -> Self {
        self.fate = Some(fate);
        self
    }

    /// Says where that is written.
    #[must_use]
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.source.push(source.into());
        self
    }
}

impl From<&FactError> for Verdict {
    fn from(error: &FactError) -> Self {
        Self::unknown(format!("cannot be told: {error}"))
    }
}

/// A verdict with the name of the check that gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check's id, `subject.rule`; never renamed.
    pub id: &'static str,
    /// The check's title.
    pub title: &'static str,
    /// Pass, fail, unknown or not applicable.
    pub outcome: Outcome,
    /// How much it matters; `info` unless it failed or is unknown.
    pub severity: Severity,
    /// One line: what is the case.
    pub summary: String,
    /// What it rests on.
    pub evidence: Vec<Evidence>,
    /// Why it is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What to change.
    pub remedy: Vec<String>,
    /// Where that is written.
    pub source: Vec<String>,
    /// The id of the check, or of the cause ([`crate::check::cause`]), that this is a consequence of; `None` if it is a
    /// root itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because_of: Option<&'static str>,
    /// The title of the fix that mends it, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    /// What becomes of the daemon with this.
    pub foretells: Fate,
}

impl Finding {
    /// Names a verdict.
    pub fn new(id: &'static str, title: &'static str, verdict: Verdict, fix: Option<String>) -> Self {
        let Verdict { outcome, severity, summary, evidence, cause, remedy, source, fate } = verdict;
        let foretells = match (outcome, severity) {
            (Outcome::Fail, Severity::Blocking) => fate.unwrap_or(Fate::Dies),
            _ => fate.unwrap_or(Fate::Works),
        };
        Self {
            id,
            title,
            outcome,
            severity,
            summary,
            evidence,
            cause,
            remedy,
            source,
            because_of: None,
            fix,
            foretells,
        }
    }

    /// What all findings together foretell: the worst of them.
    pub fn foretold<'f>(findings: impl IntoIterator<Item = &'f Self>) -> Fate {
        findings.into_iter().map(|finding| finding.foretells).max().unwrap_or(Fate::Works)
    }

    /// Whether this finding stops the main job ([`Outcome::blocks`]).
    pub fn blocks(&self, strict: bool) -> bool {
        self.outcome.blocks(self.severity, strict)
    }
}
