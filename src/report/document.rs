//! What all forms for other programs have in common: suites of items, whatever an item is about.

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::{Launch, Report};
use crate::check::cause;
use crate::finding::{Evidence, Finding, Outcome, Severity};
use crate::fix::apply::{Applied, Result as FixResult};
use crate::foreign;
use crate::profile::outers;
use crate::verification::Scenario;

/// A whole report.
#[derive(Debug, Clone, Default)]
pub struct Document {
    /// What was looked at, in a line.
    pub title: String,
    /// The verdict, in a sentence.
    pub verdict: String,
    /// What to do about all of it: where, and the lines to paste.
    pub cure: Vec<(String, Vec<String>)>,
    /// What was found, by the place where it was.
    pub suites: Vec<Suite>,
    /// Whether a warning, or what cannot be told, blocks too.
    pub strict: bool,
    /// The exit status that goes with it.
    pub exit_status: u8,
    /// What stands beside the version of dindcheck: name and value.
    pub labels: Vec<(&'static str, String)>,
}

/// What was found in one place.
#[derive(Debug, Clone, Default)]
pub struct Suite {
    /// The place: `check`, `image`, the name of a cell.
    pub name: String,
    /// What the place is, in a line.
    pub title: String,
    /// What was found there.
    pub items: Vec<Item>,
    /// What took how long, in order.
    pub spans: Vec<Span>,
    /// What was written there to standard error.
    pub log: String,
}

/// A stretch of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Span {
    /// What was done.
    pub name: String,
    /// When it began, in milliseconds from the beginning of all.
    pub from_ms: u64,
    /// How long it took, in milliseconds.
    pub ms: u64,
}

impl Span {
    /// The stretch at whose beginning the daemon is started.
    pub const DAEMON: &str = "daemon ready";
}

/// A finding, a fix, the launch or a scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Item {
    /// Its name, `subject.rule`.
    pub id: String,
    /// Its title.
    #[serde(default)]
    pub title: String,
    /// Pass, fail, unknown or not applicable.
    pub outcome: Outcome,
    /// How much it matters.
    pub severity: Severity,
    /// One line: what is the case.
    pub summary: String,
    /// What it rests on.
    #[serde(default)]
    pub evidence: Vec<Evidence>,
    /// Why it is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What to change.
    #[serde(default)]
    pub remedy: Vec<String>,
    /// Where that is written.
    #[serde(default)]
    pub source: Vec<String>,
    /// The id of the check or the cause that this is a consequence of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because_of: Option<String>,
    /// How long it took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ms: Option<u64>,
}

impl Document {
    /// The same with all that came from outside made visible, for terminals and parsers. Secrets are taken out before a
    /// form wraps, cuts or escapes them into what is not known as one.
    #[must_use]
    pub fn visible(&self) -> Self {
        let line = |text: &String| foreign::line(text);
        let lines = |text: &String| foreign::text(text);
        let evidence = |evidence: &Evidence| Evidence {
            location: line(&evidence.location),
            value: lines(&evidence.value),
            wanted: evidence.wanted.as_ref().map(lines),
        };
        let item = |item: &Item| Item {
            id: line(&item.id),
            title: line(&item.title),
            summary: line(&item.summary),
            evidence: item.evidence.iter().map(evidence).collect(),
            cause: item.cause.as_ref().map(lines),
            remedy: item.remedy.iter().map(lines).collect(),
            source: item.source.iter().map(lines).collect(),
            because_of: item.because_of.as_ref().map(line),
            ..*item
        };
        let suite = |suite: &Suite| Suite {
            name: line(&suite.name),
            title: line(&suite.title),
            items: suite.items.iter().map(item).collect(),
            spans: suite.spans.clone(),
            log: lines(&suite.log),
        };
        Self {
            title: line(&self.title),
            verdict: line(&self.verdict),
            cure: self.cure.iter().map(|(place, cure)| (line(place), cure.iter().map(line).collect())).collect(),
            suites: self.suites.iter().map(suite).collect(),
            labels: self.labels.iter().map(|(name, value)| (*name, line(value))).collect(),
            ..*self
        }
    }

