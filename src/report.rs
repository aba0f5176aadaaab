//! One model of all that was found, done and proved; and its forms.

pub mod digest;
pub mod document;
pub mod github;
pub mod html;
pub mod json;
pub mod junit;
mod markup;
pub mod prometheus;
pub mod remedy;
pub mod sarif;
pub mod seal;
pub mod table;

use serde::{Deserialize, Serialize};

use crate::diagnosis::{Diagnosis, FirstError, Named, Weight};
use crate::fact::Fact;
use crate::facts::{Facts, cgroup, kernel, outer};
use crate::finding::{Fate, Finding, Outcome, Severity};
use crate::fix::apply::Applied;
use crate::profile::Profile;
use crate::verification::Verification;

/// The version of the JSON form.
pub const SCHEMA: u32 = 1;

/// Everything that there is to say.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The version of this form.
    pub schema: u32,
    /// Which dindcheck says so.
    pub dindcheck: Program,
    /// The machine.
    pub host: Host,
    /// The container around us.
    pub outer: Outer,
    /// The engine inside.
    pub inner: Inner,
    /// What the checks found, after all fixes.
    pub findings: Vec<Finding>,
    /// What they foretell of the daemon, should it be started as it is; absent if nothing was judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub foretold: Option<Fate>,
    /// What was mended, or tried to be.
    pub fixes: Vec<Applied>,
    /// How the daemon started; absent if it was not started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launch: Option<Launch>,
    /// What the test container proved; absent if it was not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// The findings in numbers.
    pub summary: Summary,
    /// Whether a warning, or what cannot be told, blocks too.
    pub strict: bool,
    /// The exit status that goes with this report.
    pub exit_status: u8,
    /// Why it is not 0, where nothing of the above tells that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// This program.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Program {
    /// Its version.
    pub version: &'static str,
    /// The commit it was built from; `None` for a build that is no release, or from sources without one.
    pub commit: Option<&'static str>,
    /// The build profile, `release` for what is packaged.
    pub profile: &'static str,
}

impl Program {
    /// The one that runs.
    pub const THIS: Self = Self {
        version: env!("CARGO_PKG_VERSION"),
        commit: if env!("BUILD_COMMIT").is_empty() { None } else { Some(env!("BUILD_COMMIT")) },
        profile: env!("BUILD_PROFILE"),
    };

    /// Version, commit and profile in one line, as `--version` prints them.
    pub const LINE: &str = env!("BUILD_LINE");
}

/// The machine.
#[derive(Debug, Clone, Serialize)]
pub struct Host {
    /// The kernel's release; absent if unknown.
    pub kernel: Option<String>,
    /// How cgroup controllers are spread: `legacy`, `hybrid`, `unified`.
    pub cgroup: Option<cgroup::Mode>,
}

impl Host {
    /// What these facts say.
    pub fn of(kernel: &Fact<kernel::Kernel>, cgroup: &Fact<cgroup::Cgroup>) -> Self {
        Self {
            kernel: kernel.as_ref().ok().map(|kernel| kernel.release.clone()),
            cgroup: cgroup.as_ref().ok().map(|cgroup| cgroup.mode),
        }
    }
}

/// The container around us.
#[derive(Debug, Clone, Serialize)]
pub struct Outer {
    /// Whether we are in a container at all.
    pub in_container: bool,
    /// The engine that the marks speak for.
    pub engine: Option<String>,
    /// The marks.
    pub marks: Vec<String>,
}

impl Outer {
    /// What this fact says.
    pub fn of(outer: &Fact<outer::Outer>) -> Self {
        let outer = outer.as_ref().ok();
        Self {
            in_container: outer.is_some_and(|outer| outer.in_container),
            engine: outer.and_then(|outer| outer.engine.clone()),
            marks: outer.map(|outer| outer.marks.clone()).unwrap_or_default(),
        }
    }
}

/// The engine inside.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Inner {
    /// Its version.
    pub version: String,
    /// How that is known.
    pub said_by: Option<String>,
    /// The newest profile file that it is judged by.
    pub profile: String,
}

impl Inner {
    /// An engine with this profile, and how its version is known.
    pub fn of(profile: &Profile, said_by: Option<String>) -> Self {
        Self { version: profile.version.to_string(), said_by, profile: profile.profile.clone() }
    }
}

