//! The system call filter and the security module that the daemon says it uses, as a container of its has them.

use std::time::Duration;

use nix::errno::Errno;

use super::inside::{self, Told};
use super::nest::Nest;
use super::scenario::{Refused, judge};
use super::work::Work;
use crate::finding::{Evidence, Severity, Verdict};

/// The confinement by a security module (proc_pid_attr(5)).
const LABEL: &str = "security label";

/// Looks at the work container.
pub(super) fn prove(nest: &Nest<'_>, work: &Work) {
    let (verdict, ms) = match work.told("security") {
        Ok(told) => (verdict(&nest.info.security, told.evidence), told.ms),
        Err(Refused(verdict)) => (*verdict, 0),
    };
    nest.ledger.write("security", verdict, Duration::from_millis(ms));
}

/// Whether the filter lets programs start threads and others.
pub(super) fn threads(nest: &Nest<'_>, told: Result<Told, Refused>) {
    let (verdict, ms) = match told {
        Ok(told) => (judge_clone3(told.value(inside::CLONE3).unwrap_or_default()), told.ms),
        Err(Refused(verdict)) => (*verdict, 0),
    };
    nest.ledger.write("threads", verdict, Duration::from_millis(ms));
}

/// glibc (since 2.34) calls clone3 first and clone only where clone3 is ENOSYS. Profiles and runtimes of before refuse
/// what they do not know with EPERM: runc up to 1.0.0-rc92 (libcontainer/seccomp/patchbpf came with rc93), and the profile
/// of moby up to 20.10.9 (profiles/seccomp, moby#42681).
fn judge_clone3(answer: &str) -> Verdict {
    if answer != Errno::EPERM.to_string() {
        return Verdict::pass("the system call filter lets programs of any C library start threads and others")
            .saw(inside::CLONE3, answer);
    }
    Verdict::fail(Severity::Warning, "programs of glibc 2.34 and later can start no threads and no others")
        .saw_wanted(inside::CLONE3, answer, "EINVAL or ENOSYS")
        .because("The system call filter is older than clone3 and refuses it with EPERM, at which glibc gives up.")
        .remedy("use runc 1.0.0-rc93 or later, or Docker 20.10.10 or later")
        .remedy("or run such images with --security-opt seccomp=PROFILE, a profile that answers clone3 with ENOSYS")
}

/// The daemon names what it uses as `name=seccomp,profile=builtin`, before API 1.26 as `seccomp`.
fn verdict(uses: &[String], mut evidence: Vec<Evidence>) -> Verdict {
    let named = |module: &str| {
        uses.iter().find(|entry| {
            let name = entry.split(',').next().unwrap_or_default();
            name.strip_prefix("name=").unwrap_or(name) == module
        })
    };
    evidence.push(Evidence { location: "API: info: SecurityOptions".to_owned(), value: uses.join(" "), wanted: None });
    let Some(seccomp) = named("seccomp") else {
        return Verdict::fail(Severity::Warning, "this daemon has no system call filter for its containers")
            .evidence(evidence)
            .because("It was built without seccomp, or the kernel has none.");
    };
    if seccomp.contains("profile=unconfined") {
        return Verdict::fail(
            Severity::Warning,
            "the daemon is told to run its containers without a system call filter",
        )
        .evidence(evidence)
        .remedy("leave out --seccomp-profile unconfined");
    }
    // A daemon with `container` in its environment names AppArmor, and leaves it alone (containerd pkg/apparmor, moby
    // daemon/info.go); another one that cannot use it starts no container.
    let left_alone = |one: &Evidence| one.location == LABEL && one.value == "unconfined";
    let module = match named("apparmor") {
        None => "",
        Some(_) if evidence.iter().any(left_alone) => "; AppArmor leaves containers in containers alone",
        Some(_) => ", and AppArmor",
    };
    for one in &mut evidence {
        one.wanted = match one.location.as_str() {
            // 2 is a filter (proc_pid_status(5)).
            "Seccomp" => Some("2".to_owned()),
            LABEL if module == ", and AppArmor" => Some("docker-default (enforce)".to_owned()),
            _ => None,
        };
    }
    judge(format!("a system call filter{module}"), evidence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Outcome;

    #[test]
    fn only_eperm_keeps_glibc_from_clone() {
        for (answer, outcome) in
            [(Errno::EINVAL, Outcome::Pass), (Errno::ENOSYS, Outcome::Pass), (Errno::EPERM, Outcome::Fail)]
        {
            assert_eq!(judge_clone3(&answer.to_string()).outcome, outcome);
        }
    }

    #[test]
    fn a_daemon_in_a_container_may_leave_app_armor_alone() {
        let told = |label: &str| {
            let saw = |location: &str, value: &str| Evidence {
                location: location.to_owned(),
                value: value.to_owned(),
                wanted: None,
            };
            vec![saw("Seccomp", "2"), saw(LABEL, label)]
        };
        let uses = ["name=apparmor".to_owned(), "name=seccomp,profile=builtin".to_owned()];
        for (label, outcome) in [
            ("docker-default (enforce)", Outcome::Pass),
            ("unconfined", Outcome::Pass),
            ("another (complain)", Outcome::Fail),
        ] {
            assert_eq!(verdict(&uses, told(label)).outcome, outcome, "{label}");
        }
        assert!(!verdict(&uses, told("unconfined")).summary.contains("and AppArmor"));
    }
}
