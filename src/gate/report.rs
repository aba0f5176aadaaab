//! What the gate found: the image, each cell of the matrix, and the verdict.

use serde::Serialize;
use serde_json::Value;

use super::baseline::Used;
use crate::exit;
use crate::finding::{Outcome, Severity};
use crate::foreign::Foreign;
use crate::report::document::{Document, Item, Span, Suite};
use crate::report::{Inner, Program};

/// The version of the JSON form.
pub const SCHEMA: u32 = 1;

/// From which severity on a finding fails the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum FailOn {
    /// Only what keeps the daemon or its containers from working
    Blocking,
    /// A warning, or what cannot be told, too
    Warning,
}

/// Everything that the gate has to say.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct GateReport {
    /// The version of this form.
    pub schema: u32,
    /// Which dindcheck says so.
    pub dindcheck: Program,
    /// The image.
    pub image: ImageSummary,
    /// The engine in it.
    pub inner: Inner,
    /// The outer engine; absent if only files were read.
    pub outer: Option<OuterEngine>,
    /// What is in the image.
    pub findings: Vec<Item>,
    /// How it ran, in each cell of the matrix.
    pub cells: Vec<Cell>,
    /// What was known before.
    pub baseline: Option<Used>,
    /// From which severity on a finding fails the gate.
    pub fail_on: FailOn,
    /// The exit status that goes with this report.
    pub exit_status: u8,
}

/// The image.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ImageSummary {
    /// What it was called.
    pub name: String,
    /// The processor.
    pub architecture: String,
    /// What it runs.
    pub entrypoint: Vec<String>,
    /// The default arguments.
    pub command: Vec<String>,
    /// The user; empty: root.
    pub user: String,
    /// The directories that become volumes.
    pub volumes: Vec<String>,
}

/// The engine that the image was run by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct OuterEngine {
    /// Its version.
    pub version: String,
    /// The API version that is spoken.
    pub api: String,
}

/// One way to run the image, and what came of it.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Cell {
    /// Its name.
    pub name: String,
    /// How that is, in a line.
    pub title: String,
    /// What was found.
    pub items: Vec<Item>,
    /// What took how long.
    pub spans: Vec<Span>,
    /// How the outer container ended; absent if it never ran.
    pub status: Option<i64>,
    /// The report from inside, as it came; absent if there was none.
    pub report: Option<Value>,
    /// What was written to standard error there.
    #[cfg_attr(test, schemars(with = "String"))]
    pub log: Foreign,
}

impl GateReport {
    /// The exit status: a finding, then the start, then the proof, as in the container itself; at the end what we could
    /// not do.
    pub fn verdict(&self) -> u8 {
        let strict = self.fail_on == FailOn::Warning;
        let items = self.findings.iter().chain(self.cells.iter().flat_map(|cell| &cell.items));
        let statuses = items.filter(|item| item.blocks(strict)).map(|item| match item.id.as_str() {
            "launch" => exit::LAUNCH_FAILED,
            UNTOLD => exit::INTERNAL,
            id if id.starts_with("verification.") => exit::VERIFICATION_FAILED,
            id if id.starts_with("fix.") => exit::FIX_FAILED,
            _ => exit::BLOCKED,
        });
        statuses.min().unwrap_or(exit::OK)
    }
}

/// The id of what says that a cell could not be run to its end, through no fault of the image.
pub const UNTOLD: &str = "gate.cell";

/// The item that says so.
pub fn untold(reason: impl Into<String>) -> Item {
    Item::new(UNTOLD, Outcome::Fail, Severity::Blocking, reason)
}

/// The last sentence: what made the exit status, where, and how much more there is.
fn sentence(report: &GateReport) -> String {
    let strict = report.fail_on == FailOn::Warning;
    let places = std::iter::once(("image", &report.findings));
    let places = places.chain(report.cells.iter().map(|cell| (cell.name.as_str(), &cell.items)));
    let items: Vec<(&str, &Item)> =
        places.flat_map(|(place, items)| items.iter().map(move |item| (place, item))).collect();
    let mut blocking: Vec<(&Item, Vec<&str>)> = Vec::new();
    let blocks: Vec<&(&str, &Item)> = items.iter().filter(|(_, item)| item.blocks(strict)).collect();
    // A consequence is no reason of its own, where its root is one.
    let is_root =
        |item: &Item| item.because_of.as_ref().is_none_or(|root| !blocks.iter().any(|(_, other)| other.id == *root));
    for (place, item) in blocks.iter().filter(|(_, item)| is_root(item)) {
        match blocking.iter_mut().find(|(known, _)| known.id == item.id) {
            Some((_, places)) => places.push(place),
            None => blocking.push((item, vec![place])),
        }
    }
    let status = report.exit_status;
    let Some(((first, places), others)) = blocking.split_first() else {
        let failed = |severity| {
            let is_one = |item: &Item| item.outcome == Outcome::Fail && item.severity == severity;
            items.iter().filter(|(_, item)| is_one(item)).count()
        };
        let (warnings, notes) = (failed(Severity::Warning), failed(Severity::Info));
        let cells = report.cells.len();
        return format!(
            "dindcheck: fit, as far as the image and {cells} {} tell: {warnings} {}, {notes} {}; exit status {status}",
            if cells == 1 { "cell" } else { "cells" },
            if warnings == 1 { "warning" } else { "warnings" },
            if notes == 1 { "note" } else { "notes" },
        );
    };
    let more = match others.len() {
        0 => String::new(),
        1 => format!(", and {}", others[0].0.id),
        count => format!(", and {count} more"),
    };
    format!("dindcheck: not fit: {} ({}): {}{more}; exit status {status}", first.id, places.join(", "), first.summary)
}