/// How the daemon started.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Launch {
    /// Its command line; absent if it ran already.
    pub command: Vec<String>,
    /// Where its API is.
    pub socket: String,
    /// All its addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<Address>,
    /// Milliseconds from its start to the API's first answer; absent if it did not answer.
    pub ready_ms: Option<u64>,
    /// The version that it says it has.
    pub engine: Option<String>,
    /// The API version that is spoken.
    pub api: Option<String>,
    /// Why it did not start, or did not answer.
    pub failure: Option<Failure>,
}

/// An address of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Address {
    /// The address, with its scheme.
    pub address: String,
    /// Whether clients get in only once the daemon is proved; else the daemon listens there from its start.
    pub closed_until_proved: bool,
}

impl Launch {
    /// Which daemon this is: by its command line, or by where it answers.
    pub fn daemon(&self) -> String {
        if self.command.is_empty() { format!("the daemon at {}", self.socket) } else { self.command.join(" ") }
    }
}

/// Why the daemon did not start.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Failure {
    /// What happened: it died, or it did not answer in time.
    pub summary: String,
    /// The first error in its log that matters, and the id of its cause where that is known.
    pub first_error: Option<FirstError>,
    /// That cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Named>,
}

impl Failure {
    /// A failure that no log tells more about.
    pub fn new(summary: impl Into<String>) -> Self {
        Self { summary: summary.into(), first_error: None, cause: None }
    }

    /// What explains it where the log names no cause: a check that was left out, and would have said so before.
    pub fn explain_by(&mut self, left_out: &Finding) {
        self.cause.get_or_insert_with(|| Named {
            id: left_out.id.to_owned(),
            line: 0,
            weight: Weight::Likely,
            title: format!("{} (the check was left out)", left_out.summary),
            why: left_out.cause.clone().unwrap_or_default(),
            remedy: left_out.remedy.join("; "),
            check: Some(left_out.id.to_owned()),
            fix: None,
            sources: left_out.source.clone(),
        });
    }

    /// A failure with what the daemon's log says of it, in the words of what is around.
    pub fn diagnosed(summary: impl Into<String>, diagnosis: Diagnosis) -> Self {
        let cause = diagnosis.cause().cloned();
        Self { summary: summary.into(), first_error: diagnosis.first_error, cause }
    }
}

/// The findings in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Checks that passed.
    pub passed: usize,
    /// Failures that stop the main job.
    pub blocking: usize,
    /// Failures that do not.
    pub warnings: usize,
    /// Worth knowing.
    pub infos: usize,
    /// What could not be told.
    pub unknown: usize,
}

impl Report {
    /// A report of facts, findings and fixes; launch and verification are added as they come.
    pub fn new(facts: &Facts, profile: &Profile, findings: Vec<Finding>, fixes: Vec<Applied>) -> Self {
        let host = Host::of(&facts.kernel, &facts.cgroup);
        let said_by = facts.engine.as_ref().ok().map(|engine| engine.said_by.clone());
        let summary = Summary::of(&findings);
        let about = Self::without_findings(host, Outer::of(&facts.outer), Inner::of(profile, said_by));
        let foretold = Some(Finding::foretold(&findings));
        Self { summary, findings, foretold, fixes, ..about }
    }

    /// A report of a daemon that runs already, where nothing was judged.
    pub fn without_findings(host: Host, outer: Outer, inner: Inner) -> Self {
        Self {
            schema: SCHEMA,
            dindcheck: Program::THIS,
            host,
            outer,
            inner,
            findings: Vec::new(),
            foretold: None,
            fixes: Vec::new(),
            launch: None,
            verification: None,
            summary: Summary::of(&[]),
            strict: false,
            exit_status: 0,
            reason: None,
        }
    }

    /// Whether a launch, a fix or a claim tells why the exit status is not 0.
    pub fn tells(&self) -> bool {
        self.launch.as_ref().is_some_and(|launch| launch.failure.is_some())
            || self.verification.as_ref().is_some_and(|proof| !proof.passed())
            || self.blocking(self.strict).next().is_some()
    }

    /// The findings that stop the main job.
    pub fn blocking(&self, strict: bool) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.blocks(strict))
    }
}

