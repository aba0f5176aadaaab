//! privileges.capabilities: capabilities.

use super::{PRIVILEGED, list};
use crate::check::{Check, Docs};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::finding::{Fate, Severity, Verdict};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "privileges.capabilities",
    docs: Docs {
        title: "capabilities",
        motivation: "A daemon mounts layers, makes network devices and writes firewall rules. Without the \
                     capabilities for that it dies on the first of them, with an error that names anything but \
                     the missing --privileged. Without one of those that each container is given, the daemon \
                     starts and no container does.",
        looks_at: "CapEff in /proc/self/status, for each capability that no daemon can do without, and for those that \
                   this version gives to its containers.",
        remedy: "Start the outer container with --privileged, or add the capabilities named one by one.",
        since: "1.0",
    },
    run,
    mend: None,
};

fn run<'f>(facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
    let privileges = facts.privileges.as_ref()?;
    let given = &profile.containers_capabilities;
    let needed: Vec<String> = DAEMON.into_iter().chain(given.value.iter().map(String::as_str)).map(named).collect();
    let missing: Vec<&str> =
        needed.iter().map(String::as_str).filter(|name| !privileges.effective.contains(*name)).collect();
    let seen = |verdict: Verdict| {
        verdict
            .saw_wanted("/proc/self/status: CapEff", list(privileges.effective.iter()), needed.join(" "))
            .source("capabilities(7); docker run --help: --privileged")
    };
    if !missing.is_empty() {
        let mut verdict = seen(Verdict::fail(Severity::Blocking, format!("missing: {}", missing.join(", "))));
        let lacks = |name: &&str| missing.contains(&named(name).as_str());
        let own = ENDS.iter().any(lacks);
        verdict = verdict.foretells(if own { Fate::Dies } else { Fate::EveryContainerFails });
        verdict = if DAEMON.iter().any(lacks) {
            verdict.because("The outer container runs without the privileges that a nested daemon needs.")
        } else {
            verdict
                .because(format!(
                    "Docker {} gives these to each container that asks for nothing else, and the runtime fails on what \
                     it does not have itself: \"unable to apply caps\".",
                    profile.version
                ))
                .source(given.source.clone())
        };
        if privileges.uid != 0 {
            verdict = verdict
                .saw_wanted("/proc/self/status: Uid", privileges.uid.to_string(), "0")
                .remedy("run as root inside the outer container (--user 0)");
        }
        return Ok(verdict.remedy(PRIVILEGED).remedy(format!(
            "or, as a start: docker run{} --security-opt seccomp=unconfined --security-opt apparmor=unconfined …",
            added(&missing)
        )));
    }
    let ptrace = &profile.containers_network_by_daemon;
    if ptrace.value && !privileges.effective.contains(PTRACE) {
        return Ok(seen(Verdict::fail(Severity::Warning, format!("missing: {PTRACE}")))
            .because(format!(
                "Docker {} itself binds the network namespace of a container's first process; where that is not \
                 root's, the kernel asks for this capability, and the container fails: \"bind-mount /proc/PID/ns/net: \
                 permission denied\".",
                profile.version
            ))
            .remedy(PRIVILEGED)
            .remedy(format!("or docker run{} …", added(&[PTRACE])))
            .source(ptrace.source.clone())
            .source("ptrace(2): ptrace access mode checking"));
    }
    Ok(Verdict::pass(format!("all {} that a daemon and its containers need", needed.len())))
}

/// Without one of these the daemon dies or no container runs: mounts and namespaces, the bridge and iptables.
const DAEMON: [&str; 2] = ["SYS_ADMIN", "NET_ADMIN"];

/// Without one of these the daemon dies: it makes no bridge, or cannot give its sockets away. Without any other of those
/// that it needs it starts, and no container does. SYS_ADMIN, NET_ADMIN and the 14 were removed one by one, from
/// 20.10.24 and 28.5.2.
const ENDS: [&str; 3] = ["NET_ADMIN", "CHOWN", "DAC_OVERRIDE"];

/// What looking into another user's /proc/PID/ns takes.
const PTRACE: &str = "CAP_SYS_PTRACE";

fn named(name: &str) -> String {
    format!("CAP_{name}")
}

fn added(missing: &[&str]) -> String {
    missing.iter().map(|name| format!(" --cap-add {}", name.trim_start_matches("CAP_"))).collect()
}
