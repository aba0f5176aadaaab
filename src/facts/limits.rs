//! Limits of this process and of the cgroup that it is in.

use serde::{Deserialize, Serialize};

use super::cgroup::{Cgroup, Mode};
use super::{Fact, Root};

/// Where the process's own limits are read from (proc_pid_limits(5)).
pub const LIMITS: &str = "/proc/self/limits";

/// Who has how many keys (keyrings(7)).
pub const KEY_USERS: &str = "/proc/key-users";

/// A limit of a process; `None` if unlimited.
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

/// The limits. Those of processes are the ones that the daemon gets.
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
    /// How many it has.
    #[serde(default)]
    pub root_keys_used: Option<u64>,
}

/// How often the kernel killed something in this container for want of memory; `None` where that is not told (kernel
/// Documentation/admin-guide/cgroup-v2.rst: memory.events; before Linux 4.13 cgroup v1 counts none).
pub fn oom_kills(root: &Root) -> Option<u64> {
    let files = ["/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"];
    let text = files.iter().find_map(|file| root.read(file).ok())?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

/// Reads them. `given` are the soft limits that the daemon is given in place of ours.
pub(super) fn read(root: &Root, cgroup: &Fact<Cgroup>, given: &[(String, Option<u64>)]) -> Fact<Limits> {
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
    let process = |words: &str, name: &str| {
        let given = given.iter().rev().find(|(own, _)| own == name).map(|(_, soft)| *soft);
        parse(&text, words).map(|limit| Limit { soft: given.unwrap_or(limit.soft), ..limit })
    };
    Ok(Limits {
        open_files: process("Max open files", "nofile"),
        processes: process("Max processes", "nproc"),
        pids_max: group("pids", "pids.max", "pids.max"),
        memory_max: group("memory", "memory.limit_in_bytes", "memory.max"),
        inotify_instances: ["/proc/sys/fs/inotify/max_user_instances", "/proc/sys/user/max_inotify_instances"]
            .into_iter()
            .filter_map(|path| setting(path.to_owned()))
            .min_by_key(|setting| setting.value.unwrap_or(u64::MAX)),
        root_keys: setting("/proc/sys/kernel/keys/root_maxkeys".to_owned()),
        root_keys_used: root.read(KEY_USERS).ok().and_then(|text| keys_of_root(&text)),
    })
}

/// Understands the line of user 0: `    0:   159 158/158 102/1000000 3217/25000000`, of which the third is keys that
/// count, and how many may.
fn keys_of_root(text: &str) -> Option<u64> {
    let words = text.lines().find_map(|line| line.trim_start().strip_prefix("0:"))?;
    words.split_whitespace().nth(2)?.split('/').next()?.parse().ok()
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
    fn keys_of_root_are_counted() {
        let text = "    0:   159 158/158 102/1000000 3217/25000000\n 1000:  5 5/5 5/200 54/20000\n";
        assert_eq!(keys_of_root(text), Some(102));
        assert_eq!(keys_of_root(" 1000: 5 5/5 5/200 54/20000\n0: x"), None);
    }

    #[test]
    fn a_limit_that_the_daemon_is_given_takes_the_place_of_ours() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(directory.path().join("proc/self")).unwrap();
        std::fs::write(
            directory.path().join("proc/self/limits"),
            "Max processes  10  20  processes\nMax open files  30  40  files\n",
        )
        .unwrap();
        let given = |limits: &[(&str, Option<u64>)]| {
            let given: Vec<_> = limits.iter().map(|(name, soft)| ((*name).to_owned(), *soft)).collect();
            let cgroup = Err(super::super::FactError::new("read", "/x", "on purpose"));
            let limits = read(&Root::new(directory.path()), &cgroup, &given).unwrap();
            (limits.processes.unwrap(), limits.open_files.unwrap())
        };
        let (processes, files) = (Limit { soft: Some(10), hard: Some(20) }, Limit { soft: Some(30), hard: Some(40) });
        assert_eq!(given(&[]), (processes, files));
        assert_eq!(given(&[("nproc", None)]), (Limit { soft: None, ..processes }, files));
        assert_eq!(given(&[("nofile", Some(5)), ("nofile", Some(6))]), (processes, Limit { soft: Some(6), ..files }));
    }

    #[test]
    fn limits_are_numbers_or_unlimited() {
        let text = "Limit   Soft Limit   Hard Limit   Units\nMax processes  96365  unlimited  processes\nMax open files x 1 files\n";
        assert_eq!(parse(text, "Max processes"), Some(Limit { soft: Some(96365), hard: None }));
        assert_eq!(parse(text, "Max open files"), None);
        assert_eq!(parse(text, "Max nothing"), None);
    }

    #[test]
    fn kills_for_want_of_memory_are_counted_in_both_versions() {
        let directory = tempfile::tempdir().unwrap();
        let told = |path: &str, text: &str| {
            let path = directory.path().join("sys/fs/cgroup").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
            oom_kills(&Root::new(directory.path()))
        };
        assert_eq!(oom_kills(&Root::new(directory.path())), None);
        assert_eq!(told("memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n"), None);
        assert_eq!(told("memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"), Some(3));
        assert_eq!(told("memory.events", "low 1\nmax 4\noom 6\noom_kill 12\noom_group_kill 7\n"), Some(12));
        assert_eq!(told("memory.events", "oom_kill many\n"), None);
    }
}
