//! Which findings are consequences of another one, or of something that several of them are signs of.
//!
//! A consequence is reported below its root, and is no less a failure, or unknown, for that.

use crate::finding::{Finding, Outcome};

/// A root that is no check's own: several checks fail because of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cause {
    /// Its id, which stands in `because_of`; never renamed.
    pub id: &'static str,
    /// What is the case, in a line.
    pub title: &'static str,
    /// Why that breaks a nested daemon.
    pub why: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

/// The outer container was started without its engine's `--privileged`, or with parts of it alone.
pub const NOT_PRIVILEGED: Cause = Cause {
    id: "not-privileged",
    title: "the outer container is not privileged",
    why: "Its engine takes capabilities away, filters system calls, and mounts /sys/fs/cgroup and /proc/sys read-only: \
          all of that is what a nested daemon works with.",
    remedy: "Start the outer container with --privileged (Kubernetes: securityContext.privileged: true).",
};

/// All roots that are no check's own.
pub const CAUSES: &[Cause] = &[NOT_PRIVILEGED];

/// The root of that id.
pub fn find(id: &str) -> Option<&'static Cause> {
    CAUSES.iter().find(|cause| cause.id == id)
}

/// What follows from what.
struct Relation {
    /// The id of the root: a check's that failed, or a [`Cause`]'s.
    root: &'static str,
    /// Whether the root is there.
    holds: fn(&[Finding]) -> bool,
    /// Whether this failure, or unknown, is one of its consequences.
    follows: fn(&[Finding], &Finding) -> bool,
}

/// The first relation that explains a finding counts.
const RELATIONS: &[Relation] = &[
    Relation {
        root: NOT_PRIVILEGED.id,
        holds: |all| {
            let signs = ["privileges.seccomp", "cgroup.writable", "mounts.proc-sys"];
            // One of the signs alone has many reasons: `-v /sys/fs/cgroup:/sys/fs/cgroup:ro` is one.
            failed(all, "privileges.capabilities") || signs.iter().filter(|id| failed(all, id)).count() >= 2
        },
        follows: |all, finding| match finding.outcome {
            Outcome::Unknown => is_denied(finding),
            _ => match finding.id {
                "privileges.capabilities" | "privileges.seccomp" | "privileges.operations" | "privileges.grants" => {
                    true
                }
                "limits.raising" | "cgroup.writable" | "mounts.proc-sys" | "devices.nodes" => true,
                "network.ip-forward" => failed(all, "mounts.proc-sys"),
                "cgroup.operations" | "network.devices" => is_denied(finding),
                _ => false,
            },
        },
    },
    Relation {
        root: "privileges.operations",
        holds: |all| failed(all, "privileges.operations"),
        follows: |_, finding| finding.outcome == Outcome::Unknown && is_denied(finding),
    },
    Relation {
        root: "cgroup.mounted",
        holds: |all| failed(all, "cgroup.mounted"),
        follows: |_, finding| is_of(finding, "cgroup"),
    },
    Relation {
        // Where no one can make a cgroup, none can be given controllers.
        root: "cgroup.operations",
        holds: |all| {
            let makes =
                |finding: &Finding| finding.evidence.iter().any(|seen| seen.location.starts_with("make a cgroup"));
            failed(all, "cgroup.operations") && all.iter().any(|own| own.id == "cgroup.operations" && makes(own))
        },
        follows: |_, finding| finding.id == "cgroup.delegation",
    },
    Relation {
        root: "mounts.proc-sys",
        holds: |all| failed(all, "mounts.proc-sys"),
        follows: |_, finding| finding.id == "network.ip-forward",
    },
    Relation {
        root: "configuration.accepted",
        holds: |all| failed(all, "configuration.accepted"),
        // What cannot be parsed is unknown to every check that needs it.
        follows: |all, finding| {
            let place = |root: &Finding| root.evidence.first().map(|seen| seen.location.clone());
            let place = all.iter().find(|root| root.id == "configuration.accepted").and_then(place);
            finding.outcome == Outcome::Unknown
                && place.is_some_and(|place| finding.summary.contains(&format!("cannot parse {place}")))
        },
    },
    Relation {
        root: "engine.profile",
        holds: |all| failed(all, "engine.profile"),
        follows: |_, finding| finding.outcome == Outcome::Unknown && finding.summary.contains("cannot find "),
    },
    Relation {
        root: "engine.binaries",
        holds: |all| failed(all, "engine.binaries"),
        follows: |_, finding| {
            is_of(finding, "netfilter") && finding.evidence.first().is_some_and(|seen| seen.location == "PATH")
        },
    },
    Relation {
        root: "netfilter.iptables",
        holds: |all| failed(all, "netfilter.iptables"),
        follows: |_, finding| finding.id == "netfilter.ip6tables",
    },
    Relation {
        root: "storage.data-root",
        holds: |all| failed(all, "storage.data-root"),
        follows: |_, finding| matches!(finding.id, "storage.d-type" | "storage.space" | "storage.driver"),
    },
];

