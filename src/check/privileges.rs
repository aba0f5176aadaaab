//! What the outer container may do.

use super::{Check, Docs};
use crate::facts::privileges::names;
use crate::facts::{FactError, Facts};
use crate::finding::{Severity, Verdict};
use crate::profile::{Grants as GrantKind, Profile};

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
            since: "1.0",
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
            since: "1.0",
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
            since: "1.0",
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

/// privileges.operations
pub(super) struct Operations;

/// What is needed on some hosts, or by some versions, alone.
const DISPENSABLE: [&str; 4] = ["clone3", "openat2", "keyctl", "bpf"];
/// What runc does without in a user namespace: it binds the devices (libcontainer/rootfs_linux.go: createDevices).
const BOUND_IN_USER_NAMESPACE: &str = "mknod";

impl Check for Operations {
    fn id(&self) -> &'static str {
        "privileges.operations"
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "what a daemon does",
            motivation: "Capabilities are not all: a security module, a filter or a masked /proc can still refuse what \
                         makes a container. A refused mount of /proc shows up as \"mount proc: operation not permitted\" \
                         in the first inner container.",
            looks_at: "Done in namespaces that vanish: unshare, mount, mknod and open, pivot_root, a fresh proc in a new \
                       pid namespace; and who answers keyctl, bpf, clone3, openat2.",
            remedy: "--privileged, with the runtime's masks off (podman: --security-opt unmask=ALL; Kubernetes: procMount: Unmasked).",
            since: "1.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
        let privileges = facts.privileges.as_ref()?;
        let attempts = privileges.attempts.as_ref()?;
        let refused: Vec<_> = attempts.iter().filter_map(|attempt| Some((attempt, attempt.error.as_ref()?))).collect();
        if refused.is_empty() {
            return Ok(Verdict::pass(format!("all {} that were tried work", attempts.len())));
        }
        let can_be_bound = |what: &str| what == BOUND_IN_USER_NAMESPACE && !privileges.initial_user_namespace;
        let is_needed = |what: &str| !DISPENSABLE.contains(&what) && !can_be_bound(what);
        let needed = refused.iter().any(|(attempt, _)| is_needed(&attempt.what));
        let names: Vec<&str> = refused.iter().map(|(attempt, _)| attempt.what.as_str()).collect();
        // Who is told that there is no such call does without; who is told that it is forbidden gives up.
        let threads = refused.iter().any(|(attempt, error)| attempt.what == "clone3" && is_eperm(error));
        let severity = match (needed, threads) {
            (true, _) => Severity::Blocking,
            (false, true) => Severity::Warning,
            (false, false) => Severity::Info,
        };
        let mut verdict = Verdict::fail(severity, format!("refused: {}", names.join(", ")));
        for (attempt, error) in &refused {
            verdict = verdict.saw_wanted(attempt.what.clone(), (*error).clone(), "it works");
        }
        if let Some(label) = privileges.label.as_ref().filter(|label| !label.starts_with("unconfined")) {
            verdict = verdict.saw("/proc/self/attr/current", label.clone());
            verdict = verdict.remedy(format!(
                "docker run --security-opt apparmor=unconfined …, or label=disable: {label} may refuse it"
            ));
        }
        Ok(verdict
            .because(if needed {
                "The daemon or runc does this for each container, and fails on it."
            } else if threads {
                "The filter answers clone3 with EPERM and not with ENOSYS: programs with glibc 2.34 and later make no threads."
            } else {
                "Old filters and kernels do not know them, user namespaces do not give them; engines do without."
            })
            .remedy(PRIVILEGED)
            .remedy("podman: --security-opt unmask=ALL; Kubernetes: procMount: Unmasked")
            .source("runc libcontainer/rootfs_linux.go; kernel fs/namespace.c mount_too_revealing"))
    }
}

/// As nix and std write it.
fn is_eperm(error: &str) -> bool {
    error.contains("EPERM") || error.contains("(os error 1)")
}

/// privileges.grants
pub(super) struct Grants;

/// The last capability of the fixed lists that old engines had (linux/capability.h).
const BLOCK_SUSPEND: u8 = 36;
const AUDIT_READ: u8 = 37;

impl Check for Grants {
    fn id(&self) -> &'static str {
        "privileges.grants"
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "what inner --privileged asks for",
            motivation: "Engines before 23.0 ask for every capability that they know for a privileged inner container, \
                         whatever they have themselves. Where one is missing here, `docker run --privileged` fails in \
                         them with \"unable to apply caps: operation not permitted\".",
            looks_at: "CapBnd in /proc/self/status against the list of this version.",
            remedy: "Add the missing capability to the outer container, or use an inner engine from 23.0 on.",
            since: "1.0 to 20.10",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
        let privileges = facts.privileges.as_ref()?;
        let grants = &profile.privileged_grants;
        let limit = match grants.value {
            GrantKind::Bounding => return Ok(Verdict::pass("what the daemon has itself")),
            GrantKind::UpToBlockSuspend => BLOCK_SUSPEND,
            GrantKind::UpToAuditRead => AUDIT_READ,
        };
        let last = limit.min(privileges.last.unwrap_or(limit));
        let asked = names((1u64 << (last + 1)) - 1);
        let missing: Vec<&str> = asked.difference(&privileges.bounding).map(String::as_str).collect();
        if missing.is_empty() {
            return Ok(Verdict::pass(format!("all {}", asked.len())));
        }
        let added: String =
            missing.iter().map(|name| format!(" --cap-add {}", name.trim_start_matches("CAP_"))).collect();
        Ok(Verdict::fail(Severity::Warning, format!("inner --privileged will fail: no {}", missing.join(", ")))
            .saw_wanted(
                "/proc/self/status: CapBnd",
                format!("without {}", missing.join(" ")),
                format!("all {}", asked.len()),
            )
            .because(format!("Docker {} asks for all of them, whatever it has itself.", profile.version))
            .remedy(format!("docker run{added} … for the outer container, where its host has them"))
            .source(grants.source.clone()))
    }
}

fn list<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<&str> = names.map(String::as_str).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(" ") }
}