impl From<&GateReport> for Document {
    fn from(report: &GateReport) -> Self {
        let image = Suite {
            name: "image".to_owned(),
            title: format!("What is in {}", report.image.name),
            items: report.findings.clone(),
            ..Suite::default()
        };
        let cells = report.cells.iter().map(|cell| Suite {
            name: cell.name.clone(),
            title: cell.title.clone(),
            items: cell.items.clone(),
            spans: cell.spans.clone(),
            log: cell.log.text(),
        });
        let outer = report.outer.as_ref();
        let by = outer.map(|outer| format!(", under Docker {}", outer.version)).unwrap_or_default();
        Self {
            verdict: sentence(report),
            cure: Vec::new(),
            title: format!("dindcheck gate: {} with Docker {}{by}", report.image.name, report.inner.version),
            suites: std::iter::once(image).chain(cells).collect(),
            strict: report.fail_on == FailOn::Warning,
            exit_status: report.exit_status,
            labels: vec![
                ("image", report.image.name.clone()),
                ("inner", report.inner.version.clone()),
                ("outer", outer.map(|outer| outer.version.clone()).unwrap_or_default()),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_schema_is_current() {
        let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
        let schema = settings.into_generator().into_root_schema_for::<GateReport>();
        let current = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/gate/report.schema.json");
        if std::env::var_os("DINDCHECK_UPDATE_SCHEMA").is_some() {
            std::fs::write(path, &current).unwrap();
        }
        let text = std::fs::read_to_string(path).unwrap_or_default();
        assert!(text == current, "src/gate/report.schema.json is old: DINDCHECK_UPDATE_SCHEMA=1 cargo test published");
    }

    fn report(findings: Vec<Item>, cells: Vec<Vec<Item>>, fail_on: FailOn) -> GateReport {
        let cell = |(number, items)| Cell {
            name: format!("cell {number}"),
            title: String::new(),
            items,
            spans: Vec::new(),
            status: Some(0),
            report: None,
            log: Foreign::default(),
        };
        let image = ImageSummary {
            name: "x".to_owned(),
            architecture: "amd64".to_owned(),
            entrypoint: Vec::new(),
            command: Vec::new(),
            user: String::new(),
            volumes: Vec::new(),
        };
        let mut report = GateReport {
            schema: SCHEMA,
            dindcheck: Program::THIS,
            image,
            inner: Inner { version: "28.5.2".to_owned(), said_by: None, profile: "28.0.0".to_owned() },
            outer: None,
            findings,
            cells: cells.into_iter().enumerate().map(cell).collect(),
            baseline: None,
            fail_on,
            exit_status: exit::OK,
        };
        report.exit_status = report.verdict();
        report
    }

    #[test]
    fn the_last_sentence_counts_what_failed_and_names_what_blocks() {
        use Outcome::{Fail, NotApplicable, Pass, Unknown};
        use Severity::{Blocking, Info, Warning};
        use std::slice::from_ref;
        let item = |id: &str, outcome, severity| Item::new(id, outcome, severity, format!("{id} it is"));
        let told = |findings: &[Item], cells: &[&[Item]], fail_on| {
            let cells = cells.iter().map(|items| items.to_vec()).collect();
            sentence(&report(findings.to_vec(), cells, fail_on))
        };
        let well = [item("a", Pass, Blocking), item("b", NotApplicable, Warning), item("c", Unknown, Info)];
        let fit = "dindcheck: fit, as far as the image and";
        assert_eq!(
            told(&well, &[], FailOn::Blocking),
            format!("{fit} 0 cells tell: 0 warnings, 0 notes; exit status 0")
        );
        let (warning, note) = (item("d", Fail, Warning), item("e", Fail, Info));
        assert_eq!(
            told(&well, &[&[warning.clone(), note.clone()]], FailOn::Blocking),
            format!("{fit} 1 cell tell: 1 warning, 1 note; exit status 0")
        );
        let both = [warning.clone(), note.clone()];
        assert_eq!(
            told(&both, &[&both, &[note]], FailOn::Blocking),
            format!("{fit} 2 cells tell: 2 warnings, 3 notes; exit status 0")
        );
        let not_fit = "dindcheck: not fit:";
        assert_eq!(
            told(from_ref(&warning), &[&well], FailOn::Warning),
            format!("{not_fit} d (image): d it is, and c; exit status 1")
        );
        let root = item("f", Fail, Blocking);
        let consequence = Item { because_of: Some("f".to_owned()), ..item("g", Fail, Blocking) };
        let other = Item { because_of: Some("d".to_owned()), ..item("h", Fail, Blocking) };
        assert_eq!(
            told(&[warning], &[&[root.clone(), consequence.clone()], from_ref(&root)], FailOn::Blocking),
            format!("{not_fit} f (cell 0, cell 1): f it is; exit status 1")
        );
        assert_eq!(
            told(&[root], &[&[consequence, other.clone(), item("i", Fail, Blocking)]], FailOn::Blocking),
            format!("{not_fit} f (image): f it is, and 2 more; exit status 1")
        );
    }
}