    /// The ids of what is not a pass somewhere, in the order of their first place.
    pub fn notable(&self) -> Vec<&str> {
        let mut ids: Vec<&str> = Vec::new();
        for item in self.suites.iter().flat_map(|suite| &suite.items) {
            if !item.is_fine() && !ids.contains(&item.id.as_str()) {
                ids.push(&item.id);
            }
        }
        ids
    }
}

impl Item {
    /// An item that says one thing.
    pub fn new(id: impl Into<String>, outcome: Outcome, severity: Severity, summary: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            title: String::new(),
            outcome,
            severity,
            summary: summary.into(),
            evidence: Vec::new(),
            cause: None,
            remedy: Vec::new(),
            source: Vec::new(),
            because_of: None,
            ms: None,
        }
    }

    /// What became of the mend of a check, which does what its title says.
    pub fn of_mend(check: &str, title: &str, result: &FixResult) -> Self {
        let (outcome, severity, summary) = match result {
            FixResult::Done => (Outcome::Pass, Severity::Info, title.to_owned()),
            FixResult::NotAllowed => {
                let summary = format!("not done: {title} touches the host; allow it with --allow-host-changes");
                (Outcome::Fail, Severity::Warning, summary)
            }
            FixResult::TakenBack { error } => {
                (Outcome::Fail, Severity::Blocking, format!("{title}: {error}; what it had done was undone"))
            }
            FixResult::Stuck { error, left } => {
                let left = left.join("; ");
                (Outcome::Fail, Severity::Blocking, format!("{title}: {error}; could not be undone: {left}"))
            }
        };
        Self { title: title.to_owned(), ..Self::new(format!("fix.{check}"), outcome, severity, summary) }
    }

    /// Whether it decides the exit status.
    pub fn blocks(&self, strict: bool) -> bool {
        self.outcome.blocks(self.severity, strict)
    }

    /// Whether there is nothing to say about it.
    pub fn is_fine(&self) -> bool {
        matches!(self.outcome, Outcome::Pass | Outcome::NotApplicable)
    }

    /// The word for its outcome: pass, blocking, warning, info, unknown, or a dash.
    pub fn word(&self) -> &'static str {
        match (self.outcome, self.severity) {
            (Outcome::Pass, _) => "pass",
            (Outcome::Fail, Severity::Blocking) => "blocking",
            (Outcome::Fail, Severity::Warning) => "warning",
            (Outcome::Fail, Severity::Info) => "info",
            (Outcome::Unknown, _) => "unknown",
            (Outcome::NotApplicable, _) => "-",
        }
    }

    /// The evidence, a line each.
    pub fn seen(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for evidence in &self.evidence {
            lines.push(format!("saw: {}: {}", evidence.location, evidence.value));
            lines.extend(evidence.wanted.iter().map(|wanted| format!("wanted: {wanted}")));
        }
        lines
    }

    /// What it is a consequence of, evidence, cause, remedy and source, a line each.
    pub fn details(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.because_of.iter().map(|root| format!("because of: {root}")).collect();
        lines.extend(self.seen());
        lines.extend(self.cause.iter().map(|cause| format!("why: {cause}")));
        lines.extend(self.remedy.iter().map(|remedy| format!("do: {remedy}")));
        lines.extend(self.source.iter().map(|source| format!("source: {source}")));
        lines
    }
}

impl From<&Finding> for Item {
    fn from(finding: &Finding) -> Self {
        let Finding {
            id,
            title,
            outcome,
            severity,
            summary,
            evidence,
            cause,
            remedy,
            source,
            because_of,
            fix,
            foretells: _,
        } = finding.clone();
        let mut remedy = remedy;
        remedy.extend(fix.map(|fix| format!("--fix: {fix}")));
        let because_of = because_of.map(str::to_owned);
        Self {
            title: title.to_owned(),
            evidence,
            cause,
            remedy,
            source,
            because_of,
            ..Self::new(id, outcome, severity, summary)
        }
    }
}

