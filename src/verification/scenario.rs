//! The scenarios by name, and how the outcome and the time of each are written down.

use std::cell::RefCell;
use std::future::Future;
use std::time::{Duration, Instant};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::engine::api::ApiError;
use crate::finding::{Evidence, Outcome, Severity, Verdict};

/// What a scenario claims, and how much that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Its id; never renamed.
    pub id: &'static str,
    /// What holds when it passes.
    pub title: &'static str,
    /// Whether nobody can do without it: then its failure is one of the whole verification.
    pub required: bool,
    /// How long it may take.
    pub deadline: Duration,
}

const fn required(id: &'static str, seconds: u64, title: &'static str) -> Claim {
    Claim { id, title, required: true, deadline: Duration::from_secs(seconds) }
}

const fn optional(id: &'static str, seconds: u64, title: &'static str) -> Claim {
    Claim { id, title, required: false, deadline: Duration::from_secs(seconds) }
}

/// All scenarios, in the order of the report.
pub const CLAIMS: &[Claim] = &[
    required("run", 30, "a container is created, runs, prints on both streams, ends with its status, and is gone"),
    required("exec", 20, "a second process runs in a container"),
    required("tty", 20, "a process in a container has a terminal of the size that was asked for"),
    required("user", 20, "a process runs as another user, with no capability"),
    required("cp", 20, "files are copied into a container and out of it"),
    required("kill", 20, "a signal reaches a container"),
    required("stop", 20, "a container that is asked to end ends by itself"),
    required("logs", 20, "what a container printed can be read back"),
    optional("storage", 20, "the storage driver shares layers"),
    required("layers", 20, "files of the image are changed, removed and linked in one container, and not in another"),
    required("commit", 30, "a container becomes an image, and runs again from it"),
    required("build", 40, "an image is built in two steps, without a network"),
    required("volumes", 20, "named volumes, directories of the outer container and tmpfs are mounted"),
    required("limits.memory", 30, "a memory limit is set, and enforced"),
    required("limits.cpu", 30, "a CPU limit is set, and enforced"),
    required("limits.pids", 30, "a limit of processes is set, and enforced"),
    optional("cgroup", 20, "inner containers are below the outer container's cgroup"),
    optional("security", 20, "the system call filter and the security module are on"),
    optional("privileged", 20, "an inner container can be privileged"),
    required("network.address", 20, "a container has an address and a default route"),
    required("network.gateway", 20, "a container reaches the outer container"),
    required("network.peer", 20, "containers reach each other by address"),
    required("network.name", 20, "containers of a network find and reach each other by name"),
    required("network.port", 20, "a published port is reached from the outer container, and through it"),
    required("network.outbound", 20, "a container reaches what is beyond the outer container"),
    required("network.mtu", 20, "full-size packets get out"),
    required("network.dns", 20, "the name servers that the outer container uses answer in a container"),
    optional("network.ipv6", 20, "containers reach each other by IPv6"),
    required("test-image", 600, "the image that was given runs"),
    optional("bisect", 60, "the layer at which a container fails"),
    required("leftovers", 20, "nothing is left behind"),
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
    /// How long it took, in milliseconds.
    pub ms: u64,
}

/// The id of a claim that another process of ours has told of.
fn known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Id, D::Error> {
    let id = String::deserialize(deserializer)?;
    find(&id).map(|claim| claim.id).ok_or_else(|| D::Error::custom(format!("there is no claim {id}")))
}

impl Scenario {
    /// Whether this makes verification fail.
    pub fn blocks(&self) -> bool {
        self.outcome.blocks(self.severity, false)
    }
}

/// Where outcomes are written down while scenarios run side by side.
#[derive(Debug, Default)]
pub(super) struct Ledger(RefCell<Vec<Scenario>>);

impl Ledger {
    /// Runs one scenario within its deadline, and writes its outcome down. Gives what it proved with, if it passed.
    pub(super) async fn prove<T>(
        &self,
        id: &'static str,
        scenario: impl Future<Output = Result<(Verdict, T), Refused>>,
    ) -> Option<T> {
        let start = Instant::now();
        let deadline = find(id).map_or(Duration::from_secs(20), |claim| claim.deadline);
        let ended = tokio::time::timeout(deadline, scenario).await;
        let (verdict, value) = match ended {
            Ok(Ok((verdict, value))) => (verdict, Some(value)),
            Ok(Err(Refused(verdict))) => (*verdict, None),
            Err(_) => (blocking(format!("not done within {} s", deadline.as_secs())), None),
        };
        self.write(id, verdict, start.elapsed());
        value
    }

    /// Writes an outcome down.
    pub(super) fn write(&self, id: &'static str, verdict: Verdict, took: Duration) {
        let required = find(id).is_some_and(|claim| claim.required);
        let Verdict { outcome, severity, summary, evidence, cause, remedy, .. } = verdict;
        let severity = if required { severity } else { severity.min(Severity::Warning) };
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.0.borrow_mut().push(Scenario { id, outcome, severity, summary, evidence, cause, remedy, ms });
    }

    /// Whether a claim was refuted.
    pub(super) fn failed(&self, id: &str) -> bool {
        self.0.borrow().iter().any(|scenario| scenario.id == id && scenario.outcome == Outcome::Fail)
    }

    /// All that was written down, in the order of the claims.
    pub(super) fn close(self) -> Vec<Scenario> {
        let mut scenarios = self.0.into_inner();
        scenarios.sort_by_key(|scenario| CLAIMS.iter().position(|claim| claim.id == scenario.id));
        scenarios
    }
}

/// A verdict that ends a scenario before its end.
#[derive(Debug, Clone)]
pub(super) struct Refused(pub(super) Box<Verdict>);

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self(Box::new(blocking(error.to_string()).saw(format!("API: {}", error.verb), error.reason)))
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
        let scenarios = ledger.close();
        assert_eq!(
            scenarios.iter().map(|s| (s.id, s.blocks())).collect::<Vec<_>>(),
            [("run", true), ("cgroup", false)]
        );
    }
}