impl Summary {
    fn of(findings: &[Finding]) -> Self {
        let count = |test: &dyn Fn(&Finding) -> bool| findings.iter().filter(|finding| test(finding)).count();
        let failed =
            |severity| move |finding: &Finding| finding.outcome == Outcome::Fail && finding.severity == severity;
        Self {
            passed: count(&|finding| finding.outcome == Outcome::Pass),
            blocking: count(&failed(Severity::Blocking)),
            warnings: count(&failed(Severity::Warning)),
            infos: count(&failed(Severity::Info)),
            unknown: count(&|finding| finding.outcome == Outcome::Unknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::document::{Document, Item, Span, Suite};
    use super::table::Layout;
    use super::{github, html, junit, prometheus, sarif, table};
    use crate::finding::{Evidence, Outcome, Severity};

    fn item(id: &str, outcome: Outcome, severity: Severity, summary: &str) -> Item {
        let evidence =
            vec![Evidence { location: "/a".to_owned(), value: "b".to_owned(), wanted: Some("c".to_owned()) }];
        Item {
            id: id.to_owned(),
            title: format!("title of {id}"),
            outcome,
            severity,
            summary: summary.to_owned(),
            evidence: if outcome == Outcome::Pass { Vec::new() } else { evidence },
            cause: (outcome == Outcome::Fail).then(|| "a cause".to_owned()),
            remedy: vec!["do this".to_owned()],
            source: vec!["a source".to_owned()],
            because_of: None,
            ms: Some(1500),
        }
    }

    /// An image, and two cells that fail alike and each in its own way.
    fn gate() -> Document {
        use Outcome::{Fail, Pass, Unknown};
        let suite = |name: &str, items: Vec<Item>| Suite {
            name: name.to_owned(),
            title: format!("title of {name}"),
            items,
            spans: vec![
                Span { name: "look".to_owned(), from_ms: 100, ms: 400 },
                Span { name: Span::DAEMON.to_owned(), from_ms: 500, ms: 1200 },
            ],
            log: "a line\n".to_owned(),
        };
        let alike = || item("network.mtu", Fail, Severity::Warning, "too large");
        let cells = [
            suite("image", vec![item("image.user", Pass, Severity::Info, "root")]),
            suite(
                "one",
                vec![
                    alike(),
                    item("storage.space", Fail, Severity::Blocking, "full"),
                    item("launch", Pass, Severity::Info, "up"),
                ],
            ),
            suite(
                "other",
                vec![
                    alike(),
                    item("storage.space", Unknown, Severity::Warning, "who knows"),
                    item("launch", Fail, Severity::Blocking, "down"),
                ],
            ),
        ];
        Document {
            title: "a title".to_owned(),
            verdict: "a verdict".to_owned(),
            cure: vec![("in the image".to_owned(), vec!["RUN this".to_owned()])],
            suites: cells.into(),
            exit_status: 1,
            ..Document::default()
        }
    }

    #[test]
    fn several_cells_in_each_form() {
        let mut all: Vec<u8> = Vec::new();
        let layout = Layout { color: false, verbose: false, quiet: false, width: 100, is_aside: false };
        for layout in [layout, Layout { quiet: true, width: 60, ..layout }, Layout { verbose: true, ..layout }] {
            table::write_document(&gate(), layout, &mut all).unwrap();
            all.extend(b"---\n");
        }
        for write in [junit::write, sarif::write, github::write, github::write_summary, prometheus::write, html::write]
        {
            write(&gate(), &mut all).unwrap();
            all.extend(b"---\n");
        }
        let all = String::from_utf8(all).unwrap().replace(env!("CARGO_PKG_VERSION"), "VERSION");
        let (before, after) = all.split_once("<style>").unwrap();
        let all = format!("{before}<STYLE>{}", after.split_once("</style>").unwrap().1);
        insta::with_settings!({snapshot_path => "report/snapshots"}, { insta::assert_snapshot!(all) });
    }

    /// The lines of the matrix of cells, with or without colour.
    fn matrix(document: &Document, color: bool) -> Vec<String> {
        let layout = Layout { color, verbose: false, quiet: true, width: 100, is_aside: false };
        let mut out = Vec::new();
        table::write_document(document, layout, &mut out).unwrap();
        String::from_utf8(out).unwrap().lines().skip(1).take(6).map(str::to_owned).collect()
    }

    #[test]
    fn the_verdict_of_each_cell_has_its_colour() {
        let mut document = gate();
        document.suites[1].items.retain(|item| item.id != "storage.space");
        let (plain, colored) = (matrix(&document, false), matrix(&document, true));
        assert_eq!(plain[4], " verdict        pass   FAIL");
        assert_eq!(colored[4], " verdict        \u{1b}[32mpass\u{1b}[39m   \u{1b}[31mFAIL\u{1b}[39m");
        assert_eq!((&plain[..4], &plain[5]), (&colored[..4], &colored[5]), "and nothing else of the matrix has one");
    }
}