impl From<&Scenario> for Item {
    fn from(scenario: &Scenario) -> Self {
        let Scenario { id, outcome, severity, summary, evidence, cause, remedy, because_of, ms } = scenario.clone();
        let title = crate::verification::scenario::find(id).map(|claim| claim.title.to_owned()).unwrap_or_default();
        let id = format!("verification.{id}");
        Self { title, evidence, cause, remedy, because_of, ms: Some(ms), ..Self::new(id, outcome, severity, summary) }
    }
}

impl From<&Applied> for Item {
    fn from(applied: &Applied) -> Self {
        Self::of_mend(applied.fix.check, &applied.fix.title, &applied.result)
    }
}

impl From<&Launch> for Item {
    fn from(launch: &Launch) -> Self {
        let daemon = launch.daemon();
        let title = "the daemon starts and its API answers".to_owned();
        let Some(failure) = &launch.failure else {
            let summary = match launch.ready_ms {
                Some(ms) => format!("{daemon}: answered after {ms} ms"),
                None => format!("{daemon}: not waited for"),
            };
            return Self { title, ms: launch.ready_ms, ..Self::new("launch", Outcome::Pass, Severity::Info, summary) };
        };
        let mut item =
            Self { title, ..Self::new("launch", Outcome::Fail, Severity::Blocking, failure.summary.clone()) };
        item.evidence.extend(failure.first_error.iter().map(|first| Evidence {
            location: format!("line {} of the daemon's log", first.line),
            value: first.text.text(),
            wanted: None,
        }));
        if let Some(cause) = &failure.cause {
            item.cause = Some(format!("{} [{}]: {}", cause.title, cause.id, cause.why));
            item.remedy.push(cause.remedy.clone());
        }
        item
    }
}

/// Writes the failed check into the launch, and into each claim, that failed because of it. The launch's is that of the
/// cause which the daemon's log names.
pub fn link_outcomes(items: &mut [Item], launch: Option<&Launch>) {
    let cause = launch.and_then(|launch| launch.failure.as_ref()?.cause.as_ref());
    let named = cause.and_then(|cause| cause.check.as_deref());
    let failed: Vec<String> =
        items.iter().filter(|item| item.outcome == Outcome::Fail).map(|item| item.id.clone()).collect();
    let has_failed = |id: &str| failed.iter().any(|failed| failed == id);
    for item in items.iter_mut().filter(|item| item.outcome == Outcome::Fail && item.because_of.is_none()) {
        let root = match item.id.as_str() {
            "launch" => named.filter(|check| has_failed(check)),
            id if id.starts_with("verification.") => cause::of_claim(has_failed, id, &item.summary),
            _ => None,
        };
        item.because_of = root.map(str::to_owned);
    }
}

impl From<&Report> for Document {
    fn from(report: &Report) -> Self {
        let mut items: Vec<Item> = report.findings.iter().map(Item::from).collect();
        items.extend(report.fixes.iter().map(Item::from));
        items.extend(report.launch.iter().map(Item::from));
        items.extend(report.verification.iter().flat_map(|proof| &proof.scenarios).map(Item::from));
        link_outcomes(&mut items, report.launch.as_ref());
        let title = super::table::headline(report);
        let engines: Vec<String> = outers().into_iter().flatten().map(|outer| outer.title).collect();
        let digest = Digest::new(report, &items, &engines);
        let (verdict, cure) = (digest.verdict.clone(), digest.cure.blocks());
        Self {
            verdict,
            cure,
            suites: vec![Suite { name: "dindcheck".to_owned(), title: title.clone(), items, ..Suite::default() }],
            title,
            strict: report.strict,
            exit_status: report.exit_status,
            labels: vec![
                ("inner", report.inner.version.clone()),
                ("outer", report.outer.engine.clone().unwrap_or_default()),
                ("kernel", report.host.kernel.clone().unwrap_or_default()),
            ],
        }
    }
}
