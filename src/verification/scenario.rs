//! The scenarios by name, and how the outcome and the time of each are written down.

use std::cell::RefCell;
use std::future::Future;
use std::time::{Duration, Instant};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::engine::api::ApiError;
use crate::finding::{Evidence, Outcome, Severity, Verdict};

/// What is done by rules of the firewall: packets to other machines are masqueraded, and questions to the daemon's name
/// server in a container are redirected to it.
const BY_RULES: [&str; 3] = ["network.name", "network.outbound", "network.dns"];

/// What a scenario claims, and how much that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Its id; never renamed.
    pub id: &'static str,
    /// What holds when it passes.
    pub title: &'static str,
    /// Whether no one can do without it: then its failure is one of the whole verification.
    pub required: bool,
    /// Whether the quick proof has it too.
    pub quick: bool,
    /// How long it may take.
    pub deadline: Duration,
}

const fn required(id: &'static str, seconds: u64, title: &'static str) -> Claim {
    Claim { id, title, required: true, quick: false, deadline: Duration::from_secs(seconds) }
}

const fn optional(id: &'static str, seconds: u64, title: &'static str) -> Claim {
    Claim { required: false, ..required(id, seconds, title) }
}

impl Claim {
    const fn quick(self) -> Self {
        Self { quick: true, ..self }
    }
}

/// All scenarios, in the order of the report.
pub const CLAIMS: &[Claim] = &[
    required("run", 60, "a container is created, runs, prints on both streams, ends with its status, and is gone")
        .quick(),
    required("exec", 60, "a second process runs in a container"),
    required("tty", 60, "a process in a container has a terminal of the size that was asked for"),
    required("user", 60, "a container is started as another user, and has no capability; so a second process in one")
        .quick(),
    required("cp", 60, "files are copied into a container and out of it"),
    required("kill", 60, "a signal reaches a container"),
    required("stop", 60, "a container that is asked to end ends by itself"),
    required("logs", 60, "what a container printed can be read back"),
    optional("storage", 60, "the storage driver shares layers").quick(),
    required("layers", 60, "files of the image are changed, removed and linked in one container, and not in another")
        .quick(),
    required("commit", 60, "a container becomes an image, and runs again from it"),
    required("build", 60, "an image is built in two steps, without a network"),
    required("volumes", 60, "named volumes, directories of the outer container and tmpfs are mounted"),
    required("limits.memory", 60, "a memory limit is set, and enforced").quick(),
    required("limits.cpu", 60, "a CPU limit is set, and enforced").quick(),
    required("limits.pids", 60, "a limit of processes is set, and enforced").quick(),
    optional("cgroup", 60, "inner containers are below the outer container's cgroup"),
    optional("security", 60, "the system call filter and the security module are on"),
    optional("threads", 60, "the system call filter lets programs of any C library start threads and others").quick(),
    optional("stats", 60, "the daemon sees what a running container uses"),
    optional("oom", 60, "a container that ran out of memory is reported as such, in its state and as an event"),
    optional("privileged", 60, "an inner container can be privileged"),
    required("network.address", 60, "a container has an address and a default route").quick(),
    required("network.gateway", 60, "a container reaches the outer container").quick(),
    required("network.peer", 60, "containers reach each other by address"),
    required("network.name", 60, "containers of a network find and reach each other by name"),
    required("network.port", 60, "a published port is reached from the outer container, and through it"),
    required("network.outbound", 60, "a container reaches what is beyond the outer container").quick(),
    required("network.mtu", 60, "full-size packets get out").quick(),
    required("network.dns", 60, "the name servers that the outer container uses answer in a container").quick(),
    optional("network.ipv6", 60, "containers reach each other by IPv6"),
    required("paths", 60, "the directories of `verify --path` are the same in a container").quick(),
    optional("api.tcp", 60, "a client of the network is answered at each TCP address, with TLS by each of its names")
        .quick(),
    required("test-image", 600, "the image that was given runs").quick(),
    optional("bisect", 60, "the layer at which a container fails").quick(),
    required("leftovers", 60, "nothing is left behind").quick(),
    required("drill.daemon", 60, "a daemon that was killed comes back, and so do its containers"),
    required("drill.containerd", 60, "so it is when containerd was killed too"),
    required("drill.all", 60, "so it is when everything was killed, and /run is as the dead left it"),
];

/// Finds a claim by its id.
pub fn find(id: &str) -> Option<&'static Claim> {
    CLAIMS.iter().find(|claim| claim.id == id)
}

/// The id of a claim. (Under a name of its own: serde would take the reference for one into what it reads.)
pub type Id = &'static str;

