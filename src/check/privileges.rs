//! What the outer container may do.

use super::{Check, Docs};
use crate::facts::{FactError, Facts};
use crate::finding::{Severity, Verdict};
use crate::profile::Profile;

/// Without one of these the daemon dies or no container runs: mounts and namespaces, the bridge and iptables,
/// device nodes of images, the change of root and of ids.
const NEEDED: [&str; 8] = [
    "CAP_SYS_ADMIN",
    "CAP_NET_ADMIN",
    "CAP_MKNOD",
    "CAP_SYS_CHROOT",
    "CAP_SETUID",
    "CAP_SETGID",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
];

const PRIVILEGED: &str = "start the outer container with --privileged";

/// privileges.capabilities
pub(super) struct Capabilities;

impl Check for Capabilities {
    fn id(&self) -> &'static str {
        "privileges.capabilities"
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "capabilities",
            motivation: "A daemon mounts layers, makes network devices and writes firewall rules. Without the \
                         capabilities for that it dies on the first of them, with an error that names anything but \
                         the missing --privileged.",
            looks_at: "CapEff in /proc/self/status, for each capability that no daemon can do without.",
            remedy: "Start the outer container with --privileged, or add the capabilities named one by one.",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
        let privileges = facts.privileges.as_ref()?;
        let missing: Vec<&str> = NEEDED.into_iter().filter(|name| !privileges.effective.contains(*name)).collect();
        if missing.is_empty() {
            return Ok(Verdict::pass(format!("all {} that a daemon needs", NEEDED.len())));
        }
        let added: String =
            missing.iter().map(|name| format!(" --cap-add {}", name.trim_start_matches("CAP_"))).collect();
        let mut verdict = Verdict::fail(Severity::Blocking, format!("missing: {}", missing.join(", ")))
            .saw_wanted("/proc/self/status: CapEff", list(privileges.effective.iter()), NEEDED.join(" "))
            .because("The outer container runs without the privileges that a nested daemon needs.")
            .source("capabilities(7); docker run --help: --privileged");
        if privileges.uid != 0 {
            verdict = verdict
                .saw_wanted("/proc/self/status: Uid", privileges.uid.to_string(), "0")
                .remedy("run as root inside the outer container (--user 0)");
        }
        Ok(verdict.remedy(PRIVILEGED).remedy(format!(
            "or, as a start: docker run{added} --security-opt seccomp=unconfined --security-opt apparmor=unconfined …"
        )))
    }
}

/// privileges.seccomp
pub(super) struct Seccomp;

impl Check for Seccomp {
    fn id(&self) -> &'static str {
        "privileges.seccomp"
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "seccomp filter",
            motivation: "A system call filter of the outer container holds for all containers below it. The default \
                         one refuses mount, unshare, keyctl and others that an engine lives on.",
            looks_at: "Seccomp in /proc/self/status: 0 is off, 2 is a filter.",
            remedy: "--privileged, or --security-opt seccomp=unconfined.",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
        let privileges = facts.privileges.as_ref()?;
        Ok(match privileges.seccomp {
            None => Verdict::not_applicable("the kernel has no seccomp"),
            Some(0) => Verdict::pass("no filter"),
            Some(mode) => Verdict::fail(Severity::Warning, "a system call filter is on")
                .saw_wanted("/proc/self/status: Seccomp", mode.to_string(), "0")
                .because("What it refuses here is refused in every inner container too; nothing can take it off.")
                .remedy(PRIVILEGED)
                .remedy("or docker run --security-opt seccomp=unconfined …")
                .source("proc_pid_status(5); seccomp(2)"),
        })
    }
}

/// privileges.no-new-privs
pub(super) struct NoNewPrivs;

impl Check for NoNewPrivs {
    fn id(&self) -> &'static str {
        "privileges.no-new-privs"
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "no_new_privs",
            motivation: "With no_new_privs set, set-user-id programs and file capabilities gain nothing, here and in \
                         every inner container: sudo, ping, newuidmap fail there.",
            looks_at: "NoNewPrivs in /proc/self/status.",
            remedy: "Leave --security-opt no-new-privileges out of the outer docker run.",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
        let privileges = facts.privileges.as_ref()?;
        Ok(match privileges.no_new_privs {
            None => Verdict::not_applicable("the kernel does not say"),
            Some(false) => Verdict::pass("not set"),
            Some(true) => Verdict::fail(Severity::Warning, "no_new_privs is set and cannot be unset")
                .saw_wanted("/proc/self/status: NoNewPrivs", "1", "0")
                .because("sudo, ping and newuidmap gain nothing in any inner container.")
                .remedy("leave --security-opt no-new-privileges (Kubernetes: allowPrivilegeEscalation: false) out")
                .source("PR_SET_NO_NEW_PRIVS(2const)"),
        })
    }
}

fn list<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<&str> = names.map(String::as_str).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(" ") }
}
