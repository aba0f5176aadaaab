//! Which findings are consequences of which, in machines that have one fault.

use std::collections::BTreeMap;

use dindcheck::check::{self, CHECKS, Selection, cause};
use dindcheck::fact::FactError;
use dindcheck::facts::Facts;
use dindcheck::finding::{Finding, Outcome};

use super::{facts, profile};

/// All findings of these facts.
pub(crate) fn findings(facts: &Facts, version: &str) -> Vec<Finding> {
    let found = check::run(facts, &profile(version), &Selection::default());
    found.into_iter().map(|(finding, _)| finding).collect()
}

/// A container without --privileged: as recorded, and nothing that needs a capability could be tried.
pub(crate) fn unprivileged() -> Facts {
    let mut facts = facts("unprivileged", &profile("28.5.2"));
    let denied = |what: &str| FactError::new("try", what, "Operation not permitted (os error 1)");
    facts.privileges.as_mut().unwrap().attempts = Err(denied("privileges"));
    facts.cgroup.as_mut().unwrap().attempts = Err(denied("a cgroup"));
    facts.storage.as_mut().unwrap().trials = Err(denied("an overlay"));
    facts.netfilter = Err(denied("the rules"));
    facts.network = Err(denied("a bridge"));
    facts
}

/// The ids of what is no pass, by the id of the root.
fn by_root(findings: &[Finding]) -> BTreeMap<&'static str, Vec<&'static str>> {
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for finding in findings.iter().filter(|finding| matches!(finding.outcome, Outcome::Fail | Outcome::Unknown)) {
        found.entry(finding.because_of.unwrap_or_default()).or_default().push(finding.id);
    }
    found
}

#[test]
fn what_a_container_without_privileges_lacks_has_one_cause() {
    let findings = findings(&unprivileged(), "28.5.2");
    let roots = by_root(&findings);
    let of_it = &roots["not-privileged"];
    for id in ["privileges.capabilities", "privileges.seccomp", "cgroup.writable", "mounts.proc-sys"] {
        assert!(of_it.contains(&id), "{roots:?}");
    }
    // Unknown stays unknown.
    let untold = findings.iter().filter(|finding| finding.outcome == Outcome::Unknown);
    let untold: Vec<_> = untold.map(|finding| (finding.id, finding.because_of)).collect();
    assert!(untold.len() >= 10, "{untold:?}");
    for (id, root) in untold {
        assert_eq!(root, Some("not-privileged"), "{id}");
    }
    let blocking: Vec<_> = findings.iter().filter(|finding| finding.blocks(false)).collect();
    assert!(blocking.len() == 3 && blocking.iter().all(|finding| finding.because_of.is_some()), "{blocking:?}");
}

#[test]
fn one_sign_alone_is_a_fault_of_its_own() {
    let mut facts = facts("healthy-28.5.2", &profile("28.5.2"));
    let read_only = |mount: &mut super::Mount| mount.options = [("ro".to_owned(), None)].into();
    facts.cgroup.as_mut().unwrap().legacy_mounts.iter_mut().for_each(read_only);
    let findings = findings(&facts, "28.5.2");
    let writable = findings.iter().find(|finding| finding.id == "cgroup.writable").unwrap();
    assert_eq!((writable.outcome, writable.because_of), (Outcome::Fail, None));
}

#[test]
fn a_configuration_that_cannot_be_read_keeps_others_from_being_told() {
    let mut facts = facts("healthy-28.5.2", &profile("28.5.2"));
    let error = FactError::new("parse", "/etc/docker/daemon.json", "trailing comma at line 1 column 25");
    facts.configuration = Err(error.clone());
    facts.validation = Err(error.clone());
    facts.storage = Err(error);
    let roots = by_root(&findings(&facts, "28.5.2"));
    assert!(roots[""].contains(&"configuration.accepted"), "{roots:?}");
    let of_it = &roots["configuration.accepted"];
    for id in ["storage.data-root", "storage.in-use", "configuration.open-tcp"] {
        assert!(of_it.contains(&id), "{roots:?}");
    }
}

#[test]
fn without_an_engine_what_asks_for_it_has_one_cause() {
    let mut facts = facts("healthy-28.5.2", &profile("28.5.2"));
    facts.engine = Err(FactError::new("find", "dockerd or docker", "not in /root"));
    let roots = by_root(&findings(&facts, "28.5.2"));
    assert!(roots["engine.profile"].contains(&"engine.binaries"), "{roots:?}");
}

#[test]
fn what_needs_a_program_that_is_missing_has_one_cause() {
    let mut facts = facts("healthy-28.5.2", &profile("28.5.2"));
    facts.engine.as_mut().unwrap().binaries.insert("iptables".to_owned(), None);
    facts.netfilter.as_mut().unwrap().candidates.clear();
    let roots = by_root(&findings(&facts, "28.5.2"));
    assert!(roots[""].contains(&"engine.binaries"), "{roots:?}");
    assert_eq!(roots["engine.binaries"], ["netfilter.iptables"], "{roots:?}");
}

#[test]
fn a_root_is_known_and_is_never_a_consequence_of_its_own() {
    for facts in [unprivileged(), facts("no-cgroup-mounts", &profile("28.5.2"))] {
        for finding in findings(&facts, "28.5.2") {
            let Some(root) = finding.because_of else { continue };
            assert!(cause::find(root).is_some() || CHECKS.iter().any(|check| check.id == root), "{root}");
            assert_ne!(root, finding.id);
        }
    }
}

#[test]
fn a_selection_without_the_root_explains_nothing() {
    let selection = Selection { only: vec!["cgroup.writable".to_owned()], skip: Vec::new() };
    let found = check::run(&unprivileged(), &profile("28.5.2"), &selection);
    assert_eq!(found[0].0.because_of, None);
}