/// One thing that the test containers proved, or did not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scenario {
    /// The claim's id.
    #[serde(deserialize_with = "known")]
    pub id: Id,
    /// Pass, fail, unknown or not applicable.
    pub outcome: Outcome,
    /// How much a failure matters: `blocking` makes verification fail.
    pub severity: Severity,
    /// One line: what is the case.
    pub summary: String,
    /// What it rests on.
    pub evidence: Vec<Evidence>,
    /// Why it is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What to change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remedy: Vec<String>,
    /// The id of the claim, or of the check, for whose reason this failed or could not be tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because_of: Option<String>,
    /// How long it took, in milliseconds.
    pub ms: u64,
}

/// The id of a claim that another process of ours has told of.
fn known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Id, D::Error> {
    let id = String::deserialize(deserializer)?;
    find(&id).map(|claim| claim.id).ok_or_else(|| D::Error::custom(format!("there is no claim {id}")))
}

impl Scenario {
    /// Makes a failure something that cannot be told.
    pub(super) fn undecided(&mut self, reason: &str) {
        let failed = std::mem::replace(&mut self.summary, reason.to_owned());
        (self.outcome, self.severity) = (Outcome::Unknown, Severity::Warning);
        (self.cause, self.remedy) = (None, Vec::new());
        self.evidence = vec![Evidence { location: "what failed".to_owned(), value: failed, wanted: None }];
    }

    /// Whether this makes verification fail.
    pub fn blocks(&self) -> bool {
        self.outcome.blocks(self.severity, false)
    }
}

/// Where outcomes are written down while scenarios run side by side.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    scenarios: RefCell<Vec<Scenario>>,
    /// Whether the daemon is told to write no rules of the firewall.
    pub(super) without_rules: bool,
}

impl Ledger {
    /// Runs one scenario within its deadline, and writes its outcome down. Gives what it proved with, if it passed.
    pub(super) async fn prove<T>(
        &self,
        id: &'static str,
        scenario: impl Future<Output = Result<(Verdict, T), Refused>>,
    ) -> Option<T> {
        let start = Instant::now();
        let (verdict, value) = match within_deadline(id, scenario).await {
            Ok((verdict, value)) => (verdict, Some(value)),
            Err(Refused(verdict)) => (*verdict, None),
        };
        self.write(id, verdict, start.elapsed());
        value
    }

    /// The same for what more than one claim rests on: gives it back, whatever the verdict of this one.
    pub(super) async fn prove_with<T>(
        &self,
        id: &'static str,
        made: impl Future<Output = Result<T, Refused>>,
        judge: impl FnOnce(&T) -> Result<Verdict, Refused>,
    ) -> Result<T, Refused> {
        let start = Instant::now();
        let made = within_deadline(id, made).await;
        let verdict = made.as_ref().map_err(Clone::clone).and_then(judge);
        self.write(id, verdict.unwrap_or_else(|Refused(verdict)| *verdict), start.elapsed());
        made
    }

    /// Writes an outcome down.
    pub(super) fn write(&self, id: &'static str, verdict: Verdict, took: Duration) {
        let required = find(id).is_some_and(|claim| claim.required);
        let Verdict { outcome, severity, summary, evidence, mut cause, remedy, .. } = verdict;
        let is_without = self.without_rules && outcome == Outcome::Fail && BY_RULES.contains(&id);
        if is_without {
            cause = Some("The daemon is told to write no rules of the firewall, and this is done by them.".to_owned());
        }
        let severity = if required && !is_without { severity } else { severity.min(Severity::Warning) };
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.scenarios.borrow_mut().push(Scenario {
            id,
            outcome,
            severity,
            summary,
            evidence,
            cause,
            remedy,
            because_of: None,
            ms,
        });
    }

    /// Whether a claim was refuted.
    pub(super) fn failed(&self, id: &str) -> bool {
        self.scenarios.borrow().iter().any(|scenario| scenario.id == id && scenario.outcome == Outcome::Fail)
    }

    /// Whether anything was refuted.
    pub(super) fn any_failed(&self) -> bool {
        self.scenarios.borrow().iter().any(|scenario| scenario.outcome == Outcome::Fail)
    }

    /// All that was written down.
    pub(super) fn into_inner(self) -> Vec<Scenario> {
        self.scenarios.into_inner()
    }
}

/// What all claims say if there is nothing to run.
pub(super) const NO_IMAGE: &str = "not tried: there is no test image";

