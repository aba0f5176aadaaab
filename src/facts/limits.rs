//! Limits of this process and of the cgroup that it is in.

use serde::{Deserialize, Serialize};

use super::cgroup::{Cgroup, Mode};
use super::{Fact, Root};

/// Where the process's own limits are read from (proc_pid_limits(5)).
pub const LIMITS: &str = "/proc/self/limits";

/// A limit of a process; none: unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// What holds now.
    pub soft: Option<u64>,
    /// How far it can be raised.
    pub hard: Option<u64>,
}

/// A number in a file; none in it: `max`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// The file.
    pub path: String,
    /// What it says.
    pub value: Option<u64>,
}

/// The limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Open files.
    pub open_files: Option<Limit>,
    /// Processes of the user.
    pub processes: Option<Limit>,
    /// The cgroup's limit of tasks.
    pub pids_max: Option<Setting>,
    /// The cgroup's limit of memory.
    pub memory_max: Option<Setting>,
    /// How many inotify instances a user may have: the host's word, or that of this user namespace if it is less.
    pub inotify_instances: Option<Setting>,
    /// How many keys root may have.
    pub root_keys: Option<Setting>,
}

/// Reads them.
pub(super) fn read(root: &Root, cgroup: &Fact<Cgroup>) -> Fact<Limits> {
    let text = root.read(LIMITS)?;
    let setting = |path: String| {
        let text = root.read_trimmed(&path).ok()?;
        Some(Setting { value: text.parse().ok(), path })
    };
    let group = |controller: &str, v1: &str, v2: &str| {
        let cgroup = cgroup.as_ref().ok()?;
        setting(match cgroup.mode {
            Mode::Unified => format!("{}/{v2}", cgroup.unified_mount()?.point),
            Mode::Legacy | Mode::Hybrid => format!("{}/{v1}", cgroup.legacy_mount(controller)?.point),
        })
    };
    Ok(Limits {
        open_files: parse(&text, "Max open files"),
        processes: parse(&text, "Max processes"),
        pids_max: group("pids", "pids.max", "pids.max"),
        memory_max: group("memory", "memory.limit_in_bytes", "memory.max"),
        inotify_instances: ["/proc/sys/fs/inotify/max_user_instances", "/proc/sys/user/max_inotify_instances"]
            .into_iter()
            .filter_map(|path| setting(path.to_owned()))
            .min_by_key(|setting| setting.value.unwrap_or(u64::MAX)),
        root_keys: setting("/proc/sys/kernel/keys/root_maxkeys".to_owned()),
    })
}

fn parse(text: &str, name: &str) -> Option<Limit> {
    let mut words = text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace();
    let mut number = || {
        let word = words.next()?;
        if word == "unlimited" { Some(None) } else { word.parse().ok().map(Some) }
    };
    Some(Limit { soft: number()?, hard: number()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_numbers_or_unlimited() {
        let text = "Limit   Soft Limit   Hard Limit   Units\nMax processes  96365  unlimited  processes\nMax open files x 1 files\n";
        assert_eq!(parse(text, "Max processes"), Some(Limit { soft: Some(96365), hard: None }));
        assert_eq!(parse(text, "Max open files"), None);
        assert_eq!(parse(text, "Max nothing"), None);
    }
}