/// Writes the root of each finding that is a consequence into it.
pub(super) fn link<'f>(findings: impl Iterator<Item = &'f mut Finding>) {
    let mut findings: Vec<&mut Finding> = findings.collect();
    let all: Vec<Finding> = findings.iter().map(|finding| (**finding).clone()).collect();
    let held: Vec<&Relation> = RELATIONS.iter().filter(|relation| (relation.holds)(&all)).collect();
    let is_notable = |finding: &Finding| matches!(finding.outcome, Outcome::Fail | Outcome::Unknown);
    for finding in findings.iter_mut().filter(|finding| is_notable(finding)) {
        let root = held.iter().find(|relation| relation.root != finding.id && (relation.follows)(&all, finding));
        finding.because_of = root.map(|relation| relation.root);
    }
}

/// The failed check that a claim of this id failed because of; `text` is what it failed with, `has_failed` tells which
/// checks failed.
pub fn of_claim(has_failed: impl Fn(&str) -> bool, id: &str, text: &str) -> Option<&'static str> {
    let root = match id {
        "verification.storage" => "storage.data-root",
        "verification.network.mtu" => "network.mtu",
        "verification.network.dns" => "network.nameservers",
        _ if id.starts_with("verification.network.") => "network.arp",
        _ if text.contains("no space left on device") => "storage.space",
        _ => return None,
    };
    has_failed(root).then_some(root)
}

fn failed(all: &[Finding], id: &str) -> bool {
    all.iter().any(|finding| finding.id == id && finding.outcome == Outcome::Fail)
}

fn is_of(finding: &Finding, family: &str) -> bool {
    finding.id.split('.').next() == Some(family)
}

/// Whether something was not permitted: errno EPERM or EACCES, as the standard library or nix writes it.
fn is_denied(finding: &Finding) -> bool {
    let texts = finding.evidence.iter().map(|seen| seen.value.as_str()).chain([finding.summary.as_str()]);
    let words = ["Operation not permitted", "Permission denied", "EPERM", "EACCES"];
    texts.into_iter().any(|text| words.iter().any(|word| text.contains(word)))
}

#[cfg(test)]
mod tests {
    use super::of_claim;

    #[test]
    fn a_claim_fails_because_of_a_check_that_failed() {
        let full = "cannot write: no space left on device";
        for (id, text, root) in [
            ("verification.storage", full, Some("storage.data-root")),
            ("verification.network.mtu", "", Some("network.mtu")),
            ("verification.network.dns", "", Some("network.nameservers")),
            ("verification.network.peer", "", Some("network.arp")),
            ("verification.commit", full, Some("storage.space")),
            ("verification.commit", "it ended with 1", None),
        ] {
            assert_eq!(of_claim(|_| true, id, text), root, "{id}: {text}");
            assert_eq!(of_claim(|check| Some(check) == root, id, text), root, "{id}: {text}");
            assert_eq!(of_claim(|check| Some(check) != root, id, text), None, "{id}: {text}");
        }
    }
}