/// The scenarios in the order of the claims. What failed for the reason of one before refers to that one.
pub(super) fn close(mut scenarios: Vec<Scenario>) -> Vec<Scenario> {
    scenarios.sort_by_key(|scenario| CLAIMS.iter().position(|claim| claim.id == scenario.id));
    let mut reasons: Vec<(String, &'static str)> = Vec::new();
    for scenario in scenarios.iter_mut().filter(|scenario| scenario.outcome == Outcome::Fail) {
        let reason = without_names(&scenario.summary);
        match reasons.iter().find(|(known, _)| *known == reason) {
            Some((_, first)) => {
                scenario.summary = format!("failed as verification.{first} did");
                scenario.because_of = Some(format!("verification.{first}"));
                (scenario.evidence, scenario.cause, scenario.remedy) = (Vec::new(), None, Vec::new());
            }
            None => reasons.push((reason, scenario.id)),
        }
    }
    for scenario in scenarios.iter_mut().filter(|scenario| scenario.summary == NO_IMAGE) {
        scenario.because_of = Some("verification.run".to_owned());
    }
    scenarios
}

/// A text without the words that name one container of many: long ones with a digit in them.
fn without_names(text: &str) -> String {
    let words = text.split(|c: char| !c.is_alphanumeric());
    words.filter(|word| word.len() < 8 || !word.contains(|c: char| c.is_ascii_digit())).collect::<Vec<_>>().join(" ")
}

async fn within_deadline<T>(id: &str, scenario: impl Future<Output = Result<T, Refused>>) -> Result<T, Refused> {
    let deadline = find(id).map_or(Duration::from_secs(20), |claim| claim.deadline);
    let late = |_| Err(blocking(format!("not done within {} s", deadline.as_secs())).into());
    tokio::time::timeout(deadline, scenario).await.unwrap_or_else(late)
}

/// A verdict that ends a scenario before its end.
#[derive(Debug, Clone)]
pub(super) struct Refused(pub(super) Box<Verdict>);

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self(Box::new(blocking(error.to_string()).saw(format!("API: {}", error.verb), error.reason.text())))
    }
}

impl From<Verdict> for Refused {
    fn from(verdict: Verdict) -> Self {
        Self(Box::new(verdict))
    }
}

/// A failure; how much it matters is for the claim to say.
pub(super) fn blocking(summary: impl Into<String>) -> Verdict {
    Verdict::fail(Severity::Blocking, summary)
}

/// Judges evidence of which each piece with something wanted has to be just that.
pub(super) fn judge(holds: impl Into<String>, evidence: Vec<Evidence>) -> Verdict {
    let wrong: Vec<String> = evidence
        .iter()
        .filter_map(|one| {
            let wanted = one.wanted.as_ref().filter(|wanted| **wanted != one.value)?;
            Some(format!("{}: {} instead of {wanted}", one.location, one.value))
        })
        .collect();
    let verdict = if wrong.is_empty() { Verdict::pass(holds) } else { blocking(wrong.join("; ")) };
    verdict.evidence(evidence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique() {
        for (index, claim) in CLAIMS.iter().enumerate() {
            assert!(CLAIMS[..index].iter().all(|other| other.id != claim.id), "{}", claim.id);
        }
    }

    #[test]
    fn evidence_is_judged_by_what_is_wanted() {
        let saw = |value: &str, wanted: Option<&str>| Evidence {
            location: "x".to_owned(),
            value: value.to_owned(),
            wanted: wanted.map(str::to_owned),
        };
        assert_eq!(judge("fine", vec![saw("1", Some("1")), saw("2", None)]).outcome, Outcome::Pass);
        let wrong = judge("fine", vec![saw("1", Some("1")), saw("2", Some("3"))]);
        assert_eq!((wrong.outcome, wrong.summary.as_str()), (Outcome::Fail, "x: 2 instead of 3"));
    }

    #[test]
    fn the_failure_of_an_optional_claim_is_a_warning() {
        let ledger = Ledger::default();
        ledger.write("cgroup", blocking("escaped"), Duration::ZERO);
        ledger.write("run", blocking("dead"), Duration::ZERO);
        let scenarios = close(ledger.into_inner());
        assert_eq!(
            scenarios.iter().map(|s| (s.id, s.blocks())).collect::<Vec<_>>(),
            [("run", true), ("cgroup", false)]
        );
    }

    #[test]
    fn one_cause_is_reported_once() {
        let ledger = Ledger::default();
        ledger.write("layers", blocking("cannot start the test container: mount /a/4f5e0011: denied"), Duration::ZERO);
        ledger.write("run", blocking("cannot start the test container: mount /a/0b1cabcd: denied"), Duration::ZERO);
        ledger.write("exec", blocking("exit status: 1 instead of 42"), Duration::ZERO);
        let scenarios = close(ledger.into_inner());
        let summaries: Vec<&str> = scenarios.iter().map(|scenario| scenario.summary.as_str()).collect();
        assert_eq!(summaries[1..], ["exit status: 1 instead of 42", "failed as verification.run did"]);
        assert!(scenarios.iter().all(Scenario::blocks));
    }
}
