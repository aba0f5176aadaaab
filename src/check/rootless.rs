//! What a daemon needs that is not root's: the way into a user namespace in which it is root.

pub(super) mod directories;
pub(super) mod engine;
pub(super) mod id_map;
pub(super) mod ids;
pub(super) mod programs;
pub(super) mod tun;
pub(super) mod user_namespace;

use crate::fact::FactError;
use crate::facts::Facts;
use crate::facts::rootless::Rootless;
use crate::finding::Verdict;

const AS_ROOT: &str = "or run as root in the outer container (--user 0), with --privileged";

/// What a check other than these says of a rootless daemon, where that is another thing than of root's.
pub(super) fn instead(id: &str, facts: &Facts) -> Option<Verdict> {
    let seen = facts.rootless.as_ref().ok()?.as_ref()?;
    let subject = id.split('.').next().unwrap_or_default();
    match subject {
        "rootless" | "engine" | "configuration" => None,
        "cgroup" if seen.inside => Some(Verdict::not_applicable(
            "a rootless daemon without systemd makes no cgroups: its containers run in that of the outer container",
        )),
        _ if seen.inside => None,
        _ => Some(Verdict::not_applicable("seen only inside of the user namespace of a rootless daemon")),
    }
}

/// Judges the user's way, where there is one.
fn of_user<'f>(
    facts: &'f Facts,
    judge: impl FnOnce(&'f Rootless) -> Result<Verdict, &'f FactError>,
) -> Result<Verdict, &'f FactError> {
    match facts.rootless.as_ref()? {
        Some(seen) => judge(seen),
        None => Ok(Verdict::not_applicable("the daemon is root's")),
    }
}
