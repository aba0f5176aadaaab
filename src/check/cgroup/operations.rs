//! cgroup.operations: what a runtime does in cgroups.

use crate::check::{Check, Docs};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::finding::{Evidence, Fate, Severity, Verdict};
use crate::probe::Attempt;
use crate::probe::cgroup as probe;
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "cgroup.operations",
    docs: Docs {
        title: "what a runtime does in cgroups",
        motivation: "A hierarchy that is mounted and writable can still refuse: a limit on descendants, a security \
                     module, a kernel without device programs. The daemon starts, and every container fails.",
        looks_at: "In each cgroup of this container's own: one is made below, frozen and thawed, given the rules \
                   for devices that every container is given (a BPF program on v2), and removed. Nothing is made in a tree that is the host's.",
        remedy: "--privileged, and a host kernel with the controllers freezer and devices (v2: CONFIG_CGROUP_BPF).",
        since: "1.0",
    },
    run,
    mend: None,
};

fn run<'f>(facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
    let attempts = facts.cgroup.as_ref()?.attempts.as_ref()?;
    if attempts.is_empty() {
        return Ok(Verdict::not_applicable("no cgroup of this container's own is mounted writable"));
    }
    // In a user namespace runc does without rules for devices (libcontainer/cgroups/fs2/devices.go: canSkipEBPFError).
    let by_root = facts.privileges.as_ref().map_or(true, |privileges| privileges.initial_user_namespace);
    let needed = attempts.iter().filter(|attempt| by_root || !attempt.what.starts_with("give a cgroup "));
    let (failed, worked): (Vec<_>, Vec<_>) = needed.partition(|attempt| attempt.error.is_some());
    let Some(first) = failed.first() else {
        return Ok(Verdict::pass(format!("all {} that are needed work", worked.len())));
    };
    // Without the freezer containers run, and cannot be paused.
    let is_privileged = |attempt: &&&Attempt| attempt.what.starts_with(probe::ALL_DEVICES);
    let needed = failed.iter().any(|attempt| !attempt.what.starts_with("freeze ") && !is_privileged(&attempt));
    let severity = if needed { Severity::Blocking } else { Severity::Warning };
    Ok(Verdict::fail(severity, format!("cannot {}", first.what))
        .foretells(if needed { Fate::EveryContainerFails } else { Fate::Works })
        .evidence(failed.iter().map(|attempt| Evidence {
            location: attempt.what.clone(),
            value: attempt.error.clone().unwrap_or_default(),
            wanted: Some("it works".to_owned()),
        }))
        .because(if needed {
            "The runtime does this for each container, and fails on it."
        } else if failed.iter().all(|attempt| is_privileged(&attempt)) {
            "Containers run, but for privileged ones: this container has not all devices itself."
        } else {
            "Containers run, and cannot be paused; killing all processes of one is not safe."
        })
        .remedy("start the outer container with --privileged, without limits on cgroups below it")
        .remedy("or, where devices are refused: docker run --device-cgroup-rule 'a *:* rwm' …")
        .source("runc libcontainer/cgroups; kernel Documentation/admin-guide/cgroup-v2.rst: Device controller, cgroup.freeze"))
}
