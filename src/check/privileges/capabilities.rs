//! privileges.capabilities: capabilities.

use super::{PRIVILEGED, list};
use crate::check::{Check, Docs};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::finding::{Severity, Verdict};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "privileges.capabilities",
    docs: Docs {
        title: "capabilities",
        motivation: "A daemon mounts layers, makes network devices and writes firewall rules. Without the \
                     capabilities for that it dies on the first of them, with an error that names anything but \
                     the missing --privileged.",
        looks_at: "CapEff in /proc/self/status, for each capability that no daemon can do without.",
        remedy: "Start the outer container with --privileged, or add the capabilities named one by one.",
        since: "1.0",
    },
    run,
    mend: None,
};

fn run<'f>(facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
    let privileges = facts.privileges.as_ref()?;
    let missing: Vec<&str> = NEEDED.into_iter().filter(|name| !privileges.effective.contains(*name)).collect();
    if missing.is_empty() {
        return Ok(Verdict::pass(format!("all {} that a daemon needs", NEEDED.len())));
    }
    let added: String = missing.iter().map(|name| format!(" --cap-add {}", name.trim_start_matches("CAP_"))).collect();
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
