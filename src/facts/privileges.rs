//! Capabilities, seccomp, no_new_privs and the user namespace of this process.

use std::collections::BTreeSet;
use std::str::FromStr as _;

use serde::{Deserialize, Serialize};

use super::{Fact, FactError, Root, not_yet};
use crate::probe::background::Background;
use crate::probe::{Attempt, privileges as probe};

/// What is tried.
const WHAT: &str = "what a daemon does";

/// What this process may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Privileges {
    /// The user id.
    pub uid: u32,
    /// Effective capabilities, by name (`CAP_SYS_ADMIN`).
    pub effective: BTreeSet<String>,
    /// The bounding set: what any descendant can have.
    pub bounding: BTreeSet<String>,
    /// The number of the last capability that the kernel knows.
    pub last: Option<u8>,
    /// The seccomp mode: 0 off, 1 strict, 2 filter.
    pub seccomp: Option<u8>,
    /// Whether set-user-id programs and file capabilities gain nothing.
    pub no_new_privs: Option<bool>,
    /// The AppArmor profile or SELinux context, where one is reported.
    pub label: Option<String>,
    /// Whether this is the initial user namespace, by its map of all ids onto themselves.
    pub initial_user_namespace: bool,
    /// The id map as it stands in the file.
    pub uid_map: String,
    /// The number of the group `docker`, to which the daemon gives its socket where there is one.
    #[serde(default)]
    pub docker_group: Option<u32>,
    /// What was tried in namespaces of its own.
    pub attempts: Fact<Vec<Attempt>>,
}

/// Starts trying.
pub(super) fn start(root: &Root) -> Background<Vec<Attempt>> {
    if root.is_live() { probe::start() } else { Background::Done(Err(FactError::captured(WHAT))) }
}

/// Reads the process's status and maps.
pub(super) fn read(root: &Root) -> Fact<Privileges> {
    const STATUS: &str = "/proc/self/status";
    let status = root.read(STATUS)?;
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim));
    let missing = |name: &str| FactError::new("find", format!("{name} in {STATUS}"), "no such line");
    let set = |name: &str| -> Fact<BTreeSet<String>> {
        let hex = field(name).ok_or_else(|| missing(name))?;
        let bits = u64::from_str_radix(hex, 16)
            .map_err(|error| FactError::new("parse", format!("{name} in {STATUS}"), error))?;
        Ok(names(bits))
    };
    let uid_map = root.read("/proc/self/uid_map")?;
    Ok(Privileges {
        uid: field("Uid")
            .and_then(|ids| ids.split_whitespace().nth(1))
            .and_then(|id| id.parse().ok())
            .ok_or_else(|| missing("Uid"))?,
        effective: set("CapEff")?,
        bounding: set("CapBnd")?,
        last: root.read_trimmed("/proc/sys/kernel/cap_last_cap").ok().and_then(|text| text.parse().ok()),
        seccomp: field("Seccomp").and_then(|mode| mode.parse().ok()),
        no_new_privs: field("NoNewPrivs").map(|value| value == "1"),
        label: root.read_trimmed("/proc/self/attr/current").ok().filter(|label| !label.is_empty()),
        initial_user_namespace: uid_map.split_whitespace().eq(["0", "0", "4294967295"]),
        docker_group: root.read("/etc/group").ok().and_then(|groups| docker_group(&groups)),
        attempts: Err(not_yet(WHAT)),
        uid_map: uid_map.split_whitespace().collect::<Vec<_>>().join(" "),
    })
}

/// Understands group(5): NAME:PASSWORD:NUMBER:MEMBERS.
fn docker_group(groups: &str) -> Option<u32> {
    groups.lines().find_map(|line| line.strip_prefix("docker:")?.split(':').nth(1)?.parse().ok())
}

/// The names of the set bits; bits that we do not know are named by number, so that none is lost.
pub fn names(bits: u64) -> BTreeSet<String> {
    let known: Vec<caps::Capability> = caps::all().into_iter().collect();
    (0..64u8)
        .filter(|bit| bits & (1 << bit) != 0)
        .map(|bit| {
            known
                .iter()
                .find(|capability| capability.index() == bit)
                .map_or_else(|| format!("CAP_{bit}"), ToString::to_string)
        })
        .collect()
}

/// Whether a text names a capability that we know, as profiles and options must.
pub fn is_capability(name: &str) -> bool {
    caps::Capability::from_str(name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::{docker_group, is_capability};

    #[test]
    fn the_group_of_the_socket_is_found_by_its_name() {
        assert_eq!(docker_group("root:x:0:\ndockerx:x:7:\ndocker:x:998:me,you\n"), Some(998));
        for none in ["", "docker\n", "docker:x:\n", "docker:x:many:\n", "adocker:x:9:\n"] {
            assert_eq!(docker_group(none), None, "{none}");
        }
    }

    #[test]
    fn a_capability_is_known_by_its_whole_name() {
        for (name, known) in [
            ("CAP_SYS_ADMIN", true),
            ("CAP_CHECKPOINT_RESTORE", true),
            ("CAP_SYS_ADMINS", false),
            ("CAP_41", false),
            ("", false),
        ] {
            assert_eq!(is_capability(name), known, "{name}");
        }
    }
}
