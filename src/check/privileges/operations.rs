//! privileges.operations: what a daemon does.

use super::PRIVILEGED;
use crate::check::{Check, Docs};
use crate::configuration::{Address, Configuration};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::finding::{Fate, Severity, Verdict};
use crate::probe::privileges as probe;
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "privileges.operations",
    docs: Docs {
        title: "what a daemon does",
        motivation: "Capabilities are not all: a security module, a filter or a masked /proc can still refuse what \
                     makes a container. A refused mount of /proc shows up as \"mount proc: operation not permitted\" \
                     in the first inner container.",
        looks_at: "Done in namespaces that vanish: unshare, mount, mknod and open, chown, pivot_root, a fresh proc in \
                   a new pid namespace; and who answers keyctl, bpf, clone3, openat2.",
        remedy: "--privileged, with the runtime's masks off (podman: --security-opt unmask=ALL; Kubernetes: procMount: Unmasked).",
        since: "1.0",
    },
    run,
    mend: None,
};

fn run<'f>(facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
    let privileges = facts.privileges.as_ref()?;
    let attempts = privileges.attempts.as_ref()?;
    let tried: Vec<_> =
        attempts.iter().filter(|attempt| !probe::OF_PAIRINGS.contains(&attempt.what.as_str())).collect();
    let refused: Vec<_> = tried.iter().filter_map(|attempt| Some((attempt, attempt.error.as_ref()?))).collect();
    if refused.is_empty() {
        return Ok(Verdict::pass(format!("all {} that were tried work", tried.len())));
    }
    let can_be_bound = |what: &str| what == BOUND_IN_USER_NAMESPACE && !privileges.initial_user_namespace;
    // Who is told that there is no such call does without a session keyring.
    let wants_keyring =
        |what: &str, error: &str| what == "keyctl" && profile.containers_session_keyring.value && is_eperm(error);
    let is_needed = |what: &str| !DISPENSABLE.contains(&what) && !can_be_bound(what);
    let needed = refused.iter().any(|(attempt, error)| is_needed(&attempt.what) || wants_keyring(&attempt.what, error));
    let names: Vec<&str> = refused.iter().map(|(attempt, _)| attempt.what.as_str()).collect();
    // Who is told that there is no such call does without; who is told that it is forbidden gives up.
    let threads = refused.iter().any(|(attempt, error)| attempt.what == "clone3" && is_eperm(error));
    let owner = refused.iter().any(|(attempt, _)| attempt.what == probe::CHOWN);
    let dies = owner && gives_socket_away(facts, privileges.docker_group);
    let severity = match (needed || dies, threads || owner) {
        (true, _) => Severity::Blocking,
        (false, true) => Severity::Warning,
        (false, false) => Severity::Info,
    };
    let fate = match (dies, needed) {
        (true, _) => Fate::Dies,
        (false, true) => Fate::EveryContainerFails,
        (false, false) => Fate::Works,
    };
    let mut verdict = Verdict::fail(severity, format!("refused: {}", names.join(", "))).foretells(fate);
    for (attempt, error) in &refused {
        verdict = verdict.saw_wanted(attempt.what.clone(), (*error).clone(), "it works");
    }
    if owner {
        verdict = verdict.saw("/proc/self/uid_map", privileges.uid_map.clone());
    }
    if owner && !needed {
        verdict =
            verdict.remedy("give the user namespace a range of 65536 ids (newuidmap(1), subuid(5)), not one alone");
    }
    if let Some(label) = privileges.label.as_ref().filter(|label| !label.starts_with("unconfined")) {
        verdict = verdict.saw("/proc/self/attr/current", label.clone());
        verdict = verdict.remedy(format!(
            "docker run --security-opt apparmor=unconfined …, or label=disable: {label} may refuse it"
        ));
    }
    Ok(verdict
        .because(if dies {
            "The daemon gives its socket to the group docker, and dies where that has no id (can't create unix socket: \
             chown: invalid argument); layers of images with files of other users cannot be unpacked either."
        } else if needed {
            "The daemon or runc does this for each container, and fails on it."
        } else if threads {
            "The filter answers clone3 with EPERM and not with ENOSYS: programs with glibc 2.34 and later make no threads."
        } else if owner {
            "Containers run; layers of images with files of other users than root cannot be unpacked (lchown: invalid argument)."
        } else {
            "Old filters and kernels do not know them, user namespaces do not give them; engines do without."
        })
        .remedy(PRIVILEGED)
        .remedy("podman: --security-opt unmask=ALL; Kubernetes: procMount: Unmasked")
        .source("runc libcontainer/rootfs_linux.go, libcontainer/keys/keyctl.go; kernel fs/namespace.c mount_too_revealing"))
}

/// Whether the daemon makes a socket that it gives to the group docker (moby v28.5.2 daemon/listeners: Init, docker/go-connections
/// sockets.NewUnixSocket): it does so unasked, where there is that group.
fn gives_socket_away(facts: &Facts, group: Option<u32>) -> bool {
    let configuration = facts.configuration.as_ref().ok();
    let is_asked = configuration.is_some_and(|configuration| configuration.group().is_some());
    let hosts = configuration.map(Configuration::hosts).unwrap_or_default();
    let has_socket = hosts.is_empty() || hosts.iter().any(|host| matches!(host.address, Address::Unix(_)));
    group.is_some_and(|number| number != 0) && !is_asked && has_socket
}

/// What is needed on some hosts, or by some versions, alone.
const DISPENSABLE: [&str; 5] = ["clone3", "openat2", "keyctl", "bpf", probe::CHOWN];

/// What runc does without in a user namespace: it binds the devices (libcontainer/rootfs_linux.go: createDevices).
const BOUND_IN_USER_NAMESPACE: &str = "mknod";

/// As nix and std write it.
fn is_eperm(error: &str) -> bool {
    error.contains("EPERM") || error.contains("(os error 1)")
}
