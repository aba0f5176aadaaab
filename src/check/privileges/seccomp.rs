//! privileges.seccomp: seccomp filter.

use super::PRIVILEGED;
use crate::check::{Check, Docs};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::finding::{Severity, Verdict};
use crate::probe::privileges as probe;
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "privileges.seccomp",
    docs: Docs {
        title: "seccomp filter",
        motivation: "A system call filter of the outer container holds for all containers below it. The default \
                     one refuses mount, unshare, keyctl and others that an engine lives on.",
        looks_at: "Seccomp in /proc/self/status: 0 is off, 2 is a filter.",
        remedy: "--privileged, or --security-opt seccomp=unconfined.",
        since: "1.0",
    },
    run,
    mend: None,
};

fn run<'f>(facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
    let privileges = facts.privileges.as_ref()?;
    let lets_all = privileges.attempts.as_ref().is_ok_and(|attempts| {
        let mut tried =
            attempts.iter().filter(|attempt| !probe::OF_PAIRINGS.contains(&attempt.what.as_str())).peekable();
        tried.peek().is_some() && tried.all(|attempt| attempt.error.is_none())
    });
    // LXC and systemd-nspawn always have one.
    let severity = if lets_all { Severity::Info } else { Severity::Warning };
    Ok(match privileges.seccomp {
        None => Verdict::not_applicable("the kernel has no seccomp"),
        Some(0) => Verdict::pass("no filter"),
        Some(mode) => Verdict::fail(severity, "a system call filter is on")
            .saw_wanted("/proc/self/status: Seccomp", mode.to_string(), "0")
            .because("What it refuses here is refused in every inner container too; nothing can take it off.")
            .remedy(PRIVILEGED)
            .remedy("or docker run --security-opt seccomp=unconfined …")
            .source("proc_pid_status(5); seccomp(2)"),
    })
}
